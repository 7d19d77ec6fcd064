//! Files of several names.

use ossfs_types::Crc64;
use std::sync::Arc;

/// What a file of several names is known by in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The id that all of its objects carry.
    pub id: Arc<str>,
    /// The object that lists its names.
    pub list: LinkList,
}

/// What the object says that lists the names of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkList {
    /// It is not there.
    Absent,
    /// It may be there, with anything in it.
    Unsure,
    /// It has the content of this checksum.
    Says(Crc64),
}
