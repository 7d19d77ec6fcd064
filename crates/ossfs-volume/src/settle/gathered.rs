//! Deletions wait a moment for others, so that a thousand of them are one request. Pure.

use ossfs_types::Key;
use ossfs_types::limits::DELETE_KEYS_MAX;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// Nothing is deleted while more came within this time: a program that removes a tree takes less for the next name.
const QUIET: Duration = Duration::from_millis(50);
/// However many come, none waits longer for others.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Requests that delete many keys are slow and are throttled early: so many at a time.
const BATCHES_MAX: usize = 4;

/// Tombstones that wait to be deleted.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    keys: BTreeSet<Key>,
    /// Those whose objects were seen just now: the sooner they are deleted, the less an outsider can have put there.
    hurried: BTreeSet<Key>,
    first: Option<Instant>,
    last: Option<Instant>,
    running: usize,
}

impl Gathered {
    pub(super) fn len(&self) -> usize {
        self.keys.len() + self.hurried.len()
    }

    /// A tombstone can be deleted.
    pub(super) fn add(&mut self, key: Key, now: Instant) {
        if !self.hurried.contains(&key) && self.keys.insert(key) {
            self.first.get_or_insert(now);
            self.last = Some(now);
        }
    }

    /// These do not wait for others. Those that wait when a batch has ended go together.
    pub(super) fn hurry(&mut self, keys: Vec<Key>) {
        for key in keys.into_iter().filter_map(|key| self.keys.take(&key)) {
            self.hurried.insert(key);
        }
        self.forget_times_if_empty();
    }

    /// When those that wait for others are to be taken.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.running >= BATCHES_MAX {
            return None;
        }
        let (first, last) = (self.first?, self.last?);
        if self.keys.len() >= DELETE_KEYS_MAX { Some(first) } else { Some((last + QUIET).min(first + WAIT_MAX)) }
    }

    /// Those that are to be deleted together now, in their order; [`ended`](Self::ended) is called afterwards.
    pub(super) fn take(&mut self, now: Instant) -> Option<Vec<Key>> {
        if self.running >= BATCHES_MAX {
            return None;
        }
        if !self.hurried.is_empty() {
            self.running += 1;
            return Some(first_of(&mut self.hurried));
        }
        if self.due()? > now {
            return None;
        }
        let taken = first_of(&mut self.keys);
        self.first = Some(now);
        self.forget_times_if_empty();
        self.running += 1;
        Some(taken)
    }

    fn forget_times_if_empty(&mut self) {
        if self.keys.is_empty() {
            (self.first, self.last) = (None, None);
        }
    }

    /// What was taken was deleted, as far as it could be.
    pub(super) fn ended(&mut self) {
        self.running -= 1;
    }
}

/// Takes the first keys, as many as one request deletes.
fn first_of(keys: &mut BTreeSet<Key>) -> Vec<Key> {
    let rest = keys.iter().nth(DELETE_KEYS_MAX).cloned();
    let rest = rest.map(|key| keys.split_off(&key)).unwrap_or_default();
    std::mem::replace(keys, rest).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        Key::parse(&format!("{number:05}")).unwrap()
    }

    #[test]
    fn one_waits_a_moment_for_others() {
        let (mut gathered, begun) = (Gathered::default(), Instant::now());
        assert_eq!((gathered.due(), gathered.take(begun)), (None, None));
        gathered.add(key(1), begun);
        assert_eq!(gathered.take(begun), None);
        gathered.add(key(0), begun + QUIET / 2);
        // Once more says nothing new.
        gathered.add(key(1), begun + QUIET);
        assert_eq!(gathered.due(), Some(begun + QUIET / 2 + QUIET));
        assert_eq!(gathered.take(begun + 2 * QUIET), Some(vec![key(0), key(1)]));
        assert_eq!((gathered.due(), gathered.take(begun + 3 * QUIET)), (None, None));
    }

    #[test]
    fn a_thousand_wait_no_longer_and_a_stream_does_not_wait_for_ever() {
        let (mut gathered, begun) = (Gathered::default(), Instant::now());
        (0..2500).for_each(|number| gathered.add(key(number), begun));
        assert_eq!(gathered.take(begun).unwrap().len(), DELETE_KEYS_MAX);
        assert_eq!(gathered.take(begun).unwrap().first(), Some(&key(1000)));
        assert_eq!(gathered.take(begun), None);
        let mut now = begun;
        while gathered.take(now).is_none() {
            now += QUIET / 2;
            gathered.add(key(3000), now);
            gathered.add(key(3000 + gathered.len()), now);
            assert!(now <= begun + WAIT_MAX);
        }
        assert!(now >= begun + WAIT_MAX);
    }

    #[test]
    fn what_was_just_seen_waits_for_nothing() {
        let (mut gathered, now) = (Gathered::default(), Instant::now());
        (0..3).for_each(|number| gathered.add(key(number), now));
        gathered.hurry(vec![key(1), key(7)]);
        // It is not there twice.
        gathered.add(key(1), now);
        assert_eq!((gathered.take(now), gathered.take(now)), (Some(vec![key(1)]), None));
        gathered.ended();
        assert_eq!(gathered.take(now + QUIET), Some(vec![key(0), key(2)]));
    }

    #[test]
    fn only_so_many_batches_are_under_way() {
        let (mut gathered, now) = (Gathered::default(), Instant::now());
        (0..9000).for_each(|number| gathered.add(key(number), now));
        let taken: Vec<_> = std::iter::from_fn(|| gathered.take(now)).collect();
        assert_eq!(taken.len(), BATCHES_MAX);
        gathered.ended();
        assert!(gathered.take(now).is_some());
        assert!(gathered.take(now).is_none());
    }
}
