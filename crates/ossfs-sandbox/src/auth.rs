//! Who asks: signatures of version 4 and version 1, in headers and in URLs.
//!
//! A request that carries a signature is let in only if it verifies, whatever it asks for; one without is anonymous, and
//! what anonymous requests may do is decided by ACLs elsewhere. Signatures are compared in constant time. The sandbox has
//! one account; a security token changes nothing but what is signed.

mod v1;
mod v4;

use crate::error::{Code, OssError, Result};
use crate::request::Request;
use crate::time;
use hmac::{Hmac, KeyInit, Mac};
use http::header::AUTHORIZATION;
use jiff::SignedDuration;
use ossfs_types::Timestamp;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// OSS's limit of the difference between a request's time and its own.
const SKEW_MAX: SignedDuration = SignedDuration::from_mins(15);

/// The account that may do everything.
pub(crate) struct Account {
    pub(crate) access_key_id: String,
    pub(crate) access_key_secret: String,
    /// Without `oss-`, such as `cn-hangzhou`.
    pub(crate) region: String,
    /// The signing key last used of each scheme, with the scope that it is for: it depends on nothing else.
    signing_keys: Mutex<BTreeMap<&'static str, (String, [u8; 32])>>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Who a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Owner,
    Anonymous,
}

impl Account {
    pub(crate) fn new(access_key_id: String, access_key_secret: String, region: String) -> Self {
        Self { access_key_id, access_key_secret, region, signing_keys: Mutex::default() }
    }

    /// Verifies whatever signature a request carries.
    pub(crate) fn identify(&self, request: &Request, now: Timestamp) -> Result<Caller> {
        if let Some(value) = request.headers.get(AUTHORIZATION) {
            let text = value.to_str().map_err(|_| malformed("The Authorization header must be ASCII."))?;
            match text.split_once(' ') {
                Some((v4::ALGORITHM, fields)) => v4::verify_header(self, request, fields, now)?,
                Some(("OSS", fields)) => v1::verify_header(self, request, fields.trim(), now)?,
                _ => return Err(malformed("Unsupported authorization type.")),
            }
        } else if request.query.has("x-oss-signature-version") || request.query.has("x-oss-signature") {
            v4::verify_url(self, request, now)?;
        } else if request.query.has("Signature") || request.query.has("OSSAccessKeyId") {
            v1::verify_url(self, request, now)?;
        } else {
            return Ok(Caller::Anonymous);
        }
        Ok(Caller::Owner)
    }

    pub(crate) fn check_id(&self, id: &str) -> Result<()> {
        if id == self.access_key_id {
            return Ok(());
        }
        Err(OssError::new(Code::InvalidAccessKeyId).detail("OSSAccessKeyId", id))
    }

    /// The key that signs everything of one scope, which is a day, a region, a product and a terminator: computed once
    /// a day, as clients come with one scope.
    pub(crate) fn signing_key(&self, scheme: &'static str, scope: [&str; 4]) -> [u8; 32] {
        let name = scope.join("/");
        let mut keys = self.signing_keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, key)) = keys.get(scheme)
            && *of == name
        {
            return *key;
        }
        let mut key = [scheme.as_bytes(), self.access_key_secret.as_bytes()].concat();
        for step in scope {
            key = hmac_sha256(&key, step.as_bytes()).finalize().into_bytes().to_vec();
        }
        let key: [u8; 32] = key.try_into().expect("an HMAC of SHA-256 has 32 bytes");
        keys.insert(scheme, (name, key));
        key
    }
}

/// The HMAC of a text, to be read or to be compared.
pub(crate) fn hmac_sha256(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length").chain_update(text)
}

fn malformed(message: &'static str) -> Box<OssError> {
    OssError::new(Code::InvalidArgument).message(message)
}

/// Refuses a request whose time is too far from now.
pub(crate) fn check_skew(sent: Timestamp, now: Timestamp) -> Result<()> {
    if now.duration_since(sent).abs() <= SKEW_MAX {
        return Ok(());
    }
    Err(OssError::new(Code::RequestTimeTooSkewed)
        .detail("MaxAllowedSkewMilliseconds", SKEW_MAX.as_millis().to_string())
        .detail("RequestTime", time::iso(sent))
        .detail("ServerTime", time::iso(now)))
}

/// Refuses a URL whose time is over.
pub(crate) fn check_not_expired(expires: Timestamp, now: Timestamp) -> Result<()> {
    if now <= expires {
        return Ok(());
    }
    Err(OssError::denied("Request has expired.")
        .detail("Expires", time::iso(expires))
        .detail("ServerTime", time::iso(now)))
}

/// The refusal of a signature, with what would have been signed: enough to find the mistake.
pub(crate) fn mismatch(id: &str, provided: &str, string_to_sign: &[u8], in_url: bool) -> Box<OssError> {
    let hex_bytes = string_to_sign.iter().map(|byte| format!("{byte:02X} ")).collect::<String>();
    let error = OssError::new(Code::SignatureDoesNotMatch)
        .detail("OSSAccessKeyId", id)
        .detail("SignatureProvided", provided)
        .detail("StringToSign", String::from_utf8_lossy(string_to_sign).into_owned())
        .detail("StringToSignBytes", hex_bytes);
    if in_url { error.ec("0002-00000040") } else { error }
}

/// Values of a header, joined as HTTP joins them, without the blanks around.
fn header_bytes(request: &Request, name: &str) -> Vec<u8> {
    let mut joined = Vec::new();
    for (index, value) in request.headers.get_all(name).iter().enumerate() {
        if index > 0 {
            joined.push(b',');
        }
        joined.extend_from_slice(value.as_bytes().trim_ascii());
    }
    joined
}

/// The names of the request's headers that `wanted` takes, sorted; hyper's are in lower case.
fn sorted_names(request: &Request, wanted: impl Fn(&str) -> bool) -> Vec<&str> {
    let mut names: Vec<&str> = request.headers.keys().map(|name| name.as_str()).filter(|name| wanted(name)).collect();
    names.sort_unstable();
    names
}
