//! What objects' metadata said, kept from one mount to the next and thrown away at the least doubt.
//!
//! It is one file, written when a mount ends and taken away when the next one has read it: a mount that was killed leaves
//! none. Nothing is lost with it but time. Whoever uses an entry first sees in a listing that its object is still the same.

use crate::encode::{decode_attributes, decode_ident, encode_attributes, encode_ident, kind_number, kind_of};
use crate::fields::{DecodeError, Reader, Writer};
use crate::schema::Ident;
use crate::state_directory::StateDirectory;
use ossfs_types::{Attributes, Crc64Digest, FileKind, Key};
use std::fmt::Debug;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

const FILE: &str = "attributes.cache";
/// What the file begins with; another format is another beginning.
const BEGINNING: &[u8] = b"ossfs attributes 1\n";
/// Largest file, and so most memory for what was read: some 60,000 entries.
const BYTES_MAX: usize = 16 << 20;
const CHECKSUM_BYTES: usize = 8;

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedAttributes {
    /// Where it is.
    pub key: Key,
    /// Which object it is that this is known of.
    pub ident: Ident,
    /// What it is.
    pub kind: FileKind,
    /// Bytes, as they are shown.
    pub size: u64,
    /// Its attributes.
    pub attributes: Attributes,
    /// Where a symlink points, if that is known.
    pub target: Option<Arc<[u8]>>,
    /// Whether its metadata hold nothing else.
    pub is_plain: bool,
}

/// Keeps what is known of objects from one mount to the next. What can't be kept is lost, which costs requests alone.
pub trait AttributeCache: Send + Sync + Debug {
    /// What was kept, if it is of the same identity: of the bucket and of all that shows in attributes. It is kept no longer.
    fn take(&self, identity: &str) -> Vec<CachedAttributes>;

    /// Keeps this, as much of it as there is room for; the first of it before the rest.
    fn keep(&self, identity: &str, entries: &mut dyn Iterator<Item = CachedAttributes>);
}

/// Keeps it in memory.
#[derive(Debug, Default)]
pub struct MemoryCache(Mutex<Vec<u8>>);

impl AttributeCache for MemoryCache {
    fn take(&self, identity: &str) -> Vec<CachedAttributes> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        decode(identity, &bytes).unwrap_or_default()
    }

    fn keep(&self, identity: &str, entries: &mut dyn Iterator<Item = CachedAttributes>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = encode(identity, entries, BYTES_MAX);
    }
}

/// Keeps it in a file of a state directory.
#[derive(Debug)]
pub struct FileCache {
    path: PathBuf,
    _directory: StateDirectory,
}

impl FileCache {
    /// In this directory.
    pub fn new(directory: &StateDirectory) -> Self {
        Self { path: directory.path().join(FILE), _directory: directory.clone() }
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&self.path)?;
        let mut bytes = Vec::new();
        file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        let written = file.write_all(bytes).and_then(|()| fs::rename(&new, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }
}

impl AttributeCache for FileCache {
    fn take(&self, identity: &str) -> Vec<CachedAttributes> {
        let bytes = self.read().unwrap_or_default();
        // From here on what is known changes; if that can't be written, it must not be believed.
        match fs::remove_file(&self.path) {
            Ok(()) => decode(identity, &bytes).unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    fn keep(&self, identity: &str, entries: &mut dyn Iterator<Item = CachedAttributes>) {
        // It can be had again from the bucket: a disk that is full needs no more words.
        let _ = self.write(&encode(identity, entries, BYTES_MAX));
    }
}

fn encode(identity: &str, entries: &mut dyn Iterator<Item = CachedAttributes>, bytes_max: usize) -> Vec<u8> {
    let mut bytes = BEGINNING.to_vec();
    push(&mut bytes, identity.as_bytes());
    for entry in entries {
        let fields = encode_entry(&entry);
        if bytes.len() + fields.len() + size_of::<u32>() + CHECKSUM_BYTES > bytes_max {
            break;
        }
        push(&mut bytes, &fields);
    }
    let checksum = checksum(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

fn push(bytes: &mut Vec<u8>, value: &[u8]) {
    let length = u32::try_from(value.len()).expect("a key, a target and some numbers are short");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(value);
}

fn decode(identity: &str, bytes: &[u8]) -> Result<Vec<CachedAttributes>, DecodeError> {
    let damaged = DecodeError("the cache of attributes is damaged");
    let (content, found) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(damaged)?;
    if bytes.len() > BYTES_MAX || *found != checksum(content) {
        return Err(damaged);
    }
    let mut rest = content.strip_prefix(BEGINNING).ok_or(DecodeError("the cache of attributes has another format"))?;
    let mut next = || -> Result<Option<&[u8]>, DecodeError> {
        if rest.is_empty() {
            return Ok(None);
        }
        let (length, after) = rest.split_first_chunk::<4>().ok_or(damaged)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| damaged)?;
        let (value, after) = after.split_at_checked(length).ok_or(damaged)?;
        rest = after;
        Ok(Some(value))
    };
    if next()? != Some(identity.as_bytes()) {
        return Err(DecodeError("the cache of attributes is of something else"));
    }
    let mut entries = Vec::new();
    while let Some(fields) = next()? {
        entries.push(decode_entry(fields)?);
    }
    Ok(entries)
}

fn encode_entry(entry: &CachedAttributes) -> Vec<u8> {
    Writer::default()
        .bytes(1, entry.key.as_str().as_bytes())
        .bytes(2, &encode_ident(&entry.ident))
        .number(3, kind_number(entry.kind))
        .number(4, entry.size)
        .bytes(5, &encode_attributes(&entry.attributes))
        .optional(6, entry.target.as_deref())
        .optional(7, entry.is_plain.then_some([]))
        .finish()
}

fn decode_entry(bytes: &[u8]) -> Result<CachedAttributes, DecodeError> {
    let fields = Reader::new(bytes, 7)?;
    Ok(CachedAttributes {
        key: Key::from_bytes(fields.bytes(1)?).map_err(|_| DecodeError("a key of an object is none"))?,
        ident: decode_ident(fields.bytes(2)?)?,
        kind: kind_of(fields.number(3)?)?,
        size: fields.number(4)?,
        attributes: decode_attributes(fields.bytes(5)?)?,
        target: fields.optional(6).map(Into::into),
        is_plain: fields.optional(7).is_some(),
    })
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut digest = Crc64Digest::new();
    digest.update(bytes);
    digest.value().to_u64().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ossfs_types::{ETag, Timestamp};

    fn entry(name: &str) -> CachedAttributes {
        let time = Timestamp::from_second(1_700_000_000).unwrap();
        let etag = ETag::parse("ABC").unwrap();
        CachedAttributes {
            key: Key::parse(name).unwrap(),
            ident: Ident { etag, size: 3, crc64: None, last_modified: Some(time) },
            kind: FileKind::Symlink,
            size: 7,
            attributes: Attributes { mode: 0o640, uid: 1, gid: 2, atime: time, mtime: time, ctime: time, rdev: 0 },
            target: Some(b"target"[..].into()),
            is_plain: true,
        }
    }

    fn entries(count: usize) -> Vec<CachedAttributes> {
        (0..count).map(|number| entry(&format!("d/{number:04}"))).collect()
    }

    fn in_folder() -> (tempfile::TempDir, FileCache) {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::lock(folder.path()).unwrap();
        let cache = FileCache::new(&directory);
        (folder, cache)
    }

    #[test]
    fn what_is_kept_is_taken_once() {
        let (_folder, file) = in_folder();
        let caches: [&dyn AttributeCache; 2] = [&MemoryCache::default(), &file];
        for cache in caches {
            assert_eq!(cache.take("b"), []);
            cache.keep("b", &mut entries(3).into_iter());
            assert_eq!(cache.take("b"), entries(3));
            assert_eq!(cache.take("b"), [], "a process that is killed leaves none");
            cache.keep("b", &mut entries(1).into_iter());
            assert_eq!(cache.take("other"), []);
            assert_eq!(cache.take("b"), [], "it was of something else, and is gone");
        }
    }

    #[test]
    fn damage_of_any_byte_and_any_cut_throws_it_away() {
        let bytes = encode("b", &mut entries(2).into_iter(), BYTES_MAX);
        assert_eq!(decode("b", &bytes).unwrap(), entries(2));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            assert!(decode("b", &damaged).is_err(), "{at}");
            assert!(decode("b", &bytes[..at]).is_err(), "{at}");
        }
        // Nonsense with a good checksum is no entry either.
        let mut nonsense = bytes[..bytes.len() - CHECKSUM_BYTES].to_vec();
        nonsense.extend_from_slice(&[255; 9]);
        let sum = checksum(&nonsense);
        nonsense.extend_from_slice(&sum);
        assert!(decode("b", &nonsense).is_err());
    }

    #[test]
    fn it_has_a_bound() {
        let one = encode("b", &mut entries(1).into_iter(), BYTES_MAX).len();
        let bytes = encode("b", &mut entries(1000).into_iter(), one * 3);
        assert!(bytes.len() <= one * 3);
        let kept = decode("b", &bytes).unwrap();
        assert!(kept.len() > 2 && kept[..] == entries(1000)[..kept.len()]);
    }

    #[test]
    fn a_directory_that_cannot_be_written_or_a_link_in_its_place_is_no_cache() {
        let (folder, cache) = in_folder();
        let other = folder.path().join("other");
        fs::write(&other, encode("b", &mut entries(1).into_iter(), BYTES_MAX)).unwrap();
        std::os::unix::fs::symlink(&other, folder.path().join(FILE)).unwrap();
        assert_eq!(cache.take("b"), []);
        fs::create_dir(folder.path().join("attributes.new")).unwrap();
        cache.keep("b", &mut entries(1).into_iter());
        assert_eq!(cache.take("b"), []);
    }
}
