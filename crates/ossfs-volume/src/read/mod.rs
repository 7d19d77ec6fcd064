//! Reading object versions for open files, in bounded memory.
//!
//! A read finds its bytes in the blocks, or fetches what is missing there; the window decides what is fetched ahead of it.
//! Chunks belong to a version (key and ETag), so they are never invalid, only evicted; GETs are pinned to the ETag.
//!
//! Invariants: chunks cached and in flight, and the free buffers for more, take at most the memory limit; two readers of one
//! chunk share one fetch; errors are not cached; no lock is held across an await, and a stream is locked before the blocks.
//! A chunk that was evicted lives on as long as somebody holds a slice of it.
//!
//! Knows neither nodes nor handles, nor what was written and not uploaded.

mod blocks;
mod fetch;
#[cfg(test)]
mod slow_store;
mod stream;
#[cfg(test)]
mod tests;
mod verification;
mod window;

pub(crate) use stream::Stream;

use blocks::{Awaited, Blocks, Chunk, Missing, Piece, Urgency, file_id};
use bytes::Bytes;
use fetch::Shared;
use ossfs_ledger::{Ident, StagingError};
use ossfs_store::{Buffer, BufferPool, Kind, ObjectStore};
use ossfs_types::{ByteRange, Crc64, ETag, Key};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use stream::Part;
use window::span;

/// One version of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// Where it is.
    pub key: Key,
    /// Which one it is.
    pub etag: ETag,
    /// Its length in bytes.
    pub size: u64,
    /// Checksum of all its bytes, where it is known.
    pub crc64: Option<Crc64>,
}

impl Version {
    /// The version of this identity at a key.
    pub(crate) fn of(key: &Key, ident: &Ident) -> Self {
        Self { key: key.clone(), etag: ident.etag.clone(), size: ident.size, crc64: ident.crc64 }
    }
}

/// Why a read failed; shared by all readers that waited for one fetch.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ReadError {
    kind: Kind,
    message: Arc<str>,
}

impl ReadError {
    fn new(kind: Kind, message: impl Into<Arc<str>>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What was staged can't be read.
    pub(crate) fn of_staging(error: StagingError) -> Self {
        Self::new(Kind::Unavailable, error.to_string())
    }

    /// What the caller must do about it.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }
}

impl From<ossfs_store::Error> for ReadError {
    fn from(error: ossfs_store::Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

/// Reads versions of objects; shared by all files of a volume. Clones are the same.
#[derive(Clone)]
pub(crate) struct Reader(Arc<Shared>);

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({} bytes in use)", self.0.blocks().used())
    }
}

impl Reader {
    /// Reads from `store` with at most `memory_limit` bytes of memory; less than 256 KiB counts as that.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, memory_limit: u64) -> Self {
        Self(Arc::new(Shared::new(store, memory_limit)))
    }

    /// The bytes of `range` if all of them are here, without waiting; then the window moves on and prefetch begins, which
    /// needs the context of a runtime. `None` does nothing: call [`read`](Self::read).
    pub(crate) fn try_read(&self, version: &Version, stream: &Stream, range: ByteRange) -> Option<Bytes> {
        if range.is_empty() {
            return Some(Bytes::new());
        }
        if range.end() > version.size {
            return None;
        }
        let file = file_id(version);
        let mut assembly = Assembly::new(range, &self.0.pool);
        let mut chunks = Vec::with_capacity(2);
        let mut blocks = self.0.blocks();
        let mut at = range.start();
        while at < range.end() {
            let Ok(Piece::Here(found, chunk)) = blocks.find(&file, at) else { return None };
            at = found.end();
            chunks.push((found, chunk));
        }
        drop(blocks);
        chunks.into_iter().for_each(|(found, chunk)| assembly.add(found, &chunk));
        let may_prefetch = !self.0.is_crowded();
        let flights = stream.with(&self.0, version, |reading| {
            reading.check(range).ok()?;
            let (sequential, flights) = reading.read_on(range, true, may_prefetch);
            // If it fails, `read` is going to say so.
            let completed = reading.completed(range, &assembly.parts, sequential);
            Some((flights, completed.is_ok()))
        });
        let (flights, right) = flights?;
        flights.into_iter().for_each(|flight| self.0.launch(version, flight));
        right.then(|| assembly.finish())
    }

    /// The bytes of `range`, which lies within the size and is of the order of a MiB: a larger one costs memory beyond the
    /// limit for its result. Dropping the future is safe; what it waits for is still fetched, while the stream is there. Do
    /// poll it until then: others may wait for room behind it.
    ///
    /// Fails as the store's `get`: `Precondition` if the version is gone, `NotFound`, and so on. `Corrupt` in the last chunk
    /// of an object that `stream` read from its start and whose checksum is wrong; earlier reads may have given wrong bytes
    /// then. It stays so until `stream` reads from 0 again.
    pub(crate) async fn read(&self, version: &Version, stream: &Stream, range: ByteRange) -> Result<Bytes, ReadError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if range.end() > version.size {
            let message = format!("{:?}: {range} is not within {} bytes", version.key.as_str(), version.size);
            return Err(ReadError::new(Kind::InvalidRange, message));
        }
        let (mut steps, sequential) = self.begin(version, stream, range)?;
        let mut assembly = Assembly::new(range, &self.0.pool);
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Take(Piece::Here(found, chunk)) => assembly.add(found, &chunk),
                Step::Take(Piece::Coming(found, awaited, _interest)) => assembly.add(found, &arrived(awaited).await?),
                Step::Obtain(missing) => {
                    if missing.end() <= assembly.position {
                        continue;
                    }
                    let piece = self.0.obtain(version, assembly.position, missing.end()).await;
                    let end = piece.range().end();
                    if let Piece::Coming(found, _, interest) = &piece {
                        stream.with(&self.0, version, |reading| reading.hold(found.start(), interest.clone()));
                    }
                    // What was begun since, or the bound of one fetch, may leave a rest.
                    if end < missing.end().min(range.end()) {
                        steps.push_front(Step::Obtain(span(end, missing.end())));
                    }
                    steps.push_front(Step::Take(piece));
                }
            }
        }
        stream.with(&self.0, version, |reading| reading.completed(range, &assembly.parts, sequential))?;
        Ok(assembly.finish())
    }

    /// Forgets all chunks of a version and cancels what is fetched ahead of it; readers that wait already get their bytes.
    pub(crate) fn forget(&self, version: &Version) {
        self.0.forget(&file_id(version));
    }

    /// Begins all fetches that a read needs, as far as there is room, and then those ahead of it. Returns how to get its
    /// bytes, in order, and whether the stream reads sequentially.
    fn begin(&self, version: &Version, stream: &Stream, range: ByteRange) -> Result<(VecDeque<Step>, bool), ReadError> {
        let crowded = self.0.is_crowded();
        let (steps, sequential, flights) = stream.with(&self.0, version, |reading| {
            reading.check(range)?;
            let mut flights = Vec::new();
            let mut blocks = self.0.blocks();
            let mut steps = self.steps(&mut blocks, version, range);
            let here = steps.iter().all(|step| matches!(step, Step::Take(_)));
            for step in steps.iter_mut().filter(|_| !crowded) {
                let Step::Obtain(missing) = step else { continue };
                let Some(flight) = blocks.begin(&file_id(version), *missing, Urgency::Foreground) else { break };
                reading.hold(missing.start(), flight.interest.clone());
                *step = Step::Take(flight.piece());
                flights.push(flight);
            }
            drop(blocks);
            let waits_for_room = steps.iter().any(|step| matches!(step, Step::Obtain(_)));
            let (sequential, ahead) = reading.read_on(range, here, !crowded && !waits_for_room);
            flights.extend(ahead);
            Ok::<_, ReadError>((steps, sequential, flights))
        })?;
        flights.into_iter().for_each(|flight| self.0.launch(version, flight));
        Ok((steps, sequential))
    }

    /// What covers `range`, in order.
    fn steps(&self, blocks: &mut Blocks, version: &Version, range: ByteRange) -> VecDeque<Step> {
        let (file, demand) = (file_id(version), self.0.demand(version, range));
        let mut steps = VecDeque::new();
        let mut at = range.start();
        while at < range.end() {
            at = match blocks.find(&file, at) {
                Ok(piece) => {
                    let end = piece.range().end();
                    steps.push_back(Step::Take(piece));
                    end
                }
                Err(Missing { until }) => {
                    let missing = self.0.first_fetch(version, at, until.min(demand.end()));
                    steps.push_back(Step::Obtain(missing));
                    missing.end()
                }
            };
        }
        steps
    }
}

/// One step of a read.
enum Step {
    /// Take the bytes from a chunk that is here or coming.
    Take(Piece),
    /// Wait for room, then fetch.
    Obtain(ByteRange),
}

async fn arrived(mut awaited: Awaited) -> Result<Chunk, ReadError> {
    match awaited.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(result)) => result.clone(),
        Ok(None) | Err(_) => Err(ReadError::new(Kind::Unavailable, "the fetch ended without a result")),
    }
}

/// The bytes of a read as they come, in order.
struct Assembly<'a> {
    range: ByteRange,
    /// Where the next byte belongs: all before it are here.
    position: u64,
    pool: &'a Arc<BufferPool>,
    /// If one chunk has all.
    slice: Option<Bytes>,
    /// Otherwise.
    buffer: Option<Buffer>,
    parts: Vec<Part>,
}

impl<'a> Assembly<'a> {
    fn new(range: ByteRange, pool: &'a Arc<BufferPool>) -> Self {
        Self { range, position: range.start(), pool, slice: None, buffer: None, parts: Vec::new() }
    }

    /// Takes what the chunk `found` has from the position on. Chunks may overlap: one that was cancelled may have been
    /// replaced by another meanwhile.
    fn add(&mut self, found: ByteRange, chunk: &Chunk) {
        let end = self.range.end().min(found.end());
        if end <= self.position {
            return;
        }
        let size = |bytes: u64| usize::try_from(bytes).expect("a chunk and a read fit into memory");
        let (from, to) = (size(self.position - found.start()), size(end - found.start()));
        self.position = end;
        if to - from == size(self.range.len()) {
            self.slice = Some(chunk.bytes.slice(from..to));
        } else {
            let buffer = self.buffer.get_or_insert_with(|| self.pool.take(size(self.range.len())));
            buffer.append(&chunk.bytes[from..to]);
        }
        self.parts.push((found, chunk.crc64));
    }

    fn finish(self) -> Bytes {
        self.slice.or_else(|| self.buffer.map(Buffer::freeze)).unwrap_or_default()
    }
}
