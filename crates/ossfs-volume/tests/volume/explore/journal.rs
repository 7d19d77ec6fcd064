//! A ledger that keeps every commit, so that it can be had as it was after each.

use ossfs_ledger::{Change, Ledger, LedgerError, MemoryLedger, Record, RecordKey, Staging};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Debug, Default)]
struct Log {
    commits: Vec<Vec<Change>>,
    /// So many of them survive a power loss.
    synced: usize,
}

/// A ledger that keeps every commit.
#[derive(Debug, Default)]
pub(super) struct Journal {
    log: Mutex<Log>,
    /// Keeps what is staged.
    bytes: MemoryLedger,
}

impl Journal {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    /// Number of commits.
    pub(super) fn commits(&self) -> usize {
        self.log().commits.len()
    }

    /// Number of commits that survive a power loss.
    pub(super) fn synced(&self) -> usize {
        self.log().synced
    }

    /// The ledger as it was after so many commits.
    pub(super) fn after(&self, commits: usize) -> Self {
        let kept = self.log().commits[..commits].to_vec();
        Self { log: Mutex::new(Log { synced: kept.len(), commits: kept }), bytes: self.bytes.killed() }
    }
}

impl Ledger for Journal {
    fn commit(&self, changes: &[Change]) -> Result<(), LedgerError> {
        self.log().commits.push(changes.to_vec());
        Ok(())
    }

    fn sync(&self) -> Result<(), LedgerError> {
        self.bytes.sync()?;
        let mut log = self.log();
        log.synced = log.commits.len();
        Ok(())
    }

    fn staging(&self) -> &Arc<Staging> {
        self.bytes.staging()
    }

    fn load(&self) -> Result<Vec<(RecordKey, Record)>, LedgerError> {
        let mut records = BTreeMap::new();
        for change in self.log().commits.iter().flatten() {
            match &change.record {
                Some(record) => drop(records.insert(change.key.clone(), record.clone())),
                None => drop(records.remove(&change.key)),
            }
        }
        Ok(records.into_iter().collect())
    }
}
