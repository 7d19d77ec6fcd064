//! One operation: sign, send, understand, and try again where that is right.
//!
//! Invariant: an operation that may not be repeated blindly is sent again only after an answer that proves that it was not
//! applied, or when it can't have reached the server. Everything else ends as `Unknown`.

use super::Inner;
use super::answer::{self, Refusal};
use super::request::{CONTENT_MD5, Call, Repeat, Target};
use crate::credentials::Credentials;
use crate::error::{Error, Kind, Result};
use crate::http::{Failure, Response};
use crate::sign::Subject;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use ossfs_types::Timestamp;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

/// Largest document that is read: 1,000 keys of 1,023 bytes, url-encoded, with what surrounds them, take 4 MB.
const DOCUMENT_BYTES_MAX: usize = 16 << 20;
/// Largest error document that is read.
const ERROR_BYTES_MAX: usize = 64 << 10;
/// How often something of ours (clock, credentials) is put right within one operation.
const MENDED_MAX: u32 = 2;

/// What became of an attempt that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It will never succeed.
    Final,
    /// It was not applied, and may succeed later.
    Refused,
    /// Nobody knows.
    Lost,
    /// It was refused for something of ours that has been put right.
    Mended,
}

/// An attempt that did not succeed.
pub(super) struct Flaw {
    error: Error,
    fate: Fate,
}

/// A whole answer, with success.
pub(super) struct Answered {
    pub headers: HeaderMap,
    pub document: Bytes,
    /// An attempt before it was lost, and may have been applied too.
    pub repeated: bool,
}

/// Counts the attempts at one operation.
pub(super) struct Attempts {
    begun: Instant,
    made: u32,
    mended: u32,
    /// Whether nobody knows what became of one of them.
    lost: bool,
}

impl Attempts {
    pub(super) fn none() -> Self {
        Self { begun: Instant::now(), made: 0, mended: 0, lost: false }
    }
}

impl Inner {
    /// The answer to an operation, with all of its body.
    pub(super) async fn answer(&self, call: &Call<'_>) -> Result<Answered> {
        let mut attempts = Attempts::none();
        loop {
            let flaw = match self.attempt(call).await {
                Err(flaw) => flaw,
                Ok(response) => {
                    let headers = response.headers;
                    match response.body.collect(DOCUMENT_BYTES_MAX).await {
                        Ok(document) => return Ok(Answered { headers, document, repeated: attempts.lost }),
                        Err(failure) => lost(call, &failure),
                    }
                }
            };
            self.after(call, flaw, &mut attempts).await?;
        }
    }

    /// The head of the answer to an operation that reads, with its body to come.
    pub(super) async fn open(&self, call: &Call<'_>, attempts: &mut Attempts) -> Result<Response> {
        loop {
            match self.attempt(call).await {
                Ok(response) => return Ok(response),
                Err(flaw) => self.after(call, flaw, attempts).await?,
            }
        }
    }

    /// Waits after a body broke off; an error if it did so too often.
    pub(super) async fn after_break(&self, call: &Call<'_>, failure: &Failure, attempts: &mut Attempts) -> Result<()> {
        self.after(call, lost(call, failure), attempts).await
    }

    /// Waits until the next attempt, or says that there is none.
    async fn after(&self, call: &Call<'_>, flaw: Flaw, attempts: &mut Attempts) -> Result<()> {
        let Flaw { error, fate } = flaw;
        let throttled = error.kind() == Kind::Throttled;
        attempts.made += 1;
        attempts.lost |= fate == Fate::Lost || error.kind() == Kind::Corrupt;
        // Whatever a later attempt met: one before it may have changed something.
        let unknown = attempts.lost && call.method != Method::GET && call.method != Method::HEAD;
        let error = if unknown { error.into_kind(Kind::Unknown) } else { error };
        match fate {
            Fate::Final => return Err(error),
            Fate::Lost if call.repeat == Repeat::IfRefused => return Err(error),
            Fate::Lost | Fate::Refused if call.repeat == Repeat::Never => return Err(error),
            Fate::Mended if attempts.mended < MENDED_MAX => {
                attempts.mended += 1;
                return Ok(());
            }
            Fate::Mended | Fate::Refused | Fate::Lost => {}
        }
        let delay = match throttled {
            true => self.retry.delay_throttled(attempts.made, attempts.begun.elapsed(), fastrand::f64()),
            false => self.retry.delay(attempts.made, false, fastrand::f64()),
        };
        let Some(delay) = delay else {
            return Err(error);
        };
        tracing::debug!(%error, attempt = attempts.made, ?delay, "trying again");
        tokio::time::sleep(delay).await;
        Ok(())
    }

    /// Sends once.
    async fn attempt(&self, call: &Call<'_>) -> Result<Response, Flaw> {
        let credentials = self.credentials.as_ref().map(|keeper| keeper.current());
        let query: Vec<(&str, Option<&str>)> =
            call.query.iter().map(|(name, value)| (*name, value.as_deref())).collect();
        let bucket = (!matches!(call.target, Target::Service)).then_some(&self.bucket);
        let mut headers = call.headers.clone();
        if let Some(credentials) = &credentials {
            let subject = Subject {
                method: &call.method,
                bucket: bucket.map(|bucket| bucket.as_str()),
                key: call.target.key(),
                query: &query,
                headers: &call.headers,
            };
            headers.extend(self.signer.sign(&subject, credentials, self.now()));
        }
        let uri = self.endpoint.url(self.addressing, bucket, call.target.key(), &query).map_err(|problem| Flaw {
            error: call.error(Kind::Invalid, format!("the URL is malformed: {problem}")),
            fate: Fate::Final,
        })?;
        let sent = self.client.send(call.method.clone(), uri, headers, call.payload.clone()).await;
        let response = sent.map_err(|failure| lost(call, &failure))?;
        let Some(request_id) = answer::request_id(&response.headers) else {
            return Err(not_from_oss(call, response.status));
        };
        if response.status.is_success() {
            return Ok(response);
        }
        Err(self.refused(call, response, request_id, credentials).await)
    }

    /// What an answer without success means.
    async fn refused(
        &self,
        call: &Call<'_>,
        response: Response,
        request_id: String,
        credentials: Option<Arc<Credentials>>,
    ) -> Flaw {
        let Response { status, headers, body } = response;
        let (document, cut_off) = match body.collect(ERROR_BYTES_MAX).await {
            Ok(document) => (document, false),
            Err(_) => (Bytes::new(), true),
        };
        let Refusal { kind, code, message } = answer::refusal(status, &headers, &document);
        let fate = match code.as_deref().unwrap_or_default() {
            "RequestTimeTooSkewed" => self.learn_skew(&headers),
            "InvalidAccessKeyId" | "SecurityTokenExpired" | "InvalidSecurityToken" => {
                self.replace_credentials(credentials).await
            }
            // We know what we sent, so it was changed on its way.
            "InvalidDigest" if call.headers.contains_key(CONTENT_MD5) => Fate::Refused,
            // The body did not come in time, so there was nothing to apply.
            "RequestTimeout" => Fate::Refused,
            // Without the code it is not known what for; but refused it was.
            _ if cut_off && status.is_client_error() => Fate::Refused,
            _ if kind == Kind::Throttled || status == StatusCode::REQUEST_TIMEOUT => Fate::Refused,
            // A failing server may have done it before it failed.
            _ if kind == Kind::Unavailable => Fate::Lost,
            _ => Fate::Final,
        };
        let error = call.error(kind, message).answered(status.as_u16(), code, Some(request_id));
        Flaw { error, fate }
    }

    /// The time of day at the server, as far as it told.
    fn now(&self) -> Timestamp {
        let skew_ms = self.skew_ms.load(Ordering::Relaxed);
        let now = self.clock.now();
        now.checked_add(jiff::SignedDuration::from_millis(skew_ms)).unwrap_or(now)
    }

    fn learn_skew(&self, headers: &HeaderMap) -> Fate {
        let Some(date) = answer::date(headers) else { return Fate::Final };
        let skew_ms = date.as_millisecond() - self.clock.now().as_millisecond();
        tracing::warn!(skew_ms, "this machine's clock is wrong; requests are signed with the server's time");
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
        Fate::Mended
    }

    async fn replace_credentials(&self, refused: Option<Arc<Credentials>>) -> Fate {
        let (Some(keeper), Some(refused)) = (&self.credentials, refused) else { return Fate::Final };
        match keeper.replace(&refused).await {
            Some(_) => Fate::Mended,
            None => Fate::Final,
        }
    }
}

/// There was no answer, or no whole one.
fn lost(call: &Call<'_>, failure: &Failure) -> Flaw {
    let fate = if failure.not_sent { Fate::Refused } else { Fate::Lost };
    Flaw { error: call.error(Kind::Unavailable, failure.to_string()), fate }
}

/// Something else answered: a proxy, a portal, another service. What a gateway says while the server behind it is down may
/// pass; anything else is a wrong endpoint.
fn not_from_oss(call: &Call<'_>, status: StatusCode) -> Flaw {
    let passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    let (kind, fate) = if passing { (Kind::Unavailable, Fate::Lost) } else { (Kind::Corrupt, Fate::Final) };
    let message = "whatever answered is not OSS (no x-oss-request-id): check the endpoint and the proxy";
    Flaw { error: call.error(kind, message).answered(status.as_u16(), None, None), fate }
}
