//! Objects that are garbage are deleted: each only if it is still the one that was meant.

use super::resolve::QUARANTINE;
use crate::core::Core;
use crate::tree::{Work, ident_of_stat};
use ossfs_ledger::Ident;
use ossfs_store::Kind;
use ossfs_types::Key;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::Instant;

/// Before a deletion that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long it is believed that an object is the one that was just seen.
const VERIFIED_FOR: Duration = Duration::from_secs(1);

impl Core {
    /// Deletes the object of a tombstone, if nothing stands in the way.
    pub(super) async fn delete_tomb(&self, key: &Key) {
        let ident = self.change(|world| {
            let tree = &mut world.tree;
            let tomb = tree.tomb(key)?.ident.clone();
            if tree.busy.contains(key) || tree.intent(key).is_some() {
                tree.wait_for(key, Work::Tomb(key.clone()));
                return None;
            }
            if tree.is_wanted(key) {
                // Most likely it is overwritten by then; if not, whoever wanted it may have gone elsewhere.
                self.queue.push_at(Work::Tomb(key.clone()), Instant::now() + PAUSE);
                return None;
            }
            if let Some(until) = tree.quarantined(key, Instant::now()) {
                self.queue.push_at(Work::Tomb(key.clone()), until);
                return None;
            }
            tree.busy.insert(key.clone());
            tree.mutated(key);
            let seen_just_now = tree.verified.remove(key).is_some_and(|seen| seen.elapsed() < VERIFIED_FOR);
            let verified = seen_just_now || tree.is_list(key);
            Some((tomb, verified))
        });
        let Some((ident, verified)) = ident else { return };
        if let Err(error) = self.sync_ledger().await {
            tracing::error!(%error, "nothing is deleted that the ledger does not justify");
            self.change(|world| world.tree.busy.remove(key));
            return self.queue.push_at(Work::Tomb(key.clone()), Instant::now() + PAUSE);
        }
        let outcome = match verified {
            true => self.store.delete(key).await,
            false => self.delete_if_same(key, &ident).await,
        };
        self.change(|world| {
            world.tree.busy.remove(key);
            match outcome {
                Ok(()) => world.tree.set_tomb(key, None),
                // It was unlinked, but the bucket keeps it: so it is shown again.
                Err(error) if error.kind() == Kind::Denied => {
                    tracing::warn!(%error, "the bucket refuses to delete: what was removed is shown again");
                    world.tree.set_tomb(key, None);
                    world.tree.list_again(key);
                    let mut refused = self.deletion_refused.lock().unwrap_or_else(PoisonError::into_inner);
                    *refused = Some(Instant::now());
                }
                Err(error) => {
                    tracing::warn!(%error, "not deleted");
                    if error.kind() == Kind::Unknown {
                        let now = Instant::now();
                        world.tree.set_quarantine(key, now + QUARANTINE, now);
                    }
                    self.queue.push_at(Work::Tomb(key.clone()), Instant::now() + PAUSE);
                    world.tree.wake(key);
                }
            }
        });
    }

    /// Deletes an object unless it is another one now, or gone.
    async fn delete_if_same(&self, key: &Key, ident: &Ident) -> ossfs_store::Result<()> {
        let found = match self.store.stat(key).await {
            Ok(stat) => stat,
            Err(error) if error.kind() == Kind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let found = ident_of_stat(found);
        if !ident.matches(&found) {
            tracing::warn!(%key, "somebody else has put another object where one was to be deleted: it stays");
            return Ok(());
        }
        self.store.delete(key).await
    }
}
