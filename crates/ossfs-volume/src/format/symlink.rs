//! Symlinks that ossfs 1.x describes with the entry `symlink-target` (its option `symlink_in_meta`).
//!
//! `header:<len>:<target>` is an empty object whose target is right there; `body:…` says that the content is the target.
//! ossfs 1.x counts the target's bytes and then URL-encodes it; others write it as it is. The length tells which it is:
//! an encoded text is longer than what it stands for.

use http::HeaderValue;
use percent_encoding::percent_decode;

/// The name of the entry, without `x-oss-meta-`.
pub(super) const SYMLINK_TARGET: &str = "symlink-target";

/// Longest target in bytes: Linux's `PATH_MAX` without the NUL. A longer one could be read by nobody.
pub(crate) const SYMLINK_TARGET_BYTES_MAX: u64 = 4095;

/// Where an entry says that the target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// In the entry itself.
    Here(Vec<u8>),
    /// In the object's body.
    Body,
}

/// What an entry says; `None` if it says nothing that makes sense.
pub(super) fn parse(value: &HeaderValue) -> Option<Target> {
    let value = value.as_bytes();
    if value.starts_with(b"body:") {
        return Some(Target::Body);
    }
    let rest = value.strip_prefix(b"header:")?;
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let (len, text) = (std::str::from_utf8(&rest[..colon]).ok()?.parse::<usize>().ok()?, &rest[colon + 1..]);
    let target = if text.len() == len { text.to_vec() } else { percent_decode(text).collect() };
    let valid = target.len() == len && is_target_len(len as u64) && !target.contains(&0);
    valid.then_some(Target::Here(target))
}

/// Whether a target can have this length.
pub(super) fn is_target_len(len: u64) -> bool {
    (1..=SYMLINK_TARGET_BYTES_MAX).contains(&len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(value: &[u8]) -> Option<Vec<u8>> {
        match parse(&HeaderValue::from_bytes(value).unwrap()) {
            Some(Target::Here(target)) => Some(target),
            Some(Target::Body) => panic!("in the body"),
            None => None,
        }
    }

    #[test]
    fn raw_and_encoded_targets() {
        assert_eq!(here(b"header:12:old-text.txt").unwrap(), b"old-text.txt");
        assert_eq!(here(b"header:7:a-%.txt").unwrap(), b"a-%.txt");
        assert_eq!(here(b"header:7:a-%25.txt").unwrap(), b"a-%.txt");
        assert_eq!(here(b"header:9:a-%25.txt").unwrap(), b"a-%25.txt", "raw, for so many bytes it has");
        assert_eq!(here("header:6:目录".as_bytes()).unwrap(), "目录".as_bytes());
        assert_eq!(here(b"header:6:%E7%9B%AE%E5%BD%95").unwrap(), "目录".as_bytes());
        assert_eq!(here(b"header:3:a:b").unwrap(), b"a:b");
    }

    #[test]
    fn a_length_that_disagrees_is_no_target() {
        let too_long = format!("header:5000:{}", "a".repeat(5000));
        for bad in
            ["header:3:ab", "header:0:", "header:-1:a", "header:99999999999999999999999:a", "header::a", "header:1"]
        {
            assert_eq!(here(bad.as_bytes()), None, "{bad}");
        }
        for bad in ["", "a", "header:1:%00", "Header:1:a", &too_long] {
            assert_eq!(here(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_target_in_the_body() {
        assert_eq!(parse(&HeaderValue::from_static("body:0:")), Some(Target::Body));
    }
}
