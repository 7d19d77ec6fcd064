//! Files of several names: one node, and under the key of each name an object with the whole content.
//!
//! Invariants: a node with a link id has all names that its list and their objects agree on, whether it is recorded or only
//! a cache; its homes are whole and equal but for those that are `stale`; no two nodes have the same id.
//!
//! ```text
//! one name --(link)--> several: objects carry the id, a list says where they are
//!                        | a name is removed, or its object is no longer ours: the others keep the id
//!                        +--(one is left)--> its object is described without the id, then the list is garbage
//! ```

use super::{Gone, Node, Owner, Sighting, Tree};
use crate::format::{HIDDEN_DIRECTORY, alias_of, lists, new_link, showable};
use ossfs_ledger::{Ident, Link, LinkList, Name, NodeId, Tomb};
use ossfs_types::{Crc64, ETag, FileKind, Key};
use std::sync::Arc;
use tokio::time::Instant;

/// Objects that are names of one file, as the bucket showed them.
#[derive(Debug)]
pub(crate) struct Group {
    /// Their id.
    pub link: Arc<str>,
    /// Checksum of the list that named them.
    pub list: Crc64,
    /// The first is the one that was looked at.
    pub members: Vec<Sighting>,
}

impl Node {
    /// Whether a home shows the content, whole and up to date.
    pub(super) fn shows(&self, key: &str, ident: &Ident) -> bool {
        match self.link {
            Some(_) => !self.stale.iter().any(|stale| stale.as_str() == key),
            None => self.current.as_ref() == Some(ident),
        }
    }

    /// Whether it has, or had, several names.
    pub(crate) fn is_linked(&self) -> bool {
        self.link.is_some()
    }

    /// The id that its objects are to carry.
    pub(crate) fn carried_link(&self) -> Option<&str> {
        self.link.as_ref().filter(|_| self.names.len() > 1).map(|link| &*link.id)
    }
}

/// Whether two objects that carry the same id have the same content.
pub(crate) fn same_content(one: &Ident, other: &Ident) -> bool {
    let same = match (one.crc64, other.crc64) {
        (Some(one), Some(other)) => one == other,
        _ => one.etag == other.etag,
    };
    one.size == other.size && same
}

impl Tree {
    /// The node of an id.
    pub(crate) fn linked(&self, link: &str) -> Option<NodeId> {
        self.links.get(link).copied()
    }

    /// Whether any file here has several names.
    pub(crate) fn has_links(&self) -> bool {
        !self.links.is_empty()
    }

    /// The object that lists the names of an id.
    pub(crate) fn list_key(&self, link: &str) -> Option<Key> {
        Key::parse(&format!("{}{}{link}", self.prefix.as_str(), lists())).ok()
    }

    /// Whether a key is that of a list: nobody else has any business there.
    pub(crate) fn is_list(&self, key: &Key) -> bool {
        let own = key.as_str().strip_prefix(self.prefix.as_str());
        own.is_some_and(|own| own.starts_with(&lists()))
    }

    /// Makes a node one of several names, or no longer one.
    pub(crate) fn set_link(&mut self, id: NodeId, link: Option<Link>) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        match (&node.link, &link) {
            (None, Some(_)) => {
                let current = node.current.clone();
                let old = node.homes.iter().filter(|(_, ident)| current.as_ref() != Some(ident));
                node.stale = old.map(|(key, _)| key.clone()).collect();
            }
            (Some(_), None) => {
                node.current = node.any_valid_home().map(|(_, ident)| ident.clone()).or(node.current.take());
                node.stale.clear();
            }
            _ => {}
        }
        if let Some(old) = node.link.take() {
            self.links.remove(&old.id);
        }
        if let Some(link) = &link {
            self.links.insert(link.id.clone(), id);
        }
        let recorded = node.recorded;
        node.link = link;
        if recorded {
            self.touch(id);
        }
    }

    /// Notes what the list of a node says.
    pub(crate) fn set_list(&mut self, id: NodeId, list: LinkList) {
        if let Some(link) = self.nodes.get_mut(&id).and_then(|node| node.link.as_mut()) {
            link.list = list;
            self.touch(id);
        }
    }

    /// Gives a file one more name, which is free.
    pub(crate) fn link(&mut self, id: NodeId, parent: NodeId, name: &Name) -> Result<(), Gone> {
        self.materialise(id)?;
        self.materialise(parent)?;
        let node = self.node(id).filter(|node| !node.names.is_empty()).ok_or(Gone)?;
        let first = node.names.len() == 1;
        if !node.is_linked() {
            self.set_link(id, Some(Link { id: new_link(), list: LinkList::Absent }));
        }
        self.attach(id, parent, name.clone());
        if first {
            self.describe_again(id);
        }
        Ok(())
    }

    /// A recorded node has lost a name: the last one that is left is a file like any other.
    pub(super) fn has_lost_a_name(&mut self, id: NodeId) {
        if self.node(id).is_some_and(|node| node.recorded && node.is_linked() && node.names.len() == 1) {
            self.describe_again(id);
        }
    }

    /// The objects of a node are to carry the id, or not to.
    pub(super) fn describe_again(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.attributes_generation += 1;
            self.touch(id);
        }
    }

    /// A home is not as the node is: it is to be made so.
    pub(crate) fn make_stale(&mut self, id: NodeId, key: &Key) {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.is_linked()) else { return };
        if !node.stale.contains(key) {
            node.stale.push(key.clone());
            self.touched.insert(ossfs_ledger::RecordKey::Home(key.clone()));
        }
    }

    /// The name of a node that has a key by nature, or by a claim.
    fn name_at(&self, id: NodeId, key: &str) -> Option<(NodeId, Name)> {
        let place = self.place(key);
        let names = &self.node(id)?.names;
        names.iter().find(|(parent, name)| self.path_in(*parent, name).as_deref() == Some(&*place)).cloned()
    }

    /// Somebody else replaced or deleted the object of one of several names: that name leaves. Returns false if nothing
    /// would be left of the file.
    pub(crate) fn leave(&mut self, id: NodeId, key: &Key) -> bool {
        let Some(node) = self.node(id).filter(|node| node.is_linked()) else { return false };
        let left = node.homes.iter().any(|(home, ident)| home != key && node.shows(home.as_str(), ident));
        if !left {
            return false;
        }
        let several = node.names.len() > 1;
        if !node.recorded {
            match self.name_at(id, key.as_str()) {
                Some((parent, name)) if several => {
                    self.vanish(id, parent, &name);
                    // What is there instead is a file by itself.
                    self.list_again(key);
                }
                Some(_) => return false,
                // The directory of that name has vanished already.
                None => self.drop_homes_without_name(id),
            }
            return true;
        }
        self.drop_home(id, key);
        let by_nature = |(parent, name): &(NodeId, Name)| self.path_in(*parent, name).as_deref() == Some(key.as_str());
        let name = self.node(id).and_then(|node| node.names.iter().find(|name| by_nature(name)).cloned());
        if let Some((parent, name)) = name.filter(|_| several) {
            self.detach(id, parent, &name);
            self.has_lost_a_name(id);
            self.list_again(key);
        }
        self.touch(id);
        true
    }

    /// A cached node has lost names: the objects of those are not known to be there any more.
    pub(super) fn drop_homes_without_name(&mut self, id: NodeId) {
        let Some(node) = self.node(id) else { return };
        let paths: Vec<String> = node.names.iter().filter_map(|(parent, name)| self.path_in(*parent, name)).collect();
        let named = |(key, _): &&(Key, Ident)| paths.iter().any(|path| *path == *self.place(key.as_str()));
        let homes = node.homes.iter().filter(named).cloned().collect();
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.homes = homes;
        node.current = node.any_valid_home().map(|(_, ident)| ident.clone());
    }

    /// Names of a cached node whose objects turn out to be others'.
    pub(super) fn drop_names_without_home(&mut self, id: NodeId) {
        let names = self.node(id).map(|node| node.names.clone()).unwrap_or_default();
        for (parent, name) in names {
            let Some(path) = self.path_in(parent, &name) else { continue };
            let homes = self.node(id).map(|node| &node.homes[..]).unwrap_or_default();
            if !homes.iter().any(|(key, _)| self.place(key.as_str()) == path) {
                self.detach(id, parent, &name);
            }
        }
    }

    /// Makes of objects that carry one id one node, with all their names: the one that is known by the id, or the one that
    /// they were found by, or a new one. `None` if the ledger has another opinion.
    pub(crate) fn join(&mut self, group: &Group, found_by: Option<NodeId>, now: Instant) -> Option<NodeId> {
        let known = self.linked(&group.link);
        if known.is_some_and(|known| self.node(known).is_some_and(|node| node.recorded)) {
            return None;
        }
        let first = group.members.first()?;
        let id = known.or(found_by).unwrap_or_else(|| self.add(first.node(now)));
        let mut joined: Vec<(NodeId, Name, &Sighting)> = Vec::new();
        for member in &group.members {
            if let Some((parent, name)) = self.place_of_member(id, &member.key) {
                joined.push((parent, name, member));
            }
        }
        if joined.first().is_none_or(|(_, _, member)| member.key != first.key) {
            self.drop_if_unused(id);
            return None;
        }
        let before = self.node(id).map(|node| node.names.clone()).unwrap_or_default();
        for (parent, name) in &before {
            if !joined.iter().any(|(at, named, _)| at == parent && named == name) {
                self.detach(id, *parent, name);
            }
        }
        for (parent, name, _) in &joined {
            match self.child(*parent, name) {
                Some(there) if there == id => continue,
                Some(other) => self.vanish(other, *parent, name),
                None => {}
            }
            self.attach(id, *parent, name.clone());
        }
        let node = self.nodes.get_mut(&id)?;
        node.epoch += u32::from(node.current.as_ref().is_some_and(|old| !same_content(old, &first.ident)));
        node.homes = joined.iter().map(|(_, _, member)| (member.key.clone(), member.ident.clone())).collect();
        node.current = Some(first.ident.clone());
        node.checked = Some(now);
        node.verified = Some(now);
        self.set_link(id, Some(Link { id: group.link.clone(), list: LinkList::Says(group.list) }));
        if let Some(node) = self.nodes.get_mut(&id) {
            node.stale.clear();
        }
        Some(id)
    }

    /// Where the object of a key is shown, with the directories above it; `None` if it is not, or something else is there
    /// that goes before.
    fn place_of_member(&mut self, id: NodeId, key: &Key) -> Option<(NodeId, Name)> {
        let Owner::Path(path) = self.owner(key.as_str()) else { return None };
        let rest = path.strip_prefix(self.prefix.as_str())?.to_owned();
        let (above, name) = rest.rsplit_once('/').unwrap_or(("", &rest));
        let mut at = NodeId::ROOT;
        for directory in above.split('/').filter(|_| !above.is_empty()) {
            if !showable(directory) || (at == NodeId::ROOT && directory == HIDDEN_DIRECTORY) {
                return None;
            }
            at = match self.child(at, directory) {
                Some(known) if self.node(known).is_some_and(Node::is_directory) => known,
                Some(_) => return None,
                None => {
                    let made = self.add(Node { unsought: true, ..Node::new(FileKind::Directory) });
                    self.attach(made, at, directory.into());
                    made
                }
            };
        }
        let beside = self.child(at, name).is_some_and(|there| self.node(there).is_some_and(Node::is_directory));
        let alias = if beside { alias_of(name) } else { None };
        let name = alias.as_deref().unwrap_or(name);
        let free =
            |other: NodeId| other == id || self.node(other).is_some_and(|node| !node.recorded && !node.is_directory());
        let fits = showable(name) && self.child(at, name).is_none_or(free);
        fits.then(|| (at, name.into()))
    }

    /// The file has one name, and its object does not carry the id: the list is garbage.
    pub(crate) fn end_link(&mut self, id: NodeId) {
        let Some(link) = self.node(id).and_then(|node| node.link.clone()) else { return };
        self.set_link(id, None);
        if link.list == LinkList::Absent {
            return;
        }
        // Nobody compares: what is there is a list of ours, whatever it says.
        let ident =
            Ident { etag: ETag::parse("list").expect("visible characters"), size: 0, crc64: None, last_modified: None };
        if let Some(key) = self.list_key(&link.id) {
            self.set_tomb(&key, Some(Tomb { ident }));
        }
    }
}
