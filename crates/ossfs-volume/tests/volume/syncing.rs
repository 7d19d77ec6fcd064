//! `ossfs sync`: what is waited for, and what is told of it.

use crate::mount::{Mount, file, files};
use ossfs_store::Kind;
use ossfs_volume::{Synced, Syncing};
use std::time::Duration;

/// Looks until nothing is left, for at most so many seconds.
async fn ends_within(syncing: &mut Syncing, seconds: u64) -> Synced {
    for _ in 0..seconds * 4 {
        let synced = syncing.look();
        if synced.left.is_empty() {
            return synced;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    syncing.look()
}

#[tokio::test(start_paused = true)]
async fn open_files_are_waited_for_as_they_are() {
    let mount = Mount::new();
    mount.store.delay(Duration::from_millis(300), 1);
    let log = mount.create("log").await.unwrap();
    mount.volume.write(log, 0, "first".into()).await.unwrap();
    let mut syncing = mount.volume.sync("");
    assert_eq!((syncing.look().left.nodes, syncing.look().left.bytes), (1, 5));
    // It ends though somebody goes on writing.
    for offset in 1..40 {
        mount.volume.write(log, offset * 5, "again".into()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let synced = ends_within(&mut syncing, 3).await;
    assert!(synced.left.is_empty(), "{synced:?}");
    assert!(mount.object("log").await.starts_with(b"first"));
    mount.close(log).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_path_is_waited_for_and_nothing_beside_it() {
    let mount = Mount::new();
    for directory in ["a", "ab"] {
        mount.mkdir(directory).await.unwrap();
    }
    mount.settle().await;
    mount.store.delay(Duration::from_millis(300), 1);
    let mut open = Vec::new();
    for path in ["a/x", "ab/y"] {
        open.push(mount.create(path).await.unwrap());
        mount.volume.write(open[open.len() - 1], 0, path.into()).await.unwrap();
    }
    let mut syncing = mount.volume.sync("a");
    assert_eq!(syncing.look().left.nodes, 1);
    assert!(ends_within(&mut syncing, 3).await.left.is_empty());
    assert!(mount.objects().await.contains_key("a/x"));
    let mut file = mount.volume.sync("ab/y");
    assert_eq!(file.look().left.nodes, 1);
    assert!(ends_within(&mut file, 3).await.left.is_empty());
    assert!(mount.volume.sync("nothing/here").look().left.is_empty());
    for handle in open {
        mount.close(handle).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_renamed_directory_is_waited_for_until_its_old_objects_are_gone() {
    let mount = crate::mount::over(&[("a/1", "1"), ("a/2", "2"), ("a/s/3", "3")]).await;
    mount.mv("a", "b").await.unwrap();
    let mut syncing = mount.volume.sync("");
    assert!(!syncing.look().left.is_empty());
    assert!(ends_within(&mut syncing, 60).await.left.is_empty());
    let keys: Vec<String> = mount.objects().await.into_keys().collect();
    assert_eq!(keys, ["b/1", "b/2", "b/s/3"]);
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_told_with_the_reason() {
    let mount = Mount::new();
    mount.store.forbid(Some(("Put", Kind::Denied)));
    mount.write("refused", b"x").await.unwrap_err();
    let mut syncing = mount.volume.sync("");
    let synced = ends_within(&mut syncing, 2).await;
    assert!(synced.is_hopeless, "{synced:?}");
    let failure = &synced.left.failures[0];
    assert!(failure.path == "refused" && failure.reason.contains("forbidden"), "{failure:?}");
    assert!(failure.advice.contains("credentials") && failure.since > Duration::from_secs(1), "{failure:?}");
    // An endpoint that is down may come back.
    mount.store.forbid(None);
    mount.store.die(true);
    let mut down = mount.volume.sync("");
    let synced = ends_within(&mut down, 5).await;
    assert!(!synced.is_hopeless && synced.left.nodes == 1, "{synced:?}");
    mount.store.die(false);
    let mut last = mount.volume.sync("");
    assert!(ends_within(&mut last, 5).await.left.is_empty());
    mount.assert_settled_as(&files(&[("refused", "x")])).await;
    assert_eq!(mount.tree().await["refused"], file("x"));
}
