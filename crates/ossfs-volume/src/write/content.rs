//! A file's bytes as long as they differ from the bucket's, and the upload that is streamed meanwhile.
//!
//! ```text
//! no stream --(enough new bytes from the start on)--> streaming --(flush)--> completed: the upload is the base
//!                                                        |        (sealed meanwhile: what is written goes behind it)
//!                                                        +--(cut to nothing, unlinked)--> aborted
//! ```
//!
//! Invariant: the stream's parts tile `0..sent_to`, and nothing writes below that until the stream is completed; bytes of
//! a part stay here until the store has it.

use super::extents::Extents;
use ossfs_store as store;
use ossfs_types::ByteRange;
use tokio::time::Instant;

/// The bytes of a file that is not as the bucket has it.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub extents: Extents,
    pub stream: Option<Stream>,
    /// When the first byte was written that is not in an upload.
    pub since: Option<Instant>,
}

/// Parts that are uploaded while the file is still being written.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// The upload, once it was begun.
    pub upload: Option<store::Upload>,
    /// In order; part numbers count from 1.
    pub parts: Vec<StreamPart>,
    /// Parts under way.
    pub in_flight: usize,
    /// The generation that the upload is completed with, once that has begun: no more parts come to it, however often it
    /// must be tried, because the first time may have been the last.
    pub sealed: Option<u64>,
    /// Failures since the file was last asked to be settled.
    pub failures: u32,
    /// What the last of them was.
    pub last_failure: Option<(store::Kind, String)>,
}

/// One part of a stream.
#[derive(Debug)]
pub(crate) struct StreamPart {
    pub range: ByteRange,
    pub state: PartState,
}

/// How far a part is.
#[derive(Debug)]
pub(crate) enum PartState {
    /// Its bytes are here, and perhaps on their way.
    Pending {
        /// On their way.
        in_flight: bool,
    },
    /// The store has it.
    Done(store::Part),
}

impl Stream {
    /// Where the parts end.
    pub(crate) fn sent_to(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.range.end())
    }
}

impl Content {
    /// The content of an object of this length.
    pub(crate) fn of_base(len: u64) -> Self {
        Self { extents: Extents::of_base(len), ..Self::default() }
    }

    /// Bytes from the start on that must not be written now: they are, or are about to be, in parts of an upload.
    pub(crate) fn fixed_to(&self) -> u64 {
        self.stream.as_ref().map_or(0, Stream::sent_to)
    }

    /// The next part to stream, if at least `least` bytes are ready for it: all new, from where the parts end.
    pub(crate) fn next_part(&self, least: u64, most: u64) -> Option<ByteRange> {
        let start = self.fixed_to();
        let len = self.extents.len();
        let fresh = match &self.stream {
            Some(stream) => stream.sealed.is_none(),
            None => self.extents.is_new_before(len),
        };
        let size = (len - start.min(len)).min(most);
        if !fresh || size < least || size == 0 {
            return None;
        }
        ByteRange::at(start, size)
    }
}
