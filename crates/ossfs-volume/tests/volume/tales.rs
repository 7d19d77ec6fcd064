//! Runs random histories by seed, and leaves out of one that fails what is not needed for that.
//!
//! `OSSFS_SEED=n` runs one history, `OSSFS_LONG=1` many more; `OSSFS_REQUESTS=1` shows the requests of one that fails.

use std::collections::BTreeSet;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One history takes no longer than this; most take some milliseconds.
const WALL_TIME_MAX: Duration = Duration::from_secs(60);
/// Histories that failed once, in one kind or another, beyond those that the plain run plays anyway.
const ONCE_FAILED: [u64; 16] =
    [1076, 1977, 1986, 2287, 2676, 2786, 2906, 3161, 3356, 3378, 3488, 3744, 3928, 4754, 4758, 4794];
/// After so many failures no more are looked for.
const FAILURES_MAX: usize = 10;
/// What a history did.
pub(crate) type Log = Arc<Mutex<Vec<String>>>;

/// A history of a seed without some of its steps.
type Tale<'a> = &'a dyn Fn(u64, &BTreeSet<usize>, &Log) -> Pin<Box<dyn Future<Output = ()>>>;

/// Runs histories of one kind, each in a runtime of its own; tells which failed, and what is needed for the first to fail.
pub(crate) fn failing_seeds(plain: u64, long: u64, steps: usize, tale: Tale<'_>) {
    let seeds: Vec<u64> = match std::env::var("OSSFS_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) if std::env::var("OSSFS_LONG").is_ok() => (0..long).collect(),
        // Of kinds that take long few are played.
        Err(_) if plain < 100 => (0..plain).collect(),
        Err(_) => (0..plain).chain(ONCE_FAILED).collect(),
    };
    let mut failed: Vec<(u64, Failure)> = Vec::new();
    for seed in seeds {
        failed.extend(failure(tale, seed, &BTreeSet::new()).map(|failure| (seed, failure)));
        if failed.len() >= FAILURES_MAX {
            break;
        }
    }
    let Some((seed, first)) = failed.first() else { return };
    println!("seed {seed} failed: {}\n{}\n", first.message, first.log);
    let needed = shrink(tale, *seed, steps);
    println!("of that, this is enough: {}\n{}\n", needed.message, needed.log);
    let heads = failed.iter().map(|(seed, failure)| {
        let mut lines = failure.message.lines();
        format!("{seed}: {}", lines.by_ref().take(3).collect::<Vec<_>>().join(" "))
    });
    panic!("seeds that failed:\n{}", heads.collect::<Vec<_>>().join("\n"));
}

/// How a history failed.
struct Failure {
    message: String,
    log: String,
}

/// Runs one history, without some of its steps.
fn failure(tale: Tale<'_>, seed: u64, skipped: &BTreeSet<usize>) -> Option<Failure> {
    let log = Log::default();
    let (ended, end) = sync_channel::<()>(0);
    let told = log.clone();
    let watch = std::thread::spawn(move || {
        if end.recv_timeout(WALL_TIME_MAX) == Err(RecvTimeoutError::Timeout) {
            // Time is simulated: it spins, so that nothing can be told to end.
            println!("seed {seed} does not end:\n{}", told.lock().unwrap().join("\n"));
            std::process::abort();
        }
    });
    let history = std::panic::catch_unwind(AssertUnwindSafe(|| {
        fastrand::seed(seed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(tale(seed, skipped, &log));
    }));
    drop(ended);
    watch.join().unwrap();
    let payload = history.err()?;
    let message = match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload.downcast_ref::<&str>().copied().unwrap_or("no message").to_owned(),
    };
    let log = log.lock().unwrap().join("\n");
    Some(Failure { message, log })
}

/// Leaves out of a history that fails what is not needed for that.
fn shrink(tale: Tale<'_>, seed: u64, steps: usize) -> Failure {
    let mut skipped = BTreeSet::new();
    loop {
        let before = skipped.len();
        for step in (0..steps).rev() {
            if skipped.insert(step) && failure(tale, seed, &skipped).is_none() {
                skipped.remove(&step);
            }
        }
        if skipped.len() == before {
            return failure(tale, seed, &skipped).expect("it failed just now");
        }
    }
}

/// The beginning of a content, and its length.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
    format!("{text:?} ({} bytes)", bytes.len())
}
