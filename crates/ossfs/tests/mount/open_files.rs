//! Files that are open while something happens to them: moved, removed, appended to, read by many.

use crate::bucket::Bucket;
use crate::shell::{plain_or_long, sh, wait_until};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::time::Duration;

#[test]
fn files_and_directories_move_while_open() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("d/read", "from the bucket");
    let mount = bucket.mount();
    let mut written = File::create(mount.path("d/written")).unwrap();
    written.write_all(b"before ").unwrap();
    let mut read = File::open(mount.path("d/read")).unwrap();
    fs::rename(mount.path("d/written"), mount.path("d/renamed")).unwrap();
    fs::rename(mount.path("d"), mount.path("e")).unwrap();
    written.write_all(b"after").unwrap();
    written.sync_all().unwrap();
    assert_eq!(bucket.get("e/renamed"), b"before after");
    let mut text = String::new();
    read.read_to_string(&mut text).unwrap();
    assert_eq!(text, "from the bucket");
    written.write_all(b" and on").unwrap();
    drop((written, read));
    assert_eq!(sh(mount.root(), "cat e/renamed e/read"), "before after and onfrom the bucket");
    mount.umount();
    let keys: Vec<_> = bucket.keys().into_iter().filter(|key| !key.ends_with('/')).collect();
    assert_eq!(keys, ["e/read", "e/renamed"]);
    assert_eq!(bucket.get("e/renamed"), b"before after and on");
}

#[test]
fn a_removed_file_stays_until_it_is_closed() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("old", vec![b'x'; 2 << 20]);
    let mount = bucket.mount();
    let mut old = File::open(mount.path("old")).unwrap();
    let mut new = File::options().create(true).truncate(true).read(true).write(true).open(mount.path("new")).unwrap();
    new.write_all(b"bytes").unwrap();
    fs::remove_file(mount.path("old")).unwrap();
    fs::remove_file(mount.path("new")).unwrap();
    assert_eq!(sh(mount.root(), "ls -A"), "");
    std::thread::sleep(Duration::from_secs(1));
    let mut bytes = Vec::new();
    old.read_to_end(&mut bytes).unwrap();
    assert!(bytes.len() == 2 << 20 && bytes.iter().all(|byte| *byte == b'x'));
    new.write_all(b" more").unwrap();
    new.seek(SeekFrom::Start(0)).unwrap();
    let mut text = String::new();
    new.read_to_string(&mut text).unwrap();
    assert_eq!(text, "bytes more");
    // A new file under the same name is another file.
    fs::write(mount.path("new"), "another").unwrap();
    new.write_all(b"!").unwrap();
    drop((old, new));
    mount.umount();
    assert_eq!(bucket.keys(), ["new"]);
    assert_eq!(bucket.get("new"), b"another");
}

#[test]
fn a_file_replaced_while_open_keeps_its_bytes() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("file", "the old bytes");
    let mount = bucket.mount();
    let mut open = File::open(mount.path("file")).unwrap();
    sh(mount.root(), "echo new > temporary; mv temporary file; cat file");
    std::thread::sleep(Duration::from_secs(1));
    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert_eq!(text, "the old bytes");
    drop(open);
    mount.umount();
    assert_eq!(bucket.keys(), ["file"]);
    assert_eq!(bucket.get("file"), b"new\n");
}

#[test]
fn a_log_is_read_while_it_is_appended_to() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    let mut log = File::options().create(true).append(true).open(mount.path("log")).unwrap();
    let mut reader = File::open(mount.path("log")).unwrap();
    let (mut wanted, mut seen) = (Vec::<u8>::new(), Vec::<u8>::new());
    for number in 0..200 {
        let line = format!("line {number}\n");
        log.write_all(line.as_bytes()).unwrap();
        wanted.extend(line.as_bytes());
        reader.read_to_end(&mut seen).unwrap();
        assert!(seen == wanted, "after line {number}: {} of {} bytes", seen.len(), wanted.len());
    }
    assert_eq!(fs::read(mount.path("log")).unwrap(), wanted);
    // A file that stays open is settled now and then.
    wait_until("the log in the bucket", Duration::from_secs(20), || bucket.keys().contains(&"log".to_owned()));
    wait_until("all of it", Duration::from_secs(20), || bucket.get("log") == wanted);
    log.write_all(b"last\n").unwrap();
    drop(log);
    drop(reader);
    assert!(bucket.get("log").ends_with(b"last\n"));
    mount.umount();
}

#[test]
fn a_log_that_was_there_is_appended_to() {
    let Some(bucket) = Bucket::start() else { return };
    let old = vec![b'x'; 5 << 20];
    bucket.put("log", old.clone());
    let mount = bucket.mount();
    sh(mount.root(), "for i in 1 2 3; do echo $i >> log; done");
    mount.umount();
    let bytes = bucket.get("log");
    assert!(bytes[..5 << 20] == old && &bytes[5 << 20..] == b"1\n2\n3\n");
}

#[test]
fn eight_readers_of_one_large_file() {
    let Some(bucket) = Bucket::start() else { return };
    let numbers: u64 = plain_or_long(4 << 20, 32 << 20);
    let bytes: Vec<u8> =
        (0..numbers).flat_map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes()).collect();
    bucket.put("large", bytes.clone());
    let mount = bucket.mount();
    std::thread::scope(|scope| {
        for reader in 0..8_u64 {
            let (bytes, path) = (&bytes, mount.path("large"));
            scope.spawn(move || {
                let file = File::open(path).unwrap();
                let len = bytes.len() as u64;
                let mut buffer = vec![0; 100_000 + reader as usize];
                // Four from the beginning to the end, four here and there.
                let mut at = len / 8 * reader;
                for step in 0..u64::MAX {
                    let read = file.read_at(&mut buffer, at).unwrap();
                    assert!(buffer[..read] == bytes[at as usize..at as usize + read], "reader {reader} at {at}");
                    if reader < 4 {
                        at += read as u64;
                        if read == 0 {
                            break;
                        }
                    } else {
                        at = (at + 7_654_321 * (reader + 1)) % len;
                        if step == 100 {
                            break;
                        }
                    }
                }
            });
        }
    });
}

#[test]
fn writes_here_and_there_in_an_object() {
    let Some(bucket) = Bucket::start() else { return };
    let mut wanted: Vec<u8> = (0..20_u32 << 20).map(|number| (number / 4096 % 253) as u8).collect();
    bucket.put("object", wanted.clone());
    let mount = bucket.mount();
    let file = File::options().read(true).write(true).open(mount.path("object")).unwrap();
    for step in 0..40_usize {
        let (at, len) = (step * 7_654_321 % (20 << 20), 1 + step * 977);
        let len = len.min(wanted.len() - at);
        wanted[at..at + len].fill(step as u8);
        file.write_all_at(&vec![step as u8; len], at as u64).unwrap();
        let mut back = vec![0; len];
        file.read_exact_at(&mut back, at as u64).unwrap();
        assert!(back == wanted[at..at + len], "step {step}");
    }
    file.sync_all().unwrap();
    assert!(bucket.get("object") == wanted, "after fsync");
    wanted.truncate(11_111_111);
    file.set_len(11_111_111).unwrap();
    drop(file);
    mount.umount();
    assert!(bucket.get("object") == wanted, "after the truncation");
}
