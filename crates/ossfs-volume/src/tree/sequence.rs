//! Which keys we changed while a question to the bucket was under way.
//!
//! An answer may be older than our change; what it says of such a key is not believed.

use super::Tree;
use ossfs_types::Key;
use std::collections::BTreeMap;
use std::ops::Bound;

/// The moment at which a question was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sequence(u64);

/// Changes, as long as some question is older than they.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    now: u64,
    /// Questions under way, by the moment they were asked.
    asked: BTreeMap<u64, usize>,
    changed: BTreeMap<Key, u64>,
}

impl Tree {
    /// A question is asked now. Must be followed by one [`answered`](Self::answered).
    pub(crate) fn ask(&mut self) -> Sequence {
        let sequences = &mut self.sequences;
        *sequences.asked.entry(sequences.now).or_default() += 1;
        Sequence(sequences.now)
    }

    /// The question is answered, and the answer applied or dropped.
    pub(crate) fn answered(&mut self, asked: Sequence) {
        let sequences = &mut self.sequences;
        if let Some(count) = sequences.asked.get_mut(&asked.0) {
            *count -= 1;
            if *count == 0 {
                sequences.asked.remove(&asked.0);
            }
        }
        match sequences.asked.first_key_value() {
            None => sequences.changed.clear(),
            Some((oldest, _)) => {
                let oldest = *oldest;
                sequences.changed.retain(|_, changed| *changed > oldest);
            }
        }
    }

    /// A request that changes a key is sent, or its result committed.
    pub(crate) fn mutated(&mut self, key: &Key) {
        let sequences = &mut self.sequences;
        sequences.now += 1;
        if !sequences.asked.is_empty() {
            sequences.changed.insert(key.clone(), sequences.now);
        }
    }

    /// Whether an answer to a question of that moment may be wrong about a key.
    pub(crate) fn mutated_since(&self, key: &str, asked: Sequence) -> bool {
        self.busy.contains(key) || self.changed_since(key, asked)
    }

    /// Whether a key was changed by us after a question was asked; what is under way there does not count.
    pub(crate) fn changed_since(&self, key: &str, asked: Sequence) -> bool {
        self.sequences.changed.get(key).is_some_and(|changed| *changed > asked.0)
    }

    /// Whether an answer to a question of that moment may be wrong about some key under a prefix.
    pub(crate) fn mutated_below(&self, prefix: &str, asked: Sequence) -> bool {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let below =
            self.sequences.changed.range::<str, _>(from).take_while(|(key, _)| key.as_str().starts_with(prefix));
        let mut changed = below.map(|(_, changed)| *changed);
        changed.any(|changed| changed > asked.0) || self.busy.iter().any(|key| key.as_str().starts_with(prefix))
    }
}
