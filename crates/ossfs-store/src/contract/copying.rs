//! Copies on the server.

use super::{Bench, assert_kind, case_table, value};
use crate::api::{CopyOptions, CopySource, Metadata, PutOptions, WriteHeaders};
use crate::error::Kind;
use ossfs_types::ETag;

case_table! {
    a_copy_has_the_bytes_and_the_metadata
    a_copy_can_have_other_metadata
    an_object_copied_onto_itself_changes_its_metadata
    a_copy_can_be_pinned_to_a_version
    a_copy_can_leave_a_taken_name_alone
    an_appendable_object_is_not_copied
}

fn source(bench: &Bench, name: &str) -> CopySource {
    CopySource { key: bench.key(name), if_match: None }
}

fn metadata(mode: &str) -> Metadata {
    let user = [("mode".to_owned(), value(mode))].into();
    Metadata { content_type: Some(value("text/plain")), user, ..Metadata::default() }
}

async fn put_with(bench: &Bench, name: &str, mode: &str) {
    let options = PutOptions { metadata: metadata(mode), ..PutOptions::default() };
    bench.store.put(&bench.key(name), "content".into(), &options).await.expect("a put succeeds");
}

async fn mode_of(bench: &Bench, name: &str) -> String {
    let meta = bench.store.head(&bench.key(name)).await.expect("it is there");
    meta.metadata.user["mode"].to_str().expect("it was put so").to_owned()
}

async fn a_copy_has_the_bytes_and_the_metadata(bench: &Bench) {
    for (from, to) in [("a", "b"), ("odd +%&文", "to?=😀")] {
        put_with(bench, from, "1").await;
        let copied = bench.store.copy(&source(bench, from), &bench.key(to), &CopyOptions::default()).await;
        let meta = bench.store.head(&bench.key(to)).await.expect("it is there");
        assert_eq!(copied.expect("a copy succeeds").etag, meta.etag);
        assert_eq!(meta.metadata, metadata("1"));
        assert_eq!(bench.content(to).await, "content");
        assert_eq!(bench.content(from).await, "content");
    }
    let absent = bench.store.copy(&source(bench, "none"), &bench.key("b"), &CopyOptions::default()).await;
    assert_kind(absent, Kind::NotFound);
}

async fn a_copy_can_have_other_metadata(bench: &Bench) {
    put_with(bench, "a", "1").await;
    let options = CopyOptions { replace_metadata: Some(metadata("2")), ..CopyOptions::default() };
    bench.store.copy(&source(bench, "a"), &bench.key("b"), &options).await.expect("a copy succeeds");
    assert_eq!((mode_of(bench, "a").await.as_str(), mode_of(bench, "b").await.as_str()), ("1", "2"));
}

async fn an_object_copied_onto_itself_changes_its_metadata(bench: &Bench) {
    put_with(bench, "a", "1").await;
    let options = CopyOptions { replace_metadata: Some(metadata("2")), ..CopyOptions::default() };
    bench.store.copy(&source(bench, "a"), &bench.key("a"), &options).await.expect("a copy succeeds");
    assert_eq!(mode_of(bench, "a").await, "2");
    assert_eq!(bench.content("a").await, "content");
    let dropping = bench.store.copy(&source(bench, "a"), &bench.key("a"), &CopyOptions::default()).await;
    assert_kind(dropping, Kind::Invalid);
    assert_eq!(mode_of(bench, "a").await, "2");
}

async fn a_copy_can_be_pinned_to_a_version(bench: &Bench) {
    let old = bench.put("a", "old").await;
    bench.put("a", "new").await;
    let pinned = |etag: ETag| CopySource { if_match: Some(etag), ..source(bench, "a") };
    let key = bench.key("b");
    assert_kind(bench.store.copy(&pinned(old.etag), &key, &CopyOptions::default()).await, Kind::Precondition);
    assert_kind(bench.store.head(&key).await, Kind::NotFound);
    let current = bench.store.head(&bench.key("a")).await.expect("it is there").etag;
    bench.store.copy(&pinned(current), &key, &CopyOptions::default()).await.expect("the version is there");
}

async fn a_copy_can_leave_a_taken_name_alone(bench: &Bench) {
    bench.put("a", "a").await;
    bench.put("b", "b").await;
    let headers = WriteHeaders { forbid_overwrite: true, ..WriteHeaders::default() };
    let options = CopyOptions { headers, ..CopyOptions::default() };
    assert_kind(bench.store.copy(&source(bench, "a"), &bench.key("b"), &options).await, Kind::AlreadyExists);
    assert_eq!(bench.content("b").await, "b");
    bench.store.copy(&source(bench, "a"), &bench.key("c"), &options).await.expect("the name is free");
}

async fn an_appendable_object_is_not_copied(bench: &Bench) {
    let appended = bench.store.append(&bench.key("log"), 0, "x".into(), &Default::default()).await;
    appended.expect("an append succeeds");
    let copied = bench.store.copy(&source(bench, "log"), &bench.key("b"), &CopyOptions::default()).await;
    assert_kind(copied, Kind::WrongType);
}
