//! A disk that is full, or read-only: clear errors, nothing lost. Needs a file system of its own, so root.

use ossfs_ledger::{Change, Ledger, LmdbLedger, NodeId, OpenError, Record, RecordKey, StateDirectory};
use std::path::Path;
use std::process::Command;

/// Where the child, in a mount namespace of its own, may mount.
const MOUNTPOINT: &str = "OSSFS_TEST_MOUNTPOINT";

fn name(number: u64) -> Change {
    let text = format!("{number:08}{}", "-".repeat(200));
    Change { key: RecordKey::Name(NodeId::ROOT, text.into()), record: Some(Record::Name(NodeId(number))) }
}

fn mount(arguments: &[&str], at: &Path) {
    assert!(Command::new("mount").args(arguments).arg(at).status().expect("mount is there").success());
}

fn open(directory: &Path) -> Result<LmdbLedger, OpenError> {
    LmdbLedger::open(&StateDirectory::lock(directory)?, "bucket")
}

/// Runs a test of this file in a mount namespace of its own, where that can be.
fn in_namespace(test: &str) {
    let possible =
        Command::new("unshare").args(["--mount", "true"]).output().is_ok_and(|output| output.status.success());
    if !possible {
        println!("SKIPPED: no mount namespaces (not root?)");
        return;
    }
    let folder = tempfile::tempdir().expect("there is room");
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().expect("a test is a program"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(MOUNTPOINT, folder.path())
        .status();
    assert!(status.expect("unshare was there before").success());
}

#[test]
fn full() {
    let Some(at) = std::env::var_os(MOUNTPOINT) else {
        in_namespace("full");
        return;
    };
    let at = Path::new(&at);
    mount(&["-t", "tmpfs", "-o", "size=32m", "tmpfs"], at);
    let filler = at.join("filler");
    std::fs::write(&filler, vec![1; 22 << 20]).unwrap();
    let state = at.join("state");
    let ledger = open(&state).unwrap();
    let mut committed = 0;
    let error = loop {
        let changes: Vec<_> = (committed..committed + 10).map(name).collect();
        match ledger.commit(&changes) {
            Ok(()) => committed += 10,
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("No space left") && error.contains(&state.display().to_string()), "{error}");
    // It goes on once there is room; a new process says what is missing, and goes on then too.
    drop(ledger);
    let refused = open(&state);
    assert!(matches!(refused, Err(OpenError::Full { .. })), "{refused:?}");
    std::fs::remove_file(&filler).unwrap();
    let ledger = open(&state).unwrap();
    assert_eq!(ledger.load().unwrap().len() as u64, committed);
    ledger.commit(&[name(committed)]).unwrap();
    ledger.sync().unwrap();
    drop(ledger);
    std::fs::write(&filler, vec![1; 1 << 20]).unwrap();
    assert_eq!(open(&state).unwrap().load().unwrap().len() as u64, committed + 1);
    // No room for a new one.
    let _ = std::fs::write(&filler, vec![1; 40 << 20]);
    let refused = open(&at.join("another"));
    assert!(matches!(refused, Err(OpenError::Full { .. })), "{refused:?}");
}

#[test]
fn read_only() {
    let Some(at) = std::env::var_os(MOUNTPOINT) else {
        in_namespace("read_only");
        return;
    };
    let at = Path::new(&at);
    mount(&["-t", "tmpfs", "-o", "size=12m", "tmpfs"], at);
    open(&at.join("state")).unwrap().commit(&[name(1)]).unwrap();
    mount(&["-o", "remount,ro"], at);
    for state in ["state", "another"] {
        let refused = open(&at.join(state));
        assert!(matches!(refused, Err(OpenError::ReadOnly { .. })), "{state}: {refused:?}");
    }
}
