//! The words of objects, listings and buckets.

use super::ObjectBody;
use bytes::Bytes;
use http::HeaderValue;
use ossfs_types::limits::{LIST_KEYS_MAX, USER_METADATA_BYTES_MAX};
use ossfs_types::{ByteRange, Crc64, ETag, Key, Prefix, Timestamp};
use std::collections::BTreeMap;

/// What users and programs attach to an object. Values are kept as the bytes they are, so that what others wrote
/// survives being read and written again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// `Content-Type`.
    pub content_type: Option<HeaderValue>,
    /// `Cache-Control`.
    pub cache_control: Option<HeaderValue>,
    /// `Content-Disposition`.
    pub content_disposition: Option<HeaderValue>,
    /// `Content-Encoding`.
    pub content_encoding: Option<HeaderValue>,
    /// `Content-Language`.
    pub content_language: Option<HeaderValue>,
    /// `Expires`.
    pub expires: Option<HeaderValue>,
    /// `x-oss-meta-*`, by name without that prefix: lowercase letters, digits and hyphens; names and values at most 8 KiB
    /// together.
    pub user: BTreeMap<String, HeaderValue>,
}

impl Metadata {
    /// OSS's rules for user metadata; or what is against them.
    pub(crate) fn check(&self) -> Result<(), String> {
        let letters = |name: &String| {
            let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            !name.is_empty() && name.bytes().all(valid)
        };
        if let Some(name) = self.user.keys().find(|name| !letters(name)) {
            return Err(format!("{name:?}: names of user metadata have lowercase letters, digits and hyphens only"));
        }
        let bytes: usize = self.user.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > USER_METADATA_BYTES_MAX {
            return Err(format!("{bytes} bytes of user metadata, at most {USER_METADATA_BYTES_MAX}"));
        }
        Ok(())
    }
}

/// What an object's content came to be by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectType {
    /// Put or copied whole.
    Normal,
    /// Completed from parts.
    Multipart,
    /// Made by appending; can be appended to.
    Appendable,
    /// A native symlink.
    Symlink,
    /// One that this program doesn't know.
    Other,
}

impl ObjectType {
    /// The type that OSS's name stands for.
    pub fn parse(name: &str) -> Self {
        match name {
            "Normal" => Self::Normal,
            "Multipart" => Self::Multipart,
            "Appendable" => Self::Appendable,
            "Symlink" => Self::Symlink,
            _ => Self::Other,
        }
    }
}

/// What is known of an object without its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectStat {
    /// Length in bytes.
    pub size: u64,
    /// The version of the content.
    pub etag: ETag,
    /// When it was written; whole seconds.
    pub last_modified: Timestamp,
}

/// All that is known of an object but its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Length in bytes of the whole object.
    pub size: u64,
    /// The version of the content.
    pub etag: ETag,
    /// When it was written; whole seconds.
    pub last_modified: Timestamp,
    /// What its content came to be by.
    pub object_type: ObjectType,
    /// Storage class as OSS names it (`Standard`, `IA`, `Archive`, …).
    pub storage_class: Option<String>,
    /// Server-side encryption as OSS names it (`AES256`, `KMS`).
    pub encryption: Option<String>,
    /// Checksum of the whole object.
    pub crc64: Option<Crc64>,
    /// What users and programs attached.
    pub metadata: Metadata,
    /// The store's time of day at the answer.
    pub answered_at: Option<Timestamp>,
}

/// Headers of a write that say how, not what, to store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteHeaders {
    /// Fails with `AlreadyExists` if the name is taken. OSS ignores it on buckets with versioning.
    pub forbid_overwrite: bool,
    /// `x-oss-storage-class`; the bucket's own if absent.
    pub storage_class: Option<HeaderValue>,
    /// `x-oss-object-acl`; the bucket's own if absent.
    pub acl: Option<HeaderValue>,
    /// `x-oss-server-side-encryption`; the bucket's own if absent.
    pub encryption: Option<HeaderValue>,
    /// `x-oss-server-side-encryption-key-id`, for `KMS`; the account's default key if absent.
    pub encryption_key: Option<HeaderValue>,
}

/// How a new object is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// What to attach to it.
    pub metadata: Metadata,
    /// How to store it.
    pub headers: WriteHeaders,
}

/// An append's particulars.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppendOptions {
    /// Checksum of the bytes before the position, where it is known: with it the answer can be checked, and an answer
    /// that was lost can be replaced by looking. Known by itself for position 0.
    pub crc64_before: Option<Crc64>,
    /// For position 0, which creates the object: how. Ignored elsewhere, as by OSS.
    pub put: PutOptions,
}

/// What a write made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The new version.
    pub etag: ETag,
    /// Checksum of the whole object; of copies and completions where OSS told it.
    pub crc64: Option<Crc64>,
}

/// What an append made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The new version, where the store tells it.
    pub etag: Option<ETag>,
    /// The object's length: the position of the next append.
    pub next_position: u64,
    /// Checksum of the whole object.
    pub crc64: Option<Crc64>,
}

/// Where a copy takes its bytes from, in the same bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySource {
    /// The source's key.
    pub key: Key,
    /// Fails with `Precondition` if the source is another version.
    pub if_match: Option<ETag>,
}

/// What a copy carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// What to attach instead of the source's metadata; `None` keeps the source's.
    pub replace_metadata: Option<Metadata>,
    /// How to store it.
    pub headers: WriteHeaders,
}

/// What to read of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetOptions {
    /// The bytes to read, not empty; the whole object if absent. A range that reaches past the end is cut; one that
    /// begins at or past the end fails with `InvalidRange`.
    pub range: Option<ByteRange>,
    /// Fails with `Precondition` if the object is another version.
    pub if_match: Option<ETag>,
    /// Whether to check a whole read against the object's CRC-64, and to compute it of ranges in
    /// [`read`](super::ObjectStore::read).
    pub checksum: bool,
}

impl Default for GetOptions {
    fn default() -> Self {
        Self { range: None, if_match: None, checksum: true }
    }
}

/// An object whose bytes are about to arrive.
#[derive(Debug)]
pub struct GotObject {
    /// All that is known of it.
    pub meta: ObjectMeta,
    /// The bytes that come.
    pub range: ByteRange,
    /// The bytes.
    pub body: ObjectBody,
}

/// Bytes of an object that have all arrived.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// All that is known of the object.
    pub meta: ObjectMeta,
    /// The bytes that came.
    pub range: ByteRange,
    /// The bytes, contiguous.
    pub bytes: Bytes,
    /// Their checksum, if it was asked for.
    pub crc64: Option<Crc64>,
}

/// A native symlink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symlink {
    /// The key it points to; it need not exist.
    pub target: Key,
    /// When it was written; whole seconds.
    pub last_modified: Option<Timestamp>,
    /// The version of the link itself.
    pub etag: Option<ETag>,
    /// What users and programs attached to the link itself.
    pub metadata: Metadata,
}

/// What to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// Only keys that begin with this.
    pub prefix: Prefix,
    /// Folds the keys that have it after the prefix into one common prefix each.
    pub delimiter: Option<&'static str>,
    /// Only keys after this one, in the order of bytes.
    pub start_after: Option<String>,
    /// Where the page before ended.
    pub continuation: Option<String>,
    /// Most entries of the page: 1 to 1,000.
    pub entries_max: usize,
}

impl ListRequest {
    /// A first page of everything under a prefix.
    pub fn all(prefix: Prefix) -> Self {
        Self { prefix, delimiter: None, start_after: None, continuation: None, entries_max: LIST_KEYS_MAX }
    }

    /// A first page of one directory: what lies under the prefix up to the next `/`.
    pub fn directory(prefix: Prefix) -> Self {
        Self { delimiter: Some("/"), ..Self::all(prefix) }
    }
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// The object's key.
    pub key: Key,
    /// Length in bytes; of symlinks the link's own.
    pub size: u64,
    /// The version of the content.
    pub etag: ETag,
    /// When it was written.
    pub last_modified: Timestamp,
    /// What its content came to be by.
    pub object_type: ObjectType,
    /// Storage class as OSS names it.
    pub storage_class: Option<String>,
}

/// One page of a listing, in the order of the keys' bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListPage {
    /// Objects.
    pub objects: Vec<ListEntry>,
    /// Common prefixes.
    pub prefixes: Vec<Prefix>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<String>,
}

/// Whether a bucket keeps old versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versioning {
    /// Never had versioning: the only state in which OSS honours `forbid_overwrite`.
    Unversioned,
    /// Every overwrite keeps the version before.
    Enabled,
    /// Once enabled, now off.
    Suspended,
}

/// What OSS says of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketInfo {
    /// Its name.
    pub name: String,
    /// Where it is, with the prefix `oss-`.
    pub location: String,
    /// Default storage class as OSS names it.
    pub storage_class: Option<String>,
    /// Whether it keeps old versions.
    pub versioning: Versioning,
    /// Whether it has a hierarchical namespace.
    pub hierarchical: bool,
    /// When it was made.
    pub created: Option<Timestamp>,
}

/// What OSS counts in a bucket; may lag by more than an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketStat {
    /// Bytes stored.
    pub bytes: u64,
    /// Number of objects.
    pub objects: u64,
    /// Number of multipart uploads in progress.
    pub uploads: u64,
}

/// A bucket of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSummary {
    /// Its name.
    pub name: String,
    /// Where it is, with the prefix `oss-`.
    pub location: String,
    /// Where requests for it go from outside.
    pub endpoint: Option<String>,
}
