//! Whose a key is: one function, which lookup, listing, moving, making room and forgetting all ask.

use super::Tree;
use ossfs_ledger::NodeId;
use ossfs_types::Key;
use std::borrow::Cow;
use std::sync::Arc;

/// Whose a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// An object of this recorded node, which is shown at the node's names only.
    Node(NodeId),
    /// Garbage.
    Nobody,
    /// What is there, if anything, is shown at this path, written as the key that it would have by nature.
    Path(String),
}

impl Tree {
    /// What the keys of a directory's children begin with by nature: empty, or ending with `/`. `None` if the directory
    /// has no name any more.
    pub(crate) fn prefix_of(&self, directory: NodeId) -> Option<String> {
        let mut names = Vec::new();
        let mut at = directory;
        while at != NodeId::ROOT {
            let (parent, name) = self.node(at)?.names.first()?;
            names.push(&**name);
            at = *parent;
        }
        let mut prefix = self.prefix.as_str().to_owned();
        for name in names.iter().rev() {
            prefix.push_str(name);
            prefix.push('/');
        }
        Some(prefix)
    }

    /// The path of a name in a directory, written as a key; of directories without the `/` at the end.
    pub(crate) fn path_in(&self, parent: NodeId, name: &str) -> Option<String> {
        Some(self.prefix_of(parent)? + name)
    }

    /// The key that a node has by nature: of directories that of the marker. `None` if it has no name.
    pub(crate) fn natural_key(&self, id: NodeId) -> Option<Key> {
        let node = self.node(id)?;
        let text = if node.is_directory() {
            self.prefix_of(id)?
        } else {
            let (parent, name) = node.names.first()?;
            self.path_in(*parent, name)?
        };
        Key::parse(&text).ok()
    }

    /// The keys at which a node is to have an object: one for each name that makes a key. `None` if there are none.
    pub(crate) fn desired_keys(&self, id: NodeId) -> Option<Vec<Key>> {
        let node = self.node(id)?;
        if node.is_directory() {
            return Some(vec![self.natural_key(id)?]);
        }
        let key = |(parent, name): &(NodeId, ossfs_ledger::Name)| Key::parse(&self.path_in(*parent, name)?).ok();
        let keys: Vec<Key> = node.names.iter().filter_map(key).collect();
        (!keys.is_empty()).then_some(keys)
    }

    /// The longest claim that a key is under, with its directory.
    pub(crate) fn claim_over(&self, key: &str) -> Option<(&Arc<str>, NodeId)> {
        let ends = key.rmatch_indices('/').map(|(slash, _)| &key[..=slash]);
        ends.filter_map(|prefix| self.claims.get_key_value(prefix))
            .map(|(prefix, claim)| (prefix, claim.directory))
            .next()
    }

    /// The path of what has no record at a key.
    pub(crate) fn place<'a>(&self, key: &'a str) -> Cow<'a, str> {
        match self.claim_over(key) {
            None => Cow::Borrowed(key),
            Some((prefix, directory)) => match self.prefix_of(directory) {
                Some(path) => Cow::Owned(path + &key[prefix.len()..]),
                // Claims are dropped with the directory's name.
                None => Cow::Borrowed(key),
            },
        }
    }

    /// Whose a key is.
    pub(crate) fn owner(&self, key: &str) -> Owner {
        if let Some(intent) = self.intents.get(key) {
            return Owner::Node(intent.node);
        }
        if let Some(id) = self.homes.get(key) {
            return Owner::Node(*id);
        }
        if self.tombs.contains_key(key) {
            return Owner::Nobody;
        }
        Owner::Path(self.place(key).into_owned())
    }

    /// The prefixes under which a directory's children may be, claimed ones first: objects only move from there to the
    /// natural one.
    pub(crate) fn sources(&self, directory: NodeId) -> Vec<String> {
        let Some(path) = self.prefix_of(directory) else { return Vec::new() };
        let mut sources = Vec::new();
        let mut at = directory;
        let mut below = String::new();
        loop {
            let claims = self.node(at).map_or(&[][..], |node| &node.claims);
            sources.extend(claims.iter().map(|claim| format!("{claim}{below}")));
            if at == NodeId::ROOT {
                break;
            }
            let Some((parent, name)) = self.node(at).and_then(|node| node.names.first()) else { break };
            below = format!("{name}/{below}");
            at = *parent;
        }
        sources.retain(|source| *source != path && self.place(source) == path);
        if self.place(&path) == path {
            sources.push(path);
        }
        sources
    }

    /// Whether a record stands at a key under a prefix.
    pub(crate) fn has_records_under(&self, prefix: &str) -> bool {
        fn first<V>(map: &std::collections::BTreeMap<Key, V>, prefix: &str) -> bool {
            let from = (std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded);
            map.range::<str, _>(from).next().is_some_and(|(key, _)| key.as_str().starts_with(prefix))
        }
        let claimed = self.claims.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        first(&self.homes, prefix)
            || first(&self.tombs, prefix)
            || first(&self.intents, prefix)
            || claimed.take(1).any(|(claim, _)| claim.starts_with(prefix))
    }

    /// The node at a path that is written as a key, if it is known.
    pub(crate) fn at_path(&self, path: &str) -> Option<NodeId> {
        let rest = path.strip_prefix(self.prefix.as_str())?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() {
            return Some(NodeId::ROOT);
        }
        rest.split('/').try_fold(NodeId::ROOT, |at, name| self.child(at, name))
    }

    /// Whether a node is known at a path; a directory, if the path ends with `/`.
    pub(crate) fn shows(&self, path: &str) -> bool {
        let node = self.at_path(path).and_then(|id| self.node(id));
        node.is_some_and(|node| node.is_directory() || !path.ends_with('/'))
    }
}
