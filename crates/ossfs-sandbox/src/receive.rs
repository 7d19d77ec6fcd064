//! Receiving the bodies of requests, within bounds of size and silence.

use crate::content::Content;
use crate::error::{Code, OssError, Result};
use crate::ingest::Medium;
use crate::pacer::Pacer;
use crate::stats::Stats;
use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use md5::{Digest, Md5};
use ossfs_types::{Crc64, Crc64Digest};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// A body from which nothing comes for so long is given up, as OSS does.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// So much of a body that nobody wants is read, so that a client that sends before it listens hears the answer.
const DRAIN_BYTES_MAX: u64 = 8 << 20;
/// And for so long.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// What a body comes wrapped in: frames around its bytes, checksums of them, or both.
pub(crate) trait Wrapping: fmt::Debug + Send + Sync {
    /// Takes the next bytes of the body proper from the front of what came; `None` once all of that was taken.
    fn unwrap(&mut self, came: &mut Bytes) -> Result<Option<Bytes>>;

    /// Is shown all of them, in order, as they are used: after they were taken and before the next are.
    fn see(&mut self, bytes: &[u8]);

    /// Nothing more will come: whether all came, and as it was sent.
    fn end(&mut self) -> Result<()>;

    /// Whether the end of it would notice a changed byte.
    fn verifies(&self) -> bool;
}

/// The body of a request.
#[derive(Debug)]
pub(crate) struct RequestBody {
    incoming: Incoming,
    /// Bytes of the body proper, if the client said so.
    declared: Option<u64>,
    wrapping: Option<Box<dyn Wrapping>>,
    /// Came, but was not unwrapped yet.
    wrapped: Bytes,
    /// Bytes of the body proper that were given out.
    given: u64,
    chunked: bool,
    expects_continue: bool,
    touched: bool,
    ended: bool,
    pacer: Pacer,
    stats: Arc<Stats>,
    flip: bool,
    flip_at: Option<u64>,
}

/// A body that was stored.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) content: Content,
    pub(crate) md5: [u8; 16],
    pub(crate) crc: Crc64,
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, headers: &HeaderMap, stats: Arc<Stats>) -> Self {
        let declared = headers.get(http::header::CONTENT_LENGTH);
        let declared = declared.and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse().ok());
        let chunked = headers.contains_key(http::header::TRANSFER_ENCODING);
        let expects_continue = headers.contains_key(http::header::EXPECT);
        Self {
            incoming,
            declared,
            wrapping: None,
            wrapped: Bytes::new(),
            given: 0,
            chunked,
            expects_continue,
            touched: false,
            ended: false,
            pacer: Pacer::new(0),
            stats,
            flip: false,
            flip_at: None,
        }
    }

    /// Holds what is received to a bandwidth, in bytes a second; 0 for none.
    pub(crate) fn set_bandwidth(&mut self, bandwidth: u64) {
        self.pacer = Pacer::new(bandwidth);
    }

    /// One byte of the body proper will be wrong.
    pub(crate) fn flip_a_byte(&mut self) {
        self.flip = true;
    }

    /// The body comes in a wrapping; inside it has so many bytes, if that was said.
    pub(crate) fn set_wrapping(&mut self, wrapping: Box<dyn Wrapping>, declared: Option<u64>) {
        self.declared = declared;
        self.wrapping = Some(wrapping);
    }

    /// Whether reading all of it fails if a byte was changed on its way.
    pub(crate) fn verifies_itself(&self) -> bool {
        self.wrapping.as_ref().is_some_and(|wrapping| wrapping.verifies())
    }

    /// OSS wants to know how long a body is, or to get it in chunks.
    pub(crate) fn check_length_is_said(&self, method: &Method) -> Result<()> {
        let needed = method == Method::PUT || method == Method::POST;
        if needed && self.declared.is_none() && !self.chunked {
            return Err(Code::MissingContentLength.into());
        }
        Ok(())
    }

    /// Stores the body.
    pub(crate) async fn store(&mut self, medium: &Medium, bytes_max: u64, md5: Option<[u8; 16]>) -> Result<Received> {
        if self.declared.is_some_and(|declared| declared > bytes_max) {
            return Err(too_large(self.declared.unwrap_or(0), bytes_max));
        }
        let mut sink = medium.sink(self.declared);
        let (mut md5_digest, mut crc_digest) = (Md5::new(), Crc64Digest::new());
        let mut received = 0;
        while let Some(bytes) = self.next().await? {
            received += bytes.len() as u64;
            if received > bytes_max {
                return Err(too_large(received, bytes_max));
            }
            self.stats.add_bytes_in(bytes.len() as u64);
            md5_digest.update(&bytes);
            crc_digest.update(&bytes);
            sink.write(&bytes).await?;
        }
        let digest: [u8; 16] = md5_digest.finalize().into();
        if md5.is_some_and(|expected| expected != digest) {
            return Err(Code::ContentChanged.into());
        }
        Ok(Received { content: sink.finish().await?, md5: digest, crc: crc_digest.value() })
    }

    /// Receives a small body into memory.
    pub(crate) async fn document(&mut self, bytes_max: u64) -> Result<Vec<u8>> {
        let mut document = Vec::new();
        while let Some(bytes) = self.next().await? {
            if (document.len() + bytes.len()) as u64 > bytes_max {
                return Err(Code::MalformedXml.into());
            }
            document.extend_from_slice(&bytes);
        }
        Ok(document)
    }

    /// Reads all of it, and keeps nothing.
    pub(crate) async fn discard(&mut self) {
        while let Ok(Some(_)) = self.next_wrapped().await {}
    }

    /// Reads what nobody wanted, within reason, so that the answer reaches a client that is still sending. Whether it
    /// came to its end.
    pub(crate) async fn drain(&mut self) -> bool {
        // A client that waits for a 100 sends nothing until it is asked to.
        if self.ended || (self.expects_continue && !self.touched) {
            return true;
        }
        if self.declared.is_some_and(|declared| declared > DRAIN_BYTES_MAX) {
            return false;
        }
        self.pacer = Pacer::new(0);
        let drained = timeout(DRAIN_TIME_MAX, async {
            let mut drained = 0;
            while drained <= DRAIN_BYTES_MAX {
                match self.next_wrapped().await {
                    Ok(Some(bytes)) => drained += bytes.len() as u64,
                    Ok(None) => return true,
                    Err(_) => return false,
                }
            }
            false
        });
        drained.await.unwrap_or(false)
    }

    /// The next bytes of the body proper, `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some(mut wrapping) = self.wrapping.take() else {
            let bytes = self.next_wrapped().await?;
            return Ok(bytes.map(|bytes| self.flipped(bytes)));
        };
        // Not put back where it failed: what follows the mistake means nothing, and nobody asks for it.
        let bytes = loop {
            if let Some(bytes) = wrapping.unwrap(&mut self.wrapped)? {
                let bytes = self.flipped(bytes);
                wrapping.see(&bytes);
                break Some(bytes);
            }
            match self.next_wrapped().await? {
                Some(more) => self.wrapped = more,
                None => {
                    wrapping.end()?;
                    break None;
                }
            }
        };
        self.wrapping = Some(wrapping);
        Ok(bytes)
    }

    /// Does the harm that falls into these bytes, which are the next ones.
    fn flipped(&mut self, bytes: Bytes) -> Bytes {
        let start = self.given;
        self.given += bytes.len() as u64;
        if !self.flip || bytes.is_empty() {
            return bytes;
        }
        let declared = self.declared.filter(|declared| *declared > 0);
        let at = *self.flip_at.get_or_insert_with(|| declared.map_or(0, |declared| fastrand::u64(..declared)));
        if !(start..self.given).contains(&at) {
            return bytes;
        }
        let mut copy = bytes.to_vec();
        // Fits: it lies within bytes that are in memory.
        copy[(at - start) as usize] ^= 1;
        Bytes::from(copy)
    }

    /// The next bytes as they come, `None` at the end.
    async fn next_wrapped(&mut self) -> Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        self.touched = true;
        let bytes = loop {
            let frame = timeout(SILENCE_MAX, self.incoming.frame()).await.map_err(|_| Code::RequestTimeout)?;
            match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => break Some(bytes),
                    // Trailers say nothing that OSS listens to.
                    Err(_) => continue,
                },
                Some(Err(error)) => {
                    tracing::debug!("a body ended early: {error}");
                    return Err(Code::IncompleteBody.into());
                }
                None => break None,
            }
        };
        match &bytes {
            Some(bytes) => {
                if let Some(through) = self.pacer.pass(bytes.len() as u64, Instant::now()) {
                    sleep_until(through).await;
                }
            }
            None => self.ended = true,
        }
        Ok(bytes)
    }
}

fn too_large(proposed: u64, max: u64) -> Box<OssError> {
    OssError::new(Code::EntityTooLarge)
        .detail("MaxSizeAllowed", max.to_string())
        .detail("ProposedSize", proposed.to_string())
}
