//! Objects: put, get, list, copy, append, link, delete.

use crate::client::{Client, with_sandbox};
use base64::Engine;
use md5::{Digest, Md5};

fn wire<F: Future<Output = ()>>(test: impl FnOnce(Client) -> F) {
    with_sandbox(|_| {}, test);
}

#[test]
fn an_object_comes_back_with_what_was_said_of_it() {
    wire(|client| async move {
        let headers = [("content-type", "text/x"), ("x-oss-meta-mode", "33188"), ("cache-control", "no-store")];
        let put = client.ask("PUT", "/bkt/dir/a%20b", &headers, b"hello").await.ok();
        assert_eq!(put.header("etag"), "\"5D41402ABC4B2A76B9719D911017C592\"");
        assert_eq!(put.header("x-oss-hash-crc64ecma"), "11177612005948864433");
        let got = client.get("/bkt/dir/a%20b").await.ok();
        assert_eq!(got.body, b"hello");
        for (name, value) in [
            ("content-type", "text/x"),
            ("x-oss-meta-mode", "33188"),
            ("cache-control", "no-store"),
            ("accept-ranges", "bytes"),
            ("server", "AliyunOSS"),
            ("x-oss-object-type", "Normal"),
            ("x-oss-storage-class", "Standard"),
            ("etag", put.header("etag")),
            ("x-oss-hash-crc64ecma", put.header("x-oss-hash-crc64ecma")),
        ] {
            assert_eq!(got.header(name), value, "{name}");
        }
        assert_eq!(got.header("x-oss-request-id").len(), 24);
        let head = client.ask("HEAD", "/bkt/dir/a%20b", &[], b"").await.ok();
        assert_eq!((head.header("content-length"), head.header("etag")), ("5", put.header("etag")));
        let meta = client.ask("HEAD", "/bkt/dir/a%20b?objectMeta", &[], b"").await.ok();
        assert_eq!((meta.header("content-length"), meta.header("x-oss-meta-mode")), ("5", ""));
        let other = client.get("/bkt/dir/a%20b?response-content-type=image%2Fpng").await.ok();
        assert_eq!(other.header("content-type"), "image/png");
    });
}

#[test]
fn ranges_by_default_and_by_the_standard() {
    wire(|client| async move {
        client.put("/bkt/k", b"0123456789").await.ok();
        let range = async |range, standard: bool| {
            let mut headers = vec![("range", range)];
            if standard {
                headers.push(("x-oss-range-behavior", "standard"));
            }
            let reply = client.ask("GET", "/bkt/k", &headers, b"").await;
            (reply.status, reply.header("content-range").to_owned(), reply.text())
        };
        assert_eq!(range("bytes=2-4", false).await, (206, "bytes 2-4/10".into(), "234".into()));
        assert_eq!(range("bytes=8-20", false).await, (200, String::new(), "0123456789".into()));
        assert_eq!(range("bytes=8-20", true).await, (206, "bytes 8-9/10".into(), "89".into()));
        let (status, content_range, text) = range("bytes=10-", true).await;
        assert_eq!((status, content_range.as_str()), (416, "bytes */10"));
        assert!(text.contains("<Code>InvalidRange</Code>"));
    });
}

#[test]
fn conditions_on_reads_and_none_on_writes() {
    wire(|client| async move {
        let etag = client.put("/bkt/k", b"x").await.ok().header("etag").to_owned();
        let ask = async |name, value| client.ask("GET", "/bkt/k", &[(name, value)], b"").await;
        assert_eq!(ask("if-match", &etag).await.status, 200);
        ask("if-match", "\"0\"").await.refused(412, "PreconditionFailed");
        assert_eq!(ask("if-none-match", etag.trim_matches('"')).await.status, 304);
        assert_eq!(ask("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT").await.status, 304);
        ask("if-unmodified-since", "Thu, 01 Jan 2015 00:00:00 GMT").await.refused(412, "PreconditionFailed");
        client.ask("PUT", "/bkt/k", &[("if-match", &etag)], b"y").await.refused(501, "NotImplemented");
        client.ask("PUT", "/bkt/k", &[("if-none-match", "*")], b"y").await.refused(501, "NotImplemented");
        assert_eq!(client.get("/bkt/k").await.body, b"x");
    });
}

#[test]
fn refusals_are_documents_or_on_head_a_header() {
    wire(|client| async move {
        client.get("/bkt/missing").await.refused(404, "NoSuchKey");
        client.get("/nobody/k").await.refused(404, "NoSuchBucket");
        let head = client.ask("HEAD", "/bkt/missing", &[], b"").await;
        assert_eq!((head.status, head.header("x-oss-ec")), (404, "0026-00000001"));
        let document = base64::engine::general_purpose::STANDARD.decode(head.header("x-oss-err")).unwrap();
        let document = String::from_utf8(document).unwrap();
        assert!(document.contains("<Code>NoSuchKey</Code>") && document.contains(head.header("x-oss-request-id")));
        client.put("/bkt?lifecycle", b"<x/>").await.refused(501, "NotImplemented");
        client.ask("PATCH", "/bkt/k", &[], b"").await.refused(405, "MethodNotAllowed");
        let long = format!("/bkt/{}", "k".repeat(1024));
        client.put(&long, b"").await.refused(400, "InvalidObjectName");
        client.put("/bkt/%5Ck", b"").await.refused(400, "InvalidObjectName");
        let metadata = "v".repeat(8192);
        client.ask("PUT", "/bkt/k", &[("x-oss-meta-a", &metadata)], b"").await.refused(400, "InvalidArgument");
        client
            .ask("PUT", "/bkt/k", &[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")], b"x")
            .await
            .refused(400, "InvalidDigest");
        client.get("/bkt/k").await.refused(404, "NoSuchKey");
    });
}

#[test]
fn a_clock_that_is_off_is_refused() {
    wire(|client| async move {
        let head = client.signed_head("GET", "/bkt", &[]) + "\r\n";
        client.clock.advance(16 * 60);
        let reply = client.raw(head.as_bytes(), false).await.unwrap();
        reply.refused(403, "RequestTimeTooSkewed");
        assert!(reply.element("ServerTime") > reply.element("RequestTime"));
        assert_eq!(client.get("/bkt").await.status, 200);
    });
}

#[test]
fn anonymous_callers_need_a_public_bucket() {
    wire(|client| async move {
        client.put("/bkt/k", b"x").await.ok();
        let anonymous = async |line: &str| {
            let request =
                format!("{line} HTTP/1.1\r\nhost: bkt.localhost:{}\r\ncontent-length: 0\r\n\r\n", client.addr.port());
            client.raw(request.as_bytes(), false).await.unwrap()
        };
        anonymous("GET /k").await.refused(403, "AccessDenied");
        client.ask("PUT", "/bkt?acl", &[("x-oss-acl", "public-read")], b"").await.ok();
        assert_eq!(anonymous("GET /k").await.body, b"x");
        anonymous("PUT /other").await.refused(403, "AccessDenied");
        anonymous("GET /?acl").await.refused(403, "AccessDenied");
        client.ask("PUT", "/bkt/k?acl", &[("x-oss-object-acl", "private")], b"").await.ok();
        anonymous("GET /k").await.refused(403, "AccessDenied");
        client.ask("PUT", "/bkt?acl", &[("x-oss-acl", "public-read-write")], b"").await.ok();
        anonymous("PUT /other").await.ok();
    });
}

#[test]
fn overwriting_can_be_forbidden_but_not_where_versions_are_kept() {
    wire(|client| async move {
        let forbid = [("x-oss-forbid-overwrite", "true")];
        client.ask("PUT", "/bkt/k", &forbid, b"1").await.ok();
        client.ask("PUT", "/bkt/k", &forbid, b"2").await.refused(409, "FileAlreadyExists");
        client.ask("POST", "/bkt/k?uploads", &forbid, b"").await.refused(409, "FileAlreadyExists");
        let copy = [("x-oss-forbid-overwrite", "true"), ("x-oss-copy-source", "/bkt/k")];
        client.ask("PUT", "/bkt/k", &copy, b"").await.refused(409, "FileAlreadyExists");
        let status = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
        client.put("/bkt?versioning", status).await.ok();
        client.ask("PUT", "/bkt/k", &forbid, b"2").await.ok();
        assert_eq!(client.get("/bkt/k").await.body, b"2");
        assert_eq!(client.get("/bkt?versioning").await.element("Status"), "Suspended");
    });
}

#[test]
fn appends_go_to_the_end_and_nowhere_else() {
    wire(|client| async move {
        let append = async |key: &str, position: u64, body: &[u8]| {
            client.ask("POST", &format!("/bkt/{key}?append&position={position}"), &[], body).await
        };
        let first = append("log", 0, b"12345").await.ok();
        assert_eq!(first.header("x-oss-next-append-position"), "5");
        let second = append("log", 5, b"6789").await.ok();
        assert_eq!(second.header("x-oss-hash-crc64ecma"), "11051210869376104954");
        let wrong = append("log", 3, b"x").await;
        wrong.refused(409, "PositionNotEqualToLength");
        assert_eq!(wrong.header("x-oss-next-append-position"), "9");
        assert_eq!(append("new", 1, b"x").await.header("x-oss-next-append-position"), "0");
        client.put("/bkt/normal", b"x").await.ok();
        append("normal", 1, b"x").await.refused(409, "ObjectNotAppendable");
        client
            .ask("PUT", "/bkt/copy", &[("x-oss-copy-source", "/bkt/log")], b"")
            .await
            .refused(400, "OperationNotSupported");
        let got = client.get("/bkt/log").await.ok();
        assert_eq!((got.text().as_str(), got.header("x-oss-object-type")), ("123456789", "Appendable"));
    });
}

#[test]
fn copies_keep_or_replace_metadata_and_heed_conditions() {
    wire(|client| async move {
        let put = client.ask("PUT", "/bkt/a", &[("x-oss-meta-colour", "blue")], b"body").await.ok();
        let copy = async |more: &[(&str, &str)]| {
            let mut headers = vec![("x-oss-copy-source", "/bkt/a")];
            headers.extend_from_slice(more);
            client.ask("PUT", "/bkt/b", &headers, b"").await
        };
        assert_eq!(copy(&[]).await.ok().element("ETag"), put.header("etag").replace('"', "&quot;"));
        assert_eq!(client.get("/bkt/b").await.header("x-oss-meta-colour"), "blue");
        copy(&[("x-oss-metadata-directive", "REPLACE"), ("x-oss-meta-colour", "red")]).await.ok();
        assert_eq!(client.get("/bkt/b").await.header("x-oss-meta-colour"), "red");
        copy(&[("x-oss-copy-source-if-match", "\"0\"")]).await.refused(412, "PreconditionFailed");
        assert_eq!(copy(&[("x-oss-copy-source-if-none-match", put.header("etag"))]).await.status, 304);
        let itself = [("x-oss-copy-source", "/bkt/a"), ("x-oss-metadata-directive", "REPLACE"), ("x-oss-meta-x", "1")];
        client.ask("PUT", "/bkt/a", &itself, b"").await.ok();
        let got = client.get("/bkt/a").await.ok();
        assert_eq!(
            (got.header("x-oss-meta-x"), got.header("x-oss-meta-colour"), got.text().as_str()),
            ("1", "", "body")
        );
    });
}

#[test]
fn links_are_followed_by_reads_and_described_by_meta() {
    wire(|client| async move {
        let link = async |name: &str, target| {
            let headers = [("x-oss-symlink-target", target), ("x-oss-meta-of", "link")];
            client.ask("PUT", &format!("/bkt/{name}?symlink"), &headers, b"").await.ok()
        };
        link("l", "dir%2Fa%20b").await;
        client.get("/bkt/l").await.refused(404, "SymlinkTargetNotExist");
        let put = client.put("/bkt/dir/a%20b", b"through").await.ok();
        let got = client.get("/bkt/l").await.ok();
        assert_eq!((got.text().as_str(), got.header("etag")), ("through", put.header("etag")));
        assert_eq!((got.header("x-oss-meta-of"), got.header("x-oss-object-type")), ("link", "Symlink"));
        let head = client.ask("HEAD", "/bkt/l", &[], b"").await.ok();
        assert_eq!(head.header("content-length"), "7");
        let meta = client.ask("HEAD", "/bkt/l?objectMeta", &[], b"").await.ok();
        assert_eq!(meta.header("content-length"), "0");
        assert_ne!(meta.header("etag"), put.header("etag"));
        assert_eq!(client.get("/bkt/l?symlink").await.ok().header("x-oss-symlink-target"), "dir/a%20b");
        link("m", "l").await;
        client.get("/bkt/m").await.refused(400, "InvalidTargetType");
        client.get("/bkt/dir/a%20b?symlink").await.refused(400, "NotSymlink");
    });
}

#[test]
fn archived_objects_must_be_restored() {
    wire(|client| async move {
        client.ask("PUT", "/bkt/k", &[("x-oss-storage-class", "Archive")], b"cold").await.ok();
        client.get("/bkt/k").await.refused(403, "InvalidObjectState");
        assert_eq!(client.ask("HEAD", "/bkt/k", &[], b"").await.header("x-oss-storage-class"), "Archive");
        assert_eq!(client.ask("POST", "/bkt/k?restore", &[], b"").await.status, 202);
        let got = client.get("/bkt/k").await.ok();
        assert!(got.header("x-oss-restore").starts_with("ongoing-request=\"false\""));
        assert_eq!(got.body, b"cold");
        client.clock.advance(25 * 60 * 60);
        client.get("/bkt/k").await.refused(403, "InvalidObjectState");
    });
}

#[test]
fn listings_page_and_fold() {
    wire(|client| async move {
        for key in ["a", "b%2F1", "b%2F2", "c", "d%26e"] {
            client.put(&format!("/bkt/{}", key.replace("%2F", "/")), b"x").await.ok();
        }
        let mut seen = Vec::new();
        let mut token = String::new();
        loop {
            let query = format!("/bkt?continuation-token={token}&delimiter=%2F&list-type=2&max-keys=1");
            let page = client.get(&query).await.ok();
            assert_eq!(page.element("KeyCount"), "1");
            seen.push(page.element("Key") + &page.element("CommonPrefixes"));
            token = page.element("NextContinuationToken");
            if page.element("IsTruncated") == "false" {
                break;
            }
        }
        assert_eq!(seen, ["a", "<Prefix>b/</Prefix>", "c", "d&amp;e"]);
        let encoded = client.get("/bkt?encoding-type=url&prefix=d").await.ok();
        assert_eq!(encoded.element("Key"), "d%26e");
        client.get("/bkt?max-keys=1001").await.refused(400, "InvalidArgument");
        client.get("/bkt?max-keys=0").await.refused(400, "InvalidArgument");
        client.get("/bkt?continuation-token=nonsense&list-type=2").await.refused(400, "InvalidArgument");
        assert!(client.get("/").await.ok().text().contains("<Name>bkt</Name>"));
    });
}

#[test]
fn many_are_deleted_at_once_and_a_bucket_only_when_empty() {
    wire(|client| async move {
        client.put("/bkt/a", b"x").await.ok();
        client.put("/bkt/b%3Cc", b"x").await.ok();
        client.ask("DELETE", "/bkt", &[], b"").await.refused(409, "BucketNotEmpty");
        let document = b"<Delete><Quiet>false</Quiet><Object><Key>a</Key></Object><Object><Key>b&lt;c</Key></Object>\
            <Object><Key>missing</Key></Object></Delete>";
        let md5 = base64::engine::general_purpose::STANDARD.encode(Md5::digest(document));
        client.ask("POST", "/bkt?delete", &[], document).await.refused(400, "MissingArgument");
        let reply = client.ask("POST", "/bkt?delete", &[("content-md5", &md5)], document).await.ok();
        assert_eq!(reply.text().matches("<Deleted>").count(), 3);
        assert_eq!(client.ask("DELETE", "/bkt/missing", &[], b"").await.status, 204);
        assert_eq!(client.ask("DELETE", "/bkt", &[], b"").await.status, 204);
        client.get("/bkt").await.refused(404, "NoSuchBucket");
        client.put("/bkt", b"").await.ok();
        assert_eq!(client.get("/bkt?bucketInfo").await.ok().element("Location"), "oss-cn-hangzhou");
    });
}
