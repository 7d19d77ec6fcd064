//! S3's face: the same buckets for clients that speak S3, as OSS has such a face of its own.
//!
//! It is a thin layer around the operations, which know nothing of it. A request is verified as it came, by AWS's
//! signatures of version 4; then it is said again in OSS's words (`x-amz-…` becomes `x-oss-…`) and goes the way of all
//! others: counted, delayed and harmed alike. The answer is said in S3's words again. Where S3 can ask for what OSS's
//! words have no name for, the request is refused; nothing that matters is dropped silently but storage classes, ACLs
//! and encryption at rest.

mod inbound;
mod outbound;
mod payload;
mod signature;

use crate::auth::{Account, Caller};
use crate::error::Result;
use crate::receive::RequestBody;
use crate::request::Request;
use crate::route::Operation;
use http::header::AUTHORIZATION;
use http::request::Parts;
use ossfs_types::Timestamp;

pub(crate) use inbound::in_oss_words;
pub(crate) use outbound::{completed, in_s3_words, refusal};

/// Whether a request speaks S3: it is signed as AWS says, or, where it is not signed at all, has a header of AWS's.
pub(crate) fn is_spoken(parts: &Parts) -> bool {
    if let Some(value) = parts.headers.get(AUTHORIZATION) {
        return value.as_bytes().starts_with(b"AWS");
    }
    let in_query = parts.uri.query().unwrap_or("").split('&').any(|pair| {
        let name = pair.split('=').next().unwrap_or("");
        name == "X-Amz-Signature" || name == "AWSAccessKeyId"
    });
    in_query || parts.headers.keys().any(|name| name.as_str().starts_with("x-amz-"))
}

/// Verifies whatever signature a request carries, and has its body unwrapped as it says.
pub(crate) fn identify(
    account: &Account,
    request: &Request,
    operation: Operation,
    body: &mut RequestBody,
    now: Timestamp,
) -> Result<Caller> {
    let signed = signature::verify(account, request, now)?;
    let caller = if signed.is_some() { Caller::Owner } else { Caller::Anonymous };
    if let Some((wrapping, declared)) = payload::wrapping(request, operation, signed)? {
        body.set_wrapping(Box::new(wrapping), declared);
    }
    Ok(caller)
}
