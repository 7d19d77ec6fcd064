//! Somebody who looks at everything while others go on.

use super::super::sight::{Shown, contents, shown_out};
use crate::model::Model;
use crate::mount::Entry;
use ossfs_volume::Error;
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::JoinHandle;

/// Somebody who looks at everything, one thing after the other.
pub(super) struct Looker {
    pub task: JoinHandle<Result<(Shown, bool), Error>>,
    /// Files that were there all the time, under the same name and with the same content.
    always: BTreeMap<String, Entry>,
    /// Paths at which anything was at any time.
    ever: BTreeSet<String>,
    /// Contents of files at the beginning, and whether they were the same all the time.
    contents: BTreeSet<Vec<u8>>,
    pub only_moves: bool,
}

impl Looker {
    pub(super) fn new(task: JoinHandle<Result<(Shown, bool), Error>>, possible: &[Model]) -> Self {
        let always = possible[0].items.keys().filter_map(|path| Some((path.clone(), possible[0].entry(path)?.0)));
        let contents = contents(&possible[0]);
        let mut looker = Self { task, always: always.collect(), ever: BTreeSet::new(), contents, only_moves: true };
        looker.go_on(possible);
        looker
    }

    pub(super) fn go_on(&mut self, possible: &[Model]) {
        for model in possible {
            self.always.retain(|path, entry| model.entry(path).is_some_and(|(there, _)| there == *entry));
            self.ever.extend(model.items.keys().cloned());
            self.only_moves &= contents(model) == self.contents;
        }
    }

    /// What is there all the time is seen, and what never is is not.
    pub(super) fn check(&self, shown: &Shown) {
        for (path, entry) in &self.always {
            let seen = shown.get(path).map(|sight| &sight.entry);
            assert_eq!(seen, Some(entry), "{path} was not seen, though it was there; {}", shown_out(shown));
        }
        for path in shown.keys() {
            assert!(self.ever.contains(path), "{path} was seen, though it never was there; {}", shown_out(shown));
        }
    }
}
