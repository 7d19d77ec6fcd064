//! A daemon that is listened to, from its lock to its last word.

use super::progress::{Progress, left_behind};
use crate::control::{Line, Status, Watch};
use crate::lock::Found;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a line of the daemon, of which four come a second, is waited for at a time.
const LINE_WAIT: Duration = Duration::from_secs(1);
/// How long a daemon may take from its lock to its socket, and from its last word to its end.
pub(super) const HANDSHAKE_WAIT: Duration = Duration::from_secs(5);
/// Between two looks at that.
pub(super) const HANDSHAKE_INTERVAL: Duration = Duration::from_millis(10);

/// A daemon whose end is waited for.
pub(super) struct Watched {
    found: Found,
    watch: Watch,
}

/// How daemons are waited for.
pub(super) struct Waiting<F> {
    /// Nothing may get on for so long.
    pub(super) stuck_after: Duration,
    /// What a daemon that is not waited for any longer does.
    pub(super) goes_on: &'static str,
    /// Looks at what a daemon says, and shows it; the result, if it is the last word.
    pub(super) look: F,
}

impl<F: FnMut(&Found, &Status, &mut Progress) -> Option<Result<()>>> Waiting<F> {
    /// Waits for each in turn; the first failure is told once all have ended.
    pub(super) fn wait_for_all(mut self, watched: Vec<Watched>) -> Result<()> {
        let mut progress = Progress::new();
        let results: Vec<_> = watched.into_iter().map(|watched| self.wait_for(watched, &mut progress)).collect();
        progress.finish();
        results.into_iter().collect()
    }

    fn wait_for(&mut self, watched: Watched, progress: &mut Progress) -> Result<()> {
        let Watched { found, mut watch } = watched;
        let pid = found.pid();
        let mut last: Option<Status> = None;
        let mut measured = ossfs_volume::Progress::default();
        let mut since = Instant::now();
        loop {
            match watch.next_line(LINE_WAIT)? {
                Line::Status(status) => {
                    let other_state = last.as_ref().is_none_or(|last| last.state != status.state);
                    if measured.got_on(&status.measure()) || other_state {
                        since = Instant::now();
                    }
                    if let Some(result) = (self.look)(&found, &status, progress) {
                        return result;
                    }
                    last = Some(status);
                }
                Line::Quiet => {}
                Line::Closed => {
                    let left = last.as_ref().map_or_else(|| "nobody knows what".to_owned(), left_behind);
                    bail!("ossfs (process {pid}) was killed before it had uploaded everything: {left}");
                }
            }
            if since.elapsed() >= self.stuck_after {
                let left = last.as_ref().map_or_else(|| "it does not say what".to_owned(), left_behind);
                let (seconds, goes_on) = (self.stuck_after.as_secs(), self.goes_on);
                bail!("nothing got on for {seconds} s, ossfs (process {pid}) {goes_on}: {left}");
            }
        }
    }
}

/// Begins to watch a daemon, unless it has ended meanwhile. At its beginning and its end it holds its lock and does not
/// listen.
pub(super) fn watch(found: Found, ask: impl Fn(&Path) -> std::io::Result<Watch>) -> Result<Option<Watched>> {
    let pid = found.pid();
    let begun = Instant::now();
    loop {
        match ask(&found.socket) {
            Ok(watch) => return Ok(Some(Watched { found, watch })),
            Err(_) if !found.lives() => return Ok(None),
            Err(error) if begun.elapsed() >= HANDSHAKE_WAIT => {
                let socket = found.socket.display();
                return Err(error).with_context(|| format!("ossfs (process {pid}) does not answer at {socket}"));
            }
            Err(_) => std::thread::sleep(HANDSHAKE_INTERVAL),
        }
    }
}
