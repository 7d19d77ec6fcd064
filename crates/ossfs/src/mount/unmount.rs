//! Unmounting: umount2(2) where that is allowed, else `fusermount3 -u`.

use super::fusermount;
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use std::path::Path;

/// Why a mount stays.
#[derive(Debug)]
pub(crate) enum UnmountError {
    /// Files are open in it, or someone's working directory is.
    Busy,
    /// Anything else.
    Other(anyhow::Error),
}

/// Unmounts what is on top at `mountpoint`; `lazy` takes it out of sight even if it is in use.
pub(crate) fn unmount(mountpoint: &Path, lazy: bool) -> Result<(), UnmountError> {
    let mut flags = UnmountFlags::NOFOLLOW;
    if lazy {
        flags |= UnmountFlags::DETACH;
    }
    match rustix::mount::unmount(mountpoint, flags) {
        Ok(()) => Ok(()),
        Err(Errno::BUSY) => Err(UnmountError::Busy),
        Err(Errno::PERM) => match fusermount::unmount(mountpoint, lazy).map_err(UnmountError::Other)? {
            Ok(()) => Ok(()),
            Err(said) if said.contains("busy") => Err(UnmountError::Busy),
            Err(said) => Err(UnmountError::Other(anyhow::anyhow!("cannot unmount {}: {said}", mountpoint.display()))),
        },
        Err(error) => {
            let shown = mountpoint.display();
            Err(UnmountError::Other(anyhow::Error::new(error).context(format!("cannot unmount {shown}"))))
        }
    }
}
