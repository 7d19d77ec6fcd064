//! The tasks that fetch chunks, and what they share with the readers.
//!
//! A fetch is begun by whoever holds room and a place for it in [`Blocks`]; from then on it is a task of its own, which ends
//! with its chunk cached and its readers told, or with both freed again, also if it panics or is cancelled: a [`Ticket`]
//! sees to that. Errors are told to those who wait and then forgotten.

use super::blocks::{Blocks, Chunk, FileId, Flight, Missing, Piece, Promise, Urgency, file_id};
use super::window::{FETCH_BYTES_MAX, PAGE_BYTES, pages, power_of_two_below, span};
use super::{ReadError, Version};
use ossfs_store::{BufferPool, GetOptions, Kind, ObjectStore};
use ossfs_types::ByteRange;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, Semaphore};

/// Files of at most this many bytes are fetched whole with their first read: OSS's checksum covers them then, and at 20 MB/s
/// the last byte is here 50 ms after the first.
pub(super) const WHOLE_BYTES_MAX: u64 = 1 << 20;
/// The least memory that can be worked with, in bytes; a smaller limit counts as this.
const MEMORY_BYTES_MIN: u64 = 256 << 10;
/// This fraction of the memory keeps free buffers: enough for one fetch of the largest size, which takes what the chunk
/// that made room for it gave back.
const POOL_SHARE: u64 = 8;
/// One fetch takes at most this fraction of the memory: fewer at once would leave the reader waiting for each.
const FETCH_SHARE: u64 = 4;

/// What all readers of a volume share.
#[derive(Debug)]
pub(super) struct Shared {
    pub store: Arc<dyn ObjectStore>,
    pub pool: Arc<BufferPool>,
    blocks: Mutex<Blocks>,
    /// Bytes of chunks, cached and in flight.
    limit: u64,
    /// Who waits for room holds this: one at a time, in the order of arrival, so that small fetches don't starve large ones.
    turn: Semaphore,
    /// Something ended or became evictable.
    freed: Notify,
    /// Streams that read on sequentially.
    pub sequential: AtomicU64,
}

impl Shared {
    pub(super) fn new(store: Arc<dyn ObjectStore>, memory_limit: u64) -> Self {
        let memory = memory_limit.max(MEMORY_BYTES_MIN);
        let kept = memory / POOL_SHARE;
        let limit = memory - kept;
        Self {
            store,
            pool: BufferPool::new(usize::try_from(kept).unwrap_or(usize::MAX)),
            blocks: Mutex::new(Blocks::new(limit)),
            limit,
            turn: Semaphore::new(1),
            freed: Notify::new(),
            sequential: AtomicU64::new(0),
        }
    }

    pub(super) fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Most bytes of one fetch.
    pub(super) fn fetch_bytes_max(&self) -> u64 {
        fetch_bytes_of(self.limit)
    }

    /// Most bytes of one fetch ahead, and of all fetches ahead, of one of `streams` that share the memory.
    pub(super) fn fair_share(&self) -> (u64, u64) {
        let share = self.limit / self.sequential.load(Ordering::Relaxed).max(1);
        let fetch = fetch_bytes_of(share);
        // Besides what is ahead, there is the chunk that is being read, and one that is only now done with.
        (fetch, share.saturating_sub(2 * fetch))
    }

    /// Whether readers wait for room, so that nobody else may take any.
    pub(super) fn is_crowded(&self) -> bool {
        self.turn.available_permits() == 0
    }

    pub(super) fn forget(&self, file: &FileId) {
        self.blocks().forget(file);
        self.freed.notify_one();
    }

    /// Whether a version is fetched in one piece, which the store checks.
    pub(super) fn is_whole(&self, version: &Version) -> bool {
        version.size <= WHOLE_BYTES_MAX.min(self.fetch_bytes_max())
    }

    /// What to fetch for a read of `range`.
    pub(super) fn demand(&self, version: &Version, range: ByteRange) -> ByteRange {
        if self.is_whole(version) { span(0, version.size) } else { pages(range, version.size) }
    }

    /// The first fetch for what is missing in `from..until`.
    pub(super) fn first_fetch(&self, version: &Version, from: u64, until: u64) -> ByteRange {
        let start = if self.is_whole(version) { 0 } else { from / PAGE_BYTES * PAGE_BYTES };
        span(start, until.min(start + self.fetch_bytes_max()))
    }

    /// What covers `at`: found, or begun as soon as there is room. A fetch that is begun goes to `until` at most.
    pub(super) async fn obtain(self: &Arc<Self>, version: &Version, at: u64, until: u64) -> Piece {
        let file = file_id(version);
        // Never closed; were it, waiting out of turn would be no harm.
        let _turn = self.turn.acquire().await.ok();
        loop {
            if let Some(piece) = self.find_or_begin(version, &file, at, until) {
                return piece;
            }
            // One waits at a time, so a notice that came since the look is kept for it.
            self.freed.notified().await;
        }
    }

    fn find_or_begin(self: &Arc<Self>, version: &Version, file: &FileId, at: u64, until: u64) -> Option<Piece> {
        let mut blocks = self.blocks();
        let missing = match blocks.find(file, at) {
            Ok(piece) => return Some(piece),
            Err(Missing { until: next }) => self.first_fetch(version, at, until.min(next)),
        };
        let flight = blocks.begin(file, missing, Urgency::Foreground)?;
        drop(blocks);
        let piece = flight.piece();
        self.launch(version, flight);
        Some(piece)
    }

    /// Runs a fetch. Not to be called with the blocks locked: a runtime that ends drops the task at once.
    pub(super) fn launch(self: &Arc<Self>, version: &Version, flight: Flight) {
        let Flight { id, range, charge, promise, interest } = flight;
        let ticket = Ticket { shared: self.clone(), file: file_id(version), range, id, charge, promise, ended: false };
        // Without a runtime the ticket is dropped, which undoes it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let version = version.clone();
        let task = runtime.spawn(async move {
            let result = fetch(&ticket.shared, &version, range).await;
            ticket.end(result);
        });
        interest.carried_by(task.abort_handle());
    }
}

fn fetch_bytes_of(memory: u64) -> u64 {
    power_of_two_below(memory / FETCH_SHARE).clamp(PAGE_BYTES, FETCH_BYTES_MAX)
}

/// Fetches a range of a version, or all of a small one.
async fn fetch(shared: &Shared, version: &Version, range: ByteRange) -> Result<Chunk, ReadError> {
    let whole = range.len() == version.size && version.size <= WHOLE_BYTES_MAX;
    let options = GetOptions {
        range: (!whole).then_some(range),
        if_match: Some(version.etag.clone()),
        checksum: whole || version.crc64.is_some(),
    };
    let fetched = shared.store.read(&version.key, &options, &shared.pool).await?;
    if fetched.range != range || fetched.bytes.len() as u64 != range.len() {
        let message = format!("{:?}: {} came instead of {range} of {} bytes", version.key, fetched.range, version.size);
        return Err(ReadError::new(Kind::Corrupt, message));
    }
    Ok(Chunk { bytes: fetched.bytes, crc64: fetched.crc64 })
}

/// The place and the room that a running fetch holds.
struct Ticket {
    shared: Arc<Shared>,
    file: FileId,
    range: ByteRange,
    id: u64,
    charge: u64,
    promise: Arc<Promise>,
    ended: bool,
}

impl Ticket {
    fn end(mut self, result: Result<Chunk, ReadError>) {
        if let Err(error) = &result {
            tracing::debug!(key = %self.file.0.as_str(), range = %self.range, %error, "a fetch failed");
        }
        self.free(result.as_ref().ok());
        self.promise.send_replace(Some(result));
    }

    fn free(&mut self, chunk: Option<&Chunk>) {
        self.ended = true;
        self.shared.blocks().end(&self.file, self.range.start(), self.id, self.charge, chunk);
        self.shared.freed.notify_one();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.ended {
            self.free(None);
        }
    }
}
