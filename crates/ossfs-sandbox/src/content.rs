//! The bytes of objects: lists of shared, immutable pieces.
//!
//! A piece is a range of a block of memory or of a blob file. Slicing and joining share pieces, so copies, part copies
//! and completed uploads move no bytes. Invariant: `len` is the sum of the pieces' lengths, and no piece is empty.

use crate::blob::{Blob, read_at};
use crate::budget::{Budget, Charge};
use crate::error::Result;
use bytes::Bytes;
use ossfs_types::ByteRange;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Neighbours up to this size together become one block when a content grows: small enough to copy, large enough to keep
/// the list of an object short that was written a line at a time.
const MERGED_BYTES_MAX: u64 = 64 << 10;

/// A block of memory, charged to the budget for as long as any content uses it.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: Bytes,
    _charge: Charge,
}

impl Block {
    /// The bytes of a piece that lies in this block.
    fn part(&self, offset: u64, len: u64) -> Bytes {
        // Both fit: they lie within a block that is in memory.
        self.bytes.slice(offset as usize..(offset + len) as usize)
    }
}

/// Where the bytes of a piece are.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Memory(Arc<Block>),
    File(Arc<Blob>),
}

/// A range of a block or a blob.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) source: Source,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// The bytes of one object or part. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pieces: Arc<[Piece]>,
    len: u64,
}

impl Content {
    pub(crate) fn empty() -> Self {
        Self { pieces: Arc::from([]), len: 0 }
    }

    pub(crate) fn from_pieces(pieces: impl IntoIterator<Item = Piece>) -> Self {
        let pieces: Arc<[Piece]> = pieces.into_iter().filter(|piece| piece.len > 0).collect();
        let len = pieces.iter().map(|piece| piece.len).sum();
        Self { pieces, len }
    }

    /// A piece of memory that nobody else holds.
    pub(crate) fn memory_piece(bytes: Bytes, charge: Charge) -> Piece {
        let len = bytes.len() as u64;
        Piece { source: Source::Memory(Arc::new(Block { bytes, _charge: charge })), offset: 0, len }
    }

    /// Several contents, one after the other.
    pub(crate) fn join<'a>(contents: impl IntoIterator<Item = &'a Content>) -> Self {
        Self::from_pieces(contents.into_iter().flat_map(|content| content.pieces.iter().cloned()))
    }

    /// This content and then another. In memory, what is small at the seam is copied into one block.
    pub(crate) fn followed_by(&self, next: &Self, budget: &Arc<Budget>) -> Result<Self> {
        let (Some((last, before)), [first]) = (self.pieces.split_last(), &*next.pieces) else {
            return Ok(Self::join([self, next]));
        };
        let (Source::Memory(head), Source::Memory(tail)) = (&last.source, &first.source) else {
            return Ok(Self::join([self, next]));
        };
        let len = last.len + first.len;
        if len > MERGED_BYTES_MAX {
            return Ok(Self::join([self, next]));
        }
        let charge = budget.charge(len)?;
        let merged = [head.part(last.offset, last.len), tail.part(first.offset, first.len)].concat();
        let merged = Self::memory_piece(Bytes::from(merged), charge);
        Ok(Self::from_pieces(before.iter().cloned().chain([merged])))
    }

    /// The part of the content within `range`.
    pub(crate) fn slice(&self, range: ByteRange) -> Self {
        let mut start = 0;
        let mut inside = Vec::new();
        for piece in self.pieces.iter() {
            let end = start + piece.len;
            let (from, to) = (range.start().max(start), range.end().min(end));
            if from < to {
                inside.push(Piece { offset: piece.offset + (from - start), len: to - from, ..piece.clone() });
            }
            start = end;
        }
        Self::from_pieces(inside)
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The whole range of the content.
    pub(crate) fn range(&self) -> ByteRange {
        ByteRange::at(0, self.len).expect("0 plus a length is that length")
    }

    /// Whether reading it may wait for a disk.
    pub(crate) fn is_on_disk(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece.source, Source::File(_)))
    }

    pub(crate) fn reader(&self) -> ContentReader {
        ContentReader { pieces: self.pieces.clone(), index: 0, consumed: 0, file: None }
    }
}

/// Reads a content from its beginning to its end.
#[derive(Debug)]
pub(crate) struct ContentReader {
    pieces: Arc<[Piece]>,
    index: usize,
    /// Bytes of the current piece that were given out.
    consumed: u64,
    /// The file of the current piece, once opened.
    file: Option<Arc<File>>,
}

/// What comes next in a content.
#[derive(Debug)]
pub(crate) enum Next {
    /// Bytes that are in memory.
    Ready(Bytes),
    /// Bytes to be read, where it may take its time.
    Disk(DiskRead),
    End,
}

/// A read that was not done yet.
#[derive(Debug)]
pub(crate) struct DiskRead {
    blob: Arc<Blob>,
    file: Option<Arc<File>>,
    offset: u64,
    len: usize,
}

impl DiskRead {
    /// Reads; also gives the open file, for the next read of the same piece.
    pub(crate) fn run(self) -> io::Result<(Bytes, Arc<File>)> {
        let file = match self.file {
            Some(file) => file,
            None => Arc::new(self.blob.open()?),
        };
        let bytes = read_at(&file, self.offset, self.len)?;
        Ok((Bytes::from(bytes), file))
    }
}

impl ContentReader {
    /// Steps over the next bytes, `max` of them at most.
    pub(crate) fn next(&mut self, max: usize) -> Next {
        let Some(piece) = self.pieces.get(self.index) else { return Next::End };
        let left = piece.len - self.consumed;
        let len = left.min(max as u64);
        let offset = piece.offset + self.consumed;
        self.consumed += len;
        let next = match &piece.source {
            Source::Memory(block) => Next::Ready(block.part(offset, len)),
            Source::File(blob) => {
                Next::Disk(DiskRead { blob: blob.clone(), file: self.file.clone(), offset, len: len as usize })
            }
        };
        if len == left {
            self.index += 1;
            self.consumed = 0;
            self.file = None;
        }
        next
    }

    /// Keeps the file that a read gave, if the current piece goes on in it.
    pub(crate) fn keep_file(&mut self, file: Arc<File>) {
        if self.consumed > 0 {
            self.file = Some(file);
        }
    }

    /// Reads on, waiting for the disk where it must; `None` at the end. Not for async tasks if the content is on disk.
    pub(crate) fn read_blocking(&mut self, max: usize) -> io::Result<Option<Bytes>> {
        match self.next(max) {
            Next::Ready(bytes) => Ok(Some(bytes)),
            Next::Disk(read) => {
                let (bytes, file) = read.run()?;
                self.keep_file(file);
                Ok(Some(bytes))
            }
            Next::End => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::BlobDir;
    use crate::budget::Budget;
    use proptest::prelude::*;
    use std::io::Write;

    fn model_of(parts: &[(bool, Vec<u8>)]) -> Vec<u8> {
        parts.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
    }

    fn bytes_of(content: &Content, max: usize) -> Vec<u8> {
        let mut reader = content.reader();
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.read_blocking(max).unwrap() {
            assert!(!chunk.is_empty() && chunk.len() <= max);
            bytes.extend_from_slice(&chunk);
        }
        bytes
    }

    proptest! {
        #[test]
        fn joined_and_sliced_contents_hold_the_right_bytes(
            parts in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..20)), 0..6),
            cuts in any::<(prop::sample::Index, prop::sample::Index)>(),
            max in 1usize..9,
        ) {
            let root = tempfile::tempdir().unwrap();
            let dir = BlobDir::open(root.path().to_owned()).unwrap();
            let budget = Budget::new(1 << 20);
            let contents: Vec<Content> = parts.iter().map(|(on_disk, bytes)| {
                if *on_disk {
                    let (blob, mut file) = dir.create().unwrap();
                    file.write_all(b"xx").unwrap();
                    file.write_all(bytes).unwrap();
                    Content::from_pieces([Piece { source: Source::File(blob), offset: 2, len: bytes.len() as u64 }])
                } else {
                    let charge = budget.charge(bytes.len() as u64).unwrap();
                    Content::from_pieces([Content::memory_piece(Bytes::copy_from_slice(bytes), charge)])
                }
            }).collect();
            let model = model_of(&parts);
            let whole = Content::join(&contents);
            let grown = contents.iter().try_fold(Content::empty(), |grown, next| grown.followed_by(next, &budget));
            let grown = grown.unwrap();
            prop_assert!(grown.pieces().len() <= whole.pieces().len());
            prop_assert_eq!(bytes_of(&grown, max), model_of(&parts));
            prop_assert_eq!(whole.len(), model.len() as u64);
            prop_assert_eq!(bytes_of(&whole, max), model.clone());
            let (a, b) = (cuts.0.index(model.len() + 1), cuts.1.index(model.len() + 1));
            let (from, to) = (a.min(b), a.max(b));
            let part = whole.slice(ByteRange::new(from as u64, to as u64).unwrap());
            prop_assert_eq!(bytes_of(&part, max), model[from..to].to_vec());
        }
    }
}
