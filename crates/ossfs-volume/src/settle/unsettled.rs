//! Which nodes are not settled, without a look at all of them.

use crate::tree::{Tree, Work};
use ossfs_ledger::NodeId;
use ossfs_types::Key;
use tokio::time::Instant;

/// Of those that were not settled so many are looked at again, in case nobody noted that they are.
const LOOKED_AT_AGAIN: usize = 256;
/// Of nodes that wait for each other's keys no more are followed.
const BLOCKED_MAX: usize = 1_000;

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

    /// Somebody waits for a node: what has failed of it is tried again now, and so is what has failed of the nodes whose
    /// keys it waits for, so that it does not wait for their next time.
    pub(super) fn try_again(&mut self, id: NodeId, now: Instant) {
        let mut blocking = vec![id];
        let mut at = 0;
        while let Some(id) = blocking.get(at).copied() {
            at += 1;
            if let Some(failure) = self.node_mut(id).and_then(|node| node.failure.as_mut()) {
                failure.retry_at = now;
                self.push_work(Work::Node(id));
            }
            for (key, other) in self.holders_of_keys_for(id) {
                // If the other fails before this one has looked, this one is told all the same.
                self.wait_for(&key, Work::Node(id));
                if blocking.len() < BLOCKED_MAX && !blocking.contains(&other) {
                    blocking.push(other);
                }
            }
        }
    }

    /// The keys that a node is to have and others have, and those others.
    fn holders_of_keys_for(&self, id: NodeId) -> Vec<(Key, NodeId)> {
        let keys = self.desired_keys(id).unwrap_or_default().into_iter();
        let holder = |key: Key| {
            let other = self.intent(&key).map(|intent| intent.node).or_else(|| self.home_at(&key))?;
            (other != id).then_some((key, other))
        };
        keys.filter_map(holder).collect()
    }

    /// Everything that waits for a key of this node looks again: the node has failed, or is not to have them any more.
    pub(crate) fn wake_waiting_for(&mut self, id: NodeId) {
        self.contended_keys(id).iter().for_each(|key| self.wake(key));
    }
}
