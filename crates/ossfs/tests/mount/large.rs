//! Large files written one after the other and at once come back whole, also if the daemon may use little memory.

use crate::bucket::{BUCKET, Bucket};
use crate::confined::Group;
use crate::mounted::{Mounted, OSSFS};
use crate::shell::{lives, plain_or_long, sh_within, skip};
use std::process::Command;
use std::time::{Duration, Instant};

/// What the daemon is confined to.
const CONFINED_BYTES: u64 = 256 << 20;

fn limit() -> Duration {
    Duration::from_secs(plain_or_long(90, 1800))
}

fn one_mib() -> u64 {
    plain_or_long(256, 4096)
}

fn sixteen_mib() -> u64 {
    plain_or_long(16, 256)
}

/// A file of so many MiB whose blocks all differ: a block of noise, each time with its number before it.
fn make_source(bucket: &Bucket, name: &str, mib: u64) {
    let program = "import os, sys
noise = os.urandom((1 << 20) - 8)
with open(sys.argv[1], 'wb', buffering=0) as file:
    for number in range(int(sys.argv[2])):
        file.write(number.to_bytes(8, 'little') + noise)
";
    let path = bucket.path(name);
    crate::shell::python(program, &[path.as_os_str(), mib.to_string().as_ref()], limit());
}

/// Mounts with a daemon in the group, if there is one.
fn mount(bucket: &Bucket, group: Option<&Group>) -> Mounted {
    let Some(group) = group else { return bucket.mount() };
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(group.processes()).arg(OSSFS);
    Mounted::start_by(command, bucket, BUCKET, "mnt", &[])
}

/// Asserts that the daemon lives and stayed within its memory.
fn check_memory(mount: &Mounted, group: Option<&Group>) {
    assert!(lives(mount.pid()), "the daemon is gone:\n{}", mount.log());
    if let Some(group) = group {
        let peak = group.peak_bytes();
        println!("peak: {peak:?} of {CONFINED_BYTES}");
        assert!(peak.is_none_or(|peak| peak < CONFINED_BYTES), "{peak:?}\n{}", group.stat());
    }
}

fn one_comes_back(group: Option<&Group>) {
    let Some(bucket) = Bucket::start() else { return };
    let begun = Instant::now();
    make_source(&bucket, "source", one_mib());
    let first = mount(&bucket, group);
    println!("made after {:?}", begun.elapsed());
    sh_within(&bucket.path(""), "dd if=source of=mnt/large bs=1M status=none", limit());
    println!("written after {:?}: {:?}", begun.elapsed(), bucket.stats());
    check_memory(&first, group);
    assert_eq!(bucket.head("large").size, one_mib() << 20, "in the bucket at close");
    first.umount();
    let second = mount(&bucket, group);
    let sums = "test \"$(sha256sum < source)\" = \"$(dd if=mnt/large bs=1M status=none | sha256sum)\"";
    sh_within(&bucket.path(""), sums, limit());
    println!("read after {:?}: {:?}", begun.elapsed(), bucket.stats());
    check_memory(&second, group);
    second.umount();
}

fn sixteen_come_back(group: Option<&Group>) {
    let Some(bucket) = Bucket::start() else { return };
    let begun = Instant::now();
    make_source(&bucket, "source", sixteen_mib());
    let first = mount(&bucket, group);
    let write = "for i in $(seq 16); do (echo $i; cat source) > mnt/f$i & pids=\"$pids $!\"; done
        for pid in $pids; do wait $pid; done";
    sh_within(&bucket.path(""), write, limit());
    println!("written after {:?}: {:?}", begun.elapsed(), bucket.stats());
    check_memory(&first, group);
    first.umount();
    let second = mount(&bucket, group);
    let read = "for i in $(seq 16); do (echo $i; cat source) | cmp - mnt/f$i & pids=\"$pids $!\"; done
        for pid in $pids; do wait $pid; done";
    sh_within(&bucket.path(""), read, limit());
    println!("read after {:?}: {:?}", begun.elapsed(), bucket.stats());
    check_memory(&second, group);
    second.umount();
}

fn group() -> Option<Group> {
    match Group::with_memory(CONFINED_BYTES) {
        Ok(group) => Some(group),
        Err(why) => {
            skip(&why);
            None
        }
    }
}

#[test]
fn one_large_file() {
    one_comes_back(None);
}

#[test]
fn sixteen_files_at_once() {
    sixteen_come_back(None);
}

#[test]
fn one_large_file_in_little_memory() {
    if let Some(group) = group() {
        one_comes_back(Some(&group));
    }
}

#[test]
fn sixteen_files_at_once_in_little_memory() {
    if let Some(group) = group() {
        sixteen_come_back(Some(&group));
    }
}

/// More than one PutObject could take in one go, through faults that break every tenth part.
#[test]
fn a_large_file_through_faults() {
    let Some(bucket) = Bucket::start() else { return };
    make_source(&bucket, "source", 64);
    let first = bucket.mount();
    let kinds = ["error-503", "reset", "truncate", "corrupt", "lost-answer"];
    let faults = kinds.map(|kind| format!(r#"{{"operations": ["*"], "kind": "{kind}", "probability": 0.02}}"#));
    bucket.conditions(&format!(r#"{{"seed": 3, "faults": [{}]}}"#, faults.join(",")));
    sh_within(&bucket.path(""), "dd if=source of=mnt/large bs=1M status=none; cmp source mnt/large", limit());
    first.umount();
    let second = bucket.mount();
    sh_within(&bucket.path(""), "cmp source mnt/large", limit());
    second.umount();
}
