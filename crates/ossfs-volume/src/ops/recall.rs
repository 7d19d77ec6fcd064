//! What an earlier mount knew of objects' attributes: believed of an object that a listing shows to be the same.
//!
//! A change of the metadata alone keeps the ETag and shows in Last-Modified, unless it came within two seconds of the one
//! before; so only what was firm is kept, and all four of key, ETag, size and Last-Modified must be the same.

use crate::Volume;
use crate::core::Core;
use crate::tree::{Foreign, Node};
use ossfs_ledger::{CachedAttributes, NodeId};
use std::sync::{MutexGuard, PoisonError};

impl Volume {
    /// Takes what an earlier mount of the same with the same options knew.
    pub fn recall(&self, known: Vec<CachedAttributes>) {
        self.core.recalled().extend(known.into_iter().map(|entry| (entry.key.clone(), entry)));
    }

    /// What a later mount may recall: what was used of late before the rest.
    pub fn known_attributes(&self) -> Vec<CachedAttributes> {
        let mut known: Vec<CachedAttributes> =
            self.core.world().tree.nodes().filter_map(|(_, node)| kept(node)).collect();
        known.extend(self.core.recalled().values().cloned());
        known
    }
}

impl Core {
    fn recalled(&self) -> MutexGuard<'_, std::collections::HashMap<ossfs_types::Key, CachedAttributes>> {
        self.recalled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills in the attributes of a node whose object was just listed. Returns whether they were known.
    pub(super) fn recall(&self, id: NodeId) -> bool {
        let mut world = self.world();
        let Some(node) = world.tree.node_mut(id) else { return false };
        if node.recorded || node.attributes.is_some() || node.is_directory() || node.native || !self.is_fresh(node) {
            return false;
        }
        let Some((key, ident)) = node.any_valid_home().cloned() else { return false };
        let mut recalled = self.recalled();
        let same = recalled.get(&key).is_some_and(|known| {
            let times = (known.ident.last_modified, ident.last_modified);
            known.ident.matches(&ident) && times.0.is_some() && times.0 == times.1
        });
        // Of an object that has changed it is of no use any more.
        let Some(known) = recalled.remove(&key).filter(|_| same) else { return false };
        // The kernel may know it as something else already.
        if !node.kind_is_guess && node.kind != known.kind {
            return false;
        }
        node.kind = known.kind;
        node.kind_is_guess = false;
        node.size = known.size;
        node.attributes = Some(known.attributes);
        node.target = known.target;
        node.foreign = if known.is_plain { Foreign::Known(None) } else { Foreign::Unknown };
        node.firm = true;
        true
    }
}

/// What is kept of a node: what its object alone says, if a change of that would show.
fn kept(node: &Node) -> Option<CachedAttributes> {
    if node.recorded || node.is_linked() || node.is_directory() || node.native || node.kind_is_guess || !node.firm {
        return None;
    }
    let (key, ident) = node.any_valid_home()?;
    ident.last_modified?;
    Some(CachedAttributes {
        key: key.clone(),
        ident: ident.clone(),
        kind: node.kind,
        size: node.size,
        attributes: node.attributes?,
        target: node.target.clone(),
        is_plain: node.foreign == Foreign::Known(None) && node.xattrs.is_none(),
    })
}
