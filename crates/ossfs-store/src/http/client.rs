//! One request, one answer.

use super::body::{Progress, RequestBody, ResponseBody, transfer_limit};
use super::connector::Connector;
use super::{HttpOptions, Timeouts};
use crate::api::Payload;
use http::header::{CONTENT_LENGTH, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Idle connections are closed before common servers and load balancers do, so that a request seldom meets a closing one.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// Each request in flight ends by its own deadlines, but a body that its reader doesn't read keeps its connection.
const POOL_WAIT_MAX: Duration = Duration::from_secs(60);
/// What hyper reads at once at most. As large as a level-2 cache likes: bytes are copied on from there.
const READ_BUFFER_BYTES: usize = 512 << 10;
/// Most headers of an answer: an object may carry many small `x-oss-meta-*`, for which hyper's 100 are too few.
const HEADERS_MAX: usize = 400;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("ossfs/", env!("CARGO_PKG_VERSION")));
const PROXY_AUTHORIZATION: HeaderName = HeaderName::from_static("proxy-authorization");

/// Why there is no answer, or no whole one.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Whether the request can't have reached the server.
    pub not_sent: bool,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    pub(super) fn lost(message: impl Into<String>) -> Self {
        Self { not_sent: false, message: message.into(), source: None }
    }

    fn not_sent(message: impl Into<String>) -> Self {
        Self { not_sent: true, message: message.into(), source: None }
    }

    pub(super) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut source = self.source.as_deref().map(|source| source as &dyn StdError);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl StdError for Failure {}

/// The head of an answer, and its body to come.
pub(crate) struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: ResponseBody,
}

/// Sends requests over a bounded pool of connections.
pub(crate) struct Client {
    inner: legacy::Client<Connector, RequestBody>,
    connector: Connector,
    permits: Arc<Semaphore>,
    timeouts: Timeouts,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({} requests may begin)", self.permits.available_permits())
    }
}

impl Client {
    /// A client; `https` says whether it may be asked for https.
    pub(crate) fn new(options: &HttpOptions, https: bool) -> Result<Self, String> {
        let connector = Connector::new(options, https)?;
        let connections_max = options.connections_max.max(1);
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(connections_max)
            .http1_max_buf_size(READ_BUFFER_BYTES)
            .http1_max_headers(HEADERS_MAX)
            .build(connector.clone());
        let permits = Arc::new(Semaphore::new(connections_max));
        Ok(Self { inner, connector, permits, timeouts: options.timeouts })
    }

    /// Sends one request, once. A pooled connection that turns out to be closed before anything was written to it is
    /// replaced silently.
    pub(crate) async fn send(
        &self,
        method: Method,
        uri: Uri,
        mut headers: HeaderMap,
        payload: Payload,
    ) -> Result<Response, Failure> {
        let permit = match tokio::time::timeout(POOL_WAIT_MAX, self.permits.clone().acquire_owned()).await {
            Ok(permit) => permit.expect("the semaphore is never closed"),
            Err(_) => return Err(Failure::not_sent("all connections are busy")),
        };
        headers.insert(USER_AGENT, AGENT);
        // hyper tells no length of an empty body, and OSS refuses a PUT or POST without one.
        if method == Method::PUT || method == Method::POST {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(payload.len()));
        }
        if let Some(authorization) = self.connector.proxy_authorization(&uri) {
            headers.insert(PROXY_AUTHORIZATION, authorization);
        }
        let progress = Progress::new();
        let len = payload.len();
        let mut request = http::Request::new(RequestBody::new(payload, progress.clone()));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let connection = capture_connection(&mut request);
        let answer = tokio::select! {
            answer = self.inner.request(request) => answer.map_err(classify)?,
            failure = self.watch(connection, &progress, len) => return Err(failure),
        };
        let (head, incoming) = answer.into_parts();
        let body = ResponseBody::new(incoming, self.timeouts, permit);
        Ok(Response { status: head.status, headers: head.headers, body })
    }

    /// Ends when a request has been without a connection, without progress, or under way, for too long.
    async fn watch(&self, mut connection: CaptureConnection, progress: &Progress, len: u64) -> Failure {
        // The connector has the same limit; this one covers what waits for the connector.
        let connected = connection.wait_for_connection_metadata();
        if tokio::time::timeout(self.timeouts.connect * 2, connected).await.is_err() {
            return Failure::not_sent("no connection in time");
        }
        let begun = Instant::now();
        let deadline = begun + transfer_limit(&self.timeouts, len) + self.timeouts.first_byte;
        let patience = self.timeouts.first_byte.max(self.timeouts.silence);
        loop {
            let moved = progress.last().max(begun);
            tokio::time::sleep_until(deadline.min(moved + patience)).await;
            if Instant::now() >= deadline {
                return Failure::lost("the request takes too long");
            }
            if progress.last().max(begun) == moved {
                return Failure::lost(format!("no answer within {patience:?}"));
            }
        }
    }
}

/// Whether hyper's failure came before or after the request was on its way.
fn classify(error: legacy::Error) -> Failure {
    let cause = error.source().and_then(|source| source.downcast_ref::<hyper::Error>());
    if error.is_connect() {
        Failure::not_sent("no connection").caused_by(error)
    } else if cause.is_some_and(hyper::Error::is_canceled) {
        Failure::not_sent("the connection was closed").caused_by(error)
    } else if cause.is_some_and(hyper::Error::is_parse) {
        Failure::lost("the answer is no HTTP").caused_by(error)
    } else {
        Failure::lost("the connection broke before the answer").caused_by(error)
    }
}
