//! Multipart uploads.

use super::{Bench, assert_kind, case_table, noise, range, value};
use crate::api::{CopySource, ObjectType, Part, PartNumber, PutOptions, Upload, UploadId};
use crate::error::Kind;
use ossfs_types::limits::PART_BYTES_MIN;
use ossfs_types::{Crc64, ETag};

case_table! {
    parts_make_an_object
    parts_are_copied_from_objects
    a_part_is_replaced_by_one_of_its_number
    parts_must_ascend_exist_and_be_large_enough
    a_completion_can_leave_a_taken_name_alone
    an_upload_ends_once
    uploads_and_parts_are_listed
    an_appendable_object_is_no_source_of_parts
}

const MIN: usize = PART_BYTES_MIN as usize;

fn number(value: u32) -> PartNumber {
    PartNumber::new(value).expect("a part number")
}

async fn begin(bench: &Bench, name: &str) -> Upload {
    bench.store.create_upload(&bench.key(name), &PutOptions::default()).await.expect("an upload begins")
}

async fn part(bench: &Bench, upload: &Upload, at: u32, bytes: &[u8]) -> Part {
    let uploaded = bench.store.upload_part(upload, number(at), bytes.to_vec().into()).await;
    uploaded.expect("a part is uploaded")
}

async fn parts_make_an_object(bench: &Bench) {
    let bytes = noise(2 * MIN + 77, 2);
    let mut options = PutOptions::default();
    options.metadata.user.insert("mode".to_owned(), value("7"));
    let upload = bench.store.create_upload(&bench.key("m"), &options).await.expect("an upload begins");
    assert_kind(bench.store.head(&bench.key("m")).await, Kind::NotFound);
    let last = part(bench, &upload, 9000, &bytes[2 * MIN..]).await;
    let first = part(bench, &upload, 1, &bytes[..MIN]).await;
    let second = part(bench, &upload, 3, &bytes[MIN..2 * MIN]).await;
    assert_eq!((first.size, first.crc64), (PART_BYTES_MIN, Some(Crc64::of(&bytes[..MIN]))));
    let written = bench.store.complete_upload(&upload, &[first, second, last], false).await.expect("complete");
    assert_eq!(bench.content("m").await, bytes);
    let meta = bench.store.head(&bench.key("m")).await.expect("it is there");
    assert_eq!(
        (meta.object_type, meta.etag, meta.crc64),
        (ObjectType::Multipart, written.etag, Some(Crc64::of(&bytes)))
    );
    assert_eq!(meta.metadata.user["mode"], value("7"));
}

async fn parts_are_copied_from_objects(bench: &Bench) {
    let bytes = noise(3 * MIN, 3);
    let written = bench.put("source", bytes.clone()).await;
    let source = CopySource { key: bench.key("source"), if_match: Some(written.etag) };
    let upload = begin(bench, "m").await;
    let copy = |at, from: usize, to: usize, source: CopySource| {
        let upload = upload.clone();
        async move { bench.store.upload_part_copy(&upload, number(at), &source, range(from as u64, to as u64)).await }
    };
    let first = copy(1, MIN, 2 * MIN + 5, source.clone()).await.expect("a part is copied");
    let second = part(bench, &upload, 2, &[7; MIN]).await;
    let third = copy(3, 0, 3, source.clone()).await.expect("a part is copied");
    assert_eq!(first.size, PART_BYTES_MIN + 5);
    let stale = CopySource { if_match: ETag::parse("0123"), ..source.clone() };
    assert_kind(copy(4, 0, MIN, stale).await, Kind::Precondition);
    let absent = CopySource { key: bench.key("none"), if_match: None };
    assert_kind(copy(4, 0, MIN, absent).await, Kind::NotFound);
    assert_kind(copy(4, 3, 3, source).await, Kind::Invalid);
    bench.store.complete_upload(&upload, &[first, second, third], false).await.expect("complete");
    let expected = [&bytes[MIN..2 * MIN + 5], &[7; MIN], &bytes[..3]].concat();
    assert_eq!(bench.content("m").await, expected);
}

async fn a_part_is_replaced_by_one_of_its_number(bench: &Bench) {
    let upload = begin(bench, "m").await;
    let stale = part(bench, &upload, 1, b"stale").await;
    let fresh = part(bench, &upload, 1, b"fresh").await;
    assert_kind(bench.store.complete_upload(&upload, &[stale], false).await, Kind::Invalid);
    bench.store.complete_upload(&upload, &[fresh], false).await.expect("complete");
    assert_eq!(bench.content("m").await, "fresh");
}

async fn parts_must_ascend_exist_and_be_large_enough(bench: &Bench) {
    let upload = begin(bench, "m").await;
    let large = part(bench, &upload, 1, &[1; MIN]).await;
    let small = part(bench, &upload, 2, &[2; MIN - 1]).await;
    let last = part(bench, &upload, 3, b"3").await;
    let absent = Part { number: number(4), ..last.clone() };
    let complete = |parts: Vec<Part>| {
        let upload = upload.clone();
        async move { bench.store.complete_upload(&upload, &parts, false).await }
    };
    assert_kind(complete(vec![last.clone(), large.clone()]).await, Kind::Invalid);
    assert_kind(complete(vec![large.clone(), large.clone()]).await, Kind::Invalid);
    assert_kind(complete(vec![large.clone(), small, last.clone()]).await, Kind::Invalid);
    assert_kind(complete(vec![large.clone(), absent]).await, Kind::Invalid);
    assert_kind(complete(vec![]).await, Kind::Invalid);
    complete(vec![large, last]).await.expect("parts may be left out");
    assert_eq!(bench.store.head(&bench.key("m")).await.expect("it is there").size, PART_BYTES_MIN + 1);
}

async fn a_completion_can_leave_a_taken_name_alone(bench: &Bench) {
    let upload = begin(bench, "m").await;
    let only = part(bench, &upload, 1, b"uploaded").await;
    bench.put("m", "put").await;
    let parts = [only];
    assert_kind(bench.store.complete_upload(&upload, &parts, true).await, Kind::AlreadyExists);
    assert_eq!(bench.content("m").await, "put");
    bench.store.complete_upload(&upload, &parts, false).await.expect("the upload is still there");
    assert_eq!(bench.content("m").await, "uploaded");
}

async fn an_upload_ends_once(bench: &Bench) {
    let upload = begin(bench, "m").await;
    let parts = [part(bench, &upload, 1, b"x").await];
    bench.store.complete_upload(&upload, &parts, false).await.expect("complete");
    assert_kind(bench.store.complete_upload(&upload, &parts, false).await, Kind::UploadNotFound);
    assert!(!bench.store.abort_upload(&upload).await.expect("it is gone"));
    assert_eq!(bench.content("m").await, "x");
    let aborted = begin(bench, "n").await;
    part(bench, &aborted, 1, b"x").await;
    assert!(bench.store.abort_upload(&aborted).await.expect("aborted"));
    assert!(!bench.store.abort_upload(&aborted).await.expect("it is gone"));
    let late = bench.store.upload_part(&aborted, number(2), "x".into()).await;
    assert_kind(late, Kind::UploadNotFound);
    let unknown = Upload { key: bench.key("m"), id: UploadId::parse("0000").expect("an id") };
    assert_kind(bench.store.list_parts(&unknown, None).await, Kind::UploadNotFound);
}

async fn uploads_and_parts_are_listed(bench: &Bench) {
    let mut begun = vec![begin(bench, "a").await, begin(bench, "a").await, begin(bench, "b 文").await];
    begun.sort_by(|one, other| (&one.key, one.id.as_str()).cmp(&(&other.key, other.id.as_str())));
    let page = bench.store.list_uploads(&bench.prefix(""), None).await.expect("a listing succeeds");
    let listed: Vec<Upload> = page.uploads.into_iter().map(|entry| entry.upload).collect();
    assert_eq!((listed, page.next), (begun.clone(), None));
    let page = bench.store.list_uploads(&bench.prefix("b"), None).await.expect("a listing succeeds");
    assert_eq!(page.uploads.len(), 1);
    let parts = [part(bench, &begun[0], 2, b"two").await, part(bench, &begun[0], 10, b"ten").await];
    let page = bench.store.list_parts(&begun[0], None).await.expect("a listing succeeds");
    let brief =
        |parts: &[Part]| parts.iter().map(|part| (part.number, part.etag.clone(), part.size)).collect::<Vec<_>>();
    assert_eq!((brief(&page.parts), page.next), (brief(&parts), None));
    let page = bench.store.list_parts(&begun[0], Some(number(2))).await.expect("a listing succeeds");
    assert_eq!(brief(&page.parts), brief(&parts[1..]));
    for upload in &begun {
        assert!(bench.store.abort_upload(upload).await.expect("aborted"));
    }
}

async fn an_appendable_object_is_no_source_of_parts(bench: &Bench) {
    let bytes = noise(MIN, 4);
    bench.store.append(&bench.key("log"), 0, bytes.into(), &Default::default()).await.expect("an append succeeds");
    let upload = begin(bench, "m").await;
    let source = CopySource { key: bench.key("log"), if_match: None };
    let copied = bench.store.upload_part_copy(&upload, number(1), &source, range(0, PART_BYTES_MIN)).await;
    assert_kind(copied, Kind::WrongType);
    bench.store.abort_upload(&upload).await.expect("aborted");
}
