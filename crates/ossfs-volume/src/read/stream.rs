//! The reading position of one open file.

use super::blocks::{FileId, Flight, Interest, Missing, Piece, Urgency, file_id};
use super::fetch::Shared;
use super::verification::Verification;
use super::window::{Limits, Plan, Window, span};
use super::{ReadError, Version};
use ossfs_store::Kind;
use ossfs_types::{ByteRange, Crc64};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The reading position and window of one open handle. Dropping it cancels what is fetched ahead for it alone.
///
/// It follows one version at a time: a read of another one starts anew.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    reading: Mutex<Option<Reading>>,
    /// Bytes were read.
    served: AtomicBool,
}

impl Stream {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Bytes were read through this one.
    pub(crate) fn note_served(&self) {
        self.served.store(true, Ordering::Relaxed);
    }

    /// Whether bytes were read through this one.
    pub(crate) fn has_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// Calls with the position in `version`. Locked before the blocks, never after.
    pub(super) fn with<T>(&self, shared: &Arc<Shared>, version: &Version, call: impl FnOnce(&mut Reading) -> T) -> T {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if reading.as_ref().is_some_and(|reading| reading.version != *version) {
            *reading = None;
        }
        call(reading.get_or_insert_with(|| Reading::new(shared.clone(), version.clone())))
    }
}

/// A part of a read: the chunk that it lies in, and the chunk's checksum.
pub(super) type Part = (ByteRange, Option<Crc64>);

/// The reading position of a stream in one version.
#[derive(Debug)]
pub(super) struct Reading {
    shared: Arc<Shared>,
    version: Version,
    file: FileId,
    window: Window,
    verification: Verification,
    /// Fetches under way that this stream wants, by where they start.
    held: Vec<(u64, Arc<Interest>)>,
    /// Whether it is among `shared.sequential`.
    counted: bool,
}

impl Reading {
    fn new(shared: Arc<Shared>, version: Version) -> Self {
        Self {
            file: file_id(&version),
            window: Window::default(),
            verification: Verification::new(version.size, version.crc64),
            held: Vec::new(),
            counted: false,
            shared,
            version,
        }
    }

    /// Keeps a fetch going until this stream is dropped.
    pub(super) fn hold(&mut self, start: u64, interest: Arc<Interest>) {
        if !self.held.iter().any(|(_, held)| Arc::ptr_eq(held, &interest)) {
            self.held.push((start, interest));
        }
    }

    /// Moves the window on for a read of `range`, and gives what is fetched ahead a place, unless readers wait for room
    /// (`may_prefetch`). `here`: nothing of it had to be fetched. Returns whether the reader is sequential, and what to
    /// launch.
    pub(super) fn read_on(&mut self, range: ByteRange, here: bool, may_prefetch: bool) -> (bool, Vec<Flight>) {
        if self.shared.is_whole(&self.version) {
            return (false, Vec::new());
        }
        let size = self.version.size;
        let (fetch_bytes_max, ahead_bytes_max) = self.shared.fair_share();
        let Plan { sequential, ahead, abandoned } =
            self.window.read(range, here, Limits { size, fetch_bytes_max, ahead_bytes_max });
        self.count(self.window.reads_on(size));
        let unwanted = |start: u64| abandoned.is_some_and(|range| (range.start()..range.end()).contains(&start));
        self.held.retain(|(start, interest)| !unwanted(*start) && !interest.is_over());
        if let Some(range) = abandoned {
            self.shared.blocks().abandon(&self.file, range);
        }
        let mut flights = Vec::new();
        for range in ahead {
            if let Err(at) = self.prefetch(range, may_prefetch, &mut flights) {
                self.window.gave_up(at, size);
                break;
            }
        }
        (sequential, flights)
    }

    /// Sees to it that `range` is here or comes; fails with the place from which on there is no room.
    fn prefetch(&mut self, range: ByteRange, may_prefetch: bool, flights: &mut Vec<Flight>) -> Result<(), u64> {
        let shared = self.shared.clone();
        let mut blocks = shared.blocks();
        let mut at = range.start();
        while at < range.end() {
            at = match blocks.find(&self.file, at) {
                Ok(Piece::Here(found, _)) => found.end(),
                Ok(Piece::Coming(found, _, interest)) => {
                    self.hold(found.start(), interest);
                    found.end()
                }
                Err(_) if !may_prefetch => return Err(at),
                Err(Missing { until }) => {
                    let missing = span(at, until.min(range.end()));
                    let flight = blocks.begin(&self.file, missing, Urgency::Prefetch).ok_or(at)?;
                    self.hold(at, flight.interest.clone());
                    flights.push(flight);
                    missing.end()
                }
            };
        }
        Ok(())
    }

    fn count(&mut self, reads_on: bool) {
        match (self.counted, reads_on) {
            (false, true) => self.shared.sequential.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.shared.sequential.fetch_sub(1, Ordering::Relaxed),
            (true, true) | (false, false) => return,
        };
        self.counted = reads_on;
    }

    /// Fails a read that reaches bytes which were found to be wrong; one that begins at the start is a new attempt.
    pub(super) fn check(&mut self, range: ByteRange) -> Result<(), ReadError> {
        if range.start() == 0 && self.verification.has_failed() {
            self.verification = Verification::new(self.version.size, self.version.crc64);
        }
        self.judge(range)
    }

    /// Takes note of a read of `range` that lay in `parts`, and fails it if it completes an object that is wrong.
    pub(super) fn completed(&mut self, range: ByteRange, parts: &[Part], sequential: bool) -> Result<(), ReadError> {
        let mut blocks = self.shared.blocks();
        for (chunk, _) in parts {
            blocks.touch(&self.file, chunk.start(), sequential && chunk.end() <= range.end());
        }
        drop(blocks);
        let wrong = parts.iter().fold(false, |wrong, (chunk, crc64)| self.verification.add(*chunk, *crc64) || wrong);
        if wrong {
            tracing::error!(key = %self.version.key.as_str(), etag = %self.version.etag, "read bytes with a wrong CRC-64");
            self.shared.forget(&self.file);
        }
        self.judge(range)
    }

    fn judge(&self, range: ByteRange) -> Result<(), ReadError> {
        if self.verification.fails(range) {
            let message = format!("{:?}: the bytes read don't have the object's CRC-64", self.version.key.as_str());
            return Err(ReadError::new(Kind::Corrupt, message));
        }
        Ok(())
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.count(false);
        let mut blocks = self.shared.blocks();
        self.window.ahead().for_each(|range| blocks.abandon(&self.file, range));
    }
}
