//! What the bucket showed of an object.

use super::Node;
use crate::format::kind_of_listing;
use ossfs_ledger::Ident;
use ossfs_store::{ListEntry, ObjectMeta, ObjectStat, ObjectType};
use ossfs_types::{FileKind, Key};
use tokio::time::Instant;

/// An object that the bucket showed.
#[derive(Debug, Clone)]
pub(crate) struct Sighting {
    pub key: Key,
    pub ident: Ident,
    /// What it is, where that could be told.
    pub kind: Option<FileKind>,
    /// A native symlink.
    pub native: bool,
    /// An appendable object.
    pub appendable: bool,
}

impl From<ListEntry> for Sighting {
    fn from(entry: ListEntry) -> Self {
        Self {
            kind: kind_of_listing(&entry),
            native: entry.object_type == ObjectType::Symlink,
            appendable: entry.object_type == ObjectType::Appendable,
            ident: Ident { etag: entry.etag, size: entry.size, crc64: None, last_modified: Some(entry.last_modified) },
            key: entry.key,
        }
    }
}

impl Sighting {
    /// The object of a key of which no more is known than this.
    pub(crate) fn of_stat(key: Key, stat: ObjectStat) -> Self {
        Self { key, ident: ident_of_stat(stat), kind: None, native: false, appendable: false }
    }

    /// The file that it is.
    pub(crate) fn node(&self, seen: Instant) -> Node {
        let mut node = Node::new(self.kind.unwrap_or(FileKind::File));
        node.kind_is_guess = self.kind.is_none();
        node.native = self.native;
        node.appendable = self.appendable;
        node.size = self.ident.size;
        node.homes = vec![(self.key.clone(), self.ident.clone())];
        node.current = Some(self.ident.clone());
        node.checked = Some(seen);
        node
    }
}

/// The identity of an object as a HEAD shows it.
pub(crate) fn ident_of(meta: &ObjectMeta) -> Ident {
    Ident { etag: meta.etag.clone(), size: meta.size, crc64: meta.crc64, last_modified: Some(meta.last_modified) }
}

/// The identity of an object, or of a symlink itself, as GetObjectMeta shows it.
pub(crate) fn ident_of_stat(stat: ObjectStat) -> Ident {
    Ident { etag: stat.etag, size: stat.size, crc64: None, last_modified: Some(stat.last_modified) }
}
