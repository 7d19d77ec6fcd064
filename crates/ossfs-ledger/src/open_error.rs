//! Why the state of a mount can't be used.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Why the state of a mount can't be used. Nothing was changed there; each says what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the state directory {} is in use by another process: wait until that mount has ended, or give this one another \
         state directory", .path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// Its records are of another bucket, prefix or endpoint.
    #[error(
        "the state directory {} belongs to {found}, not to {wanted}: give this mount another state directory, or mount \
         {found} with it until all is in the bucket", .path.display()
    )]
    AnotherBucket {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it was to be.
        wanted: String,
    },
    /// A later ossfs wrote it.
    #[error(
        "{} was written by a newer ossfs, in format {found}, and this one knows formats up to {known}: use that version, \
         or let it bring everything into the bucket and remove the state directory", .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The latest format that is known here.
        known: u32,
    },
    /// It can't be read.
    #[error(
        "{} is damaged ({reason}): restore its directory from a copy, or move the directory away to mount what the bucket \
         has; what had not reached the bucket is then lost", .path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// There is no room.
    #[error("the disk or quota of {} is full: make room there, or give another state directory", .path.display())]
    Full {
        /// What could not be written.
        path: PathBuf,
    },
    /// It can't be written.
    #[error(
        "{} is on a read-only file system: mount that file system writable, or give another state directory",
        .path.display()
    )]
    ReadOnly {
        /// What could not be written.
        path: PathBuf,
    },
    /// It is not ours.
    #[error(
        "this user may not read and write {}: mount as the user whose it is, or give another state directory",
        .path.display()
    )]
    NotPermitted {
        /// What could not be opened.
        path: PathBuf,
    },
    /// Something else is in its place.
    #[error("{} is not a directory: remove it, or give another state directory", .path.display())]
    NotADirectory {
        /// What was to be one.
        path: PathBuf,
    },
    /// The operating system failed.
    #[error("{} cannot be used: {error}", .path.display())]
    Io {
        /// What could not be used.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
}

impl OpenError {
    /// What a failure of the operating system at a path means.
    pub(crate) fn of(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full { path },
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            ErrorKind::PermissionDenied => Self::NotPermitted { path },
            ErrorKind::NotADirectory => Self::NotADirectory { path },
            _ => Self::Io { path, error },
        }
    }

    /// Damage at a path.
    pub(crate) fn corrupt(path: &Path, reason: impl ToString) -> Self {
        Self::Corrupt { path: path.to_owned(), reason: reason.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_what_is_wrong_and_where() {
        for (number, says) in [(28, "full"), (122, "full"), (30, "read-only"), (13, "may not"), (5, "cannot be used")] {
            let text = OpenError::of(Path::new("/var/lib/x"), io::Error::from_raw_os_error(number)).to_string();
            assert!(text.contains(says) && text.contains("/var/lib/x"), "{text}");
        }
    }
}
