//! What was tried and failed, and when it is tried again.

use std::time::Duration;
use tokio::time::Instant;

/// The first pause after a failure; it doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
/// No pause is longer.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What was tried and failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub error: crate::Error,
    pub message: String,
    pub attempts: u32,
    /// When it failed for the first time.
    pub since: Instant,
    /// Not tried again before.
    pub retry_at: Instant,
}

impl Failure {
    /// One more failure after what failed before, if anything did.
    pub(crate) fn after(before: Option<&Self>, error: crate::Error, message: String, now: Instant) -> Self {
        let attempts = before.map_or(0, |before| before.attempts) + 1;
        let pause = PAUSE_FIRST.saturating_mul(1 << attempts.min(16).saturating_sub(1)).min(PAUSE_MAX);
        let since = before.map_or(now, |before| before.since);
        Self { error, message, attempts, since, retry_at: now + pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let begun = Instant::now();
        let mut failure: Option<Failure> = None;
        let pauses: Vec<u128> = (0..9)
            .map(|_| {
                let next = Failure::after(failure.as_ref(), crate::Error::Failed, "no".to_owned(), begun);
                let pause = next.retry_at - begun;
                failure = Some(next);
                pause.as_millis()
            })
            .collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(failure.map(|failure| (failure.attempts, failure.since)), Some((9, begun)));
    }
}
