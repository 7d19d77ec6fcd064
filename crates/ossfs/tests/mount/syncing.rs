//! `ossfs sync`, and what removing many files costs.

use crate::bucket::Bucket;
use crate::mounted::{Mounted, OSSFS, SOON};
use crate::shell::{output_of, sh, wait_until};
use std::fs;
use std::process::{Child, Command, Output};

fn sync(mount: &Mounted, more: &[&str]) -> (Output, String) {
    let output = output_of(Command::new(OSSFS).arg("sync").arg(mount.root()).args(more), SOON * 2);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

/// A program that has written to a file and keeps it open: killed when dropped. (The test itself must not have it open: the
/// commands that it starts would close it.)
struct Writer(Child);

impl Writer {
    fn start(mount: &Mounted, name: &str, text: &str) -> Self {
        let line = format!("exec > {name}; printf '{text}'; exec sleep 100");
        let program = Command::new("sh").arg("-c").arg(line).current_dir(mount.root()).spawn().unwrap();
        wait_until("the writer", SOON, || {
            mount.path(name).metadata().is_ok_and(|file| file.len() == text.len() as u64)
        });
        Self(program)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn what_is_open_is_waited_for_and_what_fails_is_told() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount_with(&["-osettle_interval=600", "-odeadline=5"]);
    sh(mount.root(), "mkdir d");
    let first = Writer::start(&mount, "d/open", "written");
    let (output, said) = sync(&mount, &["nothing"]);
    assert!(output.status.success() && !bucket.keys().contains(&"d/open".to_owned()), "{said}");
    let inside = mount.path("d").to_str().unwrap().to_owned();
    let (output, said) = sync(&mount, &[&inside]);
    assert!(output.status.success(), "{said}");
    assert_eq!(bucket.get("d/open"), b"written");
    bucket.conditions(r#"{"faults": [{"operations": ["PutObject"], "kind": "denied"}]}"#);
    let second = Writer::start(&mount, "d/more", "more");
    let (output, said) = sync(&mount, &[]);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("d/more: ") && said.contains("credentials"), "{said}");
    // An endpoint that says nothing is not waited for without end.
    bucket.conditions(r#"{"faults": [{"operations": ["PutObject"], "kind": "stall"}]}"#);
    let (output, said) = sync(&mount, &["--timeout", "3"]);
    assert!(!output.status.success() && said.contains("nothing got on for 3 s"), "{said}");
    bucket.calm();
    drop((first, second));
    mount.umount();
    assert_eq!(bucket.get("d/more"), b"more");
}

#[test]
fn a_sync_of_no_mount_is_an_error() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    let (output, said) = sync(&mount, &["/elsewhere"]);
    assert!(!output.status.success() && said.contains("is not in"), "{said}");
    let elsewhere = bucket.path("plain");
    fs::create_dir(&elsewhere).unwrap();
    let output = output_of(Command::new(OSSFS).arg("sync").arg(&elsewhere), SOON);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("is not a mount of ossfs"), "{said}");
}

#[test]
fn removing_5000_files_is_at_most_30_requests() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put_many((0..5000).map(|number| format!("many/{number:04}")), "x");
    let mount = bucket.mount();
    sh(mount.root(), "ls -l many > /dev/null");
    let seen = bucket.requests_of(|| drop(sh(mount.root(), "rm -rf many")));
    assert!(seen.values().sum::<u64>() <= 30, "{seen:?}");
    assert_eq!(bucket.keys(), Vec::<String>::new());
}

#[test]
fn a_second_mount_lists_without_asking_for_attributes_unless_the_first_was_killed() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put_many((0..300).map(|number| format!("{number:04}")), "x");
    // A change of the metadata shows in Last-Modified from the next second on.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let cache = || {
        let directories = fs::read_dir(bucket.state()).unwrap().flatten();
        let below = directories.flat_map(|directory| fs::read_dir(directory.path()).into_iter().flatten().flatten());
        let names: Vec<_> = below.map(|entry| entry.path()).collect();
        names.into_iter().find(|path| path.ends_with("attributes.cache"))
    };
    let heads_of_listing = || {
        let mut heads = 0;
        let mount = bucket.mount();
        let seen = bucket.requests_of(|| heads = sh(mount.root(), "ls -l").lines().count() - 1);
        assert_eq!(heads, 300);
        (mount, seen.get("HeadObject").copied().unwrap_or_default())
    };
    let (mount, heads) = heads_of_listing();
    assert_eq!((heads, cache()), (300, None));
    mount.umount();
    assert!(cache().is_some());
    let (mount, heads) = heads_of_listing();
    assert_eq!((heads, cache()), (0, None));
    mount.umount();
    // Damaged, it is as if there were none.
    let path = cache().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (mount, heads) = heads_of_listing();
    assert_eq!(heads, 300);
    crate::shell::kill(mount.pid());
    drop(mount);
    assert_eq!(cache(), None, "a killed process leaves none");
}
