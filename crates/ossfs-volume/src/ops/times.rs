//! Times that follow from calls which set none. Those of names are in memory only: they reach the bucket with whatever else
//! is changed of the node, or when they are set on purpose.

use crate::core::{Core, World};
use crate::errors::{Error, Result};
use crate::tree::{Gone, Node, Tree};
use ossfs_ledger::NodeId;
use ossfs_types::Timestamp;

/// A directory has other names now.
pub(super) fn names_changed(tree: &mut Tree, directory: NodeId, now: Timestamp) {
    if let Some(attributes) = tree.node_mut(directory).and_then(|node| node.attributes.as_mut()) {
        attributes.mtime = now;
        attributes.ctime = now;
    }
}

/// A node has other names now.
pub(super) fn changed(tree: &mut Tree, id: NodeId, now: Timestamp) {
    if let Some(attributes) = tree.node_mut(id).and_then(|node| node.attributes.as_mut()) {
        attributes.ctime = now;
    }
}

/// Names of these directories are other nodes' now: of these, as far as there are two.
pub(super) fn moved(tree: &mut Tree, directories: [NodeId; 2], nodes: [Option<NodeId>; 2], now: Timestamp) {
    nodes.into_iter().flatten().for_each(|id| changed(tree, id, now));
    directories.into_iter().for_each(|directory| names_changed(tree, directory, now));
}

impl Core {
    /// A file's content was set to what it is already: only its times change.
    pub(super) fn note_write(&self, world: &mut World, id: NodeId) -> Result<()> {
        let now = self.clock.now();
        let Some(mut attributes) = world.tree.node(id).and_then(|node| node.attributes) else { return Ok(()) };
        (attributes.mtime, attributes.ctime) = (now, now);
        world.tree.set_attributes(id, attributes).map_err(|Gone| Error::Stale)
    }

    /// A file was read: its access time follows where it would otherwise be older than the last change, as with Linux's
    /// `relatime`. It is in memory only.
    pub(super) fn note_read(&self, node: &mut Node) {
        if let Some(attributes) = &mut node.attributes
            && attributes.atime <= attributes.mtime.max(attributes.ctime)
        {
            attributes.atime = self.clock.now();
        }
    }
}
