//! A request of S3's, said in OSS's words. Pure.

use super::payload::is_about_checksums;
use crate::error::{Code, OssError, Result};
use crate::request::Request;
use http::header::{CONTENT_ENCODING, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::percent_decode_str;

const META_PREFIX: &str = "x-amz-meta-";
const COPY_SOURCE: &str = "x-amz-copy-source";
/// Most entries of a page, for both; S3 cuts larger numbers to it, and has it for a default.
const PAGE_MAX: u64 = 1000;

/// Headers that OSS has too. Of AWS's others, some were of use for the signature and the body; what they say of storage
/// classes, ACLs and encryption at rest is left out.
const SAME: [&str; 9] = [
    COPY_SOURCE,
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
    "x-amz-metadata-directive",
    "x-amz-tagging",
    "x-amz-tagging-directive",
];

/// Headers without which a request would mean something else.
const REFUSED: [&str; 5] = [
    "x-amz-bypass-governance-retention",
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-rename-source",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-write-offset-bytes",
];

/// Parameters that name operations of S3 that are not here, or of OSS that are not S3's.
const ABSENT: [&str; 24] = [
    "accelerate",
    "acl",
    "analytics",
    "append",
    "attributes",
    "bucketInfo",
    "intelligent-tiering",
    "legal-hold",
    "metadataConfiguration",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "objectMeta",
    "ownershipControls",
    "renameObject",
    "restore",
    "select",
    "session",
    "stat",
    "symlink",
    "torrent",
    "versionId",
    "versions",
];

/// The same request as OSS's clients would ask it.
pub(crate) fn in_oss_words(request: &Request) -> Result<Request> {
    if let Some((name, _)) = request.query.pairs().find(|(name, _)| ABSENT.contains(name)) {
        return Err(not_implemented(name));
    }
    let is_read = matches!(request.method, Method::GET | Method::HEAD);
    if is_read && request.query.has("partNumber") {
        return Err(not_implemented("reading one part of an object"));
    }
    if copies_onto_itself(request) {
        return Err(OssError::new(Code::InvalidRequest).message(
            "This copy request is illegal because it is trying to copy an object to itself without changing the \
             object's metadata, storage class, website redirect location or encryption attributes.",
        ));
    }
    let mut said = request.clone();
    said.headers = headers(request)?;
    if request.bucket.is_some() && request.key.is_none() {
        said.query.set("max-keys", page(request.query.text("max-keys")));
    }
    for name in ["max-parts", "max-uploads"] {
        if let Some(text) = request.query.text(name) {
            said.query.set(name, page(Some(text)));
        }
    }
    Ok(said)
}

fn not_implemented(what: &str) -> Box<OssError> {
    OssError::new(Code::NotImplemented).message(format!("The sandbox does not implement {what}."))
}

/// What is no number is left for the operation to refuse.
fn page(said: Option<&str>) -> String {
    match said.map(str::parse::<u64>) {
        None => PAGE_MAX.to_string(),
        Some(Ok(number)) => number.min(PAGE_MAX).to_string(),
        Some(Err(_)) => said.unwrap_or_default().to_owned(),
    }
}

/// Whether it is the copy that S3 refuses, and that OSS takes as replacing all metadata.
fn copies_onto_itself(request: &Request) -> bool {
    let text = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let (Some(bucket), Some(key)) = (&request.bucket, &request.key) else { return false };
    let path = text(COPY_SOURCE).split('?').next().unwrap_or("");
    let source: Vec<u8> = percent_decode_str(path).collect();
    let source = source.strip_prefix(b"/").unwrap_or(&source);
    let replaces = text("x-amz-metadata-directive").eq_ignore_ascii_case("REPLACE");
    source == format!("{bucket}/{key}").as_bytes() && !replaces && !request.query.has("uploadId")
}

fn headers(request: &Request) -> Result<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 2);
    let writes = matches!(request.method, Method::PUT | Method::POST) && request.key.is_some();
    for (name, value) in &request.headers {
        let text = name.as_str();
        if REFUSED.contains(&text) {
            return Err(OssError::new(Code::NotImplemented).detail("Header", text));
        }
        if let Some(user) = text.strip_prefix(META_PREFIX) {
            let name = HeaderName::try_from(format!("x-oss-meta-{user}"));
            headers.append(name.expect("the end of a header's name is one"), value.clone());
        } else if SAME.contains(&text) {
            let name = text.replacen("x-amz-", "x-oss-", 1);
            headers.append(HeaderName::try_from(name).expect("letters and hyphens are a name"), value.clone());
        } else if name == CONTENT_ENCODING {
            headers.extend(content_encoding(value).map(|value| (CONTENT_ENCODING, value)));
        } else if writes && name == IF_NONE_MATCH && value == "*" {
            headers.insert("x-oss-forbid-overwrite", HeaderValue::from_static("true"));
        } else if !text.starts_with("x-amz-") && !text.starts_with("x-oss-") {
            headers.append(name.clone(), value.clone());
        }
    }
    // As HTTP has it, and S3.
    headers.insert("x-oss-range-behavior", HeaderValue::from_static("standard"));
    Ok(headers)
}

/// What is left of it inside the chunks.
fn content_encoding(value: &HeaderValue) -> Option<HeaderValue> {
    let Ok(text) = value.to_str() else { return Some(value.clone()) };
    let left: Vec<&str> = text.split(',').map(str::trim).filter(|coding| *coding != "aws-chunked").collect();
    let left = HeaderValue::from_str(&left.join(", ")).ok();
    left.filter(|value| !value.is_empty())
}

/// The checksum that a request said of its body, to be said back.
pub(super) fn checksums(request: &Request) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    request
        .headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-amz-checksum-") && !is_about_checksums(name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Request> {
        let mut builder = http::Request::builder().method(method).uri(target).header("host", "127.0.0.1");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        in_oss_words(&Request::parse(builder.body(()).unwrap().into_parts().0).unwrap())
    }

    #[test]
    fn headers_are_said_in_oss_words() {
        let request = said(
            "PUT",
            "/bkt/k",
            &[
                ("x-amz-meta-mode", "33188"),
                ("x-amz-copy-source", "/bkt/other"),
                ("x-amz-acl", "private"),
                ("x-amz-storage-class", "GLACIER"),
                ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
                ("x-oss-object-acl", "public-read"),
                ("content-type", "a/b"),
                ("content-encoding", "aws-chunked, gzip"),
                ("if-none-match", "*"),
            ],
        );
        let mut headers: Vec<String> = request
            .unwrap()
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        headers.sort();
        let expected = [
            "content-encoding: gzip",
            "content-type: a/b",
            "host: 127.0.0.1",
            "x-oss-copy-source: /bkt/other",
            "x-oss-forbid-overwrite: true",
            "x-oss-meta-mode: 33188",
            "x-oss-range-behavior: standard",
        ];
        assert_eq!(headers, expected);
        let chunked = said("PUT", "/bkt/k", &[("content-encoding", "aws-chunked")]).unwrap();
        assert!(!chunked.headers.contains_key("content-encoding"));
        let read = said("GET", "/bkt/k", &[("if-none-match", "*")]).unwrap();
        assert!(read.headers.contains_key("if-none-match"));
    }

    #[test]
    fn pages_have_a_thousand_entries_at_most() {
        for (target, expected) in [
            ("/bkt?list-type=2", "1000"),
            ("/bkt?max-keys=5000", "1000"),
            ("/bkt?max-keys=7", "7"),
            ("/bkt?max-keys=x", "x"),
        ] {
            assert_eq!(said("GET", target, &[]).unwrap().query.value("max-keys"), Some(expected), "{target}");
        }
        assert_eq!(
            said("GET", "/bkt/k?uploadId=U&max-parts=2000", &[]).unwrap().query.value("max-parts"),
            Some("1000")
        );
    }

    #[test]
    fn what_would_mean_something_else_is_refused() {
        let code =
            |method, target, headers: &[(&str, &str)]| said(method, target, headers).map_err(|error| error.code());
        for target in ["/bkt?acl", "/bkt/k?attributes", "/bkt/k?append&position=0", "/bkt/k?partNumber=2"] {
            assert_eq!(code("GET", target, &[]).unwrap_err(), Code::NotImplemented, "{target}");
        }
        let offset = ("x-amz-write-offset-bytes", "7");
        assert_eq!(code("PUT", "/bkt/k", &[offset]).unwrap_err(), Code::NotImplemented);
        for source in ["/bkt/a%20b", "bkt/a b"] {
            let source = ("x-amz-copy-source", source);
            assert_eq!(code("PUT", "/bkt/a%20b", &[source]).unwrap_err(), Code::InvalidRequest);
            assert!(code("PUT", "/bkt/a%20b", &[source, ("x-amz-metadata-directive", "REPLACE")]).is_ok());
            assert!(code("PUT", "/bkt/other", &[source]).is_ok());
        }
    }

    #[test]
    fn the_list_of_what_is_absent_is_sorted() {
        assert!(ABSENT.is_sorted() && SAME.is_sorted() && REFUSED.is_sorted());
    }
}
