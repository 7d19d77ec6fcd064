//! A bucket that vanishes, and credentials that expire, while something is not uploaded: nothing is lost.

use crate::bucket::Bucket;
use crate::mounted::{OSSFS, SOON};
use crate::shell::{output_of, sh};
use ossfs_sandbox::SandboxConfig;
use std::fs::{self, File};
use std::io::Write;
use std::process::Command;

/// Something is written while the endpoint is like this, and uploaded when it is as before.
fn kept_while(adjust: impl Fn(&mut SandboxConfig)) {
    let Some(mut bucket) = Bucket::start() else { return };
    let mount = bucket.mount_with(&["-odeadline=3"]);
    sh(mount.root(), "ls -l");
    let mut file = File::create(mount.path("kept")).unwrap();
    file.write_all(b"kept").unwrap();
    bucket.replace_endpoint(adjust);
    file.sync_all().unwrap_err();
    assert_eq!(fs::read(mount.path("kept")).unwrap(), b"kept");
    let sync = output_of(Command::new(OSSFS).args(["sync", "--timeout", "3"]).arg(mount.root()), SOON * 2);
    let said = String::from_utf8_lossy(&sync.stderr).into_owned();
    assert!(!sync.status.success() && said.contains("kept: "), "{said}");
    drop(file);
    bucket.replace_endpoint(|_| {});
    mount.umount();
    assert_eq!(bucket.get("kept"), b"kept");
}

#[test]
fn what_is_not_uploaded_is_kept_while_the_bucket_is_gone() {
    kept_while(|config| config.buckets.clear());
}

#[test]
fn what_is_not_uploaded_is_kept_while_the_key_is_no_good() {
    kept_while(|config| config.access_key_id = "another".to_owned());
}
