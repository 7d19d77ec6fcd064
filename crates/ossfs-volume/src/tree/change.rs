//! The operations on names, attributes and content: each one transaction.
//!
//! Callers have looked everything up before and checked kinds, emptiness and lengths; what vanished meanwhile is [`Gone`],
//! and the caller looks again.

use super::{Node, Owner, Tree, Work};
use crate::format::LEGACY_MARKER_SUFFIX;
use ossfs_ledger::{Claim, Name, NodeId};
use ossfs_types::{Attributes, FileKind};
use std::sync::Arc;
use tokio::time::Instant;

/// What was looked up is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// A node to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewNode {
    pub kind: FileKind,
    pub attributes: Attributes,
    /// Of symlinks.
    pub target: Option<Arc<[u8]>>,
}

impl Tree {
    /// Puts a node into the ledger that so far the bucket alone described, and its ancestors with it.
    pub(crate) fn materialise(&mut self, id: NodeId) -> Result<(), Gone> {
        let node = self.node(id).ok_or(Gone)?;
        if node.recorded {
            return Ok(());
        }
        let parents: Vec<NodeId> = node.names.iter().map(|(parent, _)| *parent).collect();
        if parents.is_empty() {
            return Err(Gone);
        }
        for parent in parents {
            self.materialise(parent)?;
        }
        let homes = self.node(id).map(|node| node.homes.clone()).unwrap_or_default();
        for (key, _) in homes {
            if !self.is_home_of(id, key.as_str())
                && let Some(node) = self.node_mut(id)
            {
                node.homes.retain(|(home, _)| *home != key);
            }
        }
        let linked = self.node(id).is_some_and(Node::is_linked);
        if linked {
            self.drop_names_without_home(id);
        }
        let node = self.node(id).ok_or(Gone)?;
        if node.is_directory() {
            let inherited: Vec<String> = self.sources(id);
            let path = self.prefix_of(id).ok_or(Gone)?;
            for source in inherited {
                if source != path && !self.claims.contains_key(&*source) {
                    self.set_claim(&source, Some(Claim { directory: id, cursor: None }));
                }
            }
        } else if node.any_valid_home().is_none() {
            return Err(Gone);
        }
        self.record_node(id);
        if !self.is_settled(id) {
            // What lies under a claim, and is recorded for what is below it, or for another of its names: the drain, which
            // records the rest, takes it for one that is on its way.
            self.push_work(Work::Node(id));
        }
        if linked {
            // Its object still carries the id, if others have left.
            self.has_lost_a_name(id);
        }
        Ok(())
    }

    /// Like [`materialise`](Self::materialise), for a file whose name is not the one that its key has by nature.
    pub(crate) fn materialise_as_it_is(&mut self, id: NodeId) -> Option<()> {
        let parent = self.node(id)?.names.first()?.0;
        self.materialise(parent).ok()?;
        self.record_node(id);
        Some(())
    }

    /// Whether an object without a record is one of this node.
    fn is_home_of(&self, id: NodeId, key: &str) -> bool {
        let Owner::Path(path) = self.owner(key) else { return false };
        let Some(node) = self.node(id) else { return false };
        if node.is_directory() {
            let own = self.prefix_of(id).unwrap_or_default();
            return path == own || path.strip_suffix(LEGACY_MARKER_SUFFIX) == own.strip_suffix('/');
        }
        node.names.iter().filter_map(|(parent, name)| self.path_in(*parent, name)).any(|own| {
            // A cache of several names has none of these.
            path == own || crate::format::aliased(&own) == Some(&path)
        })
    }

    /// Makes a node at a name that is free.
    pub(crate) fn create(&mut self, parent: NodeId, name: &Name, new: NewNode, now: Instant) -> Result<NodeId, Gone> {
        self.materialise(parent)?;
        let mut node = Node::new(new.kind);
        node.recorded = true;
        node.attributes = Some(new.attributes);
        node.size = new.target.as_ref().map_or(0, |target| target.len() as u64);
        node.target = new.target;
        node.foreign = super::Foreign::Known(None);
        node.attributes_generation = 1;
        match &mut node.directory {
            Some(directory) => {
                directory.complete = Some(now);
                node.wants_marker = true;
            }
            None => node.generation = 1,
        }
        let id = self.add(node);
        self.touch(id);
        self.attach(id, parent, name.clone());
        Ok(id)
    }

    /// Takes a name from a file. Its last name gone, the file goes too, once nobody has it open.
    pub(crate) fn unlink(&mut self, parent: NodeId, name: &str) -> Result<(), Gone> {
        let id = self.child(parent, name).ok_or(Gone)?;
        self.materialise(id)?;
        self.detach(id, parent, name);
        self.has_lost_a_name(id);
        self.want_marker(parent);
        self.bury_if_free(id);
        Ok(())
    }

    /// Takes the name from a directory that was found empty.
    pub(crate) fn remove_directory(&mut self, parent: NodeId, name: &str) -> Result<(), Gone> {
        let id = self.child(parent, name).ok_or(Gone)?;
        self.materialise(id)?;
        self.drop_claims(id);
        self.detach(id, parent, name);
        self.want_marker(parent);
        self.bury_if_free(id);
        Ok(())
    }

    /// Moves a name. What stands at the new name is replaced; a directory there was found empty.
    pub(crate) fn rename(&mut self, from: (NodeId, &str), to: (NodeId, &Name)) -> Result<(), Gone> {
        let id = self.child(from.0, from.1).ok_or(Gone)?;
        let replaced = self.child(to.0, to.1);
        if replaced == Some(id) {
            return Ok(());
        }
        self.materialise(id)?;
        self.materialise(to.0)?;
        if let Some(replaced) = replaced {
            self.materialise(replaced)?;
        }
        let sources = if self.node(id).is_some_and(Node::is_directory) { self.sources(id) } else { Vec::new() };
        if let Some(replaced) = replaced {
            self.drop_claims(replaced);
            self.detach(replaced, to.0, to.1);
            self.has_lost_a_name(replaced);
            self.bury_if_free(replaced);
            // Only an object that is put whole takes the place of another without a gap.
            if let Some(node) = self.node_mut(id) {
                node.appendable &= !node.homes.is_empty();
            }
        }
        self.detach(id, from.0, from.1);
        self.attach(id, to.0, to.1.clone());
        for source in sources {
            self.set_claim(&source, Some(Claim { directory: id, cursor: None }));
        }
        self.want_marker(from.0);
        self.moved(id);
        Ok(())
    }

    /// Lets two names trade what stands at them; neither is below the other.
    pub(crate) fn exchange(&mut self, one: (NodeId, &Name), other: (NodeId, &Name)) -> Result<(), Gone> {
        let first = self.child(one.0, one.1).ok_or(Gone)?;
        let second = self.child(other.0, other.1).ok_or(Gone)?;
        if first == second {
            return Ok(());
        }
        self.materialise(first)?;
        self.materialise(second)?;
        // Both as they are before either moves.
        let claimed = [first, second].map(|id| {
            let directory = self.node(id).is_some_and(Node::is_directory);
            (id, if directory { self.sources(id) } else { Vec::new() })
        });
        self.detach(first, one.0, one.1);
        self.detach(second, other.0, other.1);
        self.attach(first, other.0, other.1.clone());
        self.attach(second, one.0, one.1.clone());
        for (id, sources) in claimed {
            for source in sources {
                self.set_claim(&source, Some(Claim { directory: id, cursor: None }));
            }
        }
        // Only now: a claim of one may be what keeps a claim of the other.
        self.moved(first);
        self.moved(second);
        Ok(())
    }

    /// A node stands elsewhere now, with all that is below it.
    fn moved(&mut self, id: NodeId) {
        for below in self.push_recorded_below(id) {
            self.tidy(below);
            // What was at its place has left it.
            let claims = self.node(below).map(|node| node.claims.clone()).unwrap_or_default();
            claims.into_iter().for_each(|claim| self.push_work(Work::Claim(claim)));
        }
    }

    /// Notes new attributes.
    pub(crate) fn set_attributes(&mut self, id: NodeId, attributes: Attributes) -> Result<(), Gone> {
        self.materialise(id)?;
        let node = self.node_mut(id).ok_or(Gone)?;
        let times = node.attributes.is_some_and(|old| (old.atime, old.mtime) != (attributes.atime, attributes.mtime));
        // An appendable object has no times of its own.
        node.appendable &= !times || !node.homes.is_empty();
        node.attributes = Some(attributes);
        node.attributes_generation += 1;
        node.attributes_set = node.attributes_generation;
        // A directory's attributes are those of its marker.
        node.wants_marker |= node.is_directory();
        self.touch(id);
        Ok(())
    }

    /// A file is opened for appending: if it has no object yet, nor one on its way, it becomes an appendable one.
    pub(crate) fn begin_appending(&mut self, id: NodeId) {
        let fresh = |node: &&mut Node| {
            node.recorded && node.homes.is_empty() && node.current.is_none() && node.intent.is_none()
        };
        let Some(node) = self.node_mut(id).filter(fresh) else { return };
        if !node.appendable {
            node.appendable = true;
            self.touch(id);
        }
    }

    /// Notes that the content has changed. Its length and times are the caller's to set.
    pub(crate) fn wrote(&mut self, id: NodeId) -> Result<&mut Node, Gone> {
        self.materialise(id)?;
        self.touch(id);
        let node = self.node_mut(id).ok_or(Gone)?;
        node.generation += 1;
        Ok(node)
    }

    /// Whether a directory has a child whose object the bucket shows below it: then it needs no marker to be seen. Whoever
    /// takes that child away asks again.
    fn shows_itself(&self, directory: NodeId) -> bool {
        let Some(path) = self.prefix_of(directory) else { return false };
        let children = self.node(directory).and_then(|node| node.directory.as_ref());
        let at_home = |key: &str| key.starts_with(&path) && self.place(key) == key;
        children.into_iter().flat_map(|directory| directory.children.values()).any(|child| {
            self.node(*child)
                .is_some_and(|node| !node.recorded && node.homes.iter().any(|(key, _)| at_home(key.as_str())))
        })
    }

    /// A directory that has lost a child, or its marker, must stay visible.
    fn want_marker(&mut self, directory: NodeId) {
        if directory == NodeId::ROOT || self.shows_itself(directory) {
            return;
        }
        if let Some(node) = self.node_mut(directory) {
            node.wants_marker = true;
            self.touch(directory);
        }
    }

    /// Makes all objects of a node without names garbage, unless it is open or being written, or about to be hidden from
    /// those who want its key because others have bytes of it.
    pub(crate) fn bury_if_free(&mut self, id: NodeId) {
        let free = self.node(id).is_some_and(|node| {
            let needed = node.hide.is_some() && node.homes.iter().any(|(key, ident)| self.is_lent(key, ident));
            id != NodeId::ROOT
                && !needed
                && node.recorded
                && node.names.is_empty()
                && node.opens == 0
                && !node.task
                && node.intent.is_none()
        });
        if !free {
            return;
        }
        let homes = self.node(id).map(|node| node.homes.clone()).unwrap_or_default();
        for (key, _) in homes {
            self.home_to_tomb(id, &key);
        }
        self.end_link(id);
        self.unrecord_node(id);
    }

    fn drop_claims(&mut self, directory: NodeId) {
        let claims = self.node(directory).map(|node| node.claims.clone()).unwrap_or_default();
        for claim in claims {
            self.drop_claim(&claim);
        }
    }

    /// Drops a claim, and those that it alone kept.
    pub(crate) fn drop_claim(&mut self, prefix: &str) {
        self.set_claim(prefix, None);
        // What stands here by nature can now be forgotten: nobody else claims it.
        if let Some(id) = self.at_path(prefix) {
            self.push_recorded_below(id);
        }
        let longer: Vec<NodeId> = self
            .claims
            .range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded))
            .take_while(|(claim, _)| claim.starts_with(prefix))
            .map(|(_, claim)| claim.directory)
            .collect();
        for directory in longer {
            self.tidy(directory);
        }
    }

    /// Drops the claim on a directory's natural prefix, unless a shorter claim would then take it.
    fn tidy(&mut self, directory: NodeId) {
        let Some(path) = self.prefix_of(directory) else { return };
        let stands = self.claims.get(&*path).is_some_and(|claim| claim.directory == directory);
        let covered = path.strip_suffix('/').is_some_and(|above| self.claim_over(above).is_some());
        if stands && !covered {
            self.drop_claim(&path);
        }
    }

    /// All recorded nodes below a directory that moved must move too. Returns those that have claims, the higher first.
    fn push_recorded_below(&mut self, id: NodeId) -> Vec<NodeId> {
        let mut below = vec![id];
        let mut claiming = Vec::new();
        while let Some(at) = below.pop() {
            let Some(node) = self.node(at).filter(|node| node.recorded) else { continue };
            below.extend(node.directory.iter().flat_map(|directory| directory.children.values()));
            if !node.claims.is_empty() {
                claiming.push(at);
            }
            self.push_work(Work::Node(at));
        }
        claiming
    }
}
