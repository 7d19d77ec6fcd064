//! What every ledger must do, as checks.

use crate::api::Ledger;
use crate::schema::{
    Change, Claim, ContentExtent, ContentRecord, ContentSource, Expect, Home, Ident, Intent, IntentKind, Link,
    LinkList, NodeId, NodeRecord, OpenUpload, Piece, Record, RecordKey, SentPart, Tomb, UploadPart,
};
use ossfs_types::{Attributes, ByteRange, Crc64, ETag, FileKind, Key, Timestamp};
use std::collections::BTreeMap;

/// More than fit in one page, one transaction or one second of any implementation.
const MANY: u64 = 5_000;
/// As many changes as the largest transactions have.
const CHANGES_MAX: usize = 100;

const CHECKS: &[fn(&dyn Ledger)] = &[
    what_was_committed_is_loaded_in_order,
    a_change_without_a_record_removes_it,
    the_last_change_of_a_key_counts,
    every_kind_of_record_is_loaded_as_it_was,
    the_longest_keys_are_kept_apart,
    thousands_of_records,
    commits_and_syncs_of_several_threads,
];

/// Opens the ledger of one place again.
type Open<'a> = &'a dyn Fn() -> Box<dyn Ledger>;

const DURABLE_CHECKS: &[fn(Open<'_>)] =
    &[what_was_committed_is_there_again, what_was_changed_again_and_again_is_as_it_was_last];

fn claim(prefix: &str, node: u64) -> Change {
    let record = Record::Claim(Claim { directory: NodeId(node), cursor: None });
    Change { key: RecordKey::Claim(prefix.into()), record: Some(record) }
}

fn name(name: &str, node: u64) -> Change {
    Change { key: RecordKey::Name(NodeId::ROOT, name.into()), record: Some(Record::Name(NodeId(node))) }
}

fn removal(change: &Change) -> Change {
    Change { key: change.key.clone(), record: None }
}

/// What is loaded after changes, by the definition.
fn after<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Vec<(RecordKey, Record)> {
    let mut records = BTreeMap::new();
    for Change { key, record } in changes {
        match record {
            Some(record) => drop(records.insert(key.clone(), record.clone())),
            None => drop(records.remove(key)),
        }
    }
    records.into_iter().collect()
}

fn commit(ledger: &dyn Ledger, changes: &[Change]) {
    ledger.commit(changes).expect("a commit succeeds");
}

/// Runs the checks, each on an empty ledger that `make` gives.
///
/// # Panics
///
/// If the ledger does not keep to the contract.
pub fn run(make: impl Fn() -> Box<dyn Ledger>) {
    for check in CHECKS {
        check(&*make());
    }
}

/// Runs the checks of [`run`], and that a ledger which is opened again is as it was: each in an empty place that `place`
/// gives, where `open` opens the ledger, never twice at a time.
///
/// # Panics
///
/// If the ledger does not keep to the contract.
pub fn run_durable<P>(place: impl Fn() -> P, open: impl Fn(&P) -> Box<dyn Ledger>) {
    for check in CHECKS {
        let place = place();
        check(&*open(&place));
    }
    for check in DURABLE_CHECKS {
        let place = place();
        check(&|| open(&place));
    }
}

fn what_was_committed_is_loaded_in_order(ledger: &dyn Ledger) {
    let changes = [claim("b/", 3), name("z", 2), name("a", 4), claim("a/", 5)];
    commit(ledger, &changes);
    ledger.sync().expect("a sync succeeds");
    assert_eq!(ledger.load(), Ok(after(&changes)));
}

fn a_change_without_a_record_removes_it(ledger: &dyn Ledger) {
    let changes = [name("a", 2), name("b", 3)];
    commit(ledger, &changes);
    commit(ledger, &[removal(&changes[0]), removal(&name("never there", 9))]);
    assert_eq!(ledger.load(), Ok(after(&changes[1..])));
}

fn the_last_change_of_a_key_counts(ledger: &dyn Ledger) {
    let changes = [name("a", 2), removal(&name("a", 2)), name("a", 3), name("b", 4), removal(&name("b", 4))];
    commit(ledger, &changes);
    commit(ledger, &[]);
    assert_eq!(ledger.load(), Ok(after(&[name("a", 3)])));
}

/// One record of each kind with all that it can have, and one with as little as it can have.
pub(crate) fn every_kind() -> Vec<Change> {
    let mut records = kinds_of_version_1();
    if let Some(Record::Node(full)) = &mut records[0].record {
        full.xattrs = Some("%7B%22user.a%22%3A%22eA%3D%3D%22%7D".into());
    }
    for record in &mut records {
        if let Some(Record::Intent(intent)) = &mut record.record
            && intent.upload.is_some()
        {
            intent.begun = Some(Timestamp::new(-1, -999_999_999).expect("just before 1970 is a time"));
        }
    }
    records.extend(contents());
    records.extend(links());
    records.extend(appendables());
    records
}

/// Files of several names: each state of their list, and a home that is not as the others are.
fn links() -> Vec<Change> {
    let node = kinds_of_version_1().into_iter().find_map(|change| match change.record {
        Some(Record::Node(node)) => Some(node),
        _ => None,
    });
    let node = node.expect("it is among the kinds");
    let ident = node.current.clone().expect("it has all that a node can have");
    let lists = [LinkList::Absent, LinkList::Unsure, LinkList::Says(Crc64::from_u64(u64::MAX))];
    let nodes = lists.into_iter().zip(20..).map(|(list, id)| {
        let link = Some(Link { id: format!("{id:016x}").into(), list });
        (RecordKey::Node(NodeId(id)), Record::Node(NodeRecord { link, ..node.clone() }))
    });
    let home = Record::Home(Home { node: NodeId(20), ident, stale: true });
    let stale = (RecordKey::Home(Key::parse("stale").expect("it has the form of keys")), home);
    nodes.chain([stale]).map(|(key, record)| Change { key, record: Some(record) }).collect()
}

/// A file that is an appendable object, and what is about to be appended to it.
fn appendables() -> [Change; 2] {
    let etag = ETag::parse("5D41402ABC4B2A76B9719D911017C592").expect("it has the form of ETags");
    let ident = Ident { etag, size: 9, crc64: Some(Crc64::from_u64(1)), last_modified: None };
    let node = NodeRecord {
        kind: FileKind::File,
        current: Some(ident.clone()),
        generation: 2,
        settled_generation: 1,
        attributes: None,
        attributes_generation: 2,
        settled_attributes_generation: 1,
        wants_marker: false,
        target: None,
        xattrs: None,
        link: None,
        appendable: true,
        attributes_set: 1,
    };
    let intent = Intent {
        node: NodeId(5),
        kind: IntentKind::Append,
        expect: Expect::Present(ident),
        token: "token".into(),
        generation: 2,
        attributes_generation: 2,
        source: None,
        upload: None,
        begun: None,
        makes: Some((u64::MAX, Crc64::from_u64(u64::MAX))),
    };
    let key = Key::parse("log").expect("it has the form of keys");
    [
        Change { key: RecordKey::Node(NodeId(5)), record: Some(Record::Node(node)) },
        Change { key: RecordKey::Intent(key), record: Some(Record::Intent(intent)) },
    ]
}

/// A content that is in every place at once, and an empty one.
fn contents() -> [Change; 2] {
    let piece = Piece { segment: 9, offset: 1 << 40, len: 4, crc64: Crc64::from_u64(u64::MAX) };
    let etag = ETag::parse("5D41402ABC4B2A76B9719D911017C592").expect("it has the form of ETags");
    let ident = Ident { etag: etag.clone(), size: 9, crc64: None, last_modified: None };
    let key = Key::parse("lender").expect("it has the form of keys");
    let sources = [
        ContentSource::Base,
        ContentSource::Zero,
        ContentSource::Staged { piece, offset: 1 },
        ContentSource::Borrowed { key, ident, offset: 6 },
        ContentSource::Sent,
    ];
    let extents = (0..).step_by(3).zip(sources).map(|(start, source)| {
        let range = ByteRange::at(start, 3).expect("a few bytes");
        ContentExtent { range, generation: start, source }
    });
    let sent = |crc64| UploadPart { len: 8, sent: Some(SentPart { etag: etag.clone(), crc64 }) };
    let parts = vec![sent(Some(Crc64::from_u64(u64::MAX))), sent(None), UploadPart { len: u64::MAX - 16, sent: None }];
    let upload = Some(OpenUpload { id: "upload".into(), generation: 3, parts });
    let full = ContentRecord { generation: u64::MAX, extents: extents.collect(), upload };
    let bare = ContentRecord { generation: 1, extents: Vec::new(), upload: None };
    [(2, full), (u64::MAX, bare)]
        .map(|(node, content)| Change { key: RecordKey::Content(NodeId(node)), record: Some(Record::Content(content)) })
}

/// The same, as far as it was in format 1.
pub(crate) fn kinds_of_version_1() -> Vec<Change> {
    let time = Timestamp::new(-1, -999_999_999).expect("just before 1970 is a time");
    let etag = ETag::parse("5D41402ABC4B2A76B9719D911017C592-3").expect("it has the form of ETags");
    let full = Ident {
        etag,
        size: u64::MAX,
        crc64: Some(Crc64::from_u64(u64::MAX)),
        last_modified: Some(Timestamp::UNIX_EPOCH),
    };
    let bare = Ident { crc64: None, last_modified: None, size: 0, ..full.clone() };
    let attributes =
        Attributes { mode: 0o4755, uid: u32::MAX, gid: 0, atime: time, mtime: Timestamp::MAX, ctime: time, rdev: 7 };
    let full_node = NodeRecord {
        kind: FileKind::Symlink,
        current: Some(full.clone()),
        generation: 4,
        settled_generation: 3,
        attributes: Some(attributes),
        attributes_generation: 2,
        settled_attributes_generation: 1,
        wants_marker: true,
        target: Some(b"../\xff".as_slice().into()),
        xattrs: None,
        link: None,
        appendable: false,
        attributes_set: 2,
    };
    let bare_node = NodeRecord {
        kind: FileKind::Directory,
        current: None,
        attributes: None,
        wants_marker: false,
        target: None,
        ..full_node.clone()
    };
    let key = |text| Key::parse(text).expect("it has the form of keys");
    let full_intent = Intent {
        node: NodeId(7),
        kind: IntentKind::Hide,
        expect: Expect::PresentOrAbsent(full.clone()),
        token: "token".into(),
        generation: 4,
        attributes_generation: 2,
        source: Some((key("from"), bare.clone())),
        upload: Some("upload".into()),
        begun: None,
        makes: None,
    };
    let bare_intent = Intent { expect: Expect::Absent, source: None, upload: None, ..full_intent.clone() };
    let records = [
        (RecordKey::Node(NodeId(2)), Record::Node(full_node)),
        (RecordKey::Node(NodeId(u64::MAX)), Record::Node(bare_node)),
        (RecordKey::Name(NodeId(2), "a\nb".into()), Record::Name(NodeId(3))),
        (RecordKey::Home(key("same")), Record::Home(Home { node: NodeId(2), ident: full.clone(), stale: false })),
        (RecordKey::Tomb(key("same")), Record::Tomb(Tomb { ident: bare })),
        (RecordKey::Intent(key("same")), Record::Intent(full_intent)),
        (RecordKey::Intent(key("other")), Record::Intent(bare_intent)),
        (RecordKey::Claim("same".into()), Record::Claim(Claim { directory: NodeId(2), cursor: Some("same/x".into()) })),
        (RecordKey::Claim("目录/".into()), Record::Claim(Claim { directory: NodeId(2), cursor: None })),
    ];
    records.into_iter().map(|(key, record)| Change { key, record: Some(record) }).collect()
}

fn every_kind_of_record_is_loaded_as_it_was(ledger: &dyn Ledger) {
    let changes = every_kind();
    commit(ledger, &changes);
    assert_eq!(ledger.load(), Ok(after(&changes)));
    commit(ledger, &changes.iter().map(removal).collect::<Vec<_>>());
    assert_eq!(ledger.load(), Ok(Vec::new()));
}

fn the_longest_keys_are_kept_apart(ledger: &dyn Ledger) {
    let long = "é".repeat((ossfs_types::limits::KEY_BYTES_MAX - 1) / 2);
    let changes: Vec<_> = ["a", "b", "c"]
        .iter()
        .flat_map(|end| [claim(&(long.clone() + end), 2), name(&(long.clone() + end), 3)])
        .collect();
    commit(ledger, &changes);
    assert_eq!(ledger.load(), Ok(after(&changes)));
}

fn thousands_of_records(ledger: &dyn Ledger) {
    let mut changes: Vec<_> = (0..MANY).map(|number| name(&format!("{}", number * 7919 % MANY), number)).collect();
    changes.extend((0..MANY).step_by(2).map(|number| removal(&name(&number.to_string(), 0))));
    for transaction in changes.chunks(CHANGES_MAX) {
        commit(ledger, transaction);
    }
    assert_eq!(ledger.load(), Ok(after(&changes)));
}

fn commits_and_syncs_of_several_threads(ledger: &dyn Ledger) {
    let changes = |thread: u64| (0..50).map(move |number| name(&format!("{thread} {number}"), number));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for (number, change) in changes(thread).enumerate() {
                    commit(ledger, &[change]);
                    if number % 10 == 0 {
                        ledger.sync().expect("a sync succeeds");
                    }
                }
            });
        }
    });
    assert_eq!(ledger.load(), Ok(after(&(0..4).flat_map(changes).collect::<Vec<_>>())));
}

fn what_was_committed_is_there_again(open: Open<'_>) {
    let (synced, committed) = (every_kind(), [name("a", 2), claim("a/", 3)]);
    {
        let ledger = open();
        commit(&*ledger, &synced);
        ledger.sync().expect("a sync succeeds");
        commit(&*ledger, &committed);
    }
    let all = after(synced.iter().chain(&committed));
    assert_eq!(open().load(), Ok(all.clone()));
    {
        // Without looking at it.
        open();
    }
    assert_eq!(open().load(), Ok(all));
}

fn what_was_changed_again_and_again_is_as_it_was_last(open: Open<'_>) {
    let mut all = Vec::new();
    for round in 0..5 {
        let ledger = open();
        assert_eq!(ledger.load(), Ok(after(&all)), "{round}");
        let changes =
            [name("same", round), name(&round.to_string(), round), removal(&name(&(round / 2).to_string(), 0))];
        commit(&*ledger, &changes);
        all.extend(changes);
        assert_eq!(ledger.load(), Ok(after(&all)), "{round}");
    }
}
