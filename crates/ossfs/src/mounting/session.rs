//! A mount that is served: fuser's session on our descriptor, and the mount it belongs to.

use super::signals::Signals;
use crate::fuse::Adapter;
use crate::mount::{self, Flags, UnmountError, mountinfo};
use anyhow::{Context, Result, anyhow, bail};
use ossfs_volume::Volume;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Threads that read the kernel's requests. Two saturate two cores; four leave room where there are more, and each costs
/// a buffer only as far as it is used.
const THREADS: usize = 4;

/// Why serving ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Someone unmounted it.
    Unmounted,
    /// A signal.
    Told,
}

/// How unmounting went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unmounting {
    /// It is gone, or at least out of sight.
    Gone,
    /// It could not be done; it is dead once this process ends.
    Failed,
    /// Another signal came meanwhile.
    Interrupted,
}

impl Unmounting {
    pub(super) fn is_interrupted(&self) -> bool {
        *self == Self::Interrupted
    }
}

/// A mount that is served. Dropped while it is mounted, it is unmounted.
#[derive(Debug)]
pub(super) struct Session {
    mountpoint: PathBuf,
    /// `major:minor` of our mount: another one may lie at the mountpoint by the time we unmount.
    device: String,
    ended: oneshot::Receiver<std::io::Result<()>>,
    mounted: bool,
}

impl Session {
    /// Mounts `volume` and serves it.
    pub(super) fn start(
        mountpoint: &Path,
        allow_other: bool,
        flags: &Flags,
        volume: Volume,
        deadline: Duration,
    ) -> Result<Self> {
        let attached = mount::attach(mountpoint, allow_other, flags)?;
        let (sender, ended) = oneshot::channel();
        let device = mountinfo::at(mountpoint)?.map(|mount| mount.device).unwrap_or_default();
        // From here on a failure unmounts.
        let session = Self { mountpoint: mountpoint.to_owned(), device, ended, mounted: true };
        let mut config = fuser::Config::default();
        config.n_threads = Some(THREADS);
        config.clone_fd = attached.device_opens;
        let adapter = Adapter::new(volume, Handle::current(), deadline);
        // Who may come in is the kernel's business: `allow_other` and `default_permissions`.
        let fuse = fuser::Session::from_fd(adapter, attached.connection, fuser::SessionACL::All, config)
            .context("the kernel does not agree on a FUSE session")?;
        mount::raise_read_ahead(mountpoint);
        let serve = move || {
            // Nobody listens any more if this process is about to end.
            let _ = sender.send(fuse.run());
        };
        std::thread::Builder::new().name("fuse".into()).spawn(serve).context("cannot start a thread")?;
        Ok(session)
    }

    /// Returns once the mount has answered.
    pub(super) async fn answers(&self, wait: Duration) -> Result<()> {
        let mountpoint = self.mountpoint.clone();
        let look = tokio::task::spawn_blocking(move || std::fs::metadata(mountpoint));
        let looked = tokio::time::timeout(wait, look).await.context("the mount does not answer")?;
        looked.context("the mount could not be asked")?.context("the mount answers with an error")?;
        Ok(())
    }

    /// Waits until someone unmounts it, or until told to end.
    pub(super) async fn end(&mut self, signals: &mut Signals) -> End {
        tokio::select! {
            ended = &mut self.ended => {
                match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::error!("the FUSE session broke: {error}"),
                    Err(_) => tracing::error!("the FUSE session panicked"),
                }
                // A broken session leaves a dead mount behind, an unmounted one none: `drop` looks.
                let _ = self.unmount_now();
                End::Unmounted
            }
            () = signals.told() => End::Told,
        }
    }

    /// Unmounts. What is in use is taken out of sight; who has files open there goes on until this process ends.
    pub(super) async fn unmount(&mut self, signals: &mut Signals) -> Unmounting {
        let (mountpoint, device) = (self.mountpoint.clone(), self.device.clone());
        // Pages of mapped files may have to be written, which this process serves.
        let unmounted = tokio::task::spawn_blocking(move || unmount(&mountpoint, &device));
        tokio::select! {
            done = unmounted => match done.map_err(|error| anyhow!(error)).and_then(|done| done) {
                Ok(()) => {
                    self.mounted = false;
                    Unmounting::Gone
                }
                Err(error) => {
                    tracing::error!("{error:#}");
                    Unmounting::Failed
                }
            },
            () = signals.told() => {
                // It is being tried already, and must not be waited for.
                self.mounted = false;
                Unmounting::Interrupted
            }
        }
    }

    fn unmount_now(&mut self) -> Result<()> {
        self.mounted = false;
        unmount(&self.mountpoint, &self.device)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.mounted
            && let Err(error) = self.unmount_now()
        {
            tracing::warn!("{error:#}");
        }
    }
}

/// Unmounts our mount, if it is still there; lazily if it is in use.
fn unmount(mountpoint: &Path, device: &str) -> Result<()> {
    if mountinfo::at(mountpoint)?.is_none_or(|mount| mount.device != device) {
        return Ok(());
    }
    match mount::unmount(mountpoint, false) {
        Ok(()) => return Ok(()),
        Err(UnmountError::Busy) => tracing::warn!("{} is in use: taken out of sight", mountpoint.display()),
        Err(UnmountError::Other(error)) => tracing::warn!("{error:#}"),
    }
    match mount::unmount(mountpoint, true) {
        Ok(()) => Ok(()),
        Err(UnmountError::Busy) => bail!("{} is in use and stays mounted", mountpoint.display()),
        Err(UnmountError::Other(error)) => Err(error),
    }
}
