//! The seam between the file system and what keeps its records.

use crate::schema::{Change, Record, RecordKey};
use crate::staging::Staging;
use std::fmt::Debug;
use std::sync::Arc;

/// The result of a ledger's operation.
pub type Result<T, E = LedgerError> = std::result::Result<T, E>;

/// Why a ledger failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the ledger failed: {0}")]
pub struct LedgerError(pub String);

/// Keeps records.
///
/// The contract, which `contract` runs against every implementation:
///
/// * A commit is whole or not at all, and later commits are not kept without earlier ones.
/// * What was committed is loaded again, in the order of the keys.
/// * What was synced survives a power loss; what was committed survives the end of the process where the ledger is a
///   durable one.
/// * A record that was synced names no bytes that a power loss takes: what was [staged](Ledger::staging) before it was
///   committed is synced with it.
pub trait Ledger: Send + Sync + Debug {
    /// Commits changes as one. Does not wait for the disk.
    fn commit(&self, changes: &[Change]) -> Result<()>;

    /// Returns when everything committed before survives a power loss.
    fn sync(&self) -> Result<()>;

    /// Whether [`sync`](Self::sync) waits for a disk, so that it must not be called where nothing may block.
    fn sync_waits(&self) -> bool {
        false
    }

    /// Keeps the bytes that records name.
    fn staging(&self) -> &Arc<Staging>;

    /// All records.
    fn load(&self) -> Result<Vec<(RecordKey, Record)>>;
}
