//! Multipart uploads of the bucket in memory.

use super::state::{Object, State, md5_etag, upload_key};
use crate::api::{
    ObjectType, Part, PartNumber, PartsPage, PutOptions, Upload, UploadId, UploadListEntry, UploadMarker, UploadsPage,
    Written,
};
use crate::error::{Error, Kind, Result};
use bytes::{Bytes, BytesMut};
use ossfs_types::limits::{LIST_KEYS_MAX, PART_BYTES_MAX, PART_BYTES_MIN};
use ossfs_types::{Crc64, ETag, Key, Prefix, Timestamp};
use std::collections::BTreeMap;

/// An upload in progress.
#[derive(Debug, Clone)]
pub(super) struct UploadState {
    options: PutOptions,
    initiated: Timestamp,
    parts: BTreeMap<PartNumber, Bytes>,
}

fn part(number: PartNumber, bytes: &Bytes) -> Part {
    Part { number, etag: md5_etag(bytes), size: bytes.len() as u64, crc64: Some(Crc64::of(bytes)) }
}

fn not_found(operation: &'static str, upload: &Upload) -> Error {
    Error::new(Kind::UploadNotFound, operation, "").on_key(upload.key.as_str())
}

impl State {
    pub(super) fn create_upload(&mut self, key: &Key, options: &PutOptions, now: Timestamp) -> Result<Upload> {
        let operation = "InitiateMultipartUpload";
        let invalid = |problem| Error::new(Kind::Invalid, operation, problem).on_key(key.as_str());
        options.metadata.check().map_err(invalid)?;
        if options.headers.forbid_overwrite && self.objects.contains_key(key) {
            return Err(Error::new(Kind::AlreadyExists, operation, "").on_key(key.as_str()));
        }
        self.uploads_begun += 1;
        let id = UploadId::parse(&format!("{:016X}", self.uploads_begun)).expect("hexadecimal digits make an id");
        let upload = Upload { key: key.clone(), id };
        let state = UploadState { options: options.clone(), initiated: now, parts: BTreeMap::new() };
        self.uploads.insert(upload_key(&upload), state);
        Ok(upload)
    }

    pub(super) fn upload_part(
        &mut self,
        operation: &'static str,
        upload: &Upload,
        number: PartNumber,
        bytes: Bytes,
    ) -> Result<Part> {
        let state = self.uploads.get_mut(&upload_key(upload)).ok_or_else(|| not_found(operation, upload))?;
        if bytes.len() as u64 > PART_BYTES_MAX {
            return Err(Error::new(Kind::Invalid, operation, "the part is too large").on_key(upload.key.as_str()));
        }
        let part = part(number, &bytes);
        state.parts.insert(number, bytes);
        Ok(part)
    }

    pub(super) fn complete_upload(
        &mut self,
        upload: &Upload,
        parts: &[Part],
        forbid_overwrite: bool,
        now: Timestamp,
    ) -> Result<Written> {
        let operation = "CompleteMultipartUpload";
        let state = self.uploads.get(&upload_key(upload)).ok_or_else(|| not_found(operation, upload))?;
        let error = |kind, message: &str| Error::new(kind, operation, message).on_key(upload.key.as_str());
        let bytes = assemble(state, parts).map_err(|message| error(Kind::Invalid, message))?;
        if (forbid_overwrite || state.options.headers.forbid_overwrite) && self.objects.contains_key(&upload.key) {
            return Err(error(Kind::AlreadyExists, ""));
        }
        let mut object = Object::new(bytes, ObjectType::Multipart, &state.options.metadata, now);
        let etags: String = parts.iter().map(|part| part.etag.as_str()).collect();
        object.etag =
            ETag::parse(&format!("{}-{}", md5_etag(etags.as_bytes()), parts.len())).expect("digits and a hyphen");
        let written = object.written();
        self.uploads.remove(&upload_key(upload));
        self.objects.insert(upload.key.clone(), object);
        Ok(written)
    }

    pub(super) fn list_parts(&self, upload: &Upload, after: Option<PartNumber>) -> Result<PartsPage> {
        let state = self.uploads.get(&upload_key(upload)).ok_or_else(|| not_found("ListParts", upload))?;
        let mut left = state.parts.iter().filter(|(number, _)| after.is_none_or(|after| **number > after));
        let parts: Vec<Part> = left.by_ref().take(LIST_KEYS_MAX).map(|(number, bytes)| part(*number, bytes)).collect();
        let next = left.next().and_then(|_| parts.last().map(|last| last.number));
        Ok(PartsPage { parts, next })
    }

    pub(super) fn list_uploads(&self, prefix: &Prefix, after: Option<&UploadMarker>) -> UploadsPage {
        let is_after = |key: &Key, id: &String| {
            after.is_none_or(|after| (key.as_str(), id.as_str()) > (after.key.as_str(), after.id.as_str()))
        };
        let wanted = |key: &Key, id: &String| key.as_str().starts_with(prefix.as_str()) && is_after(key, id);
        let mut left = self.uploads.iter().filter(|((key, id), _)| wanted(key, id));
        let uploads: Vec<UploadListEntry> = left
            .by_ref()
            .take(LIST_KEYS_MAX)
            .map(|((key, id), state)| {
                let id = UploadId::parse(id).expect("made by this store");
                UploadListEntry { upload: Upload { key: key.clone(), id }, initiated: state.initiated }
            })
            .collect();
        let marker = |last: &UploadListEntry| UploadMarker {
            key: last.upload.key.to_string(),
            id: last.upload.id.as_str().to_owned(),
        };
        let next = left.next().and_then(|_| uploads.last().map(marker));
        UploadsPage { uploads, next }
    }
}

/// The bytes of an object made of these parts, if OSS's rules allow it.
fn assemble(state: &UploadState, parts: &[Part]) -> std::result::Result<Bytes, &'static str> {
    if parts.is_empty() {
        return Err("there are no parts");
    }
    if !parts.is_sorted_by(|one, next| one.number < next.number) {
        return Err("the parts do not ascend");
    }
    let mut all = BytesMut::new();
    for (index, asked) in parts.iter().enumerate() {
        let bytes = state.parts.get(&asked.number).ok_or("a part is missing")?;
        if md5_etag(bytes) != asked.etag {
            return Err("a part has another ETag");
        }
        if index + 1 < parts.len() && (bytes.len() as u64) < PART_BYTES_MIN {
            return Err("a part other than the last is too small");
        }
        all.extend_from_slice(bytes);
    }
    Ok(all.freeze())
}
