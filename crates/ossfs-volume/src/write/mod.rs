//! What was written and is not in the bucket: which bytes of a file are where, and how they are uploaded.
//!
//! `extents` and `parts` are pure. [`Content`] is a file's bytes as long as they differ from the bucket's, [`Durable`]
//! what a crash leaves of them, [`Staged`] those of them that are on disk, [`Sealed`] those in parts of an upload.

mod content;
mod durable;
mod extents;
mod parts;
mod sealed;
mod staged;

pub(crate) use content::{Content, PartState, Stream, StreamPart};
pub(crate) use durable::Durable;
pub(crate) use extents::{Extent, Extents, Origin, Source, push_zeros};
pub(crate) use parts::{PART_COPY_BYTES, Part, PartLimits, plan};
pub(crate) use sealed::Sealed;
pub(crate) use staged::Staged;
