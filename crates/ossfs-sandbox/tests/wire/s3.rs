//! The same buckets by way of S3's face: what one face stores the other reads, and both are counted and harmed alike.

use crate::client::{Client, Reply, with_sandbox};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const STREAMING: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

fn wire<F: Future<Output = ()>>(test: impl FnOnce(Client) -> F) {
    with_sandbox(|_| {}, test);
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text.as_bytes()).finalize().into_bytes().to_vec()
}

/// A request that AWS's way of signing signs: its head, its time and scope, the key, and the signature.
struct Signed {
    head: String,
    place: String,
    key: Vec<u8>,
    signature: String,
}

fn sign(client: &Client, method: &str, target: &str, payload: &str, headers: &[(&str, &str)]) -> Signed {
    use ossfs_types::Clock;
    let now = client.clock.now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let host = client.addr.to_string();
    let mut all = headers.to_vec();
    all.extend([("host", host.as_str()), ("x-amz-content-sha256", payload), ("x-amz-date", &now)]);
    all.sort_unstable();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut pairs: Vec<String> = query.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
    for pair in pairs.iter_mut().filter(|pair| !pair.contains('=')) {
        pair.push('=');
    }
    pairs.sort_unstable();
    let lines: String = all.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let names = all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let canonical = format!("{method}\n{path}\n{}\n{lines}\n{names}\n{payload}", pairs.join("&"));
    let scope = format!("{}/us-east-1/s3/aws4_request", &now[..8]);
    let place = format!("{now}\n{scope}");
    let key = scope.split('/').fold(b"AWS4sandbox-secret".to_vec(), |key, step| hmac(&key, step));
    let hash = hex::encode(Sha256::digest(canonical));
    let signature = hex::encode(hmac(&key, &format!("AWS4-HMAC-SHA256\n{place}\n{hash}")));
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    head += &format!(
        "authorization: AWS4-HMAC-SHA256 Credential=sandbox/{scope}, SignedHeaders={names}, Signature={signature}\r\n"
    );
    for (name, value) in all {
        head += &format!("{name}: {value}\r\n");
    }
    Signed { head, place, key, signature }
}

async fn ask(client: &Client, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let hash = hex::encode(Sha256::digest(body));
    send(client, sign(client, method, target, &hash, headers), body, method == "HEAD").await
}

async fn send(client: &Client, signed: Signed, body: &[u8], is_head: bool) -> Reply {
    let mut bytes = format!("{}content-length: {}\r\n\r\n", signed.head, body.len()).into_bytes();
    bytes.extend_from_slice(body);
    client.raw(&bytes, is_head).await.unwrap()
}

#[track_caller]
fn refused(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status, reply.element("Code").as_str()), (status, code), "{}", reply.text());
    assert_eq!(reply.element("RequestId"), reply.header("x-amz-request-id"));
    assert!(reply.headers.keys().all(|name| !name.starts_with("x-oss-")), "{:?}", reply.headers);
}

#[test]
fn both_faces_show_the_same_objects() {
    wire(|client| async move {
        let meta = [("content-type", "text/plain"), ("x-amz-meta-mode", "33188")];
        let put = ask(&client, "PUT", "/bkt/a%20b", &meta, b"0123456789").await.ok();
        let head = client.ask("HEAD", "/bkt/a%20b", &[], b"").await.ok();
        assert_eq!((head.header("etag"), head.header("x-oss-meta-mode")), (put.header("etag"), "33188"));
        assert_eq!(head.header("content-type"), "text/plain");
        client.ask("PUT", "/bkt/c", &[("x-oss-meta-uid", "7")], b"xyz").await.ok();
        let got = ask(&client, "GET", "/bkt/c", &[], b"").await.ok();
        assert_eq!((got.body.as_slice(), got.header("x-amz-meta-uid")), (&b"xyz"[..], "7"));
        assert!(got.headers.keys().all(|name| !name.starts_with("x-oss-")), "{:?}", got.headers);
        let list = ask(&client, "GET", "/bkt/?list-type=2&encoding-type=url", &[], b"").await.ok().text();
        assert!(list.contains("xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bkt</Name>"), "{list}");
        assert!(list.contains("<Key>a%20b</Key>") && list.contains("<StorageClass>STANDARD</StorageClass>"), "{list}");
        assert!(list.contains("<MaxKeys>1000</MaxKeys>") && list.contains("<KeyCount>2</KeyCount>"), "{list}");
        let copy = [("x-amz-copy-source", "/bkt/a%20b")];
        ask(&client, "PUT", "/bkt/d", &copy, b"").await.ok();
        assert_eq!(client.get("/bkt/d").await.body, b"0123456789");
        ask(&client, "DELETE", "/bkt/d", &[], b"").await.ok();
        client.get("/bkt/d").await.refused(404, "NoSuchKey");
    });
}

#[test]
fn ranges_and_conditions_are_those_of_http() {
    wire(|client| async move {
        let put = client.put("/bkt/k", b"0123456789").await.ok();
        let part = ask(&client, "GET", "/bkt/k", &[("range", "bytes=4-99")], b"").await;
        assert_eq!((part.status, part.header("content-range")), (206, "bytes 4-9/10"));
        assert_eq!(part.body, b"456789");
        refused(&ask(&client, "GET", "/bkt/k", &[("range", "bytes=10-")], b"").await, 416, "InvalidRange");
        let etag = put.header("etag").to_owned();
        let same = ask(&client, "GET", "/bkt/k", &[("if-none-match", &etag)], b"").await;
        assert_eq!((same.status, same.header("etag")), (304, etag.as_str()));
        let other = ask(&client, "GET", "/bkt/k", &[("if-match", "\"0\"")], b"").await;
        refused(&other, 412, "PreconditionFailed");
        let taken = ask(&client, "PUT", "/bkt/k", &[("if-none-match", "*")], b"x").await;
        refused(&taken, 412, "PreconditionFailed");
        ask(&client, "PUT", "/bkt/free", &[("if-none-match", "*")], b"x").await.ok();
    });
}

#[test]
fn errors_are_s3s() {
    wire(|client| async move {
        let missing = ask(&client, "GET", "/bkt/none", &[], b"").await;
        refused(&missing, 404, "NoSuchKey");
        assert_eq!(missing.element("Resource"), "/bkt/none");
        refused(&ask(&client, "GET", "/nobody/k", &[], b"").await, 404, "NoSuchBucket");
        refused(&ask(&client, "GET", "/bkt?policy", &[], b"").await, 501, "NotImplemented");
        refused(&ask(&client, "GET", "/bkt?versions", &[], b"").await, 501, "NotImplemented");
        let versioning = ask(&client, "GET", "/bkt?versioning", &[], b"").await.ok().text();
        assert!(versioning.contains("<VersioningConfiguration xmlns"), "{versioning}");
        let head = ask(&client, "HEAD", "/bkt/none", &[], b"").await;
        assert_eq!((head.status, head.body.len()), (404, 0));
        let bucket = ask(&client, "HEAD", "/bkt", &[], b"").await.ok();
        assert_eq!(bucket.header("x-amz-bucket-region"), "cn-hangzhou");

        let mut changed = sign(&client, "GET", "/bkt/k", UNSIGNED, &[]);
        changed.head = changed.head.replace("/bkt/k", "/bkt/other");
        refused(&send(&client, changed, b"", false).await, 403, "SignatureDoesNotMatch");
        let wrong = send(&client, sign(&client, "PUT", "/bkt/k", &"0".repeat(64), &[]), b"body", false).await;
        refused(&wrong, 400, "XAmzContentSHA256Mismatch");
        let checksum = ask(&client, "PUT", "/bkt/k", &[("x-amz-checksum-crc32", "AAAAAA==")], b"body").await;
        refused(&checksum, 400, "BadDigest");
        client.get("/bkt/k").await.refused(404, "NoSuchKey");
        let anonymous = b"GET /bkt/k HTTP/1.1\r\nhost: a\r\nx-amz-date: 1\r\ncontent-length: 0\r\n\r\n";
        refused(&client.raw(anonymous, false).await.unwrap(), 403, "AccessDenied");
        let old = b"GET /bkt/k HTTP/1.1\r\nhost: a\r\nauthorization: AWS a:b\r\ncontent-length: 0\r\n\r\n";
        refused(&client.raw(old, false).await.unwrap(), 400, "InvalidRequest");
    });
}

/// A body in signed chunks.
fn chunked(signed: &Signed, pieces: &[&[u8]]) -> Vec<u8> {
    let (mut body, mut last) = (Vec::new(), signed.signature.clone());
    for piece in pieces.iter().copied().chain([&b""[..]]) {
        let hashes = format!("{}\n{}", hex::encode(Sha256::digest(b"")), hex::encode(Sha256::digest(piece)));
        let text = format!("AWS4-HMAC-SHA256-PAYLOAD\n{}\n{last}\n{hashes}", signed.place);
        last = hex::encode(hmac(&signed.key, &text));
        body.extend_from_slice(format!("{:x};chunk-signature={last}\r\n", piece.len()).as_bytes());
        body.extend_from_slice(piece);
        body.extend_from_slice(b"\r\n");
    }
    body
}

#[test]
fn chunks_are_taken_apart_and_verified() {
    wire(|client| async move {
        let (one, two) = (vec![1; 200_000], vec![2; 70_000]);
        let headers = [("content-encoding", "aws-chunked"), ("x-amz-decoded-content-length", "270000")];
        let signed = sign(&client, "PUT", "/bkt/k", STREAMING, &headers);
        let body = chunked(&signed, &[&one, &two]);
        send(&client, signed, &body, false).await.ok();
        let got = client.get("/bkt/k").await;
        assert_eq!((got.body, got.headers.get("content-encoding")), ([one.clone(), two.clone()].concat(), None));

        let signed = sign(&client, "PUT", "/bkt/bad", STREAMING, &headers);
        let mut body = chunked(&signed, &[&one, &two]);
        body[250_000] ^= 1;
        refused(&send(&client, signed, &body, false).await, 403, "SignatureDoesNotMatch");
        let signed = sign(&client, "PUT", "/bkt/bad", STREAMING, &headers);
        let body = chunked(&signed, &[&one]);
        refused(&send(&client, signed, &body, false).await, 400, "IncompleteBody");
        let signed = sign(&client, "PUT", "/bkt/bad", STREAMING, &headers);
        refused(&send(&client, signed, b"not in chunks\r\n", false).await, 400, "InvalidRequest");
        client.get("/bkt/bad").await.refused(404, "NoSuchKey");
    });
}

#[test]
fn batches_and_uploads_go_their_way() {
    wire(|client| async move {
        let started = ask(&client, "POST", "/bkt/big?uploads", &[], b"").await.ok();
        let id = started.element("UploadId");
        client.put("/bkt/source", &vec![7; 150_000]).await.ok();
        let part =
            ask(&client, "PUT", &format!("/bkt/big?partNumber=1&uploadId={id}"), &[], &vec![1; 150_000]).await.ok();
        let copy = [("x-amz-copy-source", "/bkt/source"), ("x-amz-copy-source-range", "bytes=0-99")];
        let copied = ask(&client, "PUT", &format!("/bkt/big?partNumber=2&uploadId={id}"), &copy, b"").await.ok();
        let etags = [part.header("etag").to_owned(), copied.element("ETag").replace("&quot;", "\"")];
        let part = |(at, etag): (usize, &String)| {
            format!("<Part><PartNumber>{}</PartNumber><ETag>{etag}</ETag></Part>", at + 1)
        };
        let parts: String = etags.iter().enumerate().map(part).collect();
        let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let done = ask(&client, "POST", &format!("/bkt/big?uploadId={id}"), &[], document.as_bytes()).await.ok();
        assert!(done.text().contains("<CompleteMultipartUploadResult xmlns="), "{}", done.text());
        assert_eq!(client.get("/bkt/big").await.body, [vec![1; 150_000], vec![7; 100]].concat());

        let document = b"<Delete><Quiet>true</Quiet><Object><Key>big</Key></Object></Delete>";
        let deleted = ask(&client, "POST", "/bkt?delete", &[], document).await.ok();
        assert!(deleted.text().contains("<DeleteResult xmlns="), "{}", deleted.text());
        client.get("/bkt/big").await.refused(404, "NoSuchKey");
        let unverified = send(&client, sign(&client, "POST", "/bkt?delete", UNSIGNED, &[]), document, false).await;
        refused(&unverified, 400, "InvalidRequest");
        let stats = client.raw(b"GET /-/stats HTTP/1.1\r\nhost: a\r\n\r\n", false).await.unwrap().text();
        for count in ["\"InitiateMultipartUpload\":1", "\"UploadPartCopy\":1", "\"DeleteMultipleObjects\":2"] {
            assert!(stats.contains(count), "{stats}");
        }
    });
}

#[test]
fn faults_meet_both_faces_alike() {
    wire(|client| async move {
        let weather = |fault: &str| {
            let document = format!("{{\"faults\": [{{\"operations\": [\"PutObject\"], \"kind\": \"{fault}\"}}]}}");
            let head = "PUT /-/conditions HTTP/1.1\r\nhost: a\r\ncontent-length: ";
            format!("{head}{}\r\n\r\n{document}", document.len())
        };
        client.raw(weather("corrupt").as_bytes(), false).await.unwrap().ok();
        refused(&ask(&client, "PUT", "/bkt/k", &[], b"body").await, 400, "XAmzContentSHA256Mismatch");
        send(&client, sign(&client, "PUT", "/bkt/k", UNSIGNED, &[]), b"body", false).await.ok();
        assert_ne!(client.get("/bkt/k").await.body, b"body");
        client.raw(weather("error-503").as_bytes(), false).await.unwrap().ok();
        refused(&ask(&client, "PUT", "/bkt/k", &[], b"body").await, 503, "ServiceUnavailable");
    });
}
