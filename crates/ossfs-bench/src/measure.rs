//! One row: contestants in turn, round by round, each on a mount that knows nothing.
//!
//! Invariants: what a contestant wrote is gone before the next one begins; the sandbox is near but for the steps that are
//! measured; a contestant that fails or takes too long is told so and left out of later rounds, and the row goes on.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::fs::Advice;
use tokio::runtime::Runtime;

use crate::contestants::{Ask, Contestant, Mounted, Peer, ossfs};
use crate::leftovers::{self, Folder};
use crate::processes;
use crate::raw::Raw;
use crate::rows::{Data, Row, Scale, Shape, Step};
use crate::sandbox::{Counts, Sandbox, Setting};
use crate::work::{Done, Workplace, file_name, make_sources};

/// One contestant's steps of one round. The rest is a hang.
const OWN_LIMIT: Duration = Duration::from_secs(150);
/// Peers may be slower, and the whole is to end within 40 minutes.
const PEER_LIMIT: Duration = Duration::from_secs(30);
/// Whoever took longer than this in all has no further round, but for the product and the raw client.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a run needs that is the same for all rows.
pub(crate) struct Plan {
    /// The product.
    pub(crate) program: PathBuf,
    /// Where everything is made that is not in the bucket.
    pub(crate) scratch: PathBuf,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) scale: Scale,
    pub(crate) rounds: usize,
    pub(crate) peers: Vec<Peer>,
    /// Options of the product for every row.
    pub(crate) options: Vec<String>,
}

/// What one step of one round took.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) done: Done,
    pub(crate) cpu_s: f64,
    /// Of the process, from its start to the end of the step.
    pub(crate) peak_bytes: u64,
    pub(crate) counts: Counts,
}

/// One contestant in one row.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) contestant: Contestant,
    /// For each step of the row, of each round that was done.
    pub(crate) samples: Vec<Vec<Sample>>,
    /// Why it was not done, or not to the end.
    pub(crate) trouble: Option<String>,
    pub(crate) spent: Duration,
}

/// One row, measured.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) row: &'static Row,
    pub(crate) standings: Vec<Standing>,
}

/// Measures a row.
pub(crate) fn measure(plan: &Plan, row: &'static Row) -> Result<Measured> {
    let mut standings: Vec<Standing> = contestants(plan, row).into_iter().map(|who| standing(who, row)).collect();
    let mut stage = Stage::set(plan, row)?;
    for round in 0..plan.rounds.min(row.rounds_max) {
        for at in 0..standings.len() {
            // Everyone is first once, as far as rounds reach.
            let at = (at + round) % standings.len();
            let standing = &mut standings[at];
            let patience = standing.needs_all_rounds() || standing.spent < PATIENCE;
            if standing.trouble.is_some() || (round > 0 && !patience) {
                continue;
            }
            if row.fresh {
                stage.replace_bucket(plan, row)?;
            }
            let begun = Instant::now();
            let done = stage.play(plan, row, &standing.contestant, round);
            standing.spent += begun.elapsed();
            println!("  {:<14} {}", standing.contestant.name(), said(row, &done, begun.elapsed()));
            match done {
                Ok(samples) => standing.add(samples),
                Err(error) => standing.trouble = Some(format!("{error:#}")),
            }
        }
    }
    Ok(Measured { row, standings })
}

fn standing(contestant: Contestant, row: &Row) -> Standing {
    Standing { contestant, samples: vec![Vec::new(); row.steps.len()], trouble: None, spent: Duration::ZERO }
}

impl Standing {
    pub(crate) fn is_peer(&self) -> bool {
        matches!(self.contestant, Contestant::Peer(_))
    }

    /// Everything else is compared with these.
    fn needs_all_rounds(&self) -> bool {
        self.contestant.is_ours() || self.contestant == Contestant::Raw
    }

    fn add(&mut self, samples: Vec<Option<Sample>>) {
        for (all, sample) in self.samples.iter_mut().zip(samples) {
            all.extend(sample);
        }
    }
}

fn said(row: &Row, done: &Result<Vec<Option<Sample>>>, took: Duration) -> String {
    let steps = match done {
        Ok(samples) => row.steps.iter().zip(samples).filter_map(|(step, sample)| {
            let (figure, sample) = (step.figure?, sample.as_ref()?);
            Some(format!("{figure} {:.3} s", sample.done.seconds))
        }),
        Err(error) => return format!("{error:#}"),
    };
    format!("{} ({:.1} s in all)", steps.collect::<Vec<_>>().join(", "), took.as_secs_f64())
}

fn contestants(plan: &Plan, row: &Row) -> Vec<Contestant> {
    let mut all = vec![Contestant::Ossfs];
    all.extend(row.others.raw.then_some(Contestant::Raw));
    all.extend(row.others.local.then_some(Contestant::Local));
    if row.others.peers {
        let can = |peer: &&Peer| !peer.own_layout || row.data.is_empty();
        all.extend(plan.peers.iter().filter(can).cloned().map(Contestant::Peer));
    }
    all.extend(row.others.control.then_some(Contestant::Again));
    all
}

/// What a row has around it.
struct Stage {
    // Dropped in this order: the server before the folder that its log is in.
    sandbox: Sandbox,
    raw: Raw,
    folder: Folder,
}

/// A mount, a folder, or neither; with whatever is to be counted of it.
enum Place {
    Nowhere,
    Folder(PathBuf),
    Mount(Box<Mounted>),
}

impl Place {
    /// Whose costs are counted, and whether what it started is counted with it. Our own process is the raw client, and it
    /// alone.
    fn process(&self) -> Option<(u32, bool)> {
        match self {
            Self::Nowhere => Some((processes::own(), false)),
            Self::Folder(_) => None,
            Self::Mount(mounted) => Some((mounted.pid(), true)),
        }
    }

    fn cpu_s(&self) -> f64 {
        self.process().map_or(0.0, |(pid, with_children)| processes::cpu_s(pid, with_children))
    }

    fn peak_bytes(&self) -> u64 {
        self.process().map_or(0, |(pid, with_children)| processes::peak_bytes(pid, with_children))
    }
}

/// One contestant's run.
struct Run<'a> {
    plan: &'a Plan,
    row: &'a Row,
    contestant: &'a Contestant,
    /// For keys, state, caches and logs.
    folder: &'a Path,
    out: &'a str,
}

impl Stage {
    fn set(plan: &Plan, row: &Row) -> Result<Stage> {
        let folder = Folder::make(plan.scratch.join(row.name))?;
        let (sandbox, raw) = Self::bucket(plan, &folder.path)?;
        let stage = Stage { sandbox, raw, folder };
        stage.fill(plan, row)?;
        for step in row.steps {
            match step.shape {
                Shape::CopyTrees { files, bytes, processes, .. } => {
                    make_sources(&stage.sources(), plan.scale.count(files), bytes, processes)?;
                }
                Shape::Untar { files, bytes, .. } => {
                    make_sources(&stage.sources(), plan.scale.count(files), bytes, 1)?;
                }
                _ => {}
            }
        }
        if row.others.local {
            row.data.iter().try_for_each(|data| fill_locally(&stage.local(), data, plan.scale))?;
        }
        Ok(stage)
    }

    fn bucket(plan: &Plan, folder: &Path) -> Result<(Sandbox, Raw)> {
        let sandbox = Sandbox::start(&plan.program, &folder.join("sandbox.log"))?;
        let raw = Raw::connect(Arc::clone(&plan.runtime), &sandbox.endpoint())?;
        Ok((sandbox, raw))
    }

    fn replace_bucket(&mut self, plan: &Plan, row: &Row) -> Result<()> {
        (self.sandbox, self.raw) = Self::bucket(plan, &self.folder.path)?;
        self.fill(plan, row)
    }

    fn fill(&self, plan: &Plan, row: &Row) -> Result<()> {
        row.data.iter().try_for_each(|data| self.raw.fill(data, plan.scale))
    }

    fn sources(&self) -> PathBuf {
        self.folder.path.join("sources")
    }

    fn local(&self) -> PathBuf {
        self.folder.path.join("local")
    }

    /// Takes all steps; what is not for this contestant is left out.
    fn play(&self, plan: &Plan, row: &Row, contestant: &Contestant, round: usize) -> Result<Vec<Option<Sample>>> {
        let name: String = contestant.name().chars().filter(char::is_ascii_alphanumeric).collect();
        let out = format!("out-{name}-{round}");
        let folder = Folder::make(self.folder.path.join(&out))?;
        let run = Run { plan, row, contestant, folder: &folder.path, out: &out };
        self.sandbox.set(row.setting)?;
        let limit = Limit::start(if matches!(contestant, Contestant::Peer(_)) { PEER_LIMIT } else { OWN_LIMIT });
        let played = self.take_steps(&run);
        let in_time = limit.end();
        self.sandbox.set(Setting::Near)?;
        self.raw.clear(&out)?;
        match (played, in_time) {
            (Err(_), Err(after)) => bail!("over {} s", after.as_secs()),
            (played, _) => played,
        }
    }

    fn take_steps(&self, run: &Run<'_>) -> Result<Vec<Option<Sample>>> {
        let mut place = self.place(run)?;
        let mut samples = Vec::new();
        for step in run.row.steps {
            self.sandbox.begin_counting()?;
            place = match step.shape {
                Shape::Remount => self.remount(run, place)?,
                Shape::KillAndMount => self.kill_and_mount(run, place)?,
                _ => place,
            };
            let cpu_s = place.cpu_s();
            let done = self.take(run, &place, step)?;
            let counts = self.sandbox.counts()?;
            let (cpu_s, peak_bytes) = (place.cpu_s() - cpu_s, place.peak_bytes());
            samples.push(done.map(|done| Sample { done: drained(step, done, &counts), cpu_s, peak_bytes, counts }));
        }
        Ok(samples)
    }

    fn place(&self, run: &Run<'_>) -> Result<Place> {
        let place = match run.contestant {
            Contestant::Raw => {
                processes::forget_own_peak()?;
                return Ok(Place::Nowhere);
            }
            Contestant::Local => Place::Folder(self.local()),
            _ => Place::Mount(Box::new(self.mount(run)?)),
        };
        if writes(run.row) {
            fs::create_dir_all(self.root(run, &place).join(run.out))?;
        } else if matches!(place, Place::Folder(_)) {
            forget_pages(&self.local())?;
        }
        Ok(place)
    }

    fn root(&self, run: &Run<'_>, place: &Place) -> PathBuf {
        match place {
            Place::Folder(folder) => folder.clone(),
            _ => run.folder.join("mnt"),
        }
    }

    fn mount(&self, run: &Run<'_>) -> Result<Mounted> {
        let (mountpoint, endpoint) = (run.folder.join("mnt"), self.sandbox.endpoint());
        let program = match run.contestant {
            Contestant::Peer(peer) => &peer.program,
            _ => &run.plan.program,
        };
        let ask = Ask { program, endpoint: &endpoint, mountpoint: &mountpoint, folder: run.folder };
        let rows = run.row.options.iter().map(|option| (*option).to_owned());
        let options: Vec<String> = rows.chain(run.plan.options.iter().cloned()).collect();
        let (command, options) = match run.contestant {
            Contestant::Peer(peer) => (peer.command(&ask)?, Vec::new()),
            _ => (ossfs(&ask, &options)?, options),
        };
        Mounted::start(command, &mountpoint, &run.folder.join("log"), &options)
    }

    /// The page caches of the mount go with it; those of the disk are dropped.
    fn remount(&self, run: &Run<'_>, place: Place) -> Result<Place> {
        match place {
            Place::Mount(mounted) => {
                mounted.umount(&run.plan.program)?;
                forget_pages(run.folder)?;
                Ok(Place::Mount(Box::new(self.mount(run)?)))
            }
            Place::Folder(folder) => {
                forget_pages(&folder)?;
                Ok(Place::Folder(folder))
            }
            Place::Nowhere => Ok(place),
        }
    }

    fn kill_and_mount(&self, run: &Run<'_>, place: Place) -> Result<Place> {
        drop(place);
        let mounted = self.mount(run)?;
        self.sandbox.set(run.row.setting)?;
        Ok(Place::Mount(Box::new(mounted)))
    }

    fn take(&self, run: &Run<'_>, place: &Place, step: &Step) -> Result<Option<Done>> {
        let (row, scale, program) = (run.row, run.plan.scale, &run.plan.program);
        let ours = run.contestant.is_ours();
        match (place, step.shape) {
            (Place::Nowhere, shape) => self.raw.work(shape, run.out, row.connections, scale, OWN_LIMIT),
            (_, Shape::Refuse) => self.sandbox.refuse_objects().map(|()| None),
            (Place::Mount(mounted), Shape::Mount | Shape::KillAndMount) => {
                Ok(Some(Done { seconds: mounted.seconds, amount: 1 }))
            }
            (Place::Mount(mounted), Shape::Drain { .. }) if ours => timed(|| mounted.sync(program)).map(Some),
            (Place::Mount(mounted), Shape::SettleMove { entries, .. }) if ours => {
                let done = timed(|| mounted.sync(program))?;
                Ok(Some(Done { amount: scale.count(entries), ..done }))
            }
            (_, shape) => {
                let (root, sources) = (self.root(run, place), self.sources());
                let is_mount = matches!(place, Place::Mount(_));
                let work = Workplace { root: &root, out: run.out, sources: &sources, scale, is_mount };
                let begun = Instant::now();
                let done = work.work(shape)?;
                if let (Contestant::Peer(Peer { uploads_later: true, .. }), Some(done)) = (run.contestant, done)
                    && let Some((files, bytes)) = awaited(shape, scale)
                {
                    self.raw.arrived(run.out, files, bytes)?;
                    return Ok(Some(Done { seconds: begun.elapsed().as_secs_f64(), ..done }));
                }
                Ok(done)
            }
        }
    }
}

/// What is left to be uploaded when the work has been answered is what draining did.
fn drained(step: &Step, done: Done, counts: &Counts) -> Done {
    let put = counts.requests.get("PutObject").copied().unwrap_or_default();
    if matches!(step.shape, Shape::Drain { .. }) { Done { amount: put, ..done } } else { done }
}

/// Files and bytes that must be in the bucket before a write counts as done; `-owriteback` is for the rest.
fn awaited(shape: Shape, scale: Scale) -> Option<(u64, u64)> {
    match shape {
        Shape::Write { bytes, .. } => Some((1, scale.bytes(bytes))),
        Shape::CreateFiles { files, bytes, .. } | Shape::CopyTrees { files, bytes, .. } => {
            let files = scale.count(files);
            Some((files, files * bytes as u64))
        }
        _ => None,
    }
}

fn writes(row: &Row) -> bool {
    row.steps.iter().any(|step| {
        matches!(
            step.shape,
            Shape::Write { .. } | Shape::CreateFiles { .. } | Shape::CopyTrees { .. } | Shape::Untar { .. }
        )
    })
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Done> {
    let begun = Instant::now();
    work()?;
    Ok(Done { seconds: begun.elapsed().as_secs_f64(), amount: 0 })
}

/// The same data as in the bucket.
fn fill_locally(local: &Path, data: &Data, scale: Scale) -> Result<()> {
    let write = |name: &str, bytes: u64| -> Result<()> {
        let path = local.join(name);
        fs::create_dir_all(path.parent().unwrap_or(local))?;
        let mut file = File::create(path)?;
        std::io::copy(&mut std::io::Read::take(std::io::repeat(7), bytes), &mut file)?;
        // Pages that are not on the disk yet can't be dropped.
        Ok(file.sync_data()?)
    };
    match *data {
        Data::Object { file, bytes } => write(file, scale.bytes(bytes)),
        Data::Files { dir, count, bytes, per_directory } => {
            (0..scale.count(count)).try_for_each(|number| write(&file_name(dir, number, per_directory), bytes as u64))
        }
    }
}

/// Drops the page cache of all files below a folder, which must be on the disk already.
fn forget_pages(folder: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            forget_pages(&entry.path())?;
        } else if entry.file_type()?.is_file() {
            let file = File::open(entry.path())?;
            rustix::fs::fadvise(file.as_fd(), 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}

/// Kills what a run has started when it takes too long.
struct Limit {
    _ended: SyncSender<()>,
    thread: JoinHandle<()>,
    passed: Arc<AtomicBool>,
    limit: Duration,
}

impl Limit {
    fn start(limit: Duration) -> Limit {
        let (moment, passed) = (leftovers::now(), Arc::new(AtomicBool::new(false)));
        let (sender, receiver) = sync_channel::<()>(0);
        let flag = Arc::clone(&passed);
        let thread = thread::spawn(move || {
            if receiver.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                flag.store(true, Ordering::Relaxed);
                leftovers::kill_since(moment);
            }
        });
        Limit { _ended: sender, thread, passed, limit }
    }

    /// The limit as an error if it has passed.
    fn end(self) -> Result<(), Duration> {
        drop(self._ended);
        let _ = self.thread.join();
        if self.passed.load(Ordering::Relaxed) { Err(self.limit) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::ROWS;

    #[test]
    fn what_takes_too_long_is_killed() {
        let _alone = leftovers::one_test_at_a_time();
        let limit = Limit::start(Duration::from_millis(200));
        let mut sleeper = leftovers::Running::start(std::process::Command::new("sleep").arg("60")).unwrap();
        assert!(!sleeper.end().unwrap().success());
        assert!(limit.end().is_err());
        assert!(Limit::start(Duration::from_secs(60)).end().is_ok());
    }

    #[test]
    fn the_product_is_first_and_last() {
        let runtime = Arc::new(tokio::runtime::Builder::new_current_thread().build().unwrap());
        let plan = Plan {
            program: PathBuf::new(),
            scratch: PathBuf::new(),
            runtime,
            scale: Scale(1),
            rounds: 3,
            peers: Vec::new(),
            options: Vec::new(),
        };
        let row = ROWS.iter().find(|row| row.name == "near-read").unwrap();
        let names: Vec<_> = contestants(&plan, row).iter().map(|who| who.name().to_owned()).collect();
        assert_eq!(names, ["ossfs", "raw client", "local disk", "ossfs (again)"]);
    }
}
