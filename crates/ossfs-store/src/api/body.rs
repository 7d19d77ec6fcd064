//! Bodies: what is sent ([`Payload`]) and what is received ([`ObjectBody`]).

use crate::error::Result;
use async_trait::async_trait;
use bytes::Bytes;
use ossfs_types::{Crc64, Crc64Digest};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Bytes to send: a list of shared chunks. Cloning copies no bytes, so a repetition sends the same ones.
#[derive(Clone)]
pub struct Payload {
    chunks: Arc<[Bytes]>,
    len: u64,
    crc64: Arc<OnceLock<Crc64>>,
    sent: Option<Sent>,
}

/// Counts bytes that go on their way.
#[derive(Clone)]
struct Sent {
    total: Arc<AtomicU64>,
    /// How far an attempt has come, of all attempts.
    reached: Arc<AtomicU64>,
}

impl Payload {
    /// No bytes.
    pub fn empty() -> Self {
        Self::from(Vec::<Bytes>::new())
    }

    /// The same bytes; those that go on their way are added to `total`. What a repetition sends again is not: an endpoint
    /// that never takes all of them shows no progress.
    #[must_use]
    pub fn counted_in(mut self, total: Arc<AtomicU64>) -> Self {
        self.sent = Some(Sent { total, reached: Arc::default() });
        self
    }

    /// Notes that an attempt has sent so many bytes by now.
    pub(crate) fn note_sent(&self, so_far: u64) {
        if let Some(Sent { total, reached }) = &self.sent {
            let before = reached.fetch_max(so_far, Ordering::Relaxed);
            total.fetch_add(so_far.saturating_sub(before), Ordering::Relaxed);
        }
    }

    /// What was counted is taken off again: the upload has failed, and what is sent of it later is no progress until then.
    pub fn uncount(&self) {
        if let Some(Sent { total, reached }) = &self.sent {
            total.fetch_sub(reached.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Number of bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The chunks in order.
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// The checksum of all bytes; computed once, also for clones.
    pub fn crc64(&self) -> Crc64 {
        *self.crc64.get_or_init(|| {
            let mut digest = Crc64Digest::new();
            self.chunks.iter().for_each(|chunk| digest.update(chunk));
            digest.value()
        })
    }
}

impl From<Vec<Bytes>> for Payload {
    fn from(chunks: Vec<Bytes>) -> Self {
        let len = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Self { chunks: chunks.into(), len, crc64: Arc::default(), sent: None }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::from(vec![bytes])
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Bytes::from(bytes))
    }
}

impl From<&'static str> for Payload {
    fn from(text: &'static str) -> Self {
        Self::from(Bytes::from_static(text.as_bytes()))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes in {} chunks)", self.len, self.chunks.len())
    }
}

/// Where the bytes of an [`ObjectBody`] come from.
#[async_trait]
pub trait BodySource: Send {
    /// The next bytes, never empty; `None` once all that was promised has come and, where there was something to
    /// check it with, was found right.
    async fn next(&mut self) -> Result<Option<Bytes>>;

    /// The checksum of what came so far, if it was asked for.
    fn crc64(&self) -> Option<Crc64>;
}

/// The bytes of an object as they arrive.
pub struct ObjectBody(Box<dyn BodySource>);

impl ObjectBody {
    /// A body that takes its bytes from `source`.
    pub fn new(source: impl BodySource + 'static) -> Self {
        Self(Box::new(source))
    }

    /// The next bytes, never empty; `None` at the end. To keep throughput, drop each piece before asking for the
    /// next: pieces are views into the connection's buffer, which is reused when nobody looks at it.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        self.0.next().await
    }

    /// The checksum of what came so far, if it was asked for.
    pub fn crc64(&self) -> Option<Crc64> {
        self.0.crc64()
    }
}

impl fmt::Debug for ObjectBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectBody")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_pieces_is_the_payload_of_the_whole() {
        let pieces = Payload::from(vec![Bytes::from_static(b"1234"), Bytes::new(), Bytes::from_static(b"56789")]);
        assert_eq!(pieces.len(), 9);
        assert_eq!(pieces.crc64(), Crc64::of(b"123456789"));
        assert_eq!(pieces.clone().crc64(), Payload::from("123456789").crc64());
        assert!(Payload::empty().is_empty());
    }

    #[test]
    fn what_is_sent_again_is_counted_once() {
        let total = Arc::<AtomicU64>::default();
        let payload = Payload::from("123456789").counted_in(total.clone());
        for so_far in [4, 8, 2, 8] {
            payload.clone().note_sent(so_far);
        }
        assert_eq!(total.load(Ordering::Relaxed), 8);
        payload.note_sent(9);
        assert_eq!(total.load(Ordering::Relaxed), 9);
        payload.uncount();
        payload.uncount();
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }
}
