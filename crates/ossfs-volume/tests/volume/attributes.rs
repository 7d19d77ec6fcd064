//! Extended attributes, special files, times and privileges: what stays of them, where, and what it costs.

use crate::mount::{ME, Mount, READ, WRITE};
use ossfs_ledger::NodeId;
use ossfs_store::{Metadata, ObjectStore, PutOptions};
use ossfs_types::{FileKind, Key, Timestamp};
use ossfs_volume::{Error, NodeAttributes, OpenMode, Result, SetAttributes, SetTime, SetXattr, VolumeOptions};
use std::collections::BTreeMap;
use std::ffi::OsStr;

impl Mount {
    pub(crate) async fn set_xattr(&self, path: &str, name: &str, value: &[u8]) -> Result<()> {
        self.volume.set_xattr(self.at(path).await?, OsStr::new(name), value, SetXattr::Always).await
    }

    pub(crate) async fn xattr(&self, path: &str, name: &str) -> Result<Vec<u8>> {
        self.volume.xattr(self.at(path).await?, OsStr::new(name)).await
    }

    async fn xattr_names(&self, path: &str) -> Vec<String> {
        self.volume.xattr_names(self.at(path).await.unwrap()).await.unwrap()
    }

    async fn make(&self, name: &str, kind: FileKind, rdev: u32) -> Result<NodeAttributes> {
        self.volume.make_file(NodeId::ROOT, OsStr::new(name), kind, 0o640, rdev, ME).await
    }

    async fn set(&self, path: &str, set: SetAttributes) -> NodeAttributes {
        self.volume.set_attributes(self.at(path).await.unwrap(), set).await.unwrap()
    }

    /// mtime and ctime.
    async fn times(&self, path: &str) -> (Timestamp, Timestamp) {
        let attributes = self.stat(path).await.unwrap().attributes;
        (attributes.mtime, attributes.ctime)
    }
}

#[tokio::test(start_paused = true)]
async fn extended_attributes_are_in_the_metadata_and_outlast_everything() {
    let mut mount = Mount::new();
    mount.mkdir("d").await.unwrap();
    mount.write("d/f", b"bytes").await.unwrap();
    mount.set_xattr("d/f", "user.a", b"1").await.unwrap();
    mount.set_xattr("d/f", "user.b", b"\0\xff").await.unwrap();
    mount.set_xattr("d", "user.dir", b"").await.unwrap();
    assert_eq!(mount.xattr("d/f", "user.a").await.unwrap(), b"1", "at once");
    mount.crash();
    assert_eq!(mount.xattr_names("d/f").await, ["user.a", "user.b"], "from the ledger");
    mount.settle().await;
    let entry = mount.head("d/f").await.metadata.user["xattr"].clone();
    assert_eq!(entry, "%7B%22user.a%22%3A%22MQ%3D%3D%22%2C%22user.b%22%3A%22AP8%3D%22%7D");
    mount.chmod("d/f", 0o600).await.unwrap();
    mount.mv("d", "e").await.unwrap();
    mount.write_at("e/f", 1, b"Y").await.unwrap();
    mount.settle().await;
    let mount = mount.fresh();
    assert_eq!(mount.xattr("e/f", "user.b").await.unwrap(), b"\0\xff", "from the bucket");
    assert_eq!(mount.xattr("e", "user.dir").await.unwrap(), b"");
    assert_eq!(mount.read("e/f").await.unwrap(), b"bYtes");
    let node = mount.at("e/f").await.unwrap();
    mount.volume.remove_xattr(node, OsStr::new("user.a")).await.unwrap();
    mount.volume.remove_xattr(node, OsStr::new("user.b")).await.unwrap();
    mount.settle().await;
    assert!(!mount.head("e/f").await.metadata.user.contains_key("xattr"));
    assert_eq!(mount.fresh().xattr_names("e/f").await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn setting_an_extended_attribute_costs_what_chmod_costs() {
    let mount = Mount::new();
    mount.write("f", b"bytes").await.unwrap();
    mount.settle().await;
    mount.store.take_counts();
    let before = mount.times("f").await;
    mount.set_xattr("f", "user.a", b"1").await.unwrap();
    mount.settle().await;
    assert_eq!(mount.store.take_counts(), BTreeMap::from([("Copy", 1)]));
    let after = mount.times("f").await;
    assert!(after.0 == before.0 && after.1 > before.1, "it changes the ctime: {before:?} {after:?}");
}

#[tokio::test(start_paused = true)]
async fn extended_attributes_say_no_as_linux_does() {
    let mount = Mount::new();
    mount.write("f", b"bytes").await.unwrap();
    mount.symlink("link", "f").await.unwrap();
    mount.make("pipe", FileKind::Fifo, 0).await.unwrap();
    let node = mount.at("f").await.unwrap();
    let set = |name, set| mount.volume.set_xattr(node, OsStr::new(name), b"v", set);
    assert_eq!(set("user.a", SetXattr::Replace).await, Err(Error::NoAttribute));
    set("user.a", SetXattr::Create).await.unwrap();
    assert_eq!(set("user.a", SetXattr::Create).await, Err(Error::Exists));
    set("user.a", SetXattr::Replace).await.unwrap();
    for name in ["security.capability", "system.posix_acl_access", "trusted.a", "a"] {
        assert_eq!(set(name, SetXattr::Always).await, Err(Error::Unsupported), "{name}");
        assert_eq!(mount.xattr("f", name).await, Err(Error::Unsupported), "{name}");
    }
    assert_eq!(set("user.", SetXattr::Always).await, Err(Error::Invalid));
    assert_eq!(mount.xattr("f", "user.b").await, Err(Error::NoAttribute));
    assert_eq!(mount.volume.remove_xattr(node, OsStr::new("user.b")).await, Err(Error::NoAttribute));
    for path in ["link", "pipe"] {
        assert_eq!(mount.set_xattr(path, "user.a", b"v").await, Err(Error::NotPermitted), "{path}");
        assert_eq!(mount.xattr(path, "user.a").await, Err(Error::NoAttribute), "{path}");
        assert_eq!(mount.xattr_names(path).await, [""; 0], "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn extended_attributes_take_the_room_that_metadata_have() {
    let mount = Mount::new();
    mount.write("f", b"bytes").await.unwrap();
    assert_eq!(mount.set_xattr("f", "user.a", &[b'x'; 6000]).await, Err(Error::NoSpace));
    mount.set_xattr("f", "user.a", &[b'x'; 5500]).await.unwrap();
    assert_eq!(mount.set_xattr("f", "user.b", &[b'x'; 500]).await, Err(Error::NoSpace));
    mount.settle().await;
    assert_eq!(mount.fresh().xattr("f", "user.a").await.unwrap(), [b'x'; 5500], "the store takes it");
}

#[tokio::test(start_paused = true)]
async fn attributes_of_ossfs_1_are_shown_and_those_that_are_not_stay() {
    for trust_listing in [false, true] {
        let mount = Mount::with(VolumeOptions { trust_listing, ..VolumeOptions::default() });
        let entry = "%7B%22security.x%22%3A%22eA%3D%3D%22%2C%22user.a%22%3A%22MQ%3D%3D%22%7D";
        let metadata = Metadata {
            user: BTreeMap::from([("xattr".to_owned(), http::HeaderValue::from_static(entry))]),
            ..Metadata::default()
        };
        let options = PutOptions { metadata, ..PutOptions::default() };
        mount.bucket.put(&Key::parse("f").unwrap(), "bytes".into(), &options).await.unwrap();
        assert_eq!(mount.xattr_names("f").await, ["user.a"]);
        assert_eq!(mount.xattr("f", "user.a").await.unwrap(), b"1");
        mount.set_xattr("f", "user.b", b"2").await.unwrap();
        mount.settle().await;
        let written = mount.head("f").await.metadata.user["xattr"].to_str().unwrap().to_owned();
        assert!(written.contains("security.x") && written.contains("user.b"), "{written}");
        // Another program's version has the attributes that it has.
        mount.outsider_puts("f", b"other").await;
        mount.outlast_ttl().await;
        assert_eq!(mount.xattr_names("f").await, [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn special_files_are_empty_objects_whose_mode_says_what_they_are() {
    let mut mount = Mount::new();
    let device = 0x0001_0305;
    for (name, kind, rdev) in [
        ("pipe", FileKind::Fifo, 0),
        ("socket", FileKind::Socket, 0),
        ("char", FileKind::CharDevice, device),
        ("block", FileKind::BlockDevice, device),
        ("file", FileKind::File, 0),
    ] {
        let made = mount.make(name, kind, device).await.unwrap();
        assert_eq!((made.kind, made.attributes.rdev, made.attributes.mode), (kind, rdev, 0o640), "{name}");
        assert_eq!(mount.make(name, kind, 0).await, Err(Error::Exists), "{name}");
    }
    assert_eq!(mount.make("d", FileKind::Directory, 0).await, Err(Error::Invalid));
    mount.crash();
    mount.settle().await;
    assert_eq!(mount.head("pipe").await.metadata.user["mode"], "4512");
    assert_eq!(mount.head("char").await.metadata.user["rdev"], "66309");
    mount.mv("char", "moved").await.unwrap();
    mount.settle().await;
    let mount = mount.fresh();
    for (name, kind, rdev) in [
        ("pipe", FileKind::Fifo, 0),
        ("socket", FileKind::Socket, 0),
        ("moved", FileKind::CharDevice, device),
        ("block", FileKind::BlockDevice, device),
        ("file", FileKind::File, 0),
    ] {
        let found = mount.stat(name).await.unwrap();
        assert_eq!((found.kind, found.attributes.rdev, found.size), (kind, rdev, 0), "{name}");
    }
    assert_eq!(mount.open("pipe", READ).await, Err(Error::Unsupported), "that is the kernel's");
    mount.rm("pipe").await.unwrap();
    mount.settle().await;
    assert!(!mount.objects().await.contains_key("pipe"));
}

#[tokio::test(start_paused = true)]
async fn a_directorys_times_follow_its_names() {
    let mount = Mount::new();
    mount.mkdir("a").await.unwrap();
    mount.mkdir("b").await.unwrap();
    let mut before = (mount.times("a").await, mount.times("b").await);
    macro_rules! follows {
        ($what:literal, $act:expr, $a:literal, $b:literal) => {
            $act;
            let after = (mount.times("a").await, mount.times("b").await);
            assert_eq!(after.0.0 > before.0.0 && after.0.1 > before.0.1, $a, $what);
            assert_eq!(after.1.0 > before.1.0 && after.1.1 > before.1.1, $b, $what);
            before = after;
        };
    }
    follows!("create", mount.write("a/f", b"x").await.unwrap(), true, false);
    follows!("mkdir", mount.mkdir("a/d").await.unwrap(), true, false);
    follows!("symlink", mount.symlink("a/l", "x").await.unwrap(), true, false);
    follows!("write", mount.write_at("a/f", 0, b"y").await.unwrap(), false, false);
    follows!("rename", mount.mv("a/f", "a/g").await.unwrap(), true, false);
    follows!("rename elsewhere", mount.mv("a/g", "b/g").await.unwrap(), true, true);
    follows!("unlink", mount.rm("b/g").await.unwrap(), false, true);
    follows!("rmdir", mount.rmdir("a/d").await.unwrap(), true, false);
    follows!("refused", assert!(mount.rmdir("b/none").await.is_err()), false, false);
    mount.settle().await;
    mount.outlast_ttl().await;
    follows!("asking the bucket again", mount.names("a").await.unwrap(), false, false);
    let now = mount.times("a").await;
    assert_eq!(now, before.0, "nothing is forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_files_ctime_follows_every_change_and_its_mtime_the_content() {
    let mount = Mount::new();
    mount.write("f", b"x").await.unwrap();
    let handle = mount.open("f", WRITE).await.unwrap();
    let mut before = mount.times("f").await;
    macro_rules! follows {
        ($what:literal, $act:expr, $mtime:literal) => {
            $act;
            let after = mount.times("f").await;
            assert_eq!(after.0 > before.0, $mtime, $what);
            assert!(after.1 > before.1, $what);
            before = after;
        };
    }
    follows!("chmod", mount.chmod("f", 0o600).await.unwrap(), false);
    follows!("write", mount.write_at("f", 0, b"y").await.unwrap(), true);
    follows!("truncate", mount.truncate("f", 5).await.unwrap(), true);
    follows!("truncate to the same size", mount.truncate("f", 5).await.unwrap(), true);
    follows!("rename", mount.mv("f", "g").await.and(mount.mv("g", "f").await).unwrap(), false);
    let now = SetAttributes { mtime: Some(SetTime::Now), ..SetAttributes::default() };
    follows!("touch", mount.set("f", now).await, true);
    let node = mount.at("f").await.unwrap();
    mount.rm("f").await.unwrap();
    let unlinked = mount.volume.attributes(node).await.unwrap().attributes;
    assert!(unlinked.ctime > before.1 && unlinked.mtime == before.0, "unlink of an open file");
    mount.volume.release(handle);
}

#[tokio::test(start_paused = true)]
async fn reading_changes_the_access_time_at_no_cost() {
    let mount = Mount::new();
    mount.write("f", b"x").await.unwrap();
    mount.settle().await;
    let before = mount.stat("f").await.unwrap().attributes.atime;
    mount.read("f").await.unwrap();
    let read = mount.stat("f").await.unwrap().attributes.atime;
    assert!(read > before);
    mount.read("f").await.unwrap();
    assert_eq!(mount.stat("f").await.unwrap().attributes.atime, read, "nothing was changed in between");
    mount.store.take_counts();
    mount.settle().await;
    assert_eq!(mount.store.take_counts(), BTreeMap::new());
}

#[tokio::test(start_paused = true)]
async fn privileges_go_with_the_owner_and_with_strangers_writes() {
    let mount = Mount::new();
    mount.write("f", b"x").await.unwrap();
    mount.mkdir("d").await.unwrap();
    let mode = |mode| SetAttributes { mode: Some(mode), ..SetAttributes::default() };
    let owner = SetAttributes { uid: Some(7), ..SetAttributes::default() };
    mount.set("f", mode(0o6755)).await;
    mount.set("d", mode(0o6755)).await;
    assert_eq!(mount.set("f", owner).await.attributes.mode, 0o755);
    assert_eq!(mount.set("d", owner).await.attributes.mode, 0o6755, "those of directories say something else");
    mount.set("f", mode(0o6755)).await;
    let cut = SetAttributes { size: Some(0), ..SetAttributes::default() };
    assert_eq!(mount.set("f", cut).await.attributes.mode, 0o6755);
    assert_eq!(mount.set("f", SetAttributes { drop_privileges: true, ..cut }).await.attributes.mode, 0o755);
    mount.set("f", mode(0o4755)).await;
    let nothing = SetAttributes { drop_privileges: true, ..SetAttributes::default() };
    assert_eq!(mount.set("f", nothing).await.attributes.mode, 0o755);
    mount.set("f", mode(0o4755)).await;
    mount.volume.drop_privileges(mount.at("f").await.unwrap());
    mount.settle().await;
    assert_eq!(mount.fresh().stat("f").await.unwrap().attributes.mode, 0o755);
    let handle = mount.open("f", OpenMode { truncate: true, ..WRITE }).await.unwrap();
    mount.close(handle).await.unwrap();
}
