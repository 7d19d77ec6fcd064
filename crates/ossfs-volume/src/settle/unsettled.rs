//! Which nodes are not settled, without a look at all of them.

use crate::tree::Tree;
use ossfs_ledger::NodeId;

/// Of those that were not settled so many are looked at again, in case nobody noted that they are.
const LOOKED_AT_AGAIN: usize = 256;

impl Tree {
    /// Notes whether a node is settled, after something of it has changed.
    pub(crate) fn observe(&mut self, id: NodeId) {
        if self.is_unsettled(id) {
            self.unsettled.insert(id);
        } else {
            self.unsettled.remove(&id);
        }
    }

    fn is_unsettled(&self, id: NodeId) -> bool {
        id != NodeId::ROOT && self.node(id).is_some_and(|node| node.recorded) && !self.is_settled(id)
    }

    /// Number of the nodes that are not settled.
    pub(crate) fn count_unsettled(&mut self) -> u64 {
        let some: Vec<NodeId> = self.unsettled.iter().copied().take(LOOKED_AT_AGAIN).collect();
        some.into_iter().for_each(|id| self.observe(id));
        debug_assert!(self.nodes().count() > 1_000 || self.none_is_missing(), "a change of a node was not noted");
        self.unsettled.len() as u64
    }

    fn none_is_missing(&self) -> bool {
        self.nodes().all(|(id, _)| !self.is_unsettled(id) || self.unsettled.contains(&id))
    }

    /// The nodes that a failing one keeps from being settled, as they wait for its keys; and those that wait for them.
    pub(super) fn blocked_by(&self, id: NodeId) -> Vec<NodeId> {
        /// Longer chains are not followed.
        const BLOCKED_MAX: usize = 1_000;
        let mut blocked = vec![id];
        let mut at = 0;
        while let Some(id) = blocked.get(at) {
            let contended = self.contended_keys(*id);
            let waiting: Vec<NodeId> = contended.iter().flat_map(|key| self.nodes_waiting_for(key)).collect();
            for other in waiting {
                if blocked.len() < BLOCKED_MAX && !blocked.contains(&other) {
                    blocked.push(other);
                }
            }
            at += 1;
        }
        blocked.split_off(1)
    }

    /// Everything that waits for a key of this node looks again: the node has failed, or is not to have them any more.
    pub(crate) fn wake_waiting_for(&mut self, id: NodeId) {
        self.contended_keys(id).iter().for_each(|key| self.wake(key));
    }
}
