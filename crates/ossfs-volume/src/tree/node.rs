//! Nodes: what is known of a file, directory or symlink, and what it is to become.

use super::Failure;
use crate::format::Described;
use crate::write::Durable;
use ossfs_ledger::{Ident, Link, Name, NodeId, NodeRecord};
use ossfs_store::Metadata;
use ossfs_types::{Attributes, FileKind, Key};
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;

/// What others put into an object's metadata, and must survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// Nobody has looked.
    Unknown,
    /// This; nothing beyond what we write ourselves, if absent.
    Known(Option<Arc<Metadata>>),
}

/// A file, directory or symlink.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub kind: FileKind,
    /// Whether `kind` is only what a listing suggests: a small object may be a symlink of ossfs 1.x.
    pub kind_is_guess: bool,
    /// Where it stands; nowhere once it is unlinked.
    pub names: Vec<(NodeId, Name)>,
    /// Bytes of the content.
    pub size: u64,
    /// Absent until somebody asked for them.
    pub attributes: Option<Attributes>,
    /// Whether a change of the metadata alone would have shown in Last-Modified.
    pub firm: bool,
    pub foreign: Foreign,
    /// The entry of its extended attributes, if it was set here: it goes before what its object says. See
    /// [`Xattrs`](crate::format::Xattrs).
    pub xattrs: Option<Arc<str>>,
    /// Of symlinks, where known.
    pub target: Option<Arc<[u8]>>,
    /// Of symlinks: a native one of OSS.
    pub native: bool,
    /// Of files: the object is appendable, as far as is known, or is to be.
    pub appendable: bool,
    /// Objects that are its content, or were before `current`.
    pub homes: Vec<(Key, Ident)>,
    /// The version that the content is, but for what was written since.
    pub current: Option<Ident>,
    /// Of files with several names, or that had them: their id.
    pub link: Option<Link>,
    /// Of files with several names: homes that are yet to be made like the others.
    pub stale: Vec<Key>,
    /// Of files with several names: when the objects of all of them were last looked at.
    pub verified: Option<Instant>,
    /// When the bucket last showed it so.
    pub checked: Option<Instant>,
    /// Counts the versions that outsiders put in place of the one that was known.
    pub epoch: u32,
    /// The epoch whose content the kernel has in its cache.
    pub cached_epoch: Option<u32>,

    /// Whether the ledger has it.
    pub recorded: bool,
    pub generation: u64,
    pub settled_generation: u64,
    pub attributes_generation: u64,
    pub settled_attributes_generation: u64,
    /// The generation that was last set on purpose; what came later came by writing.
    pub attributes_set: u64,
    pub wants_marker: bool,
    /// A directory that was not found by its name: it may have an old marker that nobody has looked for.
    pub unsought: bool,
    /// A hidden key that it must move to first, to make room.
    pub hide: Option<Key>,
    /// The key of the intent that is pending for it.
    pub intent: Option<Key>,
    /// That intent is of a process before this one: what is at the key then is not known here, so nothing is written until
    /// it is.
    pub inherited: bool,
    /// Bytes were read by somebody who has closed it since: the kernel may have them.
    pub was_read: bool,
    /// What the ledger has of its content, where that is not as in the bucket.
    pub durable: Option<Arc<Durable>>,
    /// It need not be settled before this moment: more may come, or it may get another name.
    pub settle_after: Option<Instant>,
    /// The claims that are its own.
    pub claims: Vec<Arc<str>>,

    /// References that the kernel holds.
    pub lookups: u64,
    /// Open handles.
    pub opens: u32,
    /// Those of them that may write.
    pub writers: u32,
    /// Somebody waits for it to be settled, though it is open for writing.
    pub urgent: bool,
    /// A task settles it now.
    pub task: bool,
    /// What was last tried and failed.
    pub failure: Option<Failure>,
    /// Of directories.
    pub directory: Option<Box<Directory>>,
}

/// The names in a directory, as far as they are known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directory {
    pub children: BTreeMap<Name, NodeId>,
    /// When the listing was begun that showed all names.
    pub complete: Option<Instant>,
    /// When names were looked for and not found.
    pub missing: HashMap<Name, Instant>,
}

impl Node {
    /// A node that nothing is known of but its kind.
    pub(crate) fn new(kind: FileKind) -> Self {
        let directory = (kind == FileKind::Directory).then(Box::<Directory>::default);
        Self {
            kind,
            kind_is_guess: false,
            names: Vec::new(),
            size: 0,
            attributes: None,
            firm: true,
            foreign: Foreign::Unknown,
            xattrs: None,
            target: None,
            native: false,
            appendable: false,
            homes: Vec::new(),
            current: None,
            link: None,
            stale: Vec::new(),
            verified: None,
            checked: None,
            epoch: 0,
            cached_epoch: None,
            recorded: false,
            generation: 0,
            settled_generation: 0,
            attributes_generation: 0,
            settled_attributes_generation: 0,
            attributes_set: 0,
            wants_marker: false,
            hide: None,
            intent: None,
            inherited: false,
            unsought: false,
            was_read: false,
            durable: None,
            settle_after: None,
            claims: Vec::new(),
            lookups: 0,
            opens: 0,
            writers: 0,
            urgent: false,
            task: false,
            failure: None,
            directory,
        }
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }

    /// What its object says that it is, where only a listing had suggested it. Returns whether that was news.
    pub(crate) fn learn_kind(&mut self, described: &Described) -> bool {
        if !self.kind_is_guess || self.is_directory() {
            return false;
        }
        self.kind_is_guess = false;
        self.kind = described.kind;
        self.size = described.size;
        if let Some(target) = &described.symlink_in_header {
            self.target = Some(target.as_slice().into());
        }
        true
    }

    /// Whether the content may be changed now: not before it is known what became of an upload that a process before
    /// this one has begun, nor before the attributes are known, some of which change with it. Who has no name has none that
    /// could be asked for.
    pub(crate) fn may_be_changed(&self) -> bool {
        !self.inherited && (self.attributes.is_some() || self.names.is_empty())
    }

    /// Whether the content here is newer than the bucket's.
    pub(crate) fn is_dirty(&self) -> bool {
        self.generation != self.settled_generation
    }

    /// Whether the attributes here are newer than the bucket's.
    pub(crate) fn has_dirty_attributes(&self) -> bool {
        self.attributes_generation != self.settled_attributes_generation
    }

    /// Whether attributes were set on purpose that the bucket does not have. Times that follow what was written are not.
    pub(crate) fn has_set_attributes(&self) -> bool {
        self.attributes_set > self.settled_attributes_generation
    }

    /// The object at a key that is this node's content, whole and up to date.
    pub(crate) fn valid_home(&self, key: &str) -> Option<&Ident> {
        let ident = self.homes.iter().find(|(home, _)| home.as_str() == key).map(|(_, ident)| ident)?;
        self.shows(key, ident).then_some(ident)
    }

    /// Any object that is this node's content, whole and up to date.
    pub(crate) fn any_valid_home(&self) -> Option<&(Key, Ident)> {
        self.homes.iter().find(|(key, ident)| self.shows(key.as_str(), ident))
    }

    /// The keys that others may have to wait for.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.homes.iter().map(|(key, _)| key).chain(&self.intent).chain(&self.hide)
    }

    pub(crate) fn home(&self, key: &Key) -> Option<&Ident> {
        self.homes.iter().find(|(home, _)| home == key).map(|(_, ident)| ident)
    }

    pub(crate) fn set_home(&mut self, key: &Key, ident: Ident) {
        self.stale.retain(|stale| stale != key);
        match self.homes.iter_mut().find(|(home, _)| home == key) {
            Some((_, old)) => *old = ident,
            None => self.homes.push((key.clone(), ident)),
        }
    }

    /// What the ledger keeps of it.
    pub(crate) fn record(&self) -> NodeRecord {
        NodeRecord {
            kind: self.kind,
            current: self.current.clone(),
            generation: self.generation,
            settled_generation: self.settled_generation,
            attributes: self.attributes,
            attributes_generation: self.attributes_generation,
            settled_attributes_generation: self.settled_attributes_generation,
            wants_marker: self.wants_marker,
            target: self.target.clone(),
            xattrs: self.xattrs.clone(),
            link: self.link.clone(),
            appendable: self.appendable,
            attributes_set: self.attributes_set,
        }
    }

    /// The node that a ledger kept.
    pub(crate) fn of_record(record: NodeRecord) -> Self {
        Self {
            size: record.current.as_ref().map_or(0, |ident| ident.size),
            attributes: record.attributes,
            target: record.target,
            xattrs: record.xattrs,
            current: record.current,
            link: record.link,
            recorded: true,
            generation: record.generation,
            settled_generation: record.settled_generation,
            attributes_generation: record.attributes_generation,
            settled_attributes_generation: record.settled_attributes_generation,
            wants_marker: record.wants_marker,
            appendable: record.appendable,
            attributes_set: record.attributes_set,
            unsought: record.kind == FileKind::Directory,
            // Who asks for the attributes learns the kind with them; what was written is a file.
            kind_is_guess: record.attributes.is_none()
                && record.kind != FileKind::Directory
                && record.generation == record.settled_generation,
            ..Self::new(record.kind)
        }
    }
}
