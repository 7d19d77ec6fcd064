//! A bucket that may not grow: calls say EDQUOT, nothing is lost, and all of it settles once there is room.

use crate::mount::{Mount, WRITE, files, over};
use ossfs_store::{Kind, ObjectStore};
use ossfs_types::Prefix;
use ossfs_volume::{Error, VolumeOptions};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn what_is_written_over_the_quota_is_kept_and_settles_when_there_is_room() {
    let mut mount = over(&[("d/x", "1"), ("d/y", "2")]).await;
    for directory in ["", "d"] {
        mount.names(directory).await.unwrap();
    }
    mount.store.forbid(Some(("Put", Kind::Quota)));
    assert_eq!(mount.write("f", b"precious").await, Err(Error::Quota));
    assert_eq!(mount.write("f", b"more precious").await, Err(Error::Quota));
    assert_eq!(mount.write("d/x", b"precious too").await, Err(Error::Quota));
    let handle = mount.open("f", WRITE).await.unwrap();
    assert_eq!(mount.volume.sync_file(handle).await, Err(Error::Quota));
    mount.volume.release(handle);
    // What makes room is done.
    mount.rm("d/y").await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(mount.objects().await.into_keys().collect::<Vec<_>>(), ["d/x"]);
    let failures = mount.volume.unsettled().failures;
    assert!(failures.iter().any(|failure| failure.path == "f"), "{failures:?}");
    assert!(failures.iter().all(|failure| failure.advice.contains("quota")), "{failures:?}");
    let expected = files(&[("d/x", "precious too"), ("f", "more precious")]);
    assert_eq!(mount.tree().await, expected);
    mount.crash();
    mount.store.forbid(Some(("Put", Kind::Quota)));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(mount.tree().await, expected);
    mount.store.forbid(None);
    mount.assert_settled_as(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_rename_over_the_quota_is_taken_back_and_later_ones_fail_at_once() {
    let mount = over(&[("d/x", "1"), ("d/y", "2"), ("e/z", "3")]).await;
    for directory in ["", "d", "e"] {
        mount.names(directory).await.unwrap();
    }
    mount.store.forbid(Some(("Copy", Kind::Quota)));
    mount.mv("d/x", "d/new").await.unwrap();
    mount.settle().await;
    let expected = files(&[("d/x", "1"), ("d/y", "2"), ("e/z", "3")]);
    assert_eq!(mount.tree().await, expected, "shown as the bucket has it");
    assert_eq!(mount.mv("d/x", "d/new").await, Err(Error::Quota));
    assert_eq!(mount.mv("d/y", "d/other").await, Err(Error::Quota));
    let refused = mount.volume.unsettled().refused;
    assert!(refused.len() == 1 && refused[0].path == "d/" && refused[0].advice.contains("quota"), "{refused:?}");
    mount.rm("d/y").await.unwrap();
    mount.settle().await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    mount.store.forbid(None);
    mount.mv("d/x", "d/new").await.unwrap();
    mount.assert_settled_as(&files(&[("d/new", "1"), ("e/z", "3")])).await;
}

#[tokio::test(start_paused = true)]
async fn a_renamed_directory_over_the_quota_loses_nothing() {
    let mount = over(&[("d/x", "1"), ("d/s/y", "2")]).await;
    mount.tree().await;
    mount.store.forbid(Some(("Copy", Kind::Quota)));
    mount.mv("d", "e").await.unwrap();
    tokio::time::sleep(Duration::from_secs(120)).await;
    let contents: Vec<_> = mount.objects().await.into_iter().filter(|(key, _)| !key.ends_with('/')).collect();
    assert_eq!(contents, [("d/s/y".to_owned(), b"2".to_vec()), ("d/x".to_owned(), b"1".to_vec())]);
    let shown = mount.tree().await;
    let bytes = |wanted: &str| shown.values().filter(|entry| **entry == crate::mount::file(wanted)).count();
    assert_eq!((bytes("1"), bytes("2")), (1, 1), "{shown:?}");
    mount.store.forbid(None);
    mount.settle().await;
    let settled = mount.tree().await;
    mount.assert_settled_as(&settled).await;
    let bytes = |wanted: &str| settled.values().filter(|entry| **entry == crate::mount::file(wanted)).count();
    assert_eq!((bytes("1"), bytes("2")), (1, 1), "{settled:?}");
}

#[tokio::test(start_paused = true)]
async fn one_more_name_over_the_quota_is_taken_back() {
    let mount = over(&[("a", "1")]).await;
    mount.names("").await.unwrap();
    mount.store.forbid(Some(("Copy", Kind::Quota)));
    mount.ln("a", "b").await.unwrap();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(mount.read("a").await.unwrap(), b"1");
    mount.store.forbid(None);
    mount.settle().await;
    let shown = mount.tree().await;
    assert!(shown == files(&[("a", "1")]) || shown == files(&[("a", "1"), ("b", "1")]), "{shown:?}");
    mount.assert_settled_as(&shown).await;
}

#[tokio::test(start_paused = true)]
async fn a_streamed_file_over_the_quota_is_whole_in_the_end() {
    for operation in ["UploadPart", "Complete"] {
        let options = VolumeOptions { part_bytes: 300 << 10, memory_limit: 16 << 20, ..VolumeOptions::default() };
        let mount = Mount::with(options);
        mount.store.forbid(Some((operation, Kind::Quota)));
        let handle = mount.create("f").await.unwrap();
        for piece in 0..20 {
            mount.volume.write(handle, piece << 17, vec![7; 1 << 17].into()).await.unwrap();
        }
        assert_eq!(mount.volume.flush(handle).await, Err(Error::Quota), "{operation}");
        assert_eq!(mount.volume.sync_file(handle).await, Err(Error::Quota), "{operation}");
        mount.store.forbid(None);
        assert_eq!(mount.volume.sync_file(handle).await, Ok(()), "{operation}");
        mount.close(handle).await.unwrap();
        assert!(mount.object("f").await == vec![7; 20 << 17], "{operation}");
        mount.settle().await;
        assert_eq!(mount.bucket.list_uploads(&Prefix::all(), None).await.unwrap().uploads.len(), 0, "{operation}");
    }
}
