//! The listings: objects, uploads and parts.

use super::multipart::find_upload;
use super::{Call, encoded, read, write_owner};
use crate::answer::Answer;
use crate::bucket::{State, Upload};
use crate::error::{OssError, Result};
use crate::listing::{Entry, Page, Query, page};
use crate::object::Object;
use crate::time;
use crate::xml::Writer;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ossfs_types::limits::LIST_KEYS_MAX;
use ossfs_types::{Key, Timestamp};
use std::sync::Arc;

/// Entries of a page of objects if the request does not say.
const OBJECTS_DEFAULT: u64 = 100;
/// Entries of a page of uploads or parts if the request does not say.
const UPLOADS_DEFAULT: u64 = 1000;
/// The first byte of what a continuation token encodes.
const TOKEN_VERSION: u8 = 1;

fn number(call: &Call<'_>, name: &str, default: u64) -> Result<usize> {
    let number = call.request.query.number(name, 1..=LIST_KEYS_MAX as u64)?.unwrap_or(default);
    Ok(usize::try_from(number).unwrap_or(LIST_KEYS_MAX))
}

fn text<'a>(call: &'a Call<'_>, name: &str) -> &'a str {
    call.request.query.value(name).unwrap_or("")
}

pub(super) fn objects(call: &mut Call<'_>) -> Result<Answer> {
    let encode = call.encodes_names()?;
    let after = text(call, "marker");
    let max = number(call, "max-keys", OBJECTS_DEFAULT)?;
    let query = Query { prefix: text(call, "prefix"), delimiter: text(call, "delimiter"), after, max };
    let bucket = call.bucket()?;
    let state = bucket.read();
    let found = page(&state.objects, query);
    let mut writer = Writer::new("ListBucketResult");
    writer.element("Name", &bucket.name);
    writer.element("Prefix", encoded(query.prefix, encode));
    writer.element("Marker", encoded(after, encode));
    writer.element("MaxKeys", max);
    writer.element("Delimiter", encoded(query.delimiter, encode));
    if encode {
        writer.element("EncodingType", "url");
    }
    writer.element("IsTruncated", found.next.is_some());
    if let Some(next) = found.next {
        writer.element("NextMarker", encoded(next, encode));
    }
    write_page(&mut writer, &found, encode, true, call.now);
    Ok(Answer::document(writer))
}

pub(super) fn objects_v2(call: &mut Call<'_>) -> Result<Answer> {
    let encode = call.encodes_names()?;
    let max = number(call, "max-keys", OBJECTS_DEFAULT)?;
    let (start_after, token) = (text(call, "start-after"), call.request.query.text("continuation-token"));
    let decoded = token.map(decode_token).transpose()?;
    let after = decoded.as_deref().unwrap_or(start_after);
    let query = Query { prefix: text(call, "prefix"), delimiter: text(call, "delimiter"), after, max };
    let bucket = call.bucket()?;
    let state = bucket.read();
    let found = page(&state.objects, query);
    let mut writer = Writer::new("ListBucketResult");
    writer.element("Name", &bucket.name);
    writer.element("Prefix", encoded(query.prefix, encode));
    if let Some(token) = token {
        writer.element("ContinuationToken", token);
    }
    if !start_after.is_empty() {
        writer.element("StartAfter", encoded(start_after, encode));
    }
    writer.element("MaxKeys", max);
    writer.element("Delimiter", encoded(query.delimiter, encode));
    if encode {
        writer.element("EncodingType", "url");
    }
    writer.element("IsTruncated", found.next.is_some());
    if let Some(next) = found.next {
        writer.element("NextContinuationToken", encode_token(next));
    }
    let owner = call.request.query.value("fetch-owner").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    write_page(&mut writer, &found, encode, owner, call.now);
    writer.element("KeyCount", found.entries.len());
    Ok(Answer::document(writer))
}

/// A token says where to go on, in a form that nobody should read; its letters need no encoding anywhere.
fn encode_token(next: &str) -> String {
    URL_SAFE_NO_PAD.encode([&[TOKEN_VERSION], next.as_bytes()].concat())
}

fn decode_token(token: &str) -> Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let text = bytes.as_deref().and_then(|bytes| bytes.strip_prefix(&[TOKEN_VERSION]));
    let text = text.and_then(|text| String::from_utf8(text.to_vec()).ok());
    text.ok_or_else(|| OssError::argument("continuation-token", token, "The continuation token provided is incorrect"))
}

fn write_page(writer: &mut Writer, found: &Page<'_, Arc<Object>>, encode: bool, owner: bool, now: Timestamp) {
    for entry in &found.entries {
        if let Entry::Item(key, object) = entry {
            writer.begin("Contents");
            writer.element("Key", encoded(key.as_str(), encode));
            writer.element("LastModified", time::iso(object.modified));
            writer.element("ETag", object.etag.quoted());
            writer.element("Type", object.kind.as_str());
            writer.element("Size", object.content.len());
            writer.element("StorageClass", object.attributes.class.as_str());
            if let Some(until) = object.restored_until.filter(|until| *until >= now) {
                writer.element("RestoreInfo", read::restore_info(until));
            }
            if owner {
                write_owner(writer);
            }
            writer.end();
        }
    }
    for entry in &found.entries {
        if let Entry::CommonPrefix(prefix) = entry {
            write_common_prefix(writer, prefix, encode);
        }
    }
}

fn write_common_prefix(writer: &mut Writer, prefix: &str, encode: bool) {
    writer.begin("CommonPrefixes");
    writer.element("Prefix", encoded(prefix, encode));
    writer.end();
}

/// A line of a page of uploads.
enum UploadLine<'a> {
    Upload(&'a Key, &'a str, &'a Upload),
    CommonPrefix(&'a str),
}

/// A page of uploads: in the order of keys, and of ids for one key. Also the marker after it, if there is more.
fn upload_page<'a>(
    state: &'a State,
    query: Query<'_>,
    id_marker: &str,
) -> (Vec<UploadLine<'a>>, Option<(&'a str, &'a str)>) {
    let mut lines: Vec<UploadLine<'a>> = Vec::new();
    let mut last: Option<(&'a str, &'a str)> = None;
    // An id goes on within the key of the marker; without one that key is done with.
    let within = !id_marker.is_empty() && !query.after.is_empty();
    for (key, uploads) in &state.uploads {
        let text = key.as_str();
        let done = if within { text < query.after } else { !query.after.is_empty() && text <= query.after };
        let Some(rest) = text.strip_prefix(query.prefix) else { continue };
        let cut = if query.delimiter.is_empty() { None } else { rest.find(query.delimiter) };
        let common = cut.map(|at| &text[..query.prefix.len() + at + query.delimiter.len()]);
        let repeated = common.is_some_and(|common| {
            common == query.after || matches!(lines.last(), Some(UploadLine::CommonPrefix(last)) if *last == common)
        });
        if done || repeated {
            continue;
        }
        if let Some(common) = common {
            if lines.len() == query.max {
                return (lines, last);
            }
            lines.push(UploadLine::CommonPrefix(common));
            last = Some((common, ""));
            continue;
        }
        for (id, upload) in uploads {
            if within && text == query.after && id.as_str() <= id_marker {
                continue;
            }
            if lines.len() == query.max {
                return (lines, last);
            }
            lines.push(UploadLine::Upload(key, id, upload));
            last = Some((text, id));
        }
    }
    (lines, None)
}

pub(super) fn uploads(call: &mut Call<'_>) -> Result<Answer> {
    let encode = call.encodes_names()?;
    let max = number(call, "max-uploads", UPLOADS_DEFAULT)?;
    let (after, id_marker) = (text(call, "key-marker"), text(call, "upload-id-marker"));
    let query = Query { prefix: text(call, "prefix"), delimiter: text(call, "delimiter"), after, max };
    let bucket = call.bucket()?;
    let state = bucket.read();
    let (lines, next) = upload_page(&state, query, id_marker);
    let mut writer = Writer::new("ListMultipartUploadsResult");
    if encode {
        writer.element("EncodingType", "url");
    }
    writer.element("Bucket", &bucket.name);
    writer.element("KeyMarker", encoded(after, encode));
    writer.element("UploadIdMarker", id_marker);
    let (next_key, next_id) = next.unwrap_or_default();
    writer.element("NextKeyMarker", encoded(next_key, encode));
    writer.element("NextUploadIdMarker", next_id);
    writer.element("Delimiter", encoded(query.delimiter, encode));
    writer.element("Prefix", encoded(query.prefix, encode));
    writer.element("MaxUploads", max);
    writer.element("IsTruncated", next.is_some());
    for line in &lines {
        if let UploadLine::Upload(key, id, upload) = line {
            writer.begin("Upload");
            writer.element("Key", encoded(key.as_str(), encode));
            writer.element("UploadId", id);
            writer.element("StorageClass", upload.attributes.class.as_str());
            writer.element("Initiated", time::iso(upload.initiated));
            writer.end();
        }
    }
    for line in &lines {
        if let UploadLine::CommonPrefix(prefix) = line {
            write_common_prefix(&mut writer, prefix, encode);
        }
    }
    Ok(Answer::document(writer))
}

pub(super) fn parts(call: &mut Call<'_>) -> Result<Answer> {
    let encode = call.encodes_names()?;
    let max = number(call, "max-parts", UPLOADS_DEFAULT)?;
    let marker = call.request.query.number("part-number-marker", 0..=u64::from(u32::MAX))?.unwrap_or(0);
    let marker = u32::try_from(marker).unwrap_or(u32::MAX);
    let (id, upload) = find_upload(call)?;
    let later = upload.parts.range((std::ops::Bound::Excluded(marker), std::ops::Bound::Unbounded));
    let listed: Vec<_> = later.clone().take(max).collect();
    let truncated = later.count() > listed.len();
    let mut writer = Writer::new("ListPartsResult");
    if encode {
        writer.element("EncodingType", "url");
    }
    writer.element("Bucket", call.request.bucket()?);
    writer.element("Key", encoded(call.key()?.as_str(), encode));
    writer.element("UploadId", id);
    writer.element("StorageClass", upload.attributes.class.as_str());
    writer.element("PartNumberMarker", marker);
    writer.element("NextPartNumberMarker", listed.last().map_or(marker, |(number, _)| **number));
    writer.element("MaxParts", max);
    writer.element("IsTruncated", truncated);
    for (number, part) in listed {
        writer.begin("Part");
        writer.element("PartNumber", number);
        writer.element("LastModified", time::iso(part.modified));
        writer.element("ETag", part.etag.quoted());
        writer.element("HashCrc64ecma", part.crc);
        writer.element("Size", part.content.len());
        writer.end();
    }
    Ok(Answer::document(writer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_opaque_and_checked() {
        for next in ["a", "目录/", "a&b+c%"] {
            let token = encode_token(next);
            assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
            assert_eq!(decode_token(&token).unwrap(), next);
        }
        for bad in ["err-token", "", "AA", "_w", "AP8"] {
            assert!(decode_token(bad).is_err(), "{bad}");
        }
    }
}
