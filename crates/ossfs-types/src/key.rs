//! Names in a bucket: keys of objects, prefixes of keys, and names of buckets.

use crate::limits::KEY_BYTES_MAX;
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Why a text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A key has at least one byte.
    #[error("a key must not be empty")]
    Empty,
    /// Longer than [`KEY_BYTES_MAX`].
    #[error("a key has at most {KEY_BYTES_MAX} bytes, this one has {0}")]
    TooLong(usize),
    /// OSS refuses `/` and `\` as the first character.
    #[error("a key must not begin with {0:?}")]
    BadStart(char),
    /// Keys are UTF-8.
    #[error("a key must be UTF-8; byte {0} is not")]
    NotUtf8(usize),
}

fn check_length_and_start(text: &str) -> Result<(), KeyError> {
    if text.len() > KEY_BYTES_MAX {
        return Err(KeyError::TooLong(text.len()));
    }
    match text.chars().next() {
        Some(first @ ('/' | '\\')) => Err(KeyError::BadStart(first)),
        _ => Ok(()),
    }
}

/// The key of an object: 1 to 1,023 bytes of UTF-8 that begin with neither `/` nor `\`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// Checks a text against OSS's rules for keys.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        check_length_and_start(text)?;
        Ok(Self(text.into()))
    }

    /// Checks bytes, as file names are, against OSS's rules for keys.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::parse(std::str::from_utf8(bytes).map_err(|error| KeyError::NotUtf8(error.valid_up_to()))?)
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The beginning of keys: empty, or a text that some key could begin with.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// The prefix of every key.
    pub fn all() -> Self {
        Self("".into())
    }

    /// Checks a text against OSS's rules for keys; the empty text is the prefix of every key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        check_length_and_start(text)?;
        Ok(Self(text.into()))
    }

    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&Key> for Prefix {
    fn from(key: &Key) -> Self {
        Self(key.0.clone())
    }
}

/// Why a text is no bucket name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no bucket name: 3 to 63 lowercase letters, digits and hyphens, with a letter or digit at both ends")]
pub struct BucketNameError(String);

/// The name of a bucket: 3 to 63 lowercase letters, digits and hyphens, with no hyphen at either end.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketName(Arc<str>);

impl BucketName {
    /// Checks a text against OSS's rules for bucket names.
    pub fn parse(text: &str) -> Result<Self, BucketNameError> {
        let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let valid = (3..=63).contains(&bytes.len())
            && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
            && bytes.first().is_some_and(alphanumeric)
            && bytes.last().is_some_and(alphanumeric);
        if valid { Ok(Self(text.into())) } else { Err(BucketNameError(text.to_owned())) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text newtypes print as their text and can be looked up by `&str` in maps.
macro_rules! text_traits {
    ($($type:ident)*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}
text_traits!(Key Prefix BucketName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_for_keys() {
        assert_eq!(Key::parse(""), Err(KeyError::Empty));
        assert_eq!(Key::parse("/a"), Err(KeyError::BadStart('/')));
        assert_eq!(Key::parse("\\a"), Err(KeyError::BadStart('\\')));
        assert_eq!(Key::parse(&"a".repeat(1024)), Err(KeyError::TooLong(1024)));
        assert_eq!(Key::from_bytes(b"ab\xff"), Err(KeyError::NotUtf8(2)));
        for good in ["a", "a//b", "../a", "目录/ファイル", &"é".repeat(511)] {
            assert_eq!(Key::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn the_empty_text_is_a_prefix_but_no_key() {
        assert_eq!(Prefix::parse(""), Ok(Prefix::all()));
        assert_eq!(Prefix::parse("/"), Err(KeyError::BadStart('/')));
    }

    #[test]
    fn the_rules_for_bucket_names() {
        for good in ["abc", "my-bucket", "0a0", &"a".repeat(63)] {
            assert_eq!(BucketName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "ab", "Abc", "a_b", "-ab", "ab-", "a.b", &"a".repeat(64), "a/b"] {
            assert!(BucketName::parse(bad).is_err(), "{bad}");
        }
    }
}
