//! The dispatcher, and the task that settles one node.

use super::plan::Step;
use super::queue::Job;
use crate::core::{Core, World};
use crate::errors::{Error, Result};
use crate::tree::Work;
use crate::write::Content;
use ossfs_ledger::NodeId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The timer looks so often within the interval for files that stay open.
const TIMER_STEPS: u32 = 5;
/// It looks no more often than this.
const TIMER_STEP_MIN: Duration = Duration::from_millis(100);

/// Begins to carry out what is queued, until the queue is closed.
pub(crate) fn spawn(core: &Arc<Core>) {
    let core = core.clone();
    tokio::spawn(async move {
        loop {
            let permit = core.queue.permits.clone().acquire_owned().await;
            let Some(job) = core.queue.next().await else { return };
            let core = core.clone();
            tokio::spawn(async move {
                match &job {
                    Job::One(Work::Node(id)) => core.settle_node(*id).await,
                    Job::One(Work::Claim(prefix)) => core.drain_claim(prefix).await,
                    Job::One(Work::Tomb(key)) => core.delete_tombs(vec![key.clone()]).await,
                    Job::Tombs(keys) => core.delete_tombs(keys.clone()).await,
                }
                core.queue.done(&job);
                core.progress.notify_waiters();
                drop(permit);
            });
        }
    });
}

/// Begins to settle what stays open for writing every few seconds, until the queue is closed.
pub(crate) fn spawn_timer(core: &Arc<Core>) {
    let core = core.clone();
    tokio::spawn(async move {
        let step = (core.options.settle_interval / TIMER_STEPS).max(TIMER_STEP_MIN);
        while !core.queue.is_closed() {
            tokio::time::sleep(step).await;
            core.change(|world| core.settle_growing(world));
            core.remove_unused_segments().await;
        }
    });
}

impl Core {
    /// Lets files be settled that grow a little at a time and are not closed. What is streamed is a bulk write: it appears
    /// whole, once it is sealed.
    fn settle_growing(&self, world: &mut World) {
        let interval = self.options.settle_interval;
        let due = |content: &Content| {
            let grows = content.stream.as_ref().is_none_or(|stream| stream.sealed.is_some());
            grows && content.since.is_some_and(|since| since.elapsed() >= interval)
        };
        let due: Vec<NodeId> = world.contents().filter(|(_, content)| due(content)).map(|(id, _)| id).collect();
        for id in due {
            let Some(node) = world.tree.node(id) else { continue };
            if node.writers > 0 && !node.names.is_empty() && node.failure.is_none() && !node.urgent {
                world.tree.urge(id);
            }
        }
    }

    /// Removes what was staged and is not needed any more.
    async fn remove_unused_segments(&self) {
        let staging = self.ledger.staging();
        let unused = {
            let world = self.world();
            // A change that is not in the ledger may be the one that no longer names them.
            if world.tree.has_changes() { Vec::new() } else { staging.unused() }
        };
        if unused.is_empty() || self.sync_ledger().await.is_err() {
            return;
        }
        let remove = {
            let staging = staging.clone();
            move || unused.into_iter().try_for_each(|segment| staging.remove(segment))
        };
        let removed = if staging.waits() { tokio::task::spawn_blocking(remove).await } else { Ok(remove()) };
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "what was staged and is in the bucket could not be removed");
        }
    }

    /// Carries a node as far as it gets.
    async fn settle_node(self: &Arc<Self>, id: NodeId) {
        let mut probed = None;
        let mut moved = false;
        loop {
            let step = self.change(|world| {
                if let Some(node) = world.tree.node_mut(id) {
                    node.task = true;
                }
                let step = world.tree.next_step(id, Instant::now(), probed.as_ref());
                self.append_if_enough(world, step)
            });
            match step {
                Step::Idle | Step::Blocked => break,
                Step::Bury => {
                    self.change(|world| {
                        if let Some(node) = world.tree.node_mut(id) {
                            node.task = false;
                        }
                        world.tree.bury_if_free(id);
                        world.drop_content(id);
                    });
                    break;
                }
                Step::Later(when) => {
                    self.queue.push_at(Work::Node(id), when);
                    break;
                }
                Step::Probe(key) => match self.make_way(&key).await {
                    Ok(true) => probed = Some(key),
                    Ok(false) => {}
                    Err(error) => self.note_failure(id, &error),
                },
                Step::List(listing) => self.write_list(id, listing).await,
                Step::Unreachable => {
                    let message = "its key would be longer than 1,023 bytes".to_owned();
                    self.note_failed(id, Error::NameTooLong, message);
                }
                Step::Lost => {
                    let message = "no object has its content any more".to_owned();
                    self.note_failed(id, Error::Stale, message);
                }
                Step::Run(order) => {
                    moved = true;
                    self.carry_out(*order).await;
                }
                Step::Resolve(order) => {
                    moved = true;
                    self.resolve(*order).await;
                }
            }
            self.world().answer_waiters(id);
        }
        self.change(|world| {
            if let Some(node) = world.tree.node_mut(id) {
                node.task = false;
            }
            // What was unlinked meanwhile could not be buried under the task.
            world.tree.bury_if_free(id);
            world.tree.drop_if_unused(id);
            world.drop_content_of_gone(id);
            world.tree.observe(id);
            world.answer_waiters(id);
        });
        // Who waits for room waited for this to move, even if it has made none.
        if moved {
            self.room.notify_waiters();
        }
    }

    /// Waits until the bucket has a node as it is now, or until that fails.
    pub(crate) async fn settled(self: &Arc<Self>, id: NodeId) -> Result<()> {
        self.wait_for_settling(id, true).await
    }

    /// Waits until the bucket has the content of a file, or until that fails.
    pub(crate) async fn content_settled(self: &Arc<Self>, id: NodeId) -> Result<()> {
        self.wait_for_settling(id, false).await
    }

    async fn wait_for_settling(self: &Arc<Self>, id: NodeId, attributes_too: bool) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        let waits = self.change(|world| {
            let node = world.tree.node_mut(id).filter(|node| node.recorded)?;
            if !(node.is_dirty() || attributes_too && node.has_dirty_attributes()) {
                return None;
            }
            node.urgent = true;
            let waiter = crate::core::Waiter {
                generation: node.generation,
                attributes_generation: if attributes_too { node.attributes_generation } else { 0 },
                failures: node.failure.as_ref().map_or(0, |failure| failure.attempts),
                answer,
            };
            world.waiters.entry(id).or_default().push(waiter);
            world.tree.try_again(id, Instant::now());
            Some(())
        });
        if waits.is_none() {
            return Ok(());
        }
        self.queue.push_first(Work::Node(id));
        match self.patience().wait(answered).await {
            Some(answer) => answer.unwrap_or(Err(Error::Failed)),
            None => Err(Error::Failed),
        }
    }

    /// Waits until the bucket has a node where its name says, or until that fails.
    pub(crate) async fn settled_at_its_name(&self, id: NodeId) -> Result<()> {
        let failures =
            |world: &World| world.tree.node(id)?.failure.as_ref().map(|failure| (failure.attempts, failure.error));
        let before = failures(&self.world()).map_or(0, |(attempts, _)| attempts);
        let ended = self.wait_until(|world| {
            if world.tree.is_settled(id) {
                return Some(Ok(()));
            }
            failures(world).filter(|(attempts, _)| *attempts > before).map(|(_, error)| Err(error))
        });
        ended.await?
    }

    /// Notes that something could not be done for a node.
    pub(super) fn note_failure(&self, id: NodeId, error: &ossfs_store::Error) {
        tracing::warn!(%error, "not settled");
        self.note_failed(id, Error::of(error.kind()), error.to_string());
    }

    fn note_failed(&self, id: NodeId, error: Error, message: String) {
        self.change(|world| {
            let blocked = world.tree.failed(id, error, message, Instant::now());
            world.fail_waiters(&blocked, error);
        });
    }
}
