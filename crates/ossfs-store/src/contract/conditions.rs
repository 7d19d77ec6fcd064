//! What happens only if the object is, or is not, what the caller thinks.

use super::{Bench, assert_kind, case_table, range};
use crate::api::{GetOptions, PutOptions, WriteHeaders};
use crate::error::Kind;
use ossfs_types::{ByteRange, ETag};

case_table! {
    a_name_that_is_taken_can_be_kept
    a_read_can_be_pinned_to_a_version
    a_read_that_has_begun_is_of_one_version
}

fn forbidding() -> PutOptions {
    PutOptions { headers: WriteHeaders { forbid_overwrite: true, ..Default::default() }, ..Default::default() }
}

async fn a_name_that_is_taken_can_be_kept(bench: &Bench) {
    let key = bench.key("f");
    bench.store.put(&key, "first".into(), &forbidding()).await.expect("the name is free");
    assert_kind(bench.store.put(&key, "second".into(), &forbidding()).await, Kind::AlreadyExists);
    assert_kind(bench.store.put_symlink(&key, &bench.key("x"), &forbidding()).await, Kind::AlreadyExists);
    assert_eq!(bench.content("f").await, "first");
}

async fn a_read_can_be_pinned_to_a_version(bench: &Bench) {
    let old = bench.put("v", "old").await;
    let pinned =
        |etag: &ETag, range: Option<ByteRange>| GetOptions { range, if_match: Some(etag.clone()), checksum: true };
    assert_eq!(bench.read("v", &pinned(&old.etag, None)).await.expect("the version is there"), "old");
    assert_eq!(bench.read("v", &pinned(&old.etag, Some(range(1, 3)))).await.expect("the version is there"), "ld");
    let new = bench.put("v", "new").await;
    assert_kind(bench.read("v", &pinned(&old.etag, None)).await, Kind::Precondition);
    assert_kind(bench.read("v", &pinned(&old.etag, Some(range(0, 1)))).await, Kind::Precondition);
    assert_eq!(bench.read("v", &pinned(&new.etag, None)).await.expect("the version is there"), "new");
}

async fn a_read_that_has_begun_is_of_one_version(bench: &Bench) {
    let len = 4 << 20;
    bench.put("v", vec![1; len]).await;
    let mut got = bench.store.get(&bench.key("v"), &GetOptions::default()).await.expect("it is there");
    let first = got.body.next().await.expect("bytes come").expect("there are bytes");
    bench.put("v", vec![2; len]).await;
    let mut total = first.len();
    while let Some(bytes) = got.body.next().await.expect("the old version goes on") {
        assert!(bytes.iter().all(|byte| *byte == 1), "two versions in one read");
        total += bytes.len();
    }
    assert_eq!(total, len);
}
