//! Files with several names, as programs make and see them.

use crate::bucket::{Bucket, directory};
use crate::shell::sh;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;

#[test]
fn names_of_one_file_are_found_again_by_a_mount_that_knows_nothing() {
    let Some(bucket) = Bucket::start() else { return };
    let tree = bucket.path("tree");
    sh(directory(&tree), "mkdir d e; echo one > d/a; ln d/a e/b; ln d/a c; ln -s nowhere s; ln s t; echo x > single");
    let mount = bucket.mount();
    sh(mount.root(), "cp -a ../tree copy");
    let counts = "cd copy && stat -c '%h %n' c d/a e/b s t single && stat -c %i c d/a e/b | uniq | wc -l";
    let expected = "3 c\n3 d/a\n3 e/b\n2 s\n2 t\n1 single\n1\n";
    assert_eq!(sh(mount.root(), counts), expected);
    mount.umount();
    for key in ["copy/c", "copy/d/a", "copy/e/b"] {
        assert_eq!(bucket.get(key), b"one\n", "every name is an object");
    }

    let mount = bucket.mount_elsewhere("other");
    assert_eq!(sh(mount.root(), counts), expected);
    sh(mount.root(), "echo two >> copy/d/a; chmod 600 copy/c; mv copy/d copy/f; rm copy/e/b; ln copy/c copy/new");
    assert_eq!(sh(mount.root(), "stat -c '%h %a' copy/new; cat copy/f/a"), "3 600\none\ntwo\n");
    mount.umount();
    for key in ["copy/c", "copy/f/a", "copy/new"] {
        assert_eq!(bucket.get(key), b"one\ntwo\n");
    }

    let mount = bucket.mount_elsewhere("third");
    let inode = |name: &str| fs::metadata(mount.path(name)).unwrap().ino();
    assert_eq!((inode("copy/c"), inode("copy/f/a")), (inode("copy/new"), inode("copy/new")));
    assert_eq!(sh(mount.root(), "find copy -samefile copy/c | sort"), "copy/c\ncopy/f/a\ncopy/new\n");
    sh(mount.root(), "rm -r copy");
    mount.umount();
    assert_eq!(bucket.keys(), [""; 0]);
}

#[test]
fn what_link_promises() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    sh(mount.root(), "mkdir d; echo one > a; ln a b; ! ln a b 2>/dev/null; ! ln -d d e 2>/dev/null");
    // A name over another of the same file: nothing happens.
    fs::rename(mount.path("a"), mount.path("b")).unwrap();
    assert_eq!(fs::metadata(mount.path("a")).unwrap().nlink(), 2);
    let mut open = File::options().read(true).append(true).open(mount.path("a")).unwrap();
    fs::remove_file(mount.path("a")).unwrap();
    fs::hard_link(mount.path("b"), mount.path("d/c")).unwrap();
    open.write_all(b"two\n").unwrap();
    assert_eq!(open.metadata().unwrap().nlink(), 2);
    assert_eq!(fs::read(mount.path("d/c")).unwrap(), b"one\ntwo\n");
    fs::remove_file(mount.path("b")).unwrap();
    fs::remove_file(mount.path("d/c")).unwrap();
    fs::remove_dir(mount.path("d")).unwrap();
    assert_eq!(open.metadata().unwrap().nlink(), 0);
    let mut all = String::new();
    std::io::Seek::rewind(&mut open).unwrap();
    open.read_to_string(&mut all).unwrap();
    assert_eq!(all, "one\ntwo\n", "until it is closed");
    drop(open);
    mount.umount();
    assert_eq!(bucket.keys(), [""; 0]);
}

#[test]
fn linked_names_are_exchanged_and_counted() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    sh(mount.root(), "mkdir -p d/s d/t; echo one > a; ln a d/b; echo two > c");
    let exchange = |one: &str, other: &str| {
        renameat_with(CWD, mount.path(one), CWD, mount.path(other), RenameFlags::EXCHANGE).unwrap();
    };
    exchange("c", "d/b");
    exchange("a", "d");
    assert_eq!(sh(mount.root(), "stat -c '%h %n' a a/b c d"), "4 a\n1 a/b\n2 c\n2 d\n");
    assert_eq!(sh(mount.root(), "cat a/b c d; find . -type d | wc -l"), "two\none\none\n4\n");
    mount.umount();
    let mount = bucket.mount_elsewhere("other");
    assert_eq!(sh(mount.root(), "cat a/b c d; find . -type d | wc -l; stat -c %h c d"), "two\none\none\n4\n2\n2\n");
}
