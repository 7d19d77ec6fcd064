//! A second mount recalls what the first one knew.

use crate::mount::Mount;
use ossfs_ledger::{AttributeCache, MemoryCache};
use ossfs_store::{CopyOptions, CopySource, ObjectStore};
use ossfs_types::Key;
use ossfs_volume::VolumeOptions;
use std::collections::BTreeMap;
use std::time::Duration;

/// Objects that are old enough for a change of their metadata to show, listed with their attributes, and what is kept.
async fn known(count: usize) -> (Mount, MemoryCache) {
    let mount = Mount::with(VolumeOptions { metadata_ttl: Duration::from_secs(3600), ..VolumeOptions::default() });
    for number in 0..count {
        mount.outsider_puts(&format!("{number:04}"), b"x").await;
    }
    // The store has the time of day, which no test moves.
    std::thread::sleep(Duration::from_millis(2_100));
    list_long(&mount).await;
    let cache = MemoryCache::default();
    cache.keep("", &mut mount.volume.known_attributes().into_iter());
    (mount, cache)
}

/// As `ls -l` does.
async fn list_long(mount: &Mount) -> usize {
    let names = mount.names("").await.unwrap();
    for name in &names {
        mount.stat(name).await.unwrap();
    }
    names.len()
}

#[tokio::test(start_paused = true)]
async fn a_second_mount_lists_without_asking_for_attributes() {
    let (first, cache) = known(1_000).await;
    assert_eq!(first.store.take_counts().get("Head"), Some(&1_000));
    let second = first.fresh();
    second.volume.recall(cache.take(""));
    assert_eq!(list_long(&second).await, 1_000);
    assert_eq!(second.store.take_counts(), BTreeMap::from([("List", 1)]));
    // What was recalled is kept once more, and what was not needed too.
    assert_eq!(second.volume.known_attributes().len(), 1_000);
    let third = first.fresh();
    third.volume.recall(second.volume.known_attributes());
    assert_eq!(third.volume.known_attributes().len(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_since_is_asked_for() {
    let (first, cache) = known(5).await;
    first.outsider_puts("0001", b"y").await;
    let key = Key::parse("0002").unwrap();
    let mut metadata = first.head("0002").await.metadata;
    metadata.user.insert("mode".into(), "33152".parse().unwrap());
    let source = CopySource { key: key.clone(), if_match: None };
    let options = CopyOptions { replace_metadata: Some(metadata), ..CopyOptions::default() };
    first.bucket.copy(&source, &key, &options).await.unwrap();
    first.outsider_deletes("0003").await;
    first.store.take_counts();
    let second = first.fresh();
    second.volume.recall(cache.take(""));
    assert_eq!(list_long(&second).await, 4);
    assert_eq!(second.stat("0002").await.unwrap().attributes.mode & 0o777, 0o600, "an outsider's chmod is seen");
    assert_eq!(second.read("0001").await.unwrap(), b"y");
    assert_eq!(second.store.take_counts().get("Head"), Some(&2));
}

#[tokio::test(start_paused = true)]
async fn what_was_young_when_it_was_seen_is_not_kept() {
    let mount = Mount::new();
    mount.outsider_puts("young", b"x").await;
    list_long(&mount).await;
    assert_eq!(mount.volume.known_attributes(), []);
}
