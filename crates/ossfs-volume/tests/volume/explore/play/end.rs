//! What must be so when a schedule has come to its end.

use super::super::gate::{Fate, Gate};
use super::super::scene::Outsider;
use super::super::sight::{Shown, agrees, contents, shortened, shown_out, view};
use super::{LISTS, Objects, Play, WAIT, open, options};
use crate::model::{Item, Model};
use crate::mount::Mount;
use ossfs_ledger::Ledger;
use ossfs_store::ObjectStore;
use ossfs_types::Prefix;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

impl Play {
    /// All is done: the bucket alone says it.
    pub(in super::super) fn check_end(&mut self) {
        self.gate.let_questions_pass();
        // What may still arrive is waited for before the last records go.
        let soon = std::iter::repeat_n(WAIT, 20);
        for time in soon.chain(std::iter::repeat_n(Duration::from_secs(1), 40)) {
            self.pass(time);
            let waiting = self.gate.waiting();
            for ask in &waiting {
                self.note_deletion(ask);
                self.gate.decide(ask, Fate::Served);
            }
        }
        let failures = self.mount.volume.unsettled().failures;
        assert!(failures.is_empty() || self.outsider_acted, "{failures:?}");
        let ledger = self.journal.load().unwrap();
        assert!(ledger.is_empty() || !failures.is_empty(), "left in the ledger: {ledger:#?}");
        let uploads = self.runtime.block_on(self.bucket.list_uploads(&Prefix::all(), None)).unwrap().uploads;
        assert!(uploads.is_empty(), "left of uploads: {uploads:?}");
        let objects = self.objects();
        let hidden: Vec<&String> = objects.keys().filter(|key| key.starts_with(".ossfs/moved/")).collect();
        assert!(hidden.is_empty(), "left: {hidden:?}");
        if self.outsider_acted {
            return self.check_end_with_outsider(&objects);
        }
        self.check_view();
        assert_eq!(self.possible.len(), 1, "a look tells which it is");
        self.check_bucket(&objects);
        let fresh = self.view_of_fresh();
        let agreed = self.possible.iter().any(|model| agrees(&fresh, model));
        assert!(agreed, "a fresh mount shows {}; {}", shown_out(&fresh), self.expected(&self.possible));
    }

    /// The bucket has an object for each name, a list for each file of several names, and markers.
    fn check_bucket(&self, objects: &Objects) {
        let model = &self.possible[0];
        let (lists, objects): (Vec<_>, Vec<_>) = objects.iter().partition(|(key, _)| key.starts_with(LISTS));
        let mut files = 0;
        for (key, (bytes, _)) in objects {
            match key.strip_suffix('/').or(key.strip_suffix("_$folder$")) {
                Some(directory) => assert!(model.is_directory(directory), "{key} is left"),
                None => {
                    files += 1;
                    let file = model.file(key).map(|file| &model.files[file].bytes);
                    assert!(file == Some(bytes), "{key}={}; {}", shortened(bytes), self.expected(&self.possible));
                }
            }
        }
        let names = model.items.values().filter(|item| matches!(item, Item::File(_))).count();
        assert_eq!(files, names, "objects and names; {}", self.expected(&self.possible));
        let listed: Vec<BTreeSet<&str>> =
            lists.iter().map(|(_, (text, _))| std::str::from_utf8(text).unwrap().lines().skip(1).collect()).collect();
        let several = names_of_several(model);
        assert_eq!(listed.len(), several.len(), "lists and files of several names: {listed:?}");
        for names in several {
            assert!(listed.contains(&names), "there is no list of {names:?}; {listed:?}");
        }
    }

    fn view_of_fresh(&self) -> Shown {
        let gate = Arc::new(Gate::new(self.bucket.clone()));
        gate.let_questions_pass();
        let shown = self.runtime.block_on(async {
            let volume = open(&gate, &Arc::default(), &self.clock);
            view(&Mount::of(self.bucket.clone(), volume, options())).await
        });
        shown.unwrap_or_else(|error| panic!("a fresh mount can't look: {error:?}"))
    }

    /// Nothing of anybody's is lost.
    fn check_end_with_outsider(&mut self, objects: &Objects) {
        let mut kept = contents(&self.possible[0]);
        for model in &self.possible[1..] {
            let others = contents(model);
            kept.retain(|bytes| others.contains(bytes));
        }
        kept.retain(|bytes| !self.forsaken.contains(bytes));
        if let Some(Outsider::Puts(key, text)) = &self.scene.outsider
            && !self.outsider_was_too_quick
            && !self.destroyed.iter().any(|name| key.split('/').any(|component| component == name))
        {
            kept.insert(text.bytes());
        }
        for bytes in &kept {
            let there = objects.values().any(|(object, _)| object == bytes);
            assert!(there, "{} is lost; left are {objects:?}", shortened(bytes));
        }
        self.pass(options().metadata_ttl + Duration::from_secs(1));
        let shown = self.runtime.block_on(view(&self.mount)).unwrap_or_else(|error| panic!("it can't look: {error:?}"));
        let fresh = self.view_of_fresh();
        let same = !self.mount.volume.unsettled().failures.is_empty() || shown == fresh;
        assert!(same, "it shows {}, a fresh mount {}", shown_out(&shown), shown_out(&fresh));
    }
}

/// The names of each file that has several.
fn names_of_several(model: &Model) -> Vec<BTreeSet<&str>> {
    let mut names: HashMap<usize, BTreeSet<&str>> = HashMap::new();
    for (path, item) in &model.items {
        if let Item::File(file) = item {
            names.entry(*file).or_default().insert(path);
        }
    }
    names.into_values().filter(|names| names.len() > 1).collect()
}
