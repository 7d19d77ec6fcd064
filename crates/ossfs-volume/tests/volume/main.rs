//! The file system over a bucket in memory, without a kernel, on simulated time.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod appends;
mod attributes;
mod basics;
mod copies;
mod costs;
mod deletions;
mod explore;
mod histories;
mod keys;
mod ledgers;
mod lessons;
mod links;
mod model;
mod mount;
mod moves;
mod outsiders;
mod quota;
mod recalling;
mod staging;
mod strangers;
mod streams;
mod syncing;
mod tales;
mod traces;
mod uploads;
mod weather;
