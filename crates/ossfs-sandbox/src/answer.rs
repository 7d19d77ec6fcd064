//! Answers, and how their bodies leave: shared, never copied.

use crate::content::{Content, ContentReader, Next};
use crate::error::{Code, OssError};
use crate::ingest::BLOCK_BYTES;
use crate::pacer::Pacer;
use crate::stats::Stats;
use crate::xml::Writer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body::{Body, Frame, SizeHint};
use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes read from a disk at once: large enough for the disk, small enough that many connections need little memory.
const DISK_READ_BYTES: usize = 1 << 20;

/// What is sent after the head.
#[derive(Debug)]
pub(crate) enum Payload {
    Empty,
    /// A document of the API, or other text.
    Text(Bytes),
    /// Bytes of an object.
    Content(Content),
}

/// An answer, but for what every answer has.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Payload,
}

impl Answer {
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), payload: Payload::Empty }
    }

    /// 200 with a document.
    pub(crate) fn document(writer: Writer) -> Self {
        let payload = Payload::Text(Bytes::from(writer.finish()));
        let mut answer = Self { status: StatusCode::OK, headers: HeaderMap::new(), payload };
        answer.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        answer
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<HeaderValue>) -> Self {
        self.headers.insert(HeaderName::from_static(name), value.into());
        self
    }

    /// The answer that says an error. HEAD has no body: there the document travels in a header.
    pub(crate) fn refusal(error: &OssError, method: &Method, host: &str, request_id: &str) -> Self {
        let mut answer = Self::empty(error.status());
        for (name, value) in error.headers() {
            answer.headers.insert(name.clone(), value.clone());
        }
        if let Some(number) = error.number() {
            answer = answer.header("x-oss-ec", HeaderValue::from_static(number));
        }
        if error.code() == Code::NotModified {
            return answer;
        }
        let document = error_document(error, host, request_id);
        if method == Method::HEAD {
            let encoded = HeaderValue::from_str(&BASE64.encode(&document)).expect("base64 is visible ASCII");
            return answer
                .header("x-oss-err", encoded)
                .header("content-type", HeaderValue::from_static("application/xml"));
        }
        answer.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        answer.payload = Payload::Text(Bytes::from(document));
        answer
    }

    /// Bytes of the payload.
    pub(crate) fn len(&self) -> u64 {
        match &self.payload {
            Payload::Empty => 0,
            Payload::Text(text) => text.len() as u64,
            Payload::Content(content) => content.len(),
        }
    }

    /// Says the length of the payload, unless the operation said another (HEAD) or there must be none.
    pub(crate) fn set_length(&mut self) {
        let bodiless = self.status == StatusCode::NO_CONTENT || self.status == StatusCode::NOT_MODIFIED;
        if !bodiless && !self.headers.contains_key(CONTENT_LENGTH) {
            self.headers.insert(CONTENT_LENGTH, HeaderValue::from(self.len()));
        }
    }
}

fn error_document(error: &OssError, host: &str, request_id: &str) -> String {
    let mut writer = Writer::new("Error");
    writer.element("Code", error.name());
    writer.element("Message", error.text());
    writer.element("RequestId", request_id);
    writer.element("HostId", host);
    for (name, value) in error.details() {
        writer.element(name, value);
    }
    if let Some(number) = error.number() {
        writer.element("EC", number);
        writer.element("RecommendDoc", format_args!("https://api.alibabacloud.com/troubleshoot?q={number}"));
    }
    writer.finish()
}

/// What is done to a body on its way.
#[derive(Debug, Default)]
pub(crate) struct Harm {
    /// The body ends, with an error, after so many bytes.
    pub(crate) truncate_at: Option<u64>,
    /// The byte at this offset is flipped.
    pub(crate) flip_at: Option<u64>,
}

/// A body on its way out.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    source: BodySource,
    /// Bytes that were given to the connection.
    sent: u64,
    len: u64,
    harm: Harm,
    pacer: Pacer,
    waiting: Option<(Pin<Box<Sleep>>, Bytes)>,
    /// For object bytes.
    stats: Option<Arc<Stats>>,
    /// Largest piece to take from the source at once.
    piece_bytes_max: usize,
    /// Everything before a truncation was given out, and the connection had a chance to send it.
    yielded: bool,
}

#[derive(Debug)]
enum BodySource {
    Text(Option<Bytes>),
    Content(ContentReader),
    Reading(ContentReader, JoinHandle<io::Result<(Bytes, Arc<File>)>>),
    Done,
}

impl AnswerBody {
    pub(crate) fn new(payload: Payload, harm: Harm, bandwidth: u64, stats: &Arc<Stats>) -> Self {
        let piece_bytes_max = match &payload {
            Payload::Content(content) if content.is_on_disk() => DISK_READ_BYTES,
            Payload::Empty | Payload::Text(_) | Payload::Content(_) => BLOCK_BYTES,
        };
        let (source, len, stats) = match payload {
            Payload::Empty => (BodySource::Done, 0, None),
            Payload::Text(text) => {
                let len = text.len() as u64;
                (BodySource::Text(Some(text)), len, None)
            }
            Payload::Content(content) => (BodySource::Content(content.reader()), content.len(), Some(stats.clone())),
        };
        let pacer = Pacer::new(bandwidth);
        Self { source, sent: 0, len, harm, pacer, waiting: None, stats, piece_bytes_max, yielded: false }
    }

    /// The next bytes of the source, as they are.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            match std::mem::replace(&mut self.source, BodySource::Done) {
                BodySource::Done => return Poll::Ready(None),
                BodySource::Text(text) => return Poll::Ready(text.map(Ok)),
                BodySource::Content(mut reader) => match reader.next(self.pacer.piece_bytes(self.piece_bytes_max)) {
                    Next::Ready(bytes) => {
                        self.source = BodySource::Content(reader);
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                    Next::Disk(read) => {
                        let task = tokio::task::spawn_blocking(move || read.run());
                        self.source = BodySource::Reading(reader, task);
                    }
                    Next::End => return Poll::Ready(None),
                },
                BodySource::Reading(mut reader, mut task) => match Pin::new(&mut task).poll(cx) {
                    Poll::Pending => {
                        self.source = BodySource::Reading(reader, task);
                        return Poll::Pending;
                    }
                    Poll::Ready(done) => match done.map_err(io::Error::other).and_then(|read| read) {
                        Ok((bytes, file)) => {
                            reader.keep_file(file);
                            self.source = BodySource::Content(reader);
                            return Poll::Ready(Some(Ok(bytes)));
                        }
                        Err(error) => {
                            tracing::error!("reading an object: {error}");
                            return Poll::Ready(Some(Err(error)));
                        }
                    },
                },
            }
        }
    }

    /// Does the harm that falls into these bytes, which are the next ones.
    fn harmed(&self, bytes: Bytes) -> Bytes {
        let end = self.sent + bytes.len() as u64;
        let mut bytes = match self.harm.flip_at {
            Some(at) if (self.sent..end).contains(&at) => {
                let mut copy = bytes.to_vec();
                // Fits: it lies within bytes that are in memory.
                copy[(at - self.sent) as usize] ^= 1;
                Bytes::from(copy)
            }
            _ => bytes,
        };
        if let Some(at) = self.harm.truncate_at
            && at < end
        {
            bytes.truncate(at.saturating_sub(self.sent) as usize);
        }
        bytes
    }

    fn give(&mut self, bytes: Bytes) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.sent += bytes.len() as u64;
        if let Some(stats) = &self.stats {
            stats.add_bytes_out(bytes.len() as u64);
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if let Some((sleep, _)) = &mut this.waiting {
            ready!(sleep.as_mut().poll(cx));
        }
        if let Some((_, bytes)) = this.waiting.take() {
            return this.give(bytes);
        }
        if this.harm.truncate_at.is_some_and(|at| this.sent >= at) {
            if !this.yielded {
                // Pending once: the connection sends what it has before it hears of the end.
                this.yielded = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            return Poll::Ready(Some(Err(io::Error::other("cut short on purpose"))));
        }
        let bytes = match ready!(this.poll_source(cx)) {
            Some(Ok(bytes)) => this.harmed(bytes),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        };
        match this.pacer.pass(bytes.len() as u64, Instant::now()) {
            Some(through) => {
                let mut sleep = Box::pin(sleep_until(through));
                if sleep.as_mut().poll(cx).is_ready() {
                    return this.give(bytes);
                }
                this.waiting = Some((sleep, bytes));
                Poll::Pending
            }
            None => this.give(bytes),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.sent >= self.len && self.harm.truncate_at.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len - self.sent.min(self.len))
    }
}
