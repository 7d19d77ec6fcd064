//! Bytes that are not in the bucket yet, kept until they are: pieces in numbered segments.
//!
//! A segment is appended to until it is full; it is removed as a whole, once no piece of it is in use. A [`Medium`] keeps
//! the segments: a directory, or memory for tests. Invariants:
//!
//! * The number of a segment is never used again, as far as anybody knows of it.
//! * A piece that was appended before a [`Staging::sync`] that succeeded survives a power loss. Where that failed for a
//!   segment it fails from then on, as long as the segment is in use: what of it is on disk is not known.
//! * The bytes of a piece are given only if they have its checksum.
//!
//! Knows nothing of files; who commits records that name pieces must see to it that the pieces are synced first
//! ([`Ledger::sync`](crate::Ledger::sync) does).

mod directory;
mod memory;

pub use directory::DirectoryMedium;
pub use memory::MemoryMedium;

use crate::schema::Piece;
use bytes::Bytes;
use ossfs_types::Crc64Digest;
use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A segment of this size is full: few enough files, and not too much room held by one piece that stays.
const SEGMENT_BYTES: u64 = 32 << 20;
/// The largest piece: it is read whole to see that it is right, however little of it is wanted.
pub const PIECE_BYTES_MAX: u64 = 1 << 20;
const _: () = assert!(PIECE_BYTES_MAX <= SEGMENT_BYTES);

/// Where segments are kept.
pub trait Medium: Send + Sync + Debug + Display {
    /// The numbers of the segments that are there.
    fn segments(&self) -> io::Result<Vec<u64>>;
    /// Makes a segment that is not there.
    fn create(&self, segment: u64) -> io::Result<()>;
    /// Writes bytes to where nothing was written before.
    fn write(&self, segment: u64, offset: u64, bytes: &[Bytes]) -> io::Result<()>;
    /// Reads bytes that were written.
    fn read(&self, segment: u64, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
    /// Makes a segment, with all that was written to it, survive a power loss.
    fn sync(&self, segment: u64) -> io::Result<()>;
    /// Removes a segment, if it is there.
    fn remove(&self, segment: u64) -> io::Result<()>;
    /// Bytes that could still be written.
    fn free_bytes(&self) -> io::Result<u64>;
    /// Whether these calls wait for a disk, so that they must not be made where nothing may block.
    fn waits(&self) -> bool;
}

/// Why staging failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StagingError {
    /// No room is left, or as little as must be kept free.
    #[error("there is no room in {0}")]
    Full(String),
    /// A piece is not as it was written, or not there.
    #[error("bytes that are not in the bucket yet are damaged: {0}")]
    Damaged(String),
    /// The medium failed.
    #[error("staging in {0}")]
    Failed(String),
}

/// Keeps pieces of bytes.
#[derive(Debug)]
pub struct Staging {
    medium: Box<dyn Medium>,
    /// Bytes that stay free on the medium.
    keep_free: u64,
    state: Mutex<State>,
    /// Held while segments are synced: who finds nothing to sync finds all of it synced.
    syncing: Mutex<()>,
}

#[derive(Debug)]
struct State {
    segments: BTreeMap<u64, Segment>,
    /// The segment that is appended to.
    current: Option<u64>,
    /// Above the number of every segment that anybody knows of.
    next: u64,
}

#[derive(Debug, Default)]
struct Segment {
    /// Pieces in use.
    uses: u64,
    len: u64,
    /// Something was written since it was last synced.
    unsynced: bool,
    /// A sync failed.
    failed: bool,
}

impl State {
    /// A place in the segment that is appended to, if it has one; the segment is in use then.
    fn place(&mut self, len: u64) -> Option<(u64, u64)> {
        let number = self.current?;
        let segment = self.segments.get_mut(&number)?;
        if segment.failed || segment.len.saturating_add(len) > SEGMENT_BYTES {
            return None;
        }
        let offset = segment.len;
        segment.len += len;
        segment.uses += 1;
        Some((number, offset))
    }
}

impl Staging {
    /// Stages on a medium. What is there already is in use once it is [adopted](Self::adopt).
    pub fn open(medium: impl Medium + 'static, keep_free: u64) -> io::Result<Self> {
        let found = medium.segments()?;
        let next = found.iter().max().map_or(0, |last| last.saturating_add(1));
        // Nobody knows whether those before a crash are on disk.
        let segment = || Segment { unsynced: true, ..Segment::default() };
        let segments = found.into_iter().map(|number| (number, segment())).collect();
        Ok(Self {
            medium: Box::new(medium),
            keep_free,
            state: Mutex::new(State { segments, current: None, next }),
            syncing: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, error: &io::Error) -> StagingError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StagingError::Full(self.medium.to_string()),
            _ => StagingError::Failed(format!("{}: {error}", self.medium)),
        }
    }

    /// Where it is, for people.
    pub fn place(&self) -> String {
        self.medium.to_string()
    }

    /// Whether calls wait for a disk.
    pub fn waits(&self) -> bool {
        self.medium.waits()
    }

    /// A piece of an earlier process is in use. Returns whether its segment is there.
    pub fn adopt(&self, piece: &Piece) -> bool {
        let mut state = self.state();
        state.next = state.next.max(piece.segment.saturating_add(1));
        let segment = state.segments.get_mut(&piece.segment);
        segment.map(|segment| segment.uses += 1).is_some()
    }

    /// Whether a segment is there.
    pub fn has(&self, segment: u64) -> bool {
        self.state().segments.contains_key(&segment)
    }

    /// Whether anything could be appended.
    pub fn has_room(&self) -> bool {
        self.medium.free_bytes().is_ok_and(|free| free > self.keep_free)
    }

    /// Appends bytes as one piece, which is in use from then on. Does not wait until it survives a power loss.
    ///
    /// # Panics
    ///
    /// If there are more than [`PIECE_BYTES_MAX`].
    pub fn append(&self, chunks: &[Bytes]) -> Result<Piece, StagingError> {
        let mut digest = Crc64Digest::new();
        chunks.iter().for_each(|chunk| digest.update(chunk));
        let len: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        assert!(len <= PIECE_BYTES_MAX, "a piece has {len} bytes");
        let free = self.medium.free_bytes().map_err(|error| self.failed(&error))?;
        if free < self.keep_free.saturating_add(len) {
            return Err(StagingError::Full(self.medium.to_string()));
        }
        let (segment, offset) = self.reserve(len)?;
        let piece = Piece { segment, offset, len, crc64: digest.value() };
        if let Err(error) = self.medium.write(segment, offset, chunks) {
            self.release(segment);
            return Err(self.failed(&error));
        }
        // Only now: a sync that began before may not have seen the bytes.
        if let Some(segment) = self.state().segments.get_mut(&segment) {
            segment.unsynced = true;
        }
        Ok(piece)
    }

    /// Where the next bytes go; their segment is in use.
    fn reserve(&self, len: u64) -> Result<(u64, u64), StagingError> {
        if let Some(place) = self.state().place(len) {
            return Ok(place);
        }
        let number = {
            let mut state = self.state();
            // A number that can't be made is not tried again: who knows what is there.
            state.next = state.next.saturating_add(1);
            state.next - 1
        };
        self.medium.create(number).map_err(|error| self.failed(&error))?;
        let mut state = self.state();
        state.segments.insert(number, Segment { uses: 1, len, ..Segment::default() });
        state.current = Some(number);
        Ok((number, 0))
    }

    /// A piece of a segment is not in use any more.
    pub fn release(&self, segment: u64) {
        if let Some(segment) = self.state().segments.get_mut(&segment) {
            segment.uses = segment.uses.saturating_sub(1);
        }
    }

    /// The bytes of a piece, if they are as they were appended.
    pub fn read(&self, piece: &Piece) -> Result<Bytes, StagingError> {
        let damaged = |what: &dyn Display| {
            let Piece { segment, offset, len, .. } = piece;
            StagingError::Damaged(format!("{}, segment {segment}, {len} bytes at {offset}: {what}", self.medium))
        };
        let len = usize::try_from(piece.len).ok().filter(|_| piece.len <= PIECE_BYTES_MAX);
        let mut bytes = vec![0; len.ok_or_else(|| damaged(&"no piece is so long"))?];
        self.medium.read(piece.segment, piece.offset, &mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => damaged(&error),
            _ => self.failed(&error),
        })?;
        if ossfs_types::Crc64::of(&bytes) != piece.crc64 {
            return Err(damaged(&"they do not have their checksum"));
        }
        Ok(bytes.into())
    }

    /// Returns when every piece that is in use and was appended before survives a power loss.
    pub fn sync(&self) -> Result<(), StagingError> {
        let _alone = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let unsynced: Vec<u64> = {
            let mut state = self.state();
            let failed = state.segments.iter().find(|(_, segment)| segment.failed && segment.uses > 0);
            if let Some((number, _)) = failed {
                let message = format!("{}: segment {number} could not be synced", self.medium);
                return Err(StagingError::Failed(message));
            }
            let unsynced = state.segments.iter_mut().filter(|(_, segment)| segment.unsynced && segment.uses > 0);
            unsynced
                .map(|(number, segment)| {
                    segment.unsynced = false;
                    *number
                })
                .collect()
        };
        let mut outcome = Ok(());
        for number in unsynced {
            if let Err(error) = self.medium.sync(number) {
                if let Some(segment) = self.state().segments.get_mut(&number) {
                    segment.failed = true;
                }
                outcome = Err(self.failed(&error));
            }
        }
        outcome
    }

    /// The segments that may not be on disk.
    #[cfg(test)]
    pub(crate) fn unsynced(&self) -> Vec<u64> {
        self.state().segments.iter().filter(|(_, segment)| segment.unsynced).map(|(number, _)| *number).collect()
    }

    /// The segments that are not in use, and never will be again. Who takes this while no record names them, and has the
    /// ledger synced then, may remove them.
    pub fn unused(&self) -> Vec<u64> {
        let mut state = self.state();
        let unused: Vec<u64> =
            state.segments.iter().filter(|(_, segment)| segment.uses == 0).map(|(number, _)| *number).collect();
        // Nothing is appended to one that may be gone.
        state.current = state.current.filter(|current| !unused.contains(current));
        unused
    }

    /// Removes a segment that was [unused](Self::unused). One that can't be removed is tried again at the next occasion.
    pub fn remove(&self, segment: u64) -> Result<(), StagingError> {
        self.medium.remove(segment).map_err(|error| self.failed(&error))?;
        self.state().segments.remove(&segment);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
