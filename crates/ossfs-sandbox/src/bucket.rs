//! A bucket: its settings, its objects and its uploads in progress.
//!
//! Everything here is state in memory and decisions about it; nothing does I/O. Whoever owns the buckets changes them.

use crate::budget::Charge;
use crate::content::Content;
use crate::error::{Code, OssError, Result};
use crate::object::{Acl, Attributes, Object, StorageClass};
use ossfs_types::limits::PART_BYTES_MIN;
use ossfs_types::{BucketName, Crc64, ETag, Key, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Memory of a part without its content, about what was measured.
pub(crate) const PART_WEIGHT_BYTES: u64 = 256;

/// Whether old versions of objects are kept. The sandbox keeps none: the state is said back, and lifts
/// `x-oss-forbid-overwrite` as it does in OSS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Versioning {
    Never,
    Enabled,
    Suspended,
}

impl Versioning {
    /// OSS's name of the state; nothing for a bucket that never had it.
    pub(crate) fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Never => None,
            Self::Enabled => Some("Enabled"),
            Self::Suspended => Some("Suspended"),
        }
    }
}

/// What can be set of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Settings {
    pub(crate) acl: Acl,
    pub(crate) class: StorageClass,
    /// `LRS` or `ZRS`.
    pub(crate) redundancy: String,
    pub(crate) versioning: Versioning,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            acl: Acl::Private,
            class: StorageClass::Standard,
            redundancy: "LRS".to_owned(),
            versioning: Versioning::Never,
        }
    }
}

/// One part of an upload.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) content: Content,
    pub(crate) etag: ETag,
    pub(crate) crc: Crc64,
    pub(crate) modified: Timestamp,
    /// The memory of its record.
    pub(crate) _charge: Arc<Charge>,
}

/// A multipart upload in progress.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) initiated: Timestamp,
    pub(crate) attributes: Arc<Attributes>,
    pub(crate) parts: BTreeMap<u32, Part>,
    pub(crate) charge: Arc<Charge>,
}

impl Upload {
    /// The parts that a completion names, in its order, if they may become an object.
    pub(crate) fn chosen(&self, named: &[(u32, String)]) -> Result<Vec<(u32, Part)>> {
        let mut chosen: Vec<(u32, Part)> = Vec::with_capacity(named.len());
        for (number, etag) in named {
            if chosen.last().is_some_and(|(last, _)| last >= number) {
                return Err(Code::InvalidPartOrder.into());
            }
            let wrong = || {
                let error = OssError::new(Code::InvalidPart).detail("PartNumber", number.to_string());
                error.detail("ETag", etag.clone())
            };
            let part = self.parts.get(number).ok_or_else(wrong)?;
            if ETag::parse(etag).is_none_or(|etag| !etag.as_str().eq_ignore_ascii_case(part.etag.as_str())) {
                return Err(wrong());
            }
            chosen.push((*number, part.clone()));
        }
        Self::check_sizes(&chosen)?;
        Ok(chosen)
    }

    /// All parts, if they may become an object.
    pub(crate) fn all(&self) -> Result<Vec<(u32, Part)>> {
        let chosen: Vec<(u32, Part)> = self.parts.iter().map(|(number, part)| (*number, part.clone())).collect();
        Self::check_sizes(&chosen)?;
        Ok(chosen)
    }

    fn check_sizes(chosen: &[(u32, Part)]) -> Result<()> {
        let Some((_, all_but_last)) = chosen.split_last() else { return Err(Code::MalformedXml.into()) };
        for (number, part) in all_but_last {
            if part.content.len() < PART_BYTES_MIN {
                return Err(OssError::new(Code::EntityTooSmall)
                    .detail("ETag", part.etag.as_str())
                    .detail("MinSizeAllowed", PART_BYTES_MIN.to_string())
                    .detail("ProposedSize", part.content.len().to_string())
                    .detail("PartNumber", number.to_string()));
            }
        }
        Ok(())
    }
}

/// What a bucket holds. The uploads of a key are in the order of their ids.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) objects: BTreeMap<Key, Arc<Object>>,
    pub(crate) uploads: BTreeMap<Key, BTreeMap<String, Arc<Upload>>>,
    /// Bytes of all objects.
    pub(crate) stored_bytes: u64,
    /// Set when the bucket was deleted: whoever still holds it finds it gone.
    pub(crate) deleted: bool,
}

impl State {
    pub(crate) fn upload(&self, key: &Key, id: &str) -> Option<&Arc<Upload>> {
        self.uploads.get(key)?.get(id)
    }

    /// Replaces or removes an object; gives the old one, to be dropped outside of locks.
    pub(crate) fn set_object(&mut self, key: &Key, object: Option<Arc<Object>>) -> Option<Arc<Object>> {
        let added = object.as_ref().map_or(0, |object| object.content.len());
        let old = match object {
            Some(object) => self.objects.insert(key.clone(), object),
            None => self.objects.remove(key),
        };
        let removed = old.as_ref().map_or(0, |object| object.content.len());
        self.stored_bytes = self.stored_bytes + added - removed;
        old
    }

    /// Replaces or removes an upload; gives the old one, to be dropped outside of locks.
    pub(crate) fn set_upload(&mut self, key: &Key, id: &str, upload: Option<Arc<Upload>>) -> Option<Arc<Upload>> {
        match upload {
            Some(upload) => self.uploads.entry(key.clone()).or_default().insert(id.to_owned(), upload),
            None => {
                let uploads = self.uploads.get_mut(key)?;
                let old = uploads.remove(id);
                if uploads.is_empty() {
                    self.uploads.remove(key);
                }
                old
            }
        }
    }

    /// Adds or replaces a part of an upload; gives the old one, to be dropped outside of locks.
    pub(crate) fn set_part(&mut self, key: &Key, id: &str, number: u32, part: Part) -> Option<Part> {
        let upload = self.uploads.get_mut(key)?.get_mut(id)?;
        // Copied only while somebody lists the parts.
        Arc::make_mut(upload).parts.insert(number, part)
    }

    /// Whether `x-oss-forbid-overwrite` stops a write to `key`.
    pub(crate) fn check_overwrite(&self, key: &Key, forbid: bool) -> Result<()> {
        if forbid && self.settings.versioning == Versioning::Never && self.objects.contains_key(key) {
            return Err(Code::FileAlreadyExists.into());
        }
        Ok(())
    }
}

/// A bucket.
///
/// Whoever changes it holds the commit lock from its first look to its last change, also while it writes records to the
/// disk; the state is locked only for an instant. So readers never wait for a disk, and what a change saw stays true.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) name: BucketName,
    pub(crate) created: Timestamp,
    commits: Mutex<()>,
    state: RwLock<State>,
}

impl Bucket {
    pub(crate) fn new(name: BucketName, created: Timestamp, state: State) -> Arc<Self> {
        Arc::new(Self { name, created, commits: Mutex::new(()), state: RwLock::new(state) })
    }

    /// For whoever is about to change it. Taken before the state's locks, never after.
    pub(crate) fn commit_lock(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data of its own: a panic elsewhere leaves nothing half done in it.
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only under the commit lock.
    pub(crate) fn write(&self, _commit: &MutexGuard<'_, ()>) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn object(&self, key: &Key) -> Option<Arc<Object>> {
        self.read().objects.get(key).cloned()
    }
}
