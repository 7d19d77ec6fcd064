//! `ossfs sync`: what is waited for, and what is told of it.

use crate::mount::{Mount, file, files};
use crate::weather::Ill;
use ossfs_store::Kind;
use ossfs_volume::{Synced, Syncing, VolumeOptions};
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

/// Closes so many files in each of these directories, while the bucket is silent about `slow/`, and refuses `bad/`.
async fn with_a_silent_directory(directories: &[(&str, usize)]) -> Mount {
    let mount = Mount::with(VolumeOptions { writeback: true, ..VolumeOptions::default() });
    for (directory, _) in directories {
        mount.mkdir(directory).await.unwrap();
    }
    mount.settle().await;
    mount.store.delay(Duration::from_millis(20), 1);
    mount.store.befall("slow/", Some(Ill::Silent(Duration::from_secs(10))));
    mount.store.befall("bad/", Some(Ill::Refused(Kind::Denied)));
    for (directory, count) in directories {
        for number in 0..*count {
            mount.write(&format!("{directory}/{number}"), b"x").await.unwrap();
        }
    }
    mount
}

#[tokio::test(start_paused = true)]
async fn a_silent_directory_and_one_that_is_refused_are_named_and_hold_nothing_up() {
    // Fewer silent requests than there may be at a time, and more.
    for (silent, others_take) in [(20, 5), (100, 60)] {
        let mount = with_a_silent_directory(&[("slow", silent), ("bad", 10), ("good", 100)]).await;
        let mut good = mount.volume.sync("good");
        assert!(ends_within(&mut good, others_take).await.left.is_empty(), "{silent} silent ones");
        let mut syncing = mount.volume.sync("");
        let synced = ends_within(&mut syncing, 60).await;
        assert_eq!(synced.left.nodes, silent as u64 + 10, "{synced:?}");
        let named = |directory: &str| synced.left.failures.iter().any(|failure| failure.path.starts_with(directory));
        assert!(named("slow/") && named("bad/"), "{synced:?}");
        mount.store.befall("slow/", None);
        mount.store.befall("bad/", None);
        mount.settle().await;
        assert_eq!(mount.objects().await.into_keys().filter(|key| !key.ends_with('/')).count(), silent + 110);
        assert!(mount.volume.sync("").look().left.is_empty());
    }
}
