//! Objects that are garbage are deleted, up to a thousand in one request: each only if it was seen just before to be the one
//! that is meant.
//!
//! Invariants: the ledger is synced before; no request goes out for a key that was verified longer ago than
//! [`VERIFIED_FOR`]; what failed is verified again before it is tried again; what is refused for good is shown again.

use super::refusals::Act;
use super::resolve::QUARANTINE;
use super::verify::{Suspects, Verdict};
use crate::core::{Core, World};
use crate::errors::Error;
use crate::tree::{Failure, Work};
use ossfs_ledger::Ident;
use ossfs_store::Kind;
use ossfs_types::Key;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Before a deletion is looked at again that is not needed if the key is overwritten first.
const PAUSE: Duration = Duration::from_secs(1);
/// How long it is believed that an object is the one that was just seen.
const VERIFIED_FOR: Duration = Duration::from_secs(1);
/// What was verified does not wait for the next look if it would then be older than this.
const WAITS_FOR: Duration = Duration::from_millis(600);
/// After so many refusals on end in a directory the rest of a batch is not asked for.
const REFUSALS_MAX: u32 = 8;

/// A key whose object may be deleted, and when it was seen to be the one that is meant.
type Doomed = (Key, Instant);

impl Core {
    /// Deletes the objects of tombstones whose keys are in order, where nothing stands in the way.
    pub(super) async fn delete_tombs(&self, keys: Vec<Key>) {
        let taken = self.change(|world| {
            let take = |key| self.take_tomb(world, &key).map(|(ident, seen)| (key, ident, seen));
            keys.into_iter().filter_map(take).collect::<Vec<_>>()
        });
        if taken.is_empty() {
            return;
        }
        if let Err(error) = self.sync_ledger().await {
            tracing::error!(%error, "nothing is deleted that the ledger does not justify");
            let error = ossfs_store::Error::new(Kind::Unavailable, "settle", error.to_string());
            return self.tombs_failed(taken.into_iter().map(|(key, ..)| key).collect(), &error);
        }
        let mut doomed: Vec<Doomed> = Vec::new();
        let mut unseen = Vec::new();
        for (key, ident, seen) in taken {
            match seen {
                Some(seen) => doomed.push((key, seen)),
                None => unseen.push((key, ident)),
            }
        }
        let mut suspects = Suspects::new(unseen);
        let mut look_took = Duration::ZERO;
        while !suspects.is_empty() {
            if doomed.iter().any(|(_, seen)| seen.elapsed() + look_took > WAITS_FOR) {
                self.delete_verified(std::mem::take(&mut doomed)).await;
            }
            let begun = Instant::now();
            match self.look_at(&mut suspects).await {
                Ok(told) => doomed.extend(self.judge(told)),
                Err(error) => {
                    self.tombs_failed(suspects.into_keys().collect(), &error);
                    break;
                }
            }
            look_took = begun.elapsed();
        }
        self.delete_verified(doomed).await;
    }

    /// Begins with a tombstone, if it can be deleted now. Tells when its object was last seen, if that was just now.
    fn take_tomb(&self, world: &mut World, key: &Key) -> Option<(Ident, Option<Instant>)> {
        let (tree, now) = (&mut world.tree, Instant::now());
        let ident = tree.tomb(key)?.ident.clone();
        if tree.busy.contains(key) || tree.intent(key).is_some() || tree.asks_borrowers(key, &ident) {
            tree.wait_for(key, Work::Tomb(key.clone()));
            return None;
        }
        let retry_at = tree.tomb_failures.get(key).map(|failure| failure.retry_at);
        let later = match tree.quarantined(key, now).max(retry_at).filter(|when| *when > now) {
            // Most likely it is overwritten by then; if not, whoever wanted it may have gone elsewhere.
            None if tree.is_wanted(key) => Some(now + PAUSE),
            later => later,
        };
        if let Some(later) = later {
            self.queue.push_at(Work::Tomb(key.clone()), later);
            return None;
        }
        tree.busy.insert(key.clone());
        tree.mutated(key);
        let seen = tree.verified.remove(key).filter(|seen| seen.elapsed() < VERIFIED_FOR);
        // What is at the key of a list is a list of ours, whatever it says.
        Some((ident, seen.or_else(|| tree.is_list(key).then_some(now))))
    }

    /// Ends the tombstones whose objects are gone, or others by now; returns those that are to be deleted.
    fn judge(&self, told: Vec<(Key, Verdict)>) -> Vec<Doomed> {
        let now = Instant::now();
        let (same, ended): (Vec<_>, Vec<_>) = told.into_iter().partition(|(_, verdict)| *verdict == Verdict::Same);
        self.change(|world| {
            for (key, verdict) in &ended {
                if *verdict == Verdict::Other {
                    tracing::warn!(%key, "somebody else has put another object where one was to be deleted: it stays");
                }
                world.tree.busy.remove(key);
                world.tree.set_tomb(key, None);
                if *verdict == Verdict::Other {
                    world.tree.show_again(key);
                }
            }
        });
        self.got_on();
        same.into_iter().map(|(key, _)| (key, now)).collect()
    }

    /// Deletes objects that were just seen. Where a batch is refused, smaller ones tell of what.
    async fn delete_verified(&self, doomed: Vec<Doomed>) {
        let mut pieces = vec![doomed];
        let mut refusals: HashMap<String, u32> = HashMap::new();
        while let Some(piece) = pieces.pop() {
            let (fresh, stale): (Vec<_>, Vec<_>) =
                piece.into_iter().partition(|(_, seen)| seen.elapsed() < VERIFIED_FOR);
            if !stale.is_empty() {
                self.change(|world| stale.into_iter().for_each(|(key, _)| free(world, key)));
            }
            let Some((first, _)) = fresh.first() else { continue };
            let directory = directory_of(first).to_owned();
            let keys: Vec<Key> = fresh.iter().map(|(key, _)| key.clone()).collect();
            match self.delete_keys(&keys).await {
                Ok(gone) => {
                    refusals.remove(&directory);
                    self.tombs_ended(&gone);
                    // The others are asked for alone, which tells why.
                    let kept = fresh.into_iter().filter(|(key, _)| !gone.contains(key));
                    pieces.extend(kept.map(|doomed| vec![doomed]));
                }
                Err(error) if error.kind() == Kind::Denied => {
                    let refused = refusals.entry(directory.clone()).or_default();
                    match divided(fresh, *refused >= REFUSALS_MAX) {
                        Ok(smaller) => pieces.extend(smaller),
                        Err(refused_for_good) => {
                            *refused += 1;
                            self.tombs_refused(&refused_for_good, &error);
                        }
                    }
                }
                Err(error) => self.tombs_failed(keys, &error),
            }
        }
    }

    /// Returns those that are gone, in order; at least one, if there is no error.
    async fn delete_keys(&self, keys: &[Key]) -> ossfs_store::Result<Vec<Key>> {
        if let [key] = keys {
            return self.store.delete(key).await.map(|()| vec![key.clone()]);
        }
        let gone = self.store.delete_many(keys).await?;
        let none = || ossfs_store::Error::new(Kind::Denied, "DeleteMultipleObjects", "the store has deleted nothing");
        if gone.is_empty() { Err(none()) } else { Ok(gone) }
    }

    fn tombs_ended(&self, gone: &[Key]) {
        self.change(|world| {
            for key in gone {
                world.tree.busy.remove(key);
                world.tree.set_tomb(key, None);
            }
        });
        self.got_on();
    }

    /// They were removed, but the bucket keeps them: so they are shown again.
    fn tombs_refused(&self, kept: &[Doomed], error: &ossfs_store::Error) {
        tracing::warn!(%error, objects = kept.len(), "the bucket refuses to delete: what was removed is shown again");
        let now = Instant::now();
        self.change(|world| {
            for (key, _) in kept {
                world.tree.busy.remove(key);
                world.tree.set_tomb(key, None);
                world.tree.show_again(key);
                let place = world.tree.place(key.as_str());
                let directory = directory_of_path(&place);
                self.refusals.note(directory, Act::Delete, Error::of(error.kind()), error.to_string(), now);
            }
        });
        self.got_on();
    }

    /// What was moved to a key has its old name again: later moves there fail at once.
    pub(super) fn note_refused_move(&self, key: &Key, error: &ossfs_store::Error) {
        let directory = directory_of(key);
        self.refusals.note(directory, Act::Move, Error::of(error.kind()), error.to_string(), Instant::now());
    }

    /// They may be deleted or not; after a pause they are looked at again.
    fn tombs_failed(&self, keys: Vec<Key>, error: &ossfs_store::Error) {
        tracing::warn!(%error, objects = keys.len(), "not deleted");
        let now = Instant::now();
        self.change(|world| {
            let tree = &mut world.tree;
            for key in keys {
                let failure =
                    Failure::after(tree.tomb_failures.get(&key), Error::of(error.kind()), error.to_string(), now);
                let mut when = failure.retry_at;
                if error.kind() == Kind::Unknown {
                    when = when.max(now + QUARANTINE);
                    tree.set_quarantine(&key, now + QUARANTINE, now);
                }
                tree.busy.remove(&key);
                tree.tomb_failures.insert(key.clone(), failure);
                tree.wake(&key);
                self.queue.push_at(Work::Tomb(key), when);
            }
        });
    }
}

/// A tombstone was taken and nothing was done: it is looked at again.
fn free(world: &mut World, key: Key) {
    world.tree.busy.remove(&key);
    world.tree.wake(&key);
    world.tree.push_work(Work::Tomb(key));
}

/// Smaller pieces of a batch that was refused: by directory, then by halves. An error with the batch, if no smaller one can
/// tell more.
fn divided(batch: Vec<Doomed>, hopeless: bool) -> Result<Vec<Vec<Doomed>>, Vec<Doomed>> {
    let other = batch.iter().position(|(key, _)| directory_of(key) != directory_of(&batch[0].0));
    let at = match other {
        Some(other) => other,
        None if hopeless || batch.len() < 2 => return Err(batch),
        None => batch.len() / 2,
    };
    let mut first = batch;
    let second = first.split_off(at);
    Ok(vec![second, first])
}

/// What a key's directory is by nature.
fn directory_of(key: &Key) -> &str {
    directory_of_path(key.as_str())
}

fn directory_of_path(path: &str) -> &str {
    path.trim_end_matches('/').rfind('/').map_or("", |slash| &path[..=slash])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doomed(keys: &[&str]) -> Vec<Doomed> {
        keys.iter().map(|key| (Key::parse(key).unwrap(), Instant::now())).collect()
    }

    fn names(pieces: &[Vec<Doomed>]) -> Vec<Vec<&str>> {
        pieces.iter().map(|piece| piece.iter().map(|(key, _)| key.as_str()).collect()).collect()
    }

    #[test]
    fn what_was_refused_is_divided_by_directory_and_then_by_halves() {
        let pieces = divided(doomed(&["a/1", "a/2", "b/1"]), true).unwrap();
        assert_eq!(names(&pieces), [vec!["b/1"], vec!["a/1", "a/2"]]);
        let pieces = divided(doomed(&["a/1", "a/2", "a/sub/"]), false).unwrap();
        assert_eq!(names(&pieces), [vec!["a/2", "a/sub/"], vec!["a/1"]]);
        assert!(divided(doomed(&["a/1", "a/2"]), true).is_err());
        assert!(divided(doomed(&["a/1"]), false).is_err());
    }

    #[test]
    fn a_directory_lies_in_another() {
        assert_eq!(["a", "a/", "a/b", "a/b/"].map(directory_of_path), ["", "", "a/", "a/"]);
    }
}
