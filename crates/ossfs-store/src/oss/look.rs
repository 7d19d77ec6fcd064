//! Looking whether a mutation whose answer was lost has landed.
//!
//! Each function says yes only if the bucket shows what the mutation would have made, so that "yes" is right whoever made
//! it. A "no" proves nothing: the request may still be under way. The caller then gets `Unknown`.

use super::Inner;
use super::request::metadata_matches;
use crate::api::{CopyOptions, CopySource, ObjectMeta, Part, Payload, PutOptions, Upload, Written};
use crate::error::Kind;
use ossfs_types::{Crc64, Key};

fn written(meta: ObjectMeta) -> Written {
    Written { etag: meta.etag, crc64: meta.crc64 }
}

impl Inner {
    pub(super) async fn put_landed(&self, key: &Key, payload: &Payload, options: &PutOptions) -> Option<Written> {
        let meta = self.head(key).await.ok()?;
        let same = meta.size == payload.len()
            && meta.crc64 == Some(payload.crc64())
            && metadata_matches(&options.metadata, &meta.metadata);
        same.then(|| written(meta))
    }

    pub(super) async fn deletion_landed(&self, key: &Key) -> bool {
        matches!(self.stat(key).await, Err(error) if error.kind() == Kind::NotFound)
    }

    pub(super) async fn copy_landed(&self, source: &CopySource, key: &Key, options: &CopyOptions) -> Option<Written> {
        let original = self.head(&source.key).await.ok()?;
        if source.if_match.as_ref().is_some_and(|etag| *etag != original.etag) {
            return None;
        }
        let copy = self.head(key).await.ok()?;
        let metadata = options.replace_metadata.as_ref().unwrap_or(&original.metadata);
        let same = copy.size == original.size
            && copy.crc64.is_some()
            && copy.crc64 == original.crc64
            && metadata_matches(metadata, &copy.metadata);
        same.then(|| written(copy))
    }

    pub(super) async fn symlink_landed(&self, key: &Key, target: &Key) -> bool {
        self.get_symlink(key).await.is_ok_and(|symlink| symlink.target == *target)
    }

    pub(super) async fn completion_landed(&self, upload: &Upload, parts: &[Part]) -> Option<Written> {
        let expected = combined_crc64(parts)?;
        let meta = self.head(&upload.key).await.ok()?;
        let size: u64 = parts.iter().map(|part| part.size).sum();
        (meta.size == size && meta.crc64 == Some(expected)).then(|| written(meta))
    }
}

/// The checksum of an object made of these parts, if that of each is known.
pub(super) fn combined_crc64(parts: &[Part]) -> Option<Crc64> {
    parts.iter().try_fold(Crc64::EMPTY, |whole, part| Some(whole.followed_by(part.crc64?, part.size)))
}
