//! What the ledger says of the bytes of a file that is not as the bucket shows it.

use super::Ident;
use ossfs_types::{ByteRange, Crc64, ETag, Key};
use std::sync::Arc;

/// The bytes of a file, as they were when this was recorded. What was written since is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentRecord {
    /// The generation of the content that this is.
    pub generation: u64,
    /// They tile the file from 0 to its end, in order.
    pub extents: Vec<ContentExtent>,
    /// The upload that has some of them.
    pub upload: Option<OpenUpload>,
}

/// A run of bytes that are in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentExtent {
    /// Where they are in the file; never empty.
    pub range: ByteRange,
    /// The generation of the content that they were written at.
    pub generation: u64,
    /// Where they are.
    pub source: ContentSource,
}

/// Where bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentSource {
    /// In the object that is the node's current version, at the same offset.
    Base,
    /// Nowhere: they are zero.
    Zero,
    /// In a piece that is staged.
    Staged {
        /// The piece.
        piece: Piece,
        /// Where they begin in it.
        offset: u64,
    },
    /// In an object that may be another file's.
    Borrowed {
        /// Its key.
        key: Key,
        /// Which version of it.
        ident: Ident,
        /// Where they begin in it.
        offset: u64,
    },
    /// In parts of the upload.
    Sent,
}

/// An upload to be completed with these parts and no others: whoever does that, and however often it is tried, the object is
/// the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenUpload {
    /// OSS's id of it. The node's intent has it too, as long as the upload is not given up.
    pub id: Arc<str>,
    /// The generation of the content that its object shows.
    pub generation: u64,
    /// They tile the file from 0 on. Their numbers count from 1.
    pub parts: Vec<UploadPart>,
}

/// One part of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadPart {
    /// Bytes; never 0.
    pub len: u64,
    /// What the bucket has of it; nothing, as long as its bytes are here.
    pub sent: Option<SentPart>,
}

/// A part that the bucket has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentPart {
    /// What completes the upload with it.
    pub etag: ETag,
    /// Its checksum, where it is known.
    pub crc64: Option<Crc64>,
}

/// Bytes that were staged as one, with their checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Number of the segment that they are in.
    pub segment: u64,
    /// Where they begin in the segment.
    pub offset: u64,
    /// Their number.
    pub len: u64,
    /// Their checksum.
    pub crc64: Crc64,
}
