//! A bucket in memory that counts what is read, and is as slow or as faulty as a test wants.

use async_trait::async_trait;
use bytes::Bytes;
use ossfs_store::*;
use ossfs_types::{BucketName, ByteRange, Crc64, Key, Prefix, SystemClock};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong with one GET.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Fails(Kind),
    Panics,
}

#[derive(Debug)]
pub(super) struct SlowStore {
    pub memory: MemoryStore,
    /// Until the first byte.
    pub latency: Duration,
    /// Per connection.
    pub bytes_per_second: u64,
    /// Ranges that were asked for, in order.
    gets: Mutex<Vec<ByteRange>>,
    /// For the next GETs, one each.
    pub faults: Mutex<VecDeque<Fault>>,
    /// Whether the last byte of what is fetched is wrong.
    pub corrupts: AtomicBool,
    in_flight: AtomicU64,
    in_flight_max: AtomicU64,
}

impl SlowStore {
    pub(super) fn new(latency_ms: u64, bytes_per_second: u64) -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryStore::new(BucketName::parse("bucket").unwrap(), Arc::new(SystemClock)),
            latency: Duration::from_millis(latency_ms),
            bytes_per_second,
            gets: Mutex::default(),
            faults: Mutex::default(),
            corrupts: AtomicBool::new(false),
            in_flight: AtomicU64::new(0),
            in_flight_max: AtomicU64::new(0),
        })
    }

    /// The ranges that were asked for since the last call, in order.
    pub(super) fn take_gets(&self) -> Vec<ByteRange> {
        std::mem::take(&mut self.gets.lock().unwrap())
    }

    /// GETs under way.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(SeqCst)
    }

    /// Most GETs that were under way at once.
    pub(super) fn in_flight_max(&self) -> u64 {
        self.in_flight_max.load(SeqCst)
    }
}

struct InFlight<'a>(&'a AtomicU64);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

struct Once(Option<Bytes>, Option<Crc64>);

#[async_trait]
impl BodySource for Once {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        Ok(self.0.take())
    }

    fn crc64(&self) -> Option<Crc64> {
        self.1
    }
}

#[async_trait]
impl ObjectStore for SlowStore {
    async fn get(&self, key: &Key, options: &GetOptions) -> Result<GotObject> {
        assert!(options.if_match.is_some(), "reads are pinned");
        let all = || ByteRange::new(0, u64::MAX).unwrap();
        self.gets.lock().unwrap().push(options.range.unwrap_or_else(all));
        self.in_flight_max.fetch_max(self.in_flight.fetch_add(1, SeqCst) + 1, SeqCst);
        let _in_flight = InFlight(&self.in_flight);
        let mut got = self.memory.get(key, options).await?;
        tokio::time::sleep(
            self.latency + Duration::from_micros(got.range.len().saturating_mul(1_000_000) / self.bytes_per_second),
        )
        .await;
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            Some(Fault::Fails(kind)) => return Err(Error::new(kind, "GetObject", "")),
            Some(Fault::Panics) => panic!("a panic of the test"),
            None => {}
        }
        if self.corrupts.load(SeqCst) {
            let mut bytes = got.body.next().await?.unwrap().to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            let crc64 = options.checksum.then(|| Crc64::of(&bytes));
            got.body = ObjectBody::new(Once(Some(bytes.into()), crc64));
        }
        Ok(got)
    }

    async fn put(&self, key: &Key, payload: Payload, options: &PutOptions) -> Result<Written> {
        self.memory.put(key, payload, options).await
    }

    async fn head(&self, _: &Key) -> Result<ObjectMeta> {
        unimplemented!("reads need no more than get")
    }
    async fn stat(&self, _: &Key) -> Result<ObjectStat> {
        unimplemented!("reads need no more than get")
    }
    async fn list(&self, _: &ListRequest) -> Result<ListPage> {
        unimplemented!("reads need no more than get")
    }
    async fn delete(&self, _: &Key) -> Result<()> {
        unimplemented!("reads need no more than get")
    }
    async fn delete_many(&self, _: &[Key]) -> Result<Vec<Key>> {
        unimplemented!("reads need no more than get")
    }
    async fn copy(&self, _: &CopySource, _: &Key, _: &CopyOptions) -> Result<Written> {
        unimplemented!("reads need no more than get")
    }
    async fn append(&self, _: &Key, _: u64, _: Payload, _: &AppendOptions) -> Result<Appended> {
        unimplemented!("reads need no more than get")
    }
    async fn create_upload(&self, _: &Key, _: &PutOptions) -> Result<Upload> {
        unimplemented!("reads need no more than get")
    }
    async fn upload_part(&self, _: &Upload, _: PartNumber, _: Payload) -> Result<Part> {
        unimplemented!("reads need no more than get")
    }
    async fn upload_part_copy(&self, _: &Upload, _: PartNumber, _: &CopySource, _: ByteRange) -> Result<Part> {
        unimplemented!("reads need no more than get")
    }
    async fn complete_upload(&self, _: &Upload, _: &[Part], _: bool) -> Result<Written> {
        unimplemented!("reads need no more than get")
    }
    async fn abort_upload(&self, _: &Upload) -> Result<bool> {
        unimplemented!("reads need no more than get")
    }
    async fn list_parts(&self, _: &Upload, _: Option<PartNumber>) -> Result<PartsPage> {
        unimplemented!("reads need no more than get")
    }
    async fn list_uploads(&self, _: &Prefix, _: Option<&UploadMarker>) -> Result<UploadsPage> {
        unimplemented!("reads need no more than get")
    }
    async fn put_symlink(&self, _: &Key, _: &Key, _: &PutOptions) -> Result<()> {
        unimplemented!("reads need no more than get")
    }
    async fn get_symlink(&self, _: &Key) -> Result<Symlink> {
        unimplemented!("reads need no more than get")
    }
    async fn bucket_info(&self) -> Result<BucketInfo> {
        unimplemented!("reads need no more than get")
    }
    async fn bucket_stat(&self) -> Result<BucketStat> {
        unimplemented!("reads need no more than get")
    }
}
