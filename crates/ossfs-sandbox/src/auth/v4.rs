//! Signatures of version 4: `OSS4-HMAC-SHA256`.

use super::{Account, check_not_expired, check_skew, header_bytes, hmac_sha256, malformed, mismatch, sorted_names};
use crate::error::{OssError, Result};
use crate::request::Request;
use crate::time;
use hmac::Mac;
use jiff::SignedDuration;
use ossfs_types::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

pub(super) const ALGORITHM: &str = "OSS4-HMAC-SHA256";
/// What signing keys begin with.
const SCHEME: &str = "aliyun_v4";
const PRODUCT: &str = "oss";
const TERMINATOR: &str = "aliyun_v4_request";
/// OSS signs no bodies.
const PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// Seven days, the longest life of a signed URL.
const EXPIRES_SECONDS_MAX: u64 = 7 * 24 * 60 * 60;

const QUERY: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: AsciiSet = QUERY.remove(b'/');

/// What a signature says about itself.
struct Claim<'a> {
    id: &'a str,
    day: &'a str,
    region: &'a str,
    product: &'a str,
    terminator: &'a str,
    additional: Vec<String>,
    signature: &'a str,
    in_url: bool,
}

/// Verifies `Credential=…,AdditionalHeaders=…,Signature=…`.
pub(super) fn verify_header(account: &Account, request: &Request, fields: &str, now: Timestamp) -> Result<()> {
    let (mut credential, mut additional, mut signature) = (None, "", None);
    for field in fields.split(',') {
        match field.trim().split_once('=') {
            Some(("Credential", value)) => credential = Some(value),
            Some(("AdditionalHeaders", value)) => additional = value,
            Some(("Signature", value)) => signature = Some(value),
            _ => return Err(malformed("Invalid field in Authorization header.")),
        }
    }
    let (Some(credential), Some(signature)) = (credential, signature) else {
        return Err(malformed("Credential or Signature is missing in Authorization header."));
    };
    let payload = request.headers.get("x-oss-content-sha256");
    if payload.is_none_or(|payload| payload != PAYLOAD) {
        return Err(malformed("The x-oss-content-sha256 header must be UNSIGNED-PAYLOAD."));
    }
    let (sent, text) = match request.headers.get("x-oss-date").and_then(|value| value.to_str().ok()) {
        Some(text) => (time::parse_compact(text.trim()), Some(text.trim().to_owned())),
        None => {
            let date = request.headers.get(http::header::DATE).and_then(|value| value.to_str().ok());
            (date.and_then(time::parse_http_date), None)
        }
    };
    let sent = sent.ok_or_else(|| OssError::denied("OSS authentication requires a valid Date."))?;
    let sent_text = text.unwrap_or_else(|| compact(sent));
    let claim = claim(credential, additional, signature, false)?;
    check_scope(account, &claim, &sent_text)?;
    check_skew(sent, now)?;
    verify(account, request, &claim, &sent_text)
}

/// Verifies a signed URL.
pub(super) fn verify_url(account: &Account, request: &Request, now: Timestamp) -> Result<()> {
    let query = &request.query;
    if query.value("x-oss-signature-version") != Some(ALGORITHM) {
        return Err(malformed("The x-oss-signature-version is not supported."));
    }
    let needed = |name| {
        query.text(name).ok_or_else(|| {
            OssError::argument(name, "", "A parameter of the signed URL is missing.").ec("0002-00000216")
        })
    };
    let claim = claim(
        needed("x-oss-credential")?,
        query.value("x-oss-additional-headers").unwrap_or(""),
        needed("x-oss-signature")?,
        true,
    )?;
    let sent_text = needed("x-oss-date")?;
    let sent = time::parse_compact(sent_text)
        .ok_or_else(|| OssError::argument("x-oss-date", sent_text, "Invalid x-oss-date."))?;
    needed("x-oss-expires")?;
    let seconds = query.number("x-oss-expires", 0..=EXPIRES_SECONDS_MAX)?.unwrap_or(0);
    check_scope(account, &claim, sent_text)?;
    if sent > now {
        check_skew(sent, now)?;
    }
    let life = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    check_not_expired(sent.checked_add(life).unwrap_or(Timestamp::MAX), now)?;
    verify(account, request, &claim, sent_text)
}

fn compact(time: Timestamp) -> String {
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn claim<'a>(credential: &'a str, additional: &str, signature: &'a str, in_url: bool) -> Result<Claim<'a>> {
    let mut fields = credential.rsplitn(5, '/');
    let mut next = || fields.next().ok_or_else(|| malformed("Invalid credential in Authorization header."));
    let (terminator, product, region, day, id) = (next()?, next()?, next()?, next()?, next()?);
    let mut additional: Vec<String> =
        additional.split(';').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()).collect();
    additional.sort_unstable();
    Ok(Claim { id, day, region, product, terminator, additional, signature, in_url })
}

fn check_scope(account: &Account, claim: &Claim<'_>, sent: &str) -> Result<()> {
    // OSS words it differently for headers and for URLs.
    let wrong = |in_header, in_url| Err(malformed(if claim.in_url { in_url } else { in_header }));
    if sent.get(..8) != Some(claim.day) {
        return wrong("Invalid signing date in Authorization header.", "The signing date in credential is invalid.");
    }
    if claim.region != account.region {
        return wrong(
            "Invalid signing region in Authorization header.",
            "The signing region in credential is invalid.",
        )
        .map_err(|error| error.ec("0002-00000226"));
    }
    if claim.product != PRODUCT {
        return wrong(
            "Invalid signing product in Authorization header.",
            "The signing product in credential is invalid.",
        );
    }
    if claim.terminator != TERMINATOR {
        return wrong("Invalid credential in Authorization header.", "The credential is invalid.");
    }
    account.check_id(claim.id)
}

fn verify(account: &Account, request: &Request, claim: &Claim<'_>, sent: &str) -> Result<()> {
    let canonical = canonical_request(request, &claim.additional);
    let string_to_sign = string_to_sign(claim, sent, &canonical);
    let key = account.signing_key(SCHEME, [claim.day, claim.region, PRODUCT, TERMINATOR]);
    let provided = hex::decode(claim.signature).unwrap_or_default();
    if hmac_sha256(&key, string_to_sign.as_bytes()).verify_slice(&provided).is_ok() {
        return Ok(());
    }
    Err(mismatch(claim.id, claim.signature, string_to_sign.as_bytes(), claim.in_url)
        .detail("CanonicalRequest", String::from_utf8_lossy(&canonical).into_owned()))
}

fn string_to_sign(claim: &Claim<'_>, sent: &str, canonical: &[u8]) -> String {
    let Claim { day, region, product, terminator, .. } = claim;
    let hash = hex::encode(Sha256::digest(canonical));
    format!("{ALGORITHM}\n{sent}\n{day}/{region}/{product}/{terminator}\n{hash}")
}

/// The request in the one form that both sides can compute.
fn canonical_request(request: &Request, additional: &[String]) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(1024);
    let mut text = format!("{}\n/", request.method);
    if let Some(bucket) = &request.bucket {
        text.push_str(bucket.as_str());
        text.push('/');
    }
    if let Some(key) = &request.key {
        text.extend(utf8_percent_encode(key.as_str(), &PATH));
    }
    text.push('\n');
    text.push_str(&canonical_query(request));
    text.push('\n');
    canonical.extend_from_slice(text.as_bytes());
    let signed = |name: &str| {
        name.starts_with("x-oss-")
            || matches!(name, "content-type" | "content-md5")
            || additional.iter().any(|other| other == name)
    };
    for name in sorted_names(request, signed) {
        canonical.extend_from_slice(name.as_bytes());
        canonical.push(b':');
        canonical.extend_from_slice(&header_bytes(request, name));
        canonical.push(b'\n');
    }
    canonical.push(b'\n');
    canonical.extend_from_slice(additional.join(";").as_bytes());
    canonical.push(b'\n');
    canonical.extend_from_slice(PAYLOAD.as_bytes());
    canonical
}

fn canonical_query(request: &Request) -> String {
    let encode = |text: &str| utf8_percent_encode(text, &QUERY).to_string();
    let mut pairs: Vec<(String, String)> = request
        .query
        .pairs()
        .filter(|(name, _)| *name != "x-oss-signature")
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort_unstable();
    let line = |(name, value): &(String, String)| {
        if value.is_empty() { name.clone() } else { format!("{name}={value}") }
    };
    pairs.iter().map(line).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use http::Request as HttpRequest;

    /// Alibaba's own vectors.
    fn vector(second: i64, signature: &str, token: Option<&str>, additional: &str) {
        let sent = Timestamp::from_second(second).unwrap();
        let day = &compact(sent)[..8];
        let more = if additional.is_empty() { String::new() } else { format!(",AdditionalHeaders={additional}") };
        let mut builder = HttpRequest::put(
            "/1234%2B-/123/1.txt?param1=value1&%2Bparam1=value3&%7Cparam1=value4&%2Bparam2&%7Cparam2&param2",
        )
        .header("host", "bucket.oss-cn-hangzhou.aliyuncs.com")
        .header("x-oss-head1", "value")
        .header("abc", "value")
        .header("ZAbc", "value")
        .header("XYZ", "value")
        .header("content-type", "text/plain")
        .header("x-oss-content-sha256", PAYLOAD)
        .header("x-oss-date", compact(sent))
        .header(
            "authorization",
            format!("{ALGORITHM} Credential=ak/{day}/cn-hangzhou/oss/{TERMINATOR}{more},Signature={signature}"),
        );
        if let Some(token) = token {
            builder = builder.header("x-oss-security-token", token);
        }
        let request = Request::parse(builder.body(()).unwrap().into_parts().0).unwrap();
        let account = Account::new("ak".into(), "sk".into(), "cn-hangzhou".into());
        assert_eq!(account.identify(&request, sent), Ok(super::super::Caller::Owner));
        let late = sent + SignedDuration::from_secs(15 * 60 + 1);
        assert_eq!(account.identify(&request, late).unwrap_err().code(), Code::RequestTimeTooSkewed);
        let other = Account::new("ak".into(), "other".into(), "cn-hangzhou".into());
        let refused = other.identify(&request, sent).unwrap_err();
        assert_eq!(refused.code(), Code::SignatureDoesNotMatch);
        assert!(refused.details().iter().any(|(name, text)| *name == "CanonicalRequest" && text.starts_with("PUT\n")));
    }

    #[test]
    fn the_official_vectors() {
        vector(1_702_743_657, "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe", None, "");
        vector(1_702_784_856, "b94a3f999cf85bcdc00d332fbd3734ba03e48382c36fa4d5af5df817395bd9ea", Some("token"), "");
        vector(1_702_747_512, "4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f", None, "abc;zabc");
    }

    #[test]
    fn scopes_are_checked() {
        let account = Account::new("ak".into(), "sk".into(), "cn-hangzhou".into());
        let code = |credential: &str| {
            let claim = claim(credential, "", "00", false)?;
            check_scope(&account, &claim, "20231216T162057Z")
        };
        assert!(code("ak/20231216/cn-hangzhou/oss/aliyun_v4_request").is_ok());
        for (bad, expected) in [
            ("ak/20231217/cn-hangzhou/oss/aliyun_v4_request", "Invalid signing date in Authorization header."),
            ("ak/20231216/cn-beijing/oss/aliyun_v4_request", "Invalid signing region in Authorization header."),
            ("ak/20231216/cn-hangzhou/ecs/aliyun_v4_request", "Invalid signing product in Authorization header."),
            ("ak/20231216/cn-hangzhou/oss/aws4_request", "Invalid credential in Authorization header."),
            ("ak", "Invalid credential in Authorization header."),
        ] {
            assert_eq!(code(bad).unwrap_err().text(), expected);
        }
        let refused = code("who/20231216/cn-hangzhou/oss/aliyun_v4_request").unwrap_err();
        assert_eq!(refused.code(), Code::InvalidAccessKeyId);
    }
}
