//! What the API puts is read in the mount, and what the mount writes is read by the API: content, metadata, directories,
//! symlinks.

use crate::bucket::{Bucket, entry, metadata};
use crate::shell::{sh, wait_until};
use ossfs_store::PutOptions;
use ossfs_types::Crc64;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::Duration;

/// 3 MiB that are not all the same.
fn large() -> Vec<u8> {
    (0..3_u32 << 18).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

#[test]
fn what_the_api_puts_is_read_in_the_mount() {
    let Some(bucket) = Bucket::start() else { return };
    let large = large();
    bucket.put("empty", "");
    bucket.put("deep/er/small.txt", "hello");
    bucket.put("large.bin", large.clone());
    let mode = [("uid", "12"), ("gid", "34"), ("mode", "33152"), ("mtime", "1700000000.123456789")];
    bucket.put_with("described", "x", None, &mode);
    let mount = bucket.mount();
    assert_eq!(fs::read(mount.path("empty")).unwrap(), b"");
    assert_eq!(fs::read(mount.path("deep/er/small.txt")).unwrap(), b"hello");
    assert!(fs::read(mount.path("large.bin")).unwrap() == large);
    let meta = fs::metadata(mount.path("described")).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode()), (12, 34, 0o100_600));
    assert_eq!((meta.mtime(), meta.mtime_nsec()), (1_700_000_000, 123_456_789));
    assert_eq!(fs::metadata(mount.path("deep/er/small.txt")).unwrap().mode(), 0o100_640);
    assert_eq!(fs::metadata(mount.path("deep")).unwrap().mode(), 0o040_750);
    // A range in the middle.
    let middle = sh(mount.root(), "tail -c +1500001 large.bin | head -c 100000 | cksum");
    std::fs::write(bucket.path("middle"), &large[1_500_000..1_600_000]).unwrap();
    assert_eq!(middle, sh(&bucket.path(""), "cksum < middle"));
}

#[test]
fn what_the_mount_writes_is_read_by_the_api() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    let large = large();
    for (name, bytes) in [("empty.css", &b""[..]), ("page.html", b"<p>"), ("a.png", b"\x89PNG"), ("large.json", &large)]
    {
        fs::write(mount.path(name), bytes).unwrap();
        if bytes.is_empty() {
            // Nothing was written: close answers before the bucket follows.
            wait_until("the empty object is there", Duration::from_secs(20), || {
                bucket.keys().contains(&name.to_owned())
            });
        }
        let meta = bucket.head(name);
        assert_eq!(meta.size, bytes.len() as u64, "{name}: in the bucket at close");
        assert!(bucket.get(name) == bytes, "{name}");
        assert_eq!(meta.crc64, Some(Crc64::of(bytes)), "{name}");
    }
    fs::write(mount.path("noext"), "x").unwrap();
    let type_of = |name: &str| bucket.head(name).metadata.content_type.unwrap().to_str().unwrap().to_owned();
    assert_eq!(type_of("page.html"), "text/html");
    assert_eq!(type_of("a.png"), "image/png");
    assert_eq!(type_of("empty.css"), "text/css");
    assert_eq!(type_of("large.json"), "application/json");
    assert_eq!(type_of("noext"), "application/octet-stream");
}

#[test]
fn attributes_are_written_as_ossfs_1_writes_them() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    fs::write(mount.path("file"), "x").unwrap();
    sh(mount.root(), "chown 12:34 file; chmod 4751 file; touch -d @1600000000.5 file");
    sh(mount.root(), "mkdir dir; chmod 2770 dir; chown 7:8 dir; ln -s ../to/where link");
    mount.umount();
    let meta = bucket.head("file");
    let of = |name: &str| entry(&meta, name).unwrap_or_default().to_owned();
    assert_eq!((of("uid"), of("gid"), of("mode")), ("12".into(), "34".into(), (0o104_751).to_string()));
    assert_eq!(of("mtime"), "1600000000.500000000");
    assert!(of("ctime").parse::<f64>().unwrap() > 1.7e9 && of("atime").parse::<f64>().unwrap() > 1.5e9);
    let dir = bucket.head("dir/");
    assert_eq!(entry(&dir, "mode").unwrap(), (0o042_770).to_string());
    assert_eq!(entry(&dir, "uid").unwrap(), "7");
    assert_eq!(dir.metadata.content_type.unwrap(), "application/x-directory");
    assert_eq!((dir.size, bucket.get("link")), (0, b"../to/where".to_vec()));
    assert_eq!(entry(&bucket.head("link"), "mode").unwrap(), (0o120_777).to_string());
}

#[test]
fn directories_in_their_three_forms() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put_with("marked/", "", Some("application/x-directory"), &[("mode", "16832"), ("uid", "5")]);
    bucket.put("marked/file", "1");
    bucket.put("implied/file", "2");
    bucket.put("legacy_$folder$", "");
    bucket.put("legacy/file", "3");
    bucket.put("lonely_$folder$", "");
    let mount = bucket.mount();
    let names = sh(mount.root(), "ls -A1");
    let mut names: Vec<_> = names.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["implied", "legacy", "lonely", "marked"]);
    for name in names {
        assert!(fs::metadata(mount.path(name)).unwrap().is_dir(), "{name}");
    }
    let marked = fs::metadata(mount.path("marked")).unwrap();
    assert_eq!((marked.mode(), marked.uid()), (0o040_700, 5));
    for (name, bytes) in [("marked/file", "1"), ("implied/file", "2"), ("legacy/file", "3")] {
        assert_eq!(fs::read_to_string(mount.path(name)).unwrap(), bytes);
    }
    sh(mount.root(), "rm implied/file");
    assert!(fs::metadata(mount.path("implied")).unwrap().is_dir(), "it stays without children");
    for name in ["legacy/file", "marked/file"] {
        fs::remove_file(mount.path(name)).unwrap();
    }
    sh(mount.root(), "rmdir implied legacy lonely marked");
    mount.umount();
    assert_eq!(bucket.keys(), [""; 0]);
}

#[test]
fn symlinks_in_their_forms() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("target.txt", "the target");
    bucket.put_with("body", "target.txt", None, &[("mode", "41471")]);
    bucket.put_with("header", "", None, &[("mode", "41471"), ("symlink-target", "header:10:target.txt")]);
    bucket.put_symlink("native", "target.txt");
    bucket.put_symlink("d/native", "target.txt");
    let mount = bucket.mount();
    for name in ["body", "header", "native"] {
        assert!(fs::symlink_metadata(mount.path(name)).unwrap().is_symlink(), "{name}");
        assert_eq!(fs::read_link(mount.path(name)).unwrap().to_str(), Some("target.txt"), "{name}");
        assert_eq!(fs::read_to_string(mount.path(name)).unwrap(), "the target", "{name}");
    }
    // The target of a native one is a key, from the root of the bucket.
    assert_eq!(fs::read_to_string(mount.path("d/native")).unwrap(), "the target");
    symlink("目录 with ünïcode/%41", mount.path("new")).unwrap();
    sh(mount.root(), "mv body moved-body; mv native moved-native; mv header moved-header");
    mount.umount();
    let mount = bucket.mount();
    for name in ["moved-body", "moved-header", "moved-native"] {
        assert_eq!(fs::read_to_string(mount.path(name)).unwrap(), "the target", "{name}");
    }
    assert_eq!(fs::read_link(mount.path("new")).unwrap().to_str(), Some("目录 with ünïcode/%41"));
}

#[test]
fn what_others_put_into_metadata_survives_our_changes() {
    let Some(bucket) = Bucket::start() else { return };
    let mut theirs = metadata(Some("text/x-theirs"), &[("colour", "red"), ("xattr", "%7B%7D")]);
    theirs.cache_control = Some(http::HeaderValue::from_static("max-age=5"));
    theirs.content_disposition = Some(http::HeaderValue::from_static("attachment"));
    theirs.content_encoding = Some(http::HeaderValue::from_static("identity"));
    let options = PutOptions { metadata: theirs.clone(), ..PutOptions::default() };
    for name in ["chmodded", "overwritten", "appended", "moved", "moved-and-written", "dir/in-moved"] {
        bucket.put_as(name, "the bytes", &options);
    }
    let mount = bucket.mount();
    sh(mount.root(), "chmod 600 chmodded; echo new > overwritten; echo more >> appended; mv moved moved-to");
    sh(mount.root(), "mv moved-and-written m-w; echo new > m-w; mv dir dir2");
    mount.umount();
    for name in ["chmodded", "overwritten", "appended", "moved-to", "m-w", "dir2/in-moved"] {
        let kept = bucket.head(name).metadata;
        assert_eq!(kept.user.get("colour"), theirs.user.get("colour"), "{name}");
        assert_eq!(kept.user.get("xattr"), theirs.user.get("xattr"), "{name}");
        assert_eq!(kept.content_type, theirs.content_type, "{name}");
        assert_eq!(kept.cache_control, theirs.cache_control, "{name}");
        assert_eq!(kept.content_disposition, theirs.content_disposition, "{name}");
        assert_eq!(kept.content_encoding, theirs.content_encoding, "{name}");
    }
    assert_eq!(bucket.get("appended"), b"the bytesmore\n");
    assert_eq!(bucket.get("m-w"), b"new\n");
    assert_eq!(bucket.get("dir2/in-moved"), b"the bytes");
    assert_eq!(entry(&bucket.head("chmodded"), "mode").unwrap(), (0o100_600).to_string());
}

#[test]
fn what_others_change_is_seen_after_the_time_to_live() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("file", "one");
    let mount = bucket.mount_with(&["-ostat_cache_expire=1"]);
    assert_eq!(fs::read_to_string(mount.path("file")).unwrap(), "one");
    bucket.put("file", "another");
    bucket.put("new", "x");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(fs::read_to_string(mount.path("file")).unwrap(), "another");
    assert_eq!(sh(mount.root(), "ls"), "file\nnew\n");
    bucket.delete("file");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(sh(mount.root(), "ls"), "new\n");
    assert!(!mount.path("file").exists());
}

#[test]
fn special_files_of_others_are_shown() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put_with("fifo", "", None, &[("mode", "4480")]);
    let mount = bucket.mount();
    let meta = fs::symlink_metadata(mount.path("fifo")).unwrap();
    assert_eq!(meta.mode(), 0o010_600);
    fs::set_permissions(mount.path("fifo"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::rename(mount.path("fifo"), mount.path("moved")).unwrap();
    mount.umount();
    assert_eq!(entry(&bucket.head("moved"), "mode").unwrap(), (0o010_640).to_string());
}
