//! `ossfs umount`: unmounts, and waits until everything is in the bucket.

use crate::control::{Line, State, Status, Watch};
use crate::lock::{self, Found};
use crate::mount::{self, UnmountError, mountinfo};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a line of the daemon, of which four come a second, is waited for at a time.
const LINE_WAIT: Duration = Duration::from_secs(1);
/// How long a daemon may take from its lock to its socket, and from its last word to its end.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(5);
/// Between two looks at that.
const HANDSHAKE_INTERVAL: Duration = Duration::from_millis(10);
/// Between two lines of progress where they are not written over each other.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// Unmount, and wait until everything that was written is in the bucket
///
/// `umount` and `fusermount -u` return while ossfs still uploads in the background; this waits for it, also after one of
/// them was used. Exit status 0 means that the bucket has everything.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where it is mounted
    #[arg(value_name = "MOUNTPOINT")]
    mountpoint: PathBuf,

    /// Stop waiting when nothing got on for this long; the upload goes on in the background
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
}

/// Unmounts and waits.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mountpoint = mount::resolve(&arguments.mountpoint)?;
    let shown = mountpoint.display();
    let mount = mountinfo::at(&mountpoint)?;
    let ours = mount.as_ref().filter(|mount| mount.is_ossfs());
    let daemons = lock::daemons_at(&mountpoint, ours.and_then(mountinfo::Mount::user));
    match (&mount, daemons.is_empty()) {
        (None, true) => bail!("nothing is mounted at {shown}"),
        (Some(mount), _) if ours.is_none() && daemons.is_empty() => {
            bail!("{shown} is not mounted by ossfs but as {}: use `umount {shown}`", mount.file_system)
        }
        _ => {}
    }
    // Before it is unmounted: a daemon with nothing left is gone at once.
    let watched: Result<Vec<_>> = daemons.into_iter().map(watch).collect();
    let watched: Vec<_> = watched?.into_iter().flatten().collect();
    let was_dead = ours.is_some() && watched.is_empty() && mount::is_dead(&mountpoint);
    if ours.is_some() {
        unmount(&mountpoint)?;
    } else if watched.is_empty() {
        bail!("nothing is mounted at {shown}");
    }
    if was_dead {
        bail!(
            "{shown} was a dead mount, whose ossfs was killed: it is cleared away, but what was not uploaded is not in the \
             bucket"
        );
    }
    if watched.is_empty() {
        bail!("{shown} is unmounted, but its ossfs was not found: whether everything is in the bucket is not known");
    }
    let mut progress = Progress::new(std::io::stderr().is_terminal());
    let stuck_after = Duration::from_secs(arguments.timeout);
    let results: Vec<_> = watched.into_iter().map(|watch| wait(watch, stuck_after, &mut progress)).collect();
    progress.finish();
    results.into_iter().collect()
}

fn unmount(mountpoint: &Path) -> Result<()> {
    match mount::unmount(mountpoint, false) {
        Ok(()) => Ok(()),
        Err(UnmountError::Busy) => {
            let shown = mountpoint.display();
            bail!("{shown} is in use: leave it and close its files first (`fuser -vm {shown}` lists who has any)")
        }
        Err(UnmountError::Other(error)) => Err(error),
    }
}

/// A daemon whose end is waited for.
struct Watched {
    found: Found,
    pid: u32,
    watch: Watch,
}

/// Begins to watch a daemon, unless it has ended meanwhile. At its beginning and its end it holds its lock and does not
/// listen.
fn watch(found: Found) -> Result<Option<Watched>> {
    let pid = found.holder.as_ref().map_or(0, |holder| holder.pid);
    let begun = Instant::now();
    loop {
        match Watch::start(&found.socket) {
            Ok(watch) => return Ok(Some(Watched { found, pid, watch })),
            Err(_) if !found.lives() => return Ok(None),
            Err(error) if begun.elapsed() >= HANDSHAKE_WAIT => {
                let socket = found.socket.display();
                return Err(error).with_context(|| format!("ossfs (process {pid}) does not answer at {socket}"));
            }
            Err(_) => std::thread::sleep(HANDSHAKE_INTERVAL),
        }
    }
}

/// Waits for the end of a daemon that has said that it ends, so that a mount begun next need not wait.
fn see_off(found: &Found) {
    let begun = Instant::now();
    while found.lives() && begun.elapsed() < HANDSHAKE_WAIT {
        std::thread::sleep(HANDSHAKE_INTERVAL);
    }
}

fn wait(mut watched: Watched, stuck_after: Duration, progress: &mut Progress) -> Result<()> {
    let pid = watched.pid;
    let mut last: Option<Status> = None;
    let mut since = Instant::now();
    loop {
        match watched.watch.next_line(LINE_WAIT)? {
            Line::Status(status) => {
                if last.as_ref().is_none_or(|last| !last.is_as_far_as(&status)) {
                    since = Instant::now();
                }
                match status.state {
                    State::Settled => {
                        see_off(&watched.found);
                        return Ok(());
                    }
                    State::GaveUp => bail!("ossfs (process {pid}) gave up: {}", left_behind(&status)),
                    State::Starting | State::Mounted | State::Settling => progress.show(&status),
                }
                last = Some(status);
            }
            Line::Quiet => {}
            Line::Closed => {
                let left = last.as_ref().map_or_else(|| "nobody knows what".to_owned(), left_behind);
                bail!("ossfs (process {pid}) was killed before it had uploaded everything: {left}");
            }
        }
        if since.elapsed() >= stuck_after {
            let left = last.as_ref().map_or_else(|| "it does not say what".to_owned(), left_behind);
            bail!(
                "nothing got on for {} s, ossfs (process {pid}) goes on trying in the background: {left}",
                stuck_after.as_secs()
            );
        }
    }
}

/// What is not in the bucket, with the reasons, a line each.
fn left_behind(status: &Status) -> String {
    let mut text = format!("not in the bucket: {}", status.left());
    for failure in &status.failures {
        text.push_str(&format!("\n  {}: {}", failure.path, failure.reason));
    }
    let more = status.failures_total.saturating_sub(status.failures.len());
    if more > 0 {
        text.push_str(&format!("\n  and {more} more"));
    }
    text
}

/// What is left, on standard error: one line written over and over on a terminal, else one now and then.
struct Progress {
    terminal: bool,
    shown: Option<Instant>,
}

impl Progress {
    fn new(terminal: bool) -> Self {
        Self { terminal, shown: None }
    }

    fn show(&mut self, status: &Status) {
        // Nothing left, or not unmounted yet: not worth a line.
        if status.is_settled() {
            return;
        }
        let mut stderr = std::io::stderr();
        let line = format!("uploading: {} left", status.left());
        // Progress that nobody can read does not stop the wait.
        if self.terminal {
            let _ = write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush());
            self.shown = Some(Instant::now());
        } else if self.shown.is_none_or(|shown| shown.elapsed() >= PLAIN_INTERVAL) {
            let _ = writeln!(stderr, "{line}");
            self.shown = Some(Instant::now());
        }
    }

    fn finish(&mut self) {
        if self.terminal && self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Failure;

    #[test]
    fn what_stays_behind_is_listed() {
        let failure = Failure { path: "/a/b".into(), reason: "denied".into() };
        let status = Status {
            pid: 1,
            bucket: "demo".into(),
            mountpoint: "/mnt".into(),
            state: State::GaveUp,
            nodes: 3,
            tombstones: 0,
            claims: 0,
            bytes: 1024,
            failures_total: 3,
            failures: vec![failure],
        };
        assert_eq!(left_behind(&status), "not in the bucket: 3 files, 1.0 KiB\n  /a/b: denied\n  and 2 more");
    }
}
