//! A ledger that fails: nothing is destroyed that it does not justify, and it catches up.

use crate::mount::{ME, Mount, WRITE};
use ossfs_ledger::{Change, Ledger, LedgerError, MemoryLedger, NodeId, Record, RecordKey, Staging};
use ossfs_types::SystemClock;
use ossfs_volume::{Error, OpenMode, SetAttributes, Volume};
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

    fn staging(&self) -> &Arc<Staging> {
        self.inner.staging()
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
    assert_eq!(volume.unlink(NodeId::ROOT, OsStr::new("f")).await, Err(Error::Failed));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(mount.object("f").await, b"1", "without a record it stays");
    ledger.fails.store(false, Ordering::Relaxed);
    volume.settled().await;
    assert!(mount.objects().await.is_empty());
    assert_eq!(ledger.load(), Ok(Vec::new()));
    volume.close();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_answered_that_the_ledger_does_not_have() {
    let mount = Mount::new();
    mount.outsider_puts("f", b"1").await;
    mount.outsider_puts("g", b"2").await;
    let ledger = Arc::new(Failing::default());
    let volume =
        Volume::open(mount.store.clone(), ledger.clone(), Arc::new(SystemClock), mount.options.clone()).unwrap();
    let mut mount = mount;
    mount.volume = volume.clone();
    let (f, root) = (mount.at("f").await.unwrap(), NodeId::ROOT);
    let mode = SetAttributes { mode: Some(0o600), ..SetAttributes::default() };
    for call in 0..5 {
        ledger.fails.store(true, Ordering::Relaxed);
        let answered = match call {
            0 => volume.unlink(root, OsStr::new("g")).await,
            1 => volume.rename(root, OsStr::new("f"), root, OsStr::new("h"), false).await,
            2 => volume.make_directory(root, OsStr::new("d"), 0o755, ME).await.map(drop),
            3 => volume.set_attributes(f, mode).await.map(drop),
            _ => volume.create(root, OsStr::new("n"), 0o644, WRITE, ME).await.map(drop),
        };
        assert_eq!(answered, Err(Error::Failed), "call {call}");
        let cut = volume.open_file(f, OpenMode { truncate: true, ..WRITE }).await.map(drop);
        assert_eq!(cut, Err(Error::Failed), "after call {call}");
        ledger.fails.store(false, Ordering::Relaxed);
        volume.settled().await;
    }
    assert_eq!(mount.read("h").await.unwrap(), b"1", "what was only read was not cut");
    mount.write("h", b"3").await.unwrap();
    volume.settled().await;
    assert_eq!(mount.object("h").await, b"3");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ledger.load(), Ok(Vec::new()));
    volume.close();
}
