//! Directories are read.

use crate::core::{Core, DirectoryHandle};
use crate::errors::{Error, Result};
use crate::tree::Node;
use crate::{DirectoryEntry, HandleId, Volume};
use futures_util::{StreamExt, stream};
use ossfs_ledger::{Name, NodeId};
use ossfs_types::FileKind;
use std::sync::Arc;

/// `.` and `..` come before the names.
const DOTS: u64 = 2;

impl Volume {
    /// Opens a directory.
    pub async fn open_directory(&self, node: NodeId) -> Result<HandleId> {
        let core = &self.core;
        let mut world = core.world();
        if !world.tree.node(node).ok_or(Error::NotFound)?.is_directory() {
            return Err(Error::NotDirectory);
        }
        let handle = core.new_handle();
        world.directories.insert(handle, DirectoryHandle { node, entries: None });
        Ok(handle)
    }

    /// Entries from `offset` (0, or the `next_offset` of an entry), at most `entries_max`; none at the end. The names are
    /// those that were there when offset 0 was read.
    pub async fn read_directory(
        &self,
        handle: HandleId,
        offset: u64,
        entries_max: usize,
        with_attributes: bool,
    ) -> Result<Vec<DirectoryEntry>> {
        let core = &self.core;
        let (directory, known) = {
            let world = core.world();
            let open = world.directories.get(&handle).ok_or(Error::BadHandle)?;
            (open.node, open.entries.clone().filter(|_| offset > 0))
        };
        let names = match known {
            Some(names) => names,
            None => {
                core.list(directory).await?;
                let names = Arc::new(core.names(directory)?);
                if let Some(open) = core.world().directories.get_mut(&handle) {
                    open.entries = Some(names.clone());
                }
                names
            }
        };
        let mut entries = dots(&core.world().tree, directory, offset);
        let skipped = usize::try_from(offset.saturating_sub(DOTS)).map_err(|_| Error::Invalid)?;
        let left = names.get(skipped..).unwrap_or_default();
        let left = &left[..left.len().min(entries_max.saturating_sub(entries.len()))];
        let first = skipped as u64 + DOTS;
        if with_attributes {
            entries.extend(core.entries_with_attributes(directory, left, first).await);
        } else {
            core.learn_kinds(left).await;
            let world = core.world();
            entries.extend(left.iter().zip(first..).map(|((name, id), at)| {
                // It may have turned out to be a name of another file.
                let id = &world.tree.child(directory, name).unwrap_or(*id);
                let kind = world.tree.node(*id).filter(|node| !node.kind_is_guess).map(|node| node.kind);
                DirectoryEntry { name: (&**name).into(), node: *id, kind, next_offset: at + 1, attributes: None }
            }));
        }
        Ok(entries)
    }

    /// Waits until the bucket has all names of a directory, and no others, and the ledger is on disk.
    pub async fn sync_directory(&self, handle: HandleId) -> Result<()> {
        let core = &self.core;
        if let Err(error) = core.sync_ledger().await {
            tracing::error!(%error, "a directory can't be synced");
            return Err(Error::Failed);
        }
        let directory = core.world().directories.get(&handle).ok_or(Error::BadHandle)?.node;
        let unsettled: Vec<NodeId> = {
            let world = core.world();
            let node = world.tree.node(directory).ok_or(Error::NotFound)?;
            let children = node.directory.iter().flat_map(|listing| listing.children.values());
            let recorded = |id: &&NodeId| world.tree.node(**id).is_some_and(|node| node.recorded && node.writers == 0);
            children.filter(recorded).copied().chain([directory]).collect()
        };
        for id in unsettled {
            core.settled(id).await?;
            core.settled_at_its_name(id).await?;
        }
        core.cleared(directory).await
    }

    /// Closes a directory.
    pub fn release_directory(&self, handle: HandleId) {
        self.core.world().directories.remove(&handle);
    }
}

/// `.` and `..`, from an offset on.
fn dots(tree: &crate::tree::Tree, directory: NodeId, offset: u64) -> Vec<DirectoryEntry> {
    let parent = tree.node(directory).and_then(|node| node.names.first()).map_or(NodeId::ROOT, |(parent, _)| *parent);
    let dots = [(".", directory), ("..", parent)].into_iter().zip(1..);
    dots.filter(|(_, next)| *next > offset)
        .map(|((name, node), next_offset)| DirectoryEntry {
            name: name.into(),
            node,
            kind: Some(FileKind::Directory),
            next_offset,
            attributes: None,
        })
        .collect()
}

impl Core {
    /// Waits until the bucket shows nothing any more at names that a directory has lost.
    async fn cleared(&self, directory: NodeId) -> Result<()> {
        self.wait_until(|world| (!world.tree.has_leftovers(directory)).then_some(())).await
    }

    /// Asks for what a listing can't tell: whether a small object is a file or a symlink.
    async fn learn_kinds(&self, names: &[(Name, NodeId)]) {
        let guesses: Vec<NodeId> = {
            let world = self.world();
            let guess = |id: &NodeId| world.tree.node(*id).is_some_and(|node| node.kind_is_guess);
            names.iter().map(|(_, id)| *id).filter(guess).collect()
        };
        if guesses.is_empty() || self.options.trust_listing {
            return;
        }
        let parallel = self.options.parallel.max(1);
        let asked = guesses.into_iter().map(|id| async move {
            if let Err(error) = self.describe(id).await {
                tracing::debug!(%error, "an entry of unknown kind");
            }
        });
        stream::iter(asked).buffer_unordered(parallel).collect::<Vec<()>>().await;
    }

    async fn entries_with_attributes(
        &self,
        directory: NodeId,
        names: &[(Name, NodeId)],
        first: u64,
    ) -> Vec<DirectoryEntry> {
        let entry = |((name, id), at): (&(Name, NodeId), u64)| {
            let (name, mut id) = (name.clone(), *id);
            async move {
                let mut attributes = self.refer(directory, &name, id).await;
                let now = self.world().tree.child(directory, &name);
                if let (Ok(None), Some(now)) = (&attributes, now.filter(|now| *now != id)) {
                    // It has turned out to be a name of another file.
                    id = now;
                    attributes = self.refer(directory, &name, id).await;
                }
                let attributes = match attributes {
                    Ok(attributes) => attributes,
                    Err(error) => {
                        // The name is shown all the same; who asks for it gets the error.
                        tracing::debug!(%error, name = &*name, "an entry without attributes");
                        None
                    }
                };
                let kind = self.world().tree.node(id).map(|node: &Node| node.kind);
                DirectoryEntry { name: (&*name).into(), node: id, kind, next_offset: at + 1, attributes }
            }
        };
        let parallel = self.options.parallel.max(1);
        stream::iter(names.iter().zip(first..).map(entry)).buffered(parallel).collect().await
    }
}
