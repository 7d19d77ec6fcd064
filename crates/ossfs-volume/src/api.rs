//! The words of the file system's calls: what goes in, what comes out.

use bytes::Bytes;
use ossfs_types::{Attributes, FileKind, Timestamp};
use std::time::Duration;

/// The number of a node (inode). It stays the same as long as the volume is open. The root is 1.
pub use ossfs_ledger::NodeId;

/// Who makes a call; owns what the call creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What is known of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAttributes {
    /// Its number.
    pub node: NodeId,
    /// What it is.
    pub kind: FileKind,
    /// Bytes of its content.
    pub size: u64,
    /// Number of its names.
    pub links: u32,
    /// Everything else.
    pub attributes: Attributes,
    /// How long the caller may go on believing it.
    pub ttl: Duration,
}

/// The answer to a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The name is there. The caller now refers to the node, until it says [`forget`](crate::Volume::forget).
    Found(NodeAttributes),
    /// The name is not there.
    Missing {
        /// How long the caller may go on believing it.
        ttl: Duration,
    },
}

/// Attributes to set; those that are absent stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetAttributes {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owning user.
    pub uid: Option<u32>,
    /// Owning group.
    pub gid: Option<u32>,
    /// Length in bytes: cut, or grown with zeros.
    pub size: Option<u64>,
    /// The open file that this is asked of: its next flush waits until the new length is in the bucket.
    pub handle: Option<HandleId>,
    /// Access time.
    pub atime: Option<SetTime>,
    /// Modification time.
    pub mtime: Option<SetTime>,
    /// Takes set-user-id and set-group-id from a file, as changing the owner or the group does in any case.
    pub drop_privileges: bool,
}

/// What an extended attribute must have been before it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetXattr {
    /// Whatever it was.
    Always,
    /// Absent.
    Create,
    /// There.
    Replace,
}

/// A time to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetTime {
    /// The time of the call.
    Now,
    /// This time.
    At(Timestamp),
}

/// The number of an open file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HandleId(pub u64);

/// How a file is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenMode {
    /// May be read.
    pub read: bool,
    /// May be written.
    pub write: bool,
    /// Every write goes to the end.
    pub append: bool,
    /// Its content is cut to nothing first.
    pub truncate: bool,
}

/// An open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Its number.
    pub handle: HandleId,
    /// What the kernel has cached of the content is still right.
    pub keep_cache: bool,
}

/// What becomes of a range of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocate {
    /// The file is at least so long; what is added is zero.
    Extend,
    /// Nothing: room is always there.
    Reserve,
    /// Zeros, as far as the file is long.
    Punch,
    /// Zeros; the file is at least so long.
    Zero,
}

/// What is looked for in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seek {
    /// A byte that is not known to be in a hole.
    Data,
    /// A hole; the end of the file is one.
    Hole,
}

/// One name of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The name.
    pub name: Box<str>,
    /// The node's number.
    pub node: NodeId,
    /// The node's kind, where it is known without asking.
    pub kind: Option<FileKind>,
    /// Where the next entry begins.
    pub next_offset: u64,
    /// If they were asked for; the caller then refers to the node, until it says [`forget`](crate::Volume::forget). Absent
    /// for `.` and `..`, and for what vanished meanwhile.
    pub attributes: Option<NodeAttributes>,
}

/// Sizes of the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeStat {
    /// Bytes of a block.
    pub block_bytes: u32,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that are free.
    pub blocks_free: u64,
    /// Files in all.
    pub files: u64,
    /// Files that could still be made.
    pub files_free: u64,
    /// Longest name in bytes.
    pub name_bytes_max: u32,
}

/// Bytes of a file, as a read gives them.
pub type FileBytes = Bytes;

/// What is not in the bucket yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unsettled {
    /// Files, directories and symlinks that the bucket does not show as they are.
    pub nodes: u64,
    /// Objects that are garbage and not deleted yet.
    pub tombstones: u64,
    /// Prefixes of renamed directories whose objects are still under their old keys.
    pub claims: u64,
    /// Bytes that are only here.
    pub bytes: u64,
    /// Bytes that went on their way to the bucket since the volume was opened; those of failed uploads do not count.
    pub sent: u64,
    /// What could not be settled so far: the first of it.
    pub failures: Vec<Trouble>,
    /// How much could not be settled so far.
    pub failures_total: u64,
    /// What was taken back a short time ago, because the bucket refuses it.
    pub refused: Vec<Trouble>,
}

/// Whether things get on: what there is to do changes, fewer bytes are left, or more of them than ever are on their way. What
/// failed and is sent again is no progress, nor is another reason for a failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    things: (u64, u64, u64),
    bytes: u64,
    sent: u64,
}

impl Progress {
    /// Takes a look; returns whether anything got on since the last one.
    pub fn got_on(&mut self, now: &Unsettled) -> bool {
        let before = *self;
        self.things = (now.nodes, now.tombstones, now.claims);
        self.bytes = now.bytes;
        self.sent = self.sent.max(now.sent);
        self.things != before.things || self.bytes < before.bytes || self.sent > before.sent
    }
}

/// Something that does not get on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its path, as the key that it would have.
    pub path: String,
    /// What the bucket said.
    pub reason: String,
    /// What a person can do about it.
    pub advice: &'static str,
    /// For how long.
    pub since: Duration,
}

impl Unsettled {
    /// Whether the bucket alone describes everything.
    pub fn is_empty(&self) -> bool {
        self.nodes == 0 && self.tombstones == 0 && self.claims == 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Progress, Unsettled};

    #[test]
    fn what_is_sent_again_or_written_meanwhile_is_no_progress() {
        let mut progress = Progress::default();
        let mut look = |nodes, bytes, sent| progress.got_on(&Unsettled { nodes, bytes, sent, ..Unsettled::default() });
        assert!(look(2, 100, 0));
        assert!(!look(2, 100, 0));
        assert!(look(2, 100, 60), "bytes on their way");
        assert!(!look(2, 100, 0), "it failed");
        assert!(!look(2, 150, 60), "as far as before, and more was written");
        assert!(look(2, 150, 61));
        assert!(look(2, 90, 61));
        assert!(look(1, 90, 61));
    }
}
