//! Objects that can't be shown as they are: keys that are no paths, an object beside a directory of its name, archives.

use crate::bucket::Bucket;
use crate::shell::sh;
use ossfs_store::{PutOptions, WriteHeaders};
use rustix::io::Errno;
use std::fs;

#[test]
fn keys_that_are_no_paths_are_hidden_and_told_once() {
    let Some(bucket) = Bucket::start() else { return };
    let hidden = ["a//b", "a/./c", "a/../d", "./e", "../f", "a/.", "x//"];
    for key in hidden {
        bucket.put(key, "hidden");
    }
    bucket.put(&format!("a/{}", "n".repeat(256)), "too long a name");
    bucket.put("a/shown", "shown");
    bucket.put(".ossfs/links/x", "ours");
    let mount = bucket.mount();
    for _ in 0..2 {
        assert_eq!(sh(mount.root(), "ls -A a"), "shown\n");
        assert!(!sh(mount.root(), "ls -A").contains("ossfs"));
    }
    assert_eq!(fs::read_to_string(mount.path("a/shown")).unwrap(), "shown");
    assert!(!mount.path(".ossfs").exists());
    let log = mount.log();
    let told: Vec<_> = log.lines().filter(|line| line.contains("a//") || line.contains("a/./")).collect();
    assert!(!told.is_empty(), "nothing about hidden keys in the log:\n{log}");
    assert!(told.len() <= 2, "told more than once:\n{log}");
    mount.umount();
    for key in hidden {
        assert_eq!(bucket.get(key), b"hidden", "{key}: untouched");
    }
}

#[test]
fn an_object_beside_a_directory_of_its_name() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("a", "the object");
    bucket.put("a/b", "the child");
    let mount = bucket.mount();
    assert_eq!(sh(mount.root(), "ls -A1"), "a\na.ossfs-object\n");
    assert_eq!(fs::read_to_string(mount.path("a/b")).unwrap(), "the child");
    assert_eq!(fs::read_to_string(mount.path("a.ossfs-object")).unwrap(), "the object");
    // By its name alone, without a listing.
    let again = bucket.mount_elsewhere("second");
    assert_eq!(fs::read_to_string(again.path("a.ossfs-object")).unwrap(), "the object");
    drop(again);
    sh(mount.root(), "mv a.ossfs-object free; rm a/b; rmdir a");
    mount.umount();
    assert_eq!(bucket.keys(), ["free"]);
    assert_eq!(bucket.get("free"), b"the object");
}

#[test]
fn an_archived_object_tells_what_to_do() {
    let Some(bucket) = Bucket::start() else { return };
    let headers =
        WriteHeaders { storage_class: Some(http::HeaderValue::from_static("Archive")), ..WriteHeaders::default() };
    bucket.put_as("frozen", "cold bytes", &PutOptions { headers, ..PutOptions::default() });
    let mount = bucket.mount();
    assert_eq!(fs::metadata(mount.path("frozen")).unwrap().len(), 10);
    let error = fs::read(mount.path("frozen")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::ACCESS.raw_os_error()), "{error}");
    let log = mount.log();
    assert!(log.contains("RestoreObject") && log.contains("frozen"), "{log}");
}
