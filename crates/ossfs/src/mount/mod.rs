//! The mount step: from a directory to a descriptor on which the kernel asks.
//!
//! fuser's own step gives the type `fuse` and needs `/dev/fuse` to be open to the user. Ours gives `fuse.ossfs` in both
//! ways: root calls mount(2), anyone else `fusermount3` (or `fusermount`), which hands the descriptor back. Nothing here
//! looks at a mountpoint that may be dead: what is mounted is read in `/proc/self/mountinfo`.

mod device;
mod flags;
mod fusermount;
pub(crate) mod mountinfo;
mod mountpoint;
mod read_ahead;
mod unmount;

pub(crate) use flags::Flags;
pub(crate) use mountpoint::{check, is_dead, resolve};
pub(crate) use read_ahead::raise as raise_read_ahead;
pub(crate) use unmount::{UnmountError, unmount};

use anyhow::Result;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The file system's type, as `mount` shows it.
pub(crate) const FILE_SYSTEM: &str = "fuse.ossfs";
/// The part of the type after `fuse.`, and what stands in the place of a device.
const NAME: &str = "ossfs";

/// A mount that nobody answers yet.
#[derive(Debug)]
pub(crate) struct Attached {
    /// Where the kernel asks.
    pub(crate) connection: OwnedFd,
    /// Whether `/dev/fuse` can be opened, so that every thread can have a descriptor of its own.
    pub(crate) device_opens: bool,
}

/// Mounts at `mountpoint` (absolute, no symlinks).
pub(crate) fn attach(mountpoint: &Path, allow_other: bool, flags: &Flags) -> Result<Attached> {
    if rustix::process::geteuid().is_root()
        && let Some(connection) = device::mount(mountpoint, allow_other, flags)?
    {
        return Ok(Attached { connection, device_opens: true });
    }
    let connection = fusermount::mount(mountpoint, allow_other, flags)?;
    Ok(Attached { connection, device_opens: device::opens() })
}
