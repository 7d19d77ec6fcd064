//! How orders end: one transaction each.

use super::plan::Order;
use crate::format::legacy_marker;
use crate::tree::{Failure, Tree};
use ossfs_ledger::{Expect, Ident, IntentKind, NodeId};
use ossfs_types::{FileKind, Key};
use tokio::time::Instant;

impl Tree {
    /// The object of an order is in the bucket.
    pub(crate) fn commit(&mut self, order: &Order, ident: &Ident, now: Instant) {
        let id = order.intent.node;
        self.busy.remove(&order.key);
        self.set_intent(&order.key, None);
        if self.tomb(&order.key).is_some() {
            self.set_tomb(&order.key, None);
        }
        self.set_home(id, &order.key, ident.clone());
        let natural = self.natural_key(id);
        let desired = self.desired_keys(id).unwrap_or_default();
        let at_name = desired.contains(&order.key);
        if at_name {
            self.end_draining(id);
        }
        let Some(node) = self.node_mut(id) else { return };
        let wrote = matches!(order.intent.kind, IntentKind::Put | IntentKind::Multipart | IntentKind::Append);
        node.current = Some(ident.clone());
        node.appendable = order.intent.kind == IntentKind::Append;
        node.checked = Some(now);
        node.failure = None;
        if wrote {
            node.settled_generation = node.settled_generation.max(order.intent.generation);
            if node.kind == FileKind::File && !node.is_dirty() {
                // A process before this one may have written it.
                node.size = ident.size;
            }
        }
        // Elsewhere they count for nothing: the object at the node's own key may be the same but for them.
        if (wrote || order.describes) && at_name {
            let settled = node.settled_attributes_generation.max(order.intent.attributes_generation);
            node.settled_attributes_generation = settled;
        }
        node.urgent &= node.is_dirty() || node.has_dirty_attributes();
        if node.hide.as_ref() == Some(&order.key) {
            node.hide = None;
        }
        // A home that is wanted elsewhere stays until it is there; one that nobody wants is garbage.
        let directory = node.is_directory();
        let extra: Vec<Key> = node.homes.iter().map(|(key, _)| key.clone()).collect();
        for key in extra {
            let old_marker = natural.as_ref().filter(|natural| directory && **natural != order.key).map(legacy_marker);
            if key == order.key {
                continue;
            }
            if wrote || order.describes {
                self.make_stale(id, &key);
            }
            if !desired.contains(&key) && Some(key.as_str()) != old_marker.as_deref() {
                self.home_to_tomb(id, &key);
                // The copy was made on the condition that it is this object.
                if let Some(sent) = order.answered
                    && order.intent.source.as_ref().is_some_and(|(source, _)| *source == key)
                {
                    self.verified.insert(key, sent);
                }
            }
        }
        self.touch(id);
    }

    /// Nothing of an order is in the bucket, nor can come.
    pub(crate) fn abandon(&mut self, order: &Order) {
        self.busy.remove(&order.key);
        self.set_intent(&order.key, None);
        self.touch(order.intent.node);
    }

    /// A rename was answered, and then refused for good: the tree shows again what the bucket shows. Returns whether it
    /// does; what was written here, or lies under a claim, can't be shown elsewhere.
    pub(crate) fn take_back(&mut self, order: &Order) -> bool {
        let id = order.intent.node;
        // What makes room for another was renamed too, if it still has a name.
        let moves = matches!(order.intent.kind, IntentKind::Copy | IntentKind::Hide);
        let several = |node: &crate::tree::Node| node.names.len() > 1 && node.home(&order.key).is_none();
        if moves && self.node(id).is_some_and(several) && self.leave(id, &order.key) {
            self.abandon(order);
            return true;
        }
        let Some((source, _)) = order.intent.source.as_ref().filter(|_| moves) else { return false };
        let at_home = self.place(source.as_str()) == source.as_str();
        let plain = self.node(id).is_some_and(|node| {
            let as_it_was = !node.is_dirty() && !node.has_dirty_attributes() && node.homes.len() == 1;
            !node.is_directory() && !node.names.is_empty() && as_it_was
        });
        if !at_home || !plain {
            return false;
        }
        self.abandon(order);
        for (parent, name) in self.node(id).map(|node| node.names.clone()).unwrap_or_default() {
            if let Some(place) = self.path_in(parent, &name).and_then(|path| Key::parse(&path).ok()) {
                self.list_again(&place);
            }
            self.detach(id, parent, &name);
        }
        if let Some(node) = self.node_mut(id) {
            node.hide = None;
        }
        self.unrecord_node(id);
        // What was to be replaced is still there.
        if self.tomb(&order.key).is_some() {
            self.set_tomb(&order.key, None);
        }
        self.list_again(&order.key);
        self.list_again(source);
        true
    }

    /// Nobody knows what became of an order: it stays pending. The key is left alone for a while by everything else.
    pub(crate) fn leave_pending(&mut self, order: &Order) {
        self.busy.remove(&order.key);
        self.wake(&order.key);
    }

    /// What an order is to overwrite was found to be this.
    pub(crate) fn expect_instead(&mut self, order: &mut Order, expect: Expect) {
        order.intent.expect = expect;
        self.set_intent(&order.key, Some(order.intent.clone()));
    }

    /// Something failed for a node; it is tried again after a pause. Returns the nodes that wait for it.
    pub(crate) fn failed(&mut self, id: NodeId, error: crate::Error, message: String, now: Instant) -> Vec<NodeId> {
        let blocked = self.blocked_by(id);
        self.wake_waiting_for(id);
        let Some(node) = self.node_mut(id) else { return blocked };
        node.failure = Some(Failure::after(node.failure.as_ref(), error, message, now));
        self.failing.insert(id);
        blocked
    }

    /// The object that holds a node's content, or was to be described, is another one now: an outsider's.
    pub(crate) fn adopt(&mut self, id: NodeId, key: &Key, ident: &Ident) {
        if self.leave(id, key) {
            return;
        }
        for other in self.node(id).map(|node| node.homes.clone()).unwrap_or_default() {
            self.make_stale(id, &other.0);
        }
        self.set_home(id, key, ident.clone());
        let Some(node) = self.node_mut(id) else { return };
        let other_content = node.current.as_ref().is_none_or(|known| known.etag != ident.etag);
        node.epoch += u32::from(other_content && !node.is_directory());
        node.current = Some(ident.clone());
        node.size = ident.size;
        node.appendable = false;
        node.foreign = crate::tree::Foreign::Unknown;
        if !node.has_dirty_attributes() {
            node.attributes = None;
            node.xattrs = None;
        }
        self.touch(id);
    }

    /// The object that held a node's content is gone, by an outsider's hand: so is the file.
    pub(crate) fn lost(&mut self, id: NodeId, key: &Key) {
        if self.leave(id, key) {
            return;
        }
        self.drop_home(id, key);
        let Some(node) = self.node(id) else { return };
        if node.any_valid_home().is_some() {
            self.touch(id);
            return;
        }
        if node.is_directory() {
            // Without a marker it is what its children make it; a new marker is put where one is wanted.
            if let Some(node) = self.node_mut(id) {
                node.current = None;
            }
            self.touch(id);
            return;
        }
        for (parent, name) in node.names.clone() {
            self.detach(id, parent, &name);
        }
        if let Some(node) = self.node_mut(id) {
            node.epoch += 1;
        }
        self.touch(id);
    }
}
