//! What makes two states of the world the same, without what is random in them.

use super::gate::nameless;
use super::journal::Journal;
use super::play::Objects;
use ossfs_ledger::{Expect, Intent, Ledger, NodeId, Record, RecordKey};
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hash;

/// A bucket without what is random in its keys.
pub(super) fn hash_objects(objects: &Objects, hasher: &mut DefaultHasher) {
    let mut all: Vec<_> = objects.iter().map(|(key, object)| (nameless(key), object)).collect();
    all.sort();
    all.hash(hasher);
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
                format!("n {} {:?} {dirty} {described} {etag:?} {mode:?} {}", path(*id), node.kind, node.wants_marker)
            }
            (RecordKey::Name(parent, name), _) => format!("d {}{name}", path(*parent)),
            (RecordKey::Home(key), Record::Home(home)) => {
                format!("h {} {} {}", nameless(key.as_str()), path(home.node), home.ident.etag.as_str())
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
    format!("{:?} {expect} {source:?} {}", intent.kind, intent.upload.is_some())
}
