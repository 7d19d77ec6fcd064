//! A mount from its beginning to its end: check, lock, connect, mount, serve, unmount, settle.
//!
//! ```text
//! check the mountpoint -> wait for the lock -> open the volume -> mount -> ready (to the background)
//!     -> unmounted by someone, or told to end (SIGTERM, SIGINT): unmount
//!     -> settle what is left: as long as it takes; once told to end, as long as it gets on
//!     -> end; told once more, at once
//! ```

mod ending;
mod session;
mod signals;
mod waiting;

use crate::control::{Server, State, Subject};
use crate::daemon::{self, Ready};
use crate::lock::Lock;
use crate::log;
use crate::mount::{self, Flags};
use anyhow::{Context, Result};
use ossfs_volume::Volume;
use session::{End, Session};
use signals::Signals;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What to mount where.
#[derive(Debug, Clone)]
pub(crate) struct Mounting {
    /// As it was typed.
    pub(crate) mountpoint: PathBuf,
    /// `bucket` or `bucket:/prefix`: for the lock and for messages.
    pub(crate) bucket_label: String,
    /// Everyone may use it, not only who mounts.
    pub(crate) allow_other: bool,
    /// Whatever the mountpoint holds may be hidden.
    pub(crate) nonempty: bool,
    /// Nothing may be changed.
    pub(crate) read_only: bool,
    /// Words of mount(8) that concern the kernel.
    pub(crate) flags: Vec<String>,
    /// Stays in the terminal.
    pub(crate) foreground: bool,
    /// How long a call may take, and how long the end waits without progress once it was told to end.
    pub(crate) deadline: Duration,
}

/// What is mounted.
pub(crate) struct Opened {
    /// The file system.
    pub(crate) volume: Volume,
    /// Runs last, when nobody waits any more.
    pub(crate) at_end: Box<dyn FnOnce()>,
}

/// Mounts what `open` opens, and serves it until it is unmounted and settled. Everything that can be wrong with the input is
/// told before this returns; in the background it returns when the mount answers.
///
/// `open` runs at most once, in the process that serves, after the lock was taken: state that one mount at a time may
/// use is free then. It is given a name that no other mount has.
pub(crate) fn run_mount<F>(mounting: &Mounting, open: impl FnOnce(String) -> F) -> Result<ExitCode>
where
    F: Future<Output = Result<Opened>>,
{
    daemon::start(mounting.foreground, |ready| {
        let outcome = serve(mounting, open, ready);
        if let Err(error) = &outcome
            && !log::goes_to_terminal()
        {
            // In the background this is the only trace.
            tracing::error!("{}: {error:#}", mounting.bucket_label);
        }
        outcome
    })
}

fn serve<F>(mounting: &Mounting, open: impl FnOnce(String) -> F, ready: Ready) -> Result<()>
where
    F: Future<Output = Result<Opened>>,
{
    let flags = Flags::of(&mounting.flags, mounting.read_only)?;
    let mountpoint = mount::resolve(&mounting.mountpoint)?;
    mount::check(&mountpoint, mounting.allow_other, mounting.nonempty)?;
    let lock = waiting::take_lock(&mounting.bucket_label, &mountpoint)?;
    mount::check(&mountpoint, mounting.allow_other, mounting.nonempty)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let outcome = runtime.block_on(async {
        let Opened { volume, at_end } = open(lock.name()).await?;
        let outcome = live(mounting, &mountpoint, &flags, &lock, volume, ready).await;
        at_end();
        outcome
    });
    // Tasks may be waiting for a store that never answers.
    runtime.shutdown_background();
    outcome
}

/// From the opened volume to the end of the daemon.
async fn live(
    mounting: &Mounting,
    mountpoint: &Path,
    flags: &Flags,
    lock: &Lock,
    volume: Volume,
    ready: Ready,
) -> Result<()> {
    let (state, states) = watch::channel(State::Starting);
    let server = Server::start(&lock.socket(), subject(mounting, mountpoint, &volume, states))?;
    let mut signals = Signals::listen(mounting.foreground)?;
    let mut session = Session::start(mountpoint, mounting.allow_other, flags, volume.clone(), mounting.deadline)?;
    session.answers(mounting.deadline).await?;
    ready.tell()?;
    state.send_replace(State::Mounted);
    tracing::info!("{} is mounted at {}", mounting.bucket_label, mountpoint.display());
    let told_to_end = match session.end(&mut signals).await {
        End::Unmounted => false,
        End::Told => {
            tracing::info!("told to end: unmounting {}", mountpoint.display());
            true
        }
    };
    state.send_replace(State::Settling);
    // Whatever comes now, the next mount goes on with it.
    volume.stage_all().await;
    let outcome = if told_to_end && session.unmount(&mut signals).await.is_interrupted() {
        ending::Outcome::ToldAgain
    } else {
        if told_to_end {
            // Whoever has a file open there can't write to it any more.
            volume.settle_open_files();
        }
        let limit = told_to_end.then_some(mounting.deadline);
        ending::settle(|| volume.unsettled(), volume.settled(), &mut signals, limit, mounting.deadline).await
    };
    if outcome != ending::Outcome::Settled {
        volume.stage_all().await;
    }
    let result = ending::report(&mounting.bucket_label, outcome, &volume.unsettled());
    state.send_replace(if result.is_ok() { State::Settled } else { State::GaveUp });
    server.finish().await;
    result
}

fn subject(mounting: &Mounting, mountpoint: &Path, volume: &Volume, state: watch::Receiver<State>) -> Subject {
    let (volume, synced) = (volume.clone(), volume.clone());
    Subject {
        bucket: mounting.bucket_label.clone(),
        mountpoint: mountpoint.to_string_lossy().into_owned(),
        unsettled: Arc::new(move || volume.unsettled()),
        sync: Arc::new(move |path| {
            let mut syncing = synced.sync(path);
            Box::new(move || syncing.look())
        }),
        state,
    }
}
