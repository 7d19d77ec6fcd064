//! When and how long to wait before an operation is tried again. Pure: chance comes in from outside.

use std::time::Duration;

/// How much longer to wait when throttled: a server that refuses work is helped by less of it.
const THROTTLED_FACTOR: u32 = 4;

/// How often and how patiently operations are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOptions {
    /// Most attempts of one operation, the first included.
    pub attempts_max: u32,
    /// The wait before the second attempt is drawn from zero to this; it doubles each time.
    pub delay_first: Duration,
    /// No wait is longer.
    pub delay_max: Duration,
    /// However many attempts that takes: a server that throttles everything is asked again for so long.
    pub patience: Duration,
}

impl Default for RetryOptions {
    /// The practice of Alibaba's SDKs, with more attempts: a file system has nobody to ask.
    fn default() -> Self {
        Self {
            attempts_max: 6,
            delay_first: Duration::from_millis(200),
            delay_max: Duration::from_secs(20),
            patience: Duration::ZERO,
        }
    }
}

impl RetryOptions {
    /// How long to wait after attempt number `attempt` (from 1) failed; `None` if it was the last. `chance` is drawn
    /// evenly from 0 to 1: full jitter keeps clients from coming back all at once.
    pub(crate) fn delay(&self, attempt: u32, throttled: bool, chance: f64) -> Option<Duration> {
        if attempt >= self.attempts_max {
            return None;
        }
        Some(self.wait(attempt, throttled, chance))
    }

    /// The same after a server throttled an operation that was begun so long ago.
    pub(crate) fn delay_throttled(&self, attempt: u32, begun: Duration, chance: f64) -> Option<Duration> {
        (attempt < self.attempts_max || begun < self.patience).then(|| self.wait(attempt, true, chance))
    }

    fn wait(&self, attempt: u32, throttled: bool, chance: f64) -> Duration {
        let first = if throttled { self.delay_first * THROTTLED_FACTOR } else { self.delay_first };
        let longest = first.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.delay_max);
        longest.mul_f64(chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_end() {
        let options = RetryOptions::default();
        let longest: Vec<_> = (1..=6).map(|attempt| options.delay(attempt, false, 1.0)).collect();
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(longest, [ms(200), ms(400), ms(800), ms(1600), ms(3200), None]);
        assert_eq!(options.delay(1, true, 1.0), ms(800));
        assert_eq!(options.delay(1, false, 0.0), ms(0));
        let seconds = Duration::from_secs;
        assert_eq!(options.delay_throttled(6, seconds(1), 1.0), None);
        let waiting = RetryOptions { patience: seconds(24), ..options };
        assert_eq!(waiting.delay_throttled(6, seconds(23), 1.0), Some(options.delay_max));
        assert_eq!(waiting.delay_throttled(6, seconds(24), 1.0), None);
        assert!(waiting.delay_throttled(1, seconds(24), 1.0).is_some());
        let patient = RetryOptions { attempts_max: u32::MAX, ..options };
        assert_eq!(patient.delay(u32::MAX - 1, true, 1.0), Some(options.delay_max));
    }
}
