//! What is not in the bucket yet.

use crate::Unsettled;
use crate::core::Core;
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
            bytes: world.contents().map(|(_, content)| content.extents.kept_bytes()).sum(),
            ..Unsettled::default()
        };
        for (id, node) in tree.nodes() {
            if id != NodeId::ROOT && node.recorded && !tree.is_settled(id) {
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
