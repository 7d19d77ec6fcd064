//! What the bucket does not say yet.
//!
//! [`Ledger`] keeps records and commits changes of several at once; what the records mean is in `schema` and in
//! `ossfs-volume`, which alone decides. [`Staging`] keeps the bytes that records name. [`LmdbLedger`] keeps both on disk, in
//! a [`StateDirectory`]. This crate knows no HTTP and no kernel.

mod api;
mod cache;
pub mod contract;
mod encode;
mod environment;
mod fields;
mod inspect;
mod journal;
mod lmdb;
mod memory;
mod open_error;
#[cfg(test)]
mod samples;
mod schema;
mod staging;
mod state_directory;

pub use api::{Ledger, LedgerError, Result};
pub use cache::{AttributeCache, CachedAttributes, FileCache, MemoryCache};
pub use lmdb::{LmdbLedger, SYNC_INTERVAL};
pub use memory::MemoryLedger;
pub use open_error::OpenError;
pub use schema::{
    Change, Claim, ContentExtent, ContentRecord, ContentSource, Expect, Home, Ident, Intent, IntentKind, Link,
    LinkList, Name, NodeId, NodeRecord, OpenUpload, Piece, Record, RecordKey, SentPart, Tomb, UploadPart,
};
pub use staging::{DirectoryMedium, Medium, MemoryMedium, PIECE_BYTES_MAX, Staging, StagingError};
pub use state_directory::StateDirectory;
