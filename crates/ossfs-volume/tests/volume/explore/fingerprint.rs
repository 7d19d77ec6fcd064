//! What makes two states of the world the same, without what is random in them.

use super::gate::nameless;
use super::journal::Journal;
use super::play::Objects;
use ossfs_ledger::{Expect, Intent, Ledger, NodeId, Record, RecordKey};
use ossfs_store::{MemoryStore, ObjectStore};
use ossfs_types::Prefix;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hash;

/// A bucket without what is random in its keys.
pub(super) fn hash_objects(objects: &Objects, hasher: &mut DefaultHasher) {
    let mut all: Vec<_> = objects.iter().map(|(key, object)| (nameless(key), object)).collect();
    all.sort();
    all.hash(hasher);
}

/// Uploads that are open, and their parts.
pub(super) async fn hash_uploads(bucket: &MemoryStore, hasher: &mut DefaultHasher) {
    for open in bucket.list_uploads(&Prefix::all(), None).await.unwrap().uploads {
        let parts = bucket.list_parts(&open.upload, None).await.unwrap().parts;
        let sizes: Vec<(u32, u64)> = parts.iter().map(|part| (part.number.value(), part.size)).collect();
        (nameless(open.upload.key.as_str()), sizes).hash(hasher);
    }
}

/// A ledger without numbers, tokens and times.
pub(super) fn hash_ledger(journal: &Journal, hasher: &mut DefaultHasher) {
    let records = journal.load().unwrap();
    let names: HashMap<NodeId, (NodeId, String)> = records
        .iter()
        .filter_map(|(key, record)| match (key, record) {
            (RecordKey::Name(parent, name), Record::Name(id)) => Some((*id, (*parent, name.to_string()))),
            _ => None,
        })
        .collect();
    let path = |id: NodeId| {
        let mut path = String::new();
        let mut at = id;
        while let Some((parent, name)) = names.get(&at) {
            path = format!("{name}/{path}");
            at = *parent;
        }
        path
    };
    let mut lines: Vec<String> = records
        .iter()
        .map(|(key, record)| match (key, record) {
            (RecordKey::Node(id), Record::Node(node)) => {
                let dirty = node.generation != node.settled_generation;
                let described = node.attributes_generation == node.settled_attributes_generation;
                let etag = node.current.as_ref().map(|ident| ident.etag.as_str().to_owned());
                let mode = node.attributes.map(|attributes| attributes.mode);
                let list = node.link.as_ref().map(|link| link.list);
                let (path, kind, marker) = (path(*id), node.kind, node.wants_marker);
                format!("n {path} {kind:?} {dirty} {described} {etag:?} {mode:?} {marker} {list:?}")
            }
            (RecordKey::Name(parent, name), Record::Name(id)) => format!("d {}{name} {}", path(*parent), path(*id)),
            (RecordKey::Home(key), Record::Home(home)) => {
                let (key, etag) = (nameless(key.as_str()), home.ident.etag.as_str());
                format!("h {key} {} {etag} {}", path(home.node), home.stale)
            }
            (RecordKey::Tomb(key), Record::Tomb(tomb)) => {
                format!("t {} {}", nameless(key.as_str()), tomb.ident.etag.as_str())
            }
            (RecordKey::Intent(key), Record::Intent(intent)) => {
                format!("i {} {} {}", nameless(key.as_str()), path(intent.node), intended(intent))
            }
            (RecordKey::Claim(prefix), Record::Claim(claim)) => {
                format!("p {prefix} {} {:?}", path(claim.directory), claim.cursor)
            }
            other => format!("{other:?}"),
        })
        .collect();
    lines.sort();
    lines.hash(hasher);
}

fn intended(intent: &Intent) -> String {
    let expect = match &intent.expect {
        Expect::Absent => "absent".to_owned(),
        Expect::Present(ident) => ident.etag.as_str().to_owned(),
        Expect::PresentOrAbsent(ident) => format!("{}?", ident.etag.as_str()),
    };
    let source = intent.source.as_ref().map(|(key, ident)| (nameless(key.as_str()), ident.etag.as_str().to_owned()));
    let begun = (intent.begun.is_some(), intent.upload.is_some());
    format!("{:?} {expect} {source:?} {begun:?}", intent.kind)
}
