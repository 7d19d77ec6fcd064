//! Attributes are asked for: one request a node, many at once.

use super::{LOOKS_MAX, store_error};
use crate::NodeAttributes;
use crate::core::{Core, World};
use crate::errors::{Error, Result};
use crate::format::{self, Defaults, Described};
use crate::tree::{Foreign, Group, Node, Owner, Sighting, Tree, ident_of};
use ossfs_ledger::{Ident, NodeId};
use ossfs_store::{Kind, ObjectMeta, ObjectType, Symlink};
use ossfs_types::{Attributes, FileKind, Key, SignedDuration};
use tokio::time::Instant;

/// A change of the metadata alone within the second of the last write does not show in Last-Modified; later it does. One
/// more second for the clock's edges.
const FIRM_AFTER: SignedDuration = SignedDuration::from_secs(2);

/// Where the attributes of a node are to be asked for.
enum Where {
    /// They are known.
    Known,
    /// The listing's word is taken for them.
    Listing,
    /// At its object.
    Object(Key),
    /// At its object, which is a native symlink.
    Symlink(Key),
    /// At a marker that may be at one of these.
    Markers(Vec<Key>),
}

/// What was found there.
pub(super) enum Found {
    Object(Key, Box<ObjectMeta>),
    Symlink(Key, Box<Symlink>),
    /// A directory without a marker.
    Implicit,
    Gone,
}

impl Core {
    /// Sees to it that the attributes of a node are known, and not too old.
    pub(crate) async fn describe(&self, id: NodeId) -> Result<()> {
        for _ in 0..LOOKS_MAX {
            let place = self.place_of_attributes(id)?;
            let place = match place {
                Where::Known => return Ok(()),
                Where::Listing => {
                    self.take_listing(id);
                    return Ok(());
                }
                Where::Object(_) if self.recall(id) => return Ok(()),
                place => place,
            };
            let (asked, homes) = self.ask(|world| world.tree.node(id).map(|node| node.homes.clone()));
            let found = {
                let _permit = self.asking.acquire().await;
                self.find(place).await?
            };
            let group = self.group_found(id, &found).await?;
            let applied = self.change(|world| {
                let tree = &mut world.tree;
                let node = tree.node(id).ok_or(Error::NotFound)?;
                // What we are about to write over a home of ours says the same as what is there, as long as nobody has
                // asked; and it may take long.
                let newer = |key: &str| match node.recorded {
                    true => tree.changed_since(key, asked.sequence()),
                    false => tree.mutated_since(key, asked.sequence()),
                };
                let moved =
                    Some(&node.homes) != homes.as_ref() || node.homes.iter().any(|(key, _)| newer(key.as_str()));
                let members = group.iter().flat_map(|group| &group.members);
                let others_moved =
                    members.into_iter().any(|member| tree.mutated_since(member.key.as_str(), asked.sequence()));
                if moved || others_moved {
                    return Ok(false);
                }
                self.apply(tree, id, found, group)
            })?;
            if applied {
                return Ok(());
            }
        }
        Err(Error::Failed)
    }

    /// Does something for a node while its attributes are known.
    pub(super) async fn with_attributes<R>(
        &self,
        id: NodeId,
        mut act: impl FnMut(&mut World) -> Result<R>,
    ) -> Result<R> {
        self.once_described(id, || {
            self.change(|world| if has_attributes(world, id) { act(world).map(Some) } else { Ok(None) })
        })
        .await
    }

    /// What is known of a node, once its attributes are. Changes nothing.
    pub(super) async fn described_view(&self, id: NodeId) -> Result<NodeAttributes> {
        self.once_described(id, || {
            let world = self.world();
            if has_attributes(&world, id) { self.view(&world.tree, id).map(Some) } else { Ok(None) }
        })
        .await
    }

    /// Describes a node until an attempt finds it so: a listing may show meanwhile that its attributes may be others.
    async fn once_described<R>(&self, id: NodeId, mut attempt: impl FnMut() -> Result<Option<R>>) -> Result<R> {
        for _ in 0..LOOKS_MAX {
            self.describe(id).await?;
            if let Some(done) = attempt()? {
                return Ok(done);
            }
        }
        Err(Error::Failed)
    }

    fn place_of_attributes(&self, id: NodeId) -> Result<Where> {
        let world = self.world();
        let node = world.tree.node(id).ok_or(Error::NotFound)?;
        let verified =
            node.recorded || !node.is_linked() || !self.time_left(node.verified, self.options.metadata_ttl).is_zero();
        let sought = !node.unsought || id == NodeId::ROOT;
        if node.attributes.is_some() && verified && sought && (self.is_fresh(node) || id == NodeId::ROOT) {
            return Ok(Where::Known);
        }
        if node.names.is_empty() && id != NodeId::ROOT {
            // Unlinked, or vanished by an outsider's hand: what is known stays as it is.
            return if node.attributes.is_some() { Ok(Where::Known) } else { Err(Error::Stale) };
        }
        if node.is_directory() {
            return Ok(Where::Markers(markers(&world.tree, id, node)));
        }
        if self.options.trust_listing && !node.native && self.is_fresh(node) {
            return Ok(Where::Listing);
        }
        let home = node.any_valid_home().or(node.homes.first());
        let (key, _) = home.ok_or(Error::Stale)?;
        Ok(if node.native { Where::Symlink(key.clone()) } else { Where::Object(key.clone()) })
    }

    async fn find(&self, place: Where) -> Result<Found> {
        match place {
            Where::Known | Where::Listing => Ok(Found::Implicit),
            Where::Object(key) => match self.store.head(&key).await {
                Ok(meta) => Ok(Found::Object(key, Box::new(meta))),
                Err(error) if error.kind() == Kind::NotFound => Ok(Found::Gone),
                Err(error) => Err(store_error(&error)),
            },
            Where::Symlink(key) => match self.store.get_symlink(&key).await {
                Ok(link) => Ok(Found::Symlink(key, Box::new(link))),
                Err(error) if matches!(error.kind(), Kind::NotFound | Kind::WrongType) => Ok(Found::Gone),
                Err(error) => Err(store_error(&error)),
            },
            Where::Markers(keys) => {
                for key in keys {
                    match self.store.head(&key).await {
                        Ok(meta) => return Ok(Found::Object(key, Box::new(meta))),
                        Err(error) if error.kind() == Kind::NotFound => {}
                        Err(error) => return Err(store_error(&error)),
                    }
                }
                Ok(Found::Implicit)
            }
        }
    }

    /// Takes in what was found. Returns false if the node is to be looked at again.
    fn apply(&self, tree: &mut Tree, id: NodeId, found: Found, group: Option<Group>) -> Result<bool> {
        let now = Instant::now();
        match found {
            Found::Gone => {
                let node = tree.node(id).ok_or(Error::NotFound)?;
                if node.recorded {
                    return Err(Error::Stale);
                }
                let home = node.any_valid_home().map(|(key, _)| key.clone());
                if home.is_some_and(|home| tree.leave(id, &home)) {
                    // Another of its names is still there.
                    return Ok(false);
                }
                for (parent, name) in tree.node(id).map(|node| node.names.clone()).unwrap_or_default() {
                    tree.vanish(id, parent, &name);
                }
                Err(Error::NotFound)
            }
            Found::Implicit => {
                let attributes = self.default_attributes(FileKind::Directory, id == NodeId::ROOT);
                let node = tree.node_mut(id).ok_or(Error::NotFound)?;
                node.unsought = false;
                // Without a record nothing else knew of a marker.
                if !node.recorded {
                    node.homes.clear();
                    node.current = None;
                    node.xattrs = None;
                }
                node.attributes = node.attributes.or(Some(attributes));
                node.foreign = Foreign::Known(None);
                node.checked = Some(now);
                Ok(true)
            }
            Found::Symlink(key, link) => {
                let node = tree.node_mut(id).ok_or(Error::NotFound)?;
                let meta = symlink_meta(&link, node.current.as_ref());
                let attributes = self.described(&meta, false, id == NodeId::ROOT).attributes;
                node.attributes = Some(attributes);
                let target = self.link_target(&key, &link.target);
                node.size = target.len() as u64;
                node.target = Some(target.into_bytes().into());
                node.foreign = Foreign::Known(None);
                node.checked = Some(now);
                Ok(true)
            }
            Found::Object(key, meta) => self.apply_object_meta(tree, id, &key, &meta, group, now),
        }
    }

    fn apply_object_meta(
        &self,
        tree: &mut Tree,
        id: NodeId,
        key: &Key,
        meta: &ObjectMeta,
        group: Option<Group>,
        now: Instant,
    ) -> Result<bool> {
        let ident = ident_of(meta);
        let node = tree.node(id).ok_or(Error::NotFound)?;
        let directory = node.is_directory();
        let described = self.described(meta, directory, id == NodeId::ROOT);
        let appendable = meta.object_type == ObjectType::Appendable;
        let sighting = Sighting { key: key.clone(), ident, kind: Some(described.kind), native: false, appendable };
        if node.recorded {
            if directory && node.home(key).is_none() && matches!(tree.owner(key.as_str()), Owner::Path(_)) {
                tree.sight_marker(id, &sighting);
            }
            let node = tree.node(id).ok_or(Error::NotFound)?;
            // What the ledger says of it goes before; only what is not known is taken.
            let foreign = self.foreign(node, &meta.metadata);
            let node = tree.node_mut(id).ok_or(Error::NotFound)?;
            node.attributes = node.attributes.or(Some(described.attributes));
            node.foreign = Foreign::Known(foreign);
            node.unsought = false;
            if node.learn_kind(&described) {
                tree.touch(id);
            }
            return Ok(true);
        }
        if let Some(joined) = group.and_then(|group| tree.join(&group, Some(id), now)) {
            if joined != id {
                // Whoever asked for this one finds the other at its name.
                self.fill_joined(tree, joined, described, meta, now);
                tree.drop_if_unused(id);
                return Err(Error::NotFound);
            }
        } else if directory {
            tree.sight_marker(id, &sighting);
        } else {
            if tree.leave(id, key) {
                return Ok(false);
            }
            tree.set_link(id, None);
            tree.see_again(id, &sighting, now);
        }
        if !directory && described.kind != node_kind(tree, id) {
            if tree.node(id).is_some_and(|node| node.lookups > 0 || node.opens > 0) {
                // The kernel knows it as something else: it becomes another node.
                for (parent, name) in tree.node(id).map(|node| node.names.clone()).unwrap_or_default() {
                    tree.vanish(id, parent, &name);
                }
                return Err(Error::NotFound);
            }
            if let Some(node) = tree.node_mut(id) {
                node.kind = described.kind;
            }
        }
        let Some(node) = tree.node(id) else { return Err(Error::NotFound) };
        let foreign = self.foreign(node, &meta.metadata);
        let node = tree.node_mut(id).ok_or(Error::NotFound)?;
        self.fill(node, described, foreign, meta, now);
        Ok(true)
    }

    fn fill_joined(&self, tree: &mut Tree, id: NodeId, described: Described, meta: &ObjectMeta, now: Instant) {
        let foreign = tree.node(id).and_then(|node| self.foreign(node, &meta.metadata));
        if let Some(node) = tree.node_mut(id).filter(|node| node.kind == described.kind) {
            self.fill(node, described, foreign, meta, now);
        }
    }

    fn fill(
        &self,
        node: &mut Node,
        described: Described,
        foreign: Option<std::sync::Arc<ossfs_store::Metadata>>,
        meta: &ObjectMeta,
        now: Instant,
    ) {
        node.kind_is_guess = false;
        node.unsought = false;
        let known = node.attributes.filter(|_| node.is_directory());
        node.attributes = Some(known.map_or(described.attributes, |known| with_times_of(described.attributes, &known)));
        node.xattrs = None;
        node.size = described.size;
        if let Some(target) = described.symlink_in_header {
            node.target = Some(target.into());
        }
        node.foreign = Foreign::Known(foreign);
        let answered = meta.answered_at.unwrap_or_else(|| self.clock.now());
        node.firm = answered.duration_since(meta.last_modified) >= FIRM_AFTER;
        node.checked = Some(now);
    }

    /// The attributes that an object's metadata tell.
    pub(crate) fn described(&self, meta: &ObjectMeta, directory: bool, root: bool) -> Described {
        let options = &self.options;
        let directory_mode = if root { options.root_mode } else { options.directory_mode };
        let defaults = Defaults { uid: options.uid, gid: options.gid, file_mode: options.file_mode, directory_mode };
        format::described(meta, directory, &defaults)
    }

    /// Takes the listing's word: a file of this size and time, with the default owner and mode.
    fn take_listing(&self, id: NodeId) {
        let mut world = self.world();
        let Some(node) = world.tree.node_mut(id) else { return };
        let time = node.current.as_ref().and_then(|ident| ident.last_modified);
        let mut attributes = self.default_attributes(node.kind, false);
        if let Some(time) = time {
            (attributes.atime, attributes.mtime, attributes.ctime) = (time, time, time);
        }
        node.attributes = Some(attributes);
    }

    /// A native symlink's target, which is a key, as a path from where the link is.
    fn link_target(&self, key: &Key, target: &Key) -> String {
        let prefix = self.options.prefix.as_str();
        match (key.as_str().strip_prefix(prefix), target.as_str().strip_prefix(prefix)) {
            (Some(link), Some(target)) => relative(link, target),
            _ => target.to_string(),
        }
    }
}

/// Whether the attributes of a node are known; of one that is gone there is nothing to learn.
fn has_attributes(world: &World, id: NodeId) -> bool {
    world.tree.node(id).is_none_or(|node| node.attributes.is_some())
}

/// The keys where a directory's marker may be. A listing of the directory above shows old markers only, so that a known one
/// does not say that there is none at the directory's own key, which goes before.
fn markers(tree: &Tree, id: NodeId, node: &Node) -> Vec<Key> {
    let owned = |key: &Key| match tree.owner(key.as_str()) {
        // Where it is only about to put a marker there may still be another's.
        Owner::Node(owner) => owner == id && node.home(key).is_some(),
        Owner::Nobody => false,
        Owner::Path(_) => true,
    };
    let mut markers: Vec<Key> = Vec::new();
    markers.extend(tree.sources(id).iter().filter_map(|source| Key::parse(source).ok()).filter(owned));
    let others = node.homes.iter().map(|(key, _)| key);
    let (own, old): (Vec<&Key>, Vec<&Key>) = others.partition(|key| key.as_str().ends_with('/'));
    let unsought = tree.natural_key(id).filter(|_| node.unsought && id != NodeId::ROOT);
    let unsought = unsought.and_then(|key| Key::parse(&format::legacy_marker(&key)).ok()).filter(|key| owned(key));
    for key in own.into_iter().chain(old).chain(&unsought) {
        if !markers.contains(key) {
            markers.push(key.clone());
        }
    }
    markers
}

/// What the bucket says of a directory, but for the times that followed its names here.
fn with_times_of(told: Attributes, known: &Attributes) -> Attributes {
    Attributes { mtime: told.mtime.max(known.mtime), ctime: told.ctime.max(known.ctime), ..told }
}

fn node_kind(tree: &Tree, id: NodeId) -> FileKind {
    tree.node(id).map_or(FileKind::File, |node| node.kind)
}

/// Where `target` is, seen from the directory of `link`; both are paths from the root.
fn relative(link: &str, target: &str) -> String {
    let mut above: Vec<&str> = link.split('/').collect();
    above.pop();
    let mut rest: Vec<&str> = target.split('/').collect();
    let same = above.iter().zip(&rest).take_while(|(one, other)| one == other).count().min(rest.len() - 1);
    let mut path = vec![".."; above.len() - same];
    path.extend(rest.drain(same..));
    path.join("/")
}

/// What GetSymlink tells, in the form of an object's metadata.
fn symlink_meta(link: &Symlink, known: Option<&Ident>) -> ObjectMeta {
    let etag = link.etag.clone().or_else(|| known.map(|ident| ident.etag.clone()));
    ObjectMeta {
        size: 0,
        etag: etag.unwrap_or_else(|| ossfs_types::ETag::parse("symlink").expect("letters make an ETag")),
        last_modified: link.last_modified.or(known.and_then(|ident| ident.last_modified)).unwrap_or_default(),
        object_type: ObjectType::Symlink,
        storage_class: None,
        encryption: None,
        crc64: None,
        metadata: link.metadata.clone(),
        answered_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::relative;

    #[test]
    fn targets_are_seen_from_the_link() {
        assert_eq!(relative("link", "file"), "file");
        assert_eq!(relative("a/link", "a/file"), "file");
        assert_eq!(relative("a/b/link", "a/file"), "../file");
        assert_eq!(relative("a/link", "b/c/file"), "../b/c/file");
        assert_eq!(relative("a/b", "a"), "../a");
    }
}
