//! Directories and files that change places: what the mount shows at once is what the bucket shows in the end.

use crate::bucket::Bucket;
use crate::shell::{plain_or_long, sh, wait_until};
use crate::snapshot::{assert_same, without_directory_times};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, Instant};

#[test]
fn a_directory_of_many_objects_moves_at_once() {
    let Some(bucket) = Bucket::start() else { return };
    let count = plain_or_long(1500, 10_000);
    bucket.put_many((0..count).map(|number| format!("from/{}/{number:05}", number % 7)), "content");
    let mount = bucket.mount();
    sh(mount.root(), "ls from");
    bucket.conditions(r#"{"latency_ms": 20}"#);
    let begun = Instant::now();
    fs::rename(mount.path("from"), mount.path("to")).unwrap();
    let took = begun.elapsed();
    // Not the time of 1,500 copies; a page of the listing or two may be needed.
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(!mount.path("from").exists());
    assert_eq!(fs::read_to_string(mount.path("to/3/00003")).unwrap(), "content");
    assert_eq!(sh(mount.root(), "ls to"), "0\n1\n2\n3\n4\n5\n6\n");
    // A second move on top, and a new directory of the old name, before the first is settled.
    fs::rename(mount.path("to"), mount.path("at-last")).unwrap();
    sh(mount.root(), "mkdir -p from/3; echo new > from/3/00003; rm -r at-last/6; mv at-last/5/00005 from/");
    bucket.calm();
    mount.umount();
    let keys = bucket.keys();
    let files = keys.iter().filter(|key| !key.ends_with('/')).count();
    let removed = (0..count).filter(|number| number % 7 == 6).count();
    assert_eq!(files, count + 1 - removed);
    assert!(keys.iter().all(|key| key.starts_with("at-last/") || key.starts_with("from/")), "{keys:?}");
    assert_eq!(bucket.get("from/3/00003"), b"new\n");
    assert_eq!(bucket.get("from/00005"), b"content");
    assert_eq!(bucket.get("at-last/3/00003"), b"content");
}

#[test]
fn places_are_swapped() {
    let Some(bucket) = Bucket::start() else { return };
    for name in ["a", "b", "c", "x/1", "x/2", "y/1", "z/deep/er/1"] {
        bucket.put(name, name);
    }
    let mount = bucket.mount();
    sh(
        mount.root(),
        "mv a t; mv b a; mv c b; mv t c; mv x t; mv y x; mv z y; mv t z; mv z/1 a2; mv x/1 z/1; mv a2 x/1",
    );
    sh(mount.root(), "mkdir n; mv x n/x; mv n y/deep/n; mv y/deep d; rmdir y");
    let here = without_directory_times(mount.root());
    assert_eq!(sh(mount.root(), "cat a b c"), "bca");
    mount.umount();
    let mount = bucket.mount();
    assert_same(&here, &without_directory_times(mount.root()));
    assert_eq!(sh(mount.root(), "cat a b c z/1 z/2 d/n/x/1 d/er/1"), "bcay/1x/2x/1z/deep/er/1");
}

#[test]
fn moves_that_make_no_sense_are_refused() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    sh(mount.root(), "mkdir -p a/b full/x empty; echo f > file; echo g > other");
    let refused = |from: &str, to: &str, errno: Errno| {
        let error = fs::rename(mount.path(from), mount.path(to)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(errno.raw_os_error()), "{from} to {to}: {error}");
    };
    refused("a", "a/b/c", Errno::INVAL);
    refused("a", "full", Errno::NOTEMPTY);
    refused("a", "file", Errno::NOTDIR);
    refused("file", "empty", Errno::ISDIR);
    refused("missing", "new", Errno::NOENT);
    let flagged = |flags| renameat_with(CWD, mount.path("file"), CWD, mount.path("other"), flags);
    assert_eq!(flagged(RenameFlags::NOREPLACE), Err(Errno::EXIST));
    let read = |name: &str| fs::read(mount.path(name)).unwrap();
    let before = (read("file"), read("other"));
    flagged(RenameFlags::EXCHANGE).unwrap();
    assert_eq!((read("other"), read("file")), before);
    let exchanged =
        |one: &str, other: &str| renameat_with(CWD, mount.path(one), CWD, mount.path(other), RenameFlags::EXCHANGE);
    assert_eq!(exchanged("a", "a/b"), Err(Errno::INVAL));
    exchanged("full", "file").unwrap();
    assert!(mount.path("file/x").is_dir() && mount.path("full").is_file());
    exchanged("full", "file").unwrap();
    fs::rename(mount.path("a"), mount.path("empty")).unwrap();
    assert!(mount.path("empty/b").is_dir() && mount.path("full/x").is_dir());
    assert_eq!(fs::remove_dir(mount.path("full")).unwrap_err().raw_os_error(), Some(Errno::NOTEMPTY.raw_os_error()));
    mount.umount();
    let keys = bucket.keys();
    assert!(keys.contains(&"empty/b/".to_owned()) && !keys.iter().any(|key| key.starts_with("a/")), "{keys:?}");
}

#[test]
fn a_directory_moves_while_files_in_it_are_written() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    fs::create_dir(mount.path("d0")).unwrap();
    let mut files: Vec<_> = (0..4).map(|number| File::create(mount.path(&format!("d0/f{number}"))).unwrap()).collect();
    let block = vec![b'x'; 1 << 20];
    for step in 0..12 {
        for file in &mut files {
            file.write_all(&block).unwrap();
        }
        fs::rename(mount.path(&format!("d{step}")), mount.path(&format!("d{}", step + 1))).unwrap();
    }
    for file in &files {
        file.sync_all().unwrap();
    }
    drop(files);
    mount.umount();
    let keys: Vec<_> = bucket.keys().into_iter().filter(|key| !key.ends_with('/')).collect();
    assert_eq!(keys, ["d12/f0", "d12/f1", "d12/f2", "d12/f3"]);
    for key in keys {
        let bytes = bucket.get(&key);
        assert!(bytes.len() == 12 << 20 && bytes.iter().all(|byte| *byte == b'x'), "{key}");
    }
}

#[test]
fn syncing_a_directory_settles_its_names() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("old", "x");
    let mount = bucket.mount();
    bucket.conditions(r#"{"latency_ms": 200}"#);
    sh(mount.root(), "mkdir d; : > d/empty; mv old d/new");
    for name in ["d", ""] {
        File::open(mount.path(name)).unwrap().sync_all().unwrap();
    }
    bucket.calm();
    assert!(bucket.keys().contains(&"d/new".to_owned()) && bucket.keys().contains(&"d/empty".to_owned()));
    wait_until("the old name is gone", Duration::from_secs(5), || !bucket.keys().contains(&"old".to_owned()));
}
