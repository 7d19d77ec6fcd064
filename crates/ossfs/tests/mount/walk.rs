//! The walk of an ossfs user: mounting, looking around, unmounting, again, and everything that ends a daemon.

use crate::bucket::{BUCKET, Bucket, directory};
use crate::mounted::{Background, Mounted, OSSFS, SOON, fusermount, is_mounted, mount_line};
use crate::shell::{lives, output_of, run, sh, sh_within, signal, skip, status_of, wait_until};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_mount_in_the_background() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = Background::at(&bucket, "mnt");
    bucket.put("seen.txt", "from the API");
    assert_eq!(mount.mount(&bucket, &[]), "");
    // It answers at once.
    assert_eq!(fs::read(mount.root().join("seen.txt")).unwrap(), b"from the API");
    assert_eq!(mount_line(mount.root()).unwrap(), ("fuse.ossfs".to_owned(), "ossfs".to_owned()));
    let df = sh(mount.root(), "df -h .");
    assert!(df.lines().nth(1).unwrap().starts_with("ossfs"), "{df}");
    assert!(df.contains("256T"), "{df}");
    let inodes = sh(mount.root(), "df --output=itotal,iavail . | tail -1");
    let numbers: Vec<u64> = inodes.split_whitespace().map(|number| number.parse().unwrap()).collect();
    assert!(numbers[0] > 1_000_000 && numbers[1] > 1_000_000 && numbers[1] <= numbers[0], "{inodes}");
    fs::write(mount.root().join("new.txt"), "from the mount").unwrap();
    fusermount(mount.root());
    assert!(!is_mounted(mount.root()));
    mount.wait_for_end(SOON);
    assert_eq!(bucket.get("new.txt"), b"from the mount");
}

#[test]
fn a_second_mount_at_the_same_place_is_refused() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = Background::at(&bucket, "mnt");
    mount.mount(&bucket, &[]);
    let second = output_of(&mut mount.command(&bucket, &[]), SOON);
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && said.lines().count() == 1, "{said}");
    assert!(said.contains("is already mounted") && said.contains("ossfs umount"), "{said}");
    let other = output_of(
        Command::new(OSSFS)
            .env("STATE_DIRECTORY", bucket.state())
            .arg("other-bucket")
            .arg(mount.root())
            .args(bucket.options()),
        SOON,
    );
    let said = String::from_utf8(other.stderr).unwrap();
    assert!(!other.status.success() && said.lines().count() == 1, "{said}");
    assert!(said.contains("already mounted"), "{said}");
    let pid = mount.pid();
    assert_eq!(fs::read_dir(mount.root()).unwrap().count(), 0, "the first one goes on");
    // Two mounts of one bucket at two places are two mounts.
    let elsewhere = Background::at(&bucket, "elsewhere");
    elsewhere.mount(&bucket, &[]);
    assert_ne!(elsewhere.pid(), pid);
}

#[test]
fn ossfs_umount_waits_until_everything_is_in_the_bucket() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = Background::at(&bucket, "mnt");
    mount.mount(&bucket, &[]);
    bucket.conditions(r#"{"latency_ms": 300}"#);
    sh(mount.root(), "mkdir d; for i in 1 2 3 4 5; do : > d/empty$i; done; mv d e; chmod 600 e/empty1");
    let pid = mount.pid();
    run(Command::new(OSSFS).arg("umount").arg(mount.root()), Duration::from_secs(60));
    assert!(!is_mounted(mount.root()));
    wait_until("the end of the daemon", Duration::from_secs(1), || !lives(pid));
    bucket.calm();
    assert_eq!(bucket.keys().len(), 6, "{:?}", bucket.keys());
    assert!(bucket.keys().iter().all(|key| key.starts_with("e/")));
    // Nothing is there to unmount any more.
    let again = output_of(Command::new(OSSFS).arg("umount").arg(mount.root()), SOON);
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(!again.status.success() && said.contains("nothing is mounted at"), "{said}");
}

#[test]
fn ossfs_umount_refuses_while_the_mount_is_in_use() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    let file = fs::File::create(mount.path("open")).unwrap();
    let busy = mount.try_umount();
    let said = String::from_utf8(busy.stderr).unwrap();
    assert!(!busy.status.success() && said.contains("is in use"), "{said}");
    drop(file);
    fs::write(mount.path("goes-on"), "x").unwrap();
    mount.umount();
    assert_eq!(bucket.keys(), ["goes-on", "open"]);
}

#[test]
fn a_new_mount_waits_for_the_daemon_before_it_and_says_so() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = Background::at(&bucket, "mnt");
    mount.mount(&bucket, &["-oparallel_count=2"]);
    bucket.conditions(r#"{"latency_ms": 400}"#);
    sh(mount.root(), "for i in $(seq 16); do : > empty$i; done");
    let first = mount.pid();
    let begun = Instant::now();
    fusermount(mount.root());
    assert!(begun.elapsed() < Duration::from_secs(2), "fusermount -u returns at once");
    assert!(lives(first), "the daemon lives on");
    let said = mount.mount(&bucket, &[]);
    assert!(said.contains("waiting for the mount of my-bucket at"), "{said}");
    assert!(said.contains("still has to upload"), "{said}");
    assert!(!lives(first));
    bucket.calm();
    assert_eq!(fs::read_dir(mount.root()).unwrap().count(), 16);
}

#[test]
fn the_foreground_ends_with_its_unmount() {
    let Some(bucket) = Bucket::start() else { return };
    let mut mount = bucket.mount();
    fs::write(mount.path("file"), "x").unwrap();
    fusermount(mount.root());
    let status = status_of(mount.daemon(), SOON);
    assert!(status.success(), "{status}");
    assert_eq!(bucket.get("file"), b"x");
}

#[test]
fn sigterm_and_sigint_settle_and_unmount() {
    let Some(bucket) = Bucket::start() else { return };
    for (name, sent) in [("terminated", Signal::TERM), ("interrupted", Signal::INT)] {
        let mut mount = bucket.mount();
        sh(mount.root(), &format!(": > {name}; mkdir {name}-dir"));
        signal(mount.pid(), sent);
        let status = status_of(mount.daemon(), SOON);
        assert!(status.success(), "{status}: {}", mount.log());
        assert!(!is_mounted(mount.root()));
        assert!(bucket.keys().contains(&name.to_owned()) && bucket.keys().contains(&format!("{name}-dir/")));
    }
}

#[test]
fn sigterm_unmounts_also_while_files_are_open() {
    let Some(bucket) = Bucket::start() else { return };
    let mut mount = bucket.mount();
    let mut open = fs::File::create(mount.path("open")).unwrap();
    std::io::Write::write_all(&mut open, b"written, not closed").unwrap();
    signal(mount.pid(), Signal::TERM);
    let status = status_of(mount.daemon(), SOON * 3);
    assert!(!is_mounted(mount.root()));
    assert!(status.success(), "{status}: {}", mount.log());
    assert_eq!(bucket.get("open"), b"written, not closed");
}

#[test]
fn sigterm_gives_up_when_the_endpoint_is_dead() {
    let Some(mut bucket) = Bucket::start() else { return };
    let mut mount = bucket.mount_with(&["-odeadline=3", "-oretries=1"]);
    sh(mount.root(), "ls -l");
    bucket.kill_endpoint();
    fs::create_dir(mount.path("a")).unwrap();
    let begun = Instant::now();
    signal(mount.pid(), Signal::TERM);
    let status = status_of(mount.daemon(), Duration::from_secs(15));
    assert!(!status.success(), "{status}: {}", mount.log());
    assert!(begun.elapsed() >= Duration::from_secs(2), "it tries for a while: {:?}", begun.elapsed());
    assert!(!is_mounted(mount.root()));
    assert!(mount.log().contains("not in the bucket"), "{}", mount.log());
}

#[test]
fn a_second_signal_leaves_at_once() {
    let Some(mut bucket) = Bucket::start() else { return };
    let mut mount = bucket.mount_with(&["-odeadline=60"]);
    sh(mount.root(), "ls -l");
    bucket.kill_endpoint();
    fs::create_dir(mount.path("a")).unwrap();
    signal(mount.pid(), Signal::TERM);
    std::thread::sleep(Duration::from_secs(1));
    assert!(mount.daemon().try_wait().unwrap().is_none(), "one signal does not end it at once: {}", mount.log());
    signal(mount.pid(), Signal::TERM);
    let status = status_of(mount.daemon(), Duration::from_secs(3));
    assert!(!status.success(), "{status}");
    assert!(!is_mounted(mount.root()));
}

#[test]
fn a_prefix_is_a_bucket_of_its_own() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("team/a/inside.txt", "inside");
    bucket.put("outside.txt", "outside");
    let mount = Mounted::start(&bucket, &format!("{BUCKET}:/team/a"), "mnt", &[]);
    let names = sh(mount.root(), "ls -A");
    assert_eq!(names, "inside.txt\n");
    sh(mount.root(), "echo hello > new.txt; mkdir d; mv inside.txt d/; chmod 750 .");
    mount.umount();
    let keys = bucket.keys();
    assert!(
        ["outside.txt", "team/a/d/", "team/a/d/inside.txt", "team/a/new.txt"]
            .iter()
            .all(|key| keys.contains(&(*key).to_owned())),
        "{keys:?}"
    );
    assert!(!keys.contains(&"team/a/inside.txt".to_owned()));
}

#[test]
fn a_prefix_that_does_not_exist_is_an_empty_mount() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = Mounted::start(&bucket, &format!("{BUCKET}:/new/place/"), "mnt", &[]);
    assert_eq!(fs::read_dir(mount.root()).unwrap().count(), 0);
    fs::write(mount.path("first"), "1").unwrap();
    mount.umount();
    assert_eq!(bucket.get("new/place/first"), b"1");
}

#[test]
fn a_read_only_mount_refuses_every_change() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("file", "x");
    let mount = bucket.mount_with(&["-oro"]);
    assert_eq!(fs::read(mount.path("file")).unwrap(), b"x");
    let read_only = rustix::io::Errno::ROFS.raw_os_error();
    let changes = [
        fs::write(mount.path("new"), "x"),
        fs::write(mount.path("file"), "y"),
        fs::remove_file(mount.path("file")),
        fs::create_dir(mount.path("d")),
        fs::rename(mount.path("file"), mount.path("g")),
        fs::set_permissions(mount.path("file"), fs::Permissions::from_mode(0o600)),
    ];
    for change in changes {
        assert_eq!(change.unwrap_err().raw_os_error(), Some(read_only));
    }
}

#[test]
fn owners_and_modes_of_what_has_none() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("d/file", "x");
    let mount = bucket.mount_with(&["-ouid=1234,gid=2345,umask=027", "-oallow_other"]);
    let of = |name: &str| {
        let meta = fs::metadata(mount.path(name)).unwrap();
        (meta.uid(), meta.gid(), meta.mode() & 0o7777)
    };
    assert_eq!(of("d/file"), (1234, 2345, 0o750));
    assert_eq!(of("d"), (1234, 2345, 0o750));
}

/// In a mount namespace with a `/dev/fuse` for everybody, as machines of users have it.
#[test]
fn an_ordinary_user_mounts_with_a_credential_file_at_home() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("seen.txt", "from the API");
    let home = bucket.path("home");
    directory(&home);
    fs::set_permissions(bucket.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(bucket.path("keys"), home.join(".passwd-ossfs")).unwrap();
    fs::copy(OSSFS, bucket.path("ossfs")).unwrap();
    sh(&home, "mkdir mnt; chmod 600 .passwd-ossfs; chown -R 65534:65534 .");
    let as_user = "setpriv --reuid=65534 --regid=65534 --clear-groups env -i PATH=\"$PATH\" HOME=\"$PWD\"";
    let prepare = "mknod -m 666 fuse c 10 229; mount --bind fuse /dev/fuse";
    let enter = |line: &str| format!("unshare -m --propagation private sh -ec '{line}'");
    let may = enter(&format!("{prepare}; {as_user} sh -c \"exec 3<>/dev/fuse\""));
    let allowed = crate::shell::try_sh(&home, &may, SOON);
    let _ = fs::remove_file(home.join("fuse"));
    if !allowed.status.success() {
        skip(&format!("no /dev/fuse for others: {}", String::from_utf8_lossy(&allowed.stderr)));
        return;
    }
    let url = format!("http://{}", bucket.address());
    let script = format!(
        "{prepare}; {as_user} ../ossfs {BUCKET} mnt -ourl={url} -oregion=cn-hangzhou; \
         grep -q \"$PWD/mnt .* fuse.ossfs ossfs \" /proc/self/mountinfo; \
         {as_user} sh -ec \"cat mnt/seen.txt; echo mine > mnt/mine.txt; df -h mnt\"; \
         {as_user} ../ossfs umount mnt; ! grep -q \"$PWD/mnt \" /proc/self/mountinfo"
    );
    let printed = sh_within(&home, &enter(&script), SOON * 3);
    assert!(printed.contains("from the API") && printed.contains("256T"), "{printed}");
    assert_eq!(bucket.get("mine.txt"), b"mine\n");
    assert_eq!(crate::bucket::entry(&bucket.head("mine.txt"), "uid"), Some("65534"));
}

/// `ossfs sandbox` as a process of its own, and `ossfs mount` on it.
#[test]
fn the_programs_own_sandbox() {
    let Some(bucket) = Bucket::start() else { return };
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut sandbox = Command::new(OSSFS)
        .args(["sandbox", "--bucket", BUCKET, "--listen", &listen.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the sandbox", SOON, || std::net::TcpStream::connect(listen).is_ok());
    let mount = Background::at(&bucket, "mnt");
    let keys = format!("-opasswd_file={}", bucket.path("keys").display());
    let url = format!("-ourl=http://{listen}");
    run(
        Command::new(OSSFS).env("STATE_DIRECTORY", bucket.state()).arg("mount").arg(BUCKET).arg(mount.root()).args([
            &url,
            &keys,
            "-oregion=cn-hangzhou",
        ]),
        SOON,
    );
    fs::write(mount.root().join("f"), "x").unwrap();
    run(Command::new(OSSFS).arg("umount").arg(mount.root()), SOON);
    let _ = sandbox.kill();
    let _ = sandbox.wait();
}
