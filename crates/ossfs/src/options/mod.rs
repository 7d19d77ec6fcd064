//! The options of `-o`: one table of them, which feeds the parser, `--help` and `docs/options.md`.
//!
//! What comes out of here is what was typed ([`Typed`]); what it means is for `config` to say. Nothing here reads a file,
//! the environment or the network.

#[cfg(test)]
mod document;
mod help;
mod parse;
mod rows;
mod table;
mod typed;
mod value;

pub(crate) use help::{long as long_help, short as short_help};
pub(crate) use parse::parse;
pub(crate) use typed::{Encryption, KernelFlags, RamRole, Typed};
pub(crate) use value::region as parse_region;
