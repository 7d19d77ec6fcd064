//! One schedule: the real volume, step by step, and what is checked after each.

mod choice;
mod end;
mod looker;

pub(super) use choice::{Choice, When};

use super::fingerprint::{hash_ledger, hash_objects, hash_uploads};
use super::gate::{Ask, Fate, Gate};
use super::journal::Journal;
use super::scene::{Operation, Outsider, Scene};
use super::sight::{agrees, contents, look, shortened, shown_out, view, written_out};
use crate::model::Model;
use crate::mount::Mount;
use looker::Looker;
use ossfs_ledger::{Ledger, MemoryLedger};
use ossfs_store::{ListRequest, MemoryStore, ObjectStore};
use ossfs_types::limits::PART_BYTES_MIN;
use ossfs_types::{BucketName, Clock, Prefix, Timestamp};
use ossfs_volume::{Error, Volume, VolumeOptions};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Simulated time that passes with each step.
const STEP: Duration = Duration::from_millis(1);
/// Looks that often, while nothing can be done but wait.
const WAIT: Duration = Duration::from_millis(50);
/// Nothing is waited for longer; of simulated time.
const WAIT_MAX: Duration = Duration::from_secs(900);
/// What was sent by a process that is gone, or lost on the way, arrives within this, or never.
const LATE_MAX: Duration = Duration::from_secs(10);
/// An object that was seen less than this ago is deleted without another look: what comes between is lost, as OSS has no
/// conditional deletion.
const VERIFIED_FOR: Duration = Duration::from_secs(1);
/// Lists of the names of files that have several.
const LISTS: &str = ".ossfs/links/";
/// A schedule of more steps does not end. Whoever reads what a process before may have written asks again and again, until
/// that is known.
const STEPS_MAX: usize = 2_000;

#[derive(Debug)]
struct PlayClock(AtomicI64);

impl Clock for PlayClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// By key: content, and what matters of the metadata.
pub(super) type Objects = BTreeMap<String, (Vec<u8>, String)>;

/// What was possible, while the ledger had no more commits than this.
struct Mark {
    commits: usize,
    possible: Vec<Model>,
}

/// What is known of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It was never met before.
    New,
    /// This play has come back to it: only time may have passed.
    Again,
    /// Another play has gone on from here.
    Met,
}

/// What several plays of one scene know together: what was looked at already.
#[derive(Debug, Default)]
pub(super) struct Seen {
    states: HashSet<u64>,
    views: HashSet<u64>,
}

/// One schedule under way.
pub(super) struct Play {
    scene: Scene,
    bucket: Arc<MemoryStore>,
    gate: Arc<Gate>,
    journal: Arc<Journal>,
    clock: Arc<PlayClock>,
    mount: Mount,
    next: usize,
    operation: Option<JoinHandle<Result<(), Error>>>,
    lookers: Vec<Looker>,
    /// What was possible when the operation under way was begun.
    before: Vec<Model>,
    /// What may be there now.
    possible: Vec<Model>,
    marks: Vec<Mark>,
    /// What is possible has not changed since the last mark.
    marked: bool,
    /// Commits before the last step.
    commits_before: usize,
    disturbed: usize,
    postponed: BTreeSet<Ask>,
    outsider_acted: bool,
    outsider_acted_at: Duration,
    /// What the outsider put came between the last look at a garbage object and its deletion.
    outsider_was_too_quick: bool,
    /// Last components of what the user has replaced or removed since the outsider acted.
    destroyed: BTreeSet<String>,
    /// Contents that the outsider has overwritten or deleted.
    forsaken: BTreeSet<Vec<u8>>,
    /// Contents that some file had at some moment.
    versions: BTreeSet<Vec<u8>>,
    late_until: Duration,
    /// States that this play was the first to meet.
    own: HashSet<u64>,
    steps: usize,
    now: Duration,
    // Last: what else there is is dropped before it.
    runtime: Runtime,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn open(gate: &Arc<Gate>, journal: &Arc<Journal>, clock: &Arc<PlayClock>) -> Volume {
    Volume::open(gate.clone(), journal.clone(), clock.clone(), options()).unwrap()
}

/// Parts are as small as may be: what takes several is small then, too.
fn options() -> VolumeOptions {
    VolumeOptions { part_bytes: PART_BYTES_MIN, ..VolumeOptions::default() }
}

/// Puts what is there at the beginning. Names are given by a volume of their own, which is gone by then.
async fn prepare(scene: &Scene, bucket: &Arc<MemoryStore>, clock: &Arc<PlayClock>) {
    let ledger = Arc::new(MemoryLedger::new());
    let volume = Volume::open(bucket.clone(), ledger, clock.clone(), options()).unwrap();
    let mount = Mount::of(bucket.clone(), volume, options());
    for (key, text) in &scene.objects {
        mount.outsider_puts(key, &text.bytes()).await;
    }
    for (from, to) in &scene.links {
        mount.ln(from, to).await.unwrap();
    }
    mount.settle().await;
    mount.volume.close();
}

impl Play {
    pub(super) fn begin(scene: &Scene) -> Self {
        fastrand::seed(7);
        let runtime = runtime();
        let clock = Arc::new(PlayClock(AtomicI64::new(0)));
        let bucket = Arc::new(MemoryStore::new(BucketName::parse("bucket").unwrap(), clock.clone()));
        let gate = Arc::new(Gate::new(bucket.clone()));
        let journal = Arc::new(Journal::default());
        let model = scene.model();
        runtime.block_on(prepare(scene, &bucket, &clock));
        // Long ago.
        clock.0.store(3_600_000, Ordering::Relaxed);
        let mount = {
            let _entered = runtime.enter();
            Mount::of(bucket.clone(), open(&gate, &journal, &clock), options())
        };
        let mut play = Self {
            scene: scene.clone(),
            bucket,
            gate,
            journal,
            clock,
            mount,
            next: 0,
            operation: None,
            lookers: Vec::new(),
            before: Vec::new(),
            versions: contents(&model),
            possible: vec![model],
            marks: Vec::new(),
            marked: false,
            commits_before: 0,
            disturbed: 0,
            postponed: BTreeSet::new(),
            outsider_acted: false,
            outsider_acted_at: Duration::ZERO,
            outsider_was_too_quick: false,
            destroyed: BTreeSet::new(),
            forsaken: BTreeSet::new(),
            late_until: Duration::ZERO,
            own: HashSet::new(),
            steps: 0,
            now: Duration::ZERO,
            runtime,
        };
        play.pass(STEP);
        play.mark();
        play
    }

    /// Lets everything run that can, and time pass.
    fn pass(&mut self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
        self.now += time;
        self.clock.0.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
        if self.now > self.late_until {
            self.gate.drop_late();
        }
    }

    fn mark(&mut self) {
        if std::mem::replace(&mut self.marked, true) && !self.marks.is_empty() {
            return;
        }
        self.marks.push(Mark { commits: self.journal.commits(), possible: self.possible.clone() });
    }

    /// Whether anything changes though nothing is done.
    fn is_under_way(&self) -> bool {
        self.operation.is_some()
            || !self.lookers.is_empty()
            || !self.mount.volume.unsettled().is_empty()
            || !self.gate.late().is_empty()
    }

    /// Everything that may come next; what goes on as planned comes first.
    pub(super) fn choices(&self) -> Vec<Choice> {
        let waiting = self.gate.waiting();
        let may_disturb = self.disturbed < self.scene.disturbances;
        let mut choices = Vec::new();
        let eager = waiting.iter().find(|ask| !ask.changes() && !self.postponed.contains(*ask));
        if let Some(question) = eager {
            // Questions are answered as soon as they are asked, unless something is the matter: they change nothing.
            choices.push(Choice::Serve(question.clone()));
            if may_disturb {
                choices.push(Choice::Hold(question.clone()));
                choices.push(Choice::Postpone(question.clone()));
                choices.push(Choice::Refuse(question.clone()));
            }
            return choices;
        }
        choices.extend(self.gate.held().into_iter().map(Choice::Deliver));
        choices.extend(waiting.iter().cloned().map(Choice::Serve));
        if self.operation.is_none() && self.next < self.scene.operations.len() {
            choices.push(Choice::Begin);
        }
        if waiting.is_empty() && self.gate.held().is_empty() && self.is_under_way() {
            choices.push(Choice::Wait);
        }
        choices.extend(self.gate.late().into_iter().map(Choice::Land));
        if let Some(outsider) = self.scene.outsider.as_ref().filter(|_| !self.outsider_acted) {
            // OSS has no conditional write: what comes between a look and the write that follows it at once is lost.
            // A look that was answered, but not told yet, may be one.
            let late = self.gate.late();
            let mut under_way = waiting.iter().filter(|ask| ask.changes()).chain(&late);
            if self.gate.held().is_empty() && !under_way.any(|ask| ask.key.split(' ').any(|key| key == outsider.key()))
            {
                choices.push(Choice::Outsider);
            }
        }
        if may_disturb {
            choices.extend(self.disturbances(&waiting));
        }
        choices
    }

    fn disturbances(&self, waiting: &BTreeSet<Ask>) -> Vec<Choice> {
        let mut choices = vec![Choice::Kill(None)];
        if self.journal.synced() < self.journal.commits() {
            choices.push(Choice::PowerLoss);
        }
        for ask in waiting.iter().filter(|ask| ask.changes()) {
            choices.push(Choice::Hold(ask.clone()));
            choices.push(Choice::Refuse(ask.clone()));
            if ask.may_be_lost() {
                choices.push(Choice::Lose(ask.clone()));
                choices.push(Choice::Delay(ask.clone()));
                choices.push(Choice::Kill(Some((ask.clone(), When::Now))));
                choices.push(Choice::Kill(Some((ask.clone(), When::Later))));
            }
        }
        choices
    }

    /// Takes a step. Returns false if it can't be taken now.
    pub(super) fn step(&mut self, choice: &Choice) -> bool {
        self.commits_before = self.journal.commits();
        let taken = match choice {
            Choice::Serve(ask) => {
                self.postponed.remove(ask);
                self.note_deletion(ask);
                self.gate.decide(ask, Fate::Served)
            }
            Choice::Hold(ask) => self.gate.decide(ask, Fate::Held),
            Choice::Lose(ask) => self.gate.decide(ask, Fate::Lost),
            Choice::Refuse(ask) => self.gate.decide(ask, Fate::Refused),
            Choice::Delay(ask) => {
                self.late_until = self.now + LATE_MAX;
                self.gate.decide(ask, Fate::Late)
            }
            Choice::Postpone(ask) => self.gate.waiting().contains(ask) && self.postponed.insert(ask.clone()),
            Choice::Deliver(ask) => self.gate.deliver(ask),
            Choice::Land(ask) => match self.gate.take_late(ask) {
                Some(late) => {
                    self.runtime.block_on(late);
                    true
                }
                None => false,
            },
            Choice::Begin => self.begin_operation(),
            Choice::Wait => {
                self.wait();
                true
            }
            Choice::Outsider => self.outsider_acts(),
            Choice::Kill(kept) => self.kill(kept.as_ref()),
            Choice::PowerLoss => {
                let synced = self.journal.synced();
                self.restart(None, synced);
                true
            }
        };
        if !taken {
            return false;
        }
        self.disturbed += usize::from(choice.disturbs());
        self.steps += 1;
        assert!(self.steps <= STEPS_MAX, "it does not end");
        self.pass(STEP);
        // What is begun and ends in one step was there while it lasted.
        self.lookers.iter_mut().for_each(|looker| looker.go_on(&self.possible));
        self.end_operation();
        self.end_lookers();
        self.mark();
        true
    }

    fn end_lookers(&mut self) {
        let (ended, looking) =
            std::mem::take(&mut self.lookers).into_iter().partition(|looker| looker.task.is_finished());
        self.lookers = looking;
        let ended: Vec<Looker> = ended;
        for mut looker in ended {
            let shown =
                self.runtime.block_on(&mut looker.task).unwrap_or_else(|error| panic!("a look panicked: {error}"));
            match shown {
                Ok((shown, reopened)) if !self.outsider_acted => {
                    assert!(!looker.only_moves || !reopened, "what only moves is read without opening it anew");
                    looker.check(&shown);
                }
                Ok(_) => {}
                Err(Error::Failed) => assert!(self.disturbed > 0 || self.outsider_acted, "a look failed"),
                Err(Error::Stale) => assert!(!looker.only_moves || self.outsider_acted, "what only moves is not stale"),
                // A directory moved away from under it.
                Err(_) => {}
            }
        }
    }

    /// Waits until something is asked, the operation is answered, or all is settled.
    fn wait(&mut self) {
        let until = self.now + WAIT_MAX;
        while self.gate.waiting().is_empty()
            && self.operation.as_ref().is_none_or(|operation| !operation.is_finished())
            && !self.lookers.iter().any(|looker| looker.task.is_finished())
            && self.is_under_way()
        {
            assert!(self.now < until, "it does not end: {:?}", self.mount.volume.unsettled());
            self.pass(WAIT);
        }
    }

    fn begin_operation(&mut self) -> bool {
        let Some(operation) = self.scene.operations.get(self.next).filter(|_| self.operation.is_none()).cloned() else {
            return false;
        };
        self.next += 1;
        self.before = self.possible.clone();
        let stages = self.before.iter().filter_map(|model| operation.stages(model).ok()).flatten();
        let stages: Vec<Model> = stages.collect();
        self.add_possible(stages);
        if self.outsider_acted {
            self.destroyed.extend(operation.destroys().map(str::to_owned));
        }
        let mount = self.mount.same();
        if operation == Operation::Look {
            let task = self.runtime.spawn(async move { look(&mount).await });
            self.lookers.push(Looker::new(task, &self.possible));
            return true;
        }
        self.operation = Some(self.runtime.spawn(async move { operation.perform(&mount).await }));
        true
    }

    fn add_possible(&mut self, models: Vec<Model>) {
        self.marked = false;
        for model in models {
            self.versions.extend(contents(&model));
            if !self.possible.iter().any(|other| written_out(other) == written_out(&model)) {
                self.possible.push(model);
            }
        }
    }

    /// Takes in the answer of the operation under way, if there is one.
    fn end_operation(&mut self) {
        let Some(running) = self.operation.take_if(|operation| operation.is_finished()) else { return };
        let result = self.runtime.block_on(running).unwrap_or_else(|error| panic!("a call panicked: {error}"));
        let operation = self.scene.operations[self.next - 1].clone();
        let before = std::mem::take(&mut self.before);
        let left: Vec<Model> = match &result {
            Ok(()) => {
                let after = before.iter().filter_map(|model| operation.stages(model).ok());
                after.filter_map(|mut stages| stages.pop()).collect()
            }
            // It may have been done, or half of it.
            Err(Error::Failed | Error::Stale) if self.disturbed > 0 || self.outsider_acted => return,
            Err(_) => before.iter().filter(|model| operation.stages(model).is_err()).cloned().collect(),
        };
        if left.is_empty() && (self.outsider_acted || self.disturbed > 0 && result == Err(Error::Failed)) {
            return;
        }
        assert!(!left.is_empty(), "{operation:?} ended with {result:?}; {}", self.expected(&before));
        self.possible.clear();
        self.add_possible(left);
    }

    fn expected(&self, possible: &[Model]) -> String {
        let possible: Vec<String> = possible.iter().map(written_out).collect();
        format!("expected one of {possible:#?}")
    }

    fn note_deletion(&mut self, ask: &Ask) {
        let Some(outsider) = self.scene.outsider.as_ref().filter(|_| self.outsider_acted) else { return };
        let theirs = ask.operation.starts_with("Delete") && ask.key.split(' ').any(|key| key == outsider.key());
        self.outsider_was_too_quick |= theirs && self.now < self.outsider_acted_at + VERIFIED_FOR;
    }

    fn outsider_acts(&mut self) -> bool {
        let Some(outsider) = self.scene.outsider.clone().filter(|_| !self.outsider_acted) else { return false };
        self.outsider_acted = true;
        self.outsider_acted_at = self.now;
        if self.operation.is_some() {
            self.destroyed.extend(self.scene.operations[self.next - 1].destroys().map(str::to_owned));
        }
        let objects = self.runtime.block_on(self.mount.objects());
        self.forsaken.extend(objects.get(outsider.key()).cloned());
        match &outsider {
            Outsider::Puts(key, text) => {
                self.versions.insert(text.bytes());
                self.runtime.block_on(self.mount.outsider_puts(key, &text.bytes()));
            }
            Outsider::Deletes(key) => self.runtime.block_on(self.mount.outsider_deletes(key)),
        }
        true
    }

    fn kill(&mut self, kept: Option<&(Ask, When)>) -> bool {
        if let Some((ask, _)) = kept
            && !self.gate.waiting().contains(ask)
        {
            return false;
        }
        let commits = self.journal.commits();
        self.restart(kept.map(|(ask, _)| ask), commits);
        match kept {
            Some((ask, When::Now)) => {
                let late = self.gate.take_late(ask).expect("it was kept");
                self.runtime.block_on(late);
            }
            Some((_, When::Later)) => self.late_until = self.now + LATE_MAX,
            None => {}
        }
        true
    }

    /// A new volume over the ledger as it was after so many commits.
    fn restart(&mut self, kept: Option<&Ask>, commits: usize) {
        self.mount.volume.close();
        if let Some(operation) = self.operation.take() {
            operation.abort();
            self.before.clear();
        }
        self.lookers.drain(..).for_each(|looker| looker.task.abort());
        self.possible = self.possible_after(commits);
        self.marks.clear();
        self.postponed.clear();
        self.gate = Arc::new(self.gate.sever(kept));
        self.journal = Arc::new(self.journal.after(commits));
        self.commits_before = commits;
        let _entered = self.runtime.enter();
        let volume = open(&self.gate, &self.journal, &self.clock);
        self.mount = Mount::of(self.bucket.clone(), volume, options());
    }

    /// What may be there if the ledger has only so many of its commits.
    fn possible_after(&self, commits: usize) -> Vec<Model> {
        // An answer that was given when the ledger had no more than this counts.
        let first = self.marks.iter().rposition(|mark| mark.commits <= commits).unwrap_or_default();
        let mut possible: Vec<Model> = Vec::new();
        let later = self.marks[first.min(self.marks.len())..].iter().flat_map(|mark| &mark.possible);
        for model in later.chain(&self.possible) {
            if !possible.iter().any(|other| written_out(other) == written_out(model)) {
                possible.push(model.clone());
            }
        }
        possible
    }

    /// Checks what can be checked at every moment.
    pub(super) fn check(&mut self, seen: &mut Seen) -> State {
        let objects = self.objects();
        for (key, (bytes, _)) in objects.iter().filter(|(key, _)| !key.starts_with(LISTS)) {
            let whole = bytes.is_empty() || self.versions.contains(bytes);
            assert!(whole, "{key} is nothing that was ever written: {}", shortened(bytes));
        }
        if !self.outsider_acted {
            // What was closed is in the bucket, whatever becomes of the ledger.
            let mut confirmed = contents(&self.possible[0]);
            for model in &self.possible[1..] {
                let others = contents(model);
                confirmed.retain(|bytes| others.contains(bytes));
            }
            for bytes in confirmed {
                let there = objects.values().any(|(object, _)| *object == bytes);
                assert!(there, "{} is not in the bucket", shortened(&bytes));
            }
            self.check_restarts(&objects, seen);
        }
        let state = self.hash(&objects);
        if seen.states.insert(state) {
            self.own.insert(state);
            State::New
        } else if self.own.contains(&state) {
            State::Again
        } else {
            State::Met
        }
    }

    /// A new process would show what it should, whenever this one ended.
    fn check_restarts(&self, objects: &Objects, seen: &mut Seen) {
        let commits = self.journal.commits();
        let from = self.commits_before.min(self.journal.synced());
        for kept in from..=commits {
            let possible = self.possible_after(kept);
            let journal = self.journal.after(kept);
            let mut hasher = DefaultHasher::new();
            hash_objects(objects, &mut hasher);
            hash_ledger(&journal, &mut hasher);
            possible.iter().map(written_out).collect::<Vec<_>>().hash(&mut hasher);
            if !seen.views.insert(hasher.finish()) {
                continue;
            }
            let gate = Arc::new(Gate::new(Arc::new(self.bucket.fork())));
            gate.let_uploads_pass();
            let runtime = runtime();
            let shown = runtime.block_on(async {
                let volume = open(&gate, &Arc::new(journal), &self.clock);
                let mount = Mount::of(self.bucket.clone(), volume, options());
                match view(&mount).await {
                    // What the one before wrote was found while it was read: it is read anew.
                    Err(Error::Stale) => view(&mount).await,
                    shown => shown,
                }
            });
            let shown = shown.unwrap_or_else(|error| panic!("a new process over {kept} commits can't look: {error:?}"));
            let agreed = possible.iter().any(|model| agrees(&shown, model));
            let synced = self.journal.synced();
            assert!(
                agreed,
                "a new process over {kept} of {commits} commits ({synced} synced) shows {}; {}",
                shown_out(&shown),
                self.expected(&possible)
            );
        }
    }

    /// This process shows what it should. It is not to be used any further afterwards.
    pub(super) fn check_view(&mut self) {
        if self.outsider_acted {
            return;
        }
        self.gate.let_uploads_pass();
        self.pass(STEP);
        self.end_operation();
        let shown = self.runtime.block_on(view(&self.mount));
        let shown = shown.unwrap_or_else(|error| panic!("it can't look: {error:?}"));
        let possible = self.possible.clone();
        self.possible.retain(|model| agrees(&shown, model));
        assert!(!self.possible.is_empty(), "it shows {}; {}", shown_out(&shown), self.expected(&possible));
        // They may differ in what can't be seen.
        self.possible.truncate(1);
    }

    /// Everything in the bucket.
    fn objects(&self) -> Objects {
        self.runtime.block_on(async {
            let page = self.bucket.list(&ListRequest::all(Prefix::all())).await.unwrap();
            let mut objects = BTreeMap::new();
            for entry in page.objects {
                let meta = self.bucket.head(&entry.key).await.unwrap();
                let mode = meta.metadata.user.get("mode").map(|mode| format!("{mode:?}")).unwrap_or_default();
                let linked = if meta.metadata.user.contains_key("ossfs-link") { " linked" } else { "" };
                let described = format!("{mode}{linked}");
                objects.insert(entry.key.to_string(), (self.mount.object(entry.key.as_str()).await, described));
            }
            objects
        })
    }

    /// The state, as far as it can be told from outside: what the volume has only in memory shows in what it asks next.
    fn hash(&self, objects: &Objects) -> u64 {
        let mut hasher = DefaultHasher::new();
        hash_objects(objects, &mut hasher);
        hash_ledger(&self.journal, &mut hasher);
        (self.journal.synced() < self.journal.commits()).hash(&mut hasher);
        if self.journal.synced() < self.journal.commits() {
            hash_ledger(&self.journal.after(self.journal.synced()), &mut hasher);
        }
        self.runtime.block_on(hash_uploads(&self.bucket, &mut hasher));
        self.gate.waiting().hash(&mut hasher);
        self.gate.held().hash(&mut hasher);
        self.gate.late().hash(&mut hasher);
        self.gate.answered().hash(&mut hasher);
        self.postponed.hash(&mut hasher);
        (self.next, self.operation.is_some(), self.lookers.len(), self.disturbed, self.outsider_acted)
            .hash(&mut hasher);
        self.possible.iter().map(written_out).collect::<BTreeSet<_>>().hash(&mut hasher);
        self.mount.volume.unsettled().failures.len().hash(&mut hasher);
        hasher.finish()
    }

    /// Everything that matters, where a play failed.
    pub(super) fn describe(&self) -> String {
        let ledger: Vec<String> = self.journal.load().unwrap().iter().map(|record| format!("  {record:?}")).collect();
        format!(
            "waiting: {:?}\nheld: {:?}\nlate: {:?}\nobjects: {:?}\nledger:\n{}",
            self.gate.waiting(),
            self.gate.held(),
            self.gate.late(),
            self.objects().iter().map(|(key, (bytes, _))| format!("{key}={}", shortened(bytes))).collect::<Vec<_>>(),
            ledger.join("\n")
        )
    }
}
