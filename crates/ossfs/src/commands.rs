//! The commands, one a file: what each takes, and what it does with the crates below.

pub(crate) mod sandbox;
