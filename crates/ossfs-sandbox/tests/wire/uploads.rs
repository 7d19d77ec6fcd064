//! Multipart uploads.

use crate::client::{Client, Reply, with_sandbox};

const PART: usize = 100 << 10;

async fn initiate(client: &Client, key: &str) -> String {
    client.ask("POST", &format!("/bkt/{key}?uploads"), &[], b"").await.ok().element("UploadId")
}

async fn part(client: &Client, key: &str, id: &str, number: u32, body: &[u8]) -> String {
    let target = format!("/bkt/{key}?partNumber={number}&uploadId={id}");
    client.put(&target, body).await.ok().header("etag").to_owned()
}

async fn complete(client: &Client, key: &str, id: &str, parts: &[(u32, &str)]) -> Reply {
    let parts: String = parts
        .iter()
        .map(|(number, etag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"))
        .collect();
    let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    client.ask("POST", &format!("/bkt/{key}?uploadId={id}"), &[], document.as_bytes()).await
}

#[test]
fn parts_become_an_object_under_the_rules() {
    with_sandbox(
        |_| {},
        |client| async move {
            let id = initiate(&client, "k").await;
            let first = part(&client, "k", &id, 2, &[b'a'; PART]).await;
            let small = part(&client, "k", &id, 5, b"small").await;
            let last = part(&client, "k", &id, 9, b"end").await;
            complete(&client, "k", &id, &[(5, &small), (2, &first)]).await.refused(400, "InvalidPartOrder");
            complete(&client, "k", &id, &[(2, &first), (3, &first)]).await.refused(400, "InvalidPart");
            complete(&client, "k", &id, &[(2, &first), (5, &first)]).await.refused(400, "InvalidPart");
            complete(&client, "k", &id, &[(5, &small), (9, &last)]).await.refused(400, "EntityTooSmall");
            complete(&client, "k", &id, &[]).await.refused(400, "MalformedXML");
            client.get("/bkt/k").await.refused(404, "NoSuchKey");
            client.ask("DELETE", "/bkt", &[], b"").await.refused(409, "BucketNotEmpty");
            let done = complete(&client, "k", &id, &[(2, &first), (9, &last)]).await.ok();
            assert!(done.header("etag").ends_with("-2\""), "{}", done.header("etag"));
            let got = client.get("/bkt/k").await.ok();
            assert_eq!(got.body, [&[b'a'; PART][..], b"end"].concat());
            assert_eq!(got.header("x-oss-object-type"), "Multipart");
            complete(&client, "k", &id, &[(2, &first)]).await.refused(404, "NoSuchUpload");
            client.ask("DELETE", &format!("/bkt/k?uploadId={id}"), &[], b"").await.refused(404, "NoSuchUpload");
        },
    );
}

#[test]
fn all_parts_can_be_completed_without_naming_them() {
    with_sandbox(
        |_| {},
        |client| async move {
            let id = initiate(&client, "k").await;
            part(&client, "k", &id, 1, &[b'a'; PART]).await;
            part(&client, "k", &id, 10_000, b"end").await;
            for number in ["0", "10001", "x"] {
                let target = format!("/bkt/k?partNumber={number}&uploadId={id}");
                client.put(&target, b"x").await.refused(400, "InvalidArgument");
            }
            let all = [("x-oss-complete-all", "yes")];
            client.ask("POST", &format!("/bkt/k?uploadId={id}"), &all, b"").await.ok();
            assert_eq!(client.get("/bkt/k").await.body.len(), PART + 3);
        },
    );
}

#[test]
fn parts_are_copied_from_ranges() {
    with_sandbox(
        |_| {},
        |client| async move {
            let body: Vec<u8> = (0..2 * PART).map(|n| (n % 251) as u8).collect();
            client.put("/bkt/source", &body).await.ok();
            let id = initiate(&client, "k").await;
            let copy = async |number: u32, range: &str| {
                let headers = [("x-oss-copy-source", "/bkt/source"), ("x-oss-copy-source-range", range)];
                client.ask("PUT", &format!("/bkt/k?partNumber={number}&uploadId={id}"), &headers, b"").await
            };
            let first = copy(1, &format!("bytes={}-{}", PART, 2 * PART - 1)).await.ok().header("etag").to_owned();
            let second = copy(2, "bytes=0-9").await.ok().header("etag").to_owned();
            copy(3, &format!("bytes=0-{}", 2 * PART)).await.refused(416, "InvalidRange");
            complete(&client, "k", &id, &[(1, &first), (2, &second)]).await.ok();
            assert_eq!(client.get("/bkt/k").await.body, [&body[PART..], &body[..10]].concat());
        },
    );
}

#[test]
fn uploads_and_parts_are_listed_in_pages() {
    with_sandbox(
        |_| {},
        |client| async move {
            let id = initiate(&client, "a").await;
            initiate(&client, "a").await;
            initiate(&client, "dir/b").await;
            for number in [1, 3, 7] {
                part(&client, "a", &id, number, b"x").await;
            }
            let page = client.get(&format!("/bkt/a?max-parts=2&uploadId={id}")).await.ok();
            assert_eq!((page.text().matches("<Part>").count(), page.element("NextPartNumberMarker")), (2, "3".into()));
            let rest = client.get(&format!("/bkt/a?part-number-marker=3&uploadId={id}")).await.ok();
            assert_eq!((rest.element("PartNumber"), rest.element("IsTruncated")), ("7".into(), "false".into()));
            let (mut key, mut upload, mut seen) = (String::new(), String::new(), 0);
            loop {
                let query = format!("key-marker={}&max-uploads=1&upload-id-marker={upload}", key.replace('/', "%2F"));
                let page = client.get(&format!("/bkt?{query}&uploads")).await.ok();
                seen += page.text().matches("<Upload>").count();
                (key, upload) = (page.element("NextKeyMarker"), page.element("NextUploadIdMarker"));
                if page.element("IsTruncated") == "false" {
                    break;
                }
            }
            assert_eq!(seen, 3);
            let folded = client.get("/bkt?delimiter=%2F&uploads").await.ok();
            assert_eq!(folded.element("CommonPrefixes"), "<Prefix>dir/</Prefix>");
            let stat = client.get("/bkt?stat").await.ok();
            assert_eq!(stat.element("MultipartUploadCount"), "3");
        },
    );
}
