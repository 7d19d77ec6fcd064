//! What to do next for one node: pure, from what is known of it and of the keys it needs.
//!
//! A step that changes the bucket is an [`Order`]: its intent is in the tree, to be committed and synced before the
//! request. Exactly one of [`commit`](super::commit) and [`abandon`](super::commit) ends it, or it stays pending until it
//! is resolved.

use super::lists::Listing;
use super::upload::{Completing, Snapshot};
use crate::format::legacy_marker;
use crate::tree::{Node, Tree, Work, upload_of};
use ossfs_ledger::{Expect, Ident, Intent, IntentKind, NodeId};
use ossfs_store::Upload;
use ossfs_types::Key;
use std::sync::Arc;
use tokio::time::Instant;

/// What to do next for a node.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: it is settled, or held open.
    Idle,
    /// Its last name and its last handle are gone, and nothing is pending.
    Bury,
    /// Another must move first; the tree knows who is to be woken.
    Blocked,
    /// Not before this moment.
    Later(Instant),
    /// Ask whether an object is at this key, which would belong elsewhere.
    Probe(Key),
    /// Carry this out.
    Run(Box<Order>),
    /// Find out what became of this.
    Resolve(Box<Order>),
    /// Write the list of a file's names.
    List(Listing),
    /// Its key can't be one of OSS.
    Unreachable,
    /// There is no object that has its content.
    Lost,
}

/// A change of one object, for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub key: Key,
    pub intent: Intent,
    /// Whether the metadata are to be written anew.
    pub describes: bool,
    /// The content that is uploaded, once that has begun: the same for every repetition.
    pub snapshot: Option<Snapshot>,
    /// The upload that only has to be completed.
    pub completing: Option<Completing>,
    /// When the request was sent that was answered; absent where the bucket was only looked at.
    pub answered: Option<Instant>,
}

impl Order {
    fn new(key: &Key, intent: Intent, describes: bool) -> Self {
        Self { key: key.clone(), intent, describes, snapshot: None, completing: None, answered: None }
    }

    /// The object that it takes bytes from: what it copies, or what the content that it uploads is over.
    pub(super) fn source(&self) -> Option<&(Key, Ident)> {
        self.intent.source.as_ref().or_else(|| self.snapshot.as_ref()?.base())
    }

    /// The upload that it has begun and that may not have ended.
    pub(super) fn upload(&self) -> Option<Upload> {
        upload_of(&self.key, &self.intent)
    }
}

impl Tree {
    /// What to do next for a node. `probed` is a key that was found empty just now.
    pub(crate) fn next_step(&mut self, id: NodeId, now: Instant, probed: Option<&Key>) -> Step {
        let Some(node) = self.node(id).filter(|node| node.recorded) else { return Step::Idle };
        if let Some(failure) = &node.failure
            && failure.retry_at > now
        {
            return Step::Later(failure.retry_at);
        }
        if let Some(key) = node.intent.clone() {
            return self.resume(&key, now);
        }
        if let Some(hidden) = node.hide.clone() {
            if let Some((from, ident)) = node.any_valid_home().cloned() {
                return self.start(id, &hidden, IntentKind::Hide, Some((from, ident)), now, probed);
            }
            // Somebody else deleted what was to be moved out of the way.
            if let Some(node) = self.node_mut(id) {
                node.hide = None;
            }
            return self.next_step(id, now, probed);
        }
        if id == NodeId::ROOT && (!node.has_dirty_attributes() || self.natural_key(id).is_none()) {
            return Step::Idle;
        }
        if node.names.is_empty() && id != NodeId::ROOT {
            return if node.opens > 0 { Step::Idle } else { Step::Bury };
        }
        let held = node.writers > 0 && !node.urgent;
        if held && (node.is_dirty() || node.has_dirty_attributes()) {
            return Step::Idle;
        }
        if let Some(then) = node.settle_after.filter(|then| *then > now && node.is_dirty() && !node.urgent) {
            return Step::Later(then);
        }
        let Some(keys) = self.desired_keys(id) else { return Step::Unreachable };
        let (key, needed) = self.needed(id, &keys);
        match needed {
            Needed::Nothing => self.end(id, &keys, now),
            Needed::Lost => Step::Lost,
            Needed::Write if self.needs_free_key(id, key) => {
                self.wait_for(key, Work::Node(id));
                self.push_work(Work::Tomb(key.clone()));
                Step::Blocked
            }
            Needed::Write => self.start(id, key, IntentKind::Put, None, now, probed),
            Needed::Describe => self.start(id, key, IntentKind::Describe, None, now, probed),
            Needed::Copy(from) => self.start(id, key, IntentKind::Copy, Some(from), now, probed),
        }
    }

    /// All objects of a node are there: what is left to do.
    fn end(&mut self, id: NodeId, keys: &[Key], now: Instant) -> Step {
        self.bury_extra_homes(id, keys);
        if let Some(until) = keys.iter().filter_map(|key| self.quarantined(key, now)).max() {
            // What may still arrive there is this node's.
            return Step::Later(until);
        }
        if self.node(id).is_some_and(|node| node.names.len() > keys.len()) && id != NodeId::ROOT {
            return Step::Unreachable;
        }
        if let Some(step) = self.next_list_step(id, keys, now) {
            return step;
        }
        self.forget(id, keys, now);
        Step::Idle
    }

    /// What a node with names still needs, and at which of their keys: first one object that is as the node is, then the
    /// others.
    fn needed<'a>(&self, id: NodeId, keys: &'a [Key]) -> (&'a Key, Needed) {
        let first = &keys[0];
        let Some(node) = self.node(id) else { return (first, Needed::Nothing) };
        if node.is_directory() {
            return (first, directory_needs(node, first));
        }
        let here = |key: &&Key| node.valid_home(key.as_str()).is_some();
        if node.is_dirty() || node.has_dirty_attributes() {
            // A key that has one already needs no other.
            let key = keys.iter().find(here).unwrap_or(first);
            return match (node.is_dirty(), here(&key), node.any_valid_home()) {
                (true, _, _) => (key, Needed::Write),
                (false, true, _) => (key, Needed::Describe),
                (false, false, Some(from)) => (key, Needed::Copy(from.clone())),
                (false, false, None) => (key, Needed::Lost),
            };
        }
        match (keys.iter().find(|key| !here(key)), node.any_valid_home()) {
            (None, _) => (first, Needed::Nothing),
            (Some(key), Some(from)) => (key, Needed::Copy(from.clone())),
            (Some(key), None) => (key, Needed::Lost),
        }
    }

    /// The key at which a node needs something next.
    pub(super) fn next_key(&self, id: NodeId) -> Option<Key> {
        let keys = self.desired_keys(id)?;
        Some(self.needed(id, &keys).0.clone())
    }

    /// Prepares the change of the object at a key for a node, if nothing stands in its way.
    fn start(
        &mut self,
        id: NodeId,
        key: &Key,
        kind: IntentKind,
        source: Option<(Key, Ident)>,
        now: Instant,
        probed: Option<&Key>,
    ) -> Step {
        if let Some(until) = self.quarantined(key, now) {
            return Step::Later(until);
        }
        // A pending order still has to be looked at for the last time.
        if self.intent(key).is_none() {
            self.quarantine.remove(key);
        }
        if self.busy.contains(key) {
            self.wait_for(key, Work::Node(id));
            return Step::Blocked;
        }
        if let Some(other) = self.intent(key).map(|intent| intent.node) {
            return self.wait_for_node(id, other, key);
        }
        if let Some(other) = self.home_at(key).filter(|other| *other != id)
            && !self.make_room(id, other, key)
        {
            return Step::Blocked;
        }
        if self.lets_borrowers_first(id, key) {
            return Step::Blocked;
        }
        let own = self.node(id).and_then(|node| node.home(key)).cloned();
        let tomb = self.tomb(key).map(|tomb| tomb.ident.clone());
        let unknown = own.is_none() && tomb.is_none();
        if unknown && self.place(key.as_str()) != key.as_str() && probed != Some(key) {
            return Step::Probe(key.clone());
        }
        let expect = match (own, tomb) {
            (Some(ident), _) => Expect::Present(ident),
            (None, Some(ident)) => Expect::PresentOrAbsent(ident),
            (None, None) => Expect::Absent,
        };
        let Some(node) = self.node(id) else { return Step::Idle };
        let intent = Intent {
            node: id,
            kind,
            expect,
            token: new_token(),
            generation: node.generation,
            attributes_generation: node.attributes_generation,
            source,
            upload: None,
            begun: None,
            makes: None,
        };
        let describes = kind != IntentKind::Hide && (kind != IntentKind::Copy || node.has_dirty_attributes());
        self.set_intent(key, Some(intent.clone()));
        self.observe(id);
        self.busy.insert(key.clone());
        Step::Run(Box::new(Order::new(key, intent, describes)))
    }

    /// The intent of a node is pending: a streamed upload to go on with, or an order whose end nobody knows.
    fn resume(&mut self, key: &Key, now: Instant) -> Step {
        let Some(intent) = self.intent(key).cloned() else { return Step::Idle };
        let Some(node) = self.node(intent.node) else { return Step::Idle };
        let held = node.writers > 0 && !node.urgent;
        if self.busy.contains(key) {
            self.wait_for(key, Work::Node(intent.node));
            return Step::Blocked;
        }
        // One that a process before this one has begun goes on with nobody's writing: what became of it is found out now.
        if intent.kind == IntentKind::Multipart && held && !node.inherited {
            return Step::Idle;
        }
        if let Some(until) = self.quarantined(key, now) {
            return Step::Later(until);
        }
        // As it was when the order was made, whatever has been changed since.
        let dirty = intent.attributes_generation != node.settled_attributes_generation;
        let describes = intent.kind != IntentKind::Hide && (intent.kind != IntentKind::Copy || dirty);
        self.busy.insert(key.clone());
        Step::Resolve(Box::new(Order::new(key, intent, describes)))
    }

    /// Frees a key that is the home of another node, or waits until it does so itself. Returns whether it is free.
    fn make_room(&mut self, id: NodeId, other: NodeId, key: &Key) -> bool {
        let Some(occupant) = self.node(other) else { return true };
        let elsewhere =
            occupant.homes.iter().any(|(home, _)| home != key && occupant.valid_home(home.as_str()).is_some());
        let stays = self.desired_keys(other).is_some_and(|keys| keys.contains(key));
        // An upload that has begun may still read from here what it goes on with.
        let pending = occupant.intent.as_ref().and_then(|key| self.intent(key));
        let uploads = pending.is_some_and(|intent| matches!(intent.kind, IntentKind::Put | IntentKind::Multipart));
        if elsewhere && !stays && !uploads {
            self.home_to_tomb(other, key);
            return true;
        }
        let open_without_name = occupant.names.is_empty() && occupant.opens > 0;
        if (open_without_name || self.waits_in_turn(other, id)) && occupant.hide.is_none() && occupant.intent.is_none()
        {
            let hidden = self.hidden_key(other);
            if let Some(occupant) = self.node_mut(other) {
                occupant.hide = hidden;
            }
        }
        self.wait_for_node(id, other, key);
        false
    }

    fn wait_for_node(&mut self, id: NodeId, other: NodeId, key: &Key) -> Step {
        self.urge(other);
        self.wait_for(key, Work::Node(id));
        Step::Blocked
    }

    /// What a settled node has at other keys is garbage.
    fn bury_extra_homes(&mut self, id: NodeId, keys: &[Key]) {
        let Some(node) = self.node(id) else { return };
        let extra: Vec<Key> = extra_homes(node, keys).cloned().collect();
        for home in extra {
            self.home_to_tomb(id, &home);
        }
    }

    /// Takes a settled node from the ledger, if the bucket alone then shows the same.
    fn forget(&mut self, id: NodeId, keys: &[Key], now: Instant) {
        let Some(node) = self.node(id) else { return };
        let children = node.directory.iter().flat_map(|directory| directory.children.values());
        let in_use = id == NodeId::ROOT
            || node.opens > 0
            || node.urgent && node.writers > 0
            || !node.claims.is_empty()
            || children.filter_map(|child| self.node(*child)).any(|child| child.recorded);
        if in_use || keys.iter().any(|key| self.place(key.as_str()) != key.as_str()) {
            return;
        }
        if let Some(key) = keys.iter().find(|key| self.tomb(key).is_some()) {
            self.wait_for(key, Work::Node(id));
            return;
        }
        let parents: Vec<NodeId> = node.names.iter().map(|(parent, _)| *parent).collect();
        if let Some(node) = self.node_mut(id) {
            node.checked = Some(now);
            node.verified = Some(now);
            node.failure = None;
            node.urgent = false;
        }
        self.unrecord_node(id);
        for parent in parents {
            self.push_work(Work::Node(parent));
        }
    }

    /// Whether the bucket shows a recorded node as it is, and nothing else of it.
    pub(crate) fn is_settled(&self, id: NodeId) -> bool {
        let Some(node) = self.node(id) else { return true };
        if node.intent.is_some() {
            return false;
        }
        if node.names.is_empty() {
            // It goes with its last handle; the root has none.
            return node.opens > 0 || id == NodeId::ROOT;
        }
        let Some(keys) = self.desired_keys(id) else { return false };
        node.names.len() <= keys.len()
            && matches!(self.needed(id, &keys).1, Needed::Nothing)
            && extra_homes(node, &keys).next().is_none()
            && self.list_is_right(id, &keys)
    }

    /// Prepares an upload that is streamed while a file is being written.
    pub(super) fn begin_stream(&mut self, id: NodeId, now: Instant) -> Option<Order> {
        let node = self.node(id)?;
        let ready = node.recorded
            && node.intent.is_none()
            && node.hide.is_none()
            && node.names.len() == 1
            && node.failure.as_ref().is_none_or(|failure| failure.retry_at <= now);
        if !ready {
            return None;
        }
        let key = self.natural_key(id)?;
        match self.start(id, &key, IntentKind::Multipart, None, now, None) {
            Step::Run(order) => Some(*order),
            _ => None,
        }
    }

    /// Whether the object at the key of a tombstone is about to be replaced by a node's.
    pub(crate) fn is_wanted(&self, key: &Key) -> bool {
        let Some(id) = self.at_path(key.as_str()) else { return false };
        let Some(node) = self.node(id).filter(|node| node.recorded) else { return false };
        let same_form = node.is_directory() == key.as_str().ends_with('/');
        // A directory with an old marker is settled without one at its own key.
        same_form
            && node.failure.is_none()
            && node.home(key).is_none()
            && !self.is_settled(id)
            && !self.needs_free_key(id, key)
    }
}

/// What a node still needs.
enum Needed {
    Nothing,
    /// Its content.
    Write,
    /// Other metadata on the object that is there.
    Describe,
    /// Its content, from another key.
    Copy((Key, Ident)),
    /// Nobody has its content.
    Lost,
}

/// The objects of a node, settled at these keys, that are garbage. A directory keeps an old marker only as long as it has
/// none at its own key: the two would tell different things.
fn extra_homes<'a>(node: &'a Node, keys: &'a [Key]) -> impl Iterator<Item = &'a Key> {
    let unmarked = |key: &&Key| node.is_directory() && node.valid_home(key.as_str()).is_none();
    let legacy = keys.first().filter(unmarked).map(legacy_marker);
    let homes = node.homes.iter().map(|(home, _)| home);
    homes.filter(move |home| !keys.contains(home) && Some(home.as_str()) != legacy.as_deref())
}

fn directory_needs(node: &Node, key: &Key) -> Needed {
    let legacy = legacy_marker(key);
    let here = node.valid_home(key.as_str()).is_some();
    let marked = here || node.homes.iter().any(|(home, _)| home.as_str() == legacy);
    let wanted = node.wants_marker || !node.homes.is_empty();
    if !wanted || (marked && !node.has_dirty_attributes()) {
        return Needed::Nothing;
    }
    if here {
        return Needed::Describe;
    }
    match node.any_valid_home() {
        Some(from) => Needed::Copy(from.clone()),
        None => Needed::Write,
    }
}

/// What an object of ours carries, to be known again.
pub(super) fn new_token() -> Arc<str> {
    format!("{:016x}", fastrand::u64(..)).into()
}
