//! What is to be settled: each thing once, some of it later, so many at a time. Deletions are gathered, because a thousand
//! of them are one request.

use super::gathered::Gathered;
use crate::tree::Work;
use ossfs_types::Key;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

/// What is given out at a time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// A node or a claim.
    One(Work),
    /// The tombstones at these keys, in their order.
    Tombs(Vec<Key>),
}

/// Work that waits. Bounded by what there is: each thing is in it once.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Notify,
    pub(super) permits: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Work>,
    waiting: HashSet<Work>,
    running: HashSet<Work>,
    /// Of what is running, what is to be looked at once more.
    again: HashSet<Work>,
    tombs: Gathered,
    later: BTreeMap<(Instant, u64), Work>,
    /// Where in `later` a work is: once.
    due: HashMap<Work, (Instant, u64)>,
    counter: u64,
    closed: bool,
}

impl State {
    fn push(&mut self, work: Work, first: bool) {
        if let Work::Tomb(key) = work {
            self.tombs.add(key, Instant::now());
        } else if self.running.contains(&work) {
            self.again.insert(work);
        } else if self.waiting.insert(work.clone()) {
            if first { self.ready.push_front(work) } else { self.ready.push_back(work) }
        } else if first {
            self.ready.retain(|other| *other != work);
            self.ready.push_front(work);
        }
    }
}

impl Queue {
    pub(crate) fn new(parallel: usize) -> Self {
        let permits = Arc::new(Semaphore::new(parallel.max(1)));
        Self { state: Mutex::default(), changed: Notify::new(), permits }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, work: impl IntoIterator<Item = Work>) {
        let mut state = self.state();
        let before = (state.ready.len(), state.tombs.len());
        work.into_iter().for_each(|work| state.push(work, false));
        let more = (state.ready.len(), state.tombs.len()) != before;
        drop(state);
        if more {
            self.changed.notify_one();
        }
    }

    /// These tombstones, which were pushed, do not wait for others: their objects were seen just now.
    pub(crate) fn hurry(&self, keys: Vec<Key>) {
        if keys.is_empty() {
            return;
        }
        self.state().tombs.hurry(keys);
        self.changed.notify_one();
    }

    /// Somebody waits for it.
    pub(crate) fn push_first(&self, work: Work) {
        self.state().push(work, true);
        self.changed.notify_one();
    }

    pub(super) fn push_at(&self, work: Work, when: Instant) {
        let mut state = self.state();
        if let Some(due) = state.due.get(&work).copied() {
            if due.0 <= when {
                return;
            }
            state.later.remove(&due);
        }
        state.counter += 1;
        let key = (when, state.counter);
        state.due.insert(work.clone(), key);
        state.later.insert(key, work);
        drop(state);
        self.changed.notify_one();
    }

    /// No more work is given out.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    /// Whether no more work is given out.
    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// The next thing to do; `None` once the queue is closed.
    pub(super) async fn next(&self) -> Option<Job> {
        loop {
            let due = {
                let mut state = self.state();
                if state.closed {
                    return None;
                }
                let now = Instant::now();
                while let Some(entry) = state.later.first_entry() {
                    if entry.key().0 > now {
                        break;
                    }
                    let work = entry.remove();
                    state.due.remove(&work);
                    state.push(work, false);
                }
                if let Some(keys) = state.tombs.take(now) {
                    return Some(Job::Tombs(keys));
                }
                if let Some(work) = state.ready.pop_front() {
                    state.waiting.remove(&work);
                    state.running.insert(work.clone());
                    return Some(Job::One(work));
                }
                let later = state.later.first_key_value().map(|((when, _), _)| *when);
                later.into_iter().chain(state.tombs.due()).min()
            };
            match due {
                Some(due) => tokio::select! {
                    () = self.changed.notified() => {}
                    () = tokio::time::sleep_until(due) => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    /// The work was done, as far as it could be.
    pub(super) fn done(&self, job: &Job) {
        let mut state = self.state();
        let work = match job {
            Job::One(work) => work,
            Job::Tombs(_) => {
                state.tombs.ended();
                drop(state);
                return self.changed.notify_one();
            }
        };
        state.running.remove(work);
        if state.again.remove(work) {
            state.push(work.clone(), false);
            drop(state);
            self.changed.notify_one();
        }
    }
}
