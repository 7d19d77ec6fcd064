//! A process that commits is killed at some moment, again and again: each commit is whole, and none that was reported is
//! missing.

use ossfs_ledger::{Change, Ledger, LmdbLedger, NodeId, Record, RecordKey, StateDirectory};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Where the child is to commit.
const DIRECTORY: &str = "OSSFS_TEST_LEDGER";
const RECORDS: usize = 100;
const ROUNDS: u64 = 12;
/// Long enough for a journal to be moved into the database a few times.
const LIFE_MILLISECONDS_MAX: u64 = 300;

fn open(directory: &Path) -> LmdbLedger {
    let directory = StateDirectory::lock(directory).expect("nobody else is there");
    LmdbLedger::open(&directory, "bucket").expect("whatever was killed there, it opens")
}

/// Each commit writes the same names, so that the journal is rewritten and the database stays small, and one of its own.
fn commit(number: u64) -> Vec<Change> {
    let name = |text: String| RecordKey::Name(NodeId::ROOT, text.into());
    let shared = (1..RECORDS).map(|at| name(format!("{at:03}{}", "-".repeat(200))));
    let own = Change { key: name(format!("own {number}")), record: Some(Record::Name(NodeId(number))) };
    shared.map(|key| Change { key, record: Some(Record::Name(NodeId(number))) }).chain([own]).collect()
}

/// The number of the last commit, of which and of all before everything is there, and nothing of others.
fn last_commit(ledger: &LmdbLedger) -> u64 {
    let records = ledger.load().expect("it loads");
    let numbers = |own: bool| {
        records.iter().filter_map(move |record| match record {
            (RecordKey::Name(_, name), Record::Name(id)) if name.starts_with("own") == own => Some(id.0),
            _ => None,
        })
    };
    let Some(last) = numbers(false).next() else {
        assert!(records.is_empty());
        return 0;
    };
    assert!(numbers(false).count() == RECORDS - 1 && numbers(false).all(|number| number == last));
    let mut own: Vec<_> = numbers(true).collect();
    own.sort_unstable();
    assert!(own.into_iter().eq(1..=last), "a commit is missing before {last}");
    last
}

/// Not a test of its own: what the other one kills.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let ledger = open(Path::new(&directory));
    let mut report = std::io::stdout();
    for number in last_commit(&ledger) + 1.. {
        ledger.commit(&commit(number)).unwrap();
        if number % 16 == 0 {
            ledger.sync().unwrap();
        }
        writeln!(report, "committed {number}").unwrap();
    }
}

#[test]
fn commits_are_whole_and_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = 0;
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok);
            lines.filter_map(|line| line.strip_prefix("committed ")?.parse::<u64>().ok()).last()
        });
        std::thread::sleep(Duration::from_millis(random.u64(1..LIFE_MILLISECONDS_MAX)));
        child.kill().unwrap();
        child.wait().unwrap();
        let reported = reader.join().unwrap().unwrap_or(last);
        let found = last_commit(&open(folder.path()));
        // At most the one that was being reported is there without a report.
        assert!(found == reported || found == reported + 1, "round {round}: {reported} reported, {found} found");
        last = found;
    }
    assert!(last > ROUNDS, "hardly anything was committed: {last}");
}
