//! Room in a file: it is reserved, punched out, and looked for.

use super::write::writable_handle;
use crate::core::{Core, World};
use crate::errors::{Error, Result};
use crate::write::Source;
use crate::{Allocate, HandleId, Seek, Volume};
use ossfs_ledger::NodeId;
use ossfs_types::ByteRange;
use ossfs_types::limits::OBJECT_BYTES_MAX;
use tokio::time::Instant;

/// What became of an attempt.
enum Allocated {
    Done,
    /// The range is in an upload of this file, which must be completed first.
    Fixed(NodeId),
    /// What a process before this one has uploaded of this file is not known yet.
    Unresolved(NodeId),
}

impl Volume {
    /// Makes a range of an open file what is asked for.
    pub async fn allocate(&self, handle: HandleId, offset: u64, len: u64, how: Allocate) -> Result<()> {
        let core = &self.core;
        core.writable()?;
        let range =
            ByteRange::at(offset, len).filter(|range| range.end() <= OBJECT_BYTES_MAX).ok_or(Error::TooLarge)?;
        if range.is_empty() {
            return Err(Error::Invalid);
        }
        loop {
            match core.change(|world| core.allocate_once(world, handle, range, how))? {
                Allocated::Done => break,
                Allocated::Fixed(id) => core.content_settled(id).await?,
                Allocated::Unresolved(id) => core.changeable(id).await?,
            }
        }
        core.room.notify_waiters();
        Ok(())
    }

    /// Where the first byte of a kind is from an offset on.
    pub fn seek(&self, handle: HandleId, offset: u64, what: Seek) -> Result<u64> {
        let world = self.core.world();
        let open = world.handles.get(&handle).ok_or(Error::BadHandle)?;
        let node = world.tree.node(open.node).filter(|node| node.epoch == open.epoch).ok_or(Error::Stale)?;
        if offset >= node.size {
            return Err(Error::PastTheEnd);
        }
        match (world.content(open.node), what) {
            (Some(content), what) => content.extents.seek(offset, what == Seek::Hole).ok_or(Error::PastTheEnd),
            // An object has no holes.
            (None, Seek::Data) => Ok(offset),
            (None, Seek::Hole) => Ok(node.size),
        }
    }
}

impl Core {
    fn allocate_once(&self, world: &mut World, handle: HandleId, range: ByteRange, how: Allocate) -> Result<Allocated> {
        let id = writable_handle(world, handle)?;
        let node = world.tree.node(id).ok_or(Error::Stale)?;
        if !node.may_be_changed() {
            return Ok(Allocated::Unresolved(id));
        }
        let size = node.size;
        // What becomes zero.
        let (start, end) = match how {
            Allocate::Reserve => return Ok(Allocated::Done),
            Allocate::Extend => (range.start().max(size), range.end()),
            Allocate::Punch => (range.start(), range.end().min(size)),
            Allocate::Zero => (range.start(), range.end()),
        };
        let Some(zeros) = ByteRange::new(start, end).filter(|zeros| !zeros.is_empty()) else {
            return Ok(Allocated::Done);
        };
        if world.content(id).is_some_and(|content| zeros.start() < content.fixed_to()) {
            return Ok(Allocated::Fixed(id));
        }
        let generation = self.begin_change(world, id)?;
        let len = world.with_content(id, |content| {
            content.extents.place(zeros, Source::Zero, generation);
            content.since.get_or_insert_with(Instant::now);
            content.extents.len()
        });
        self.end_change(world, id, len.unwrap_or_default());
        world.set_wrote(handle);
        Ok(Allocated::Done)
    }
}
