//! Random histories in which somebody else puts and deletes objects too: nothing panics, all is settled in the end, no
//! content is lost that nobody deleted, and none is mixed with another.
//!
//! The somebody acts between requests, never during one: OSS has no conditional write, so what comes in between a look
//! and the write that follows it at once is lost.

use crate::mount::Mount;
use crate::tales::{Log, failing_seeds, shown};
use crate::weather::Storm;
use ossfs_ledger::Ledger;
use ossfs_volume::{Error, VolumeOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const NAMES: [&str; 3] = ["a", "b", "c"];
const OPERATIONS: usize = 60;

struct Strangers {
    rng: fastrand::Rng,
    mount: Mount,
    /// Everything that was ever written.
    written: BTreeSet<Vec<u8>>,
    /// What must be somewhere in the bucket.
    kept: BTreeSet<Vec<u8>>,
    log: Log,
}

fn run(plain: u64, long: u64, storm: Option<Storm>) {
    failing_seeds(plain, long, OPERATIONS, &|seed, skipped, log| {
        let (skipped, log) = (skipped.clone(), log.clone());
        Box::pin(async move {
            let mut strangers = Strangers::begin(seed, storm, log);
            for step in (0..OPERATIONS).filter(|step| !skipped.contains(step)) {
                strangers.rng = fastrand::Rng::with_seed(seed * 1_000 + step as u64);
                strangers.step(step).await;
            }
            strangers.end().await;
        })
    });
}

#[test]
fn nothing_is_lost_among_strangers() {
    run(300, 5_000, None);
}

#[test]
fn nothing_is_lost_among_strangers_in_storms() {
    run(200, 5_000, Some(Storm { refused: 0.05, lost_requests: 0.0, lost_answers: 0.03 }));
}

impl Strangers {
    fn begin(seed: u64, storm: Option<Storm>, log: Log) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mount = Mount::with(VolumeOptions { parallel: *rng.choice(&[2, 32]).unwrap(), ..VolumeOptions::default() });
        mount.store.delay(Duration::from_millis(rng.u64(0..=100)), seed);
        mount.store.storm(storm);
        if seed % 2 == 1 {
            mount.store.page(3);
        }
        if std::env::var("OSSFS_REQUESTS").is_ok() {
            mount.store.note_in(log.clone());
        }
        Self { rng, mount, written: BTreeSet::new(), kept: BTreeSet::new(), log }
    }

    fn say(&self, what: String) {
        self.log.lock().unwrap().push(what);
    }

    fn path(&mut self) -> String {
        let depth = self.rng.usize(1..=3);
        let names: Vec<&str> = (0..depth).map(|_| *self.rng.choice(&NAMES).unwrap()).collect();
        names.join("/")
    }

    fn bytes(&mut self, step: usize) -> Vec<u8> {
        let bytes = format!("<{step}>").repeat(self.rng.usize(1..5)).into_bytes();
        self.written.insert(bytes.clone());
        bytes
    }

    async fn step(&mut self, step: usize) {
        match self.rng.u8(0..100) {
            0..22 => self.outsider_puts(step).await,
            22..30 => self.outsider_deletes().await,
            30..48 => self.write(step).await,
            48..66 => self.rename().await,
            66..68 => self.exchange().await,
            68..70 => self.link().await,
            70..76 => self.unlink().await,
            76..80 => {
                let path = self.path();
                self.say(format!("mkdir {path}"));
                self.mount.mkdir(&path).await.ok();
            }
            80..84 => {
                let path = self.path();
                self.say(format!("rmdir {path}"));
                self.mount.rmdir(&path).await.ok();
            }
            84..90 => {
                let path = self.path();
                self.say(format!("ls {path}"));
                self.mount.names(&path).await.ok();
                self.mount.names("").await.ok();
            }
            90..93 => {
                self.say("outlast the TTL".into());
                self.mount.outlast_ttl().await;
            }
            _ => {
                let pause = Duration::from_millis(self.rng.u64(1..800));
                self.say(format!("sleep {pause:?}"));
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Waits for a moment at which no request is under way.
    async fn calm(&self) -> bool {
        for _ in 0..2_000 {
            if self.mount.store.in_flight() == 0 {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        false
    }

    /// What is about to be overwritten or deleted by somebody else may be lost: where else it is, it may be garbage.
    fn forsake(&mut self, objects: &BTreeMap<String, Vec<u8>>, key: &str) {
        objects.get(key).map(|bytes| self.kept.remove(bytes));
    }

    async fn outsider_puts(&mut self, step: usize) {
        let mut key = self.path();
        let mut bytes = self.bytes(step);
        if self.rng.u8(0..8) == 0 {
            key.push('/');
            bytes.clear();
        }
        if !self.calm().await {
            return;
        }
        self.say(format!("outsider puts {key} {}", shown(&bytes)));
        let objects = self.mount.objects().await;
        self.forsake(&objects, &key);
        self.mount.outsider_puts(&key, &bytes).await;
        if !bytes.is_empty() {
            self.kept.insert(bytes);
        }
    }

    async fn outsider_deletes(&mut self) {
        if !self.calm().await {
            return;
        }
        let objects = self.mount.objects().await;
        let keys: Vec<&String> = objects.keys().filter(|key| !key.starts_with(".ossfs")).collect();
        let Some(key) = self.rng.choice(&keys) else { return };
        self.say(format!("outsider deletes {key}"));
        let key = (*key).clone();
        self.forsake(&objects, &key);
        self.mount.outsider_deletes(&key).await;
    }

    /// The content of a file as the mount shows it; `Err` if it can't be told.
    async fn content(&self, path: &str) -> Result<Option<Vec<u8>>, ()> {
        for _ in 0..20 {
            match self.mount.read(path).await {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(Error::NotFound | Error::NotDirectory | Error::IsDirectory) => return Ok(None),
                Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
            }
        }
        Err(())
    }

    async fn write(&mut self, step: usize) {
        let path = self.path();
        let bytes = self.bytes(step);
        let Ok(old) = self.content(&path).await else { return };
        self.say(format!("write {path} {}, over {:?}", shown(&bytes), old.as_deref().map(shown)));
        match self.mount.write(&path, &bytes).await {
            Ok(()) => {
                old.map(|old| self.kept.remove(&old));
                self.kept.insert(bytes);
            }
            Err(error) => {
                self.say(format!("… {error:?}"));
                // It may have been truncated.
                old.map(|old| self.kept.remove(&old));
            }
        }
    }

    async fn rename(&mut self) {
        let (from, to) = (self.path(), self.path());
        let Ok(replaced) = self.content(&to).await else { return };
        self.say(format!("mv {from} {to}, over {:?}", replaced.as_deref().map(shown)));
        match self.mount.mv(&from, &to).await {
            Ok(()) if from != to => drop(replaced.map(|replaced| self.kept.remove(&replaced))),
            Ok(()) => {}
            Err(error) => self.say(format!("… {error:?}")),
        }
    }

    async fn link(&mut self) {
        let (from, to) = (self.path(), self.path());
        self.say(format!("ln {from} {to}"));
        if let Err(error) = self.mount.ln(&from, &to).await {
            self.say(format!("… {error:?}"));
        }
    }

    async fn exchange(&mut self) {
        let (one, other) = (self.path(), self.path());
        self.say(format!("exchange {one} {other}"));
        if let Err(error) = self.mount.exchange(&one, &other).await {
            self.say(format!("… {error:?}"));
        }
    }

    async fn unlink(&mut self) {
        let path = self.path();
        let Ok(old) = self.content(&path).await else { return };
        self.say(format!("rm {path}, which is {:?}", old.as_deref().map(shown)));
        match self.mount.rm(&path).await {
            Ok(()) => drop(old.map(|old| self.kept.remove(&old))),
            Err(error) => self.say(format!("… {error:?}")),
        }
    }

    async fn end(self) {
        self.say("the end".into());
        self.mount.settle().await;
        self.mount.store.storm(None);
        let mut objects = self.mount.objects().await;
        objects.retain(|key, _| !key.starts_with(".ossfs/links/"));
        for (key, bytes) in &objects {
            let whole = self.written.contains(bytes) || (bytes.is_empty() && key.ends_with('/'));
            assert!(whole, "{key} is nothing that was ever written: {}", shown(bytes));
            assert!(!key.starts_with(".ossfs/"), "{key} is left");
        }
        for bytes in &self.kept {
            assert!(objects.values().any(|object| object == bytes), "{} is lost; left are {objects:?}", shown(bytes));
        }
        self.mount.outlast_ttl().await;
        let (tree, fresh) = (self.mount.tree().await, self.mount.fresh().tree().await);
        let other: Vec<&String> =
            tree.keys().chain(fresh.keys()).filter(|path| tree.get(*path) != fresh.get(*path)).collect();
        assert!(
            other.is_empty(),
            "this mount and a fresh one differ in {other:?}; {:?}; {:#?}",
            objects.keys(),
            self.mount.ledger.load()
        );
    }
}
