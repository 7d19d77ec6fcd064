//! Signatures of version 1: `OSS id:signature`.

use super::{Account, check_not_expired, check_skew, header_bytes, malformed, mismatch, sorted_names};
use crate::error::{OssError, Result};
use crate::request::Request;
use crate::time;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use ossfs_types::Timestamp;
use sha1::Sha1;

/// The parameters that are part of the signed resource; sorted, for searching.
const SUBRESOURCES: &[&str] = &[
    "accessPoint",
    "accessPointPolicy",
    "acl",
    "append",
    "asyncFetch",
    "bucketArchiveDirectRead",
    "bucketInfo",
    "callback",
    "callback-var",
    "cloudboxes",
    "cname",
    "comp",
    "continuation-token",
    "cors",
    "delete",
    "encryption",
    "endTime",
    "group",
    "httpsConfig",
    "inventory",
    "inventoryId",
    "lifecycle",
    "link",
    "live",
    "location",
    "logging",
    "metaQuery",
    "objectInfo",
    "objectMeta",
    "partNumber",
    "policy",
    "position",
    "publicAccessBlock",
    "qos",
    "qosInfo",
    "qosRequester",
    "redundancyTransition",
    "referer",
    "regionList",
    "replication",
    "replicationLocation",
    "replicationProgress",
    "requestPayment",
    "requesterQosInfo",
    "resourceGroup",
    "resourcePool",
    "resourcePoolBuckets",
    "resourcePoolInfo",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "security-token",
    "sequential",
    "startTime",
    "stat",
    "status",
    "style",
    "styleName",
    "symlink",
    "tagging",
    "transferAcceleration",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "vod",
    "website",
    "worm",
    "wormExtend",
    "wormId",
];

/// Verifies `id:signature`.
pub(super) fn verify_header(account: &Account, request: &Request, fields: &str, now: Timestamp) -> Result<()> {
    let Some((id, signature)) = fields.rsplit_once(':') else {
        return Err(malformed("Authorization header is invalid."));
    };
    let date = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    // Where there is an x-oss-date it stands in for the Date that clients may not be able to set.
    let text = date("x-oss-date").or_else(|| date("date")).unwrap_or("");
    let sent = time::parse_http_date(text).or_else(|| time::parse_compact(text));
    let sent = sent.ok_or_else(|| OssError::denied("OSS authentication requires a valid Date."))?;
    account.check_id(id)?;
    check_skew(sent, now)?;
    verify(account, request, id, signature, text, false)
}

/// Verifies a signed URL.
pub(super) fn verify_url(account: &Account, request: &Request, now: Timestamp) -> Result<()> {
    let needed = |name| {
        let missing = || OssError::denied("OSS authentication requires OSSAccessKeyId, Signature and Expires.");
        request.query.text(name).ok_or_else(missing)
    };
    let (id, signature, expires) = (needed("OSSAccessKeyId")?, needed("Signature")?, needed("Expires")?);
    let end = expires.parse().ok().and_then(|second| Timestamp::from_second(second).ok());
    let end =
        end.ok_or_else(|| OssError::denied("Invalid date (should be seconds since epoch).").ec("0002-00000070"))?;
    account.check_id(id)?;
    check_not_expired(end, now)?;
    verify(account, request, id, signature, expires, true)
}

fn verify(account: &Account, request: &Request, id: &str, signature: &str, date: &str, in_url: bool) -> Result<()> {
    let string_to_sign = string_to_sign(request, date);
    let mac = Hmac::<Sha1>::new_from_slice(account.access_key_secret.as_bytes());
    let mac = mac.expect("HMAC takes keys of any length");
    let provided = BASE64.decode(signature).unwrap_or_default();
    if mac.chain_update(&string_to_sign).verify_slice(&provided).is_ok() {
        return Ok(());
    }
    Err(mismatch(id, signature, &string_to_sign, in_url))
}

fn string_to_sign(request: &Request, date: &str) -> Vec<u8> {
    let mut text = format!("{}\n", request.method).into_bytes();
    for name in ["content-md5", "content-type"] {
        text.extend_from_slice(&header_bytes(request, name));
        text.push(b'\n');
    }
    text.extend_from_slice(date.as_bytes());
    text.push(b'\n');
    for name in sorted_names(request, |name| name.starts_with("x-oss-")) {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        text.extend_from_slice(&header_bytes(request, name));
        text.push(b'\n');
    }
    text.push(b'/');
    if let Some(bucket) = &request.bucket {
        text.extend_from_slice(bucket.as_str().as_bytes());
        text.push(b'/');
    }
    if let Some(key) = &request.key {
        text.extend_from_slice(key.as_str().as_bytes());
    }
    text.extend_from_slice(subresources(request).as_bytes());
    text
}

fn subresources(request: &Request) -> String {
    let signed = |name: &str| name.starts_with("x-oss-") || SUBRESOURCES.binary_search(&name).is_ok();
    let mut pairs: Vec<(&str, &str)> = request.query.pairs().filter(|(name, _)| signed(name)).collect();
    pairs.sort_unstable();
    let mut text = String::new();
    for (index, (name, value)) in pairs.into_iter().enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(name);
        if !value.is_empty() {
            text.push('=');
            text.push_str(value);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use http::Request as HttpRequest;

    const DATE: &str = "Wed, 28 Dec 2022 10:27:41 GMT";

    fn account() -> Account {
        Account::new("ak".into(), "sk".into(), "cn-hangzhou".into())
    }

    fn parse(builder: http::request::Builder) -> Request {
        Request::parse(builder.body(()).unwrap().into_parts().0).unwrap()
    }

    #[test]
    fn the_official_vector() {
        let request = parse(
            HttpRequest::get("/examplebucket/?acl&resourceGroup&non-resousce=123")
                .header("host", "127.0.0.1")
                .header("x-oss-date", DATE)
                .header("authorization", "OSS ak:x3E5TgOvl/i7PN618s5mEvpJDYk="),
        );
        let now = time::parse_http_date(DATE).unwrap();
        assert_eq!(account().identify(&request, now), Ok(super::super::Caller::Owner));
        let late = now + jiff::SignedDuration::from_mins(16);
        assert_eq!(account().identify(&request, late).unwrap_err().code(), Code::RequestTimeTooSkewed);
    }

    #[test]
    fn urls_expire() {
        let request = parse(
            HttpRequest::get("/bkt/key?OSSAccessKeyId=ak&Expires=1000&Signature=abc").header("host", "127.0.0.1"),
        );
        let code = |second| {
            let refused = account().identify(&request, Timestamp::from_second(second).unwrap()).unwrap_err();
            (refused.code(), refused.number())
        };
        assert_eq!(code(1000), (Code::SignatureDoesNotMatch, Some("0002-00000040")));
        assert_eq!(code(1001).0, Code::AccessDenied);
    }

    #[test]
    fn the_subresources_are_sorted() {
        assert!(SUBRESOURCES.is_sorted());
    }
}
