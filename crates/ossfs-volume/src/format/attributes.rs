//! What an object says of a file. Nothing in it is trusted: what makes no sense counts as absent.

use super::kind::kind_of;
use super::metadata::{ATIME, CTIME, GID, MODE, MTIME, RDEV, UID};
use super::symlink::{self, SYMLINK_TARGET, Target};
use super::times;
use ossfs_store::{Metadata, ObjectMeta, ObjectType};
use ossfs_types::{Attributes, FileKind, MODE_PERMISSION_BITS};

/// Permission bits of symlinks without a mode: Linux never looks at them.
const SYMLINK_MODE: u32 = 0o777;

/// Attributes of what has none in its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Defaults {
    /// The owning user.
    pub uid: u32,
    /// The owning group.
    pub gid: u32,
    /// Permission bits of everything but directories and symlinks.
    pub file_mode: u32,
    /// Permission bits of directories.
    pub directory_mode: u32,
}

/// The file that an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    /// What it is.
    pub kind: FileKind,
    /// Its bytes: the object's, or those of the target in the metadata. 0 of directories, and of native symlinks, whose
    /// target only the store can read.
    pub size: u64,
    /// Everything else.
    pub attributes: Attributes,
    /// Of a symlink: its target, where the metadata has it. Otherwise the body is the target, or the symlink is native.
    pub symlink_in_header: Option<Vec<u8>>,
}

/// The file that an object is. `is_directory_key`: its key ends with `/`.
pub(crate) fn described(meta: &ObjectMeta, is_directory_key: bool, defaults: &Defaults) -> Described {
    let entries = &meta.metadata;
    let mode = text(entries, MODE).and_then(parse_mode);
    let target = entries.user.get(SYMLINK_TARGET).and_then(symlink::parse);
    let kind = kind_of(meta, is_directory_key, mode, target.as_ref());
    let is_native_symlink = kind == FileKind::Symlink && meta.object_type == ObjectType::Symlink;
    let symlink_in_header = match target {
        Some(Target::Here(target)) if kind == FileKind::Symlink && meta.size == 0 && !is_native_symlink => Some(target),
        Some(Target::Here(_) | Target::Body) | None => None,
    };
    let size = match &symlink_in_header {
        Some(target) => target.len() as u64,
        None if is_native_symlink || kind == FileKind::Directory => 0,
        None => meta.size,
    };
    let mtime = text(entries, MTIME).and_then(times::parse).unwrap_or(meta.last_modified);
    let attributes = Attributes {
        mode: permissions(kind, mode, defaults),
        uid: text(entries, UID).and_then(parse_id).unwrap_or(defaults.uid),
        gid: text(entries, GID).and_then(parse_id).unwrap_or(defaults.gid),
        atime: text(entries, ATIME).and_then(times::parse).unwrap_or(mtime),
        mtime,
        ctime: text(entries, CTIME).and_then(times::parse).unwrap_or(mtime),
        rdev: match kind {
            FileKind::CharDevice | FileKind::BlockDevice => {
                text(entries, RDEV).and_then(|text| text.parse().ok()).unwrap_or(0)
            }
            FileKind::File | FileKind::Directory | FileKind::Symlink | FileKind::Fifo | FileKind::Socket => 0,
        },
    };
    Described { kind, size, attributes, symlink_in_header }
}

/// An entry's text without blanks around it, if it is one.
fn text<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    metadata.user.get(name)?.to_str().ok().map(str::trim)
}

/// A whole `st_mode`. Decimal; ossfs 1.x takes a number with a leading zero for octal, as `chmod` does, and so do we.
fn parse_mode(text: &str) -> Option<u32> {
    match text.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => u32::from_str_radix(octal, 8).ok(),
        Some(_) | None => text.parse().ok(),
    }
}

/// A user or a group. The highest number means "no one" to the kernel, so nothing belongs to it.
fn parse_id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id != u32::MAX)
}

fn permissions(kind: FileKind, mode: Option<u32>, defaults: &Defaults) -> u32 {
    match (kind, mode) {
        // The mode is of something else: of the file that a native symlink points to, or of nothing.
        (FileKind::Symlink, mode) if mode.and_then(FileKind::of_mode) != Some(FileKind::Symlink) => SYMLINK_MODE,
        (_, Some(mode)) => mode & MODE_PERMISSION_BITS,
        (FileKind::Directory, None) => defaults.directory_mode & MODE_PERMISSION_BITS,
        (_, None) => defaults.file_mode & MODE_PERMISSION_BITS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use ossfs_types::{ETag, Timestamp};
    use proptest::prelude::*;

    const DEFAULTS: Defaults = Defaults { uid: 1000, gid: 1001, file_mode: 0o640, directory_mode: 0o750 };

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn object(size: u64, entries: &[(&str, &str)]) -> ObjectMeta {
        let entry =
            |(name, value): &(&str, &str)| (name.to_string(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        ObjectMeta {
            size,
            etag: ETag::parse("E").unwrap(),
            last_modified: time(100),
            object_type: ObjectType::Normal,
            storage_class: None,
            encryption: None,
            crc64: None,
            metadata: Metadata { user: entries.iter().map(entry).collect(), ..Metadata::default() },
            answered_at: None,
        }
    }

    fn file(size: u64, entries: &[(&str, &str)]) -> Described {
        described(&object(size, entries), false, &DEFAULTS)
    }

    #[track_caller]
    fn check_kind(size: u64, entries: &[(&str, &str)], kind: FileKind, mode: u32) {
        let described = file(size, entries);
        assert_eq!((described.kind, described.attributes.mode), (kind, mode), "{described:?}");
    }

    #[test]
    fn an_object_without_metadata_has_the_defaults() {
        let last_modified = time(100);
        let expected = Attributes {
            mode: 0o640,
            uid: 1000,
            gid: 1001,
            atime: last_modified,
            mtime: last_modified,
            ctime: last_modified,
            rdev: 0,
        };
        assert_eq!(file(5, &[]).attributes, expected);
        let directory = described(&object(0, &[]), true, &DEFAULTS);
        assert_eq!(directory.attributes, Attributes { mode: 0o750, ..expected });
        assert_eq!((directory.kind, directory.size), (FileKind::Directory, 0));
    }

    #[test]
    fn metadata_of_ossfs_1() {
        let entries = [
            ("uid", "7"),
            ("gid", "8"),
            ("mode", "33188"),
            ("mtime", "50.000000005"),
            ("ctime", "60"),
            ("atime", "70"),
        ];
        let described = file(5, &entries);
        assert_eq!((described.kind, described.size), (FileKind::File, 5));
        let expected = Attributes {
            mode: 0o644,
            uid: 7,
            gid: 8,
            atime: time(70),
            mtime: Timestamp::new(50, 5).unwrap(),
            ctime: time(60),
            rdev: 0,
        };
        assert_eq!(described.attributes, expected);
    }

    #[test]
    fn times_that_are_missing_are_the_mtime() {
        let attributes = file(0, &[("mtime", "50"), ("ctime", "junk")]).attributes;
        assert_eq!((attributes.mtime, attributes.ctime, attributes.atime), (time(50), time(50), time(50)));
        let attributes = file(0, &[("mtime", "-50.5"), ("atime", "1")]).attributes;
        assert_eq!(attributes.mtime, Timestamp::from_nanosecond(-49_500_000_000).unwrap());
        assert_eq!(attributes.atime, time(1));
    }

    #[test]
    fn junk_counts_as_absent() {
        let huge = "9".repeat(3000);
        let highest = u32::MAX.to_string();
        for junk in ["", "-1", "4294967296", "é", "1.5", "0x10", &huge, &highest] {
            let attributes = file(1, &[("uid", junk), ("gid", junk)]).attributes;
            assert_eq!((attributes.uid, attributes.gid), (1000, 1001), "{junk}");
        }
        for junk in ["", "-1", "4294967296", "é", "1.5", "0x10", "08", &huge] {
            check_kind(1, &[("mode", junk)], FileKind::File, 0o640);
        }
        check_kind(1, &[("mode", &highest)], FileKind::File, 0o7777);
    }

    #[test]
    fn a_key_with_a_slash_is_a_directory() {
        for mode in ["493", "16877", "33261"] {
            let described = described(&object(9, &[("mode", mode)]), true, &DEFAULTS);
            let seen = (described.kind, described.size, described.attributes.mode);
            assert_eq!(seen, (FileKind::Directory, 0, 0o755), "{mode}");
        }
    }

    #[test]
    fn the_mode_tells_the_kind() {
        check_kind(0, &[("mode", "16877")], FileKind::Directory, 0o755);
        check_kind(0, &[("mode", "420")], FileKind::File, 0o644);
        check_kind(0, &[("mode", "0100644")], FileKind::File, 0o644);
        check_kind(0, &[("mode", "0")], FileKind::File, 0);
        check_kind(0, &[("mode", "4516")], FileKind::Fifo, 0o644);
        check_kind(0, &[("mode", "49572")], FileKind::Socket, 0o644);
        let device = file(0, &[("mode", "8612"), ("rdev", "1281")]);
        assert_eq!((device.kind, device.attributes.rdev), (FileKind::CharDevice, 1281));
        assert_eq!(file(0, &[("mode", "25008"), ("rdev", "-1")]).attributes.rdev, 0);
        assert_eq!(file(0, &[("mode", "33188"), ("rdev", "1281")]).attributes.rdev, 0);
    }

    #[test]
    fn no_mode_hides_bytes() {
        for mode in ["16877", "4516", "49572", "8612", "25008"] {
            assert_eq!(file(1, &[("mode", mode)]).kind, FileKind::File, "{mode}");
        }
        assert_eq!(file(4095, &[("mode", "41471")]).kind, FileKind::Symlink);
        assert_eq!(file(4096, &[("mode", "41471")]).kind, FileKind::File);
    }

    #[test]
    fn the_content_type_makes_no_directory() {
        let mut object = object(0, &[]);
        object.metadata.content_type = Some(HeaderValue::from_static("application/x-directory"));
        assert_eq!(described(&object, false, &DEFAULTS).kind, FileKind::File);
    }

    #[test]
    fn symlinks() {
        let body = file(6, &[("mode", "41471")]);
        assert_eq!((body.kind, body.size, body.attributes.mode), (FileKind::Symlink, 6, 0o777));
        assert_eq!(body.symlink_in_header, None);
        for entries in
            [&[("symlink-target", "header:3:a/b"), ("mode", "41471")][..], &[("symlink-target", "header:3:a/b")]]
        {
            let header = file(0, entries);
            assert_eq!((header.kind, header.size, header.attributes.mode), (FileKind::Symlink, 3, 0o777));
            assert_eq!(header.symlink_in_header.as_deref(), Some(&b"a/b"[..]));
        }
        check_kind(6, &[("symlink-target", "body:0:")], FileKind::Symlink, 0o777);
    }

    #[test]
    fn an_entry_that_does_not_fit_makes_no_symlink() {
        check_kind(0, &[("symlink-target", "header:4:a/b")], FileKind::File, 0o640);
        check_kind(3, &[("symlink-target", "header:3:a/b")], FileKind::File, 0o640);
        check_kind(0, &[("symlink-target", "body:0:")], FileKind::File, 0o640);
        check_kind(0, &[("symlink-target", "header:3:a/b"), ("mode", "33188")], FileKind::File, 0o644);
        let body = file(3, &[("symlink-target", "header:3:a/b"), ("mode", "41471")]);
        assert_eq!((body.kind, body.size, body.symlink_in_header), (FileKind::Symlink, 3, None));
    }

    #[test]
    fn native_symlinks() {
        let mut native = object(9000, &[("mode", "33188"), ("uid", "7"), ("symlink-target", "header:3:a/b")]);
        native.object_type = ObjectType::Symlink;
        let described = described(&native, false, &DEFAULTS);
        assert_eq!((described.kind, described.size, described.attributes.mode), (FileKind::Symlink, 0, 0o777));
        assert_eq!(described.symlink_in_header, None);
    }

    proptest! {
        #[test]
        fn no_metadata_panics(size in prop_oneof![Just(0), any::<u64>()], value in "[-+0-9.: a-f]{0,30}", is_directory_key: bool) {
            let names = [UID, GID, MODE, MTIME, CTIME, ATIME, RDEV, SYMLINK_TARGET];
            let entries = names.map(|name| (name, value.as_str()));
            let described = described(&object(size, &entries), is_directory_key, &DEFAULTS);
            prop_assert_eq!(described.attributes.mode & !MODE_PERMISSION_BITS, 0);
        }
    }
}
