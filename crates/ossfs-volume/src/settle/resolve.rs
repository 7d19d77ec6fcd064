//! Orders whose answer was lost, and keys where somebody else wrote.

use super::plan::Order;
use crate::core::Core;
use crate::format::conflict_name;
use crate::tree::{ident_of, ident_of_stat};
use ossfs_ledger::{Expect, Ident, IntentKind};
use ossfs_store::{CopyOptions, CopySource, Error, Kind, ObjectMeta, PutOptions, Result, Upload, WriteHeaders};
use ossfs_types::Key;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a request that got no answer may still change its key: longer than OSS works on one whose client has gone.
pub(crate) const QUARANTINE: Duration = Duration::from_secs(15);
/// How often an order is sent again at once that was not applied.
const REPEATS_MAX: u32 = 3;

impl Core {
    /// Finds out what became of an order that was pending: of a process before this one, or of this one.
    pub(super) async fn resolve(self: &Arc<Self>, order: Order) {
        if order.intent.kind == IntentKind::Multipart {
            let (streaming, inherited) = {
                let world = self.world();
                let node = world.tree.node(order.intent.node);
                // What nobody can name or read any more is not completed.
                let wanted = node.is_some_and(|node| !node.names.is_empty() || node.opens > 0);
                let streams = world.content(order.intent.node).is_some_and(|content| content.stream.is_some());
                (wanted && streams, node.is_some_and(|node| node.inherited))
            };
            if streaming && inherited {
                // The process before this one may have completed it.
                match self.look(&order).await {
                    Ok(Look::Ours(ident)) => return self.landed(&order, &ident),
                    Ok(Look::AsBefore | Look::Foreign) => {}
                    Err(error) => return self.leave(&order, &error),
                }
            }
            if streaming {
                return self.finish_stream(order).await;
            }
        }
        // What is still open of it is of no use any more, and nothing that a crash leaves needs it.
        if let Err(error) = self.synced().await {
            return self.leave(&order, &error);
        }
        let ended = match (order.upload(), order.intent.begun) {
            (Some(upload), _) => self.end_upload(&upload).await,
            (None, Some(begun)) => self.end_unnamed_uploads(&order, begun, None).await,
            (None, None) => Ok(()),
        };
        if let Err(error) = ended {
            return self.leave(&order, &error);
        }
        match self.look(&order).await {
            Ok(Look::Ours(ident)) => self.landed(&order, &ident),
            Ok(Look::AsBefore | Look::Foreign) => self.change(|world| {
                // It may still land: the key is left alone for a while, and looked at once more.
                let ended = order.upload().is_some() || world.tree.quarantine.contains_key(&order.key);
                if ended {
                    world.tree.quarantine.remove(&order.key);
                    world.tree.abandon(&order);
                } else {
                    let now = Instant::now();
                    world.tree.set_quarantine(&order.key, now + QUARANTINE, now);
                    world.tree.leave_pending(&order);
                }
            }),
            Err(error) => self.leave(&order, &error),
        }
    }

    /// What an order was to make was found at its key.
    pub(super) fn landed(&self, order: &Order, ident: &Ident) {
        self.change(|world| {
            // It may have been sent twice.
            let now = Instant::now();
            world.tree.set_quarantine(&order.key, now + QUARANTINE, now);
            self.committed(world, order, ident);
        });
    }

    /// The answer to an order was lost just now. The same order, for the same bytes, may be sent again: whichever lands,
    /// the object is the same.
    pub(super) async fn resolve_lost(self: &Arc<Self>, mut order: Order, mut error: Error) {
        for _ in 0..REPEATS_MAX {
            match self.look(&order).await {
                Ok(Look::Ours(ident)) => return self.change(|world| self.committed(world, &order, &ident)),
                Ok(Look::Foreign) => break,
                Ok(Look::AsBefore) => {}
                Err(error) => return self.leave(&order, &error),
            }
            self.leave_keys_alone(&order);
            match self.send_again(&mut order).await {
                Ok(ident) => return self.change(|world| self.committed(world, &order, &ident)),
                // The first may have arrived meanwhile, over what the second was to be made of.
                Err(again)
                    if matches!(
                        again.kind(),
                        Kind::Unknown
                            | Kind::AlreadyExists
                            | Kind::Precondition
                            | Kind::NotFound
                            | Kind::WrongPosition { .. }
                            | Kind::WrongType
                    ) =>
                {
                    // It was sent some time after the one before.
                    self.leave_keys_alone(&order);
                    error = again;
                }
                Err(again) => {
                    self.leave(&order, &again);
                    return;
                }
            }
        }
        self.leave(&order, &error);
    }

    /// A request of an order may still arrive: its keys are left alone for a while.
    fn leave_keys_alone(&self, order: &Order) {
        self.change(|world| {
            let now = Instant::now();
            world.tree.set_quarantine(&order.key, now + QUARANTINE, now);
            // A copy that arrives late must not take other metadata with the same bytes.
            if let Some((source, _)) = &order.intent.source {
                world.tree.set_quarantine(source, now + QUARANTINE, now);
            }
        });
    }

    async fn send_again(self: &Arc<Self>, order: &mut Order) -> Result<Ident> {
        match order.intent.kind {
            IntentKind::Put | IntentKind::Multipart => self.upload(order).await,
            IntentKind::Append => self.append(order).await,
            IntentKind::Copy | IntentKind::Describe | IntentKind::Hide => self.copy(order).await,
        }
    }

    /// An order stays pending; it is looked at again after a pause.
    pub(super) fn leave(&self, order: &Order, error: &Error) {
        self.change(|world| world.tree.leave_pending(order));
        self.note_failure(order.intent.node, error);
    }

    /// Looks at the key of an order.
    pub(super) async fn look(&self, order: &Order) -> Result<Look> {
        let native = self.world().tree.node(order.intent.node).is_some_and(|node| node.native);
        let found = if native { self.look_at_symlink(order).await? } else { self.look_at_object(order).await? };
        Ok(match found {
            Found::Ours(ident) => Look::Ours(ident),
            Found::Other(ident) if order.intent.expect.allows(ident.as_ref()) => Look::AsBefore,
            Found::Other(_) => Look::Foreign,
        })
    }

    async fn look_at_object(&self, order: &Order) -> Result<Found> {
        let meta = match self.store.head(&order.key).await {
            Ok(meta) => meta,
            Err(error) if error.kind() == Kind::NotFound => return Ok(Found::Other(None)),
            Err(error) => return Err(error),
        };
        let ident = ident_of(&meta);
        let ours = Self::is_ours(&meta, order) || self.is_copy(order, &meta).await?;
        Ok(if ours { Found::Ours(ident) } else { Found::Other(Some(ident)) })
    }

    /// Whether an object is a copy that an order was to make. One that keeps the metadata carries no token; an equal object
    /// is as good as ours, unless such a one was there before, perhaps with other metadata.
    async fn is_copy(&self, order: &Order, meta: &ObjectMeta) -> Result<bool> {
        let Some((key, source)) = order.intent.source.as_ref().filter(|_| !order.describes) else { return Ok(false) };
        if source.size != meta.size || order.intent.expect.allows(Some(&ident_of(meta))) {
            return Ok(false);
        }
        if source.etag == meta.etag {
            return Ok(true);
        }
        // A listing told no checksum.
        let crc64 = match source.crc64 {
            Some(crc64) => Some(crc64),
            None => match self.store.head(key).await {
                Ok(now) => now.crc64.filter(|_| now.etag == source.etag),
                Err(error) if error.kind() == Kind::NotFound => None,
                Err(error) => return Err(error),
            },
        };
        Ok(crc64.is_some() && crc64 == meta.crc64)
    }

    async fn look_at_symlink(&self, order: &Order) -> Result<Found> {
        let Some((source, _)) = &order.intent.source else { return Ok(Found::Other(None)) };
        let target = self.store.get_symlink(source).await?.target;
        match self.store.get_symlink(&order.key).await {
            Ok(link) if link.target == target => {
                let stat = self.store.stat(&order.key).await?;
                Ok(Found::Ours(ident_of_stat(stat)))
            }
            Err(error) if error.kind() == Kind::NotFound => Ok(Found::Other(None)),
            Err(error) if error.kind() != Kind::WrongType => Err(error),
            _ => Ok(Found::Other(Some(ident_of(&self.store.head(&order.key).await?)))),
        }
    }

    /// Ends an upload: afterwards it is gone, whether completed or aborted.
    pub(super) async fn end_upload(&self, upload: &Upload) -> Result<()> {
        match self.store.abort_upload(upload).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == Kind::UploadNotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Something else than expected is at the key of an order. Returns whether the order is to be tried again; else it has
    /// ended.
    pub(super) async fn yield_to(&self, order: &mut Order, found: Option<ObjectMeta>) -> bool {
        if order.intent.kind == IntentKind::Append {
            let goes_on = self.yield_append(order, found.as_ref()).await;
            if !goes_on || order.intent.kind == IntentKind::Append {
                return goes_on;
            }
        }
        let Some(meta) = found else {
            // What was to be replaced is gone: nothing is lost by writing.
            if order.intent.kind == IntentKind::Describe {
                self.follow_source(order).await;
                return false;
            }
            self.change(|world| world.tree.expect_instead(order, Expect::Absent));
            return true;
        };
        let ident = ident_of(&meta);
        if Self::is_ours(&meta, order) {
            self.change(|world| self.committed(world, order, &ident));
            return false;
        }
        let leaves = self.change(|world| {
            let several = |node: &crate::tree::Node| node.names.len() > 1 && node.home(&order.key).is_some();
            let tree = &mut world.tree;
            let left = tree.node(order.intent.node).is_some_and(several) && tree.leave(order.intent.node, &order.key);
            if left {
                tree.abandon(order);
            }
            left
        });
        if leaves {
            tracing::warn!(key = %order.key, "somebody else replaced one of a file's names: it is a file by itself now");
            return false;
        }
        let adopts = {
            let world = self.world();
            let marker = world.tree.node(order.intent.node).is_some_and(crate::tree::Node::is_directory);
            marker || order.intent.kind == IntentKind::Describe
        };
        if adopts {
            self.change(|world| {
                world.tree.abandon(order);
                world.tree.adopt(order.intent.node, &order.key, &ident);
            });
            return false;
        }
        match self.set_aside(&order.key, &ident).await {
            Ok(aside) => {
                tracing::warn!(key = %order.key, %aside, "somebody else wrote here too: their version is kept under another name");
                self.change(|world| world.tree.expect_instead(order, Expect::Present(ident)));
                true
            }
            Err(error) => {
                self.give_up(order, &error);
                false
            }
        }
    }

    /// Copies a foreign version to a name beside it.
    async fn set_aside(&self, key: &Key, ident: &Ident) -> Result<Key> {
        let (above, name) = match key.as_str().rsplit_once('/') {
            Some((above, name)) => (format!("{above}/"), name),
            None => (String::new(), key.as_str()),
        };
        let modified = ident.last_modified.unwrap_or_else(|| self.clock.now());
        let text = above + &conflict_name(name, modified, &ident.etag);
        let aside = Key::parse(&text).map_err(|error| Error::new(Kind::Invalid, "settle", error.to_string()))?;
        let source = CopySource { key: key.clone(), if_match: Some(ident.etag.clone()) };
        let headers = WriteHeaders { forbid_overwrite: true, ..WriteHeaders::default() };
        let options = CopyOptions { replace_metadata: None, headers: headers.clone() };
        let copied = match self.store.copy(&source, &aside, &options).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == Kind::WrongType => {
                let metadata = self.store.head(key).await?.metadata;
                let options = PutOptions { metadata, headers };
                self.put_from(&aside, key, ident, &options, &Expect::Absent).await.map(drop)
            }
            Err(error) => Err(error),
        };
        match copied {
            Ok(()) => {}
            // It was set aside before.
            Err(error) if matches!(error.kind(), Kind::AlreadyExists | Kind::Unknown) => {
                let there = self.store.head(&aside).await?;
                if there.size != ident.size || there.crc64 != ident.crc64 {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        self.change(|world| world.tree.list_again(&aside));
        Ok(aside)
    }

    /// What an order takes its bytes from has been changed by somebody else.
    pub(super) async fn follow_source(&self, order: &Order) {
        let id = order.intent.node;
        if order.upload().is_some() {
            let error = Error::new(Kind::Precondition, "settle", "the version before is another one now");
            return self.leave(order, &error);
        }
        if let Some(error) = self.lost_origin(order).await {
            self.change(|world| world.tree.abandon(order));
            return self.note_failure(id, &error);
        }
        let (source, expected) = match (order.source(), &order.intent.expect) {
            (Some((key, ident)), _) => (key.clone(), Some(ident.clone())),
            (None, Expect::Present(ident) | Expect::PresentOrAbsent(ident)) => (order.key.clone(), Some(ident.clone())),
            (None, Expect::Absent) => (order.key.clone(), None),
        };
        let found = self.store.head(&source).await;
        let based = {
            let world = self.world();
            world.tree.node(id).is_some_and(crate::tree::Node::is_dirty)
        };
        let other = match &found {
            Ok(meta) => Some(ident_of(meta)),
            Err(error) if error.kind() == Kind::NotFound => None,
            Err(_) => return self.give_up(order, &found.expect_err("it is an error")),
        };
        let leaves = self.change(|world| {
            let tree = &mut world.tree;
            let known = tree.node(id).and_then(|node| node.home(&source)).cloned();
            let same = known.zip(other).is_some_and(|(known, other)| known.matches(&other));
            let left = !same && tree.leave(id, &source);
            if left {
                tree.abandon(order);
            }
            left
        });
        if leaves {
            return;
        }
        match found {
            Ok(meta) if expected.is_some_and(|expected| expected.matches(&ident_of(&meta))) => {
                // Nobody has changed it: whatever was refused is tried again.
                let error = Error::new(Kind::Precondition, "settle", "refused, though it is what it was");
                self.give_up(order, &error.on_key(source.as_str()));
            }
            Ok(_) if based => {
                // What was written here is over a version that is gone: the two are never mixed.
                self.change(|world| world.tree.abandon(order));
                let message = "somebody else replaced the version that was being changed";
                let error = Error::new(Kind::Precondition, "settle", message).on_key(order.key.as_str());
                self.note_failure(id, &error);
            }
            Ok(meta) => self.change(|world| {
                world.tree.abandon(order);
                world.tree.adopt(id, &source, &ident_of(&meta));
            }),
            Err(error) if error.kind() == Kind::NotFound && !based => {
                tracing::warn!(key = %source, "somebody else deleted an object that was to be moved or described");
                self.change(|world| {
                    world.tree.abandon(order);
                    world.tree.lost(id, &source);
                });
            }
            Err(error) => self.give_up(order, &error),
        }
    }
}

impl Core {
    /// Why bytes that an order borrows from another object can't be had any more, if that is so: an outsider replaced or
    /// deleted it.
    async fn lost_origin(&self, order: &Order) -> Option<Error> {
        for origin in order.snapshot.iter().flat_map(|snapshot| snapshot.origins()) {
            match self.store.head(&origin.key).await {
                Ok(meta) if meta.etag == origin.ident.etag => {}
                Err(error) if error.kind() != Kind::NotFound => return Some(error),
                _ => {
                    let message = "somebody else replaced or deleted the object that bytes were copied from";
                    return Some(Error::new(Kind::Precondition, "settle", message).on_key(origin.key.as_str()));
                }
            }
        }
        None
    }
}

/// What is at the key of an order.
pub(super) enum Look {
    /// What it was to make.
    Ours(Ident),
    /// What was there before.
    AsBefore,
    /// Somebody else's.
    Foreign,
}

enum Found {
    Ours(Ident),
    Other(Option<Ident>),
}
