//! `/-/stats` and `/-/conditions`: every kind of fault, latency, bandwidth and throttling.

use crate::client::{Client, Reply, read_reply, with_sandbox};
use std::io::ErrorKind;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

fn wire<F: Future<Output = ()>>(test: impl FnOnce(Client) -> F) {
    with_sandbox(|_| {}, test);
}

async fn plain(client: &Client, method: &str, path: &str, body: &str) -> Reply {
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n{body}", client.addr, body.len());
    client.raw(request.as_bytes(), false).await.unwrap()
}

async fn set(client: &Client, conditions: &str) {
    plain(client, "PUT", "/-/conditions", conditions).await.ok();
}

async fn fault(client: &Client, operation: &str, kind: &str) {
    let fault = format!(r#"{{"faults": [{{"operations": ["{operation}"], "kind": "{kind}", "count": 1}}]}}"#);
    set(client, &fault).await;
}

#[test]
fn stats_count_requests_and_bytes() {
    wire(|client| async move {
        client.put("/bkt/k", b"12345").await.ok();
        client.get("/bkt/k").await.ok();
        client.ask("GET", "/bkt/k", &[("range", "bytes=0-1")], b"").await.ok();
        let stats: serde_json::Value =
            serde_json::from_slice(&plain(&client, "GET", "/-/stats", "").await.ok().body).unwrap();
        let expected = serde_json::json!({
            "requests": {"PutObject": 1, "GetObject": 2}, "bytes_in": 5, "bytes_out": 7,
        });
        assert_eq!(stats, expected);
        plain(&client, "POST", "/-/stats/reset", "").await.ok();
        let stats = plain(&client, "GET", "/-/stats", "").await.ok();
        assert_eq!(stats.text(), r#"{"requests":{},"bytes_in":0,"bytes_out":0}"#);
    });
}

#[test]
fn conditions_are_said_back_and_nonsense_is_named() {
    wire(|client| async move {
        set(&client, r#"{"latency_ms": 1, "faults": [{"operations": ["*"], "kind": "stall", "probability": 0}]}"#)
            .await;
        let said: serde_json::Value =
            serde_json::from_slice(&plain(&client, "GET", "/-/conditions", "").await.ok().body).unwrap();
        assert_eq!((&said["latency_ms"], &said["faults"][0]["kind"]), (&1.into(), &"stall".into()));
        let refused = plain(&client, "PUT", "/-/conditions", r#"{"weather": 1}"#).await;
        assert!(refused.status == 400 && refused.text().contains("weather"), "{}", refused.text());
        assert_eq!(plain(&client, "PUT", "/-/stats", "").await.status, 405);
        assert_eq!(plain(&client, "GET", "/-/nothing", "").await.status, 404);
    });
}

#[test]
fn refusals() {
    wire(|client| async move {
        fault(&client, "PutObject", "error-503").await;
        client.put("/bkt/k", b"x").await.refused(503, "ServiceUnavailable");
        client.get("/bkt/k").await.refused(404, "NoSuchKey");
        fault(&client, "PutObject", "denied").await;
        client.put("/bkt/k", b"x").await.refused(403, "AccessDenied");
        fault(&client, "PutObject", "quota").await;
        client.put("/bkt/k", b"x").await.refused(403, "QuotaExceeded");
        client.put("/bkt/k", b"x").await.ok();
    });
}

#[test]
fn a_reset_comes_before_the_request_is_applied() {
    wire(|client| async move {
        fault(&client, "PutObject", "reset").await;
        let error = client.try_ask("PUT", "/bkt/k", &[], b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        client.get("/bkt/k").await.refused(404, "NoSuchKey");
    });
}

#[test]
fn a_lost_answer_was_applied() {
    wire(|client| async move {
        fault(&client, "PutObject", "lost-answer").await;
        let error = client.try_ask("PUT", "/bkt/k", &[], b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(client.get("/bkt/k").await.body, b"x");
    });
}

#[test]
fn a_stall_is_silence_and_applies_nothing() {
    wire(|client| async move {
        fault(&client, "PutObject", "stall").await;
        let silence = timeout(Duration::from_millis(300), client.try_ask("PUT", "/bkt/k", &[], b"x")).await;
        assert!(silence.is_err());
        client.get("/bkt/k").await.refused(404, "NoSuchKey");
    });
}

#[test]
fn stalled_uploads_free_their_places_when_their_clients_go() {
    wire(|client| async move {
        // More than the server takes connections: if these kept their places, the request after them would wait.
        let stalls = 1100;
        let stall = r#"{"faults": [{"operations": ["PutObject"], "kind": "stall"}]}"#;
        set(&client, stall).await;
        let head = client.signed_head("PUT", "/bkt/k", &[("content-length", "100000")]) + "\r\n";
        for _ in 0..stalls {
            let mut stream = client.connect().await;
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&[7; 100_000]).await.unwrap();
        }
        let answered = timeout(Duration::from_secs(5), client.get("/bkt/k")).await;
        answered.expect("there is a place for another client").refused(404, "NoSuchKey");
    });
}

#[test]
fn a_truncated_answer_ends_short() {
    wire(|client| async move {
        client.put("/bkt/k", &[7; 100_000]).await.ok();
        fault(&client, "*", "truncate").await;
        let mut stream = client.connect().await;
        let head = client.signed_head("GET", "/bkt/k", &[]) + "\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let error = read_reply(&mut stream, false).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(client.get("/bkt/k").await.body.len(), 100_000);
    });
}

#[test]
fn a_corrupt_body_differs_in_one_byte() {
    wire(|client| async move {
        let body = [7; 1000];
        client.put("/bkt/k", &body).await.ok();
        let wrong_bytes = |got: &[u8]| got.iter().filter(|byte| **byte != 7).count();
        fault(&client, "GetObject", "corrupt").await;
        // A range cannot be checked, so none is harmed.
        let ranged = client.ask("GET", "/bkt/k", &[("range", "bytes=0-99")], b"").await.ok();
        assert_eq!(wrong_bytes(&ranged.body), 0);
        let got = client.get("/bkt/k").await.ok();
        assert_eq!((got.body.len(), wrong_bytes(&got.body)), (1000, 1));
        assert_eq!(wrong_bytes(&client.get("/bkt/k").await.body), 0);

        fault(&client, "PutObject", "corrupt").await;
        let put = client.put("/bkt/k", &body).await.ok();
        let stored = client.get("/bkt/k").await.ok();
        assert_eq!(wrong_bytes(&stored.body), 1);
        for name in ["etag", "x-oss-hash-crc64ecma"] {
            assert_eq!(put.header(name), stored.header(name), "the answer is of what was stored");
        }
        fault(&client, "PutObject", "corrupt").await;
        let md5 =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, <md5::Md5 as md5::Digest>::digest(body));
        client.ask("PUT", "/bkt/k", &[("content-md5", &md5)], &body).await.refused(400, "InvalidDigest");
    });
}

#[test]
fn latency_and_bandwidth_take_their_time() {
    wire(|client| async move {
        let body = vec![7; 200_000];
        client.put("/bkt/k", &body).await.ok();
        let took = async |method: &str, body: &[u8]| {
            let started = Instant::now();
            client.ask(method, "/bkt/k", &[], body).await.ok();
            started.elapsed()
        };
        set(&client, r#"{"latency_ms": 100}"#).await;
        let latency = took("HEAD", b"").await;
        assert!((100..180).contains(&latency.as_millis()), "{latency:?}");
        set(&client, r#"{"bandwidth": 1000000}"#).await;
        for (method, body) in [("GET", &b""[..]), ("PUT", &body)] {
            let took = took(method, body).await;
            assert!((195..350).contains(&took.as_millis()), "{method} {took:?}");
        }
    });
}

#[test]
fn too_many_requests_a_second_are_throttled() {
    wire(|client| async move {
        set(&client, r#"{"requests_per_second": 2}"#).await;
        let mut statuses = Vec::new();
        for _ in 0..6 {
            statuses.push(client.get("/bkt?acl").await.status);
        }
        assert_eq!(&statuses[..2], &[200, 200]);
        assert!(statuses.contains(&503), "{statuses:?}");
        set(&client, "{}").await;
        client.get("/bkt?acl").await.ok();
    });
}
