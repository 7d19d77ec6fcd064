//! A tiny HTTP client that signs (version 4), and a sandbox to ask. Each test has a deadline.

use hmac::{Hmac, KeyInit, Mac};
use jiff::SignedDuration;
use ossfs_sandbox::{Running, SandboxConfig};
use ossfs_types::{BucketName, Clock, SystemClock, Timestamp};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No test takes longer, unless something hangs.
const DEADLINE: Duration = Duration::from_secs(20);

/// A clock that a test can set.
#[derive(Debug, Default)]
pub(crate) struct TestClock {
    offset_seconds: AtomicI64,
}

impl TestClock {
    pub(crate) fn advance(&self, seconds: i64) {
        self.offset_seconds.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + SignedDuration::from_secs(self.offset_seconds.load(Ordering::Relaxed))
    }
}

/// A sandbox with the bucket `bkt`.
pub(crate) struct Sandbox {
    pub(crate) running: Running,
    pub(crate) clock: Arc<TestClock>,
}

/// Runs a test against a sandbox that `change` may have its say about.
pub(crate) fn with_sandbox<F: Future<Output = ()>>(
    change: impl FnOnce(&mut SandboxConfig),
    test: impl FnOnce(Client) -> F,
) {
    in_time(async {
        let sandbox = start(change).await;
        test(sandbox.client()).await;
        sandbox.running.shutdown().await;
    });
}

/// Runs a test on a runtime of its own, with a deadline.
pub(crate) fn in_time(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(DEADLINE, test).await.expect("the test is over in time") });
}

pub(crate) async fn start(change: impl FnOnce(&mut SandboxConfig)) -> Sandbox {
    let clock = Arc::new(TestClock::default());
    let mut config = SandboxConfig {
        buckets: vec![BucketName::parse("bkt").unwrap()],
        memory_limit: 256 << 20,
        clock: clock.clone(),
        ..SandboxConfig::default()
    };
    change(&mut config);
    Sandbox { running: config.start().await.unwrap(), clock }
}

impl Sandbox {
    pub(crate) fn client(&self) -> Client {
        Client { addr: self.running.addr(), clock: self.clock.clone() }
    }
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text of the first element of this name.
    pub(crate) fn element(&self, name: &str) -> String {
        let text = self.text();
        let after = text.split_once(&format!("<{name}>")).map_or("", |(_, after)| after);
        after.split_once(&format!("</{name}>")).map_or(String::new(), |(inner, _)| inner.to_owned())
    }

    /// Status and OSS's code.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.element("Code").as_str()), (status, code), "{}", self.text());
        assert_eq!(self.element("RequestId"), self.header("x-oss-request-id"));
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text());
        self
    }
}

/// Asks a sandbox; every request is signed and has a connection of its own.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) addr: SocketAddr,
    pub(crate) clock: Arc<TestClock>,
}

impl Client {
    /// A request; `target` is its path and query, percent-encoded.
    pub(crate) async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.try_ask(method, target, headers, body).await.expect("an answer")
    }

    /// A request that may not be answered.
    pub(crate) async fn try_ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Reply> {
        let mut request = self.signed_head(method, target, headers);
        request += &format!("content-length: {}\r\n\r\n", body.len());
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        self.raw(&bytes, method == "HEAD").await
    }

    pub(crate) async fn get(&self, target: &str) -> Reply {
        self.ask("GET", target, &[], b"").await
    }

    pub(crate) async fn put(&self, target: &str, body: &[u8]) -> Reply {
        self.ask("PUT", target, &[], body).await
    }

    /// Sends bytes and reads one answer to its end.
    pub(crate) async fn raw(&self, bytes: &[u8], is_head: bool) -> std::io::Result<Reply> {
        let mut stream = self.connect().await;
        let written = stream.write_all(bytes).await;
        let reply = read_reply(&mut stream, is_head).await;
        if reply.is_err() {
            written?;
        }
        reply
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// The head of a signed request, without its last, empty line.
    pub(crate) fn signed_head(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> String {
        let now = self.clock.now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut all: Vec<(String, String)> =
            headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned())).collect();
        all.push(("x-oss-date".into(), now.clone()));
        all.push(("x-oss-content-sha256".into(), "UNSIGNED-PAYLOAD".into()));
        let authorization = sign(method, target, &all, &now);
        let mut head =
            format!("{method} {target} HTTP/1.1\r\nhost: {}\r\nauthorization: {authorization}\r\n", self.addr);
        for (name, value) in all {
            head += &format!("{name}: {value}\r\n");
        }
        head
    }
}

/// Signs as the documentation says; the target's encoding must be the canonical one.
fn sign(method: &str, target: &str, headers: &[(String, String)], now: &str) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = if path.matches('/').count() == 1 && path != "/" { format!("{path}/") } else { path.to_owned() };
    let mut pairs: Vec<String> =
        query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.trim_end_matches('=').to_owned()).collect();
    pairs.sort_by_key(|pair| pair.split('=').map(str::to_owned).collect::<Vec<_>>());
    let mut signed: Vec<&(String, String)> = headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-oss-") || name == "content-type" || name == "content-md5")
        .collect();
    signed.sort();
    let lines: Vec<String> = signed.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let canonical = format!("{method}\n{path}\n{}\n{}\n\nUNSIGNED-PAYLOAD", pairs.join("&"), lines.concat());
    let scope = format!("{}/cn-hangzhou/oss/aliyun_v4_request", &now[..8]);
    let hash = hex::encode(Sha256::digest(&canonical));
    let string_to_sign = format!("OSS4-HMAC-SHA256\n{now}\n{scope}\n{hash}");
    let hmac = |key: &[u8], text: &str| {
        let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.chain_update(text.as_bytes()).finalize().into_bytes().to_vec()
    };
    let key = scope.split('/').fold(b"aliyun_v4sandbox-secret".to_vec(), |key, step| hmac(&key, step));
    let signature = hex::encode(hmac(&key, &string_to_sign));
    format!("OSS4-HMAC-SHA256 Credential=sandbox/{scope},Signature={signature}")
}

/// Reads one answer; an error if the connection ends before the answer does.
pub(crate) async fn read_reply(stream: &mut TcpStream, is_head: bool) -> std::io::Result<Reply> {
    loop {
        let reply = read_one(stream, is_head).await?;
        if reply.status != 100 {
            return Ok(reply);
        }
    }
}

async fn read_one(stream: &mut TcpStream, is_head: bool) -> std::io::Result<Reply> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|text| text.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("no status: {head}")))?;
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let len = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; if is_head || status == 304 { 0 } else { len }];
    stream.read_exact(&mut body).await?;
    Ok(Reply { status, headers, body })
}
