//! What goes wrong reaches the program that asked, with the errno that fits, and in time.

use crate::bucket::Bucket;
use crate::mounted::Mounted;
use crate::shell::{sh, status_of};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::IntoRawFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The deadline of the mounts here, and what a call may take with it: as long again, for what a call does in two steps.
const DEADLINE: &str = "-odeadline=3";
const WITHIN: Duration = Duration::from_secs(8);

fn assert_errno<T: std::fmt::Debug>(result: io::Result<T>, errno: Errno, what: &str) {
    let error = result.expect_err(what);
    assert_eq!(error.raw_os_error(), Some(errno.raw_os_error()), "{what}: {error}");
}

/// Closes a file, and says what came of it, which `File` keeps to itself.
#[allow(unsafe_code, reason = "the one way to learn what close returns")]
pub(crate) fn close(file: File) -> io::Result<()> {
    unsafe extern "C" {
        safe fn close(number: i32) -> i32;
    }
    // The number belongs to nobody any more: closing it takes nothing away.
    if close(file.into_raw_fd()) == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Uploads are refused for good: `close` and `fsync` say so, what was written stays, and goes up once that is allowed.
fn refused_uploads_fail(kind: &str, errno: Errno) {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    sh(mount.root(), "ls -l");
    let operations = r#"["PutObject", "InitiateMultipartUpload"]"#;
    bucket.conditions(&format!(r#"{{"faults": [{{"operations": {operations}, "kind": "{kind}"}}]}}"#));
    let mut file = File::create(mount.path("closed")).unwrap();
    file.write_all(b"kept").unwrap();
    assert_errno(close(file), errno, "close");
    let mut file = File::create(mount.path("synced")).unwrap();
    file.write_all(b"kept").unwrap();
    assert_errno(file.sync_all(), errno, "fsync");
    assert_errno(file.sync_all(), errno, "fsync again");
    // A command of the shell ends with an error, too.
    let copy = crate::shell::try_sh(mount.root(), "cp /etc/hostname copied", WITHIN);
    assert!(!copy.status.success(), "cp did not notice");
    assert_eq!(fs::read(mount.path("closed")).unwrap(), b"kept");
    bucket.calm();
    file.sync_all().unwrap();
    drop(file);
    mount.umount();
    assert_eq!((bucket.get("closed"), bucket.get("synced")), (b"kept".to_vec(), b"kept".to_vec()));
}

#[test]
fn a_denied_upload_fails_close_and_fsync() {
    refused_uploads_fail("denied", Errno::ACCESS);
}

#[test]
fn over_the_quota_close_and_fsync_say_so() {
    refused_uploads_fail("quota", Errno::DQUOT);
}

#[test]
fn a_dead_endpoint_fails_in_time() {
    let Some(mut bucket) = Bucket::start() else { return };
    bucket.put("file", "x");
    bucket.put("d/unseen", "x");
    let mount = bucket.mount_with(&[DEADLINE]);
    sh(mount.root(), "ls -l");
    let mut open = File::create(mount.path("open")).unwrap();
    open.write_all(b"bytes").unwrap();
    bucket.kill_endpoint();
    let timed = |what: &str, errno: Errno, act: &mut dyn FnMut() -> io::Result<()>| {
        let begun = Instant::now();
        assert_errno(act(), errno, what);
        assert!(begun.elapsed() < WITHIN, "{what}: {:?}", begun.elapsed());
    };
    timed("read", Errno::IO, &mut || fs::read(mount.path("file")).map(drop));
    timed("list", Errno::IO, &mut || fs::read_dir(mount.path("d")).and_then(|mut all| all.next().unwrap().map(drop)));
    timed("fsync", Errno::IO, &mut || open.sync_all());
    timed("stat", Errno::IO, &mut || fs::metadata(mount.path("d/unseen")).map(drop));
    timed("close", Errno::IO, &mut || {
        let mut file = File::create(mount.path("new"))?;
        file.write_all(b"bytes")?;
        close(file)
    });
}

/// A mount whose endpoint is silent on everything from now on.
fn stalled() -> Option<(Bucket, Mounted)> {
    let bucket = Bucket::start()?;
    for name in ["file", "d/unseen", "e/unseen"] {
        bucket.put(name, vec![b'x'; 300_000]);
    }
    let mount = bucket.mount_with(&[DEADLINE]);
    sh(mount.root(), "ls -l");
    bucket.conditions(r#"{"faults": [{"operations": ["*"], "kind": "stall"}]}"#);
    Some((bucket, mount))
}

#[test]
fn no_call_outlives_its_deadline() {
    let Some((_bucket, mount)) = stalled() else { return };
    let timed = |what: &str, act: &mut dyn FnMut() -> io::Result<()>| {
        let begun = Instant::now();
        assert_errno(act(), Errno::IO, what);
        assert!(begun.elapsed() < WITHIN, "{what}: {:?}", begun.elapsed());
    };
    timed("read", &mut || fs::read(mount.path("file")).map(drop));
    timed("stat", &mut || fs::metadata(mount.path("d/unseen")).map(drop));
    timed("list", &mut || fs::read_dir(mount.path("e")).and_then(|mut all| all.next().unwrap().map(drop)));
    let mut file = File::create(mount.path("new")).unwrap();
    file.write_all(b"bytes").unwrap();
    timed("fsync", &mut || file.sync_all());
    let mut file = Some(file);
    // Nothing was written since, but what was is still not there.
    let begun = Instant::now();
    let _ = close(file.take().unwrap());
    assert!(begun.elapsed() < WITHIN, "close: {:?}", begun.elapsed());
}

#[test]
fn a_killed_process_goes_in_time() {
    let Some((_bucket, mount)) = stalled() else { return };
    let mut cat = Command::new("cat").arg(mount.path("file")).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    cat.kill().unwrap();
    status_of(&mut cat, WITHIN);
}

/// Each request ends within the deadline; what they are parts of takes many times as long.
#[test]
fn a_slow_endpoint_is_no_dead_one() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("file", vec![b'x'; 8 << 20]);
    let mount = bucket.mount_with(&[DEADLINE, "-omultipart_size=1,parallel_count=2"]);
    bucket.conditions(r#"{"bandwidth": 1048576}"#);
    let begun = Instant::now();
    assert_eq!(fs::read(mount.path("file")).unwrap().len(), 8 << 20);
    println!("read after {:?}", begun.elapsed());
    let mut back = File::create(mount.path("back")).unwrap();
    back.write_all(&vec![b'y'; 16 << 20]).unwrap();
    println!("written after {:?}", begun.elapsed());
    close(back).unwrap();
    println!("closed after {:?}", begun.elapsed());
    bucket.calm();
    assert_eq!(bucket.head("back").size, 16 << 20);
}

#[test]
fn a_version_that_is_gone_is_stale() {
    let Some(bucket) = Bucket::start() else { return };
    let len = 24 << 20;
    bucket.put("overwritten", vec![1; len]);
    bucket.put("deleted", vec![1; len]);
    let mount = bucket.mount();
    for name in ["overwritten", "deleted"] {
        let mut file = File::open(mount.path(name)).unwrap();
        let mut first = vec![0; 4096];
        file.read_exact(&mut first).unwrap();
        if name == "deleted" {
            bucket.delete(name);
        } else {
            bucket.put(name, vec![2; len]);
        }
        let mut rest = Vec::new();
        let error = file.read_to_end(&mut rest).expect_err(name);
        assert_eq!(error.raw_os_error(), Some(Errno::STALE.raw_os_error()), "{name}: {error}");
        assert!(rest.iter().all(|byte| *byte == 1), "{name}: two versions are mixed");
    }
    // Opened anew it is the new version.
    let bytes = fs::read(mount.path("overwritten")).unwrap();
    assert!(bytes.len() == len && bytes.iter().all(|byte| *byte == 2));
}

#[test]
fn a_foreign_version_is_kept_as_a_conflict() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("file", "first");
    let mount = bucket.mount();
    assert_eq!(sh(mount.root(), "cat file"), "first");
    bucket.put("file", "theirs");
    fs::write(mount.path("file"), "ours").unwrap();
    mount.umount();
    assert_eq!(bucket.get("file"), b"ours");
    let keys = bucket.keys();
    let conflict = keys.iter().find(|key| key.starts_with("file.conflict-")).unwrap_or_else(|| panic!("{keys:?}"));
    assert_eq!(bucket.get(conflict), b"theirs");
}

#[test]
fn a_refused_deletion_shows_the_file_again() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("file", "x");
    let mount = bucket.mount();
    sh(mount.root(), "ls -l");
    let denied = r#"{"faults": [{"operations": ["DeleteObject", "DeleteMultipleObjects"], "kind": "denied"}]}"#;
    bucket.conditions(denied);
    let _ = fs::remove_file(mount.path("file"));
    crate::shell::wait_until("the file is shown again", Duration::from_secs(20), || mount.path("file").exists());
    assert_eq!(fs::read(mount.path("file")).unwrap(), b"x");
    assert_eq!(bucket.get("file"), b"x");
}
