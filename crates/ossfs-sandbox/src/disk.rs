//! The directory of `--data`: records of buckets, objects and uploads beside the blobs.
//!
//! ```text
//! DIR/format                                 which layout this is; a newer one is refused
//! DIR/lock                                   held by the process that uses the directory
//! DIR/blobs/xx/NUMBER                        bytes
//! DIR/buckets/NAME/bucket.json               settings
//! DIR/buckets/NAME/objects/xx/SHA256.json    an object, under the hash of its key
//! DIR/buckets/NAME/uploads/ID/upload.json    an upload
//! DIR/buckets/NAME/uploads/ID/NUMBER.json    a part
//! ```
//!
//! Invariants: a record is replaced as a whole and written after the blobs it names, so that a full disk or a killed
//! process leaves the old record or the new one; names of files are hashes, numbers and checked bucket names, so no key
//! reaches outside. A power loss may lose the last seconds: nothing is synced, this is a sandbox.

mod record;

use crate::blob::{BlobDir, TEMPORARY_SUFFIX, replace_file};
use crate::bucket::{Part, Settings, State, Upload};
use crate::budget::Budget;
use crate::object::Object;
use ossfs_types::{BucketName, Key, Timestamp};
use record::{BucketRecord, ObjectRecord, PartRecord, Reading, UploadRecord};
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The layout that this program writes.
const FORMAT: u32 = 1;

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The directory cannot be created, read or written.
    #[error("cannot use {path} for --data: {error}")]
    Io {
        /// The directory of `--data`.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another process uses it.
    #[error("{0} is in use by another sandbox")]
    InUse(PathBuf),
    /// It was written by a newer version of this program, or is something else.
    #[error("{path} has format {found:?}; this version of ossfs sandbox knows up to {FORMAT}: use a newer one")]
    Format {
        /// The directory of `--data`.
        path: PathBuf,
        /// What its format file says.
        found: String,
    },
}

/// An open data directory.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    blobs: Arc<BlobDir>,
    /// Locked for as long as it is open.
    _lock: File,
}

/// A bucket as it was found on the disk.
pub(crate) struct Found {
    pub(crate) name: BucketName,
    pub(crate) created: Timestamp,
    pub(crate) state: State,
}

impl Disk {
    /// Opens a directory, creating it if need be, and reads what it holds.
    pub(crate) fn open(root: &Path, budget: &Arc<Budget>) -> Result<(Self, Vec<Found>), DataError> {
        let failed = |error| DataError::Io { path: root.to_owned(), error };
        fs::create_dir_all(root.join("buckets")).map_err(failed)?;
        let lock = File::create(root.join("lock")).map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(DataError::InUse(root.to_owned())),
            Err(error) => return Err(failed(error.into())),
        }
        check_format(root)?;
        let blobs = BlobDir::open(root.join("blobs")).map_err(failed)?;
        let disk = Self { root: root.to_owned(), blobs, _lock: lock };
        let found = disk.load(budget).map_err(failed)?;
        Ok((disk, found))
    }

    pub(crate) fn blobs(&self) -> &Arc<BlobDir> {
        &self.blobs
    }

    pub(crate) fn save_bucket(&self, name: &BucketName, created: Timestamp, settings: &Settings) -> io::Result<()> {
        let dir = self.bucket_dir(name);
        fs::create_dir_all(dir.join("objects"))?;
        fs::create_dir_all(dir.join("uploads"))?;
        save(&dir.join("bucket.json"), &BucketRecord { created: created.as_second(), settings: settings.clone() })
    }

    pub(crate) fn remove_bucket(&self, name: &BucketName) -> io::Result<()> {
        fs::remove_dir_all(self.bucket_dir(name))
    }

    pub(crate) fn save_object(&self, bucket: &BucketName, key: &Key, object: &Object) -> io::Result<()> {
        let path = self.object_path(bucket, key);
        let record = ObjectRecord::new(key, object);
        match save(&path, &record) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
                save(&path, &record)
            }
            outcome => outcome,
        }
    }

    pub(crate) fn remove_object(&self, bucket: &BucketName, key: &Key) -> io::Result<()> {
        fs::remove_file(self.object_path(bucket, key))
    }

    pub(crate) fn save_upload(&self, bucket: &BucketName, key: &Key, id: &str, upload: &Upload) -> io::Result<()> {
        let dir = self.upload_dir(bucket, id);
        fs::create_dir_all(&dir)?;
        save(&dir.join("upload.json"), &UploadRecord::new(key, upload))
    }

    pub(crate) fn save_part(&self, bucket: &BucketName, id: &str, number: u32, part: &Part) -> io::Result<()> {
        save(&self.upload_dir(bucket, id).join(format!("{number}.json")), &PartRecord::new(part))
    }

    pub(crate) fn remove_upload(&self, bucket: &BucketName, id: &str) -> io::Result<()> {
        fs::remove_dir_all(self.upload_dir(bucket, id))
    }

    fn bucket_dir(&self, name: &BucketName) -> PathBuf {
        self.root.join("buckets").join(name.as_str())
    }

    fn object_path(&self, bucket: &BucketName, key: &Key) -> PathBuf {
        let hash = hex::encode(Sha256::digest(key.as_str()));
        self.bucket_dir(bucket).join("objects").join(&hash[..2]).join(format!("{hash}.json"))
    }

    /// Ids are made by the sandbox: hexadecimal digits.
    fn upload_dir(&self, bucket: &BucketName, id: &str) -> PathBuf {
        self.bucket_dir(bucket).join("uploads").join(id)
    }

    fn load(&self, budget: &Arc<Budget>) -> io::Result<Vec<Found>> {
        let mut reading = Reading::new(&self.blobs, budget);
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join("buckets"))? {
            let entry = entry?;
            let name = entry.file_name().to_str().and_then(|name| BucketName::parse(name).ok());
            let Some(name) = name else { continue };
            let Some(record) = self.read::<BucketRecord>(&entry.path().join("bucket.json"), &mut reading) else {
                continue;
            };
            let mut state = State { settings: record.settings, ..State::default() };
            self.load_objects(&entry.path().join("objects"), &mut state, &mut reading)?;
            self.load_uploads(&entry.path().join("uploads"), &mut state, &mut reading)?;
            let created = Timestamp::from_second(record.created).unwrap_or(Timestamp::UNIX_EPOCH);
            found.push(Found { name, created, state });
        }
        if reading.damaged() > 0 {
            // What a damaged record names is unknown, so nothing is swept: somebody may want to look at it.
            tracing::warn!("{} damaged records in {} were left out", reading.damaged(), self.root.display());
        } else {
            let swept = self.blobs.sweep(reading.blobs())?;
            tracing::debug!("removed {swept} blobs that nothing refers to");
        }
        Ok(found)
    }

    fn load_objects(&self, dir: &Path, state: &mut State, reading: &mut Reading) -> io::Result<()> {
        for fan in fs::read_dir(dir)? {
            for path in records(&fan?.path())? {
                let record = self.read::<ObjectRecord>(&path, reading);
                match record.and_then(|record| record.into_object(reading)) {
                    Some((key, object)) => {
                        state.set_object(&key, Some(Arc::new(object)));
                    }
                    None => reading.note_damage(&path, &"it names what is not there"),
                }
            }
        }
        Ok(())
    }

    fn load_uploads(&self, dir: &Path, state: &mut State, reading: &mut Reading) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let Some(id) = entry.file_name().to_str().map(str::to_owned) else { continue };
            if !entry.path().join("upload.json").exists() {
                // It was being initiated, or removed, when the process ended.
                fs::remove_dir_all(entry.path())?;
                continue;
            }
            let record = self.read::<UploadRecord>(&entry.path().join("upload.json"), reading);
            let Some((key, mut upload)) = record.and_then(|record| record.into_upload(reading)) else { continue };
            for path in records(&entry.path())? {
                let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
                let Some(number) = number else { continue };
                let record = self.read::<PartRecord>(&path, reading);
                if let Some(part) = record.and_then(|record| record.into_part(reading)) {
                    upload.parts.insert(number, part);
                }
            }
            state.set_upload(&key, &id, Some(Arc::new(upload)));
        }
        Ok(())
    }

    fn read<R: DeserializeOwned>(&self, path: &Path, reading: &mut Reading) -> Option<R> {
        let record = fs::read(path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
        record.inspect_err(|error| reading.note_damage(path, error)).ok()
    }
}

fn save(path: &Path, record: &impl Serialize) -> io::Result<()> {
    replace_file(path, &serde_json::to_vec(record)?)
}

/// The records of a directory; what was not written to its end is removed.
fn records(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(TEMPORARY_SUFFIX) {
            fs::remove_file(&path)?;
        } else {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn check_format(root: &Path) -> Result<(), DataError> {
    let failed = |error| DataError::Io { path: root.to_owned(), error };
    let path = root.join("format");
    match fs::read_to_string(&path) {
        Ok(text) if text.trim() == FORMAT.to_string() => Ok(()),
        Ok(text) => Err(DataError::Format { path: root.to_owned(), found: text.trim().chars().take(40).collect() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            replace_file(&path, format!("{FORMAT}\n").as_bytes()).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}
