//! What goes into a request: its target, its headers, and whether it may be repeated.

use crate::api::{CopySource, Metadata, Payload, PutOptions, WriteHeaders};
use crate::error::{Error, Kind, Result};
use crate::sign::encode_key;
use base64::prelude::{BASE64_STANDARD, Engine};
use http::Method;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, EXPIRES, HeaderMap,
    HeaderName, HeaderValue,
};
use md5::{Digest, Md5};
use ossfs_types::{BucketName, ETag, Key};

pub(super) const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
pub(super) const FORBID_OVERWRITE: HeaderName = HeaderName::from_static("x-oss-forbid-overwrite");
const COPY_SOURCE: HeaderName = HeaderName::from_static("x-oss-copy-source");
const COPY_SOURCE_IF_MATCH: HeaderName = HeaderName::from_static("x-oss-copy-source-if-match");

/// MD5 takes 1.5 ns a byte: up to here it is done at once, above it on a thread that may be kept busy.
const MD5_INLINE_BYTES_MAX: u64 = 256 << 10;

fn md5_of(payload: &Payload) -> String {
    let mut md5 = Md5::new();
    payload.chunks().iter().for_each(|chunk| md5.update(chunk));
    BASE64_STANDARD.encode(md5.finalize())
}

/// Whether an operation may be sent again when nobody knows what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It changes nothing, or changes the same thing to the same each time.
    Always,
    /// Only once it is sure that it was not applied.
    IfRefused,
    /// Never: what its caller has seen just before would be too old by then.
    Never,
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    Service,
    Bucket,
    Object(&'a Key),
}

impl Target<'_> {
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Self::Object(key) => Some(key.as_str()),
            Self::Service | Self::Bucket => None,
        }
    }
}

/// One operation, before it is signed.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// OSS's name of the operation, for messages.
    pub operation: &'static str,
    pub method: Method,
    pub target: Target<'a>,
    pub query: Vec<(&'static str, Option<String>)>,
    pub headers: HeaderMap,
    pub payload: Payload,
    pub repeat: Repeat,
}

impl<'a> Call<'a> {
    /// An operation without query, headers or body, that may always be repeated.
    pub(super) fn new(operation: &'static str, method: Method, target: Target<'a>) -> Self {
        Self {
            operation,
            method,
            target,
            query: Vec::new(),
            headers: HeaderMap::new(),
            payload: Payload::empty(),
            repeat: Repeat::Always,
        }
    }

    /// With a query parameter that has no value.
    pub(super) fn flag(mut self, name: &'static str) -> Self {
        self.query.push((name, None));
        self
    }

    pub(super) fn parameter(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, Some(value.to_string())));
        self
    }

    /// With a header whose value is made of checked parts only.
    pub(super) fn header(mut self, name: HeaderName, value: impl AsRef<str>) -> Self {
        let value = HeaderValue::from_str(value.as_ref()).expect("made of numbers, ETags and encoded keys");
        self.headers.insert(name, value);
        self
    }

    pub(super) fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    pub(super) fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// With a body that OSS refuses if it is not the one that was sent.
    pub(super) async fn checked_payload(self, payload: Payload) -> Self {
        let md5 = if payload.len() <= MD5_INLINE_BYTES_MAX {
            md5_of(&payload)
        } else {
            let payload = payload.clone();
            tokio::task::spawn_blocking(move || md5_of(&payload)).await.expect("computing a checksum does not panic")
        };
        self.header(CONTENT_MD5, md5).payload(payload)
    }

    pub(super) fn only_if_refused(mut self) -> Self {
        self.repeat = Repeat::IfRefused;
        self
    }

    pub(super) fn never_again(mut self) -> Self {
        self.repeat = Repeat::Never;
        self
    }

    /// With the source of a copy, pinned to its version if that is known.
    pub(super) fn copy_source(self, bucket: &BucketName, source: &CopySource) -> Self {
        let call = self.header(COPY_SOURCE, format!("/{bucket}/{}", encode_key(source.key.as_str())));
        match &source.if_match {
            Some(etag) => call.header(COPY_SOURCE_IF_MATCH, etag.quoted()),
            None => call,
        }
    }

    /// An error of this operation.
    pub(super) fn error(&self, kind: Kind, message: impl Into<String>) -> Error {
        let error = Error::new(kind, self.operation, message);
        match self.target.key() {
            Some(key) => error.on_key(key),
            None => error,
        }
    }
}

/// The standard headers that objects carry, each with its place in [`Metadata`].
macro_rules! standard_headers {
    ($metadata:expr) => {
        [
            (CONTENT_TYPE, &$metadata.content_type),
            (CACHE_CONTROL, &$metadata.cache_control),
            (CONTENT_DISPOSITION, &$metadata.content_disposition),
            (CONTENT_ENCODING, &$metadata.content_encoding),
            (CONTENT_LANGUAGE, &$metadata.content_language),
            (EXPIRES, &$metadata.expires),
        ]
    };
}

/// Prefix of the headers that carry user metadata.
pub(super) const USER_METADATA_PREFIX: &str = "x-oss-meta-";

/// The headers that attach metadata to an object.
pub(super) fn metadata_headers(operation: &'static str, metadata: &Metadata) -> Result<HeaderMap> {
    metadata.check().map_err(|problem| Error::new(Kind::Invalid, operation, problem))?;
    let mut headers = HeaderMap::new();
    for (name, value) in standard_headers!(metadata) {
        if let Some(value) = value {
            headers.insert(name, value.clone());
        }
    }
    for (name, value) in &metadata.user {
        let name = HeaderName::try_from(format!("{USER_METADATA_PREFIX}{name}")).expect("checked above");
        headers.insert(name, value.clone());
    }
    Ok(headers)
}

/// The metadata that an answer's headers attach to an object.
pub(super) fn metadata_of(headers: &HeaderMap) -> Metadata {
    let header = |name: HeaderName| headers.get(name).cloned();
    let user = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix(USER_METADATA_PREFIX)?;
        Some((name.to_owned(), value.clone()))
    });
    Metadata {
        content_type: header(CONTENT_TYPE),
        cache_control: header(CACHE_CONTROL),
        content_disposition: header(CONTENT_DISPOSITION),
        content_encoding: header(CONTENT_ENCODING),
        content_language: header(CONTENT_LANGUAGE),
        expires: header(EXPIRES),
        user: user.collect(),
    }
}

/// The headers that say how to store.
pub(super) fn write_headers(options: &WriteHeaders) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if options.forbid_overwrite {
        headers.insert(FORBID_OVERWRITE, HeaderValue::from_static("true"));
    }
    for (name, value) in [
        ("x-oss-storage-class", &options.storage_class),
        ("x-oss-object-acl", &options.acl),
        ("x-oss-server-side-encryption", &options.encryption),
        ("x-oss-server-side-encryption-key-id", &options.encryption_key),
    ] {
        if let Some(value) = value {
            headers.insert(name, value.clone());
        }
    }
    headers
}

/// All headers of a new object.
pub(super) fn put_headers(operation: &'static str, options: &PutOptions) -> Result<HeaderMap> {
    let mut headers = metadata_headers(operation, &options.metadata)?;
    headers.extend(write_headers(&options.headers));
    Ok(headers)
}

/// Whether the metadata that was asked for is what an object has. OSS fills in a Content-Type where none was given.
pub(super) fn metadata_matches(asked: &Metadata, found: &Metadata) -> bool {
    let mut standard = standard_headers!(asked).into_iter().zip(standard_headers!(found));
    asked.user == found.user
        && standard.all(|((name, asked), (_, found))| asked == found || (name == CONTENT_TYPE && asked.is_none()))
}

/// `If-Match` of a version.
pub(super) fn if_match(etag: &ETag) -> (HeaderName, String) {
    (http::header::IF_MATCH, etag.quoted())
}
