//! What the bucket does not say yet.
//!
//! [`Ledger`] keeps records and commits changes of several at once; what the records mean is in `schema` and in
//! `ossfs-volume`, which alone decides. This crate knows no HTTP and no kernel.

mod api;
pub mod contract;
mod memory;
mod schema;

pub use api::{Ledger, LedgerError, Result};
pub use memory::MemoryLedger;
pub use schema::{
    Change, Claim, Expect, Home, Ident, Intent, IntentKind, Name, NodeId, NodeRecord, Record, RecordKey, Tomb,
};
