//! Objects that nobody has recorded become nodes: those under a claim, to be moved, and those that stand in the way.

use crate::format::{HIDDEN_DIRECTORY, LEGACY_MARKER_SUFFIX, showable};
use crate::tree::{Node, Owner, Sighting, Tree};
use ossfs_ledger::{Name, NodeId};
use ossfs_types::FileKind;
use tokio::time::Instant;

impl Tree {
    /// Records the object at a key as the node that it is by the rules of ownership. `None` if it has a record already, or
    /// belongs nowhere that is shown.
    pub(crate) fn record_object(&mut self, sighting: &Sighting, now: Instant) -> Option<NodeId> {
        let Owner::Path(path) = self.owner(sighting.key.as_str()) else { return None };
        let root = self.prefix_of(NodeId::ROOT)?;
        let rest = path.strip_prefix(&root)?.to_owned();
        if rest.is_empty() || rest.starts_with(&format!("{HIDDEN_DIRECTORY}/")) {
            return None;
        }
        let (directories, last) = split(&rest);
        let mut at = NodeId::ROOT;
        for name in directories {
            at = self.directory_at(at, name, now)?;
        }
        let legacy = last.and_then(|name| name.strip_suffix(LEGACY_MARKER_SUFFIX)).filter(|name| showable(name));
        let id = match (last, legacy) {
            (None, _) => self.marker_of(at, sighting)?,
            (Some(_), Some(name)) => {
                let directory = self.directory_at(at, name, now)?;
                self.marker_of(directory, sighting)?
            }
            (Some(name), None) => self.file_at(at, name, sighting, now)?,
        };
        self.begin_draining(id);
        self.touch(id);
        Some(id)
    }

    fn marker_of(&mut self, directory: NodeId, sighting: &Sighting) -> Option<NodeId> {
        self.materialise(directory).ok()?;
        self.sight_marker(directory, sighting);
        self.node_mut(directory)?.wants_marker = true;
        Some(directory)
    }

    fn directory_at(&mut self, parent: NodeId, name: &str, now: Instant) -> Option<NodeId> {
        if let Some(id) = self.child(parent, name) {
            if self.node(id).is_some_and(Node::is_directory) {
                self.materialise(id).ok()?;
                return Some(id);
            }
            // A file has the name: its object keeps standing beside the directory, under another name when it is listed.
            if self.node(id).is_some_and(|node| node.recorded) {
                let id = self.add_directory(parent, self.free_name(parent, name), now);
                self.materialise(id).ok()?;
                return Some(id);
            }
            self.vanish(id, parent, name);
        }
        let id = self.add_directory(parent, name.into(), now);
        self.materialise(id).ok()?;
        Some(id)
    }

    fn add_directory(&mut self, parent: NodeId, name: Name, now: Instant) -> NodeId {
        let mut node = Node::new(FileKind::Directory);
        node.checked = Some(now);
        let id = self.add(node);
        self.attach(id, parent, name);
        id
    }

    fn file_at(&mut self, parent: NodeId, name: &str, sighting: &Sighting, now: Instant) -> Option<NodeId> {
        let mut name: Name = name.into();
        if let Some(id) = self.child(parent, &name) {
            let node = self.node(id)?;
            if node.recorded || node.is_directory() {
                // The name is taken, by us: the object is kept under another.
                name = self.free_name(parent, &name);
            } else if node.home(&sighting.key).is_some_and(|ident| !node.is_linked() || ident.matches(&sighting.ident))
            {
                if !node.is_linked() {
                    self.see_again(id, sighting, now);
                }
                self.materialise(id).ok()?;
                return Some(id);
            } else {
                // What is under a claim goes before what is there by nature.
                self.vanish(id, parent, &name);
            }
        }
        let id = self.add(sighting.node(now));
        self.attach(id, parent, name);
        // The name is not the one that the key has by nature where it was taken; the home counts all the same.
        self.materialise_as_it_is(id)?;
        Some(id)
    }

    /// A name that is free, for what can't have its own.
    fn free_name(&self, parent: NodeId, name: &str) -> Name {
        let mut cut = name.len().min(200);
        while !name.is_char_boundary(cut) {
            cut -= 1;
        }
        let name = &name[..cut];
        loop {
            let free = format!("{name}.conflict-{:08x}", fastrand::u32(..));
            if self.child(parent, &free).is_none() {
                return free.into();
            }
        }
    }
}

/// The directories and, unless it ends with one, the file of a path. What can't be shown as a name is kept whole at the
/// end: it is nobody's to see, but moves with its directory.
fn split(path: &str) -> (Vec<&str>, Option<&str>) {
    let mut directories = Vec::new();
    let mut rest = path;
    while let Some((name, after)) = rest.split_once('/') {
        if !showable(name) {
            return (directories, Some(rest));
        }
        directories.push(name);
        rest = after;
    }
    (directories, (!rest.is_empty()).then_some(rest))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn paths_are_split_into_what_can_be_shown() {
        assert_eq!(split("a/b/c"), (vec!["a", "b"], Some("c")));
        assert_eq!(split("a/b/"), (vec!["a", "b"], None));
        assert_eq!(split("a//b"), (vec!["a"], Some("/b")));
        assert_eq!(split("a/../b/"), (vec!["a"], Some("../b/")));
        assert_eq!(split("x"), (vec![], Some("x")));
    }
}
