//! Operations on buckets themselves.

use super::{Call, DOCUMENT_BYTES_MAX, write_owner};
use crate::answer::Answer;
use crate::bucket::{Bucket, Settings, Versioning};
use crate::error::{Code, OssError, Result};
use crate::object::{Acl, StorageClass, text_header};
use crate::time;
use crate::xml::{Element, Writer};
use http::StatusCode;
use ossfs_types::limits::LIST_KEYS_MAX;
use std::sync::Arc;

/// Entries of a page of buckets if the request does not say.
const BUCKETS_DEFAULT: u64 = 100;

pub(super) fn list(call: &mut Call<'_>) -> Result<Answer> {
    let query = &call.request.query;
    let (prefix, marker) = (query.value("prefix").unwrap_or(""), query.value("marker").unwrap_or(""));
    let max = query.number("max-keys", 1..=LIST_KEYS_MAX as u64)?;
    let max_keys = usize::try_from(max.unwrap_or(BUCKETS_DEFAULT)).unwrap_or(LIST_KEYS_MAX);
    let mut buckets = call.world.buckets();
    buckets.retain(|bucket| bucket.name.as_str().starts_with(prefix) && bucket.name.as_str() > marker);
    let truncated = buckets.len() > max_keys;
    buckets.truncate(max_keys);
    let mut writer = Writer::new("ListAllMyBucketsResult");
    write_owner(&mut writer);
    writer.element("Prefix", prefix);
    writer.element("Marker", marker);
    writer.element("MaxKeys", max_keys);
    writer.element("IsTruncated", truncated);
    if let (true, Some(last)) = (truncated, buckets.last()) {
        writer.element("NextMarker", &last.name);
    }
    writer.begin("Buckets");
    for bucket in buckets {
        writer.begin("Bucket");
        write_place(&mut writer, &bucket, &call.account.region);
        writer.element("Region", &call.account.region);
        writer.end();
    }
    Ok(Answer::document(writer))
}

/// What ListBuckets and GetBucketInfo both say.
fn write_place(writer: &mut Writer, bucket: &Bucket, region: &str) {
    writer.element("CreationDate", time::iso(bucket.created));
    writer.element("ExtranetEndpoint", format_args!("oss-{region}.aliyuncs.com"));
    writer.element("IntranetEndpoint", format_args!("oss-{region}-internal.aliyuncs.com"));
    writer.element("Location", format_args!("oss-{region}"));
    writer.element("Name", &bucket.name);
    writer.element("ResourceGroupId", "");
    writer.element("StorageClass", bucket.read().settings.class.as_str());
}

pub(super) async fn put(call: &mut Call<'_>) -> Result<Answer> {
    let name = call.request.bucket()?.clone();
    let mut settings = Settings { acl: acl_header(call)?.unwrap_or(Acl::Private), ..Settings::default() };
    let document = call.body.document(DOCUMENT_BYTES_MAX).await?;
    if !document.is_empty() {
        let root = Element::parse(&document, "CreateBucketConfiguration")?;
        if let Some(text) = root.child_text("StorageClass") {
            settings.class = StorageClass::parse(text)
                .ok_or_else(|| OssError::argument("StorageClass", text, "The storage class is invalid."))?;
        }
        match root.child_text("DataRedundancyType") {
            None => {}
            Some(text @ ("LRS" | "ZRS")) => settings.redundancy = text.to_owned(),
            Some(text) => {
                return Err(OssError::argument("DataRedundancyType", text, "The redundancy type is invalid."));
            }
        }
    }
    let now = time::whole_seconds(call.now);
    let answer = Answer::empty(StatusCode::OK).header("location", super::ascii(&format!("/{name}")));
    call.world.commit(move |world| world.create_bucket(&name, settings, now)).await?;
    Ok(answer)
}

/// The ACL that a request gives a bucket.
fn acl_header(call: &Call<'_>) -> Result<Option<Acl>> {
    let Some(text) = text_header(&call.request.headers, "x-oss-acl")? else { return Ok(None) };
    match Acl::parse(text) {
        Some(acl) if acl != Acl::Default => Ok(Some(acl)),
        _ => Err(OssError::argument("x-oss-acl", text, "no such bucket access control exists")),
    }
}

pub(super) async fn delete(call: &mut Call<'_>) -> Result<Answer> {
    let bucket = call.bucket()?;
    call.world.commit(move |world| world.delete_bucket(&bucket)).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) fn head(call: &mut Call<'_>) -> Result<Answer> {
    call.bucket()?;
    Ok(Answer::empty(StatusCode::OK))
}

pub(super) fn acl(call: &mut Call<'_>) -> Result<Answer> {
    let acl = call.bucket()?.read().settings.acl;
    Ok(Answer::document(acl_document(acl)))
}

/// What GetBucketAcl and GetObjectACL answer.
pub(super) fn acl_document(acl: Acl) -> Writer {
    let mut writer = Writer::new("AccessControlPolicy");
    write_owner(&mut writer);
    writer.begin("AccessControlList");
    writer.element("Grant", acl.as_str());
    writer
}

pub(super) async fn put_acl(call: &mut Call<'_>) -> Result<Answer> {
    let bucket = call.bucket()?;
    let acl =
        acl_header(call)?.ok_or_else(|| OssError::argument("x-oss-acl", "", "no such bucket access control exists"))?;
    change(call, bucket, move |settings| settings.acl = acl).await
}

async fn change(
    call: &Call<'_>,
    bucket: Arc<Bucket>,
    change: impl FnOnce(&mut Settings) + Send + 'static,
) -> Result<Answer> {
    call.world
        .commit(move |world| {
            world.change_settings(&bucket, |settings| {
                change(settings);
                Ok(())
            })
        })
        .await?;
    Ok(Answer::empty(StatusCode::OK))
}

pub(super) fn location(call: &mut Call<'_>) -> Result<Answer> {
    call.bucket()?;
    let mut writer = Writer::new("LocationConstraint");
    writer.text(&format!("oss-{}", call.account.region));
    Ok(Answer::document(writer))
}

pub(super) fn info(call: &mut Call<'_>) -> Result<Answer> {
    let bucket = call.bucket()?;
    let settings = bucket.read().settings.clone();
    let mut writer = Writer::new("BucketInfo");
    writer.begin("Bucket");
    writer.element("AccessMonitor", "Disabled");
    write_place(&mut writer, &bucket, &call.account.region);
    writer.element("DataRedundancyType", &settings.redundancy);
    writer.element("HierarchicalNamespace", "Disabled");
    writer.element("TransferAcceleration", "Disabled");
    writer.element("CrossRegionReplication", "Disabled");
    writer.element("BlockPublicAccess", "false");
    writer.element("Comment", "");
    if let Some(versioning) = settings.versioning.as_str() {
        writer.element("Versioning", versioning);
    }
    write_owner(&mut writer);
    writer.begin("AccessControlList");
    writer.element("Grant", settings.acl.as_str());
    writer.end();
    writer.begin("ServerSideEncryptionRule");
    writer.element("SSEAlgorithm", "None");
    writer.end();
    writer.begin("BucketPolicy");
    writer.element("LogBucket", "");
    writer.element("LogPrefix", "");
    writer.end();
    Ok(Answer::document(writer))
}

pub(super) fn stat(call: &mut Call<'_>) -> Result<Answer> {
    let bucket = call.bucket()?;
    let state = bucket.read();
    let uploads: usize = state.uploads.values().map(|uploads| uploads.len()).sum();
    let parts: usize =
        state.uploads.values().flat_map(|uploads| uploads.values()).map(|upload| upload.parts.len()).sum();
    let mut writer = Writer::new("BucketStat");
    writer.element("Storage", state.stored_bytes);
    writer.element("ObjectCount", state.objects.len());
    writer.element("MultipartUploadCount", uploads);
    writer.element("MultipartPartCount", parts);
    writer.element("LiveChannelCount", 0);
    writer.element("LastModifiedTime", call.now.as_second());
    // The sandbox does not count by class: everything is said to be of the bucket's.
    for (class, storage, real_storage, count) in [
        (StorageClass::Standard, "StandardStorage", None, "StandardObjectCount"),
        (
            StorageClass::Ia,
            "InfrequentAccessStorage",
            Some("InfrequentAccessRealStorage"),
            "InfrequentAccessObjectCount",
        ),
        (StorageClass::Archive, "ArchiveStorage", Some("ArchiveRealStorage"), "ArchiveObjectCount"),
        (StorageClass::ColdArchive, "ColdArchiveStorage", Some("ColdArchiveRealStorage"), "ColdArchiveObjectCount"),
        (
            StorageClass::DeepColdArchive,
            "DeepColdArchiveStorage",
            Some("DeepColdArchiveRealStorage"),
            "DeepColdArchiveObjectCount",
        ),
    ] {
        let is_it = class == state.settings.class;
        let bytes = if is_it { state.stored_bytes } else { 0 };
        writer.element(storage, bytes);
        if let Some(real_storage) = real_storage {
            writer.element(real_storage, bytes);
        }
        writer.element(count, if is_it { state.objects.len() } else { 0 });
    }
    writer.element("DeleteMarkerCount", 0);
    Ok(Answer::document(writer))
}

pub(super) fn versioning(call: &mut Call<'_>) -> Result<Answer> {
    let versioning = call.bucket()?.read().settings.versioning;
    let mut writer = Writer::new("VersioningConfiguration");
    if let Some(status) = versioning.as_str() {
        writer.element("Status", status);
    }
    Ok(Answer::document(writer))
}

pub(super) async fn put_versioning(call: &mut Call<'_>) -> Result<Answer> {
    let bucket = call.bucket()?;
    let document = call.body.document(DOCUMENT_BYTES_MAX).await?;
    let root = Element::parse(&document, "VersioningConfiguration")?;
    let versioning = match root.child_text("Status") {
        Some("Enabled") => Versioning::Enabled,
        Some("Suspended") => Versioning::Suspended,
        _ => return Err(Code::MalformedXml.into()),
    };
    change(call, bucket, move |settings| settings.versioning = versioning).await
}
