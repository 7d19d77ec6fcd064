//! The file system over a bucket in memory, without a kernel, on simulated time.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

mod basics;
mod histories;
mod model;
mod mount;
mod moves;
mod outsiders;
mod strangers;
mod traces;
mod weather;
