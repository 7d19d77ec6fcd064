//! The bytes of files are put on disk: so that they outlive the daemon, or because the memory is full.
//!
//! What is recorded of a file is what it was at one moment; its bytes are staged before the ledger names them. The world's
//! lock is not held meanwhile: what is written then stays in memory, and is not in the record.

use crate::HandleId;
use crate::Volume;
use crate::core::{Core, World};
use crate::errors::{Error, Result};
use crate::write::{Content, Durable, Extent, Extents, PartState, Sealed, Source, Staged};
use ossfs_ledger::{NodeId, Staging, StagingError};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What is closed with `writeback` is settled after this time: a file that is written under a temporary name has its own by
/// then, and what is written again and again is uploaded once.
const WRITEBACK_DELAY: Duration = Duration::from_secs(1);
/// Fewer bytes are written to the disk's cache at once, where handing them to a thread would take longer.
const INLINE_BYTES_MAX: u64 = 64 << 10;
/// A file in more pieces than this is uploaded when it is closed, rather than its record written: that stays within what a
/// transaction may have.
const EXTENTS_MAX: usize = 5_000;
/// So often a file is recorded anew whose upload was given up meanwhile.
const TAKES_MAX: u32 = 8;

impl Volume {
    /// Puts on disk whatever is in memory alone, so that the next mount goes on with it. What could not be is told in the
    /// log.
    pub async fn stage_all(&self) {
        let core = &self.core;
        let files: Vec<NodeId> = core.world().contents().map(|(id, _)| id).collect();
        for id in files {
            if let Err(error) = core.record_content(id).await {
                tracing::error!(%error, "what was written to a file is in memory alone");
            }
        }
    }
}

/// What a file is, to be recorded.
struct Taken {
    extents: Extents,
    /// The upload that has those of the bytes that were sent.
    upload: Option<Sealed>,
    generation: u64,
    settled_generation: u64,
}

impl Core {
    /// Records what a file is now: it survives a killed daemon.
    pub(crate) async fn record_content(&self, id: NodeId) -> Result<()> {
        for _ in 0..TAKES_MAX {
            let Some(taken) = self.change(|world| self.take(world, id))? else { return Ok(()) };
            let staged = self.stage_extents(taken.extents.unstaged()).await.map_err(|error| staging_error(&error))?;
            let recorded = self.change(|world| record(world, id, taken, &staged));
            self.room.notify_waiters();
            if recorded {
                return self.recorded();
            }
        }
        Err(Error::Failed)
    }

    /// Records what a file is now if none of its bytes are in memory, nor in an upload: nothing has to be staged then.
    pub(super) fn record_without_bytes(&self, world: &mut World, id: NodeId) {
        let without = |content: &Content| content.stream.is_none() && content.extents.memory_bytes() == 0;
        if world.content(id).is_some_and(without)
            && let Ok(Some(taken)) = self.take(world, id)
        {
            record(world, id, taken, &[]);
        }
    }

    /// What a file is that the ledger does not have yet; an error if some of its bytes can't be had.
    fn take(&self, world: &mut World, id: NodeId) -> Result<Option<Taken>> {
        let Some(node) = world.tree.node(id).filter(|node| node.recorded && node.is_dirty()) else { return Ok(None) };
        if node.names.is_empty() {
            // It ends with the process.
            return Ok(None);
        }
        let (generation, settled_generation) = (node.generation, node.settled_generation);
        let known = node.durable.as_ref().is_some_and(|durable| durable.generation() == generation);
        // An empty file without content here was just made: that is recorded.
        let Some(content) = world.content(id).filter(|_| !known) else { return Ok(None) };
        // Before it is begun, the bytes of an upload are all here.
        if content.stream.as_ref().is_some_and(|stream| stream.upload.is_some()) {
            self.seal(world, id);
        }
        let Some(content) = world.content(id) else { return Ok(None) };
        let (extents, upload) = (content.extents.clone(), content.stream.as_ref().and_then(Sealed::of));
        if upload.is_none() && extents.has_sent() {
            return Err(Error::Failed);
        }
        Ok(Some(Taken { extents, upload, generation, settled_generation }))
    }

    /// With `writeback`: what was written through a handle is recorded, and settled a moment later.
    pub(super) async fn record_handle(&self, handle: HandleId, id: NodeId) -> Result<()> {
        let before = {
            let world = self.world();
            if world.content(id).is_some_and(|content| content.extents.iter().count() > EXTENTS_MAX) {
                return Err(Error::TooLarge);
            }
            world.tree.node(id).map(|node| node.generation)
        };
        self.record_content(id).await?;
        let mut world = self.world();
        let Some(node) = world.tree.node_mut(id) else { return Ok(()) };
        node.settle_after.get_or_insert(Instant::now() + WRITEBACK_DELAY);
        let same = Some(node.generation) == before;
        if let Some(open) = world.handles.get_mut(&handle).filter(|_| same) {
            open.wrote = false;
        }
        Ok(())
    }

    /// A file is about to take the place of another, which is then gone: its own bytes must outlive a crash by then.
    pub(super) async fn keep_before_replacing(self: &Arc<Self>, id: NodeId) -> Result<()> {
        match self.record_content(id).await {
            Ok(()) => Ok(()),
            Err(_) => self.content_settled(id).await,
        }
    }

    /// What was written to a file could not be uploaded: at least it outlives the daemon.
    pub(super) async fn record_unsettled(&self, id: NodeId) {
        if let Err(error) = self.record_content(id).await {
            tracing::error!(%error, "what could not be uploaded is in memory alone");
        }
    }

    /// Moves bytes from memory to where they are staged: those of this file, or of the one that holds most. Returns whether
    /// there were any that are not about to leave the memory anyway.
    pub(super) async fn spill(&self, only: Option<NodeId>) -> Result<bool> {
        let _alone = self.spilling.lock().await;
        let (id, extents) = {
            let world = self.world();
            let candidates = world.contents().filter(|(id, _)| only.is_none_or(|only| only == *id));
            let idle = candidates.map(|(id, content)| (id, idle_extents(content)));
            let bytes = |extents: &[Extent]| extents.iter().map(|extent| extent.range.len()).sum::<u64>();
            let largest = idle.max_by_key(|(_, extents)| bytes(extents)).filter(|(_, extents)| !extents.is_empty());
            let Some(largest) = largest else { return Ok(false) };
            largest
        };
        let staged = self.stage_extents(extents).await.map_err(|error| staging_error(&error))?;
        self.change(|world| {
            world.with_content(id, |content| staged.iter().for_each(|extent| content.extents.stage(extent)));
        });
        self.room.notify_waiters();
        Ok(true)
    }

    /// Stages bytes that are in memory.
    async fn stage_extents(&self, extents: Vec<Extent>) -> Result<Vec<Extent>, StagingError> {
        let staging = self.ledger.staging().clone();
        let bytes: u64 = extents.iter().map(|extent| extent.range.len()).sum();
        if !staging.waits() || bytes <= INLINE_BYTES_MAX {
            return append(&staging, extents);
        }
        let appended = tokio::task::spawn_blocking(move || append(&staging, extents)).await;
        appended.unwrap_or_else(|error| Err(StagingError::Failed(error.to_string())))
    }
}

fn append(staging: &Arc<Staging>, extents: Vec<Extent>) -> Result<Vec<Extent>, StagingError> {
    let stage = |extent: Extent| {
        let Source::Memory(bytes) = extent.source else { return Ok(extent) };
        let staged = Staged::append(staging, bytes)?;
        Ok(Extent { source: Source::Staged(staged), ..extent })
    };
    extents.into_iter().map(stage).collect()
}

/// Bytes in memory that are not on their way to the store.
fn idle_extents(content: &Content) -> Vec<Extent> {
    let mut extents = content.extents.unstaged();
    let parts = content.stream.iter().flat_map(|stream| &stream.parts);
    for part in parts.filter(|part| matches!(part.state, PartState::Pending { in_flight: true })) {
        let (start, end) = (part.range.start(), part.range.end());
        extents.retain(|extent| extent.range.end() <= start || end <= extent.range.start());
    }
    extents
}

/// Records what a file was, with the bytes that were in memory then as they are staged. Returns false if the upload that has
/// some of them was given up: then it is something else by now.
fn record(world: &mut World, id: NodeId, taken: Taken, staged: &[Extent]) -> bool {
    let Taken { mut extents, mut upload, generation, settled_generation } = taken;
    world.with_content(id, |now| staged.iter().for_each(|extent| now.extents.stage(extent)));
    staged.iter().for_each(|extent| extents.stage(extent));
    let Some(node) = world.tree.node(id).filter(|node| node.recorded) else { return true };
    let later = node.durable.as_ref().is_some_and(|durable| durable.generation() > generation);
    if node.settled_generation >= generation || later {
        return true;
    }
    if node.settled_generation != settled_generation {
        // What was uploaded meanwhile is the base now.
        extents.rebase(node.settled_generation);
        upload = None;
    }
    let stream = world.content(id).and_then(|content| content.stream.as_ref());
    let begun = stream.and_then(|stream| stream.upload.as_ref());
    if upload.as_ref().is_some_and(|sealed| !begun.is_some_and(|begun| sealed.is(begun))) {
        return false;
    }
    if let Some(mut durable) = Durable::new(generation, extents, upload) {
        if let Some(stream) = stream {
            durable.note_sent(stream);
        }
        world.tree.set_durable(id, Some(Arc::new(durable)));
    }
    true
}

/// What a failure of staging means for a call; it is logged, because the caller only sees a number.
pub(super) fn staging_error(error: &StagingError) -> Error {
    tracing::warn!(%error, "staging failed");
    match error {
        StagingError::Full(_) => Error::NoSpace,
        StagingError::Damaged(_) | StagingError::Failed(_) => Error::Failed,
    }
}
