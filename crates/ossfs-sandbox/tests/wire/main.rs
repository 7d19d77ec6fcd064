//! The sandbox over its socket, asked by a client that shares nothing with it.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod client;
mod conditions;
mod hostile;
mod objects;
mod persistence;
mod s3;
mod uploads;
