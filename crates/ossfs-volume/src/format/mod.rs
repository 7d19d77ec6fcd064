//! The object format: what an object says of a file, and what a file's object is to say. Pure.
//!
//! It is the format of ossfs 1.x, so that both can use one bucket: attributes in `x-oss-meta-*`, directories as keys that
//! end with `/`, symlinks as a mode with the target in the body. What it adds is in `rdev` and `ossfs-id`, which 1.x
//! ignores. Whatever others put into metadata is read without trust and survives what is written over it.
//!
//! Deliberately absent: requests, nodes, and which object a name belongs to.

mod attributes;
mod kind;
mod links;
mod metadata;
mod mime;
mod names;
mod symlink;
mod times;
mod xattrs;

pub(crate) use attributes::{Defaults, Described, described};
pub(crate) use kind::kind_of_listing;
pub(crate) use links::{LINK, LIST_BYTES_MAX, NAMES_MAX, link_of, list_of, lists, names_of, new_link};
pub(crate) use metadata::{DIRECTORY_CONTENT_TYPE, TOKEN, foreign, forget_times, keep_time, metadata};
pub use mime::MimeTypes;
pub(crate) use names::{
    HIDDEN_DIRECTORY, LEGACY_MARKER_SUFFIX, alias_of, aliased, check_first_name, check_name, conflict_name,
    legacy_marker, showable,
};
pub(crate) use symlink::SYMLINK_TARGET_BYTES_MAX;
pub(crate) use xattrs::{Xattrs, set_xattr_entry, xattr_entry, xattr_entry_fits};
