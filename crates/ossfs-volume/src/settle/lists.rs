//! The lists of names of files that have several: written once all objects are there, garbage once one name is left.
//!
//! Nobody else has any business at their keys, so a list is written without a look; whatever arrives late is awaited.

use super::plan::Step;
use super::resolve::QUARANTINE;
use crate::core::Core;
use crate::format::list_of;
use crate::tree::{Tree, Work};
use ossfs_ledger::{LinkList, NodeId};
use ossfs_store::{Error, Kind, Metadata, Payload, PutOptions, WriteHeaders};
use ossfs_types::{Crc64, Key};
use tokio::time::Instant;

/// A list to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    key: Key,
    text: String,
}

impl Tree {
    /// What is to be done about the list of a node whose objects are all at these keys.
    pub(super) fn next_list_step(&mut self, id: NodeId, keys: &[Key], now: Instant) -> Option<Step> {
        let link = self.node(id)?.link.clone()?;
        if keys.len() < 2 {
            self.end_link(id);
            return None;
        }
        let text = self.list_text(keys);
        if link.list == LinkList::Says(Crc64::of(text.as_bytes())) {
            return None;
        }
        let key = self.list_key(&link.id)?;
        if let Some(until) = self.quarantined(&key, now) {
            return Some(Step::Later(until));
        }
        if !self.busy.insert(key.clone()) {
            self.wait_for(&key, Work::Node(id));
            return Some(Step::Blocked);
        }
        self.set_list(id, LinkList::Unsure);
        Some(Step::List(Listing { key, text }))
    }

    /// Whether a node has no list, or the right one.
    pub(super) fn list_is_right(&self, id: NodeId, keys: &[Key]) -> bool {
        let Some(link) = self.node(id).and_then(|node| node.link.as_ref()) else { return true };
        keys.len() > 1 && link.list == LinkList::Says(Crc64::of(self.list_text(keys).as_bytes()))
    }

    fn list_text(&self, keys: &[Key]) -> String {
        let prefix = self.prefix_of(NodeId::ROOT).unwrap_or_default();
        let mut names: Vec<&str> = keys.iter().filter_map(|key| key.as_str().strip_prefix(&prefix)).collect();
        names.sort_unstable();
        list_of(names)
    }
}

impl Core {
    /// Writes the list of a file's names.
    pub(super) async fn write_list(&self, id: NodeId, listing: Listing) {
        let crc64 = Crc64::of(listing.text.as_bytes());
        let written = self.put_list(&listing).await;
        self.change(|world| {
            let tree = &mut world.tree;
            tree.busy.remove(&listing.key);
            tree.wake(&listing.key);
            match &written {
                Ok(()) => tree.set_list(id, LinkList::Says(crc64)),
                Err(error) if error.kind() == Kind::Unknown => {
                    let now = Instant::now();
                    tree.set_quarantine(&listing.key, now + QUARANTINE, now);
                }
                Err(_) => {}
            }
        });
        if let Err(error) = written {
            self.note_failure(id, &error);
        }
    }

    async fn put_list(&self, listing: &Listing) -> ossfs_store::Result<()> {
        // What it says must not outlive the names that the ledger has.
        let synced = self.sync_ledger().await;
        synced.map_err(|error| Error::new(Kind::Unavailable, "settle", error.to_string()))?;
        let metadata = Metadata {
            content_type: Some(http::HeaderValue::from_static("text/plain; charset=utf-8")),
            ..Metadata::default()
        };
        let headers = WriteHeaders { forbid_overwrite: false, ..self.options.headers.clone() };
        let payload = Payload::from(listing.text.clone().into_bytes());
        self.store.put(&listing.key, payload, &PutOptions { metadata, headers }).await.map(drop)
    }
}
