//! Malformed, oversized and lying requests: refused or cut off, and the sandbox serves on.

use crate::client::{Client, read_reply, with_sandbox};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

fn wire<F: Future<Output = ()>>(test: impl FnOnce(Client) -> F) {
    with_sandbox(
        |_| {},
        |client| async move {
            test(client.clone()).await;
            // Whatever it was, the next client is served.
            client.put("/bkt/after", b"fine").await.ok();
            assert_eq!(client.get("/bkt/after").await.body, b"fine");
        },
    );
}

/// Sends bytes, and tells how the sandbox reacts: the status it answers, or `None` for a connection that it closed.
async fn status_of(client: &Client, bytes: &[u8]) -> Option<u16> {
    let mut stream = client.connect().await;
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    read_reply(&mut stream, false).await.ok().map(|reply| reply.status)
}

#[test]
fn what_is_not_http_is_cut_off() {
    wire(|client| async move {
        for bytes in [
            &b"\0\0\0\0\0\0\0\0\r\n\r\n"[..],
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET /bkt/k HTTP/1.1\r\ncontent-length: x\r\n\r\n",
            b"GET /bkt/k HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            b"GET \xff\xfe HTTP/1.1\r\nhost: a\r\n\r\n",
            b"PUT /bkt/k HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
        ] {
            let status = status_of(&client, bytes).await;
            assert!(status.is_none_or(|status| (400..600).contains(&status)), "{status:?} {bytes:?}");
        }
    });
}

#[test]
fn heads_have_a_size() {
    wire(|client| async move {
        let large = format!("GET /bkt HTTP/1.1\r\nhost: a\r\nx-a: {}\r\n\r\n", "a".repeat(1 << 20));
        let status = status_of(&client, large.as_bytes()).await;
        assert!(matches!(status, None | Some(400 | 431)), "{status:?}");
        let many = format!("GET /bkt HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(2000));
        let status = status_of(&client, many.as_bytes()).await;
        assert!(matches!(status, None | Some(400 | 431)), "{status:?}");
        let uri = format!("GET /bkt/{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(200_000));
        let status = status_of(&client, uri.as_bytes()).await;
        assert!(matches!(status, None | Some(400 | 414 | 431)), "{status:?}");
    });
}

#[test]
fn bad_percent_encoding_is_oss_s_error() {
    wire(|client| async move {
        for target in ["/bkt/%", "/bkt/%zz", "/bkt/%f", "/bkt?prefix=%zz"] {
            let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
            client.raw(request.as_bytes(), false).await.unwrap().refused(400, "InvalidURI");
        }
        let request = b"GET /bkt/%ff HTTP/1.1\r\nhost: localhost\r\n\r\n";
        client.raw(request, false).await.unwrap().refused(400, "InvalidObjectName");
        for target in ["/BKT/k", "/b/k", "/a_b/k"] {
            client.get(target).await.refused(400, "InvalidBucketName");
        }
    });
}

#[test]
fn bodies_that_end_early_leave_the_old_object() {
    wire(|client| async move {
        client.put("/bkt/k", b"old").await.ok();
        let short = client.signed_head("PUT", "/bkt/k", &[]) + "content-length: 100\r\n\r\nonly this";
        assert_eq!(status_of(&client, short.as_bytes()).await.filter(|status| *status < 400), None);
        for chunks in [
            "5\r\nhello\r\n",
            "zz\r\nhello\r\n0\r\n\r\n",
            "-1\r\n\r\n",
            "ffffffffffffffffff\r\nx",
            "5\r\nhelloX\r\n0\r\n\r\n",
        ] {
            let chunked = client.signed_head("PUT", "/bkt/k", &[]) + "transfer-encoding: chunked\r\n\r\n" + chunks;
            let status = status_of(&client, chunked.as_bytes()).await;
            assert_eq!(status.filter(|status| *status < 400), None, "{chunks:?}");
        }
        assert_eq!(client.get("/bkt/k").await.body, b"old");
        let chunked =
            client.signed_head("PUT", "/bkt/k", &[]) + "transfer-encoding: chunked\r\n\r\n3\r\nnew\r\n0\r\n\r\n";
        client.raw(chunked.as_bytes(), false).await.unwrap().ok();
        assert_eq!(client.get("/bkt/k").await.body, b"new");
        let nothing = client.signed_head("PUT", "/bkt/k", &[]) + "\r\n";
        client.raw(nothing.as_bytes(), false).await.unwrap().refused(411, "MissingContentLength");
    });
}

#[test]
fn endless_bodies_meet_the_memory_limit() {
    with_sandbox(
        |config| config.memory_limit = 8 << 20,
        |client| async move {
            client.put("/bkt/before", &[1; 1 << 20]).await.ok();
            let mut stream = client.connect().await;
            let head = client.signed_head("PUT", "/bkt/k", &[]) + "transfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            let (mut reading, mut writing) = stream.into_split();
            let endless = tokio::spawn(async move {
                let chunk = [b"10000\r\n".as_slice(), &[7; 0x10000], b"\r\n"].concat();
                let mut sent = 0;
                while sent < (1 << 30) && writing.write_all(&chunk).await.is_ok() {
                    sent += chunk.len();
                }
                sent
            });
            let mut answer = Vec::new();
            let _ = timeout(Duration::from_secs(10), reading.read_to_end(&mut answer)).await;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert!(answer.starts_with("HTTP/1.1 507") && answer.contains("--memory-limit"), "{answer}");
            assert!(endless.await.unwrap() < 256 << 20);
            // What the refused body took is free again, and earlier objects are whole.
            client.put("/bkt/k", &[2; 4 << 20]).await.ok();
            assert_eq!(client.get("/bkt/before").await.body, [1; 1 << 20]);
            client.put("/bkt/too-much", &[2; 4 << 20]).await.refused(507, "InsufficientStorage");
            client.ask("DELETE", "/bkt/k", &[], b"").await.ok();
            client.put("/bkt/fits", &[2; 4 << 20]).await.ok();
        },
    );
}

#[test]
fn documents_are_small_and_plain() {
    wire(|client| async move {
        let complete = async |document: &[u8]| {
            let id = client.ask("POST", "/bkt/k?uploads", &[], b"").await.ok().element("UploadId");
            client.ask("POST", &format!("/bkt/k?uploadId={id}"), &[], document).await
        };
        let deep = "<CompleteMultipartUpload>".repeat(100_000);
        let bomb = "<!DOCTYPE a [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>\
            <CompleteMultipartUpload><Part><PartNumber>&b;</PartNumber></Part></CompleteMultipartUpload>";
        let large = format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", " ".repeat(9 << 20));
        for document in [deep.as_str(), bomb, &large, "<", "\0", "<CompleteMultipartUpload/>"] {
            complete(document.as_bytes()).await.refused(400, "MalformedXML");
        }
    });
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    wire(|client| async move {
        // The body is never wanted: there is no such bucket.
        client.put("/nobody/k", &vec![0; 32 << 20]).await.refused(404, "NoSuchBucket");
        client.put("/nobody/k", &vec![0; 1 << 20]).await.refused(404, "NoSuchBucket");
        let expects = client.signed_head("PUT", "/nobody/k", &[]) + "expect: 100-continue\r\ncontent-length: 9\r\n\r\n";
        client.raw(expects.as_bytes(), false).await.unwrap().refused(404, "NoSuchBucket");
        let too_large = client.signed_head("PUT", "/bkt/k", &[]) + "content-length: 5368709121\r\n\r\n";
        client.raw(too_large.as_bytes(), false).await.unwrap().refused(400, "EntityTooLarge");
    });
}

#[test]
fn pipelined_requests_are_answered_in_order_and_nonsense_ends_it() {
    wire(|client| async move {
        client.put("/bkt/k", b"x").await.ok();
        let get = client.signed_head("GET", "/bkt/k", &[]) + "\r\n";
        let mut stream = client.connect().await;
        stream.write_all((get.repeat(3) + "NONSENSE\r\n\r\n").as_bytes()).await.unwrap();
        for _ in 0..3 {
            assert_eq!(read_reply(&mut stream, false).await.unwrap().body, b"x");
        }
        let mut rest = Vec::new();
        timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&rest));
    });
}

#[test]
fn lying_about_authorization_is_refused() {
    wire(|client| async move {
        let long = "a".repeat(5000);
        for value in ["", "OSS", "OSS nobody", "OSS :", "OSS4-HMAC-SHA256", "Bearer x", "\x7f", &long] {
            let request = format!("GET /bkt/k HTTP/1.1\r\nhost: localhost\r\nauthorization: {value}\r\n\r\n");
            let reply = client.raw(request.as_bytes(), false).await.unwrap();
            assert!(matches!(reply.status, 400 | 403), "{value}");
            assert!(reply.text().contains("<Error>"), "{value}");
        }
    });
}
