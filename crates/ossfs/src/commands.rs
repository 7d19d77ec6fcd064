//! The commands, one a file: what each takes, and what it does with the crates below.

pub(crate) mod mount;
pub(crate) mod sandbox;
pub(crate) mod umount;
