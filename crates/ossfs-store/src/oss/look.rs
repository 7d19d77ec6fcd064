//! Looking whether a mutation whose answer was lost has landed.
//!
//! Each function says yes only if the bucket shows what the mutation would have made, so that "yes" is right whoever made
//! it. A "no" proves nothing: the request may still be under way. The caller then gets `Unknown`.

use super::Inner;
use super::request::metadata_matches;
use crate::api::{
    Appended, CopyOptions, CopySource, ObjectMeta, ObjectType, Part, Payload, PutOptions, Upload, Written,
};
use crate::error::Kind;
use ossfs_types::{Crc64, Key};

/// What an object shows of an append that was to end at a position.
pub(super) enum AppendShown {
    /// It was applied.
    Landed(Appended),
    /// Another append took its place, so it never will be.
    Beaten {
        /// Length of the object in bytes.
        length: u64,
    },
    /// It was not applied yet.
    NotLanded,
    /// It may have been.
    Unclear,
}

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

    pub(super) async fn append_shown(
        &self,
        key: &Key,
        position: u64,
        end: u64,
        expected: Option<Crc64>,
    ) -> AppendShown {
        match self.head(key).await {
            Err(error) if error.kind() == Kind::NotFound && position == 0 => AppendShown::NotLanded,
            Ok(meta) if meta.size == position => AppendShown::NotLanded,
            Ok(meta) if meta.size == end && meta.object_type == ObjectType::Appendable => {
                match (expected, meta.crc64) {
                    (Some(expected), Some(found)) if expected == found => {
                        AppendShown::Landed(Appended { etag: Some(meta.etag), next_position: end, crc64: meta.crc64 })
                    }
                    (Some(_), Some(_)) => AppendShown::Beaten { length: end },
                    _ => AppendShown::Unclear,
                }
            }
            _ => AppendShown::Unclear,
        }
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
