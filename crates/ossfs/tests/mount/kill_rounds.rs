//! `kill -9` of the daemon under load, again and again: what was promised is there after each, and nothing else is in
//! the end.

use crate::bucket::{Bucket, entry};
use crate::dice::Dice;
use crate::faults::{KINDS, all_at, one_at};
use crate::shell::{is_long, kill, lives, plain_or_long};
use crate::writer::Writer;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Some latency, so that requests are under way when the daemon dies.
const FAIR: &str = r#"{"latency_ms": 5}"#;
/// So much that most of what was closed is not in the bucket yet.
const SLOW: &str = r#"{"latency_ms": 60}"#;
/// Where the lists of names are of files that have several.
const LISTS: &str = ".ossfs/links/";

/// Kills the daemon under the writers so many times.
fn rounds(count: u64, options: &[&str], weather: &str) {
    let Some(bucket) = Bucket::start() else { return };
    let begun = Instant::now();
    let seed = std::env::var("OSSFS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    println!("OSSFS_SEED={seed}");
    let mut dice = Dice::new(seed);
    // Another client's uploads, for a key that is never ours and for one that is.
    let theirs = ["w0/theirs", "w0/f1", "w1/f2"].map(|key| bucket.begin_upload(key));
    // Beginnings are told in whole seconds.
    std::thread::sleep(Duration::from_millis(1100));
    let options = [&["-omultipart_size=1"][..], options].concat();
    let mut writers: Vec<_> = (0..4).map(|number| Writer::new(&format!("w{number}"), dice.next())).collect();
    for round in 0..count {
        let mount = bucket.mount_with(&options);
        writers.iter_mut().for_each(|writer| writer.check(mount.root()));
        bucket.conditions(weather);
        let load = Duration::from_millis(100 + dice.below(if round % 5 == 4 { 4000 } else { 1200 }));
        std::thread::scope(|scope| {
            for writer in &mut writers {
                scope.spawn(|| writer.run(mount.root()));
            }
            std::thread::sleep(load);
            assert!(lives(mount.pid()), "the daemon died by itself");
            kill(mount.pid());
        });
        bucket.calm();
        let calls: u64 = writers.iter().map(Writer::calls).sum();
        println!("round {round}: killed after {load:?}, {calls} calls so far, {:?}", begun.elapsed());
    }
    let mount = bucket.mount_with(&options);
    writers.iter_mut().for_each(|writer| writer.check(mount.root()));
    mount.umount();
    println!("settled after {:?}", begun.elapsed());
    // A mount that knows nothing but the bucket shows it, and so does the bucket itself.
    std::fs::remove_dir_all(bucket.state()).unwrap();
    let mount = bucket.mount();
    for writer in &mut writers {
        writer.check(mount.root());
        writer.settle();
    }
    mount.umount();
    let objects: BTreeMap<_, _> = bucket.keys().into_iter().map(|key| (key.clone(), bucket.get(&key))).collect();
    writers.iter_mut().for_each(|writer| writer.check_objects(&objects));
    assert_listed(&bucket, &objects, writers.iter().flat_map(Writer::linked).collect());
    let strange: Vec<_> = objects.keys().filter(|key| !key.starts_with('w') && !key.starts_with(LISTS)).collect();
    assert!(strange.is_empty(), "{strange:?}");
    let mut left = bucket.uploads();
    left.sort();
    let mut wanted = theirs.to_vec();
    wanted.sort();
    assert_eq!(left, wanted, "uploads that are open: ours are to go, theirs to stay");
}

/// The bucket says of the keys of each of these files that they are one, and of no others.
fn assert_listed(bucket: &Bucket, objects: &BTreeMap<String, Vec<u8>>, files: BTreeSet<BTreeSet<String>>) {
    println!("{} files have several names", files.len());
    let mut links = BTreeMap::new();
    let mut listed = BTreeSet::new();
    for (key, list) in objects {
        let Some(link) = key.strip_prefix(LISTS) else { continue };
        let keys: BTreeSet<_> = str::from_utf8(list).unwrap().lines().skip(1).map(str::to_owned).collect();
        links.extend(keys.iter().map(|key| (key.clone(), link.to_owned())));
        listed.insert(keys);
    }
    assert_eq!(listed, files);
    for key in objects.keys() {
        assert_eq!(entry(&bucket.head(key), "ossfs-link"), links.get(key).map(String::as_str), "{key}");
    }
}

#[test]
fn what_was_closed_or_synced_survives_every_kill() {
    rounds(plain_or_long(7, 140), &[], FAIR);
}

#[test]
fn what_was_closed_or_synced_survives_every_kill_before_a_slow_bucket() {
    rounds(plain_or_long(3, 60), &[], SLOW);
}

#[test]
fn what_was_closed_with_writeback_survives_every_kill() {
    // Whoever reads what was under way at the kill waits for it: up to 15 s a round.
    rounds(plain_or_long(5, 200), &["-owriteback"], SLOW);
}

#[test]
fn kills_through_faults() {
    // What is silent is given up soon, so that rounds get on.
    let options = ["-oreadwrite_timeout=2"];
    if is_long() {
        for kind in KINDS {
            rounds(20, &options, &one_at(kind, 0.05));
        }
    } else {
        rounds(3, &options, &all_at(0.05 / 6.0));
    }
}
