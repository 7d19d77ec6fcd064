//! Mounting as root: `/dev/fuse` and mount(2).

use super::{FILE_SYSTEM, Flags, NAME};
use anyhow::{Context, Result, bail};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

const DEVICE: &str = "/dev/fuse";

/// Whether this process can open the device.
pub(super) fn opens() -> bool {
    open().is_ok()
}

/// Why there can be no mount, where that shows before one is tried.
pub(super) fn check() -> Result<()> {
    // Anyone else's descriptor is opened by fusermount3, which may do what we may not.
    if rustix::process::geteuid().is_root() || !Path::new(DEVICE).exists() {
        open().map_err(explain)?;
    }
    Ok(())
}

fn open() -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(DEVICE, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

/// The connection of a new mount, or nothing if mount(2) is not for us (root without the capability, in a container).
pub(super) fn mount(mountpoint: &Path, allow_other: bool, flags: &Flags) -> Result<Option<OwnedFd>> {
    let connection = open().map_err(explain)?;
    let data = CString::new(data(connection.as_raw_fd(), allow_other)).expect("no zero byte in it");
    match rustix::mount::mount(NAME, mountpoint, FILE_SYSTEM, flags.bits(), data.as_c_str()) {
        Ok(()) => Ok(Some(connection)),
        Err(Errno::PERM) => Ok(None),
        Err(Errno::NODEV) => bail!("the kernel has no FUSE: load it with `modprobe fuse`"),
        Err(Errno::BUSY) => bail!("{} is busy: something else is being mounted there", mountpoint.display()),
        Err(error) => Err(error).with_context(|| format!("cannot mount at {}", mountpoint.display())),
    }
}

/// What the kernel's FUSE wants to know. The permission bits of the root come later, from the volume.
fn data(connection: i32, allow_other: bool) -> String {
    let mut data = format!("fd={connection},rootmode=40000,user_id=0,group_id=0,default_permissions");
    if allow_other {
        data.push_str(",allow_other");
    }
    data
}

fn explain(error: Errno) -> anyhow::Error {
    match error {
        Errno::NOENT | Errno::NODEV | Errno::NXIO => anyhow::anyhow!(
            "there is no {DEVICE}: load the kernel module with `modprobe fuse`, or start the container with \
             `--device /dev/fuse --cap-add SYS_ADMIN`"
        ),
        Errno::ACCESS | Errno::PERM => anyhow::anyhow!(
            "no access to {DEVICE}: allow it with `chmod 666 /dev/fuse`, or start the container with \
             `--device /dev/fuse --cap-add SYS_ADMIN`"
        ),
        error => anyhow::anyhow!("cannot open {DEVICE}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_told_what_it_wants_to_know() {
        assert_eq!(data(7, false), "fd=7,rootmode=40000,user_id=0,group_id=0,default_permissions");
        assert_eq!(data(7, true), "fd=7,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other");
    }

    #[test]
    fn a_missing_device_is_told_apart_from_a_forbidden_one() {
        assert!(explain(Errno::NOENT).to_string().contains("modprobe fuse"));
        assert!(explain(Errno::ACCESS).to_string().contains("no access"));
    }
}
