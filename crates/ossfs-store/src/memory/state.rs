//! What the bucket in memory holds: objects and their listing.

use super::uploads::UploadState;
use crate::api::{ListEntry, ListPage, ListRequest, Metadata, ObjectMeta, ObjectType, PutOptions, Upload, Written};
use crate::error::{Error, Kind, Result};
use bytes::Bytes;
use md5::{Digest, Md5};
use ossfs_types::limits::{LIST_KEYS_MAX, PUT_BYTES_MAX};
use ossfs_types::{Crc64, ETag, Key, Prefix, Timestamp};
use std::collections::BTreeMap;
use std::ops::Bound;

/// One version of an object.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub bytes: Bytes,
    pub etag: ETag,
    pub crc64: Crc64,
    pub last_modified: Timestamp,
    pub object_type: ObjectType,
    pub metadata: Metadata,
    /// Of symlinks.
    pub target: Option<Key>,
}

/// The MD5 of some bytes as OSS writes it in ETags.
pub(super) fn md5_etag(bytes: &[u8]) -> ETag {
    ETag::parse(&hex::encode_upper(Md5::digest(bytes))).expect("hexadecimal digits make an ETag")
}

impl Object {
    pub(super) fn new(bytes: Bytes, object_type: ObjectType, metadata: &Metadata, now: Timestamp) -> Self {
        let whole_seconds = Timestamp::from_second(now.as_second()).expect("an earlier time than a valid one");
        Self {
            etag: md5_etag(&bytes),
            crc64: Crc64::of(&bytes),
            bytes,
            last_modified: whole_seconds,
            object_type,
            metadata: metadata.clone(),
            target: None,
        }
    }

    pub(super) fn written(&self) -> Written {
        Written { etag: self.etag.clone(), crc64: Some(self.crc64) }
    }

    pub(super) fn meta(&self) -> ObjectMeta {
        ObjectMeta {
            size: self.bytes.len() as u64,
            etag: self.etag.clone(),
            last_modified: self.last_modified,
            object_type: self.object_type,
            storage_class: Some("Standard".to_owned()),
            encryption: None,
            crc64: Some(self.crc64),
            metadata: self.metadata.clone(),
            answered_at: None,
        }
    }
}

/// Everything in the bucket.
#[derive(Debug, Default, Clone)]
pub(super) struct State {
    pub objects: BTreeMap<Key, Object>,
    /// By key and id, the order in which they are listed.
    pub uploads: BTreeMap<(Key, String), UploadState>,
    pub uploads_begun: u64,
}

/// Where an upload stands in the state.
pub(super) fn upload_key(upload: &Upload) -> (Key, String) {
    (upload.key.clone(), upload.id.as_str().to_owned())
}

impl State {
    /// The object at a key; a symlink as itself.
    pub(super) fn object(&self, operation: &'static str, key: &Key) -> Result<&Object> {
        self.objects.get(key).ok_or_else(|| Error::new(Kind::NotFound, operation, "").on_key(key.as_str()))
    }

    /// The object at a key; of a symlink its target.
    pub(super) fn followed(&self, operation: &'static str, key: &Key) -> Result<&Object> {
        let object = self.object(operation, key)?;
        let Some(target) = &object.target else { return Ok(object) };
        let target = self.object(operation, target)?;
        match target.target {
            None => Ok(target),
            Some(_) => Err(Error::new(Kind::WrongType, operation, "a symlink to a symlink").on_key(key.as_str())),
        }
    }

    /// Puts an object at a key, if the options and OSS's limits allow it.
    pub(super) fn insert(
        &mut self,
        operation: &'static str,
        key: &Key,
        object: Object,
        options: &PutOptions,
    ) -> Result<()> {
        let error = |kind| Error::new(kind, operation, "").on_key(key.as_str());
        if options.headers.forbid_overwrite && self.objects.contains_key(key) {
            return Err(error(Kind::AlreadyExists));
        }
        if object.object_type == ObjectType::Normal && object.bytes.len() as u64 > PUT_BYTES_MAX {
            return Err(error(Kind::Invalid));
        }
        let invalid = |problem| Error::new(Kind::Invalid, operation, problem).on_key(key.as_str());
        object.metadata.check().map_err(invalid)?;
        self.objects.insert(key.clone(), object);
        Ok(())
    }

    pub(super) fn list(&self, request: &ListRequest) -> Result<ListPage> {
        if !(1..=LIST_KEYS_MAX).contains(&request.entries_max) {
            return Err(Error::new(
                Kind::Invalid,
                "ListObjectsV2",
                format!("a page of {} entries", request.entries_max),
            ));
        }
        let prefix = request.prefix.as_str();
        let after = request.continuation.as_deref().or(request.start_after.as_deref());
        let from = after.filter(|after| *after >= prefix).map_or(Bound::Included(prefix), Bound::Excluded);
        let mut page = ListPage::default();
        let mut last: Option<String> = None;
        for (key, object) in self.objects.range::<str, _>((from, Bound::Unbounded)) {
            let Some(rest) = key.as_str().strip_prefix(prefix) else { break };
            let folded = request.delimiter.and_then(|delimiter| {
                let end = prefix.len() + rest.find(delimiter)? + delimiter.len();
                Some(&key.as_str()[..end])
            });
            // A common prefix stands once, on the page where its first key would have stood.
            let seen = |folded: &str| last.as_deref() == Some(folded) || after == Some(folded);
            if folded.is_some_and(seen) {
                continue;
            }
            if page.objects.len() + page.prefixes.len() == request.entries_max {
                page.next = last;
                break;
            }
            match folded {
                Some(folded) => page.prefixes.push(Prefix::parse(folded).expect("the beginning of a key is a prefix")),
                None => page.objects.push(entry(key, object)),
            }
            last = Some(folded.unwrap_or(key.as_str()).to_owned());
        }
        Ok(page)
    }
}

fn entry(key: &Key, object: &Object) -> ListEntry {
    ListEntry {
        key: key.clone(),
        size: object.bytes.len() as u64,
        etag: object.etag.clone(),
        last_modified: object.last_modified,
        object_type: object.object_type,
        storage_class: Some("Standard".to_owned()),
    }
}
