//! One page of a listing, as a pure function of the sorted keys.
//!
//! The cost is that of the entries of the page: common prefixes are jumped over, never scanned.

use ossfs_types::Key;
use std::collections::BTreeMap;
use std::ops::Bound;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a> {
    pub(crate) prefix: &'a str,
    /// Empty for none.
    pub(crate) delimiter: &'a str,
    /// Only what comes after it; empty for the beginning.
    pub(crate) after: &'a str,
    /// Most entries of the page: keys and common prefixes together.
    pub(crate) max: usize,
}

/// One line of a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a, T> {
    Item(&'a Key, &'a T),
    /// Stands for all keys that begin with it.
    CommonPrefix(&'a str),
}

/// One page.
#[derive(Debug)]
pub(crate) struct Page<'a, T> {
    pub(crate) entries: Vec<Entry<'a, T>>,
    /// There is more after this; give it as `after`.
    pub(crate) next: Option<&'a str>,
}

/// The page that a query asks for.
pub(crate) fn page<'a, T>(items: &'a BTreeMap<Key, T>, query: Query<'_>) -> Page<'a, T> {
    let mut entries = Vec::new();
    let mut last: Option<&'a str> = None;
    let Some(mut from) = first_bound(&query) else { return Page { entries, next: None } };
    'seek: loop {
        for (key, item) in items.range::<str, _>((bound_ref(&from), Bound::Unbounded)) {
            let text = key.as_str();
            if !text.starts_with(query.prefix) {
                break 'seek;
            }
            if entries.len() == query.max {
                return Page { entries, next: last };
            }
            let Some(common) = common_prefix(text, &query) else {
                entries.push(Entry::Item(key, item));
                last = Some(text);
                continue;
            };
            entries.push(Entry::CommonPrefix(common));
            last = Some(common);
            match successor(common) {
                Some(next) => from = Bound::Included(next),
                None => break 'seek,
            }
            continue 'seek;
        }
        break;
    }
    Page { entries, next: None }
}

/// Where a page begins: at the prefix, or after the marker. A marker that is itself a common prefix stands for all keys
/// that begin with it. `None` if nothing can come after it.
fn first_bound(query: &Query<'_>) -> Option<Bound<String>> {
    if query.after < query.prefix {
        return Some(Bound::Included(query.prefix.to_owned()));
    }
    if query.after.is_empty() {
        return Some(Bound::Unbounded);
    }
    match common_prefix(query.after, query) {
        Some(common) if common == query.after => successor(common).map(Bound::Included),
        _ => Some(Bound::Excluded(query.after.to_owned())),
    }
}

fn bound_ref(bound: &Bound<String>) -> Bound<&str> {
    match bound {
        Bound::Included(text) => Bound::Included(text),
        Bound::Excluded(text) => Bound::Excluded(text),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// The part of a key up to and including the first delimiter after the prefix.
fn common_prefix<'k>(key: &'k str, query: &Query<'_>) -> Option<&'k str> {
    if query.delimiter.is_empty() {
        return None;
    }
    let rest = key.strip_prefix(query.prefix)?;
    let at = rest.find(query.delimiter)?;
    Some(&key[..query.prefix.len() + at + query.delimiter.len()])
}

/// The smallest text after all texts that begin with `prefix`. Texts sort by bytes, which is by code points.
fn successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        let next = match u32::from(last) + 1 {
            // Surrogates are no characters.
            0xD800 => char::from_u32(0xE000),
            code => char::from_u32(code),
        };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// The rules, spelt out: group, then drop what is not after the marker, then cut.
    fn model(keys: &BTreeSet<String>, query: Query<'_>) -> (Vec<String>, bool) {
        let mut lines: Vec<String> = Vec::new();
        for key in keys.iter().filter(|key| key.starts_with(query.prefix)) {
            let line = match key[query.prefix.len()..].find(query.delimiter) {
                Some(at) if !query.delimiter.is_empty() => {
                    key[..query.prefix.len() + at + query.delimiter.len()].to_owned() + "*"
                }
                _ => key.clone(),
            };
            let is_after = key.as_str() > query.after && line.strip_suffix('*') != Some(query.after);
            if is_after && lines.last() != Some(&line) {
                lines.push(line);
            }
        }
        let truncated = lines.len() > query.max;
        lines.truncate(query.max);
        (lines, truncated)
    }

    fn lines<T>(page: &Page<'_, T>) -> Vec<String> {
        let line = |entry: &Entry<'_, T>| match entry {
            Entry::Item(key, _) => key.as_str().to_owned(),
            Entry::CommonPrefix(prefix) => format!("{prefix}*"),
        };
        page.entries.iter().map(line).collect()
    }

    proptest! {
        #[test]
        fn agrees_with_the_rules(
            keys in proptest::collection::btree_set("[ab/é\u{10ffff}]{1,6}", 0..30),
            prefix in "[ab/]{0,2}",
            delimiter in prop_oneof![Just(""), Just("/"), Just("b"), Just("ab"), Just("\u{10ffff}")],
            after in "[ab/\u{10ffff}]{0,4}",
            max in 1usize..6,
        ) {
            let keys: BTreeSet<String> = keys.into_iter().filter(|key| !key.starts_with('/')).collect();
            let items = keys.iter().map(|key| (Key::parse(key).unwrap(), ())).collect();
            let query = Query { prefix: &prefix, delimiter, after: &after, max };
            let got = page(&items, query);
            let (expected, truncated) = model(&keys, query);
            prop_assert_eq!(lines(&got), expected);
            prop_assert_eq!(got.next.is_some(), truncated);

            // All pages together are one large page.
            let (all, _) = model(&keys, Query { max: usize::MAX, ..query });
            let mut paged = Vec::new();
            let mut marker = after.clone();
            loop {
                let got = page(&items, Query { after: &marker, ..query });
                paged.extend(lines(&got));
                let Some(next) = got.next else { break };
                marker = next.to_owned();
            }
            prop_assert_eq!(paged, all);
        }
    }

    #[test]
    fn a_million_keys_under_few_prefixes_cost_few_steps() {
        let items: BTreeMap<Key, ()> =
            (0..200_000).map(|n| (Key::parse(&format!("d{}/{n:07}", n % 4)).unwrap(), ())).collect();
        let started = std::time::Instant::now();
        for _ in 0..1000 {
            let got = page(&items, Query { prefix: "", delimiter: "/", after: "", max: 100 });
            assert_eq!(lines(&got), ["d0/*", "d1/*", "d2/*", "d3/*"]);
        }
        assert!(started.elapsed().as_millis() < 1000, "{:?}", started.elapsed());
    }
}
