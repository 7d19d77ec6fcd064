//! A ledger in memory: lost with the process, kept over the end of a volume.

use crate::api::{Ledger, Result};
use crate::schema::{Change, Record, RecordKey};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// A ledger in memory.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    records: Mutex<BTreeMap<RecordKey, Record>>,
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Ledger for MemoryLedger {
    fn commit(&self, changes: &[Change]) -> Result<()> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match &change.record {
                Some(record) => drop(records.insert(change.key.clone(), record.clone())),
                None => drop(records.remove(&change.key)),
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn load(&self) -> Result<Vec<(RecordKey, Record)>> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(records.iter().map(|(key, record)| (key.clone(), record.clone())).collect())
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
