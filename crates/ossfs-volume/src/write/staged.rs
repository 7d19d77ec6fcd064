//! Bytes of a file that are staged: on a disk, and not in the bucket.
//!
//! A piece is in use as long as something here refers to it: the content of a file, what the ledger says of it, an upload.

use bytes::Bytes;
use ossfs_ledger::{PIECE_BYTES_MAX, Piece, Staging, StagingError};
use std::sync::Arc;

/// Bytes in a piece, from an offset on.
#[derive(Debug, Clone)]
pub(crate) struct Staged {
    held: Arc<Held>,
    offset: u64,
}

#[derive(Debug)]
struct Held {
    piece: Piece,
    staging: Arc<Staging>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.staging.release(self.piece.segment);
    }
}

impl PartialEq for Staged {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Staged {}

impl Staged {
    /// Stages bytes, as many as one piece takes at most.
    pub(crate) fn append(staging: &Arc<Staging>, bytes: Bytes) -> Result<Self, StagingError> {
        let piece = staging.append(&[bytes])?;
        Ok(Self { held: Arc::new(Held { piece, staging: staging.clone() }), offset: 0 })
    }

    /// Bytes that a process before this one has staged, in a piece from an offset on.
    pub(crate) fn adopt(staging: &Arc<Staging>, piece: Piece, offset: u64) -> Self {
        if !staging.adopt(&piece) {
            tracing::error!(segment = piece.segment, "a segment of what is not in the bucket yet is missing");
        }
        Self { held: Arc::new(Held { piece, staging: staging.clone() }), offset }
    }

    /// The piece, and where in it these bytes begin.
    pub(crate) fn place(&self) -> (Piece, u64) {
        (self.held.piece, self.offset)
    }

    /// The bytes from a later offset on.
    pub(crate) fn skip(&self, len: u64) -> Self {
        Self { held: self.held.clone(), offset: self.offset + len }
    }

    /// So many of the bytes. Waits for the disk.
    fn read(&self, len: u64) -> Result<Bytes, StagingError> {
        let whole = self.held.staging.read(&self.held.piece)?;
        let cut = |at: u64| usize::try_from(at).ok().filter(|at| *at <= whole.len());
        match (cut(self.offset), self.offset.checked_add(len).and_then(cut)) {
            (Some(start), Some(end)) => Ok(whole.slice(start..end)),
            _ => Err(StagingError::Damaged("an extent reaches over its piece".to_owned())),
        }
    }

    /// So many of the bytes, read at once.
    #[cfg(test)]
    pub(crate) fn fetch_now(&self, len: u64) -> Bytes {
        self.read(len).unwrap()
    }

    /// So many of the bytes, read where waiting does no harm.
    pub(crate) async fn fetch(&self, len: u64) -> Result<Bytes, StagingError> {
        if !self.held.staging.waits() {
            return self.read(len);
        }
        let staged = self.clone();
        let read = tokio::task::spawn_blocking(move || staged.read(len)).await;
        read.unwrap_or_else(|error| Err(StagingError::Failed(error.to_string())))
    }
}

/// Bytes in as many as one piece takes, with their offsets.
pub(crate) fn pieces(bytes: &Bytes) -> impl Iterator<Item = (u64, Bytes)> {
    let most = usize::try_from(PIECE_BYTES_MAX).expect("a piece fits in memory");
    let starts = (0..bytes.len()).step_by(most);
    starts.map(move |start| (start as u64, bytes.slice(start..bytes.len().min(start + most))))
}
