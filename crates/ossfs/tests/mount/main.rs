//! ossfs from outside: a sandbox, the program, a mount by the kernel, and what everyday programs see in it.
//!
//! Each test has a sandbox, a directory and mounts of its own, and waits for nothing without a deadline. `OSSFS_LONG=1`
//! takes the full counts and sizes.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

mod bucket;
mod calls;
mod confined;
mod everyday;
mod failing;
mod hidden;
mod killed;
mod large;
mod mounted;
mod moves;
mod names;
mod objects;
mod open_files;
mod requests;
mod shell;
mod snapshot;
mod trees;
mod two_mounts;
mod walk;
mod weather;
