//! One row from end to end, with sizes that take a second.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::fs;
use std::process::{Command, Output};

const BENCH: &str = env!("CARGO_BIN_EXE_ossfs-bench");

/// Nothing where nothing can be mounted, which it says.
fn bench(arguments: &[&str]) -> Option<(Output, String)> {
    let Some(program) = std::env::var_os("OSSFS_BIN") else {
        println!("SKIPPED: OSSFS_BIN names no ossfs");
        return None;
    };
    if let Err(error) = fs::File::options().read(true).write(true).open("/dev/fuse") {
        println!("SKIPPED: /dev/fuse: {error}");
        return None;
    }
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.args(["--foreground", "90", BENCH, "--small", "--rounds", "1", "--peers", "none", "--scratch"]);
    let output = command.arg(scratch.path()).args(arguments).env("OSSFS_BIN", program).output().unwrap();
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "something is left");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(scratch.path().to_str().unwrap()), "{mounts}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Some((output, said))
}

#[test]
fn a_row_is_measured_and_leaves_nothing() {
    let Some((output, said)) = bench(&["near-create-files"]) else { return };
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}\n{said}");
    for who in
        ["| create | ossfs | ", "| create | ossfs (again) | ", "| create | raw client | ", "| create | local disk | "]
    {
        assert!(said.lines().any(|line| line.starts_with(who) && line.contains(" files/s ")), "{who}\n{said}");
    }
    assert!(said.contains("at least 0.2 of the raw client"), "{said}");
}

#[test]
fn an_option_that_the_program_lacks_is_told() {
    let Some((output, said)) = bench(&["near-create-files", "--mount-option", "-ono_such_option"]) else { return };
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("| create | ossfs | did not mount (exit status: 1): ossfs: there is no option -ono_such_option"),
        "{said}"
    );
}
