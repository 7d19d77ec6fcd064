//! What was fetched and what is being fetched, by version and place, within a bound of bytes.
//!
//! Invariants: the chunks of one version never overlap; `used` is the capacity of all cached chunks and all fetches under
//! way, and never above `limit`; every cached chunk is in `order` once. Nothing here waits: who finds no room waits outside.
//!
//! Evicted first is what a sequential reader is done with, then what was used longest ago, last what was fetched ahead and
//! not read yet: plain LRU would evict just the chunk that is needed next.

use super::window::span;
use super::{ReadError, Version};
use bytes::Bytes;
use ossfs_types::{ByteRange, Crc64, ETag, Key};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock, Weak};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What chunks belong to: one version of one object.
pub(super) type FileId = (Key, ETag);
/// Where the readers that wait for a fetch get its result. Dropped without one, the fetch died.
pub(super) type Promise = watch::Sender<Option<Result<Chunk, ReadError>>>;
/// The other side of a [`Promise`].
pub(super) type Awaited = watch::Receiver<Option<Result<Chunk, ReadError>>>;

pub(super) fn file_id(version: &Version) -> FileId {
    (version.key.clone(), version.etag.clone())
}

/// Bytes that came with one fetch.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    pub bytes: Bytes,
    /// Of all the bytes, if it was asked for.
    pub crc64: Option<Crc64>,
}

/// Streams and readers that want a fetch share this; when the last of them drops it, the fetch is cancelled.
#[derive(Debug, Default)]
pub(super) struct Interest(OnceLock<AbortHandle>);

impl Interest {
    /// The task that fetches; told once it runs.
    pub(super) fn carried_by(&self, task: AbortHandle) {
        self.0.get_or_init(|| task);
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.get().is_some_and(AbortHandle::is_finished)
    }

    fn cancel(&self) {
        if let Some(task) = self.0.get() {
            task.abort();
        }
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// Who asks for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// A reader waits: anything that is not under way may be evicted.
    Foreground,
    /// Nobody waits: what was fetched ahead lately stays.
    Prefetch,
}

/// Order of eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Done,
    Used,
    Unread,
}

#[derive(Debug)]
enum State {
    InFlight { id: u64, promise: Arc<Promise>, interest: Weak<Interest> },
    Ready { chunk: Chunk, order: (Class, u64), charge: u64, fetched_before: u64 },
}

#[derive(Debug)]
struct Entry {
    end: u64,
    state: State,
}

/// The chunk at a place, with its range.
#[derive(Debug)]
pub(super) enum Piece {
    /// It is here.
    Here(ByteRange, Chunk),
    /// It is coming.
    Coming(ByteRange, Awaited, Arc<Interest>),
}

impl Piece {
    pub(super) fn range(&self) -> ByteRange {
        match self {
            Self::Here(range, _) | Self::Coming(range, ..) => *range,
        }
    }
}

/// There is nothing at a place, up to where the next chunk begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub until: u64,
}

/// A fetch that has room and a place, and is to be begun.
#[derive(Debug)]
pub(super) struct Flight {
    pub id: u64,
    pub range: ByteRange,
    /// Bytes of room that it holds.
    pub charge: u64,
    pub promise: Arc<Promise>,
    pub interest: Arc<Interest>,
}

impl Flight {
    /// For a reader that waits for it.
    pub(super) fn piece(&self) -> Piece {
        Piece::Coming(self.range, self.promise.subscribe(), self.interest.clone())
    }
}

/// The bytes that a buffer for `len` bytes takes: capacities in the pool are powers of two, from one page.
pub(super) fn charge_of(len: u64) -> u64 {
    len.max(4 << 10).next_power_of_two()
}

/// All chunks.
#[derive(Debug)]
pub(super) struct Blocks {
    files: HashMap<FileId, BTreeMap<u64, Entry>>,
    order: BTreeMap<(Class, u64), (FileId, u64)>,
    limit: u64,
    used: u64,
    /// Numbers uses and fetches.
    serial: u64,
    /// Bytes fetched so far.
    fetched: u64,
}

impl Blocks {
    /// Room for `limit` bytes.
    pub(super) fn new(limit: u64) -> Self {
        Self { files: HashMap::new(), order: BTreeMap::new(), limit, used: 0, serial: 0, fetched: 0 }
    }

    /// Bytes cached and on their way, by the capacity of their buffers.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// The chunk that covers `at`.
    pub(super) fn find(&mut self, file: &FileId, at: u64) -> Result<Piece, Missing> {
        let Some(entries) = self.files.get(file) else { return Err(Missing { until: u64::MAX }) };
        let next = || entries.range(at..).next().map_or(u64::MAX, |(start, _)| *start);
        let Some((&start, entry)) = entries.range(..=at).next_back().filter(|(_, entry)| entry.end > at) else {
            return Err(Missing { until: next() });
        };
        let range = span(start, entry.end);
        match &entry.state {
            State::Ready { chunk, .. } => Ok(Piece::Here(range, chunk.clone())),
            State::InFlight { promise, interest, .. } => match interest.upgrade() {
                Some(interest) => Ok(Piece::Coming(range, promise.subscribe(), interest)),
                None => {
                    // It is being cancelled: its place is free, its room not yet.
                    self.remove(file, start);
                    self.find(file, at)
                }
            },
        }
    }

    /// Makes room for a chunk and gives it a place, which must be missing; `None` if there is no room.
    pub(super) fn begin(&mut self, file: &FileId, range: ByteRange, urgency: Urgency) -> Option<Flight> {
        let charge = charge_of(range.len());
        if !self.make_room(charge, urgency) {
            return None;
        }
        self.used += charge;
        self.serial += 1;
        let (id, promise, interest) = (self.serial, Arc::new(Promise::new(None)), Arc::<Interest>::default());
        let state = State::InFlight { id, promise: promise.clone(), interest: Arc::downgrade(&interest) };
        let entry = Entry { end: range.end(), state };
        self.files.entry(file.clone()).or_default().insert(range.start(), entry);
        Some(Flight { id, range, charge, promise, interest })
    }

    /// The fetch `id` has ended; without a chunk it failed. What was forgotten meanwhile is not cached.
    pub(super) fn end(&mut self, file: &FileId, start: u64, id: u64, charge: u64, chunk: Option<&Chunk>) {
        let place = self.files.get_mut(file).and_then(|entries| entries.get_mut(&start));
        let own = place.filter(|entry| matches!(entry.state, State::InFlight { id: its, .. } if its == id));
        match (own, chunk) {
            (Some(entry), Some(chunk)) => {
                self.serial += 1;
                let (order, chunk) = ((Class::Unread, self.serial), chunk.clone());
                entry.state = State::Ready { chunk, order, charge, fetched_before: self.fetched };
                self.fetched += charge;
                self.order.insert(order, (file.clone(), start));
            }
            (Some(_), None) => {
                self.used -= charge;
                self.remove(file, start);
            }
            (None, _) => self.used -= charge,
        }
    }

    /// The chunk at `start` was read; `done`: by a sequential reader, to its end.
    pub(super) fn touch(&mut self, file: &FileId, start: u64, done: bool) {
        self.move_to(file, start, if done { Class::Done } else { Class::Used });
    }

    /// Nobody will come for what was fetched ahead in `range`.
    pub(super) fn abandon(&mut self, file: &FileId, range: ByteRange) {
        let Some(entries) = self.files.get(file) else { return };
        let unread = |entry: &Entry| matches!(entry.state, State::Ready { order: (Class::Unread, _), .. });
        let within = entries.range(range.start()..range.end()).filter(|(_, entry)| unread(entry));
        for start in within.map(|(start, _)| *start).collect::<Vec<_>>() {
            self.move_to(file, start, Class::Done);
        }
    }

    /// Drops the chunks of a version, and cancels the fetches that no reader waits for.
    pub(super) fn forget(&mut self, file: &FileId) {
        for entry in self.files.remove(file).into_iter().flat_map(BTreeMap::into_values) {
            match entry.state {
                State::Ready { order, charge, .. } => {
                    self.order.remove(&order);
                    self.used -= charge;
                }
                State::InFlight { promise, interest, .. } => {
                    let interest = interest.upgrade().filter(|_| promise.receiver_count() == 0);
                    interest.inspect(|interest| interest.cancel());
                }
            }
        }
    }

    fn move_to(&mut self, file: &FileId, start: u64, class: Class) {
        let entry = self.files.get_mut(file).and_then(|entries| entries.get_mut(&start));
        let Some(State::Ready { order, .. }) = entry.map(|entry| &mut entry.state) else { return };
        if *order == (class, self.serial) {
            return;
        }
        self.serial += 1;
        if let Some(place) = self.order.remove(order) {
            *order = (class, self.serial);
            self.order.insert(*order, place);
        }
    }

    /// Evicts until `bytes` more fit.
    fn make_room(&mut self, bytes: u64, urgency: Urgency) -> bool {
        while self.used + bytes > self.limit {
            let Some((&(class, _), (file, start))) = self.order.first_key_value() else { return false };
            let (file, start) = (file.clone(), *start);
            // What as many bytes as fit here were fetched after is not coming to use.
            let stale = |before: u64| self.fetched - before > self.limit;
            let entry = self.files.get(&file).and_then(|entries| entries.get(&start));
            let Some(State::Ready { fetched_before, .. }) = entry.map(|entry| &entry.state) else { return false };
            if class == Class::Unread && urgency == Urgency::Prefetch && !stale(*fetched_before) {
                return false;
            }
            self.evict(&file, start);
        }
        true
    }

    fn evict(&mut self, file: &FileId, start: u64) {
        if let Some(State::Ready { order, charge, .. }) = self.remove(file, start) {
            self.order.remove(&order);
            self.used -= charge;
        }
    }

    fn remove(&mut self, file: &FileId, start: u64) -> Option<State> {
        let entries = self.files.get_mut(file)?;
        let entry = entries.remove(&start);
        if entries.is_empty() {
            self.files.remove(file);
        }
        entry.map(|entry| entry.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;

    fn file(name: &str) -> FileId {
        (Key::parse(name).unwrap(), ETag::parse("1").unwrap())
    }

    fn fetch(blocks: &mut Blocks, file: &FileId, start: u64, urgency: Urgency) -> bool {
        let Some(flight) = blocks.begin(file, span(start, start + 16 * KIB), urgency) else { return false };
        let chunk = Chunk { bytes: Bytes::from(vec![0; 16 << 10]), crc64: None };
        blocks.end(file, start, flight.id, flight.charge, Some(&chunk));
        true
    }

    fn starts(blocks: &Blocks, file: &FileId) -> Vec<u64> {
        blocks.files.get(file).into_iter().flat_map(|entries| entries.keys().map(|start| start / KIB)).collect()
    }

    #[test]
    fn the_done_go_first_and_the_unread_last() {
        let (mut blocks, a) = (Blocks::new(64 * KIB), file("a"));
        (0..4).for_each(|at| assert!(fetch(&mut blocks, &a, at * 16 * KIB, Urgency::Prefetch)));
        assert!(!fetch(&mut blocks, &a, 64 * KIB, Urgency::Prefetch), "all are awaited by their readers");
        blocks.touch(&a, 16 * KIB, false);
        blocks.touch(&a, 32 * KIB, true);
        assert!(fetch(&mut blocks, &a, 64 * KIB, Urgency::Prefetch));
        assert_eq!(starts(&blocks, &a), [0, 16, 48, 64]);
        assert!(fetch(&mut blocks, &a, 80 * KIB, Urgency::Prefetch));
        assert_eq!(starts(&blocks, &a), [0, 48, 64, 80]);
        assert!(fetch(&mut blocks, &a, 96 * KIB, Urgency::Foreground));
        assert_eq!(starts(&blocks, &a), [48, 64, 80, 96]);
        assert_eq!(blocks.used(), 64 * KIB);
    }

    #[test]
    fn the_unread_are_given_up_with_their_reader_or_by_age() {
        let (mut blocks, a) = (Blocks::new(64 * KIB), file("a"));
        (0..4).for_each(|at| assert!(fetch(&mut blocks, &a, at * 16 * KIB, Urgency::Prefetch)));
        blocks.abandon(&a, span(16 * KIB, 32 * KIB));
        assert!(fetch(&mut blocks, &a, 64 * KIB, Urgency::Prefetch));
        assert_eq!(starts(&blocks, &a), [0, 32, 48, 64]);
        assert!(fetch(&mut blocks, &a, 80 * KIB, Urgency::Foreground));
        assert_eq!(starts(&blocks, &a), [32, 48, 64, 80]);
        blocks.fetched += 64 * KIB;
        assert!(fetch(&mut blocks, &a, 96 * KIB, Urgency::Prefetch));
        assert_eq!(starts(&blocks, &a), [48, 64, 80, 96]);
    }

    #[test]
    fn what_is_under_way_keeps_its_room_and_is_never_evicted() {
        let (mut blocks, a) = (Blocks::new(32 * KIB), file("a"));
        let first = blocks.begin(&a, span(0, 16 * KIB), Urgency::Foreground).unwrap();
        let second = blocks.begin(&a, span(16 * KIB, 32 * KIB), Urgency::Foreground).unwrap();
        assert!(blocks.begin(&a, span(32 * KIB, 36 * KIB), Urgency::Foreground).is_none());
        blocks.forget(&a);
        assert_eq!(blocks.used(), 32 * KIB, "the tasks are still at it");
        for flight in [first, second] {
            let chunk = Chunk { bytes: Bytes::from(vec![0; 16 << 10]), crc64: None };
            blocks.end(&a, flight.range.start(), flight.id, flight.charge, Some(&chunk));
        }
        assert_eq!((blocks.used(), blocks.files.len()), (0, 0));
    }

    #[test]
    fn an_end_that_comes_late_does_not_touch_its_successor() {
        let (mut blocks, a) = (Blocks::new(64 * KIB), file("a"));
        let Flight { id, charge, interest, .. } = blocks.begin(&a, span(0, 16 * KIB), Urgency::Prefetch).unwrap();
        drop(interest);
        assert!(matches!(blocks.find(&a, 0), Err(Missing { until: u64::MAX })));
        let second = blocks.begin(&a, span(0, 16 * KIB), Urgency::Foreground).unwrap();
        blocks.end(&a, 0, id, charge, None);
        assert!(blocks.find(&a, 5).is_ok_and(|piece| piece.range() == second.range));
        assert_eq!(blocks.used(), 16 * KIB);
    }
}
