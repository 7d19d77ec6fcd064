//! Everything that must go away again: processes, mounts, folders.
//!
//! Invariant: it is noted here before it is made, and goes with its guard: at the end of a scope, by a panic, or, all at
//! once, by [`end_all`] when we are told to end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use rustix::mount::UnmountFlags;

use crate::processes;

/// What must go away.
enum Leftover {
    /// A child that was not waited for, so that its number is its own.
    Process(u32),
    Mount(PathBuf),
    Folder(PathBuf),
}

static NEXT: AtomicU64 = AtomicU64::new(0);
static ALL: Mutex<Vec<(u64, Leftover)>> = Mutex::new(Vec::new());

fn all() -> MutexGuard<'static, Vec<(u64, Leftover)>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets one thing go away when dropped.
pub(crate) struct Guard(u64);

impl Guard {
    fn of(leftover: Leftover) -> Guard {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        all().push((number, leftover));
        Guard(number)
    }

    /// Whatever will be mounted there.
    pub(crate) fn mount(mountpoint: &Path) -> Guard {
        Guard::of(Leftover::Mount(mountpoint.to_owned()))
    }

    fn take(&self) -> Option<Leftover> {
        let mut all = all();
        let at = all.iter().position(|(number, _)| *number == self.0)?;
        Some(all.remove(at).1)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(leftover) = self.take() {
            leftover.end();
        }
    }
}

/// A moment: what begins later can be told from what was there.
#[derive(Clone, Copy)]
pub(crate) struct Moment(u64);

pub(crate) fn now() -> Moment {
    Moment(NEXT.load(Ordering::Relaxed))
}

/// Kills the processes that were started since; whoever holds them clears up.
pub(crate) fn kill_since(moment: Moment) {
    for (number, leftover) in all().iter() {
        if let Leftover::Process(pid) = leftover
            && *number >= moment.0
        {
            processes::kill(*pid);
        }
    }
}

/// Ends everything, what was begun last first.
pub(crate) fn end_all() {
    // What is begun meanwhile waits for the lock.
    let mut all = all();
    while let Some((_, leftover)) = all.pop() {
        leftover.end();
    }
}

impl Leftover {
    fn end(self) {
        match self {
            Self::Process(pid) => processes::kill(pid),
            Self::Mount(mountpoint) => unmount(&mountpoint),
            Self::Folder(path) => {
                if let Err(error) = fs::remove_dir_all(&path)
                    && error.kind() != std::io::ErrorKind::NotFound
                {
                    eprintln!("cannot remove {}: {error}", path.display());
                }
            }
        }
    }
}

/// Takes a mount out of sight, whether it is in use, dead or not there.
fn unmount(mountpoint: &Path) {
    if rustix::process::geteuid().is_root() {
        // A daemon that asks its own mount can't be killed before the kernel has given the mount up.
        let _ = rustix::mount::unmount(mountpoint, UnmountFlags::FORCE);
        // Mounts may lie over each other.
        while rustix::mount::unmount(mountpoint, UnmountFlags::DETACH).is_ok() {}
        return;
    }
    let mut command = Command::new("fusermount3");
    command.arg("-uz").arg(mountpoint).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _ = command.status();
}

/// A child that is killed, with all that it started, when dropped.
pub(crate) struct Running {
    /// Until it was waited for: afterwards its number may be another's.
    guard: Option<Guard>,
    child: Child,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Result<Running> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("cannot run {program}"))?;
        Ok(Running { guard: Some(Guard::of(Leftover::Process(child.id()))), child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            self.nothing_to_kill();
        }
        Ok(status)
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait()?;
        self.nothing_to_kill();
        Ok(status)
    }

    fn nothing_to_kill(&mut self) {
        if let Some(guard) = self.guard.take() {
            guard.take();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.guard.take());
        let _ = self.child.wait();
    }
}

/// A folder with everything in it. Nothing must be mounted in it any more when it goes.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    _guard: Guard,
}

impl Folder {
    /// Makes it anew, empty.
    pub(crate) fn make(path: PathBuf) -> Result<Folder> {
        let guard = Guard::of(Leftover::Folder(path.clone()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Folder { path, _guard: guard })
    }
}

/// For tests that start processes: one of them kills all that were started since.
#[cfg(test)]
pub(crate) fn one_test_at_a_time() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
