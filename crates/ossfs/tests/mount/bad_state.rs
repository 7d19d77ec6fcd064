//! State directories that can't be used: one line that says why, and nothing is touched, there or in the bucket.

use crate::bucket::{BUCKET, Bucket};
use crate::mounted::{Background, Mounted, OSSFS, SOON, is_mounted};
use crate::shell::{kill, output_of, sh};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A disk of its own, which goes away with the test.
struct Disk(PathBuf);

impl Disk {
    fn start(bucket: &Bucket, size: &str) -> Self {
        let path = bucket.path("disk");
        fs::create_dir(&path).unwrap();
        sh(&path, &format!("mount -t tmpfs -o size={size} tmpfs ."));
        Self(path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

/// The files of a state directory; whoever tries to lock it may make the lock's.
fn image(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    // What could not be begun for want of room is empty.
    let files = fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    files
        .filter(|path| {
            fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() > 0) && !path.ends_with("lock")
        })
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// Leaves a state directory with something in it that is not in the bucket.
fn unsettled(bucket: &Bucket, state: &Path) {
    let mount = bucket.mount_with(&[&option(state)]);
    sh(mount.root(), "ls -l");
    bucket.conditions(r#"{"faults": [{"operations": ["*"], "kind": "error-503"}]}"#);
    sh(mount.root(), "mkdir dir; : > dir/file");
    kill(mount.pid());
    drop(mount);
    bucket.calm();
}

fn option(state: &Path) -> String {
    format!("-ostate_dir={}", state.display())
}

/// Asserts that a mount of `named` with this state is refused, in one line that has these words, and changes nothing.
fn refused(bucket: &Bucket, named: &str, state: &Path, words: &[&str]) {
    let root = bucket.path("refused");
    fs::create_dir_all(&root).unwrap();
    let _unmounted = Background::at(bucket, "refused");
    let (before, keys) = (image(state), bucket.keys());
    for more in [&[][..], &["-f"]] {
        let mut command = Command::new(OSSFS);
        command.arg(named).arg(&root).args(bucket.options()).arg(option(state)).args(more);
        let output = output_of(command.env("STATE_DIRECTORY", bucket.state()), SOON);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && !is_mounted(&root), "{named} is mounted: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
        assert!(said.contains(&bucket.path("").display().to_string()), "it says where: {said}");
    }
    assert!(image(state) == before, "the state directory was changed");
    assert_eq!(bucket.keys(), keys);
}

#[test]
fn the_state_of_another_bucket_or_of_a_mount_that_lives() {
    let Some(bucket) = Bucket::start() else { return };
    let state = bucket.path("own state");
    unsettled(&bucket, &state);
    refused(&bucket, "my-bucket:/elsewhere", &state, &["belongs to", "my-bucket", "elsewhere"]);
    // What was in it is still there, and a second daemon does not get it.
    let mount = Mounted::start(&bucket, BUCKET, "mnt", &[&option(&state)]);
    assert_eq!(sh(mount.root(), "ls dir"), "file\n");
    let root = bucket.path("second");
    let _unmounted = Background::at(&bucket, "second");
    let mut command = Command::new(OSSFS);
    command.arg(BUCKET).arg(&root).args(bucket.options()).arg(option(&state));
    let output = output_of(&mut command, SOON);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.lines().count() == 1, "{said}");
    assert!(said.contains("in use by another process") && said.contains("own state"), "{said}");
    assert_eq!(sh(mount.root(), "ls dir"), "file\n");
    mount.umount();
    assert!(bucket.keys().contains(&"dir/file".to_owned()), "{:?}", bucket.keys());
}

#[test]
fn a_damaged_state() {
    let Some(bucket) = Bucket::start() else { return };
    let state = bucket.path("state directory");
    unsettled(&bucket, &state);
    let ledger = state.join("ledger.mdb");
    let good = fs::read(&ledger).unwrap();
    for bad in [vec![0x5A; good.len()], good[..5000].to_vec(), b"short".to_vec()] {
        fs::write(&ledger, bad).unwrap();
        refused(&bucket, BUCKET, &state, &["ledger.mdb is damaged", "from a copy"]);
    }
    // As it says: with a copy, all is there again.
    fs::write(&ledger, good).unwrap();
    let mount = bucket.mount_with(&[&option(&state)]);
    assert_eq!(sh(mount.root(), "ls dir"), "file\n");
    mount.umount();
    assert!(bucket.keys().contains(&"dir/file".to_owned()));
}

#[test]
fn a_state_on_a_read_only_disk() {
    let Some(bucket) = Bucket::start() else { return };
    let disk = Disk::start(&bucket, "64m");
    let state = disk.0.join("state");
    unsettled(&bucket, &state);
    sh(&bucket.path(""), "mount -o remount,ro disk");
    refused(&bucket, BUCKET, &state, &["read-only"]);
    refused(&bucket, BUCKET, &disk.0.join("another"), &["read-only"]);
    sh(&bucket.path(""), "mount -o remount,rw disk");
    let mount = bucket.mount_with(&[&option(&state)]);
    assert_eq!(sh(mount.root(), "ls dir"), "file\n");
    mount.umount();
}

#[test]
fn a_state_on_a_full_disk() {
    let Some(bucket) = Bucket::start() else { return };
    let disk = Disk::start(&bucket, "64m");
    let state = disk.0.join("state");
    unsettled(&bucket, &state);
    sh(&disk.0, "mkdir new; cat /dev/zero > filler 2>/dev/null || true");
    let new = disk.0.join("new");
    refused(&bucket, BUCKET, &new, &["full"]);
    // One that has its files may work; what it may not is lose something.
    fs::remove_file(disk.0.join("filler")).unwrap();
    for state in [&new, &state] {
        let mount = bucket.mount_with(&[&option(state)]);
        assert_eq!(mount.path("dir").exists(), state != &new);
        mount.umount();
    }
    assert!(bucket.keys().contains(&"dir/file".to_owned()));
}
