//! Whether objects are still the ones that are meant: a page of a listing tells it of up to a thousand at once.

use crate::core::Core;
use crate::tree::{Sighting, ident_of_stat};
use ossfs_ledger::Ident;
use ossfs_store::{Kind, ListRequest, Result};
use ossfs_types::limits::LIST_KEYS_MAX;
use ossfs_types::{Key, Prefix};
use std::collections::VecDeque;

/// So many entries are asked for beyond the keys that are looked for: others may lie between them.
const ENTRIES_SPARE: usize = 8;
/// After a page that told of few keys the next one is shorter: so many entries for each of them.
const ENTRIES_A_KEY: usize = 3;

/// What the bucket shows at a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The object that is meant.
    Same,
    /// Another one.
    Other,
    /// None.
    Gone,
}

/// Keys that are to be looked at, in their order.
#[derive(Debug)]
pub(super) struct Suspects {
    left: VecDeque<(Key, Ident)>,
    /// Keys that the page before told of.
    told: usize,
}

impl Suspects {
    /// These keys, in their order, with the objects that are meant.
    pub(super) fn new(keys: impl IntoIterator<Item = (Key, Ident)>) -> Self {
        Self { left: keys.into_iter().collect(), told: LIST_KEYS_MAX }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    pub(super) fn into_keys(self) -> impl Iterator<Item = Key> {
        self.left.into_iter().map(|(key, _)| key)
    }

    /// The listing that tells of the first key, and of as many more as it may.
    fn request(&self) -> Option<ListRequest> {
        let (first, last) = (self.left.front()?.0.as_str(), self.left.back()?.0.as_str());
        let same = first.chars().zip(last.chars()).take_while(|(one, other)| one == other);
        let common: usize = same.map(|(letter, _)| letter.len_utf8()).sum();
        let prefix = Prefix::parse(&first[..common]).ok()?;
        let wanted = self.left.len() + self.left.len() / 2 + ENTRIES_SPARE;
        let entries_max = wanted.min(self.told * ENTRIES_A_KEY + ENTRIES_SPARE).min(LIST_KEYS_MAX);
        Some(ListRequest { start_after: before(first), entries_max, ..ListRequest::all(prefix) })
    }

    /// What a page tells of the keys up to its last entry; of all keys, if it is the last page.
    fn judge(&mut self, page: &[Sighting], is_last: bool) -> Vec<(Key, Verdict)> {
        let reached = page.last().map(|entry| entry.key.clone());
        let mut entries = page.iter().peekable();
        let mut told = Vec::new();
        while let Some((key, _)) = self.left.front() {
            if !is_last && reached.as_ref().is_none_or(|reached| key > reached) {
                break;
            }
            let Some((key, ident)) = self.left.pop_front() else { break };
            while entries.next_if(|entry| entry.key < key).is_some() {}
            let found = entries.next_if(|entry| entry.key == key);
            told.push((key, found.map_or(Verdict::Gone, |found| verdict(&ident, &found.ident))));
        }
        self.told = told.len();
        told
    }
}

fn verdict(meant: &Ident, found: &Ident) -> Verdict {
    if meant.matches(found) { Verdict::Same } else { Verdict::Other }
}

/// A text just before a key: between the two there is next to nothing.
fn before(key: &str) -> Option<String> {
    let last = key.chars().next_back()?;
    let lower = char::from_u32(u32::from(last).checked_sub(1)?)?;
    Some(format!("{}{lower}\u{10FFFD}", &key[..key.len() - last.len_utf8()]))
}

impl Core {
    /// Asks once; at least one key is judged.
    pub(super) async fn look_at(&self, suspects: &mut Suspects) -> Result<Vec<(Key, Verdict)>> {
        if suspects.left.len() > 1
            && let Some(request) = suspects.request()
        {
            let page = self.store.list(&request).await?;
            let entries: Vec<Sighting> = page.objects.into_iter().map(Sighting::from).collect();
            let told = suspects.judge(&entries, page.next.is_none());
            if !told.is_empty() {
                return Ok(told);
            }
        }
        let Some((key, ident)) = suspects.left.front() else { return Ok(Vec::new()) };
        let seen = match self.store.stat(key).await {
            Ok(stat) => verdict(ident, &ident_of_stat(stat)),
            Err(error) if error.kind() == Kind::NotFound => Verdict::Gone,
            Err(error) => return Err(error),
        };
        Ok(suspects.left.pop_front().map(|(key, _)| (key, seen)).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ossfs_types::ETag;

    fn ident(etag: &str) -> Ident {
        Ident { etag: ETag::parse(etag).unwrap(), size: 1, crc64: None, last_modified: None }
    }

    fn key(key: &str) -> Key {
        Key::parse(key).unwrap()
    }

    fn suspects(keys: &[&str]) -> Suspects {
        Suspects::new(keys.iter().map(|text| (key(text), ident("A"))))
    }

    fn seen(objects: &[(&str, &str)]) -> Vec<Sighting> {
        let sighting = |(text, etag): &(&str, &str)| Sighting {
            key: key(text),
            ident: ident(etag),
            kind: None,
            native: false,
            appendable: false,
        };
        objects.iter().map(sighting).collect()
    }

    #[test]
    fn a_page_tells_of_the_keys_up_to_its_end() {
        let mut all = suspects(&["d/1", "d/3", "d/5", "d/9"]);
        let page = seen(&[("d/1", "A"), ("d/2", "A"), ("d/5", "B"), ("d/6", "A")]);
        let told = all.judge(&page, false);
        assert_eq!(told, [(key("d/1"), Verdict::Same), (key("d/3"), Verdict::Gone), (key("d/5"), Verdict::Other)]);
        assert_eq!(all.judge(&[], false), []);
        assert_eq!(all.judge(&[], true), [(key("d/9"), Verdict::Gone)]);
        assert!(all.is_empty());
    }

    #[test]
    fn a_listing_begins_just_before_the_first_key() {
        let request = suspects(&["d/é1", "d/é5"]).request().unwrap();
        assert_eq!((request.prefix.as_str(), request.start_after.as_deref()), ("d/é", Some("d/é0\u{10FFFD}")));
        for text in ["a", "a/", "é", "\u{10FFFF}", "a\u{E000}", " "] {
            assert!(before(text).is_none_or(|before| *before < *text), "{text:?}");
        }
        // Few keys on a long page: the next one is short.
        let mut sparse = suspects(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]);
        assert_eq!(sparse.request().unwrap().entries_max, 12 + 6 + ENTRIES_SPARE);
        sparse.judge(&seen(&[("a", "A"), ("aa", "A")]), false);
        assert_eq!(sparse.request().unwrap().entries_max, ENTRIES_A_KEY + ENTRIES_SPARE);
    }
}
