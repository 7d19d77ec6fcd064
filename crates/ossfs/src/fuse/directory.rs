//! Listing a directory into the kernel's buffer.
//!
//! How large that buffer is only shows when an entry does not fit, so entries are asked of the volume in portions. With
//! attributes each entry handed to us is a reference that we hold: what the buffer had no room for is given back.

use crate::fuse::attributes::{file_attr, file_type, missing};
use crate::fuse::call::{Answered, Call, Limit, errno};
use crate::fuse::{Adapter, GENERATION};
use fuser::{INodeNo, ReplyDirectory, ReplyDirectoryPlus};
use ossfs_types::FileKind;
use ossfs_volume::{DirectoryEntry, HandleId, NodeId, Result, Volume};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Entries asked for first. The kernel's buffer is 4 to 32 KiB: 25 to 200 entries with attributes.
pub(super) const ENTRIES_FIRST: usize = 32;
/// Entries without attributes at a time: they cost nothing to ask for again.
const ENTRIES_PLAIN: usize = 512;
/// Entries with attributes at a time, at most.
const ENTRIES_MAX: usize = 1024;

/// Names and kinds.
pub(super) fn plain(adapter: &Adapter, call: Call, directory: HandleId, offset: u64, mut reply: ReplyDirectory) {
    let volume = adapter.volume.clone();
    let work = async move {
        let filled = fill(&volume, directory, offset, &mut Plain(&mut reply), ENTRIES_PLAIN).await;
        match filled {
            Ok(_) => reply.ok(),
            Err(error) => reply.error(errno(error)),
        }
        filled
    };
    adapter.calls.run(call, Limit::Deadline, Answered, work, |_, _| {});
}

/// Names with attributes.
pub(super) fn with_attributes(
    adapter: &Adapter,
    call: Call,
    directory: HandleId,
    offset: u64,
    mut reply: ReplyDirectoryPlus,
) {
    let volume = adapter.volume.clone();
    // A little more than last time, so that one portion fills the buffer and few attributes are fetched in vain.
    let taken = adapter.entries_taken.load(Ordering::Relaxed);
    let portion = (taken + taken / 8).clamp(ENTRIES_FIRST, ENTRIES_MAX);
    let work = async move {
        let filled = fill(&volume, directory, offset, &mut Plus(&mut reply), portion).await;
        match filled {
            Ok(_) => reply.ok(),
            Err(error) => reply.error(errno(error)),
        }
        filled
    };
    // Not known before the buffer was full, and then only a hint: that the next call sees it late does no harm.
    let counted = Arc::clone(&adapter.entries_taken);
    adapter.calls.run(call, Limit::Deadline, Answered, work, move |_, filled: Filled| {
        if filled.full {
            counted.store(filled.entries, Ordering::Relaxed);
        }
    });
}

/// What became of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Filled {
    /// Entries that fitted.
    entries: usize,
    /// Another one did not.
    full: bool,
}

/// A buffer of entries.
trait Buffer: Send {
    /// Whether attributes are wanted, and entries that are not taken must be forgotten.
    const WITH_ATTRIBUTES: bool;
    /// Takes an entry, unless there is no room.
    fn take(&mut self, entry: &DirectoryEntry) -> bool;
}

struct Plain<'a>(&'a mut ReplyDirectory);

impl Buffer for Plain<'_> {
    const WITH_ATTRIBUTES: bool = false;

    fn take(&mut self, entry: &DirectoryEntry) -> bool {
        // fuser can't say DT_UNKNOWN. A regular file is what nearly every object is.
        let kind = file_type(entry.kind.unwrap_or(FileKind::File));
        !self.0.add(INodeNo(entry.node.0), entry.next_offset, kind, &*entry.name)
    }
}

struct Plus<'a>(&'a mut ReplyDirectoryPlus);

impl Buffer for Plus<'_> {
    const WITH_ATTRIBUTES: bool = true;

    fn take(&mut self, entry: &DirectoryEntry) -> bool {
        let (attr, ttl) = match &entry.attributes {
            Some(found) => (file_attr(found), found.ttl),
            // The kernel takes no reference to these two, whatever their number; with 0 the C library would hide them.
            None if is_dot(entry) => {
                (fuser::FileAttr { ino: INodeNo(entry.node.0), ..missing(Some(FileKind::Directory)) }, Duration::ZERO)
            }
            None => (missing(entry.kind), Duration::ZERO),
        };
        !self.0.add(attr.ino, entry.next_offset, &*entry.name, &ttl, &attr, GENERATION)
    }
}

fn is_dot(entry: &DirectoryEntry) -> bool {
    matches!(&*entry.name, "." | "..")
}

/// References that the kernel will hold once it has the reply; given back if it never gets it (the deadline).
struct Referred<'a> {
    volume: &'a Volume,
    nodes: Vec<NodeId>,
}

impl Referred<'_> {
    fn add(&mut self, entry: &DirectoryEntry) {
        self.nodes.extend(entry.attributes.as_ref().map(|found| found.node));
    }

    /// The kernel has them now.
    fn hand_over(mut self) {
        self.nodes.clear();
    }
}

impl Drop for Referred<'_> {
    fn drop(&mut self) {
        for node in self.nodes.drain(..) {
            self.volume.forget(node, 1);
        }
    }
}

/// Fills `buffer` with entries from `offset` on. An error after the first entries is left for the next call to meet.
async fn fill<B: Buffer>(
    volume: &Volume,
    directory: HandleId,
    mut offset: u64,
    buffer: &mut B,
    portion: usize,
) -> Result<Filled> {
    let mut taken = 0;
    let mut held = Referred { volume, nodes: Vec::new() };
    let full = loop {
        let entries = match volume.read_directory(directory, offset, portion, B::WITH_ATTRIBUTES).await {
            Ok(entries) => entries,
            Err(_) if taken > 0 => break false,
            Err(error) => return Err(error),
        };
        let Some(last) = entries.last() else { break false };
        offset = last.next_offset;
        let fitted = entries.iter().position(|entry| !buffer.take(entry)).unwrap_or(entries.len());
        entries[..fitted].iter().for_each(|entry| held.add(entry));
        taken += fitted;
        if fitted < entries.len() {
            let mut not_taken = Referred { volume, nodes: Vec::new() };
            entries[fitted..].iter().for_each(|entry| not_taken.add(entry));
            break true;
        }
    };
    held.hand_over();
    Ok(Filled { entries: taken, full })
}
