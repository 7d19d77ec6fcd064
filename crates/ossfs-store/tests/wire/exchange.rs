//! What is repeated, what is not, and what is put right on the way.

use crate::scripted::{Reply, Server, answer, error, key, object, pool};
use async_trait::async_trait;
use ossfs_store::{
    CredentialError, CredentialKeeper, CredentialSource, Credentials, GetOptions, Kind, ObjectStore, OssStore, Part,
    PartNumber, PutOptions, SignatureVersion, Upload, UploadId,
};
use ossfs_types::{Crc64, ETag, SystemClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[tokio::test]
async fn a_refusal_that_may_pass_is_repeated_even_for_a_mutation() {
    let server = Server::start(|number, _| match number {
        0 => Reply::Send(error(503, "ServiceUnavailable")),
        1 => Reply::Send(error(503, "TotalQpsLimitExceeded")),
        _ => Reply::Send(answer(204, &[], "")),
    });
    let link = |store: OssStore| async move { store.put_symlink(&key("k"), &key("t"), &PutOptions::default()).await };
    link(server.store().await).await.unwrap();
    assert_eq!(server.methods(), ["PUT"; 3]);
    let always = Server::start(|_, _| Reply::Send(error(503, "TotalQpsLimitExceeded")));
    let refused = link(always.store().await).await.unwrap_err();
    assert_eq!((refused.kind(), refused.request_id()), (Kind::Throttled, Some("REQUEST")));
    assert_eq!(always.asked().len(), 3);
}

#[tokio::test]
async fn a_deletion_is_sent_once() {
    let server = Server::start(|_, _| Reply::Send(error(503, "TotalQpsLimitExceeded")));
    let store = server.store().await;
    assert_eq!(store.delete(&key("k")).await.unwrap_err().kind(), Kind::Throttled);
    assert_eq!(store.delete_many(&[key("k"), key("l")]).await.unwrap_err().kind(), Kind::Throttled);
    assert_eq!(server.methods(), ["DELETE", "POST"]);
}

#[tokio::test]
async fn a_deletion_without_an_answer_is_looked_for_and_never_repeated() {
    for (found, expected) in [(404, None), (200, Some(Kind::Unknown))] {
        let server = Server::start(move |_, asked| match asked.method() {
            "HEAD" if found == 404 => Reply::Send(answer(404, &[], "")),
            "HEAD" => Reply::Send(object(200, &[("content-length", "1")], "")),
            _ => Reply::SendAndClose(Vec::new()),
        });
        let deleted = server.store().await.delete(&key("k")).await;
        assert_eq!(deleted.err().map(|error| error.kind()), expected);
        assert_eq!(server.methods(), ["DELETE", "HEAD"]);
    }
}

#[tokio::test]
async fn a_failing_server_may_have_done_it() {
    let server = Server::start(|_, asked| match asked.method() {
        "HEAD" => Reply::Send(answer(404, &[], "")),
        _ => Reply::Send(error(500, "InternalError")),
    });
    let unknown = server.store().await.put(&key("k"), "x".into(), &PutOptions::default()).await.unwrap_err();
    assert_eq!((unknown.kind(), unknown.code()), (Kind::Unknown, Some("InternalError")));
    assert_eq!(server.methods(), ["PUT", "HEAD"]);
}

#[tokio::test]
async fn a_put_without_an_answer_is_done_if_the_object_shows_it() {
    let crc64 = Crc64::of(b"content").to_string();
    let server = Server::start(move |_, asked| match asked.method() {
        "HEAD" => {
            let more = [("content-length", "7"), ("x-oss-hash-crc64ecma", &crc64), ("x-oss-meta-id", "t1")];
            Reply::Send(object(200, &more, ""))
        }
        _ => Reply::SendAndClose(Vec::new()),
    });
    let mut options = PutOptions::default();
    options.metadata.user.insert("id".into(), "t1".parse().unwrap());
    let written = server.store().await.put(&key("k"), "content".into(), &options).await.unwrap();
    assert_eq!(written.etag.as_str(), "E1");
    options.metadata.user.insert("id".into(), "t2".parse().unwrap());
    let other = server.store().await.put(&key("k"), "content".into(), &options).await.unwrap_err();
    assert_eq!(other.kind(), Kind::Unknown, "the same bytes with another token are not ours");
    assert_eq!(server.methods(), ["PUT", "HEAD", "PUT", "HEAD"]);
}

#[tokio::test]
async fn a_put_that_was_changed_on_its_way_is_refused_and_repeated() {
    let server = Server::start(move |number, _| match number {
        0 => Reply::Send(error(400, "InvalidDigest")),
        _ => Reply::Send(answer(200, &[("etag", "\"E1\"")], "")),
    });
    server.store().await.put(&key("k"), "content".into(), &PutOptions::default()).await.unwrap();
    assert_eq!(server.methods(), ["PUT", "PUT"]);
    assert_eq!(server.asked()[0].header("content-md5"), Some("mgNkuembtIDdJeHwKEyFVQ=="));
}

#[tokio::test]
async fn a_put_that_the_store_sums_up_wrongly_is_unknown() {
    let server = Server::start(move |_, asked| match asked.method() {
        "HEAD" => Reply::Send(object(200, &[("content-length", "7"), ("x-oss-hash-crc64ecma", "1")], "")),
        _ => Reply::Send(answer(200, &[("etag", "\"E1\""), ("x-oss-hash-crc64ecma", "1")], "")),
    });
    let error = server.store().await.put(&key("k"), "content".into(), &PutOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unknown, "{error}");
    assert_eq!(server.methods(), ["PUT", "HEAD"]);
}

/// The bytes `part`, uploaded.
fn the_part() -> Part {
    Part {
        number: PartNumber::new(1).unwrap(),
        etag: ETag::parse("P").unwrap(),
        size: 4,
        crc64: Some(Crc64::of(b"part")),
    }
}

#[tokio::test]
async fn a_completion_is_looked_for_before_it_is_asked_for_again() {
    let crc64 = Crc64::of(b"part").to_string();
    for (landed, methods) in [(true, &["POST", "GET", "HEAD"][..]), (false, &["POST", "GET", "HEAD", "POST"][..])] {
        let crc64 = crc64.clone();
        let server = Server::start(move |number, asked| match (asked.method(), landed) {
            ("HEAD", true) => {
                Reply::Send(object(200, &[("content-length", "4"), ("x-oss-hash-crc64ecma", &crc64)], ""))
            }
            ("HEAD", false) => Reply::Send(answer(404, &[], "")),
            ("GET", true) => Reply::Send(error(404, "NoSuchUpload")),
            ("GET", false) => {
                let parts = "<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>";
                Reply::Send(answer(200, &[], parts))
            }
            (_, false) if number > 0 => {
                let document = "<CompleteMultipartUploadResult><ETag>\"E1\"</ETag></CompleteMultipartUploadResult>";
                Reply::Send(answer(200, &[], document))
            }
            _ => Reply::SendAndClose(Vec::new()),
        });
        let upload = Upload { key: key("k"), id: UploadId::parse("U").unwrap() };
        let written = server.store().await.complete_upload(&upload, &[the_part()], false).await.unwrap();
        assert_eq!(written.etag.as_str(), "E1");
        assert_eq!(server.methods(), methods);
    }
}

#[tokio::test]
async fn an_append_is_repeated_only_as_its_position_allows() {
    let server = Server::start(|number, asked| match (number, asked.method()) {
        (0, _) => Reply::SendAndClose(Vec::new()),
        (1, "HEAD") => Reply::Send(answer(404, &[], "")),
        _ => {
            assert!(asked.header("content-md5").is_some());
            Reply::Send(answer(200, &[("x-oss-next-append-position", "5")], ""))
        }
    });
    let appended = server.store().await.append(&key("k"), 0, "hello".into(), &Default::default()).await.unwrap();
    assert_eq!(appended.next_position, 5);
    assert_eq!(server.methods(), ["POST", "HEAD", "POST"]);
}

#[tokio::test]
async fn what_is_said_of_a_repetition_says_nothing_of_the_first() {
    for second in ["AccessDenied", "PositionNotEqualToLength", "NoSuchUpload", "FileAlreadyExists"] {
        let server = Server::start(move |number, asked| match (number, asked.method()) {
            (0, _) => Reply::SendAndClose(Vec::new()),
            (1, "HEAD") => Reply::Send(answer(404, &[], "")),
            (_, "HEAD") => Reply::Send(error(403, "AccessDenied")),
            _ => Reply::Send(error(403, second)),
        });
        let appended = server.store().await.append(&key("k"), 0, "hello".into(), &Default::default()).await;
        assert_eq!(appended.unwrap_err().kind(), Kind::Unknown, "{second}");
        assert_eq!(server.methods(), ["POST", "HEAD", "POST", "HEAD"]);
    }
    for second in ["AccessDenied", "NoSuchUpload", "FileAlreadyExists"] {
        let server = Server::start(move |number, asked| match (number, asked.method()) {
            (0, _) => Reply::SendAndClose(Vec::new()),
            (_, "HEAD") => Reply::Send(answer(404, &[], "")),
            _ => Reply::Send(error(403, second)),
        });
        let upload = Upload { key: key("k"), id: UploadId::parse("U").unwrap() };
        let completed = server.store().await.complete_upload(&upload, &[], false).await;
        assert_eq!(completed.unwrap_err().kind(), Kind::Unknown, "{second}");
    }
}

#[tokio::test]
async fn an_older_object_of_the_same_bytes_is_no_completion() {
    let crc64 = Crc64::of(b"part").to_string();
    let server = Server::start(move |_, asked| match asked.method() {
        "HEAD" => Reply::Send(object(200, &[("content-length", "4"), ("x-oss-hash-crc64ecma", &crc64)], "")),
        "GET" => {
            let parts = "<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>";
            Reply::Send(answer(200, &[], parts))
        }
        _ => Reply::SendAndClose(Vec::new()),
    });
    let upload = Upload { key: key("k"), id: UploadId::parse("U").unwrap() };
    let completed = server.store().await.complete_upload(&upload, &[the_part()], false).await;
    assert_eq!(completed.unwrap_err().kind(), Kind::Unknown);
}

#[tokio::test]
async fn an_abort_whose_first_answer_was_lost_does_not_say_who_ended_the_upload() {
    let server = Server::start(|number, _| match number {
        0 => Reply::SendAndClose(Vec::new()),
        _ => Reply::Send(error(404, "NoSuchUpload")),
    });
    let upload = Upload { key: key("k"), id: UploadId::parse("U").unwrap() };
    assert_eq!(server.store().await.abort_upload(&upload).await.unwrap_err().kind(), Kind::Unknown);
    assert!(!server.store().await.abort_upload(&upload).await.unwrap());
}

#[tokio::test]
async fn lengths_regions_and_proxies_that_cannot_be_are_refused() {
    let server = Server::start(|_, _| Reply::Send(object(200, &[("content-length", "1125899906842624")], "x")));
    let error = server.store().await.read(&key("k"), &GetOptions::default(), &pool()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
    let refused = |options| OssStore::new(options, None, Arc::new(SystemClock)).unwrap_err().to_string();
    assert!(refused(server.options().in_region("cn-hangzhou\n")).contains("is no region"));
    let mut options = server.options();
    options.http.proxy = ossfs_store::Proxy::Always("ftp://user:the-secret@host".into());
    assert!(!format!("{options:?}").contains("the-secret"));
    assert!(refused(options).contains("proxy's address is malformed"));
}

#[tokio::test]
async fn an_object_may_carry_many_small_metadata() {
    let many: Vec<(String, String)> = (0..200).map(|number| (format!("x-oss-meta-n{number}"), "v".into())).collect();
    let server = Server::start(move |_, _| {
        let more: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Reply::Send(object(200, &more, "fine"))
    });
    let fetched = server.store().await.read(&key("k"), &GetOptions::default(), &pool()).await.unwrap();
    assert_eq!(fetched.meta.metadata.user.len(), 200);
}

#[tokio::test]
async fn a_wrong_clock_is_put_right() {
    let server = Server::start(|number, _| match number {
        0 => Reply::Send(error(403, "RequestTimeTooSkewed")),
        _ => Reply::Send(object(200, &[], "fine")),
    });
    let store = server.store().await;
    assert_eq!(store.read(&key("k"), &GetOptions::default(), &pool()).await.unwrap().bytes, "fine");
    let asked = server.asked();
    assert!(!asked[0].header("x-oss-date").unwrap().starts_with("2035"));
    assert!(asked[1].header("x-oss-date").unwrap().starts_with("20350101T0000"), "signed with the server's time");
    store.read(&key("k"), &GetOptions::default(), &pool()).await.unwrap();
    assert_eq!(server.asked().len(), 3, "and it stays right");
}

/// Gives another key each time.
#[derive(Debug)]
struct Rotating(AtomicU32);

#[async_trait]
impl CredentialSource for Rotating {
    async fn load(&self) -> Result<Credentials, CredentialError> {
        Credentials::new(&format!("key{}", self.0.fetch_add(1, Ordering::SeqCst)), "the-secret", Some("token".into()))
    }

    fn origin(&self) -> String {
        "a test".into()
    }
}

#[tokio::test]
async fn a_key_that_expired_early_is_replaced() {
    let server = Server::start(|number, _| match number {
        0 => Reply::Send(error(403, "SecurityTokenExpired")),
        _ => Reply::Send(object(200, &[], "fine")),
    });
    for version in [SignatureVersion::V4, SignatureVersion::V1] {
        let keeper =
            CredentialKeeper::start(Box::new(Rotating(AtomicU32::new(0))), Arc::new(SystemClock)).await.unwrap();
        let mut options = server.options();
        options.signature = version;
        let store = OssStore::new(options, Some(keeper), Arc::new(SystemClock)).unwrap();
        store.read(&key("k"), &GetOptions::default(), &pool()).await.unwrap();
    }
    let asked = server.asked();
    assert!(asked[0].header("authorization").unwrap().contains("Credential=key0/"));
    assert!(asked[1].header("authorization").unwrap().contains("Credential=key1/"));
    assert!(asked[2].header("authorization").unwrap().starts_with("OSS key0:"));
    assert!(asked.iter().all(|asked| asked.header("x-oss-security-token") == Some("token")));
}

#[tokio::test]
async fn refusals_keep_their_meaning_and_no_secret() {
    let document = "<Error><Code>SignatureDoesNotMatch</Code><Message>The signature does not match.</Message>\
                    <StringToSign>the-string</StringToSign></Error>";
    let server = Server::start(move |_, _| Reply::Send(answer(403, &[], document)));
    let store = server.store().await;
    let error = store.head(&key("k")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "a HEAD has no body to tell more");
    let error = store.read(&key("k"), &GetOptions::default(), &pool()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Credentials, Some("SignatureDoesNotMatch")));
    let printed = format!("{error} {error:?} {store:?}");
    assert!(!printed.contains("the-secret") && !printed.contains("the-string"), "{printed}");
    assert_eq!(server.asked().len(), 2, "nothing was repeated");
}

#[tokio::test]
async fn a_public_bucket_is_read_without_a_signature() {
    let server = Server::start(|_, _| Reply::Send(object(200, &[], "fine")));
    let store = OssStore::new(server.options(), None, Arc::new(SystemClock)).unwrap();
    store.read(&key("k"), &GetOptions::default(), &pool()).await.unwrap();
    assert_eq!(server.asked()[0].header("authorization"), None);
}
