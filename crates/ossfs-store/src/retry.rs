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
}

impl Default for RetryOptions {
    /// The practice of Alibaba's SDKs, with more attempts: a file system has nobody to ask.
    fn default() -> Self {
        Self { attempts_max: 6, delay_first: Duration::from_millis(200), delay_max: Duration::from_secs(20) }
    }
}

impl RetryOptions {
    /// How long to wait after attempt number `attempt` (from 1) failed; `None` if it was the last. `chance` is drawn
    /// evenly from 0 to 1: full jitter keeps clients from coming back all at once.
    pub(crate) fn delay(&self, attempt: u32, throttled: bool, chance: f64) -> Option<Duration> {
        if attempt >= self.attempts_max {
            return None;
        }
        let first = if throttled { self.delay_first * THROTTLED_FACTOR } else { self.delay_first };
        let longest = first.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.delay_max);
        Some(longest.mul_f64(chance.clamp(0.0, 1.0)))
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
        let patient = RetryOptions { attempts_max: u32::MAX, ..options };
        assert_eq!(patient.delay(u32::MAX - 1, true, 1.0), Some(options.delay_max));
    }
}
