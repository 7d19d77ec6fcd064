//! How long a call waits: as long as anything gets on, and never for ever.

use crate::core::{Core, World};
use crate::errors::{Error, Result};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Progress is looked for so often within the deadline.
const LOOKS: u32 = 8;
/// However much else gets on, one call waits no longer than so many deadlines, and
const DEADLINES_MAX: u32 = 20;
/// a second for so many bytes that are only here.
const BYTES_A_SECOND: u64 = 64 << 10;

/// What gets on: requests that brought something on, and bytes on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    done: u64,
    sent: u64,
}

/// The patience of one call.
#[derive(Debug)]
pub(crate) struct Patience<'a> {
    core: &'a Core,
    seen: Progress,
    since: Instant,
    end: Instant,
    deadline: Duration,
}

impl Core {
    /// The patience of a call that begins to wait now.
    pub(crate) fn patience(&self) -> Patience<'_> {
        self.patience_of(self.options.deadline)
    }

    /// The same, where nothing may get on for so long only.
    pub(crate) fn patience_of(&self, deadline: Duration) -> Patience<'_> {
        let here = self.world().buffered();
        let longest = self.options.deadline * DEADLINES_MAX + Duration::from_secs(here / BYTES_A_SECOND);
        let now = Instant::now();
        Patience { core: self, seen: self.progress_made(), since: now, end: now + longest, deadline }
    }

    /// Looks at the world whenever anything has got on, until there is an answer.
    pub(crate) async fn wait_until<R>(&self, mut look: impl FnMut(&World) -> Option<R>) -> Result<R> {
        let mut patience = self.patience();
        loop {
            let progress = self.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            if let Some(answer) = look(&self.world()) {
                return Ok(answer);
            }
            patience.wait(progress).await.ok_or(Error::Failed)?;
        }
    }

    fn progress_made(&self) -> Progress {
        Progress { done: self.done.load(Ordering::Relaxed), sent: self.sent.load(Ordering::Relaxed) }
    }
}

impl Patience<'_> {
    /// Waits for something. `None` once nothing got on for the deadline, or the call has waited for too long.
    pub(crate) async fn wait<T>(&mut self, waited_for: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(waited_for);
        let deadline = self.deadline;
        loop {
            let look = (Instant::now() + deadline / LOOKS).min(self.end);
            tokio::select! {
                biased;
                arrived = &mut waited_for => return Some(arrived),
                () = tokio::time::sleep_until(look) => {}
            }
            let (now, made) = (Instant::now(), self.core.progress_made());
            if made.done != self.seen.done || made.sent > self.seen.sent {
                // What failed and is sent again is no progress.
                self.seen = Progress { done: made.done, sent: made.sent.max(self.seen.sent) };
                self.since = now;
            }
            if now >= self.end || now >= self.since + deadline {
                return None;
            }
        }
    }
}
