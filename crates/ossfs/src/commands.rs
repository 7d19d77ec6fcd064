//! The commands, one a file: what each takes, and what it does with the crates below.

pub(crate) mod mount;
mod progress;
pub(crate) mod sandbox;
pub(crate) mod sync;
pub(crate) mod umount;
mod watched;
