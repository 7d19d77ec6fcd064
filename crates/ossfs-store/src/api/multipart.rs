//! The words of multipart uploads.

use ossfs_types::limits::PART_NUMBER_MAX;
use ossfs_types::{Crc64, ETag, Key, Timestamp};
use std::fmt;

/// The id that OSS gave to a multipart upload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UploadId(String);

impl UploadId {
    /// An id from an answer or a ledger; `None` if it is empty or not printable ASCII.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        valid.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A multipart upload that was begun: the key it is for, and its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Upload {
    /// Key of the object to be.
    pub key: Key,
    /// OSS's id of the upload.
    pub id: UploadId,
}

/// The number of a part: 1 to 10,000. Parts make up the object in the order of their numbers; gaps are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartNumber(u32);

impl PartNumber {
    /// The number, if it is one of a part.
    pub const fn new(number: u32) -> Option<Self> {
        if number >= 1 && number <= PART_NUMBER_MAX { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl fmt::Display for PartNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A part that the store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its place among the parts.
    pub number: PartNumber,
    /// What completes the upload with it.
    pub etag: ETag,
    /// Length in bytes.
    pub size: u64,
    /// Checksum, where it is known: always for parts that were uploaded, seldom for parts that were copied.
    pub crc64: Option<Crc64>,
}

/// One page of the parts of an upload, in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartsPage {
    /// The parts.
    pub parts: Vec<Part>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<PartNumber>,
}

/// An upload in a listing of uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadListEntry {
    /// The upload.
    pub upload: Upload,
    /// When it was begun.
    pub initiated: Timestamp,
}

/// Where the next page of a listing of uploads begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadMarker {
    /// The last key of the page before.
    pub key: String,
    /// The last upload id of the page before.
    pub id: String,
}

/// One page of the uploads in progress, ordered by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadsPage {
    /// The uploads.
    pub uploads: Vec<UploadListEntry>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<UploadMarker>,
}
