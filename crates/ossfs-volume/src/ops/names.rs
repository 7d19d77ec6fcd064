//! Names are made, moved and removed. Each call is one transaction of the ledger, answered before the bucket follows.

use super::lookup::Known;
use super::times::{changed, moved, names_changed};
use super::{LOOKS_MAX, store_error};
use crate::core::{Core, World};
use crate::errors::{Error, Result};
use crate::format::{HIDDEN_DIRECTORY, SYMLINK_TARGET_BYTES_MAX};
use crate::settle::Act;
use crate::tree::{Gone, NewNode, Node};
use crate::{Caller, NodeAttributes, Volume};
use ossfs_ledger::{Ident, NodeId};
use ossfs_store::ListRequest;
use ossfs_types::limits::KEY_BYTES_MAX;
use ossfs_types::{Attributes, FileKind, Key, MODE_PERMISSION_BITS, Prefix};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use tokio::time::Instant;

/// What is to be made.
pub(super) struct Making {
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u32,
    /// Of symlinks.
    pub target: Option<Arc<[u8]>>,
    /// Of devices.
    pub rdev: u32,
}

/// Where a symlink points, if that is known, and the object that has it.
type KnownTarget = (Option<Arc<[u8]>>, Option<(Key, Ident)>);

impl Volume {
    /// Makes a directory. `mode` has the permission bits, with the umask applied already. The caller refers to the node.
    pub async fn make_directory(
        &self,
        parent: NodeId,
        name: &OsStr,
        mode: u32,
        caller: Caller,
    ) -> Result<NodeAttributes> {
        self.core.make(parent, name, Making { kind: FileKind::Directory, mode, target: None, rdev: 0 }, caller).await
    }

    /// Makes a symlink. The caller refers to the node.
    pub async fn make_symlink(
        &self,
        parent: NodeId,
        name: &OsStr,
        target: &OsStr,
        caller: Caller,
    ) -> Result<NodeAttributes> {
        if target.is_empty() {
            return Err(Error::NotFound);
        }
        if target.len() as u64 > SYMLINK_TARGET_BYTES_MAX {
            return Err(Error::NameTooLong);
        }
        let target: Arc<[u8]> = target.as_bytes().into();
        let new = Making { kind: FileKind::Symlink, mode: 0o777, target: Some(target), rdev: 0 };
        self.core.make(parent, name, new, caller).await
    }

    /// Where a symlink points.
    pub async fn read_link(&self, node: NodeId) -> Result<Vec<u8>> {
        for _ in 0..LOOKS_MAX {
            self.core.describe(node).await?;
            let (target, home) = self.core.target(node)?;
            if let Some(target) = target {
                return Ok(target.to_vec());
            }
            // A symlink of ossfs 1.x: the body is the target.
            let (key, ident) = home.ok_or(Error::Stale)?;
            let options = ossfs_store::GetOptions { if_match: Some(ident.etag.clone()), ..Default::default() };
            match self.core.store.read(&key, &options, &self.core.pool).await {
                Ok(fetched) => {
                    let target: Arc<[u8]> = fetched.bytes.trim_ascii_end().into();
                    self.core.change(|world| {
                        if let Some(node) = world.tree.node_mut(node) {
                            node.target = Some(target.clone());
                        }
                    });
                    return Ok(target.to_vec());
                }
                // It has moved meanwhile.
                Err(_) if self.core.target(node)?.1.as_ref() != Some(&(key, ident)) => {}
                Err(error) => return Err(store_error(&error)),
            }
        }
        Err(Error::Failed)
    }

    /// Removes a name of something else than a directory.
    pub async fn unlink(&self, parent: NodeId, name: &OsStr) -> Result<()> {
        self.core.remove(parent, name, false).await
    }

    /// Removes an empty directory.
    pub async fn remove_directory(&self, parent: NodeId, name: &OsStr) -> Result<()> {
        self.core.remove(parent, name, true).await
    }

    /// Moves a name; what stands at the new name is replaced, unless `no_replace` forbids it.
    pub async fn rename(
        &self,
        parent: NodeId,
        name: &OsStr,
        new_parent: NodeId,
        new_name: &OsStr,
        no_replace: bool,
    ) -> Result<()> {
        let core = &self.core;
        core.writable()?;
        core.may(Act::Delete, parent)?;
        core.may(Act::Move, new_parent)?;
        let name = core.valid_name(parent, name)?;
        let new_name = core.valid_name(new_parent, new_name)?;
        if new_parent == NodeId::ROOT && new_name == HIDDEN_DIRECTORY {
            return Err(Error::NotPermitted);
        }
        for _ in 0..LOOKS_MAX {
            let id = match core.resolve_name(parent, name).await? {
                Known::Node(id) => id,
                Known::Missing(_) => return Err(Error::NotFound),
                Known::Unknown => continue,
            };
            let replaced = match core.resolve_name(new_parent, new_name).await? {
                Known::Node(id) => Some(id),
                Known::Missing(_) => None,
                Known::Unknown => continue,
            };
            if replaced == Some(id) {
                return Ok(());
            }
            if replaced.is_some() && no_replace {
                return Err(Error::Exists);
            }
            if !core.knows_all_names(parent, name, id).await? {
                continue;
            }
            if let Some(replaced) = replaced
                && !core.knows_all_names(new_parent, new_name, replaced).await?
            {
                continue;
            }
            core.check_rename(id, replaced, new_parent, new_name).await?;
            if replaced.is_some() {
                core.keep_before_replacing(id).await?;
            }
            let renamed = core.change(|world| {
                let tree = &mut world.tree;
                if tree.child(parent, name) != Some(id) || tree.child(new_parent, new_name) != replaced {
                    return Err(Gone);
                }
                tree.rename((parent, name), (new_parent, &new_name.into()))?;
                moved(tree, [parent, new_parent], [Some(id), replaced], core.clock.now());
                if let Some(replaced) = replaced {
                    world.drop_content_of_gone(replaced);
                }
                Ok(())
            });
            match renamed {
                Ok(()) => return core.recorded(),
                Err(Gone) => core.look_anew(parent, name),
            }
        }
        Err(Error::Failed)
    }
}

impl Core {
    /// A symlink's target, where it is known, and the object that has it.
    fn target(&self, node: NodeId) -> Result<KnownTarget> {
        let world = self.world();
        let node = world.tree.node(node).ok_or(Error::NotFound)?;
        if node.kind != FileKind::Symlink {
            return Err(Error::Invalid);
        }
        Ok((node.target.clone(), node.any_valid_home().cloned()))
    }

    pub(super) async fn make(
        &self,
        parent: NodeId,
        name: &OsStr,
        new: Making,
        caller: Caller,
    ) -> Result<NodeAttributes> {
        let made = self.make_node(parent, name, new, caller, |world, id| self.refer_to_new(world, id)).await?;
        self.recorded().inspect_err(|_| self.unrefer(made.node, 1))?;
        Ok(made)
    }

    /// Counts the caller's reference to a node that was just made.
    pub(super) fn refer_to_new(&self, world: &mut World, id: NodeId) -> Result<NodeAttributes> {
        world.tree.node_mut(id).ok_or(Error::Failed)?.lookups += 1;
        self.view(&world.tree, id)
    }

    /// Makes a node at a name that is free; `then` sees it before anybody else does.
    pub(super) async fn make_node<R>(
        &self,
        parent: NodeId,
        name: &OsStr,
        new: Making,
        caller: Caller,
        then: impl FnOnce(&mut World, NodeId) -> Result<R>,
    ) -> Result<R> {
        let Making { kind, mode, target, rdev } = new;
        self.writable()?;
        let name = self.valid_name(parent, name)?;
        self.check_key(parent, name, kind == FileKind::Directory)?;
        if parent == NodeId::ROOT && name == HIDDEN_DIRECTORY {
            return Err(Error::NotPermitted);
        }
        for _ in 0..LOOKS_MAX {
            match self.resolve_name(parent, name).await? {
                Known::Node(_) => return Err(Error::Exists),
                Known::Missing(_) => {}
                Known::Unknown => continue,
            }
            let made = self.change(|world| {
                let tree = &mut world.tree;
                if tree.child(parent, name).is_some() {
                    return Err(Error::Exists);
                }
                if tree.node(parent).is_none_or(|node| parent != NodeId::ROOT && node.names.is_empty()) {
                    return Err(Error::NotFound);
                }
                let now = self.clock.now();
                let attributes = Attributes {
                    mode: mode & MODE_PERMISSION_BITS,
                    uid: caller.uid,
                    gid: caller.gid,
                    atime: now,
                    mtime: now,
                    ctime: now,
                    rdev,
                };
                let attributes = inherit_group(tree.node(parent), kind, attributes);
                let new = NewNode { kind, attributes, target: target.clone() };
                let made = tree.create(parent, &name.into(), new, Instant::now()).map_err(|Gone| Error::NotFound)?;
                names_changed(tree, parent, now);
                then(world, made)
            });
            return made;
        }
        Err(Error::Failed)
    }

    async fn remove(&self, parent: NodeId, name: &OsStr, directory: bool) -> Result<()> {
        self.writable()?;
        self.may(Act::Delete, parent)?;
        let name = self.valid_name(parent, name)?;
        for _ in 0..LOOKS_MAX {
            let id = match self.resolve_name(parent, name).await? {
                Known::Node(id) => id,
                Known::Missing(_) => return Err(Error::NotFound),
                Known::Unknown => continue,
            };
            let is_directory = self.world().tree.node(id).is_some_and(Node::is_directory);
            match (directory, is_directory) {
                (true, false) => return Err(Error::NotDirectory),
                (false, true) => return Err(Error::IsDirectory),
                _ => {}
            }
            if directory && !self.is_empty(id).await? {
                return Err(Error::NotEmpty);
            }
            if !self.knows_all_names(parent, name, id).await? {
                continue;
            }
            let removed = self.change(|world| {
                let tree = &mut world.tree;
                if tree.child(parent, name) != Some(id) {
                    return Err(Gone);
                }
                if directory {
                    let children = tree.node(id).and_then(|node| node.directory.as_ref());
                    if children.is_some_and(|directory| !directory.children.is_empty()) {
                        return Err(Gone);
                    }
                    tree.remove_directory(parent, name)?;
                } else {
                    tree.unlink(parent, name)?;
                }
                let now = self.clock.now();
                changed(tree, id, now);
                names_changed(tree, parent, now);
                world.drop_content_of_gone(id);
                Ok(())
            });
            match removed {
                Ok(()) => return self.recorded(),
                Err(Gone) => self.look_anew(parent, name),
            }
        }
        Err(Error::Failed)
    }

    /// What was known of a name was wrong: it is asked again.
    pub(super) fn look_anew(&self, parent: NodeId, name: &str) {
        self.change(|world| {
            if let Some(id) = world.tree.child(parent, name)
                && world.tree.node(id).is_some_and(|node| !node.recorded)
            {
                world.tree.vanish(id, parent, name);
            }
            let directory = world.tree.node_mut(parent).and_then(|node| node.directory.as_mut());
            if let Some(directory) = directory {
                directory.complete = None;
                directory.missing.remove(name);
            }
        });
    }

    /// Checks kinds, emptiness and lengths before a name moves.
    async fn check_rename(&self, id: NodeId, replaced: Option<NodeId>, parent: NodeId, name: &str) -> Result<()> {
        let (directory, replaces) = {
            let world = self.world();
            let kind = |id| world.tree.node(id).map(Node::is_directory).ok_or(Error::NotFound);
            (kind(id)?, replaced.map(kind).transpose()?)
        };
        match (directory, replaces) {
            (true, Some(false)) => return Err(Error::NotDirectory),
            (false, Some(true)) => return Err(Error::IsDirectory),
            _ => {}
        }
        self.check_move(id, directory, parent, name).await?;
        let Some(replaced) = replaced else { return Ok(()) };
        if directory && !self.is_empty(replaced).await? {
            return Err(Error::NotEmpty);
        }
        Ok(())
    }

    /// Checks whether a node can stand at a name: its key, and those below it.
    pub(super) async fn check_move(&self, id: NodeId, directory: bool, parent: NodeId, name: &str) -> Result<()> {
        self.check_key(parent, name, directory)?;
        if directory {
            // Which marker tells its attributes must be known before it moves.
            self.describe(id).await?;
            self.check_not_below_itself(id, parent)?;
            self.check_descendants(id, parent, name).await?;
        }
        Ok(())
    }

    fn check_not_below_itself(&self, id: NodeId, parent: NodeId) -> Result<()> {
        let world = self.world();
        let mut at = parent;
        while at != NodeId::ROOT {
            if at == id {
                return Err(Error::Invalid);
            }
            at = world.tree.node(at).and_then(|node| node.names.first()).ok_or(Error::NotFound)?.0;
        }
        Ok(())
    }

    /// Refuses to move a directory where keys below it would be too long, as far as one page of a listing tells.
    async fn check_descendants(&self, id: NodeId, parent: NodeId, name: &str) -> Result<()> {
        let (sources, longer) = {
            let world = self.world();
            let old = world.tree.prefix_of(id).ok_or(Error::NotFound)?;
            let new = world.tree.path_in(parent, name).ok_or(Error::NotFound)? + "/";
            let deepest = deepest_below(&world.tree, id);
            if new.len() + deepest > KEY_BYTES_MAX {
                return Err(Error::NameTooLong);
            }
            (world.tree.sources(id), new.len() > old.len())
        };
        if !longer {
            return Ok(());
        }
        for source in sources {
            let Ok(prefix) = Prefix::parse(&source) else { continue };
            let page = self.store.list(&ListRequest::all(prefix)).await.map_err(|error| store_error(&error))?;
            let world = self.world();
            let new = world.tree.path_in(parent, name).ok_or(Error::NotFound)? + "/";
            let rest = page.objects.iter().map(|entry| entry.key.as_str().len() - source.len()).max();
            if new.len() + rest.unwrap_or_default() > KEY_BYTES_MAX {
                return Err(Error::NameTooLong);
            }
        }
        Ok(())
    }
}

/// Bytes of the longest path below a directory, as far as it is known.
fn deepest_below(tree: &crate::tree::Tree, id: NodeId) -> usize {
    let mut deepest = 0;
    let mut below = vec![(id, 0)];
    while let Some((at, len)) = below.pop() {
        let Some(directory) = tree.node(at).and_then(|node| node.directory.as_ref()) else { continue };
        for (name, child) in &directory.children {
            let path = len + name.len();
            let slash = usize::from(tree.node(*child).is_some_and(Node::is_directory));
            deepest = deepest.max(path + slash);
            below.push((*child, path + 1));
        }
    }
    deepest
}

/// In a directory with the set-group-id bit, what is made belongs to the directory's group.
fn inherit_group(parent: Option<&Node>, kind: FileKind, mut attributes: Attributes) -> Attributes {
    const SET_GROUP_ID: u32 = 0o2000;
    let above = parent.and_then(|parent| parent.attributes);
    if let Some(above) = above.filter(|above| above.mode & SET_GROUP_ID != 0) {
        attributes.gid = above.gid;
        if kind == FileKind::Directory {
            attributes.mode |= SET_GROUP_ID;
        }
    }
    attributes
}
