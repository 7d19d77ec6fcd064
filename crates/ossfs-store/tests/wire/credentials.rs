//! Credentials that need requests: the ECS metadata service.

use crate::scripted::{Reply, Server};
use ossfs_store::{CredentialOptions, find_credentials};
use ossfs_types::BucketName;

fn plain(status: u16, body: &str) -> Reply {
    Reply::Send(format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

const ROLE: &str = r#"{"Code":"Success","AccessKeyId":"STS.I","AccessKeySecret":"S","SecurityToken":"T",
    "Expiration":"2035-01-01T00:00:00Z","LastUpdated":"2034-12-31T18:00:00Z"}"#;

async fn load(server: &Server, role: Option<&str>) -> Result<String, String> {
    let options = CredentialOptions { ram_role: Some(role.map(str::to_owned)), ..Default::default() };
    let url = server.url();
    let variable = move |name: &str| (name == "ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT").then(|| url.clone());
    let bucket = BucketName::parse("my-bucket").unwrap();
    let source = find_credentials(&options, &bucket, &variable).await.map_err(|error| error.to_string())?;
    let credentials = source.load().await.map_err(|error| error.to_string())?;
    assert_eq!(credentials.expires_at().unwrap().as_second(), 2_051_222_400);
    Ok(credentials.id().to_owned())
}

#[tokio::test]
async fn the_metadata_service_is_asked_in_its_hardened_mode_first() {
    let server = Server::start(|_, asked| match asked.line.split(' ').nth(1).unwrap() {
        "/latest/api/token" => {
            assert_eq!(asked.method(), "PUT");
            assert!(asked.header("x-aliyun-ecs-metadata-token-ttl-seconds").is_some());
            plain(200, "TOKEN")
        }
        "/latest/meta-data/ram/security-credentials/" => plain(200, "my-role"),
        "/latest/meta-data/ram/security-credentials/my-role" => {
            assert_eq!(asked.header("x-aliyun-ecs-metadata-token"), Some("TOKEN"));
            plain(200, ROLE)
        }
        _ => plain(404, ""),
    });
    assert_eq!(load(&server, None).await, Ok("STS.I".into()));
    assert_eq!(load(&server, Some("my-role")).await, Ok("STS.I".into()));
    assert_eq!(server.methods(), ["PUT", "GET", "GET", "PUT", "GET"]);
}

#[tokio::test]
async fn an_instance_without_the_hardened_mode_or_without_a_role() {
    let old = Server::start(|_, asked| match asked.method() {
        "PUT" => plain(404, ""),
        _ => plain(200, ROLE),
    });
    assert_eq!(load(&old, Some("my-role")).await, Ok("STS.I".into()));
    let none = Server::start(|_, _| plain(404, "<html>not found</html>"));
    let error = load(&none, Some("my-role")).await.unwrap_err();
    assert!(error.starts_with("the ECS metadata service (RAM role my-role): "), "{error}");
}

#[tokio::test]
async fn the_metadata_service_or_any_url_may_be_named() {
    let server = Server::start(|_, asked| match asked.line.split(' ').nth(1).unwrap() {
        "/latest/api/token" => plain(404, ""),
        _ => plain(200, ROLE),
    });
    let role = CredentialOptions {
        ram_role: Some(Some("my-role".into())),
        metadata_endpoint: Some(server.url()),
        ..Default::default()
    };
    let uri = CredentialOptions { credentials_uri: Some(format!("{}/keys", server.url())), ..Default::default() };
    let bucket = BucketName::parse("my-bucket").unwrap();
    for options in [role, uri] {
        let source = find_credentials(&options, &bucket, &|_| None).await.unwrap();
        assert_eq!(source.load().await.unwrap().id(), "STS.I", "{options:?}");
    }
    assert!(server.asked().iter().any(|asked| asked.line.starts_with("GET /keys ")));
}
