//! The verbs of a bucket.

use super::{
    AppendOptions, Appended, BucketInfo, BucketStat, CopyOptions, CopySource, Fetched, GetOptions, GotObject, ListPage,
    ListRequest, ObjectMeta, ObjectStat, Part, PartNumber, PartsPage, Payload, PutOptions, Symlink, Upload,
    UploadMarker, UploadsPage, Written,
};
use crate::buffer::BufferPool;
use crate::error::{Error, Kind, Result};
use async_trait::async_trait;
use ossfs_types::limits::DELETE_KEYS_MAX;
use ossfs_types::{ByteRange, Key, Prefix};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

/// Largest read into one buffer: a length that an answer claims must not exhaust the memory.
const READ_BYTES_MAX: usize = 1 << 30;
/// How often a body with a wrong checksum is fetched anew: a fault of a wire passes, one of a disk does not.
const CORRUPT_READS_MAX: usize = 5;

/// A bucket.
///
/// The contract, which `contract` runs against every implementation:
///
/// * Writes are atomic: a key holds one whole version at every moment, and reads and listings see it at once.
/// * An error of a kind other than `Unknown` means that nothing was changed. `Unknown` means that the answer was lost and
///   that looking could not tell: the change may be there, or may still come.
/// * What is safe to repeat was repeated already, within bounds; a lost answer was replaced by looking where the object
///   could show that the write is ours. Nothing that could undo somebody else's write is ever repeated blindly.
/// * An object that is what a write would have made, metadata included, counts as made by it. Who must tell writes of the
///   same bytes apart (two clients that create one name, say) puts a token into the metadata.
/// * Uploads, appends and whole reads are checked with CRC-64 where OSS tells it.
/// * Success after a lost answer means that the bucket shows what was asked for. Where it showed that before (a deletion of
///   what was not there, a write of the same bytes without a token), the request may still be on its way: wait for it
///   before using the key for something else.
/// * Every call ends: there is a deadline on connecting, on silence, and on slowness.
#[async_trait]
pub trait ObjectStore: Send + Sync + Debug {
    /// Stores an object of at most 5 GiB.
    async fn put(&self, key: &Key, payload: Payload, options: &PutOptions) -> Result<Written>;

    /// Begins to read an object. Symlinks are followed. Reading goes on after a broken connection, pinned to the version
    /// it began with; a whole read ends with `Corrupt` if the checksum is wrong.
    /// The body keeps a connection until it is dropped, and the deadline on slowness runs on while nobody reads it.
    async fn get(&self, key: &Key, options: &GetOptions) -> Result<GotObject>;

    /// All that is known of an object but its bytes. Symlinks are followed.
    async fn head(&self, key: &Key) -> Result<ObjectMeta>;

    /// Size, version and time of an object, or of a symlink itself. Lighter than [`head`](Self::head).
    async fn stat(&self, key: &Key) -> Result<ObjectStat>;

    /// One page of a listing.
    async fn list(&self, request: &ListRequest) -> Result<ListPage>;

    /// Deletes an object; it need not exist. Sent once, also if it is throttled: who deletes has looked at the object just
    /// before, and must look again.
    async fn delete(&self, key: &Key) -> Result<()>;

    /// Deletes up to 1,000 objects, which need not exist. Returns those that are gone; the others are still there. Sent
    /// once, as [`delete`](Self::delete) is.
    async fn delete_many(&self, keys: &[Key]) -> Result<Vec<Key>>;

    /// Copies an object within the bucket, on the server; onto itself to replace its metadata (`Invalid` without any, as OSS
    /// would drop what is there). Appendable objects can't be
    /// copied (`WrongType`). What copying a symlink gives is not promised: put a new one instead.
    async fn copy(&self, source: &CopySource, key: &Key, options: &CopyOptions) -> Result<Written>;

    /// Appends to an appendable object, whose length must be `position`; position 0 creates it.
    async fn append(&self, key: &Key, position: u64, payload: Payload, options: &AppendOptions) -> Result<Appended>;

    /// Begins a multipart upload. If the answer is lost it is begun again, and what was begun for the key in the same
    /// seconds is aborted; an upload without parts may be left behind all the same.
    async fn create_upload(&self, key: &Key, options: &PutOptions) -> Result<Upload>;

    /// Uploads one part: 100 KiB to 5 GiB, the last one also less. A part of the same number is replaced.
    async fn upload_part(&self, upload: &Upload, number: PartNumber, payload: Payload) -> Result<Part>;

    /// Makes a part of a range of an object in the bucket, on the server. The range is not empty and ends within it.
    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: PartNumber,
        source: &CopySource,
        range: ByteRange,
    ) -> Result<Part>;

    /// Makes the object of its parts, which ascend. Fails with `AlreadyExists` if overwriting is forbidden and the name
    /// is taken; the upload is then still there.
    async fn complete_upload(&self, upload: &Upload, parts: &[Part], forbid_overwrite: bool) -> Result<Written>;

    /// Ends a multipart upload and frees its parts. Returns whether it was still there: if not, it was completed or
    /// aborted before.
    async fn abort_upload(&self, upload: &Upload) -> Result<bool>;

    /// The parts that the store holds of an upload, after the part number `after`.
    async fn list_parts(&self, upload: &Upload, after: Option<PartNumber>) -> Result<PartsPage>;

    /// The multipart uploads in progress for keys under a prefix, after `after`.
    async fn list_uploads(&self, prefix: &Prefix, after: Option<&UploadMarker>) -> Result<UploadsPage>;

    /// Stores a symlink. The target need not exist.
    async fn put_symlink(&self, key: &Key, target: &Key, options: &PutOptions) -> Result<()>;

    /// Reads a symlink.
    async fn get_symlink(&self, key: &Key) -> Result<Symlink>;

    /// What the store says of the bucket.
    async fn bucket_info(&self) -> Result<BucketInfo>;

    /// What the store counts in the bucket.
    async fn bucket_stat(&self) -> Result<BucketStat>;

    /// Reads an object, or a range of it, of at most 1 GiB, into one pooled buffer; `Invalid` if it is larger. A whole read
    /// whose checksum is wrong is repeated.
    async fn read(&self, key: &Key, options: &GetOptions, pool: &Arc<BufferPool>) -> Result<Fetched> {
        let mut attempt = 1;
        loop {
            match collect(self.get(key, options).await?, pool).await {
                Err(error) if error.kind() == Kind::Corrupt && attempt < CORRUPT_READS_MAX => attempt += 1,
                result => return result,
            }
        }
    }
}

/// Receives all of a body into one buffer.
async fn collect(mut got: GotObject, pool: &Arc<BufferPool>) -> Result<Fetched> {
    let fits = usize::try_from(got.range.len()).ok().filter(|len| *len <= READ_BYTES_MAX);
    let len = fits.ok_or_else(|| {
        let message = format!("{} bytes are too many for one read; ask for ranges", got.range.len());
        Error::new(Kind::Invalid, "GetObject", message)
    })?;
    let mut buffer = pool.take(len);
    while let Some(bytes) = got.body.next().await? {
        buffer.append(&bytes);
    }
    Ok(Fetched { meta: got.meta, range: got.range, bytes: buffer.freeze(), crc64: got.body.crc64() })
}

/// Checks the arguments of [`ObjectStore::copy`], which are the same for every store.
pub(crate) fn check_copy(source: &CopySource, key: &Key, options: &CopyOptions) -> Result<()> {
    if source.key == *key && options.replace_metadata.is_none() {
        let message = "a copy onto itself must say the metadata: OSS would drop it";
        return Err(Error::new(Kind::Invalid, "CopyObject", message).on_key(key.as_str()));
    }
    Ok(())
}

/// Checks the arguments of [`ObjectStore::delete_many`], which are the same for every store.
pub(crate) fn check_delete_many(keys: &[Key]) -> Result<()> {
    if keys.len() > DELETE_KEYS_MAX {
        let message = format!("at most {DELETE_KEYS_MAX} keys at once, not {}", keys.len());
        return Err(Error::new(Kind::Invalid, "DeleteMultipleObjects", message));
    }
    Ok(())
}

/// The keys of `asked` that an answer names as deleted, in the order they were asked for.
pub(crate) fn deleted_of<'a>(asked: &[Key], answered: impl IntoIterator<Item = &'a str>) -> Vec<Key> {
    let gone: BTreeSet<&str> = answered.into_iter().collect();
    asked.iter().filter(|key| gone.contains(key.as_str())).cloned().collect()
}
