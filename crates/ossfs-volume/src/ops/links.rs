//! Files get more names, and what has several is found again by what its objects carry.

use super::describe::Found;
use super::lookup::Known;
use super::times::{changed, names_changed};
use super::{LOOKS_MAX, store_error};
use crate::core::Core;
use crate::errors::{Error, Result};
use crate::format::{HIDDEN_DIRECTORY, LIST_BYTES_MAX, NAMES_MAX, link_of, lists, names_of};
use crate::tree::{Gone, Group, Owner, Sequence, Sighting, Tree, ident_of, same_content};
use crate::{NodeAttributes, Volume};
use futures_util::{StreamExt, TryStreamExt, stream};
use ossfs_ledger::NodeId;
use ossfs_store::{GetOptions, Kind, ListPage, ListRequest, ObjectMeta, ObjectType};
use ossfs_types::{ByteRange, Crc64, Key, Prefix};
use std::ffi::OsStr;
use tokio::time::Instant;

impl Volume {
    /// Gives a file one more name. The caller refers to the node once more.
    pub async fn link(&self, node: NodeId, parent: NodeId, name: &OsStr) -> Result<NodeAttributes> {
        let core = &self.core;
        core.writable()?;
        let name = core.valid_name(parent, name)?;
        if parent == NodeId::ROOT && name == HIDDEN_DIRECTORY {
            return Err(Error::NotPermitted);
        }
        core.check_key(parent, name, false)?;
        core.describe(node).await?;
        for _ in 0..LOOKS_MAX {
            core.may_have_another_name(node)?;
            match core.resolve_name(parent, name).await? {
                Known::Node(_) => return Err(Error::Exists),
                Known::Missing(_) => {}
                Known::Unknown => continue,
            }
            let linked = core.with_attributes(node, |world| {
                core.may_have_another_name_in(&world.tree, node)?;
                let tree = &mut world.tree;
                if tree.child(parent, name).is_some() {
                    return Err(Error::Exists);
                }
                if tree.node(parent).is_none_or(|node| parent != NodeId::ROOT && node.names.is_empty()) {
                    return Err(Error::NotFound);
                }
                tree.link(node, parent, &name.into()).map_err(|Gone| Error::NotFound)?;
                let now = core.clock.now();
                changed(tree, node, now);
                names_changed(tree, parent, now);
                core.refer_to_new(world, node)
            });
            let linked = linked.await?;
            core.recorded().inspect_err(|_| core.unrefer(node, 1))?;
            return Ok(linked);
        }
        Err(Error::Failed)
    }
}

impl Core {
    fn may_have_another_name(&self, node: NodeId) -> Result<()> {
        self.may_have_another_name_in(&self.world().tree, node)
    }

    fn may_have_another_name_in(&self, tree: &Tree, node: NodeId) -> Result<()> {
        let node = tree.node(node).ok_or(Error::NotFound)?;
        match node.names.len() {
            // What a native symlink's copy says is not promised.
            _ if node.is_directory() || node.native => Err(Error::NotPermitted),
            0 => Err(Error::NotFound),
            NAMES_MAX.. => Err(Error::TooManyLinks),
            _ => Ok(()),
        }
    }

    /// Sees to it that all names of a file are known before one of them changes. Returns false if the name is another
    /// node's by now.
    pub(super) async fn knows_all_names(&self, parent: NodeId, name: &str, id: NodeId) -> Result<bool> {
        let known = {
            let world = self.world();
            world.tree.node(id).is_none_or(|node| node.is_directory() || node.attributes.is_some())
        };
        if !known {
            match self.describe(id).await {
                Ok(()) => {}
                Err(Error::NotFound | Error::Stale) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(self.world().tree.child(parent, name) == Some(id))
    }

    /// The other names of a file whose object was found, if it carries the id of several.
    pub(super) async fn group_found(&self, id: NodeId, found: &Found) -> Result<Option<Group>> {
        let Found::Object(key, meta) = found else { return Ok(None) };
        let cached = self.world().tree.node(id).is_some_and(|node| !node.recorded && !node.is_directory());
        if !cached {
            return Ok(None);
        }
        self.other_names(key, meta).await.map_err(|error| store_error(&error))
    }

    /// Looks for the other objects of a file with several names, one of which is this.
    async fn other_names(&self, key: &Key, meta: &ObjectMeta) -> ossfs_store::Result<Option<Group>> {
        let Some(link) = link_of(&meta.metadata) else { return Ok(None) };
        let list = {
            let world = self.world();
            let tree = &world.tree;
            // What the ledger says of its names goes before.
            let recorded = tree.linked(link).and_then(|id| tree.node(id)).is_some_and(|node| node.recorded);
            if recorded { None } else { tree.list_key(link) }
        };
        let Some(list) = list else { return Ok(None) };
        let range = ByteRange::new(0, LIST_BYTES_MAX);
        let options = GetOptions { range, ..GetOptions::default() };
        let listed = {
            let _permit = self.asking.acquire().await;
            match self.store.read(&list, &options, &self.pool).await {
                Ok(fetched) => fetched.bytes,
                // Without a list nobody knows the others.
                Err(error) if matches!(error.kind(), Kind::NotFound | Kind::InvalidRange | Kind::Denied) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        };
        let Some(names) = names_of(&listed) else { return Ok(None) };
        let prefix = self.options.prefix.as_str();
        let keys: Vec<Key> = names.iter().filter_map(|name| Key::parse(&format!("{prefix}{name}")).ok()).collect();
        if !keys.contains(key) {
            return Ok(None);
        }
        let first = sighting_of(key, meta);
        let others = stream::iter(keys.into_iter().filter(|other| other != key)).map(|other| async {
            let _permit = self.asking.acquire().await;
            match self.store.head(&other).await {
                Ok(found) => Ok(Some((other, found))),
                Err(error) if error.kind() == Kind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        });
        let found: Vec<_> = others.buffered(self.options.parallel.max(1)).try_collect().await?;
        let mut members = vec![first];
        for (other, found) in found.into_iter().flatten() {
            let equal = same_content(&members[0].ident, &ident_of(&found)) && found.object_type != ObjectType::Symlink;
            if equal && link_of(&found.metadata) == Some(link) {
                members.push(sighting_of(&other, &found));
            }
        }
        Ok(Some(Group { link: link.into(), list: Crc64::of(&listed), members }))
    }

    /// Whether the bucket may have files with several names: only then objects that are recorded unseen are looked at.
    pub(crate) async fn may_have_links(&self) -> ossfs_store::Result<bool> {
        let known = {
            let world = self.world();
            if world.tree.has_links() {
                return Ok(true);
            }
            *self.links_seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        };
        if let Some((when, any)) = known
            && when.elapsed() < self.options.metadata_ttl
        {
            return Ok(any);
        }
        let now = Instant::now();
        let under = format!("{}{}", self.options.prefix.as_str(), lists());
        let Ok(prefix) = Prefix::parse(&under) else { return Ok(false) };
        let page = self.store.list(&ListRequest { entries_max: 1, ..ListRequest::all(prefix) }).await?;
        let any = !page.objects.is_empty();
        *self.links_seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((now, any));
        Ok(any)
    }

    /// Objects that a claim owns and that are about to be recorded: those that are names of one file become one node.
    pub(crate) async fn join_linked(&self, page: &ListPage, claim: &str, asked: Sequence) -> ossfs_store::Result<()> {
        let owned: Vec<Key> = {
            let world = self.world();
            let tree = &world.tree;
            let keys = page.objects.iter().map(|entry| &entry.key).filter(|key| !key.as_str().ends_with('/'));
            keys.filter(|key| tree.claim_over(key.as_str()).is_some_and(|(longest, _)| &**longest == claim))
                .filter(|key| matches!(tree.owner(key.as_str()), Owner::Path(_)))
                .cloned()
                .collect()
        };
        if owned.is_empty() || !self.may_have_links().await? {
            return Ok(());
        }
        let looked = stream::iter(owned).map(|key| async move { self.join_names_of(&key, asked).await });
        looked.buffer_unordered(self.options.parallel.max(1)).try_collect().await
    }

    /// If the object at a key is one of several names of a file, makes them one node.
    pub(crate) async fn join_names_of(&self, key: &Key, asked: Sequence) -> ossfs_store::Result<()> {
        let found = {
            let _permit = self.asking.acquire().await;
            self.store.head(key).await
        };
        let meta = match found {
            Ok(meta) => meta,
            Err(error) if error.kind() == Kind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some(group) = self.other_names(key, &meta).await? else { return Ok(()) };
        self.change(|world| {
            let tree = &mut world.tree;
            if group.members.iter().any(|member| tree.mutated_since(member.key.as_str(), asked)) {
                let message = "a file of several names is being changed";
                return Err(ossfs_store::Error::new(Kind::Unavailable, "settle", message).on_key(key.as_str()));
            }
            tree.join(&group, None, Instant::now());
            Ok(())
        })
    }
}

fn sighting_of(key: &Key, meta: &ObjectMeta) -> Sighting {
    let appendable = meta.object_type == ObjectType::Appendable;
    Sighting { key: key.clone(), ident: ident_of(meta), kind: None, native: false, appendable }
}
