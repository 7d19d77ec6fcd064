//! Extended attributes are asked for and set.
//!
//! Programs see the namespace `user.` of files and directories, as far as the metadata of one object can hold it. What a
//! file's object says counts until an attribute is set here; from then on the node has the entry that the object is to have.

use super::{LOOKS_MAX, store_error};
use crate::core::Core;
use crate::errors::{Error, Result};
use crate::format::{Xattrs, xattr_entry, xattr_entry_fits};
use crate::settle::carries_token;
use crate::tree::{Foreign, Gone, Node};
use crate::{SetXattr, Volume};
use ossfs_ledger::NodeId;
use ossfs_store::Kind;
use ossfs_types::FileKind;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

impl Volume {
    /// The value of an extended attribute.
    pub async fn xattr(&self, node: NodeId, name: &OsStr) -> Result<Vec<u8>> {
        let name = shown(name)?;
        let xattrs = self.core.xattrs(node).await?;
        xattrs.get(name).map(<[u8]>::to_vec).ok_or(Error::NoAttribute)
    }

    /// The names of all extended attributes that are shown.
    pub async fn xattr_names(&self, node: NodeId) -> Result<Vec<String>> {
        Ok(self.core.xattrs(node).await?.names().map(str::to_owned).collect())
    }

    /// Sets an extended attribute.
    pub async fn set_xattr(&self, node: NodeId, name: &OsStr, value: &[u8], set: SetXattr) -> Result<()> {
        let name = shown(name)?;
        let change = |xattrs: &mut Xattrs| {
            match (set, xattrs.get(name)) {
                (SetXattr::Create, Some(_)) => return Err(Error::Exists),
                (SetXattr::Replace, None) => return Err(Error::NoAttribute),
                _ => {}
            }
            xattrs.set(name, value);
            Ok(())
        };
        self.core.change_xattrs(node, change).await
    }

    /// Removes an extended attribute.
    pub async fn remove_xattr(&self, node: NodeId, name: &OsStr) -> Result<()> {
        let name = shown(name)?;
        self.core.change_xattrs(node, |xattrs| if xattrs.remove(name) { Ok(()) } else { Err(Error::NoAttribute) }).await
    }
}

/// The name of an attribute that programs may see and change.
fn shown(name: &OsStr) -> Result<&str> {
    if !name.as_bytes().starts_with(b"user.") {
        return Err(Error::Unsupported);
    }
    let name = name.to_str().ok_or(Error::NotUtf8)?;
    if Xattrs::is_shown(name) { Ok(name) } else { Err(Error::Invalid) }
}

/// Linux has them for these kinds only.
fn has_xattrs(node: &Node) -> bool {
    matches!(node.kind, FileKind::File | FileKind::Directory)
}

/// What is known of a node's attributes; `None` if its object must be asked.
fn known(node: &Node) -> Option<Xattrs> {
    match (&node.xattrs, &node.foreign) {
        _ if !has_xattrs(node) => Some(Xattrs::default()),
        (Some(entry), _) => Some(Xattrs::parse(entry)),
        (None, Foreign::Known(foreign)) => {
            Some(foreign.as_deref().map_or_else(Xattrs::default, |foreign| Xattrs::parse(xattr_entry(foreign))))
        }
        (None, Foreign::Unknown) => node.any_valid_home().is_none().then(Xattrs::default),
    }
}

impl Core {
    /// The extended attributes of a node.
    async fn xattrs(&self, id: NodeId) -> Result<Xattrs> {
        for _ in 0..LOOKS_MAX {
            self.describe(id).await.map_err(Error::by_number)?;
            if let Some(xattrs) = self.world().tree.node(id).map(known).ok_or(Error::Stale)? {
                return Ok(xattrs);
            }
            self.learn_metadata(id).await?;
        }
        Err(Error::Failed)
    }

    /// Asks the object of a node for what a listing, or the ledger, has not told of its metadata.
    async fn learn_metadata(&self, id: NodeId) -> Result<()> {
        let (asked, home) = self.ask(|world| world.tree.node(id).and_then(|node| node.any_valid_home().cloned()));
        let Some((key, ident)) = home else { return Ok(()) };
        let found = {
            let _permit = self.asking.acquire().await;
            self.store.head(&key).await
        };
        let meta = match found {
            Ok(meta) => meta,
            // It has moved meanwhile, or it is gone, which whoever looks again finds.
            Err(error) if error.kind() == Kind::NotFound => return Ok(()),
            Err(error) => return Err(store_error(&error)),
        };
        self.change(|world| {
            let tree = &mut world.tree;
            // An upload of ours that has landed carries the same.
            let ours = tree.intent(&key).is_some_and(|intent| intent.node == id && carries_token(&meta, intent));
            if tree.mutated_since(key.as_str(), asked.sequence()) || (meta.etag != ident.etag && !ours) {
                return;
            }
            if let Some(node) = tree.node_mut(id) {
                node.foreign = Foreign::Known(self.foreign(node, &meta.metadata));
            }
        });
        Ok(())
    }

    async fn change_xattrs(&self, id: NodeId, change: impl Fn(&mut Xattrs) -> Result<()>) -> Result<()> {
        self.writable()?;
        for _ in 0..LOOKS_MAX {
            self.xattrs(id).await?;
            let changed = self.change(|world| {
                let node = world.tree.node(id).ok_or(Error::Stale)?;
                if !has_xattrs(node) {
                    return Err(Error::NotPermitted);
                }
                let (Some(mut xattrs), Some(mut attributes)) = (known(node), node.attributes) else {
                    return Ok(false);
                };
                change(&mut xattrs)?;
                let entry = xattrs.entry();
                let foreign = match &node.foreign {
                    Foreign::Known(foreign) => foreign.as_deref(),
                    Foreign::Unknown => None,
                };
                if !xattr_entry_fits(foreign, &entry) {
                    return Err(Error::NoSpace);
                }
                attributes.ctime = self.clock.now();
                world.tree.set_attributes(id, attributes).map_err(|Gone| Error::Stale)?;
                if let Some(node) = world.tree.node_mut(id) {
                    node.xattrs = Some(entry.into());
                }
                Ok(true)
            })?;
            if changed {
                return self.recorded();
            }
        }
        Err(Error::Failed)
    }
}
