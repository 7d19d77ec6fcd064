//! HTTP/1.1 to one server: a bounded pool of connections, deadlines, bodies that are not copied.
//!
//! Invariants: no more than `connections_max` requests are in flight; a request that neither moves nor ends fails;
//! a failure says whether the request may have reached the server ([`Failure`]). Nothing here retries or knows OSS.

mod body;
mod client;
mod connector;
mod tls;

pub(crate) use client::{Client, Failure, Response};
pub use connector::Proxy;

use std::time::Duration;

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection: name lookup, TCP, proxy and TLS together.
    pub connect: Duration,
    /// From the request's last byte to the answer's first.
    pub first_byte: Duration,
    /// Without a byte in either direction while a body is under way.
    pub silence: Duration,
}

impl Default for Timeouts {
    /// As patient as a file system can be whose calls end within 30 s.
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), first_byte: Duration::from_secs(20), silence: Duration::from_secs(20) }
    }
}

/// How to reach a server.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Most requests in flight, each on a connection of its own.
    pub connections_max: usize,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Which proxy to use.
    pub proxy: Proxy,
    /// Whether a server must show a certificate that this machine trusts, made out to its name. Without it anyone between
    /// here and the server can read and change everything.
    pub verify_certificates: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connections_max: 64,
            timeouts: Timeouts::default(),
            proxy: Proxy::FromEnvironment,
            verify_certificates: true,
        }
    }
}
