//! What the bucket has refused for good, by directory: later calls of that kind fail at once, for a while.

use crate::errors::Error;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a refusal is remembered: as long as one waits who has just been given the permission.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// So many directories are remembered; of more the oldest are forgotten.
const DIRECTORIES_MAX: usize = 1_000;

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Act {
    /// Deleting objects of a directory.
    Delete,
    /// Moving objects into a directory.
    Move,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What a call fails with.
    pub error: Error,
    /// What the bucket said.
    pub message: String,
    pub at: Instant,
}

/// What the bucket has refused, by the directory's path.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<(String, Act), Refusal>>);

impl Refusals {
    fn all(&self) -> MutexGuard<'_, BTreeMap<(String, Act), Refusal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bucket has refused something in a directory, whose path ends with `/` or is empty.
    pub(crate) fn note(&self, directory: &str, act: Act, error: Error, message: String, now: Instant) {
        let mut all = self.all();
        all.insert((directory.to_owned(), act), Refusal { error, message, at: now });
        if all.len() > DIRECTORIES_MAX {
            let oldest = all.iter().min_by_key(|(_, refusal)| refusal.at).map(|(key, _)| key.clone());
            oldest.map(|key| all.remove(&key));
        }
    }

    /// Whether nothing was refused: then nobody needs to know a path.
    pub(crate) fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// What a call of this kind in a directory fails with.
    pub(crate) fn of(&self, directory: &str, act: Act, now: Instant) -> Option<Error> {
        let key = (directory.to_owned(), act);
        let mut all = self.all();
        let refusal = all.get(&key)?;
        if now.saturating_duration_since(refusal.at) < REMEMBERED_FOR {
            return Some(refusal.error);
        }
        all.remove(&key);
        None
    }

    /// All that is remembered.
    pub(crate) fn list(&self, now: Instant) -> Vec<(String, Act, Refusal)> {
        let mut all = self.all();
        all.retain(|_, refusal| now.saturating_duration_since(refusal.at) < REMEMBERED_FOR);
        all.iter().map(|((directory, act), refusal)| (directory.clone(), *act, refusal.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_of_one_directory_and_one_kind_for_a_minute() {
        let (refusals, begun) = (Refusals::default(), Instant::now());
        assert!(refusals.is_empty());
        refusals.note("a/", Act::Delete, Error::Denied, "no".to_owned(), begun);
        assert_eq!(refusals.of("a/", Act::Delete, begun + REMEMBERED_FOR / 2), Some(Error::Denied));
        assert_eq!(refusals.of("a/", Act::Move, begun), None);
        assert_eq!(refusals.of("a/b/", Act::Delete, begun), None);
        assert_eq!(refusals.list(begun).len(), 1);
        assert_eq!(refusals.of("a/", Act::Delete, begun + REMEMBERED_FOR), None);
        assert!(refusals.is_empty());
    }

    #[test]
    fn the_oldest_make_room() {
        let (refusals, begun) = (Refusals::default(), Instant::now());
        for number in 0..=DIRECTORIES_MAX {
            let at = begun + Duration::from_micros(number as u64);
            refusals.note(&format!("{number}/"), Act::Delete, Error::Denied, String::new(), at);
        }
        assert_eq!(refusals.list(begun).len(), DIRECTORIES_MAX);
        assert_eq!(refusals.of("0/", Act::Delete, begun), None);
    }
}
