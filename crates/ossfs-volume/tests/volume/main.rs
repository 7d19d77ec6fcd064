//! The file system over a bucket in memory, without a kernel, on simulated time.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod attributes;
mod basics;
mod histories;
mod ledgers;
mod lessons;
mod links;
mod model;
mod mount;
mod moves;
mod outsiders;
mod staging;
mod strangers;
mod tales;
mod weather;
