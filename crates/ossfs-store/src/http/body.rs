//! Bodies on their way: requests are sent in views of their payload, answers are handed on as they come.

use super::Timeouts;
use super::client::Failure;
use crate::api::Payload;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

/// Largest view given to the connection at once: small enough that progress shows on a slow line, large enough to cost
/// nothing on a fast one.
const FRAME_BYTES_MAX: usize = 256 << 10;

/// A body slower than this on the whole is given up, in bytes per second: silence alone would let a server that drips
/// single bytes hold a request for ever.
const RATE_MIN: u64 = 4 << 10;

/// The longest that moving `len` bytes may take.
pub(super) fn transfer_limit(timeouts: &Timeouts, len: u64) -> Duration {
    timeouts.silence.saturating_add(Duration::from_secs(len / RATE_MIN))
}

/// When the request's body last moved, for the watch over silence.
#[derive(Debug)]
pub(super) struct Progress {
    begun: Instant,
    last_ms: AtomicU64,
}

impl Progress {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { begun: Instant::now(), last_ms: AtomicU64::new(0) })
    }

    pub(super) fn last(&self) -> Instant {
        self.begun + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }

    fn note(&self) {
        let elapsed_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(elapsed_ms, Ordering::Relaxed);
    }
}

/// A payload as hyper takes it.
#[derive(Debug)]
pub(super) struct RequestBody {
    payload: Payload,
    chunk: usize,
    offset: usize,
    left: u64,
    progress: Arc<Progress>,
}

impl RequestBody {
    pub(super) fn new(payload: Payload, progress: Arc<Progress>) -> Self {
        Self { left: payload.len(), payload, chunk: 0, offset: 0, progress }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.progress.note();
        while let Some(chunk) = self.payload.chunks().get(self.chunk) {
            if self.offset < chunk.len() {
                let end = chunk.len().min(self.offset + FRAME_BYTES_MAX);
                let view = chunk.slice(self.offset..end);
                self.offset = end;
                self.left -= view.len() as u64;
                self.payload.note_sent(self.payload.len() - self.left);
                return Poll::Ready(Some(Ok(Frame::data(view))));
            }
            self.chunk += 1;
            self.offset = 0;
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// The body of an answer. Holds its place in the pool until it is dropped.
pub(crate) struct ResponseBody {
    incoming: Incoming,
    /// Runs only while nothing comes, and is reset when it has to run again: cheap on a fast line.
    silence: Pin<Box<Sleep>>,
    timeouts: Timeouts,
    deadline: Instant,
    _permit: OwnedSemaphorePermit,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, timeouts: Timeouts, permit: OwnedSemaphorePermit) -> Self {
        // Where the length is not told, it is not an object's body, and short.
        let len = incoming.size_hint().exact().unwrap_or_default();
        Self {
            deadline: Instant::now() + transfer_limit(&timeouts, len),
            silence: Box::pin(tokio::time::sleep(timeouts.silence)),
            incoming,
            timeouts,
            _permit: permit,
        }
    }

    /// The next bytes, never empty; `None` at the end that `Content-Length` or the last chunk tells.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(Failure::lost("the answer comes too slowly"));
        }
        self.silence.as_mut().reset(self.deadline.min(now + self.timeouts.silence));
        loop {
            let frame = tokio::select! {
                biased;
                frame = self.incoming.frame() => frame,
                () = &mut self.silence => return Err(Failure::lost("the answer stalls")),
            };
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(Failure::lost("the answer breaks off").caused_by(error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => return Ok(Some(bytes)),
                    _ => {}
                },
            }
        }
    }

    /// All of a body that has at most `len_max` bytes.
    pub(crate) async fn collect(mut self, len_max: usize) -> Result<Bytes, Failure> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await? {
            if all.len() + bytes.len() > len_max {
                return Err(Failure::lost(format!("the answer has more than {len_max} bytes")));
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all.into())
    }
}
