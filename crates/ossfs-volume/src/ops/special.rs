//! Files without content of their own: named pipes, sockets, devices. What they do is the kernel's business; here they are
//! names with attributes, and in the bucket empty objects whose mode says what they are.

use super::names::Making;
use crate::errors::{Error, Result};
use crate::{Caller, NodeAttributes, OpenMode, Volume};
use ossfs_ledger::NodeId;
use ossfs_types::FileKind;
use std::ffi::OsStr;

impl Volume {
    /// Makes a file of any kind but a directory or a symlink. `permissions` has the umask applied already; `rdev` counts for
    /// devices only. The caller refers to the node.
    pub async fn make_file(
        &self,
        parent: NodeId,
        name: &OsStr,
        kind: FileKind,
        permissions: u32,
        rdev: u32,
        caller: Caller,
    ) -> Result<NodeAttributes> {
        match kind {
            FileKind::File => {
                let mode = OpenMode { write: true, ..OpenMode::default() };
                let (made, opened) = self.create(parent, name, permissions, mode, caller).await?;
                self.release(opened.handle);
                Ok(made)
            }
            FileKind::Fifo | FileKind::Socket | FileKind::CharDevice | FileKind::BlockDevice => {
                let device = matches!(kind, FileKind::CharDevice | FileKind::BlockDevice);
                let new = Making { kind, mode: permissions, target: None, rdev: if device { rdev } else { 0 } };
                self.core.make(parent, name, new, caller).await
            }
            FileKind::Directory | FileKind::Symlink => Err(Error::Invalid),
        }
    }
}
