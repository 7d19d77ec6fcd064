//! Calls that fewer programs make, and rights that the kernel checks.

use crate::bucket::Bucket;
use crate::mounted::SOON;
use crate::shell::{sh, try_sh, wait_until};
use rustix::fs::{CWD, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};

#[test]
fn creating_exclusively() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("there", "x");
    let mount = bucket.mount();
    let exclusively = |name: &str| File::create_new(mount.path(name)).map(drop);
    assert_eq!(exclusively("there").unwrap_err().raw_os_error(), Some(Errno::EXIST.raw_os_error()));
    exclusively("new").unwrap();
    assert_eq!(exclusively("new").unwrap_err().raw_os_error(), Some(Errno::EXIST.raw_os_error()));
    assert_eq!(fs::create_dir(mount.path("there")).unwrap_err().raw_os_error(), Some(Errno::EXIST.raw_os_error()));
    // Truncated when it is opened; read and written by the same number.
    fs::write(mount.path("there"), "longer than before").unwrap();
    let mut file = File::options().read(true).write(true).truncate(true).open(mount.path("there")).unwrap();
    file.write_all(b"abc").unwrap();
    file.seek(SeekFrom::Start(1)).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "bc");
    drop(file);
    assert_eq!(bucket.get("there"), b"abc");
}

#[test]
fn an_object_that_was_truncated_is_empty_in_the_bucket() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("file", vec![b'x'; 1 << 20]);
    let mount = bucket.mount();
    sh(mount.root(), ": > file; test ! -s file");
    // No byte was written, so close does not wait for the bucket.
    wait_until("the empty object is in the bucket", SOON, || bucket.head("file").size == 0);
    assert_eq!(fs::read(mount.path("file")).unwrap(), b"");
}

#[test]
fn what_is_not_there_says_so() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("file", "x");
    let mount = bucket.mount();
    let file = File::options().read(true).write(true).open(mount.path("file")).unwrap();
    let collapsed = rustix::fs::fallocate(&file, FallocateFlags::COLLAPSE_RANGE, 0, 4096).unwrap_err();
    assert_eq!(collapsed, Errno::OPNOTSUPP);
}

#[test]
fn rights_of_other_users() {
    let Some(bucket) = Bucket::start() else { return };
    fs::set_permissions(bucket.path("."), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mount = bucket.mount_with(&["-oallow_other"]);
    sh(
        mount.root(),
        "echo s > secret; chmod 600 secret; echo o > open; chmod 644 open; mkdir -m 777 shared; mkdir -m 700 private; mkdir -m 755 closed; : > closed/file",
    );
    let nobody = |line: &str| {
        let line = format!("setpriv --reuid=65534 --regid=65534 --clear-groups sh -ec '{line}'");
        try_sh(mount.root(), &line, SOON).status.success()
    };
    assert!(nobody("cat open; echo mine > shared/mine; chmod 640 shared/mine"));
    for line in [
        "cat secret",
        "echo x >> open",
        "ls private",
        "rm -f closed/file && test ! -e closed/file",
        "chown 0 shared/mine",
    ] {
        assert!(!nobody(line), "{line}");
    }
    assert_eq!(sh(mount.root(), "stat -c \"%u %g %a\" shared/mine"), "65534 65534 640\n");
    drop(mount);
    // Without allow_other nobody else gets in.
    let mount = bucket.mount();
    let line = "setpriv --reuid=65534 --regid=65534 --clear-groups ls .";
    assert!(!try_sh(mount.root(), line, SOON).status.success());
}

#[test]
fn programs_run_from_the_mount() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    sh(mount.root(), "cp \"$(command -v cat)\" program; chmod 755 program; echo hello > file");
    assert_eq!(sh(mount.root(), "./program file"), "hello\n");
    mount.umount();
    let mount = bucket.mount_with(&["-onoexec"]);
    assert!(!try_sh(mount.root(), "./program file", SOON).status.success());
    drop(mount);
    let mount = bucket.mount();
    assert_eq!(sh(mount.root(), "./program file"), "hello\n");
}

#[test]
fn listings_while_names_come_and_go() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put_many((0..600).map(|number| format!("d/stays{number:03}")), "x");
    let mount = bucket.mount();
    // Else the first removal has nothing but a marker to keep the directory there.
    assert_eq!(fs::read_dir(mount.path("d")).unwrap().count(), 600);
    let changing = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..150 {
                let path = mount.path(&format!("d/comes{}", round % 10));
                fs::write(&path, "x").unwrap();
                fs::rename(&path, mount.path("d/goes")).unwrap();
                fs::remove_file(mount.path("d/goes")).unwrap();
            }
            changing.store(false, std::sync::atomic::Ordering::Relaxed);
        });
        let mut rounds = 0;
        while changing.load(std::sync::atomic::Ordering::Relaxed) || rounds < 3 {
            let names = fs::read_dir(mount.path("d")).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            names.retain(|name| name.starts_with("stays"));
            names.sort();
            let wanted: Vec<_> = (0..600).map(|number| format!("stays{number:03}")).collect();
            assert_eq!(names, wanted, "each once, in every listing");
            rounds += 1;
        }
    });
    mount.umount();
    let others: Vec<_> = bucket.keys().into_iter().filter(|key| !key.starts_with("d/stays")).collect();
    assert_eq!(others, [""; 0]);
}

#[test]
fn names_that_differ_in_case_and_form_are_different() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    let names = ["a", "A", "\u{e9}", "e\u{301}", "ａ"];
    for name in names {
        fs::write(mount.path(name), name).unwrap();
    }
    mount.umount();
    assert_eq!(bucket.keys().len(), names.len());
    let mount = bucket.mount();
    for name in names {
        assert_eq!(fs::read_to_string(mount.path(name)).unwrap(), name);
        // By its name alone, relative to a directory.
        let root = rustix::fs::openat(CWD, mount.root(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        rustix::fs::openat(&root, name, OFlags::RDONLY, Mode::empty()).unwrap();
    }
}

#[test]
fn holes_are_made_and_found() {
    use rustix::fs::SeekFrom::{Data, Hole};
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    let file = File::options().read(true).write(true).create_new(true).open(mount.path("file")).unwrap();
    rustix::io::write(&file, &[b'x'; 10_000]).unwrap();
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, punch, 1_000, 3_000).unwrap();
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 9_000, 11_000).unwrap();
    rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, 1 << 20).unwrap();
    let seek = |from| rustix::fs::seek(&file, from);
    assert_eq!((seek(Data(0)), seek(Hole(0)), seek(Data(1_000))), (Ok(0), Ok(1_000), Ok(4_000)));
    assert_eq!(
        (seek(Hole(4_000)), seek(Data(10_000)), seek(Hole(20_000))),
        (Ok(10_000), Err(Errno::NXIO), Err(Errno::NXIO))
    );
    let mut expected = vec![b'x'; 10_000];
    expected[1_000..4_000].fill(0);
    expected.resize(20_000, 0);
    assert_eq!(fs::read(mount.path("file")).unwrap(), expected);
    drop(file);
    assert_eq!(bucket.get("file"), expected);
}
