//! The file system's calls, one family a file.
//!
//! Every call looks at the world, asks the bucket what is not known, and looks again; it changes the world in one step.
//! Dropping a call's future at any moment is safe: what changes the bucket runs in the settler's tasks.

mod attributes;
mod copy;
mod describe;
mod directories;
mod exchange;
mod files;
mod links;
mod list;
mod lookup;
mod names;
mod recall;
mod space;
mod special;
mod staging;
mod status;
mod sync;
mod times;
mod write;
mod xattrs;

pub use sync::{Synced, Syncing};

use crate::core::Core;
use crate::errors::{Error, Result};
use crate::format::{check_first_name, check_name};
use ossfs_ledger::NodeId;
use ossfs_types::Key;
use std::ffi::OsStr;

/// How often a call looks again because things moved while it asked.
const LOOKS_MAX: usize = 16;

impl Core {
    /// Checks a name that is to be looked up or made in a directory.
    fn valid_name<'a>(&self, parent: NodeId, name: &'a OsStr) -> Result<&'a str> {
        // Below a prefix no name is the beginning of a key.
        let first = parent == NodeId::ROOT && self.options.prefix.as_str().is_empty();
        Ok(if first { check_first_name(name)? } else { check_name(name)? })
    }

    /// Refuses changes on a read-only volume.
    fn writable(&self) -> Result<()> {
        if self.options.read_only { Err(Error::ReadOnly) } else { self.recorded() }
    }

    /// Fails as long as the ledger does not have what was changed: nothing is answered that a crash would undo.
    pub(crate) fn recorded(&self) -> Result<()> {
        if !self.world().tree.has_changes() {
            return Ok(());
        }
        self.change(|_| ());
        if self.world().tree.has_changes() { Err(Error::Failed) } else { Ok(()) }
    }

    /// Checks that a name in a directory makes a key that OSS takes; of directories the marker's.
    fn check_key(&self, parent: NodeId, name: &str, directory: bool) -> Result<()> {
        let path = self.world().tree.path_in(parent, name).ok_or(Error::NotFound)?;
        let path = if directory { path + "/" } else { path };
        Key::parse(&path).map(drop).map_err(|error| match error {
            ossfs_types::KeyError::TooLong(_) => Error::NameTooLong,
            _ => Error::Invalid,
        })
    }
}

/// What a store's failure means for a call; it is logged, because the caller only sees a number.
fn store_error(error: &ossfs_store::Error) -> Error {
    tracing::warn!(%error, "a call failed");
    Error::of(error.kind())
}
