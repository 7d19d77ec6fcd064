//! The ledger on disk: a journal of commits in front of an LMDB database.
//!
//! A commit is appended to the journal, which survives the end of the process at once and a power loss after a sync: the
//! next [`Ledger::sync`], or that of a thread of its own within [`SYNC_INTERVAL`]. The thread moves the journal into the
//! database when it has grown, and so do loading, closing and opening.
//!
//! A commit may name bytes that are staged: before commits are synced, whatever was staged before them is.
//!
//! Locks are taken in the order `disk`, `journal`. The journal's is held for one write, the disk's as long as the disk
//! takes, so commits never wait for the disk (but for the bound of the journal).

use crate::api::{Ledger, LedgerError, Result};
use crate::encode::{decode_key, decode_record};
use crate::environment::{Environment, FILE, Failure};
use crate::journal::{self, Frozen, Journal};
use crate::open_error::OpenError;
use crate::schema::{Change, Record, RecordKey};
use crate::staging::{DirectoryMedium, Staging};
use crate::state_directory::StateDirectory;
use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A commit is on disk after this time at the latest.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Where bytes are staged, in the state directory.
const STAGING_DIRECTORY: &str = "staging";

/// A journal of this size is moved into the database: some ten thousand commits, read again in milliseconds.
const CHECKPOINT_BYTES: u64 = 4 << 20;
/// A commit to a journal of this size waits until the journal is in the database, or fails with it.
const JOURNAL_BYTES_MAX: u64 = 64 << 20;
const _: () = assert!(CHECKPOINT_BYTES < JOURNAL_BYTES_MAX);

/// The ledger on disk. What was committed survives the end of the process.
#[derive(Debug)]
pub struct LmdbLedger {
    shared: Arc<Shared>,
    syncer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    disk: Mutex<Disk>,
    journal: Mutex<Writing>,
    /// With `journal`: there is something to sync, or the end.
    wake: Condvar,
    /// Synced before the commits that name what is in it.
    staging: Arc<Staging>,
    /// Locked as long as this lives.
    _directory: StateDirectory,
}

#[derive(Debug)]
struct Disk {
    environment: Environment,
    /// The number of the last commit that survives a power loss.
    synced: u64,
    /// A sync of the journal failed: what of it is on disk is not known.
    doubted: bool,
    /// What is being moved into the database.
    frozen: Option<Frozen>,
}

#[derive(Debug)]
struct Writing {
    journal: Journal,
    /// When the oldest commit was made that the thread has not taken notice of.
    since: Option<Instant>,
    closing: bool,
}

impl LmdbLedger {
    /// Opens the ledger of a state directory, made if there is none. `identity` tells whose records they are: the bucket,
    /// the prefix and the endpoint. Bytes are staged in the same directory.
    pub fn open(directory: &StateDirectory, identity: &str) -> Result<Self, OpenError> {
        let staging = directory.path().join(STAGING_DIRECTORY);
        Self::open_staging(directory, identity, &staging, 0)
    }

    /// The same, with bytes staged in a directory that no other mount uses, as long as so many bytes stay free there.
    pub fn open_staging(
        directory: &StateDirectory,
        identity: &str,
        staging: &Path,
        keep_free: u64,
    ) -> Result<Self, OpenError> {
        let at = directory.path();
        refuse_journal_without_database(at)?;
        let mut environment = Environment::open(at, identity)?;
        let files = recover(at, &mut environment)?;
        let synced = environment.applied();
        let medium = DirectoryMedium::open(staging)?;
        let staging = Staging::open(medium, keep_free).map_err(|error| OpenError::of(staging, error))?;
        let writing = Writing { journal: Journal::new(files, synced), since: None, closing: false };
        let shared = Arc::new(Shared {
            path: at.to_owned(),
            disk: Mutex::new(Disk { environment, synced, doubted: false, frozen: None }),
            journal: Mutex::new(writing),
            wake: Condvar::new(),
            staging: Arc::new(staging),
            _directory: directory.clone(),
        });
        let syncer = std::thread::Builder::new().name("ossfs-ledger".to_owned()).spawn({
            let shared = shared.clone();
            move || shared.sync_in_time()
        });
        let syncer = syncer.map_err(|error| OpenError::of(at, error))?;
        Ok(Self { shared, syncer: Some(syncer) })
    }
}

/// A journal belongs to its database, and would be lost in a new one.
fn refuse_journal_without_database(directory: &Path) -> Result<(), OpenError> {
    let length = |name: &str| directory.join(name).metadata().map_or(0, |metadata| metadata.len());
    let journal = journal::FILES.iter().any(|name| length(name) > 0);
    if journal && length(FILE) == 0 {
        return Err(OpenError::corrupt(&directory.join(FILE), "it is empty or missing, and its journal is there"));
    }
    Ok(())
}

/// Moves what is in the journal into the database, and gives the files of the journal, empty.
fn recover(directory: &Path, environment: &mut Environment) -> Result<[File; 2], OpenError> {
    let mut files = Vec::new();
    for name in journal::FILES {
        let path = directory.join(name);
        let opened = journal::open(&path).and_then(|file| Ok((journal::read(&file)?, file)));
        files.push(opened.map_err(|error| OpenError::of(&path, error))?);
    }
    let mut turns: Vec<_> = files.iter().map(|(bytes, _)| journal::frames(bytes)).collect();
    turns.sort_by_key(|frames| frames.first().map(|(number, _)| *number));
    let frames = turns.concat();
    if !frames.is_empty() {
        environment.apply(&frames).map_err(|failure| failure.at(&directory.join(FILE)))?;
    }
    // What was left out because of a gap must never be taken for what comes next: gone from the disk before that is made.
    let empty =
        |file: &File| if file.metadata()?.len() > 0 { file.set_len(0).and_then(|()| file.sync_all()) } else { Ok(()) };
    for ((_, file), name) in files.iter().zip(journal::FILES) {
        empty(file).map_err(|error| OpenError::of(&directory.join(name), error))?;
    }
    // The names of the files.
    File::open(directory).and_then(|file| file.sync_all()).map_err(|error| OpenError::of(directory, error))?;
    let [(_, one), (_, other)] = files.try_into().unwrap_or_else(|_| unreachable!("a file was opened for each name"));
    Ok([one, other])
}

impl Ledger for LmdbLedger {
    fn commit(&self, changes: &[Change]) -> Result<()> {
        let frame = journal::frame(changes).ok_or_else(|| LedgerError("a key or a record is too long".to_owned()))?;
        self.shared.make_room()?;
        let mut writing = self.shared.writing();
        writing.journal.append(frame).map_err(|error| self.shared.failed("writing the journal", error))?;
        let waiting = writing.since.is_some() && writing.journal.length() < CHECKPOINT_BYTES;
        writing.since.get_or_insert_with(Instant::now);
        if !waiting {
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let wanted = self.shared.writing().journal.last();
        // Whoever waits here finds its commits synced with those of the one before.
        let mut disk = self.shared.disk();
        if disk.synced >= wanted { Ok(()) } else { self.shared.sync(&mut disk) }
    }

    fn sync_waits(&self) -> bool {
        true
    }

    fn staging(&self) -> &Arc<Staging> {
        &self.shared.staging
    }

    fn load(&self) -> Result<Vec<(RecordKey, Record)>> {
        let mut disk = self.shared.disk();
        self.shared.checkpoint_all(&mut disk)?;
        let pairs = disk.environment.load().map_err(|error| self.shared.failed("reading it", error))?;
        let decoded = pairs.iter().map(|(key, record)| {
            let key = decode_key(key)?;
            let record = decode_record(&key, record)?;
            Ok((key, record))
        });
        let decoded: Result<_, crate::fields::DecodeError> = decoded.collect();
        decoded.map_err(|error| self.shared.failed("reading a record", error))
    }
}

impl Drop for LmdbLedger {
    fn drop(&mut self) {
        self.shared.writing().closing = true;
        self.shared.wake.notify_one();
        if let Some(syncer) = self.syncer.take() {
            // A thread that panicked has said so.
            let _ = syncer.join();
        }
    }
}

impl Shared {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, doing: &str, error: impl Display) -> LedgerError {
        LedgerError(format!("{doing} in {}: {error}", self.path.display()))
    }

    /// Makes all commits survive a power loss.
    fn sync(&self, disk: &mut Disk) -> Result<()> {
        if disk.doubted {
            // The kernel says once that bytes did not reach the disk, and then forgets it. The database gets all of them.
            self.checkpoint_all(disk)?;
            disk.doubted = false;
            return Ok(());
        }
        let (file, last) = {
            let writing = self.writing();
            (writing.journal.file(), writing.journal.last())
        };
        if disk.synced >= last {
            return Ok(());
        }
        // What these commits name was staged before them, and so before this.
        self.sync_staging()?;
        let frozen = disk.frozen.as_ref().map_or(Ok(()), |frozen| frozen.file.sync_data());
        if let Err(error) = frozen.and_then(|()| file.sync_data()) {
            disk.doubted = true;
            return Err(self.failed("syncing the journal", error));
        }
        disk.synced = last;
        Ok(())
    }

    fn sync_staging(&self) -> Result<()> {
        self.staging.sync().map_err(|error| self.failed("syncing what is staged", error))
    }

    /// Moves a turn of the journal into the database; the one that was begun before, if there is one.
    fn checkpoint(&self, disk: &mut Disk) -> Result<()> {
        if disk.frozen.is_none() {
            disk.frozen = self.writing().journal.rotate();
        }
        let Some(frozen) = &disk.frozen else { return Ok(()) };
        self.sync_staging()?;
        let bytes = journal::read(&frozen.file).map_err(|error| self.failed("reading the journal", error))?;
        let applied = disk.environment.apply(&journal::frames(&bytes));
        match applied.map_err(|error| self.failed("writing the database", error))? {
            applied if applied >= frozen.last => {}
            _ => return Err(self.failed("reading the journal", Failure::Journal)),
        }
        frozen.file.set_len(0).map_err(|error| self.failed("emptying the journal", error))?;
        disk.synced = disk.synced.max(frozen.last);
        disk.frozen = None;
        Ok(())
    }

    /// Moves all commits into the database.
    fn checkpoint_all(&self, disk: &mut Disk) -> Result<()> {
        if disk.frozen.is_some() {
            self.checkpoint(disk)?;
        }
        self.checkpoint(disk)
    }

    /// Keeps the journal within its bound.
    fn make_room(&self) -> Result<()> {
        if self.writing().journal.length() < JOURNAL_BYTES_MAX {
            return Ok(());
        }
        self.checkpoint_all(&mut self.disk())
    }

    /// The thread: syncs in time what was committed, moves the journal when it has grown, and all of it at the end.
    fn sync_in_time(&self) {
        let mut failed = false;
        while let Some(length) = self.next_turn(failed) {
            let mut disk = self.disk();
            let done = if length < CHECKPOINT_BYTES { self.sync(&mut disk) } else { self.checkpoint_all(&mut disk) };
            // Failures are told to whoever syncs.
            failed = done.is_err();
        }
        // What fails is in the journal.
        let _ = self.checkpoint_all(&mut self.disk());
    }

    /// Waits until something is to be done, and gives the length of the journal; `None` at the end. What failed is tried
    /// again after the interval.
    fn next_turn(&self, failed: bool) -> Option<u64> {
        let mut writing = self.writing();
        if failed {
            writing.since.get_or_insert_with(Instant::now);
        }
        loop {
            if writing.closing {
                return None;
            }
            let length = writing.journal.length();
            let left = writing.since.map(|since| SYNC_INTERVAL.saturating_sub(since.elapsed()));
            writing = match left {
                Some(left) if left.is_zero() || (length >= CHECKPOINT_BYTES && !failed) => {
                    writing.since = None;
                    return Some(length);
                }
                Some(left) => self.wake.wait_timeout(writing, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.wake.wait(writing).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

#[cfg(test)]
mod tests;
