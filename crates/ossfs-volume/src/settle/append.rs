//! Files that are appendable objects: what was written behind their end is added to them, in one request.
//!
//! ```text
//! no object, opened for appending --(append at 0)--> appendable --(append at the end)--> appendable
//!                                                        |
//!                                                        +--(anything else: put or streamed whole)--> normal, for good
//! ```
//!
//! The one condition of the request is its position: the object must be so long. So it can be sent again without harm; but
//! the object carries no token of the request, and is known by its length and checksum. Its metadata are those of the first
//! append, without times.

use super::carry::{Outcome, carries_token};
use super::plan::{Order, Step, new_token};
use super::upload::Snapshot;
use crate::core::{Core, World};
use crate::format;
use crate::options::AppendMode;
use crate::tree::{Node, Tree, ident_of};
use crate::write::{Extent, Extents, Source};
use ossfs_ledger::{Expect, Ident, Intent, IntentKind, NodeId};
use ossfs_store::{AppendOptions, Error, Kind, ObjectMeta, ObjectType, PutOptions, Result, WriteHeaders};
use ossfs_types::limits::APPENDABLE_BYTES_MAX;
use ossfs_types::{ByteRange, Crc64, FileKind, Key};

/// No more is sent in one request: so many bytes behind the end are a hole, most likely, and go in parts.
const APPEND_BYTES_MAX: u64 = 1 << 30;
/// So many bytes on disk at most are read to be sent in one request: they take memory of their own.
const STAGED_BYTES_MAX: u64 = 64 << 20;

/// Where the bytes of a file begin that are to be appended to its object, if that is all that it takes to settle it.
fn append_position(node: &Node, key: &Key, extents: &Extents) -> Option<u64> {
    // The objects of several names are copies of each other, which OSS does not make of an appendable one.
    if !node.appendable || node.kind != FileKind::File || node.is_linked() {
        return None;
    }
    let (position, creates) = match (&node.homes[..], &node.current) {
        ([], None) => (0, true),
        ([(home, ident)], Some(current)) if home == key && ident == current && !node.has_set_attributes() => {
            (ident.size, false)
        }
        _ => return None,
    };
    let len = extents.len();
    let kept = extents.iter().all(|extent| match extent.source {
        Source::Base => extent.range.end() <= position,
        Source::Memory(_) | Source::Staged(_) | Source::Zero => extent.range.start() >= position,
        Source::Sent | Source::Borrowed { .. } => false,
    });
    let staged = extents.iter().filter(|extent| matches!(extent.source, Source::Staged(_)));
    let fits = len <= APPENDABLE_BYTES_MAX
        && len.saturating_sub(position) <= APPEND_BYTES_MAX
        && staged.map(|extent| extent.range.len()).sum::<u64>() <= STAGED_BYTES_MAX;
    (kept && fits && (len > position || creates)).then_some(position)
}

/// Length and checksum, where it is known, of the object that an append is added to.
fn before(intent: &Intent) -> (u64, Option<Crc64>) {
    match &intent.expect {
        Expect::Present(ident) => (ident.size, ident.crc64),
        Expect::Absent | Expect::PresentOrAbsent(_) => (0, Some(Crc64::EMPTY)),
    }
}

/// The bytes that an append adds.
fn tail(order: &Order, position: u64) -> Result<Vec<Extent>> {
    let lacking = || Error::new(Kind::Invalid, "settle", "there is nothing to append").on_key(order.key.as_str());
    let extents = &order.snapshot.as_ref().ok_or_else(lacking)?.extents;
    let range = ByteRange::new(position, extents.len()).ok_or_else(lacking)?;
    Ok(extents.in_range(range))
}

impl Tree {
    /// Whether a node can't settle before what is garbage at its key is gone: an appendable object takes the place of no
    /// other.
    pub(super) fn needs_free_key(&self, id: NodeId, key: &Key) -> bool {
        let appends = self.node(id).is_some_and(|node| node.appendable && node.homes.is_empty());
        // What it has bytes of itself stays until it has been put whole.
        appends && self.tomb(key).is_some_and(|tomb| !self.borrowers(key, &tomb.ident).contains(&id))
    }
}

impl Core {
    /// Appends what was to be put, if that is enough.
    pub(super) fn append_if_enough(&self, world: &mut World, step: Step) -> Step {
        let Step::Run(mut order) = step else { return step };
        let id = order.intent.node;
        let replaces = matches!(order.intent.expect, Expect::PresentOrAbsent(_));
        if order.intent.kind != IntentKind::Put || replaces || !self.can_append(world, id, &order.key) {
            return Step::Run(order);
        }
        let extents = world.content(id).map(|content| content.extents.clone()).unwrap_or_default();
        order.intent.kind = IntentKind::Append;
        // What is written from here on is not in it.
        order.snapshot = Some(Snapshot { extents, base: None });
        world.tree.set_intent(&order.key, Some(order.intent.clone()));
        Step::Run(order)
    }

    /// Whether what was written to a file is appended to its object when it is settled.
    pub(super) fn grows_by_appends(&self, world: &World, id: NodeId) -> bool {
        world.tree.natural_key(id).is_some_and(|key| self.can_append(world, id, &key))
    }

    fn can_append(&self, world: &World, id: NodeId, key: &Key) -> bool {
        let Some(node) = world.tree.node(id) else { return false };
        let content = world.content(id);
        let streams = content.is_some_and(|content| content.stream.is_some());
        let empty = Extents::default();
        let extents = content.map_or(&empty, |content| &content.extents);
        self.options.append == AppendMode::Appendable && !streams && append_position(node, key, extents).is_some()
    }

    /// Notes in the ledger what an append is to make, where that is known: without it a lost answer could not be told from
    /// somebody else's append.
    pub(super) async fn announce_append(&self, order: &mut Order) -> Result<()> {
        let (position, Some(crc64)) = before(&order.intent) else { return Ok(()) };
        if order.intent.makes.is_none() {
            let tail = tail(order, position)?;
            let _room = self.room_for_staged(&tail).await;
            let payload = self.gather(&tail, None).await?;
            let whole = crc64.followed_by(payload.crc64(), payload.len());
            order.intent.makes = Some((position + payload.len(), whole));
            self.change(|world| world.tree.set_intent(&order.key, Some(order.intent.clone())));
        }
        Ok(())
    }

    /// Sends one append.
    pub(super) async fn attempt_append(&self, order: &mut Order) -> Outcome {
        if let Some(outcome) = self.look_before_append(order).await {
            return outcome;
        }
        match self.append(order).await {
            Ok(ident) => Outcome::Done(ident),
            Err(error) => match error.kind() {
                Kind::Unknown => Outcome::Unknown(error),
                Kind::WrongPosition { .. } | Kind::WrongType | Kind::AlreadyExists | Kind::NotFound => {
                    self.unexpected(&order.key).await
                }
                // No appendable object can be of the storage class that was asked for, say.
                Kind::Invalid if order.intent.expect == Expect::Absent => {
                    self.put_instead(order);
                    Outcome::Unexpected(None)
                }
                _ => Outcome::Failed(error),
            },
        }
    }

    /// The position alone is the condition of an append, which is enough as long as all is as it was: otherwise a look says
    /// whether the object is still the one that is known.
    async fn look_before_append(&self, order: &mut Order) -> Option<Outcome> {
        let failed = self.world().tree.node(order.intent.node).is_some_and(|node| node.failure.is_some());
        if order.intent.makes.is_some() && !failed && !self.options.versioned {
            return None;
        }
        let meta = match self.store.head(&order.key).await {
            Ok(meta) => meta,
            Err(error) if error.kind() == Kind::NotFound => {
                return (!order.intent.expect.allows(None)).then_some(Outcome::Unexpected(None));
            }
            Err(error) => return Some(Outcome::Failed(error)),
        };
        let found = ident_of(&meta);
        if !order.intent.expect.allows(Some(&found)) || meta.object_type != ObjectType::Appendable {
            return Some(Outcome::Unexpected(Some(Box::new(meta))));
        }
        if order.intent.makes.is_some() {
            return None;
        }
        self.change(|world| world.tree.expect_instead(order, Expect::Present(found)));
        if let Err(error) = self.announce_append(order).await {
            return Some(Outcome::Failed(error));
        }
        let synced = self.sync_ledger().await;
        synced.err().map(|error| Outcome::Failed(Error::new(Kind::Unavailable, "settle", error.to_string())))
    }

    /// Adds the new bytes of a file to its object.
    pub(super) async fn append(&self, order: &Order) -> Result<Ident> {
        let (position, crc64_before) = before(&order.intent);
        let tail = tail(order, position)?;
        let _room = self.room_for_staged(&tail).await;
        let payload = self.gather(&tail, None).await?;
        let mut put = PutOptions::default();
        if order.intent.expect == Expect::Absent {
            put.metadata = self.metadata(order).await?;
            format::forget_times(&mut put.metadata);
            // The position says it.
            put.headers = WriteHeaders { forbid_overwrite: false, ..self.options.headers.clone() };
        }
        let options = AppendOptions { crc64_before, put };
        let appended = self.store.append(&order.key, position, payload, &options).await?;
        let crc64 = appended.crc64.or(order.intent.makes.map(|(_, crc64)| crc64));
        if let Some(etag) = appended.etag {
            return Ok(Ident { etag, size: appended.next_position, crc64, last_modified: None });
        }
        let meta = self.store.head(&order.key).await.map_err(|error| error.into_kind(Kind::Unknown))?;
        if !Self::is_appended(&meta, &order.intent) {
            let message = "appended, but the object is another one already";
            return Err(Error::new(Kind::Unknown, "AppendObject", message).on_key(order.key.as_str()));
        }
        Ok(ident_of(&meta))
    }

    /// Whether an object is what an append was to make.
    pub(super) fn is_appended(meta: &ObjectMeta, intent: &Intent) -> bool {
        let made = intent.makes.is_some() && intent.makes == meta.crc64.map(|crc64| (meta.size, crc64));
        let first = intent.expect == Expect::Absent;
        made && meta.object_type == ObjectType::Appendable && (!first || carries_token(meta, intent))
    }

    /// Something else than expected is at the key of an append. Returns whether the order is to be tried again, as an append
    /// or not; else it has ended.
    pub(super) async fn yield_append(&self, order: &mut Order, found: Option<&ObjectMeta>) -> bool {
        if let Some(meta) = found.filter(|meta| Self::is_appended(meta, &order.intent)) {
            self.change(|world| self.committed(world, order, &ident_of(meta)));
            return false;
        }
        let ident = found.map(ident_of);
        let appendable = found.is_none_or(|meta| meta.object_type == ObjectType::Appendable);
        if order.intent.expect.allows(ident.as_ref()) && appendable {
            return true;
        }
        if matches!(order.intent.expect, Expect::Present(_)) && !order.intent.expect.allows(ident.as_ref()) {
            // What it was to be added to is gone.
            self.follow_source(order).await;
            return false;
        }
        self.put_instead(order);
        true
    }

    /// An order that was to append puts the file whole: its object can't be an appendable one.
    fn put_instead(&self, order: &mut Order) {
        order.intent.kind = IntentKind::Put;
        order.intent.makes = None;
        // What the append carried may still arrive.
        order.intent.token = new_token();
        order.snapshot = None;
        self.change(|world| {
            if let Some(node) = world.tree.node_mut(order.intent.node) {
                node.appendable = false;
            }
            world.tree.set_intent(&order.key, Some(order.intent.clone()));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ossfs_types::ETag;

    fn key() -> Key {
        Key::parse("log").unwrap()
    }

    fn ident(size: u64) -> Ident {
        Ident { etag: ETag::parse("E").unwrap(), size, crc64: None, last_modified: None }
    }

    /// A file that is an appendable object of so many bytes, or is to be one.
    fn node(size: Option<u64>) -> Node {
        let mut node = Node::new(FileKind::File);
        node.appendable = true;
        node.current = size.map(ident);
        node.homes.extend(size.map(|size| (key(), ident(size))));
        node
    }

    #[track_caller]
    fn check(node: &Node, extents: &Extents, position: Option<u64>) {
        assert_eq!(append_position(node, &key(), extents), position, "{extents:?}");
    }

    #[test]
    fn what_is_behind_the_end_is_appended() {
        let mut extents = Extents::of_base(5);
        check(&node(Some(5)), &extents, None);
        extents.write(5, Bytes::from_static(b"new"), 1);
        check(&node(Some(5)), &extents, Some(5));
        extents.set_len(20, 2);
        extents.write(30, Bytes::from_static(b"more"), 3);
        check(&node(Some(5)), &extents, Some(5));
        check(&node(None), &Extents::default(), Some(0));
        check(&node(Some(0)), &Extents::default(), None);
        let mut first = Extents::default();
        first.write(0, Bytes::from_static(b"new"), 1);
        check(&node(None), &first, Some(0));
        check(&node(Some(0)), &first, Some(0));
    }

    #[test]
    fn what_was_changed_before_the_end_is_not() {
        let mut over = Extents::of_base(5);
        over.write(4, Bytes::from_static(b"new"), 1);
        check(&node(Some(5)), &over, None);
        let mut cut = Extents::of_base(5);
        cut.set_len(3, 1);
        check(&node(Some(5)), &cut, None);
        cut.set_len(9, 2);
        check(&node(Some(5)), &cut, None);
        let mut anew = Extents::default();
        anew.write(0, Bytes::from_static(b"longer"), 1);
        check(&node(Some(5)), &anew, None);
    }

    #[test]
    fn what_appending_can_not_do_is_not_done_by_it() {
        let mut extents = Extents::of_base(5);
        extents.write(5, Bytes::from_static(b"new"), 1);
        let normal = Node { appendable: false, ..node(Some(5)) };
        let described = Node { attributes_generation: 1, attributes_set: 1, ..node(Some(5)) };
        let elsewhere = Node { homes: vec![(Key::parse("other").unwrap(), ident(5))], ..node(Some(5)) };
        let newer = Node { current: Some(ident(6)), ..node(Some(5)) };
        for node in [normal, described, elsewhere, newer] {
            check(&node, &extents, None);
        }
        extents.set_len(APPEND_BYTES_MAX + 6, 2);
        check(&node(Some(5)), &extents, None);
        let mut large = Extents::of_base(APPENDABLE_BYTES_MAX - 1);
        large.write(APPENDABLE_BYTES_MAX - 1, Bytes::from_static(b"ab"), 1);
        check(&node(Some(APPENDABLE_BYTES_MAX - 1)), &large, None);
    }
}
