//! What the bucket says of a directory, filtered by who owns the keys, becomes cached nodes.

use super::{Foreign, Node, Owner, Sequence, Sighting, Tree, Work};
use crate::format::{HIDDEN_DIRECTORY, LEGACY_MARKER_SUFFIX, alias_of, showable};
use ossfs_ledger::{Ident, Name, NodeId};
use ossfs_types::{FileKind, Key};
use std::collections::HashSet;
use tokio::time::Instant;

/// A listing of a directory that is being applied, page by page and source by source.
#[derive(Debug)]
pub(crate) struct Listed {
    pub directory: NodeId,
    pub asked: Sequence,
    /// When the first question was asked.
    pub began: Instant,
    /// Names that are there.
    seen: HashSet<Name>,
    /// Keys that can't be shown as names.
    pub hidden: Vec<String>,
}

impl Listed {
    pub(crate) fn new(directory: NodeId, asked: Sequence, began: Instant) -> Self {
        Self { directory, asked, began, seen: HashSet::new(), hidden: Vec::new() }
    }

    pub(crate) fn has_seen(&self, name: &str) -> bool {
        self.seen.contains(name)
    }
}

impl Tree {
    /// Applies common prefixes found under one source of the directory. Returns those of which only a look below can tell
    /// whether anything there belongs to the directory.
    pub(crate) fn apply_prefixes(&mut self, listed: &mut Listed, source: &str, prefixes: &[&str]) -> Vec<String> {
        let mut doubtful = Vec::new();
        for prefix in prefixes {
            let Some(name) = prefix.strip_prefix(source).and_then(|rest| rest.strip_suffix('/')) else { continue };
            if !self.may_show(listed, name, prefix) {
                continue;
            }
            if self.child(listed.directory, name).and_then(|id| self.node(id)).is_some_and(|node| node.recorded) {
                listed.seen.insert(name.into());
            } else if self.has_records_under(prefix) || self.mutated_below(prefix, listed.asked) {
                doubtful.push((*prefix).to_owned());
            } else if self.belongs(listed.directory, name, prefix) {
                self.sight_directory(listed, name);
            }
        }
        doubtful
    }

    /// Whether a component of a key can be a name; else it is hidden and noted.
    fn may_show(&self, listed: &mut Listed, name: &str, key: &str) -> bool {
        if listed.directory == NodeId::ROOT && name == HIDDEN_DIRECTORY {
            return false;
        }
        if !showable(name) {
            listed.hidden.push(key.to_owned());
            return false;
        }
        true
    }

    /// Whether a prefix, as a place, is a name of the directory.
    fn belongs(&self, directory: NodeId, name: &str, prefix: &str) -> bool {
        let path = self.path_in(directory, name);
        path.is_some_and(|path| self.place(prefix).strip_suffix('/') == Some(&path))
    }

    /// A directory is at this name.
    pub(crate) fn sight_directory(&mut self, listed: &mut Listed, name: &str) -> NodeId {
        let name: Name = name.into();
        let seen_before = !listed.seen.insert(name.clone());
        if let Some(id) = self.child(listed.directory, &name) {
            let node = self.node_mut(id);
            if let Some(node) = node.filter(|node| node.recorded || node.is_directory()) {
                node.checked = Some(listed.began);
                return id;
            }
            match alias_of(&name).filter(|_| seen_before) {
                // An object of this name was on an earlier page: it goes by another.
                Some(alias) => {
                    let alias: Name = alias.into();
                    self.detach(id, listed.directory, &name);
                    listed.seen.insert(alias.clone());
                    self.attach(id, listed.directory, alias);
                }
                None => self.vanish(id, listed.directory, &name),
            }
        }
        let mut node = Node::new(FileKind::Directory);
        node.checked = Some(listed.began);
        let id = self.add(node);
        self.attach(id, listed.directory, name);
        id
    }

    /// Applies one object found under one source of the directory. Common prefixes of the same answer come first.
    pub(crate) fn apply_object(&mut self, listed: &mut Listed, source: &str, sighting: &Sighting) {
        let key = sighting.key.as_str();
        if self.mutated_since(key, listed.asked) {
            // What is known here is newer.
            let name = key.strip_prefix(source).unwrap_or_default();
            if self.child(listed.directory, name).is_some() {
                listed.seen.insert(name.into());
            }
            return;
        }
        let Owner::Path(path) = self.owner(key) else { return };
        let Some(above) = self.prefix_of(listed.directory) else { return };
        let Some(name) = path.strip_prefix(&above) else { return };
        if name.is_empty() {
            self.sight_marker(listed.directory, sighting);
        } else if let Some(base) = name.strip_suffix(LEGACY_MARKER_SUFFIX).filter(|base| showable(base)) {
            let id = self.sight_directory(listed, base);
            self.sight_marker(id, sighting);
        } else if !name.contains('/') && self.may_show(listed, name, key) {
            self.sight_file(listed, name, sighting);
        }
    }

    /// The object is a marker of the directory.
    pub(crate) fn sight_marker(&mut self, id: NodeId, sighting: &Sighting) {
        let Some(node) = self.node_mut(id) else { return };
        match node.home(&sighting.key) {
            Some(ident) if ident.matches(&sighting.ident) => return,
            Some(_) if node.recorded => return,
            _ => {}
        }
        // Attributes that were known without a marker are those of a directory that has none.
        if !(node.recorded && node.has_dirty_attributes()) {
            node.attributes = None;
            node.xattrs = None;
        }
        node.foreign = Foreign::Unknown;
        if node.current.is_none() || !node.recorded {
            node.current = Some(sighting.ident.clone());
        }
        if node.recorded {
            self.set_home(id, &sighting.key, sighting.ident.clone());
            // It moves with its directory.
            self.push_work(Work::Node(id));
        } else {
            node.set_home(&sighting.key, sighting.ident.clone());
        }
        // Markers of the own form go before old ones.
        if let Some(node) = self.node_mut(id) {
            node.homes.sort_by_key(|(key, _)| !key.as_str().ends_with('/'));
        }
    }

    fn sight_file(&mut self, listed: &mut Listed, name: &str, sighting: &Sighting) {
        let mut name: Name = name.into();
        let mut known = self.child(listed.directory, &name);
        let is_directory = |tree: &Self, id| tree.node(id).is_some_and(Node::is_directory);
        if listed.seen.contains(&name) && known.is_some_and(|id| is_directory(self, id)) {
            // The directory keeps the name; the object goes by another.
            let Some(alias) = alias_of(&name) else {
                listed.hidden.push(sighting.key.to_string());
                return;
            };
            name = alias.into();
            known = self.child(listed.directory, &name);
        }
        if !listed.seen.insert(name.clone()) {
            return;
        }
        if let Some(id) = known {
            let Some(node) = self.node(id) else { return };
            if node.recorded {
                return;
            }
            if node.is_linked() && node.home(&sighting.key).is_some_and(|ident| ident.matches(&sighting.ident)) {
                // That the others are there too is asked again with the attributes.
                if let Some(node) = self.node_mut(id) {
                    node.checked = Some(listed.began);
                }
                return;
            }
            if !node.is_directory() && !node.is_linked() && node.native == sighting.native {
                self.see_again(id, sighting, listed.began);
                return;
            }
            self.vanish(id, listed.directory, &name);
        }
        let id = self.add(sighting.node(listed.began));
        self.attach(id, listed.directory, name);
    }

    /// The bucket showed the object of a node without records once more, perhaps another version of it.
    pub(crate) fn see_again(&mut self, id: NodeId, sighting: &Sighting, now: Instant) {
        let Some(node) = self.node_mut(id) else { return };
        node.checked = Some(now);
        node.appendable = sighting.appendable;
        let same = node.home(&sighting.key).is_some_and(|ident| ident.matches(&sighting.ident));
        if same {
            let known = node.current.clone();
            let ident = Ident {
                crc64: known.as_ref().and_then(|known| known.crc64).or(sighting.ident.crc64),
                last_modified: sighting.ident.last_modified.or(known.and_then(|known| known.last_modified)),
                ..sighting.ident.clone()
            };
            node.current = Some(ident.clone());
            node.homes = vec![(sighting.key.clone(), ident)];
            if !node.firm {
                node.attributes = None;
                node.xattrs = None;
                node.foreign = Foreign::Unknown;
            }
            return;
        }
        let other_content = node.current.as_ref().is_none_or(|known| known.etag != sighting.ident.etag);
        node.epoch += u32::from(other_content);
        node.size = sighting.ident.size;
        node.current = Some(sighting.ident.clone());
        node.homes = vec![(sighting.key.clone(), sighting.ident.clone())];
        node.attributes = None;
        node.xattrs = None;
        node.foreign = Foreign::Unknown;
        node.target = None;
        node.kind_is_guess = sighting.kind.is_none();
    }

    /// All sources were listed to their end: names that were not seen are not there.
    pub(crate) fn finish_listing(&mut self, listed: &Listed) {
        let Some(path) = self.prefix_of(listed.directory) else { return };
        let Some(directory) = self.node(listed.directory).and_then(|node| node.directory.as_ref()) else { return };
        let unseen: Vec<(Name, NodeId)> = directory
            .children
            .iter()
            .filter(|(name, _)| !listed.seen.contains(*name))
            .map(|(name, id)| (name.clone(), *id))
            .collect();
        for (name, id) in unseen {
            let Some(node) = self.node(id) else { continue };
            let changed = node.homes.iter().any(|(key, _)| self.mutated_since(key.as_str(), listed.asked));
            let below = node.is_directory() && self.mutated_below(&format!("{path}{name}/"), listed.asked);
            if !node.recorded && !changed && !below {
                self.vanish(id, listed.directory, &name);
            }
        }
        if let Some(directory) = self.node_mut(listed.directory).and_then(|node| node.directory.as_mut()) {
            directory.complete = Some(listed.began);
            directory.missing.clear();
        }
    }

    /// The directory that shows a key is listed anew when it is asked for.
    pub(crate) fn list_again(&mut self, key: &Key) {
        let place = self.place(key.as_str()).into_owned();
        let above = place.trim_end_matches('/').rfind('/').map_or("", |slash| &place[..=slash]);
        let directory = self.at_path(above).and_then(|id| self.node_mut(id)?.directory.as_mut());
        if let Some(directory) = directory {
            directory.complete = None;
            directory.missing.clear();
        }
    }

    /// An object that was thought to be gone is there: the nearest directory above it that is known is listed anew.
    pub(crate) fn show_again(&mut self, key: &Key) {
        let place = self.place(key.as_str()).into_owned();
        let mut path = place.as_str();
        while let Some(slash) = path.trim_end_matches('/').rfind('/') {
            path = &place[..=slash];
            if self.at_path(path).is_some() {
                break;
            }
        }
        let above = if path == place { "" } else { path };
        let directory = self.at_path(above).or(Some(NodeId::ROOT)).and_then(|id| self.node_mut(id)?.directory.as_mut());
        if let Some(directory) = directory {
            directory.complete = None;
            directory.missing.clear();
        }
    }

    /// A node without records is not there any more.
    pub(crate) fn vanish(&mut self, id: NodeId, parent: NodeId, name: &str) {
        self.detach(id, parent, name);
        match self.node(id).map(|node| node.is_linked() && !node.names.is_empty()) {
            Some(true) => self.drop_homes_without_name(id),
            _ => {
                if let Some(node) = self.node_mut(id) {
                    node.epoch += 1;
                }
            }
        }
        self.drop_if_unused(id);
    }
}
