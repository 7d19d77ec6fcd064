//! A ledger in memory: lost with the process, kept over the end of a volume.

use crate::api::{Ledger, LedgerError, Result};
use crate::schema::{Change, Record, RecordKey};
use crate::staging::{MemoryMedium, Staging};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A ledger in memory.
#[derive(Debug)]
pub struct MemoryLedger {
    records: Mutex<BTreeMap<RecordKey, Record>>,
    staging: Arc<Staging>,
    medium: MemoryMedium,
}

impl Default for MemoryLedger {
    fn default() -> Self {
        Self::of(BTreeMap::new(), MemoryMedium::default())
    }
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    fn of(records: BTreeMap<RecordKey, Record>, medium: MemoryMedium) -> Self {
        let staging = Staging::open(medium.clone(), 0).expect("memory has no errors");
        Self { records: Mutex::new(records), staging: Arc::new(staging), medium }
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<RecordKey, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a process that is killed now leaves to the next one.
    pub fn killed(&self) -> Self {
        let records = self.records().clone();
        Self::of(records, self.medium.killed())
    }

    /// Where staged bytes are.
    pub fn medium(&self) -> &MemoryMedium {
        &self.medium
    }
}

impl Ledger for MemoryLedger {
    fn commit(&self, changes: &[Change]) -> Result<()> {
        let mut records = self.records();
        for change in changes {
            match &change.record {
                Some(record) => drop(records.insert(change.key.clone(), record.clone())),
                None => drop(records.remove(&change.key)),
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.staging.sync().map_err(|error| LedgerError(error.to_string()))
    }

    fn staging(&self) -> &Arc<Staging> {
        &self.staging
    }

    fn load(&self) -> Result<Vec<(RecordKey, Record)>> {
        Ok(self.records().iter().map(|(key, record)| (key.clone(), record.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_to_the_contract() {
        crate::contract::run(|| Box::new(MemoryLedger::new()));
    }
}
