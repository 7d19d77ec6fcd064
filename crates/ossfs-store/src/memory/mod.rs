//! The reference implementation: a bucket in memory, as plain as can be.
//!
//! It is what tests compare with and what runs where no server is wanted; it keeps to the contract and to OSS's limits, and
//! it never fails on its own.

mod state;
mod uploads;

use crate::api::{
    AppendOptions, Appended, BodySource, BucketInfo, BucketStat, CopyOptions, CopySource, GetOptions, GotObject,
    ListPage, ListRequest, ObjectBody, ObjectMeta, ObjectStat, ObjectStore, ObjectType, Part, PartNumber, PartsPage,
    Payload, PutOptions, Symlink, Upload, UploadMarker, UploadsPage, Versioning, Written, check_copy,
    check_delete_many,
};
use crate::error::{Error, Kind, Result};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use ossfs_types::limits::APPENDABLE_BYTES_MAX;
use ossfs_types::{BucketName, ByteRange, Clock, Crc64, Key, Prefix};
use state::{Object, State};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A bucket in memory.
pub struct MemoryStore {
    name: BucketName,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryStore({})", self.name)
    }
}

impl MemoryStore {
    /// An empty bucket without versioning.
    pub fn new(name: BucketName, clock: Arc<dyn Clock>) -> Self {
        Self { name, clock, state: Mutex::new(State::default()) }
    }

    /// Another bucket that has the same in it now, uploads in progress included.
    pub fn fork(&self) -> Self {
        Self { name: self.name.clone(), clock: self.clock.clone(), state: Mutex::new(self.state().clone()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn meta(&self, object: &Object) -> ObjectMeta {
        ObjectMeta { answered_at: Some(self.clock.now()), ..object.meta() }
    }

    /// The copy's source, if it is the expected version and may be copied.
    fn source(&self, state: &State, operation: &'static str, source: &CopySource) -> Result<Object> {
        let object = state.object(operation, &source.key)?;
        if source.if_match.as_ref().is_some_and(|etag| *etag != object.etag) {
            return Err(Error::new(Kind::Precondition, operation, "").on_key(source.key.as_str()));
        }
        match object.object_type {
            ObjectType::Appendable | ObjectType::Symlink => {
                Err(Error::new(Kind::WrongType, operation, "").on_key(source.key.as_str()))
            }
            _ => Ok(object.clone()),
        }
    }
}

/// All chunks as one.
fn contiguous(payload: &Payload) -> Bytes {
    match payload.chunks() {
        [one] => one.clone(),
        chunks => chunks
            .iter()
            .fold(BytesMut::new(), |mut all, chunk| {
                all.extend_from_slice(chunk);
                all
            })
            .freeze(),
    }
}

struct MemoryBody {
    bytes: Option<Bytes>,
    crc64: Option<Crc64>,
}

#[async_trait]
impl BodySource for MemoryBody {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let bytes = self.bytes.take().filter(|bytes| !bytes.is_empty());
        if let (Some(bytes), Some(crc64)) = (&bytes, &mut self.crc64) {
            *crc64 = Crc64::of(bytes);
        }
        Ok(bytes)
    }

    fn crc64(&self) -> Option<Crc64> {
        self.crc64
    }
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn put(&self, key: &Key, payload: Payload, options: &PutOptions) -> Result<Written> {
        let object = Object::new(contiguous(&payload), ObjectType::Normal, &options.metadata, self.clock.now());
        let written = object.written();
        self.state().insert("PutObject", key, object, options)?;
        Ok(written)
    }

    async fn get(&self, key: &Key, options: &GetOptions) -> Result<GotObject> {
        let operation = "GetObject";
        let state = self.state();
        let object = state.followed(operation, key)?;
        let error = |kind| Error::new(kind, operation, "").on_key(key.as_str());
        if options.if_match.as_ref().is_some_and(|etag| *etag != object.etag) {
            return Err(error(Kind::Precondition));
        }
        let size = object.bytes.len() as u64;
        let range = match options.range {
            None => ByteRange::new(0, size),
            Some(range) if range.is_empty() => return Err(error(Kind::Invalid)),
            Some(range) => ByteRange::new(range.start(), range.end().min(size)),
        };
        let range = range.ok_or_else(|| error(Kind::InvalidRange))?;
        if range.is_empty() && options.range.is_some() {
            return Err(error(Kind::InvalidRange));
        }
        let bounds = usize::try_from(range.start()).expect("within memory")
            ..usize::try_from(range.end()).expect("within memory");
        let bytes = object.bytes.slice(bounds);
        let crc64 = options.checksum.then_some(Crc64::EMPTY);
        let body = ObjectBody::new(MemoryBody { bytes: Some(bytes), crc64 });
        Ok(GotObject { meta: self.meta(object), range, body })
    }

    async fn head(&self, key: &Key) -> Result<ObjectMeta> {
        let state = self.state();
        Ok(self.meta(state.followed("HeadObject", key)?))
    }

    async fn stat(&self, key: &Key) -> Result<ObjectStat> {
        let state = self.state();
        let meta = state.object("GetObjectMeta", key)?.meta();
        Ok(ObjectStat { size: meta.size, etag: meta.etag, last_modified: meta.last_modified })
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage> {
        self.state().list(request)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.state().objects.remove(key);
        Ok(())
    }

    async fn delete_many(&self, keys: &[Key]) -> Result<Vec<Key>> {
        check_delete_many(keys)?;
        let mut state = self.state();
        keys.iter().for_each(|key| drop(state.objects.remove(key)));
        Ok(keys.to_vec())
    }

    async fn copy(&self, source: &CopySource, key: &Key, options: &CopyOptions) -> Result<Written> {
        let operation = "CopyObject";
        check_copy(source, key, options)?;
        let mut state = self.state();
        let original = self.source(&state, operation, source)?;
        let metadata = options.replace_metadata.as_ref().unwrap_or(&original.metadata);
        let copy = Object::new(original.bytes.clone(), ObjectType::Normal, metadata, self.clock.now());
        let written = copy.written();
        let put = PutOptions { headers: options.headers.clone(), ..PutOptions::default() };
        state.insert(operation, key, copy, &put)?;
        Ok(written)
    }

    async fn append(&self, key: &Key, position: u64, payload: Payload, options: &AppendOptions) -> Result<Appended> {
        let error = |kind| Error::new(kind, "AppendObject", "").on_key(key.as_str());
        let mut state = self.state();
        let (before, metadata) = match state.objects.get(key) {
            None => (Bytes::new(), options.put.metadata.clone()),
            Some(object) if object.object_type == ObjectType::Appendable => {
                (object.bytes.clone(), object.metadata.clone())
            }
            Some(_) => return Err(error(Kind::WrongType)),
        };
        let length = before.len() as u64;
        if position != length {
            return Err(error(Kind::WrongPosition { length: Some(length) }));
        }
        if length + payload.len() > APPENDABLE_BYTES_MAX {
            return Err(error(Kind::Invalid));
        }
        let mut bytes = BytesMut::from(before);
        payload.chunks().iter().for_each(|chunk| bytes.extend_from_slice(chunk));
        let object = Object::new(bytes.freeze(), ObjectType::Appendable, &metadata, self.clock.now());
        let written = object.written();
        let next_position = object.bytes.len() as u64;
        let put = if length == 0 { options.put.clone() } else { PutOptions::default() };
        state.insert("AppendObject", key, object, &put)?;
        Ok(Appended { etag: Some(written.etag), next_position, crc64: written.crc64 })
    }

    async fn create_upload(&self, key: &Key, options: &PutOptions) -> Result<Upload> {
        self.state().create_upload(key, options, self.clock.now())
    }

    async fn upload_part(&self, upload: &Upload, number: PartNumber, payload: Payload) -> Result<Part> {
        self.state().upload_part("UploadPart", upload, number, contiguous(&payload))
    }

    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: PartNumber,
        source: &CopySource,
        range: ByteRange,
    ) -> Result<Part> {
        let operation = "UploadPartCopy";
        let mut state = self.state();
        let original = self.source(&state, operation, source)?;
        if range.is_empty() || range.end() > original.bytes.len() as u64 {
            let kind = if range.is_empty() { Kind::Invalid } else { Kind::InvalidRange };
            return Err(Error::new(kind, operation, "").on_key(source.key.as_str()));
        }
        let bounds = usize::try_from(range.start()).expect("within memory")
            ..usize::try_from(range.end()).expect("within memory");
        state.upload_part(operation, upload, number, original.bytes.slice(bounds))
    }

    async fn complete_upload(&self, upload: &Upload, parts: &[Part], forbid_overwrite: bool) -> Result<Written> {
        self.state().complete_upload(upload, parts, forbid_overwrite, self.clock.now())
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<bool> {
        Ok(self.state().uploads.remove(&state::upload_key(upload)).is_some())
    }

    async fn list_parts(&self, upload: &Upload, after: Option<PartNumber>) -> Result<PartsPage> {
        self.state().list_parts(upload, after)
    }

    async fn list_uploads(&self, prefix: &Prefix, after: Option<&UploadMarker>) -> Result<UploadsPage> {
        Ok(self.state().list_uploads(prefix, after))
    }

    async fn put_symlink(&self, key: &Key, target: &Key, options: &PutOptions) -> Result<()> {
        let mut object = Object::new(Bytes::new(), ObjectType::Symlink, &options.metadata, self.clock.now());
        object.target = Some(target.clone());
        self.state().insert("PutSymlink", key, object, options)
    }

    async fn get_symlink(&self, key: &Key) -> Result<Symlink> {
        let state = self.state();
        let object = state.object("GetSymlink", key)?;
        match &object.target {
            Some(target) => Ok(Symlink {
                target: target.clone(),
                last_modified: Some(object.last_modified),
                etag: Some(object.etag.clone()),
                metadata: object.metadata.clone(),
            }),
            None => Err(Error::new(Kind::WrongType, "GetSymlink", "").on_key(key.as_str())),
        }
    }

    async fn bucket_info(&self) -> Result<BucketInfo> {
        Ok(BucketInfo {
            name: self.name.to_string(),
            location: "memory".to_owned(),
            storage_class: Some("Standard".to_owned()),
            versioning: Versioning::Unversioned,
            hierarchical: false,
            created: None,
        })
    }

    async fn bucket_stat(&self) -> Result<BucketStat> {
        let state = self.state();
        Ok(BucketStat {
            bytes: state.objects.values().map(|object| object.bytes.len() as u64).sum(),
            objects: state.objects.len() as u64,
            uploads: state.uploads.len() as u64,
        })
    }
}
