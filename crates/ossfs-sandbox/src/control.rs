//! `/-/`: what tests and benchmarks ask of the sandbox itself. For loopback peers only, without signatures.

use crate::answer::{Answer, Payload};
use crate::conditions::{Climate, Conditions};
use crate::request::is_loopback;
use crate::stats::Stats;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use std::net::SocketAddr;

/// Largest document that sets conditions.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// Answers a request whose path begins with `/-/`.
pub(crate) async fn answer(
    method: &Method,
    path: &str,
    body: Incoming,
    peer: SocketAddr,
    stats: &Stats,
    climate: &Climate,
) -> Answer {
    if !is_loopback(peer) {
        return text(StatusCode::FORBIDDEN, "only for clients on this machine\n".to_owned());
    }
    match (method, path) {
        (&Method::GET, "/-/stats") => json(&stats.snapshot()),
        (&Method::POST, "/-/stats/reset") => {
            stats.reset();
            Answer::empty(StatusCode::NO_CONTENT)
        }
        (&Method::GET, "/-/conditions") => json(&climate.in_force()),
        (&Method::PUT, "/-/conditions") => {
            let Ok(body) = Limited::new(body, DOCUMENT_BYTES_MAX).collect().await else {
                return text(StatusCode::BAD_REQUEST, "the body ended early or is too large\n".to_owned());
            };
            match Conditions::parse(&body.to_bytes()) {
                Ok(conditions) => {
                    climate.set(conditions);
                    json(&climate.in_force())
                }
                Err(wrong) => text(StatusCode::BAD_REQUEST, format!("{wrong}\n")),
            }
        }
        (_, "/-/stats" | "/-/stats/reset" | "/-/conditions") => {
            text(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not for {path}\n"))
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "there are GET /-/stats, POST /-/stats/reset, GET and PUT /-/conditions\n".to_owned(),
        ),
    }
}

fn json(value: &impl Serialize) -> Answer {
    let bytes = serde_json::to_vec(value).expect("numbers, texts and lists of them can be written as JSON");
    with_type("application/json", StatusCode::OK, bytes)
}

fn text(status: StatusCode, text: String) -> Answer {
    with_type("text/plain; charset=utf-8", status, text.into_bytes())
}

fn with_type(content_type: &'static str, status: StatusCode, bytes: Vec<u8>) -> Answer {
    let mut answer = Answer::empty(status);
    answer.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.payload = Payload::Text(Bytes::from(bytes));
    answer
}
