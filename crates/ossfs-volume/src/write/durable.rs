//! A file's content as the ledger has it: what a crash leaves of it.
//!
//! It is of the moment when the file was last closed, or put aside otherwise; what was written since is in memory alone. It
//! keeps the pieces in use that it names. Bytes that are in parts of an upload are had by completing that.

use super::content::Stream;
use super::extents::{Extent, Extents, Origin, Source};
use super::sealed::Sealed;
use super::staged::Staged;
use ossfs_ledger::{ContentExtent, ContentRecord, ContentSource, Staging};
use ossfs_store::Upload;
use std::sync::Arc;

/// A file's content as the ledger has it.
#[derive(Debug, Clone)]
pub(crate) struct Durable {
    generation: u64,
    extents: Extents,
    upload: Option<Sealed>,
}

impl Durable {
    /// The content of a generation, and the upload that has what was sent; `None` if some of its bytes are in memory, or
    /// in no upload.
    pub(crate) fn new(generation: u64, extents: Extents, upload: Option<Sealed>) -> Option<Self> {
        let durable = Self { generation, extents, upload };
        durable.record_extents().is_some().then_some(durable)
    }

    /// The generation of the content.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The content.
    pub(crate) fn extents(&self) -> &Extents {
        &self.extents
    }

    /// Whether bytes of it are in an upload.
    pub(crate) fn has_upload(&self) -> bool {
        self.upload.is_some()
    }

    /// The stream that goes on with the upload that it has bytes in, if it is this one.
    pub(crate) fn stream(&self, upload: Upload) -> Option<Stream> {
        let sealed = self.upload.as_ref().filter(|sealed| sealed.is(&upload))?;
        Some(sealed.stream(upload))
    }

    /// Takes over which parts the store has by now: their bytes need not be kept any more. Returns whether that was news.
    pub(crate) fn note_sent(&mut self, stream: &Stream) -> bool {
        let sent = self.upload.as_mut().map(|sealed| sealed.note_sent(stream)).unwrap_or_default();
        sent.iter().for_each(|range| self.extents.sent(*range));
        !sent.is_empty()
    }

    /// The bytes of an object are in another one now.
    pub(crate) fn move_origin(&mut self, from: &Origin, to: &Arc<Origin>) {
        self.extents.move_origin(from, to);
    }

    /// An upload of a generation is the base now. Returns whether anything is left that the base does not have.
    pub(crate) fn rebase(&mut self, generation: u64) -> bool {
        self.extents.rebase(generation);
        self.upload = None;
        self.generation > generation
    }

    /// What the ledger says.
    pub(crate) fn record(&self) -> ContentRecord {
        let extents = self.record_extents().unwrap_or_default();
        ContentRecord { generation: self.generation, extents, upload: self.upload.as_ref().map(Sealed::record) }
    }

    fn record_extents(&self) -> Option<Vec<ContentExtent>> {
        let record = |extent: &Extent| {
            let source = match &extent.source {
                Source::Base => ContentSource::Base,
                Source::Zero => ContentSource::Zero,
                Source::Staged(staged) => {
                    let (piece, offset) = staged.place();
                    ContentSource::Staged { piece, offset }
                }
                Source::Borrowed { origin, offset } => {
                    let Origin { key, ident } = (**origin).clone();
                    ContentSource::Borrowed { key, ident, offset: *offset }
                }
                Source::Sent if self.upload.is_some() => ContentSource::Sent,
                Source::Memory(_) | Source::Sent => return None,
            };
            Some(ContentExtent { range: extent.range, generation: extent.generation, source })
        };
        self.extents.iter().map(record).collect()
    }

    /// What a ledger kept.
    pub(crate) fn of_record(record: ContentRecord, staging: &Arc<Staging>) -> Self {
        let extent = |extent: ContentExtent| {
            let source = match extent.source {
                ContentSource::Base => Source::Base,
                ContentSource::Zero => Source::Zero,
                ContentSource::Staged { piece, offset } => Source::Staged(Staged::adopt(staging, piece, offset)),
                ContentSource::Borrowed { key, ident, offset } => {
                    Source::Borrowed { origin: Arc::new(Origin { key, ident }), offset }
                }
                ContentSource::Sent => Source::Sent,
            };
            Extent { range: extent.range, source, generation: extent.generation }
        };
        let extents = record.extents.into_iter().map(extent).collect();
        let upload = record.upload.map(Sealed::of_record);
        Self { generation: record.generation, extents: Extents::of(extents), upload }
    }
}
