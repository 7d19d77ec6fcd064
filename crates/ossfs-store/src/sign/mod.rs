//! Signatures of requests: OSS's versions 4 and 1.
//!
//! Pure: what is signed, with what and when all come in; the headers to add come out. Secrets never leave this module
//! except inside a signature.

mod canonical;
mod v1;
mod v4;

use crate::credentials::Credentials;
use http::{HeaderMap, HeaderValue};
use ossfs_types::Timestamp;

pub(crate) use canonical::{encode_key, encode_query_value};

/// Which of OSS's signatures to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureVersion {
    /// Version 4; needs the region.
    V4,
    /// Version 1; needs no region, but new accounts and buckets refuse it.
    V1,
}

/// The parts of a request that a signature covers. The resource is `/bucket/key` whatever host the request goes to.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    pub method: &'a http::Method,
    pub bucket: Option<&'a str>,
    pub key: Option<&'a str>,
    /// Decoded names and values. A name without a value stands without `=` in the URL.
    pub query: &'a [(&'a str, Option<&'a str>)],
    pub headers: &'a HeaderMap,
}

/// Signs requests for one region.
#[derive(Debug)]
pub(crate) struct Signer {
    version: SignatureVersion,
    v4: v4::Signer,
}

impl Signer {
    /// A signer; version 1 doesn't look at the region.
    pub(crate) fn new(version: SignatureVersion, region: &str) -> Self {
        Self { version, v4: v4::Signer::new(region) }
    }

    /// The headers that make the request a signed one, to be added to those in `subject`.
    pub(crate) fn sign(&self, subject: &Subject<'_>, credentials: &Credentials, now: Timestamp) -> HeaderMap {
        match self.version {
            SignatureVersion::V4 => self.v4.sign(subject, &[], credentials, now),
            SignatureVersion::V1 => v1::sign(subject, credentials, now),
        }
    }
}

/// A header of a value that carries a secret or proves one: never printed.
fn sensitive(value: String) -> HeaderValue {
    let mut value =
        HeaderValue::try_from(value).expect("signatures, ids and tokens were checked to be printable ASCII");
    value.set_sensitive(true);
    value
}
