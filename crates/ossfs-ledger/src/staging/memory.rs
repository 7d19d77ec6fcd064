//! Segments in memory, for tests: they survive the end of a volume, and can be damaged, fail and be full.

use super::Medium;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Segments in memory. Clones are the same.
#[derive(Debug, Clone)]
pub struct MemoryMedium(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    segments: Mutex<BTreeMap<u64, Vec<u8>>>,
    free: AtomicU64,
    syncs_fail: AtomicBool,
}

impl Default for MemoryMedium {
    fn default() -> Self {
        Self::of(BTreeMap::new())
    }
}

impl MemoryMedium {
    fn of(segments: BTreeMap<u64, Vec<u8>>) -> Self {
        let (free, syncs_fail) = (AtomicU64::new(u64::MAX), AtomicBool::new(false));
        Self(Arc::new(Inner { segments: Mutex::new(segments), free, syncs_fail }))
    }

    fn segments(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<u8>>> {
        self.0.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of what is there now, as a process that is killed leaves it.
    pub fn killed(&self) -> Self {
        Self::of(self.segments().clone())
    }

    /// Sets how many bytes could still be written.
    pub fn set_free_bytes(&self, free: u64) {
        self.0.free.store(free, Ordering::Relaxed);
    }

    /// Lets syncs fail from now on, or no more.
    pub fn fail_syncs(&self, fail: bool) {
        self.0.syncs_fail.store(fail, Ordering::Relaxed);
    }

    /// Changes what is in a segment, behind the back of whoever wrote it; it is gone if `change` says so by `None`.
    pub fn damage(&self, change: impl Fn(u64, Vec<u8>) -> Option<Vec<u8>>) {
        let mut segments = self.segments();
        let old = std::mem::take(&mut *segments);
        *segments = old.into_iter().filter_map(|(number, bytes)| Some((number, change(number, bytes)?))).collect();
    }

    /// Bytes in all segments.
    pub fn bytes(&self) -> u64 {
        self.segments().values().map(|bytes| bytes.len() as u64).sum()
    }
}

impl fmt::Display for MemoryMedium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

fn position(offset: u64, len: usize) -> io::Result<std::ops::Range<usize>> {
    let start = usize::try_from(offset).map_err(io::Error::other)?;
    let end = start.checked_add(len).ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(start..end)
}

impl Medium for MemoryMedium {
    fn segments(&self) -> io::Result<Vec<u64>> {
        Ok(self.segments().keys().copied().collect())
    }

    fn create(&self, segment: u64) -> io::Result<()> {
        match self.segments().insert(segment, Vec::new()) {
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None => Ok(()),
        }
    }

    fn write(&self, segment: u64, offset: u64, bytes: &[Bytes]) -> io::Result<()> {
        let bytes = bytes.concat();
        let at = position(offset, bytes.len())?;
        let mut segments = self.segments();
        let content = segments.get_mut(&segment).ok_or(io::ErrorKind::NotFound)?;
        content.resize(content.len().max(at.end), 0);
        content[at].copy_from_slice(&bytes);
        Ok(())
    }

    fn read(&self, segment: u64, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let at = position(offset, bytes.len())?;
        let segments = self.segments();
        let content = segments.get(&segment).ok_or(io::ErrorKind::NotFound)?;
        bytes.copy_from_slice(content.get(at).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync(&self, _segment: u64) -> io::Result<()> {
        match self.0.syncs_fail.load(Ordering::Relaxed) {
            true => Err(io::Error::other("it was told to fail")),
            false => Ok(()),
        }
    }

    fn remove(&self, segment: u64) -> io::Result<()> {
        self.segments().remove(&segment);
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.0.free.load(Ordering::Relaxed))
    }

    fn waits(&self) -> bool {
        false
    }
}
