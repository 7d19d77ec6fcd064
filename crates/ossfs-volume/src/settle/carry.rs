//! One order: checked, requested, and what the answer means.

use super::plan::Order;
use crate::core::Core;
use crate::format::{self, TOKEN};
use crate::read::Version;
use crate::tree::{Foreign, Node, ident_of, ident_of_stat};
use crate::write::Origin;
use ossfs_ledger::{Expect, Ident, Intent, IntentKind, NodeId};
use ossfs_store::{
    CopyOptions, CopySource, Error, Kind, Metadata, ObjectMeta, Payload, PutOptions, Result, WriteHeaders,
};
use ossfs_types::{FileKind, Key};
use std::sync::Arc;
use tokio::time::Instant;

/// How an order ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The object is there.
    Done(Ident),
    /// Something else than expected is at the key: this, or nothing.
    Unexpected(Option<Box<ObjectMeta>>),
    /// The source is another version now, or gone.
    SourceChanged,
    /// Nobody knows.
    Unknown(Error),
    /// Nothing was changed.
    Failed(Error),
}

impl Core {
    /// Carries an order out, and commits it or leaves it to be resolved.
    pub(super) async fn carry_out(self: &Arc<Self>, mut order: Order) {
        // Conflicts change what is expected, and the order is tried again; an outsider who never stops writing makes it
        // wait.
        const CONFLICTS_MAX: usize = 8;
        for _ in 0..CONFLICTS_MAX {
            if order.intent.kind == IntentKind::Append
                && let Err(error) = self.announce_append(&mut order).await
            {
                return self.give_up(&order, &error);
            }
            if let Err(error) = self.sync_ledger().await {
                tracing::error!(%error, "nothing is changed that the ledger does not announce");
                let error = Error::new(Kind::Unavailable, "settle", error.to_string());
                return self.give_up(&order, &error);
            }
            let sent = Instant::now();
            match self.attempt(&mut order).await {
                Outcome::Done(ident) => {
                    order.answered = Some(sent);
                    return self.change(|world| self.committed(world, &order, &ident));
                }
                Outcome::Unexpected(found) => {
                    if !self.yield_to(&mut order, found.map(|found| *found)).await {
                        return;
                    }
                }
                Outcome::SourceChanged => return self.follow_source(&order).await,
                Outcome::Unknown(error) => return self.resolve_lost(order, error).await,
                Outcome::Failed(error) if matches!(error.kind(), Kind::Archived | Kind::Denied | Kind::Quota) => {
                    if !self.change(|world| world.tree.take_back(&order)) {
                        return self.give_up(&order, &error);
                    }
                    self.note_refused_move(&order.key, &error);
                    return tracing::error!(%error, "a renamed file has its old name again: the bucket refuses to copy it");
                }
                Outcome::Failed(error) => return self.give_up(&order, &error),
            }
        }
        self.give_up(&order, &Error::new(Kind::Precondition, "settle", "somebody else keeps changing this object"));
    }

    /// An order has failed. What it has begun to upload is ended before it is tried again.
    pub(super) fn give_up(&self, order: &Order, error: &Error) {
        self.change(|world| match order.upload() {
            Some(_) => world.tree.leave_pending(order),
            None => world.tree.abandon(order),
        });
        self.note_failure(order.intent.node, error);
    }

    /// The object of an order is in the bucket: the tree knows, and the content that it shows is no longer kept.
    pub(super) fn committed(&self, world: &mut crate::core::World, order: &Order, ident: &Ident) {
        let id = order.intent.node;
        if let Some((key, old)) = world.tree.node(id).and_then(Node::any_valid_home)
            && old.etag != ident.etag
        {
            self.reader.forget(&Version::of(key, old));
        }
        let wrote = matches!(order.intent.kind, IntentKind::Put | IntentKind::Multipart | IntentKind::Append);
        // Without its content here, a process before this one wrote it, and the version before was shown until now. Who
        // has read of that does not go on with this one.
        let replaces = wrote
            && world.content(id).is_none()
            && world.was_read(id)
            && world.tree.node(id).and_then(|node| node.current.as_ref()).is_some_and(|shown| shown.etag != ident.etag);
        world.tree.commit(order, ident, Instant::now());
        if let (IntentKind::Hide, Some((key, old))) = (order.intent.kind, &order.intent.source) {
            let from = Origin { key: key.clone(), ident: old.clone() };
            world.move_origin(&from, Origin { key: order.key.clone(), ident: ident.clone() });
        }
        if replaces && let Some(node) = world.tree.node_mut(id) {
            node.epoch += 1;
        }
        if wrote {
            world.tree.rebase_durable(id, order.intent.generation);
            if let Some(node) = world.tree.node_mut(id) {
                node.settle_after = None;
            }
            let clean = world.tree.node(id).is_none_or(|node| !node.is_dirty());
            if clean {
                world.drop_content(id);
            } else {
                world.with_content(id, |content| {
                    content.extents.rebase(order.intent.generation);
                    content.stream = None;
                    content.since = Some(Instant::now());
                });
            }
            self.room.notify_waiters();
        }
        world.answer_waiters(id);
        // Nobody waits any more: a file that is being written is settled when somebody does again, or when it is closed.
        let waited_for = world.waiters.contains_key(&id);
        if let Some(node) = world.tree.node_mut(id) {
            node.urgent &= waited_for;
        }
        self.got_on();
    }

    /// Sends one order's requests.
    async fn attempt(self: &Arc<Self>, order: &mut Order) -> Outcome {
        if order.intent.kind == IntentKind::Append {
            return self.attempt_append(order).await;
        }
        let uploads = matches!(order.intent.kind, IntentKind::Put | IntentKind::Multipart);
        // Parts change nothing: what they replace is looked at when they are there.
        if uploads && let Err(error) = self.send_parts(order).await {
            return self.outcome_of(order, error).await;
        }
        if let Some(outcome) = self.check(order).await {
            return outcome;
        }
        let result = if uploads { self.upload(order).await } else { self.copy(order).await };
        match result {
            Ok(ident) => Outcome::Done(ident),
            Err(error) => self.outcome_of(order, error).await,
        }
    }

    async fn outcome_of(&self, order: &Order, error: Error) -> Outcome {
        match error.kind() {
            Kind::Unknown => Outcome::Unknown(error),
            Kind::AlreadyExists => self.unexpected(&order.key).await,
            // What the order takes bytes from has changed.
            Kind::Precondition | Kind::NotFound => Outcome::SourceChanged,
            _ => Outcome::Failed(error),
        }
    }

    pub(super) async fn unexpected(&self, key: &Key) -> Outcome {
        match self.store.head(key).await {
            Ok(meta) => Outcome::Unexpected(Some(Box::new(meta))),
            Err(error) if error.kind() == Kind::NotFound => Outcome::Unexpected(None),
            Err(error) => Outcome::Failed(error),
        }
    }

    /// Looks just before a write whether what it replaces is what is known, where the write itself can't say so.
    pub(super) async fn check(&self, order: &Order) -> Option<Outcome> {
        let sure = match &order.intent.expect {
            // The request says so itself.
            Expect::Absent => !self.options.versioned,
            Expect::Present(_) => order.intent.kind == IntentKind::Describe,
            Expect::PresentOrAbsent(_) => false,
        };
        if sure {
            return None;
        }
        match self.store.head(&order.key).await {
            Ok(meta) => {
                let found = ident_of(&meta);
                if !order.intent.expect.allows(Some(&found)) {
                    return Some(Outcome::Unexpected(Some(Box::new(meta))));
                }
                let own = matches!(order.intent.expect, Expect::Present(_));
                if own {
                    self.learn_foreign(order.intent.node, &meta);
                }
                None
            }
            Err(error) if error.kind() == Kind::NotFound => match order.intent.expect.allows(None) {
                true => None,
                false => Some(Outcome::Unexpected(None)),
            },
            Err(error) => Some(Outcome::Failed(error)),
        }
    }

    /// What a write says besides the metadata.
    pub(super) fn write_headers(&self, order: &Order) -> WriteHeaders {
        let forbid_overwrite = matches!(order.intent.expect, Expect::Absent) && !self.options.versioned;
        WriteHeaders { forbid_overwrite, ..self.options.headers.clone() }
    }

    /// Keeps what others put into the metadata of a node's object.
    fn learn_foreign(&self, id: NodeId, meta: &ObjectMeta) {
        self.change(|world| {
            let Some(node) = world.tree.node_mut(id) else { return };
            node.foreign = Foreign::Known(self.foreign(node, &meta.metadata));
        });
    }

    /// What of an object's metadata is not what we would write.
    pub(crate) fn foreign(&self, node: &Node, metadata: &Metadata) -> Option<Arc<Metadata>> {
        let guessed = self.guessed_type(node);
        format::foreign(metadata, &guessed).map(|foreign| Arc::new(*foreign))
    }

    fn guessed_type(&self, node: &Node) -> http::HeaderValue {
        match node.kind {
            FileKind::Directory => format::DIRECTORY_CONTENT_TYPE,
            _ => self.options.mime.content_type(node.names.first().map_or("", |(_, name)| name)),
        }
    }

    /// The metadata that a node's object is to carry; asks the object for what others put there, if nobody has yet.
    pub(super) async fn metadata(&self, order: &Order) -> Result<Metadata> {
        let id = order.intent.node;
        let lacking = {
            let world = self.world();
            let node = world.tree.node(id);
            node.and_then(|node| {
                let known = node.attributes.is_some() && node.foreign != Foreign::Unknown;
                if known { None } else { node.any_valid_home().cloned() }
            })
        };
        if let Some((home, _)) = lacking {
            let meta = self.store.head(&home).await?;
            self.learn_foreign(id, &meta);
            self.change(|world| {
                if let Some(node) = world.tree.node_mut(id).filter(|node| node.attributes.is_none()) {
                    let described = self.described(&meta, node.is_directory(), false);
                    node.learn_kind(&described);
                    node.attributes = Some(described.attributes);
                }
            });
        }
        let world = self.world();
        let gone = || Error::new(Kind::NotFound, "settle", "the node is gone").on_key(order.key.as_str());
        let node = world.tree.node(id).ok_or_else(gone)?;
        let attributes = node.attributes.unwrap_or_else(|| self.default_attributes(node.kind, false));
        let foreign = match &node.foreign {
            Foreign::Known(foreign) => foreign.as_deref(),
            Foreign::Unknown => None,
        };
        let token = Some(&*order.intent.token);
        let mut metadata = format::metadata(&attributes, node.kind, Some(self.guessed_type(node)), foreign, token);
        if let Some(xattrs) = &node.xattrs {
            format::set_xattr_entry(&mut metadata, xattrs);
        }
        if let Some(link) = node.carried_link().and_then(|link| http::HeaderValue::from_str(link).ok()) {
            metadata.user.insert(format::LINK.to_owned(), link);
        }
        Ok(metadata)
    }

    /// Copies an object on the server: to another key, or onto itself with other metadata.
    pub(super) async fn copy(&self, order: &Order) -> Result<Ident> {
        let id = order.intent.node;
        let (source, ident) = match (&order.intent.source, &order.intent.expect) {
            (Some((key, ident)), _) => (key.clone(), ident.clone()),
            (None, Expect::Present(ident)) => (order.key.clone(), ident.clone()),
            (None, _) => return Err(Error::new(Kind::NotFound, "settle", "there is nothing to copy")),
        };
        let (native, appendable) =
            self.world().tree.node(id).map_or((false, false), |node| (node.native, node.appendable));
        if native {
            return self.copy_native_symlink(order, &source).await;
        }
        if appendable {
            return self.copy_by_streaming(order, &source, &ident).await;
        }
        let replace_metadata = if order.describes { Some(self.metadata(order).await?) } else { None };
        let options = CopyOptions { replace_metadata, headers: self.write_headers(order) };
        let from = CopySource { key: source.clone(), if_match: Some(ident.etag.clone()) };
        match self.store.copy(&from, &order.key, &options).await {
            Ok(written) => Ok(Ident {
                etag: written.etag,
                size: ident.size,
                crc64: written.crc64.or(ident.crc64),
                last_modified: None,
            }),
            Err(error) if error.kind() == Kind::WrongType => self.copy_by_streaming(order, &source, &ident).await,
            Err(error) => Err(error),
        }
    }

    /// What OSS refuses to copy (an appendable object) goes through here.
    async fn copy_by_streaming(&self, order: &Order, source: &Key, ident: &Ident) -> Result<Ident> {
        let metadata = if order.describes {
            self.metadata(order).await?
        } else {
            let meta = self.store.head(source).await?;
            let mut metadata = meta.metadata;
            format::keep_time(&mut metadata, meta.last_modified);
            metadata
        };
        let options = PutOptions { metadata, headers: self.write_headers(order) };
        self.put_from(&order.key, source, ident, &options, &order.intent.expect).await
    }

    /// A native symlink is put anew: what a copy of one gives is not promised.
    async fn copy_native_symlink(&self, order: &Order, source: &Key) -> Result<Ident> {
        let link = self.store.get_symlink(source).await?;
        let mut metadata = link.metadata;
        if order.describes {
            let attributes = self.world().tree.node(order.intent.node).and_then(|node| node.attributes);
            if let Some(attributes) = attributes {
                let token = Some(&*order.intent.token);
                metadata = format::metadata(&attributes, FileKind::Symlink, None, Some(&metadata), token);
            }
        }
        let options = PutOptions { metadata, headers: self.write_headers(order) };
        self.store.put_symlink(&order.key, &link.target, &options).await?;
        let stat = self.store.stat(&order.key).await?;
        Ok(ident_of_stat(stat))
    }

    /// Puts a small object of ours.
    pub(super) async fn put(&self, order: &Order, payload: Payload) -> Result<Ident> {
        let options = PutOptions { metadata: self.metadata(order).await?, headers: self.write_headers(order) };
        let size = payload.len();
        let crc64 = payload.crc64();
        let counted = payload.clone();
        let put = self.store.put(&order.key, payload, &options).await;
        let written = put.inspect_err(|_| counted.uncount())?;
        Ok(Ident { etag: written.etag, size, crc64: written.crc64.or(Some(crc64)), last_modified: None })
    }

    /// Whether an object is what an order makes.
    pub(super) fn is_ours(meta: &ObjectMeta, order: &Order) -> bool {
        if order.intent.kind == IntentKind::Append {
            return Self::is_appended(meta, &order.intent);
        }
        carries_token(meta, &order.intent)
    }
}

/// Whether an object carries the token of an intent.
pub(super) fn carries_token(meta: &ObjectMeta, intent: &Intent) -> bool {
    meta.metadata.user.get(TOKEN).is_some_and(|token| token.as_bytes() == intent.token.as_bytes())
}
