//! Reads over a slow bucket in memory; time is simulated, so a test takes none.

use super::slow_store::{Fault, SlowStore};
use super::*;
use futures_util::FutureExt;
use futures_util::future::{join_all, poll_immediate};
use ossfs_store::PutOptions;
use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::time::Instant;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// As far away as a bucket of the same region is.
const LATENCY_MS: u64 = 10;
const BYTES_PER_SECOND: u64 = 20_000_000;

struct World {
    store: Arc<SlowStore>,
    reader: Reader,
    limit: u64,
}

impl World {
    fn new(limit: u64) -> Self {
        Self::with_latency(limit, LATENCY_MS)
    }

    fn with_latency(limit: u64, latency_ms: u64) -> Self {
        let store = SlowStore::new(latency_ms, if latency_ms == 0 { u64::MAX } else { BYTES_PER_SECOND });
        Self { reader: Reader::new(store.clone(), limit), store, limit }
    }

    async fn put(&self, name: &str, size: u64) -> (Version, Bytes) {
        let mut bytes = vec![0; usize::try_from(size).unwrap()];
        fastrand::Rng::with_seed(size).fill(&mut bytes);
        let bytes = Bytes::from(bytes);
        let key = Key::parse(name).unwrap();
        let written = self.store.put(&key, bytes.clone().into(), &PutOptions::default()).await.unwrap();
        (Version { key, etag: written.etag, size, crc64: written.crc64 }, bytes)
    }

    /// As the volume does: what is here, else what comes.
    async fn read(&self, version: &Version, stream: &Stream, range: ByteRange) -> Result<Bytes, ReadError> {
        self.check_memory();
        let result = match self.reader.try_read(version, stream, range) {
            Some(bytes) => Ok(bytes),
            None => self.reader.read(version, stream, range).await,
        };
        self.check_memory();
        result
    }

    fn check_memory(&self) {
        let used = self.used() + self.reader.0.pool.kept_bytes() as u64;
        assert!(used <= self.limit, "{used} of {}", self.limit);
    }

    fn used(&self) -> u64 {
        self.reader.0.blocks().used()
    }

    async fn read_all(&self, version: &Version, stream: &Stream, step: u64) -> Result<Bytes, ReadError> {
        let mut all = Vec::new();
        for start in (0..version.size).step_by(step as usize) {
            all.extend_from_slice(&self.read(version, stream, cut(start, step, version)).await?);
        }
        Ok(all.into())
    }
}

fn cut(start: u64, len: u64, version: &Version) -> ByteRange {
    span(start, (start + len).min(version.size))
}

fn slice(bytes: &Bytes, range: ByteRange) -> &[u8] {
    &bytes[range.start() as usize..range.end() as usize]
}

/// That the ranges cover `0..size` without overlap.
fn assert_tile(mut gets: Vec<ByteRange>, size: u64) {
    gets.sort();
    let end = gets.iter().fold(0, |at, range| {
        assert_eq!(range.start(), at, "{gets:?}");
        range.end()
    });
    assert_eq!(end, size);
}

#[tokio::test(start_paused = true)]
async fn a_sequential_reader_gets_every_byte_once_with_any_memory() {
    for limit in [256 * MIB, 16 * MIB, 8 * MIB, 4 * MIB] {
        for step in [128 * KIB, MIB] {
            let world = World::new(limit);
            let (version, bytes) = world.put("a", 64 * MIB + 12_345).await;
            assert!(world.read_all(&version, &Stream::new(), step).await.unwrap() == bytes);
            let gets = world.store.take_gets();
            let largest = gets.iter().map(|range| range.len()).max().unwrap();
            assert!(largest <= limit / 4, "{largest}");
            assert_tile(gets, version.size);
            assert!(world.store.in_flight_max() >= 4, "{}", world.store.in_flight_max());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_latency_bound_reader_uses_all_connections() {
    let world = World::new(256 * MIB);
    let (version, _) = world.put("a", 384 * MIB).await;
    let (stream, ramp) = (Stream::new(), 64 * MIB);
    let mut began = Instant::now();
    for start in (0..version.size).step_by(128 << 10) {
        if start == ramp {
            assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
            began = Instant::now();
        }
        world.read(&version, &stream, cut(start, 128 * KIB, &version)).await.unwrap();
    }
    let rate = (version.size - ramp) as f64 / began.elapsed().as_secs_f64();
    assert!(rate > 0.9 * 16.0 * BYTES_PER_SECOND as f64, "{rate}");
}

#[tokio::test(start_paused = true)]
async fn reads_in_flight_in_any_order_are_sequential() {
    let world = World::new(64 * MIB);
    let (version, bytes) = world.put("a", 48 * MIB).await;
    let stream = Stream::new();
    let starts: Vec<u64> = (0..version.size).step_by(1 << 20).collect();
    for batch in starts.chunks(4) {
        let reads = batch.iter().rev().map(|start| world.read(&version, &stream, cut(*start, MIB, &version)));
        for (start, read) in batch.iter().rev().zip(join_all(reads).await) {
            assert!(read.unwrap() == slice(&bytes, cut(*start, MIB, &version)));
        }
    }
    let gets = world.store.take_gets();
    assert!(gets.len() < 80, "{}", gets.len());
    assert_tile(gets, version.size);
}

#[tokio::test(start_paused = true)]
async fn a_random_reader_costs_its_pages() {
    let world = World::new(4 * MIB);
    let (version, bytes) = world.put("a", 256 * MIB).await;
    let (stream, mut random) = (Stream::new(), fastrand::Rng::with_seed(7));
    for _ in 0..300 {
        // The page at the very beginning too.
        let start = random.u64(0..version.size / (64 * KIB)) * 64 * KIB * u64::from(random.u8(..) > 3);
        let range = cut(start, 4 * KIB, &version);
        assert!(world.read(&version, &stream, range).await.unwrap() == slice(&bytes, range));
        let fetched: u64 = world.store.take_gets().iter().map(|range| range.len()).sum();
        assert!(fetched <= 16 * KIB, "{fetched} for {range}");
    }
}

#[tokio::test(start_paused = true)]
async fn readers_share_fetches() {
    let world = World::new(256 * MIB);
    let (version, bytes) = world.put("a", 32 * MIB).await;
    let streams = [Stream::new(), Stream::new(), Stream::new()];
    let reads = streams.iter().map(|stream| world.read_all(&version, stream, 128 * KIB));
    for read in join_all(reads).await {
        assert!(read.unwrap() == bytes);
    }
    assert_tile(world.store.take_gets(), version.size);
}

#[tokio::test(start_paused = true)]
async fn streams_share_the_memory_fairly() {
    let world = World::new(24 * MIB);
    let (files, streams) = ([world.put("a", 24 * MIB).await, world.put("b", 25 * MIB).await], [(); 2]);
    let streams = streams.map(|()| Stream::new());
    let reads = files.iter().zip(&streams).map(|((version, _), stream)| world.read_all(version, stream, 128 * KIB));
    for (read, (_, bytes)) in join_all(reads).await.into_iter().zip(&files) {
        assert!(read.unwrap() == *bytes);
    }
    let fetched: u64 = world.store.take_gets().iter().map(|range| range.len()).sum();
    assert_eq!(fetched, 49 * MIB);
}

#[tokio::test(start_paused = true)]
async fn small_files_are_fetched_whole_and_once() {
    let world = World::new(8 * MIB);
    let (version, bytes) = world.put("a", 300_000).await;
    let stream = Stream::new();
    let range = span(100_000, 104_096);
    let (first, second) = tokio::join!(
        world.reader.read(&version, &stream, range),
        world.reader.read(&version, &stream, span(299_999, 300_000))
    );
    assert_eq!((first.unwrap(), second.unwrap()), (bytes.slice(100_000..104_096), bytes.slice(299_999..)));
    assert_eq!(world.reader.try_read(&version, &stream, span(0, 300_000)).unwrap(), bytes);
    assert_eq!(world.store.take_gets(), [span(0, u64::MAX)], "one whole GET");
    assert_eq!(world.reader.try_read(&version, &stream, span(5, 5)).unwrap(), "");
    let past = world.read(&version, &stream, span(0, 300_001)).await.unwrap_err();
    assert_eq!(past.kind(), Kind::InvalidRange);
}

#[tokio::test(start_paused = true)]
async fn wrong_bytes_fail_the_end_until_they_are_read_again() {
    let world = World::new(64 * MIB);
    for size in [20 * MIB, 500 * KIB] {
        let (version, bytes) = world.put("a", size).await;
        let stream = Stream::new();
        world.store.corrupts.store(true, SeqCst);
        let failed = world.read_all(&version, &stream, 128 * KIB).await.unwrap_err();
        assert_eq!(failed.kind(), Kind::Corrupt);
        assert!(world.reader.try_read(&version, &stream, span(0, 4 * KIB)).is_none(), "the chunks are dropped");
        world.store.corrupts.store(false, SeqCst);
        if size > MIB {
            let end = world.read(&version, &stream, span(size - 4 * KIB, size)).await.unwrap_err();
            assert_eq!(end.kind(), Kind::Corrupt, "the kernel asks again after a readahead that failed");
        }
        assert!(world.read_all(&version, &stream, 128 * KIB).await.unwrap() == bytes);
        let unknown = Version { crc64: None, ..version };
        world.reader.forget(&unknown);
        world.store.corrupts.store(true, SeqCst);
        world.read_all(&unknown, &Stream::new(), 128 * KIB).await.expect("nothing to compare with");
        world.store.corrupts.store(false, SeqCst);
        world.reader.forget(&unknown);
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_gone_is_told() {
    let world = World::new(64 * MIB);
    let (version, _) = world.put("a", 20 * MIB).await;
    let stream = Stream::new();
    world.read(&version, &stream, span(0, 128 * KIB)).await.unwrap();
    world.put("a", 21 * MIB).await;
    let gone = world.read(&version, &stream, span(10 * MIB, 11 * MIB)).await.unwrap_err();
    assert_eq!(gone.kind(), Kind::Precondition);
}

#[tokio::test(start_paused = true)]
async fn errors_reach_all_who_wait_and_are_not_kept() {
    let world = World::new(64 * MIB);
    let (version, bytes) = world.put("a", 20 * MIB).await;
    for fault in [Fault::Fails(Kind::Throttled), Fault::Panics] {
        world.store.faults.lock().unwrap().push_back(fault);
        let streams = [Stream::new(), Stream::new()];
        let range = span(5 * MIB, 6 * MIB);
        for read in join_all(streams.iter().map(|stream| world.read(&version, stream, range))).await {
            let expected = if let Fault::Fails(kind) = fault { kind } else { Kind::Unavailable };
            assert_eq!(read.unwrap_err().kind(), expected);
        }
        assert_eq!(world.store.take_gets(), [range]);
        assert_eq!(world.used(), 0);
        assert!(world.read(&version, &streams[0], range).await.unwrap() == slice(&bytes, range));
        world.reader.forget(&version);
        world.store.take_gets();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_is_fetched_again() {
    let world = World::new(64 * MIB);
    let (version, bytes) = world.put("a", 20 * MIB).await;
    let (stream, range) = (Stream::new(), span(0, 128 * KIB));
    world.read(&version, &stream, range).await.unwrap();
    world.reader.forget(&version);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!((world.store.in_flight(), world.used()), (0, 0), "prefetch is cancelled");
    assert!(world.reader.try_read(&version, &stream, range).is_none());
    // One that is awaited goes on.
    let mut waiting = pin!(world.reader.read(&version, &stream, range));
    assert!(poll_immediate(&mut waiting).await.is_none());
    world.reader.forget(&version);
    assert!(waiting.await.unwrap() == slice(&bytes, range));
    assert!(world.reader.try_read(&version, &stream, range).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_fetch_outlives_its_caller_but_not_its_stream() {
    let world = World::new(64 * MIB);
    let (version, bytes) = world.put("a", 20 * MIB).await;
    let (stream, other, range) = (Stream::new(), Stream::new(), span(5 * MIB, 6 * MIB));
    assert!(world.reader.read(&version, &stream, range).now_or_never().is_none());
    assert!(world.read(&version, &other, range).await.unwrap() == slice(&bytes, range));
    assert_eq!(world.store.take_gets(), [range]);
    // Nobody waits, and then nobody is left who might.
    assert!(world.reader.read(&version, &stream, span(15 * MIB, 16 * MIB)).now_or_never().is_none());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(world.store.in_flight(), 1);
    drop(stream);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!((world.store.in_flight(), world.used()), (0, MIB));
    let range = span(15 * MIB, 16 * MIB);
    assert!(world.read(&version, &other, range).await.unwrap() == slice(&bytes, range));
}

#[tokio::test(start_paused = true)]
async fn what_was_fetched_for_a_stream_that_is_gone_makes_room() {
    let world = World::new(16 * MIB);
    for round in 0..8 {
        let (version, _) = world.put(&format!("{round}"), 12 * MIB + round).await;
        let stream = Stream::new();
        for start in (0..6 * MIB).step_by(128 << 10) {
            world.read(&version, &stream, span(start, start + 128 * KIB)).await.unwrap();
        }
        // Let the prefetch fill the memory.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(world.reader.0.sequential.load(SeqCst), 1);
        assert!(world.store.take_gets().iter().map(|range| range.len()).sum::<u64>() > 8 * MIB, "round {round}");
    }
    assert_eq!(world.reader.0.sequential.load(SeqCst), 0);
}

/// Reads anywhere and onwards; some lose patience.
async fn read_about(world: Arc<World>, version: Version, bytes: Bytes, stream: Arc<Stream>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut start = 0;
    for _ in 0..40 {
        start = if random.u8(..) < 200 { start % version.size } else { random.u64(0..version.size) };
        let range = cut(start, random.u64(1..MIB), &version);
        start = range.end();
        let patience = Duration::from_millis(if random.u8(..) < 50 { 5 } else { 600_000 });
        match tokio::time::timeout(patience, world.read(&version, &stream, range)).await {
            Ok(read) => assert!(read.unwrap() == slice(&bytes, range)),
            Err(_) => assert!(patience < Duration::from_secs(1), "stuck"),
        }
    }
}

/// Any reads of any streams, dropped at any time, in too little memory: always the right bytes, never stuck.
async fn read_in_little_memory(world: World, seed: u64) {
    let world = Arc::new(world);
    let files = [world.put("a", 30 * MIB).await, world.put("b", 3 * MIB + 1).await, world.put("c", 60_000).await];
    let streams: Vec<Arc<Stream>> = (0..6).map(|_| Arc::default()).collect();
    let readers = (0..24).map(|number| {
        let ((version, bytes), stream) = (files[number % 3].clone(), streams[number % 6].clone());
        tokio::spawn(read_about(world.clone(), version, bytes, stream, seed * 100 + number as u64))
    });
    for reader in join_all(readers).await {
        reader.unwrap();
    }
    drop(streams);
    for _ in 0..1000 {
        if world.store.in_flight() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert_eq!(world.store.in_flight(), 0);
    tokio::time::sleep(Duration::from_millis(5)).await;
    files.iter().for_each(|(version, _)| world.reader.forget(version));
    assert_eq!(world.used(), 0);
    assert_eq!(world.reader.0.sequential.load(SeqCst), 0);
}

const LITTLE: [u64; 4] = [256 * KIB, MIB, 3 * MIB, 16 * MIB];

#[tokio::test(start_paused = true)]
async fn many_readers_in_little_memory_get_their_bytes() {
    for seed in 0..8 {
        read_in_little_memory(World::new(LITTLE[seed as usize % 4]), seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_in_little_memory_get_their_bytes() {
    for limit in LITTLE {
        read_in_little_memory(World::with_latency(limit, 0), limit).await;
    }
}
