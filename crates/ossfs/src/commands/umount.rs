//! `ossfs umount`: unmounts, and waits until everything is in the bucket.

use super::progress::{Progress, left_behind, tell_refused};
use super::watched::{self, HANDSHAKE_INTERVAL, HANDSHAKE_WAIT, Waiting};
use crate::control::{State, Status, Watch};
use crate::lock::{self, Found};
use crate::mount::{self, UnmountError, mountinfo};
use anyhow::{Result, anyhow, bail};
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
    let waiting = Waiting {
        stuck_after: Duration::from_secs(arguments.timeout),
        goes_on: "goes on trying in the background",
        look: |found: &Found, status: &Status, progress: &mut Progress| match status.state {
            State::Settled => {
                see_off(found);
                progress.finish();
                tell_refused(status);
                Some(Ok(()))
            }
            State::GaveUp => Some(Err(anyhow!("ossfs (process {}) gave up: {}", found.pid(), left_behind(status)))),
            State::Starting | State::Mounted | State::Settling => {
                progress.show(status);
                None
            }
        },
    };
    waiting.wait_for_all(watched)
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
