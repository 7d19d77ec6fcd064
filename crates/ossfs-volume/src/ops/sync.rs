//! Waiting for what is not in the bucket now: all of it, or what is at and below a path.
//!
//! What is changed later is not waited for, so that it ends while others write. A look costs a little for each thing that is
//! still waited for, whatever else is known.

use crate::core::{Core, World};
use crate::tree::{Failure, Tree, Work};
use crate::{Error, Unsettled, Volume};
use ossfs_ledger::NodeId;
use ossfs_types::Key;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

/// A directory that was renamed brings forth nodes to be moved, and those bring forth objects to be deleted: so often what
/// has come of it is waited for too.
const ROUNDS_MAX: u32 = 3;

/// A wait for what was not in the bucket when it began.
#[derive(Debug)]
pub struct Syncing {
    core: Arc<Core>,
    /// The path that it is about, written as a key.
    path: String,
    nodes: HashMap<NodeId, Awaited>,
    tombs: BTreeSet<Key>,
    claims: BTreeSet<Arc<str>>,
    rounds: u32,
}

/// What is awaited of a node.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    generation: u64,
    attributes_generation: u64,
    /// Failures before this many are older than the waiting.
    attempts: u32,
}

/// How far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Synced {
    /// What is left of what is waited for.
    pub left: Unsettled,
    /// All that is left was tried in vain, and will not succeed by itself.
    pub is_hopeless: bool,
}

impl Volume {
    /// Begins to wait for what is at and below a path, which is relative to the root; for everything, if it is empty. Files
    /// that are open are settled as they are now, and what has failed is tried again at once.
    pub fn sync(&self, path: &str) -> Syncing {
        let core = self.core.clone();
        let path = format!("{}{}", core.options.prefix.as_str(), path.trim_matches('/'));
        let path = path.trim_end_matches('/').to_owned();
        let (nodes, tombs, claims) = (HashMap::new(), BTreeSet::new(), BTreeSet::new());
        let mut syncing = Syncing { core: core.clone(), path, nodes, tombs, claims, rounds: 0 };
        core.change(|world| {
            syncing.collect(world, false);
            syncing.urge(world);
        });
        syncing
    }
}

impl Syncing {
    /// What is left now.
    pub fn look(&mut self) -> Synced {
        let core = self.core.clone();
        let mut world = core.world();
        self.forget_settled(&world.tree);
        while self.is_empty() && self.rounds < ROUNDS_MAX {
            self.rounds += 1;
            self.collect(&world, true);
        }
        let bytes = self.nodes.keys().filter_map(|id| world.content(*id));
        let bytes = bytes.map(|content| content.extents.kept_bytes()).sum();
        let tree = &mut world.tree;
        let failures = self.failures(tree);
        let hopeless = |(id, awaited): (&NodeId, &Awaited)| {
            let failure = tree.node(*id).and_then(|node| node.failure.as_ref());
            failure.is_some_and(|failure| failure.attempts > awaited.attempts && failure.error != Error::Failed)
        };
        let only_nodes = !self.nodes.is_empty() && self.tombs.is_empty() && self.claims.is_empty();
        let is_hopeless = only_nodes && self.nodes.iter().all(hopeless);
        let left = Unsettled {
            nodes: self.nodes.len() as u64,
            tombstones: self.tombs.len() as u64,
            claims: self.claims.len() as u64,
            bytes,
            sent: core.sent.load(Ordering::Relaxed),
            failures_total: failures.len() as u64,
            failures: super::status::told(failures),
            refused: core.refused().into_iter().filter(|refused| self.is_below(&refused.path)).collect(),
        };
        Synced { left, is_hopeless }
    }

    fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.tombs.is_empty() && self.claims.is_empty()
    }

    /// Whether a key or a prefix is at or below the path.
    fn is_below(&self, key: &str) -> bool {
        let rest = key.strip_prefix(&*self.path);
        rest.is_some_and(|rest| self.path.is_empty() || rest.is_empty() || rest.starts_with('/'))
    }

    /// Waits for what is not settled; only for what comes of renamed directories, if `moving`.
    fn collect(&mut self, world: &World, moving: bool) {
        let tree = &world.tree;
        for id in tree.unsettled.iter().copied().filter(|id| !moving || tree.drains(*id)) {
            let Some(node) = tree.node(id) else { continue };
            let everything = self.path.is_empty();
            if everything || tree.natural_key(id).is_some_and(|key| self.is_below(key.as_str())) {
                let attempts = node.failure.as_ref().map_or(0, |failure| failure.attempts);
                let (generation, attributes_generation) = (node.generation, node.attributes_generation);
                self.nodes.insert(id, Awaited { generation, attributes_generation, attempts });
            }
        }
        let tombs = tree.tombs().map(|(key, _)| key);
        self.tombs = tombs.filter(|key| self.is_below(&tree.place(key.as_str()))).cloned().collect();
        let claims = tree.claims().filter(|(prefix, claim)| {
            let place = tree.prefix_of(claim.directory);
            let stands = place.as_deref() == Some(&***prefix);
            !stands && (self.is_below(prefix) || place.is_some_and(|place| self.is_below(&place)))
        });
        self.claims = claims.map(|(prefix, _)| prefix.clone()).collect();
    }

    /// Lets everything be tried at once.
    fn urge(&self, world: &mut World) {
        let (tree, now) = (&mut world.tree, Instant::now());
        let at_once = |failure: &mut Failure| failure.retry_at = now;
        for id in self.nodes.keys() {
            if let Some(node) = tree.node_mut(*id) {
                node.failure.iter_mut().for_each(at_once);
            }
            tree.urge(*id);
        }
        for key in &self.tombs {
            tree.tomb_failures.get_mut(key).into_iter().for_each(at_once);
            tree.push_work(Work::Tomb(key.clone()));
        }
        for prefix in &self.claims {
            tree.claim_failures.get_mut(prefix).into_iter().for_each(at_once);
            tree.push_work(Work::Claim(prefix.clone()));
        }
    }

    fn forget_settled(&mut self, tree: &Tree) {
        self.nodes.retain(|id, awaited| tree.unsettled.contains(id) && !has_come(tree, *id, awaited));
        self.tombs.retain(|key| tree.tomb(key).is_some());
        self.claims.retain(|prefix| {
            let place = tree.claim(prefix).and_then(|claim| tree.prefix_of(claim.directory));
            place.is_some_and(|place| *place != **prefix)
        });
    }

    fn failures<'a>(&self, tree: &'a Tree) -> Vec<(String, &'a Failure)> {
        let nodes = tree.failing.iter().filter(|id| self.nodes.contains_key(id));
        let nodes = nodes.filter_map(|id| super::status::failure_of(tree, *id));
        let tombs = tree.tomb_failures.iter().filter(|(key, _)| self.tombs.contains(*key));
        let claims = tree.claim_failures.iter().filter(|(prefix, _)| self.claims.contains(*prefix));
        let tombs = tombs.map(|(key, failure)| (key.to_string(), failure));
        let claims = claims.map(|(prefix, failure)| (prefix.to_string(), failure));
        nodes.chain(tombs).chain(claims).collect()
    }
}

/// Whether what is awaited of a node is in the bucket, under its name; it may have been changed since.
fn has_come(tree: &Tree, id: NodeId, awaited: &Awaited) -> bool {
    let Some(node) = tree.node(id) else { return true };
    if node.names.is_empty() {
        return true;
    }
    let covers = node.settled_generation >= awaited.generation
        && node.settled_attributes_generation >= awaited.attributes_generation;
    // A file that was not changed since has come when it is settled.
    let changed = node.generation != awaited.generation || node.attributes_generation != awaited.attributes_generation;
    covers && changed && tree.natural_key(id).is_some_and(|key| node.valid_home(key.as_str()).is_some())
}
