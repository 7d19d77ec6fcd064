//! The records.
//!
//! | record | says |
//! |---|---|
//! | node | what a file, directory or symlink is to be |
//! | name | which node stands at a name of a directory |
//! | home | that the object at a key is content of a node: its own, or one that others still need |
//! | tomb | that the object at a key, of this identity, is garbage |
//! | intent | that the object at a key is about to be written, with what, over what |
//! | claim | that what has no record under a prefix are children of one directory |
//! | content | which bytes a file has that is not as the bucket shows it, and where they are |
//!
//! At most one of home and tomb stands at a key, at most one intent at a key and for a node.

mod content;
mod link;

pub use content::{ContentExtent, ContentRecord, ContentSource, OpenUpload, Piece, SentPart, UploadPart};
pub use link::{Link, LinkList};

use ossfs_types::{Attributes, Crc64, ETag, FileKind, Key, Timestamp};
use std::sync::Arc;

/// The number of a node. The root is [`NodeId::ROOT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The directory that is mounted.
    pub const ROOT: Self = Self(1);
}

/// A name in a directory.
pub type Name = Arc<str>;

/// The identity of one version of an object, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ident {
    /// The version of the content. Changes of metadata alone keep it.
    pub etag: ETag,
    /// Length in bytes.
    pub size: u64,
    /// Checksum of the content.
    pub crc64: Option<Crc64>,
    /// When it was written; whole seconds.
    pub last_modified: Option<Timestamp>,
}

impl Ident {
    /// Whether all that is known of both is equal.
    pub fn matches(&self, other: &Self) -> bool {
        fn agree<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
            one.is_none() || other.is_none() || one == other
        }
        self.etag == other.etag
            && self.size == other.size
            && agree(self.crc64, other.crc64)
            && agree(self.last_modified, other.last_modified)
    }
}

/// What a node is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// What it is.
    pub kind: FileKind,
    /// The version that its content is, but for what was written since; none before the first upload.
    pub current: Option<Ident>,
    /// Counts changes of the content.
    pub generation: u64,
    /// The generation that `current` shows.
    pub settled_generation: u64,
    /// Everything but content and names, where it is known.
    pub attributes: Option<Attributes>,
    /// Counts changes of the attributes.
    pub attributes_generation: u64,
    /// The generation of the attributes that the object's metadata carry.
    pub settled_attributes_generation: u64,
    /// Of directories: an object `path/` must be there, because nothing else may show the directory.
    pub wants_marker: bool,
    /// Of symlinks: where it points, where it is known.
    pub target: Option<Arc<[u8]>>,
    /// The entry of the metadata that has its extended attributes, if it was set here; empty for none.
    pub xattrs: Option<Arc<str>>,
    /// Of files that have several names, or had.
    pub link: Option<Link>,
    /// Of files: the object is appendable, or is to be.
    pub appendable: bool,
    /// The generation of the attributes that was last set on purpose; what came later came by writing.
    pub attributes_set: u64,
}

/// An object that is content of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The node.
    pub node: NodeId,
    /// The object.
    pub ident: Ident,
    /// Of files with several names: the object of another name is newer, and this one is yet to be made like it.
    pub stale: bool,
}

/// An object that is garbage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tomb {
    /// The object; another one at the key is not garbage.
    pub ident: Ident,
}

/// How an object is about to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentKind {
    /// PutObject, or PutSymlink.
    Put,
    /// A multipart upload.
    Multipart,
    /// CopyObject from another key.
    Copy,
    /// CopyObject onto itself with other metadata.
    Describe,
    /// CopyObject to a hidden key, to make room.
    Hide,
    /// AppendObject.
    Append,
}

/// What must be at a key before it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Absent,
    /// This object.
    Present(Ident),
    /// This object, or nothing.
    PresentOrAbsent(Ident),
}

impl Expect {
    /// Whether what was found at the key is what was expected.
    pub fn allows(&self, found: Option<&Ident>) -> bool {
        match (self, found) {
            (Self::Absent | Self::PresentOrAbsent(_), None) => true,
            (Self::Present(ident) | Self::PresentOrAbsent(ident), Some(found)) => ident.matches(found),
            (Self::Absent, Some(_)) | (Self::Present(_), None) => false,
        }
    }
}

/// An object that is about to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// For whom.
    pub node: NodeId,
    /// How.
    pub kind: IntentKind,
    /// Over what.
    pub expect: Expect,
    /// What the object will carry in its metadata, to be known again. Copies that keep metadata carry none.
    pub token: Arc<str>,
    /// The generation of the content that it will show.
    pub generation: u64,
    /// The generation of the attributes that it will carry.
    pub attributes_generation: u64,
    /// Of copies: from where.
    pub source: Option<(Key, Ident)>,
    /// Of multipart uploads: OSS's id, once it is known.
    pub upload: Option<Arc<str>>,
    /// Of multipart uploads: one whose id is not known was begun no earlier than this.
    pub begun: Option<Timestamp>,
    /// Of appends: length and checksum of the object that it makes, once they are known.
    pub makes: Option<(u64, Crc64)>,
}

/// What has no record under a prefix are children of this directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The directory.
    pub directory: NodeId,
    /// The last key that was looked at in the pass under way.
    pub cursor: Option<Arc<str>>,
}

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKey {
    /// A node.
    Node(NodeId),
    /// A name of a directory.
    Name(NodeId, Name),
    /// A home.
    Home(Key),
    /// A tombstone.
    Tomb(Key),
    /// An intent.
    Intent(Key),
    /// A claim; the prefix ends with `/`.
    Claim(Arc<str>),
    /// The content of a file.
    Content(NodeId),
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// At [`RecordKey::Node`].
    Node(NodeRecord),
    /// At [`RecordKey::Name`].
    Name(NodeId),
    /// At [`RecordKey::Home`].
    Home(Home),
    /// At [`RecordKey::Tomb`].
    Tomb(Tomb),
    /// At [`RecordKey::Intent`].
    Intent(Intent),
    /// At [`RecordKey::Claim`].
    Claim(Claim),
    /// At [`RecordKey::Content`].
    Content(ContentRecord),
}

/// One change of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub key: RecordKey,
    /// What stands there then; nothing, if absent.
    pub record: Option<Record>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ident(etag: &str, crc64: Option<u64>, second: Option<i64>) -> Ident {
        Ident {
            etag: ETag::parse(etag).unwrap(),
            size: 1,
            crc64: crc64.map(Crc64::from_u64),
            last_modified: second.map(|second| Timestamp::from_second(second).unwrap()),
        }
    }

    #[test]
    fn identities_are_equal_if_all_known_parts_are() {
        let full = ident("A", Some(1), Some(1));
        assert!(full.matches(&ident("A", None, None)));
        assert!(ident("A", Some(1), None).matches(&ident("A", None, Some(2))));
        for other in [ident("B", Some(1), Some(1)), ident("A", Some(2), Some(1)), ident("A", Some(1), Some(2))] {
            assert!(!full.matches(&other), "{other:?}");
        }
    }

    #[test]
    fn what_is_expected() {
        let here = ident("A", None, None);
        let other = ident("B", None, None);
        for (expect, absent, same, another) in [
            (Expect::Absent, true, false, false),
            (Expect::Present(here.clone()), false, true, false),
            (Expect::PresentOrAbsent(here.clone()), true, true, false),
        ] {
            assert_eq!(expect.allows(None), absent, "{expect:?}");
            assert_eq!(expect.allows(Some(&here)), same, "{expect:?}");
            assert_eq!(expect.allows(Some(&other)), another, "{expect:?}");
        }
    }
}
