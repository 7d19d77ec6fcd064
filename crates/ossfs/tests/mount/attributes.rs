//! Extended attributes, special files, privileges and locks, as programs meet them through the kernel.

use crate::bucket::{Bucket, entry};
use crate::mounted::SOON;
use crate::shell::{sh, try_sh};
use rustix::fs::{FlockOperation, XattrFlags};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

fn value(path: &Path, name: &str) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; 8192];
    let len = rustix::fs::getxattr(path, name, &mut value[..])?;
    value.truncate(len);
    Ok(value)
}

fn names(path: &Path) -> Vec<u8> {
    let mut names = vec![0; 8192];
    let len = rustix::fs::listxattr(path, &mut names[..]).unwrap();
    names.truncate(len);
    names
}

#[test]
fn extended_attributes_go_out_and_come_back() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put_with("theirs", "x", None, &[("xattr", "%7B%22user.a%22%3A%22MQ%3D%3D%22%7D")]);
    let mount = bucket.mount();
    fs::write(mount.path("file"), "bytes").unwrap();
    fs::create_dir(mount.path("dir")).unwrap();
    let (file, dir, theirs) = (mount.path("file"), mount.path("dir"), mount.path("theirs"));
    let set = |name, value: &[u8], flags| rustix::fs::setxattr(&file, name, value, flags);
    assert_eq!(value(&theirs, "user.a").unwrap(), b"1");
    set("user.colour", b"red", XattrFlags::CREATE).unwrap();
    assert_eq!(set("user.colour", b"blue", XattrFlags::CREATE), Err(Errno::EXIST));
    set("user.colour", b"blue", XattrFlags::REPLACE).unwrap();
    assert_eq!(set("user.none", b"", XattrFlags::REPLACE), Err(Errno::NODATA));
    set("user.binary", b"\0\xff", XattrFlags::empty()).unwrap();
    assert_eq!(set("user.large", &[b'x'; 7000], XattrFlags::empty()), Err(Errno::NOSPC));
    rustix::fs::setxattr(&dir, "user.dir", b"d", XattrFlags::empty()).unwrap();
    assert_eq!(names(&file), b"user.binary\0user.colour\0");
    assert_eq!(rustix::fs::getxattr_query(&file, "user.colour"), Ok(4));
    assert_eq!(rustix::fs::listxattr_query(&file), Ok(24));
    assert_eq!(rustix::fs::getxattr(&file, "user.colour", &mut [0_u8; 3][..]), Err(Errno::RANGE));
    assert_eq!(rustix::fs::listxattr(&file, &mut [0_u8; 3][..]), Err(Errno::RANGE));
    for name in ["security.x", "system.posix_acl_access", "trusted.x"] {
        assert_eq!(set(name, b"\x02\0\0\0", XattrFlags::empty()), Err(Errno::OPNOTSUPP), "{name}");
        assert_eq!(value(&file, name), Err(Errno::OPNOTSUPP), "{name}");
    }
    sh(mount.root(), "cp -a --preserve=xattr file copy; mv dir moved; ln -s file link; ls -l >/dev/null");
    let link = rustix::fs::lsetxattr(mount.path("link"), "user.a", b"", XattrFlags::empty());
    assert_eq!(link, Err(Errno::PERM));
    mount.umount();
    assert_eq!(entry(&bucket.head("copy"), "xattr"), entry(&bucket.head("file"), "xattr"));
    let mount = bucket.mount_elsewhere("fresh");
    assert_eq!(value(&mount.path("copy"), "user.binary").unwrap(), b"\0\xff");
    assert_eq!(value(&mount.path("moved"), "user.dir").unwrap(), b"d");
    rustix::fs::removexattr(mount.path("copy"), "user.colour").unwrap();
    assert_eq!(rustix::fs::removexattr(mount.path("copy"), "user.colour"), Err(Errno::NODATA));
    assert_eq!(names(&mount.path("copy")), b"user.binary\0");
    mount.umount();
}

#[test]
fn special_files_do_what_the_kernel_does_with_them() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount_with(&["-odev"]);
    sh(
        mount.root(),
        "mkfifo -m 600 pipe; mknod null c 1 3; mknod disk b 7 300; (echo hello > pipe &); cat pipe | grep -q hello",
    );
    let listener = UnixListener::bind(mount.path("socket")).unwrap();
    UnixStream::connect(mount.path("socket")).unwrap().write_all(b"hi").unwrap();
    let mut said = String::new();
    listener.accept().unwrap().0.read_to_string(&mut said).unwrap();
    assert_eq!(said, "hi");
    drop(listener);
    mount.umount();
    let mount = bucket.mount_elsewhere("fresh");
    let shown = sh(
        mount.root(),
        "stat -c '%n %F %a %t,%T' pipe null disk socket | sed 's/socket \\(.*\\) [0-9]* /socket \\1 /'",
    );
    assert_eq!(
        shown,
        "pipe fifo 600 0,0\nnull character special file 644 1,3\ndisk block special file 644 7,12c\nsocket socket 0,0\n"
    );
    mount.umount();
    assert_eq!(entry(&bucket.head("disk"), "rdev"), Some((7_u32 << 8 | 0x2c | 0x10_0000).to_string().as_str()));
}

#[test]
fn privileges_of_a_program_go_with_a_strangers_write() {
    let Some(bucket) = Bucket::start() else { return };
    fs::set_permissions(bucket.path("."), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mount = bucket.mount_with(&["-oallow_other,suid"]);
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups sh -ec";
    let mode = || sh(mount.root(), "stat -c %a f").trim_end().to_owned();
    let make = "echo 1 > f; chmod 6777 f; stat -c %a f";
    for change in
        ["echo 2 >> f", "echo 2 > f", "truncate -s 1 f", "dd of=f if=/dev/zero bs=4k count=1 oflag=direct 2>&1"]
    {
        assert_eq!(sh(mount.root(), make), "6777\n");
        sh(mount.root(), change);
        assert_eq!(mode(), "6777", "root may: {change}");
        sh(mount.root(), &format!("{nobody} '{change}'"));
        assert_eq!(mode(), "777", "{change}");
    }
    assert_eq!(sh(mount.root(), make), "6777\n");
    sh(mount.root(), "chown 1 f");
    assert_eq!(mode(), "777", "chown");
    // A directory's set-group-id is inherited; what is in a sticky one is its owner's to remove.
    sh(mount.root(), "mkdir -m 3777 d; chgrp 7 d; mkdir d/below; : > d/file");
    assert_eq!(sh(mount.root(), "stat -c '%g %a' d/below d/file"), "7 2755\n7 644\n");
    assert!(!try_sh(mount.root(), &format!("{nobody} 'rm -f d/file'"), SOON).status.success());
    sh(mount.root(), "umask 027; mkdir m; : > m/f");
    assert_eq!(sh(mount.root(), "stat -c %a m m/f"), "750\n640\n");
    mount.umount();
}

#[test]
fn a_program_that_runs_is_not_cut() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    sh(mount.root(), "cp \"$(command -v sleep)\" program; chmod 755 program");
    let size = fs::metadata(mount.path("program")).unwrap().size();
    let mut runs = std::process::Command::new(mount.path("program")).arg("20").spawn().unwrap();
    let cut = rustix::fs::open(
        mount.path("program"),
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::TRUNC,
        rustix::fs::Mode::empty(),
    );
    let lives = runs.try_wait().unwrap().is_none();
    runs.kill().unwrap();
    runs.wait().unwrap();
    assert_eq!(cut.map(drop), Err(Errno::TXTBSY));
    assert!(lives);
    assert_eq!(fs::metadata(mount.path("program")).unwrap().size(), size);
}

#[test]
fn locks_hold_among_the_processes_of_a_mount() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("file", "x");
    let mount = bucket.mount();
    let open = || File::options().read(true).write(true).open(mount.path("file")).unwrap();
    let file = open();
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    assert_eq!(rustix::fs::flock(open(), FlockOperation::NonBlockingLockShared), Err(Errno::WOULDBLOCK));
    assert!(!try_sh(mount.root(), "flock -n file true", SOON).status.success());
    drop(file);
    sh(mount.root(), "flock -n file true");
    // fcntl's are a process's, so another one has to try.
    let file = open();
    rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    let locks = "import fcntl; fcntl.lockf(open('file', 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)";
    if crate::shell::is_there("python3") {
        assert!(!try_sh(mount.root(), &format!("python3 -c \"{locks}\""), SOON).status.success());
        drop(file);
        sh(mount.root(), &format!("python3 -c \"{locks}\""));
    }
}
