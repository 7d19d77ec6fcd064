//! From a request to its answer: signature, weather, operation, and what every answer carries.

use crate::answer::{Answer, AnswerBody, Harm, Payload};
use crate::auth::Account;
use crate::conditions::{Climate, FaultKind, Weather};
use crate::control;
use crate::error::{Code, Result};
use crate::operations::{self, Call};
use crate::receive::RequestBody;
use crate::request::{Request, is_control};
use crate::route::{self, Operation};
use crate::stats::Stats;
use crate::time;
use crate::world::World;
use http::header::{CONNECTION, DATE, RANGE, SERVER};
use http::{HeaderValue, Response};
use hyper::body::Incoming;
use ossfs_types::Clock;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A stalled request is given up after this time, if its client has not gone before.
const STALL: Duration = Duration::from_secs(600);

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) world: Arc<World>,
    pub(crate) account: Account,
    pub(crate) climate: Arc<Climate>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// How a connection is to end, once its current request is through with.
#[derive(Debug, Default)]
pub(crate) struct Ending(AtomicU8);

/// The ways a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As HTTP ends.
    Orderly,
    /// At once, without an answer.
    Closed,
    /// With a TCP reset.
    Reset,
}

impl Ending {
    fn set(&self, end: End) {
        self.0.store(end as u8, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> End {
        match self.0.load(Ordering::Relaxed) {
            1 => End::Closed,
            2 => End::Reset,
            _ => End::Orderly,
        }
    }
}

/// There is no answer: the connection ends.
#[derive(Debug, thiserror::Error)]
#[error("not answered, on purpose")]
pub(crate) struct NoAnswer;

impl Shared {
    /// Answers one request.
    pub(crate) async fn respond(
        &self,
        request: http::Request<Incoming>,
        peer: SocketAddr,
        ending: &Ending,
    ) -> std::result::Result<Response<AnswerBody>, NoAnswer> {
        let started = Instant::now();
        let (parts, incoming) = request.into_parts();
        if is_control(&parts) {
            let path = parts.uri.path();
            let answer = control::answer(&parts.method, path, incoming, peer, &self.stats, &self.climate).await;
            return Ok(self.finish(answer, Harm::default(), 0));
        }
        let request_id = format!("{:024X}", fastrand::u128(..) >> 32);
        let mut body = RequestBody::new(incoming, &parts.headers, self.stats.clone());
        let method = parts.method.clone();
        let parsed = Request::parse(parts).and_then(|request| {
            let operation = route::operation(&request)?;
            Ok((request, operation))
        });
        let (outcome, weather, host) = match &parsed {
            Ok((request, operation)) => {
                self.stats.count(*operation);
                let weather = self.climate.meet(*operation, request.headers.contains_key(RANGE), started);
                let outcome = self.weathered(request, *operation, &mut body, weather, ending).await?;
                (outcome, weather, request.host.as_str())
            }
            Err(error) => (Err(error.clone()), Weather::default(), ""),
        };
        if let Err(error) = &outcome {
            tracing::debug!(%request_id, code = error.name(), "{}", error.text());
        }
        let mut answer = outcome.unwrap_or_else(|error| Answer::refusal(&error, &method, host, &request_id));
        if !body.drain().await {
            answer.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let id = HeaderValue::from_str(&request_id).expect("hexadecimal digits are visible ASCII");
        answer = answer.header("x-oss-request-id", id);
        let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        answer = answer.header("x-oss-server-time", HeaderValue::from(took));
        if !weather.latency.is_zero() {
            sleep(weather.latency).await;
        }
        let harm = harm(weather.fault, parsed.as_ref().ok().map(|(_, operation)| *operation), &answer);
        Ok(self.finish(answer, harm, weather.bandwidth))
    }

    /// Runs an operation in the weather it meets. `Err` on the outside if there is to be no answer.
    async fn weathered(
        &self,
        request: &Request,
        operation: Operation,
        body: &mut RequestBody,
        weather: Weather,
        ending: &Ending,
    ) -> std::result::Result<Result<Answer>, NoAnswer> {
        if weather.throttled {
            return Ok(Err(Code::TotalQpsLimitExceeded.into()));
        }
        match weather.fault {
            Some(FaultKind::Error503) => return Ok(Err(Code::ServiceUnavailable.into())),
            Some(FaultKind::Denied) => return Ok(Err(Code::AccessDenied.into())),
            Some(FaultKind::Quota) => return Ok(Err(Code::QuotaExceeded.into())),
            Some(FaultKind::Reset) => {
                ending.set(End::Reset);
                return Err(NoAnswer);
            }
            Some(FaultKind::Stall) => {
                // hyper sees that a client has gone only once its body was read.
                body.discard().await;
                sleep(STALL).await;
                ending.set(End::Closed);
                return Err(NoAnswer);
            }
            Some(FaultKind::Corrupt) if operation != Operation::GetObject => body.flip_a_byte(),
            Some(FaultKind::Corrupt | FaultKind::LostAnswer | FaultKind::Truncate) | None => {}
        }
        body.set_bandwidth(weather.bandwidth);
        let outcome = self.run(request, operation, body).await;
        if weather.fault == Some(FaultKind::LostAnswer) {
            ending.set(End::Closed);
            return Err(NoAnswer);
        }
        Ok(outcome)
    }

    async fn run(&self, request: &Request, operation: Operation, body: &mut RequestBody) -> Result<Answer> {
        let now = self.clock.now();
        let caller = self.account.identify(request, now)?;
        let call = Call { world: &self.world, account: &self.account, caller, request, body, now };
        operations::run(operation, call).await
    }

    /// Adds what every answer carries.
    fn finish(&self, mut answer: Answer, harm: Harm, bandwidth: u64) -> Response<AnswerBody> {
        answer.set_length();
        let date = HeaderValue::from_str(&time::http_date(self.clock.now())).expect("a date is visible ASCII");
        answer.headers.insert(DATE, date);
        answer.headers.insert(SERVER, HeaderValue::from_static("AliyunOSS"));
        let mut response = Response::new(AnswerBody::new(answer.payload, harm, bandwidth, &self.stats));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        response
    }
}

/// What a fault does to the body of an answer.
fn harm(fault: Option<FaultKind>, operation: Option<Operation>, answer: &Answer) -> Harm {
    let len = answer.len();
    let is_whole_object = matches!(answer.payload, Payload::Content(_)) && answer.status == http::StatusCode::OK;
    match fault {
        Some(FaultKind::Truncate) if len > 0 => Harm { truncate_at: Some(len / 2), flip_at: None },
        Some(FaultKind::Corrupt) if operation == Some(Operation::GetObject) && is_whole_object && len > 0 => {
            Harm { truncate_at: None, flip_at: Some(fastrand::u64(..len)) }
        }
        _ => Harm::default(),
    }
}
