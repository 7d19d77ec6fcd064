//! Signature version 1 (`OSS id:signature`).

use super::canonical::header_block;
use super::{Subject, sensitive};
use crate::credentials::Credentials;
use base64::prelude::{BASE64_STANDARD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue};
use ossfs_types::Timestamp;
use sha1::Sha1;

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-oss-security-token");

/// The query parameters that are part of the signed resource: those of them that the store sends, and one that only the
/// official vector has.
const SUB_RESOURCES: [&str; 13] = [
    "acl",
    "append",
    "bucketInfo",
    "continuation-token",
    "delete",
    "objectMeta",
    "partNumber",
    "position",
    "resourceGroup",
    "stat",
    "symlink",
    "uploadId",
    "uploads",
];

/// The headers to add.
pub(super) fn sign(subject: &Subject<'_>, credentials: &Credentials, now: Timestamp) -> HeaderMap {
    let mut added = HeaderMap::new();
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    added.insert(DATE, HeaderValue::try_from(&date).expect("a date is ASCII"));
    if let Some(token) = credentials.security_token() {
        added.insert(SECURITY_TOKEN, sensitive(token.to_owned()));
    }
    let mut mac = Hmac::<Sha1>::new_from_slice(credentials.secret().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(&string_to_sign(subject, &added, &date));
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    added.insert(AUTHORIZATION, sensitive(format!("OSS {}:{signature}", credentials.id())));
    added
}

fn string_to_sign(subject: &Subject<'_>, added: &HeaderMap, date: &str) -> Vec<u8> {
    let header = |name| subject.headers.get(name).map(|value| value.as_bytes().trim_ascii()).unwrap_or_default();
    let mut text = Vec::new();
    for line in [subject.method.as_str().as_bytes(), header(&CONTENT_MD5), header(&CONTENT_TYPE), date.as_bytes()] {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    let mut headers = subject.headers.clone();
    headers.extend(added.iter().map(|(name, value)| (name.clone(), value.clone())));
    text.extend(header_block(&headers, |name| name.starts_with("x-oss-")));
    text.extend(resource(subject).into_bytes());
    text
}

fn resource(subject: &Subject<'_>) -> String {
    let mut resource = "/".to_owned();
    if let Some(bucket) = subject.bucket {
        resource.push_str(bucket);
        resource.push('/');
        resource.push_str(subject.key.unwrap_or_default());
    }
    let mut sub: Vec<_> = subject.query.iter().filter(|(name, _)| SUB_RESOURCES.contains(name)).collect();
    sub.sort();
    for (index, (name, value)) in sub.into_iter().enumerate() {
        resource.push(if index == 0 { '?' } else { '&' });
        resource.push_str(name);
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            resource.push('=');
            resource.push_str(value);
        }
    }
    resource
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_official_vector() {
        let mut headers = HeaderMap::new();
        headers.insert("x-oss-date", HeaderValue::from_static("Wed, 28 Dec 2022 10:27:41 GMT"));
        let subject = Subject {
            method: &http::Method::GET,
            bucket: Some("examplebucket"),
            key: None,
            query: &[("resourceGroup", None), ("acl", None), ("non-resource", Some("1"))],
            headers: &headers,
        };
        let credentials = Credentials::new("ak", "sk", None).unwrap();
        let added = sign(&subject, &credentials, "2022-12-28T10:27:41Z".parse().unwrap());
        assert_eq!(added[AUTHORIZATION], "OSS ak:x3E5TgOvl/i7PN618s5mEvpJDYk=");
        assert_eq!(added[DATE], "Wed, 28 Dec 2022 10:27:41 GMT");
    }

    #[test]
    fn every_sub_resource_stands_once() {
        let mut sorted = SUB_RESOURCES.to_vec();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), SUB_RESOURCES.len());
    }
}
