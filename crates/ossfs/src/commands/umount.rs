//! `ossfs umount`: unmounts, and waits until everything is in the bucket.

use super::progress::{Progress, left_behind, tell_refused};
use super::watched::{self, HANDSHAKE_INTERVAL, HANDSHAKE_WAIT, LINE_WAIT, Watched};
use crate::control::{Line, State, Status, Watch};
use crate::lock::{self, Found};
use crate::mount::{self, UnmountError, mountinfo};
use anyhow::{Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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
    let watched: Result<Vec<_>> = daemons.into_iter().map(|found| watched::watch(found, Watch::start)).collect();
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
    let mut progress = Progress::new();
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
    let mut measured = ossfs_volume::Progress::default();
    let mut since = Instant::now();
    loop {
        match watched.watch.next_line(LINE_WAIT)? {
            Line::Status(status) => {
                let other_state = last.as_ref().is_none_or(|last| last.state != status.state);
                if measured.got_on(&status.measure()) || other_state {
                    since = Instant::now();
                }
                match status.state {
                    State::Settled => {
                        see_off(&watched.found);
                        progress.finish();
                        tell_refused(&status);
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
