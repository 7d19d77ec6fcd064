//! A model of a bucket, and a client that does random things to both and compares.
//!
//! The client has its keys for itself. When an operation ends as `Unknown` it looks until it knows, as the file system
//! will: the bucket must then show the state before or the state after, and nothing else. Where it shows the state before,
//! the request may still be on its way, so the client looks again after a probation.

use bytes::Bytes;
use fastrand::Rng;
use ossfs_store::{
    AppendOptions, BufferPool, CopyOptions, CopySource, Error, GetOptions, Kind, ListRequest, ObjectStore, Part,
    PartNumber, PutOptions, Result,
};
use ossfs_types::limits::PART_BYTES_MIN;
use ossfs_types::{ByteRange, Crc64, Key, Prefix};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Few keys, so that operations meet.
const KEYS: u32 = 8;
/// Longer than a request that was given up lives on at the server, however busy the machine is.
const PROBATION: Duration = Duration::from_secs(2);
/// How often looking is tried before the test gives up.
const LOOKS_MAX: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Object {
    Normal(Bytes),
    Appendable(Bytes),
    Symlink(Key),
}

impl Object {
    fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Normal(bytes) | Self::Appendable(bytes) => Some(bytes),
            Self::Symlink(_) => None,
        }
    }
}

/// What came of the operations.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) done: u64,
    /// Ended as `Unknown`, and were resolved by looking.
    pub(crate) unknown: u64,
    /// Ended with another error that faults explain.
    pub(crate) failed: u64,
}

pub(crate) struct Client {
    store: Arc<dyn ObjectStore>,
    pool: Arc<BufferPool>,
    prefix: String,
    random: Rng,
    model: BTreeMap<Key, Object>,
    pub(crate) tally: Tally,
}

impl Client {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, number: u64, seed: u64) -> Self {
        let random = Rng::with_seed(seed ^ (number << 32));
        Self {
            store,
            pool: BufferPool::new(8 << 20),
            prefix: format!("client{number}/"),
            random,
            model: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    /// One random operation.
    pub(crate) async fn step(&mut self) {
        match self.random.u32(0..100) {
            0..20 => self.put().await,
            20..45 => self.read().await,
            45..52 => self.head().await,
            52..60 => self.list().await,
            60..67 => self.delete().await,
            67..70 => self.delete_many().await,
            70..78 => self.copy().await,
            78..88 => self.append().await,
            88..96 => self.multipart().await,
            _ => self.symlink().await,
        }
        self.tally.done += 1;
    }

    /// Compares everything, without faults.
    pub(crate) async fn check(&mut self) {
        assert_eq!(self.listed().await.expect("no faults now"), self.expected_listing());
        for (key, object) in &self.model {
            assert_eq!(self.look(key).await.as_ref(), Some(object), "{key}");
        }
    }

    fn key(&mut self) -> Key {
        Key::parse(&format!("{}key {}", self.prefix, self.random.u32(0..KEYS))).unwrap()
    }

    fn bytes(&mut self, len_max: usize) -> Bytes {
        let len = match self.random.u8(0..4) {
            0 => self.random.usize(0..16),
            _ => self.random.usize(0..=len_max),
        };
        let mut bytes = vec![0; len];
        self.random.fill(&mut bytes);
        bytes.into()
    }

    /// Errors that faults may cause once retries are used up, when nothing was changed.
    fn excused(&mut self, error: &Error) {
        let faults = [Kind::Unknown, Kind::Throttled, Kind::Unavailable, Kind::Denied, Kind::Corrupt];
        assert!(faults.contains(&error.kind()), "{error:?}");
        self.tally.failed += 1;
    }

    /// Takes over what a mutation of one key came to.
    async fn settle<T: std::fmt::Debug>(&mut self, key: &Key, after: Option<Object>, result: Result<T>) {
        let before = self.model.get(key).cloned();
        let found = match result {
            Ok(_) => after,
            Err(error) if error.kind() == Kind::Unknown => {
                self.tally.unknown += 1;
                let mut found = self.look(key).await;
                if found == before && found != after {
                    tokio::time::sleep(PROBATION).await;
                    found = self.look(key).await;
                }
                let (b, a, f) = (brief(&before), brief(&after), brief(&found));
                assert!(found == before || found == after, "{key} was {b}, was to be {a}, is {f}: {error:?}");
                found
            }
            Err(error) => {
                self.excused(&error);
                before
            }
        };
        match found {
            Some(object) => drop(self.model.insert(key.clone(), object)),
            None => drop(self.model.remove(key)),
        }
    }

    /// What the bucket has at a key, asked until an answer comes.
    async fn look(&self, key: &Key) -> Option<Object> {
        for _ in 0..LOOKS_MAX {
            let page = self.store.list(&ListRequest::all(Prefix::from(key))).await;
            let Ok(page) = page else { continue };
            let entry = page.objects.iter().find(|entry| entry.key == *key)?;
            if entry.object_type == ossfs_store::ObjectType::Symlink {
                match self.store.get_symlink(key).await {
                    Ok(symlink) => return Some(Object::Symlink(symlink.target)),
                    Err(_) => continue,
                }
            }
            let Ok(fetched) = self.store.read(key, &GetOptions::default(), &self.pool).await else { continue };
            let appendable = entry.object_type == ossfs_store::ObjectType::Appendable;
            let object = if appendable { Object::Appendable } else { Object::Normal };
            return Some(object(fetched.bytes));
        }
        panic!("{key} can't be looked at");
    }

    async fn put(&mut self) {
        let (key, bytes) = (self.key(), self.bytes(300_000));
        let mut options = PutOptions::default();
        options.headers.forbid_overwrite = self.random.u8(0..4) == 0;
        // Tells this write from an earlier one of the same bytes.
        options.metadata.user.insert("token".into(), self.tally.done.into());
        let result = self.store.put(&key, bytes.clone().into(), &options).await;
        let taken = options.headers.forbid_overwrite && self.model.contains_key(&key);
        match result {
            Err(error) if error.kind() == Kind::AlreadyExists => assert!(taken, "{error:?}"),
            Ok(_) if taken => panic!("{key} was overwritten"),
            result => self.settle(&key, Some(Object::Normal(bytes)), result).await,
        }
    }

    async fn read(&mut self) {
        let key = self.key();
        let bytes = match self.model.get(&key) {
            Some(Object::Symlink(_)) => return,
            object => object.and_then(Object::bytes).cloned(),
        };
        let len = bytes.as_ref().map_or(10, |bytes| bytes.len() as u64);
        let start = self.random.u64(0..=len);
        let range = match self.random.bool() {
            true => ByteRange::at(start, self.random.u64(1..=len + 10)),
            false => None,
        };
        let options = GetOptions { range, ..GetOptions::default() };
        match (self.store.read(&key, &options, &self.pool).await, bytes) {
            (Ok(fetched), Some(bytes)) => {
                let end = range.map_or(len, |range| range.end().min(len));
                let from = usize::try_from(range.map_or(0, ByteRange::start)).unwrap();
                let expected = bytes.slice(from..usize::try_from(end).unwrap());
                assert!(fetched.bytes == expected, "wrong bytes of {key} at {range:?}");
                assert_eq!(fetched.crc64, Some(Crc64::of(&expected)));
            }
            (Err(error), None) if error.kind() == Kind::NotFound => {}
            (Err(error), Some(_)) if error.kind() == Kind::InvalidRange => assert!(range.unwrap().start() >= len),
            (Err(error), _) => self.excused(&error),
            (Ok(fetched), None) => panic!("{key} is not there, but {fetched:?} was read"),
        }
    }

    async fn head(&mut self) {
        let key = self.key();
        let bytes = match self.model.get(&key) {
            Some(Object::Symlink(_)) => return,
            object => object.and_then(Object::bytes).cloned(),
        };
        match (self.store.head(&key).await, bytes) {
            (Ok(meta), Some(bytes)) => assert_eq!(meta.crc64, Some(Crc64::of(&bytes))),
            (Err(error), None) if error.kind() == Kind::NotFound => {}
            (Err(error), _) => self.excused(&error),
            (Ok(meta), None) => panic!("{key} is not there, but has {meta:?}"),
        }
    }

    fn expected_listing(&self) -> Vec<(Key, u64)> {
        let size = |object: &Object| object.bytes().map_or(0, |bytes| bytes.len() as u64);
        self.model.iter().map(|(key, object)| (key.clone(), size(object))).collect()
    }

    async fn listed(&self) -> Result<Vec<(Key, u64)>> {
        let mut all = Vec::new();
        let mut request = ListRequest { entries_max: 3, ..ListRequest::all(Prefix::parse(&self.prefix).unwrap()) };
        loop {
            let page = self.store.list(&request).await?;
            all.extend(page.objects.into_iter().map(|entry| {
                let symlink = entry.object_type == ossfs_store::ObjectType::Symlink;
                (entry.key, if symlink { 0 } else { entry.size })
            }));
            match page.next {
                Some(next) => request.continuation = Some(next),
                None => return Ok(all),
            }
        }
    }

    async fn list(&mut self) {
        match self.listed().await {
            Ok(listed) => assert_eq!(listed, self.expected_listing()),
            Err(error) => self.excused(&error),
        }
    }

    async fn delete(&mut self) {
        let key = self.key();
        let result = self.store.delete(&key).await;
        self.settle(&key, None, result).await;
    }

    async fn delete_many(&mut self) {
        let mut keys: Vec<Key> = (0..3).map(|_| self.key()).collect();
        keys.sort();
        keys.dedup();
        match self.store.delete_many(&keys).await {
            Ok(gone) => {
                assert_eq!(gone, keys);
                gone.iter().for_each(|key| drop(self.model.remove(key)));
            }
            Err(error) if error.kind() == Kind::Unknown => {
                for key in &keys {
                    let unknown = Err::<(), _>(Error::new(Kind::Unknown, "DeleteMultipleObjects", error.to_string()));
                    self.settle(key, None, unknown).await;
                }
            }
            Err(error) => self.excused(&error),
        }
    }

    async fn copy(&mut self) {
        let (from, to) = (self.key(), self.key());
        let Some(Object::Normal(bytes)) = self.model.get(&from).cloned() else { return };
        let source = CopySource { key: from, if_match: None };
        let mut options = CopyOptions::default();
        if self.random.bool() {
            options.replace_metadata = Some(Default::default());
        }
        // Onto itself only with other metadata, as OSS wants it.
        if source.key == to && options.replace_metadata.is_none() {
            return;
        }
        let result = self.store.copy(&source, &to, &options).await;
        self.settle(&to, Some(Object::Normal(bytes)), result).await;
    }

    async fn append(&mut self) {
        let (key, more) = (self.key(), self.bytes(20_000));
        let before = match self.model.get(&key) {
            None => Bytes::new(),
            Some(Object::Appendable(bytes)) => bytes.clone(),
            Some(_) => return,
        };
        let options = AppendOptions { crc64_before: Some(Crc64::of(&before)), ..AppendOptions::default() };
        let result = self.store.append(&key, before.len() as u64, more.clone().into(), &options).await;
        let after = [before, more].concat();
        self.settle(&key, Some(Object::Appendable(after.into())), result).await;
    }

    async fn multipart(&mut self) {
        let key = self.key();
        let mut after = Vec::new();
        let result = self.upload(&key, &mut after).await;
        let Some(result) = result else { return };
        self.settle(&key, Some(Object::Normal(after.into())), result).await;
    }

    /// Uploads and copies parts and completes them; `None` if it was given up before the completion.
    async fn upload(&mut self, key: &Key, after: &mut Vec<u8>) -> Option<Result<()>> {
        let excuse = |client: &mut Self, error: Error| client.excused(&error);
        let upload = match self.store.create_upload(key, &PutOptions::default()).await {
            Ok(upload) => upload,
            Err(error) => {
                excuse(self, error);
                return None;
            }
        };
        let mut parts: Vec<Part> = Vec::new();
        for number in 1..=self.random.u32(1..=3) {
            let number = PartNumber::new(number * 2).unwrap();
            let source = self.key();
            let sizable =
                |object: &&Object| matches!(object, Object::Normal(bytes) if bytes.len() as u64 > PART_BYTES_MIN);
            let part = match self.model.get(&source).filter(sizable).cloned() {
                Some(Object::Normal(bytes)) => {
                    let range = ByteRange::new(0, PART_BYTES_MIN + 1).unwrap();
                    after.extend_from_slice(&bytes[..=usize::try_from(PART_BYTES_MIN).unwrap()]);
                    let source = CopySource { key: source, if_match: None };
                    self.store.upload_part_copy(&upload, number, &source, range).await
                }
                _ => {
                    let mut bytes = vec![0; usize::try_from(PART_BYTES_MIN).unwrap()];
                    self.random.fill(&mut bytes);
                    after.extend_from_slice(&bytes);
                    self.store.upload_part(&upload, number, bytes.into()).await
                }
            };
            match part {
                Ok(part) => parts.push(part),
                Err(error) => {
                    excuse(self, error);
                    drop(self.store.abort_upload(&upload).await);
                    return None;
                }
            }
        }
        Some(self.store.complete_upload(&upload, &parts, false).await.map(drop))
    }

    async fn symlink(&mut self) {
        let (key, target) = (self.key(), self.key());
        let result = self.store.put_symlink(&key, &target, &PutOptions::default()).await;
        self.settle(&key, Some(Object::Symlink(target)), result).await;
    }
}

/// An object without its bytes, for messages.
fn brief(object: &Option<Object>) -> String {
    match object {
        None => "absent".into(),
        Some(Object::Normal(bytes)) => format!("{} bytes {:?}", bytes.len(), Crc64::of(bytes)),
        Some(Object::Appendable(bytes)) => format!("{} appended bytes {:?}", bytes.len(), Crc64::of(bytes)),
        Some(Object::Symlink(target)) => format!("a symlink to {target}"),
    }
}
