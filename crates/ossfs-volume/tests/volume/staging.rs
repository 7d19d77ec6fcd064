//! Bytes that are not in the bucket survive the daemon, and the memory's limit.

use crate::mount::{Mount, WRITE, file, files};
use crate::weather::Weather;
use ossfs_ledger::{Change, Ledger, LedgerError, MemoryLedger, Record, RecordKey, Staging};
use ossfs_store::{Kind, ObjectStore};
use ossfs_types::{Key, SystemClock};
use ossfs_volume::{Error, Volume, VolumeOptions};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn writeback() -> VolumeOptions {
    VolumeOptions { writeback: true, ..VolumeOptions::default() }
}

/// A mount with `writeback`, with a file that is settled.
async fn with_old_file() -> Mount {
    let mount = Mount::with(writeback());
    mount.outsider_puts("f", b"old").await;
    mount.names("").await.unwrap();
    mount.store.take_counts();
    mount
}

/// Nothing is kept any more of what was staged.
async fn assert_nothing_staged(mount: &Mount) {
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(mount.ledger.medium().bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_closed_outlives_the_daemon_and_reaches_the_bucket() {
    let mut mount = with_old_file().await;
    mount.store.die(true);
    mount.write("f", b"new").await.unwrap();
    mount.write("g", b"another").await.unwrap();
    mount.write_at("g", 2, b"!!").await.unwrap();
    mount.mkdir("d").await.unwrap();
    mount.write("d/empty", b"").await.unwrap();
    mount.crash();
    let expected = files(&[("f", "new"), ("g", "an!!her"), ("d/empty", "")]);
    assert_eq!(mount.tree().await, expected);
    assert!(mount.volume.unsettled().bytes > 0);
    mount.crash();
    assert_eq!(mount.tree().await, expected);
    mount.store.die(false);
    mount.assert_settled_as(&expected).await;
    assert_eq!(mount.object("f").await, b"new");
    assert_nothing_staged(&mount).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_written_and_not_closed_is_as_it_was_last_closed() {
    let mut mount = Mount::with(writeback());
    mount.names("").await.unwrap();
    mount.store.die(true);
    mount.write("f", b"closed").await.unwrap();
    let handle = mount.open("f", WRITE).await.unwrap();
    mount.volume.write(handle, 0, "not closed".into()).await.unwrap();
    mount.crash();
    mount.store.die(false);
    mount.assert_settled_as(&files(&[("f", "closed")])).await;
}

#[tokio::test(start_paused = true)]
async fn a_save_by_a_temporary_name_is_one_request_and_a_look() {
    let mount = with_old_file().await;
    mount.write("f.tmp", b"new").await.unwrap();
    mount.mv("f.tmp", "f").await.unwrap();
    assert_eq!(mount.store.take_counts(), BTreeMap::new(), "it is settled a moment later");
    mount.settle().await;
    assert_eq!(mount.object("f").await, b"new");
    assert_eq!(mount.store.take_counts(), BTreeMap::from([("Head", 1), ("Put", 1)]));
    mount.write("g.tmp", b"new").await.unwrap();
    mount.mv("g.tmp", "g").await.unwrap();
    mount.settle().await;
    let counts = mount.store.take_counts();
    assert_eq!(counts.get("Put"), Some(&1), "{counts:?}");
    assert!(counts.values().sum::<u64>() <= 2, "{counts:?}");
    mount.write("h", b"gone").await.unwrap();
    mount.rm("h").await.unwrap();
    mount.settle().await;
    assert_eq!(mount.store.take_counts().get("Put"), None, "nobody wants it any more");
}

#[tokio::test(start_paused = true)]
async fn fsync_waits_for_the_bucket_all_the_same() {
    let mount = with_old_file().await;
    let handle = mount.open("f", WRITE).await.unwrap();
    mount.volume.write(handle, 0, "new".into()).await.unwrap();
    mount.volume.flush(handle).await.unwrap();
    assert_eq!(mount.object("f").await, b"old");
    mount.volume.sync_file(handle).await.unwrap();
    assert_eq!(mount.object("f").await, b"new");
    mount.volume.release(handle);
}

#[tokio::test(start_paused = true)]
async fn what_is_written_again_and_again_is_settled_in_time() {
    let mount = with_old_file().await;
    for round in 0..8 {
        mount.write("f", format!("round {round}").as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let object = mount.object("f").await;
    assert!(object.starts_with(b"round"), "{object:?}");
    let puts = mount.store.take_counts()["Put"];
    assert!(puts <= 3, "{puts}");
}

#[tokio::test(start_paused = true)]
async fn a_close_that_failed_has_lost_nothing() {
    let mut mount = Mount::new();
    mount.outsider_puts("old", b"0123456789").await;
    mount.names("").await.unwrap();
    mount.store.die(true);
    assert_eq!(mount.write("f", b"precious").await, Err(Error::Failed));
    let handle = mount.open("old", WRITE).await.unwrap();
    mount.volume.write(handle, 3, "---".into()).await.unwrap();
    assert_eq!(mount.volume.sync_file(handle).await, Err(Error::Failed));
    mount.crash();
    mount.store.die(false);
    mount.assert_settled_as(&files(&[("f", "precious"), ("old", "012---6789")])).await;
    assert_nothing_staged(&mount).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_cut_stays_cut() {
    let mut mount = Mount::new();
    mount.outsider_puts("f", b"0123456789").await;
    mount.outsider_puts("g", b"0123456789").await;
    mount.names("").await.unwrap();
    mount.store.delay(Duration::from_millis(100), 1);
    mount.truncate("f", 4).await.unwrap();
    mount.truncate("f", 6).await.unwrap();
    let handle = mount.open("g", ossfs_volume::OpenMode { truncate: true, ..WRITE }).await.unwrap();
    mount.close(handle).await.unwrap();
    mount.crash();
    assert_eq!(mount.tree().await, files(&[("f", "0123\0\0"), ("g", "")]));
    mount.assert_settled_as(&files(&[("f", "0123\0\0"), ("g", "")])).await;
}

#[tokio::test(start_paused = true)]
async fn told_to_end_a_volume_stages_what_is_open() {
    let mut mount = Mount::new();
    mount.names("").await.unwrap();
    mount.store.die(true);
    let handle = mount.create("f").await.unwrap();
    mount.volume.write(handle, 0, "open".into()).await.unwrap();
    mount.volume.stage_all().await;
    mount.crash();
    mount.store.die(false);
    mount.assert_settled_as(&files(&[("f", "open")])).await;
}

#[tokio::test(start_paused = true)]
async fn staged_bytes_that_are_damaged_are_an_error_of_their_file_alone() {
    let mut mount = Mount::with(writeback());
    mount.names("").await.unwrap();
    mount.store.die(true);
    mount.write("bad", b"bad bad bad").await.unwrap();
    mount.write("good", b"good").await.unwrap();
    mount.crash();
    mount.ledger.medium().damage(|_, mut bytes| {
        bytes[4] ^= 1;
        Some(bytes)
    });
    assert_eq!(mount.read("bad").await, Err(Error::Failed));
    assert_eq!(mount.read("good").await.unwrap(), b"good");
    mount.store.die(false);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(mount.object("good").await, b"good");
    let unsettled = mount.volume.unsettled();
    assert!(
        matches!(&unsettled.failures[..], [bad] if bad.path == "bad" && bad.reason.contains("damaged")),
        "{unsettled:?}"
    );
    assert!(mount.bucket.head(&Key::parse("bad").unwrap()).await.is_err());
    // Whoever writes it anew has it again.
    mount.write("bad", b"as it was").await.unwrap();
    mount.assert_settled_as(&files(&[("bad", "as it was"), ("good", "good")])).await;
}

#[tokio::test(start_paused = true)]
async fn a_volume_whose_staged_bytes_are_all_elsewhere_is_not_opened() {
    let mount = Mount::with(writeback());
    mount.names("").await.unwrap();
    mount.store.die(true);
    mount.write("f", b"somewhere").await.unwrap();
    mount.volume.close();
    let ledger = mount.ledger.killed();
    let elsewhere = MemoryLedger::new();
    let change = |(key, record)| Change { key, record: Some(record) };
    elsewhere.commit(&ledger.load().unwrap().into_iter().map(change).collect::<Vec<_>>()).unwrap();
    let open = |ledger| Volume::open(mount.store.clone(), ledger, Arc::new(SystemClock), mount.options.clone());
    let error = open(Arc::new(elsewhere)).unwrap_err().to_string();
    assert!(error.contains("staging_dir"), "{error}");
    open(Arc::new(ledger)).unwrap().close();
}

#[tokio::test(start_paused = true)]
async fn what_was_written_over_a_version_that_is_gone_is_kept_and_not_mixed() {
    for replaced in [false, true] {
        let mut mount = with_old_file().await;
        mount.write_at("f", 1, b"!").await.unwrap();
        match replaced {
            true => mount.outsider_puts("f", b"theirs").await,
            false => mount.outsider_deletes("f").await,
        }
        assert_eq!(mount.read("f").await, Err(Error::Stale));
        tokio::time::sleep(Duration::from_secs(60)).await;
        mount.crash();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let unsettled = mount.volume.unsettled();
        assert!(matches!(&unsettled.failures[..], [failure] if failure.path == "f"), "{unsettled:?}");
        assert_eq!(unsettled.bytes, 1);
        let objects = mount.objects().await;
        assert_eq!(objects.get("f").map(Vec::as_slice), replaced.then_some(&b"theirs"[..]));
    }
}

fn little_memory() -> VolumeOptions {
    VolumeOptions { part_bytes: 256 << 10, memory_limit: 1 << 20, ..VolumeOptions::default() }
}

fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..len).map(|_| rng.u8(..)).collect()
}

async fn write_all(mount: &Mount, handle: ossfs_volume::HandleId, bytes: &[u8]) -> Result<(), Error> {
    for (at, piece) in bytes.chunks(100_000).enumerate() {
        mount.volume.write(handle, at as u64 * 100_000, piece.to_vec().into()).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn with_the_endpoint_down_more_can_be_written_than_the_memory_takes() {
    let mount = Mount::with(little_memory());
    mount.names("").await.unwrap();
    mount.store.die(true);
    let handle = mount.create("f").await.unwrap();
    let bytes = pattern(4 << 20, 1);
    write_all(&mount, handle, &bytes).await.unwrap();
    assert!(mount.read_handle(handle).await.unwrap() == bytes, "as it was written");
    mount.store.die(false);
    mount.close(handle).await.unwrap();
    assert!(mount.object("f").await == bytes, "as it was written");
    mount.settle().await;
    assert_nothing_staged(&mount).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_without_a_name_may_be_larger_than_the_memory() {
    let mount = Mount::with(little_memory());
    let handle = mount.create("f").await.unwrap();
    mount.rm("f").await.unwrap();
    let bytes = pattern(3 << 20, 1);
    write_all(&mount, handle, &bytes).await.unwrap();
    assert!(mount.read_handle(handle).await.unwrap() == bytes, "as it was written");
    mount.close(handle).await.unwrap();
    mount.assert_settled_as(&files(&[])).await;
    assert_nothing_staged(&mount).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_fails_the_writer_and_keeps_what_was_written() {
    let mount = Mount::with(little_memory());
    mount.names("").await.unwrap();
    mount.store.die(true);
    mount.ledger.medium().set_free_bytes(0);
    let handle = mount.create("f").await.unwrap();
    let bytes = pattern(4 << 20, 1);
    assert_eq!(write_all(&mount, handle, &bytes).await, Err(Error::NoSpace));
    let size = usize::try_from(mount.stat("f").await.unwrap().size).unwrap();
    assert!(size > 100_000, "{size}");
    assert!(mount.read_handle(handle).await.unwrap() == bytes[..size], "as it was written");
    mount.store.die(false);
    mount.close(handle).await.unwrap();
    assert!(mount.object("f").await == bytes[..size], "as it was written");
    mount.settle().await;
}

#[tokio::test(start_paused = true)]
async fn with_a_full_disk_closing_waits_for_the_bucket() {
    let mount = Mount::with(writeback());
    mount.ledger.medium().set_free_bytes(0);
    mount.write("f", b"1").await.unwrap();
    assert_eq!(mount.object("f").await, b"1");
}

/// A ledger whose process is killed at one of its commits.
#[derive(Debug)]
struct Fatal {
    inner: MemoryLedger,
    store: Arc<Weather>,
    left: AtomicUsize,
    /// What the next process finds.
    left_behind: Mutex<Option<(MemoryLedger, Weather, usize)>>,
    /// Calls that have returned.
    done: Arc<AtomicUsize>,
}

impl Ledger for Fatal {
    fn commit(&self, changes: &[Change]) -> Result<(), LedgerError> {
        self.inner.commit(changes)?;
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let done = self.done.load(Ordering::SeqCst);
            *self.left_behind.lock().unwrap() = Some((self.inner.killed(), self.store.sever(), done));
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), LedgerError> {
        self.inner.sync()
    }

    fn staging(&self) -> &Arc<Staging> {
        self.inner.staging()
    }

    fn load(&self) -> Result<Vec<(RecordKey, Record)>, LedgerError> {
        self.inner.load()
    }
}

/// Runs calls on a mount with a file `f` that says `old`, killed at each commit that they make and that settling makes
/// after them; `calls` counts those that have returned. What the next mount shows, and then the bucket, is for `check` to
/// judge.
pub(crate) async fn killed_at_each_commit(
    options: &VolumeOptions,
    calls: impl AsyncFn(&Mount, &AtomicUsize),
    check: impl Fn(usize, usize, &BTreeMap<String, crate::mount::Entry>),
) {
    for commit in 1.. {
        let bucket = Mount::with(options.clone());
        bucket.outsider_puts("f", b"old").await;
        bucket.store.delay(Duration::from_millis(20), commit as u64);
        let done = Arc::new(AtomicUsize::new(0));
        let ledger = Arc::new(Fatal {
            inner: MemoryLedger::new(),
            store: bucket.store.clone(),
            left: AtomicUsize::new(commit),
            left_behind: Mutex::default(),
            done: done.clone(),
        });
        let volume =
            Volume::open(bucket.store.clone(), ledger.clone(), Arc::new(SystemClock), options.clone()).unwrap();
        let mount = Mount { volume: volume.clone(), ..bucket.same() };
        let all = async {
            calls(&mount, &done).await;
            mount.settle().await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(100), all).await;
        volume.close();
        let left_behind = ledger.left_behind.lock().unwrap().take();
        let Some((left, store, done)) = left_behind else {
            assert!(commit > 5, "only {commit} commits");
            return;
        };
        let (store, left) = (Arc::new(store), Arc::new(left));
        let volume = Volume::open(store.clone(), left.clone(), Arc::new(SystemClock), options.clone()).unwrap();
        let mount = Mount { bucket: bucket.bucket.clone(), store, ledger: left, volume, options: options.clone() };
        let shown = mount.tree().await;
        check(commit, done, &shown);
        mount.settle().await;
        let settled = mount.tree().await;
        check(commit, done, &settled);
        // Keys that a request of the killed process may change are left alone for a while.
        tokio::time::sleep(Duration::from_secs(20)).await;
        mount.assert_settled_as(&settled).await;
        mount.volume.close();
    }
}

#[tokio::test(start_paused = true)]
async fn a_save_by_a_temporary_name_is_whole_at_every_moment() {
    let calls = async |mount: &Mount, done: &AtomicUsize| {
        let next = || done.fetch_add(1, Ordering::SeqCst);
        mount.write("t", b"new").await.unwrap();
        next();
        mount.mv("t", "f").await.unwrap();
        next();
        mount.write_at("f", 3, b"er").await.unwrap();
        next();
    };
    killed_at_each_commit(&writeback(), calls, |commit, done, shown| {
        let f = &shown["f"];
        let t = shown.get("t");
        let right = match done {
            // Not closed yet: as it was just made, or as it was closed.
            0 => *f == file("old") && t.is_none_or(|t| [file(""), file("new")].contains(t)),
            1 => (*f == file("old") && t == Some(&file("new"))) || (*f == file("new") && t.is_none()),
            2 => t.is_none() && [file("new"), file("newer")].contains(f),
            _ => t.is_none() && *f == file("newer"),
        };
        assert!(right, "at commit {commit}, after {done} calls: {shown:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_file_is_not_replaced_by_bytes_that_a_crash_takes() {
    for options in [writeback(), VolumeOptions::default()] {
        let calls = async |mount: &Mount, done: &AtomicUsize| {
            let handle = mount.create("t").await.unwrap();
            mount.volume.write(handle, 0, "new".into()).await.unwrap();
            done.fetch_add(1, Ordering::SeqCst);
            mount.mv("t", "f").await.unwrap();
            done.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(10)).await;
            // By then the process may be dead.
            let _ = mount.close(handle).await;
        };
        killed_at_each_commit(&options, calls, |commit, done, shown| {
            let f = &shown["f"];
            let right = if done < 2 { [file("old"), file("new")].contains(f) } else { *f == file("new") };
            assert!(right, "at commit {commit}, after {done} calls: {shown:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_closed_over_and_over_is_never_mixed() {
    let calls = async |mount: &Mount, done: &AtomicUsize| {
        for byte in [b"1111", b"2222", b"3333"] {
            mount.write_at("f", 0, byte).await.unwrap();
            done.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(1_010)).await;
        }
        mount.truncate("f", 2).await.unwrap();
        done.fetch_add(1, Ordering::SeqCst);
        mount.write_at("f", 4, b"4").await.unwrap();
        done.fetch_add(1, Ordering::SeqCst);
    };
    let states = ["old", "1111", "2222", "3333", "33", "33\0\x004"];
    killed_at_each_commit(&writeback(), calls, |commit, done, shown| {
        let right = states[done..].iter().take(2).any(|state| shown["f"] == file(state));
        assert!(right, "at commit {commit}, after {done} calls: {shown:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_upload_of_what_was_closed_is_kept_and_named() {
    let mut mount = with_old_file().await;
    mount.store.forbid(Some(("Put", Kind::Denied)));
    mount.write("g", b"kept").await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(matches!(&mount.volume.unsettled().failures[..], [failure] if failure.path == "g"));
    mount.crash();
    assert_eq!(mount.read("g").await.unwrap(), b"kept");
    mount.store.forbid(None);
    mount.assert_settled_as(&files(&[("f", "old"), ("g", "kept")])).await;
}
