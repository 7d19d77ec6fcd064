//! The encodings and the header block that both signatures and URLs are made of.

use http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Write;

/// Everything but what RFC 3986 calls unreserved.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// As [`QUERY`], but the slashes of a key stay.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// A key as it stands in a URL path.
pub(crate) fn encode_key(key: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(key, PATH)
}

/// A name or value as it stands in a URL query.
pub(crate) fn encode_query_value(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, QUERY)
}

/// The lines `name:value` of those headers that `wanted` picks, sorted by name, each ended by a line feed. Values are
/// trimmed and copied as the bytes they are.
pub(super) fn header_block(headers: &HeaderMap, wanted: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut picked: Vec<_> = headers.iter().filter(|(name, _)| wanted(name.as_str())).collect();
    picked.sort_by_key(|(name, _)| name.as_str());
    let mut block = Vec::new();
    for (name, value) in picked {
        block.extend_from_slice(name.as_str().as_bytes());
        block.push(b':');
        block.extend_from_slice(value.as_bytes().trim_ascii());
        block.push(b'\n');
    }
    block
}

/// Appends the canonical query of version 4: encoded names in order, `k=v` or `k`, joined by `&`.
pub(super) fn push_sorted_query(out: &mut String, query: &[(&str, Option<&str>)]) {
    let mut encoded: Vec<(String, Option<String>)> = query
        .iter()
        .map(|(name, value)| {
            let value = value.filter(|value| !value.is_empty()).map(|value| encode_query_value(value).to_string());
            (encode_query_value(name).to_string(), value)
        })
        .collect();
    encoded.sort();
    for (index, (name, value)) in encoded.iter().enumerate() {
        let separator = if index == 0 { "" } else { "&" };
        match value {
            Some(value) => write!(out, "{separator}{name}={value}"),
            None => write!(out, "{separator}{name}"),
        }
        .expect("writing to a string does not fail");
    }
}
