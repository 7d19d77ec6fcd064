//! Segments as files of a directory.

use super::Medium;
use crate::open_error::OpenError;
use bytes::Bytes;
use std::collections::HashMap;
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the name of a segment's file begins with; its number follows.
const NAME: &str = "segment-";
/// A file that is made and removed to see whether the directory can be written.
const PROBE: &str = "probe";

/// Segments as files of a directory that is this mount's alone: its state directory's lock covers it.
#[derive(Debug)]
pub struct DirectoryMedium {
    path: PathBuf,
    /// Those that were written and are not synced: the kernel tells only of them that a write failed later on.
    open: Mutex<HashMap<u64, Arc<File>>>,
}

impl DirectoryMedium {
    /// Takes a directory, made for this user alone if it is not there.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        if made.is_err() && path.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
            return Err(OpenError::NotADirectory { path: path.to_owned() });
        }
        made.map_err(|error| OpenError::of(path, error))?;
        let probe = path.join(PROBE);
        let probed = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&probe);
        probed
            .and_then(|mut file| io::Write::write_all(&mut file, b"probe"))
            .and_then(|()| std::fs::remove_file(&probe))
            .map_err(|error| OpenError::of(path, error))?;
        Ok(Self { path: path.to_owned(), open: Mutex::default() })
    }

    fn open_files(&self) -> MutexGuard<'_, HashMap<u64, Arc<File>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file_path(&self, segment: u64) -> PathBuf {
        self.path.join(format!("{NAME}{segment}"))
    }

    fn file(&self, segment: u64) -> io::Result<Arc<File>> {
        match self.open_files().get(&segment) {
            Some(file) => Ok(file.clone()),
            None => OpenOptions::new().read(true).write(true).open(self.file_path(segment)).map(Arc::new),
        }
    }
}

impl fmt::Display for DirectoryMedium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

impl Medium for DirectoryMedium {
    fn segments(&self) -> io::Result<Vec<u64>> {
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            // What else is there is somebody else's.
            segments.extend(name.to_str().and_then(|name| name.strip_prefix(NAME)?.parse::<u64>().ok()));
        }
        Ok(segments)
    }

    fn create(&self, segment: u64) -> io::Result<()> {
        let path = self.file_path(segment);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        self.open_files().insert(segment, Arc::new(file));
        Ok(())
    }

    fn write(&self, segment: u64, offset: u64, bytes: &[Bytes]) -> io::Result<()> {
        let file = self.file(segment)?;
        self.open_files().insert(segment, file.clone());
        let mut at = offset;
        for chunk in bytes {
            file.write_all_at(chunk, at)?;
            at += chunk.len() as u64;
        }
        Ok(())
    }

    fn read(&self, segment: u64, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file(segment)?.read_exact_at(bytes, offset)
    }

    fn sync(&self, segment: u64) -> io::Result<()> {
        self.file(segment)?.sync_data()?;
        // Whoever writes on opens it again: files that are open are few.
        self.open_files().remove(&segment);
        // Its name.
        File::open(&self.path)?.sync_all()
    }

    fn remove(&self, segment: u64) -> io::Result<()> {
        self.open_files().remove(&segment);
        match std::fs::remove_file(self.file_path(segment)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.path)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn waits(&self) -> bool {
        true
    }
}
