//! What answers mean: headers and errors. Pure.

use super::request::metadata_of;
use crate::api::{ObjectMeta, ObjectStat, ObjectType, Symlink};
use crate::error::Kind;
use crate::xml::{self, ErrorDocument};
use base64::prelude::{BASE64_STANDARD, Engine};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED};
use http::{HeaderValue, StatusCode};
use jiff::fmt::rfc2822::DateTimeParser;
use ossfs_types::{Crc64, ETag, Timestamp};
use percent_encoding::percent_decode_str;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-oss-request-id");
const ERROR_DOCUMENT: HeaderName = HeaderName::from_static("x-oss-err");
const CRC64: HeaderName = HeaderName::from_static("x-oss-hash-crc64ecma");
const NEXT_APPEND_POSITION: HeaderName = HeaderName::from_static("x-oss-next-append-position");
const SYMLINK_TARGET: HeaderName = HeaderName::from_static("x-oss-symlink-target");

/// A header as text.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A header as a number.
fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    text(headers, name).and_then(|value| value.trim().parse().ok())
}

/// OSS's id of the request; only OSS's answers have one.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    text(headers, &REQUEST_ID).map(str::to_owned)
}

pub(super) fn crc64(headers: &HeaderMap) -> Option<Crc64> {
    number(headers, &CRC64).map(Crc64::from_u64)
}

pub(super) fn next_append_position(headers: &HeaderMap) -> Option<u64> {
    number(headers, &NEXT_APPEND_POSITION)
}

pub(super) fn etag(headers: &HeaderMap) -> Option<ETag> {
    text(headers, &ETAG).and_then(ETag::parse)
}

pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    number(headers, &CONTENT_LENGTH)
}

/// The server's time of day.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    text(headers, &DATE).and_then(http_date)
}

fn http_date(text: &str) -> Option<Timestamp> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    PARSER.parse_timestamp(text).ok()
}

/// A time in a document: RFC 3339.
pub(super) fn document_date(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("{text:?} is no time"))
}

/// `Content-Range: bytes first-last/size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub first: u64,
    pub last: u64,
    pub size: u64,
}

pub(super) fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let (range, size) = text(headers, &CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let range = ContentRange { first: first.parse().ok()?, last: last.parse().ok()?, size: size.parse().ok()? };
    (range.first <= range.last && range.last < range.size).then_some(range)
}

/// All that an answer about an object of this size says of it; or what is missing.
pub(super) fn object_meta(headers: &HeaderMap, size: u64) -> Result<ObjectMeta, String> {
    let stat = object_stat(headers, size)?;
    let owned = |name: &'static str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok(ObjectMeta {
        size,
        etag: stat.etag,
        last_modified: stat.last_modified,
        object_type: owned("x-oss-object-type").map_or(ObjectType::Other, |name| ObjectType::parse(&name)),
        storage_class: owned("x-oss-storage-class"),
        encryption: owned("x-oss-server-side-encryption"),
        crc64: crc64(headers),
        metadata: metadata_of(headers),
        answered_at: date(headers),
    })
}

/// The little that an answer about an object of this size must say of it; or what is missing.
pub(super) fn object_stat(headers: &HeaderMap, size: u64) -> Result<ObjectStat, String> {
    let etag = etag(headers).ok_or("there is no valid ETag")?;
    let last_modified = text(headers, &LAST_MODIFIED).and_then(http_date).ok_or("there is no valid Last-Modified")?;
    Ok(ObjectStat { size, etag, last_modified })
}

/// What GetSymlink's answer says; or what is missing.
pub(super) fn symlink(headers: &HeaderMap) -> Result<Symlink, String> {
    let encoded = text(headers, &SYMLINK_TARGET).ok_or("there is no x-oss-symlink-target")?;
    let target = percent_decode_str(encoded).decode_utf8().map_err(|_| "the target is not UTF-8")?;
    Ok(Symlink {
        target: ossfs_types::Key::parse(&target).map_err(|error| format!("the target is no key: {error}"))?,
        last_modified: text(headers, &LAST_MODIFIED).and_then(http_date),
        etag: etag(headers),
        metadata: metadata_of(headers),
    })
}

/// What is left of an error once it is understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub kind: Kind,
    pub code: Option<String>,
    pub message: String,
}

/// Reads an error's document from the body, or from `x-oss-err` where there is no body.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Refusal {
    let from_header = || headers.get(ERROR_DOCUMENT).and_then(|value| BASE64_STANDARD.decode(value.as_bytes()).ok());
    let document = xml::parse::<ErrorDocument>("Error", body)
        .ok()
        .or_else(|| xml::parse::<ErrorDocument>("Error", &from_header()?).ok());
    let Some(document) = document else {
        let location = headers.get(http::header::LOCATION).map(HeaderValue::to_str);
        let message = match location {
            Some(Ok(location)) if status.is_redirection() => format!("redirected to {location}: check the endpoint"),
            _ => String::new(),
        };
        return Refusal { kind: kind_of(status, ""), code: None, message };
    };
    let kind = match kind_of(status, &document.code) {
        Kind::WrongPosition { .. } => Kind::WrongPosition { length: next_append_position(headers) },
        kind => kind,
    };
    let message = match document.endpoint {
        Some(endpoint) => format!("{} The bucket's endpoint is {endpoint}.", document.message),
        None => document.message,
    };
    Refusal { kind, code: Some(document.code), message }
}

/// What a status and a code mean for the caller.
fn kind_of(status: StatusCode, code: &str) -> Kind {
    match code {
        "NoSuchKey" | "SymlinkTargetNotExist" => Kind::NotFound,
        "NoSuchBucket" => Kind::BucketNotFound,
        "NoSuchUpload" => Kind::UploadNotFound,
        "FileAlreadyExists" | "ObjectAlreadyExists" => Kind::AlreadyExists,
        "PositionNotEqualToLength" => Kind::WrongPosition { length: None },
        "ObjectNotAppendable" | "OperationNotSupported" | "InvalidTargetType" | "NotSymlink" => Kind::WrongType,
        "InvalidObjectState" => Kind::Archived,
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "SecurityTokenExpired"
        | "InvalidSecurityToken"
        | "RequestTimeTooSkewed"
        | "SecurityTokenNotSupported" => Kind::Credentials,
        "FileImmutable" => Kind::Denied,
        // There is more than one quota.
        _ if code.contains("QuotaExceeded") => Kind::Quota,
        "RequestTimeout" => Kind::Unavailable,
        "NotImplemented" => Kind::Unsupported,
        _ => match status.as_u16() {
            403 => Kind::Denied,
            404 => Kind::NotFound,
            304 | 412 => Kind::Precondition,
            416 => Kind::InvalidRange,
            408 => Kind::Unavailable,
            429 | 503 => Kind::Throttled,
            501 => Kind::Unsupported,
            500..=599 => Kind::Unavailable,
            _ => Kind::Invalid,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn content_ranges_that_lie_are_not_believed() {
        let range = |value| content_range(&headers(&[("content-range", value)]));
        assert_eq!(range("bytes 2-4/10"), Some(ContentRange { first: 2, last: 4, size: 10 }));
        for bad in ["bytes 4-2/10", "bytes 2-10/10", "bytes */10", "2-4/10", "bytes 2-4/*", "bytes -1-4/10", ""] {
            assert_eq!(range(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_error_is_read_from_the_body_or_the_header() {
        let document = b"<Error><Code>NoSuchKey</Code><Message>gone</Message><RequestId>R</RequestId></Error>";
        let expected = Refusal { kind: Kind::NotFound, code: Some("NoSuchKey".into()), message: "gone".into() };
        assert_eq!(refusal(StatusCode::NOT_FOUND, &HeaderMap::new(), document), expected);
        let mut head = HeaderMap::new();
        head.insert(ERROR_DOCUMENT, HeaderValue::try_from(BASE64_STANDARD.encode(document)).unwrap());
        assert_eq!(refusal(StatusCode::NOT_FOUND, &head, b""), expected);
    }

    #[test]
    fn whoever_may_not_have_more_is_told_so() {
        let kind = |code| kind_of(StatusCode::FORBIDDEN, code);
        assert_eq!((kind("QuotaExceeded"), kind("UserQuotaExceeded")), (Kind::Quota, Kind::Quota));
        assert_eq!(kind("AccessDenied"), Kind::Denied);
    }

    #[test]
    fn an_error_without_a_document_is_told_by_its_status() {
        let kind = |status| refusal(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), b"<html>").kind;
        assert_eq!(kind(404), Kind::NotFound);
        assert_eq!(kind(403), Kind::Denied);
        assert_eq!(kind(502), Kind::Unavailable);
        assert_eq!(kind(503), Kind::Throttled);
        let redirect = headers(&[("location", "http://elsewhere/")]);
        assert!(refusal(StatusCode::FOUND, &redirect, b"").message.contains("http://elsewhere/"));
    }

    #[test]
    fn what_an_object_must_have_is_demanded() {
        let good = [("etag", "\"E\""), ("last-modified", "Fri, 24 Feb 2012 06:07:48 GMT"), ("x-oss-meta-a", "1")];
        let meta = object_meta(&headers(&good), 5).unwrap();
        assert_eq!((meta.size, meta.etag.as_str(), meta.metadata.user["a"].to_str().unwrap()), (5, "E", "1"));
        assert_eq!(meta.last_modified.as_second(), 1_330_063_668);
        assert!(object_meta(&headers(&good[1..]), 5).unwrap_err().contains("ETag"));
        assert!(object_meta(&headers(&good[..1]), 5).unwrap_err().contains("Last-Modified"));
    }
}
