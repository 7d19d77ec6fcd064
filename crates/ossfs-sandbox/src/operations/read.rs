//! GetObject, HeadObject and GetObjectMeta.

use super::preconditions::{self, OF_READ};
use super::range::{Selection, select};
use super::{Call, ascii};
use crate::answer::{Answer, Payload};
use crate::error::{Code, OssError, Result};
use crate::object::{Kind, Object};
use crate::time;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use ossfs_types::{Key, Timestamp};
use std::sync::Arc;

/// Parameters of a GET that replace headers of its answer.
const OVERRIDES: [(&str, &str); 6] = [
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
    ("response-content-language", "content-language"),
    ("response-content-type", "content-type"),
    ("response-expires", "expires"),
];

/// A key as a reader finds it. Of a symlink, content and ETag are the target's and everything else is its own.
struct Found {
    named: Arc<Object>,
    content: Arc<Object>,
    /// The later of the two.
    modified: Timestamp,
}

/// The object of a key itself, links not followed.
pub(super) fn object(call: &Call<'_>, key: &Key) -> Result<Arc<Object>> {
    call.bucket()?.object(key).ok_or_else(|| no_such_key(key))
}

pub(super) fn no_such_key(key: &Key) -> Box<OssError> {
    OssError::new(Code::NoSuchKey).detail("Key", key.as_str())
}

fn find(call: &Call<'_>) -> Result<Found> {
    let named = object(call, call.key()?)?;
    let content = match &named.kind {
        Kind::Normal | Kind::Multipart | Kind::Appendable => named.clone(),
        Kind::Symlink { target } => {
            let missing = || OssError::new(Code::SymlinkTargetNotExist).detail("Target", target.as_str());
            let object = call.bucket()?.object(target).ok_or_else(missing)?;
            if matches!(object.kind, Kind::Symlink { .. }) {
                return Err(Code::InvalidTargetType.into());
            }
            object
        }
    };
    let modified = named.modified.max(content.modified);
    Ok(Found { named, content, modified })
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer> {
    let found = find(call)?;
    if found.content.is_frozen(call.now) {
        return Err(Code::InvalidObjectState.into());
    }
    let request = call.request;
    preconditions::check(&request.headers, &OF_READ, &found.content, found.modified)?;
    let standard = request.headers.get("x-oss-range-behavior").is_some_and(|value| value == "standard");
    let content = &found.content.content;
    let selection = select(request.headers.get(RANGE), standard, content.len())?;
    let mut headers = headers_of(&found, call.now);
    for (parameter, name) in OVERRIDES {
        if let Some(text) = request.query.text(parameter) {
            let value = HeaderValue::from_str(text)
                .map_err(|_| OssError::argument(parameter, text, "The value cannot be in a header."))?;
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    Ok(match selection {
        Selection::Whole => {
            headers.extend(content_md5(&found.content));
            Answer { status: StatusCode::OK, headers, payload: Payload::Content(content.clone()) }
        }
        Selection::Part(range) => {
            let said = format!("bytes {}-{}/{}", range.start(), range.end() - 1, content.len());
            headers.insert(CONTENT_RANGE, ascii(&said));
            let payload = Payload::Content(content.slice(range));
            Answer { status: StatusCode::PARTIAL_CONTENT, headers, payload }
        }
    })
}

pub(super) fn head(call: &mut Call<'_>) -> Result<Answer> {
    let found = find(call)?;
    preconditions::check(&call.request.headers, &OF_READ, &found.content, found.modified)?;
    let mut headers = headers_of(&found, call.now);
    headers.extend(content_md5(&found.content));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(found.content.content.len()));
    Ok(Answer { status: StatusCode::OK, headers, payload: Payload::Empty })
}

/// What is known of a key without following links, and without user metadata.
pub(super) fn meta(call: &mut Call<'_>) -> Result<Answer> {
    let object = object(call, call.key()?)?;
    let mut headers = HeaderMap::new();
    headers.insert(ETAG, ascii(&object.etag.quoted()));
    headers.insert(LAST_MODIFIED, ascii(&time::http_date(object.modified)));
    headers.insert(HeaderName::from_static("x-oss-hash-crc64ecma"), HeaderValue::from(object.crc.to_u64()));
    if call.request.method == http::Method::HEAD {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(object.content.len()));
    }
    Ok(Answer { status: StatusCode::OK, headers, payload: Payload::Empty })
}

fn headers_of(found: &Found, now: Timestamp) -> HeaderMap {
    let (named, content) = (&found.named, &found.content);
    let mut headers = HeaderMap::with_capacity(24);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    for (name, value) in named.attributes.headers.iter().chain(&named.attributes.encryption) {
        headers.insert(name.clone(), value.clone());
    }
    headers.insert(ETAG, ascii(&content.etag.quoted()));
    headers.insert(LAST_MODIFIED, ascii(&time::http_date(found.modified)));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let mut insert = |name: &'static str, value: HeaderValue| headers.insert(HeaderName::from_static(name), value);
    insert("x-oss-object-type", HeaderValue::from_static(named.kind.as_str()));
    insert("x-oss-storage-class", HeaderValue::from_static(named.attributes.class.as_str()));
    insert("x-oss-hash-crc64ecma", HeaderValue::from(content.crc.to_u64()));
    if content.kind == Kind::Appendable {
        insert("x-oss-next-append-position", HeaderValue::from(content.content.len()));
    }
    if !named.attributes.tags.is_empty() {
        insert("x-oss-tagging-count", HeaderValue::from(named.attributes.tags.len()));
    }
    if let Some(until) = named.restored_until.filter(|until| *until >= now) {
        insert("x-oss-restore", ascii(&restore_info(until)));
    }
    headers
}

/// What OSS says about an object that was restored.
pub(super) fn restore_info(until: Timestamp) -> String {
    format!("ongoing-request=\"false\", expiry-date=\"{}\"", time::http_date(until))
}

/// The MD5 of an object whose ETag is one.
fn content_md5(object: &Object) -> Option<(HeaderName, HeaderValue)> {
    if object.kind != Kind::Normal {
        return None;
    }
    let md5 = hex::decode(object.etag.as_str()).ok()?;
    Some((HeaderName::from_static("content-md5"), ascii(&BASE64.encode(md5))))
}
