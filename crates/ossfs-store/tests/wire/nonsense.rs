//! A server that answers nonsense gives a clear error: never a panic, never wrong bytes, never a hang.

use crate::scripted::{Reply, Server, answer, error, key, object, pool};
use ossfs_store::{CopyOptions, CopySource, Fetched, GetOptions, Kind, ListRequest, ObjectStore, PutOptions, Result};
use ossfs_types::{ByteRange, Crc64, ETag, Prefix};
use std::time::{Duration, Instant};

const HTML: &str = "<html><head><title>Sign in</title></head><body>Welcome</body></html>";

async fn read(server: &Server, options: &GetOptions) -> Result<Fetched> {
    server.store().await.read(&key("k"), options, &pool()).await
}

fn ranged(start: u64, end: u64) -> GetOptions {
    GetOptions { range: ByteRange::new(start, end), ..GetOptions::default() }
}

/// What a read of the answer ends as, and what it says.
async fn read_of(reply: Vec<u8>, options: &GetOptions) -> (Kind, String) {
    let server = Server::start(move |_, _| Reply::SendAndClose(reply.clone()));
    let error = read(&server, options).await.expect_err("nothing to believe");
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn a_page_of_a_portal_is_no_object() {
    let page = format!("HTTP/1.1 200 OK\r\netag: \"E1\"\r\ncontent-length: {}\r\n\r\n{HTML}", HTML.len());
    let (kind, message) = read_of(page.into_bytes(), &GetOptions::default()).await;
    assert_eq!(kind, Kind::Corrupt);
    assert!(message.contains("not OSS") && message.contains("check the endpoint"), "{message}");
}

#[tokio::test]
async fn a_gateway_that_is_down_is_asked_again() {
    let bad_gateway = format!("HTTP/1.1 502 Bad Gateway\r\ncontent-length: {}\r\n\r\n{HTML}", HTML.len());
    let server = Server::start(move |number, _| match number {
        0 | 1 => Reply::Send(bad_gateway.clone().into_bytes()),
        _ => Reply::Send(object(200, &[], "fine")),
    });
    assert_eq!(read(&server, &GetOptions::default()).await.unwrap().bytes, "fine");
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let reply = answer(302, &[("location", "http://elsewhere/")], "");
    let (kind, message) = read_of(reply, &GetOptions::default()).await;
    assert_eq!(kind, Kind::Invalid);
    assert!(message.contains("redirected to http://elsewhere/: check the endpoint"), "{message}");
}

#[tokio::test]
async fn what_is_no_http_is_an_error() {
    for reply in [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01", b"HTTP/1.1 999999 X\r\n\r\n"] {
        let (kind, message) = read_of(reply.to_vec(), &GetOptions::default()).await;
        assert_eq!(kind, Kind::Unavailable, "{message}");
    }
}

#[tokio::test]
async fn headers_without_end_are_an_error() {
    let server = Server::start(|_, _| Reply::Forever(vec![b'a'; 100_000], Duration::from_millis(1)));
    let error = read(&server, &GetOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}

#[tokio::test]
async fn interim_answers_are_passed_over_but_not_for_ever() {
    let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".to_vec();
    let reply = [interim, object(200, &[], "fine")].concat();
    let server = Server::start(move |_, _| Reply::Send(reply.clone()));
    assert_eq!(read(&server, &GetOptions::default()).await.unwrap().bytes, "fine");

    let endless = Server::start(|_, _| Reply::Forever(b"HTTP/1.1 100 X\r\n\r\n".to_vec(), Duration::from_millis(20)));
    let begun = Instant::now();
    assert_eq!(read(&endless, &GetOptions::default()).await.unwrap_err().kind(), Kind::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn lengths_that_lie_give_no_bytes() {
    let short = object(200, &[("content-length", "10")], "12345");
    let (kind, message) = read_of(short, &GetOptions::default()).await;
    assert!(matches!(kind, Kind::Unavailable | Kind::Corrupt), "{message}");
    let none = object(200, &[("transfer-encoding", "chunked")], "5\r\n12345\r\n0\r\n\r\n");
    assert_eq!(read_of(none, &GetOptions::default()).await.0, Kind::Corrupt);
    let negative = object(200, &[("content-length", "-5")], "12345");
    let (kind, message) = read_of(negative, &GetOptions::default()).await;
    assert_eq!(kind, Kind::Unavailable, "{message}");
}

#[tokio::test]
async fn ranges_that_lie_give_no_bytes() {
    let lies: [(u16, &str, &str); 7] = [
        (200, "", "0123456789"),
        (206, "", "2345"),
        (206, "bytes 0-3/10", "0123"),
        (206, "bytes 2-5/10", "234"),
        (206, "bytes 2-4/10", "234"),
        (206, "bytes 2-9/10", "23456789"),
        (206, "bytes 5-2/10", "2345"),
    ];
    for (status, content_range, body) in lies {
        let header = [("content-range", content_range)];
        let more = if content_range.is_empty() { &[][..] } else { &header[..] };
        let (kind, message) = read_of(object(status, more, body), &ranged(2, 6)).await;
        assert_eq!(kind, Kind::Corrupt, "{status} {content_range}: {message}");
    }
}

#[tokio::test]
async fn a_version_that_was_not_asked_for_is_refused() {
    let pinned = GetOptions { if_match: ETag::parse("E0"), ..GetOptions::default() };
    let (kind, message) = read_of(object(200, &[], "other"), &pinned).await;
    assert_eq!(kind, Kind::Corrupt);
    assert!(message.contains("version E1"), "{message}");
}

#[tokio::test]
async fn a_read_goes_on_where_it_broke_off_with_the_same_version() {
    let server = Server::start(|number, asked| match number {
        0 => Reply::SendAndClose(object(200, &[("content-length", "10")], "01234")),
        _ => {
            assert_eq!(asked.header("if-match"), Some("\"E1\""));
            assert_eq!(asked.header("range"), Some("bytes=5-9"));
            assert_eq!(asked.header("x-oss-range-behavior"), Some("standard"));
            Reply::Send(object(206, &[("content-range", "bytes 5-9/10")], "56789"))
        }
    });
    assert_eq!(read(&server, &GetOptions::default()).await.unwrap().bytes, "0123456789");

    let changed = Server::start(|number, _| match number {
        0 => Reply::SendAndClose(object(200, &[("content-length", "10")], "01234")),
        _ => Reply::Send(error(412, "PreconditionFailed")),
    });
    assert_eq!(read(&changed, &GetOptions::default()).await.unwrap_err().kind(), Kind::Precondition);

    let mixed = Server::start(|number, _| match number {
        0 => Reply::SendAndClose(object(200, &[("content-length", "10")], "01234")),
        _ => {
            let other = [
                ("content-range", "bytes 5-9/10"),
                ("etag", "\"E2\""),
                ("last-modified", crate::scripted::OBJECT[1].1),
            ];
            Reply::Send(answer(206, &other, "56789"))
        }
    });
    assert_eq!(read(&mixed, &GetOptions::default()).await.unwrap_err().kind(), Kind::Corrupt);
}

#[tokio::test]
async fn a_wrong_checksum_is_fetched_anew_and_then_refused() {
    let crc64 = Crc64::of(b"right").to_string();
    let right = crc64.clone();
    let server = Server::start(move |number, _| {
        let body = if number == 0 { "wrong" } else { "right" };
        Reply::Send(object(200, &[("x-oss-hash-crc64ecma", &right)], body))
    });
    assert_eq!(read(&server, &GetOptions::default()).await.unwrap().bytes, "right");
    assert_eq!(server.asked().len(), 2);
    let (kind, message) =
        read_of(object(200, &[("x-oss-hash-crc64ecma", &crc64)], "wrong"), &GetOptions::default()).await;
    assert_eq!(kind, Kind::Corrupt);
    assert!(message.contains("checksum"), "{message}");
}

#[tokio::test]
async fn objects_without_what_they_must_have_are_refused() {
    let without_etag = answer(200, &[("last-modified", crate::scripted::OBJECT[1].1)], "x");
    assert_eq!(read_of(without_etag, &GetOptions::default()).await.0, Kind::Corrupt);
    let without_date = answer(200, &[("etag", "E")], "x");
    assert_eq!(read_of(without_date, &GetOptions::default()).await.0, Kind::Corrupt);
}

async fn list_of(body: &'static str) -> (Kind, String) {
    let server = Server::start(move |_, _| Reply::Send(answer(200, &[], body)));
    let request = ListRequest { continuation: Some("here".into()), ..ListRequest::all(Prefix::parse("p/").unwrap()) };
    let error = server.store().await.list(&request).await.expect_err("nothing to believe");
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn listings_that_make_no_sense_are_refused() {
    let entry = |key: &str| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2020-01-01T00:00:00.000Z</LastModified><ETag>E</ETag>\
             <Size>1</Size></Contents>"
        )
    };
    let list = |inner: &str| -> &'static str {
        format!("<ListBucketResult><IsTruncated>false</IsTruncated>{inner}</ListBucketResult>").leak()
    };
    for body in [
        HTML,
        "",
        "<ListBucketResult/>",
        "<ListBucketResult><IsTruncated>perhaps</IsTruncated></ListBucketResult>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>here</NextContinuationToken></ListBucketResult>",
        list(&entry("q/outside")),
        list(&entry("")),
        list(&entry("p/x").replace("<Size>1</Size>", "<Size>-1</Size>")),
        list(&entry("p/x").replace("<Size>1</Size>", "")),
        list(&entry("p/x").replace("2020-01-01", "yesterday")),
        list("<CommonPrefixes><Prefix>/</Prefix></CommonPrefixes>"),
        list("<EncodingType>url</EncodingType><CommonPrefixes><Prefix>p/%FF/</Prefix></CommonPrefixes>"),
    ] {
        let (kind, message) = list_of(body).await;
        assert_eq!(kind, Kind::Corrupt, "{body}: {message}");
    }
}

#[tokio::test]
async fn a_mutation_with_a_senseless_answer_is_unknown() {
    let server = Server::start(|_, asked| match asked.method() {
        "HEAD" => Reply::Send(answer(404, &[], "")),
        _ => Reply::Send(answer(200, &[], HTML)),
    });
    let source = CopySource { key: key("a"), if_match: None };
    let error = server.store().await.copy(&source, &key("b"), &CopyOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unknown, "{error}");
    assert_eq!(server.methods().iter().filter(|method| *method == "PUT").count(), 1, "it is not repeated");
}

#[tokio::test]
async fn silence_ends() {
    let silent = Server::start(|_, _| Reply::Silence);
    let begun = Instant::now();
    let error = read(&silent, &GetOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("no answer within"), "{error}");
    let error = silent.store().await.put(&key("k"), "x".into(), &PutOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unknown);
    assert!(begun.elapsed() < Duration::from_secs(10));

    let stalling = Server::start(|_, asked| {
        let more = match asked.header("range") {
            None => [("content-length", "1000"), ("x-oss-meta-a", "")],
            Some(_) => [("content-length", "999"), ("content-range", "bytes 1-999/1000")],
        };
        let body = if asked.header("range").is_some() { "" } else { "x" };
        Reply::Forever(object(if body.is_empty() { 206 } else { 200 }, &more, body), Duration::from_secs(3600))
    });
    let error = read(&stalling, &GetOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("stalls"), "{error}");
    assert_eq!(stalling.asked().len(), 3);
}

#[tokio::test]
async fn a_server_that_drips_is_given_up() {
    let server = Server::start(|number, _| {
        let head = if number == 0 { object(200, &[("content-length", "1000")], "") } else { Vec::new() };
        Reply::Forever([head, vec![b'x']].concat(), Duration::from_millis(100))
    });
    let begun = Instant::now();
    assert!(read(&server, &GetOptions::default()).await.is_err());
    assert!(begun.elapsed() < Duration::from_secs(10));
}
