//! Reading objects: one request as a rule, more after a broken connection, all of one version.

use super::Inner;
use super::answer;
use super::exchange::Attempts;
use super::request::{Call, Target, if_match};
use crate::api::{BodySource, GetOptions, GotObject, ObjectBody, ObjectMeta};
use crate::error::{Error, Kind, Result};
use crate::http::Response;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, RANGE};
use http::{Method, StatusCode};
use ossfs_types::{ByteRange, Crc64, Crc64Digest, ETag, Key};
use std::sync::Arc;

const RANGE_BEHAVIOR: HeaderName = HeaderName::from_static("x-oss-range-behavior");
/// After this many bytes a broken connection counts as the first again.
const PROGRESS_BYTES: u64 = 64 << 10;

pub(super) async fn get(inner: &Arc<Inner>, key: &Key, options: &GetOptions) -> Result<GotObject> {
    if options.range.is_some_and(ByteRange::is_empty) {
        return Err(Error::new(Kind::Invalid, "GetObject", "an empty range can't be asked for").on_key(key.as_str()));
    }
    let mut attempts = Attempts::none();
    let call = call(key, options.range, options.if_match.as_ref());
    let response = inner.open(&call, &mut attempts).await?;
    let (meta, range) =
        understand(&call, options.range, options.if_match.as_ref(), response.status, &response.headers)?;
    let whole = range.len() == meta.size;
    let download = Download {
        inner: inner.clone(),
        key: key.clone(),
        etag: meta.etag.clone(),
        left: range,
        response: Some(response),
        digest: options.checksum.then(Crc64Digest::new),
        expected: meta.crc64.filter(|_| whole && options.checksum),
        attempts,
        since_break: 0,
    };
    Ok(GotObject { meta, range, body: ObjectBody::new(download) })
}

fn call<'a>(key: &'a Key, range: Option<ByteRange>, etag: Option<&ETag>) -> Call<'a> {
    let mut call = Call::new("GetObject", Method::GET, Target::Object(key));
    if let Some(range) = range {
        let bytes = format!("bytes={}-{}", range.start(), range.end() - 1);
        call = call.header(RANGE, bytes).header(RANGE_BEHAVIOR, "standard");
    }
    if let Some(etag) = etag {
        let (name, value) = if_match(etag);
        call = call.header(name, value);
    }
    call
}

/// What an answer with success brings: believed only if it is what was asked for.
fn understand(
    call: &Call<'_>,
    asked: Option<ByteRange>,
    pinned: Option<&ETag>,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<(ObjectMeta, ByteRange)> {
    let corrupt = |message: String| {
        call.error(Kind::Corrupt, message).answered(status.as_u16(), None, answer::request_id(headers))
    };
    let len = answer::content_length(headers).ok_or_else(|| corrupt("there is no Content-Length".to_owned()))?;
    let (range, size) = match (status, asked) {
        (StatusCode::PARTIAL_CONTENT, Some(asked)) => {
            let got =
                answer::content_range(headers).ok_or_else(|| corrupt("there is no valid Content-Range".to_owned()))?;
            let range = ByteRange::new(got.first, got.last + 1).expect("a content range is in order");
            if range.start() != asked.start() || range.end() != asked.end().min(got.size) || range.len() != len {
                return Err(corrupt(format!("{len} bytes of {range} instead of {asked}")));
            }
            (range, got.size)
        }
        (StatusCode::OK, asked) => {
            let whole = ByteRange::new(0, len).expect("zero is no more than any length");
            if asked.is_some_and(|asked| asked.start() != 0 || asked.end() < len) {
                return Err(corrupt("the whole object instead of a range".to_owned()));
            }
            (whole, len)
        }
        _ => return Err(corrupt(format!("HTTP {status} for a read"))),
    };
    let meta = answer::object_meta(headers, size).map_err(corrupt)?;
    if pinned.is_some_and(|pinned| *pinned != meta.etag) {
        return Err(corrupt(format!("version {} instead of the one that was asked for", meta.etag)));
    }
    Ok((meta, range))
}

/// A read under way.
struct Download {
    inner: Arc<Inner>,
    key: Key,
    etag: ETag,
    /// The bytes that have not come yet.
    left: ByteRange,
    /// The answer they come from; absent after a break.
    response: Option<Response>,
    digest: Option<Crc64Digest>,
    /// What the checksum must be at the end, of a whole read.
    expected: Option<Crc64>,
    attempts: Attempts,
    since_break: u64,
}

impl Download {
    async fn reopen(&mut self) -> Result<()> {
        let call = call(&self.key, Some(self.left), Some(&self.etag));
        let response = self.inner.open(&call, &mut self.attempts).await?;
        let (_, range) = understand(&call, Some(self.left), Some(&self.etag), response.status, &response.headers)?;
        if range != self.left {
            return Err(call.error(Kind::Corrupt, format!("{range} instead of {}", self.left)));
        }
        self.response = Some(response);
        Ok(())
    }

    fn take(&mut self, bytes: &Bytes) -> Result<()> {
        let start = self.left.start() + bytes.len() as u64;
        self.left = ByteRange::new(start, self.left.end())
            .ok_or_else(|| self.corrupt("more bytes came than were announced"))?;
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        self.since_break += bytes.len() as u64;
        if self.since_break >= PROGRESS_BYTES {
            self.attempts = Attempts::none();
        }
        Ok(())
    }

    fn verify(&mut self) -> Result<()> {
        match (self.expected.take(), self.crc64()) {
            (Some(expected), Some(found)) if expected != found => {
                Err(self.corrupt(&format!("the checksum is {found} instead of {expected}")))
            }
            _ => Ok(()),
        }
    }

    fn corrupt(&self, message: &str) -> Error {
        Error::new(Kind::Corrupt, "GetObject", message).on_key(self.key.as_str())
    }
}

#[async_trait]
impl BodySource for Download {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while !self.left.is_empty() {
            let Some(response) = &mut self.response else {
                self.reopen().await?;
                continue;
            };
            let failure = match response.body.next().await {
                Ok(Some(bytes)) => {
                    self.take(&bytes)?;
                    return Ok(Some(bytes));
                }
                Ok(None) => return Err(self.corrupt("fewer bytes came than were announced")),
                Err(failure) => failure,
            };
            self.response = None;
            self.since_break = 0;
            let call = call(&self.key, Some(self.left), Some(&self.etag));
            self.inner.after_break(&call, &failure, &mut self.attempts).await?;
        }
        // Frees the connection before the caller drops the body.
        self.response = None;
        self.verify()?;
        Ok(None)
    }

    fn crc64(&self) -> Option<Crc64> {
        self.digest.as_ref().map(Crc64Digest::value)
    }
}
