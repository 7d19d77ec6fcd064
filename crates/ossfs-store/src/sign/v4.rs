//! Signature version 4 (`OSS4-HMAC-SHA256`).

use super::canonical::{encode_key, header_block, push_sorted_query};
use super::{Subject, sensitive};
use crate::credentials::Credentials;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use ossfs_types::Timestamp;
use sha2::{Digest, Sha256};
use std::sync::{Mutex, PoisonError};

const DATE: HeaderName = HeaderName::from_static("x-oss-date");
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-oss-content-sha256");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-oss-security-token");
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Signs for one region. The signing key changes once a day or with the secret, so the last one is kept.
pub(super) struct Signer {
    region: String,
    last_key: Mutex<Option<SigningKey>>,
}

#[derive(Clone)]
struct SigningKey {
    secret: String,
    day: String,
    key: [u8; 32],
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "v4::Signer({})", self.region)
    }
}

impl Signer {
    pub(super) fn new(region: &str) -> Self {
        Self { region: region.to_owned(), last_key: Mutex::new(None) }
    }

    /// The headers to add. `additional` are lowercase names of headers to sign beyond those that always are.
    pub(super) fn sign(
        &self,
        subject: &Subject<'_>,
        additional: &[&str],
        credentials: &Credentials,
        now: Timestamp,
    ) -> HeaderMap {
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = &time[..8];
        let mut added = HeaderMap::new();
        added.insert(DATE, HeaderValue::try_from(&time).expect("a date is ASCII"));
        added.insert(CONTENT_SHA256, HeaderValue::from_static(UNSIGNED_PAYLOAD));
        if let Some(token) = credentials.security_token() {
            added.insert(SECURITY_TOKEN, sensitive(token.to_owned()));
        }
        let scope = format!("{day}/{}/oss/aliyun_v4_request", self.region);
        let canonical = canonical_request(subject, additional, &added);
        let string_to_sign = format!("OSS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(&canonical)));
        let key = self.signing_key(credentials.secret(), day);
        let signature = hex::encode(hmac(&key, string_to_sign.as_bytes()));
        let additional = match additional {
            [] => String::new(),
            names => format!(",AdditionalHeaders={}", names.join(";")),
        };
        let authorization =
            format!("OSS4-HMAC-SHA256 Credential={}/{scope}{additional},Signature={signature}", credentials.id());
        added.insert(AUTHORIZATION, sensitive(authorization));
        added
    }

    fn signing_key(&self, secret: &str, day: &str) -> [u8; 32] {
        let mut last = self.last_key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref().filter(|last| last.day == day && last.secret == secret) {
            return last.key;
        }
        let first = format!("aliyun_v4{secret}");
        let key = [day, &self.region, "oss", "aliyun_v4_request"]
            .iter()
            .fold(first.into_bytes(), |key, part| hmac(&key, part.as_bytes()).to_vec());
        let key: [u8; 32] = key.try_into().expect("SHA-256 has 32 bytes");
        *last = Some(SigningKey { secret: secret.to_owned(), day: day.to_owned(), key });
        key
    }
}

fn canonical_request(subject: &Subject<'_>, additional: &[&str], added: &HeaderMap) -> Vec<u8> {
    let mut text = format!("{}\n/", subject.method);
    if let Some(bucket) = subject.bucket {
        text.push_str(bucket);
        text.push('/');
        text.push_str(&encode_key(subject.key.unwrap_or_default()).to_string());
    }
    text.push('\n');
    push_sorted_query(&mut text, subject.query);
    text.push('\n');
    let mut headers = subject.headers.clone();
    headers.extend(added.iter().map(|(name, value)| (name.clone(), value.clone())));
    let mut canonical = text.into_bytes();
    canonical.extend(header_block(&headers, |name| always_signed(name) || additional.contains(&name)));
    canonical.push(b'\n');
    canonical.extend(additional.join(";").into_bytes());
    canonical.push(b'\n');
    canonical.extend(UNSIGNED_PAYLOAD.as_bytes());
    canonical
}

fn always_signed(name: &str) -> bool {
    name.starts_with("x-oss-") || name == "content-type" || name == "content-md5"
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The official vectors: one request, signed at three times with three variations.
    fn signature(unix_time_s: i64, token: Option<&str>, additional: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for name in ["x-oss-head1", "abc", "zabc", "xyz"] {
            headers.insert(name, HeaderValue::from_static("value"));
        }
        headers.insert("content-type", HeaderValue::from_static("text/plain"));
        let query = [
            ("param1", Some("value1")),
            ("+param1", Some("value3")),
            ("|param1", Some("value4")),
            ("+param2", Some("")),
            ("|param2", None),
            ("param2", Some("")),
        ];
        let subject = Subject {
            method: &http::Method::PUT,
            bucket: Some("bucket"),
            key: Some("1234+-/123/1.txt"),
            query: &query,
            headers: &headers,
        };
        let credentials = Credentials::new("ak", "sk", token.map(str::to_owned)).unwrap();
        let now = Timestamp::from_second(unix_time_s).unwrap();
        let added = Signer::new("cn-hangzhou").sign(&subject, additional, &credentials, now);
        let authorization = added[AUTHORIZATION].to_str().unwrap();
        authorization.split("Signature=").nth(1).unwrap().to_owned()
    }

    #[test]
    fn the_official_vectors() {
        assert_eq!(
            signature(1702743657, None, &[]),
            "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"
        );
        assert_eq!(
            signature(1702784856, Some("token"), &[]),
            "b94a3f999cf85bcdc00d332fbd3734ba03e48382c36fa4d5af5df817395bd9ea"
        );
        assert_eq!(
            signature(1702747512, None, &["abc", "zabc"]),
            "4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f"
        );
    }

    #[test]
    fn the_kept_key_is_not_used_for_another_secret_or_day() {
        let signer = Signer::new("cn-hangzhou");
        let keys = [("a", "20260101"), ("b", "20260101"), ("b", "20260102"), ("a", "20260101")]
            .map(|(secret, day)| signer.signing_key(secret, day));
        assert_eq!(keys[0], keys[3]);
        assert_ne!(keys[0], keys[1]);
        assert_ne!(keys[1], keys[2]);
    }
}
