//! The architecture as tests: what each crate and each module may name, and how every source file looks.
//!
//! The tables are `ALLOWED` here for crates and `layers.txt` beside `Cargo.toml` for modules.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

mod crates;
mod layers;
mod sources;
