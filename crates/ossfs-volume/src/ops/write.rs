//! Files are written, in bounded memory.

use crate::core::{Core, World};
use crate::errors::{Error, Result};
use crate::settle::Patience;
use crate::tree::{Gone, Node};
use crate::write::{Content, Durable, Extents};
use crate::{HandleId, Volume};
use bytes::Bytes;
use ossfs_ledger::NodeId;
use ossfs_types::limits::{OBJECT_BYTES_MAX, PART_BYTES_MIN};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Under pressure no smaller parts are cut, as long as there are few files: a request a megabyte is still cheap.
const PRESSED_PART_BYTES: u64 = 1 << 20;

/// So long nothing may get on before bytes are moved to where they are staged.
const UPLOAD_PATIENCE: Duration = Duration::from_secs(2);

/// A file without a name may hold so much of the memory for what was written: one part of this many.
const NAMELESS_SHARE: u64 = 2;

/// What became of an attempt to change a file's content.
enum Change {
    Done,
    /// What is to be changed is in an upload that must be completed first.
    Fixed,
    /// The memory for what was written is full.
    Full,
    /// The file may not have more of the memory.
    Spill,
    /// What a process before this one has uploaded is not known yet.
    Unresolved,
}

impl Volume {
    /// Writes bytes at an offset, or at the end if the file was opened for appending. Returns their number.
    pub async fn write(&self, handle: HandleId, offset: u64, bytes: Bytes) -> Result<usize> {
        let core = &self.core;
        core.writable()?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let len = bytes.len();
        let (id, append) = {
            let world = core.world();
            let open = world.handles.get(&handle).ok_or(Error::BadHandle)?;
            if !open.mode.write {
                return Err(Error::BadHandle);
            }
            (open.node, open.mode.append)
        };
        if offset.saturating_add(len as u64) > OBJECT_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        let mut patience = None;
        loop {
            let moved = core.room.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let change = core.change(|world| {
                let offset = if append { world.tree.node(id).map_or(offset, |node| node.size) } else { offset };
                core.write_once(world, handle, id, offset, &bytes)
            })?;
            match change {
                Change::Done => {
                    core.pump(id, core.options.part_bytes);
                    return Ok(len);
                }
                Change::Fixed => core.content_settled(id).await?,
                Change::Unresolved => core.changeable(id).await?,
                Change::Spill => {
                    if !core.spill(Some(id)).await? {
                        return Err(Error::NoSpace);
                    }
                }
                Change::Full => {
                    let patience = patience.get_or_insert_with(|| core.patience());
                    core.wait_for_room(moved, patience).await?;
                }
            }
        }
    }
}

impl Core {
    /// The memory is full: waits until bytes have left it, as long as they do, or moves some to where they are staged.
    async fn wait_for_room(
        self: &Arc<Self>,
        moved: impl Future<Output = ()>,
        patience: &mut Patience<'_>,
    ) -> Result<()> {
        tokio::pin!(moved);
        let uploads = self.make_room();
        if uploads && self.patience_of(UPLOAD_PATIENCE).wait(moved.as_mut()).await.is_some() {
            return Ok(());
        }
        let spilled = self.spill(None).await;
        match spilled {
            Ok(true) => Ok(()),
            _ if uploads && patience.wait(moved).await.is_some() => Ok(()),
            Ok(false) if uploads => {
                tracing::warn!("nothing could be uploaded in time: a write fails");
                Err(Error::Failed)
            }
            Ok(false) => Err(Error::NoSpace),
            Err(error) => Err(error),
        }
    }

    /// Waits until a file may be changed.
    pub(super) async fn changeable(&self, id: NodeId) -> Result<()> {
        self.wait_until(|world| world.tree.node(id).is_none_or(|node| !node.inherited).then_some(())).await?;
        if self.world().tree.node(id).is_none_or(Node::may_be_changed) {
            return Ok(());
        }
        self.describe(id).await.map_err(Error::by_number)
    }

    fn write_once(
        &self,
        world: &mut World,
        handle: HandleId,
        id: NodeId,
        offset: u64,
        bytes: &Bytes,
    ) -> Result<Change> {
        writable_handle(world, handle)?;
        let node = world.tree.node(id).ok_or(Error::Stale)?;
        if !node.may_be_changed() {
            return Ok(Change::Unresolved);
        }
        if world.content(id).is_some_and(|content| offset < content.fixed_to()) {
            return Ok(Change::Fixed);
        }
        let nameless = node.names.is_empty();
        let held = world.content(id).map_or(0, |content| content.extents.memory_bytes());
        if nameless && held + bytes.len() as u64 > self.write_limit() / NAMELESS_SHARE {
            // It has no key to be uploaded to.
            return Ok(Change::Spill);
        }
        let buffered = world.buffered();
        if buffered > 0 && buffered + bytes.len() as u64 > self.write_limit() {
            return Ok(Change::Full);
        }
        let generation = self.begin_change(world, id)?;
        let len = world.with_content(id, |content| {
            content.extents.write(offset, bytes.clone(), generation);
            content.since.get_or_insert_with(Instant::now);
            content.extents.len()
        });
        self.end_change(world, id, len.unwrap_or_default());
        world.set_wrote(handle);
        Ok(Change::Done)
    }

    /// A file's content is about to be changed: it is kept here from now on.
    pub(super) fn begin_change(&self, world: &mut World, id: NodeId) -> Result<u64> {
        let node = world.tree.wrote(id).map_err(|Gone| Error::Stale)?;
        node.attributes_generation += 1;
        let (generation, size) = (node.generation, node.size);
        let settled = node.current.is_some();
        if world.content(id).is_none() {
            let content = if settled { Content::of_base(size) } else { Content::default() };
            world.set_content(id, content);
        }
        Ok(generation)
    }

    pub(super) fn end_change(&self, world: &mut World, id: NodeId, size: u64) {
        let now = self.clock.now();
        let Some(node) = world.tree.node_mut(id) else { return };
        node.size = size;
        if let Some(attributes) = &mut node.attributes {
            attributes.mtime = now;
            attributes.ctime = now;
        }
    }

    /// Cuts a file, or makes it longer with zeros. Returns whether that was a change.
    pub(super) async fn set_size(self: &Arc<Self>, id: NodeId, size: u64) -> Result<bool> {
        if size > OBJECT_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        let mut changed = false;
        loop {
            let change = self.change(|world| {
                changed = world.tree.node(id).is_some_and(|node| node.size != size);
                self.set_size_once(world, id, size)
            })?;
            match change {
                Change::Fixed => self.content_settled(id).await?,
                Change::Unresolved => self.changeable(id).await?,
                Change::Done | Change::Full | Change::Spill => break,
            }
        }
        self.room.notify_waiters();
        Ok(changed)
    }

    fn set_size_once(&self, world: &mut World, id: NodeId, size: u64) -> Result<Change> {
        let node = world.tree.node(id).ok_or(Error::Stale)?;
        if node.is_directory() {
            return Err(Error::IsDirectory);
        }
        if node.size == size {
            self.note_write(world, id)?;
            return Ok(Change::Done);
        }
        if !node.may_be_changed() {
            return Ok(Change::Unresolved);
        }
        let fixed = world.content(id).map_or(0, Content::fixed_to);
        if size > 0 && size < fixed {
            return Ok(Change::Fixed);
        }
        let generation = self.begin_change(world, id)?;
        if size == 0 {
            // A streamed upload has nothing left to complete: it is aborted.
            let streamed = world.drop_content(id).is_some_and(|content| content.stream.is_some());
            world.set_content(id, Content::default());
            let recorded = world.tree.node(id).and_then(|node| node.durable.as_ref());
            if recorded.is_some_and(|durable| durable.has_upload()) {
                // Whoever finds the record must not look for the upload.
                let empty = Durable::new(generation, Extents::default(), None);
                world.tree.set_durable(id, empty.map(Arc::new));
            }
            if streamed {
                world.tree.urge(id);
            }
        } else {
            world.with_content(id, |content| content.extents.set_len(size, generation));
        }
        self.end_change(world, id, size);
        Ok(Change::Done)
    }

    /// Sends what was written on its way to the bucket, because the memory for it is full. Returns whether anything can
    /// be: what has no name any more has no place there.
    fn make_room(self: &Arc<Self>) -> bool {
        let files: Vec<NodeId> = self.world().contents().map(|(id, _)| id).collect();
        let share = self.write_limit() / (2 * files.len().max(1) as u64);
        let least = share.clamp(PART_BYTES_MIN, PRESSED_PART_BYTES);
        for id in files {
            self.pump(id, least);
        }
        self.change(|world| {
            let moving = world.contents().any(|(id, content)| {
                let streaming = |stream: &crate::write::Stream| stream.in_flight > 0 || stream.upload.is_none();
                content.stream.as_ref().is_some_and(streaming)
                    || world.tree.node(id).is_some_and(|node| node.task && node.failure.is_none())
            });
            if moving {
                return true;
            }
            // Nothing is on its way: the file that holds most is settled, though it is still being written; one that
            // failed only if there is no other.
            let named = |id: &NodeId| world.tree.node(*id).is_some_and(|node| !node.names.is_empty());
            let weight = |(id, content): &(NodeId, &Content)| {
                let works = world.tree.node(*id).is_some_and(|node| node.failure.is_none());
                (works, content.extents.memory_bytes())
            };
            let largest = world.contents().filter(|(id, _)| named(id)).max_by_key(weight);
            let Some((id, _)) = largest else { return false };
            world.tree.urge(id);
            true
        })
    }
}

/// The file that an open handle may write to.
pub(super) fn writable_handle(world: &World, handle: HandleId) -> Result<NodeId> {
    let open = world.handles.get(&handle).filter(|open| open.mode.write).ok_or(Error::BadHandle)?;
    let same = world.tree.node(open.node).is_some_and(|node| node.epoch == open.epoch);
    if same { Ok(open.node) } else { Err(Error::Stale) }
}
