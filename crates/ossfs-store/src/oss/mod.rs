//! OSS over HTTP: the operations of [`ObjectStore`] as requests, and answers as results.
//!
//! An operation is a [`Call`](exchange::Call), tried until it is answered or given up (`exchange`); what the answer's
//! headers and documents mean is in `answer`; a mutation without an answer is looked for by `look`.

mod answer;
mod bucket;
mod download;
mod exchange;
mod listing;
mod look;
mod multipart;
mod object;
mod request;

use crate::api::{
    AppendOptions, Appended, BucketInfo, BucketStat, BucketSummary, CopyOptions, CopySource, GetOptions, GotObject,
    ListPage, ListRequest, ObjectMeta, ObjectStat, ObjectStore, Part, PartNumber, PartsPage, Payload, PutOptions,
    Symlink, Upload, UploadMarker, UploadsPage, Written,
};
use crate::credentials::CredentialKeeper;
use crate::endpoint::{Addressing, Endpoint};
use crate::error::{Error, Kind, Result};
use crate::http::{Client, HttpOptions};
use crate::retry::RetryOptions;
use crate::sign::{SignatureVersion, Signer};
use async_trait::async_trait;
use ossfs_types::{BucketName, ByteRange, Clock, Key, Prefix};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Where a bucket is and how to talk to it.
#[derive(Debug, Clone)]
pub struct OssOptions {
    /// The service, or the bucket's own domain.
    pub endpoint: Endpoint,
    /// How the bucket is addressed; as the endpoint's host suggests if absent.
    pub addressing: Option<Addressing>,
    /// The bucket.
    pub bucket: BucketName,
    /// The region, such as `cn-hangzhou`; as the endpoint's host tells if absent. Version 4 signatures need it.
    pub region: Option<String>,
    /// Version of the signatures.
    pub signature: SignatureVersion,
    /// Connections, timeouts and proxy.
    pub http: HttpOptions,
    /// Repetitions.
    pub retry: RetryOptions,
}

impl OssOptions {
    /// A bucket at an endpoint, with version 4 signatures where the endpoint's name tells the region, else version 1.
    pub fn new(endpoint: Endpoint, bucket: BucketName) -> Self {
        let region = endpoint.region().map(str::to_owned);
        let signature = if region.is_some() { SignatureVersion::V4 } else { SignatureVersion::V1 };
        Self {
            endpoint,
            addressing: None,
            bucket,
            region,
            signature,
            http: HttpOptions::default(),
            retry: RetryOptions::default(),
        }
    }

    /// The same, with version 4 signatures for this region.
    #[must_use]
    pub fn in_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self.signature = SignatureVersion::V4;
        self
    }
}

/// A bucket of OSS. Clones share connections.
#[derive(Clone)]
pub struct OssStore {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    addressing: Addressing,
    bucket: BucketName,
    retry: RetryOptions,
    client: Client,
    signer: Signer,
    /// `None` for a public bucket: requests go out unsigned.
    credentials: Option<Arc<CredentialKeeper>>,
    clock: Arc<dyn Clock>,
    /// How much OSS's time of day is ahead of ours, in milliseconds, as its answers told.
    skew_ms: AtomicI64,
}

impl fmt::Debug for OssStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OssStore({} at {})", self.inner.bucket, self.inner.endpoint)
    }
}

impl OssStore {
    /// A store that signs with these credentials, or not at all. Sends nothing yet.
    ///
    /// # Errors
    ///
    /// `Invalid` if version 4 is wanted without a region; `Unavailable` if the system's certificates can't be read.
    pub fn new(options: OssOptions, credentials: Option<Arc<CredentialKeeper>>, clock: Arc<dyn Clock>) -> Result<Self> {
        let region = match (&options.region, options.signature) {
            (Some(region), _) => region.clone(),
            (None, SignatureVersion::V1) => String::new(),
            (None, SignatureVersion::V4) => {
                return Err(Error::new(Kind::Invalid, "connect", "signature version 4 needs the region of the bucket"));
            }
        };
        if !region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            let message = format!("{region:?} is no region; it looks like cn-hangzhou");
            return Err(Error::new(Kind::Invalid, "connect", message));
        }
        let client = Client::new(&options.http, options.endpoint.is_https())
            .map_err(|problem| Error::new(Kind::Unavailable, "connect", problem))?;
        let inner = Inner {
            addressing: options.addressing.unwrap_or_else(|| options.endpoint.default_addressing()),
            signer: Signer::new(options.signature, &region),
            endpoint: options.endpoint,
            bucket: options.bucket,
            retry: options.retry,
            client,
            credentials,
            clock,
            skew_ms: AtomicI64::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The buckets of the account, all pages.
    pub async fn list_buckets(&self) -> Result<Vec<BucketSummary>> {
        self.inner.list_buckets().await
    }

    /// How much OSS's time of day is ahead of ours, as far as its answers told.
    pub fn clock_skew(&self) -> jiff::SignedDuration {
        jiff::SignedDuration::from_millis(self.inner.skew_ms.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl ObjectStore for OssStore {
    async fn put(&self, key: &Key, payload: Payload, options: &PutOptions) -> Result<Written> {
        self.inner.put(key, payload, options).await
    }

    async fn get(&self, key: &Key, options: &GetOptions) -> Result<GotObject> {
        download::get(&self.inner, key, options).await
    }

    async fn head(&self, key: &Key) -> Result<ObjectMeta> {
        self.inner.head(key).await
    }

    async fn stat(&self, key: &Key) -> Result<ObjectStat> {
        self.inner.stat(key).await
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage> {
        self.inner.list(request).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }

    async fn delete_many(&self, keys: &[Key]) -> Result<Vec<Key>> {
        self.inner.delete_many(keys).await
    }

    async fn copy(&self, source: &CopySource, key: &Key, options: &CopyOptions) -> Result<Written> {
        self.inner.copy(source, key, options).await
    }

    async fn append(&self, key: &Key, position: u64, payload: Payload, options: &AppendOptions) -> Result<Appended> {
        self.inner.append(key, position, payload, options).await
    }

    async fn create_upload(&self, key: &Key, options: &PutOptions) -> Result<Upload> {
        self.inner.create_upload(key, options).await
    }

    async fn upload_part(&self, upload: &Upload, number: PartNumber, payload: Payload) -> Result<Part> {
        self.inner.upload_part(upload, number, payload).await
    }

    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: PartNumber,
        source: &CopySource,
        range: ByteRange,
    ) -> Result<Part> {
        self.inner.upload_part_copy(upload, number, source, range).await
    }

    async fn complete_upload(&self, upload: &Upload, parts: &[Part], forbid_overwrite: bool) -> Result<Written> {
        self.inner.complete_upload(upload, parts, forbid_overwrite).await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<bool> {
        self.inner.abort_upload(upload).await
    }

    async fn list_parts(&self, upload: &Upload, after: Option<PartNumber>) -> Result<PartsPage> {
        self.inner.list_parts(upload, after).await
    }

    async fn list_uploads(&self, prefix: &Prefix, after: Option<&UploadMarker>) -> Result<UploadsPage> {
        self.inner.list_uploads(prefix, after).await
    }

    async fn put_symlink(&self, key: &Key, target: &Key, options: &PutOptions) -> Result<()> {
        self.inner.put_symlink(key, target, options).await
    }

    async fn get_symlink(&self, key: &Key) -> Result<Symlink> {
        self.inner.get_symlink(key).await
    }

    async fn bucket_info(&self) -> Result<BucketInfo> {
        self.inner.bucket_info().await
    }

    async fn bucket_stat(&self) -> Result<BucketStat> {
        self.inner.bucket_stat().await
    }
}
