//! The journal: commits that are not in the database yet, one after the other, in two files that take turns.
//!
//! A commit is one `write`, which survives the end of the process, and `fdatasync` makes it survive a power loss. LMDB
//! alone gives no such pair: without its own syncs a power loss may leave its pages and its root in any mixture, and
//! what was synced before is lost with them.
//!
//! A commit is a frame: length, CRC-64 of what follows, number, changes. Numbers go up by one. A file ends where
//! a frame is not whole or not the next: what follows is of a write that failed, or of the file's turn before.

use crate::encode::{KEY_BYTES_MAX, encode_key, encode_record};
use crate::schema::Change;
use ossfs_types::Crc64;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// The files, in the state directory.
pub(crate) const FILES: [&str; 2] = ["journal-0", "journal-1"];

const HEAD_BYTES: usize = 4 + 8 + 8;
/// Stands for the length of a record that is removed.
const REMOVED: u32 = u32::MAX;

/// A commit that was read: its number and its changes.
pub(crate) type Frame<'a> = (u64, &'a [u8]);

/// The journal that is written to.
#[derive(Debug)]
pub(crate) struct Journal {
    files: [Arc<File>; 2],
    current: usize,
    length: u64,
    last: u64,
}

/// A file whose turn is over, and the number of the last commit in it.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) file: Arc<File>,
    pub(crate) last: u64,
}

impl Journal {
    /// The journal in two empty files, after commit number `last`.
    pub(crate) fn new(files: [File; 2], last: u64) -> Self {
        Self { files: files.map(Arc::new), current: 0, length: 0, last }
    }

    /// Appends a commit. After a failure the next one is written in its place.
    pub(crate) fn append(&mut self, mut frame: Vec<u8>) -> io::Result<()> {
        let number = self.last + 1;
        let length = u32::try_from(frame.len() - HEAD_BYTES)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a commit has 4 GiB or more"))?;
        frame[..4].copy_from_slice(&length.to_le_bytes());
        frame[12..HEAD_BYTES].copy_from_slice(&number.to_le_bytes());
        let checksum = Crc64::of(&frame[12..]).to_u64();
        frame[4..12].copy_from_slice(&checksum.to_le_bytes());
        self.files[self.current].write_all_at(&frame, self.length)?;
        self.length += frame.len() as u64;
        self.last = number;
        Ok(())
    }

    /// Goes on in the other file, which must be empty; `None` if this one is.
    pub(crate) fn rotate(&mut self) -> Option<Frozen> {
        if self.length == 0 {
            return None;
        }
        let frozen = Frozen { file: self.files[self.current].clone(), last: self.last };
        self.current = 1 - self.current;
        self.length = 0;
        Some(frozen)
    }

    /// The file that is written to.
    pub(crate) fn file(&self) -> Arc<File> {
        self.files[self.current].clone()
    }

    /// Bytes in that file.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The number of the last commit.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }
}

/// Opens a file of the journal, made if it is not there.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// The whole of a file.
pub(crate) fn read(file: &File) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// The changes of a commit as the frame to append; `None` if a key is too long.
pub(crate) fn frame(changes: &[Change]) -> Option<Vec<u8>> {
    let mut bytes = vec![0; HEAD_BYTES];
    for change in changes {
        let key = encode_key(&change.key);
        let key_length = u16::try_from(key.len()).ok().filter(|_| key.len() <= KEY_BYTES_MAX)?;
        bytes.extend_from_slice(&key_length.to_le_bytes());
        bytes.extend_from_slice(&key);
        let Some(record) = &change.record else {
            bytes.extend_from_slice(&REMOVED.to_le_bytes());
            continue;
        };
        let record = encode_record(record);
        let length = u32::try_from(record.len()).ok().filter(|length| *length != REMOVED)?;
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&record);
    }
    Some(bytes)
}

/// The commits in a file, up to the first that is not whole or not the next.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<Frame<'_>> {
    let mut frames: Vec<Frame<'_>> = Vec::new();
    while let Some((frame, rest)) = split_frame(bytes) {
        if frames.last().is_some_and(|(last, _)| last.checked_add(1) != Some(frame.0)) {
            break;
        }
        frames.push(frame);
        bytes = rest;
    }
    frames
}

fn split_frame(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (expected, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (sealed, rest) = rest.split_at_checked(length.checked_add(8)?)?;
    let (number, changes) = sealed.split_first_chunk::<8>()?;
    let whole = Crc64::of(sealed).to_u64() == u64::from_le_bytes(*expected);
    whole.then_some(((u64::from_le_bytes(*number), changes), rest))
}

/// The changes of a commit, keys and records as bytes; `None` stands for a record that is removed. It ends with `Err` if
/// the bytes are no changes.
pub(crate) fn changes(mut bytes: &[u8]) -> impl Iterator<Item = Result<(&[u8], Option<&[u8]>), Unreadable>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let Some((change, rest)) = split_change(bytes) else {
            bytes = &[];
            return Some(Err(Unreadable));
        };
        bytes = rest;
        Some(Ok(change))
    })
}

/// Bytes are no changes.
#[derive(Debug)]
pub(crate) struct Unreadable;

type ChangeBytes<'a> = (&'a [u8], Option<&'a [u8]>);

fn split_change(bytes: &[u8]) -> Option<(ChangeBytes<'_>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (key, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    if length == REMOVED {
        return Some(((key, None), rest));
    }
    let (record, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some(((key, Some(record)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{NodeId, Record, RecordKey};
    use proptest::prelude::*;

    fn change(name: &str) -> Change {
        Change { key: RecordKey::Name(NodeId::ROOT, name.into()), record: Some(Record::Name(NodeId(2))) }
    }

    fn journal() -> Journal {
        Journal::new([tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()], 6)
    }

    #[test]
    fn what_was_appended_is_read_up_to_where_it_is_cut() {
        let mut journal = journal();
        let mut ends = vec![0];
        for name in ["a", "b", "c"] {
            journal.append(frame(&[change(name)]).unwrap()).unwrap();
            ends.push(journal.length());
        }
        let bytes = read(&journal.file()).unwrap();
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end > 0 && **end <= cut as u64).count();
            let numbers: Vec<_> = frames(&bytes[..cut]).iter().map(|(number, _)| *number).collect();
            assert_eq!(numbers, (7..).take(whole).collect::<Vec<_>>(), "{cut}");
        }
    }

    #[test]
    fn what_is_left_of_an_earlier_turn_is_not_read() {
        let mut journal = journal();
        for name in ["a", "b"] {
            journal.append(frame(&[change(name)]).unwrap()).unwrap();
        }
        let first = journal.rotate().unwrap();
        assert_eq!(first.last, 8);
        journal.append(frame(&[change("c")]).unwrap()).unwrap();
        // The truncation did not reach the disk.
        assert_eq!(journal.rotate().unwrap().last, 9);
        journal.append(frame(&[change("d")]).unwrap()).unwrap();
        let bytes = read(&first.file).unwrap();
        assert_eq!(frames(&bytes).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [10]);
        assert_eq!(bytes.len() as u64, 2 * journal.length());
    }

    #[test]
    fn a_full_disk_is_an_error_and_takes_no_number() {
        let full = || OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
        let mut journal = Journal::new([full(), full()], 0);
        let error = journal.append(frame(&[change("a")]).unwrap()).unwrap_err();
        assert_eq!((error.kind(), journal.last(), journal.length()), (io::ErrorKind::StorageFull, 0, 0));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(noise in proptest::collection::vec(any::<u8>(), 0..99)) {
            frames(&noise);
            prop_assert!(changes(&noise).count() <= noise.len());
        }
    }
}
