//! The sandbox as the server of a test.

use ossfs_sandbox::{DEFAULT_ACCESS_KEY_ID, DEFAULT_ACCESS_KEY_SECRET, DEFAULT_REGION, Running, SandboxConfig};
use ossfs_store::{
    CredentialKeeper, Credentials, Endpoint, HttpOptions, OssOptions, OssStore, Proxy, RetryOptions, SignatureVersion,
    Timeouts,
};
use ossfs_types::{BucketName, SystemClock};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Sandbox {
    running: Running,
}

impl Sandbox {
    /// Serves one empty bucket from memory.
    pub(crate) async fn start() -> Self {
        Self::serving(SandboxConfig::default()).await
    }

    pub(crate) async fn on_directory(data: &Path) -> Self {
        Self::serving(SandboxConfig { data: Some(data.to_owned()), ..SandboxConfig::default() }).await
    }

    async fn serving(config: SandboxConfig) -> Self {
        let config = SandboxConfig { buckets: vec![bucket()], ..config };
        Self { running: config.start().await.unwrap() }
    }

    /// A store that talks to it, with short pauses between attempts.
    pub(crate) async fn store(&self, signature: SignatureVersion) -> OssStore {
        let endpoint = Endpoint::parse(&self.running.addr().to_string()).unwrap();
        let mut options = OssOptions::new(endpoint, bucket()).in_region(DEFAULT_REGION);
        options.signature = signature;
        let silence = Duration::from_secs(1);
        options.http = HttpOptions {
            connections_max: 32,
            timeouts: Timeouts { connect: Duration::from_secs(5), first_byte: silence, silence },
            proxy: Proxy::Direct,
            ..HttpOptions::default()
        };
        options.retry = RetryOptions {
            attempts_max: 10,
            delay_first: Duration::from_millis(1),
            delay_max: Duration::from_millis(10),
            patience: Duration::ZERO,
        };
        let credentials = Credentials::new(DEFAULT_ACCESS_KEY_ID, DEFAULT_ACCESS_KEY_SECRET, None).unwrap();
        let keeper = CredentialKeeper::start(Box::new(credentials), Arc::new(SystemClock)).await.unwrap();
        OssStore::new(options, Some(keeper), Arc::new(SystemClock)).unwrap()
    }

    /// Puts conditions in force.
    pub(crate) async fn set_conditions(&self, json: &str) {
        let mut stream = TcpStream::connect(self.running.addr()).await.unwrap();
        let request = format!(
            "PUT /-/conditions HTTP/1.1\r\nhost: sandbox\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{json}",
            json.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
    }

    pub(crate) async fn stop(self) {
        self.running.shutdown().await;
    }
}

fn bucket() -> BucketName {
    BucketName::parse("my-bucket").unwrap()
}
