//! Multipart uploads.

use super::Inner;
use super::answer;
use super::look::combined_crc64;
use super::request::{Call, FORBID_OVERWRITE, Target, put_headers};
use crate::api::{CopySource, Part, PartNumber, PartsPage, Payload, PutOptions, Upload, UploadId, Written};
use crate::error::{Error, Kind, Result};
use crate::xml::{self, CompleteDocument, CopyDocument, InitiateDocument, PartsDocument};
use http::Method;
use http::header::HeaderName;
use ossfs_types::{ByteRange, Crc64, ETag, Key, Prefix};
use tokio::time::Instant;

const COPY_SOURCE_RANGE: HeaderName = HeaderName::from_static("x-oss-copy-source-range");

impl Inner {
    pub(super) async fn create_upload(&self, key: &Key, options: &PutOptions) -> Result<Upload> {
        let operation = "InitiateMultipartUpload";
        let call = Call::new(operation, Method::POST, Target::Object(key))
            .flag("uploads")
            .headers(put_headers(operation, options)?);
        let asked = Instant::now();
        let answered = self.answer(&call).await?;
        let document: InitiateDocument = xml::parse("InitiateMultipartUploadResult", &answered.document)
            .map_err(|problem| call.error(Kind::Unknown, problem))?;
        let id = UploadId::parse(&document.upload_id)
            .ok_or_else(|| call.error(Kind::Unknown, "there is no valid upload id"))?;
        let upload = Upload { key: key.clone(), id };
        if answered.repeated
            && let Some(date) = answer::date(&answered.headers)
        {
            // By the server's clock, which tells whole seconds.
            let asked_for = i64::try_from(asked.elapsed().as_secs() + 1).unwrap_or(i64::MAX);
            self.end_lost_uploads(&upload, date.as_second().saturating_sub(asked_for)).await;
        }
        Ok(upload)
    }

    /// Aborts what was begun for the key of an upload since a second, but for itself: attempts whose answers were lost. As
    /// far as it goes: what is left costs space until the bucket's lifecycle rules remove it, and harms nothing.
    async fn end_lost_uploads(&self, upload: &Upload, since: i64) {
        let page = match self.list_uploads(&Prefix::from(&upload.key), None).await {
            Ok(page) => page,
            Err(error) => return tracing::warn!(%error, "an upload may be left whose answer was lost"),
        };
        for open in page.uploads {
            let lost = open.upload.key == upload.key && open.upload.id != upload.id;
            if lost
                && open.initiated.as_second() >= since
                && let Err(error) = self.abort_upload(&open.upload).await
            {
                tracing::warn!(%error, "an upload is left whose answer was lost");
            }
        }
    }

    pub(super) async fn upload_part(&self, upload: &Upload, number: PartNumber, payload: Payload) -> Result<Part> {
        let call = part_call("UploadPart", upload, number).payload(payload.clone());
        let mut attempt = 1;
        loop {
            let headers = self.answer(&call).await?.headers;
            let etag = answer::etag(&headers).ok_or_else(|| call.error(Kind::Unknown, "there is no valid ETag"))?;
            let found = answer::crc64(&headers);
            if found.is_none_or(|found| found == payload.crc64()) {
                return Ok(Part { number, etag, size: payload.len(), crc64: Some(payload.crc64()) });
            }
            // The part was changed on its way; sending it again replaces it.
            let message = format!("the store has {found:?} instead of {:?}", payload.crc64());
            let error = call.error(Kind::Unknown, message);
            if attempt >= self.retry.attempts_max {
                return Err(error);
            }
            tracing::warn!(%error, "uploading the part again");
            attempt += 1;
        }
    }

    pub(super) async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: PartNumber,
        source: &CopySource,
        range: ByteRange,
    ) -> Result<Part> {
        if range.is_empty() {
            return Err(Error::new(Kind::Invalid, "UploadPartCopy", "an empty range can't be copied"));
        }
        let call = part_call("UploadPartCopy", upload, number)
            .copy_source(&self.bucket, source)
            .header(COPY_SOURCE_RANGE, format!("bytes={}-{}", range.start(), range.end() - 1));
        let answered = self.answer(&call).await?;
        let document: CopyDocument =
            xml::parse("CopyPartResult", &answered.document).map_err(|problem| call.error(Kind::Unknown, problem))?;
        let etag = ETag::parse(&document.etag).ok_or_else(|| call.error(Kind::Unknown, "there is no valid ETag"))?;
        Ok(Part { number, etag, size: range.len(), crc64: answer::crc64(&answered.headers) })
    }

    pub(super) async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
        forbid_overwrite: bool,
    ) -> Result<Written> {
        let mut lost: Option<Error> = None;
        for attempt in 1.. {
            let error = match self.complete_once(upload, parts, forbid_overwrite).await {
                Ok(written) => return check_completion(upload, written, combined_crc64(parts)),
                Err(error) => error,
            };
            let unknown = error.kind() == Kind::Unknown;
            if !unknown && lost.is_none() {
                return Err(error);
            }
            // The first may have been applied, whatever is said of a repetition: "no such upload" and "exists already" may
            // be our own doing.
            if let Some(written) = self.completion_landed(upload, parts).await {
                return Ok(written);
            }
            let first = match lost.take() {
                Some(first) if !unknown => return Err(first),
                Some(first) => first,
                None => error,
            };
            // The upload can be completed only once, so asking again for the same one harms nothing.
            match self.retry.delay(attempt, false, fastrand::f64()) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(first),
            }
            lost = Some(first);
        }
        unreachable!("the attempts are bounded by the retry options")
    }

    async fn complete_once(&self, upload: &Upload, parts: &[Part], forbid_overwrite: bool) -> Result<Written> {
        let document = xml::complete_request(parts.iter().map(|part| (part.number.value(), part.etag.as_str())));
        let mut call = Call::new("CompleteMultipartUpload", Method::POST, Target::Object(&upload.key))
            .parameter("uploadId", &upload.id)
            .payload(document.into_bytes().into())
            .only_if_refused();
        if forbid_overwrite {
            call = call.header(FORBID_OVERWRITE, "true");
        }
        let answered = self.answer(&call).await?;
        let document: CompleteDocument = xml::parse("CompleteMultipartUploadResult", &answered.document)
            .map_err(|problem| call.error(Kind::Unknown, problem))?;
        let etag = ETag::parse(&document.etag).ok_or_else(|| call.error(Kind::Unknown, "there is no valid ETag"))?;
        Ok(Written { etag, crc64: answer::crc64(&answered.headers) })
    }

    pub(super) async fn abort_upload(&self, upload: &Upload) -> Result<bool> {
        let call = Call::new("AbortMultipartUpload", Method::DELETE, Target::Object(&upload.key))
            .parameter("uploadId", &upload.id);
        match self.answer(&call).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == Kind::UploadNotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn list_parts(&self, upload: &Upload, after: Option<PartNumber>) -> Result<PartsPage> {
        let mut call = Call::new("ListParts", Method::GET, Target::Object(&upload.key))
            .parameter("uploadId", &upload.id)
            .parameter("max-parts", ossfs_types::limits::LIST_KEYS_MAX);
        if let Some(after) = after {
            call = call.parameter("part-number-marker", after);
        }
        let answered = self.answer(&call).await?;
        let corrupt = |problem: String| call.error(Kind::Corrupt, problem);
        let document: PartsDocument = xml::parse("ListPartsResult", &answered.document).map_err(corrupt)?;
        let next = match (
            document.is_truncated,
            document.next_part_number_marker.and_then(|marker| PartNumber::new(marker.parse().ok()?)),
        ) {
            (false, _) => None,
            (true, Some(next)) if after.is_none_or(|after| after < next) => Some(next),
            (true, _) => return Err(corrupt("the listing does not advance".to_owned())),
        };
        let parts: Option<Vec<Part>> = document
            .parts
            .into_iter()
            .map(|part| {
                Some(Part {
                    number: PartNumber::new(part.part_number)?,
                    etag: ETag::parse(&part.etag)?,
                    size: part.size,
                    crc64: part.crc64.and_then(|crc64| crc64.parse().ok()).map(Crc64::from_u64),
                })
            })
            .collect();
        let parts = parts.ok_or_else(|| corrupt("a part has no valid number or ETag".to_owned()))?;
        Ok(PartsPage { parts, next })
    }
}

fn part_call<'a>(operation: &'static str, upload: &'a Upload, number: PartNumber) -> Call<'a> {
    Call::new(operation, Method::PUT, Target::Object(&upload.key))
        .parameter("partNumber", number)
        .parameter("uploadId", &upload.id)
}

fn check_completion(upload: &Upload, written: Written, expected: Option<Crc64>) -> Result<Written> {
    match (expected, written.crc64) {
        (Some(expected), Some(found)) if expected != found => {
            let message = format!("the object was made, but its checksum is {found} instead of {expected}");
            Err(Error::new(Kind::Unknown, "CompleteMultipartUpload", message).on_key(upload.key.as_str()))
        }
        _ => Ok(written),
    }
}
