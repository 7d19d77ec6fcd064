//! Names that OSS can't have are refused with the errno that fits, before anything is changed.

use crate::bucket::{BUCKET, Bucket};
use crate::mounted::Mounted;
use crate::shell::sh;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

fn assert_errno<T: std::fmt::Debug>(result: io::Result<T>, errno: Errno, what: &str) {
    let error = result.expect_err(what);
    assert_eq!(error.raw_os_error(), Some(errno.raw_os_error()), "{what}: {error}");
}

/// Every call that makes a name, with this name.
fn refused(mount: &Mounted, name: &OsStr, errno: Errno) {
    let (source, bad) = (mount.path("source"), mount.root().join(name));
    assert_errno(fs::write(&bad, "x"), errno, "create");
    assert_errno(fs::create_dir(&bad), errno, "mkdir");
    assert_errno(symlink("x", &bad), errno, "symlink");
    assert_errno(fs::rename(&source, &bad), errno, "rename");
    assert_eq!(fs::read_to_string(&source).unwrap(), "kept", "a refused rename changes nothing");
}

#[test]
fn names_that_no_key_can_have() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    fs::write(mount.path("source"), "kept").unwrap();
    refused(&mount, OsStr::new(&"n".repeat(256)), Errno::NAMETOOLONG);
    refused(&mount, OsStr::new(&"长".repeat(86)), Errno::NAMETOOLONG);
    refused(&mount, OsStr::from_bytes(b"not\xffutf8"), Errno::ILSEQ);
    refused(&mount, OsStr::new("\\first"), Errno::INVAL);
    assert_errno(fs::metadata(mount.path(&"n".repeat(256))), Errno::NAMETOOLONG, "stat");
    // As long as names may be, and with a backslash that does not begin a key.
    for name in ["n".repeat(255), "长".repeat(85), "a\\b".to_owned(), "d/\\not-first".to_owned()] {
        fs::create_dir_all(mount.path(&name).parent().unwrap()).unwrap();
        fs::write(mount.path(&name), &name).unwrap();
        assert_eq!(bucket.get(&name), name.as_bytes());
    }
    mount.umount();
    assert!(bucket.keys().contains(&"source".to_owned()));
}

#[test]
fn a_backslash_may_begin_a_name_below_a_prefix() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = Mounted::start(&bucket, &format!("{BUCKET}:/p"), "mnt", &[]);
    fs::write(mount.path("\\first"), "x").unwrap();
    mount.umount();
    assert_eq!(bucket.get("p/\\first"), b"x");
}

/// Four directories with names of 250 bytes: keys below them begin with 1,004 bytes.
fn deep(root: &Path) -> std::path::PathBuf {
    let mut path = root.to_owned();
    for name in ["a", "b", "c", "d"] {
        path.push(name.repeat(250));
    }
    fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn keys_of_more_than_1023_bytes() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    let deep = deep(mount.root());
    fs::write(deep.join("f".repeat(19)), "1023 bytes").unwrap();
    assert_errno(fs::write(deep.join("f".repeat(20)), "x"), Errno::NAMETOOLONG, "1,024 bytes");
    // A directory's key ends with a slash.
    fs::create_dir(deep.join("d".repeat(18))).unwrap();
    assert_errno(fs::create_dir(deep.join("d".repeat(19))), Errno::NAMETOOLONG, "a directory of 1,024");
    let all = fs::read_dir(&deep).unwrap().count();
    mount.umount();
    assert_eq!(all, 2);
    assert!(bucket.keys().iter().any(|key| key.len() == 1023));
}

#[test]
fn keys_of_the_descendants_of_a_renamed_directory() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put(&format!("tree/sub/{}/{}", "x".repeat(200), "y".repeat(200)), "put by the API");
    let mount = bucket.mount();
    let deep = deep(mount.root());
    fs::create_dir(deep.join("e")).unwrap();
    sh(mount.root(), "mkdir -p short/sub; echo x > short/sub/a-name-of-some-length");
    // short itself would have room there, its child would not.
    assert_errno(fs::rename(mount.path("short"), deep.join("e/s")), Errno::NAMETOOLONG, "a child that is known");
    assert_eq!(sh(mount.root(), "cat short/sub/*"), "x\n");
    // What was never listed counts, too.
    assert_errno(fs::rename(mount.path("tree"), deep.join("e/t")), Errno::NAMETOOLONG, "a child that is not known");
    sh(mount.root(), "mv short long-enough; mv tree tree2");
    mount.umount();
    let keys = bucket.keys();
    assert!(keys.contains(&"long-enough/sub/a-name-of-some-length".to_owned()), "{keys:?}");
    assert!(keys.iter().any(|key| key.starts_with("tree2/sub/xxx")));
}

#[test]
fn names_that_other_programs_find_hard() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    let names = ["a b", "100%", "%41", "a+b", "文件", "😀", "a\nb", "a\tb", "\u{7f}", "&<>\"'", "?x=1", "#", "..."];
    for name in names {
        fs::write(mount.path(name), name).unwrap();
        assert_eq!(bucket.get(name), name.as_bytes(), "{name:?}");
        fs::create_dir(mount.path(&format!("{name}.d"))).unwrap();
        fs::write(mount.path(&format!("{name}.d/{name}")), "x").unwrap();
        fs::rename(mount.path(name), mount.path(&format!("{name}.d/moved {name}"))).unwrap();
    }
    mount.umount();
    let mount = bucket.mount();
    for name in names {
        assert_eq!(fs::read_to_string(mount.path(&format!("{name}.d/moved {name}"))).unwrap(), name);
        fs::remove_dir_all(mount.path(&format!("{name}.d"))).unwrap();
    }
    mount.umount();
    assert_eq!(bucket.keys(), [""; 0]);
}
