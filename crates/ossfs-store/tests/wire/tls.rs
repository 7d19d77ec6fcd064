//! https: a server is believed only if its certificate is.
//!
//! Which certificates are believed is the process's environment, so the client runs in a child: this test once more, told
//! by a variable whom to ask.

use crate::scripted::{key, object, pool};
use ossfs_store::{Endpoint, GetOptions, HttpOptions, ObjectStore, OssOptions, OssStore, Proxy, RetryOptions};
use ossfs_types::{BucketName, SystemClock};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Tells the child whom to ask.
const ENDPOINT: &str = "OSSFS_TEST_TLS_ENDPOINT";
/// Tells the child to believe any certificate.
const BELIEVE_ALL: &str = "OSSFS_TEST_TLS_BELIEVE_ALL";

async fn serve(certified: &CertifiedKey<rcgen::KeyPair>) -> String {
    let private = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], private)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let Ok(mut tls) = acceptor.accept(tcp).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(tls.read_u8().await.unwrap());
            }
            tls.write_all(&object(200, &[], "over TLS")).await.unwrap();
            tls.shutdown().await.unwrap();
        }
    });
    format!("https://localhost:{}", address.port())
}

/// What the child found: its exit status and its output.
async fn ask(endpoint: &str, trusted: &Path) -> (bool, String) {
    ask_with(endpoint, trusted, false).await
}

async fn ask_with(endpoint: &str, trusted: &Path, believe_all: bool) -> (bool, String) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "tls::a_server_is_believed_only_if_its_certificate_is", "--nocapture"]);
    child.env(ENDPOINT, endpoint).env("SSL_CERT_FILE", trusted).env_remove("SSL_CERT_DIR");
    if believe_all {
        child.env(BELIEVE_ALL, "1");
    }
    let output = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
    )
}

async fn read_as_the_child(endpoint: &str) {
    let endpoint = Endpoint::parse(endpoint).unwrap();
    let mut options = OssOptions::new(endpoint, BucketName::parse("my-bucket").unwrap());
    options.addressing = Some(ossfs_store::Addressing::PathStyle);
    options.http = HttpOptions {
        proxy: Proxy::Direct,
        verify_certificates: std::env::var(BELIEVE_ALL).is_err(),
        ..HttpOptions::default()
    };
    options.retry = RetryOptions {
        attempts_max: 1,
        delay_first: Duration::ZERO,
        delay_max: Duration::ZERO,
        patience: Duration::ZERO,
    };
    let store = OssStore::new(options, None, Arc::new(SystemClock)).unwrap();
    match store.read(&key("k"), &GetOptions::default(), &pool()).await {
        Ok(fetched) => assert_eq!(fetched.bytes, "over TLS"),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_server_is_believed_only_if_its_certificate_is() {
    if let Ok(endpoint) = std::env::var(ENDPOINT) {
        return read_as_the_child(&endpoint).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let certificate = |host: &str| generate_simple_self_signed([host.to_owned()]).unwrap();
    let file = |certified: &CertifiedKey<rcgen::KeyPair>, name: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, certified.cert.pem()).unwrap();
        path
    };
    let (own, stranger, misnamed) = (certificate("localhost"), certificate("localhost"), certificate("example.com"));
    let endpoint = serve(&own).await;
    let (succeeded, output) = ask(&endpoint, &file(&own, "own.pem")).await;
    assert!(succeeded, "{output}");
    let (succeeded, output) = ask(&endpoint, &file(&stranger, "stranger.pem")).await;
    assert!(!succeeded && output.contains("invalid peer certificate"), "{output}");
    let (succeeded, output) = ask(&serve(&misnamed).await, &file(&misnamed, "misnamed.pem")).await;
    assert!(!succeeded && output.contains("not valid for name"), "{output}");
    // A client that was told to believe everyone does, and needs no list of whom to trust.
    let (succeeded, output) = ask_with(&serve(&misnamed).await, &directory.path().join("none.pem"), true).await;
    assert!(succeeded, "{output}");
}
