//! What changes of large files cost: bytes in proportion to the change, and few requests.

use crate::mount::{Mount, READ, WRITE};
use ossfs_volume::{Allocate, OpenMode, Seek};
use std::collections::BTreeMap;

const LARGE: usize = 40 << 20;

/// A mount with a large file, which is known.
async fn large() -> Mount {
    let mount = Mount::new();
    mount.outsider_puts("large", &vec![b'x'; LARGE]).await;
    mount.stat("large").await.unwrap();
    mount.store.take_counts();
    mount.store.take_bytes_in();
    mount
}

fn total(counts: &BTreeMap<&'static str, u64>) -> u64 {
    counts.values().sum()
}

#[tokio::test(start_paused = true)]
async fn a_small_change_within_a_large_file() {
    let mount = large().await;
    let handle = mount.open("large", WRITE).await.unwrap();
    mount.volume.write(handle, 20 << 20, vec![b'y'; 4096].into()).await.unwrap();
    mount.volume.sync_file(handle).await.unwrap();
    let counts = mount.store.take_counts();
    assert!(total(&counts) <= 8 && !counts.contains_key("Get") || counts["Get"] == 1, "{counts:?}");
    assert!(mount.store.take_bytes_in() <= 128 << 10);
    mount.close(handle).await.unwrap();
    let object = mount.object("large").await;
    assert!(object.len() == LARGE && object[20 << 20..][..4096].iter().all(|byte| *byte == b'y'));
}

#[tokio::test(start_paused = true)]
async fn a_small_append_to_a_large_file() {
    let mount = large().await;
    let handle = mount.open("large", OpenMode { append: true, ..WRITE }).await.unwrap();
    mount.volume.write(handle, 0, vec![b'y'; 1024].into()).await.unwrap();
    mount.volume.sync_file(handle).await.unwrap();
    let counts = mount.store.take_counts();
    assert!(total(&counts) <= 5, "{counts:?}");
    assert!(mount.store.take_bytes_in() <= 2 << 10);
    mount.close(handle).await.unwrap();
    assert_eq!(mount.object("large").await.len(), LARGE + 1024);
}

#[tokio::test(start_paused = true)]
async fn what_is_replaced_is_looked_at_when_the_parts_are_there() {
    let mount = large().await;
    let handle = mount.open("large", WRITE).await.unwrap();
    mount.volume.write(handle, 0, vec![b'y'; LARGE].into()).await.unwrap();
    mount.outsider_puts("large", b"theirs").await;
    mount.close(handle).await.unwrap();
    let objects = mount.objects().await;
    assert_eq!(objects["large"].len(), LARGE);
    assert!(objects.iter().any(|(key, bytes)| key.starts_with("large.conflict-") && bytes == b"theirs"));
}

#[tokio::test(start_paused = true)]
async fn cutting_a_file_to_nothing() {
    let mount = large().await;
    mount.truncate("large", 0).await.unwrap();
    mount.settle().await;
    let counts = mount.store.take_counts();
    assert!(total(&counts) <= 2, "{counts:?}");
    assert_eq!(mount.object("large").await, b"");
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_in_the_bucket_when_it_is_closed() {
    let mount = large().await;
    let handle = mount.open("large", WRITE).await.unwrap();
    let node = mount.at("large").await.unwrap();
    let set = ossfs_volume::SetAttributes { size: Some(7), handle: Some(handle), ..Default::default() };
    mount.volume.set_attributes(node, set).await.unwrap();
    mount.volume.flush(handle).await.unwrap();
    assert_eq!(mount.object("large").await, b"xxxxxxx");
    mount.volume.release(handle);
    // A shell flushes a copy of the handle before it writes; it would be an object too many.
    let handle = mount.open("large", OpenMode { truncate: true, ..WRITE }).await.unwrap();
    mount.volume.flush(handle).await.unwrap();
    assert_eq!(mount.object("large").await, b"xxxxxxx");
    mount.volume.flush(handle).await.unwrap();
    assert_eq!(mount.object("large").await, b"");
    mount.volume.release(handle);
}

#[tokio::test(start_paused = true)]
async fn a_sparse_file_takes_no_memory() {
    let options = ossfs_volume::VolumeOptions { memory_limit: 2 << 20, part_bytes: 1 << 20, ..Default::default() };
    let mount = Mount::with(options);
    let handle = mount.create("sparse").await.unwrap();
    mount.volume.write(handle, (200 << 20) - 3, "end".into()).await.unwrap();
    assert_eq!(mount.volume.seek(handle, 0, Seek::Hole), Ok(0));
    assert_eq!(mount.volume.seek(handle, 0, Seek::Data), Ok((200 << 20) - 3));
    assert!(mount.volume.unsettled().bytes < 1 << 20);
    mount.volume.allocate(handle, 100, 50, Allocate::Extend).await.unwrap();
    mount.volume.allocate(handle, 200 << 20, 50, Allocate::Reserve).await.unwrap();
    mount.close(handle).await.unwrap();
    let object = mount.object("sparse").await;
    assert_eq!(object.len(), 200 << 20);
    assert!(object.ends_with(b"\0end"));
}

#[tokio::test(start_paused = true)]
async fn holes_are_punched_and_found() {
    let mount = Mount::new();
    mount.write("f", b"0123456789").await.unwrap();
    let handle = mount.open("f", WRITE).await.unwrap();
    mount.volume.allocate(handle, 2, 3, Allocate::Punch).await.unwrap();
    mount.volume.allocate(handle, 8, 100, Allocate::Punch).await.unwrap();
    assert_eq!(mount.read("f").await.unwrap(), b"01\0\0\x00567\0\0");
    let found = |what| [0, 2, 5, 9].map(|offset| mount.volume.seek(handle, offset, what).ok());
    assert_eq!(found(Seek::Data), [Some(0), Some(5), Some(5), None]);
    assert_eq!(found(Seek::Hole), [Some(2), Some(2), Some(8), Some(9)]);
    assert!(mount.volume.seek(handle, 10, Seek::Hole).is_err());
    mount.volume.allocate(handle, 9, 4, Allocate::Zero).await.unwrap();
    mount.volume.allocate(handle, 12, 2, Allocate::Extend).await.unwrap();
    mount.close(handle).await.unwrap();
    assert_eq!(mount.object("f").await, b"01\0\0\x00567\0\0\0\0\0\0");
    let handle = mount.open("f", READ).await.unwrap();
    assert_eq!(mount.volume.allocate(handle, 0, 1, Allocate::Punch).await, Err(ossfs_volume::Error::BadHandle));
    mount.volume.release(handle);
}
