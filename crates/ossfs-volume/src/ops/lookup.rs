//! Names become nodes.

use super::{LOOKS_MAX, store_error};
use crate::core::Core;
use crate::errors::{Error, Result};
use crate::format::{HIDDEN_DIRECTORY, LEGACY_MARKER_SUFFIX, aliased};
use crate::tree::{Listed, Owner, Sighting};
use crate::{Lookup, Volume};
use ossfs_ledger::NodeId;
use ossfs_store::{Kind, ListPage, ListRequest};
use ossfs_types::limits::LIST_KEYS_MAX;
use ossfs_types::{Key, Prefix};
use std::ffi::OsStr;
use std::time::Duration;
use tokio::time::Instant;

/// What is known of a name without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It is this node, whose attributes may have to be asked for.
    Node(NodeId),
    /// It is not there, for so long.
    Missing(Duration),
    /// Nobody knows.
    Unknown,
}

impl Volume {
    /// Looks a name up in a directory. If it is there the caller refers to the node once more.
    pub async fn lookup(&self, parent: NodeId, name: &OsStr) -> Result<Lookup> {
        let core = &self.core;
        let name = core.valid_name(parent, name)?;
        for _ in 0..LOOKS_MAX {
            let id = match core.resolve_name(parent, name).await? {
                Known::Node(id) => id,
                Known::Missing(ttl) => return Ok(Lookup::Missing { ttl }),
                Known::Unknown => continue,
            };
            if let Some(attributes) = core.refer(parent, name, id).await? {
                return Ok(Lookup::Found(attributes));
            }
        }
        Err(Error::Failed)
    }

    /// The caller refers to the node `count` times less.
    pub fn forget(&self, node: NodeId, count: u64) {
        self.core.unrefer(node, count);
    }
}

impl Core {
    /// The caller refers to the node `count` times less.
    pub(super) fn unrefer(&self, node: NodeId, count: u64) {
        self.change(|world| {
            if let Some(known) = world.tree.node_mut(node) {
                known.lookups = known.lookups.saturating_sub(count).max(u64::from(node == NodeId::ROOT));
            }
            world.tree.drop_if_unused(node);
        });
    }

    /// Gives the attributes of a node at a name, and counts the reference. `None` if the name is another node's by now.
    pub(super) async fn refer(&self, parent: NodeId, name: &str, id: NodeId) -> Result<Option<crate::NodeAttributes>> {
        match self.describe(id).await {
            Ok(()) => {}
            Err(Error::NotFound | Error::Stale) => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut world = self.world();
        if world.tree.child(parent, name) != Some(id) {
            return Ok(None);
        }
        let Ok(view) = self.view(&world.tree, id) else { return Ok(None) };
        if let Some(node) = world.tree.node_mut(id) {
            node.lookups += 1;
        }
        Ok(Some(view))
    }

    /// What a name is, asking the bucket if need be. `Unknown` if things moved too fast to tell: look again.
    pub(super) async fn resolve_name(&self, parent: NodeId, name: &str) -> Result<Known> {
        match self.known(parent, name)? {
            Known::Unknown => {}
            known => return Ok(known),
        }
        self.ask_name(parent, name).await?;
        self.known(parent, name)
    }

    /// What is known of a name without asking.
    pub(super) fn known(&self, parent: NodeId, name: &str) -> Result<Known> {
        let world = self.world();
        let node = world.tree.node(parent).ok_or(Error::NotFound)?;
        let directory = node.directory.as_ref().ok_or(Error::NotDirectory)?;
        let hidden = parent == NodeId::ROOT && name == HIDDEN_DIRECTORY;
        if hidden || (node.names.is_empty() && parent != NodeId::ROOT) {
            return Ok(Known::Missing(Duration::ZERO));
        }
        let complete = self.time_left(directory.complete, self.options.metadata_ttl);
        if let Some(id) = directory.children.get(name) {
            let fresh = world.tree.node(*id).is_some_and(|child| self.is_fresh(child));
            return Ok(if fresh || !complete.is_zero() { Known::Node(*id) } else { Known::Unknown });
        }
        if !complete.is_zero() {
            // The kernel asks again soon, which costs no request; it is not told when the name appears.
            return Ok(Known::Missing(complete.min(self.options.negative_ttl)));
        }
        let missing = self.time_left(directory.missing.get(name).copied(), self.options.negative_ttl);
        Ok(if missing.is_zero() { Known::Unknown } else { Known::Missing(missing) })
    }

    /// Asks the bucket about one name.
    async fn ask_name(&self, parent: NodeId, name: &str) -> Result<()> {
        // A move between two questions can hide a name from both: then it is asked again.
        for _ in 0..LOOKS_MAX {
            let (asked, sources) = self.ask(|world| world.tree.sources(parent));
            let mut listed = Listed::new(parent, asked.sequence(), Instant::now());
            let answers = self.ask_sources(&sources, name).await?;
            let mut doubtful = Vec::new();
            self.change(|world| {
                for (source, answer) in sources.iter().zip(&answers) {
                    let directories: Vec<&str> = answer.directories.iter().map(String::as_str).collect();
                    doubtful.extend(world.tree.apply_prefixes(&mut listed, source, &directories));
                }
            });
            self.look_below(&mut listed, &sources, &doubtful).await?;
            let settled = self.change(|world| {
                for (source, answer) in sources.iter().zip(&answers) {
                    for object in &answer.objects {
                        world.tree.apply_object(&mut listed, source, object);
                    }
                }
                let found = listed.has_seen(name);
                let same = world.tree.sources(parent) == sources;
                if !found && same {
                    world.tree.not_found(&listed, parent, name);
                }
                found || same
            });
            if settled {
                return Ok(());
            }
        }
        Err(Error::Failed)
    }

    /// Of common prefixes under which records lie, shows those under which something else lies too.
    pub(super) async fn look_below(&self, listed: &mut Listed, sources: &[String], doubtful: &[String]) -> Result<()> {
        for prefix in doubtful {
            let name = sources.iter().find_map(|source| prefix.strip_prefix(&**source)?.strip_suffix('/'));
            let Some(name) = name else { continue };
            if self.owns_below(listed.directory, name, prefix).await? {
                self.change(|world| world.tree.sight_directory(listed, name));
            }
        }
        Ok(())
    }

    /// Whether an object without a record lies under a prefix that belongs at the name in the directory.
    async fn owns_below(&self, directory: NodeId, name: &str, prefix: &str) -> Result<bool> {
        let Ok(under) = Prefix::parse(prefix) else { return Ok(false) };
        let mut request = ListRequest::all(under);
        loop {
            let (asked, ()) = self.ask(|_| ());
            let page = self.store.list(&request).await.map_err(|error| store_error(&error))?;
            {
                let world = self.world();
                let tree = &world.tree;
                let path = tree.path_in(directory, name).map(|path| path + "/").ok_or(Error::NotFound)?;
                // Of keys that were changed meanwhile, the tree knows what became of them.
                let owned = |key: &str| match tree.owner(key) {
                    Owner::Path(at) if at.starts_with(&path) => {
                        !tree.mutated_since(key, asked.sequence()) || tree.shows(&at)
                    }
                    _ => false,
                };
                if page.objects.iter().any(|entry| owned(entry.key.as_str())) {
                    return Ok(true);
                }
            }
            match page.next {
                Some(next) => request.continuation = Some(next),
                None => return Ok(false),
            }
        }
    }

    async fn ask_sources(&self, sources: &[String], name: &str) -> Result<Vec<Answer>> {
        let mut answers = Vec::new();
        // Claimed prefixes come first, one after the other: objects move from there to the natural one.
        for source in sources {
            answers.push(self.ask_source(source, name).await?);
        }
        Ok(answers)
    }

    /// Everything that a name can be under one prefix.
    async fn ask_source(&self, source: &str, name: &str) -> Result<Answer> {
        let _permit = self.asking.acquire().await;
        let path = format!("{source}{name}");
        let mut answer = Answer::default();
        let Ok(prefix) = Prefix::parse(&path) else { return Ok(answer) };
        let page = self.store.list(&ListRequest::directory(prefix)).await.map_err(|error| store_error(&error))?;
        let reached = reached(&page);
        answer.take(page, &path);
        if let Some(base) = aliased(&path) {
            // The name may be that of an object that a directory keeps from its own.
            let Ok(prefix) = Prefix::parse(base) else { return Ok(answer) };
            let request = ListRequest { entries_max: 1, ..ListRequest::directory(prefix) };
            let page = self.store.list(&request).await.map_err(|error| store_error(&error))?;
            answer
                .objects
                .extend(page.objects.into_iter().filter(|entry| entry.key.as_str() == base).map(Sighting::from));
            if !answer.objects.is_empty() && self.lists_anything(&format!("{base}/")).await? {
                answer.directories.push(format!("{base}/"));
            }
        }
        let Some(reached) = reached else { return Ok(answer) };
        // The page was full of other names that begin alike: what lies behind them is asked for by itself.
        let below = format!("{path}/");
        if *reached < *below && self.lists_anything(&below).await? {
            answer.directories.push(below);
        }
        let legacy = format!("{path}{LEGACY_MARKER_SUFFIX}");
        if *reached < *legacy
            && let Ok(key) = Key::parse(&legacy)
        {
            match self.store.stat(&key).await {
                Ok(stat) => answer.objects.push(Sighting::of_stat(key, stat)),
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => return Err(store_error(&error)),
            }
        }
        Ok(answer)
    }

    /// Whether any key begins with a prefix.
    pub(super) async fn lists_anything(&self, prefix: &str) -> Result<bool> {
        let Ok(prefix) = Prefix::parse(prefix) else { return Ok(false) };
        let request = ListRequest { entries_max: 1, ..ListRequest::all(prefix) };
        let page = self.store.list(&request).await.map_err(|error| store_error(&error))?;
        Ok(!page.objects.is_empty())
    }
}

/// What the bucket has under one prefix that a name can be.
#[derive(Debug, Default)]
struct Answer {
    objects: Vec<Sighting>,
    directories: Vec<String>,
}

impl Answer {
    /// Takes what is of the path itself from a listing of all that begins with it.
    fn take(&mut self, page: ListPage, path: &str) {
        let of_path = |key: &str| key == path || key.strip_suffix(LEGACY_MARKER_SUFFIX) == Some(path);
        self.objects.extend(page.objects.into_iter().filter(|entry| of_path(entry.key.as_str())).map(Sighting::from));
        let directories = page.prefixes.iter().map(Prefix::as_str);
        self.directories.extend(directories.filter(|prefix| prefix.strip_suffix('/') == Some(path)).map(str::to_owned));
    }
}

/// Up to where a page that is not the last tells everything.
fn reached(page: &ListPage) -> Option<String> {
    page.next.as_ref()?;
    debug_assert!(page.objects.len() + page.prefixes.len() <= LIST_KEYS_MAX, "a page has its limit");
    let object = page.objects.last().map(|entry| entry.key.as_str());
    let prefix = page.prefixes.last().map(Prefix::as_str);
    object.max(prefix).map(str::to_owned)
}

impl crate::tree::Tree {
    /// The bucket has nothing at a name, as of when it was asked.
    fn not_found(&mut self, listed: &Listed, parent: NodeId, name: &str) {
        if let Some(id) = self.child(parent, name) {
            let Some(node) = self.node(id) else { return };
            let newer = node.homes.iter().any(|(key, _)| self.mutated_since(key.as_str(), listed.asked));
            let path = self.path_in(parent, name).filter(|_| node.is_directory());
            let below = path.is_some_and(|path| self.mutated_below(&format!("{path}/"), listed.asked));
            if !node.recorded && !newer && !below {
                self.vanish(id, parent, name);
            }
            return;
        }
        let directory = self.node_mut(parent).and_then(|node| node.directory.as_mut());
        if let Some(directory) = directory {
            directory.missing.insert(name.into(), listed.began);
            // The names that were looked for longest ago make room.
            const MISSING_MAX: usize = 10_000;
            if directory.missing.len() > MISSING_MAX {
                directory.missing.clear();
            }
        }
    }
}
