//! Listings.

use super::{Bench, assert_kind, case_table};
use crate::api::{ListPage, ListRequest, ObjectType};
use crate::error::Kind;
use ossfs_types::Prefix;

case_table! {
    a_listing_is_complete_and_in_order
    a_directory_shows_its_entries_once
    a_listing_can_begin_after_a_name
    odd_names_are_listed_as_they_are
    a_listing_tells_what_each_object_is
    a_page_has_a_size
}

/// All pages, each of at most `entries_max` entries; every name as it was listed, prefixes with their slash.
async fn names(bench: &Bench, request: ListRequest) -> Vec<String> {
    let mut names = Vec::new();
    let mut request = request;
    loop {
        let page = bench.store.list(&request).await.expect("a listing succeeds");
        let ListPage { objects, prefixes, next } = page;
        assert!(objects.len() + prefixes.len() <= request.entries_max);
        let mut shown: Vec<String> = objects.iter().map(|object| object.key.to_string()).collect();
        shown.extend(prefixes.iter().map(Prefix::to_string));
        shown.sort();
        names.extend(shown.iter().map(|name| name[bench.prefix.len()..].to_owned()));
        match next {
            Some(next) => request.continuation = Some(next),
            None => break,
        }
    }
    assert!(names.is_sorted(), "pages are in order: {names:?}");
    names
}

async fn put_all(bench: &Bench, names: &[&str]) {
    for name in names {
        bench.put(name, "x").await;
    }
}

async fn a_listing_is_complete_and_in_order(bench: &Bench) {
    let all = ["A", "a", "a/b", "a/b/c", "a0", "b", "é", "文"];
    put_all(bench, &all).await;
    for entries_max in [1, 2, 3, 1000] {
        let request = ListRequest { entries_max, ..ListRequest::all(bench.prefix("")) };
        assert_eq!(names(bench, request).await, all);
    }
    assert_eq!(names(bench, ListRequest::all(bench.prefix("a"))).await, ["a", "a/b", "a/b/c", "a0"]);
    assert_eq!(names(bench, ListRequest::all(bench.prefix("none"))).await, [] as [&str; 0]);
}

async fn a_directory_shows_its_entries_once(bench: &Bench) {
    put_all(bench, &["a", "d/", "d/x", "d/y/1", "d/y/2", "d.txt", "d0/1", "e/f/g", "e/h"]).await;
    for entries_max in [1, 2, 3, 1000] {
        let directory = |name| ListRequest { entries_max, ..ListRequest::directory(bench.prefix(name)) };
        assert_eq!(names(bench, directory("")).await, ["a", "d.txt", "d/", "d0/", "e/"], "{entries_max} at once");
        assert_eq!(names(bench, directory("d/")).await, ["d/", "d/x", "d/y/"], "{entries_max} at once");
        assert_eq!(names(bench, directory("e/")).await, ["e/f/", "e/h"], "{entries_max} at once");
    }
}

async fn a_listing_can_begin_after_a_name(bench: &Bench) {
    put_all(bench, &["a", "b", "b/c", "d"]).await;
    let after =
        |name| ListRequest { start_after: Some(bench.key(name).to_string()), ..ListRequest::all(bench.prefix("")) };
    assert_eq!(names(bench, after("a")).await, ["b", "b/c", "d"]);
    assert_eq!(names(bench, after("b/")).await, ["b/c", "d"]);
    assert_eq!(names(bench, after("d")).await, [] as [&str; 0]);
    let within =
        ListRequest { start_after: Some(bench.key("b/a").to_string()), ..ListRequest::directory(bench.prefix("")) };
    assert_eq!(names(bench, within).await, ["b/", "d"], "what lies after the name is folded too");
}

async fn odd_names_are_listed_as_they_are(bench: &Bench) {
    let mut odd = [" ", "\t\u{1}", "%41", "&amp;", "+", "<x>", "a b/c", "\"'", "文/名", "😀"];
    odd.sort_unstable();
    put_all(bench, &odd).await;
    assert_eq!(names(bench, ListRequest::all(bench.prefix(""))).await, odd);
}

async fn a_listing_tells_what_each_object_is(bench: &Bench) {
    let written = bench.put("normal", "12345").await;
    bench.store.append(&bench.key("log"), 0, "12".into(), &Default::default()).await.expect("an append succeeds");
    bench.store.put_symlink(&bench.key("link"), &bench.key("normal"), &Default::default()).await.expect("a link");
    let page = bench.store.list(&ListRequest::all(bench.prefix(""))).await.expect("a listing succeeds");
    let types: Vec<ObjectType> = page.objects.iter().map(|object| object.object_type).collect();
    assert_eq!(types, [ObjectType::Symlink, ObjectType::Appendable, ObjectType::Normal]);
    let normal = &page.objects[2];
    assert_eq!((normal.size, &normal.etag), (5, &written.etag));
    let head = bench.store.head(&normal.key).await.expect("it is there");
    assert_eq!(head.last_modified.as_second(), normal.last_modified.as_second());
}

async fn a_page_has_a_size(bench: &Bench) {
    for entries_max in [0, 1001] {
        let request = ListRequest { entries_max, ..ListRequest::all(bench.prefix("")) };
        assert_kind(bench.store.list(&request).await, Kind::Invalid);
    }
}
