//! A file's content becomes an object: in one request, or in parts of which some are copied on the server.

use super::plan::Order;
use crate::core::{Core, ROOM_UNIT_BYTES};
use crate::tree::ident_of;
use crate::write::{Extent, Extents, Origin, PART_COPY_BYTES, Part, PartLimits, Source, plan, push_zeros};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use ossfs_ledger::{Expect, Ident, IntentKind, StagingError};
use ossfs_store as store;
use ossfs_store::{CopyOptions, Error, GetOptions, Kind, PartNumber, Payload, PutOptions, Result, Upload};
use ossfs_types::limits::PART_BYTES_MIN;
use ossfs_types::{ByteRange, Crc64, Key};
use std::sync::Arc;
use tokio::sync::SemaphorePermit;

/// Largest object that is put in one request: above it, parts in parallel are faster, and a failure costs less.
const PUT_BYTES_MAX: u64 = 16 << 20;
/// So much of the object before is rather read and put again than copied in parts: it saves two requests.
const BASE_READ_MAX: u64 = 1 << 20;
/// Largest object that is copied in one request: a larger one is copied in parts, at the same time, each within the deadline
/// of a request.
const COPY_BYTES_MAX: u64 = PART_COPY_BYTES;
/// Parts of one upload in flight.
const PARTS_IN_FLIGHT: usize = 8;
/// The same, where bytes are read from an object to be sent: they take memory of their own.
const STREAMED_PARTS_IN_FLIGHT: usize = 2;

/// What a file was when an upload of it began. It is the same for every repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(super) extents: Extents,
    /// Where `Base` bytes are.
    pub(super) base: Option<(Key, Ident)>,
}

impl Snapshot {
    /// The object that holds what of the bytes is not here.
    pub(super) fn base(&self) -> Option<&(Key, Ident)> {
        self.base.as_ref()
    }

    /// The objects that bytes are borrowed from.
    pub(super) fn origins(&self) -> impl Iterator<Item = &Arc<Origin>> {
        self.extents.origins()
    }
}

/// Bytes were in parts of an upload that was neither completed nor is there any more.
pub(super) fn lost_parts() -> Error {
    Error::new(Kind::Corrupt, "settle", "parts of the file are lost: somebody else aborted their upload")
}

fn staging_error(error: &StagingError) -> Error {
    let kind = match error {
        StagingError::Damaged(_) => Kind::Corrupt,
        StagingError::Full(_) | StagingError::Failed(_) => Kind::Unavailable,
    };
    Error::new(kind, "settle", error.to_string())
}

/// An upload that only has to be completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Completing {
    pub upload: Upload,
    pub parts: Vec<store::Part>,
    pub size: u64,
}

impl Core {
    /// Uploads what a node is now.
    pub(super) async fn upload(&self, order: &mut Order) -> Result<Ident> {
        self.send_parts(order).await?;
        if let Some(completing) = &order.completing {
            return self.complete(order, completing).await.map_err(|error| match error.kind() {
                // Completed before, perhaps, or aborted by somebody: the key tells.
                Kind::UploadNotFound => error.into_kind(Kind::Unknown),
                _ => error,
            });
        }
        let snapshot = self.snapshot_of(order);
        let (extents, base) = (&snapshot.extents, snapshot.base.as_ref());
        if let Some(origin) = extents.whole_origin() {
            return self.copy_whole(order, origin).await;
        }
        let whole = ByteRange::new(0, extents.len()).expect("it begins at 0");
        let all = extents.in_range(whole);
        let _room = self.room_for_staged(&all).await;
        let payload = self.gather(&all, base).await?;
        self.put(order, payload).await
    }

    /// Sends the parts of what is not put or copied in one request: it only has to be completed then.
    pub(super) async fn send_parts(&self, order: &mut Order) -> Result<()> {
        if order.completing.is_some() {
            return Ok(());
        }
        let snapshot = self.snapshot_of(order);
        let extents = &snapshot.extents;
        if extents.has_sent() {
            return Err(lost_parts());
        }
        if extents.whole_origin().is_some_and(|origin| origin.ident.size <= COPY_BYTES_MAX) {
            return Ok(());
        }
        let elsewhere = |extent: &&Extent| matches!(extent.source, Source::Base | Source::Borrowed { .. });
        let to_read: u64 = extents.iter().filter(elsewhere).map(|extent| extent.range.len()).sum();
        let copies = self.can_copy_base(order);
        if extents.len() <= PUT_BYTES_MAX && (to_read <= BASE_READ_MAX || !copies) {
            return Ok(());
        }
        self.upload_parts(order, extents, snapshot.base.as_ref(), copies).await
    }

    fn snapshot_of(&self, order: &mut Order) -> Snapshot {
        let snapshot = match order.snapshot.take() {
            Some(snapshot) => snapshot,
            None => self.snapshot(order),
        };
        order.snapshot = Some(snapshot.clone());
        snapshot
    }

    /// A file that is the whole of another one's object is a copy of it, with metadata of its own.
    async fn copy_whole(&self, order: &Order, origin: &Origin) -> Result<Ident> {
        let metadata = self.metadata(order).await?;
        let headers = self.write_headers(order);
        let options = CopyOptions { replace_metadata: Some(metadata.clone()), headers: headers.clone() };
        let source = store::CopySource { key: origin.key.clone(), if_match: Some(origin.ident.etag.clone()) };
        match self.store.copy(&source, &order.key, &options).await {
            Ok(written) => Ok(Ident {
                etag: written.etag,
                size: origin.ident.size,
                crc64: written.crc64.or(origin.ident.crc64),
                last_modified: None,
            }),
            // What OSS refuses to copy (an appendable object) goes through here.
            Err(error) if error.kind() == Kind::WrongType => {
                let options = PutOptions { metadata, headers };
                self.put_from(&order.key, &origin.key, &origin.ident, &options, &order.intent.expect).await
            }
            Err(error) => Err(error),
        }
    }

    /// Whether bytes of the version before can be copied on the server: not those of an appendable object.
    fn can_copy_base(&self, order: &Order) -> bool {
        self.world().tree.node(order.intent.node).is_none_or(|node| !node.appendable)
    }

    /// What a node is now. The order is for that from here on.
    fn snapshot(&self, order: &mut Order) -> Snapshot {
        self.change(|world| {
            let id = order.intent.node;
            let extents = world.content(id).map(|content| content.extents.clone());
            let node = world.tree.node(id);
            if let Some(node) = node {
                order.intent.generation = node.generation;
                order.intent.attributes_generation = node.attributes_generation;
            }
            // Without content here it is a symlink, a marker, or an empty file.
            let extents = extents.unwrap_or_else(|| {
                let mut extents = Extents::default();
                if let Some(target) = node.and_then(|node| node.target.clone()) {
                    extents.write(0, Bytes::copy_from_slice(&target), 0);
                }
                extents
            });
            let base = node.and_then(|node| node.any_valid_home().cloned());
            world.tree.set_intent(&order.key, Some(order.intent.clone()));
            world.tree.hold_borrowed(id);
            Snapshot { extents, base }
        })
    }

    /// The bytes of extents; what is in an object is read from there.
    pub(super) async fn gather(&self, extents: &[Extent], base: Option<&(Key, Ident)>) -> Result<Payload> {
        let mut chunks = Vec::new();
        for extent in extents {
            match &extent.source {
                Source::Memory(bytes) => chunks.push(bytes.clone()),
                Source::Staged(staged) => {
                    let bytes = staged.fetch(extent.range.len()).await.map_err(|error| staging_error(&error))?;
                    chunks.push(bytes);
                }
                Source::Zero => push_zeros(&mut chunks, extent.range.len()),
                Source::Base | Source::Borrowed { .. } => {
                    let (key, ident, range) = object_of(extent, base)?;
                    let if_match = Some(ident.etag.clone());
                    let options = GetOptions { range: Some(range), if_match, ..GetOptions::default() };
                    chunks.push(self.store.read(key, &options, &self.pool).await?.bytes);
                }
                Source::Sent => return Err(lost_parts()),
            }
        }
        Ok(Payload::from(chunks).counted_in(self.sent.clone()))
    }

    /// Waits until there is memory for what a request reads from where it is staged, to be held until it is answered: for
    /// all of it at once, so that no two wait for each other.
    pub(super) async fn room_for_staged(&self, extents: &[Extent]) -> Option<SemaphorePermit<'_>> {
        let staged = extents.iter().filter(|extent| matches!(extent.source, Source::Staged(_)));
        let bytes: u64 = staged.map(|extent| extent.range.len()).sum();
        let units = u32::try_from(bytes.div_ceil(ROOM_UNIT_BYTES)).unwrap_or(u32::MAX).min(self.staged_room_units());
        match units {
            0 => None,
            units => self.staged_room.acquire_many(units).await.ok(),
        }
    }

    async fn upload_parts(
        &self,
        order: &mut Order,
        extents: &Extents,
        base: Option<&(Key, Ident)>,
        copies: bool,
    ) -> Result<()> {
        let upload = self.begin_noted_upload(order).await?;
        self.announce_upload(order, &upload).await?;
        let all: Vec<Extent> = extents.iter().cloned().collect();
        let copy = if copies { PART_COPY_BYTES } else { self.options.part_bytes };
        let limits = PartLimits { min: PART_BYTES_MIN, upload: self.options.part_bytes, copy };
        let parts = plan(&all, &limits);
        let sent = stream::iter(parts.into_iter().zip(1..))
            .map(|(part, number)| {
                let part = if copies { part } else { Part::Upload(part.range()) };
                self.send_part(&upload, number, part, extents, base)
            })
            .buffer_unordered(if copies { PARTS_IN_FLIGHT } else { STREAMED_PARTS_IN_FLIGHT })
            .try_collect::<Vec<store::Part>>()
            .await;
        let mut parts = match sent {
            Ok(parts) => parts,
            Err(error) => {
                match self.end_upload(&upload).await {
                    Ok(()) => {
                        self.renounce_upload(order);
                        if copies && error.kind() == Kind::WrongType {
                            // OSS refuses to copy what is appendable: it goes through here.
                            return Box::pin(self.upload_parts(order, extents, base, false)).await;
                        }
                    }
                    Err(left) => tracing::warn!(error = %left, "an upload that failed could not be aborted yet"),
                }
                return Err(error);
            }
        };
        parts.sort_by_key(|part| part.number);
        order.completing = Some(Completing { upload, parts, size: extents.len() });
        Ok(())
    }

    /// Notes in the ledger which upload an order has begun, before its first part.
    pub(super) async fn announce_upload(&self, order: &mut Order, upload: &Upload) -> Result<()> {
        order.intent.kind = IntentKind::Multipart;
        order.intent.upload = Some(upload.id.as_str().into());
        self.change(|world| world.tree.set_intent(&order.key, Some(order.intent.clone())));
        self.synced().await
    }

    /// Waits until the ledger has on disk what is to come before a request.
    pub(super) async fn synced(&self) -> Result<()> {
        let synced = self.sync_ledger().await;
        synced.map_err(|error| Error::new(Kind::Unavailable, "settle", error.to_string()))
    }

    /// The upload is gone: the order is as it was before.
    fn renounce_upload(&self, order: &mut Order) {
        order.intent.kind = IntentKind::Put;
        order.intent.upload = None;
        order.intent.begun = None;
        self.change(|world| world.tree.set_intent(&order.key, Some(order.intent.clone())));
    }

    async fn send_part(
        &self,
        upload: &Upload,
        number: u32,
        part: Part,
        extents: &Extents,
        base: Option<&(Key, Ident)>,
    ) -> Result<store::Part> {
        let number = PartNumber::new(number)
            .ok_or_else(|| Error::new(Kind::Invalid, "UploadPart", "the file has too many parts"))?;
        match part {
            Part::Upload(range) => {
                let extents = extents.in_range(range);
                let _room = self.room_for_staged(&extents).await;
                let payload = self.gather(&extents, base).await?;
                let counted = payload.clone();
                let sent = self.store.upload_part(upload, number, payload).await;
                sent.inspect(|_| self.got_on()).inspect_err(|_| counted.uncount())
            }
            Part::Copy(range) => {
                // The plan made it of neighbours that go on in one object: the first says where.
                let first = extents.in_range(range).into_iter().next().ok_or_else(lacking)?;
                let (key, ident, from) = object_of(&first, base)?;
                let source = store::CopySource { key: key.clone(), if_match: Some(ident.etag.clone()) };
                let from = ByteRange::at(from.start(), range.len()).ok_or_else(lacking)?;
                self.store.upload_part_copy(upload, number, &source, from).await.inspect(|_| self.got_on())
            }
        }
    }

    pub(super) async fn complete(&self, order: &Order, completing: &Completing) -> Result<Ident> {
        let forbid = self.write_headers(order).forbid_overwrite;
        let written = self.store.complete_upload(&completing.upload, &completing.parts, forbid).await?;
        let crc64 = completing
            .parts
            .iter()
            .try_fold(Crc64::EMPTY, |all, part| part.crc64.map(|crc64| all.followed_by(crc64, part.size)));
        if let (Some(computed), Some(told)) = (crc64, written.crc64)
            && computed != told
        {
            let message = format!("the object has the checksum {told} instead of {computed}");
            return Err(Error::new(Kind::Corrupt, "CompleteMultipartUpload", message).on_key(order.key.as_str()));
        }
        Ok(Ident { etag: written.etag, size: completing.size, crc64: written.crc64.or(crc64), last_modified: None })
    }

    /// Puts an object with the bytes of another one, through here. That may take long, so what it replaces is looked at
    /// once more at its end.
    pub(super) async fn put_from(
        &self,
        key: &Key,
        source: &Key,
        ident: &Ident,
        options: &PutOptions,
        expect: &Expect,
    ) -> Result<Ident> {
        let base = (source.clone(), ident.clone());
        let extents = Extents::of_base(ident.size);
        let whole = ByteRange::new(0, ident.size).expect("it begins at 0");
        if ident.size <= PUT_BYTES_MAX {
            let payload = self.gather(&extents.in_range(whole), Some(&base)).await?;
            let crc64 = payload.crc64();
            self.look_again(key, expect).await?;
            let written = self.store.put(key, payload, options).await?;
            return Ok(Ident { etag: written.etag, size: ident.size, crc64: Some(crc64), last_modified: None });
        }
        let upload = self.store.create_upload(key, options).await?;
        let mut parts = Vec::new();
        // As if all of it had been written here.
        let limits = PartLimits { min: PART_BYTES_MIN, upload: self.options.part_bytes, copy: self.options.part_bytes };
        for (part, number) in plan(&extents.in_range(whole), &limits).into_iter().zip(1..) {
            let sent = self.send_part(&upload, number, Part::Upload(part.range()), &extents, Some(&base)).await;
            match sent {
                Ok(part) => parts.push(part),
                Err(error) => {
                    self.end_upload(&upload).await?;
                    return Err(error);
                }
            }
        }
        if let Err(error) = self.look_again(key, expect).await {
            self.end_upload(&upload).await?;
            return Err(error);
        }
        let written = self.store.complete_upload(&upload, &parts, options.headers.forbid_overwrite).await?;
        Ok(Ident { etag: written.etag, size: ident.size, crc64: written.crc64, last_modified: None })
    }

    /// Fails if something else than expected is at a key, where the request itself would replace it.
    async fn look_again(&self, key: &Key, expect: &Expect) -> Result<()> {
        if *expect == Expect::Absent {
            return Ok(());
        }
        let found = match self.store.head(key).await {
            Ok(meta) => Some(ident_of(&meta)),
            Err(error) if error.kind() == Kind::NotFound => None,
            Err(error) => return Err(error),
        };
        if expect.allows(found.as_ref()) {
            return Ok(());
        }
        let message = "somebody else has put another object here meanwhile";
        Err(Error::new(Kind::AlreadyExists, "settle", message).on_key(key.as_str()))
    }
}

/// The object that an extent's bytes are in, and where.
fn object_of<'a>(extent: &'a Extent, base: Option<&'a (Key, Ident)>) -> Result<(&'a Key, &'a Ident, ByteRange)> {
    match &extent.source {
        Source::Borrowed { origin, offset } => {
            let range = ByteRange::at(*offset, extent.range.len()).ok_or_else(lacking)?;
            Ok((&origin.key, &origin.ident, range))
        }
        _ => base.map(|(key, ident)| (key, ident, extent.range)).ok_or_else(lacking),
    }
}

fn lacking() -> Error {
    Error::new(Kind::NotFound, "settle", "the version before is gone")
}
