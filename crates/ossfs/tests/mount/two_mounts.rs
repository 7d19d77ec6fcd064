//! Two mounts of one bucket: each sees what the other did after the time to live, and nothing is mixed or lost.

use crate::bucket::{BUCKET, Bucket};
use crate::mounted::Mounted;
use crate::shell::{sh, wait_until};
use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn two(bucket: &Bucket) -> (Mounted, Mounted) {
    let options = ["-ostat_cache_expire=1"];
    (Mounted::start(bucket, BUCKET, "one", &options), Mounted::start(bucket, BUCKET, "two", &options))
}

#[test]
fn each_sees_what_the_other_wrote() {
    let Some(bucket) = Bucket::start() else { return };
    let (one, two) = two(&bucket);
    sh(one.root(), "mkdir -p d/e; echo one > d/e/file; ln -s d/e link; chmod 600 d/e/file");
    wait_until("the file at the other", SOON, || fs::read(two.path("d/e/file")).is_ok_and(|bytes| bytes == b"one\n"));
    assert_eq!(sh(two.root(), "stat -c %a d/e/file; cat link/file"), "600\none\n");
    sh(two.root(), "echo two >> d/e/file; mv d/e d/f");
    wait_until("the moved file", SOON, || fs::read(one.path("d/f/file")).is_ok_and(|bytes| bytes == b"one\ntwo\n"));
    wait_until("the old name is gone", SOON, || !one.path("d/e/file").exists());
    fs::remove_file(one.path("d/f/file")).unwrap();
    wait_until("it is gone at the other", SOON, || !two.path("d/f/file").exists());
    one.umount();
    two.umount();
    assert!(!bucket.keys().iter().any(|key| key.contains("file")), "{:?}", bucket.keys());
}

#[test]
fn both_make_the_same_name() {
    let Some(bucket) = Bucket::start() else { return };
    let (one, two) = two(&bucket);
    let make = |mount: &Mounted, name: &str, letter: &str| {
        let Ok(mut file) = File::create_new(mount.path(name)) else { return false };
        file.write_all(letter.repeat(100_000).as_bytes()).unwrap();
        file.sync_all().unwrap();
        true
    };
    let mut made = Vec::new();
    for round in 0..10 {
        let name = &format!("file{round}");
        made.push(std::thread::scope(|scope| {
            let both = [(&one, "1"), (&two, "2")].map(|(mount, letter)| scope.spawn(move || make(mount, name, letter)));
            both.map(|thread| thread.join().unwrap())
        }));
    }
    one.umount();
    two.umount();
    let keys = bucket.keys();
    for (round, [by_one, by_two]) in made.into_iter().enumerate() {
        let of_it: Vec<_> = keys.iter().filter(|key| key.starts_with(&format!("file{round}"))).collect();
        let mut seen = String::new();
        for key in &of_it {
            let bytes = bucket.get(key);
            let first = bytes[0];
            assert!(bytes.len() == 100_000 && bytes.iter().all(|byte| *byte == first), "{key} is mixed");
            seen.push(char::from(first));
        }
        assert!(by_one || by_two);
        let lost = by_one && !seen.contains('1') || by_two && !seen.contains('2');
        assert!(!lost, "{of_it:?} hold {seen}; made by one: {by_one}, by two: {by_two}");
    }
}
