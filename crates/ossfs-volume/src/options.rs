//! How a volume behaves; the program makes it of what the user typed.

use crate::format::MimeTypes;
use ossfs_store::WriteHeaders;
use ossfs_types::Prefix;
use std::time::Duration;

/// How a file that is opened for appending becomes an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AppendMode {
    /// Like any other: what was there is copied on the server, the rest is uploaded.
    #[default]
    Copy,
    /// As an appendable object, if it has none yet: each time the new bytes alone are added, in one request.
    Appendable,
}

/// How a volume behaves.
#[derive(Debug, Clone)]
pub struct VolumeOptions {
    /// The part of the bucket that is shown: empty, or ends with `/`.
    pub prefix: Prefix,
    /// Owner of what has no owner in its metadata.
    pub uid: u32,
    /// Group of what has no group in its metadata.
    pub gid: u32,
    /// Permission bits of files without a mode in their metadata.
    pub file_mode: u32,
    /// Permission bits of directories without a mode in their metadata.
    pub directory_mode: u32,
    /// Permission bits of the root, where its metadata has none.
    pub root_mode: u32,
    /// Refuses every change with EROFS.
    pub read_only: bool,
    /// How long what the bucket said is believed.
    pub metadata_ttl: Duration,
    /// How long a name that is not there is believed not to be.
    pub negative_ttl: Duration,
    /// Takes a listing's word for files: no request for their attributes (`readdir_optimize`).
    pub trust_listing: bool,
    /// Requests in flight for metadata and settling, at most.
    pub parallel: usize,
    /// Bytes of one part of an upload that is streamed, at first; it grows with the file.
    pub part_bytes: u64,
    /// Bytes of memory for content: written and not uploaded yet, read and prefetched.
    pub memory_limit: u64,
    /// How long a call waits without progress before it fails with EIO.
    pub deadline: Duration,
    /// How long what was written to a file that stays open may wait for the bucket. What is streamed in parts appears when
    /// it is closed or synced.
    pub settle_interval: Duration,
    /// Whether closing a file waits only until it survives the daemon; it is uploaded a moment later.
    pub writeback: bool,
    /// How files that are opened for appending become objects.
    pub append: AppendMode,
    /// Storage class, ACL and encryption of new objects.
    pub headers: WriteHeaders,
    /// Whether the bucket ignores `forbid_overwrite`, as versioned buckets do.
    pub versioned: bool,
    /// Content types by extension.
    pub mime: MimeTypes,
}

impl Default for VolumeOptions {
    fn default() -> Self {
        Self {
            prefix: Prefix::all(),
            uid: 0,
            gid: 0,
            file_mode: 0o640,
            directory_mode: 0o750,
            root_mode: 0o750,
            read_only: false,
            metadata_ttl: Duration::from_secs(60),
            negative_ttl: Duration::from_secs(5),
            trust_listing: false,
            parallel: 32,
            part_bytes: 8 << 20,
            memory_limit: 256 << 20,
            deadline: Duration::from_secs(30),
            settle_interval: Duration::from_secs(5),
            writeback: false,
            append: AppendMode::Copy,
            headers: WriteHeaders::default(),
            versioned: false,
            mime: MimeTypes::default(),
        }
    }
}
