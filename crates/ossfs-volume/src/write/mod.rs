//! What was written and is not in the bucket: which bytes of a file are where, and how they are uploaded.
//!
//! `extents` and `parts` are pure. [`Content`] is a file's bytes as long as they differ from the bucket's.

mod content;
mod extents;
mod parts;

pub(crate) use content::{Content, PartState, Stream, StreamPart};
pub(crate) use extents::{Extent, Extents, Source, push_zeros};
pub(crate) use parts::{PART_COPY_BYTES, Part, PartLimits, plan};
