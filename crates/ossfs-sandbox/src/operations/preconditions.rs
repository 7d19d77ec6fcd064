//! `If-…` headers: of reads, and of the sources of copies.

use crate::error::{Code, OssError, Result};
use crate::object::Object;
use crate::operations::ascii;
use crate::time;
use http::{HeaderMap, HeaderValue};
use ossfs_types::{ETag, Timestamp};

/// The names of the four headers.
pub(super) struct Names {
    if_match: &'static str,
    if_none_match: &'static str,
    if_modified_since: &'static str,
    if_unmodified_since: &'static str,
}

/// Conditions on the object that is read.
pub(super) const OF_READ: Names = Names {
    if_match: "if-match",
    if_none_match: "if-none-match",
    if_modified_since: "if-modified-since",
    if_unmodified_since: "if-unmodified-since",
};

/// Conditions on the object that is copied from.
pub(super) const OF_SOURCE: Names = Names {
    if_match: "x-oss-copy-source-if-match",
    if_none_match: "x-oss-copy-source-if-none-match",
    if_modified_since: "x-oss-copy-source-if-modified-since",
    if_unmodified_since: "x-oss-copy-source-if-unmodified-since",
};

/// Holds an object against the conditions of a request: 412, or 304 where nothing new is to be had. As HTTP says, an
/// ETag's word goes before a time's.
pub(super) fn check(headers: &HeaderMap, names: &Names, object: &Object, modified: Timestamp) -> Result<()> {
    let failed = |name: &str| Err(OssError::new(Code::PreconditionFailed).detail("Condition", name));
    let unchanged = || {
        Err(OssError::new(Code::NotModified)
            .header("etag", ascii(&object.etag.quoted()))
            .header("last-modified", ascii(&time::http_date(modified))))
    };
    if let Some(value) = headers.get(names.if_match) {
        if !names_etag(value, &object.etag) {
            return failed("If-Match");
        }
    } else if let Some(since) = date(headers, names.if_unmodified_since)
        && modified > since
    {
        return failed("If-Unmodified-Since");
    }
    if let Some(value) = headers.get(names.if_none_match) {
        if names_etag(value, &object.etag) {
            return unchanged();
        }
    } else if let Some(since) = date(headers, names.if_modified_since)
        && modified <= since
    {
        return unchanged();
    }
    Ok(())
}

/// Refuses the conditions that OSS does not have on writes.
pub(super) fn refuse_on_write(headers: &HeaderMap) -> Result<()> {
    for name in [OF_READ.if_match, OF_READ.if_none_match] {
        if headers.contains_key(name) {
            return Err(OssError::new(Code::NotImplemented).detail("Header", name));
        }
    }
    Ok(())
}

/// Whether a list of ETags, with or without quotes, holds this one or any (`*`).
fn names_etag(value: &HeaderValue, etag: &ETag) -> bool {
    let text = value.to_str().unwrap_or_default();
    text.split(',').any(|item| {
        let item = item.trim();
        item == "*" || ETag::parse(item.strip_prefix("W/").unwrap_or(item)).is_some_and(|item| item == *etag)
    })
}

/// A date that cannot be read is no condition, as HTTP says.
fn date(headers: &HeaderMap, name: &str) -> Option<Timestamp> {
    headers.get(name)?.to_str().ok().and_then(time::parse_http_date)
}
