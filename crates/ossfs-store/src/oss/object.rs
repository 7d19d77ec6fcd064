//! Whole objects: put, look at, delete, copy, append, and symlinks.

use super::Inner;
use super::answer;
use super::look::AppendShown;
use super::request::{Call, Target, metadata_headers, put_headers, write_headers};
use crate::api::{
    AppendOptions, Appended, CopyOptions, CopySource, ObjectMeta, ObjectStat, Payload, PutOptions, Symlink, Written,
    check_copy, check_delete_many, deleted_of,
};
use crate::error::{Error, Kind, Result};
use crate::sign::encode_key;
use crate::xml::{self, CopyDocument, DeleteDocument, can_be_in_xml};
use http::Method;
use http::header::{HeaderMap, HeaderName};
use ossfs_types::{Crc64, Key};
use percent_encoding::percent_decode_str;

const METADATA_DIRECTIVE: HeaderName = HeaderName::from_static("x-oss-metadata-directive");
const SYMLINK_TARGET: HeaderName = HeaderName::from_static("x-oss-symlink-target");

impl Inner {
    /// Carries the MD5, so that OSS refuses a body that was changed on its way: a checksum in the answer alone would
    /// come when the wrong bytes are already under the key. Large objects are cheaper in parts, which need no MD5.
    pub(super) async fn put(&self, key: &Key, payload: Payload, options: &PutOptions) -> Result<Written> {
        let call = Call::new("PutObject", Method::PUT, Target::Object(key))
            .headers(put_headers("PutObject", options)?)
            .checked_payload(payload.clone())
            .await
            .only_if_refused();
        let put = self.answer(&call).await.and_then(|answered| {
            let etag =
                answer::etag(&answered.headers).ok_or_else(|| call.error(Kind::Unknown, "there is no valid ETag"))?;
            match answer::crc64(&answered.headers) {
                Some(found) if found != payload.crc64() => {
                    let message = format!("the store has {found:?} instead of {:?}", payload.crc64());
                    Err(call.error(Kind::Unknown, message))
                }
                crc64 => Ok(Written { etag, crc64 }),
            }
        });
        match put {
            Err(error) if error.kind() == Kind::Unknown => self.put_landed(key, &payload, options).await.ok_or(error),
            result => result,
        }
    }

    pub(super) async fn head(&self, key: &Key) -> Result<ObjectMeta> {
        let call = Call::new("HeadObject", Method::HEAD, Target::Object(key));
        self.describe(&call, answer::object_meta).await
    }

    pub(super) async fn stat(&self, key: &Key) -> Result<ObjectStat> {
        let call = Call::new("GetObjectMeta", Method::HEAD, Target::Object(key)).flag("objectMeta");
        self.describe(&call, answer::object_stat).await
    }

    /// What the headers of an answer without a body say of an object of their Content-Length.
    async fn describe<T>(
        &self,
        call: &Call<'_>,
        understand: fn(&HeaderMap, u64) -> std::result::Result<T, String>,
    ) -> Result<T> {
        let headers = self.answer(call).await?.headers;
        let size = answer::content_length(&headers).ok_or_else(|| "there is no Content-Length".to_owned());
        size.and_then(|size| understand(&headers, size)).map_err(|problem| call.error(Kind::Corrupt, problem))
    }

    pub(super) async fn delete(&self, key: &Key) -> Result<()> {
        let call = Call::new("DeleteObject", Method::DELETE, Target::Object(key)).never_again();
        match self.answer(&call).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == Kind::Unknown && self.deletion_landed(key).await => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn delete_many(&self, keys: &[Key]) -> Result<Vec<Key>> {
        check_delete_many(keys)?;
        let (carried, others): (Vec<&Key>, Vec<&Key>) = keys.iter().partition(|key| can_be_in_xml(key.as_str()));
        let mut gone = Vec::new();
        if !carried.is_empty() {
            gone = self.delete_batch(&carried).await?;
        }
        for key in others {
            match self.delete(key).await {
                Ok(()) => gone.push(key.to_string()),
                // What is gone must be told; this one is not among it.
                Err(error) if !gone.is_empty() => tracing::warn!(%error, "not deleted with the others"),
                Err(error) => return Err(error),
            }
        }
        Ok(deleted_of(keys, gone.iter().map(String::as_str)))
    }

    async fn delete_batch(&self, keys: &[&Key]) -> Result<Vec<String>> {
        let document = xml::delete_request(keys.iter().map(|key| key.as_str())).expect("the keys fit into XML");
        let call = Call::new("DeleteMultipleObjects", Method::POST, Target::Bucket)
            .flag("delete")
            .parameter("encoding-type", "url")
            .checked_payload(document.into_bytes().into())
            .await
            .never_again();
        let answered = self.answer(&call).await?;
        let document: DeleteDocument =
            xml::parse("DeleteResult", &answered.document).map_err(|problem| call.error(Kind::Unknown, problem))?;
        let encoded = document.encoding_type.as_deref() == Some("url");
        let decode = |key: String| match encoded {
            true => percent_decode_str(&key).decode_utf8_lossy().into_owned(),
            false => key,
        };
        Ok(document.deleted.into_iter().map(|deleted| decode(deleted.key)).collect())
    }

    pub(super) async fn copy(&self, source: &CopySource, key: &Key, options: &CopyOptions) -> Result<Written> {
        let operation = "CopyObject";
        check_copy(source, key, options)?;
        let mut call = Call::new(operation, Method::PUT, Target::Object(key))
            .copy_source(&self.bucket, source)
            .headers(write_headers(&options.headers))
            .only_if_refused();
        if let Some(metadata) = &options.replace_metadata {
            call = call.header(METADATA_DIRECTIVE, "REPLACE").headers(metadata_headers(operation, metadata)?);
        }
        let copied = self.answer(&call).await.and_then(|answered| {
            let document: CopyDocument = xml::parse("CopyObjectResult", &answered.document)
                .map_err(|problem| call.error(Kind::Unknown, problem))?;
            let etag = ossfs_types::ETag::parse(&document.etag)
                .ok_or_else(|| call.error(Kind::Unknown, "there is no valid ETag"))?;
            Ok(Written { etag, crc64: answer::crc64(&answered.headers) })
        });
        match copied {
            Err(error) if error.kind() == Kind::Unknown => self.copy_landed(source, key, options).await.ok_or(error),
            result => result,
        }
    }

    pub(super) async fn append(
        &self,
        key: &Key,
        position: u64,
        payload: Payload,
        options: &AppendOptions,
    ) -> Result<Appended> {
        let before = if position == 0 { Some(Crc64::EMPTY) } else { options.crc64_before };
        let expected = before.map(|before| before.followed_by(payload.crc64(), payload.len()));
        let end = position.checked_add(payload.len()).ok_or_else(|| {
            Error::new(Kind::Invalid, "AppendObject", "the position is too large").on_key(key.as_str())
        })?;
        let mut lost: Option<Error> = None;
        for attempt in 1.. {
            let error = match self.append_once(key, position, end, &payload, options).await {
                Ok(appended) => return self.check_append(key, appended, expected),
                Err(error) => error,
            };
            if error.kind() != Kind::Unknown && lost.is_none() {
                return Err(error);
            }
            // The first may have been applied, whatever is said of a repetition. The object decides: its length keeps an
            // append from being applied twice.
            let first = lost.take().unwrap_or(error);
            match self.append_shown(key, position, end, expected).await {
                AppendShown::Landed(appended) => return Ok(appended),
                AppendShown::Beaten { length } => {
                    let kind = Kind::WrongPosition { length: Some(length) };
                    return Err(first.into_kind(kind));
                }
                AppendShown::Unclear => return Err(first),
                AppendShown::NotLanded => {}
            }
            match self.retry.delay(attempt, false, fastrand::f64()) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(first),
            }
            lost = Some(first);
        }
        unreachable!("the attempts are bounded by the retry options")
    }

    async fn append_once(
        &self,
        key: &Key,
        position: u64,
        end: u64,
        payload: &Payload,
        options: &AppendOptions,
    ) -> Result<Appended> {
        let operation = "AppendObject";
        let mut call = Call::new(operation, Method::POST, Target::Object(key))
            .flag("append")
            .parameter("position", position)
            .checked_payload(payload.clone())
            .await
            .only_if_refused();
        if position == 0 {
            call = call.headers(put_headers(operation, &options.put)?);
        }
        let headers = self.answer(&call).await?.headers;
        let next_position = answer::next_append_position(&headers)
            .ok_or_else(|| call.error(Kind::Unknown, "there is no x-oss-next-append-position"))?;
        if next_position != end {
            let message = format!("the next position is {next_position} instead of {end}");
            return Err(call.error(Kind::Unknown, message));
        }
        Ok(Appended { etag: answer::etag(&headers), next_position, crc64: answer::crc64(&headers) })
    }

    fn check_append(&self, key: &Key, appended: Appended, expected: Option<Crc64>) -> Result<Appended> {
        match (expected, appended.crc64) {
            (Some(expected), Some(found)) if expected != found => {
                let message = format!("appended, but the object's checksum is {found} instead of {expected}");
                Err(Error::new(Kind::Unknown, "AppendObject", message).on_key(key.as_str()))
            }
            _ => Ok(appended),
        }
    }

    pub(super) async fn put_symlink(&self, key: &Key, target: &Key, options: &PutOptions) -> Result<()> {
        let call = Call::new("PutSymlink", Method::PUT, Target::Object(key))
            .flag("symlink")
            .headers(put_headers("PutSymlink", options)?)
            .header(SYMLINK_TARGET, encode_key(target.as_str()).to_string())
            .only_if_refused();
        match self.answer(&call).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == Kind::Unknown && self.symlink_landed(key, target, options).await => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn get_symlink(&self, key: &Key) -> Result<Symlink> {
        let call = Call::new("GetSymlink", Method::GET, Target::Object(key)).flag("symlink");
        let headers = self.answer(&call).await?.headers;
        answer::symlink(&headers).map_err(|problem| call.error(Kind::Corrupt, problem))
    }
}
