//! The store on the wire: against scripted answers, right and wrong, and against the sandbox.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod contract;
mod credentials;
mod exchange;
mod faults;
mod model;
mod nonsense;
mod proxy;
mod sandboxed;
mod scripted;
mod tls;
