//! Which objects have bytes that contents borrow. Such a version is not overwritten, moved or deleted: whoever is about to do
//! that waits, and is woken when the last borrower has its own.
//!
//! Invariant: an entry stays until neither the content borrows any more, nor what the ledger has of it, and no upload that
//! was begun from it is under way.

use super::{Node, Tree};
use crate::write::Origin;
use ossfs_ledger::{Ident, NodeId};
use ossfs_types::Key;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Who borrows from what.
#[derive(Debug, Default)]
pub(super) struct Lent {
    borrowers: BTreeMap<Key, BTreeSet<NodeId>>,
    borrowed: HashMap<NodeId, Borrowed>,
}

/// What one node borrows from.
#[derive(Debug, Default)]
struct Borrowed {
    now: Vec<Arc<Origin>>,
    /// What it did when the upload that is under way was begun.
    uploading: Vec<Arc<Origin>>,
    /// What the ledger says: a crash goes back to it.
    recorded: Vec<Arc<Origin>>,
}

impl Borrowed {
    fn all(&self) -> impl Iterator<Item = &Arc<Origin>> {
        self.now.iter().chain(&self.uploading).chain(&self.recorded)
    }
}

impl Tree {
    /// A node's content borrows from these now.
    pub(crate) fn set_borrowed<'a>(&mut self, id: NodeId, origins: impl Iterator<Item = &'a Arc<Origin>>) {
        let origins: Vec<Arc<Origin>> = origins.cloned().collect();
        let known = self.lent.borrowed.get(&id);
        if known.map_or(origins.is_empty(), |known| known.now == origins) {
            return;
        }
        self.change_borrowed(id, |borrowed| borrowed.now = origins);
    }

    /// What the ledger has of a node's content has changed.
    pub(super) fn note_recorded_borrowing(&mut self, id: NodeId) {
        let durable = self.node(id).and_then(|node| node.durable.as_ref());
        let origins: Vec<_> = durable.iter().flat_map(|durable| durable.extents().origins()).cloned().collect();
        if !origins.is_empty() || self.lent.borrowed.contains_key(&id) {
            self.change_borrowed(id, |borrowed| borrowed.recorded = origins);
        }
    }

    /// An upload of a node's content begins: until it has ended it needs what the content borrows now.
    pub(crate) fn hold_borrowed(&mut self, id: NodeId) {
        if self.lent.borrowed.contains_key(&id) {
            self.change_borrowed(id, |borrowed| borrowed.uploading = borrowed.now.clone());
        }
    }

    /// What was begun for a node has ended, however it did.
    pub(super) fn release_borrowed(&mut self, id: NodeId) {
        let Some(borrowed) = self.lent.borrowed.get(&id) else { return };
        let held: Vec<Key> = borrowed.all().map(|origin| origin.key.clone()).collect();
        self.change_borrowed(id, |borrowed| borrowed.uploading.clear());
        // What it has borrowed again meanwhile must be asked back; and without a name, or in a cycle, it can't be waited for.
        held.iter().for_each(|key| self.wake(key));
    }

    fn change_borrowed(&mut self, id: NodeId, change: impl FnOnce(&mut Borrowed)) {
        let borrowed = self.lent.borrowed.entry(id).or_default();
        let before: BTreeSet<Key> = borrowed.all().map(|origin| origin.key.clone()).collect();
        change(borrowed);
        let after: BTreeSet<Key> = borrowed.all().map(|origin| origin.key.clone()).collect();
        if after.is_empty() {
            self.lent.borrowed.remove(&id);
        }
        for key in after.difference(&before) {
            self.lent.borrowers.entry(key.clone()).or_default().insert(id);
        }
        for key in before.difference(&after) {
            if let Some(borrowers) = self.lent.borrowers.get_mut(key) {
                borrowers.remove(&id);
                if borrowers.is_empty() {
                    self.lent.borrowers.remove(key);
                }
            }
            self.wake(key);
        }
    }

    /// The keys that others may wait for because of a node: those of its objects, and of those that it has bytes of.
    pub(crate) fn contended_keys(&self, id: NodeId) -> Vec<Key> {
        let own = self.node(id).into_iter().flat_map(Node::keys);
        let borrowed = self.lent.borrowed.get(&id).into_iter().flat_map(Borrowed::all);
        own.chain(borrowed.map(|origin| &origin.key)).cloned().collect()
    }

    /// Who has bytes of this version of the object at a key.
    pub(crate) fn borrowers(&self, key: &Key, ident: &Ident) -> Vec<NodeId> {
        let needs = |id: &&NodeId| {
            let borrowed = self.lent.borrowed.get(id);
            borrowed.is_some_and(|borrowed| borrowed.all().any(|origin| origin.is(key, ident)))
        };
        self.lent.borrowers.get(key).into_iter().flatten().filter(needs).copied().collect()
    }

    /// Whether somebody has bytes of this version of the object at a key.
    pub(crate) fn is_lent(&self, key: &Key, ident: &Ident) -> bool {
        !self.borrowers(key, ident).is_empty()
    }
}
