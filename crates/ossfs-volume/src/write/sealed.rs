//! An upload to which no more parts come, as a crash leaves it.
//!
//! The parts stay as they are, numbers included, whoever goes on with them: a request of a dead process that arrives late
//! brings the same bytes to the same part, or completes the upload to the same object.

use super::content::{PartState, Stream, StreamPart};
use ossfs_ledger::{OpenUpload, SentPart, UploadPart};
use ossfs_store as store;
use ossfs_store::PartNumber;
use ossfs_types::ByteRange;
use std::sync::Arc;

/// An upload to which no more parts come.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    id: Arc<str>,
    generation: u64,
    parts: Vec<StreamPart>,
}

impl Sealed {
    /// What a stream is, if it was begun and is sealed.
    pub(crate) fn of(stream: &Stream) -> Option<Self> {
        let (upload, generation) = (stream.upload.as_ref()?, stream.sealed?);
        let idle = |part: &StreamPart| match &part.state {
            PartState::Done(_) => part.clone(),
            PartState::Pending { .. } => {
                StreamPart { range: part.range, state: PartState::Pending { in_flight: false } }
            }
        };
        Some(Self { id: upload.id.as_str().into(), generation, parts: stream.parts.iter().map(idle).collect() })
    }

    /// Whether it is this upload.
    pub(crate) fn is(&self, upload: &store::Upload) -> bool {
        *self.id == *upload.id.as_str()
    }

    /// The stream that goes on with it.
    pub(crate) fn stream(&self, upload: store::Upload) -> Stream {
        Stream { upload: Some(upload), parts: self.parts.clone(), sealed: Some(self.generation), ..Stream::default() }
    }

    /// Takes over which parts the store has by now. Returns where those are that it had not.
    pub(crate) fn note_sent(&mut self, stream: &Stream) -> Vec<ByteRange> {
        if !stream.upload.as_ref().is_some_and(|upload| self.is(upload)) {
            return Vec::new();
        }
        let mut sent = Vec::new();
        for (part, now) in self.parts.iter_mut().zip(&stream.parts) {
            if let (PartState::Pending { .. }, PartState::Done(_)) = (&part.state, &now.state) {
                part.state = now.state.clone();
                sent.push(part.range);
            }
        }
        sent
    }

    /// What the ledger says.
    pub(crate) fn record(&self) -> OpenUpload {
        let record = |part: &StreamPart| {
            let sent = match &part.state {
                PartState::Done(done) => Some(SentPart { etag: done.etag.clone(), crc64: done.crc64 }),
                PartState::Pending { .. } => None,
            };
            UploadPart { len: part.range.len(), sent }
        };
        let parts = self.parts.iter().map(record).collect();
        OpenUpload { id: self.id.clone(), generation: self.generation, parts }
    }

    /// What a ledger kept.
    pub(crate) fn of_record(record: OpenUpload) -> Self {
        let mut start = 0;
        let part = |(part, number): (UploadPart, u32)| {
            let range = ByteRange::at(start, part.len).expect("a ledger has no parts that are too long");
            start = range.end();
            let number = PartNumber::new(number).expect("a ledger has no more parts than an upload");
            let size = part.len;
            let state = match part.sent {
                Some(SentPart { etag, crc64 }) => PartState::Done(store::Part { number, etag, size, crc64 }),
                None => PartState::Pending { in_flight: false },
            };
            StreamPart { range, state }
        };
        let parts = record.parts.into_iter().zip(1..).map(part).collect();
        Self { id: record.id, generation: record.generation, parts }
    }
}
