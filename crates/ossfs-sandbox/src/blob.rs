//! Immutable files that hold the bytes of objects under `--data`.
//!
//! A blob's name is a number and never comes from a key. A blob is deleted when the last [`Blob`] that names it is
//! dropped, unless the server is going down ([`BlobDir::keep`]): then the records on disk still refer to it. What a
//! killed process leaves behind is swept by whoever opens the directory, who knows which blobs the records name.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// So many directories share the files, so that none gets too large.
const FANOUT: u64 = 256;

/// The directory of all blobs.
#[derive(Debug)]
pub(crate) struct BlobDir {
    path: PathBuf,
    next: AtomicU64,
    keep: AtomicBool,
}

impl BlobDir {
    /// Opens or creates the directory; numbers of existing blobs are not given again.
    pub(crate) fn open(path: PathBuf) -> io::Result<Arc<Self>> {
        fs::create_dir_all(&path)?;
        let dir = Self { path, next: AtomicU64::new(0), keep: AtomicBool::new(false) };
        let last = dir.numbers()?.into_iter().max();
        dir.next.store(last.map_or(1, |number| number + 1), Ordering::Relaxed);
        Ok(Arc::new(dir))
    }

    /// From now on no blob is deleted.
    pub(crate) fn keep(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }

    /// An empty blob to be written.
    pub(crate) fn create(self: &Arc<Self>) -> io::Result<(Arc<Blob>, File)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.path_of(number);
        let options = File::options().read(true).write(true).create_new(true).clone();
        let file = match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(&self.path))?;
                options.open(&path)?
            }
            opened => opened?,
        };
        Ok((Arc::new(Blob { number, dir: self.clone() }), file))
    }

    /// The blob that a record names, and the length of its file.
    pub(crate) fn existing(self: &Arc<Self>, number: u64) -> io::Result<(Arc<Blob>, u64)> {
        // Looked at before there is a Blob, whose drop would delete the file.
        let len = fs::metadata(self.path_of(number))?.len();
        Ok((Arc::new(Blob { number, dir: self.clone() }), len))
    }

    /// Deletes the blobs that are not in `named`; gives how many there were.
    pub(crate) fn sweep(&self, named: &HashSet<u64>) -> io::Result<usize> {
        let mut swept = 0;
        for number in self.numbers()? {
            if !named.contains(&number) {
                fs::remove_file(self.path_of(number))?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for fan in fs::read_dir(&self.path)? {
            for entry in fs::read_dir(fan?.path())? {
                let name = entry?.file_name();
                numbers.extend(name.to_str().and_then(|name| u64::from_str_radix(name, 16).ok()));
            }
        }
        Ok(numbers)
    }

    fn path_of(&self, number: u64) -> PathBuf {
        self.path.join(format!("{:02x}", number % FANOUT)).join(format!("{number:016x}"))
    }
}

/// One immutable file.
#[derive(Debug)]
pub(crate) struct Blob {
    number: u64,
    dir: Arc<BlobDir>,
}

impl Blob {
    /// What records call it.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn open(&self) -> io::Result<File> {
        File::open(self.path())
    }

    fn path(&self) -> PathBuf {
        self.dir.path_of(self.number)
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        if !self.dir.keep.load(Ordering::Relaxed)
            && let Err(error) = fs::remove_file(self.path())
        {
            tracing::warn!("cannot delete the unused {}: {error}", self.path().display());
        }
    }
}

/// Reads `len` bytes of a file from `offset`.
pub(crate) fn read_at(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// Replaces a file as a whole: a reader, and whoever comes after a crash, finds the old or the new one.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY_SUFFIX);
    let temporary = PathBuf::from(temporary);
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The error that matters is the one above; what is left over is swept at the next start.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The end of the name of a file that was not written to its end.
pub(crate) const TEMPORARY_SUFFIX: &str = ".new";

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn blobs_go_with_their_last_reference_unless_kept() {
        let root = tempfile::tempdir().unwrap();
        let dir = BlobDir::open(root.path().join("blobs")).unwrap();
        let (first, mut file) = dir.create().unwrap();
        file.write_all(b"hello").unwrap();
        assert_eq!(read_at(&first.open().unwrap(), 1, 3).unwrap(), b"ell");
        let (second, _) = dir.create().unwrap();
        let again = second.clone();
        drop((first, second));
        assert_eq!(dir.numbers().unwrap(), [again.number()]);
        dir.keep();
        drop(again);
        assert_eq!(dir.numbers().unwrap().len(), 1);

        let reopened = BlobDir::open(root.path().join("blobs")).unwrap();
        let (third, _) = reopened.create().unwrap();
        assert_eq!(reopened.sweep(&HashSet::from([third.number()])).unwrap(), 1);
        assert!(reopened.existing(third.number()).is_ok() && reopened.existing(77).is_err());
    }
}
