//! The steps that cargo carries out: format, lints, docs, the tests in Rust, the program that other steps run.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{Context, junit};
use crate::report::Tally;
use crate::run::Task;
use crate::workspace::cargo;

const FORMAT: Duration = Duration::from_secs(120);
/// From nothing, on two cores, with every dependency to build.
const BUILD: Duration = Duration::from_secs(25 * 60);
const TESTS: Duration = Duration::from_secs(40 * 60);

fn cargo_task(context: &Context, most: Duration) -> Task {
    let task = Task::new(cargo(), context.deadline(most)).dir(&context.workspace.root);
    let task = if context.long { task.env("OSSFS_LONG", "1") } else { task };
    match &context.nextest {
        Some(folder) => task.path_first([folder.clone()]),
        None => task,
    }
}

fn must_succeed(task: Task) -> Result<Tally> {
    let ended = task.run()?;
    if !ended.status.success() {
        bail!("ended with {}", ended.status);
    }
    Ok(Tally::default())
}

pub(super) fn format(context: &mut Context) -> Result<Tally> {
    must_succeed(cargo_task(context, FORMAT).args(["fmt", "--all", "--check"]))
}

pub(super) fn lints(context: &mut Context) -> Result<Tally> {
    must_succeed(cargo_task(context, BUILD).args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))
}

pub(super) fn docs(context: &mut Context) -> Result<Tally> {
    let task = cargo_task(context, BUILD).env("RUSTDOCFLAGS", "-D warnings");
    must_succeed(task.args(["doc", "--workspace", "--no-deps", "--locked"]))
}

pub(super) fn architecture(context: &mut Context) -> Result<Tally> {
    nextest(context, &["--package", "xtask", "--test", "architecture"])
}

pub(super) fn tests(context: &mut Context) -> Result<Tally> {
    // Tests that need the whole program find it where the SDK suites do.
    ensure_binary(context)?;
    nextest(context, &["--workspace", "--filterset", "not binary_id(xtask::architecture)"])
}

fn nextest(context: &Context, which: &[&str]) -> Result<Tally> {
    let profile = if context.long { "long" } else { "default" };
    let mut task = cargo_task(context, TESTS).args(["nextest", "run", "--locked", "--no-tests", "pass"]);
    task = task.args(["--profile", profile, "--hide-progress-bar", "--status-level", "slow"]).args(which);
    task = task.env("OSSFS_JUDGES", &context.judges);
    if let Some(binary) = &context.binary {
        task = task.env("OSSFS_BIN", binary);
    }
    if let Some(name) = &context.tests_like {
        task = task.arg(name);
    }
    // nextest keeps its results below the workspace's own `target`, wherever cargo builds.
    let results = context.workspace.root.join("target/nextest").join(profile).join("junit.xml");
    let _ = std::fs::remove_file(&results);
    let ended = task.run()?;
    junit::read_or_fail(&results, ended.status)
}

pub(super) fn doctests(context: &mut Context) -> Result<Tally> {
    let task = cargo_task(context, BUILD).args(["test", "--doc", "--workspace", "--locked", "--no-fail-fast"]);
    let ended = task.run_keeping_output()?;
    let mut tally = count_doctests(&ended.output);
    if !ended.status.success() && tally.failed.is_empty() {
        tally.failed.push("doctests: not built".to_owned());
    }
    Ok(tally)
}

/// Lines as `test src/lib.rs - Key (line 7) ... ok`.
fn count_doctests(output: &str) -> Tally {
    let mut tally = Tally::default();
    for line in output.lines() {
        let Some((name, result)) = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... ")) else {
            continue;
        };
        match result {
            "ok" => tally.passed += 1,
            "ignored" => tally.skipped.push(format!("{name}: marked `ignore`")),
            _ => tally.failed.push(format!("doctest {name}")),
        }
    }
    tally
}

/// Builds `ossfs` (dev profile) unless that was done, and says where it is.
pub(super) fn ensure_binary(context: &mut Context) -> Result<PathBuf> {
    if let Some(binary) = &context.binary {
        return Ok(binary.clone());
    }
    let ended = cargo_task(context, BUILD)
        .args(["build", "--package", "ossfs", "--locked", "--message-format", "json-render-diagnostics"])
        .run_for_output()?;
    let binary = executable(&ended.output).context("cargo build made no `ossfs`")?;
    context.binary = Some(binary.clone());
    Ok(binary)
}

fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut paths = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    paths.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doctests_are_counted_by_their_lines() {
        let tally = count_doctests(
            "running 3 tests\ntest a.rs - x (line 1) ... ok\ntest a.rs - y (line 2) ... FAILED\n\
             test a.rs - z (line 3) ... ignored\ntest result: FAILED. 1 passed; 1 failed",
        );
        assert_eq!(tally.passed, 1);
        assert_eq!(tally.failed, ["doctest a.rs - y (line 2)"]);
        assert_eq!(tally.skipped.len(), 1);
    }

    #[test]
    fn the_program_is_where_cargo_says() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n{\"executable\":\"/t/debug/ossfs\"}\n";
        assert_eq!(executable(messages), Some(PathBuf::from("/t/debug/ossfs")));
        assert_eq!(executable("text"), None);
    }
}
