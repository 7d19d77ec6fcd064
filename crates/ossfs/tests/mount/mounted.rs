//! A mount that goes away with its test, also if that fails: taken out of sight, its daemon killed.

use crate::bucket::Bucket;
use crate::shell::{kill, lives, output_of, run, wait_until};
use rustix::mount::UnmountFlags;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// The program.
pub(crate) const OSSFS: &str = env!("CARGO_BIN_EXE_ossfs");
/// For a mount to come about, and for the end of a daemon that has nothing left to do.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// For a daemon to settle what a test wrote.
const SETTLED: Duration = Duration::from_secs(90);

/// What must go away.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    pub(crate) mountpoint: PathBuf,
    pub(crate) pid: Option<u32>,
}

impl Guard {
    /// Unmounts lazily and kills the daemon.
    pub(crate) fn end(&self) {
        if let Some(pid) = self.pid {
            kill(pid);
        }
        daemons(&self.mountpoint).into_iter().for_each(kill);
        // Mounts may lie over each other.
        while is_mounted(&self.mountpoint) && rustix::mount::unmount(&self.mountpoint, UnmountFlags::DETACH).is_ok() {}
    }
}

/// A mount whose daemon is in the foreground, as a child of the test.
pub(crate) struct Mounted {
    root: PathBuf,
    log: PathBuf,
    daemon: Child,
    guard: Guard,
}

impl Mounted {
    /// Mounts what `bucket` names (`BUCKET[:/PREFIX]`) on a directory.
    pub(crate) fn start(bucket: &Bucket, named: &str, name: &str, options: &[&str]) -> Self {
        Self::start_by(Command::new(OSSFS), bucket, named, name, options)
    }

    /// The same by a command of which the arguments of ossfs are the last.
    pub(crate) fn start_by(mut command: Command, bucket: &Bucket, named: &str, name: &str, options: &[&str]) -> Self {
        let root = bucket.path(name);
        std::fs::create_dir_all(&root).unwrap();
        let log = bucket.path(&format!("{name}.log"));
        let stderr = File::options().create(true).append(true).open(&log).unwrap();
        command.arg(named).arg(&root).args(bucket.options()).args(options).arg("-f");
        command.env("STATE_DIRECTORY", bucket.state());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let mut daemon = command.spawn().unwrap();
        let guard = Guard { mountpoint: root.clone(), pid: Some(daemon.id()) };
        bucket.guard(guard.clone());
        wait_until("the mount", SOON, || {
            if let Some(status) = daemon.try_wait().unwrap() {
                panic!("ossfs: {status}: {}", std::fs::read_to_string(&log).unwrap());
            }
            is_mounted(&root)
        });
        Self { root, log, daemon, guard }
    }

    /// The mountpoint.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path in the mount.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The daemon's process.
    pub(crate) fn pid(&self) -> u32 {
        self.daemon.id()
    }

    /// The daemon as a child of the test.
    pub(crate) fn daemon(&mut self) -> &mut Child {
        &mut self.daemon
    }

    /// What the daemon logged.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    /// `ossfs umount`: everything is in the bucket then.
    pub(crate) fn umount(mut self) {
        assert!(lives(self.pid()), "the daemon is gone:\n{}", self.log());
        let output = self.try_umount();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "ossfs umount: {said}\n{}", self.log());
        wait_until("the end of the daemon", SOON, || self.daemon.try_wait().unwrap().is_some());
        assert!(!is_mounted(&self.root));
    }

    /// The same, whatever comes of it.
    pub(crate) fn try_umount(&self) -> Output {
        output_of(Command::new(OSSFS).arg("umount").arg(&self.root), SETTLED)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(60)..];
            println!("the end of the daemon's log:\n{}", tail.join("\n"));
        }
        self.guard.end();
        let _ = self.daemon.wait();
    }
}

/// A mount whose daemon went to the background, as users start it.
pub(crate) struct Background(Guard);

impl Background {
    /// Takes charge of whatever will be mounted there.
    pub(crate) fn at(bucket: &Bucket, name: &str) -> Self {
        let mountpoint = bucket.path(name);
        std::fs::create_dir_all(&mountpoint).unwrap();
        let guard = Guard { mountpoint, pid: None };
        bucket.guard(guard.clone());
        Self(guard)
    }

    /// The mountpoint.
    pub(crate) fn root(&self) -> &Path {
        &self.0.mountpoint
    }

    /// `ossfs BUCKET MOUNTPOINT …`, which must succeed; returns what it said on stderr.
    pub(crate) fn mount(&self, bucket: &Bucket, more: &[&str]) -> String {
        let output = output_of(&mut self.command(bucket, more), SOON * 3);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {said}", output.status);
        said
    }

    /// The command of it.
    pub(crate) fn command(&self, bucket: &Bucket, more: &[&str]) -> Command {
        let mut command = Command::new(OSSFS);
        command.arg(crate::bucket::BUCKET).arg(self.root()).args(bucket.options()).args(more);
        command.env("STATE_DIRECTORY", bucket.state());
        command
    }

    /// The process that serves it.
    pub(crate) fn pid(&self) -> u32 {
        let found = daemons(self.root());
        assert_eq!(found.len(), 1, "daemons of {}", self.root().display());
        found[0]
    }

    /// Waits until no daemon is left.
    pub(crate) fn wait_for_end(&self, limit: Duration) {
        wait_until("the end of the daemon", limit, || daemons(self.root()).is_empty());
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The processes of the program that name this mountpoint.
pub(crate) fn daemons(mountpoint: &Path) -> Vec<u32> {
    let wanted = mountpoint.as_os_str().as_encoded_bytes();
    let is_daemon = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).collect();
        lives(*pid)
            && words.first().is_some_and(|name| name.ends_with(b"ossfs"))
            && words.get(1).is_none_or(|word| *word != b"umount" && *word != b"sync")
            && words.contains(&wanted)
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_daemon).collect()
}

/// The fields of a mount in `/proc/self/mountinfo`: type and source.
pub(crate) fn mount_line(mountpoint: &Path) -> Option<(String, String)> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mut lines = text.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let here = Path::new(left.split(' ').nth(4)?) == mountpoint;
        here.then_some((right.next()?.to_owned(), right.next()?.to_owned()))
    });
    lines.next_back()
}

/// Whether something is mounted there.
pub(crate) fn is_mounted(mountpoint: &Path) -> bool {
    mount_line(mountpoint).is_some()
}

/// `fusermount3 -u`, as users unmount.
pub(crate) fn fusermount(mountpoint: &Path) {
    // Machines with FUSE 2 alone have it by another name.
    let there = |program: &&str| Command::new(program).arg("-V").stdout(Stdio::null()).status().is_ok();
    let program = ["fusermount3", "fusermount"].into_iter().find(there).expect("fusermount is there");
    run(Command::new(program).arg("-u").arg(mountpoint), SOON);
}
