//! What the kernel holds open. A connection may end before the kernel has said RELEASE for all of it (RELEASE is queued,
//! and what is queued is dropped when the last mount goes): the rest is released for it then.

use ossfs_volume::{HandleId, Volume};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The handles that are open. Touched by open and release only, never by reads and writes.
#[derive(Debug, Default)]
pub(super) struct Handles {
    files: Mutex<HashSet<HandleId>>,
    directories: Mutex<HashSet<HandleId>>,
}

fn change<T>(set: &Mutex<HashSet<HandleId>>, change: impl FnOnce(&mut HashSet<HandleId>) -> T) -> T {
    change(&mut set.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Handles {
    pub(super) fn file_opened(&self, handle: HandleId) {
        change(&self.files, |open| open.insert(handle));
    }

    pub(super) fn file_released(&self, handle: HandleId) {
        change(&self.files, |open| open.remove(&handle));
    }

    pub(super) fn directory_opened(&self, handle: HandleId) {
        change(&self.directories, |open| open.insert(handle));
    }

    pub(super) fn directory_released(&self, handle: HandleId) {
        change(&self.directories, |open| open.remove(&handle));
    }

    /// Releases everything that is still open.
    pub(super) fn release_all(&self, volume: &Volume) {
        for handle in change(&self.files, std::mem::take) {
            volume.release(handle);
        }
        for handle in change(&self.directories, std::mem::take) {
            volume.release_directory(handle);
        }
    }
}
