//! Arbitrary records, for the tests.

use crate::schema::{
    Claim, ContentExtent, ContentRecord, ContentSource, Expect, Home, Ident, Intent, IntentKind, Link, LinkList,
    NodeId, NodeRecord, OpenUpload, Piece, Record, RecordKey, SentPart, Tomb, UploadPart,
};
use ossfs_types::{Attributes, ByteRange, Crc64, ETag, FileKind, Key, Timestamp};
use proptest::option::of;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    // Few letters, so that some are beginnings of others; some of several bytes, the lowest and the highest among them.
    let letters = prop::sample::select(vec!['\0', '/', 'a', 'b', 'é', '目', '\u{10FFFF}']);
    let short = proptest::collection::vec(letters, 1..6).prop_map(|letters| letters.into_iter().collect());
    prop_oneof![9 => short, 1 => Just("a".repeat(ossfs_types::limits::KEY_BYTES_MAX))]
}

fn key() -> impl Strategy<Value = Key> {
    text().prop_filter_map("no key begins with a slash", |text| Key::parse(&text).ok())
}

fn node() -> impl Strategy<Value = NodeId> {
    prop_oneof![0..3u64, any::<u64>()].prop_map(NodeId)
}

/// Any key.
pub(crate) fn arbitrary_key() -> impl Strategy<Value = RecordKey> {
    prop_oneof![
        node().prop_map(RecordKey::Node),
        (node(), text()).prop_map(|(node, name)| RecordKey::Name(node, name.into())),
        key().prop_map(RecordKey::Home),
        key().prop_map(RecordKey::Tomb),
        key().prop_map(RecordKey::Intent),
        text().prop_map(|prefix| RecordKey::Claim(prefix.into())),
        node().prop_map(RecordKey::Content),
    ]
}

fn time() -> impl Strategy<Value = Timestamp> {
    let range = Timestamp::MIN.as_nanosecond()..=Timestamp::MAX.as_nanosecond();
    range.prop_map(|nanosecond| Timestamp::from_nanosecond(nanosecond).expect("the range is that of times"))
}

fn ident() -> impl Strategy<Value = Ident> {
    ("[!#-~]{1,40}", any::<u64>(), of(any::<u64>()), of(time())).prop_map(|(etag, size, crc64, last_modified)| Ident {
        etag: ETag::parse(&etag).expect("the pattern is that of ETags"),
        size,
        crc64: crc64.map(Crc64::from_u64),
        last_modified,
    })
}

fn attributes() -> impl Strategy<Value = Attributes> {
    (any::<[u32; 4]>(), time(), time(), time()).prop_map(|([mode, uid, gid, rdev], atime, mtime, ctime)| Attributes {
        mode,
        uid,
        gid,
        atime,
        mtime,
        ctime,
        rdev,
    })
}

fn node_record() -> impl Strategy<Value = NodeRecord> {
    let kind = prop::sample::select(vec![
        FileKind::File,
        FileKind::Directory,
        FileKind::Symlink,
        FileKind::Fifo,
        FileKind::Socket,
        FileKind::CharDevice,
        FileKind::BlockDevice,
    ]);
    let target = of(proptest::collection::vec(any::<u8>(), 0..9));
    let says = any::<u64>().prop_map(|crc64| LinkList::Says(Crc64::from_u64(crc64)));
    let list = prop_oneof![Just(LinkList::Absent), Just(LinkList::Unsure), says];
    let link = of(("[0-9a-f]{16}", list).prop_map(|(id, list)| Link { id: id.into(), list }));
    let (flags, texts) = (any::<[bool; 2]>(), (of(".{0,9}"), link));
    (kind, of(ident()), of(attributes()), any::<[u64; 5]>(), flags, target, texts).prop_map(
        |(kind, current, attributes, [one, two, three, four, five], [wants_marker, appendable], target, texts)| {
            let (xattrs, link) = texts;
            NodeRecord {
                kind,
                current,
                generation: one,
                settled_generation: two,
                attributes,
                attributes_generation: three,
                settled_attributes_generation: four,
                wants_marker,
                target: target.map(Into::into),
                xattrs: xattrs.map(Into::into),
                link,
                appendable,
                attributes_set: five,
            }
        },
    )
}

fn intent() -> impl Strategy<Value = Intent> {
    let kind = prop::sample::select(vec![
        IntentKind::Put,
        IntentKind::Multipart,
        IntentKind::Copy,
        IntentKind::Describe,
        IntentKind::Hide,
        IntentKind::Append,
    ]);
    let makes = of(any::<[u64; 2]>().prop_map(|[size, crc64]| (size, Crc64::from_u64(crc64))));
    let expect =
        prop_oneof![Just(Expect::Absent), ident().prop_map(Expect::Present), ident().prop_map(Expect::PresentOrAbsent)];
    let upload = (of(".{0,9}"), of(time()));
    (node(), kind, expect, ".{0,9}", any::<[u64; 2]>(), of((key(), ident())), upload, makes).prop_map(
        |(node, kind, expect, token, [generation, attributes_generation], source, (upload, begun), makes)| Intent {
            node,
            kind,
            expect,
            token: token.into(),
            generation,
            attributes_generation,
            source,
            upload: upload.map(Into::into),
            begun,
            makes,
        },
    )
}

fn content_source() -> impl Strategy<Value = ContentSource> {
    let piece = any::<[u64; 3]>().prop_map(|[segment, offset, crc64]| Piece {
        segment,
        offset,
        len: u64::MAX,
        crc64: Crc64::from_u64(crc64),
    });
    prop_oneof![
        Just(ContentSource::Base),
        Just(ContentSource::Zero),
        (piece, 0..9u64).prop_map(|(piece, offset)| ContentSource::Staged { piece, offset }),
        (key(), ident(), any::<u64>()).prop_map(|(key, ident, offset)| ContentSource::Borrowed { key, ident, offset }),
        Just(ContentSource::Sent),
    ]
}

fn upload() -> impl Strategy<Value = OpenUpload> {
    let sent = ("[!#-~]{1,40}", of(any::<u64>())).prop_map(|(etag, crc64)| SentPart {
        etag: ETag::parse(&etag).expect("the pattern is that of ETags"),
        crc64: crc64.map(Crc64::from_u64),
    });
    let part = (1..1_000_000u64, of(sent)).prop_map(|(len, sent)| UploadPart { len, sent });
    let parts = proptest::collection::vec(part, 0..4);
    (".{1,9}", any::<u64>(), parts).prop_map(|(id, generation, parts)| OpenUpload { id: id.into(), generation, parts })
}

fn content() -> impl Strategy<Value = ContentRecord> {
    let extents = proptest::collection::vec((1..1_000_000u64, any::<u64>(), content_source()), 0..5);
    (any::<u64>(), extents, of(upload())).prop_map(|(generation, extents, upload)| {
        let mut end = 0;
        let extents = extents.into_iter().map(|(len, generation, source)| {
            let range = ByteRange::at(end, len).expect("a few bytes");
            end = range.end();
            let nowhere = source == ContentSource::Sent && upload.is_none();
            ContentExtent { range, generation, source: if nowhere { ContentSource::Zero } else { source } }
        });
        let extents = extents.collect();
        ContentRecord { generation, extents, upload }
    })
}

/// Any record at a key of its kind.
pub(crate) fn arbitrary_pair() -> impl Strategy<Value = (RecordKey, Record)> {
    let node_at = node().prop_map(RecordKey::Node);
    prop_oneof![
        (node_at, node_record().prop_map(Record::Node)),
        ((node(), text()).prop_map(|(id, name)| RecordKey::Name(id, name.into())), node().prop_map(Record::Name)),
        (
            key().prop_map(RecordKey::Home),
            (node(), ident(), any::<bool>()).prop_map(|(node, ident, stale)| Record::Home(Home { node, ident, stale })),
        ),
        (key().prop_map(RecordKey::Tomb), ident().prop_map(|ident| Record::Tomb(Tomb { ident }))),
        (key().prop_map(RecordKey::Intent), intent().prop_map(Record::Intent)),
        (
            text().prop_map(|prefix| RecordKey::Claim(prefix.into())),
            (node(), of(text()))
                .prop_map(|(directory, cursor)| { Record::Claim(Claim { directory, cursor: cursor.map(Into::into) }) }),
        ),
        (node().prop_map(RecordKey::Content), content().prop_map(Record::Content)),
    ]
}
