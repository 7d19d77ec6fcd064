//! An OSS server in memory or on a directory, for people without an account, for tests and for benchmarks.
//!
//! It verifies signatures as OSS does, has OSS's limits and errors, and can delay, throttle, cut, corrupt and refuse.
//! Clients that speak S3 find the same buckets. It never uses ossfs's own client: the two meet only on the wire.
//!
//! Not kept, though accepted: old versions of objects (the versioning state is, and lifts `x-oss-forbid-overwrite`),
//! encryption at rest, and the time that restoring an archive takes. Everything else of OSS's API is answered with 501.

mod answer;
mod auth;
mod blob;
mod bucket;
mod budget;
mod conditions;
mod content;
mod control;
mod disk;
mod error;
mod ingest;
mod listing;
mod object;
mod operations;
mod pacer;
mod receive;
mod request;
mod respond;
mod route;
mod s3;
mod server;
mod stats;
mod time;
mod world;
mod xml;

pub use disk::DataError;
pub use server::{
    DEFAULT_ACCESS_KEY_ID, DEFAULT_ACCESS_KEY_SECRET, DEFAULT_PORT, DEFAULT_REGION, Running, SandboxConfig, StartError,
    half_of_memory,
};
