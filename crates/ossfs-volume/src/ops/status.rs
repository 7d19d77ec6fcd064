//! What is not in the bucket yet.

use crate::core::Core;
use crate::settle::Act;
use crate::tree::{Failure, Tree};
use crate::{Trouble, Unsettled};
use ossfs_ledger::NodeId;
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

/// So many failures are told; their number may be large.
const FAILURES_MAX: usize = 100;

impl Core {
    pub(crate) fn unsettled(&self) -> Unsettled {
        let mut world = self.world();
        let bytes = world.contents().map(|(_, content)| content.extents.kept_bytes()).sum();
        let tree = &mut world.tree;
        let nodes = tree.count_unsettled();
        let (failures, failures_total) = failures(tree);
        Unsettled {
            nodes,
            tombstones: tree.tombs().len() as u64,
            claims: tree
                .claims()
                .filter(|(prefix, claim)| tree.prefix_of(claim.directory).as_deref() != Some(&***prefix))
                .count() as u64,
            bytes,
            sent: self.sent.load(Ordering::Relaxed),
            failures,
            failures_total,
            refused: self.refused(),
        }
    }

    /// What was done here and taken back, because the bucket refuses it.
    pub(super) fn refused(&self) -> Vec<Trouble> {
        let now = Instant::now();
        let trouble = |(directory, act, refusal): (String, Act, crate::settle::Refusal)| {
            let what = match act {
                Act::Delete => "what was removed here is shown again",
                Act::Move => "what was moved here has its old name again",
            };
            Trouble {
                path: if directory.is_empty() { "/".to_owned() } else { directory },
                reason: format!("{what}: {}", refusal.message),
                advice: refusal.error.advice(),
                since: now.saturating_duration_since(refusal.at),
            }
        };
        self.refusals.list(now).into_iter().map(trouble).take(FAILURES_MAX).collect()
    }
}

/// What could not be done so far, and how much of it there is.
fn failures(tree: &mut Tree) -> (Vec<Trouble>, u64) {
    let over: HashSet<NodeId> = tree.failing.iter().copied().filter(|id| failure_of(tree, *id).is_none()).collect();
    tree.failing.retain(|id| !over.contains(id));
    let total = tree.failing.len() + tree.tomb_failures.len() + tree.claim_failures.len();
    let nodes = tree.failing.iter().filter_map(|id| failure_of(tree, *id));
    let tombs = tree.tomb_failures.iter().map(|(key, failure)| (key.to_string(), failure));
    let claims = tree.claim_failures.iter().map(|(prefix, failure)| (prefix.to_string(), failure));
    (told(nodes.chain(tombs).chain(claims)), total as u64)
}

/// The path and the failure of a node that has one.
pub(super) fn failure_of(tree: &Tree, id: NodeId) -> Option<(String, &Failure)> {
    let failure = tree.node(id).filter(|node| node.recorded)?.failure.as_ref()?;
    Some((tree.natural_key(id).map_or_else(|| "(no name)".to_owned(), |key| key.to_string()), failure))
}

/// The first of what failed, in words.
pub(super) fn told<'a>(failures: impl IntoIterator<Item = (String, &'a Failure)>) -> Vec<Trouble> {
    let trouble = |(path, failure): (String, &Failure)| Trouble {
        path,
        reason: failure.message.clone(),
        advice: failure.error.advice(),
        since: failure.since.elapsed(),
    };
    failures.into_iter().take(FAILURES_MAX).map(trouble).collect()
}
