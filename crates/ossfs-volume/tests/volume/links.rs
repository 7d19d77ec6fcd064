//! Files with several names: one file on every mount, an object with all of it under each name's key.

use crate::mount::{Entry, Mount, READ, files, over};
use ossfs_store::ObjectStore;
use ossfs_types::Prefix;
use ossfs_volume::{Error, NodeId, VolumeOptions};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::time::Duration;

/// All is settled, and nothing that was sent before can arrive any more.
async fn settled(mount: &Mount) {
    mount.settle().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
}

/// These paths are the names of one file, on this mount and on one that knows nothing but the bucket.
async fn assert_one_file(mount: &Mount, paths: &[&str]) {
    for mount in [mount.same(), mount.fresh()] {
        let node = mount.at(paths[0]).await.unwrap();
        for path in paths {
            let found = mount.stat(path).await.unwrap();
            assert_eq!((found.node, found.links as usize), (node, paths.len()), "{path}");
        }
    }
}

/// The bucket says of these keys, and of no others, that they are one file.
async fn assert_listed(mount: &Mount, keys: &[&str]) {
    let link = mount.link_id(keys[0]).await.unwrap();
    for key in keys {
        assert_eq!(mount.link_id(key).await.as_ref(), Some(&link), "{key}");
    }
    assert_eq!(mount.lists().await, BTreeMap::from([(link, keys.iter().map(|key| (*key).to_owned()).collect())]));
}

async fn assert_nothing_hidden(mount: &Mount) {
    let objects = mount.objects().await;
    assert!(!objects.keys().any(|key| key.starts_with(".ossfs/")), "{:?}", objects.keys());
}

#[tokio::test(start_paused = true)]
async fn a_file_with_two_names_is_one_file_everywhere() {
    let mount = over(&[("a", "one")]).await;
    mount.mkdir("d").await.unwrap();
    mount.ln("a", "d/b").await.unwrap();
    assert_eq!(mount.at("a").await, mount.at("d/b").await);
    assert_eq!(mount.stat("a").await.unwrap().links, 2);
    mount.assert_settled_as(&files(&[("a", "one"), ("d/b", "one")])).await;
    assert_one_file(&mount, &["a", "d/b"]).await;
    assert_listed(&mount, &["a", "d/b"]).await;

    let other = mount.fresh();
    other.write("d/b", b"two").await.unwrap();
    assert_eq!(other.read("a").await.unwrap(), b"two");
    other.chmod("a", 0o600).await.unwrap();
    other.assert_settled_as(&files(&[("a", "two"), ("d/b", "two")])).await;
    assert_eq!(other.fresh().stat("d/b").await.unwrap().attributes.mode, 0o600);
    assert_one_file(&other, &["a", "d/b"]).await;

    other.rm("a").await.unwrap();
    assert_eq!(other.stat("d/b").await.unwrap().links, 1);
    other.assert_settled_as(&files(&[("d/b", "two")])).await;
    assert_one_file(&other, &["d/b"]).await;
    assert_eq!(other.link_id("d/b").await, None);
    assert_nothing_hidden(&other).await;
    mount.volume.close();
}

#[tokio::test(start_paused = true)]
async fn what_names_cost() {
    let mount = over(&[("a", "one")]).await;
    mount.names("").await.unwrap();
    mount.stat("a").await.unwrap();
    mount.store.take_counts();
    mount.ln("a", "b").await.unwrap();
    mount.settle().await;
    // The id on the object that is there, the second object, the list.
    assert_eq!(mount.store.take_counts(), BTreeMap::from([("Copy", 2), ("Put", 1)]));
    mount.store.take_counts();
    mount.write("b", b"two").await.unwrap();
    mount.settle().await;
    // What is replaced is looked at first; the list stays as it is.
    assert_eq!(mount.store.take_counts(), BTreeMap::from([("Copy", 1), ("Head", 2), ("Put", 1)]));
    assert_one_file(&mount, &["a", "b"]).await;
}

#[tokio::test(start_paused = true)]
async fn names_survive_a_crash_at_any_moment() {
    for step in 0..14 {
        let mut mount = over(&[("a", "one"), ("c", "other")]).await;
        mount.ln("a", "b").await.unwrap();
        tokio::time::sleep(Duration::from_millis(step * 50)).await;
        mount.crash();
        assert_eq!(mount.at("a").await, mount.at("b").await, "{step}");
        mount.mv("a", "d").await.unwrap();
        mount.mv("b", "c").await.unwrap();
        tokio::time::sleep(Duration::from_millis(step * 50)).await;
        mount.crash();
        settled(&mount).await;
        mount.assert_settled_as(&files(&[("d", "one"), ("c", "one")])).await;
        assert_one_file(&mount, &["c", "d"]).await;
        assert_listed(&mount, &["c", "d"]).await;
        mount.rm("d").await.unwrap();
        tokio::time::sleep(Duration::from_millis(step * 50)).await;
        mount.crash();
        settled(&mount).await;
        mount.assert_settled_as(&files(&[("c", "one")])).await;
        assert_eq!(mount.link_id("c").await, None, "{step}");
        assert_nothing_hidden(&mount).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_renamed_directory_takes_names_with_it_that_nobody_has_seen() {
    let first = over(&[("d/s/a", "one"), ("d/plain", "2")]).await;
    first.ln("d/s/a", "b").await.unwrap();
    first.settle().await;
    first.volume.close();
    let mount = first.fresh();
    mount.mv("d", "e").await.unwrap();
    mount.assert_settled_as(&files(&[("e/s/a", "one"), ("e/plain", "2"), ("b", "one")])).await;
    assert_one_file(&mount, &["b", "e/s/a"]).await;
    assert_listed(&mount, &["b", "e/s/a"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_an_outsider_replaced_is_a_file_by_itself() {
    let mount = over(&[("a", "one")]).await;
    for name in ["b", "c"] {
        mount.ln("a", name).await.unwrap();
    }
    mount.settle().await;
    mount.outsider_puts("b", b"foreign").await;
    mount.outlast_ttl().await;
    let expected = files(&[("a", "one"), ("b", "foreign"), ("c", "one")]);
    assert_eq!(mount.tree().await, expected);
    assert_one_file(&mount, &["a", "c"]).await;
    mount.write("c", b"two").await.unwrap();
    mount.assert_settled_as(&files(&[("a", "two"), ("b", "foreign"), ("c", "two")])).await;
    assert_listed(&mount, &["a", "c"]).await;
    // Before anybody looks again.
    mount.outsider_puts("a", b"foreign too").await;
    mount.write("c", b"three").await.unwrap();
    mount.settle().await;
    mount.outlast_ttl().await;
    mount.assert_settled_as(&files(&[("a", "foreign too"), ("b", "foreign"), ("c", "three")])).await;
    assert_nothing_hidden(&mount).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_an_outsider_deleted_is_gone() {
    let mount = over(&[("a", "one")]).await;
    mount.ln("a", "b").await.unwrap();
    mount.settle().await;
    mount.outsider_deletes("a").await;
    mount.outlast_ttl().await;
    assert_eq!(mount.stat("a").await, Err(Error::NotFound));
    assert_one_file(&mount, &["b"]).await;
    mount.chmod("b", 0o600).await.unwrap();
    mount.assert_settled_as(&files(&[("b", "one")])).await;
    assert_eq!(mount.link_id("b").await, None);
    assert_nothing_hidden(&mount).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_is_read_though_the_directory_of_another_is_gone() {
    let mount = over(&[("b/b", "1")]).await;
    mount.mkdir("c").await.unwrap();
    mount.ln("b/b", "c/c").await.unwrap();
    mount.settle().await;
    mount.outlast_ttl().await;
    mount.outsider_deletes("b/b").await;
    mount.outsider_deletes("b/").await;
    assert_eq!(mount.names("").await.unwrap(), ["c"]);
    assert_eq!(mount.names("c").await.unwrap(), ["c"]);
    assert_eq!(mount.read("c/c").await.unwrap(), b"1");
}

#[tokio::test(start_paused = true)]
async fn what_is_read_by_one_name_goes_on_by_the_other() {
    let mount = over(&[("a", "one")]).await;
    mount.ln("a", "b").await.unwrap();
    mount.settle().await;
    let fresh = mount.fresh();
    let handle = fresh.open("a", READ).await.unwrap();
    mount.outsider_deletes("a").await;
    assert_eq!(fresh.read_handle(handle).await.unwrap(), b"one");
    fresh.volume.release(handle);
}

#[tokio::test(start_paused = true)]
async fn what_link_refuses() {
    let mount = over(&[("a", "one"), ("d/x", "two")]).await;
    assert_eq!(mount.ln("d", "e").await, Err(Error::NotPermitted));
    assert_eq!(mount.ln("a", "d").await, Err(Error::Exists));
    assert_eq!(mount.ln("a", "a").await, Err(Error::Exists));
    assert_eq!(mount.ln("none", "e").await, Err(Error::NotFound));
    assert_eq!(mount.ln("a", ".ossfs").await, Err(Error::NotPermitted));
    let handle = mount.open("a", READ).await.unwrap();
    let node = mount.at("a").await.unwrap();
    mount.rm("a").await.unwrap();
    assert_eq!(mount.volume.link(node, NodeId::ROOT, OsStr::new("again")).await, Err(Error::NotFound));
    mount.volume.release(handle);
    mount.assert_settled_as(&files(&[("d/x", "two")])).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_has_a_thousand_names_at_most() {
    let mount = Mount::new();
    mount.write("0", b"one").await.unwrap();
    for name in 1..1_000 {
        mount.ln("0", &name.to_string()).await.unwrap();
    }
    assert_eq!(mount.ln("0", "1000").await, Err(Error::TooManyLinks));
    mount.settle().await;
    let fresh = mount.fresh();
    assert_eq!(fresh.stat("999").await.unwrap().links, 1_000);
    assert_eq!(fresh.at("0").await, fresh.at("999").await);
}

#[tokio::test(start_paused = true)]
async fn names_are_renamed_over_each_other_and_over_others() {
    let mount = over(&[("a", "one"), ("c", "other"), ("d/e", "third")]).await;
    mount.ln("a", "b").await.unwrap();
    mount.mv("a", "b").await.unwrap();
    mount.exchange("a", "b").await.unwrap();
    assert_one_file(&mount.same(), &["a", "b"]).await;
    mount.mv("a", "c").await.unwrap();
    mount.exchange("b", "d/e").await.unwrap();
    mount.assert_settled_as(&files(&[("c", "one"), ("d/e", "one"), ("b", "third")])).await;
    assert_one_file(&mount, &["c", "d/e"]).await;
    assert_listed(&mount, &["c", "d/e"]).await;
    mount.mv("b", "c").await.unwrap();
    mount.assert_settled_as(&files(&[("c", "third"), ("d/e", "one")])).await;
    assert_one_file(&mount, &["d/e"]).await;
    assert_nothing_hidden(&mount).await;
}

#[tokio::test(start_paused = true)]
async fn an_open_file_gets_names_and_loses_the_one_it_was_opened_by() {
    let mount = over(&[]).await;
    let handle = mount.create("a").await.unwrap();
    mount.volume.write(handle, 0, "one".into()).await.unwrap();
    mount.ln("a", "b").await.unwrap();
    mount.rm("a").await.unwrap();
    assert_eq!(mount.read_handle(handle).await.unwrap(), b"one");
    mount.volume.write(handle, 3, " two".into()).await.unwrap();
    mount.close(handle).await.unwrap();
    mount.assert_settled_as(&files(&[("b", "one two")])).await;
    assert_eq!(mount.stat("b").await.unwrap().links, 1);
    assert_nothing_hidden(&mount).await;
}

#[tokio::test(start_paused = true)]
async fn a_symlink_has_names_too() {
    let mount = over(&[]).await;
    mount.symlink("a", "target").await.unwrap();
    mount.ln("a", "b").await.unwrap();
    let link = Entry::Symlink(b"target".to_vec());
    mount.assert_settled_as(&BTreeMap::from([("a".to_owned(), link.clone()), ("b".to_owned(), link)])).await;
    assert_one_file(&mount, &["a", "b"]).await;
}

#[tokio::test(start_paused = true)]
async fn all_names_go_and_nothing_is_left() {
    let mount = over(&[("a", "one")]).await;
    mount.ln("a", "b").await.unwrap();
    mount.settle().await;
    let fresh = mount.fresh();
    fresh.rm("b").await.unwrap();
    fresh.rm("a").await.unwrap();
    fresh.assert_settled_as(&files(&[])).await;
    assert_eq!(fresh.objects().await, BTreeMap::new());
}

#[tokio::test(start_paused = true)]
async fn a_list_or_an_id_that_says_nothing_true_is_not_believed() {
    let mount = over(&[("a", "one")]).await;
    mount.ln("a", "b").await.unwrap();
    mount.settle().await;
    let (link, _) = mount.lists().await.pop_first().unwrap();
    for list in ["", "ossfs-links 1\n", "ossfs-links 1\nc\n", "ossfs-links 1\n../a\n\n/\n", "ossfs-links 7\na\nb\n"] {
        mount.outsider_puts(&format!(".ossfs/links/{link}"), list.as_bytes()).await;
        let fresh = mount.fresh();
        assert_eq!(fresh.tree().await, files(&[("a", "one"), ("b", "one")]), "{list:?}");
        assert_eq!(fresh.stat("a").await.unwrap().links, 1, "{list:?}");
        fresh.volume.close();
    }
}

#[tokio::test(start_paused = true)]
async fn a_streamed_file_without_a_name_is_not_completed() {
    let mount = Mount::with(VolumeOptions { part_bytes: 300 << 10, ..VolumeOptions::default() });
    let handle = mount.create("a").await.unwrap();
    for piece in 0..20 {
        mount.volume.write(handle, piece << 17, vec![7; 1 << 17].into()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    mount.rm("a").await.unwrap();
    mount.store.take_counts();
    mount.volume.release(handle);
    mount.settle().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let counts = mount.store.take_counts();
    assert!(!counts.contains_key("Complete") && !counts.contains_key("Put"), "{counts:?}");
    assert!(mount.bucket.list_uploads(&Prefix::all(), None).await.unwrap().uploads.is_empty());
    mount.assert_settled_as(&files(&[])).await;
}

#[tokio::test(start_paused = true)]
async fn directories_count_the_directories_in_them() {
    let mount = over(&[("d/e/x", "1"), ("d/f/y", "2"), ("d/z", "3")]).await;
    assert_eq!(mount.stat("d").await.unwrap().links, 1, "nobody has listed it");
    mount.names("d").await.unwrap();
    assert_eq!(mount.stat("d").await.unwrap().links, 4);
    mount.mkdir("d/g").await.unwrap();
    mount.mv("d/e", "e").await.unwrap();
    mount.rm("d/z").await.unwrap();
    assert_eq!(mount.stat("d").await.unwrap().links, 4);
    mount.outlast_ttl().await;
    assert_eq!(mount.stat("d").await.unwrap().links, 1);
}

#[tokio::test(start_paused = true)]
async fn a_name_at_which_somebody_else_puts_the_same_bytes_is_a_file_by_itself() {
    let mount = over(&[("d/a", "one")]).await;
    mount.ln("d/a", "b").await.unwrap();
    settled(&mount).await;
    mount.outsider_puts("d/a", b"one").await;
    mount.outlast_ttl().await;
    assert_eq!(mount.names("d").await.unwrap(), ["a"]);
    assert_eq!(mount.read("d/a").await.unwrap(), b"one");
    assert_ne!(mount.at("d/a").await, mount.at("b").await);
}
