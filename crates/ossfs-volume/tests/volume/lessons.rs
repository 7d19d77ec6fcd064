//! Histories that once went wrong, as short as they can be.

use crate::explore::{Operation, Scene, search};
use crate::mount::{Entry, Mount, WRITE, files, over};
use crate::weather::Storm;
use ossfs_store::{Kind, ObjectStore, Payload, PutOptions};
use ossfs_types::Key;
use ossfs_volume::{Error, VolumeOptions};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn an_old_marker_moves_as_a_marker() {
    let mount = over(&[("a/s_$folder$", ""), ("a/x", "1")]).await;
    mount.mv("a", "b").await.unwrap();
    let expected = files(&[("b/s/", ""), ("b/x", "1")]);
    for _ in 0..20 {
        assert_eq!(mount.tree().await, expected);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    mount.assert_settled_as(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn garbage_under_a_name_that_is_given_up_again_is_deleted() {
    let mount = over(&[]).await;
    mount.write("f", b"1").await.unwrap();
    mount.settle().await;
    mount.names("").await.unwrap();
    mount.rm("f").await.unwrap();
    let handle = mount.create("f").await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    mount.rm("f").await.unwrap();
    mount.volume.release(handle);
    mount.assert_settled_as(&files(&[])).await;
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_was_removed_is_not_seen_in_an_answer_that_is_older() {
    for pause in (0..900).step_by(15) {
        let mount = over(&[("a/x", "1"), ("a/s/y", "2")]).await;
        mount.mv("a/x", "g").await.unwrap();
        mount.mv("a/s/y", "h").await.unwrap();
        mount.rmdir("a/s").await.unwrap();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        assert_eq!(mount.names("a").await.unwrap(), [""; 0], "after {pause} ms");
        mount.rmdir("a").await.unwrap();
        assert_eq!(mount.stat("a").await, Err(Error::NotFound), "after {pause} ms");
        mount.assert_settled_as(&files(&[("g", "1"), ("h", "2")])).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_directory_with_two_markers_is_described_by_its_own_key() {
    let mount = over(&[("a_$folder$", "")]).await;
    mount.chmod("a", 0o711).await.unwrap();
    mount.settle().await;
    assert_eq!(mount.fresh().stat("a").await.unwrap().attributes.mode, 0o711);
}

#[tokio::test(start_paused = true)]
async fn attributes_that_were_written_at_another_key_are_written_at_the_own_one_too() {
    for pause in (0..600).step_by(20) {
        let mount = over(&[]).await;
        mount.write("f", b"1").await.unwrap();
        mount.mkdir("d").await.unwrap();
        mount.settle().await;
        for name in ["f", "d"] {
            mount.mv(name, "g").await.unwrap();
            mount.chmod("g", 0o711).await.unwrap();
            tokio::time::sleep(Duration::from_millis(pause)).await;
            mount.mv("g", name).await.unwrap();
        }
        mount.assert_settled_as(&files(&[("d/", ""), ("f", "1")])).await;
        for name in ["f", "d"] {
            assert_eq!(mount.fresh().stat(name).await.unwrap().attributes.mode, 0o711, "{name} after {pause} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_equal_object_that_was_there_before_is_not_taken_for_a_copy_that_was_lost() {
    for seed in 0..30 {
        let mount = over(&[]).await;
        mount.mkdir("a").await.unwrap();
        mount.mkdir("b").await.unwrap();
        mount.chmod("b", 0o711).await.unwrap();
        mount.settle().await;
        mount.names("").await.unwrap();
        mount.store.delay(Duration::from_millis(100), seed);
        mount.store.storm(Some(Storm { refused: 0.0, lost_answers: 0.0, lost_requests: 0.5 }));
        mount.rmdir("a").await.unwrap();
        mount.mv("b", "a").await.unwrap();
        mount.settle().await;
        mount.store.storm(None);
        assert_eq!(mount.fresh().stat("a").await.unwrap().attributes.mode, 0o711, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_whose_answer_was_lost_is_known_again() {
    for seed in 0..30 {
        let mount = over(&[("a/x", "1"), ("a/y", "2")]).await;
        mount.store.delay(Duration::from_millis(100), seed);
        mount.store.storm(Some(Storm { refused: 0.0, lost_answers: 0.5, lost_requests: 0.0 }));
        mount.mv("a", "b").await.unwrap();
        mount.settle().await;
        mount.store.storm(None);
        let keys: Vec<String> = mount.objects().await.into_keys().collect();
        assert_eq!(keys, ["b/x", "b/y"], "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_whose_answer_was_lost_is_known_again_though_its_file_was_changed_since() {
    for seed in 0..60 {
        let mount = over(&[("a", "1")]).await;
        mount.store.delay(Duration::from_millis(100), seed);
        mount.store.storm(Some(Storm { refused: 0.3, lost_answers: 0.4, lost_requests: 0.0 }));
        while mount.mv("a", "b").await.is_err() {}
        tokio::time::sleep(Duration::from_millis(400)).await;
        while mount.chmod("b", 0o711).await.is_err() {}
        mount.settle().await;
        mount.store.storm(None);
        assert_eq!(mount.objects().await.into_keys().collect::<Vec<_>>(), ["b"], "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_waits_for_room_goes_on_after_its_file_has_moved() {
    let options = VolumeOptions { memory_limit: 1 << 20, part_bytes: 300 << 10, ..VolumeOptions::default() };
    let mount = Mount::with(options);
    mount.write("f", b"base").await.unwrap();
    mount.settle().await;
    mount.store.delay(Duration::from_millis(100), 7);
    mount.mv("f", "g").await.unwrap();
    let handle = mount.open("g", WRITE).await.unwrap();
    for at in 0..16 {
        mount.volume.write(handle, 1 + (at << 17), vec![b'x'; 1 << 17].into()).await.unwrap();
    }
    mount.close(handle).await.unwrap();
    mount.settle().await;
    assert_eq!(mount.object("g").await.len(), 1 + (1 << 21));
}

#[tokio::test(start_paused = true)]
async fn a_symlink_is_one_as_soon_as_it_has_moved_with_its_directory() {
    let mount = Mount::new();
    mount.mkdir("a").await.unwrap();
    mount.symlink("a/link", "to").await.unwrap();
    mount.settle().await;
    let mut mount = mount.fresh();
    mount.store.delay(Duration::from_millis(100), 7);
    mount.mv("a", "b").await.unwrap();
    mount.mv("b/link", "c").await.unwrap();
    let expected = [("b".to_owned(), Entry::Directory), ("c".to_owned(), Entry::Symlink(b"to".to_vec()))].into();
    assert_eq!(mount.tree().await, expected);
    mount.crash();
    for _ in 0..20 {
        assert_eq!(mount.tree().await, expected);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    mount.assert_settled_as(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_was_given_up_or_failed_is_not_the_last() {
    let mount = over(&[]).await;
    let handle = mount.create("f").await.unwrap();
    mount.volume.write(handle, 0, "1".into()).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(10), mount.volume.flush(handle)).await.is_err());
    mount.volume.flush(handle).await.unwrap();
    assert_eq!(mount.object("f").await, b"1");
    mount.volume.write(handle, 0, "2".into()).await.unwrap();
    mount.store.die(true);
    assert!(mount.volume.flush(handle).await.is_err());
    mount.store.die(false);
    mount.volume.flush(handle).await.unwrap();
    assert_eq!(mount.object("f").await, b"2");
}

#[tokio::test(start_paused = true)]
async fn a_directory_whose_moving_files_somebody_deleted_is_forgotten() {
    let mount = over(&[("a/x", "1")]).await;
    mount.stat("a/x").await.unwrap();
    mount.mv("a/x", "a/y").await.unwrap();
    mount.outsider_deletes("a/x").await;
    mount.settle().await;
    mount.outsider_deletes("a/").await;
    mount.outlast_ttl().await;
    mount.assert_settled_as(&files(&[])).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_forgotten_while_its_directory_is_listed_stays_in_the_listing() {
    for pause in (0..600).step_by(10) {
        let mount = over(&[("b", ""), ("c", ""), ("d", ""), ("e", ""), ("f", "")]).await;
        mount.store.page(1);
        let handle = mount.create("a").await.unwrap();
        mount.volume.sync_file(handle).await.unwrap();
        let (volume, sleep) = (mount.volume.clone(), Duration::from_millis(pause));
        let closing = tokio::spawn(async move {
            tokio::time::sleep(sleep).await;
            volume.release(handle);
        });
        assert_eq!(mount.names("").await.unwrap(), ["a", "b", "c", "d", "e", "f"], "after {pause} ms");
        closing.await.unwrap();
        assert_eq!(mount.names("").await.unwrap(), ["a", "b", "c", "d", "e", "f"], "after {pause} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_on_its_own_place_is_drained_when_that_moves() {
    let mount = over(&[("a/s/x", "1"), ("a/s/y", "2"), ("a/t", "3")]).await;
    mount.tree().await;
    mount.mv("a", "b").await.unwrap();
    mount.mkdir("a").await.unwrap();
    mount.mv("b/s", "a/s").await.unwrap();
    // Before this the claim of a/s has been looked at, and found to be at its place.
    tokio::time::sleep(Duration::from_millis(1)).await;
    mount.mv("a", "c").await.unwrap();
    let expected = files(&[("b/t", "3"), ("c/s/x", "1"), ("c/s/y", "2")]);
    assert_eq!(mount.tree().await, expected);
    mount.assert_settled_as(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_synced_once_is_not_uploaded_at_every_write() {
    let mount = over(&[]).await;
    let handle = mount.create("f").await.unwrap();
    mount.volume.write(handle, 0, "1".into()).await.unwrap();
    let volume = mount.volume.clone();
    let sync = tokio::spawn(async move { volume.sync_file(handle).await });
    for at in 1..200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        mount.volume.write(handle, at, "1".into()).await.unwrap();
    }
    sync.await.unwrap().unwrap();
    assert_eq!(mount.store.take_counts().get("Put"), Some(&1));
    mount.close(handle).await.unwrap();
    assert_eq!(mount.object("f").await.len(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_symlink_is_read_while_it_moves() {
    for pause in (0..900).step_by(20) {
        let mount = Mount::new();
        // As ossfs 1.x writes them.
        let mut options = PutOptions::default();
        options.metadata.user.insert("mode".to_owned(), "41471".parse().unwrap());
        mount.bucket.put(&Key::parse("a").unwrap(), Payload::from(b"to".to_vec()), &options).await.unwrap();
        mount.store.delay(Duration::from_millis(100), pause);
        let node = mount.at("a").await.unwrap();
        mount.mv("a", "b").await.unwrap();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        assert_eq!(mount.volume.read_link(node).await.unwrap(), b"to", "after {pause} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_where_a_directory_with_an_old_marker_needs_none_is_deleted() {
    let mount = Mount::new();
    mount.mkdir("c").await.unwrap();
    mount.settle().await;
    mount.store.forbid(Some(("Delete", Kind::Unavailable)));
    mount.mv("c", "q").await.unwrap();
    mount.outsider_puts("c_$folder$", b"").await;
    mount.outlast_ttl().await;
    mount.mkdir("c/s").await.unwrap();
    mount.rmdir("c/s").await.unwrap();
    mount.store.forbid(None);
    mount.settle().await;
    let keys: Vec<String> = mount.objects().await.into_keys().collect();
    assert_eq!(keys, ["c_$folder$", "q/"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_what_was_written_to_a_file_that_is_replaced() {
    let mount = over(&[("g", "1")]).await;
    mount.names("").await.unwrap();
    mount.store.die(true);
    assert!(mount.write("f", b"never in the bucket").await.is_err());
    assert!(mount.volume.unsettled().bytes > 0);
    mount.mv("g", "f").await.unwrap();
    assert_eq!(mount.volume.unsettled().bytes, 0);
    mount.store.die(false);
    mount.assert_settled_as(&files(&[("f", "1")])).await;
}

#[test]
fn a_file_is_described_while_it_moves_back_to_a_key_that_it_still_has() {
    let mv = |from: &str, to: &str| Operation::Rename(from.to_owned(), to.to_owned());
    let objects = vec![("a/x".to_owned(), "1".into())];
    search(&Scene { objects, operations: vec![mv("a", "c"), mv("c", "a")], ..Scene::default() });
}

#[test]
fn an_open_file_does_not_go_over_to_what_a_process_before_this_one_wrote() {
    let objects = vec![("f".to_owned(), "[old]".into())];
    let operations = vec![Operation::Write("f".to_owned(), "<newer>".into()), Operation::Look];
    search(&Scene { objects, operations, disturbances: 1, ..Scene::default() });
}

#[test]
fn what_a_process_before_has_put_is_not_read_behind_the_version_before() {
    let objects = vec![("a".to_owned(), "[old]".into())];
    let rename = Operation::Rename("a".to_owned(), "b".to_owned());
    let operations = vec![rename, Operation::Write("b".to_owned(), "<longer>".into())];
    search(&Scene { objects, operations, disturbances: 1, ..Scene::default() });
}

#[tokio::test(start_paused = true)]
async fn a_marker_that_somebody_deleted_need_not_be_moved_out_of_the_way() {
    let mount = over(&[]).await;
    mount.mkdir("c").await.unwrap();
    mount.mv("c", "b").await.unwrap();
    mount.settle().await;
    mount.outsider_puts("b/b/f", b"1").await;
    mount.outsider_deletes("b/").await;
    mount.outlast_ttl().await;
    mount.outsider_puts("c/a/", b"").await;
    mount.exchange("c/a", "b").await.unwrap();
    mount.assert_settled_as(&files(&[("c/a/b/f", "1"), ("b/", "")])).await;
}
