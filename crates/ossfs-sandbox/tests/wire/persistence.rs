//! `--data`: what survives, what is refused, and a full disk.

use crate::client::{Client, Sandbox, in_time, start};
use ossfs_sandbox::{DataError, SandboxConfig, StartError};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

async fn on(root: &Path) -> Sandbox {
    let data = root.to_owned();
    start(|config| config.data = Some(data)).await
}

fn files_below(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.insert(path);
            }
        }
    }
    found
}

#[test]
fn everything_survives_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    in_time(async {
        let sandbox = on(root.path()).await;
        let client = sandbox.client();
        client.ask("PUT", "/bkt/dir/a", &[("x-oss-meta-mode", "33188")], &body).await.ok();
        client.ask("PUT", "/bkt/copy", &[("x-oss-copy-source", "/bkt/dir/a")], b"").await.ok();
        client.ask("DELETE", "/bkt/dir/a", &[], b"").await.ok();
        client.ask("POST", "/bkt/log?append&position=0", &[], b"one").await.ok();
        client.ask("POST", "/bkt/log?append&position=3", &[], b"two").await.ok();
        client.ask("PUT", "/bkt/link?symlink", &[("x-oss-symlink-target", "copy")], b"").await.ok();
        client.put("/bkt/empty", b"").await.ok();
        client.ask("PUT", "/bkt?acl", &[("x-oss-acl", "public-read")], b"").await.ok();
        client.put("/other-bucket", b"").await.ok();
        let id = client.ask("POST", "/bkt/up?uploads", &[], b"").await.ok().element("UploadId");
        client.put(&format!("/bkt/up?partNumber=1&uploadId={id}"), b"part").await.ok();
        let etag = client.get("/bkt/copy").await.header("etag").to_owned();
        sandbox.running.shutdown().await;

        let sandbox = on(root.path()).await;
        let client = sandbox.client();
        let got = client.get("/bkt/link").await.ok();
        assert!(got.body == body && got.header("etag") == etag);
        assert_eq!(client.get("/bkt/copy").await.header("x-oss-meta-mode"), "33188");
        let ranged = client.ask("GET", "/bkt/copy", &[("range", "bytes=1048570-2097160")], b"").await.ok();
        assert!(ranged.body == body[1_048_570..=2_097_160]);
        client.get("/bkt/dir/a").await.refused(404, "NoSuchKey");
        assert_eq!(client.get("/bkt/log").await.text(), "onetwo");
        assert_eq!(client.get("/bkt?acl").await.element("Grant"), "public-read");
        client.get("/other-bucket").await.ok();
        client.ask("POST", &format!("/bkt/up?uploadId={id}"), &[("x-oss-complete-all", "yes")], b"").await.ok();
        assert_eq!(client.get("/bkt/up").await.text(), "part");
        for key in ["copy", "log", "link", "up", "empty"] {
            client.ask("DELETE", &format!("/bkt/{key}"), &[], b"").await.ok();
        }
        assert_eq!(files_below(&root.path().join("blobs")), BTreeSet::new());
        client.ask("DELETE", "/bkt", &[], b"").await.ok();
        sandbox.running.shutdown().await;
        assert!(!root.path().join("buckets/bkt").exists());
    });
}

#[test]
fn keys_reach_nothing_outside() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    in_time(async {
        let sandbox = on(&data).await;
        let client = sandbox.client();
        for key in ["..", "../../outside", "a/../../../b", ".", "con%00trol"] {
            client.put(&format!("/bkt/{key}"), b"x").await.ok();
            assert_eq!(client.get(&format!("/bkt/{key}")).await.body, b"x");
        }
        sandbox.running.shutdown().await;
        assert!(files_below(root.path()).iter().all(|path| path.starts_with(&data)));
        let sandbox = on(&data).await;
        assert_eq!(sandbox.client().get("/bkt/../../outside").await.body, b"x");
        sandbox.running.shutdown().await;
    });
}

#[test]
fn a_second_process_and_a_newer_format_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let config = || SandboxConfig { data: Some(root.path().to_owned()), ..SandboxConfig::default() };
    in_time(async {
        let sandbox = on(root.path()).await;
        let refused = config().start().await.unwrap_err();
        assert!(matches!(refused, StartError::Data(DataError::InUse(_))), "{refused}");
        sandbox.running.shutdown().await;
        std::fs::write(root.path().join("format"), "2\n").unwrap();
        let refused = config().start().await.unwrap_err();
        assert!(matches!(refused, StartError::Data(DataError::Format { .. })), "{refused}");
        assert!(refused.to_string().contains("newer"), "{refused}");
    });
}

#[test]
fn what_a_killed_process_leaves_is_swept_and_damage_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    in_time(async {
        let sandbox = on(root.path()).await;
        let client = sandbox.client();
        client.put("/bkt/a", b"whole").await.ok();
        client.put("/bkt/b", b"damaged").await.ok();
        sandbox.running.shutdown().await;
        let blobs = root.path().join("blobs");
        std::fs::create_dir_all(blobs.join("ff")).unwrap();
        std::fs::write(blobs.join("ff").join("00000000000fffff"), b"orphan").unwrap();
        let before = files_below(&blobs).len();
        let sandbox = on(root.path()).await;
        assert_eq!(files_below(&blobs).len(), before - 1);
        sandbox.running.shutdown().await;

        let records = files_below(&root.path().join("buckets/bkt/objects"));
        let damaged = records.iter().find(|path| std::fs::read_to_string(path).unwrap().contains("\"b\"")).unwrap();
        std::fs::write(damaged, b"{").unwrap();
        let sandbox = on(root.path()).await;
        let client = sandbox.client();
        assert_eq!(client.get("/bkt/a").await.body, b"whole");
        client.get("/bkt/b").await.refused(404, "NoSuchKey");
        assert_eq!(files_below(&blobs).len(), before - 1, "the damaged record's blob is still there");
        sandbox.running.shutdown().await;
    });
}

/// A file system of 4 MB, where the test may make one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(dir.path()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_an_error_to_the_uploader_and_to_nobody_else() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: needs to mount a small file system");
        return;
    };
    in_time(async {
        let sandbox = on(disk.0.path()).await;
        let client = sandbox.client();
        client.put("/bkt/earlier", &[1; 1 << 20]).await.ok();
        let upload = async |client: &Client, size: usize| client.put("/bkt/k", &vec![2; size]).await;
        upload(&client, 6 << 20).await.refused(500, "InternalError");
        client.get("/bkt/k").await.refused(404, "NoSuchKey");
        // Until nothing fits any more, not even a record.
        for number in 0.. {
            if client.put(&format!("/bkt/{number}"), &[3; 10_000]).await.status != 200 {
                break;
            }
        }
        client.put("/bkt/earlier", &[4; 1 << 20]).await.refused(500, "InternalError");
        assert_eq!(client.get("/bkt/earlier").await.body, [1; 1 << 20]);
        client.ask("DELETE", "/bkt/earlier", &[], b"").await.ok();
        upload(&client, 500_000).await.ok();
        sandbox.running.shutdown().await;
        let sandbox = on(disk.0.path()).await;
        assert_eq!(sandbox.client().get("/bkt/k").await.body, [2; 500_000]);
        assert_eq!(sandbox.client().get("/bkt/0").await.body, [3; 10_000]);
        sandbox.running.shutdown().await;
    });
}
