//! A file system over a store and a ledger; runs whole in a unit test. Knows no kernel and no FUSE.
//!
//! [`Volume`] has the calls; `ops` carries them out over the `tree`, which says what is known and what is to become of it;
//! `settle` carries that to the bucket.

mod api;
mod core;
mod errors;
mod format;
mod ops;
mod options;
mod read;
mod settle;
mod tree;
mod write;

pub use api::*;
pub use errors::{Error, Result};
pub use format::MimeTypes;
pub use ops::{Synced, Syncing};
pub use options::{AppendMode, VolumeOptions};

use crate::core::Core;
use ossfs_ledger::{ContentSource, Ledger, LedgerError, Record, RecordKey, Staging};
use ossfs_store::ObjectStore;
use ossfs_types::Clock;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tree::Tree;

/// How often a look is taken at what is not settled, besides when something was.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Refuses to go on with records whose bytes are all somewhere else. (What of them is damaged or missing only concerns its
/// file.)
fn check_staged(records: &[(RecordKey, Record)], staging: &Staging) -> Result<(), LedgerError> {
    let extents = records.iter().filter_map(|(_, record)| match record {
        Record::Content(content) => Some(&content.extents),
        _ => None,
    });
    let pieces = extents.flatten().filter_map(|extent| match &extent.source {
        ContentSource::Staged { piece, .. } => Some(piece.segment),
        _ => None,
    });
    let named: BTreeSet<u64> = pieces.collect();
    if named.is_empty() || named.iter().any(|segment| staging.has(*segment)) {
        return Ok(());
    }
    Err(LedgerError(format!(
        "bytes that an earlier mount staged and that are not in the bucket yet are not in {}: mount with the staging_dir \
         of that mount",
        staging.place()
    )))
}

/// A mounted bucket. Clones are the same volume. Dropping a call's future is always safe.
#[derive(Debug, Clone)]
pub struct Volume {
    core: Arc<Core>,
}

impl Volume {
    /// Opens a volume: reads the ledger, and begins to settle in the background, on the caller's runtime.
    pub fn open(
        store: Arc<dyn ObjectStore>,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        options: VolumeOptions,
    ) -> Result<Self, LedgerError> {
        let records = ledger.load()?;
        check_staged(&records, ledger.staging())?;
        let mut tree = Tree::load(options.prefix.clone(), records, ledger.staging());
        tree.quarantine_all(Instant::now() + settle::QUARANTINE);
        let core = Arc::new(Core::new(store, ledger, clock, options, tree));
        settle::spawn(&core);
        settle::spawn_timer(&core);
        core.change(|_| ());
        Ok(Self { core })
    }

    /// What is not in the bucket yet.
    pub fn unsettled(&self) -> Unsettled {
        self.core.unsettled()
    }

    /// Waits until the bucket alone describes everything, as long as it takes.
    pub async fn settled(&self) {
        while !self.core.unsettled().is_empty() {
            let progress = self.core.progress.notified();
            // It is late only if something was settled between the look and the wait.
            let _ = tokio::time::timeout(LOOK_INTERVAL, progress).await;
        }
    }

    /// Settles what is open for writing too, as it is now: nobody may ever close it.
    pub fn settle_open_files(&self) {
        self.core.change(|world| {
            let open: Vec<NodeId> =
                world.tree.nodes().filter(|(_, node)| node.recorded && node.writers > 0).map(|(id, _)| id).collect();
            for id in open {
                world.tree.urge(id);
            }
        });
    }

    /// Settles nothing more. What is not in the bucket stays in the ledger.
    pub fn close(&self) {
        self.core.queue.close();
    }
}
