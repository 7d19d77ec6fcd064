//! Requests through a proxy.

use crate::scripted::{Reply, Server, key, object, pool};
use ossfs_store::{Endpoint, GetOptions, Kind, ObjectStore, OssStore, Proxy};
use ossfs_types::SystemClock;
use std::sync::Arc;

fn through(proxy: &Server, endpoint: &str, user: &str) -> OssStore {
    let mut options = proxy.options();
    options.endpoint = Endpoint::parse(endpoint).unwrap();
    options.http.proxy = Proxy::Always(proxy.url().replace("http://", &format!("http://{user}")));
    OssStore::new(options, None, Arc::new(SystemClock)).unwrap()
}

#[tokio::test]
async fn a_proxy_is_given_the_whole_url_and_its_password() {
    let proxy = Server::start(|_, _| Reply::Send(object(200, &[], "fine")));
    let store = through(&proxy, "oss-cn-hangzhou.aliyuncs.com", "user:pass@");
    assert_eq!(store.read(&key("a b"), &GetOptions::default(), &pool()).await.unwrap().bytes, "fine");
    let asked = &proxy.asked()[0];
    assert_eq!(asked.line, "GET http://my-bucket.oss-cn-hangzhou.aliyuncs.com/a%20b HTTP/1.1");
    assert_eq!(asked.header("host"), Some("my-bucket.oss-cn-hangzhou.aliyuncs.com"));
    assert_eq!(asked.header("proxy-authorization"), Some("Basic dXNlcjpwYXNz"));
}

#[tokio::test]
async fn https_goes_through_a_tunnel() {
    let proxy = Server::start(|_, _| Reply::SendAndClose(b"HTTP/1.1 403 Forbidden\r\n\r\n".to_vec()));
    let store = through(&proxy, "https://oss-cn-hangzhou.aliyuncs.com", "");
    let error = store.read(&key("a"), &GetOptions::default(), &pool()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(proxy.asked()[0].line, "CONNECT my-bucket.oss-cn-hangzhou.aliyuncs.com:443 HTTP/1.1");
}

#[tokio::test]
async fn a_proxy_that_is_no_http_proxy_is_an_error() {
    let server = Server::start(|_, _| Reply::Silence);
    let mut options = server.options();
    options.http.proxy = Proxy::Always("socks5://127.0.0.1:1".into());
    let store = OssStore::new(options, None, Arc::new(SystemClock)).unwrap();
    let error = store.read(&key("a"), &GetOptions::default(), &pool()).await.unwrap_err();
    assert!(error.to_string().contains("only http:// proxies"), "{error}");
}
