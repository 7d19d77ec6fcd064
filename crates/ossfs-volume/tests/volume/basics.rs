//! What every file system does, and what it costs.

use crate::mount::{Entry, ME, Mount, READ, WRITE, file};
use ossfs_ledger::NodeId;
use ossfs_store::Kind;
use ossfs_types::FileKind;
use ossfs_volume::{Error, OpenMode, VolumeOptions};
use std::collections::BTreeMap;
use std::ffi::OsStr;

fn tree(entries: &[(&str, Entry)]) -> BTreeMap<String, Entry> {
    entries.iter().map(|(path, entry)| ((*path).to_owned(), entry.clone())).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_written_is_an_object_and_is_read_again() {
    let mount = Mount::new();
    mount.mkdir("dir").await.unwrap();
    mount.write("dir/hello.txt", b"hello").await.unwrap();
    mount.symlink("link", "dir/hello.txt").await.unwrap();
    assert_eq!(mount.object("dir/hello.txt").await, b"hello", "in the bucket as soon as it is closed");
    let expected = tree(&[
        ("dir", Entry::Directory),
        ("dir/hello.txt", file("hello")),
        ("link", Entry::Symlink(b"dir/hello.txt".to_vec())),
    ]);
    assert_eq!(mount.tree().await, expected);
    mount.assert_settled_as(&expected).await;
    let meta = mount.head("dir/hello.txt").await;
    assert_eq!(meta.metadata.content_type.unwrap(), "text/plain");
    assert_eq!(meta.metadata.user["mode"], "33188");
    assert_eq!(meta.metadata.user["uid"], "1000");
    assert_eq!(mount.head("dir/").await.metadata.content_type.unwrap(), "application/x-directory");
    assert_eq!(mount.object("link").await, b"dir/hello.txt");
}

#[tokio::test(start_paused = true)]
async fn requests_are_few() {
    let mount = Mount::new();
    mount.mkdir("d").await.unwrap();
    mount.write("d/old", b"old").await.unwrap();
    mount.settle().await;
    let mount = mount.fresh();
    mount.names("d").await.unwrap();
    mount.stat("d/old").await.unwrap();
    mount.store.take_counts();

    assert_eq!(mount.stat("d/missing").await, Err(Error::NotFound));
    assert_eq!(mount.store.take_counts(), BTreeMap::new());
    mount.write("d/new", b"x").await.unwrap();
    mount.settle().await;
    assert_eq!(mount.store.take_counts(), BTreeMap::from([("Put", 1)]));
    assert_eq!(mount.read("d/old").await.unwrap(), b"old");
    assert_eq!(mount.store.take_counts(), BTreeMap::from([("Get", 1)]));
    mount.chmod("d/old", 0o600).await.unwrap();
    mount.settle().await;
    assert_eq!(mount.store.take_counts(), BTreeMap::from([("Copy", 1)]));
    mount.mv("d/new", "d/newer").await.unwrap();
    mount.settle().await;
    let counts = mount.store.take_counts();
    assert_eq!(counts, BTreeMap::from([("Copy", 1), ("Delete", 1)]));
    mount.rm("d/newer").await.unwrap();
    mount.settle().await;
    let counts = mount.store.take_counts();
    assert!(counts.values().sum::<u64>() <= 2, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn names_are_checked() {
    let mount = Mount::new();
    let long = "n".repeat(256);
    assert_eq!(mount.mkdir(&long).await, Err(Error::NameTooLong));
    assert_eq!(mount.mkdir("\\a").await, Err(Error::Invalid));
    let bad = <OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff");
    let made = mount.volume.make_directory(NodeId::ROOT, bad, 0o755, ME).await;
    assert_eq!(made.unwrap_err(), Error::NotUtf8);
    let mut path = String::new();
    for _ in 0..4 {
        path.push_str(&"d".repeat(250));
        mount.mkdir(&path).await.unwrap();
        path.push('/');
    }
    assert_eq!(mount.write(&format!("{path}{}", "f".repeat(20)), b"").await, Err(Error::NameTooLong));
    mount.write(&format!("{path}{}", "f".repeat(19)), b"x").await.unwrap();
    // What is below would be too long under a longer name.
    let top = "d".repeat(250);
    assert_eq!(mount.mv(&top, &"e".repeat(251)).await, Err(Error::NameTooLong));
    mount.settle().await;
    assert_eq!(mount.fresh().mv(&top, &"e".repeat(251)).await, Err(Error::NameTooLong));
    mount.mv(&top, &"e".repeat(250)).await.unwrap();
    mount.settle().await;
}

#[tokio::test(start_paused = true)]
async fn writes_anywhere_give_the_right_bytes() {
    let mount = Mount::new();
    mount.write("f", b"0123456789").await.unwrap();
    mount.write_at("f", 3, b"abc").await.unwrap();
    mount.write_at("f", 12, b"end").await.unwrap();
    assert_eq!(mount.read("f").await.unwrap(), b"012abc6789\0\0end");
    mount.truncate("f", 5).await.unwrap();
    mount.truncate("f", 7).await.unwrap();
    assert_eq!(mount.read("f").await.unwrap(), b"012ab\0\0");
    mount.assert_settled_as(&tree(&[("f", file("012ab\0\0"))])).await;
    let handle = mount.open("f", OpenMode { append: true, ..WRITE }).await.unwrap();
    mount.volume.write(handle, 0, "xyz".into()).await.unwrap();
    assert_eq!(mount.read("f").await.unwrap(), b"012ab\0\0xyz", "seen by others before it is closed");
    mount.close(handle).await.unwrap();
    mount.assert_settled_as(&tree(&[("f", file("012ab\0\0xyz"))])).await;
}

#[tokio::test(start_paused = true)]
async fn large_files_are_streamed_in_bounded_memory() {
    let options = VolumeOptions { memory_limit: 4 << 20, part_bytes: 1 << 20, ..VolumeOptions::default() };
    let mount = Mount::with(options);
    let handle = mount.create("big").await.unwrap();
    let block: Vec<u8> = (0..=255).cycle().take(128 << 10).collect();
    for index in 0..256u64 {
        mount.volume.write(handle, index * block.len() as u64, block.clone().into()).await.unwrap();
        assert!(mount.volume.unsettled().bytes <= 2 << 20, "{:?}", mount.volume.unsettled());
    }
    assert_eq!(mount.volume.read(handle, 5, 3).await.unwrap(), [5, 6, 7][..], "parts that are not complete");
    mount.volume.write(handle, 0, "start".into()).await.unwrap();
    mount.close(handle).await.unwrap();
    let mut expected: Vec<u8> = std::iter::repeat_n(block, 256).flatten().collect();
    expected[..5].copy_from_slice(b"start");
    assert!(mount.object("big").await == expected);
    assert!(mount.read("big").await.unwrap() == expected);
    mount.settle().await;
    // A change of a few bytes uploads few.
    mount.store.take_bytes_in();
    mount.write_at("big", 10 << 20, b"middle").await.unwrap();
    let bytes = mount.store.take_bytes_in();
    assert!(bytes <= 128 << 10, "{bytes}");
    expected[10 << 20..][..6].copy_from_slice(b"middle");
    assert!(mount.read("big").await.unwrap() == expected);
}

#[tokio::test(start_paused = true)]
async fn an_open_file_outlives_its_name() {
    let mount = Mount::new();
    mount.write("f", b"content").await.unwrap();
    mount.settle().await;
    let handle = mount.open("f", WRITE).await.unwrap();
    mount.rm("f").await.unwrap();
    assert_eq!(mount.read_handle(handle).await.unwrap(), b"content");
    mount.write("f", b"another").await.unwrap();
    assert_eq!(mount.read_handle(handle).await.unwrap(), b"content");
    mount.volume.write(handle, 0, "C".into()).await.unwrap();
    assert_eq!(mount.read_handle(handle).await.unwrap(), b"Content");
    mount.close(handle).await.unwrap();
    mount.assert_settled_as(&tree(&[("f", file("another"))])).await;
}

#[tokio::test(start_paused = true)]
async fn the_forms_of_ossfs_1_are_read() {
    let mount = Mount::new();
    mount.outsider_puts("implicit/deep/file", b"1").await;
    mount.outsider_puts("legacy_$folder$", b"").await;
    mount.outsider_puts("a", b"object beside objects").await;
    mount.outsider_puts("a/b", b"2").await;
    mount.outsider_puts("odd//name", b"3").await;
    mount.outsider_puts("odd/./name", b"4").await;
    mount.outsider_puts(".ossfs/links/1", b"5").await;
    let mut names = mount.names("").await.unwrap();
    names.sort();
    assert_eq!(names, ["a", "a.ossfs-object", "implicit", "legacy", "odd"]);
    assert_eq!(mount.names("odd").await.unwrap(), Vec::<String>::new());
    assert_eq!(mount.stat("legacy").await.unwrap().kind, FileKind::Directory);
    assert_eq!(mount.stat("implicit").await.unwrap().attributes.mode, 0o750);
    assert_eq!(mount.read("a.ossfs-object").await.unwrap(), b"object beside objects");
    assert_eq!(mount.read("a/b").await.unwrap(), b"2");
    assert_eq!(mount.stat(".ossfs").await, Err(Error::NotFound));
    let fresh = mount.fresh();
    assert_eq!(fresh.read("a.ossfs-object").await.unwrap(), b"object beside objects", "without a listing");
    assert_eq!(fresh.stat("legacy").await.unwrap().kind, FileKind::Directory);
    assert_eq!(fresh.stat("a").await.unwrap().kind, FileKind::Directory);
    assert_eq!(mount.rmdir("odd").await, Err(Error::NotEmpty), "hidden objects are in it");
}

#[tokio::test(start_paused = true)]
async fn what_others_put_into_the_metadata_survives() {
    use ossfs_store::{Metadata, ObjectStore, PutOptions};
    let mount = Mount::new();
    let metadata = Metadata {
        content_type: Some("application/x-special".parse().unwrap()),
        cache_control: Some("no-store".parse().unwrap()),
        user: BTreeMap::from([("colour".to_owned(), "blue".parse().unwrap())]),
        ..Metadata::default()
    };
    let options = PutOptions { metadata, ..PutOptions::default() };
    mount.bucket.put(&ossfs_types::Key::parse("f").unwrap(), "1".into(), &options).await.unwrap();
    let check = async |key: &str| {
        let metadata = mount.head(key).await.metadata;
        assert_eq!(metadata.content_type.unwrap(), "application/x-special");
        assert_eq!(metadata.cache_control.unwrap(), "no-store");
        assert_eq!(metadata.user["colour"], "blue");
    };
    mount.chmod("f", 0o600).await.unwrap();
    mount.settle().await;
    check("f").await;
    mount.write("f", b"2").await.unwrap();
    check("f").await;
    mount.mv("f", "g").await.unwrap();
    mount.settle().await;
    check("g").await;
    mount.fresh().write_at("g", 1, b"3").await.unwrap();
    check("g").await;
    assert_eq!(mount.object("g").await, b"23");
}

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_fails_close_and_loses_nothing() {
    let mount = Mount::new();
    mount.names("").await.unwrap();
    mount.store.die(true);
    assert_eq!(mount.write("f", b"precious").await, Err(Error::Failed));
    assert_eq!(mount.read("f").await.unwrap(), b"precious");
    assert!(!mount.volume.unsettled().failures.is_empty());
    mount.store.die(false);
    mount.assert_settled_as(&tree(&[("f", file("precious"))])).await;
}

#[tokio::test(start_paused = true)]
async fn a_read_only_volume_changes_nothing() {
    let mount = Mount::with(VolumeOptions { read_only: true, ..VolumeOptions::default() });
    mount.outsider_puts("f", b"1").await;
    assert_eq!(mount.read("f").await.unwrap(), b"1");
    for refused in [
        mount.write("f", b"2").await,
        mount.rm("f").await,
        mount.mkdir("d").await,
        mount.mv("f", "g").await,
        mount.chmod("f", 0).await,
        mount.open("f", OpenMode { write: true, ..READ }).await.map(drop),
    ] {
        assert_eq!(refused, Err(Error::ReadOnly));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rename_that_is_refused_for_good_is_taken_back() {
    let mount = Mount::new();
    mount.outsider_puts("archived", b"1").await;
    mount.outsider_puts("other", b"2").await;
    mount.names("").await.unwrap();
    mount.store.forbid(Some(("Copy", Kind::Archived)));
    mount.mv("archived", "other").await.unwrap();
    mount.settle().await;
    let expected = tree(&[("archived", file("1")), ("other", file("2"))]);
    assert_eq!(mount.tree().await, expected);
    mount.assert_settled_as(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_deleted_is_shown_again() {
    let mount = Mount::new();
    mount.outsider_puts("kept", b"1").await;
    mount.names("").await.unwrap();
    mount.store.forbid(Some(("Delete", Kind::Denied)));
    mount.rm("kept").await.unwrap();
    mount.settle().await;
    assert_eq!(mount.read("kept").await.unwrap(), b"1");
    assert_eq!(mount.rm("kept").await, Err(Error::Denied), "known by now");
    mount.outlast_ttl().await;
    mount.store.forbid(None);
    mount.rm("kept").await.unwrap();
    mount.assert_settled_as(&tree(&[])).await;
}
