//! The words that every part of ossfs uses.
//!
//! Each type is parsed once and is then the proof that its value is valid: whoever holds a [`Key`]
//! need not check it again. Nothing here does I/O, nothing is async, and nothing knows HTTP, XML or the kernel.

mod attributes;
mod clock;
mod crc64;
mod etag;
mod key;
pub mod limits;
mod range;

pub use attributes::{Attributes, FileKind, MODE_KIND_BITS, MODE_PERMISSION_BITS};
pub use clock::{Clock, SystemClock};
pub use crc64::{Crc64, Crc64Digest};
pub use etag::ETag;
pub use jiff::{SignedDuration, Timestamp};
pub use key::{BucketName, BucketNameError, Key, KeyError, Prefix};
pub use range::ByteRange;
