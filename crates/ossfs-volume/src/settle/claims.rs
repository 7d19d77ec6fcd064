//! Renamed directories: what still lies under their old keys is recorded, a page at a time, and so moved.

use crate::core::Core;
use crate::tree::{Failure, Owner, Sighting, Work};
use ossfs_store::{Error, Kind, ListRequest};
use ossfs_types::{Key, Prefix};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Most nodes that draining may keep unsettled at once: the ledger must not grow with the directory.
const UNSETTLED_MAX: usize = 2_000;
/// Before a listing that failed is tried again, and before a claim whose nodes are not settled yet is looked at again.
const PAUSE: Duration = Duration::from_millis(200);

/// What a claim needs.
enum Need {
    /// A look at what lies after this key.
    Page(Option<Arc<str>>),
    /// Time, for what was recorded to move.
    Time,
}

/// How a page ended.
enum PageEnd {
    /// There are more.
    More,
    /// It was the last.
    Last,
}

impl Core {
    /// Records what lies under a claim, until nothing of it is left.
    pub(super) async fn drain_claim(&self, prefix: &Arc<str>) {
        // Whether this pass began at the beginning and met nothing of its own so far.
        let mut clean = false;
        loop {
            let need = self.change(|world| {
                let tree = &world.tree;
                let claim = tree.claim(prefix)?;
                // What is where it belongs needs no moving; the claim only keeps others off.
                if tree.prefix_of(claim.directory).as_deref() == Some(prefix) {
                    return None;
                }
                let crowded = tree.draining() >= UNSETTLED_MAX;
                Some(if crowded { Need::Time } else { Need::Page(claim.cursor.clone()) })
            });
            let pause = match need {
                None => return,
                Some(Need::Time) => PAUSE,
                Some(Need::Page(cursor)) => {
                    clean |= cursor.is_none();
                    match self.record_page(prefix, cursor, &mut clean).await {
                        Ok(PageEnd::More) => continue,
                        Ok(PageEnd::Last) if clean => {
                            return self.change(|world| world.tree.drop_claim(prefix));
                        }
                        Ok(PageEnd::Last) => PAUSE,
                        Err(error) => {
                            tracing::warn!(%error, prefix = &**prefix, "a renamed directory waits to be moved");
                            self.note_claim_failure(prefix, &error)
                        }
                    }
                }
            };
            return self.queue.push_at(Work::Claim(prefix.clone()), Instant::now() + pause);
        }
    }

    /// Notes that what lies under a claim could not be seen. Returns how long to wait before it is tried again.
    fn note_claim_failure(&self, prefix: &Arc<str>, error: &Error) -> Duration {
        self.change(|world| {
            let (tree, now) = (&mut world.tree, Instant::now());
            let errno = crate::Error::of(error.kind());
            let failure = Failure::after(tree.claim_failures.get(prefix), errno, error.to_string(), now);
            let pause = failure.retry_at - now;
            if tree.claim(prefix).is_some() {
                tree.claim_failures.insert(prefix.clone(), failure);
            }
            pause
        })
    }

    /// Records one page of what a claim owns. `clean` becomes false if there was anything.
    async fn record_page(
        &self,
        prefix: &Arc<str>,
        cursor: Option<Arc<str>>,
        clean: &mut bool,
    ) -> ossfs_store::Result<PageEnd> {
        let (question, ()) = self.ask(|_| ());
        let asked = question.sequence();
        let began = Instant::now();
        let under = Prefix::parse(prefix).map_err(|error| Error::new(Kind::Invalid, "list", error.to_string()))?;
        let request = ListRequest { start_after: cursor.as_deref().map(str::to_owned), ..ListRequest::all(under) };
        let mut page = self.store.list(&request).await;
        if let Ok(listed) = &page {
            self.got_on();
            if let Err(error) = self.join_linked(listed, prefix, asked).await {
                page = Err(error);
            }
        }
        self.change(|world| {
            let tree = &mut world.tree;
            page.map(|page| {
                let ended = page.next.is_none();
                let mut after: Option<Arc<str>> = None;
                for entry in page.objects {
                    let sighting = Sighting::from(entry);
                    let key = sighting.key.as_str();
                    after = after.max(Some(key.into()));
                    let Some((longest, _)) = tree.claim_over(key) else { continue };
                    if longest != prefix {
                        // Another claim's business: the next page begins after it.
                        after = after.max(Some(format!("{longest}\u{10FFFF}").into()));
                    } else if tree.mutated_since(key, asked) {
                        *clean = false;
                    } else if matches!(tree.owner(key), Owner::Path(_)) {
                        *clean = false;
                        tree.record_object(&sighting, began);
                    }
                }
                tree.set_claim_cursor(prefix, after.filter(|_| !ended));
                tree.claim_failures.remove(prefix);
                if ended { PageEnd::Last } else { PageEnd::More }
            })
        })
    }

    /// Looks whether an object that nobody has recorded is at a key that a node needs. It is recorded where it belongs,
    /// and moves. Returns whether the key is free.
    pub(super) async fn make_way(&self, key: &Key) -> ossfs_store::Result<bool> {
        let (question, ()) = self.ask(|_| ());
        let asked = question.sequence();
        let found = self.store.stat(key).await;
        if found.is_ok() && self.may_have_links().await? {
            self.join_names_of(key, asked).await?;
        }
        self.change(|world| match found {
            Ok(stat) => {
                let sighting = Sighting::of_stat(key.clone(), stat);
                if world.tree.mutated_since(key.as_str(), asked) {
                    return Ok(false);
                }
                let recorded = world.tree.record_object(&sighting, Instant::now()).is_some();
                if !recorded && matches!(world.tree.owner(key.as_str()), Owner::Path(_)) {
                    let message = "an object is in the way that belongs nowhere";
                    return Err(Error::new(Kind::Precondition, "settle", message).on_key(key.as_str()));
                }
                Ok(false)
            }
            Err(error) if error.kind() == Kind::NotFound => Ok(!world.tree.mutated_since(key.as_str(), asked)),
            Err(error) => Err(error),
        })
    }
}
