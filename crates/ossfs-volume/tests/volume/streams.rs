//! Files that are uploaded in parts while they are written outlive the daemon with their parts.

use crate::mount::{APPEND, Entry, Mount, READ, WRITE, file};
use crate::staging::killed_at_each_commit;
use crate::weather::Storm;
use ossfs_store::{Kind, ObjectStore, Upload};
use ossfs_types::Prefix;
use ossfs_volume::{Error, HandleId, OpenMode, Result, VolumeOptions};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const PART_BYTES: u64 = 300 << 10;
/// No upload is completed.
const DOWN: Option<(&str, Kind)> = Some(("Complete", Kind::Unavailable));
/// Six parts and a little more.
const LEN: usize = 1_900_000;

fn in_parts() -> VolumeOptions {
    VolumeOptions { part_bytes: PART_BYTES, ..VolumeOptions::default() }
}

fn in_parts_with_writeback() -> VolumeOptions {
    VolumeOptions { writeback: true, ..in_parts() }
}

fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..len).map(|_| rng.u8(..)).collect()
}

fn tree(files: &[(&str, &[u8])]) -> BTreeMap<String, Entry> {
    files.iter().map(|(path, bytes)| ((*path).to_owned(), Entry::File(bytes.to_vec()))).collect()
}

impl Mount {
    async fn open_uploads(&self) -> Vec<Upload> {
        let page = self.bucket.list_uploads(&Prefix::all(), None).await.unwrap();
        page.uploads.into_iter().map(|open| open.upload).collect()
    }

    /// Writes bytes from an offset on, a piece after the other.
    async fn write_pieces(&self, handle: HandleId, offset: u64, bytes: &[u8]) -> Result<()> {
        for (piece, at) in bytes.chunks(100_000).zip((offset..).step_by(100_000)) {
            self.volume.write(handle, at, piece.to_vec().into()).await?;
        }
        Ok(())
    }

    /// Creates or replaces a file, whose parts are uploaded before this returns; it is still open.
    async fn stream(&self, path: &str, bytes: &[u8]) -> HandleId {
        let handle = match self.create(path).await {
            Err(Error::Exists) => self.open(path, OpenMode { truncate: true, ..WRITE }).await.unwrap(),
            created => created.unwrap(),
        };
        self.write_pieces(handle, 0, bytes).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(self.open_uploads().await.len(), 1);
        handle
    }

    /// A file is uploaded but for its end when the endpoint goes down; its close fails.
    async fn stream_and_fail(&self, path: &str, bytes: &[u8]) {
        let handle = self.stream(path, bytes).await;
        self.store.die(true);
        assert_eq!(self.close(handle).await, Err(Error::Failed));
    }

    /// Nothing is open, staged or in the ledger, and these files are there.
    async fn assert_all_done(&self, files: &[(&str, &[u8])]) {
        self.assert_settled_as(&tree(files)).await;
        assert_eq!(self.open_uploads().await, []);
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(self.ledger.medium().bytes(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_that_failed_goes_on_after_a_kill_with_the_parts_that_were_sent() {
    for old in [false, true] {
        let mut mount = Mount::with(in_parts());
        if old {
            mount.outsider_puts("f", b"old").await;
        }
        let bytes = pattern(LEN, 1);
        mount.stream_and_fail("f", &bytes).await;
        mount.crash();
        mount.store.die(true);
        assert_eq!(mount.stat("f").await.unwrap().size, LEN as u64);
        assert_eq!(mount.read("f").await, Err(Error::Failed), "it can't be had now");
        mount.crash();
        assert!(mount.read("f").await.unwrap() == bytes, "a reader has the upload completed");
        let sent = mount.store.take_bytes_in();
        assert!(sent < 2 * PART_BYTES, "{sent} bytes were sent again");
        assert_eq!(mount.store.take_counts().get("CreateUpload"), None);
        mount.assert_all_done(&[("f", &bytes)]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_again_of_an_upload_that_only_has_to_be_completed() {
    let mut mount = Mount::with(in_parts());
    let bytes = pattern(LEN, 1);
    let handle = mount.stream("f", &bytes).await;
    mount.store.forbid(Some(("Complete", Kind::Denied)));
    assert_eq!(mount.close(handle).await, Err(Error::Denied));
    // Long enough for what is staged and was sent to be removed.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(mount.ledger.medium().bytes(), 0);
    for _ in 0..3 {
        mount.crash();
        mount.store.forbid(Some(("Complete", Kind::Denied)));
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(matches!(&mount.volume.unsettled().failures[..], [failure] if failure.path == "f"));
        assert_eq!(mount.store.take_bytes_in(), 0);
    }
    mount.crash();
    mount.settle().await;
    assert_eq!(mount.store.take_bytes_in(), 0);
    mount.assert_all_done(&[("f", &bytes)]).await;
}

#[tokio::test(start_paused = true)]
async fn with_writeback_a_close_does_not_wait_for_the_upload() {
    let mut mount = Mount::with(VolumeOptions { writeback: true, ..VolumeOptions::default() });
    let bytes = pattern(64 << 20, 1);
    let handle = mount.stream("f", &bytes[..48 << 20]).await;
    mount.store.delay(Duration::from_secs(1_000_000), 1);
    mount.write_pieces(handle, 48 << 20, &bytes[48 << 20..]).await.unwrap();
    let begun = tokio::time::Instant::now();
    mount.close(handle).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    mount.crash();
    mount.store.delay(Duration::ZERO, 1);
    mount.settle().await;
    let sent = mount.store.take_bytes_in();
    assert!(sent <= 24 << 20, "{sent} bytes were sent again");
    mount.assert_all_done(&[("f", &bytes)]).await;
}

#[tokio::test(start_paused = true)]
async fn with_writeback_nothing_of_a_file_need_be_in_the_bucket_when_it_is_closed() {
    let mut mount = Mount::with(in_parts_with_writeback());
    mount.names("").await.unwrap();
    mount.store.delay(Duration::from_secs(1_000_000), 1);
    let bytes = pattern(LEN, 1);
    let handle = mount.create("f").await.unwrap();
    mount.write_pieces(handle, 0, &bytes).await.unwrap();
    mount.close(handle).await.unwrap();
    assert_eq!(mount.open_uploads().await, []);
    mount.crash();
    mount.store.delay(Duration::ZERO, 1);
    mount.assert_all_done(&[("f", &bytes)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_closed_once_more_goes_behind_its_upload() {
    let mut mount = Mount::with(in_parts_with_writeback());
    let mut bytes = pattern(LEN, 1);
    let handle = mount.stream("f", &bytes).await;
    mount.store.die(true);
    mount.close(handle).await.unwrap();
    for round in 0..3 {
        let more = pattern(400_000, round);
        let handle = mount.open("f", APPEND).await.unwrap();
        mount.write_pieces(handle, 0, &more).await.unwrap();
        mount.close(handle).await.unwrap();
        bytes.extend(more);
    }
    mount.crash();
    assert_eq!(mount.stat("f").await.unwrap().size, bytes.len() as u64);
    mount.settle().await;
    let sent = mount.store.take_bytes_in();
    assert!(sent < 1_200_000 + 3 * PART_BYTES, "{sent} bytes were sent again");
    mount.assert_all_done(&[("f", &bytes)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_stays_open_after_a_close_with_writeback_is_settled_in_time() {
    let mount = Mount::with(in_parts_with_writeback());
    let bytes = pattern(LEN, 1);
    let handle = mount.stream("f", &bytes).await;
    // As a shell does, which closes copies of the handle.
    mount.volume.flush(handle).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(mount.object("f").await == bytes);
    mount.write_pieces(handle, LEN as u64, b"more").await.unwrap();
    mount.close(handle).await.unwrap();
    mount.assert_all_done(&[("f", &[&bytes[..], b"more"].concat())]).await;
}

#[tokio::test(start_paused = true)]
async fn parts_that_an_outsider_takes_away_are_an_error_of_their_file_alone() {
    for (old, crash) in [(false, true), (true, true), (true, false)] {
        let mut mount = Mount::with(in_parts());
        if old {
            mount.outsider_puts("f", b"old").await;
        }
        let bytes = pattern(LEN, 1);
        mount.stream_and_fail("f", &bytes).await;
        for upload in mount.open_uploads().await {
            mount.bucket.abort_upload(&upload).await.unwrap();
        }
        if crash {
            mount.crash();
        }
        mount.store.die(false);
        mount.write("g", b"another").await.unwrap();
        for _ in 0..2 {
            assert_eq!(mount.read("f").await, Err(Error::Failed));
            assert_eq!(mount.read("g").await.unwrap(), b"another");
            tokio::time::sleep(Duration::from_secs(60)).await;
            let failures = mount.volume.unsettled().failures;
            assert!(
                matches!(&failures[..], [lost] if lost.path == "f" && lost.reason.contains("lost")),
                "{failures:?}"
            );
            assert_eq!(mount.objects().await.get("f").map(Vec::as_slice), old.then_some(&b"old"[..]));
            mount.crash();
        }
        mount.store.take_counts();
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(mount.store.take_counts(), BTreeMap::new(), "there is nothing to be asked");
        mount.write("f", b"anew").await.unwrap();
        mount.assert_all_done(&[("f", b"anew"), ("g", b"another")]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_an_outsider_aborts_while_it_is_written_fails_the_close() {
    let mut mount = Mount::with(in_parts());
    mount.outsider_puts("f", b"old").await;
    let bytes = pattern(LEN, 1);
    let handle = mount.stream("f", &bytes).await;
    for upload in mount.open_uploads().await {
        mount.bucket.abort_upload(&upload).await.unwrap();
    }
    mount.write_pieces(handle, LEN as u64, &bytes).await.unwrap();
    assert_eq!(mount.close(handle).await, Err(Error::Failed));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(mount.object("f").await, b"old");
    assert_eq!(mount.volume.unsettled().failures.len(), 1);
    mount.crash();
    mount.rm("f").await.unwrap();
    mount.assert_all_done(&[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_pending_file_is_renamed_replaced_or_removed() {
    for crash in [false, true] {
        let mut mount = Mount::with(in_parts());
        mount.outsider_puts("old", b"old").await;
        mount.names("").await.unwrap();
        let bytes = pattern(LEN, 1);
        let handle = mount.stream("f", &bytes).await;
        mount.store.forbid(DOWN);
        mount.close(handle).await.unwrap_err();
        if crash {
            mount.crash();
            mount.store.forbid(DOWN);
        }
        mount.mv("f", "g").await.unwrap();
        mount.mv("g", "old").await.unwrap();
        if crash {
            mount.crash();
        }
        mount.store.forbid(None);
        mount.assert_all_done(&[("old", &bytes)]).await;
        mount.stream_and_fail("f", &bytes).await;
        mount.mv("old", "f").await.unwrap();
        if crash {
            mount.crash();
        }
        mount.store.die(false);
        mount.assert_all_done(&[("f", &bytes)]).await;
        mount.store.take_bytes_in();
        mount.stream_and_fail("g", &bytes).await;
        mount.rm("g").await.unwrap();
        if crash {
            mount.crash();
        }
        mount.store.die(false);
        mount.assert_all_done(&[("f", &bytes)]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_is_changed_by_the_next_mount_when_its_upload_is_complete() {
    let bytes = pattern(LEN, 1);
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = bytes.clone();
        change(&mut changed);
        changed
    };
    let mut round = 0;
    loop {
        let mut mount = Mount::with(in_parts());
        mount.stream_and_fail("f", &bytes).await;
        mount.crash();
        mount.store.take_bytes_in();
        let expected = match round {
            0 => {
                mount.write_at("f", 5, b"!").await.unwrap();
                changed(&|bytes| bytes[5] = b'!')
            }
            1 => {
                mount.truncate("f", 100).await.unwrap();
                changed(&|bytes| bytes.truncate(100))
            }
            2 => {
                mount.truncate("f", 0).await.unwrap();
                Vec::new()
            }
            3 => {
                mount.truncate("f", 3_000_000).await.unwrap();
                changed(&|bytes| bytes.resize(3_000_000, 0))
            }
            4 => {
                let handle = mount.open("f", APPEND).await.unwrap();
                mount.volume.write(handle, 0, "more".into()).await.unwrap();
                mount.close(handle).await.unwrap();
                changed(&|bytes| bytes.extend(b"more"))
            }
            5 => {
                let from = mount.open("f", READ).await.unwrap();
                let to = mount.create("g").await.unwrap();
                assert_eq!(mount.volume.copy_range(from, 0, to, 0, LEN as u64).await.unwrap(), LEN as u64);
                mount.close(to).await.unwrap();
                mount.volume.release(from);
                assert!(mount.read("g").await.unwrap() == bytes);
                mount.rm("g").await.unwrap();
                bytes.clone()
            }
            _ => break,
        };
        mount.assert_all_done(&[("f", &expected)]).await;
        round += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_to_nothing_while_its_upload_is_pending_needs_it_no_more() {
    let mut mount = Mount::with(in_parts());
    mount.stream_and_fail("f", &pattern(LEN, 1)).await;
    mount.truncate("f", 0).await.unwrap();
    mount.store.die(false);
    // The upload is aborted; then the process is killed.
    tokio::time::sleep(Duration::from_millis(1)).await;
    while !mount.open_uploads().await.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    mount.crash();
    assert_eq!(mount.read("f").await.unwrap(), b"");
    mount.assert_all_done(&[("f", b"")]).await;
}

#[tokio::test(start_paused = true)]
async fn told_to_end_a_volume_keeps_the_parts_of_what_is_open() {
    let mut mount = Mount::with(in_parts());
    let bytes = pattern(LEN, 1);
    mount.stream("f", &bytes).await;
    mount.store.die(true);
    mount.volume.stage_all().await;
    mount.crash();
    mount.settle().await;
    let sent = mount.store.take_bytes_in();
    assert!(sent < 2 * PART_BYTES, "{sent} bytes were sent again");
    mount.assert_all_done(&[("f", &bytes)]).await;
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_version_is_kept_beside_what_a_killed_process_had_sent() {
    let mut mount = Mount::with(in_parts());
    let bytes = pattern(LEN, 1);
    mount.stream_and_fail("f", &bytes).await;
    mount.outsider_puts("f", b"theirs").await;
    mount.crash();
    mount.settle().await;
    let objects = mount.objects().await;
    assert!(objects["f"] == bytes);
    let theirs = objects.iter().find(|(key, _)| key.starts_with("f.conflict-"));
    assert_eq!(theirs.map(|(_, bytes)| bytes.as_slice()), Some(&b"theirs"[..]));
    assert_eq!(mount.open_uploads().await, []);
}

/// Whether a file is as it was before, just cut, or whole; once it is closed, only whole.
fn is_old_or_new(shown: Option<&Entry>, new: &[u8], closed: bool) -> bool {
    let whole = shown == Some(&Entry::File(new.to_vec()));
    whole || !closed && (shown == Some(&file("old")) || shown == Some(&file("")))
}

#[tokio::test(start_paused = true)]
async fn with_writeback_a_file_is_whole_whenever_the_process_is_killed_at_a_commit() {
    let first = pattern(LEN, 1);
    let second = [&first[..], &pattern(700_000, 2)].concat();
    let calls = async |mount: &Mount, done: &AtomicUsize| {
        let handle = mount.open("f", OpenMode { truncate: true, ..WRITE }).await.unwrap();
        mount.write_pieces(handle, 0, &first).await.unwrap();
        mount.close(handle).await.unwrap();
        done.fetch_add(1, Ordering::SeqCst);
        let handle = mount.open("f", APPEND).await.unwrap();
        mount.write_pieces(handle, 0, &second[LEN..]).await.unwrap();
        mount.close(handle).await.unwrap();
        done.fetch_add(1, Ordering::SeqCst);
    };
    killed_at_each_commit(&in_parts_with_writeback(), calls, |commit, done, shown| {
        let shown = shown.get("f");
        let right = match done {
            0 => is_old_or_new(shown, &first, false),
            1 => is_old_or_new(shown, &first, true) || is_old_or_new(shown, &second, true),
            _ => is_old_or_new(shown, &second, true),
        };
        assert!(right, "at commit {commit}, after {done} calls");
    })
    .await;
}

/// Replaces a file that is streamed, in a storm or none, and is killed after a while; so is the process that comes then.
async fn killed_after(options: &VolumeOptions, storm: Option<Storm>, pause: u64) {
    let mut mount = Mount::with(options.clone());
    mount.outsider_puts("f", b"old").await;
    mount.names("").await.unwrap();
    mount.store.delay(Duration::from_millis(20), pause);
    mount.store.storm(storm);
    let bytes = pattern(LEN, 1);
    let replace = async {
        let handle = mount.open("f", OpenMode { truncate: true, ..WRITE }).await?;
        mount.write_pieces(handle, 0, &bytes).await?;
        mount.close(handle).await
    };
    let replaced = tokio::time::timeout(Duration::from_millis(pause), replace).await;
    let closed = matches!(replaced, Ok(Ok(())));
    // A close that failed has lost nothing.
    let kept = closed || replaced.is_ok();
    mount.crash();
    tokio::time::sleep(Duration::from_millis(pause / 2)).await;
    mount.crash();
    mount.store.storm(None);
    let shown = mount.read("f").await.unwrap_or_else(|error| panic!("after {pause} ms: {error}"));
    assert!(is_old_or_new(Some(&Entry::File(shown.clone())), &bytes, kept), "after {pause} ms, closed: {closed}");
    mount.settle().await;
    // Keys that a request of the killed processes may change are left alone for a while.
    tokio::time::sleep(Duration::from_secs(40)).await;
    mount.settle().await;
    let settled = mount.read("f").await.unwrap();
    assert!(is_old_or_new(Some(&Entry::File(settled.clone())), &bytes, kept), "after {pause} ms, closed: {closed}");
    mount.assert_all_done(&[("f", &settled)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_is_whole_whenever_the_process_is_killed() {
    let every = if std::env::var("OSSFS_LONG").is_ok() { 1 } else { 9 };
    for options in [in_parts(), in_parts_with_writeback()] {
        for pause in (0..400).step_by(every) {
            killed_after(&options, None, pause).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_is_whole_whenever_the_process_is_killed_in_a_storm() {
    let every = if std::env::var("OSSFS_LONG").is_ok() { 1 } else { 23 };
    let storm = Storm { refused: 0.15, lost_requests: 0.1, lost_answers: 0.1 };
    for options in [in_parts(), in_parts_with_writeback()] {
        for pause in (0..3_000).step_by(every) {
            killed_after(&options, Some(storm), pause).await;
        }
    }
}
