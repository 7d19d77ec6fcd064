//! The database: an LMDB environment of one file, with the records and what is known of the file itself.
//!
//! Invariants: one user at a time (its owner keeps it behind a lock, and no transaction outlives a call); every
//! transaction is on disk when it is committed; the file is never shorter than the map (it is sparse), and is looked over
//! before it is mapped, so that LMDB never reads past its end.

use crate::encode::{FORMAT, FORMATS_READ};
use crate::fields::{DecodeError, Reader, Writer};
use crate::inspect::{Fault, inspect};
use crate::journal::{Frame, Unreadable, changes};
use crate::open_error::OpenError;
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, MdbError, RwTxn, WithoutTls};
use ossfs_types::Crc64Digest;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The file, in the state directory.
pub(crate) const FILE: &str = "ledger.mdb";

/// A new map, and what maps are multiples of: more than any page of an operating system. The file is sparse.
const MAP_BYTES_MIN: usize = 16 << 20;
/// The largest map: records of some hundred million files, which no memory that loads them has.
pub(crate) const MAP_BYTES_MAX: usize = 64 << 30;

/// LMDB writes up to 64 pages at once.
const FULL_BYTES: u64 = 64 * PAGE_BYTES;
const PAGE_BYTES: u64 = 4 << 10;
const EIO: i32 = rustix::io::Errno::IO.raw_os_error();

/// The key of what is known of the file itself; the keys of records begin with 1 or more.
const META_KEY: &[u8] = &[0];

type Records = Database<'static, Bytes, Bytes>;
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Why the database failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Lmdb(#[from] heed::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("the disk is full")]
    Full,
    #[error("it would have more than {} GiB", MAP_BYTES_MAX >> 30)]
    TooLarge,
    #[error("a commit in the journal is not readable")]
    Journal,
    #[error("a record does not have its checksum")]
    Damaged,
}

impl From<Unreadable> for Failure {
    fn from(_: Unreadable) -> Self {
        Self::Journal
    }
}

impl Failure {
    /// What it means when the file is opened.
    pub(crate) fn at(self, path: &Path) -> OpenError {
        match self {
            Self::Io(error) | Self::Lmdb(heed::Error::Io(error)) => OpenError::of(path, error),
            Self::Full => OpenError::Full { path: path.to_owned() },
            other => OpenError::corrupt(path, other),
        }
    }
}

/// What is known of the file itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Meta {
    identity: String,
    /// The number of the last commit of the journal that is in the database.
    applied: u64,
}

impl Meta {
    /// The format comes first in every format.
    fn encode(&self) -> Vec<u8> {
        let fields = Writer::default().bytes(1, self.identity.as_bytes()).number(2, self.applied).finish();
        [&FORMAT.to_le_bytes(), sealed(META_KEY, &fields).as_slice()].concat()
    }

    fn decode(sealed: &[u8]) -> Result<Self, DecodeError> {
        let fields = opened(META_KEY, sealed).ok_or(DecodeError("what it says it is does not have its checksum"))?;
        let fields = Reader::new(fields, 2)?;
        Ok(Self { identity: fields.text(1)?.to_owned(), applied: fields.number(2)? })
    }
}

/// A value with its checksum, and its key's: what is deleted by it is not to be guessed from bytes that rotted.
fn sealed(key: &[u8], value: &[u8]) -> Vec<u8> {
    [value, &checksum(key, value)].concat()
}

/// The value in what was sealed, if it is whole.
fn opened<'a>(key: &[u8], sealed: &'a [u8]) -> Option<&'a [u8]> {
    let (value, found) = sealed.split_last_chunk::<8>()?;
    (*found == checksum(key, value)).then_some(value)
}

fn checksum(key: &[u8], value: &[u8]) -> [u8; 8] {
    let mut digest = Crc64Digest::new();
    digest.update(key);
    digest.update(value);
    digest.value().to_u64().to_le_bytes()
}

/// The database.
#[derive(Debug)]
pub(crate) struct Environment {
    env: Env<WithoutTls>,
    records: Records,
    path: PathBuf,
    map_bytes: usize,
    meta: Meta,
}

impl Environment {
    /// Opens the database of a state directory, made if it is not there. Refuses what is not of this identity.
    pub(crate) fn open(directory: &Path, identity: &str) -> Result<Self, OpenError> {
        let path = directory.join(FILE);
        let file_bytes = inspected(&path)?;
        let map_bytes = usize::try_from(file_bytes)
            .ok()
            .map(|bytes| bytes.next_multiple_of(MAP_BYTES_MIN).max(MAP_BYTES_MIN))
            .filter(|bytes| *bytes <= MAP_BYTES_MAX)
            .ok_or_else(|| OpenError::corrupt(&path, format!("it has {file_bytes} bytes")))?;
        let failed = |error: heed::Error| Failure::from(error).at(&path);
        let env = open_env(&path, map_bytes).map_err(failed)?;
        let records = open_records(&env).map_err(failed)?;
        let fresh = Meta { identity: identity.to_owned(), applied: 0 };
        let found = read_meta(&env, records, &path)?;
        let is_current = matches!(found, Some((FORMAT, _)));
        let meta = found.map_or(fresh, |(_, meta)| meta);
        let mut environment = Self { env, records, path, map_bytes, meta };
        if environment.meta.identity != identity {
            let (path, found) = (directory.to_owned(), environment.meta.identity);
            return Err(OpenError::AnotherBucket { path, found, wanted: identity.to_owned() });
        }
        let made = environment.extend_file(map_bytes).map_err(Failure::from);
        // Every transaction writes what is known of the file, and so its format.
        let made = made.and_then(|()| if is_current { Ok(()) } else { environment.apply(&[]).map(drop) });
        made.map_err(|failure| failure.at(&environment.path))?;
        Ok(environment)
    }

    /// The number of the last commit of the journal that is in the database.
    pub(crate) fn applied(&self) -> u64 {
        self.meta.applied
    }

    /// Takes commits from the journal that are not in the database yet, in one transaction, and gives the number of the
    /// last one that is. Ends at a gap.
    pub(crate) fn apply(&mut self, frames: &[Frame<'_>]) -> Result<u64, Failure> {
        loop {
            match self.try_apply(frames) {
                Err(Failure::Lmdb(heed::Error::Mdb(MdbError::MapFull))) => self.grow()?,
                // LMDB says so when a write was cut short, which is what a full disk does to it.
                Err(Failure::Lmdb(heed::Error::Io(error))) if error.raw_os_error() == Some(EIO) => {
                    return Err(if is_full(&self.path) { Failure::Full } else { Failure::Io(error) });
                }
                done => return done,
            }
        }
    }

    fn try_apply(&mut self, frames: &[Frame<'_>]) -> Result<u64, Failure> {
        let mut transaction = self.env.write_txn()?;
        let mut meta = self.meta.clone();
        for (number, bytes) in frames {
            if *number <= meta.applied {
                continue;
            }
            if *number != meta.applied + 1 {
                break;
            }
            self.put(&mut transaction, bytes)?;
            meta.applied = *number;
        }
        self.records.put(&mut transaction, META_KEY, &meta.encode())?;
        transaction.commit()?;
        self.meta = meta;
        Ok(self.meta.applied)
    }

    fn put(&self, transaction: &mut RwTxn<'_>, bytes: &[u8]) -> Result<(), Failure> {
        for change in changes(bytes) {
            match change? {
                (key, Some(record)) => self.records.put(transaction, key, &sealed(key, record))?,
                (key, None) => drop(self.records.delete(transaction, key)?),
            }
        }
        Ok(())
    }

    /// Doubles the map.
    #[expect(unsafe_code, reason = "LMDB maps its file; see the invariant")]
    fn grow(&mut self) -> Result<(), Failure> {
        let map_bytes = self.map_bytes.saturating_mul(2);
        if map_bytes > MAP_BYTES_MAX {
            return Err(Failure::TooLarge);
        }
        self.extend_file(map_bytes)?;
        // SAFETY: no transaction is open: `self` is borrowed alone, and none outlives a call.
        unsafe { self.env.resize(map_bytes)? };
        self.map_bytes = map_bytes;
        Ok(())
    }

    /// Makes the file as long as a map.
    fn extend_file(&self, map_bytes: usize) -> std::io::Result<()> {
        let file = std::fs::OpenOptions::new().write(true).open(&self.path)?;
        if file.metadata()?.len() < map_bytes as u64 {
            file.set_len(map_bytes as u64)?;
        }
        Ok(())
    }

    /// Writes whatever bytes, as another version would.
    #[cfg(test)]
    pub(crate) fn write_raw(&self, pairs: &[(Vec<u8>, Vec<u8>)]) {
        let mut transaction = self.env.write_txn().unwrap();
        for (key, value) in pairs {
            self.records.put(&mut transaction, key, value).unwrap();
        }
        transaction.commit().unwrap();
    }

    /// The bytes at a key.
    #[cfg(test)]
    pub(crate) fn read_raw(&self, key: &[u8]) -> Vec<u8> {
        let transaction = self.env.read_txn().unwrap();
        self.records.get(&transaction, key).unwrap().unwrap().to_owned()
    }

    /// All records, in the order of their keys.
    pub(crate) fn load(&self) -> Result<Pairs, Failure> {
        let transaction = self.env.read_txn()?;
        let mut pairs = Vec::new();
        for pair in self.records.iter(&transaction)? {
            let (key, record) = pair?;
            if key != META_KEY {
                let record = opened(key, record).ok_or(Failure::Damaged)?;
                pairs.push((key.to_owned(), record.to_owned()));
            }
        }
        Ok(pairs)
    }
}

/// Whether the disk of a file has no room for what LMDB writes at once.
fn is_full(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < FULL_BYTES)
}

/// The length of the file, if LMDB can read it; 0 if there is none.
fn inspected(path: &Path) -> Result<u64, OpenError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(OpenError::of(path, error)),
    };
    let file_bytes = file.metadata().map_err(|error| OpenError::of(path, error))?.len();
    if file_bytes > 0 {
        inspect(&file).map_err(|fault| match fault {
            Fault::Io(error) => OpenError::of(path, error),
            fault => OpenError::corrupt(path, fault),
        })?;
    }
    Ok(file_bytes)
}

#[expect(unsafe_code, reason = "LMDB maps its file into memory, and that is what makes opening unsafe")]
fn open_env(path: &Path, map_bytes: usize) -> heed::Result<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(map_bytes);
    // SAFETY: NO_LOCK asks for one user at a time: other processes are kept out by the lock of the state directory, and
    // threads by the invariant of this module. NO_SUB_DIR is about the file's name alone. Opening asks that nobody else
    // changes the file while it is mapped: again the lock, in a directory that is this user's alone.
    unsafe {
        options.flags(EnvFlags::NO_SUB_DIR | EnvFlags::NO_LOCK);
        options.open(path)
    }
}

fn open_records(env: &Env<WithoutTls>) -> heed::Result<Records> {
    let opened = env.open_databases_and_commit(env.read_txn()?, |opener, transaction| {
        opener.open_database::<Bytes, Bytes>(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
    })?;
    // LMDB always has the database without a name.
    match opened {
        CommitOrAbort::Commit(Some(records)) => Ok(records),
        CommitOrAbort::Commit(None) | CommitOrAbort::Abort(()) => Err(heed::Error::Mdb(MdbError::Invalid)),
    }
}

/// The format of the file and what is known of it; `None` if it is empty.
fn read_meta(env: &Env<WithoutTls>, records: Records, path: &Path) -> Result<Option<(u32, Meta)>, OpenError> {
    let failed = |error: heed::Error| Failure::from(error).at(path);
    let transaction = env.read_txn().map_err(failed)?;
    let Some(bytes) = records.get(&transaction, META_KEY).map_err(failed)? else {
        let empty = records.is_empty(&transaction).map_err(failed)?;
        return if empty { Ok(None) } else { Err(OpenError::corrupt(path, "it does not say what it is")) };
    };
    let (format, fields) =
        bytes.split_first_chunk::<4>().ok_or_else(|| OpenError::corrupt(path, "it has no format"))?;
    match u32::from_le_bytes(*format) {
        format if FORMATS_READ.contains(&format) => {
            let meta = Meta::decode(fields).map_err(|error| OpenError::corrupt(path, error))?;
            Ok(Some((format, meta)))
        }
        0 => Err(OpenError::corrupt(path, "it has no format")),
        found => Err(OpenError::Newer { path: path.to_owned(), found, known: FORMAT }),
    }
}
