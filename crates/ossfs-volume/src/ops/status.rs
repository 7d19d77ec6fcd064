//! What is not in the bucket yet.

use crate::Unsettled;
use crate::core::Core;
use crate::tree::Node;
use ossfs_ledger::NodeId;

/// So many failures are told; their number may be large.
const FAILURES_MAX: usize = 100;

impl Core {
    pub(crate) fn unsettled(&self) -> Unsettled {
        let world = self.world();
        let tree = &world.tree;
        let mut unsettled = Unsettled {
            tombstones: tree.tombs().count() as u64,
            claims: tree
                .claims()
                .filter(|(prefix, claim)| tree.prefix_of(claim.directory).as_deref() != Some(&***prefix))
                .count() as u64,
            bytes: world.contents().map(|(_, content)| content.extents.memory_bytes()).sum(),
            ..Unsettled::default()
        };
        for (id, node) in tree.nodes() {
            if id != NodeId::ROOT && node.recorded && is_unsettled(tree, id, node) {
                unsettled.nodes += 1;
            }
            if let Some(failure) = &node.failure
                && node.recorded
                && unsettled.failures.len() < FAILURES_MAX
            {
                let path = tree.natural_key(id).map_or_else(|| "(no name)".to_owned(), |key| key.to_string());
                unsettled.failures.push((path, failure.message.clone()));
            }
        }
        unsettled
    }
}

/// Whether the bucket does not show a recorded node as it is.
fn is_unsettled(tree: &crate::tree::Tree, id: NodeId, node: &Node) -> bool {
    if node.names.is_empty() {
        // It goes with its last handle.
        return node.intent.is_some();
    }
    let at_home = match tree.natural_key(id) {
        None => false,
        Some(_) if node.is_directory() && !node.wants_marker => true,
        Some(key) => node.valid_home(key.as_str()).is_some(),
    };
    node.is_dirty() || node.has_dirty_attributes() || node.intent.is_some() || node.homes.len() > 1 || !at_home
}
