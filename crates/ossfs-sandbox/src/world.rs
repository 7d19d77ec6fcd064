//! Everything the sandbox holds, and the only ways to change it.
//!
//! A change goes through one of the `change_*` functions: under the bucket's commit lock it looks, decides, writes the
//! record if there is a data directory, and only then shows the new state to readers. If the record cannot be written
//! nothing has changed. What is replaced is dropped after the locks are released. These functions may wait for a disk;
//! async code calls them through [`World::commit`].

use crate::blob::BlobDir;
use crate::bucket::{Bucket, Part, Settings, State, Upload};
use crate::budget::{Budget, Charge};
use crate::disk::{DataError, Disk};
use crate::error::{Code, OssError, Result};
use crate::ingest::Medium;
use crate::object::Object;
use ossfs_types::{BucketName, Key, Timestamp};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// OSS's limit of an account in a region.
const BUCKETS_MAX: usize = 100;

/// What becomes of an object after somebody looked at it.
pub(crate) enum Change<T> {
    Put(T),
    Remove,
}

/// What becomes of an upload.
pub(crate) enum UploadChange {
    Put(Upload),
    PutPart(u32, Part),
    Remove,
}

/// All buckets, and where their bytes are kept.
#[derive(Debug)]
pub(crate) struct World {
    buckets: RwLock<BTreeMap<BucketName, Arc<Bucket>>>,
    medium: Medium,
    budget: Arc<Budget>,
    disk: Option<Disk>,
}

impl World {
    /// A world in memory.
    pub(crate) fn in_memory(memory_limit_bytes: u64) -> Self {
        let budget = Budget::new(memory_limit_bytes);
        Self { buckets: RwLock::default(), medium: Medium::Memory(budget.clone()), budget, disk: None }
    }

    /// A world on a directory, with what the directory holds. Names are still in memory.
    pub(crate) fn on_disk(root: &Path, memory_limit_bytes: u64) -> std::result::Result<Self, DataError> {
        let budget = Budget::new(memory_limit_bytes);
        let (disk, found) = Disk::open(root, &budget)?;
        let buckets = found.into_iter().map(|found| {
            let bucket = Bucket::new(found.name.clone(), found.created, found.state);
            (found.name, bucket)
        });
        Ok(Self {
            buckets: RwLock::new(buckets.collect()),
            medium: Medium::Disk(disk.blobs().clone()),
            budget,
            disk: Some(disk),
        })
    }

    /// Where new content goes.
    pub(crate) fn medium(&self) -> &Medium {
        &self.medium
    }

    /// Takes memory for names.
    pub(crate) fn charge(&self, bytes: u64) -> Result<Arc<Charge>> {
        self.budget.charge(bytes).map(Arc::new)
    }

    /// What memory is charged to.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Runs a change where it may wait for a disk.
    pub(crate) async fn commit<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.disk.is_none() {
            return work(self);
        }
        let world = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&world)).await;
        done.map_err(|error| OssError::internal("changing the data directory", &error))?
    }

    pub(crate) fn bucket(&self, name: &BucketName) -> Result<Arc<Bucket>> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        buckets.get(name).cloned().ok_or_else(|| OssError::new(Code::NoSuchBucket).detail("BucketName", name.as_str()))
    }

    /// All buckets, in the order of their names.
    pub(crate) fn buckets(&self) -> Vec<Arc<Bucket>> {
        self.buckets.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Creates a bucket, unless there is one of this name: then only its ACL is set, as OSS does.
    pub(crate) fn create_bucket(&self, name: &BucketName, settings: Settings, now: Timestamp) -> Result<()> {
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(name).cloned() {
            drop(buckets);
            return self.change_settings(&bucket, |old| {
                if old.class != settings.class {
                    let error = OssError::new(Code::BucketAlreadyExists);
                    return Err(error.message("Cannot modify existing bucket's storage class."));
                }
                old.acl = settings.acl;
                Ok(())
            });
        }
        if buckets.len() >= BUCKETS_MAX {
            return Err(OssError::new(Code::TooManyBuckets));
        }
        if let Some(disk) = &self.disk {
            disk.save_bucket(name, now, &settings).map_err(|error| failed(&error))?;
        }
        let bucket = Bucket::new(name.clone(), now, State { settings, ..State::default() });
        buckets.insert(name.clone(), bucket);
        Ok(())
    }

    pub(crate) fn delete_bucket(&self, bucket: &Bucket) -> Result<()> {
        let commit = bucket.commit_lock();
        {
            let mut state = bucket.write(&commit);
            check_alive(bucket, &state)?;
            if !state.objects.is_empty() || !state.uploads.is_empty() {
                return Err(OssError::new(Code::BucketNotEmpty).detail("BucketName", bucket.name.as_str()));
            }
            state.deleted = true;
        }
        let removed = self.disk.as_ref().map_or(Ok(()), |disk| disk.remove_bucket(&bucket.name));
        if let Err(error) = removed {
            bucket.write(&commit).deleted = false;
            return Err(failed(&error));
        }
        self.buckets.write().unwrap_or_else(PoisonError::into_inner).remove(&bucket.name);
        Ok(())
    }

    pub(crate) fn change_settings(
        &self,
        bucket: &Bucket,
        change: impl FnOnce(&mut Settings) -> Result<()>,
    ) -> Result<()> {
        let commit = bucket.commit_lock();
        let mut settings = {
            let state = bucket.read();
            check_alive(bucket, &state)?;
            state.settings.clone()
        };
        change(&mut settings)?;
        if let Some(disk) = &self.disk {
            disk.save_bucket(&bucket.name, bucket.created, &settings).map_err(|error| failed(&error))?;
        }
        bucket.write(&commit).settings = settings;
        Ok(())
    }

    /// Changes the object of a key, as `change` decides from the bucket's state.
    pub(crate) fn change_object<T>(
        &self,
        bucket: &Bucket,
        key: &Key,
        change: impl FnOnce(&State) -> Result<(Change<Object>, T)>,
    ) -> Result<T> {
        let commit = bucket.commit_lock();
        let (change, outcome, existed) = {
            let state = bucket.read();
            check_alive(bucket, &state)?;
            let (change, outcome) = change(&state)?;
            (change, outcome, state.objects.contains_key(key))
        };
        let object = match change {
            Change::Remove if !existed => return Ok(outcome),
            Change::Put(object) => Some(Arc::new(object)),
            Change::Remove => None,
        };
        self.save_object(bucket, key, object.as_deref())?;
        let old = bucket.write(&commit).set_object(key, object);
        drop(commit);
        drop(old);
        Ok(outcome)
    }

    /// Changes an upload, as `change` decides from what it is now.
    pub(crate) fn change_upload<T>(
        &self,
        bucket: &Bucket,
        key: &Key,
        id: &str,
        change: impl FnOnce(&State) -> Result<(UploadChange, T)>,
    ) -> Result<T> {
        let commit = bucket.commit_lock();
        let (change, outcome) = {
            let state = bucket.read();
            check_alive(bucket, &state)?;
            change(&state)?
        };
        let saved = self.disk.as_ref().map_or(Ok(()), |disk| match &change {
            UploadChange::Put(upload) => disk.save_upload(&bucket.name, key, id, upload),
            UploadChange::PutPart(number, part) => disk.save_part(&bucket.name, id, *number, part),
            UploadChange::Remove => disk.remove_upload(&bucket.name, id),
        });
        saved.map_err(|error| failed(&error))?;
        let old = {
            let mut state = bucket.write(&commit);
            match change {
                UploadChange::Put(upload) => (state.set_upload(key, id, Some(Arc::new(upload))), None),
                UploadChange::PutPart(number, part) => (None, state.set_part(key, id, number, part)),
                UploadChange::Remove => (state.set_upload(key, id, None), None),
            }
        };
        drop(commit);
        drop(old);
        Ok(outcome)
    }

    /// Turns an upload into an object, as `change` decides from the bucket's state.
    pub(crate) fn complete_upload<T>(
        &self,
        bucket: &Bucket,
        key: &Key,
        id: &str,
        change: impl FnOnce(&State) -> Result<(Object, T)>,
    ) -> Result<T> {
        let commit = bucket.commit_lock();
        let (object, outcome) = {
            let state = bucket.read();
            check_alive(bucket, &state)?;
            change(&state)?
        };
        self.save_object(bucket, key, Some(&object))?;
        if let Some(disk) = &self.disk
            && let Err(error) = disk.remove_upload(&bucket.name, id)
        {
            // The object is there; an upload that lingers after a restart can be aborted.
            tracing::warn!("cannot remove the completed upload {id}: {error}");
        }
        let old = {
            let mut state = bucket.write(&commit);
            (state.set_object(key, Some(Arc::new(object))), state.set_upload(key, id, None))
        };
        drop(commit);
        drop(old);
        Ok(outcome)
    }

    fn save_object(&self, bucket: &Bucket, key: &Key, object: Option<&Object>) -> Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let saved = match object {
            Some(object) => disk.save_object(&bucket.name, key, object),
            None => disk.remove_object(&bucket.name, key),
        };
        saved.map_err(|error| failed(&error))
    }
}

impl Drop for World {
    /// The records on the disk go on naming the blobs: they must outlive what is in memory.
    fn drop(&mut self) {
        if let Medium::Disk(dir) = &self.medium {
            BlobDir::keep(dir);
        }
    }
}

fn failed(error: &std::io::Error) -> Box<OssError> {
    OssError::internal("writing to the data directory", error)
}

fn check_alive(bucket: &Bucket, state: &State) -> Result<()> {
    if state.deleted {
        return Err(OssError::new(Code::NoSuchBucket).detail("BucketName", bucket.name.as_str()));
    }
    Ok(())
}
