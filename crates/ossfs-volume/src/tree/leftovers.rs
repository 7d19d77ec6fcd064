//! What the bucket still has at names that a directory has lost.

use super::Tree;
use crate::format::LEGACY_MARKER_SUFFIX;
use ossfs_ledger::NodeId;
use ossfs_types::Key;
use std::collections::BTreeMap;
use std::ops::Bound;

impl Tree {
    /// Whether an object directly in a directory is garbage, or content of a node that is on its way elsewhere.
    pub(crate) fn has_leftovers(&self, directory: NodeId) -> bool {
        let Some(prefix) = self.prefix_of(directory) else { return false };
        if directly_below(&self.tombs, &prefix).next().is_some() {
            return true;
        }
        directly_below(&self.homes, &prefix).any(|(name, id)| {
            let name = name.trim_end_matches('/');
            let name = name.strip_suffix(LEGACY_MARKER_SUFFIX).unwrap_or(name);
            !name.is_empty() && self.child(directory, name) != Some(*id) && !self.is_settled(*id)
        })
    }
}

/// Keys directly below a prefix, without it. What lies deeper is skipped, not walked.
fn directly_below<'a, T>(map: &'a BTreeMap<Key, T>, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a T)> {
    let mut from = Bound::Included(prefix.to_owned());
    std::iter::from_fn(move || {
        loop {
            let (key, value) = map.range::<str, _>((from.as_ref().map(String::as_str), Bound::Unbounded)).next()?;
            let rest = key.as_str().strip_prefix(prefix)?;
            match rest.find('/').filter(|slash| slash + 1 < rest.len()) {
                // The character after `/`.
                Some(slash) => from = Bound::Included(format!("{prefix}{}0", &rest[..slash])),
                None => {
                    from = Bound::Excluded(key.to_string());
                    return Some((rest, value));
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_deeper_is_not_directly_below() {
        let keys = ["a/", "a/b", "a/b/c", "a/b/d/e", "a/b0", "a/d/", "a/d/x", "a0", "b"];
        let map: BTreeMap<Key, ()> = keys.into_iter().map(|key| (Key::parse(key).unwrap(), ())).collect();
        let below = |prefix| directly_below(&map, prefix).map(|(rest, ())| rest).collect::<Vec<_>>();
        assert_eq!(below("a/"), ["", "b", "b0", "d/"]);
        assert_eq!(below(""), ["a/", "a0", "b"]);
        assert_eq!(below("c/"), [""; 0]);
    }
}
