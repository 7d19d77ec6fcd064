//! Names of files, and what keys have to do with them.

use crate::Error;
use ossfs_types::{ETag, Key, Timestamp};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Longest name in bytes: Linux's `NAME_MAX`.
pub(crate) const NAME_BYTES_MAX: usize = 255;

/// Directory of the program's own objects, at the root of the mounted prefix. Never shown.
pub(crate) const HIDDEN_DIRECTORY: &str = ".ossfs";

/// `NAME_$folder$` is the marker of a directory `NAME`, as old programs write it.
pub(crate) const LEGACY_MARKER_SUFFIX: &str = "_$folder$";

/// The key that a directory's marker has in the form that ends with `_$folder$`; `key` is that of the other form.
pub(crate) fn legacy_marker(key: &Key) -> String {
    format!("{}{LEGACY_MARKER_SUFFIX}", key.as_str().trim_end_matches('/'))
}

/// Beside objects `NAME/…`, the directory is shown as `NAME` and an object `NAME` as `NAME.ossfs-object`.
pub(crate) const OBJECT_ALIAS_SUFFIX: &str = ".ossfs-object";

/// Characters of an ETag that tell one foreign version from another in a conflict's name.
const CONFLICT_ETAG_CHARS: usize = 8;

/// Why a name can't be a file's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    /// Longer than [`NAME_BYTES_MAX`].
    #[error("a name has at most {NAME_BYTES_MAX} bytes")]
    TooLong,
    /// Keys are UTF-8, so names are.
    #[error("a name must be UTF-8")]
    NotUtf8,
    /// No key begins with `\`.
    #[error("a name at the root of the bucket must not begin with \\")]
    BadStart,
    /// Empty, `.`, `..`, or with a `/` or a NUL in it.
    #[error("the name is empty, `.` or `..`, or has a `/` or a NUL in it")]
    Invalid,
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        match error {
            NameError::TooLong => Self::NameTooLong,
            NameError::NotUtf8 => Self::NotUtf8,
            NameError::BadStart | NameError::Invalid => Self::Invalid,
        }
    }
}

/// Checks a name that a file is to have.
pub(crate) fn check_name(name: &OsStr) -> Result<&str, NameError> {
    if name.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    let text = std::str::from_utf8(name.as_bytes()).map_err(|_| NameError::NotUtf8)?;
    if showable(text) { Ok(text) } else { Err(NameError::Invalid) }
}

/// Checks a name that is to begin a key: one directly at the root of the bucket.
pub(crate) fn check_first_name(name: &OsStr) -> Result<&str, NameError> {
    let text = check_name(name)?;
    if text.starts_with('\\') { Err(NameError::BadStart) } else { Ok(text) }
}

/// Whether what lies between two `/` of a key can be shown as a name.
pub(crate) fn showable(component: &str) -> bool {
    let valid = |byte: u8| byte != 0 && byte != b'/';
    !matches!(component, "" | "." | "..") && component.len() <= NAME_BYTES_MAX && component.bytes().all(valid)
}

/// The name under which an object is shown whose own name is a directory's; `None` if that would be too long to show.
pub(crate) fn alias_of(name: &str) -> Option<String> {
    let alias = format!("{name}{OBJECT_ALIAS_SUFFIX}");
    showable(&alias).then_some(alias)
}

/// The own name of the object that is shown as `alias`, if that is an alias.
pub(crate) fn aliased(alias: &str) -> Option<&str> {
    alias.strip_suffix(OBJECT_ALIAS_SUFFIX).filter(|name| showable(name))
}

/// The name under which a foreign version of `name` is kept: `NAME.conflict-<yyyymmddThhmmssZ>-<etag8>`. A `name` too
/// long for that is cut.
pub(crate) fn conflict_name(name: &str, last_modified: Timestamp, etag: &ETag) -> String {
    let plain = |char: char| if char.is_ascii_alphanumeric() || char == '-' { char } else { '_' };
    let etag: String = etag.as_str().chars().take(CONFLICT_ETAG_CHARS).map(plain).collect();
    let suffix = format!(".conflict-{}-{etag}", last_modified.strftime("%Y%m%dT%H%M%SZ"));
    let kept = name.floor_char_boundary(NAME_BYTES_MAX.saturating_sub(suffix.len()));
    format!("{}{suffix}", &name[..kept])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(name: &[u8]) -> Result<&str, NameError> {
        check_name(OsStr::from_bytes(name))
    }

    #[test]
    fn the_rules_for_names() {
        for good in ["a", "...", " ", "\\a", "目录", ".ossfs", "a\nb", &"a".repeat(255)] {
            assert_eq!(check(good.as_bytes()), Ok(good));
            assert!(showable(good));
        }
        for bad in ["", ".", "..", "a/b", "/", "a\0"] {
            assert_eq!(check(bad.as_bytes()), Err(NameError::Invalid), "{bad:?}");
            assert!(!showable(bad));
        }
        assert_eq!(check(b"a\xff"), Err(NameError::NotUtf8));
        assert_eq!(check(&[b'a'; 256]), Err(NameError::TooLong));
        assert_eq!(check("é".repeat(128).as_bytes()), Err(NameError::TooLong));
        assert!(!showable(&"é".repeat(128)));
    }

    #[test]
    fn no_key_begins_with_a_backslash() {
        assert_eq!(check_first_name(OsStr::new("\\a")), Err(NameError::BadStart));
        assert_eq!(check_first_name(OsStr::new("a\\")), Ok("a\\"));
        assert_eq!(check_first_name(OsStr::new("..")), Err(NameError::Invalid));
    }

    #[test]
    fn aliases_come_back() {
        assert_eq!(alias_of("a").as_deref(), Some("a.ossfs-object"));
        assert_eq!(aliased("a.ossfs-object"), Some("a"));
        assert_eq!(aliased("a.ossfs-object.ossfs-object"), Some("a.ossfs-object"));
        for none in ["a", ".ossfs-object", "..ossfs-object", "...ossfs-object"] {
            assert_eq!(aliased(none), None, "{none}");
        }
        assert!(alias_of(&"a".repeat(255 - OBJECT_ALIAS_SUFFIX.len())).is_some());
        assert_eq!(alias_of(&"a".repeat(256 - OBJECT_ALIAS_SUFFIX.len())), None);
    }

    #[test]
    fn a_conflict_is_named_after_its_version() {
        let time = "2026-01-02T03:04:05Z".parse().unwrap();
        let etag = ETag::parse("5D41402ABC4B2A76B9719D911017C592").unwrap();
        assert_eq!(conflict_name("a.txt", time, &etag), "a.txt.conflict-20260102T030405Z-5D41402A");
        let slash = ETag::parse("a/b\\c-1").unwrap();
        assert_eq!(conflict_name("a", time, &slash), "a.conflict-20260102T030405Z-a_b_c-1");
    }

    proptest! {
        #[test]
        fn a_conflict_name_is_a_name(name in "[a-z目é😀]{1,255}", etag in "[!#-~]{1,40}", second in -400_000_000_000i64..=253_000_000_000) {
            let time = Timestamp::from_second(second.max(Timestamp::MIN.as_second())).unwrap();
            let conflict = conflict_name(&name, time, &ETag::parse(&etag).unwrap());
            prop_assert!(showable(&conflict), "{}", conflict);
            let kept = conflict.split(".conflict-").next().unwrap();
            prop_assert!(name.starts_with(kept));
            prop_assert!(kept == name || conflict.len() > NAME_BYTES_MAX - 4, "cut more than it must");
        }
    }
}
