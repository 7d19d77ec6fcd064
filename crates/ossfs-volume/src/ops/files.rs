//! Files are opened, read and closed.

use super::names::Making;
use super::store_error;
use crate::core::{Core, Handle, World};
use crate::errors::{Error, Result};
use crate::options::AppendMode;
use crate::read::{Stream, Version};
use crate::tree::Work;
use crate::write::{Content, Extent, Origin, Source};
use crate::{Caller, FileBytes, HandleId, NodeAttributes, OpenMode, Opened, Volume};
use bytes::{Bytes, BytesMut};
use ossfs_ledger::NodeId;
use ossfs_store::Kind;
use ossfs_types::{ByteRange, FileKind};
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Before a read is tried again whose object is being moved.
const MOVING_PAUSE: Duration = Duration::from_millis(20);

/// Why bytes could not be read.
struct Unread {
    error: crate::read::ReadError,
    /// What they are borrowed from, if they are.
    origin: Option<Arc<Origin>>,
}

impl From<crate::read::ReadError> for Unread {
    fn from(error: crate::read::ReadError) -> Self {
        Self { error, origin: None }
    }
}

/// Where the bytes of a range of a file are.
enum Place {
    /// There are none.
    End,
    /// All here.
    Here(Bytes),
    /// In one object.
    Object(Version),
    /// Some here, some in the object before.
    Mixed(Vec<Extent>, Option<Version>),
    /// In an upload that must be completed first.
    Uploading,
}

impl Place {
    /// The version of an object that bytes are read of.
    fn version(&self) -> Option<&Version> {
        match self {
            Self::Object(version) => Some(version),
            Self::Mixed(_, base) => base.as_ref(),
            Self::End | Self::Here(_) | Self::Uploading => None,
        }
    }
}

impl Volume {
    /// Opens a file.
    pub async fn open_file(&self, node: NodeId, mode: OpenMode) -> Result<Opened> {
        let core = &self.core;
        if mode.write || mode.truncate {
            core.writable()?;
        }
        core.describe(node).await.map_err(Error::by_number)?;
        let opened = core.change(|world| core.open(world, node, mode))?;
        if mode.truncate {
            let opening = Opening { volume: self, handle: Some(opened.handle) };
            if core.set_size(node, 0).await?
                && let Some(open) = core.world().handles.get_mut(&opened.handle)
            {
                open.cut_by_opening = true;
            }
            opening.done();
        }
        Ok(opened)
    }

    /// Makes a file and opens it. `permissions` has the umask applied already. The caller refers to the node.
    pub async fn create(
        &self,
        parent: NodeId,
        name: &OsStr,
        permissions: u32,
        mode: OpenMode,
        caller: Caller,
    ) -> Result<(NodeAttributes, Opened)> {
        let core = &self.core;
        let new = Making { kind: FileKind::File, mode: permissions, target: None, rdev: 0 };
        // Open before the settler sees it: it would put an empty object.
        let (attributes, opened) = core
            .make_node(parent, name, new, caller, |world, id| {
                let opened = core.open(world, id, mode)?;
                Ok((core.refer_to_new(world, id)?, opened))
            })
            .await?;
        core.recorded().inspect_err(|_| {
            self.release(opened.handle);
            core.unrefer(attributes.node, 1);
        })?;
        Ok((attributes, opened))
    }

    /// Reads up to `len` bytes; fewer only at the end of the file.
    pub async fn read(&self, handle: HandleId, offset: u64, len: usize) -> Result<FileBytes> {
        let core = &self.core;
        let begun = Instant::now();
        loop {
            let (id, stream, place) = core.place(handle, offset, len)?;
            let version = place.version().filter(|_| !stream.has_served()).cloned();
            let read = match place {
                Place::End => return Ok(Bytes::new()),
                Place::Here(bytes) => {
                    stream.note_served();
                    return Ok(bytes);
                }
                Place::Uploading => {
                    core.content_settled(id).await?;
                    continue;
                }
                Place::Object(version) => core.read_object(&version, &stream, offset, len).await.map_err(Unread::from),
                Place::Mixed(extents, base) => core.read_mixed(&extents, base.as_ref(), &stream).await,
            };
            let Unread { error, origin } = match read {
                Ok(bytes)
                    if stream.has_served()
                        || core.note_served(handle, &stream, version)
                        || begun.elapsed() > core.options.deadline =>
                {
                    return Ok(bytes);
                }
                // The file is found to be another version, of which the rest would be.
                Ok(_) => continue,
                Err(unread) => unread,
            };
            let moved = matches!(error.kind(), Kind::NotFound | Kind::Precondition | Kind::InvalidRange);
            if !moved || begun.elapsed() > core.options.deadline {
                tracing::warn!(%error, "a read failed");
                if error.kind() == Kind::Corrupt
                    && let Some(node) = core.world().tree.node_mut(id)
                {
                    // The kernel may have wrong pages: the next open drops them.
                    node.cached_epoch = None;
                }
                return Err(Error::of(error.kind()));
            }
            match origin {
                None => core.after_missing_version(handle, id, &error).await?,
                // Its own new version may have replaced what it has bytes of.
                Some(origin) if core.world().tree.intent(&origin.key).is_some() => {
                    core.wait_until(|world| world.tree.intent(&origin.key).is_none().then_some(())).await?;
                }
                Some(origin) if core.world().borrows(id, &origin) => {
                    tracing::warn!(%error, "somebody else replaced or deleted the object that bytes were copied from");
                    return Err(Error::Stale);
                }
                // It has its own bytes by now.
                Some(_) => {}
            }
        }
    }

    /// Sees to it that what was written through a handle is in the bucket. Does nothing if nothing was.
    pub async fn flush(&self, handle: HandleId) -> Result<()> {
        let core = &self.core;
        let wrote = {
            let mut world = core.world();
            let open = world.handles.get_mut(&handle).ok_or(Error::BadHandle)?;
            // A shell closes a copy of the handle before it writes: the next one counts.
            let wrote = open.wrote;
            open.wrote |= std::mem::take(&mut open.cut_by_opening);
            wrote.then_some(open.node)
        };
        let Some(id) = wrote else {
            core.record_cut(handle);
            return core.recorded();
        };
        if core.options.writeback {
            match core.record_handle(handle, id).await {
                Ok(()) => return Ok(()),
                // What can't be staged is uploaded, as without `writeback`.
                Err(error) => tracing::debug!(%error, "a file is uploaded as it is closed"),
            }
        }
        core.settle_handle(handle, id).await
    }

    /// Waits until the bucket has a file as it is now.
    pub async fn sync_file(&self, handle: HandleId) -> Result<()> {
        let core = &self.core;
        let id = core.world().handles.get(&handle).ok_or(Error::BadHandle)?.node;
        core.settle_handle(handle, id).await
    }

    /// Closes a file.
    pub fn release(&self, handle: HandleId) {
        self.core.change(|world| {
            let Some(open) = world.handles.remove(&handle) else { return };
            let Some(node) = world.tree.node_mut(open.node) else { return };
            node.opens -= 1;
            node.writers -= u32::from(open.mode.write);
            node.was_read |= open.stream.has_served();
            let idle = node.opens == 0;
            world.tree.push_work(Work::Node(open.node));
            if idle {
                world.tree.bury_if_free(open.node);
                world.drop_content_of_gone(open.node);
                world.tree.drop_if_unused(open.node);
            }
        });
    }
}

/// A file that nobody has been told to be open: it is closed if that never comes.
struct Opening<'a> {
    volume: &'a Volume,
    handle: Option<HandleId>,
}

impl Opening<'_> {
    fn done(mut self) {
        self.handle = None;
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle {
            self.volume.release(handle);
        }
    }
}

impl Core {
    fn open(&self, world: &mut World, id: NodeId, mode: OpenMode) -> Result<Opened> {
        let handle = self.new_handle();
        let node = world.tree.node_mut(id).ok_or(Error::Stale)?;
        match node.kind {
            FileKind::File => {}
            FileKind::Directory => return Err(Error::IsDirectory),
            FileKind::Symlink | FileKind::Fifo | FileKind::Socket | FileKind::CharDevice | FileKind::BlockDevice => {
                return Err(Error::Unsupported);
            }
        }
        node.opens += 1;
        node.writers += u32::from(mode.write);
        let epoch = node.epoch;
        // The kernel's pages are of the version it last read; what outsiders put in its place is another epoch.
        let keep_cache = node.cached_epoch.replace(epoch) == Some(epoch);
        if mode.write && mode.append && self.options.append == AppendMode::Appendable {
            world.tree.begin_appending(id);
        }
        let stream = Arc::new(Stream::new());
        world.handles.insert(handle, Handle { node: id, mode, stream, epoch, wrote: false, cut_by_opening: false });
        Ok(Opened { handle, keep_cache })
    }

    /// A file that was only cut need not be in the bucket when it is closed, but that survives the daemon.
    fn record_cut(&self, handle: HandleId) {
        self.change(|world| {
            let writes = world.handles.get(&handle).filter(|open| open.mode.write);
            if let Some(id) = writes.map(|open| open.node) {
                self.record_without_bytes(world, id);
            }
        });
    }

    /// Waits until a file is in the bucket, with what was written through a handle. If that fails, what was written stays,
    /// on disk.
    async fn settle_handle(self: &Arc<Self>, handle: HandleId, id: NodeId) -> Result<()> {
        let settled = self.settle_written(handle, id).await;
        if settled.is_err() {
            self.record_unsettled(id).await;
        }
        settled
    }

    /// A file that nobody can name any more need not be in the bucket.
    async fn settle_written(self: &Arc<Self>, handle: HandleId, id: NodeId) -> Result<()> {
        let generation = |world: &World| {
            let node = world.tree.node(id).filter(|node| !node.names.is_empty());
            node.map(|node| node.generation)
        };
        let Some(before) = generation(&self.world()) else { return Ok(()) };
        self.settled(id).await?;
        let mut world = self.world();
        // Until it has succeeded the next flush must wait too.
        let same = generation(&world).is_none_or(|now| now == before);
        if let Some(open) = world.handles.get_mut(&handle).filter(|_| same) {
            open.wrote = false;
        }
        Ok(())
    }

    /// Where the bytes of a range are.
    fn place(&self, handle: HandleId, offset: u64, len: usize) -> Result<(NodeId, Arc<Stream>, Place)> {
        let mut world = self.world();
        let open = world.handles.get(&handle).ok_or(Error::BadHandle)?;
        if !open.mode.read {
            return Err(Error::BadHandle);
        }
        let (id, epoch) = (open.node, open.epoch);
        let stream = open.stream.clone();
        let node = world.tree.node_mut(id).ok_or(Error::Stale)?;
        if node.epoch != epoch {
            return Err(Error::Stale);
        }
        self.note_read(node);
        let node = &*node;
        let end = offset.saturating_add(len as u64).min(node.size);
        let Some(range) = ByteRange::new(offset, end).filter(|range| !range.is_empty()) else {
            return Ok((id, stream, Place::End));
        };
        let version = node.any_valid_home().map(|(key, ident)| Version::of(key, ident));
        let place = match world.content(id) {
            None => Place::Object(version.ok_or(Error::Stale)?),
            Some(content) => place_in(content, range, version),
        };
        Ok((id, stream, place))
    }

    /// Notes that bytes are given to whoever reads. Returns false if they are the first, of this version, and what a process
    /// before this one has put has taken its place meanwhile.
    fn note_served(&self, handle: HandleId, stream: &Stream, version: Option<Version>) -> bool {
        // Under the lock: whoever commits another version asks whether this one was read.
        let world = self.world();
        let same = |version: Version| {
            let open = world.handles.get(&handle)?;
            let node = world.tree.node(open.node).filter(|node| node.epoch == open.epoch)?;
            node.any_valid_home().map(|(_, ident)| ident.etag == version.etag)
        };
        let goes_on = version.and_then(same).unwrap_or(true);
        if goes_on {
            stream.note_served();
        }
        goes_on
    }

    async fn read_object(
        &self,
        version: &Version,
        stream: &Stream,
        offset: u64,
        len: usize,
    ) -> Result<Bytes, crate::read::ReadError> {
        let end = offset.saturating_add(len as u64).min(version.size);
        let Some(range) = ByteRange::new(offset, end).filter(|range| !range.is_empty()) else {
            return Ok(Bytes::new());
        };
        match self.reader.try_read(version, stream, range) {
            Some(bytes) => Ok(bytes),
            None => self.reader.read(version, stream, range).await,
        }
    }

    async fn read_mixed(&self, extents: &[Extent], base: Option<&Version>, stream: &Stream) -> Result<Bytes, Unread> {
        let mut all = BytesMut::new();
        for extent in extents {
            let len = usize::try_from(extent.range.len()).expect("no longer than the read");
            match (&extent.source, base) {
                (Source::Memory(bytes), _) => all.extend_from_slice(bytes),
                (Source::Staged(staged), _) => {
                    let read = staged.fetch(extent.range.len()).await;
                    all.extend_from_slice(&read.map_err(crate::read::ReadError::of_staging)?);
                }
                (Source::Base, Some(base)) => {
                    all.extend_from_slice(&self.read_object(base, stream, extent.range.start(), len).await?);
                }
                (Source::Borrowed { origin, offset }, _) => {
                    let version = Version::of(&origin.key, &origin.ident);
                    let read = self.read_object(&version, stream, *offset, len).await;
                    let bytes = read.map_err(|error| Unread { error, origin: Some(origin.clone()) })?;
                    all.extend_from_slice(&bytes);
                }
                (Source::Zero | Source::Sent | Source::Base, _) => all.resize(all.len() + len, 0),
            }
        }
        Ok(all.freeze())
    }

    /// The version that was to be read is not at its key. Returns if the read is to be tried again.
    async fn after_missing_version(&self, handle: HandleId, id: NodeId, error: &crate::read::ReadError) -> Result<()> {
        let (busy, home) = {
            let world = self.world();
            let node = world.tree.node(id).ok_or(Error::Stale)?;
            if world.handles.get(&handle).is_none_or(|open| open.epoch != node.epoch) {
                return Err(Error::Stale);
            }
            let keys = node.homes.iter().map(|(key, _)| key);
            let busy = node.task || node.intent.is_some() || keys.into_iter().any(|key| world.tree.busy.contains(key));
            (busy, node.any_valid_home().cloned())
        };
        if busy {
            // We ourselves are moving it, or have just done so.
            tokio::time::sleep(MOVING_PAUSE).await;
            return Ok(());
        }
        let Some((key, ident)) = home else { return Err(Error::Stale) };
        let found = match self.store.head(&key).await {
            Ok(meta) => Some(crate::tree::ident_of(&meta)),
            Err(error) if error.kind() == Kind::NotFound => None,
            Err(error) => return Err(store_error(&error)),
        };
        self.change(|world| {
            let node = world.tree.node(id).ok_or(Error::Stale)?;
            if node.any_valid_home().is_none_or(|(now_at, now)| *now_at != key || *now != ident) {
                // It has moved while we asked.
                return Ok(());
            }
            let same = found.as_ref().is_some_and(|found| found.etag == ident.etag);
            if !same && world.tree.leave(id, &key) {
                // Another of its names has the content still.
                return Ok(());
            }
            if !same && world.tree.node(id).is_some_and(crate::tree::Node::is_dirty) {
                tracing::warn!(%key, %error, "somebody else replaced or deleted the version that was being changed");
                return Err(Error::Stale);
            }
            match found {
                Some(_) if same => Ok(()),
                Some(found) => {
                    tracing::warn!(%key, %error, "somebody else replaced a file that is open");
                    if world.tree.node(id).is_some_and(|node| node.recorded) {
                        world.tree.adopt(id, &key, &found);
                    } else {
                        let sighting =
                            crate::tree::Sighting { key, ident: found, kind: None, native: false, appendable: false };
                        world.tree.see_again(id, &sighting, Instant::now());
                    }
                    Err(Error::Stale)
                }
                None => {
                    tracing::warn!(%key, "somebody else deleted a file that is open");
                    let node = world.tree.node(id).ok_or(Error::Stale)?;
                    if node.recorded {
                        world.tree.lost(id, &key);
                    } else {
                        for (parent, name) in node.names.clone() {
                            world.tree.vanish(id, parent, &name);
                        }
                    }
                    Err(Error::Stale)
                }
            }
        })
    }
}

fn place_in(content: &Content, range: ByteRange, base: Option<Version>) -> Place {
    let extents = content.extents.in_range(range);
    if extents.iter().any(|extent| extent.source == Source::Sent) {
        return Place::Uploading;
    }
    if let [Extent { source: Source::Memory(bytes), range: whole, .. }] = &extents[..]
        && *whole == range
    {
        return Place::Here(bytes.clone());
    }
    Place::Mixed(extents, base)
}
