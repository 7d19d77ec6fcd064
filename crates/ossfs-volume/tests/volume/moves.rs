//! Names move at once; the bucket follows.

use crate::mount::{Mount, files, over};
use ossfs_store::Kind;
use ossfs_volume::Error;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_renamed_directory_shows_all_at_once_and_settles() {
    let objects: Vec<(String, String)> = (0..2500).map(|n| (format!("a/s{}/f{n}", n % 7), n.to_string())).collect();
    let mount = Mount::new();
    for (key, bytes) in &objects {
        mount.outsider_puts(key, bytes.as_bytes()).await;
    }
    mount.store.delay(Duration::from_millis(10), 7);
    mount.mv("a", "b").await.unwrap();
    let moved: Vec<(String, &str)> =
        objects.iter().map(|(key, bytes)| (key.replacen('a', "b", 1), bytes.as_str())).collect();
    let expected = files(&moved.iter().map(|(path, bytes)| (path.as_str(), *bytes)).collect::<Vec<_>>());
    for _ in 0..3 {
        assert!(mount.tree().await == expected, "while it moves");
        tokio::time::sleep(Duration::from_secs(2)).await;
        mount.outlast_ttl().await;
    }
    mount.settle().await;
    assert!(mount.fresh().tree().await == expected);
    assert_eq!(mount.objects().await.keys().filter(|key| key.starts_with("a/")).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn directories_trade_places() {
    let mount = over(&[("a/x", "from a"), ("b/x", "from b"), ("b/s/y", "deep")]).await;
    mount.mv("a", "c").await.unwrap();
    mount.mv("b", "a").await.unwrap();
    mount.mv("c", "b").await.unwrap();
    let expected = files(&[("a/x", "from b"), ("a/s/y", "deep"), ("b/x", "from a")]);
    assert_eq!(mount.tree().await, expected);
    mount.assert_settled_as(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn names_are_exchanged_whatever_stands_at_them() {
    let mount = over(&[("a/x", "from a"), ("a/s/y", "deep"), ("b/x", "from b"), ("d/f", "file"), ("g", "other")]).await;
    mount.exchange("a", "b").await.unwrap();
    mount.exchange("d/f", "g").await.unwrap();
    mount.exchange("d/f", "b").await.unwrap();
    let expected = files(&[("a/x", "from b"), ("d/f/x", "from a"), ("d/f/s/y", "deep"), ("b", "other"), ("g", "file")]);
    assert_eq!(mount.tree().await, expected);
    mount.assert_settled_as(&expected).await;
    assert_eq!(mount.exchange("d", "d/f/s").await, Err(Error::Invalid));
    assert_eq!(mount.exchange("d/f/s", "d").await, Err(Error::Invalid));
    assert_eq!(mount.exchange("a", "absent").await, Err(Error::NotFound));
    assert_eq!(mount.exchange("b", "b").await, Ok(()));
    mount.assert_settled_as(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn an_exchange_is_whole_whenever_the_process_dies() {
    for (one, other) in [("a", "b"), ("f", "g"), ("a", "f"), ("a/s", "b/x")] {
        for step in 0..16 {
            let mut mount = over(&[("a/x", "1"), ("a/s/y", "2"), ("b/x", "3"), ("f", "4"), ("g", "5")]).await;
            let before = mount.tree().await;
            mount.exchange(one, other).await.unwrap();
            let after = mount.tree().await;
            assert_ne!(before, after);
            tokio::time::sleep(Duration::from_millis(step * 60)).await;
            mount.crash();
            assert_eq!(mount.tree().await, after, "{one} {other}, {step}");
            mount.settle().await;
            // A request of the one that died could still arrive.
            tokio::time::sleep(Duration::from_secs(20)).await;
            mount.assert_settled_as(&after).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_the_bucket_refuses_is_taken_back() {
    let mount = over(&[("a", "1"), ("d/b", "2")]).await;
    let before = mount.tree().await;
    mount.store.forbid(Some(("Copy", Kind::Denied)));
    mount.exchange("a", "d/b").await.unwrap();
    mount.settle().await;
    assert_eq!(mount.tree().await, before);
    mount.store.forbid(None);
    mount.assert_settled_as(&before).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_was_left_does_not_show_what_left_it() {
    let mount = over(&[("a/x", "1"), ("b/y", "2")]).await;
    mount.mv("a", "c").await.unwrap();
    mount.mv("b", "a").await.unwrap();
    let expected = files(&[("c/x", "1"), ("a/y", "2")]);
    assert_eq!(mount.tree().await, expected);
    mount.assert_settled_as(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_directory_under_a_claimed_prefix_stays() {
    let mount = over(&[("b/x", "1")]).await;
    mount.mv("b", "c").await.unwrap();
    mount.mkdir("b").await.unwrap();
    let expected = files(&[("c/x", "1"), ("b/", "")]);
    for _ in 0..20 {
        assert_eq!(mount.tree().await, expected);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    mount.assert_settled_as(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn what_still_lives_at_a_key_is_moved_before_it_is_overwritten() {
    let mount = over(&[("a/x", "old"), ("b/z", "1")]).await;
    let handle = mount.create("b/x").await.unwrap();
    mount.volume.write(handle, 0, "new".into()).await.unwrap();
    mount.mv("a", "c").await.unwrap();
    mount.mv("b", "a").await.unwrap();
    mount.close(handle).await.unwrap();
    let expected = files(&[("c/x", "old"), ("a/z", "1"), ("a/x", "new")]);
    assert_eq!(mount.tree().await, expected);
    mount.assert_settled_as(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_while_it_moved_stays_away() {
    let mount = over(&[("a/x", "1"), ("a/y", "2")]).await;
    mount.mv("a", "c").await.unwrap();
    mount.mv("c", "b").await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    mount.rm("b/x").await.unwrap();
    let expected = files(&[("b/y", "2")]);
    for _ in 0..20 {
        assert_eq!(mount.tree().await, expected);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    mount.assert_settled_as(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn inherited_prefixes_are_carved_out() {
    let mount = over(&[("a/s/x", "1"), ("a/t", "2")]).await;
    mount.mv("a/s", "c").await.unwrap();
    mount.mv("c", "a/s").await.unwrap();
    mount.mv("a", "b").await.unwrap();
    mount.mv("b/s", "c").await.unwrap();
    let expected = files(&[("c/x", "1"), ("b/t", "2")]);
    assert_eq!(mount.tree().await, expected);
    mount.assert_settled_as(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_on_its_own_place_is_kept_under_a_shorter_one() {
    let mount = over(&[("a/s/x", "1"), ("a/t", "2")]).await;
    mount.mv("a", "b").await.unwrap();
    mount.mkdir("a").await.unwrap();
    mount.mv("b/s", "a/s").await.unwrap();
    let expected = files(&[("a/s/x", "1"), ("b/t", "2")]);
    assert_eq!(mount.tree().await, expected);
    mount.assert_settled_as(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_being_deleted_is_written_afterwards() {
    let mount = over(&[("f", "1"), ("g", "2")]).await;
    mount.rm("f").await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    mount.mv("g", "f").await.unwrap();
    mount.assert_settled_as(&files(&[("f", "2")])).await;
}

#[tokio::test(start_paused = true)]
async fn files_trade_places_through_keys_of_their_own() {
    let mount = over(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]).await;
    for (one, other) in [("a", "b"), ("c", "d"), ("a", "c")] {
        mount.mv(one, "t").await.unwrap();
        mount.mv(other, one).await.unwrap();
        mount.mv("t", other).await.unwrap();
    }
    let expected = files(&[("a", "4"), ("b", "1"), ("c", "2"), ("d", "3")]);
    assert_eq!(mount.tree().await, expected);
    mount.assert_settled_as(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_loses_its_last_child_stays() {
    let mount = over(&[("a/x", "1")]).await;
    mount.mv("a/x", "g").await.unwrap();
    let expected = files(&[("a/", ""), ("g", "1")]);
    assert_eq!(mount.tree().await, expected);
    mount.assert_settled_as(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn hidden_objects_move_with_their_directory() {
    let mount = over(&[("a/x//y", "odd"), ("a/z", "1")]).await;
    mount.mv("a", "b").await.unwrap();
    mount.settle().await;
    let keys: Vec<String> = mount.objects().await.into_keys().collect();
    assert_eq!(keys, ["b/x//y", "b/z"]);
}

#[tokio::test(start_paused = true)]
async fn a_rename_over_a_file_costs_four_requests() {
    let mount = over(&[("f", "old")]).await;
    mount.stat("f").await.unwrap();
    mount.names("").await.unwrap();
    mount.store.take_counts();
    mount.write("tmp", b"new").await.unwrap();
    mount.mv("tmp", "f").await.unwrap();
    mount.assert_settled_as(&files(&[("f", "new")])).await;
}

#[tokio::test(start_paused = true)]
async fn syncing_a_directory_waits_for_names_that_came_into_it() {
    let mount = over(&[("old", "1")]).await;
    mount.mkdir("d").await.unwrap();
    mount.mv("old", "d/new").await.unwrap();
    let handle = mount.volume.open_directory(mount.at("d").await.unwrap()).await.unwrap();
    mount.volume.sync_directory(handle).await.unwrap();
    let keys: Vec<String> = mount.objects().await.into_keys().collect();
    assert!(keys.contains(&"d/".to_owned()) && keys.contains(&"d/new".to_owned()), "{keys:?}");
}

#[tokio::test(start_paused = true)]
async fn syncing_a_directory_waits_for_names_that_left_it() {
    let mount = over(&[("d/gone", "1"), ("d/moved", "2"), ("d/stays", "3"), ("d/below/deep", "4")]).await;
    mount.names("d").await.unwrap();
    mount.rm("d/gone").await.unwrap();
    mount.mv("d/moved", "elsewhere").await.unwrap();
    let handle = mount.volume.open_directory(mount.at("d").await.unwrap()).await.unwrap();
    mount.volume.sync_directory(handle).await.unwrap();
    let mut keys: Vec<String> = mount.objects().await.into_keys().collect();
    keys.retain(|key| key != "d/");
    assert_eq!(keys, ["d/below/deep", "d/stays", "elsewhere"]);
}

#[tokio::test(start_paused = true)]
async fn syncing_the_root_waits_for_its_names_alone() {
    let mount = over(&[("a", "1")]).await;
    mount.mv("a", "b").await.unwrap();
    let open = mount.create("c").await.unwrap();
    let root = mount.volume.open_directory(ossfs_volume::NodeId::ROOT).await.unwrap();
    mount.volume.sync_directory(root).await.unwrap();
    assert_eq!(mount.objects().await.into_keys().collect::<Vec<_>>(), ["b"]);
    mount.close(open).await.unwrap();
}
