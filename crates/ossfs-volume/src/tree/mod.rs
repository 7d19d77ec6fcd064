//! The tree: every node that is known, and what the ledger says of them. Pure: no I/O, no clock.
//!
//! Nodes that the bucket alone describes are a cache (`recorded` is false); the others are in the ledger. Every change of
//! what the ledger keeps is noted, and [`Tree::take_changes`] gives the transaction to commit. Invariants:
//!
//! * A recorded node's ancestors are recorded.
//! * `homes` has every home of every recorded node, and of no other; no key has a home and a tombstone.
//! * [`owner`](Tree::owner) alone says whose a key is.

mod change;
mod failure;
mod leftovers;
mod lent;
mod links;
mod listing;
mod node;
mod owner;
mod sequence;
mod sighting;

pub(crate) use change::{Gone, NewNode};
pub(crate) use failure::Failure;
pub(crate) use links::{Group, same_content};
pub(crate) use listing::Listed;
pub(crate) use node::{Directory, Foreign, Node};
pub(crate) use owner::Owner;
pub(crate) use sequence::Sequence;
pub(crate) use sighting::{Sighting, ident_of, ident_of_stat};

use crate::write::Durable;
use ossfs_ledger::{Change, Claim, Home, Ident, Intent, IntentKind, Name, NodeId, Record, RecordKey, Staging, Tomb};
use ossfs_store::{Upload, UploadId};
use ossfs_types::{FileKind, Key, Prefix};
use sequence::Sequences;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use tokio::time::Instant;

/// Every node that is known, and the ledger's records.
#[derive(Debug)]
pub(crate) struct Tree {
    prefix: Prefix,
    nodes: HashMap<NodeId, Node>,
    next_node: u64,
    /// By key, the recorded node whose home is there.
    homes: BTreeMap<Key, NodeId>,
    tombs: BTreeMap<Key, Tomb>,
    intents: BTreeMap<Key, Intent>,
    claims: BTreeMap<Arc<str>, Claim>,
    /// By id, the node of files with several names.
    links: HashMap<Arc<str>, NodeId>,
    /// Keys that a mutating request is under way for.
    pub(crate) busy: HashSet<Key>,
    /// Until when a request that got no answer may still change a key.
    pub(crate) quarantine: HashMap<Key, Instant>,
    /// When an object that is garbage was last seen to be the one that is meant.
    pub(crate) verified: HashMap<Key, Instant>,
    /// Tombstones whose objects could not be deleted so far.
    pub(crate) tomb_failures: BTreeMap<Key, Failure>,
    /// Claims under which could not be looked so far.
    pub(crate) claim_failures: BTreeMap<Arc<str>, Failure>,
    /// Nodes that are not settled.
    pub(crate) unsettled: HashSet<NodeId>,
    /// Has every recorded node that has a failure; others too, until somebody looks.
    pub(crate) failing: BTreeSet<NodeId>,
    sequences: Sequences,
    /// Where the ledger is behind.
    touched: BTreeSet<RecordKey>,
    /// Nodes that were recorded only to be moved, and are not there yet.
    draining: HashSet<NodeId>,
    /// What the settler must look at again.
    work: Vec<Work>,
    /// By key, what waits for a change of what stands there.
    waiting: HashMap<Key, Vec<Work>>,
    /// Objects that contents have bytes of.
    lent: lent::Lent,
}

/// Something that the settler carries to the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    /// A node that is not as it is to be.
    Node(NodeId),
    /// The tombstone at a key.
    Tomb(Key),
    /// The claim of a prefix.
    Claim(Arc<str>),
}

/// The upload of an intent, if it has begun one.
pub(crate) fn upload_of(key: &Key, intent: &Intent) -> Option<Upload> {
    let id = UploadId::parse(intent.upload.as_deref()?)?;
    Some(Upload { key: key.clone(), id })
}

impl Tree {
    /// A tree of which only the root is known.
    pub(crate) fn new(prefix: Prefix) -> Self {
        let mut root = Node::new(FileKind::Directory);
        // The root is never forgotten, and needs no record to be found.
        root.lookups = 1;
        root.recorded = true;
        Self {
            prefix,
            nodes: HashMap::from([(NodeId::ROOT, root)]),
            next_node: NodeId::ROOT.0 + 1,
            homes: BTreeMap::new(),
            tombs: BTreeMap::new(),
            intents: BTreeMap::new(),
            claims: BTreeMap::new(),
            links: HashMap::new(),
            busy: HashSet::new(),
            quarantine: HashMap::new(),
            verified: HashMap::new(),
            tomb_failures: BTreeMap::new(),
            claim_failures: BTreeMap::new(),
            unsettled: HashSet::new(),
            failing: BTreeSet::new(),
            sequences: Sequences::default(),
            touched: BTreeSet::new(),
            draining: HashSet::new(),
            work: Vec::new(),
            waiting: HashMap::new(),
            lent: lent::Lent::default(),
        }
    }

    /// The tree that a ledger describes, with the bytes that its records name.
    pub(crate) fn load(prefix: Prefix, records: Vec<(RecordKey, Record)>, staging: &Arc<Staging>) -> Self {
        let mut tree = Self::new(prefix);
        // Nodes come first in the order of keys, so that the rest finds them.
        for (key, record) in records {
            match (key, record) {
                (RecordKey::Node(id), Record::Node(record)) => {
                    tree.next_node = tree.next_node.max(id.0 + 1);
                    let lookups = u64::from(id == NodeId::ROOT);
                    tree.links.extend(record.link.iter().map(|link| (link.id.clone(), id)));
                    tree.nodes.insert(id, Node { lookups, ..Node::of_record(record) });
                }
                (RecordKey::Name(parent, name), Record::Name(id)) => tree.attach(id, parent, name),
                (RecordKey::Home(key), Record::Home(home)) => {
                    if let Some(node) = tree.nodes.get_mut(&home.node) {
                        node.set_home(&key, home.ident);
                        node.stale.extend(home.stale.then(|| key.clone()));
                        tree.homes.insert(key, home.node);
                    }
                }
                (RecordKey::Tomb(key), Record::Tomb(tomb)) => tree.set_tomb(&key, Some(tomb)),
                (RecordKey::Intent(key), Record::Intent(intent)) => tree.set_intent(&key, Some(intent)),
                (RecordKey::Claim(prefix), Record::Claim(claim)) => tree.set_claim(&prefix, Some(claim)),
                (RecordKey::Content(id), Record::Content(content)) => {
                    if let Some(node) = tree.nodes.get_mut(&id) {
                        node.durable = Some(Arc::new(Durable::of_record(content, staging)));
                    }
                    tree.note_recorded_borrowing(id);
                }
                (key, _) => tracing::error!(?key, "a record of the ledger is of another kind than its key"),
            }
        }
        tree.recover_content();
        tree.touched.clear();
        tree.work = tree.nodes.keys().map(|id| Work::Node(*id)).chain(tree.work).collect();
        tree
    }

    /// What was written and is neither in the bucket nor staged is lost with the process that held it: a file is again what
    /// was last staged, else the version that the bucket has, or is about to have.
    fn recover_content(&mut self) {
        for node in self.nodes.values_mut().filter(|node| node.kind == FileKind::File) {
            let intent = node.intent.as_ref().and_then(|key| self.intents.get(key));
            let uploads = [IntentKind::Put, IntentKind::Multipart, IntentKind::Append];
            let upload = intent.filter(|intent| uploads.contains(&intent.kind));
            node.inherited = upload.is_some();
            if !node.is_dirty() {
                continue;
            }
            if let Some(durable) = &node.durable {
                // An upload that may have arrived is of this generation, or another one.
                node.generation = upload.map_or(0, |intent| intent.generation).max(durable.generation());
                node.size = durable.extents().len();
            } else if node.current.is_some() {
                node.settled_generation = node.generation;
            } else if let Some(intent) = intent {
                node.generation = intent.generation;
            }
        }
        // So are the times that followed it; where they need no request they are not worth one.
        for node in self.nodes.values_mut().filter(|node| node.appendable && !node.is_dirty()) {
            if !node.has_set_attributes() {
                node.settled_attributes_generation = node.attributes_generation;
            }
        }
    }

    /// Sets what the ledger has of a recorded node's content.
    pub(crate) fn set_durable(&mut self, id: NodeId, durable: Option<Arc<Durable>>) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.durable.is_some() || durable.is_some() {
            node.durable = durable;
            self.touched.insert(RecordKey::Content(id));
            self.note_recorded_borrowing(id);
        }
    }

    /// The bucket has a generation of a node's content: the ledger need no longer have what is of it.
    pub(crate) fn rebase_durable(&mut self, id: NodeId, generation: u64) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(mut durable) = node.durable.clone() else { return };
        let left = Arc::make_mut(&mut durable).rebase(generation) && node.is_dirty();
        self.set_durable(id, left.then_some(durable));
    }

    /// Requests of a process before this one may still arrive until then, at any key that the ledger knows to have been
    /// changed. (What becomes of pending orders is found out first.)
    pub(crate) fn quarantine_all(&mut self, until: Instant) {
        let lists: Vec<Key> = self.links.keys().filter_map(|link| self.list_key(link)).collect();
        let keys = self.tombs.keys().chain(self.homes.keys()).chain(&lists);
        self.quarantine.extend(keys.map(|key| (key.clone(), until)));
    }

    /// A request that got no answer may change the key until then: nothing else is sent there, and nothing forgotten.
    pub(crate) fn set_quarantine(&mut self, key: &Key, until: Instant, now: Instant) {
        /// So many are kept before those are dropped that are over.
        const KEPT_MAX: usize = 1_000;
        if self.quarantine.len() >= KEPT_MAX {
            let intents = &self.intents;
            self.quarantine.retain(|key, until| *until > now || intents.contains_key(key));
        }
        self.quarantine.insert(key.clone(), until);
    }

    /// Until when a key is left alone, if it is.
    pub(crate) fn quarantined(&self, key: &Key, now: Instant) -> Option<Instant> {
        self.quarantine.get(key).copied().filter(|until| *until > now)
    }

    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(&id)
    }

    pub(crate) fn intent(&self, key: &Key) -> Option<&Intent> {
        self.intents.get(key)
    }

    /// The upload that was begun for a node and may not have ended.
    pub(crate) fn pending_upload(&self, id: NodeId) -> Option<Upload> {
        let key = self.node(id)?.intent.as_ref()?;
        upload_of(key, self.intent(key)?)
    }

    pub(crate) fn home_at(&self, key: &Key) -> Option<NodeId> {
        self.homes.get(key).copied()
    }

    pub(crate) fn tomb(&self, key: &Key) -> Option<&Tomb> {
        self.tombs.get(key)
    }

    pub(crate) fn claim(&self, prefix: &str) -> Option<&Claim> {
        self.claims.get(prefix)
    }

    /// Number of nodes that were recorded only to be moved, and are not there yet.
    pub(crate) fn draining(&self) -> usize {
        self.draining.len()
    }

    /// Whether a node was recorded only to be moved, and is not there yet.
    pub(crate) fn drains(&self, id: NodeId) -> bool {
        self.draining.contains(&id)
    }

    /// A node was recorded only to be moved.
    pub(crate) fn begin_draining(&mut self, id: NodeId) {
        self.draining.insert(id);
    }

    /// A node is where it belongs, or nowhere.
    pub(crate) fn end_draining(&mut self, id: NodeId) {
        self.draining.remove(&id);
    }

    pub(crate) fn claims(&self) -> impl Iterator<Item = (&Arc<str>, &Claim)> {
        self.claims.iter()
    }

    pub(crate) fn tombs(&self) -> impl ExactSizeIterator<Item = (&Key, &Tomb)> {
        self.tombs.iter()
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// Adds a node without a name.
    pub(crate) fn add(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.next_node);
        self.next_node += 1;
        self.nodes.insert(id, node);
        id
    }

    /// Gives a node a name. Recorded nodes get it in the ledger too.
    pub(crate) fn attach(&mut self, id: NodeId, parent: NodeId, name: Name) {
        if let Some(directory) = self.nodes.get_mut(&parent).and_then(|parent| parent.directory.as_mut()) {
            directory.missing.remove(&name);
            directory.children.insert(name.clone(), id);
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            if node.recorded {
                self.touched.insert(RecordKey::Name(parent, name.clone()));
                self.work.push(Work::Node(id));
            }
            node.names.push((parent, name));
        }
    }

    /// Takes a name from a node.
    pub(crate) fn detach(&mut self, id: NodeId, parent: NodeId, name: &str) {
        if let Some(directory) = self.nodes.get_mut(&parent).and_then(|parent| parent.directory.as_mut()) {
            directory.children.remove(name);
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.names.retain(|(at, named)| !(*at == parent && **named == *name));
            if node.recorded {
                self.touched.insert(RecordKey::Name(parent, name.into()));
                self.work.push(Work::Node(id));
                // It may only have been kept for this one.
                self.work.push(Work::Node(parent));
            }
            if node.names.is_empty() && node.opens > 0 {
                // Whoever waits for it to move away would wait until it is closed.
                self.contended_keys(id).iter().for_each(|key| self.wake(key));
            }
        }
    }

    pub(crate) fn child(&self, parent: NodeId, name: &str) -> Option<NodeId> {
        self.nodes.get(&parent)?.directory.as_ref()?.children.get(name).copied()
    }

    /// Notes that what the ledger keeps of a node has changed.
    pub(crate) fn touch(&mut self, id: NodeId) {
        self.touched.insert(RecordKey::Node(id));
        self.work.push(Work::Node(id));
    }

    /// The settler must look at this again.
    pub(crate) fn push_work(&mut self, work: Work) {
        self.work.push(work);
    }

    /// Lets a node be settled though it is open for writing.
    pub(crate) fn urge(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.urgent = true;
        }
        self.work.push(Work::Node(id));
    }

    /// What the settler must look at again, since the last call.
    pub(crate) fn take_work(&mut self) -> Vec<Work> {
        std::mem::take(&mut self.work)
    }

    /// Looks at `work` again when something changes at the key.
    pub(crate) fn wait_for(&mut self, key: &Key, work: Work) {
        let waiting = self.waiting.entry(key.clone()).or_default();
        if !waiting.contains(&work) {
            waiting.push(work);
        }
    }

    /// The nodes that wait for something to change at a key.
    pub(crate) fn nodes_waiting_for(&self, key: &Key) -> impl Iterator<Item = NodeId> {
        let waiting = self.waiting.get(key).into_iter().flatten();
        waiting.filter_map(|work| if let Work::Node(id) = work { Some(*id) } else { None })
    }

    /// Something has changed at a key.
    pub(crate) fn wake(&mut self, key: &Key) {
        self.work.extend(self.waiting.remove(key).into_iter().flatten());
    }

    pub(crate) fn set_intent(&mut self, key: &Key, intent: Option<Intent>) {
        self.touched.insert(RecordKey::Intent(key.clone()));
        let old = match intent {
            Some(intent) => {
                if let Some(node) = self.nodes.get_mut(&intent.node) {
                    node.intent = Some(key.clone());
                }
                self.intents.insert(key.clone(), intent);
                None
            }
            None => self.intents.remove(key),
        };
        if let Some(ended) = old.map(|old| old.node) {
            if let Some(node) = self.nodes.get_mut(&ended) {
                node.intent = None;
                node.inherited = false;
            }
            self.release_borrowed(ended);
        }
        self.mutated(key);
        self.wake(key);
    }

    pub(crate) fn set_tomb(&mut self, key: &Key, tomb: Option<Tomb>) {
        self.touched.insert(RecordKey::Tomb(key.clone()));
        match tomb {
            Some(tomb) => {
                self.tombs.insert(key.clone(), tomb);
                self.work.push(Work::Tomb(key.clone()));
            }
            None => {
                self.tombs.remove(key);
                self.verified.remove(key);
                self.tomb_failures.remove(key);
            }
        }
        self.mutated(key);
        self.wake(key);
    }

    pub(crate) fn set_claim(&mut self, prefix: &str, claim: Option<Claim>) {
        let prefix: Arc<str> = prefix.into();
        self.touched.insert(RecordKey::Claim(prefix.clone()));
        self.claim_failures.remove(&prefix);
        if let Some(old) = self.claims.remove(&prefix) {
            if let Some(node) = self.nodes.get_mut(&old.directory) {
                node.claims.retain(|claim| *claim != prefix);
            }
            self.work.push(Work::Node(old.directory));
        }
        if let Some(claim) = claim {
            if let Some(node) = self.nodes.get_mut(&claim.directory) {
                node.claims.push(prefix.clone());
            }
            self.work.push(Work::Claim(prefix.clone()));
            self.claims.insert(prefix, claim);
        }
    }

    /// Notes how far a claim was looked at.
    pub(crate) fn set_claim_cursor(&mut self, prefix: &str, cursor: Option<Arc<str>>) {
        if let Some(old) = self.claims.get_mut(prefix) {
            old.cursor = cursor;
            self.touched.insert(RecordKey::Claim(prefix.into()));
        }
    }

    /// Makes the object at a key a home of a recorded node.
    pub(crate) fn set_home(&mut self, id: NodeId, key: &Key, ident: Ident) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.set_home(key, ident);
            self.homes.insert(key.clone(), id);
            self.touched.insert(RecordKey::Home(key.clone()));
            self.mutated(key);
        }
    }

    /// The object at a key is no home any more.
    pub(crate) fn drop_home(&mut self, id: NodeId, key: &Key) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.homes.retain(|(home, _)| home != key);
            node.stale.retain(|home| home != key);
        }
        if self.homes.get(key) == Some(&id) {
            self.homes.remove(key);
            self.touched.insert(RecordKey::Home(key.clone()));
            self.mutated(key);
            self.wake(key);
        }
    }

    /// The object at a key is garbage from now on.
    pub(crate) fn home_to_tomb(&mut self, id: NodeId, key: &Key) {
        let ident = self.nodes.get(&id).and_then(|node| node.home(key)).cloned();
        self.drop_home(id, key);
        if let Some(ident) = ident {
            self.set_tomb(key, Some(Tomb { ident }));
        }
    }

    /// Adds to the ledger a node that was only a cache, with its name and homes; its parent is recorded.
    fn record_node(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.recorded = true;
        let homes = node.homes.clone();
        for (parent, name) in node.names.clone() {
            self.touched.insert(RecordKey::Name(parent, name));
        }
        // If that comes to nothing it is forgotten again.
        self.touch(id);
        for (key, ident) in homes {
            self.set_home(id, &key, ident);
        }
    }

    /// Takes a node from the ledger; what is known of it stays as a cache.
    pub(crate) fn unrecord_node(&mut self, id: NodeId) {
        self.draining.remove(&id);
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.recorded = false;
        if node.durable.take().is_some() {
            self.touched.insert(RecordKey::Content(id));
        }
        self.touched.insert(RecordKey::Node(id));
        for (parent, name) in &node.names {
            self.touched.insert(RecordKey::Name(*parent, name.clone()));
        }
        let homes: Vec<Key> = node.homes.iter().map(|(key, _)| key.clone()).collect();
        self.note_recorded_borrowing(id);
        for key in homes {
            if self.homes.get(&key) == Some(&id) {
                self.homes.remove(&key);
                self.touched.insert(RecordKey::Home(key.clone()));
                // A listing under way may have passed its key over, because of the record.
                self.mutated(&key);
                self.wake(&key);
            }
        }
        self.drop_if_unused(id);
    }

    /// Forgets a node that nobody refers to and that has no name.
    pub(crate) fn drop_if_unused(&mut self, id: NodeId) {
        let unused = self.nodes.get(&id).is_some_and(|node| {
            !node.recorded && node.names.is_empty() && node.lookups == 0 && node.opens == 0 && !node.task
        });
        if !unused {
            return;
        }
        let Some(node) = self.nodes.remove(&id) else { return };
        if let Some(link) = node.link.filter(|link| self.links.get(&link.id) == Some(&id)) {
            self.links.remove(&link.id);
        }
        for child in node.directory.into_iter().flat_map(|directory| directory.children.into_values()) {
            let mut has_other_names = false;
            if let Some(node) = self.nodes.get_mut(&child) {
                node.names.retain(|(parent, _)| *parent != id);
                node.epoch += u32::from(node.names.is_empty());
                has_other_names = node.is_linked() && !node.recorded && !node.names.is_empty();
            }
            if has_other_names {
                self.drop_homes_without_name(child);
            }
            self.drop_if_unused(child);
        }
    }

    /// The changes since the last call, as the ledger must commit them.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        let touched = std::mem::take(&mut self.touched);
        touched.into_iter().map(|key| Change { record: self.record_at(&key), key }).collect()
    }

    /// Changes that could not be committed.
    pub(crate) fn changes_again(&mut self, changes: Vec<Change>) {
        self.touched.extend(changes.into_iter().map(|change| change.key));
    }

    /// Whether the ledger is behind.
    pub(crate) fn has_changes(&self) -> bool {
        !self.touched.is_empty()
    }

    fn record_at(&self, key: &RecordKey) -> Option<Record> {
        let recorded = |id: &NodeId| self.nodes.get(id).filter(|node| node.recorded);
        match key {
            RecordKey::Node(id) => recorded(id).map(|node| Record::Node(node.record())),
            RecordKey::Name(parent, name) => {
                let id = self.child(*parent, name)?;
                recorded(&id).map(|_| Record::Name(id))
            }
            RecordKey::Home(key) => {
                let id = self.homes.get(key)?;
                let node = self.nodes.get(id)?;
                let ident = node.home(key)?.clone();
                Some(Record::Home(Home { node: *id, ident, stale: node.stale.contains(key) }))
            }
            RecordKey::Tomb(key) => self.tombs.get(key).cloned().map(Record::Tomb),
            RecordKey::Intent(key) => self.intents.get(key).cloned().map(Record::Intent),
            RecordKey::Claim(prefix) => self.claims.get(prefix).cloned().map(Record::Claim),
            RecordKey::Content(id) => {
                let durable = recorded(id)?.durable.as_ref()?;
                Some(Record::Content(durable.record()))
            }
        }
    }
}
