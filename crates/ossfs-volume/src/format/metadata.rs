//! What the object of a file is to say, and what of it is others'.
//!
//! Invariant: what others put into an object's metadata survives, except a `symlink-target` on what is no symlink.

use super::links::LINK;
use super::symlink::SYMLINK_TARGET;
use super::times;
use http::HeaderValue;
use ossfs_store::Metadata;
use ossfs_types::{Attributes, FileKind, MODE_PERMISSION_BITS, Timestamp};

/// The owning user, decimal. The names are without `x-oss-meta-`.
pub(super) const UID: &str = "uid";
/// The owning group, decimal.
pub(super) const GID: &str = "gid";
/// The whole `st_mode`, decimal.
pub(super) const MODE: &str = "mode";
/// See [`times`].
pub(super) const ATIME: &str = "atime";
/// See [`times`].
pub(super) const CTIME: &str = "ctime";
/// See [`times`].
pub(super) const MTIME: &str = "mtime";
/// Which device, decimal. Not known to ossfs 1.x.
pub(super) const RDEV: &str = "rdev";
/// The token of the write that made the object: tells our own from others'. Not known to ossfs 1.x.
pub(crate) const TOKEN: &str = "ossfs-id";

/// The entries that are ours.
const OURS: [&str; 9] = [UID, GID, MODE, ATIME, CTIME, MTIME, RDEV, TOKEN, LINK];

/// The content type of directories.
pub(crate) const DIRECTORY_CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/x-directory");

/// The metadata of a file's object.
///
/// `content_type` is the guessed one; directories have their own. `foreign` is what others put there: it stays, and its
/// content type goes before the guessed one. Its `symlink-target` stays only with symlinks, so that a file that took a
/// symlink's place is none. `token` has visible ASCII characters only.
pub(crate) fn metadata(
    attributes: &Attributes,
    kind: FileKind,
    content_type: Option<HeaderValue>,
    foreign: Option<&Metadata>,
    token: Option<&str>,
) -> Metadata {
    let mut metadata = foreign.cloned().unwrap_or_default();
    let stays = |name: &str| !OURS.contains(&name) && (kind == FileKind::Symlink || name != SYMLINK_TARGET);
    metadata.user.retain(|name, _| stays(name));
    if metadata.content_type.is_none() {
        metadata.content_type = if kind == FileKind::Directory { Some(DIRECTORY_CONTENT_TYPE) } else { content_type };
    }
    let mut set = |name: &str, value: HeaderValue| metadata.user.insert(name.to_owned(), value);
    set(UID, attributes.uid.into());
    set(GID, attributes.gid.into());
    set(MODE, (kind.mode_bits() | attributes.mode & MODE_PERMISSION_BITS).into());
    for (name, time) in [(ATIME, attributes.atime), (CTIME, attributes.ctime), (MTIME, attributes.mtime)] {
        set(name, HeaderValue::try_from(times::text(time)).expect("digits, a sign and a point go into headers"));
    }
    if matches!(kind, FileKind::CharDevice | FileKind::BlockDevice) {
        set(RDEV, attributes.rdev.into());
    }
    if let Some(token) = token {
        set(TOKEN, HeaderValue::from_str(token).expect("tokens have visible characters only"));
    }
    metadata
}

/// Takes the times out of metadata that can't follow them.
pub(crate) fn forget_times(metadata: &mut Metadata) {
    for name in [ATIME, CTIME, MTIME] {
        metadata.user.remove(name);
    }
}

/// Writes down a time that an object's metadata leave to `Last-Modified`.
pub(crate) fn keep_time(metadata: &mut Metadata, last_modified: Timestamp) {
    let value =
        || HeaderValue::try_from(times::text(last_modified)).expect("digits, a sign and a point go into headers");
    metadata.user.entry(MTIME.to_owned()).or_insert_with(value);
}

/// What others put into an object's metadata: all but our own entries, and the content type unless it is the guessed one.
/// `None` if that is nothing.
pub(crate) fn foreign(metadata: &Metadata, guessed: &HeaderValue) -> Option<Box<Metadata>> {
    let mut foreign = metadata.clone();
    foreign.user.retain(|name, _| !OURS.contains(&name.as_str()));
    if foreign.content_type.as_ref() == Some(guessed) {
        foreign.content_type = None;
    }
    (foreign != Metadata::default()).then(|| Box::new(foreign))
}

#[cfg(test)]
mod tests {
    use super::super::attributes::{Defaults, described};
    use super::*;
    use ossfs_store::{ObjectMeta, ObjectType};
    use ossfs_types::ETag;
    use proptest::prelude::*;

    const ATTRIBUTES: Attributes = Attributes {
        mode: 0o644,
        uid: 7,
        gid: 8,
        atime: Timestamp::UNIX_EPOCH,
        mtime: Timestamp::constant(50, 5),
        ctime: Timestamp::constant(60, 0),
        rdev: 1281,
    };
    const GUESSED: HeaderValue = HeaderValue::from_static("text/plain");

    fn metadata_of(content_type: Option<&'static str>, user: &[(&str, &'static str)]) -> Metadata {
        Metadata {
            content_type: content_type.map(HeaderValue::from_static),
            user: user.iter().map(|(name, value)| (name.to_string(), HeaderValue::from_static(value))).collect(),
            ..Metadata::default()
        }
    }

    #[test]
    fn a_new_file_says_what_ossfs_1_would_and_the_token() {
        let expected = metadata_of(
            Some("text/plain"),
            &[
                ("uid", "7"),
                ("gid", "8"),
                ("mode", "33188"),
                ("atime", "0"),
                ("mtime", "50.000000005"),
                ("ctime", "60"),
                ("ossfs-id", "t1"),
            ],
        );
        assert_eq!(metadata(&ATTRIBUTES, FileKind::File, Some(GUESSED), None, Some("t1")), expected);
    }

    #[test]
    fn what_others_put_there_survives() {
        let mut theirs = metadata_of(
            Some("text/x-theirs"),
            &[("colour", "red"), ("xattr", "{}"), ("uid", "99"), ("rdev", "1"), ("ossfs-id", "old")],
        );
        theirs.cache_control = Some(HeaderValue::from_static("no-cache"));
        let written = metadata(&ATTRIBUTES, FileKind::File, Some(GUESSED), Some(&theirs), None);
        assert_eq!(written.content_type.as_ref().unwrap(), "text/x-theirs");
        assert_eq!(written.cache_control.as_ref().unwrap(), "no-cache");
        assert_eq!(written.user["colour"], "red");
        assert_eq!(written.user["xattr"], "{}");
        assert_eq!(written.user["uid"], "7");
        assert!(!written.user.contains_key("rdev") && !written.user.contains_key("ossfs-id"));
    }

    #[test]
    fn times_are_left_to_the_object_or_written_down() {
        let mut written = metadata(&ATTRIBUTES, FileKind::File, None, None, Some("t1"));
        keep_time(&mut written, Timestamp::constant(99, 0));
        assert_eq!(written.user["mtime"], "50.000000005");
        forget_times(&mut written);
        assert_eq!(written, metadata_of(None, &[("uid", "7"), ("gid", "8"), ("mode", "33188"), ("ossfs-id", "t1")]));
        keep_time(&mut written, Timestamp::constant(99, 0));
        assert_eq!(written.user["mtime"], "99");
    }

    #[test]
    fn only_devices_have_a_device_number() {
        let written = metadata(&ATTRIBUTES, FileKind::BlockDevice, None, None, None);
        assert_eq!(written.user["rdev"], "1281");
        assert_eq!(written.content_type, None);
    }

    #[test]
    fn directories_have_their_own_content_type_unless_others_gave_one() {
        let written = metadata(&ATTRIBUTES, FileKind::Directory, Some(GUESSED), None, None);
        assert_eq!(written.content_type, Some(DIRECTORY_CONTENT_TYPE));
        assert_eq!(written.user["mode"], "16804");
        let theirs = metadata_of(Some("httpd/unix-directory"), &[]);
        let written = metadata(&ATTRIBUTES, FileKind::Directory, None, Some(&theirs), None);
        assert_eq!(written.content_type.unwrap(), "httpd/unix-directory");
    }

    #[test]
    fn the_target_goes_when_a_file_takes_the_place_of_a_symlink() {
        let theirs = metadata_of(None, &[("symlink-target", "header:1:a"), ("colour", "red")]);
        let kept = metadata(&ATTRIBUTES, FileKind::Symlink, None, Some(&theirs), None);
        assert_eq!(kept.user["symlink-target"], "header:1:a");
        let gone = metadata(&ATTRIBUTES, FileKind::File, None, Some(&theirs), None);
        assert!(!gone.user.contains_key("symlink-target"));
        assert_eq!(gone.user["colour"], "red");
    }

    #[test]
    fn nothing_of_ours_is_foreign() {
        for kind in [FileKind::File, FileKind::CharDevice] {
            let written = metadata(&ATTRIBUTES, kind, Some(GUESSED), None, Some("t1"));
            assert_eq!(foreign(&written, &GUESSED), None);
        }
        assert_eq!(foreign(&Metadata::default(), &GUESSED), None);
    }

    #[test]
    fn what_is_foreign() {
        let theirs = metadata_of(Some("text/x-theirs"), &[]);
        assert_eq!(foreign(&theirs, &GUESSED).as_deref(), Some(&theirs));
        let theirs = metadata_of(Some("text/plain"), &[("symlink-target", "x"), ("xattr", "{}"), ("uid", "7")]);
        let expected = metadata_of(None, &[("symlink-target", "x"), ("xattr", "{}")]);
        assert_eq!(foreign(&theirs, &GUESSED).as_deref(), Some(&expected));
    }

    fn kinds() -> impl Strategy<Value = FileKind> {
        prop::sample::select(vec![
            FileKind::File,
            FileKind::Directory,
            FileKind::Symlink,
            FileKind::Fifo,
            FileKind::Socket,
            FileKind::CharDevice,
            FileKind::BlockDevice,
        ])
    }

    prop_compose! {
        fn times()(nanosecond in prop_oneof![
            Timestamp::MIN.as_nanosecond()..=Timestamp::MAX.as_nanosecond(),
            -3_000_000_000i128..3_000_000_000,
        ]) -> Timestamp {
            Timestamp::from_nanosecond(nanosecond).unwrap()
        }
    }

    prop_compose! {
        fn files()(
            kind in kinds(),
            mode in 0..=MODE_PERMISSION_BITS,
            (uid, gid) in (0..u32::MAX, 0..u32::MAX),
            (atime, mtime, ctime) in (times(), times(), times()),
            rdev: u32,
        ) -> (FileKind, Attributes) {
            let is_device = matches!(kind, FileKind::CharDevice | FileKind::BlockDevice);
            (kind, Attributes { mode, uid, gid, atime, mtime, ctime, rdev: if is_device { rdev } else { 0 } })
        }
    }

    prop_compose! {
        fn theirs()(
            content_type in prop::option::of("[a-z]{1,5}/[a-z]{1,5}"),
            user in prop::collection::btree_map("[a-z-]{1,8}", "[ -~]{0,9}", 0..4),
        ) -> Metadata {
            let value = |text: String| HeaderValue::try_from(text).unwrap();
            Metadata {
                content_type: content_type.map(value),
                user: user.into_iter().map(|(name, text)| (name, value(text))).collect(),
                ..Metadata::default()
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read((kind, attributes) in files(), theirs in theirs()) {
            let theirs = foreign(&theirs, &GUESSED);
            let written = metadata(&attributes, kind, Some(GUESSED), theirs.as_deref(), Some("t1"));
            let guessed = if kind == FileKind::Directory { DIRECTORY_CONTENT_TYPE } else { GUESSED };
            prop_assert_eq!(foreign(&written, &guessed), theirs);
            let object = ObjectMeta {
                size: if matches!(kind, FileKind::File | FileKind::Symlink) { 5 } else { 0 },
                etag: ETag::parse("E").unwrap(),
                last_modified: Timestamp::UNIX_EPOCH,
                object_type: ObjectType::Normal,
                storage_class: None,
                encryption: None,
                crc64: None,
                metadata: written,
                answered_at: None,
            };
            let defaults = Defaults { uid: 1, gid: 1, file_mode: 0, directory_mode: 0 };
            let read = described(&object, kind == FileKind::Directory, &defaults);
            prop_assert_eq!((read.kind, read.size, read.attributes), (kind, object.size, attributes));
        }
    }
}
