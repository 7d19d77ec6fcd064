//! Connecting to a sandbox: what stops a mount and what does not.

use super::*;
use crate::config::{Machine, Named, resolve};
use crate::options;
use ossfs_sandbox::{DEFAULT_ACCESS_KEY_ID, DEFAULT_ACCESS_KEY_SECRET, Running, SandboxConfig};
use ossfs_store::Proxy;
use ossfs_types::BucketName;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[test]
fn replaced_objects_go_on_costing_in_some_buckets() {
    assert_eq!(costly(Versioning::Unversioned, Some("Standard")), None);
    assert_eq!(costly(Versioning::Suspended, None), None);
    assert!(costly(Versioning::Enabled, Some("Standard")).is_some());
    assert!(costly(Versioning::Unversioned, Some("IA")).is_some());
}

struct World {
    sandbox: Running,
    keys: TempDir,
}

impl World {
    async fn start() -> Self {
        let buckets = vec![BucketName::parse("my-bucket").unwrap()];
        let sandbox = SandboxConfig { buckets, ..SandboxConfig::default() }.start().await.unwrap();
        let keys = tempfile::tempdir().unwrap();
        let path = keys.path().join("keys");
        std::fs::write(&path, format!("{DEFAULT_ACCESS_KEY_ID}:{DEFAULT_ACCESS_KEY_SECRET}")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self { sandbox, keys }
    }

    fn config(&self, typed: &str) -> MountConfig {
        let named = Named { words: vec!["my-bucket".into(), "/mnt".into()], ..Named::default() };
        let keys = self.keys.path().join("keys");
        let all = format!("url={},passwd_file={},{typed}", self.sandbox.addr(), keys.display());
        let mut config = resolve(&named, &options::parse([all.as_str()]).unwrap(), &Machine::this()).unwrap();
        config.http.proxy = Proxy::Direct;
        config
    }

    /// Sets what goes wrong, as JSON.
    async fn faults(&self, faults: &str) {
        let body = format!("{{\"faults\": [{faults}]}}");
        let head =
            format!("PUT /-/conditions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}", body.len());
        let mut stream = TcpStream::connect(self.sandbox.addr()).await.unwrap();
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
}

const V4: &str = "region=cn-hangzhou";

#[tokio::test]
async fn a_bucket_answers_with_either_signature() {
    let world = World::start().await;
    for typed in [V4, "sigv1"] {
        let connected = connect(&world.config(typed)).await.unwrap();
        assert!(!connected.versioned);
        connected.store.list(&ListRequest::all(ossfs_types::Prefix::all())).await.unwrap();
    }
}

#[tokio::test]
async fn no_permission_for_what_is_said_of_a_bucket_does_not_stop_a_mount() {
    let world = World::start().await;
    world.faults(r#"{"operations": ["GetBucketInfo"], "kind": "denied"}"#).await;
    let connected = connect(&world.config(V4)).await.unwrap();
    assert!(connected.versioned, "nobody said that it is not");
}

#[tokio::test]
async fn no_permission_to_list_does() {
    let world = World::start().await;
    world.faults(r#"{"operations": ["ListObjectsV2"], "kind": "denied"}"#).await;
    let error = connect(&world.config(V4)).await.unwrap_err().to_string();
    assert!(
        error.starts_with("no permission to list the bucket my-bucket with the access key sandbox of /"),
        "{error}"
    );
}

#[tokio::test]
async fn a_fault_that_passes_is_waited_for() {
    let world = World::start().await;
    world.faults(r#"{"operations": ["*"], "kind": "error-503", "count": 2}"#).await;
    connect(&world.config(V4)).await.unwrap();
    world.faults(r#"{"operations": ["*"], "kind": "reset", "count": 2}"#).await;
    connect(&world.config(V4)).await.unwrap();
    world.faults(r#"{"operations": ["*"], "kind": "error-503"}"#).await;
    let error = connect(&world.config(V4)).await.unwrap_err().to_string();
    assert!(error.contains("try again later"), "{error}");
}
