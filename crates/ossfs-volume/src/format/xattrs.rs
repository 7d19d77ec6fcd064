//! Extended attributes as ossfs 1.x keeps them: one entry `xattr` of the metadata, a JSON object of names and values,
//! URL-encoded, the values in base64.
//!
//! Invariant: attributes that are not shown (of other namespaces than `user.`) stay as they are. ossfs 1.x quotes nothing
//! in names, so what is no JSON is read as it reads it: pairs between commas.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use ossfs_store::Metadata;
use ossfs_types::limits::USER_METADATA_BYTES_MAX;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::collections::BTreeMap;

/// The name of the entry, without `x-oss-meta-`.
const XATTR: &str = "xattr";

/// What every file system has, and the only attributes that are shown.
const NAMESPACE: &str = "user.";

/// What ossfs 1.x encodes.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// So much of what OSS allows is kept for the entries that say everything else of a file, so that no attribute is in their
/// way: at their longest they have about 300 bytes, 400 with `x-oss-meta-`.
const RESERVED_BYTES: usize = 512;

/// The extended attributes of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Xattrs(BTreeMap<String, Vec<u8>>);

impl Xattrs {
    /// What an entry says. What makes no sense counts as absent.
    pub(crate) fn parse(entry: &str) -> Self {
        let text = percent_decode_str(entry).decode_utf8_lossy();
        let object = text.find('{').zip(text.rfind('}')).filter(|(start, end)| start < end);
        let Some((start, end)) = object else { return Self::default() };
        match serde_json::from_str::<BTreeMap<String, String>>(&text[start..=end]) {
            Ok(pairs) => Self(pairs.iter().filter_map(|(name, value)| pair(name, value)).collect()),
            Err(_) => Self(text[start + 1..end].split(',').filter_map(loose_pair).collect()),
        }
    }

    /// The entry; empty if there is nothing to say.
    pub(crate) fn entry(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let pairs: BTreeMap<&str, String> =
            self.0.iter().map(|(name, value)| (&**name, BASE64_STANDARD.encode(value))).collect();
        let text = serde_json::to_string(&pairs).expect("text becomes JSON");
        utf8_percent_encode(&text, ENCODED).to_string()
    }

    /// Whether programs may see and change an attribute of this name.
    pub(crate) fn is_shown(name: &str) -> bool {
        name.len() > NAMESPACE.len() && name.starts_with(NAMESPACE)
    }

    /// The names that are shown.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name).filter(|name| Self::is_shown(name))
    }

    /// The value of one.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Sets one.
    pub(crate) fn set(&mut self, name: &str, value: &[u8]) {
        self.0.insert(name.to_owned(), value.to_vec());
    }

    /// Removes one. Returns whether it was there.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }
}

fn pair(name: &str, value: &str) -> Option<(String, Vec<u8>)> {
    let value = BASE64_STANDARD.decode(value).ok()?;
    (!name.is_empty()).then(|| (name.to_owned(), value))
}

/// `"name":"value"`, whatever the name has in it. No value has a colon or a quote.
fn loose_pair(text: &str) -> Option<(String, Vec<u8>)> {
    let unquoted = |text: &str| text.trim().strip_prefix('"')?.strip_suffix('"').map(str::to_owned);
    let (name, value) = text.rsplit_once(':')?;
    pair(&unquoted(name)?, &unquoted(value)?)
}

/// The entry of an object's metadata; empty if it has none.
pub(crate) fn xattr_entry(metadata: &Metadata) -> &str {
    metadata.user.get(XATTR).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Makes the entry of an object's metadata this; an empty one is none.
pub(crate) fn set_xattr_entry(metadata: &mut Metadata, entry: &str) {
    match HeaderValue::from_str(entry) {
        Ok(value) if !entry.is_empty() => metadata.user.insert(XATTR.to_owned(), value),
        _ => metadata.user.remove(XATTR),
    };
}

/// Whether an object with the metadata of others has room for this entry.
pub(crate) fn xattr_entry_fits(foreign: Option<&Metadata>, entry: &str) -> bool {
    let others = foreign.into_iter().flat_map(|foreign| &foreign.user).filter(|(name, _)| *name != XATTR);
    let others: usize = others.map(|(name, value)| name.len() + value.len()).sum();
    entry.is_empty() || others + XATTR.len() + entry.len() + RESERVED_BYTES <= USER_METADATA_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(pairs: &[(&str, &[u8])]) -> Xattrs {
        Xattrs(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect())
    }

    #[test]
    fn the_entry_is_that_of_ossfs_1() {
        let xattrs = of(&[("user.a", b"hello"), ("user.b", b"")]);
        assert_eq!(xattrs.entry(), "%7B%22user.a%22%3A%22aGVsbG8%3D%22%2C%22user.b%22%3A%22%22%7D");
        assert_eq!(Xattrs::parse(&xattrs.entry()), xattrs);
        assert_eq!(Xattrs::default().entry(), "");
    }

    #[test]
    fn entries_of_others_are_read() {
        let expected = of(&[("user.a", b"hello"), ("user.b", b"x")]);
        for entry in [
            "{\"user.a\":\"aGVsbG8=\",\"user.b\":\"eA==\"}",
            "%7b%22user.a%22%3a%22aGVsbG8=%22%2c%22user.b%22%3a%22eA==%22%7d",
            "{ \"user.a\" : \"aGVsbG8=\" , \"user.b\" : \"eA==\" }",
            "{\"user.a\":\"aGVsbG8=\",\"user.a\":\"aGVsbG8=\",\"user.b\":\"eA==\",\"user.c\":\"not base64\"}",
            "{\"user.a\":\"aGVsbG8=\",\"user.b\":\"eA==\",\"\":\"eA==\",junk,\"user.c\"}",
        ] {
            assert_eq!(Xattrs::parse(entry), expected, "{entry}");
        }
        // A quote and a colon in a name, as ossfs 1.x writes them.
        assert_eq!(Xattrs::parse("{\"user.\"q:\":\"eA==\"}"), of(&[("user.\"q:", b"x")]));
    }

    #[test]
    fn junk_counts_as_absent() {
        for junk in ["", "{", "}", "}{", "[]", "{}", "null", "{\"user.a\":5}", "%", "%FF%7B%7D"] {
            assert_eq!(Xattrs::parse(junk), Xattrs::default(), "{junk}");
        }
    }

    #[test]
    fn only_the_user_namespace_is_shown() {
        let xattrs = of(&[("security.selinux", b"s"), ("user.", b"n"), ("user.a", b"1"), ("system.b", b"2")]);
        assert_eq!(xattrs.names().collect::<Vec<_>>(), ["user.a"]);
    }

    #[test]
    fn an_entry_takes_the_room_that_is_left() {
        let most = USER_METADATA_BYTES_MAX - RESERVED_BYTES - XATTR.len();
        assert!(xattr_entry_fits(None, &"x".repeat(most)));
        assert!(!xattr_entry_fits(None, &"x".repeat(most + 1)));
        let mut metadata = Metadata::default();
        set_xattr_entry(&mut metadata, "old");
        assert_eq!(xattr_entry(&metadata), "old");
        assert!(xattr_entry_fits(Some(&metadata), &"x".repeat(most)), "the old one goes");
        metadata.user.insert("theirs".to_owned(), HeaderValue::from_static("1234"));
        assert!(!xattr_entry_fits(Some(&metadata), &"x".repeat(most - 9)));
        assert!(xattr_entry_fits(Some(&metadata), &"x".repeat(most - 10)));
        set_xattr_entry(&mut metadata, "");
        assert!(!metadata.user.contains_key(XATTR));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(pairs in prop::collection::btree_map("\\PC{1,9}|[a-z.\",:{}\\\\]{1,9}", prop::collection::vec(any::<u8>(), 0..9), 0..5)) {
            let xattrs = Xattrs(pairs);
            prop_assert_eq!(Xattrs::parse(&xattrs.entry()), xattrs);
        }

        #[test]
        fn no_entry_panics(entry in "[{}\":,%a-f0-9=\\\\]{0,40}|\\PC{0,20}") {
            let xattrs = Xattrs::parse(&entry);
            prop_assert_eq!(Xattrs::parse(&xattrs.entry()), xattrs);
        }
    }
}
