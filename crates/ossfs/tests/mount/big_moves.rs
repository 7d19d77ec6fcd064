//! Directories of very many objects that are renamed: at once for everybody on the mount, however long the bucket takes,
//! and whatever is renamed meanwhile.

use crate::bucket::Bucket;
use crate::dice::Dice;
use crate::mounted::Mounted;
use crate::shell::{kill, lives, plain_or_long, sh_within, wait_until};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// So far away is the bucket.
const LATENCY: &str = r#"{"latency_ms": 10}"#;
/// Directories that the objects are in.
const DIRECTORIES: usize = 23;
/// More than a listing leaves to be asked of small objects, so that walks cost no request for each.
const OBJECT_BYTES: usize = 4200;

fn objects() -> usize {
    plain_or_long(2000, 20_000)
}

fn settled_within() -> Duration {
    Duration::from_secs(plain_or_long(60, 600))
}

/// The paths below the directory, in order.
fn paths() -> BTreeSet<String> {
    (0..objects()).map(|number| format!("s{}/{number:05}", number % DIRECTORIES)).collect()
}

/// What the object of a path holds.
fn content(path: &str) -> Vec<u8> {
    path.bytes().cycle().take(OBJECT_BYTES).collect()
}

/// A bucket with the objects below `A/`, and a mount of it.
fn start() -> Option<(Bucket, Mounted)> {
    let bucket = Bucket::start()?;
    let begun = Instant::now();
    let keys: Vec<_> = paths().into_iter().map(|path| format!("A/{path}")).collect();
    bucket.put_each(&keys, |key| content(key.trim_start_matches("A/")));
    let mount = bucket.mount();
    println!("{} objects after {:?}", objects(), begun.elapsed());
    Some((bucket, mount))
}

/// Every file below a directory, each as often as it is shown.
fn walk(root: &Path) -> Vec<String> {
    let mut seen = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
            let path = entry.unwrap().path();
            // Files are those that are named by their number alone.
            if path.file_name().unwrap().to_str().unwrap().starts_with('s') {
                left.push(path);
            } else {
                seen.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    seen.sort();
    seen
}

/// Asserts that a directory shows every path once, and that some that are picked can be read.
fn check(root: &Path, wanted: &BTreeSet<String>, dice: &mut Dice) {
    let seen = walk(root);
    if !seen.iter().eq(wanted.iter()) {
        let set: BTreeSet<_> = seen.iter().cloned().collect();
        let missing: Vec<_> = wanted.difference(&set).take(5).collect();
        let strange: Vec<_> = set.difference(wanted).take(5).collect();
        panic!("{} of {}; missing {missing:?}, strange {strange:?}", seen.len(), wanted.len());
    }
    for _ in 0..5 {
        let path = dice.pick(&seen);
        assert!(fs::read(root.join(path)).unwrap() == content(path), "{path}");
    }
}

/// The files in the bucket.
fn files(bucket: &Bucket) -> BTreeSet<String> {
    bucket.keys().into_iter().filter(|key| !key.ends_with('/')).collect()
}

fn below(directory: &str, paths: &BTreeSet<String>) -> BTreeSet<String> {
    paths.iter().map(|path| format!("{directory}/{path}")).collect()
}

/// Walks until the bucket has exactly these files.
fn walk_until_settled(bucket: &Bucket, root: &Path, shown: &BTreeSet<String>, wanted: &BTreeSet<String>) {
    let (begun, mut dice, mut walks) = (Instant::now(), Dice::new(1), 0);
    loop {
        let is_settled = files(bucket) == *wanted;
        check(root, shown, &mut dice);
        walks += 1;
        if is_settled {
            break;
        }
        assert!(begun.elapsed() < settled_within(), "not settled after {walks} walks");
    }
    println!("settled after {:?}, {walks} walks", begun.elapsed());
}

fn rename(mount: &Mounted, from: &str, to: &str) {
    let begun = Instant::now();
    fs::rename(mount.path(from), mount.path(to)).unwrap();
    let took = begun.elapsed();
    println!("mv {from} {to}: {took:?}");
    // Far from the time of the copies; machines may be busy.
    assert!(took < Duration::from_secs(1), "mv {from} {to}: {took:?}");
}

#[test]
fn a_walk_shows_every_file_once_while_its_directory_moves() {
    let Some((bucket, mount)) = start() else { return };
    check(&mount.path("A"), &paths(), &mut Dice::new(2));
    assert_eq!(fs::read_dir(mount.root()).unwrap().count(), 1);
    // Who waited for one request would be told from who does not.
    bucket.conditions(r#"{"latency_ms": 1500}"#);
    rename(&mount, "A", "B");
    bucket.conditions(LATENCY);
    assert!(!mount.path("A").exists());
    walk_until_settled(&bucket, &mount.path("B"), &paths(), &below("B", &paths()));
    assert!(!mount.path("A").exists());
    mount.umount();
    assert_eq!(files(&bucket), below("B", &paths()));
    let old: Vec<_> = bucket.keys().into_iter().filter(|key| key.starts_with("A/")).collect();
    assert!(old.is_empty(), "{old:?}");
}

#[test]
fn a_move_that_was_killed_is_completed_by_the_next_mount() {
    let Some((bucket, mount)) = start() else { return };
    bucket.conditions(LATENCY);
    // Nothing of it was listed before.
    rename(&mount, "A", "B");
    let mut half = 0;
    wait_until("half of the objects", settled_within(), || {
        half = files(&bucket).iter().filter(|key| key.starts_with("B/")).count();
        half > objects() / 2
    });
    assert!(lives(mount.pid()), "{}", mount.log());
    kill(mount.pid());
    drop(mount);
    println!("killed with {half} at the new place");
    let mount = bucket.mount();
    assert!(!mount.path("A").exists());
    walk_until_settled(&bucket, &mount.path("B"), &paths(), &below("B", &paths()));
    mount.umount();
    let keys = bucket.keys();
    assert!(keys.iter().all(|key| key.starts_with("B/")), "{:?}", keys.iter().find(|key| !key.starts_with("B/")));
}

#[test]
fn a_directory_goes_back_while_it_moves() {
    let Some((bucket, mount)) = start() else { return };
    bucket.conditions(LATENCY);
    rename(&mount, "A", "B");
    wait_until("some objects at the new place", settled_within(), || {
        files(&bucket).iter().any(|key| key.starts_with("B/"))
    });
    rename(&mount, "B", "A");
    assert!(!mount.path("B").exists());
    walk_until_settled(&bucket, &mount.path("A"), &paths(), &below("A", &paths()));
    mount.umount();
    let keys = bucket.keys();
    assert!(keys.iter().all(|key| key.starts_with("A/")), "{:?}", keys.iter().find(|key| !key.starts_with("A/")));
}

#[test]
fn a_part_of_a_directory_goes_back_while_it_moves() {
    let Some((bucket, mount)) = start() else { return };
    bucket.conditions(LATENCY);
    rename(&mount, "A", "B");
    fs::create_dir(mount.path("A")).unwrap();
    rename(&mount, "B/s1", "A/s1");
    let (back, away): (BTreeSet<_>, BTreeSet<_>) = paths().into_iter().partition(|path| path.starts_with("s1/"));
    check(&mount.path("A"), &back, &mut Dice::new(3));
    let wanted = &below("A", &back) | &below("B", &away);
    walk_until_settled(&bucket, &mount.path("B"), &away, &wanted);
    check(&mount.path("A"), &back, &mut Dice::new(4));
    mount.umount();
    assert_eq!(files(&bucket), wanted);
    // A mount that knows nothing of it sees the same.
    fs::remove_dir_all(bucket.state()).unwrap();
    let mount = bucket.mount();
    check(&mount.path("A"), &back, &mut Dice::new(5));
    check(&mount.path("B"), &away, &mut Dice::new(6));
    assert_eq!(sh_within(mount.root(), "ls", Duration::from_secs(10)), "A\nB\n");
}
