//! Real programs on a mount: in good weather, and with the daemon killed in the middle of their work.

use crate::bucket::Bucket;
use crate::mounted::Mounted;
use crate::programs::{CARGO, EDITORS, GIT_REPOSITORIES, Program, RSYNC, SQLITE_ROLLBACK, SQLITE_WAL, TAR};
use crate::shell::{is_there, kill, plain_or_long, run, sh, sh_within, status_of, wait_until};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Keys that a dead daemon may still change are left alone for 15 s, so calls may take that.
const LIMIT: Duration = Duration::from_secs(80);

fn comes_through(program: &Program) {
    if !program.is_here() {
        return;
    }
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    program.comes_through(&bucket, mount, LIMIT);
}

#[test]
fn sqlite_with_a_rollback_journal_killed() {
    comes_through(&SQLITE_ROLLBACK);
}

#[test]
fn sqlite_with_a_write_ahead_log_killed() {
    comes_through(&SQLITE_WAL);
}

#[test]
fn git_repositories() {
    comes_through(&GIT_REPOSITORIES);
}

#[test]
fn tar() {
    comes_through(&TAR);
}

#[test]
fn rsync_transfers_nothing_the_second_time() {
    comes_through(&RSYNC);
}

#[test]
fn editors() {
    comes_through(&EDITORS);
}

#[test]
fn cargo_builds() {
    comes_through(&CARGO);
}

/// Starts a line of the shell that goes on until the daemon is gone.
fn start(directory: &Path, line: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-ec", line]).current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Kills the daemon under a line that never ends by itself, and waits until that has ended too.
fn kill_under(mount: Mounted, line: &str, progress: impl Fn() -> bool) {
    let mut child = start(mount.root(), line);
    wait_until("some progress of the program", LIMIT, progress);
    std::thread::sleep(Duration::from_millis(plain_or_long(150, 1500)));
    kill(mount.pid());
    status_of(&mut child, LIMIT);
}

/// The number of lines of a file that may not be there.
fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

/// SQLite over a daemon that is killed so many times.
fn sqlite_over_killed_daemons(program: &Program, mode: &str) {
    if !program.is_here() {
        return;
    }
    let Some(bucket) = Bucket::start() else { return };
    program.prepare(&bucket);
    let committed = bucket.path("committed");
    for round in 0..plain_or_long(2, 10) {
        let mount = bucket.mount();
        if round > 0 {
            sh_within(mount.root(), "python3 ../check.py", LIMIT);
        }
        let before = lines(&committed);
        kill_under(mount, &format!("python3 ../write.py {mode} 1000000"), || lines(&committed) > before + 3);
    }
    let mount = bucket.mount();
    program.check(mount.root(), LIMIT);
    sh_within(mount.root(), &format!("python3 ../write.py {mode} 3; python3 ../check.py"), LIMIT);
    mount.umount();
    let names = bucket.keys();
    assert!(names.iter().all(|name| name == "base.db"), "{names:?}");
    fs::create_dir(bucket.path("local")).unwrap();
    fs::write(bucket.path("local/base.db"), bucket.get("base.db")).unwrap();
    program.check(&bucket.path("local"), LIMIT);
}

#[test]
fn sqlite_with_a_rollback_journal_over_killed_daemons() {
    sqlite_over_killed_daemons(&SQLITE_ROLLBACK, "delete");
}

#[test]
fn sqlite_with_a_write_ahead_log_over_killed_daemons() {
    sqlite_over_killed_daemons(&SQLITE_WAL, "wal");
}

#[test]
fn git_over_killed_daemons() {
    if !GIT_REPOSITORIES.is_here() {
        return;
    }
    let Some(bucket) = Bucket::start() else { return };
    GIT_REPOSITORIES.prepare(&bucket);
    let committed = bucket.path("commits");
    let work = ". ../git.sh; test -d one || git init -q one; cd one; \
                while :; do date +%N > f; date +%N > f$(date +%N | tail -c 3); git add .; git commit -qm x; \
                git rev-parse HEAD >> ../../commits; git repack -adq; done";
    for _ in 0..plain_or_long(2, 10) {
        let before = lines(&committed);
        kill_under(bucket.mount(), work, || lines(&committed) > before + 2);
        let mount = bucket.mount();
        // As git says itself: the lock of a git that died is removed by hand.
        let check = ". ../git.sh; cd one; find . -name '*.lock' -delete; \
                     ! git fsck --full 2>&1 | grep -v -e Checking -e dangling >&2 || exit 1; \
                     git merge-base --is-ancestor $(tail -1 ../../commits) HEAD; \
                     for id in $(cat ../../commits); do git cat-file -e $id^{tree}; done; \
                     git reset -q --hard; test -z \"$(git status --porcelain -uno)\"";
        sh_within(mount.root(), check, LIMIT);
    }
    let mount = bucket.mount();
    mount.umount();
    fs::remove_dir_all(bucket.state()).unwrap();
    let mount = bucket.mount();
    sh_within(mount.root(), ". ../git.sh; git -C one fsck --full --strict; git -C one log -p > /dev/null", LIMIT);
}

/// What a logger wrote, over all files that logrotate made of it.
const ALL_LINES: &str = "cd logs; for i in 5 4 3 2 1; do for name in app.log.$i*; do test ! -e $name || zcat -f $name; \
                         done; done; cat app.log";

/// A logger that keeps its file open, with a rotation after every hundred lines.
fn rotate(how: &str, reopens: bool) {
    if !is_there("logrotate") || !is_there("gzip") {
        return;
    }
    let Some(bucket) = Bucket::start() else { return };
    let mount = bucket.mount();
    sh(mount.root(), "mkdir logs; chmod 755 logs");
    let log = mount.path("logs/app.log");
    let conf = bucket.path("rotate.conf");
    fs::write(&conf, format!("{} {{\n rotate 5\n missingok\n {how}\n}}\n", log.display())).unwrap();
    sh(&bucket.path(""), "chmod 600 rotate.conf");
    let open = || File::options().create(true).append(true).open(&log).unwrap();
    let mut file = open();
    let mut wanted = String::new();
    for round in 0..5 {
        for number in 0..100 {
            let line = format!("{round} {number}\n");
            file.write_all(line.as_bytes()).unwrap();
            wanted += &line;
        }
        let mut rotate = Command::new("logrotate");
        run(rotate.arg("-f").arg("-s").arg(bucket.path("rotated")).arg(&conf), LIMIT);
        if reopens {
            // What it writes until it is told goes to the file of the old name.
            file.write_all(b"late\n").unwrap();
            wanted += "late\n";
            file = open();
        }
    }
    file.write_all(b"last\n").unwrap();
    wanted += "last\n";
    assert!(sh(mount.root(), ALL_LINES) == wanted, "{}", sh(mount.root(), "wc -l logs/*"));
    drop(file);
    mount.umount();
    fs::remove_dir_all(bucket.state()).unwrap();
    let mount = bucket.mount();
    assert!(sh(mount.root(), ALL_LINES) == wanted, "{}", sh(mount.root(), "wc -l logs/*"));
    assert_eq!(bucket.keys().iter().filter(|key| key.starts_with("logs/app.log")).count(), 6, "{:?}", bucket.keys());
}

#[test]
fn logrotate_renames_and_creates() {
    rotate("create 0640", true);
}

#[test]
fn logrotate_copies_and_truncates() {
    rotate("copytruncate\n compress", false);
}
