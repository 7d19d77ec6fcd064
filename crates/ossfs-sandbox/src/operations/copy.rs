//! CopyObject, and finding the source of any copy.

use super::preconditions::{self, OF_SOURCE};
use super::{Call, put, read};
use crate::answer::Answer;
use crate::error::{Code, OssError, Result};
use crate::object::{Attributes, Kind, Object, text_header};
use crate::request::parse_key;
use crate::time;
use crate::xml::Writer;
use http::{HeaderMap, HeaderValue};
use ossfs_types::{BucketName, Key};
use percent_encoding::percent_decode_str;
use std::sync::Arc;

/// Largest copy from one bucket to another.
const ACROSS_BUCKETS_BYTES_MAX: u64 = 5 << 30;
/// Largest copy that changes storage class or encryption.
const CONVERTED_BYTES_MAX: u64 = 1 << 30;

/// Whether something is taken from the source or from the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive {
    Copy,
    Replace,
}

/// The object that a copy is made of.
pub(super) struct CopySource {
    pub(super) bucket: BucketName,
    pub(super) key: Key,
    pub(super) object: Arc<Object>,
}

/// Finds the source of a copy and holds it against the request's conditions.
pub(super) fn source(call: &Call<'_>) -> Result<CopySource> {
    let (bucket, key) = source_name(&call.request.headers)?;
    let object = call.world.bucket(&bucket)?.object(&key).ok_or_else(|| read::no_such_key(&key))?;
    if call.caller != crate::auth::Caller::Owner {
        let acl = call.world.bucket(&bucket)?.read().settings.acl;
        if !object.attributes.acl.or(acl).anyone_may_read() {
            return Err(Code::AccessDenied.into());
        }
    }
    preconditions::check(&call.request.headers, &OF_SOURCE, &object, object.modified)?;
    if object.kind == Kind::Appendable {
        // The documentation says that appendable objects cannot be copied, not with which error: this is the one OSS
        // has for an operation that a kind of object does not support.
        return Err(OssError::new(Code::OperationNotSupported)
            .message("The operation is not supported for an appendable object."));
    }
    if object.is_frozen(call.now) {
        return Err(Code::InvalidObjectState.into());
    }
    Ok(CopySource { bucket, key, object })
}

/// Reads `/bucket/key`, percent-encoded.
fn source_name(headers: &HeaderMap) -> Result<(BucketName, Key)> {
    const NAME: &str = "x-oss-copy-source";
    let text = text_header(headers, NAME)?.unwrap_or_default();
    let invalid = || {
        OssError::argument(NAME, text, "Copy Source must mention the source bucket and key: /sourcebucket/sourcekey.")
    };
    let (path, version) = text.split_once('?').unwrap_or((text, ""));
    if version.starts_with("versionId=") && version != "versionId=null" {
        return Err(OssError::new(Code::NotImplemented).detail("Header", NAME));
    }
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let decoded = std::str::from_utf8(&decoded).map_err(|_| invalid())?;
    let (bucket, key) = decoded.strip_prefix('/').unwrap_or(decoded).split_once('/').ok_or_else(invalid)?;
    let bucket = BucketName::parse(bucket).map_err(|_| OssError::new(Code::InvalidBucketName))?;
    Ok((bucket, parse_key(key.as_bytes())?))
}

fn directive(call: &Call<'_>, name: &'static str) -> Result<Directive> {
    match text_header(&call.request.headers, name)? {
        None => Ok(Directive::Copy),
        Some(text) if text.eq_ignore_ascii_case("COPY") => Ok(Directive::Copy),
        Some(text) if text.eq_ignore_ascii_case("REPLACE") => Ok(Directive::Replace),
        Some(text) => Err(OssError::argument(name, text, "Unknown directive.")),
    }
}

pub(super) async fn copy(call: &mut Call<'_>) -> Result<Answer> {
    let (bucket, key) = (call.bucket()?, call.key()?.clone());
    let source = source(call)?;
    let forbid = call.forbids_overwrite();
    let attributes = attributes(call, &source)?;
    check_size(call, &source, &attributes)?;
    let modified = time::whole_seconds(call.now);
    let object = Object {
        modified,
        restored_until: None,
        charge: call.world.charge(attributes.weight_bytes(&key))?,
        attributes: Arc::new(attributes),
        ..(*source.object).clone()
    };
    let mut writer = Writer::new("CopyObjectResult");
    writer.element("LastModified", time::iso(modified));
    writer.element("ETag", object.etag.quoted());
    let answer = Answer::document(writer)
        .header("etag", super::ascii(&object.etag.quoted()))
        .header("x-oss-hash-crc64ecma", HeaderValue::from(object.crc.to_u64()));
    put::place(call.world, bucket, key, object, forbid).await?;
    Ok(answer)
}

/// What the copy is like: like the source, or as the request says. A copy onto itself is always as the request says.
/// Storage class and encryption are the source's unless the request names others; the ACL is never copied.
fn attributes(call: &Call<'_>, source: &CopySource) -> Result<Attributes> {
    let said = put::attributes(call)?;
    let of_source = &source.object.attributes;
    let onto_itself = source.bucket == *call.request.bucket()? && source.key == *call.key()?;
    let replaces = onto_itself || directive(call, "x-oss-metadata-directive")? == Directive::Replace;
    let replaces_tags = directive(call, "x-oss-tagging-directive")? == Directive::Replace;
    let names_class = call.request.headers.contains_key("x-oss-storage-class");
    Ok(Attributes {
        headers: if replaces { said.headers } else { of_source.headers.clone() },
        encryption: if said.encryption.is_empty() { of_source.encryption.clone() } else { said.encryption },
        class: if names_class { said.class } else { of_source.class },
        acl: said.acl,
        tags: if replaces_tags { said.tags } else { of_source.tags.clone() },
    })
}

fn check_size(call: &Call<'_>, source: &CopySource, attributes: &Attributes) -> Result<()> {
    let of_source = &source.object.attributes;
    let converts = attributes.class != of_source.class || attributes.encryption != of_source.encryption;
    let max = if converts {
        CONVERTED_BYTES_MAX
    } else if source.bucket != *call.request.bucket()? {
        ACROSS_BUCKETS_BYTES_MAX
    } else {
        return Ok(());
    };
    let len = source.object.content.len();
    if len <= max {
        return Ok(());
    }
    Err(OssError::new(Code::EntityTooLarge)
        .message("The source object is too large to be copied like this; use UploadPartCopy.")
        .detail("MaxSizeAllowed", max.to_string())
        .detail("ProposedSize", len.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_named_in_several_ways() {
        let name = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-oss-copy-source", HeaderValue::from_str(text).unwrap());
            source_name(&headers).map(|(bucket, key)| format!("{bucket}|{key}"))
        };
        assert_eq!(name("/bkt/a%2Fb%20%E4%B8%AD").unwrap(), "bkt|a/b 中");
        assert_eq!(name("bkt/a/b").unwrap(), "bkt|a/b");
        assert_eq!(name("%2Fbkt%2Fa").unwrap(), "bkt|a");
        assert_eq!(name("/bkt/a%3Fb?versionId=null").unwrap(), "bkt|a?b");
        for bad in ["", "/", "/bkt", "/bkt/", "/b/k", "/bkt/%ff", "/bkt/k?versionId=V"] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
