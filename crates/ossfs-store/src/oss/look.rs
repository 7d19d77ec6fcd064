//! Looking whether a mutation whose answer was lost has landed.
//!
//! Each function says yes only if the bucket shows what the mutation would have made, so that "yes" is right whoever made
//! it. A "no" proves nothing: the request may still be under way. The caller then gets `Unknown`.

use super::Inner;
use super::request::metadata_matches;
use crate::api::{
    Appended, CopyOptions, CopySource, ObjectMeta, ObjectType, Part, Payload, PutOptions, Symlink, Upload, Written,
};
use crate::error::Kind;
use http::HeaderValue;
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
        // HEAD follows symlinks and tells no ACL, so it can't tell of them.
        let tells = |meta: &ObjectMeta| !matches!(meta.object_type, ObjectType::Symlink | ObjectType::Appendable);
        let headers = &options.headers;
        let as_asked = |asked: &Option<HeaderValue>, found: &Option<String>| match asked {
            Some(asked) => found.as_deref().map(str::as_bytes) == Some(asked.as_bytes()),
            None => true,
        };
        let same = tells(&original)
            && tells(&copy)
            && headers.acl.is_none()
            && as_asked(&headers.storage_class, &copy.storage_class)
            && as_asked(&headers.encryption, &copy.encryption)
            && copy.size == original.size
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
                    // Elsewhere the checksum of what came before may be the one that is wrong.
                    (Some(_), Some(_)) if position == 0 => AppendShown::Beaten { length: end },
                    _ => AppendShown::Unclear,
                }
            }
            _ => AppendShown::Unclear,
        }
    }

    pub(super) async fn symlink_landed(&self, key: &Key, target: &Key, options: &PutOptions) -> bool {
        let shows =
            |symlink: Symlink| symlink.target == *target && metadata_matches(&options.metadata, &symlink.metadata);
        self.get_symlink(key).await.is_ok_and(shows)
    }

    pub(super) async fn completion_landed(&self, upload: &Upload, parts: &[Part]) -> Option<Written> {
        let expected = combined_crc64(parts)?;
        let size = parts.iter().try_fold(0u64, |size, part| size.checked_add(part.size))?;
        // An upload that is still there was not completed: the object is an older one of the same bytes.
        let gone = self.list_parts(upload, None).await.is_err_and(|error| error.kind() == Kind::UploadNotFound);
        let meta = self.head(&upload.key).await.ok().filter(|_| gone)?;
        (meta.size == size && meta.crc64 == Some(expected)).then(|| written(meta))
    }
}

/// The checksum of an object made of these parts, if that of each is known.
pub(super) fn combined_crc64(parts: &[Part]) -> Option<Crc64> {
    parts.iter().try_fold(Crc64::EMPTY, |whole, part| Some(whole.followed_by(part.crc64?, part.size)))
}
