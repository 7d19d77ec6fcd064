//! A ledger that fails: nothing is destroyed that it does not justify, and it catches up.

use crate::mount::Mount;
use ossfs_ledger::{Change, Ledger, LedgerError, MemoryLedger, NodeId, Record, RecordKey};
use ossfs_types::SystemClock;
use ossfs_volume::Volume;
use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[derive(Debug, Default)]
struct Failing {
    inner: MemoryLedger,
    fails: AtomicBool,
}

impl Ledger for Failing {
    fn commit(&self, changes: &[Change]) -> Result<(), LedgerError> {
        match self.fails.load(Ordering::Relaxed) {
            true => Err(LedgerError("the disk is full".to_owned())),
            false => self.inner.commit(changes),
        }
    }

    fn sync(&self) -> Result<(), LedgerError> {
        Ok(())
    }

    fn load(&self) -> Result<Vec<(RecordKey, Record)>, LedgerError> {
        self.inner.load()
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_deleted_that_the_ledger_does_not_justify() {
    let mount = Mount::new();
    mount.outsider_puts("f", b"1").await;
    let ledger = Arc::new(Failing::default());
    let volume =
        Volume::open(mount.store.clone(), ledger.clone(), Arc::new(SystemClock), mount.options.clone()).unwrap();
    ledger.fails.store(true, Ordering::Relaxed);
    volume.unlink(NodeId::ROOT, OsStr::new("f")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(mount.object("f").await, b"1", "without a record it stays");
    ledger.fails.store(false, Ordering::Relaxed);
    volume.settled().await;
    assert!(mount.objects().await.is_empty());
    assert_eq!(ledger.load(), Ok(Vec::new()));
    volume.close();
}
