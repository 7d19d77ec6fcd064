//! Ranges are copied from one open file to another without moving bytes: what is in an object is only referred to.
//!
//! A version that is about to be replaced can't be borrowed from any more: that is waited for. What can't be referred to at
//! all goes through memory, a piece a call.

use super::write::writable_handle;
use crate::core::{Core, World};
use crate::errors::{Error, Result};
use crate::write::{Content, Extent, Origin, Source};
use crate::{HandleId, Volume};
use ossfs_ledger::NodeId;
use ossfs_types::ByteRange;
use ossfs_types::limits::OBJECT_BYTES_MAX;
use std::sync::Arc;
use tokio::time::Instant;

/// Most bytes that one call copies through memory.
const THROUGH_MEMORY_BYTES: u64 = 1 << 20;

/// A range that is copied.
#[derive(Debug, Clone, Copy)]
struct Copied {
    from: HandleId,
    from_offset: u64,
    to: HandleId,
    to_offset: u64,
    len: u64,
}

/// What became of an attempt.
enum Attempt {
    Done(u64),
    /// This file's upload must be completed first.
    Settle(NodeId),
    /// What a process before this one has uploaded of this file is not known yet.
    Unresolved(NodeId),
    /// The object that this file's bytes are in is about to change.
    Wait(NodeId),
    /// There is no room for references to bytes in memory.
    ThroughMemory(u64),
}

/// Whether bytes can be referred to where they are.
enum Reference {
    /// As these, which tile the range.
    Extents(Vec<Extent>),
    /// They are in an unfinished upload.
    Sent,
    /// Their object is about to change.
    Changing,
}

impl Volume {
    /// Copies up to `len` bytes of one open file into another, or elsewhere into the same one. Returns how many: fewer at
    /// the end of the source, or if another call is to go on.
    pub async fn copy_range(
        &self,
        from: HandleId,
        from_offset: u64,
        to: HandleId,
        to_offset: u64,
        len: u64,
    ) -> Result<u64> {
        let core = &self.core;
        core.writable()?;
        let copied = Copied { from, from_offset, to, to_offset, len };
        let mut patience = core.patience();
        let mut urged = false;
        loop {
            let progress = core.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            match core.change(|world| core.copy_once(world, copied))? {
                Attempt::Done(len) => return Ok(len),
                Attempt::Settle(id) => core.content_settled(id).await?,
                Attempt::Unresolved(id) => core.changeable(id).await?,
                Attempt::Wait(id) => {
                    // Once: every look at it wakes whoever waits.
                    if !std::mem::replace(&mut urged, true) {
                        core.change(|world| world.tree.urge(id));
                    }
                    patience.wait(progress).await.ok_or(Error::Failed)?;
                }
                Attempt::ThroughMemory(len) => {
                    let len = usize::try_from(len.min(THROUGH_MEMORY_BYTES)).expect("a piece fits into memory");
                    let bytes = self.read(from, from_offset, len).await?;
                    return self.write(to, to_offset, bytes).await.map(|written| written as u64);
                }
            }
        }
    }
}

impl Core {
    fn copy_once(&self, world: &mut World, copied: Copied) -> Result<Attempt> {
        let source = world.handles.get(&copied.from).filter(|open| open.mode.read).ok_or(Error::BadHandle)?;
        let (from, epoch) = (source.node, source.epoch);
        let to = writable_handle(world, copied.to)?;
        let node = world.tree.node(from).filter(|node| node.epoch == epoch).ok_or(Error::Stale)?;
        let end = copied.from_offset.saturating_add(copied.len).min(node.size);
        let range = ByteRange::new(copied.from_offset, end).filter(|range| !range.is_empty());
        let Some(range) = range else { return Ok(Attempt::Done(0)) };
        let target = ByteRange::at(copied.to_offset, range.len()).filter(|target| target.end() <= OBJECT_BYTES_MAX);
        let target = target.ok_or(Error::TooLarge)?;
        if from == to && target.start() < range.end() && range.start() < target.end() {
            return Err(Error::Invalid);
        }
        if node.inherited {
            return Ok(Attempt::Unresolved(from));
        }
        if world.tree.node(to).is_some_and(|node| !node.may_be_changed()) {
            return Ok(Attempt::Unresolved(to));
        }
        if world.content(to).is_some_and(|content| content.stream.is_some()) {
            return Ok(Attempt::Settle(to));
        }
        let extents = match world.reference(from, range)? {
            Reference::Extents(extents) => extents,
            Reference::Sent => return Ok(Attempt::Settle(from)),
            Reference::Changing => {
                return Ok(Attempt::Wait(from));
            }
        };
        let held = |extent: &Extent| if matches!(extent.source, Source::Memory(_)) { extent.range.len() } else { 0 };
        let held: u64 = extents.iter().map(held).sum();
        let nameless = world.tree.node(to).is_none_or(|node| node.names.is_empty());
        // Bytes that two files have are counted twice: either may be the last to let them go.
        if held > 0 && (nameless || world.buffered() + held > self.write_limit()) {
            return Ok(Attempt::ThroughMemory(range.len()));
        }
        let generation = self.begin_change(world, to)?;
        let len = world.with_content(to, |content| {
            for extent in extents {
                let at = target.start() + (extent.range.start() - range.start());
                let at = ByteRange::at(at, extent.range.len()).expect("within the target");
                content.extents.place(at, extent.source, generation);
            }
            content.since.get_or_insert_with(Instant::now);
            content.extents.len()
        });
        self.end_change(world, to, len.unwrap_or_default());
        world.set_wrote(copied.to);
        Ok(Attempt::Done(range.len()))
    }
}

impl World {
    /// How the bytes of a range can be referred to.
    fn reference(&self, id: NodeId, range: ByteRange) -> Result<Reference> {
        let node = self.tree.node(id).ok_or(Error::Stale)?;
        let extents = match self.content(id) {
            Some(content) => content.extents.in_range(range),
            None => Content::of_base(node.size).extents.in_range(range),
        };
        let home = node.any_valid_home();
        let home = home.map(|(key, ident)| Arc::new(Origin { key: key.clone(), ident: ident.clone() }));
        let mut referred = Vec::new();
        for mut extent in extents {
            match &extent.source {
                Source::Base => {
                    let origin = home.clone().ok_or(Error::Stale)?;
                    extent.source = Source::Borrowed { origin, offset: extent.range.start() };
                }
                Source::Sent => return Ok(Reference::Sent),
                _ => {}
            }
            if let Source::Borrowed { origin, .. } = &extent.source
                && (self.tree.busy.contains(&origin.key) || self.tree.intent(&origin.key).is_some())
            {
                return Ok(Reference::Changing);
            }
            referred.push(extent);
        }
        Ok(Reference::Extents(referred))
    }
}
