//! A daemon that is killed leaves a dead mount: it is told so, cleared away, and what was closed is there.

use crate::bucket::Bucket;
use crate::mounted::{Background, OSSFS, SOON, is_mounted};
use crate::shell::{kill, output_of, sh};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::Write;
use std::process::Command;

#[test]
fn what_was_closed_survives_a_killed_daemon() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = Background::at(&bucket, "mnt");
    mount.mount(&bucket, &[]);
    sh(mount.root(), "mkdir d; echo closed > d/closed; seq 100000 > d/more");
    let mut synced = File::create(mount.root().join("synced")).unwrap();
    synced.write_all(b"synced").unwrap();
    synced.sync_all().unwrap();
    kill(mount.pid());
    mount.wait_for_end(SOON);
    drop(synced);
    let errno = Errno::from_io_error(&fs::read_dir(mount.root()).unwrap_err()).unwrap();
    // The kernel's word for it at first, and later.
    assert!([Errno::CONNABORTED, Errno::NOTCONN].contains(&errno), "{errno}");
    let umount = output_of(Command::new(OSSFS).arg("umount").arg(mount.root()), SOON);
    let said = String::from_utf8(umount.stderr).unwrap();
    assert!(!umount.status.success() && said.contains("was a dead mount"), "{said}");
    assert!(!is_mounted(mount.root()));
    mount.mount(&bucket, &[]);
    assert_eq!(sh(mount.root(), "cat d/closed synced; wc -l < d/more"), "closed\nsynced100000\n");
}

#[test]
fn a_mount_over_a_dead_one() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = Background::at(&bucket, "mnt");
    mount.mount(&bucket, &[]);
    fs::write(mount.root().join("file"), "x").unwrap();
    kill(mount.pid());
    mount.wait_for_end(SOON);
    let again = output_of(&mut mount.command(&bucket, &[]), SOON);
    let said = String::from_utf8(again.stderr).unwrap();
    // Either it clears the dead mount away, or one line says what to do.
    if again.status.success() {
        assert_eq!(fs::read(mount.root().join("file")).unwrap(), b"x");
    } else {
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("umount"), "{said}");
    }
}

#[test]
fn ossfs_umount_tells_what_the_bucket_does_not_take() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = Background::at(&bucket, "mnt");
    mount.mount(&bucket, &["-odeadline=3"]);
    sh(mount.root(), "ls -l");
    bucket.conditions(r#"{"faults": [{"operations": ["PutObject"], "kind": "denied"}]}"#);
    fs::create_dir(mount.root().join("refused")).unwrap();
    let umount = output_of(Command::new(OSSFS).args(["umount", "--timeout", "3"]).arg(mount.root()), SOON * 2);
    let said = String::from_utf8(umount.stderr).unwrap();
    assert!(!umount.status.success(), "{said}");
    assert!(said.contains("refused") && said.contains("not in the bucket"), "{said}");
    // It goes on in the background, and gets there once it may.
    bucket.calm();
    mount.wait_for_end(SOON * 4);
    assert_eq!(bucket.keys(), ["refused/"]);
}

#[test]
fn names_survive_a_killed_daemon() {
    let Some(bucket) = Bucket::start() else { return };
    for number in 0..300 {
        bucket.put(&format!("old/{}/{number}", number % 3), "x");
    }
    let mount = Background::at(&bucket, "mnt");
    mount.mount(&bucket, &[]);
    sh(mount.root(), "echo closed > file; ls -lR > /dev/null");
    bucket.conditions(r#"{"latency_ms": 50}"#);
    sh(mount.root(), "mv old new; mv file moved; rm new/0/0");
    kill(mount.pid());
    mount.wait_for_end(SOON);
    let _ = output_of(Command::new(OSSFS).arg("umount").arg(mount.root()), SOON);
    mount.mount(&bucket, &[]);
    assert_eq!(sh(mount.root(), "ls; cat moved; find new -type f | wc -l"), "moved\nnew\nclosed\n299\n");
    bucket.calm();
    let umount = output_of(Command::new(OSSFS).arg("umount").arg(mount.root()), SOON * 6);
    assert!(umount.status.success(), "{}", String::from_utf8_lossy(&umount.stderr));
    let keys = bucket.keys();
    assert_eq!(keys.iter().filter(|key| key.starts_with("new/") && !key.ends_with('/')).count(), 299);
    assert!(keys.iter().all(|key| key.starts_with("new/") || key == "moved"), "{keys:?}");
}

#[test]
fn a_file_that_was_cut_stays_cut() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = Background::at(&bucket, "mnt");
    mount.mount(&bucket, &["-odeadline=3"]);
    sh(mount.root(), "for name in opened cut longer; do echo content > $name; done");
    bucket.conditions(r#"{"faults": [{"operations": ["*"], "kind": "error-503"}]}"#);
    // `close` says that the bucket has not followed.
    sh(mount.root(), ": > opened; truncate -s 4 cut || true; truncate -s 10 longer || true");
    kill(mount.pid());
    mount.wait_for_end(SOON);
    bucket.calm();
    let _ = output_of(Command::new(OSSFS).arg("umount").arg(mount.root()), SOON);
    mount.mount(&bucket, &[]);
    let read = |name: &str| fs::read(mount.root().join(name)).unwrap();
    assert_eq!((read("opened"), read("cut"), read("longer")), (b"".into(), b"cont".into(), b"content\n\0\0".into()));
}
