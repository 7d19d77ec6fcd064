//! Random histories against a reference model: the mount equals it at every step, the bucket once settled.

mod compare;

use crate::model::{Item, Model, above};
use crate::mount::{Entry, Mount, READ, WRITE};
use crate::tales::{Log, failing_seeds, shown};
use crate::weather::Storm;
use compare::{look_around, same_bytes};
use ossfs_ledger::Ledger;
use ossfs_store::ObjectStore;
use ossfs_types::{FileKind, Prefix};
use ossfs_volume::{Allocate, AppendMode, Error, HandleId, OpenMode, Result, Seek, VolumeOptions};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const DEPTH_MAX: usize = 3;
const OPERATIONS: usize = 60;
/// Objects that were there before the mount.
const OBJECTS_MAX: usize = 8;
const STEPS: usize = OBJECTS_MAX + OPERATIONS;
/// A call that the weather made fail is repeated so often.
const REPEATS_MAX: usize = 300;

/// What a kind of history does.
#[derive(Debug, Clone, Copy)]
struct Plan {
    storm: Option<Storm>,
    /// Crashes: never, when all is settled, or whenever nothing is only in memory.
    crashes: Crashes,
    /// Bytes of what is written, at most.
    bytes_max: usize,
    /// Memory and parts are small.
    small: bool,
    /// Calls are given up now and then, and made again.
    impatient: bool,
    /// What is closed need not be in the bucket, but survives a crash.
    writeback: bool,
    /// Files that are opened for appending become appendable objects.
    appendable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crashes {
    Never,
    Settled,
    Anytime,
}

const FAIR: Plan = Plan {
    storm: None,
    crashes: Crashes::Never,
    bytes_max: 60,
    small: false,
    impatient: false,
    writeback: false,
    appendable: false,
};
const STORM: Storm = Storm { refused: 0.05, lost_requests: 0.03, lost_answers: 0.03 };

struct Open {
    handle: HandleId,
    file: usize,
    writes: bool,
    append: bool,
    /// Something was written through it since its last flush.
    wrote: bool,
}

struct History {
    plan: Plan,
    seed: u64,
    rng: fastrand::Rng,
    mount: Mount,
    model: Model,
    opens: Vec<Open>,
    /// Others who only look.
    lookers: Vec<JoinHandle<()>>,
    /// Taken while nobody else is to look.
    quiet: Arc<RwLock<()>>,
    /// Of the last bytes that were written.
    counter: usize,
    /// Something was changed that no close or fsync has confirmed.
    unconfirmed: bool,
    log: Log,
}

/// Who sets a mode sets it once more as an extended attribute.
const MODE_XATTR: &str = "user.mode";
/// Modes that nobody need have set.
const MODES_OF_NEW: [u32; 2] = [0o644, 0o755];

fn run(plan: Plan, plain: u64, long: u64) {
    failing_seeds(plain, long, STEPS, &|seed, skipped, log| {
        let (skipped, log) = (skipped.clone(), log.clone());
        Box::pin(async move {
            let mut history = History::begin(plan, seed, &skipped, log).await;
            for step in (OBJECTS_MAX..STEPS).filter(|step| !skipped.contains(step)) {
                history.step(step).await;
            }
            history.end().await;
        })
    });
}

#[test]
fn fair_weather() {
    run(FAIR, 300, 5_000);
}

#[test]
fn storms() {
    run(Plan { storm: Some(STORM), ..FAIR }, 300, 5_000);
}

#[test]
fn crashes_when_settled() {
    run(Plan { crashes: Crashes::Settled, ..FAIR }, 100, 2_000);
}

#[test]
fn crashes_at_any_time() {
    run(Plan { crashes: Crashes::Anytime, ..FAIR }, 300, 5_000);
}

#[test]
fn crashes_in_storms() {
    run(Plan { crashes: Crashes::Anytime, storm: Some(STORM), ..FAIR }, 200, 5_000);
}

#[test]
fn writeback() {
    run(Plan { writeback: true, crashes: Crashes::Anytime, ..FAIR }, 300, 5_000);
}

#[test]
fn writeback_in_storms() {
    run(Plan { writeback: true, crashes: Crashes::Anytime, storm: Some(STORM), ..FAIR }, 200, 5_000);
}

#[test]
fn large_files_in_little_memory_and_storms() {
    for writeback in [false, true] {
        let plan = Plan { writeback, crashes: Crashes::Anytime, storm: Some(STORM), ..FAIR };
        run(Plan { bytes_max: 2 << 20, small: true, ..plan }, 15, 1_000);
    }
}

#[test]
fn writeback_of_large_files_in_little_memory() {
    let plan = Plan { writeback: true, crashes: Crashes::Anytime, bytes_max: 2 << 20, small: true, ..FAIR };
    run(plan, 30, 500);
}

#[test]
fn calls_that_are_given_up() {
    run(Plan { impatient: true, ..FAIR }, 200, 5_000);
}

#[test]
fn calls_that_are_given_up_in_storms() {
    run(Plan { impatient: true, storm: Some(STORM), ..FAIR }, 100, 5_000);
}

#[test]
fn calls_that_are_given_up_in_little_memory() {
    run(Plan { bytes_max: 2 << 20, small: true, impatient: true, ..FAIR }, 20, 500);
}

#[test]
fn large_files_in_little_memory() {
    run(Plan { bytes_max: 2 << 20, small: true, ..FAIR }, 30, 500);
}

#[test]
fn large_files_in_storms() {
    run(Plan { bytes_max: 2 << 20, small: true, storm: Some(STORM), ..FAIR }, 30, 500);
}

#[test]
fn appendable_objects() {
    run(Plan { appendable: true, ..FAIR }, 200, 3_000);
}

#[test]
fn appendable_objects_in_storms() {
    run(Plan { appendable: true, storm: Some(STORM), ..FAIR }, 200, 3_000);
}

#[test]
fn appendable_objects_and_crashes_in_storms() {
    run(Plan { appendable: true, crashes: Crashes::Anytime, storm: Some(STORM), ..FAIR }, 200, 3_000);
}

#[test]
fn large_appendable_objects_in_little_memory() {
    run(Plan { appendable: true, bytes_max: 2 << 20, small: true, ..FAIR }, 20, 500);
}

impl History {
    async fn begin(plan: Plan, seed: u64, skipped: &BTreeSet<usize>, log: Log) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut options = VolumeOptions { parallel: *rng.choice(&[2, 4, 32]).unwrap(), ..VolumeOptions::default() };
        options.versioned = seed % 8 == 7;
        options.writeback = plan.writeback;
        if plan.appendable {
            options.append = AppendMode::Appendable;
        }
        if plan.small {
            options.part_bytes = 300 << 10;
            options.memory_limit = 1 << 20;
        }
        let mount = Mount::with(options);
        let objects = rng.usize(0..=OBJECTS_MAX);
        let latency = rng.u64(0..=100);
        let mut history = Self {
            plan,
            seed,
            mount,
            model: Model::default(),
            opens: Vec::new(),
            lookers: Vec::new(),
            quiet: Arc::default(),
            unconfirmed: false,
            counter: 0,
            log,
            rng,
        };
        for object in (0..objects).filter(|object| !skipped.contains(object)) {
            history.begin_step(object);
            history.outsider_puts_first().await;
        }
        history.mount.store.delay(Duration::from_millis(latency), seed);
        history.mount.store.storm(plan.storm);
        if seed % 2 == 1 {
            history.mount.store.page(3);
        }
        if seed.is_multiple_of(3) {
            history.lookers = (0..3)
                .map(|one| tokio::spawn(look_around(history.mount.same(), seed + one, history.quiet.clone())))
                .collect();
        }
        if std::env::var("OSSFS_REQUESTS").is_ok() {
            history.mount.store.note_in(history.log.clone());
        }
        history
    }

    /// An object or a marker that was there before the mount.
    async fn outsider_puts_first(&mut self) {
        let path = self.random_path();
        let blocked = path.match_indices('/').any(|(slash, _)| self.model.file(&path[..slash]).is_some());
        if blocked || self.model.items.contains_key(&path) {
            return;
        }
        let (key, bytes) = match self.rng.u8(0..5) {
            0 => (format!("{path}/"), Vec::new()),
            1 => (format!("{path}_$folder$"), Vec::new()),
            _ => (path.clone(), self.bytes()),
        };
        self.say(format!("outsider puts {key} {}", shown(&bytes)));
        self.mount.outsider_puts(&key, &bytes).await;
        let place = if key == path { key } else { format!("{path}/") };
        self.model.object(&place, &bytes);
    }

    fn say(&self, what: String) {
        self.log.lock().unwrap().push(what);
    }

    fn random_path(&mut self) -> String {
        random_path(&mut self.rng)
    }

    /// A path of something wanted, or, rarely, any.
    fn path_of(&mut self, wanted: impl Fn(&Item) -> bool) -> String {
        let paths = self.model.paths(wanted);
        match self.rng.choice(&paths) {
            Some(path) if self.rng.u8(0..10) > 0 => path.clone(),
            _ => self.random_path(),
        }
    }

    fn file_path(&mut self) -> String {
        self.path_of(|item| matches!(item, Item::File(_)))
    }

    /// A name in a directory that is there.
    fn new_path(&mut self) -> String {
        let directories = self.model.paths(|item| matches!(item, Item::Directory(_)));
        let name = *self.rng.choice(&NAMES).unwrap();
        match self.rng.choice(&directories) {
            Some(directory) if self.rng.bool() && directory.matches('/').count() + 1 < DEPTH_MAX => {
                format!("{directory}/{name}")
            }
            _ => name.to_owned(),
        }
    }

    /// Bytes that were never written before.
    fn bytes(&mut self) -> Vec<u8> {
        self.counter += 1;
        let len = if self.rng.bool() { self.rng.usize(1..60) } else { self.rng.usize(1..=self.plan.bytes_max) };
        let word = format!("<{}>", self.counter);
        word.bytes().cycle().take(len.max(word.len())).collect()
    }

    /// Repeats what the weather made fail.
    async fn insist<T>(&self, call: impl AsyncFn(&Mount) -> Result<T>) -> Result<T> {
        self.insist_on(&self.mount, call).await
    }

    fn agree<T: Debug, U>(&self, expected: std::result::Result<T, Error>, got: Result<U>) -> Option<(T, U)> {
        match (expected, got) {
            (Ok(one), Ok(other)) => Some((one, other)),
            (Err(_), Err(error)) => {
                assert!(!matches!(error, Error::Failed | Error::Stale), "the wrong error: {error:?}");
                None
            }
            (Ok(_), Err(error)) => panic!("it failed: {error:?}"),
            (Err(error), Ok(_)) => panic!("it did not fail, as it should with {error:?}"),
        }
    }

    /// What a step does follows from its number, so that others can be left out.
    fn begin_step(&mut self, step: usize) {
        self.rng = fastrand::Rng::with_seed(self.seed * 1_000 + step as u64);
        self.counter = step * 10;
    }

    async fn step(&mut self, step: usize) {
        self.begin_step(step);
        match self.rng.u8(0..114) {
            0..12 => self.write_whole().await,
            12..18 => self.write_at().await,
            18..21 => self.truncate().await,
            21..42 => self.rename().await,
            42..44 => self.swap().await,
            44..46 => self.exchange().await,
            46..54 => self.unlink().await,
            54..60 => self.mkdir().await,
            60..65 => self.rmdir().await,
            65..67 => self.symlink().await,
            67..70 => self.link().await,
            70..72 => self.chmod().await,
            72..76 => self.open().await,
            76..84 => self.use_open().await,
            84..88 => self.close_one().await,
            88..93 => {
                let pause = Duration::from_millis(self.rng.u64(1..800));
                self.say(format!("sleep {pause:?}"));
                tokio::time::sleep(pause).await;
            }
            93..95 => {
                self.say("outlast the TTL".into());
                self.mount.outlast_ttl().await;
            }
            95..97 => self.settle_and_look().await,
            97..100 => self.crash().await,
            100..110 => self.copy().await,
            _ => self.allocate().await,
        }
        if self.plan.small {
            self.close_unnamed().await;
        }
        self.sample().await;
        if self.rng.u8(0..8) == 0 {
            self.compare(&self.mount).await;
        }
    }

    async fn write_whole(&mut self) {
        let path = if self.rng.bool() { self.new_path() } else { self.file_path() };
        let bytes = self.bytes();
        self.say(format!("write {path} {}", shown(&bytes)));
        let mut append = self.plan.appendable && self.rng.bool();
        let (file, handle) = if let Some(file) = self.model.file(&path) {
            let handle =
                self.insist(async |mount| mount.open(&path, OpenMode { truncate: true, ..WRITE }).await).await.unwrap();
            self.model.files[file].bytes.clear();
            append = false;
            (file, handle)
        } else {
            let expected = self.model.create(&path);
            let mode = OpenMode { append, ..WRITE };
            let got = self.insist(async |mount| mount.create_for(&path, mode).await).await;
            let Some(both) = self.agree(expected, got) else { return };
            both
        };
        let mut open = Open { handle, file, writes: true, append, wrote: true };
        self.write_open(&mut open, 0, &bytes).await;
        self.end_of_writing(open).await;
    }

    /// Writes in pieces.
    async fn write_open(&mut self, open: &mut Open, offset: usize, bytes: &[u8]) {
        let offset = if open.append { self.model.files[open.file].bytes.len() } else { offset };
        open.wrote = true;
        for (piece, at) in bytes.chunks(128 << 10).zip((offset..).step_by(128 << 10)) {
            let written = self
                .insist(async |mount| mount.volume.write(open.handle, at as u64, piece.to_vec().into()).await)
                .await;
            assert_eq!(written, Ok(piece.len()), "a write");
            self.model.write(open.file, at, piece);
        }
    }

    async fn close(&mut self, open: Open) {
        let flushed = self.insist(async |mount| mount.volume.flush(open.handle).await).await;
        assert_eq!(flushed, Ok(()), "flushed in the end");
        self.mount.volume.release(open.handle);
        if open.wrote {
            self.check_object(open.file).await;
        }
    }

    /// The bucket has what was closed; perhaps at another key, if the file has just been moved, or under others' bytes.
    async fn check_object(&self, file: usize) {
        let paths = self.model.items.iter().filter(|(_, item)| **item == Item::File(file));
        let named = paths.count() > 0;
        let bytes = &self.model.files[file].bytes;
        let written = !self.opens.iter().any(|open| open.file == file);
        if named && written && !self.plan.small && !self.plan.writeback {
            let objects = self.mount.objects().await;
            assert!(objects.values().any(|object| object == bytes), "closed, but not in the bucket: {}", shown(bytes));
        }
    }

    async fn write_at(&mut self) {
        let path = self.file_path();
        let bytes = self.bytes();
        let append = self.rng.bool();
        self.say(format!("{} {path} {}", if append { "append to" } else { "write into" }, shown(&bytes)));
        let expected = self.model.file(&path).ok_or(Error::NotFound);
        let offset = self.rng.usize(0..=expected.map_or(0, |file| self.model.files[file].bytes.len()) + 10);
        let mode = OpenMode { append, ..WRITE };
        let got = self.insist(async |mount| mount.open(&path, mode).await).await;
        let Some((file, handle)) = self.agree(expected, got) else { return };
        let mut open = Open { handle, file, writes: true, append, wrote: true };
        self.say(format!("… at {offset}"));
        self.write_open(&mut open, offset, &bytes).await;
        self.close(open).await;
    }

    /// A range of a file, or all of it, to another file, or elsewhere in the same one.
    async fn copy(&mut self) {
        let from = self.file_path();
        let to = if self.rng.bool() { self.new_path() } else { self.file_path() };
        let Some(source) = self.model.file(&from) else { return };
        let len = self.model.files[source].bytes.len();
        let (start, at, wanted) = match self.rng.u8(0..3) {
            0 => (0, 0, len + 5),
            _ => (self.rng.usize(0..=len), self.rng.usize(0..=len + 10), self.rng.usize(1..=len + 1)),
        };
        let copied = self.model.files[source].bytes[start..(start + wanted).min(len)].to_vec();
        let (distance, same) = (start.abs_diff(at), self.model.file(&to) == Some(source));
        if same && distance < copied.len() {
            return;
        }
        // The source grows with what is copied within it.
        let wanted = if same { copied.len() } else { wanted };
        self.say(format!("copy {from} from {start} to {to} at {at}, {wanted} bytes"));
        let reader = self.insist(async |mount| mount.open(&from, READ).await).await.unwrap();
        let (file, handle) = if let Some(file) = self.model.file(&to) {
            (file, self.insist(async |mount| mount.open(&to, WRITE).await).await.unwrap())
        } else {
            let expected = self.model.create(&to);
            let got = self.insist(async |mount| mount.create(&to).await).await;
            let Some(both) = self.agree(expected, got) else { return self.mount.volume.release(reader) };
            both
        };
        let mut done = 0;
        while done < wanted {
            let (from, to, left) = ((start + done) as u64, (at + done) as u64, (wanted - done) as u64);
            let copied =
                self.insist(async |mount| mount.volume.copy_range(reader, from, handle, to, left).await).await.unwrap();
            done += usize::try_from(copied).unwrap();
            if copied == 0 {
                break;
            }
        }
        assert_eq!(done, copied.len(), "bytes copied");
        if !copied.is_empty() {
            self.model.write(file, at, &copied);
        }
        self.mount.volume.release(reader);
        self.end_of_writing(Open { handle, file, writes: true, append: false, wrote: done > 0 }).await;
    }

    /// Room is reserved or punched out, and the holes are where they may be.
    async fn allocate(&mut self) {
        let path = self.file_path();
        let Some(file) = self.model.file(&path) else { return };
        let how = *self.rng.choice(&[Allocate::Extend, Allocate::Reserve, Allocate::Punch, Allocate::Zero]).unwrap();
        let size = self.model.files[file].bytes.len();
        let (offset, len) = (self.rng.usize(0..=size + 5), self.rng.usize(1..=size + 5));
        self.say(format!("{how:?} {path} at {offset}, {len} bytes"));
        let handle = self.insist(async |mount| mount.open(&path, WRITE).await).await.unwrap();
        let done = self.insist(async |mount| mount.volume.allocate(handle, offset as u64, len as u64, how).await).await;
        assert_eq!(done, Ok(()), "{how:?}");
        let bytes = &mut self.model.files[file].bytes;
        if matches!(how, Allocate::Extend | Allocate::Zero) {
            bytes.resize(size.max(offset + len), 0);
        }
        if matches!(how, Allocate::Punch | Allocate::Zero) {
            let (start, end) = (offset.min(bytes.len()), (offset + len).min(bytes.len()));
            bytes[start..end].fill(0);
        }
        self.check_holes(handle, file);
        let wrote = match how {
            Allocate::Reserve => false,
            Allocate::Extend => offset + len > size,
            Allocate::Punch => offset < size,
            Allocate::Zero => true,
        };
        self.end_of_writing(Open { handle, file, writes: true, append: false, wrote }).await;
    }

    /// What is said to be a hole is zero.
    fn check_holes(&self, handle: HandleId, file: usize) {
        let bytes = &self.model.files[file].bytes;
        let mut at = 0;
        while at < bytes.len() {
            let data = self.mount.volume.seek(handle, at as u64, Seek::Data);
            let data = data.map_or(bytes.len(), |data| usize::try_from(data).unwrap());
            assert!(bytes[at..data].iter().all(|byte| *byte == 0), "a hole from {at} to {data} has data");
            if data == bytes.len() {
                break;
            }
            let hole = self.mount.volume.seek(handle, data as u64, Seek::Hole).unwrap();
            at = usize::try_from(hole).unwrap();
            assert!(at > data && at <= bytes.len(), "data from {data} to {at}");
        }
    }

    /// Most files are closed at once, some stay open.
    async fn end_of_writing(&mut self, open: Open) {
        if self.rng.u8(0..3) == 0 {
            self.say("… and keep it open".into());
            self.unconfirmed = true;
            self.opens.push(open);
        } else {
            self.close(open).await;
        }
    }

    async fn truncate(&mut self) {
        let path = self.file_path();
        let Some(file) = self.model.file(&path) else { return };
        let size = match self.rng.u8(0..4) {
            0 => 0,
            _ => self.rng.usize(0..=self.model.files[file].bytes.len() + 10),
        };
        self.say(format!("truncate {path} to {size}"));
        let got = self.insist(async |mount| mount.truncate(&path, size as u64).await).await;
        assert_eq!(got, Ok(()), "truncate");
        self.model.files[file].bytes.resize(size, 0);
        self.unconfirmed = true;
    }

    async fn rename(&mut self) {
        let from = self.path_of(|_| true);
        let to = match self.rng.u8(0..4) {
            0 => self.path_of(|_| true),
            _ => self.new_path(),
        };
        self.rename_one(&from, &to).await;
    }

    async fn rename_one(&mut self, from: &str, to: &str) {
        self.say(format!("mv {from} {to}"));
        let expected = self.model.rename(from, to);
        let got = self.insist(async |mount| mount.mv(from, to).await).await;
        self.agree(expected, got);
    }

    /// Two things trade places through a third name.
    async fn swap(&mut self) {
        let (one, other) = (self.path_of(|_| true), self.path_of(|_| true));
        let third = self.new_path();
        self.rename_one(&one, &third).await;
        self.rename_one(&other, &one).await;
        self.rename_one(&third, &other).await;
    }

    async fn link(&mut self) {
        let (from, to) = (self.path_of(|item| matches!(item, Item::File(_))), self.new_path());
        if matches!(self.model.items.get(&from), Some(Item::Symlink(_))) {
            return;
        }
        self.say(format!("ln {from} {to}"));
        let expected = self.model.link(&from, &to);
        let got = self.insist(async |mount| mount.ln(&from, &to).await).await;
        self.agree(expected, got);
    }

    async fn exchange(&mut self) {
        let (one, other) = (self.path_of(|_| true), self.path_of(|_| true));
        self.say(format!("exchange {one} {other}"));
        let expected = self.model.exchange(&one, &other);
        let got = self.insist(async |mount| mount.exchange(&one, &other).await).await;
        self.agree(expected, got);
    }

    async fn unlink(&mut self) {
        let path = self.path_of(|item| !matches!(item, Item::Directory(_)));
        self.say(format!("rm {path}"));
        let expected = self.model.unlink(&path);
        let got = self.insist(async |mount| mount.rm(&path).await).await;
        self.agree(expected, got);
    }

    async fn mkdir(&mut self) {
        let path = self.new_path();
        self.say(format!("mkdir {path}"));
        let expected = self.model.mkdir(&path);
        let got = self.insist(async |mount| mount.mkdir(&path).await).await;
        self.agree(expected, got);
    }

    async fn rmdir(&mut self) {
        let empty: Vec<String> = self.model.paths(|item| matches!(item, Item::Directory(_)));
        let empty: Vec<&String> = empty.iter().filter(|path| self.model.is_empty(path)).collect();
        let path = match self.rng.choice(&empty) {
            Some(path) if self.rng.u8(0..4) > 0 => (*path).clone(),
            _ => self.path_of(|item| matches!(item, Item::Directory(_))),
        };
        self.say(format!("rmdir {path}"));
        let expected = self.model.rmdir(&path);
        let got = self.insist(async |mount| mount.rmdir(&path).await).await;
        self.agree(expected, got);
    }

    async fn symlink(&mut self) {
        let path = self.new_path();
        self.counter += 1;
        let target = format!("to-{}", self.counter);
        self.say(format!("symlink {path} -> {target}"));
        let expected = self.model.symlink(&path, &target);
        let got = self.insist(async |mount| mount.symlink(&path, &target).await).await;
        self.agree(expected, got);
    }

    async fn chmod(&mut self) {
        let path = self.path_of(|item| !matches!(item, Item::Symlink(_)));
        if matches!(self.model.items.get(&path), Some(Item::Symlink(_))) {
            return;
        }
        let mode = 0o600 + self.rng.u32(0..0o100);
        self.say(format!("chmod {path} {mode:o}"));
        let expected = self.model.chmod(&path, mode);
        let got = self.insist(async |mount| mount.chmod(&path, mode).await).await;
        if self.agree(expected, got).is_some() {
            let value = mode.to_string();
            let set = self.insist(async |mount| mount.set_xattr(&path, MODE_XATTR, value.as_bytes()).await).await;
            assert_eq!(set, Ok(()), "an extended attribute");
        }
    }

    async fn open(&mut self) {
        let path = self.file_path();
        let (writes, append) = (self.rng.bool(), self.rng.bool());
        let mode = if writes { OpenMode { append, ..WRITE } } else { READ };
        self.say(format!("open {path} {mode:?}"));
        let expected = self.model.file(&path).ok_or(Error::NotFound);
        let got = self.insist(async |mount| mount.open(&path, mode).await).await;
        if let Some((file, handle)) = self.agree(expected, got) {
            self.opens.push(Open { handle, file, writes, append: writes && append, wrote: false });
        }
    }

    /// Reads or writes through a handle that was kept.
    async fn use_open(&mut self) {
        if self.opens.is_empty() {
            return;
        }
        let at = self.rng.usize(..self.opens.len());
        let mut open = self.opens.swap_remove(at);
        let content = self.model.files[open.file].bytes.clone();
        match self.rng.u8(0..4) {
            0 | 1 if open.writes => {
                let mut bytes = self.bytes();
                if !self.is_named(open.file) {
                    // What has no name has only the memory.
                    bytes.truncate(100);
                }
                let offset = self.rng.usize(0..=content.len() + 10);
                self.say(format!("write to {:?} at {offset} {}", open.handle, shown(&bytes)));
                self.write_open(&mut open, offset, &bytes).await;
                self.unconfirmed = true;
            }
            2 if open.writes => {
                self.say(format!("fsync {:?}", open.handle));
                let synced = self.insist(async |mount| mount.volume.sync_file(open.handle).await).await;
                assert_eq!(synced, Ok(()), "fsync");
                open.wrote = false;
            }
            _ => {
                self.say(format!("read {:?}", open.handle));
                let read = self.insist(async |mount| mount.read_handle(open.handle).await).await;
                same_bytes("a handle", &read.unwrap(), &content);
            }
        }
        self.opens.push(open);
    }

    async fn close_one(&mut self) {
        if self.opens.is_empty() {
            return;
        }
        let at = self.rng.usize(..self.opens.len());
        let open = self.opens.swap_remove(at);
        self.say(format!("close {:?}", open.handle));
        self.close(open).await;
    }

    fn is_named(&self, file: usize) -> bool {
        self.model.items.values().any(|item| *item == Item::File(file))
    }

    /// The bytes of a file without a name can go nowhere: they would fill the little memory.
    async fn close_unnamed(&mut self) {
        let (named, unnamed) = std::mem::take(&mut self.opens).into_iter().partition(|open| self.is_named(open.file));
        self.opens = named;
        for open in unnamed {
            self.close(open).await;
        }
    }

    async fn settle_and_look(&mut self) {
        self.say("settle".into());
        while !self.opens.is_empty() {
            self.close_one().await;
        }
        self.mount.settle().await;
        self.unconfirmed = false;
        self.compare(&self.mount).await;
        if self.rng.bool() {
            self.say("… and a fresh mount".into());
            // A file that a looker has open stays in the bucket without its name.
            let quiet = self.quiet.clone();
            let _quiet = quiet.write().await;
            self.mount.settle().await;
            let fresh = self.mount.fresh();
            self.compare(&fresh).await;
            fresh.volume.close();
        }
    }

    async fn crash(&mut self) {
        match self.plan.crashes {
            Crashes::Never => return,
            Crashes::Settled => self.settle_and_look().await,
            Crashes::Anytime => {
                while !self.opens.is_empty() {
                    self.close_one().await;
                }
                if self.unconfirmed && !self.plan.writeback {
                    self.settle_and_look().await;
                    return;
                }
                tokio::time::sleep(Duration::from_millis(self.rng.u64(0..300))).await;
            }
        }
        self.say("crash".into());
        self.mount.crash();
    }
}

fn random_path(rng: &mut fastrand::Rng) -> String {
    let depth = rng.usize(1..=DEPTH_MAX);
    let names: Vec<&str> = (0..depth).map(|_| *rng.choice(&NAMES).unwrap()).collect();
    names.join("/")
}
