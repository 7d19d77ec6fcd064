//! What all calls and tasks share: the world behind one lock, and what is around it.
//!
//! Invariants: the lock is never held across an await; every change of the tree is committed to the ledger, and what it
//! gives the settler to do is queued, before the lock's user goes on ([`Core::change`]).

use crate::errors::{Error, Result};
use crate::options::VolumeOptions;
use crate::read::Reader;
use crate::settle::{Act, Queue, Refusals};
use crate::tree::{Node, Sequence, Tree, Work};
use crate::write::{Content, Origin};
use crate::{HandleId, NodeAttributes};
use ossfs_ledger::{CachedAttributes, Ledger, LedgerError, Name, NodeId};
use ossfs_store::{BufferPool, ObjectStore};
use ossfs_types::{Attributes, Clock, FileKind, Key, Timestamp};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::Instant;

/// Free buffers that are kept for bytes of bases: parts of this size at most are read.
const POOL_BYTES: usize = 8 << 20;

/// Memory for what is read from where it is staged is counted in these.
pub(crate) const ROOM_UNIT_BYTES: u64 = 64 << 10;

/// An eighth of the memory is for what is read from where it is staged.
fn staged_room_units(options: &VolumeOptions) -> u32 {
    let units = u32::try_from(options.memory_limit / 8 / ROOM_UNIT_BYTES).unwrap_or(u32::MAX);
    units.clamp(1, ROOM_UNITS_MAX)
}

/// More is never read at once.
const ROOM_UNITS_MAX: u32 = 1 << 16;

/// Everything that is known here.
#[derive(Debug)]
pub(crate) struct World {
    pub tree: Tree,
    /// Of files that are not as the bucket has them.
    contents: HashMap<NodeId, Content>,
    /// Bytes of all contents that are held here.
    buffered: u64,
    pub handles: HashMap<HandleId, Handle>,
    pub directories: HashMap<HandleId, DirectoryHandle>,
    pub waiters: HashMap<NodeId, Vec<Waiter>>,
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Handle {
    pub node: NodeId,
    pub mode: crate::OpenMode,
    pub stream: Arc<crate::read::Stream>,
    /// The node's when it was opened: reads never mix versions.
    pub epoch: u32,
    /// Bytes were written through it since its last flush, or it was cut.
    pub wrote: bool,
    /// The file was cut when it was opened, and not flushed since.
    pub cut_by_opening: bool,
}

/// An open directory.
#[derive(Debug)]
pub(crate) struct DirectoryHandle {
    pub node: NodeId,
    /// The names as they were when reading began.
    pub entries: Option<Arc<Vec<(Name, NodeId)>>>,
}

/// Somebody who waits until a node is settled.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub generation: u64,
    pub attributes_generation: u64,
    /// Failures before this many are older than the waiting.
    pub failures: u32,
    pub answer: oneshot::Sender<Result<()>>,
}

impl World {
    pub(crate) fn content(&self, id: NodeId) -> Option<&Content> {
        self.contents.get(&id)
    }

    /// Changes a file's content; `None` if the file is as the bucket has it.
    pub(crate) fn with_content<R>(&mut self, id: NodeId, change: impl FnOnce(&mut Content) -> R) -> Option<R> {
        let content = self.contents.get_mut(&id)?;
        let before = content.extents.memory_bytes();
        let result = change(content);
        self.buffered = self.buffered - before + content.extents.memory_bytes();
        self.tree.set_borrowed(id, content.extents.origins());
        Some(result)
    }

    /// Begins to keep the content of a file here.
    pub(crate) fn set_content(&mut self, id: NodeId, content: Content) {
        self.drop_content(id);
        self.buffered += content.extents.memory_bytes();
        self.tree.set_borrowed(id, content.extents.origins());
        self.contents.insert(id, content);
    }

    pub(crate) fn drop_content(&mut self, id: NodeId) -> Option<Content> {
        let content = self.contents.remove(&id)?;
        self.buffered -= content.extents.memory_bytes();
        self.tree.set_borrowed(id, std::iter::empty());
        Some(content)
    }

    /// Nothing is kept of a file that was buried.
    pub(crate) fn drop_content_of_gone(&mut self, id: NodeId) {
        if self.tree.node(id).is_none_or(|node| !node.recorded) {
            self.drop_content(id);
        }
    }

    /// What was written through a handle must be in the bucket when it is flushed.
    pub(crate) fn set_wrote(&mut self, handle: HandleId) {
        if let Some(open) = self.handles.get_mut(&handle) {
            open.wrote = true;
        }
    }

    /// Whether a file has bytes of this version of an object.
    pub(crate) fn borrows(&self, id: NodeId, origin: &Origin) -> bool {
        self.content(id).is_some_and(|content| content.extents.origins().any(|known| **known == *origin))
    }

    /// The bytes of an object are in another one now: whoever borrows them borrows from that.
    pub(crate) fn move_origin(&mut self, from: &Origin, to: Origin) {
        let to = Arc::new(to);
        for borrower in self.tree.borrowers(&from.key, &from.ident) {
            self.with_content(borrower, |content| content.extents.move_origin(from, &to));
            let durable = self.tree.node(borrower).and_then(|node| node.durable.clone());
            if let Some(mut durable) = durable {
                Arc::make_mut(&mut durable).move_origin(from, &to);
                self.tree.set_durable(borrower, Some(durable));
            }
        }
    }

    pub(crate) fn contents(&self) -> impl Iterator<Item = (NodeId, &Content)> {
        self.contents.iter().map(|(id, content)| (*id, content))
    }

    pub(crate) fn buffered(&self) -> u64 {
        self.buffered
    }

    /// Nodes that wait for one that has failed: whoever waits for them is told why.
    pub(crate) fn fail_waiters(&mut self, blocked: &[NodeId], error: Error) {
        for waiter in blocked.iter().filter_map(|id| self.waiters.remove(id)).flatten() {
            // Who stopped waiting does not want the answer.
            let _ = waiter.answer.send(Err(error));
        }
    }

    /// Whether bytes of a file were read here.
    pub(crate) fn was_read(&self, id: NodeId) -> bool {
        let reads = |open: &Handle| open.node == id && open.stream.has_served();
        self.tree.node(id).is_some_and(|node| node.was_read) || self.handles.values().any(reads)
    }

    /// Answers those who wait for a node, where there is an answer.
    pub(crate) fn answer_waiters(&mut self, id: NodeId) {
        let Some(waiters) = self.waiters.remove(&id) else { return };
        let node = self.tree.node(id);
        let mut left = Vec::new();
        for waiter in waiters {
            let settled = node.is_none_or(|node| {
                // What nobody can name any more need not be settled.
                !node.recorded
                    || (node.names.is_empty() && id != NodeId::ROOT)
                    || (node.settled_generation >= waiter.generation
                        && node.settled_attributes_generation >= waiter.attributes_generation)
            });
            let failure = node.and_then(|node| node.failure.as_ref());
            let failed = failure.filter(|failure| failure.attempts > waiter.failures);
            match (settled, failed) {
                // Who stopped waiting does not want the answer.
                (true, _) => drop(waiter.answer.send(Ok(()))),
                (false, Some(failure)) => drop(waiter.answer.send(Err(failure.error))),
                (false, None) => left.push(waiter),
            }
        }
        if !left.is_empty() {
            self.waiters.insert(id, left);
        }
    }
}

/// A question to the bucket; it ends with this value, whether it was answered or given up.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    core: &'a Core,
    sequence: Sequence,
}

impl Asked<'_> {
    /// When it was asked.
    pub(crate) fn sequence(&self) -> Sequence {
        self.sequence
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.core.world().tree.answered(self.sequence);
    }
}

/// What all calls and tasks share.
#[derive(Debug)]
pub(crate) struct Core {
    pub store: Arc<dyn ObjectStore>,
    pub ledger: Arc<dyn Ledger>,
    pub clock: Arc<dyn Clock>,
    pub options: VolumeOptions,
    pub reader: Reader,
    pub queue: Queue,
    pub pool: Arc<BufferPool>,
    /// Requests for metadata in flight.
    pub asking: Semaphore,
    /// Memory for what is read to be uploaded, in units of [`ROOM_UNIT_BYTES`].
    pub staged_room: Semaphore,
    /// Held by whoever moves bytes from memory to where they are staged.
    pub spilling: tokio::sync::Mutex<()>,
    /// Bytes have left the memory.
    pub room: Notify,
    /// Something was settled, or failed: whoever waits looks again.
    pub progress: Notify,
    /// Requests that brought something on.
    pub done: AtomicU64,
    /// Bytes that went on their way to the store.
    pub sent: Arc<AtomicU64>,
    /// What the store has refused for good.
    pub refusals: Refusals,
    /// Whether the bucket had files with several names, and when that was asked.
    pub links_seen: Mutex<Option<(Instant, bool)>>,
    world: Mutex<World>,
    /// What an earlier mount knew of objects, by key.
    pub recalled: Mutex<HashMap<Key, CachedAttributes>>,
    /// Keys that can't be shown and were logged.
    hidden: Mutex<HashSet<String>>,
    handles: AtomicU64,
    /// What is shown as the time of directories that have none.
    opened_at: Timestamp,
}

impl Core {
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        options: VolumeOptions,
        tree: Tree,
    ) -> Self {
        // What is staged is as it was left.
        let staged = tree.nodes().filter(|(_, node)| node.is_dirty());
        let contents = staged.filter_map(|(id, node)| {
            let durable = node.durable.as_ref()?;
            let stream = tree.pending_upload(id).and_then(|upload| durable.stream(upload));
            Some((id, Content { extents: durable.extents().clone(), stream, since: None }))
        });
        let contents: HashMap<NodeId, Content> = contents.collect();
        let mut world = World {
            tree,
            contents,
            buffered: 0,
            handles: HashMap::new(),
            directories: HashMap::new(),
            waiters: HashMap::new(),
        };
        for (id, content) in &world.contents {
            world.tree.set_borrowed(*id, content.extents.origins());
        }
        Self {
            reader: Reader::new(store.clone(), options.memory_limit / 8 * 3),
            queue: Queue::new(options.parallel),
            pool: BufferPool::new(POOL_BYTES),
            asking: Semaphore::new(options.parallel.max(1)),
            staged_room: Semaphore::new(staged_room_units(&options) as usize),
            spilling: tokio::sync::Mutex::default(),
            room: Notify::new(),
            progress: Notify::new(),
            done: AtomicU64::new(0),
            sent: Arc::default(),
            refusals: Refusals::default(),
            links_seen: Mutex::default(),
            world: Mutex::new(world),
            recalled: Mutex::default(),
            hidden: Mutex::default(),
            handles: AtomicU64::new(1),
            opened_at: clock.now(),
            store,
            ledger,
            clock,
            options,
        }
    }

    /// Looks at the world.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keys that can't be shown and were logged.
    pub(crate) fn hidden(&self) -> MutexGuard<'_, HashSet<String>> {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the world, commits what the ledger must know and queues what the settler must do.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut World) -> R) -> R {
        let mut world = self.world();
        let result = change(&mut world);
        let changes = world.tree.take_changes();
        if !changes.is_empty()
            && let Err(error) = self.ledger.commit(&changes)
        {
            // The next commit has it too; until then nothing is destroyed.
            tracing::error!(%error, "what was changed is not in the ledger");
            world.tree.changes_again(changes);
        }
        let work = world.tree.take_work();
        let mut seen = Vec::new();
        for work in &work {
            match work {
                Work::Node(id) => world.tree.observe(*id),
                Work::Tomb(key) if world.tree.verified.contains_key(key) => seen.push(key.clone()),
                Work::Tomb(_) | Work::Claim(_) => {}
            }
        }
        drop(world);
        self.queue.push(work);
        self.queue.hurry(seen);
        result
    }

    /// Waits until the ledger has on disk what was committed before.
    pub(crate) async fn sync_ledger(&self) -> Result<(), LedgerError> {
        if self.world().tree.has_changes() {
            self.change(|_| ());
            if self.world().tree.has_changes() {
                return Err(LedgerError("earlier changes could not be recorded".to_owned()));
            }
        }
        if !self.ledger.sync_waits() {
            return self.ledger.sync();
        }
        let ledger = self.ledger.clone();
        let synced = tokio::task::spawn_blocking(move || ledger.sync()).await;
        synced.unwrap_or_else(|error| Err(LedgerError(error.to_string())))
    }

    /// Begins to ask the bucket, with what is to be known of the world at that moment.
    pub(crate) fn ask<R>(&self, look: impl FnOnce(&World) -> R) -> (Asked<'_>, R) {
        let mut world = self.world();
        let sequence = world.tree.ask();
        (Asked { core: self, sequence }, look(&world))
    }

    /// A request has brought something on.
    pub(crate) fn got_on(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.progress.notify_waiters();
    }

    /// Fails early where the store has refused for good what a call would lead to.
    pub(crate) fn may(&self, act: Act, directory: NodeId) -> Result<()> {
        if self.refusals.is_empty() {
            return Ok(());
        }
        let path = self.world().tree.prefix_of(directory).ok_or(Error::NotFound)?;
        self.refusals.of(&path, act, Instant::now()).map_or(Ok(()), Err)
    }

    pub(crate) fn new_handle(&self) -> HandleId {
        HandleId(self.handles.fetch_add(1, Ordering::Relaxed))
    }

    /// Units of memory for what is read from where it is staged.
    pub(crate) fn staged_room_units(&self) -> u32 {
        staged_room_units(&self.options)
    }

    /// Half of the memory is for what was written, the other for what is read, to be uploaded or for a reader.
    pub(crate) fn write_limit(&self) -> u64 {
        (self.options.memory_limit / 2).max(1)
    }

    /// How long what the bucket said at that moment is still to be believed.
    pub(crate) fn time_left(&self, checked: Option<Instant>, ttl: Duration) -> Duration {
        checked.map_or(Duration::ZERO, |checked| ttl.saturating_sub(checked.elapsed()))
    }

    /// Whether a node needs no question to the bucket.
    pub(crate) fn is_fresh(&self, node: &Node) -> bool {
        node.recorded || !self.time_left(node.checked, self.options.metadata_ttl).is_zero()
    }

    /// What a call says of a node whose attributes are known.
    pub(crate) fn view(&self, tree: &Tree, id: NodeId) -> Result<NodeAttributes> {
        let node = tree.node(id).ok_or(Error::Stale)?;
        let attributes = node.attributes.ok_or(Error::Failed)?;
        let ttl = if node.inherited {
            // An upload of a process before this one may turn out to have landed: then it has another size.
            Duration::ZERO
        } else if node.recorded {
            self.options.metadata_ttl
        } else {
            self.time_left(node.checked, self.options.metadata_ttl)
        };
        let links = match &node.directory {
            Some(directory) => self.links_of_directory(tree, directory),
            None => u32::try_from(node.names.len()).unwrap_or(u32::MAX),
        };
        let size = if node.is_directory() { 0 } else { node.size };
        Ok(NodeAttributes { node: id, kind: node.kind, size, links, attributes, ttl })
    }

    /// The link count of a directory: `.`, its name and the `..` of each directory in it. Without a listing nobody knows how
    /// many those are: 1 says so.
    fn links_of_directory(&self, tree: &Tree, directory: &crate::tree::Directory) -> u32 {
        if self.time_left(directory.complete, self.options.metadata_ttl).is_zero() {
            return 1;
        }
        let children = directory.children.values().filter_map(|child| tree.node(*child));
        u32::try_from(children.filter(|child| child.is_directory()).count()).unwrap_or(u32::MAX).saturating_add(2)
    }

    /// The attributes of a directory that has no marker, and of what has none that could be asked.
    pub(crate) fn default_attributes(&self, kind: FileKind, root: bool) -> Attributes {
        let mode = match kind {
            FileKind::Directory if root => self.options.root_mode,
            FileKind::Directory => self.options.directory_mode,
            FileKind::Symlink => 0o777,
            _ => self.options.file_mode,
        };
        let time = self.opened_at;
        let (uid, gid) = (self.options.uid, self.options.gid);
        Attributes { mode, uid, gid, atime: time, mtime: time, ctime: time, rdev: 0 }
    }
}
