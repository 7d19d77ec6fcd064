//! Bytes that are borrowed from other files' objects, and what becomes of those meanwhile.

use crate::mount::{Mount, READ, WRITE, file, files, over};
use ossfs_volume::{Error, HandleId, VolumeOptions};
use std::collections::BTreeMap;

/// Copies all of a file to where a handle writes, as `cp` does.
async fn copy(mount: &Mount, from: &str, to: HandleId, at: u64) {
    let reader = mount.open(from, READ).await.unwrap();
    let size = mount.stat(from).await.unwrap().size;
    assert_eq!(mount.volume.copy_range(reader, 0, to, at, u64::MAX >> 1).await, Ok(size));
    mount.volume.release(reader);
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_file_moves_no_bytes() {
    let mount = Mount::new();
    mount.outsider_puts("old", &vec![b'x'; 20 << 20]).await;
    mount.names("").await.unwrap();
    mount.stat("old").await.unwrap();
    mount.store.take_counts();
    mount.store.take_bytes_in();
    let handle = mount.create("new").await.unwrap();
    copy(&mount, "old", handle, 0).await;
    mount.close(handle).await.unwrap();
    mount.settle().await;
    assert_eq!(mount.store.take_counts(), BTreeMap::from([("Copy", 1)]));
    assert_eq!(mount.store.take_bytes_in(), 0);
    assert_eq!(mount.object("new").await, vec![b'x'; 20 << 20]);
    assert_eq!(mount.head("new").await.metadata.user["uid"], "1000", "it has attributes of its own");
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_file_is_copied_on_the_server() {
    let mount = Mount::new();
    mount.outsider_puts("old", &vec![b'x'; 20 << 20]).await;
    let handle = mount.create("new").await.unwrap();
    mount.volume.write(handle, 0, vec![b'y'; 200 << 10].into()).await.unwrap();
    copy(&mount, "old", handle, 200 << 10).await;
    mount.store.take_bytes_in();
    mount.store.take_counts();
    mount.close(handle).await.unwrap();
    let counts = mount.store.take_counts();
    assert_eq!(
        counts,
        BTreeMap::from([("CreateUpload", 1), ("UploadPart", 1), ("UploadPartCopy", 1), ("Complete", 1)])
    );
    assert_eq!(mount.store.take_bytes_in(), 200 << 10);
    let object = mount.object("new").await;
    assert_eq!(object.len(), (20 << 20) + (200 << 10));
    assert!(
        object[..200 << 10].iter().all(|byte| *byte == b'y') && object[200 << 10..].iter().all(|byte| *byte == b'x')
    );
}

/// A file that has bytes of `old`, and is open.
async fn borrower(mount: &Mount, name: &str) -> HandleId {
    let handle = mount.create(name).await.unwrap();
    mount.volume.write(handle, 0, "<".into()).await.unwrap();
    copy(mount, "old", handle, 1).await;
    handle
}

#[tokio::test(start_paused = true)]
async fn what_is_borrowed_stays_though_the_source_is_replaced() {
    let mount = over(&[("old", "bytes")]).await;
    let handle = borrower(&mount, "new").await;
    // Not before the borrower has its own.
    mount.write("old", b"others").await.unwrap();
    assert_eq!(mount.read_handle(handle).await.unwrap(), b"<bytes");
    assert_eq!(mount.object("new").await, b"<bytes");
    assert_eq!(mount.object("old").await, b"others");
    mount.close(handle).await.unwrap();
    mount.assert_settled_as(&files(&[("new", "<bytes"), ("old", "others")])).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_borrowed_stays_though_the_source_is_moved_or_removed() {
    for removed in [false, true] {
        let mount = over(&[("old", "bytes"), ("d/x", "")]).await;
        let handle = borrower(&mount, "new").await;
        if removed {
            mount.rm("old").await.unwrap();
        } else {
            mount.mv("old", "d/moved").await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        assert_eq!(mount.read_handle(handle).await.unwrap(), b"<bytes");
        mount.close(handle).await.unwrap();
        let mut expected = files(&[("new", "<bytes"), ("d/x", "")]);
        if !removed {
            expected.insert("d/moved".into(), file("bytes"));
        }
        mount.assert_settled_as(&expected).await;
        assert!(!mount.objects().await.contains_key("old"), "the garbage goes when nobody needs it");
    }
}

#[tokio::test(start_paused = true)]
async fn files_may_have_bytes_of_each_other() {
    let mount = over(&[("one", "1111"), ("two", "2222"), ("three", "3333")]).await;
    let mut handles = Vec::new();
    for name in ["one", "two", "three"] {
        handles.push((name, mount.open(name, WRITE).await.unwrap()));
    }
    copy(&mount, "one", handles[1].1, 4).await;
    copy(&mount, "three", handles[0].1, 4).await;
    let reader = mount.open("two", READ).await.unwrap();
    mount.volume.copy_range(reader, 0, handles[2].1, 4, 4).await.unwrap();
    mount.volume.release(reader);
    for (name, handle) in handles {
        mount.close(handle).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    mount.assert_settled_as(&files(&[("one", "11113333"), ("two", "22221111"), ("three", "33332222")])).await;
    assert_eq!(mount.objects().await.len(), 3, "no hidden copy is left");
}

#[tokio::test(start_paused = true)]
async fn a_file_without_a_name_keeps_what_it_borrowed() {
    for replaced in [false, true] {
        let mount = over(&[("old", "bytes")]).await;
        let handle = borrower(&mount, "new").await;
        mount.rm("new").await.unwrap();
        if replaced {
            // The old version is nobody's any more, and still needed.
            mount.write("other", b"others").await.unwrap();
            mount.mv("other", "old").await.unwrap();
        } else {
            mount.write("old", b"others").await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        assert_eq!(mount.object("old").await, b"others");
        assert_eq!(mount.read_handle(handle).await.unwrap(), b"<bytes");
        mount.volume.release(handle);
        mount.assert_settled_as(&files(&[("old", "others")])).await;
        assert_eq!(mount.objects().await.len(), 1, "no hidden copy is left");
    }
}

#[tokio::test(start_paused = true)]
async fn a_borrower_that_can_not_be_settled_stands_in_nobodys_way() {
    let mount = over(&[("old", "bytes")]).await;
    let handle = borrower(&mount, "new").await;
    mount.outsider_puts("gone", b"?").await;
    let reader = mount.open("gone", READ).await.unwrap();
    assert_eq!(mount.volume.copy_range(reader, 0, handle, 6, 1).await, Ok(1));
    mount.outsider_deletes("gone").await;
    assert_eq!(mount.close(handle).await, Err(Error::Stale));
    mount.write("old", b"others").await.unwrap();
    assert_eq!(mount.object("old").await, b"others");
    // It is whole again as soon as what is gone is written over.
    mount.write_at("new", 6, b"!").await.unwrap();
    mount.volume.release(reader);
    mount.assert_settled_as(&files(&[("old", "others"), ("new", "<bytes!")])).await;
}

#[tokio::test(start_paused = true)]
async fn what_an_outsider_replaced_is_never_mixed_in() {
    for deleted in [false, true] {
        let mount = over(&[("old", "bytes")]).await;
        let handle = borrower(&mount, "new").await;
        if deleted {
            mount.outsider_deletes("old").await;
        } else {
            mount.outsider_puts("old", b"BYTES").await;
        }
        assert_eq!(mount.read_handle(handle).await, Err(Error::Stale));
        assert_eq!(mount.close(handle).await, Err(Error::Stale));
        assert!(!mount.objects().await.contains_key("new"));
        let failures = mount.volume.unsettled().failures;
        assert!(failures.iter().any(|one| one.path == "new" && one.reason.contains("copied from")), "{failures:?}");
        mount.rm("new").await.unwrap();
        mount.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_copy_is_of_the_same_bytes() {
    let mount = over(&[("old", "0123456789")]).await;
    let first = mount.create("first").await.unwrap();
    copy(&mount, "old", first, 0).await;
    mount.volume.write(first, 4, "xy".into()).await.unwrap();
    let second = mount.create("second").await.unwrap();
    copy(&mount, "first", second, 2).await;
    // Within one file, and over its own beginning.
    let reader = mount.open("second", READ).await.unwrap();
    assert_eq!(mount.volume.copy_range(reader, 6, second, 0, 4).await, Ok(4));
    assert_eq!(mount.volume.copy_range(reader, 0, second, 2, 8).await, Err(Error::Invalid), "they overlap");
    mount.volume.release(reader);
    mount.write("old", b"").await.unwrap();
    mount.close(second).await.unwrap();
    mount.close(first).await.unwrap();
    mount.assert_settled_as(&files(&[("old", ""), ("first", "0123xy6789"), ("second", "xy6723xy6789")])).await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_within_a_file_that_is_being_uploaded() {
    let mount = over(&[("f", "0123456789")]).await;
    let handle = mount.open("f", WRITE).await.unwrap();
    for round in 0..4 {
        mount.volume.write(handle, 9, format!("{round}").into()).await.unwrap();
        let volume = mount.volume.clone();
        let syncing = tokio::spawn(async move { volume.sync_file(handle).await });
        tokio::task::yield_now().await;
        assert_eq!(mount.volume.copy_range(handle, 0, handle, 5, 4).await, Ok(4));
        syncing.await.unwrap().unwrap();
    }
    mount.close(handle).await.unwrap();
    mount.assert_settled_as(&files(&[("f", "0123401233")])).await;
}

#[tokio::test(start_paused = true)]
async fn copies_survive_a_crash_once_they_are_closed() {
    let mut mount = over(&[("old", "bytes")]).await;
    let handle = borrower(&mount, "new").await;
    mount.close(handle).await.unwrap();
    mount.mv("old", "older").await.unwrap();
    mount.crash();
    mount.assert_settled_as(&files(&[("new", "<bytes"), ("older", "bytes")])).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_ledger_says_is_borrowed_stays_over_a_crash() {
    let mut mount = Mount::with(VolumeOptions { writeback: true, ..VolumeOptions::default() });
    mount.outsider_puts("old", b"bytes").await;
    mount.store.delay(std::time::Duration::from_millis(100), 7);
    let handle = borrower(&mount, "new").await;
    mount.close(handle).await.unwrap();
    // It is the old content after a crash too, until it is closed again.
    let handle = mount.open("new", WRITE).await.unwrap();
    mount.volume.write(handle, 0, "123456".into()).await.unwrap();
    mount.rm("old").await.unwrap();
    mount.crash();
    assert_eq!(mount.read("new").await.unwrap(), b"<bytes");
    mount.assert_settled_as(&files(&[("new", "<bytes")])).await;
    assert_eq!(mount.objects().await.len(), 1);
}
