//! The records of the data directory, and the way from them to what they describe and back.

use crate::blob::BlobDir;
use crate::bucket::{PART_WEIGHT_BYTES, Part, Settings, Upload};
use crate::budget::{Budget, Charge};
use crate::content::{Content, Piece, Source};
use crate::object::{Acl, Attributes, Kind, Object, StorageClass, Tags};
use http::{HeaderName, HeaderValue};
use ossfs_types::{Crc64, ETag, Key, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

/// What goes along while records are read: the blobs they name, and how many were damaged.
pub(super) struct Reading<'a> {
    dir: &'a Arc<BlobDir>,
    budget: &'a Arc<Budget>,
    /// The blobs seen so far: all pieces of one share it, so that it lives as long as the last of them.
    blobs: BTreeMap<u64, (Arc<crate::blob::Blob>, u64)>,
    numbers: HashSet<u64>,
    damaged: usize,
}

impl<'a> Reading<'a> {
    pub(super) fn new(dir: &'a Arc<BlobDir>, budget: &'a Arc<Budget>) -> Self {
        Self { dir, budget, blobs: BTreeMap::new(), numbers: HashSet::new(), damaged: 0 }
    }

    pub(super) fn note_damage(&mut self, path: &Path, error: &dyn Display) {
        tracing::warn!("cannot use {}: {error}", path.display());
        self.damaged += 1;
    }

    pub(super) fn damaged(&self) -> usize {
        self.damaged
    }

    /// All blobs that records name.
    pub(super) fn blobs(&self) -> &HashSet<u64> {
        &self.numbers
    }

    fn content(&mut self, pieces: &[PieceRecord]) -> Option<Content> {
        let mut found = Vec::with_capacity(pieces.len());
        for PieceRecord(number, offset, len) in pieces {
            if !self.blobs.contains_key(number) {
                let blob = self.dir.existing(*number).ok()?;
                self.blobs.insert(*number, blob);
                self.numbers.insert(*number);
            }
            let (blob, blob_len) = self.blobs.get(number)?;
            if offset.checked_add(*len)? > *blob_len {
                return None;
            }
            found.push(Piece { source: Source::File(blob.clone()), offset: *offset, len: *len });
        }
        Some(Content::from_pieces(found))
    }

    fn charge(&self, bytes: u64) -> Option<Arc<Charge>> {
        self.budget.charge(bytes).ok().map(Arc::new)
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct BucketRecord {
    pub(super) created: i64,
    pub(super) settings: Settings,
}

/// Number of a blob, offset in it, length.
#[derive(Serialize, Deserialize)]
struct PieceRecord(u64, u64, u64);

fn pieces(content: &Content) -> Vec<PieceRecord> {
    let record = |piece: &Piece| match &piece.source {
        Source::File(blob) => Some(PieceRecord(blob.number(), piece.offset, piece.len)),
        // With a data directory all content is in files.
        Source::Memory(_) => None,
    };
    content.pieces().iter().filter_map(record).collect()
}

#[derive(Serialize, Deserialize)]
struct AttributesRecord {
    headers: Vec<(String, Vec<u8>)>,
    encryption: Vec<(String, Vec<u8>)>,
    class: StorageClass,
    acl: Acl,
    tags: Tags,
}

impl AttributesRecord {
    fn new(attributes: &Attributes) -> Self {
        let texts = |headers: &[(HeaderName, HeaderValue)]| {
            headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
        };
        Self {
            headers: texts(&attributes.headers),
            encryption: texts(&attributes.encryption),
            class: attributes.class,
            acl: attributes.acl,
            tags: attributes.tags.clone(),
        }
    }

    fn into_attributes(self) -> Option<Arc<Attributes>> {
        let headers = |texts: Vec<(String, Vec<u8>)>| -> Option<Vec<(HeaderName, HeaderValue)>> {
            let header = |(name, value): (String, Vec<u8>)| {
                Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
            };
            texts.into_iter().map(header).collect()
        };
        Some(Arc::new(Attributes {
            headers: headers(self.headers)?,
            encryption: headers(self.encryption)?,
            class: self.class,
            acl: self.acl,
            tags: self.tags,
        }))
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ObjectRecord {
    key: String,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    etag: String,
    crc: u64,
    modified: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restored_until: Option<i64>,
    pieces: Vec<PieceRecord>,
    attributes: AttributesRecord,
}

impl ObjectRecord {
    pub(super) fn new(key: &Key, object: &Object) -> Self {
        Self {
            key: key.to_string(),
            kind: object.kind.as_str().to_owned(),
            target: match &object.kind {
                Kind::Symlink { target } => Some(target.to_string()),
                Kind::Normal | Kind::Multipart | Kind::Appendable => None,
            },
            etag: object.etag.to_string(),
            crc: object.crc.to_u64(),
            modified: object.modified.as_second(),
            restored_until: object.restored_until.map(Timestamp::as_second),
            pieces: pieces(&object.content),
            attributes: AttributesRecord::new(&object.attributes),
        }
    }

    pub(super) fn into_object(self, reading: &mut Reading) -> Option<(Key, Object)> {
        let key = Key::parse(&self.key).ok()?;
        let kind = match (self.kind.as_str(), self.target) {
            ("Normal", None) => Kind::Normal,
            ("Multipart", None) => Kind::Multipart,
            ("Appendable", None) => Kind::Appendable,
            ("Symlink", Some(target)) => Kind::Symlink { target: Key::parse(&target).ok()? },
            _ => return None,
        };
        let attributes = self.attributes.into_attributes()?;
        let object = Object {
            kind,
            content: reading.content(&self.pieces)?,
            etag: ETag::parse(&self.etag)?,
            crc: Crc64::from_u64(self.crc),
            modified: Timestamp::from_second(self.modified).ok()?,
            restored_until: self.restored_until.and_then(|second| Timestamp::from_second(second).ok()),
            charge: reading.charge(attributes.weight_bytes(&key))?,
            attributes,
        };
        Some((key, object))
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct UploadRecord {
    key: String,
    initiated: i64,
    attributes: AttributesRecord,
}

impl UploadRecord {
    pub(super) fn new(key: &Key, upload: &Upload) -> Self {
        Self {
            key: key.to_string(),
            initiated: upload.initiated.as_second(),
            attributes: AttributesRecord::new(&upload.attributes),
        }
    }

    pub(super) fn into_upload(self, reading: &mut Reading) -> Option<(Key, Upload)> {
        let key = Key::parse(&self.key).ok()?;
        let attributes = self.attributes.into_attributes()?;
        let upload = Upload {
            initiated: Timestamp::from_second(self.initiated).ok()?,
            charge: reading.charge(attributes.weight_bytes(&key))?,
            attributes,
            parts: BTreeMap::new(),
        };
        Some((key, upload))
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct PartRecord {
    etag: String,
    crc: u64,
    modified: i64,
    pieces: Vec<PieceRecord>,
}

impl PartRecord {
    pub(super) fn new(part: &Part) -> Self {
        Self {
            etag: part.etag.to_string(),
            crc: part.crc.to_u64(),
            modified: part.modified.as_second(),
            pieces: pieces(&part.content),
        }
    }

    pub(super) fn into_part(self, reading: &mut Reading) -> Option<Part> {
        Some(Part {
            content: reading.content(&self.pieces)?,
            etag: ETag::parse(&self.etag)?,
            crc: Crc64::from_u64(self.crc),
            modified: Timestamp::from_second(self.modified).ok()?,
            _charge: reading.charge(PART_WEIGHT_BYTES)?,
        })
    }
}
