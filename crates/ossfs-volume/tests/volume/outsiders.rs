//! Others write to the bucket too: nothing of theirs or ours is lost.

use crate::mount::{Mount, READ};
use ossfs_volume::Error;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn what_others_do_is_seen_after_the_ttl() {
    let mount = Mount::new();
    mount.outsider_puts("f", b"1").await;
    assert_eq!(mount.read("f").await.unwrap(), b"1");
    assert_eq!(mount.names("").await.unwrap(), ["f"]);
    mount.outsider_puts("f", b"22").await;
    mount.outsider_puts("g", b"3").await;
    mount.outlast_ttl().await;
    assert_eq!(mount.read("f").await.unwrap(), b"22");
    assert_eq!(mount.names("").await.unwrap(), ["f", "g"]);
    mount.outsider_deletes("f").await;
    mount.outlast_ttl().await;
    assert_eq!(mount.stat("f").await, Err(Error::NotFound));
    assert_eq!(mount.names("").await.unwrap(), ["g"]);
}

#[tokio::test(start_paused = true)]
async fn an_open_file_never_mixes_versions() {
    let mount = Mount::new();
    mount.outsider_puts("f", &[b'1'; 3 << 20]).await;
    let handle = mount.open("f", READ).await.unwrap();
    mount.volume.read(handle, 0, 10).await.unwrap();
    mount.outsider_puts("f", &[b'2'; 3 << 20]).await;
    assert_eq!(mount.volume.read(handle, 2 << 20, 10).await, Err(Error::Stale));
    let again = mount.open("f", READ).await.unwrap();
    assert_eq!(mount.volume.read(again, 2 << 20, 2).await.unwrap(), b"22"[..]);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_somebody_else_took_first_keeps_both() {
    let mount = Mount::new();
    mount.names("").await.unwrap();
    mount.outsider_puts("f", b"theirs").await;
    mount.write("f", b"ours").await.unwrap();
    mount.settle().await;
    let objects = mount.objects().await;
    assert_eq!(objects["f"], b"ours");
    let (conflict, bytes) = objects.iter().find(|(key, _)| key.starts_with("f.conflict-")).unwrap();
    assert_eq!(bytes, b"theirs");
    assert!(mount.names("").await.unwrap().contains(conflict));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_somebody_else_replaced_keeps_both() {
    let mount = Mount::new();
    mount.write("f", b"base").await.unwrap();
    mount.settle().await;
    mount.outsider_puts("f", b"theirs").await;
    mount.write("f", b"ours").await.unwrap();
    let objects = mount.objects().await;
    assert_eq!(objects["f"], b"ours");
    assert!(objects.iter().any(|(key, bytes)| key.starts_with("f.conflict-") && bytes == b"theirs"), "{objects:?}");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_was_put_where_one_was_to_be_deleted_stays() {
    let mount = Mount::new();
    mount.write("f", b"ours").await.unwrap();
    mount.settle().await;
    mount.store.delay(Duration::from_secs(1), 3);
    mount.rm("f").await.unwrap();
    mount.outsider_puts("f", b"theirs").await;
    mount.settle().await;
    assert_eq!(mount.object("f").await, b"theirs");
}

#[tokio::test(start_paused = true)]
async fn one_path_for_two_objects_ends() {
    let mount = Mount::new();
    mount.outsider_puts("a/x", b"1").await;
    mount.outsider_puts("a/y", b"1").await;
    mount.stat("a/y").await.unwrap();
    mount.store.delay(Duration::from_millis(200), 3);
    mount.mv("a", "b").await.unwrap();
    mount.write("b/new", b"2").await.unwrap();
    mount.outsider_puts("a/new", b"theirs").await;
    mount.outsider_puts("b/y", b"theirs too").await;
    mount.settle().await;
    let objects = mount.objects().await;
    // What comes from the claimed prefix goes before what is settled; that is kept under another name.
    assert!(objects.values().any(|bytes| bytes == b"2"), "{objects:?}");
    assert_eq!(objects["b/x"], b"1");
    assert!(objects.values().any(|bytes| bytes == b"theirs"), "{objects:?}");
    assert!(objects.values().any(|bytes| bytes == b"theirs too"), "{objects:?}");
}

#[tokio::test(start_paused = true)]
async fn a_moved_source_that_somebody_replaced_moves_as_it_is_now() {
    let mount = Mount::new();
    mount.outsider_puts("a", b"old").await;
    mount.stat("a").await.unwrap();
    mount.outsider_puts("a", b"newer").await;
    mount.mv("a", "b").await.unwrap();
    mount.settle().await;
    assert_eq!(mount.object("b").await, b"newer");
    assert_eq!(mount.objects().await.len(), 1);
}
