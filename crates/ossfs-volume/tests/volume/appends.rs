//! Files that are appendable objects, and what becomes of them.

use crate::mount::{APPEND, Mount, READ, WRITE, file, files};
use crate::weather::Storm;
use ossfs_store::{AppendOptions, Kind, ObjectStore, ObjectType, Payload};
use ossfs_types::{Key, Timestamp};
use ossfs_volume::{AppendMode, Error, HandleId, Result, SetAttributes, SetTime, VolumeOptions};
use std::collections::BTreeMap;
use std::time::Duration;

fn appending() -> Mount {
    Mount::with(VolumeOptions { append: AppendMode::Appendable, ..VolumeOptions::default() })
}

/// As `exec 3>> path` does.
async fn open_for_appending(mount: &Mount, path: &str) -> Result<HandleId> {
    match mount.create_for(path, APPEND).await {
        Err(Error::Exists) => mount.open(path, APPEND).await,
        created => created,
    }
}

/// As `echo -n … >> path` does.
async fn append(mount: &Mount, path: &str, bytes: &[u8]) -> Result<()> {
    let handle = open_for_appending(mount, path).await?;
    let written = mount.volume.write(handle, 0, bytes.to_vec().into()).await;
    mount.close(handle).await.and(written.map(drop))
}

async fn object_type(mount: &Mount, key: &str) -> ObjectType {
    mount.head(key).await.object_type
}

/// Somebody else appends to an object, or makes one.
async fn outsider_appends(mount: &Mount, key: &str, position: u64, bytes: &[u8]) {
    let key = Key::parse(key).unwrap();
    let payload = Payload::from(bytes.to_vec());
    mount.bucket.append(&key, position, payload, &AppendOptions::default()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_settling_is_one_append() {
    let mount = appending();
    mount.names("").await.unwrap();
    mount.store.take_counts();
    let once = BTreeMap::from([("Append", 1)]);
    append(&mount, "log", b"first").await.unwrap();
    mount.settle().await;
    assert_eq!(mount.store.take_counts(), once);
    let handle = mount.open("log", APPEND).await.unwrap();
    mount.store.take_bytes_in();
    mount.volume.write(handle, 0, vec![7; 1024].into()).await.unwrap();
    mount.volume.sync_file(handle).await.unwrap();
    assert_eq!((mount.store.take_counts(), mount.store.take_bytes_in()), (once.clone(), 1024));
    assert_eq!(mount.read_handle(handle).await.unwrap()[..6], *b"first\x07");
    mount.close(handle).await.unwrap();
    mount.settle().await;
    let meta = mount.head("log").await;
    assert_eq!((meta.object_type, meta.size), (ObjectType::Appendable, 1029));
    assert_eq!(meta.metadata.user["mode"], "33188");
    assert!(!meta.metadata.user.contains_key("mtime"), "it would be wrong after the next append");
    let fresh = mount.fresh();
    let stat = fresh.stat("log").await.unwrap();
    assert_eq!((stat.attributes.mode, stat.attributes.mtime, stat.size), (0o644, meta.last_modified, 1029));
    mount.store.take_counts();
    append(&fresh, "log", b"!").await.unwrap();
    fresh.settle().await;
    assert_eq!(mount.store.take_counts(), once, "known from the bucket");
}

#[tokio::test(start_paused = true)]
async fn an_empty_file_is_appendable_too() {
    let mount = appending();
    let handle = open_for_appending(&mount, "log").await.unwrap();
    mount.close(handle).await.unwrap();
    mount.settle().await;
    assert_eq!(object_type(&mount, "log").await, ObjectType::Appendable);
    append(&mount, "log", b"x").await.unwrap();
    append(&mount, "log", b"y").await.unwrap();
    mount.assert_settled_as(&files(&[("log", "xy")])).await;
    assert_eq!(object_type(&mount, "log").await, ObjectType::Appendable);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_stays_open_grows_in_the_bucket() {
    let mount = appending();
    let handle = open_for_appending(&mount, "log").await.unwrap();
    for line in [b"one", b"two"] {
        mount.volume.write(handle, 0, line.as_slice().into()).await.unwrap();
        tokio::time::sleep(mount.options.settle_interval * 2).await;
    }
    assert_eq!(mount.object("log").await, b"onetwo");
    assert_eq!(mount.store.take_counts()["Append"], 2);
    mount.close(handle).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn much_that_is_appended_goes_a_piece_at_a_time() {
    let options = VolumeOptions {
        append: AppendMode::Appendable,
        memory_limit: 4 << 20,
        part_bytes: 1 << 20,
        ..Default::default()
    };
    let mount = Mount::with(options);
    let handle = open_for_appending(&mount, "log").await.unwrap();
    let block: Vec<u8> = (0..=255).cycle().take(128 << 10).collect();
    for _ in 0..64 {
        mount.volume.write(handle, 0, block.clone().into()).await.unwrap();
        assert!(mount.volume.unsettled().bytes <= 2 << 20, "{:?}", mount.volume.unsettled());
    }
    mount.close(handle).await.unwrap();
    let counts = mount.store.take_counts();
    assert!((4..=10).contains(&counts["Append"]) && !counts.contains_key("CreateUpload"), "{counts:?}");
    let expected: Vec<u8> = std::iter::repeat_n(block, 64).flatten().collect();
    assert!(mount.object("log").await == expected);
}

#[tokio::test(start_paused = true)]
async fn a_normal_object_stays_one() {
    let mount = appending();
    mount.outsider_puts("log", b"theirs").await;
    append(&mount, "log", b" and ours").await.unwrap();
    mount.write("other", b"x").await.unwrap();
    append(&mount, "other", b"y").await.unwrap();
    mount.assert_settled_as(&files(&[("log", "theirs and ours"), ("other", "xy")])).await;
    for key in ["log", "other"] {
        assert_eq!(object_type(&mount, key).await, ObjectType::Normal, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_option_what_is_appendable_is_streamed() {
    let mount = Mount::new();
    let large: Vec<u8> = (0..=255).cycle().take(20 << 20).collect();
    outsider_appends(&mount, "small", 0, b"a").await;
    outsider_appends(&mount, "large", 0, &large).await;
    append(&mount, "small", b"b").await.unwrap();
    append(&mount, "large", b"end").await.unwrap();
    mount.settle().await;
    assert_eq!(mount.object("small").await, b"ab");
    assert!(mount.object("large").await == [&large[..], b"end"].concat());
    assert_eq!(object_type(&mount, "small").await, ObjectType::Normal);
    assert_eq!(object_type(&mount, "large").await, ObjectType::Multipart);
    assert!(!mount.store.take_counts().contains_key("Append"));
}

#[tokio::test(start_paused = true)]
async fn what_turns_out_to_be_appendable_is_streamed() {
    let mount = Mount::with(VolumeOptions { trust_listing: true, ..VolumeOptions::default() });
    let large: Vec<u8> = (0..=255).cycle().take(20 << 20).collect();
    mount.outsider_puts("log", b"normal").await;
    mount.stat("log").await.unwrap();
    mount.outsider_deletes("log").await;
    outsider_appends(&mount, "log", 0, &large).await;
    assert_eq!(mount.read("log").await, Err(Error::Stale));
    mount.store.take_counts();
    append(&mount, "log", b"end").await.unwrap();
    assert!(mount.object("log").await == [&large[..], b"end"].concat());
    let counts = mount.store.take_counts();
    assert!(counts["UploadPartCopy"] > 0 && counts["Abort"] == 1, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn what_oss_refuses_is_done_by_streaming_into_a_normal_object() {
    let mount = appending();
    for path in ["moved", "described", "written", "cut", "touched"] {
        append(&mount, path, b"content").await.unwrap();
    }
    mount.settle().await;
    let before = mount.head("moved").await.last_modified;
    mount.mv("moved", "elsewhere").await.unwrap();
    mount.chmod("described", 0o600).await.unwrap();
    mount.write_at("written", 0, b"C").await.unwrap();
    mount.truncate("cut", 3).await.unwrap();
    let set = SetAttributes { mtime: Some(SetTime::At(Timestamp::UNIX_EPOCH)), ..Default::default() };
    mount.volume.set_attributes(mount.at("touched").await.unwrap(), set).await.unwrap();
    let expected = [
        ("elsewhere", "content"),
        ("described", "content"),
        ("written", "Content"),
        ("cut", "con"),
        ("touched", "content"),
    ];
    mount.assert_settled_as(&files(&expected)).await;
    for (key, _) in expected {
        assert_eq!(object_type(&mount, key).await, ObjectType::Normal, "{key}");
    }
    let fresh = mount.fresh();
    assert_eq!(fresh.stat("described").await.unwrap().attributes.mode, 0o600);
    assert_eq!(fresh.stat("touched").await.unwrap().attributes.mtime, Timestamp::UNIX_EPOCH);
    let moved = mount.head("elsewhere").await;
    assert_eq!(moved.metadata.user["mtime"], before.as_second().to_string(), "moving changes no time");
    append(&mount, "described", b"!").await.unwrap();
    assert_eq!(object_type(&mount, "described").await, ObjectType::Normal, "never converted back");
    assert_eq!(mount.object("described").await, b"content!");
}

#[tokio::test(start_paused = true)]
async fn a_mode_that_is_set_before_the_first_append_is_in_it() {
    let mount = appending();
    let handle = open_for_appending(&mount, "log").await.unwrap();
    mount.chmod("log", 0o600).await.unwrap();
    mount.volume.write(handle, 0, "x".into()).await.unwrap();
    mount.close(handle).await.unwrap();
    mount.settle().await;
    assert_eq!(mount.store.take_counts()["Append"], 1);
    let meta = mount.head("log").await;
    assert_eq!((meta.object_type, &meta.metadata.user["mode"]), (ObjectType::Appendable, &"33152".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_rotated_or_removed_begins_anew() {
    let mount = appending();
    append(&mount, "log", b"old").await.unwrap();
    mount.mv("log", "log.1").await.unwrap();
    append(&mount, "log", b"new").await.unwrap();
    mount.settle().await;
    assert_eq!(object_type(&mount, "log").await, ObjectType::Appendable);
    mount.rm("log").await.unwrap();
    append(&mount, "log", b"newer").await.unwrap();
    mount.assert_settled_as(&files(&[("log", "newer"), ("log.1", "old")])).await;
    assert_eq!(object_type(&mount, "log").await, ObjectType::Appendable);
}

#[tokio::test(start_paused = true)]
async fn a_new_file_that_replaces_another_leaves_no_gap() {
    let mount = appending();
    mount.write("target", b"old").await.unwrap();
    mount.settle().await;
    let handle = open_for_appending(&mount, "new").await.unwrap();
    mount.volume.write(handle, 0, "new".into()).await.unwrap();
    mount.mv("new", "target").await.unwrap();
    mount.store.take_counts();
    mount.close(handle).await.unwrap();
    mount.settle().await;
    let counts = mount.store.take_counts();
    assert!(!counts.contains_key("Delete"), "{counts:?}");
    mount.assert_settled_as(&files(&[("target", "new")])).await;
}

#[tokio::test(start_paused = true)]
async fn an_append_whose_answer_is_lost_is_done_once() {
    let mount = appending();
    append(&mount, "log", b"one").await.unwrap();
    for (lost_answers, lost_requests, bytes) in [(1.0, 0.0, b"two"), (0.0, 0.5, b"six")] {
        mount.store.storm(Some(Storm { refused: 0.0, lost_answers, lost_requests }));
        while append_again(&mount, bytes).await.is_err() {}
        mount.store.storm(None);
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    mount.assert_settled_as(&files(&[("log", "onetwosix")])).await;
    assert_eq!(object_type(&mount, "log").await, ObjectType::Appendable);
}

/// Appends, and settles what an attempt before has left.
async fn append_again(mount: &Mount, bytes: &[u8]) -> Result<()> {
    let handle = mount.open("log", APPEND).await?;
    if !mount.read_handle(handle).await?.ends_with(bytes) {
        mount.volume.write(handle, 0, bytes.to_vec().into()).await?;
    }
    let synced = mount.volume.sync_file(handle).await;
    mount.volume.release(handle);
    synced
}

#[tokio::test(start_paused = true)]
async fn an_append_that_lands_after_a_crash_is_known_again() {
    let mut mount = appending();
    append(&mount, "log", b"one").await.unwrap();
    mount.settle().await;
    mount.store.storm(Some(Storm { refused: 0.0, lost_answers: 1.0, lost_requests: 0.0 }));
    mount.store.delay(Duration::from_millis(500), 1);
    let other = mount.same();
    let writer = tokio::spawn(async move { append(&other, "log", b"two").await });
    while mount.bucket.head(&Key::parse("log").unwrap()).await.unwrap().size == 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    mount.crash();
    writer.abort();
    mount.store.storm(None);
    assert_eq!(mount.read("log").await.map(|bytes| bytes.len() >= 3), Ok(true));
    mount.settle().await;
    append(&mount, "log", b"six").await.unwrap();
    mount.assert_settled_as(&files(&[("log", "onetwosix")])).await;
    assert_eq!(object_type(&mount, "log").await, ObjectType::Appendable);
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_lost_changes_no_object() {
    let mut mount = appending();
    append(&mount, "log", b"one").await.unwrap();
    mount.settle().await;
    let handle = mount.open("log", APPEND).await.unwrap();
    mount.volume.write(handle, 0, "lost".into()).await.unwrap();
    mount.crash();
    mount.store.take_counts();
    tokio::time::sleep(Duration::from_secs(20)).await;
    mount.assert_settled_as(&files(&[("log", "one")])).await;
    assert_eq!(object_type(&mount, "log").await, ObjectType::Appendable);
    let counts = mount.store.take_counts();
    assert!(!counts.contains_key("Put") && !counts.contains_key("Copy"), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn what_others_appended_meanwhile_is_not_mixed() {
    let mount = appending();
    append(&mount, "log", b"ours").await.unwrap();
    mount.settle().await;
    outsider_appends(&mount, "log", 4, b" theirs").await;
    assert_eq!(append(&mount, "log", b" lost").await, Err(Error::Stale));
    assert_eq!(mount.object("log").await, b"ours theirs");
    // Even if it would fit once more.
    mount.outsider_deletes("log").await;
    outsider_appends(&mount, "log", 0, b"four").await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(mount.object("log").await, b"four");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_somebody_put_first_is_set_aside() {
    for (key, appendable) in [("a", false), ("b", true)] {
        let mount = appending();
        mount.names("").await.unwrap();
        match appendable {
            true => outsider_appends(&mount, key, 0, b"theirs").await,
            false => mount.outsider_puts(key, b"theirs").await,
        }
        append(&mount, key, b"ours").await.unwrap();
        mount.settle().await;
        assert_eq!(mount.object(key).await, b"ours");
        let objects = mount.objects().await;
        let aside: Vec<_> = objects.iter().filter(|(name, _)| name.starts_with(&format!("{key}.conflict-"))).collect();
        assert!(matches!(&aside[..], [(_, bytes)] if **bytes == b"theirs"), "{objects:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_storage_class_that_can_not_be_appended_to_is_put() {
    let mount = appending();
    mount.names("").await.unwrap();
    mount.store.forbid(Some(("Append", Kind::Invalid)));
    append(&mount, "log", b"x").await.unwrap();
    assert_eq!(object_type(&mount, "log").await, ObjectType::Normal);
    let read = mount.open("log", READ).await.unwrap();
    assert_eq!(mount.read_handle(read).await.unwrap(), b"x");
    mount.close(read).await.unwrap();
    mount.assert_settled_as(&BTreeMap::from([("log".to_owned(), file("x"))])).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_opened_for_appending_before_its_object_is_on_its_way_becomes_appendable() {
    let mount = appending();
    let first = mount.create("log").await.unwrap();
    mount.volume.write(first, 0, "head".into()).await.unwrap();
    let second = mount.open("log", APPEND).await.unwrap();
    mount.volume.write(second, 0, "tail".into()).await.unwrap();
    mount.close(second).await.unwrap();
    mount.close(first).await.unwrap();
    assert_eq!(object_type(&mount, "log").await, ObjectType::Appendable);
    let over = mount.open("log", WRITE).await.unwrap();
    mount.volume.write(over, 8, "end".into()).await.unwrap();
    mount.close(over).await.unwrap();
    assert_eq!(
        object_type(&mount, "log").await,
        ObjectType::Appendable,
        "where it is written counts, not how it is opened"
    );
    mount.assert_settled_as(&files(&[("log", "headtailend")])).await;
}
