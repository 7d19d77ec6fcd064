//! Multipart uploads: initiate, parts, complete, abort.

use super::copy;
use super::range::select_copy;
use super::{Call, DOCUMENT_BYTES_MAX, ascii, encoded, put};
use crate::answer::Answer;
use crate::bucket::{PART_WEIGHT_BYTES, Part, State, Upload};
use crate::content::Content;
use crate::error::{Code, OssError, Result};
use crate::ingest::BLOCK_BYTES;
use crate::object::{Kind, Object, content_md5, etag_of_md5};
use crate::time::{self, whole_seconds};
use crate::world::UploadChange;
use crate::xml::{Element, Writer};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderValue, StatusCode};
use md5::{Digest, Md5};
use ossfs_types::limits::{PART_BYTES_MAX, PART_NUMBER_MAX};
use ossfs_types::{BucketName, Crc64, Crc64Digest, ETag, Key, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Parts that are copied get the MD5 of their bytes for an ETag up to this size; of larger ones computing it would be
/// all that the copy costs, so theirs is made of the CRC-64.
const COPIED_MD5_BYTES_MAX: u64 = 16 << 20;

pub(super) async fn initiate(call: &mut Call<'_>) -> Result<Answer> {
    let (bucket, key) = (call.bucket()?, call.key()?.clone());
    let encode = call.encodes_names()?;
    let attributes = put::attributes(call)?;
    bucket.read().check_overwrite(&key, call.forbids_overwrite())?;
    let id = format!("{:032X}", fastrand::u128(..));
    let upload = Upload {
        initiated: whole_seconds(call.now),
        charge: call.world.charge(attributes.weight_bytes(&key))?,
        attributes: Arc::new(attributes),
        parts: BTreeMap::new(),
    };
    let mut writer = Writer::new("InitiateMultipartUploadResult");
    if encode {
        writer.element("EncodingType", "url");
    }
    writer.element("Bucket", &bucket.name);
    writer.element("Key", encoded(key.as_str(), encode));
    writer.element("UploadId", &id);
    call.world
        .commit(move |world| world.change_upload(&bucket, &key, &id, |_| Ok((UploadChange::Put(upload), ()))))
        .await?;
    Ok(Answer::document(writer))
}

/// The id that a request names, and its upload, if there is one.
pub(super) fn find_upload(call: &Call<'_>) -> Result<(String, Arc<Upload>)> {
    let id = call.request.query.text("uploadId").unwrap_or_default().to_owned();
    let upload = call.bucket()?.read().upload(call.key()?, &id).cloned();
    let upload = upload.ok_or_else(|| no_such_upload(&id))?;
    Ok((id, upload))
}

fn no_such_upload(id: &str) -> Box<OssError> {
    OssError::new(Code::NoSuchUpload).detail("UploadId", id)
}

fn part_number(call: &Call<'_>) -> Result<u32> {
    let query = &call.request.query;
    let number = query.text("partNumber").and_then(|text| text.parse::<u32>().ok());
    number.filter(|number| (1..=PART_NUMBER_MAX).contains(number)).ok_or_else(|| {
        let said = query.value("partNumber").unwrap_or_default();
        let message = "Part number must be an integer between 1 and 10000, inclusive.";
        OssError::argument("partNumber", said, message)
    })
}

async fn put_part(call: &Call<'_>, id: String, number: u32, part: Part) -> Result<()> {
    let (bucket, key) = (call.bucket()?, call.key()?.clone());
    call.world
        .commit(move |world| {
            world.change_upload(&bucket, &key, &id, |state| {
                // It may have been completed or aborted while the part was on its way.
                state.upload(&key, &id).ok_or_else(|| no_such_upload(&id))?;
                Ok((UploadChange::PutPart(number, part), ()))
            })
        })
        .await
}

pub(super) async fn upload_part(call: &mut Call<'_>) -> Result<Answer> {
    let number = part_number(call)?;
    let (id, _) = find_upload(call)?;
    let md5 = content_md5(&call.request.headers)?;
    call.body.check_length_is_said(&call.request.method)?;
    let received = call.body.store(call.world.medium(), PART_BYTES_MAX, md5).await?;
    let part = Part {
        etag: etag_of_md5(&received.md5),
        crc: received.crc,
        content: received.content,
        modified: whole_seconds(call.now),
        _charge: call.world.charge(PART_WEIGHT_BYTES)?,
    };
    let answer = Answer::empty(StatusCode::OK)
        .header("etag", ascii(&part.etag.quoted()))
        .header("content-md5", ascii(&BASE64.encode(received.md5)))
        .header("x-oss-hash-crc64ecma", HeaderValue::from(part.crc.to_u64()));
    put_part(call, id, number, part).await?;
    Ok(answer)
}

pub(super) async fn upload_part_copy(call: &mut Call<'_>) -> Result<Answer> {
    let number = part_number(call)?;
    let (id, _) = find_upload(call)?;
    let source = copy::source(call)?;
    if matches!(source.object.kind, Kind::Symlink { .. }) {
        return Err(
            OssError::new(Code::OperationNotSupported).message("The operation is not supported for a symlink object.")
        );
    }
    let whole = &source.object.content;
    let range = select_copy(call.request.headers.get("x-oss-copy-source-range"), whole.len())?;
    if range.len() > PART_BYTES_MAX {
        return Err(Code::EntityTooLarge.into());
    }
    let (content, crc, etag) = if range == whole.range() && source.object.kind == Kind::Normal {
        (whole.clone(), source.object.crc, source.object.etag.clone())
    } else {
        let content = whole.slice(range);
        let (crc, etag) = digest(content.clone()).await?;
        (content, crc, etag)
    };
    let modified = whole_seconds(call.now);
    let part = Part { content, etag, crc, modified, _charge: call.world.charge(PART_WEIGHT_BYTES)? };
    let mut writer = Writer::new("CopyPartResult");
    writer.element("LastModified", time::iso(modified));
    writer.element("ETag", part.etag.quoted());
    let answer = Answer::document(writer)
        .header("etag", ascii(&part.etag.quoted()))
        .header("x-oss-hash-crc64ecma", HeaderValue::from(crc.to_u64()));
    put_part(call, id, number, part).await?;
    Ok(answer)
}

/// Reads a content to know its checksum, on a thread where that may take its time.
async fn digest(content: Content) -> Result<(Crc64, ETag)> {
    let digested = tokio::task::spawn_blocking(move || {
        let (mut crc, mut md5) = (Crc64Digest::new(), Md5::new());
        let mut reader = content.reader();
        while let Some(bytes) = reader.read_blocking(BLOCK_BYTES)? {
            crc.update(&bytes);
            if content.len() <= COPIED_MD5_BYTES_MAX {
                md5.update(&bytes);
            }
        }
        if content.len() > COPIED_MD5_BYTES_MAX {
            md5.update(format!("copied {} {}", crc.value(), content.len()));
        }
        std::io::Result::Ok((crc.value(), etag_of_md5(&md5.finalize().into())))
    });
    let digested = digested.await.map_err(|error| OssError::internal("reading the source of a copy", &error))?;
    digested.map_err(|error| OssError::internal("reading the source of a copy", &error))
}

pub(super) async fn complete(call: &mut Call<'_>) -> Result<Answer> {
    let (bucket, key) = (call.bucket()?, call.key()?.clone());
    let encode = call.encodes_names()?;
    let (id, _) = find_upload(call)?;
    let named = named_parts(call).await?;
    let forbid = call.forbids_overwrite();
    let (now, name) = (whole_seconds(call.now), bucket.name.clone());
    let (request_key, upload_id) = (key.clone(), id.clone());
    let object = call
        .world
        .commit(move |world| {
            world.complete_upload(&bucket, &key, &id, |state| {
                let object = completed(state, &key, &upload_id, named.as_deref(), forbid, now)?;
                Ok((object.clone(), object))
            })
        })
        .await?;
    let mut writer = Writer::new("CompleteMultipartUploadResult");
    if encode {
        writer.element("EncodingType", "url");
    }
    writer.element("Location", location(&name, &request_key, &call.account.region));
    writer.element("Bucket", &name);
    writer.element("Key", encoded(request_key.as_str(), encode));
    writer.element("ETag", object.etag.quoted());
    Ok(Answer::document(writer)
        .header("etag", ascii(&object.etag.quoted()))
        .header("x-oss-hash-crc64ecma", HeaderValue::from(object.crc.to_u64())))
}

fn location(bucket: &BucketName, key: &Key, region: &str) -> String {
    format!("http://{bucket}.oss-{region}.aliyuncs.com/{}", encoded(key.as_str(), true))
}

/// Numbers and ETags of the parts to be joined; `None` for all there are.
async fn named_parts(call: &mut Call<'_>) -> Result<Option<Vec<(u32, String)>>> {
    let all = call.request.headers.get("x-oss-complete-all").is_some_and(|value| value == "yes");
    let document = call.body.document(DOCUMENT_BYTES_MAX).await?;
    if all {
        if !document.is_empty() {
            let message = "Body should be empty while x-oss-complete-all is yes.";
            return Err(OssError::argument("x-oss-complete-all", "yes", message));
        }
        return Ok(None);
    }
    parse_parts(&document).map(Some)
}

fn parse_parts(document: &[u8]) -> Result<Vec<(u32, String)>> {
    let root = Element::parse(document, "CompleteMultipartUpload")?;
    let mut named = Vec::new();
    for part in root.children().iter().filter(|child| child.name() == "Part") {
        let number = part.child_text("PartNumber").and_then(|text| text.trim().parse::<u32>().ok());
        let (Some(number), Some(etag)) = (number, part.child_text("ETag")) else {
            return Err(Code::MalformedXml.into());
        };
        if !(1..=PART_NUMBER_MAX).contains(&number) {
            let message = "Part number must be an integer between 1 and 10000, inclusive.";
            return Err(OssError::argument("PartNumber", &number.to_string(), message));
        }
        named.push((number, etag.trim().to_owned()));
    }
    if named.is_empty() || named.len() > PART_NUMBER_MAX as usize {
        return Err(Code::MalformedXml.into());
    }
    Ok(named)
}

/// The object that an upload becomes.
fn completed(
    state: &State,
    key: &Key,
    id: &str,
    named: Option<&[(u32, String)]>,
    forbid_overwrite: bool,
    now: Timestamp,
) -> Result<Object> {
    let upload = state.upload(key, id).ok_or_else(|| no_such_upload(id))?;
    let parts = match named {
        Some(named) => upload.chosen(named)?,
        None => upload.all()?,
    };
    state.check_overwrite(key, forbid_overwrite)?;
    let mut crc = Crc64::EMPTY;
    let mut md5 = Md5::new();
    for (_, part) in &parts {
        crc = crc.followed_by(part.crc, part.content.len());
        md5.update(hex::decode(part.etag.as_str()).unwrap_or_else(|_| part.etag.as_str().as_bytes().to_vec()));
    }
    let md5: [u8; 16] = md5.finalize().into();
    let etag = ETag::parse(&format!("{}-{}", hex::encode_upper(md5), parts.len()));
    Ok(Object {
        kind: Kind::Multipart,
        content: Content::join(parts.iter().map(|(_, part)| &part.content)),
        etag: etag.expect("hexadecimal digits, a hyphen and a number make an ETag"),
        crc,
        modified: now,
        attributes: upload.attributes.clone(),
        restored_until: None,
        charge: upload.charge.clone(),
    })
}

pub(super) async fn abort(call: &mut Call<'_>) -> Result<Answer> {
    let (bucket, key) = (call.bucket()?, call.key()?.clone());
    let (id, _) = find_upload(call)?;
    call.world
        .commit(move |world| {
            world.change_upload(&bucket, &key, &id, |state| {
                state.upload(&key, &id).ok_or_else(|| no_such_upload(&id))?;
                Ok((UploadChange::Remove, ()))
            })
        })
        .await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_name_parts() {
        let document = |parts: &str| format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let part = |number: &str| format!("<Part><PartNumber>{number}</PartNumber><ETag>\"A\"</ETag></Part>");
        let good = parse_parts(document(&(part("1") + &part("7"))).as_bytes()).unwrap();
        assert_eq!(good, [(1, "\"A\"".to_owned()), (7, "\"A\"".to_owned())]);
        for (bad, code) in [
            (document(""), Code::MalformedXml),
            (document("<Part><ETag>A</ETag></Part>"), Code::MalformedXml),
            (document(&part("x")), Code::MalformedXml),
            (document(&part("0")), Code::InvalidArgument),
            (document(&part("10001")), Code::InvalidArgument),
            (String::new(), Code::MalformedXml),
        ] {
            assert_eq!(parse_parts(bad.as_bytes()).unwrap_err().code(), code, "{bad}");
        }
    }
}
