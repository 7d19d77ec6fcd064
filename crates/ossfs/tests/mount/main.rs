//! ossfs from outside: a sandbox, the program, a mount by the kernel, and what everyday programs see in it.
//!
//! Each test has a sandbox, a directory and mounts of its own, and waits for nothing without a deadline. `OSSFS_LONG=1`
//! takes the full counts and sizes.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

mod attributes;
mod bad_state;
mod big_moves;
mod bucket;
mod calls;
mod confined;
mod dice;
mod everyday;
mod failing;
mod faults;
mod hidden;
mod judges;
mod kill_rounds;
mod killed;
mod large;
mod links;
mod mounted;
mod moves;
mod names;
mod objects;
mod open_files;
mod programs;
mod programs_through_faults;
mod real_programs;
mod requests;
mod shell;
mod snapshot;
mod syncing;
mod trees;
mod two_mounts;
mod vanishing;
mod walk;
mod weather;
mod world;
mod writeback;
mod writer;
