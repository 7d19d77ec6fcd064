//! What OSS says of a bucket and of an account.

use super::Inner;
use super::answer::document_date;
use super::request::{Call, Target};
use crate::api::{BucketInfo, BucketStat, BucketSummary, Versioning};
use crate::error::{Kind, Result};
use crate::xml::{self, BucketInfoDocument, BucketStatDocument, BucketsDocument};
use http::Method;
use ossfs_types::limits::LIST_KEYS_MAX;

impl Inner {
    pub(super) async fn bucket_info(&self) -> Result<BucketInfo> {
        let call = Call::new("GetBucketInfo", Method::GET, Target::Bucket).flag("bucketInfo");
        let answered = self.answer(&call).await?;
        let corrupt = |problem: String| call.error(Kind::Corrupt, problem);
        let bucket = xml::parse::<BucketInfoDocument>("BucketInfo", &answered.document).map_err(corrupt)?.bucket;
        let created = bucket.creation_date.as_deref().map(document_date).transpose().map_err(corrupt)?;
        Ok(BucketInfo {
            name: bucket.name,
            location: bucket.location,
            storage_class: bucket.storage_class,
            versioning: match bucket.versioning.as_deref() {
                Some("Enabled") => Versioning::Enabled,
                Some("Suspended") => Versioning::Suspended,
                _ => Versioning::Unversioned,
            },
            hierarchical: bucket.hierarchical_namespace.as_deref() == Some("Enabled"),
            created,
        })
    }

    pub(super) async fn bucket_stat(&self) -> Result<BucketStat> {
        let call = Call::new("GetBucketStat", Method::GET, Target::Bucket).flag("stat");
        let answered = self.answer(&call).await?;
        let stat: BucketStatDocument =
            xml::parse("BucketStat", &answered.document).map_err(|problem| call.error(Kind::Corrupt, problem))?;
        Ok(BucketStat { bytes: stat.storage, objects: stat.object_count, uploads: stat.multipart_upload_count })
    }

    pub(super) async fn list_buckets(&self) -> Result<Vec<BucketSummary>> {
        let mut buckets = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let mut call = Call::new("ListBuckets", Method::GET, Target::Service).parameter("max-keys", LIST_KEYS_MAX);
            if let Some(marker) = &marker {
                call = call.parameter("marker", marker);
            }
            let answered = self.answer(&call).await?;
            let page: BucketsDocument = xml::parse("ListAllMyBucketsResult", &answered.document)
                .map_err(|problem| call.error(Kind::Corrupt, problem))?;
            buckets.extend(page.buckets.bucket.into_iter().map(|bucket| BucketSummary {
                name: bucket.name,
                location: bucket.location,
                endpoint: bucket.extranet_endpoint,
            }));
            match (page.is_truncated, page.next_marker) {
                (false, _) => return Ok(buckets),
                (true, Some(next)) if Some(&next) > marker.as_ref() => marker = Some(next),
                (true, _) => return Err(call.error(Kind::Corrupt, "the listing does not advance")),
            }
        }
    }
}
