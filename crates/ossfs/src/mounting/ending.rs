//! The last thing a daemon does: carrying what is left to the bucket, or saying what stays behind.

use super::signals::Signals;
use crate::control::left_of;
use anyhow::{Result, bail};
use ossfs_volume::{Progress, Trouble, Unsettled};
use std::time::Duration;
use tokio::time::Instant;

/// How often progress is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// What stays behind is named in the log, up to this many.
const NAMED_MAX: usize = 20;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Everything is in the bucket.
    Settled,
    /// Nothing got on for as long as that is waited for.
    Stuck,
    /// Told to end once more.
    ToldAgain,
}

/// Waits until all is settled: as long as it takes if `limit` is none, else as long as it gets on within `limit`. Told to
/// end, it goes on with `limit_when_told`; told again, it stops.
pub(super) async fn settle(
    unsettled: impl Fn() -> Unsettled,
    settled: impl Future<Output = ()>,
    signals: &mut Signals,
    mut limit: Option<Duration>,
    limit_when_told: Duration,
) -> Outcome {
    let mut settled = std::pin::pin!(settled);
    let mut progress = Progress::default();
    progress.got_on(&unsettled());
    let mut since = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = &mut settled => return Outcome::Settled,
            () = signals.told() => {
                if limit.is_some() {
                    return Outcome::ToldAgain;
                }
                tracing::info!("told to end: {} left to upload", left_of(&unsettled()));
                limit = Some(limit_when_told);
                since = Instant::now();
            }
            () = tokio::time::sleep(LOOK_INTERVAL) => {
                if progress.got_on(&unsettled()) {
                    since = Instant::now();
                } else if limit.is_some_and(|limit| since.elapsed() >= limit) {
                    return Outcome::Stuck;
                }
            }
        }
    }
}

/// Says in the log how it ended; what is left behind is an error.
pub(super) fn report(bucket: &str, outcome: Outcome, left: &Unsettled) -> Result<()> {
    if outcome == Outcome::Settled || left.is_empty() {
        tracing::info!("{bucket}: everything is in the bucket");
        return Ok(());
    }
    for trouble in left.failures.iter().take(NAMED_MAX) {
        let Trouble { path, reason, advice, since } = trouble;
        tracing::error!("{bucket}: {path} is not in the bucket: {reason} (for {} s; {advice})", since.as_secs());
    }
    if left.failures_total > NAMED_MAX as u64 {
        tracing::error!("{bucket}: and {} more are not in the bucket", left.failures_total - NAMED_MAX as u64);
    }
    let why = match outcome {
        Outcome::ToldAgain => "told to end at once",
        _ => "the bucket does not take it",
    };
    bail!("gave up ({why}): not in the bucket: {}", left_of(left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use tokio::sync::mpsc;

    const SECOND: Duration = Duration::from_secs(1);

    fn left(bytes: u64) -> Unsettled {
        Unsettled { nodes: 1, bytes, ..Unsettled::default() }
    }

    fn signals(count: usize) -> (mpsc::Sender<()>, Signals) {
        let (sender, receiver) = mpsc::channel(2);
        for _ in 0..count {
            sender.try_send(()).unwrap();
        }
        (sender, Signals::of(receiver))
    }

    #[tokio::test(start_paused = true)]
    async fn an_unmount_waits_as_long_as_it_takes() {
        let (_sender, mut signals) = signals(0);
        let settled = tokio::time::sleep(1000 * SECOND);
        assert_eq!(settle(|| left(1), settled, &mut signals, None, SECOND).await, Outcome::Settled);
    }

    #[tokio::test(start_paused = true)]
    async fn told_to_end_it_waits_as_long_as_it_gets_on() {
        let begun = Instant::now();
        let (_sender, mut signals) = signals(0);
        let bytes = Cell::new(20_u64);
        let unsettled = || {
            bytes.set(bytes.get().saturating_sub(1));
            left(bytes.get())
        };
        let outcome = settle(unsettled, std::future::pending(), &mut signals, Some(5 * SECOND), 5 * SECOND).await;
        assert_eq!(outcome, Outcome::Stuck);
        // About ten seconds of progress, two steps a second, and then the limit.
        assert!((14 * SECOND..17 * SECOND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_sets_the_limit_and_another_ends_it() {
        let never = std::future::pending;
        let (_sender, mut once) = signals(1);
        assert_eq!(settle(|| left(1), never(), &mut once, None, SECOND).await, Outcome::Stuck);
        let (_sender, mut twice) = signals(2);
        assert_eq!(settle(|| left(1), never(), &mut twice, None, SECOND).await, Outcome::ToldAgain);
        let (_sender, mut again) = signals(1);
        assert_eq!(settle(|| left(1), never(), &mut again, Some(SECOND), SECOND).await, Outcome::ToldAgain);
    }

    #[test]
    fn only_what_is_left_is_an_error() {
        assert!(report("b", Outcome::Settled, &left(1)).is_ok());
        assert!(report("b", Outcome::Stuck, &Unsettled::default()).is_ok());
        let error = report("b", Outcome::Stuck, &left(2048)).unwrap_err().to_string();
        assert!(error.contains("1 file, 2.0 KiB"), "{error}");
    }
}
