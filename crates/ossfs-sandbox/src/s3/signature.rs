//! AWS's signatures of version 4, in headers and in URLs.
//!
//! The region of a signature is whatever the client was set to, as nothing here differs by region; all else of its
//! scope is held against the request.

use crate::auth::{Account, check_not_expired, check_skew, hmac_sha256, mismatch};
use crate::error::{Code, OssError, Result};
use crate::request::Request;
use crate::time;
use hmac::Mac;
use http::header::AUTHORIZATION;
use jiff::SignedDuration;
use ossfs_types::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode};
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What signing keys begin with.
const SCHEME: &str = "AWS4";
const SERVICE: &str = "s3";
const TERMINATOR: &str = "aws4_request";
/// Seven days, the longest life of a signed URL.
const EXPIRES_SECONDS_MAX: u64 = 7 * 24 * 60 * 60;
/// The header that says how the body is signed.
pub(super) const CONTENT_SHA256: &str = "x-amz-content-sha256";
/// What it says of a body that is not.
pub(super) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

const QUERY: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: AsciiSet = QUERY.remove(b'/');

/// A signature that verified, and what signs the pieces of the body after it.
#[derive(Debug)]
pub(super) struct Signed {
    key: [u8; 32],
    /// Time and scope, as each text to sign begins with them.
    place: String,
    /// The last signature: each signs the one before too.
    last: String,
}

impl Signed {
    /// Verifies the next signature, of something that `kind` names.
    pub(super) fn verify_next(&mut self, kind: &str, text: &str, signature: &str) -> Result<()> {
        let string_to_sign = format!("{ALGORITHM}-{kind}\n{}\n{}\n{text}", self.place, self.last);
        let provided = hex::decode(signature).unwrap_or_default();
        if hmac_sha256(&self.key, string_to_sign.as_bytes()).verify_slice(&provided).is_err() {
            return Err(OssError::new(Code::SignatureDoesNotMatch)
                .detail("SignatureProvided", signature)
                .detail("StringToSign", string_to_sign));
        }
        signature.clone_into(&mut self.last);
        Ok(())
    }
}

/// What a signature says about itself.
#[derive(Debug)]
struct Claim<'a> {
    credential: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
    sent: &'a str,
    payload: &'a str,
    in_url: bool,
}

/// Verifies the signature of a request; `None` if there is none.
pub(super) fn verify(account: &Account, request: &Request, now: Timestamp) -> Result<Option<Signed>> {
    let claim = match request.headers.get(AUTHORIZATION) {
        Some(value) => in_header(request, value.to_str().unwrap_or(""))?,
        None if request.query.has("X-Amz-Signature") => in_url(request, now)?,
        None if request.query.has("AWSAccessKeyId") => return Err(unsupported()),
        None => return Ok(None),
    };
    let sent = time::parse_compact(claim.sent)
        .ok_or_else(|| OssError::denied("AWS authentication requires a valid Date or x-amz-date header"))?;
    let mut fields = claim.credential.rsplitn(5, '/');
    let mut next = || fields.next().ok_or_else(|| malformed("The credential is not ID/DATE/REGION/s3/aws4_request."));
    let (terminator, service, region, day, id) = (next()?, next()?, next()?, next()?, next()?);
    account.check_id(id)?;
    if claim.sent.get(..8) != Some(day) || service != SERVICE || terminator != TERMINATOR {
        return Err(malformed("The credential's date, service or terminator is wrong."));
    }
    if !claim.in_url {
        check_skew(sent, now)?;
    }
    check_headers(request, &claim)?;
    let place = format!("{}\n{day}/{region}/{service}/{terminator}", claim.sent);
    let canonical = canonical_request(request, &claim);
    let hash = hex::encode(Sha256::digest(&canonical));
    let string_to_sign = format!("{ALGORITHM}\n{place}\n{hash}");
    let key = account.signing_key(SCHEME, [day, region, service, terminator]);
    let provided = hex::decode(claim.signature).unwrap_or_default();
    if hmac_sha256(&key, string_to_sign.as_bytes()).verify_slice(&provided).is_err() {
        return Err(mismatch(id, claim.signature, string_to_sign.as_bytes(), claim.in_url)
            .detail("CanonicalRequest", String::from_utf8_lossy(&canonical).into_owned()));
    }
    Ok(Some(Signed { key, place, last: claim.signature.to_owned() }))
}

fn malformed(message: &'static str) -> Box<OssError> {
    OssError::new(Code::AuthorizationHeaderMalformed).message(message)
}

fn unsupported() -> Box<OssError> {
    OssError::new(Code::InvalidRequest)
        .message("The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
}

fn in_header<'a>(request: &'a Request, authorization: &'a str) -> Result<Claim<'a>> {
    let fields = authorization.strip_prefix(ALGORITHM).filter(|fields| fields.starts_with(' '));
    let fields = fields.ok_or_else(unsupported)?;
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for field in fields.split(',') {
        match field.trim().split_once('=') {
            Some(("Credential", value)) => credential = Some(value),
            Some(("SignedHeaders", value)) => signed_headers = Some(value),
            Some(("Signature", value)) => signature = Some(value),
            _ => return Err(malformed("There is a field that is not Credential, SignedHeaders or Signature.")),
        }
    }
    let (Some(credential), Some(signed_headers), Some(signature)) = (credential, signed_headers, signature) else {
        return Err(malformed("Credential, SignedHeaders or Signature is missing."));
    };
    let text = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let payload = text(CONTENT_SHA256).ok_or_else(|| {
        OssError::new(Code::InvalidRequest).message("Missing required header for this request: x-amz-content-sha256")
    })?;
    let sent = text("x-amz-date").or_else(|| text("date")).unwrap_or("");
    let signed_headers = signed_headers.split(';').collect();
    Ok(Claim { credential, signed_headers, signature, sent, payload, in_url: false })
}

fn in_url(request: &Request, now: Timestamp) -> Result<Claim<'_>> {
    let query = &request.query;
    let wrong =
        |message: &'static str| OssError::argument("X-Amz-Signature", "", message).detail("ServerTime", time::iso(now));
    let needed = |name| query.text(name).ok_or_else(|| wrong("A parameter of the signed URL is missing."));
    if needed("X-Amz-Algorithm")? != ALGORITHM {
        return Err(unsupported());
    }
    let sent_text = needed("X-Amz-Date")?;
    let sent = time::parse_compact(sent_text).ok_or_else(|| wrong("X-Amz-Date must be like 20261123T084240Z."))?;
    needed("X-Amz-Expires")?;
    let seconds = query.number("X-Amz-Expires", 0..=EXPIRES_SECONDS_MAX)?.unwrap_or(0);
    if sent > now {
        check_skew(sent, now)?;
    }
    let life = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    check_not_expired(sent.checked_add(life).unwrap_or(Timestamp::MAX), now)?;
    let in_header = request.headers.get(CONTENT_SHA256).and_then(|value| value.to_str().ok()).map(str::trim);
    Ok(Claim {
        credential: needed("X-Amz-Credential")?,
        signed_headers: needed("X-Amz-SignedHeaders")?.split(';').collect(),
        signature: needed("X-Amz-Signature")?,
        sent: sent_text,
        payload: in_header.unwrap_or(UNSIGNED),
        in_url: true,
    })
}

/// The host is to be signed, and whatever AWS's headers say.
fn check_headers(request: &Request, claim: &Claim<'_>) -> Result<()> {
    // Also keeps a list of one large header's name, over and over, from being said as a text of many times its size.
    if !claim.signed_headers.is_sorted_by(|a, b| a < b) {
        return Err(malformed("SignedHeaders must be sorted, each name once."));
    }
    let needed = |name: &&str| name.starts_with("x-amz-") || *name == "host";
    let names = request.headers.keys().map(|name| name.as_str());
    let unsigned: Vec<&str> = names.filter(needed).filter(|name| !claim.signed_headers.contains(name)).collect();
    if unsigned.is_empty() {
        return Ok(());
    }
    Err(OssError::denied("There were headers present in the request which were not signed")
        .detail("HeadersNotSigned", unsigned.join(", ")))
}

/// The request in the one form that both sides can compute.
fn canonical_request(request: &Request, claim: &Claim<'_>) -> Vec<u8> {
    let path: Vec<u8> = percent_decode_str(&request.path).collect();
    let text = format!("{}\n{}\n{}\n", request.method, percent_encode(&path, &PATH), canonical_query(request));
    let mut canonical = text.into_bytes();
    for name in &claim.signed_headers {
        canonical.extend_from_slice(name.as_bytes());
        canonical.push(b':');
        for (index, value) in request.headers.get_all(*name).iter().enumerate() {
            if index > 0 {
                canonical.push(b',');
            }
            // Blanks at the ends go, and several in between are one.
            let words = value.as_bytes().split(|byte| *byte == b' ').filter(|word| !word.is_empty());
            canonical.extend_from_slice(&words.collect::<Vec<_>>().join(&b' '));
        }
        canonical.push(b'\n');
    }
    let rest = format!("\n{}\n{}", claim.signed_headers.join(";"), claim.payload);
    canonical.extend_from_slice(rest.as_bytes());
    canonical
}

fn canonical_query(request: &Request) -> String {
    let encode = |text: &str| utf8_percent_encode(text, &QUERY).to_string();
    let signed = request.query.pairs().filter(|(name, _)| *name != "X-Amz-Signature");
    let mut pairs: Vec<(String, String)> = signed.map(|(name, value)| (encode(name), encode(value))).collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::request::Query;
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    const NO_BODY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const SCOPE: &str = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";

    pub(in crate::s3) fn account() -> Account {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        Account::new("AKIAIOSFODNN7EXAMPLE".into(), secret.into(), "cn-hangzhou".into())
    }

    pub(in crate::s3) fn now() -> Timestamp {
        "2013-05-24T00:00:00Z".parse().unwrap()
    }

    /// A request of the documentation's examples; `headers` are all but host, date and authorization.
    pub(in crate::s3) fn request(method: Method, host: &str, target: &str, headers: &[(&str, &str)]) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut map = HeaderMap::new();
        for (name, value) in [("host", host), ("x-amz-date", "20130524T000000Z")].iter().chain(headers) {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let (bucket, key) = (None, None);
        let query = Query::parse(query).unwrap();
        Request { method, path: path.to_owned(), bucket, key, query, headers: map, host: host.to_owned() }
    }

    pub(in crate::s3) fn signed(mut request: Request, signed_headers: &str, signature: &str) -> Request {
        let text = format!("{ALGORITHM} Credential={SCOPE},SignedHeaders={signed_headers},Signature={signature}");
        request.headers.insert(AUTHORIZATION, HeaderValue::from_str(&text).unwrap());
        request
    }

    const HOST: &str = "examplebucket.s3.amazonaws.com";

    /// The examples of AWS's documentation.
    fn examples() -> Vec<Request> {
        let all = "host;x-amz-content-sha256;x-amz-date";
        let none = (CONTENT_SHA256, NO_BODY);
        vec![
            signed(
                request(Method::GET, HOST, "/test.txt", &[none, ("range", "bytes=0-9")]),
                "host;range;x-amz-content-sha256;x-amz-date",
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            signed(
                request(
                    Method::PUT,
                    HOST,
                    "/test$file.text",
                    &[
                        ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                        (CONTENT_SHA256, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"),
                    ],
                ),
                "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
            signed(
                request(Method::GET, HOST, "/?lifecycle", &[none]),
                all,
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            signed(
                request(Method::GET, HOST, "/?max-keys=2&prefix=J", &[none]),
                all,
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ]
    }

    #[test]
    fn the_official_examples() {
        for request in examples() {
            assert!(verify(&account(), &request, now()).unwrap().is_some(), "{}", request.path);
            let late = now() + SignedDuration::from_secs(15 * 60 + 1);
            assert_eq!(verify(&account(), &request, late).unwrap_err().code(), Code::RequestTimeTooSkewed);
            let other = Account::new("AKIAIOSFODNN7EXAMPLE".into(), "other".into(), "r".into());
            let refused = verify(&other, &request, now()).unwrap_err();
            assert_eq!(refused.code(), Code::SignatureDoesNotMatch);
        }
    }

    #[test]
    fn the_official_signed_url() {
        let url = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F\
            us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
            &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        let mut request = request(Method::GET, HOST, url, &[]);
        request.headers.remove("x-amz-date");
        let at = |hours| verify(&account(), &request, now() + SignedDuration::from_hours(hours));
        assert!(at(24).unwrap().is_some());
        assert_eq!(at(25).unwrap_err().code(), Code::AccessDenied);
        assert_eq!(at(-1).unwrap_err().code(), Code::RequestTimeTooSkewed);
    }

    #[test]
    fn what_is_said_is_signed() {
        let refused = |change: fn(&mut Request)| {
            let mut request = examples().remove(0);
            change(&mut request);
            verify(&account(), &request, now()).unwrap_err().code()
        };
        assert_eq!(refused(|request| request.path.push('x')), Code::SignatureDoesNotMatch);
        assert_eq!(refused(|request| request.query.set("a", "b".into())), Code::SignatureDoesNotMatch);
        let add = |request: &mut Request| {
            request.headers.insert("x-amz-meta-a", HeaderValue::from_static("b"));
        };
        assert_eq!(refused(add), Code::AccessDenied);
        let forget = |request: &mut Request| {
            request.headers.remove(CONTENT_SHA256);
        };
        assert_eq!(refused(forget), Code::InvalidRequest);
        for (authorization, code) in [
            ("AWS AKIAIOSFODNN7EXAMPLE:c2ln", Code::InvalidRequest),
            ("AWS4-HMAC-SHA256 x", Code::AuthorizationHeaderMalformed),
            ("AWS4-HMAC-SHA256 Credential=a/b,SignedHeaders=host,Signature=00", Code::AuthorizationHeaderMalformed),
            (
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/r/s3/aws4_request,SignedHeaders=host;host,\
                 Signature=00",
                Code::AuthorizationHeaderMalformed,
            ),
            (
                "AWS4-HMAC-SHA256 Credential=who/20130524/r/s3/aws4_request,SignedHeaders=host,Signature=00",
                Code::InvalidAccessKeyId,
            ),
            (
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130525/r/s3/aws4_request,SignedHeaders=host,\
                 Signature=00",
                Code::AuthorizationHeaderMalformed,
            ),
        ] {
            let mut request = examples().remove(0);
            request.headers.insert(AUTHORIZATION, HeaderValue::from_static(authorization));
            assert_eq!(verify(&account(), &request, now()).unwrap_err().code(), code, "{authorization}");
        }
    }
}
