//! What everyday commands cost in requests, in a directory that was listed with `ls -l` within its time to live.

use crate::bucket::Bucket;
use crate::mounted::Mounted;
use crate::shell::sh;
use ossfs_store::ObjectType;
use std::collections::BTreeMap;

/// A mount of a bucket with a few small files, all of it listed.
fn listed() -> Option<(Bucket, Mounted)> {
    let bucket = Bucket::start()?;
    for name in ["small", "doomed", "here", "d/inner", "d/other"] {
        bucket.put(name, "hello\n");
    }
    let mount = bucket.mount();
    sh(mount.root(), "ls -l . d");
    Some((bucket, mount))
}

fn counts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn a_new_small_file_is_one_put() {
    let Some((bucket, mount)) = listed() else { return };
    let seen = bucket.requests_of(|| drop(sh(mount.root(), "echo x > new")));
    assert_eq!(seen, counts(&[("PutObject", 1)]));
    let seen = bucket.requests_of(|| drop(sh(mount.root(), "echo y > d/new; cat d/new; ls -l d; cat new")));
    assert_eq!(seen.get("PutObject"), Some(&1), "{seen:?}");
    assert!(seen.values().sum::<u64>() <= 3, "{seen:?}");
    // A close without new bytes uploads nothing.
    let seen = bucket.requests_of(|| drop(sh(mount.root(), "exec 3>>new; exec 3>&-; exec 3<new; exec 3<&-")));
    assert_eq!(seen, counts(&[]));
}

#[test]
fn reading_a_small_file_is_one_get() {
    let Some((bucket, mount)) = listed() else { return };
    let seen = bucket.requests_of(|| assert_eq!(sh(mount.root(), "cat small"), "hello\n"));
    assert_eq!(seen, counts(&[("GetObject", 1)]));
    let seen = bucket.requests_of(|| assert_eq!(sh(mount.root(), "cat small"), "hello\n"));
    assert_eq!(seen, counts(&[]), "it is cached");
}

#[test]
fn names_that_are_known_or_missing_cost_nothing() {
    let Some((bucket, mount)) = listed() else { return };
    let seen =
        bucket.requests_of(|| drop(sh(mount.root(), "for i in 1 2 3; do ! stat missing$i 2>&1; done; stat small d")));
    assert_eq!(seen, counts(&[]));
    let seen = bucket.requests_of(|| drop(sh(mount.root(), "ls -l . d; test ! -e d/missing; test -d d")));
    assert_eq!(seen, counts(&[]));
}

#[test]
fn removing_is_at_most_two() {
    let Some((bucket, mount)) = listed() else { return };
    let seen = bucket.requests_of(|| drop(sh(mount.root(), "rm doomed")));
    assert_eq!(seen.get("DeleteObject").or(seen.get("DeleteMultipleObjects")), Some(&1), "{seen:?}");
    assert!(seen.values().sum::<u64>() <= 2, "{seen:?}");
    assert!(!bucket.keys().contains(&"doomed".to_owned()));
    // Nor in a directory that is one by its other objects alone.
    let seen = bucket.requests_of(|| drop(sh(mount.root(), "rm d/inner")));
    assert!(seen.values().sum::<u64>() <= 2, "{seen:?}");
}

#[test]
fn moving_to_a_new_name_is_two() {
    let Some((bucket, mount)) = listed() else { return };
    let seen = bucket.requests_of(|| drop(sh(mount.root(), "mv here there")));
    assert_eq!(seen.values().sum::<u64>(), 2, "{seen:?}");
    assert_eq!(seen.get("CopyObject"), Some(&1), "{seen:?}");
    let keys = bucket.keys();
    assert!(keys.contains(&"there".to_owned()) && !keys.contains(&"here".to_owned()), "{keys:?}");
}

#[test]
fn a_directory_of_its_own_is_one_put() {
    let Some((bucket, mount)) = listed() else { return };
    let seen = bucket.requests_of(|| drop(sh(mount.root(), "mkdir made; : > made/empty; ls -l made")));
    assert_eq!(seen, counts(&[("PutObject", 2)]));
    let seen = bucket.requests_of(|| drop(sh(mount.root(), "chmod 600 small")));
    assert_eq!(seen, counts(&[("CopyObject", 1)]));
}

#[test]
fn listing_2500_entries() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put_many((0..2500).map(|number| format!("many/{number:04}")), "x");
    let mount = bucket.mount();
    sh(mount.root(), "ls -l");
    let list = || {
        let listed = sh(mount.root(), "ls -l many");
        // A first line tells the total.
        assert_eq!(listed.lines().count(), 2501);
    };
    let seen = bucket.requests_of(list);
    println!("{seen:?}");
    let lists = seen.get("ListObjectsV2").copied().unwrap_or_default();
    assert_eq!(
        seen.keys().filter(|name| !["ListObjectsV2", "HeadObject"].contains(&name.as_str())).count(),
        0,
        "{seen:?}"
    );
    assert!(seen.get("HeadObject").is_none_or(|heads| *heads <= 2500), "{seen:?}");
    assert_eq!(lists, 3, "{seen:?}");
    let seen = bucket.requests_of(list);
    assert_eq!(seen, counts(&[]));
}

/// A mount of a bucket with an object of 1 GiB, which is known.
fn with_gib() -> Option<(Bucket, Mounted)> {
    let bucket = Bucket::start()?;
    let noise: Vec<u8> = (0..64_u32 << 20).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    bucket.put_repeated("big", noise, 16);
    let mount = bucket.mount();
    assert_eq!(sh(mount.root(), "stat -c %s big").trim(), (1_u64 << 30).to_string());
    Some((bucket, mount))
}

#[test]
fn a_change_of_a_large_file_costs_what_was_changed() {
    let Some((bucket, mount)) = with_gib() else { return };
    let change = "dd if=/dev/urandom of=big bs=4096 count=1 seek=131072 conv=notrunc,fsync status=none";
    let seen = bucket.requests_of(|| drop(sh(mount.root(), change)));
    assert!(seen.values().sum::<u64>() <= 8, "{seen:?}");
    assert!(bucket.traffic().0 <= 128 << 10, "{:?}", bucket.traffic());
    let append = "dd if=/dev/urandom of=big bs=1024 count=1 oflag=append conv=notrunc,fsync status=none";
    let seen = bucket.requests_of(|| drop(sh(mount.root(), append)));
    assert!(seen.values().sum::<u64>() <= 5, "{seen:?}");
    assert!(bucket.traffic().0 <= 2 << 10, "{:?}", bucket.traffic());
    assert_eq!(bucket.head("big").size, (1 << 30) + 1024);
}

#[test]
fn a_copy_within_the_mount_moves_no_bytes() {
    let Some((bucket, mount)) = with_gib() else { return };
    let seen = bucket.requests_of(|| drop(sh(mount.root(), "mkdir d; cp big copy; cp big d")));
    assert_eq!(bucket.traffic(), (0, 0), "{seen:?}");
    assert_eq!(seen.get("CopyObject"), Some(&2), "{seen:?}");
    for name in ["copy", "d/big"] {
        assert_eq!(bucket.head(name).crc64, bucket.head("big").crc64);
    }
    // In pieces of its own, with something before it.
    let seen = bucket.requests_of(|| {
        let program = "import os, sys
source, target = os.open('big', os.O_RDONLY), os.open('shifted', os.O_WRONLY | os.O_CREAT)
os.write(target, b'x' * 200_000)
at = 0
while copied := os.copy_file_range(source, target, 300 << 20, at, 200_000 + at):
    at += copied
os.close(target)
";
        std::fs::write(bucket.path("copy.py"), program).unwrap();
        sh(mount.root(), "python3 ../copy.py");
    });
    assert_eq!(bucket.traffic(), (200_000, 0), "{seen:?}");
    assert_eq!(bucket.head("shifted").size, (1 << 30) + 200_000);
}

#[test]
fn cutting_and_replacing_whole_files_is_cheap() {
    let Some((bucket, mount)) = listed() else { return };
    let seen = bucket.requests_of(|| drop(sh(mount.root(), "truncate -s 0 small")));
    assert!(seen.values().sum::<u64>() <= 2, "{seen:?}");
    assert_eq!(bucket.head("small").size, 0);
    let seen = bucket.requests_of(|| drop(sh(mount.root(), "echo new > .tmp; mv .tmp here")));
    assert!(seen.values().sum::<u64>() <= 4, "{seen:?}");
    assert_eq!(bucket.get("here"), b"new\n");
}

#[test]
fn what_is_added_to_an_appendable_object_is_one_request() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount_with(&["-oappend=appendable"]);
    sh(mount.root(), "ls -l; umask 027; echo first >> log");
    assert_eq!(bucket.head("log").object_type, ObjectType::Appendable);
    let seen =
        bucket.requests_of(|| drop(sh(mount.root(), "dd if=/dev/zero bs=1k count=1 conv=fsync status=none >> log")));
    assert_eq!(seen, counts(&[("AppendObject", 1)]));
    assert_eq!(bucket.get("log"), [b"first\n".as_slice(), &[0; 1024]].concat());
    assert_eq!(bucket.head("log").metadata.user["mode"], "33184");
    // What OSS does not do with it is done by reading and putting it whole, which makes a normal one.
    sh(mount.root(), "mv log log.1; echo second >> log; chmod 600 log.1; cat log.1 > /dev/null; sync log log.1");
    assert_eq!(bucket.head("log").object_type, ObjectType::Appendable);
    assert_eq!(bucket.head("log.1").object_type, ObjectType::Normal);
    assert_eq!(sh(mount.root(), "head -n 1 log.1; cat log; stat -c %a log.1 log"), "first\nsecond\n600\n644\n");
}
