//! Taking bodies in: into memory, charged to the budget, or into a blob file.
//!
//! Received bytes are copied into blocks of their own, so that an object never pins the larger buffers of the
//! connection it came over, and memory is taken as bytes arrive, never on the word of a Content-Length. A sink that is
//! dropped before [`Sink::finish`] leaves nothing behind.

use crate::blob::{Blob, BlobDir};
use crate::budget::{Budget, Charge};
use crate::content::{Content, Piece, Source};
use crate::error::{OssError, Result};
use bytes::Bytes;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

/// Largest block of memory, and so the largest chunk that a GET sends at once: large enough that the cost of a system
/// call does not matter, small enough that growing by it wastes little.
pub(crate) const BLOCK_BYTES: usize = 4 << 20;
/// First block of a body of unknown length.
const FIRST_BLOCK_BYTES: usize = 16 << 10;
/// Bytes that are gathered before they are written to a blob.
const WRITE_BYTES: usize = 1 << 20;

/// Where content is kept.
#[derive(Debug, Clone)]
pub(crate) enum Medium {
    Memory(Arc<Budget>),
    Disk(Arc<BlobDir>),
}

impl Medium {
    /// Begins a content, which is expected to have `len` bytes.
    pub(crate) fn sink(&self, len: Option<u64>) -> Sink {
        match self {
            Self::Memory(budget) => Sink::Memory(MemorySink {
                budget: budget.clone(),
                expected: len,
                received: 0,
                pieces: Vec::new(),
                block: Vec::new(),
                charge: None,
            }),
            Self::Disk(dir) => Sink::Disk(DiskSink { dir: dir.clone(), block: Vec::new(), written: None }),
        }
    }
}

/// Receives one content.
#[derive(Debug)]
pub(crate) enum Sink {
    Memory(MemorySink),
    Disk(DiskSink),
}

impl Sink {
    /// Adds bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Memory(sink) => sink.write(bytes),
            Self::Disk(sink) => sink.write(bytes).await,
        }
    }

    /// The content, whole.
    pub(crate) async fn finish(self) -> Result<Content> {
        match self {
            Self::Memory(sink) => Ok(sink.finish()),
            Self::Disk(sink) => sink.finish().await,
        }
    }
}

#[derive(Debug)]
pub(crate) struct MemorySink {
    budget: Arc<Budget>,
    expected: Option<u64>,
    received: u64,
    pieces: Vec<Piece>,
    /// The block being filled; its whole capacity is charged.
    block: Vec<u8>,
    charge: Option<Charge>,
}

impl MemorySink {
    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.block.len() == self.block.capacity() {
                self.flush();
                let capacity = self.next_block_bytes();
                self.charge = Some(self.budget.charge(capacity as u64)?);
                self.block = Vec::with_capacity(capacity);
            }
            let room = self.block.capacity() - self.block.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.block.extend_from_slice(now);
            self.received += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// As much as is still expected; where that is unknown, as much as was received so far.
    fn next_block_bytes(&self) -> usize {
        let wanted = match self.expected {
            Some(expected) if expected > self.received => expected - self.received,
            _ => self.received.max(FIRST_BLOCK_BYTES as u64),
        };
        usize::try_from(wanted).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES)
    }

    fn flush(&mut self) {
        let mut block = std::mem::take(&mut self.block);
        if let Some(mut charge) = self.charge.take()
            && !block.is_empty()
        {
            block.shrink_to_fit();
            charge.shrink_to(block.capacity() as u64);
            self.pieces.push(Content::memory_piece(Bytes::from(block), charge));
        }
    }

    fn finish(mut self) -> Content {
        self.flush();
        Content::from_pieces(std::mem::take(&mut self.pieces))
    }
}

#[derive(Debug)]
pub(crate) struct DiskSink {
    dir: Arc<BlobDir>,
    block: Vec<u8>,
    /// The blob and its length, once there is one.
    written: Option<(Arc<Blob>, File, u64)>,
}

impl DiskSink {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.block.extend_from_slice(bytes);
        if self.block.len() >= WRITE_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<()> {
        let mut block = std::mem::take(&mut self.block);
        if block.is_empty() {
            return Ok(());
        }
        let (dir, written) = (self.dir.clone(), self.written.take());
        let outcome = tokio::task::spawn_blocking(move || {
            let (blob, mut file, len) = match written {
                Some(written) => written,
                None => {
                    let (blob, file) = dir.create()?;
                    (blob, file, 0)
                }
            };
            file.write_all(&block)?;
            let len = len + block.len() as u64;
            block.clear();
            std::io::Result::Ok(((blob, file, len), block))
        });
        let (written, block) = outcome
            .await
            .map_err(|error| OssError::internal("writing an object", &error))?
            .map_err(|error| OssError::internal("writing an object", &error))?;
        (self.written, self.block) = (Some(written), block);
        Ok(())
    }

    async fn finish(mut self) -> Result<Content> {
        self.flush().await?;
        Ok(match self.written.take() {
            Some((blob, _, len)) => Content::from_pieces([Piece { source: Source::File(blob), offset: 0, len }]),
            None => Content::empty(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_is_charged_for_what_was_received_and_no_more() {
        let budget = Budget::new(150_000);
        let medium = Medium::Memory(budget.clone());
        // A lying length takes nothing until bytes arrive.
        let sink = medium.sink(Some(1 << 40));
        drop(sink);
        let mut sink = medium.sink(None);
        for _ in 0..70 {
            sink.write(&[7; 1000]).await.unwrap();
        }
        let content = sink.finish().await.unwrap();
        assert_eq!(content.len(), 70_000);
        assert!(budget.charge(80_001).is_err() && budget.charge(80_000).is_ok());
        let mut sink = medium.sink(Some(90_000));
        assert!(sink.write(&[7; 90_000]).await.is_err());
        drop(content);
        assert!(budget.charge(150_000).is_ok());
    }

    #[tokio::test]
    async fn a_dropped_sink_leaves_no_file() {
        let root = tempfile::tempdir().unwrap();
        let dir = BlobDir::open(root.path().to_owned()).unwrap();
        let medium = Medium::Disk(dir.clone());
        let mut sink = medium.sink(None);
        sink.write(&vec![1; WRITE_BYTES + 5]).await.unwrap();
        drop(sink);
        assert_eq!(dir.sweep(&std::collections::HashSet::new()).unwrap(), 0);
        let mut sink = medium.sink(None);
        sink.write(&vec![1; WRITE_BYTES + 5]).await.unwrap();
        assert_eq!(sink.finish().await.unwrap().len(), WRITE_BYTES as u64 + 5);
    }
}
