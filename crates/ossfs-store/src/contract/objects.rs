//! Putting, reading, looking, deleting.

use super::{Bench, assert_kind, case_table, noise, range, value};
use crate::api::{BucketStat, GetOptions, Metadata, ObjectType, Payload, PutOptions, Versioning};
use crate::error::Kind;
use bytes::Bytes;
use ossfs_types::limits::{DELETE_KEYS_MAX, KEY_BYTES_MAX};
use ossfs_types::{Crc64, Key};

case_table! {
    what_is_put_is_read
    an_empty_object_is_an_object
    a_range_is_cut_at_the_end
    metadata_comes_back_as_it_was_put
    metadata_that_oss_does_not_take_is_refused
    a_new_version_replaces_the_old
    what_is_not_there_is_not_found
    what_is_deleted_is_gone
    many_are_deleted_at_once
    odd_keys_are_keys
    appends_need_the_length
    appended_objects_keep_their_first_metadata
    the_bucket_describes_itself
}

async fn what_is_put_is_read(bench: &Bench) {
    let bytes = noise(300_000, 1);
    let chunks: Vec<Bytes> = bytes.chunks(70_001).map(Bytes::copy_from_slice).collect();
    let written = bench.put("a", chunks).await;
    assert_eq!(written.crc64, Some(Crc64::of(&bytes)));
    assert_eq!(bench.content("a").await, bytes);
    let meta = bench.store.head(&bench.key("a")).await.expect("it is there");
    assert_eq!((meta.size, meta.etag.clone(), meta.crc64), (300_000, written.etag, written.crc64));
    assert_eq!(meta.object_type, ObjectType::Normal);
    assert_eq!(meta.last_modified.subsec_nanosecond(), 0);
    let stat = bench.store.stat(&bench.key("a")).await.expect("it is there");
    assert_eq!((stat.size, stat.etag, stat.last_modified), (meta.size, meta.etag, meta.last_modified));
}

async fn an_empty_object_is_an_object(bench: &Bench) {
    bench.put("empty", Payload::empty()).await;
    assert_eq!(bench.content("empty").await, "");
    assert_eq!(bench.store.head(&bench.key("empty")).await.expect("it is there").crc64, Some(Crc64::EMPTY));
    let some = GetOptions { range: Some(range(0, 1)), ..GetOptions::default() };
    assert_kind(bench.read("empty", &some).await, Kind::InvalidRange);
}

async fn a_range_is_cut_at_the_end(bench: &Bench) {
    bench.put("ten", "0123456789").await;
    let read = |start, end| async move {
        let options = GetOptions { range: Some(range(start, end)), ..GetOptions::default() };
        bench.store.read(&bench.key("ten"), &options, &bench.pool).await
    };
    for (start, end, expected) in [(0, 10, "0123456789"), (0, 1, "0"), (9, 10, "9"), (3, 7, "3456"), (8, 1 << 40, "89")]
    {
        let fetched = read(start, end).await.expect("the range begins within");
        assert_eq!((&fetched.bytes[..], fetched.range), (expected.as_bytes(), range(start, end.min(10))));
        assert_eq!((fetched.meta.size, fetched.crc64), (10, Some(Crc64::of(expected.as_bytes()))));
    }
    assert_kind(read(10, 11).await, Kind::InvalidRange);
    assert_kind(read(99, 100).await, Kind::InvalidRange);
    assert_kind(read(5, 5).await, Kind::Invalid);
}

async fn metadata_comes_back_as_it_was_put(bench: &Bench) {
    let user = [("mode", "33188"), ("mtime", "1700000000.123456789"), ("a-b-c", "x y;z"), ("empty", "")];
    let metadata = Metadata {
        content_type: Some(value("text/html; charset=utf-8")),
        cache_control: Some(value("max-age=60")),
        content_disposition: Some(value("attachment; filename=\"a\"")),
        content_encoding: Some(value("identity")),
        content_language: Some(value("zh-CN")),
        expires: Some(value("Wed, 01 Jan 2031 00:00:00 GMT")),
        user: user.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect(),
    };
    let options = PutOptions { metadata: metadata.clone(), ..PutOptions::default() };
    bench.store.put(&bench.key("m"), "x".into(), &options).await.expect("a put succeeds");
    assert_eq!(bench.store.head(&bench.key("m")).await.expect("it is there").metadata, metadata);
    let got = bench.store.get(&bench.key("m"), &GetOptions::default()).await.expect("it is there");
    assert_eq!(got.meta.metadata, metadata);
}

async fn metadata_that_oss_does_not_take_is_refused(bench: &Bench) {
    let put = |name: &'static str, bytes: usize| async move {
        let mut options = PutOptions::default();
        for part in 0..4 {
            options.metadata.user.insert(format!("{name}{part}"), value(&"v".repeat(bytes / 4)));
        }
        bench.store.put(&bench.key("m"), "x".into(), &options).await
    };
    put("p-", 8000).await.expect("within the limit");
    assert_kind(put("p-", 8600).await, Kind::Invalid);
    for name in ["a_b", "a b", "é", "Mode"] {
        assert_kind(put(name, 4).await, Kind::Invalid);
    }
}

async fn a_new_version_replaces_the_old(bench: &Bench) {
    let old = bench.put("v", "old").await;
    let new = bench.put("v", "newer").await;
    assert_ne!(old.etag, new.etag);
    assert_eq!(bench.content("v").await, "newer");
}

async fn what_is_not_there_is_not_found(bench: &Bench) {
    let key = bench.key("none");
    assert_kind(bench.store.head(&key).await, Kind::NotFound);
    assert_kind(bench.store.stat(&key).await, Kind::NotFound);
    assert_kind(bench.store.get(&key, &GetOptions::default()).await, Kind::NotFound);
    assert_kind(bench.store.get_symlink(&key).await, Kind::NotFound);
    bench.store.delete(&key).await.expect("deleting nothing succeeds");
}

async fn what_is_deleted_is_gone(bench: &Bench) {
    bench.put("d", "x").await;
    bench.store.delete(&bench.key("d")).await.expect("a delete succeeds");
    assert_kind(bench.store.head(&bench.key("d")).await, Kind::NotFound);
}

async fn many_are_deleted_at_once(bench: &Bench) {
    let names = ["plain", "a<&>'\"b", "with space+plus%25", "文件 😀", "control\u{1}\r\n", "absent"];
    for name in &names[..5] {
        bench.put(name, "x").await;
    }
    bench.put("kept", "x").await;
    let keys: Vec<Key> = names.iter().map(|name| bench.key(name)).collect();
    assert_eq!(bench.store.delete_many(&keys).await.expect("deletes succeed"), keys);
    for key in &keys {
        assert_kind(bench.store.stat(key).await, Kind::NotFound);
    }
    assert_eq!(bench.content("kept").await, "x");
    assert_eq!(bench.store.delete_many(&[]).await.expect("nothing to do"), []);
    let many: Vec<Key> = (0..=DELETE_KEYS_MAX).map(|number| bench.key(&number.to_string())).collect();
    assert_eq!(bench.store.delete_many(&many[1..]).await.expect("1,000 at once").len(), DELETE_KEYS_MAX);
    assert_kind(bench.store.delete_many(&many).await, Kind::Invalid);
}

async fn odd_keys_are_keys(bench: &Bench) {
    let room = KEY_BYTES_MAX - bench.prefix.len();
    let long = "长".repeat(room / 3);
    let names =
        ["a//b", "..", "./x/../y", "dir/", " ", "a%2Fb", "a+b c", "?q=1&r#f", "é", "😀", "\u{7f}", "\t", "\\", &long];
    for (index, name) in names.iter().enumerate() {
        bench.put(name, vec![u8::try_from(index).expect("few names"); index + 1]).await;
    }
    for (index, name) in names.iter().enumerate() {
        let expected = vec![u8::try_from(index).expect("few names"); index + 1];
        assert_eq!(bench.content(name).await, expected, "{name:?}");
    }
}

async fn appends_need_the_length(bench: &Bench) {
    let key = bench.key("log");
    let append = |position, text: &'static str| {
        let key = key.clone();
        async move { bench.store.append(&key, position, text.into(), &Default::default()).await }
    };
    assert_kind(append(5, "x").await, Kind::WrongPosition { length: Some(0) });
    let first = append(0, "hello").await.expect("creates");
    assert_eq!((first.next_position, first.crc64), (5, Some(Crc64::of(b"hello"))));
    assert_kind(append(0, "again").await, Kind::WrongPosition { length: Some(5) });
    assert_kind(append(4, "x").await, Kind::WrongPosition { length: Some(5) });
    let second = append(5, " world").await.expect("the position is the length");
    assert_eq!((second.next_position, second.crc64), (11, Some(Crc64::of(b"hello world"))));
    assert_eq!(bench.content("log").await, "hello world");
    assert_eq!(bench.store.head(&key).await.expect("it is there").object_type, ObjectType::Appendable);
    bench.put("normal", "x").await;
    let onto_normal = bench.store.append(&bench.key("normal"), 1, "y".into(), &Default::default()).await;
    assert_kind(onto_normal, Kind::WrongType);
}

async fn appended_objects_keep_their_first_metadata(bench: &Bench) {
    let key = bench.key("log");
    let mut options = crate::api::AppendOptions::default();
    options.put.metadata.user.insert("mode".to_owned(), value("1"));
    bench.store.append(&key, 0, "a".into(), &options).await.expect("creates");
    options.crc64_before = Some(Crc64::of(b"a"));
    bench.store.append(&key, 1, "b".into(), &options).await.expect("appends");
    let meta = bench.store.head(&key).await.expect("it is there");
    assert_eq!((meta.size, meta.metadata.user["mode"].clone()), (2, value("1")));
}

async fn the_bucket_describes_itself(bench: &Bench) {
    bench.put("counted", "12345").await;
    let info = bench.store.bucket_info().await.expect("there is a bucket");
    assert!(!info.name.is_empty() && !info.hierarchical);
    assert_eq!(info.versioning, Versioning::Unversioned);
    let BucketStat { bytes, objects, .. } = bench.store.bucket_stat().await.expect("there is a bucket");
    assert!(bytes >= 5 && objects >= 1);
}
