//! The work, on a directory: by our own threads where a program would say less, by everyday programs elsewhere.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rustix::fs::{AtFlags, CWD, MemfdFlags, Mode, OFlags, StatxFlags};
use rustix::mount::MountFlags;

use crate::leftovers::Running;
use crate::rows::{Scale, Shape};

/// Bytes of one call that reads or writes a large file.
const CALL_BYTES: usize = 1 << 20;

/// A piece of work that was done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    pub(crate) seconds: f64,
    /// Bytes or things.
    pub(crate) amount: u64,
}

/// The name of a small file.
pub(crate) fn file_name(dir: &str, number: u64, per_directory: Option<u64>) -> String {
    match per_directory {
        Some(per_directory) => format!("{dir}/d{:03}/file-{:07}", number / per_directory, number % per_directory),
        None => format!("{dir}/file-{number:07}"),
    }
}

/// A multiple of 4 KiB in a file of `size` bytes: anywhere, and the same for everyone.
pub(crate) fn random_place(number: u64, size: u64) -> u64 {
    fastrand::Rng::with_seed(number).u64(0..(size / 4096).max(1)) * 4096
}

/// A directory to work in.
pub(crate) struct Workplace<'a> {
    /// Where the data are.
    pub(crate) root: &'a Path,
    /// Where to write, below `root`.
    pub(crate) out: &'a str,
    /// Where `cp` and `tar` take from: on the local disk.
    pub(crate) sources: &'a Path,
    pub(crate) scale: Scale,
    /// On which caches of the kernel's can be dropped.
    pub(crate) is_mount: bool,
}

impl Workplace<'_> {
    fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn written(&self, name: &str) -> PathBuf {
        self.root.join(self.out).join(name)
    }

    /// Takes a step; nothing if it isn't one for a directory.
    pub(crate) fn work(&self, shape: Shape) -> Result<Option<Done>> {
        let count = |count| self.scale.count(count);
        let done = match shape {
            Shape::Read { file } => read(&self.at(file))?,
            Shape::Write { file, bytes } => write(&self.written(file), self.scale.bytes(bytes))?,
            Shape::Stat { dir, files } => self.stat(dir, count(files))?,
            Shape::FirstBytes { dir, files } => self.first_bytes(dir, count(files))?,
            Shape::RandomReads { file, threads, reads_each } => {
                random_reads(&self.at(file), threads, count(reads_each))?
            }
            Shape::ListLong { dir, entries } => run(program("ls", "-l", &self.at(dir)), count(entries))?,
            Shape::ListNames { dir, entries } => run(program("ls", "-U", &self.at(dir)), count(entries))?,
            Shape::Find { dir, entries } => {
                let mut find = Command::new("find");
                find.arg(self.at(dir)).args(["-type", "f"]);
                run(vec![find], count(entries))?
            }
            Shape::ReadFiles { dir, files, threads } => {
                let name = |number| self.at(&file_name(dir, number, None));
                each(count(files), threads, |number| fs::read(name(number)).map(drop))?
            }
            Shape::CreateFiles { dir, files, bytes, threads } => {
                fs::create_dir(self.written(dir))?;
                let content = vec![7; bytes];
                let name = |number| self.written(&file_name(dir, number, None));
                each(count(files), threads, |number| File::create_new(name(number))?.write_all(&content))?
            }
            Shape::CopyTrees { dir, files, processes, .. } => self.copy_trees(dir, count(files), processes)?,
            Shape::Untar { dir, files, .. } => {
                fs::create_dir(self.written(dir))?;
                let mut tar = Command::new("tar");
                tar.arg("-xf").arg(self.sources.join("files.tar")).arg("-C").arg(self.written(dir));
                run(vec![tar], count(files))?
            }
            Shape::Lookups { dir, names, threads } => self.lookups(dir, count(names), threads)?,
            Shape::Getattrs { dir, threads, calls_each } => self.getattrs(dir, threads, count(calls_each))?,
            Shape::Rename { from, to } => timed(1, || Ok(fs::rename(self.at(from), self.at(to))?))?,
            Shape::Mount
            | Shape::Drain { .. }
            | Shape::SettleMove { .. }
            | Shape::Refuse
            | Shape::KillAndMount
            | Shape::Remount => return Ok(None),
        };
        Ok(Some(done))
    }

    fn stat(&self, dir: &str, files: u64) -> Result<Done> {
        timed(files, || {
            for number in 0..files {
                fs::metadata(self.at(&file_name(dir, number, None)))?;
            }
            Ok(())
        })
    }

    fn first_bytes(&self, dir: &str, files: u64) -> Result<Done> {
        let mut seconds = 0.0;
        for number in 0..files {
            let name = self.at(&file_name(dir, number, None));
            let begun = Instant::now();
            let mut file = File::open(&name)?;
            file.read_exact(&mut [0])?;
            seconds += begun.elapsed().as_secs_f64();
        }
        Ok(Done { seconds, amount: files })
    }

    fn copy_trees(&self, dir: &str, files: u64, processes: u64) -> Result<Done> {
        let to = self.written(dir);
        fs::create_dir(&to)?;
        let copy = |number: u64| {
            let mut cp = Command::new("cp");
            cp.arg("-r").arg(self.sources.join(format!("tree/p{number}"))).arg(&to);
            cp
        };
        run((0..processes).map(copy).collect(), files)
    }

    fn lookups(&self, dir: &str, names: u64, threads: usize) -> Result<Done> {
        ensure!(self.is_mount, "there is no kernel cache to drop");
        // Whoever remounts drops the names that the kernel knows of the mount: each is then looked up anew.
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount_remount(self.root, flags, "").context("only root can drop the kernel's names")?;
        let dir = rustix::fs::openat(CWD, self.at(dir), OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        each(names, threads, |number| {
            let name = file_name("", number, None);
            rustix::fs::statx(&dir, name.trim_start_matches('/'), AtFlags::empty(), StatxFlags::TYPE)?;
            Ok(())
        })
    }

    fn getattrs(&self, dir: &str, threads: usize, calls_each: u64) -> Result<Done> {
        let open = |number: usize| {
            let name = self.at(&file_name(dir, number as u64, None));
            rustix::fs::openat(CWD, name, OFlags::PATH, Mode::empty())
        };
        let files = (0..threads).map(open).collect::<Result<Vec<_>, _>>()?;
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC;
        each(calls_each * threads as u64, threads, |number| {
            let file = &files[usize::try_from(number).unwrap_or_default() % threads];
            rustix::fs::statx(file, "", flags, StatxFlags::BASIC_STATS)?;
            Ok(())
        })
    }
}

fn timed(amount: u64, work: impl FnOnce() -> Result<()>) -> Result<Done> {
    let begun = Instant::now();
    work()?;
    Ok(Done { seconds: begun.elapsed().as_secs_f64(), amount })
}

fn read(path: &Path) -> Result<Done> {
    let mut buffer = vec![0; CALL_BYTES];
    let begun = Instant::now();
    let mut file = File::open(path)?;
    let mut amount = 0;
    loop {
        let len = file.read(&mut buffer)?;
        if len == 0 {
            break;
        }
        amount += len as u64;
    }
    Ok(Done { seconds: begun.elapsed().as_secs_f64(), amount })
}

/// By `dd`, because what `close` says is its result too.
fn write(path: &Path, bytes: u64) -> Result<Done> {
    let mut dd = Command::new("dd");
    dd.args(["if=/dev/zero", "bs=1M", "conv=excl", "iflag=count_bytes", "status=none"]);
    dd.arg(format!("count={bytes}")).arg(format!("of={}", path.display()));
    run(vec![dd], bytes)
}

fn random_reads(path: &Path, threads: usize, reads_each: u64) -> Result<Done> {
    let size = fs::metadata(path)?.len();
    let files = (0..threads).map(|_| File::open(path)).collect::<Result<Vec<_>, _>>()?;
    each(reads_each * threads as u64, threads, |number| {
        let file = &files[usize::try_from(number).unwrap_or_default() % threads];
        file.read_exact_at(&mut [0; 4096], random_place(number, size))
    })
}

/// `threads` at once do one thing for each number below `count`.
fn each(count: u64, threads: usize, work: impl Fn(u64) -> std::io::Result<()> + Sync) -> Result<Done> {
    let next = AtomicU64::new(0);
    let one = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(());
            }
            work(number)?;
        }
    };
    timed(count, || {
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
            let ended = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Err(panicked())));
            ended.collect::<std::io::Result<Vec<()>>>()
        })?;
        Ok(())
    })
}

fn panicked() -> std::io::Error {
    std::io::Error::other("a worker panicked")
}

fn program(name: &str, flag: &str, path: &Path) -> Vec<Command> {
    let mut command = Command::new(name);
    command.arg(flag).arg("--color=never").arg(path);
    vec![command]
}

/// Runs programs at once, until all have ended; of what they say the first complaint counts.
fn run(mut commands: Vec<Command>, amount: u64) -> Result<Done> {
    let complaints = File::from(rustix::fs::memfd_create("complaints", MemfdFlags::CLOEXEC)?);
    timed(amount, || {
        let start = |command: &mut Command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints.try_clone()?);
            Running::start(command)
        };
        let children = commands.iter_mut().map(start).collect::<Result<Vec<_>>>()?;
        for mut running in children {
            let status = running.end()?;
            ensure!(status.success(), "{status}: {}", first_line(&complaints));
        }
        Ok(())
    })
}

fn first_line(file: &File) -> String {
    let mut start = [0; 500];
    let len = file.read_at(&mut start, 0).unwrap_or_default();
    String::from_utf8_lossy(&start[..len]).lines().next().unwrap_or_default().to_owned()
}

/// Files on the local disk for `cp` and `tar`: a folder for each process, and all in one archive.
pub(crate) fn make_sources(sources: &Path, files: u64, bytes: usize, folders: u64) -> Result<()> {
    let content = vec![7; bytes];
    for number in 0..files {
        let folder = sources.join(format!("tree/p{}", number % folders));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("file-{number:07}")), &content)?;
    }
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(sources.join("files.tar")).arg("-C").arg(sources.join("tree")).arg(".");
    run(vec![tar], files).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spread_over_directories() {
        assert_eq!(file_name("a", 7, None), "a/file-0000007");
        assert_eq!(file_name("a", 207, Some(100)), "a/d002/file-0000007");
    }

    #[test]
    fn random_places_are_in_the_file() {
        let places: Vec<u64> = (0..100).map(|number| random_place(number, 1 << 20)).collect();
        assert!(places.iter().all(|place| place % 4096 == 0 && place + 4096 <= 1 << 20));
        assert!(places.iter().any(|place| *place != places[0]));
        assert_eq!(random_place(3, 10), 0);
    }

    #[test]
    fn a_plain_directory_can_be_worked_in() {
        let _alone = crate::leftovers::one_test_at_a_time();
        let folder = tempfile::tempdir().unwrap();
        let sources = folder.path().join("sources");
        make_sources(&sources, 40, 100, 4).unwrap();
        fs::create_dir(folder.path().join("out")).unwrap();
        let scale = Scale(1);
        let place = Workplace { root: folder.path(), out: "out", sources: &sources, scale, is_mount: false };
        let amount = |shape| place.work(shape).unwrap().unwrap().amount;
        assert_eq!(amount(Shape::Write { file: "w", bytes: 3_000_000 }), 3_000_000);
        assert_eq!(amount(Shape::Read { file: "out/w" }), 3_000_000);
        assert_eq!(amount(Shape::RandomReads { file: "out/w", threads: 2, reads_each: 5 }), 10);
        assert_eq!(amount(Shape::CreateFiles { dir: "n", files: 20, bytes: 10, threads: 3 }), 20);
        assert_eq!(amount(Shape::ReadFiles { dir: "out/n", files: 20, threads: 3 }), 20);
        assert_eq!(amount(Shape::CopyTrees { dir: "c", files: 40, bytes: 100, processes: 4 }), 40);
        assert_eq!(amount(Shape::Untar { dir: "u", files: 40, bytes: 100 }), 40);
        assert_eq!(amount(Shape::Getattrs { dir: "out/n", threads: 2, calls_each: 8 }), 16);
        assert_eq!(fs::read_dir(folder.path().join("out/u/p0")).unwrap().count(), 10);
        let error = place.work(Shape::Find { dir: "not/there", entries: 1 }).unwrap_err();
        assert!(format!("{error}").contains("No such file or directory"), "{error}");
        assert!(place.work(Shape::Mount).unwrap().is_none());
    }
}
