//! Which kind of file an object is.
//!
//! Invariant: an object with bytes is a file or a symlink, whatever its mode says, so that no bytes are ever hidden; only
//! a key that ends with `/` is a directory in any case.

use super::symlink::{SYMLINK_TARGET_BYTES_MAX, Target, is_target_len};
use ossfs_store::{ListEntry, ObjectMeta, ObjectType};
use ossfs_types::FileKind;

/// An object of more bytes than this is no symlink, and a listing alone can tell.
const SMALL_BYTES_MAX: u64 = 4096;
const _: () = assert!(SYMLINK_TARGET_BYTES_MAX <= SMALL_BYTES_MAX);

/// The kind of an object whose mode and `symlink-target`, if it has them, are these.
pub(super) fn kind_of(
    meta: &ObjectMeta,
    is_directory_key: bool,
    mode: Option<u32>,
    target: Option<&Target>,
) -> FileKind {
    use FileKind::{BlockDevice, CharDevice, Directory, Fifo, File, Socket, Symlink};
    if is_directory_key {
        return Directory;
    }
    if meta.object_type == ObjectType::Symlink {
        return Symlink;
    }
    match (mode.and_then(FileKind::of_mode), target) {
        (Some(Directory | Fifo | Socket | CharDevice | BlockDevice), _) if meta.size > 0 => File,
        (Some(Symlink), _) if meta.size > SYMLINK_TARGET_BYTES_MAX => File,
        (Some(kind), _) => kind,
        // ossfs 1.x takes the entry alone for a symlink.
        (None, Some(Target::Here(_))) if meta.size == 0 => Symlink,
        (None, Some(Target::Body)) if is_target_len(meta.size) => Symlink,
        (None, Some(Target::Here(_) | Target::Body) | None) => File,
    }
}

/// The kind that a listing alone tells of an object, if it does: neither mode nor metadata are listed.
pub(crate) fn kind_of_listing(entry: &ListEntry) -> Option<FileKind> {
    if entry.key.as_str().ends_with('/') {
        return Some(FileKind::Directory);
    }
    match entry.object_type {
        ObjectType::Symlink => Some(FileKind::Symlink),
        ObjectType::Multipart | ObjectType::Appendable => Some(FileKind::File),
        ObjectType::Normal | ObjectType::Other => (entry.size > SMALL_BYTES_MAX).then_some(FileKind::File),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ossfs_types::{ETag, Key, Timestamp};

    fn listed(key: &str, object_type: ObjectType, size: u64) -> Option<FileKind> {
        kind_of_listing(&ListEntry {
            key: Key::parse(key).unwrap(),
            size,
            etag: ETag::parse("E").unwrap(),
            last_modified: Timestamp::UNIX_EPOCH,
            object_type,
            storage_class: None,
        })
    }

    #[test]
    fn what_a_listing_tells() {
        assert_eq!(listed("a", ObjectType::Symlink, 0), Some(FileKind::Symlink));
        assert_eq!(listed("a", ObjectType::Normal, 4096), None);
        assert_eq!(listed("a", ObjectType::Normal, 4097), Some(FileKind::File));
        assert_eq!(listed("a", ObjectType::Other, 0), None);
        assert_eq!(listed("a", ObjectType::Multipart, 1), Some(FileKind::File));
        assert_eq!(listed("a", ObjectType::Appendable, 0), Some(FileKind::File));
        assert_eq!(listed("a/", ObjectType::Normal, 5000), Some(FileKind::Directory));
    }
}
