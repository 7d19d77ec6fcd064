//! PutSymlink and GetSymlink.

use super::{Call, ascii, encoded, put, read};
use crate::answer::Answer;
use crate::content::Content;
use crate::error::{Code, OssError, Result};
use crate::object::{Kind, text_header};
use crate::receive::Received;
use crate::request::parse_key;
use crate::time;
use http::StatusCode;
use md5::{Digest, Md5};
use ossfs_types::{Crc64, Key};
use percent_encoding::percent_decode_str;

const TARGET: &str = "x-oss-symlink-target";

pub(super) async fn put(call: &mut Call<'_>) -> Result<Answer> {
    let (bucket, key) = (call.bucket()?, call.key()?.clone());
    let target = target(call)?;
    let attributes = put::attributes(call)?;
    let forbid = call.forbids_overwrite();
    let received = Received { content: Content::empty(), md5: Md5::digest(target.as_str()).into(), crc: Crc64::EMPTY };
    let mut object = put::new_object(call, &key, received, attributes)?;
    object.kind = Kind::Symlink { target };
    let answer = Answer::empty(StatusCode::OK).header("etag", ascii(&object.etag.quoted()));
    put::place(call.world, bucket, key, object, forbid).await?;
    Ok(answer)
}

/// The key that the link will stand for. Whether there is such an object, and of which kind, is not looked at.
fn target(call: &Call<'_>) -> Result<Key> {
    let Some(text) = text_header(&call.request.headers, TARGET)?.filter(|text| !text.is_empty()) else {
        return Err(OssError::argument(TARGET, "", "The symlink target is missing."));
    };
    let decoded: Vec<u8> = percent_decode_str(text).collect();
    parse_key(&decoded).map_err(|_| OssError::argument(TARGET, text, "The symlink target is no object name."))
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer> {
    let object = read::object(call, call.key()?)?;
    let Kind::Symlink { target } = &object.kind else { return Err(Code::NotSymlink.into()) };
    let mut answer = Answer::empty(StatusCode::OK)
        .header("x-oss-symlink-target", ascii(&encoded(target.as_str(), true)))
        .header("etag", ascii(&object.etag.quoted()))
        .header("last-modified", ascii(&time::http_date(object.modified)));
    answer.headers.extend(object.attributes.headers.iter().cloned());
    Ok(answer)
}
