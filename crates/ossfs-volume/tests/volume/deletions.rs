//! What is removed is deleted in batches, and only if it is still what was removed.

use crate::mount::{Mount, file, files};
use crate::weather::Storm;
use ossfs_store::Kind;
use ossfs_volume::Error;
use std::collections::BTreeMap;
use std::time::Duration;

/// A mount with so many files in a directory, which was listed.
async fn with_files(count: usize) -> Mount {
    let mount = Mount::new();
    for number in 0..count {
        mount.outsider_puts(&format!("d/{number:05}"), b"x").await;
    }
    assert_eq!(mount.names("d").await.unwrap().len(), count);
    mount.store.take_counts();
    mount
}

async fn remove_all(mount: &Mount, directory: &str) {
    for name in mount.names(directory).await.unwrap() {
        mount.rm(&format!("{directory}/{name}")).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn removing_5000_files_costs_two_requests_a_thousand() {
    let mount = with_files(5_000).await;
    remove_all(&mount, "d").await;
    mount.rmdir("d").await.unwrap();
    mount.settle().await;
    let counts = mount.store.take_counts();
    assert!(counts.values().sum::<u64>() <= 30, "{counts:?}");
    assert_eq!(counts.get("DeleteMany"), Some(&5), "{counts:?}");
    assert_eq!(mount.objects().await, BTreeMap::new());
}

#[tokio::test(start_paused = true)]
async fn removing_one_file_costs_two_requests() {
    let mount = with_files(3).await;
    mount.rm("d/00001").await.unwrap();
    mount.settle().await;
    assert_eq!(mount.store.take_counts(), BTreeMap::from([("Head", 1), ("Delete", 1)]));
}

#[tokio::test(start_paused = true)]
async fn files_between_many_others_are_found_too() {
    let mount = with_files(3_000).await;
    mount.store.delay(Duration::from_millis(100), 3);
    for number in (0..3_000).step_by(500) {
        mount.rm(&format!("d/{number:05}")).await.unwrap();
    }
    mount.settle().await;
    assert_eq!(mount.objects().await.len(), 3_000 - 6);
    assert!(!mount.objects().await.contains_key("d/02500"));
}

#[tokio::test(start_paused = true)]
async fn what_an_outsider_has_put_meanwhile_stays() {
    let mount = with_files(20).await;
    remove_all(&mount, "d").await;
    mount.outsider_puts("d/00007", b"theirs").await;
    mount.outsider_deletes("d/00008").await;
    mount.settle().await;
    assert_eq!(mount.objects().await.into_keys().filter(|key| key != "d/").collect::<Vec<_>>(), ["d/00007"]);
    assert_eq!(mount.read("d/00007").await.unwrap(), b"theirs");
}

#[tokio::test(start_paused = true)]
async fn a_batch_without_an_answer_is_looked_at_before_it_is_repeated() {
    let mount = with_files(20).await;
    mount.store.storm(Some(Storm { refused: 0.0, lost_answers: 1.0, lost_requests: 0.0 }));
    remove_all(&mount, "d").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(mount.store.take_counts().get("DeleteMany"), Some(&1));
    let unsettled = mount.volume.unsettled();
    assert_eq!((unsettled.tombstones, unsettled.failures_total >= 20), (20, true), "{unsettled:?}");
    mount.store.storm(None);
    mount.outsider_puts("d/00007", b"theirs").await;
    mount.settle().await;
    assert_eq!(mount.object("d/00007").await, b"theirs");
    assert_eq!(mount.store.take_counts().get("DeleteMany"), None, "they were gone");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_batch_is_repeated_less_and_less() {
    let mount = with_files(20).await;
    mount.store.forbid(Some(("DeleteMany", Kind::Throttled)));
    remove_all(&mount, "d").await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let tries = mount.store.take_counts().get("DeleteMany").copied().unwrap_or_default();
    assert!((5..12).contains(&tries), "{tries}");
    let unsettled = mount.volume.unsettled();
    assert!(unsettled.failures.iter().any(|failure| failure.path == "d/00003"), "{unsettled:?}");
    mount.store.forbid(None);
    mount.settle().await;
    assert_eq!(mount.volume.unsettled().failures, []);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_of_its_directory_alone() {
    let mount = Mount::new();
    for number in 0..200 {
        mount.outsider_puts(&format!("kept/{number:03}"), b"x").await;
        mount.outsider_puts(&format!("free/{number:03}"), b"x").await;
    }
    mount.outsider_puts("free/last", b"x").await;
    for directory in ["", "kept", "free"] {
        mount.names(directory).await.unwrap();
    }
    mount.store.take_counts();
    mount.store.keep(Some("kept/"));
    for number in 0..200 {
        mount.rm(&format!("kept/{number:03}")).await.unwrap();
        mount.rm(&format!("free/{number:03}")).await.unwrap();
    }
    mount.settle().await;
    let counts = mount.store.take_counts();
    assert!(counts.values().sum::<u64>() < 50, "{counts:?}");
    assert_eq!(mount.names("kept").await.unwrap().len(), 200, "they are shown again");
    assert_eq!(mount.names("free").await.unwrap(), ["last"]);
    assert_eq!(mount.rm("kept/000").await, Err(Error::Denied));
    assert_eq!(mount.mv("kept/000", "free/000").await, Err(Error::Denied));
    let refused = mount.volume.unsettled().refused;
    assert!(refused.len() == 1 && refused[0].path == "kept/", "{refused:?}");
    mount.rm("free/last").await.unwrap();
    tokio::time::sleep(Duration::from_secs(61)).await;
    mount.store.keep(None);
    mount.rm("kept/000").await.unwrap();
    mount.settle().await;
    assert_eq!(mount.volume.unsettled().refused, []);
    assert!(!mount.objects().await.contains_key("kept/000"));
}

#[tokio::test(start_paused = true)]
async fn one_object_that_is_kept_keeps_no_other() {
    let mount = with_files(300).await;
    mount.store.keep(Some("d/00123"));
    remove_all(&mount, "d").await;
    mount.settle().await;
    let counts = mount.store.take_counts();
    assert!(counts.values().sum::<u64>() < 40, "{counts:?}");
    assert_eq!(mount.tree().await, files(&[("d/00123", "x")]));
    assert_eq!(mount.tree().await["d/00123"], file("x"));
}
