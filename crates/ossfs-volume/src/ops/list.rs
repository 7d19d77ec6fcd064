//! All names of a directory.

use super::{LOOKS_MAX, store_error};
use crate::core::Core;
use crate::errors::{Error, Result};
use crate::tree::Listed;
use ossfs_ledger::{Name, NodeId};
use ossfs_store::ListRequest;
use ossfs_types::Prefix;
use tokio::time::Instant;

impl Core {
    /// Sees to it that all names of a directory are known, and not too old.
    pub(super) async fn list(&self, directory: NodeId) -> Result<()> {
        let known = {
            let world = self.world();
            let node = world.tree.node(directory).ok_or(Error::NotFound)?;
            let listing = node.directory.as_ref().ok_or(Error::NotDirectory)?;
            let gone = node.names.is_empty() && directory != NodeId::ROOT;
            gone || !self.time_left(listing.complete, self.options.metadata_ttl).is_zero()
        };
        if known { Ok(()) } else { self.list_anew(directory).await.map(drop) }
    }

    /// Asks for all names of a directory, whatever is known of them. Returns whether there are objects that can't be shown.
    async fn list_anew(&self, directory: NodeId) -> Result<bool> {
        for _ in 0..LOOKS_MAX {
            let (asked, sources) = self.ask(|world| world.tree.sources(directory));
            let mut listed = Listed::new(directory, asked.sequence(), Instant::now());
            for source in &sources {
                self.list_source(&mut listed, &sources, source).await?;
            }
            let same = self.change(|world| {
                let same = world.tree.sources(directory) == sources;
                if same {
                    world.tree.finish_listing(&listed);
                }
                same
            });
            for key in &listed.hidden {
                self.note_hidden(key);
            }
            if same {
                return Ok(!listed.hidden.is_empty());
            }
        }
        Err(Error::Failed)
    }

    async fn list_source(&self, listed: &mut Listed, sources: &[String], source: &str) -> Result<()> {
        let _permit = self.asking.acquire().await;
        let prefix = Prefix::parse(source).map_err(|_| Error::NameTooLong)?;
        let mut request = ListRequest::directory(prefix);
        loop {
            let page = self.store.list(&request).await.map_err(|error| store_error(&error))?;
            let prefixes: Vec<&str> = page.prefixes.iter().map(Prefix::as_str).collect();
            let doubtful = self.change(|world| world.tree.apply_prefixes(listed, source, &prefixes));
            self.look_below(listed, sources, &doubtful).await?;
            self.change(|world| {
                for entry in page.objects {
                    world.tree.apply_object(listed, source, &entry.into());
                }
            });
            match page.next {
                Some(next) => request.continuation = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// A key that can't be shown as a name: counted, and logged once.
    fn note_hidden(&self, key: &str) {
        const LOGGED_MAX: usize = 1_000;
        let mut hidden = self.hidden();
        if hidden.len() < LOGGED_MAX && hidden.insert(key.to_owned()) {
            tracing::warn!(key, "an object is not shown: its key can't be a path");
        }
    }

    /// The names of a directory that are known, with their nodes.
    pub(super) fn names(&self, directory: NodeId) -> Result<Vec<(Name, NodeId)>> {
        let world = self.world();
        let node = world.tree.node(directory).ok_or(Error::NotFound)?;
        let listing = node.directory.as_ref().ok_or(Error::NotDirectory)?;
        let shown = listing.children.iter().filter(|(name, _)| crate::format::showable(name));
        Ok(shown.map(|(name, id)| (name.clone(), *id)).collect())
    }

    /// Whether a directory has no names, as the bucket says now.
    pub(super) async fn is_empty(&self, directory: NodeId) -> Result<bool> {
        let known_not_to_be = {
            let world = self.world();
            let node = world.tree.node(directory).ok_or(Error::NotFound)?;
            let listing = node.directory.as_ref().ok_or(Error::NotDirectory)?;
            listing.children.values().filter_map(|id| world.tree.node(*id)).any(|child| child.recorded)
        };
        if known_not_to_be {
            return Ok(false);
        }
        if self.list_anew(directory).await? {
            return Ok(false);
        }
        let world = self.world();
        let node = world.tree.node(directory).ok_or(Error::NotFound)?;
        Ok(node.directory.as_ref().is_some_and(|listing| listing.children.is_empty()))
    }
}
