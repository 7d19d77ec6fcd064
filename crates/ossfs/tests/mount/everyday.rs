//! Everyday programs in the mount.

use crate::bucket::{Bucket, directory};
use crate::shell::{is_there, python, sh, sh_within};
use crate::snapshot::{assert_same, snapshot};
use std::ffi::OsStr;
use std::fs;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn cp_mv_and_rm() {
    let Some(bucket) = Bucket::start() else { return };
    let tree = bucket.path("tree");
    sh(
        directory(&tree),
        "mkdir -p a/b/c empty; for i in $(seq 30); do echo $i > a/f$i; echo $i > a/b/c/g$i; done; ln -s a/f1 link",
    );
    let mount = bucket.mount();
    sh(mount.root(), "cp -a ../tree one; cp -a one two; mv two three; mv three/a/b three/moved; mv one/a/f1 three/");
    sh(mount.root(), "diff -r ../tree/a/b three/moved; test ! -e one/a/f1; cmp three/f1 ../tree/a/f1");
    sh(
        mount.root(),
        "mv three/moved three/a/b; mv three/f1 one/a/f1; rm -rf one/empty; mkdir one/empty; cp -a ../tree/empty one/",
    );
    sh(mount.root(), "diff -r ../tree one; diff -r ../tree three");
    // Over names that are taken.
    sh(mount.root(), "mv three/a/f2 three/a/f3; test \"$(cat three/a/f3)\" = 2; mv -T three/empty one/empty");
    sh(mount.root(), "! mv -T three/a one/a 2>/dev/null; ! rmdir one/a 2>/dev/null; rm -rf one");
    mount.umount();
    let mount = bucket.mount();
    assert_eq!(sh(mount.root(), "ls -A"), "three\n");
    assert_eq!(sh(mount.root(), "ls -A three three/a/b"), "three:\na\nlink\n\nthree/a/b:\nc\n");
    sh(mount.root(), "rm -rf three");
    mount.umount();
    assert_eq!(bucket.keys(), [""; 0]);
}

#[test]
fn ls_of_2500_entries() {
    let Some(bucket) = Bucket::start() else { return };
    bucket.put_many((0..2500).map(|number| format!("many/{number:04}")), "x");
    let mount = bucket.mount();
    let listed = sh(mount.root(), "ls -l many");
    let names: Vec<_> = listed.lines().skip(1).map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect();
    assert_eq!(names, (0..2500).map(|number| format!("{number:04}")).collect::<Vec<_>>());
    assert_eq!(sh(mount.root(), "find many -type f | wc -l; ls many | wc -l"), "2500\n2500\n");
    sh(mount.root(), "rm -rf many");
    mount.umount();
    assert_eq!(bucket.keys(), [""; 0]);
}

#[test]
fn git() {
    if !is_there("git") {
        return;
    }
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    let git = "git -c user.name=n -c user.email=e@e -c safe.directory=* -c gc.auto=0";
    sh(
        mount.root(),
        &format!(
            "git init -q repo; cd repo; mkdir src; for i in $(seq 20); do echo $i > src/f$i; done; {git} add .; {git} commit -qm one"
        ),
    );
    sh(
        mount.root(),
        &format!(
            "cd repo; echo more >> src/f1; rm src/f2; git mv src/f3 src/g3; {git} commit -qam two; git checkout -qb side HEAD~1; {git} checkout -q -"
        ),
    );
    mount.umount();
    let mount = bucket.mount();
    let shown =
        sh(mount.root(), &format!("cd repo; {git} fsck --full 2>&1; {git} status --porcelain; {git} log --format=%s"));
    assert_eq!(shown.lines().filter(|line| !line.contains("Checking")).collect::<Vec<_>>(), ["two", "one"], "{shown}");
    sh(mount.root(), &format!("{git} clone -q repo copy; diff -r repo/src copy/src"));
}

#[test]
fn tar_out_and_in() {
    let Some(bucket) = Bucket::start() else { return };
    let tree = bucket.path("tree");
    sh(
        directory(&tree),
        "mkdir -p a/b; for i in $(seq 40); do seq $i > a/b/f$i; done; ln -s b a/link; touch -d @1000000000 a/b/f1",
    );
    let mount = bucket.mount();
    sh(mount.root(), "tar --format=posix -C ../tree -czf all.tar.gz .; mkdir x; tar -C x -xpzf all.tar.gz");
    assert_same(&snapshot(&tree), &snapshot(&mount.path("x")));
    sh(mount.root(), "tar --format=posix -C x -cf - . | tar -C .. -xf - --one-top-level=back");
    assert_same(&snapshot(&tree), &snapshot(&bucket.path("back")));
    mount.umount();
}

#[test]
fn sqlite_with_a_rollback_journal() {
    if !is_there("python3") {
        return;
    }
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    let program = "import sqlite3, sys
base = sqlite3.connect(sys.argv[1])
assert base.execute('pragma journal_mode=delete').fetchone() == ('delete',)
base.execute('create table if not exists t (n integer primary key, text)')
for round in range(5):
    base.executemany('insert into t (text) values (?)', [('x' * (n % 300),) for n in range(400)])
    base.commit()
base.execute('delete from t where n % 2'); base.rollback()
base.execute('update t set text = ? where n % 7 = 0', ('changed',)); base.commit()
base.execute('vacuum'); base.close()
base = sqlite3.connect(sys.argv[1])
assert base.execute('pragma integrity_check').fetchone() == ('ok',)
print(base.execute('select count(*), sum(text = ?) from t', ('changed',)).fetchone())
";
    let printed = python(program, &[mount.path("base.db").as_os_str()], LIMIT);
    assert_eq!(printed, "(2000, 285)\n");
    mount.umount();
    fs::write(bucket.path("base.db"), bucket.get("base.db")).unwrap();
    let check = "import sqlite3, sys
base = sqlite3.connect(sys.argv[1])
print(base.execute('pragma integrity_check').fetchone(), base.execute('select count(*) from t').fetchone())
";
    assert_eq!(python(check, &[bucket.path("base.db").as_os_str()], LIMIT), "('ok',) (2000,)\n");
    assert_eq!(bucket.keys(), ["base.db"]);
}

#[test]
fn editing_in_place() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    sh(mount.root(), "for i in $(seq 10); do echo line $i >> log; done; chmod 640 log");
    sh(mount.root(), "sed -i 's/line 5/changed/; 1d' log");
    assert_eq!(sh(mount.root(), "wc -l < log; grep -c changed log; stat -c %a log"), "9\n1\n640\n");
    // As editors do it: a new file, then over the old one.
    sh(mount.root(), "cp log .log.swp; echo end >> .log.swp; mv .log.swp log; tail -1 log");
    sh(
        mount.root(),
        "printf 0123456789 > t; truncate -s 4 t; truncate -s 8 t; printf AB | dd of=t bs=1 seek=6 conv=notrunc status=none",
    );
    assert_eq!(fs::read(mount.path("t")).unwrap(), b"0123\0\0AB");
    sh(
        mount.root(),
        "truncate -s 3000000 big; printf end >> big; printf middle | dd of=big bs=1 seek=1500000 conv=notrunc status=none",
    );
    mount.umount();
    let big = bucket.get("big");
    assert_eq!((big.len(), &big[1_500_000..1_500_006], &big[3_000_000..]), (3_000_003, &b"middle"[..], &b"end"[..]));
    assert!(big.iter().filter(|byte| **byte != 0).count() == 9);
    assert_eq!(bucket.get("t"), b"0123\0\0AB");
    assert!(bucket.get("log").ends_with(b"line 10\nend\n"));
    assert_eq!(bucket.keys(), ["big", "log", "t"]);
}

#[test]
fn two_processes_write_two_files() {
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    let line = "seq 1 200000 > a & seq 300000 500000 > b & wait; seq 1 200000 | cmp - a; seq 300000 500000 | cmp - b";
    sh_within(mount.root(), line, LIMIT);
    // And one file, each its own half.
    let half = "dd if=/dev/zero bs=64k count=32 status=none | tr '\\0'";
    sh_within(
        mount.root(),
        &format!(
            "{half} x | dd of=c bs=64k iflag=fullblock conv=notrunc status=none & \
             {half} y | dd of=c bs=64k iflag=fullblock seek=32 conv=notrunc status=none & wait"
        ),
        LIMIT,
    );
    mount.umount();
    let bytes = bucket.get("c");
    assert_eq!(bytes.len(), 4 << 20);
    assert!(bytes[..2 << 20].iter().all(|byte| *byte == b'x') && bytes[2 << 20..].iter().all(|byte| *byte == b'y'));
    assert_eq!(String::from_utf8(bucket.get("a")).unwrap().lines().count(), 200_000);
}

#[test]
fn memory_maps() {
    if !is_there("python3") {
        return;
    }
    let Some(bucket) = Bucket::start() else { return };
    bucket.put("read", (0..3_000_000_u32).map(|number| (number % 251) as u8).collect::<Vec<_>>());
    let mount = bucket.mount();
    let program = "import mmap, os, sys
with open(sys.argv[1], 'rb') as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
    for at in range(0, len(view), 4099):
        assert view[at] == at % 251
    print(len(view))
with open(sys.argv[2], 'w+b') as file:
    file.truncate(1 << 20)
    with mmap.mmap(file.fileno(), 0) as view:
        view[5:10] = b'hello'
        view[-5:] = b'world'
        view.flush()
";
    let arguments: [&OsStr; 2] =
        [mount.path("read").into_os_string().leak(), mount.path("written").into_os_string().leak()];
    assert_eq!(python(program, &arguments, LIMIT), "3000000\n");
    mount.umount();
    let bytes = bucket.get("written");
    assert_eq!((bytes.len(), &bytes[5..10], &bytes[(1 << 20) - 5..]), (1 << 20, &b"hello"[..], &b"world"[..]));
}
