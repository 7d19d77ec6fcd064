//! Uploads that are streamed while their file is being written, in bounded memory.
//!
//! The parts' bytes stay here until the store has them; then they can't be read until the upload is completed, which a
//! reader of them, or a writer over them, waits for.

use super::carry::Outcome;
use super::plan::Order;
use super::upload::Completing;
use crate::core::{Core, World};
use crate::tree::Work;
use crate::write::{Extent, PartState, Stream, StreamPart};
use ossfs_ledger::NodeId;
use ossfs_store::{Error, Kind, PartNumber, PutOptions, Result, Upload};
use ossfs_types::ByteRange;
use ossfs_types::limits::PART_BYTES_MIN;
use std::sync::Arc;
use tokio::time::Instant;

/// More parts are not streamed: the upload is completed, and the file goes on as an object with a tail. Room is left for
/// the parts of the rest.
const STREAM_PARTS_MAX: usize = 9_000;
/// Parts grow with the file, so that 9,000 of them reach far.
const PART_GROWTH: u64 = 1_000;
/// Parts of one upload in flight. Those with bytes are bounded by the memory for them, but holes take none.
const STREAM_PARTS_IN_FLIGHT: usize = 64;
/// How often a part that failed is sent again before the upload waits.
const PART_FAILURES_MAX: u32 = 3;

/// A part that is to be sent now.
struct Job {
    upload: Upload,
    index: usize,
    extents: Vec<Extent>,
}

impl Core {
    /// Streams what is ready of a file that is being written, in parts of at least `least` bytes.
    pub(crate) fn pump(self: &Arc<Self>, id: NodeId, least: u64) {
        let least = least.max(PART_BYTES_MIN);
        let (begun, jobs) = self.change(|world| self.cut_parts(world, id, least));
        if let Some(order) = begun {
            let core = self.clone();
            tokio::spawn(async move { core.begin_upload(order).await });
        }
        self.send(id, jobs);
    }

    fn cut_parts(&self, world: &mut World, id: NodeId, least: u64) -> (Option<Order>, Vec<Job>) {
        if self.grows_by_appends(world, id) {
            // Its object grows meanwhile.
            if world.content(id).is_some_and(|content| content.extents.memory_bytes() >= least) {
                world.tree.urge(id);
            }
            return (None, Vec::new());
        }
        let mut begun = None;
        while let Some(content) = world.content(id) {
            let most = self.options.part_bytes.max(content.fixed_to() / PART_GROWTH);
            let Some(range) = content.next_part(least.min(most), most) else { break };
            // What nobody else is to have by then is uploaded whole.
            let parts = content.stream.as_ref().map_or(0, |stream| stream.parts.len());
            if parts >= STREAM_PARTS_MAX {
                world.tree.urge(id);
                break;
            }
            if content.stream.is_none() {
                let Some(order) = world.tree.begin_stream(id, Instant::now()) else { break };
                begun = Some(order);
            }
            world.with_content(id, |content| {
                let stream = content.stream.get_or_insert_with(Stream::default);
                stream.parts.push(StreamPart { range, state: PartState::Pending { in_flight: false } });
            });
        }
        (begun, jobs(world, id))
    }

    async fn begin_upload(self: Arc<Self>, mut order: Order) {
        let id = order.intent.node;
        let begun = self.request_upload(&mut order).await;
        match begun {
            Ok(upload) => {
                if let Err(error) = self.announce_upload(&mut order, &upload).await {
                    tracing::error!(%error, "an upload is not in the ledger");
                }
                let jobs = self.change(|world| {
                    world.tree.leave_pending(&order);
                    world.tree.push_work(Work::Node(id));
                    world.with_content(id, |content| {
                        if let Some(stream) = &mut content.stream {
                            stream.upload = Some(upload);
                        }
                    });
                    jobs(world, id)
                });
                self.send(id, jobs);
            }
            Err(error) => {
                if let Some(noted) = order.intent.begun.filter(|_| error.kind() == Kind::Unknown)
                    && let Err(left) = self.end_unnamed_uploads(&order, noted, None).await
                {
                    tracing::warn!(error = %left, "an upload may be left that got no answer");
                }
                self.change(|world| {
                    // Nothing was sent: all bytes are still here.
                    world.with_content(id, |content| content.stream = None);
                    world.tree.abandon(&order);
                });
                self.note_failure(id, &error);
                self.room.notify_waiters();
            }
        }
    }

    async fn request_upload(&self, order: &mut Order) -> Result<Upload> {
        let options = PutOptions { metadata: self.metadata(order).await?, headers: self.write_headers(order) };
        self.begin_noted_upload(order, &options).await
    }

    /// Sends parts, each in a task of its own: their number is bounded by the memory for what is written.
    fn send(self: &Arc<Self>, id: NodeId, ready: Vec<Job>) {
        for job in ready {
            let core = self.clone();
            tokio::spawn(async move {
                let number = u32::try_from(job.index + 1).ok().and_then(PartNumber::new);
                let sent = match number {
                    Some(number) => core.upload_part(&job.upload, number, &job.extents).await,
                    None => Err(Error::new(Kind::Invalid, "UploadPart", "the file has too many parts")),
                };
                let done = sent.is_ok();
                core.part_ended(id, &job.upload, job.index, sent);
                if done {
                    let next = core.change(|world| jobs(world, id));
                    core.send(id, next);
                }
            });
        }
    }

    async fn upload_part(&self, upload: &Upload, number: PartNumber, extents: &[Extent]) -> Result<ossfs_store::Part> {
        let _room = self.room_for_staged(extents).await;
        let payload = self.gather(extents, None).await?;
        let counted = payload.clone();
        let sent = self.store.upload_part(upload, number, payload).await;
        sent.inspect_err(|_| counted.uncount())
    }

    fn part_ended(&self, id: NodeId, upload: &Upload, index: usize, sent: Result<ossfs_store::Part>) {
        if sent.is_ok() {
            self.got_on();
        }
        self.change(|world| {
            world.with_content(id, |content| {
                let stream = content.stream.as_mut().filter(|stream| stream.upload.as_ref() == Some(upload));
                let Some(stream) = stream else { return };
                stream.in_flight -= 1;
                let Some(part) = stream.parts.get_mut(index) else { return };
                match sent {
                    Ok(done) => {
                        part.state = PartState::Done(done);
                        let range = part.range;
                        content.extents.sent(range);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a part was not uploaded");
                        part.state = PartState::Pending { in_flight: false };
                        stream.failures += 1;
                        stream.last_failure = Some((error.kind(), error.to_string()));
                    }
                }
            });
        });
        self.room.notify_waiters();
    }

    /// Sends what is left of a streamed upload and completes it.
    pub(super) async fn finish_stream(self: &Arc<Self>, mut order: Order) {
        let id = order.intent.node;
        self.cut_rest(&mut order);
        let completing = match self.all_parts(id).await {
            Ok(completing) => completing,
            Err(error) => return self.leave(&order, &error),
        };
        order.completing = Some(completing);
        loop {
            match self.complete_checked(&order).await {
                Outcome::Done(ident) => return self.change(|world| self.committed(world, &order, &ident)),
                Outcome::Unexpected(found) => {
                    if !self.yield_to(&mut order, found.map(|found| *found)).await {
                        return;
                    }
                }
                Outcome::Unknown(error) => return self.resolve_lost(order, error).await,
                Outcome::SourceChanged => {
                    let error = Error::new(Kind::Precondition, "settle", "the upload is gone");
                    return self.leave(&order, &error);
                }
                Outcome::Failed(error) => return self.leave(&order, &error),
            }
        }
    }

    /// Makes parts of all that is not in one yet; what is written from here on is not in this upload.
    fn cut_rest(&self, order: &mut Order) {
        let id = order.intent.node;
        self.change(|world| {
            let now = world.tree.node(id).map_or(order.intent.generation, |node| node.generation);
            let sealed = world.with_content(id, |content| {
                let len = content.extents.len();
                let part_bytes = self.options.part_bytes.max(len / PART_GROWTH);
                let stream = content.stream.as_mut()?;
                stream.failures = 0;
                if stream.sealed.is_some() {
                    return stream.sealed;
                }
                stream.sealed = Some(now);
                while stream.sent_to() < len {
                    let start = stream.sent_to();
                    // What would be too small for a part is in the one before it.
                    let size = if len - start < 2 * part_bytes { len - start } else { part_bytes };
                    let range = ByteRange::at(start, size).expect("within the file");
                    stream.parts.push(StreamPart { range, state: PartState::Pending { in_flight: false } });
                }
                stream.sealed
            });
            order.intent.generation = sealed.flatten().unwrap_or(now);
            world.tree.set_intent(&order.key, Some(order.intent.clone()));
        });
    }

    /// Waits until the store has all parts.
    async fn all_parts(self: &Arc<Self>, id: NodeId) -> Result<Completing> {
        loop {
            let moved = self.room.notified();
            let (jobs, done) = self.change(|world| (jobs(world, id), completing(world, id)));
            self.send(id, jobs);
            match done {
                Ok(Some(completing)) => return Ok(completing),
                Ok(None) => {}
                Err(error) => return Err(error),
            }
            // Every part ends by its own deadlines; this only guards against a notice that came between.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(1), moved).await;
        }
    }

    async fn complete_checked(&self, order: &Order) -> Outcome {
        if let Some(outcome) = self.check(order).await {
            return outcome;
        }
        let Some(completing) = &order.completing else { return Outcome::SourceChanged };
        match self.complete(order, completing).await {
            Ok(ident) => Outcome::Done(ident),
            Err(error) if error.kind() == Kind::Unknown => Outcome::Unknown(error),
            Err(error) if error.kind() == Kind::AlreadyExists => self.unexpected(&order.key).await,
            Err(error) => Outcome::Failed(error),
        }
    }
}

/// The parts that are ready to be sent and are not on their way.
fn jobs(world: &mut World, id: NodeId) -> Vec<Job> {
    let jobs = world.with_content(id, |content| {
        let Some(stream) = &mut content.stream else { return Vec::new() };
        let Some(upload) = stream.upload.clone() else { return Vec::new() };
        let mut jobs = Vec::new();
        for (index, part) in stream.parts.iter_mut().enumerate() {
            if stream.in_flight < STREAM_PARTS_IN_FLIGHT
                && stream.failures <= PART_FAILURES_MAX
                && let PartState::Pending { in_flight } = &mut part.state
                && !*in_flight
            {
                *in_flight = true;
                stream.in_flight += 1;
                let extents = content.extents.in_range(part.range);
                jobs.push(Job { upload: upload.clone(), index, extents });
            }
        }
        jobs
    });
    jobs.unwrap_or_default()
}

/// The whole upload, if all of its parts are there; an error if some failed and none is on its way.
fn completing(world: &World, id: NodeId) -> Result<Option<Completing>> {
    let gone = || Error::new(Kind::UploadNotFound, "settle", "the upload was given up");
    let content = world.content(id).ok_or_else(gone)?;
    let stream = content.stream.as_ref().ok_or_else(gone)?;
    let done: Option<Vec<ossfs_store::Part>> = stream
        .parts
        .iter()
        .map(|part| match &part.state {
            PartState::Done(part) => Some(part.clone()),
            PartState::Pending { .. } => None,
        })
        .collect();
    match (done, &stream.upload) {
        (Some(parts), Some(upload)) => Ok(Some(Completing { upload: upload.clone(), parts, size: stream.sent_to() })),
        _ if stream.in_flight == 0 && stream.failures > PART_FAILURES_MAX => {
            let (kind, said) = stream.last_failure.clone().unwrap_or((Kind::Unavailable, String::new()));
            // What may pass, or tells of the upload alone, is no answer to whoever wrote the file.
            let tells = matches!(kind, Kind::Denied | Kind::Quota | Kind::Credentials);
            let kind = if tells { kind } else { Kind::Unavailable };
            Err(Error::new(kind, "UploadPart", format!("parts of the file could not be uploaded: {said}")))
        }
        _ => Ok(None),
    }
}
