//! The directory that holds what a mount must not forget, locked against a second process.

use crate::open_error::OpenError;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const LOCK_FILE: &str = "lock";

/// The directory that holds what a mount must not forget. It is locked as long as this or a clone of it lives; the lock
/// is the kernel's (flock), so a killed process holds none.
#[derive(Debug, Clone)]
pub struct StateDirectory {
    path: PathBuf,
    /// The lock lasts as long as this is open.
    _lock: Arc<File>,
}

impl StateDirectory {
    /// Takes a directory, made for this user alone if it is not there.
    pub fn lock(path: &Path) -> Result<Self, OpenError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        if made.is_err() && path.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
            return Err(OpenError::NotADirectory { path: path.to_owned() });
        }
        made.map_err(|error| OpenError::of(path, error))?;
        let lock = path.join(LOCK_FILE);
        // Never removed: whoever waits for the lock would have that of a file that is gone.
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&lock);
        let file = file.map_err(|error| OpenError::of(&lock, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: Arc::new(file) }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(OpenError::of(&lock, error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_for_this_user_and_held_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let held = StateDirectory::lock(&path).unwrap();
        assert_eq!(held.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(matches!(StateDirectory::lock(&path), Err(OpenError::Locked { .. })));
        let clone = held.clone();
        drop(held);
        assert!(matches!(StateDirectory::lock(&path), Err(OpenError::Locked { .. })));
        drop(clone);
        StateDirectory::lock(&path).unwrap();
    }

    #[test]
    fn what_is_no_directory_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "mine").unwrap();
        for path in [path.clone(), path.join("below")] {
            assert!(matches!(StateDirectory::lock(&path), Err(OpenError::NotADirectory { .. })), "{path:?}");
        }
        assert_eq!(std::fs::read(path).unwrap(), b"mine");
    }
}
