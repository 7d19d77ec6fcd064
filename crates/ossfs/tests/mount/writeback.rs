//! What was closed is kept on the local disk until the bucket has it.

use crate::bucket::Bucket;
use crate::mounted::{Background, OSSFS, SOON};
use crate::shell::{kill, output_of, sh};
use std::fs;
use std::process::Command;

/// Nothing is answered any more.
const DOWN: &str = r#"{"faults": [{"operations": ["*"], "kind": "reset"}]}"#;

/// The files of a staging directory, and below.
fn staged(bucket: &Bucket) -> Vec<String> {
    let files = sh(&bucket.state(), "find . -name 'segment-*'");
    files.lines().map(str::to_owned).collect()
}

#[test]
fn what_was_closed_with_writeback_survives_a_killed_daemon() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = Background::at(&bucket, "mnt");
    mount.mount(&bucket, &["-owriteback"]);
    bucket.put("old", "old");
    sh(mount.root(), "mkdir d; ls d; cat old");
    bucket.conditions(DOWN);
    for number in 0..200 {
        fs::write(mount.root().join(format!("d/{number}")), format!("file {number}\n").repeat(number)).unwrap();
    }
    sh(mount.root(), "echo new > d/tmp; mv d/tmp old");
    kill(mount.pid());
    mount.wait_for_end(SOON);
    assert!(!staged(&bucket).is_empty());
    let _ = output_of(Command::new(OSSFS).arg("umount").arg(mount.root()), SOON);
    bucket.calm();
    assert_eq!(bucket.get("old"), b"old");
    mount.mount(&bucket, &["-owriteback"]);
    for number in 0..200 {
        let read = fs::read_to_string(mount.root().join(format!("d/{number}"))).unwrap();
        assert!(read == format!("file {number}\n").repeat(number), "{number}: {read:?}");
    }
    assert_eq!(sh(mount.root(), "cat old; ls d | wc -l"), "new\n200\n");
    let umount = output_of(Command::new(OSSFS).arg("umount").arg(mount.root()), SOON * 6);
    assert!(umount.status.success(), "{}", String::from_utf8_lossy(&umount.stderr));
    for number in 0..200 {
        assert!(bucket.get(&format!("d/{number}")) == format!("file {number}\n").repeat(number).as_bytes(), "{number}");
    }
    assert_eq!(bucket.get("old"), b"new\n");
}

#[test]
fn what_could_not_be_uploaded_is_there_for_the_next_mount() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = Background::at(&bucket, "mnt");
    let staging = format!("-ostaging_dir={}", bucket.path("elsewhere").display());
    mount.mount(&bucket, &["-odeadline=2", "-oretries=0", &staging]);
    sh(mount.root(), "mkdir d; ls d");
    bucket.conditions(DOWN);
    let failed = sh(mount.root(), "seq 20000 > d/f || echo failed");
    assert_eq!(failed, "failed\n");
    let open = fs::File::create(mount.root().join("d/open")).unwrap();
    std::io::Write::write_all(&mut &open, b"never closed").unwrap();
    sh(mount.root(), &format!("kill -TERM {}", mount.pid()));
    mount.wait_for_end(SOON * 2);
    drop(open);
    assert!(staged(&bucket).is_empty(), "they are elsewhere");
    bucket.calm();
    let elsewhere = mount.command(&bucket, &[]).output().unwrap();
    let said = String::from_utf8_lossy(&elsewhere.stderr).into_owned();
    assert!(!elsewhere.status.success() && said.contains("staging_dir"), "{said}");
    mount.mount(&bucket, &[&staging]);
    assert_eq!(sh(mount.root(), "wc -l < d/f; cat d/open"), "20000\nnever closed");
    let umount = output_of(Command::new(OSSFS).arg("umount").arg(mount.root()), SOON * 6);
    assert!(umount.status.success(), "{}", String::from_utf8_lossy(&umount.stderr));
    assert_eq!(bucket.get("d/open"), b"never closed");
    assert_eq!(bucket.get("d/f").iter().filter(|byte| **byte == b'\n').count(), 20_000);
}

#[test]
fn a_place_where_nothing_can_be_staged_is_told() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = Background::at(&bucket, "mnt");
    fs::write(bucket.path("file"), "mine").unwrap();
    let file = format!("-ostaging_dir={}", bucket.path("file").display());
    let no_room = "-oensure_diskfree=1000000000";
    for (options, says) in [
        (vec!["-owriteback", &file], "not a directory"),
        (vec!["-ostaging_dir=/proc/ossfs"], "/proc/ossfs"),
        (vec!["-owriteback", no_room], "make room"),
    ] {
        let output = output_of(&mut mount.command(&bucket, &options), SOON * 2);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.lines().count() == 1 && said.contains(says), "{options:?}: {said}");
    }
    assert_eq!(fs::read(bucket.path("file")).unwrap(), b"mine");
    // Where nothing is to be staged but in need, that is no reason not to mount.
    mount.mount(&bucket, &[no_room]);
    sh(mount.root(), "echo 1 > f");
    assert_eq!(bucket.get("f"), b"1\n");
}

#[test]
fn what_was_uploaded_of_a_large_file_before_a_kill_is_not_uploaded_again() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = Background::at(&bucket, "mnt");
    sh(&bucket.path(""), "head -c 60000000 /dev/urandom > source");
    for (options, closed) in [(vec![], false), (vec!["-owriteback"], true)] {
        mount.mount(&bucket, &options);
        bucket.conditions(r#"{"faults": [{"operations": ["CompleteMultipartUpload"], "kind": "denied"}]}"#);
        let copied = sh(&bucket.path(""), "dd if=source of=mnt/large bs=1M status=none 2>&1 || echo failed");
        assert_eq!(copied.is_empty(), closed, "{copied}");
        kill(mount.pid());
        mount.wait_for_end(SOON);
        let _ = output_of(Command::new(OSSFS).arg("umount").arg(mount.root()), SOON);
        assert_eq!((bucket.uploads().len(), bucket.keys().len()), (1, 0));
        bucket.calm();
        let before = bucket.traffic().0;
        mount.mount(&bucket, &options);
        sh(&bucket.path(""), "cmp source mnt/large");
        let sent = bucket.traffic().0 - before;
        // With `writeback` no part need have arrived when the file was closed.
        assert!(closed || sent < 1 << 20, "{sent} bytes were sent again");
        assert!(sent < 64 << 20, "{sent} bytes were sent again");
        sh(mount.root(), "rm large");
        let umount = output_of(Command::new(OSSFS).arg("umount").arg(mount.root()), SOON * 6);
        assert!(umount.status.success(), "{}", String::from_utf8_lossy(&umount.stderr));
        assert_eq!((bucket.uploads().len(), bucket.keys().len()), (0, 0));
    }
}
