//! An object that others have bytes of is about to be replaced: they are settled first, and have their own then. Where that
//! would be a cycle, or can't be (a file without a name has no key to settle at), the version is copied to a hidden key and
//! lent from there. Pure.

use crate::format::HIDDEN_DIRECTORY;
use crate::tree::{Node, Tree, Work};
use ossfs_ledger::{Ident, NodeId};
use ossfs_types::{FileKind, Key};
use std::collections::HashSet;

/// More nodes are not followed, each waiting for others: it counts as a cycle.
const WAITING_MAX: usize = 10_000;

impl Tree {
    /// Whether a node that is about to replace the object at a key must wait for others that have bytes of it.
    pub(super) fn lets_borrowers_first(&mut self, id: NodeId, key: &Key) -> bool {
        let Some(ident) = self.object_at(key).cloned() else { return false };
        let mut borrowers = self.borrowers(key, &ident);
        borrowers.retain(|borrower| *borrower != id);
        if borrowers.is_empty() {
            return false;
        }
        for borrower in &borrowers {
            if self.can_settle_before(*borrower, id) {
                self.urge(*borrower);
            } else {
                self.save_lent(id, key);
            }
        }
        self.wait_for(key, Work::Node(id));
        true
    }

    /// Whether others have bytes of an object that is garbage. They are settled first.
    pub(super) fn asks_borrowers(&mut self, key: &Key, ident: &Ident) -> bool {
        let borrowers = self.borrowers(key, ident);
        borrowers.iter().for_each(|borrower| self.urge(*borrower));
        !borrowers.is_empty()
    }

    /// The version that is known to be at a key.
    fn object_at(&self, key: &Key) -> Option<&Ident> {
        match self.home_at(key) {
            Some(id) => self.node(id)?.home(key),
            None => self.tomb(key).map(|tomb| &tomb.ident),
        }
    }

    fn can_settle_before(&self, borrower: NodeId, id: NodeId) -> bool {
        self.node(borrower).is_none_or(|node| {
            node.intent.is_some()
                || !node.names.is_empty() && node.failure.is_none() && !self.waits_in_turn(borrower, id)
        })
    }

    /// Has the version at a key copied to a hidden one. What nobody is any more gets a node for that time.
    fn save_lent(&mut self, id: NodeId, key: &Key) {
        let Some(node) = self.node(id) else { return };
        if node.hide.is_some() {
            return;
        }
        let hider = if node.valid_home(key.as_str()).is_some() { id } else { self.adopt_garbage(key) };
        let hidden = self.hidden_key(hider);
        if let Some(node) = self.node_mut(hider) {
            node.hide = hidden;
        }
        self.push_work(Work::Node(hider));
    }

    fn adopt_garbage(&mut self, key: &Key) -> NodeId {
        let ident = self.object_at(key).cloned();
        match self.home_at(key) {
            Some(id) => self.drop_home(id, key),
            None => self.set_tomb(key, None),
        }
        let size = ident.as_ref().map_or(0, |ident| ident.size);
        let orphan = Node { recorded: true, current: ident.clone(), size, ..Node::new(FileKind::File) };
        let orphan = self.add(orphan);
        self.touch(orphan);
        if let Some(ident) = ident {
            self.set_home(orphan, key, ident);
        }
        orphan
    }

    /// Whether `id`, on its way to its own key, waits for others that in the end wait for `target`.
    pub(super) fn waits_in_turn(&self, id: NodeId, target: NodeId) -> bool {
        let mut seen = HashSet::from([id]);
        let mut waiting = vec![id];
        while let Some(at) = waiting.pop() {
            for next in self.obstacles(at) {
                if next == target || seen.len() > WAITING_MAX {
                    return true;
                }
                if seen.insert(next) {
                    waiting.push(next);
                }
            }
        }
        false
    }

    /// Which nodes a node waits for: the one whose object is at its key, and those who have bytes of that.
    fn obstacles(&self, id: NodeId) -> Vec<NodeId> {
        let Some(key) = self.next_key(id) else { return Vec::new() };
        let mut all = self.object_at(&key).map(|ident| self.borrowers(&key, ident)).unwrap_or_default();
        all.extend(self.home_at(&key));
        all.retain(|other| *other != id);
        all
    }

    /// A key that nobody sees and that was never used before.
    pub(super) fn hidden_key(&mut self, id: NodeId) -> Option<Key> {
        let prefix = self.prefix_of(NodeId::ROOT)?;
        Key::parse(&format!("{prefix}{HIDDEN_DIRECTORY}/moved/{}-{}", id.0, super::plan::new_token())).ok()
    }
}
