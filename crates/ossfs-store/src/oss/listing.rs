//! Listings of objects and of uploads.

use super::Inner;
use super::answer::document_date;
use super::request::{Call, Target};
use crate::api::{
    ListEntry, ListPage, ListRequest, ObjectType, Upload, UploadId, UploadListEntry, UploadMarker, UploadsPage,
};
use crate::error::{Kind, Result};
use crate::xml::{self, ListDocument, ListedObject, ListedUpload, UploadsDocument};
use http::Method;
use ossfs_types::limits::LIST_KEYS_MAX;
use ossfs_types::{ETag, Key, Prefix};
use percent_encoding::percent_decode_str;

/// Undoes `encoding-type=url`, which the answer must confirm.
struct Decoder {
    url: bool,
}

impl Decoder {
    fn new(encoding_type: Option<&str>) -> Self {
        Self { url: encoding_type == Some("url") }
    }

    fn text(&self, text: &str) -> std::result::Result<String, String> {
        if !self.url {
            return Ok(text.to_owned());
        }
        let decoded = percent_decode_str(text).decode_utf8().map_err(|_| format!("{text:?} is not UTF-8"))?;
        Ok(decoded.into_owned())
    }

    fn key(&self, text: &str) -> std::result::Result<Key, String> {
        let decoded = self.text(text)?;
        Key::parse(&decoded).map_err(|error| format!("{decoded:?}: {error}"))
    }
}

impl Inner {
    pub(super) async fn list(&self, request: &ListRequest) -> Result<ListPage> {
        let mut call = Call::new("ListObjectsV2", Method::GET, Target::Bucket)
            .parameter("list-type", 2)
            .parameter("max-keys", request.entries_max)
            .parameter("encoding-type", "url");
        if !request.prefix.as_str().is_empty() {
            call = call.parameter("prefix", &request.prefix);
        }
        for (name, value) in [
            ("delimiter", request.delimiter),
            ("start-after", request.start_after.as_deref()),
            ("continuation-token", request.continuation.as_deref()),
        ] {
            if let Some(value) = value {
                call = call.parameter(name, value);
            }
        }
        let answered = self.answer(&call).await?;
        xml::parse("ListBucketResult", &answered.document)
            .and_then(|document| page(document, request))
            .map_err(|problem| call.error(Kind::Corrupt, problem))
    }

    pub(super) async fn list_uploads(&self, prefix: &Prefix, after: Option<&UploadMarker>) -> Result<UploadsPage> {
        let mut call = Call::new("ListMultipartUploads", Method::GET, Target::Bucket)
            .flag("uploads")
            .parameter("max-uploads", LIST_KEYS_MAX)
            .parameter("encoding-type", "url");
        if !prefix.as_str().is_empty() {
            call = call.parameter("prefix", prefix);
        }
        if let Some(after) = after {
            call = call.parameter("key-marker", &after.key).parameter("upload-id-marker", &after.id);
        }
        let answered = self.answer(&call).await?;
        xml::parse("ListMultipartUploadsResult", &answered.document)
            .and_then(|document| uploads_page(document, after))
            .map_err(|problem| call.error(Kind::Corrupt, problem))
    }
}

fn page(document: ListDocument, request: &ListRequest) -> std::result::Result<ListPage, String> {
    let decoder = Decoder::new(document.encoding_type.as_deref());
    let next = match (document.is_truncated, document.next_continuation_token) {
        (false, _) => None,
        (true, next) => {
            let next = decoder.text(next.as_deref().unwrap_or_default())?;
            if next.is_empty() || Some(&next) == request.continuation.as_ref() {
                return Err("the listing does not advance".to_owned());
            }
            Some(next)
        }
    };
    let objects: std::result::Result<Vec<_>, String> =
        document.contents.into_iter().map(|object| entry(&decoder, object)).collect();
    let prefixes: std::result::Result<Vec<_>, String> = document
        .common_prefixes
        .iter()
        .map(|common| {
            let decoded = decoder.text(&common.prefix)?;
            Prefix::parse(&decoded).map_err(|error| format!("{decoded:?}: {error}"))
        })
        .collect();
    let page = ListPage { objects: objects?, prefixes: prefixes?, next };
    let prefix = request.prefix.as_str();
    let mut listed =
        page.objects.iter().map(|object| object.key.as_str()).chain(page.prefixes.iter().map(Prefix::as_str));
    match listed.find(|name| !name.starts_with(prefix)) {
        Some(stray) => Err(format!("{stray:?} was listed under {prefix:?}")),
        None => Ok(page),
    }
}

fn entry(decoder: &Decoder, object: ListedObject) -> std::result::Result<ListEntry, String> {
    Ok(ListEntry {
        key: decoder.key(&object.key)?,
        size: object.size,
        etag: ETag::parse(&object.etag).ok_or_else(|| format!("{:?} has no valid ETag", object.key))?,
        last_modified: document_date(&object.last_modified)?,
        object_type: ObjectType::parse(&object.object_type),
        storage_class: object.storage_class,
    })
}

fn uploads_page(document: UploadsDocument, after: Option<&UploadMarker>) -> std::result::Result<UploadsPage, String> {
    let decoder = Decoder::new(document.encoding_type.as_deref());
    let next = match document.is_truncated {
        false => None,
        true => {
            let key = decoder.text(document.next_key_marker.as_deref().unwrap_or_default())?;
            let next = UploadMarker { key, id: document.next_upload_id_marker.unwrap_or_default() };
            if next.key.is_empty() || Some(&next) == after {
                return Err("the listing does not advance".to_owned());
            }
            Some(next)
        }
    };
    let upload = |listed: ListedUpload| {
        Ok(UploadListEntry {
            upload: Upload {
                key: decoder.key(&listed.key)?,
                id: UploadId::parse(&listed.upload_id).ok_or("an upload has no valid id")?,
            },
            initiated: document_date(&listed.initiated)?,
        })
    };
    let uploads: std::result::Result<Vec<_>, String> = document.uploads.into_iter().map(upload).collect();
    Ok(UploadsPage { uploads: uploads?, next })
}
