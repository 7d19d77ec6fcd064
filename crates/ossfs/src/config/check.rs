//! Whether the bucket can be used as it is configured, before anything is mounted.
//!
//! Few attempts and short waits: somebody is waiting for the command to return. An endpoint that is silent has failed after
//! `connect_timeout`; one that refuses, after a second.

use super::MountConfig;
use super::explain::{KeyInUse, explain};
use anyhow::anyhow;
use ossfs_store::{
    BucketInfo, CredentialKeeper, Error, HttpOptions, Kind, ListRequest, ObjectStore, OssOptions, OssStore, Result,
    RetryOptions, Timeouts, Versioning, find_credentials,
};
use ossfs_types::{Clock, SystemClock};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One attempt: what is worth another is decided here.
const ONCE: RetryOptions =
    RetryOptions { attempts_max: 1, delay_first: Duration::ZERO, delay_max: Duration::ZERO, patience: Duration::ZERO };
/// How often a question is asked that fails for a reason that may pass.
const ATTEMPTS_MAX: u32 = 3;
/// Before the second attempt; before the third, twice as long.
const WAIT: Duration = Duration::from_millis(200);
/// A question that took longer to fail is not asked again: the connection timed out, or the server is silent.
const FAILS_FAST: Duration = Duration::from_secs(1);

/// A bucket that answers.
#[derive(Debug, Clone)]
pub(crate) struct Connected {
    /// The store to mount, with the time limits and repetitions of the configuration. Credentials that expire are renewed
    /// by a task on the runtime that [`connect`] ran on.
    pub store: OssStore,
    /// Whether `forbid_overwrite` has no effect, as where versions are kept; also where OSS would not tell, because what
    /// relies on it would be unsafe.
    pub versioned: bool,
    /// Why objects that were replaced go on costing money, if they do.
    pub costly: Option<&'static str>,
}

/// Finds the credentials and asks the bucket. An error is one line that says what is wrong, where, and what to do.
pub(crate) async fn connect(config: &MountConfig) -> anyhow::Result<Connected> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (keeper, key) = credentials(config, &clock).await?;
    let told = |error: Error| anyhow!(explain(&error, config, key.as_ref()));
    let asking = options(config, checking(&config.http), ONCE);
    let asking = OssStore::new(asking, keeper.clone(), clock.clone()).map_err(told)?;
    let info = bucket_info(&asking).await.map_err(told)?;
    let listing = ListRequest { entries_max: 1, ..ListRequest::all(config.prefix.clone()) };
    ask(|| asking.list(&listing)).await.map_err(told)?;
    let store = OssStore::new(options(config, config.http.clone(), config.retry), keeper, clock).map_err(told)?;
    let typed_class = config.volume.headers.storage_class.as_ref().and_then(|class| class.to_str().ok());
    let costly = info.as_ref().and_then(|info| costly(info.versioning, typed_class.or(info.storage_class.as_deref())));
    let versioned = info.as_ref().is_none_or(|info| info.versioning != Versioning::Unversioned);
    Ok(Connected { store, versioned, costly })
}

/// Why objects that were replaced go on costing money, if they do.
fn costly(versioning: Versioning, storage_class: Option<&str>) -> Option<&'static str> {
    match (versioning, storage_class) {
        (Versioning::Enabled, _) => Some("the bucket keeps every version"),
        (_, None | Some("Standard")) => None,
        (_, Some(_)) => {
            Some("objects of this storage class cost for a month and more, though they are replaced before")
        }
    }
}

/// The credentials, and which they are; none for a public bucket.
async fn credentials(
    config: &MountConfig,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<(Option<Arc<CredentialKeeper>>, Option<KeyInUse>)> {
    let Some(options) = &config.credentials else { return Ok((None, None)) };
    let variable = |name: &str| std::env::var(name).ok();
    let source = find_credentials(options, &config.bucket, &variable).await?;
    let origin = source.origin();
    let keeper = CredentialKeeper::start(source, clock.clone()).await?;
    let key = KeyInUse { id: keeper.current().id().to_owned(), origin };
    Ok((Some(keeper), Some(key)))
}

/// What OSS says of the bucket; `None` if that is not for these credentials, which need no such permission to use it.
async fn bucket_info(store: &OssStore) -> Result<Option<BucketInfo>> {
    match ask(|| store.bucket_info()).await {
        Ok(info) => Ok(Some(info)),
        Err(error) if error.kind() == Kind::Denied && error.code() == Some("AccessDenied") => {
            tracing::debug!(%error, "what OSS says of the bucket is not for these credentials");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Asks, and asks again if it failed fast and for a reason that may pass.
async fn ask<T, F: Future<Output = Result<T>>>(question: impl Fn() -> F) -> Result<T> {
    let mut attempt = 1;
    loop {
        let begun = Instant::now();
        match question().await {
            Err(error)
                if attempt < ATTEMPTS_MAX
                    && matches!(error.kind(), Kind::Unavailable | Kind::Throttled)
                    && begun.elapsed() < FAILS_FAST =>
            {
                tracing::debug!(%error, attempt, "asking again");
                tokio::time::sleep(WAIT * attempt).await;
                attempt += 1;
            }
            answered => return answered,
        }
    }
}

/// The endpoint has as long to answer as to take a connection.
fn checking(http: &HttpOptions) -> HttpOptions {
    let limit = http.timeouts.connect;
    let timeouts = Timeouts { connect: limit, first_byte: limit, silence: limit };
    HttpOptions { connections_max: 1, timeouts, ..http.clone() }
}

fn options(config: &MountConfig, http: HttpOptions, retry: RetryOptions) -> OssOptions {
    let mut options = OssOptions::new(config.endpoint.clone(), config.bucket.clone());
    options.addressing = config.addressing;
    options.region = config.region.clone();
    options.signature = config.signature;
    options.http = http;
    options.retry = retry;
    options
}

#[cfg(test)]
mod tests;
