//! Alibaba's SDKs against `ossfs sandbox`: environments below the target directory, made once per set of pins.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::rust::ensure_binary;
use super::{Context, junit};
use crate::report::Tally;
use crate::run::Task;
use crate::tools;

const INSTALL: Duration = Duration::from_secs(10 * 60);
const SUITE: Duration = Duration::from_secs(15 * 60);

fn sources(context: &Context) -> PathBuf {
    context.workspace.root.join("tests/sdk")
}

fn suite_task(context: &Context, program: &Path, binary: &Path) -> Task {
    let task = Task::new(program, context.deadline(SUITE)).env("OSSFS_BIN", binary);
    if context.long { task.env("OSSFS_LONG", "1") } else { task }
}

pub(super) fn python(context: &mut Context) -> Result<Tally> {
    let interpreter = environment(context)?;
    let binary = ensure_binary(context)?;
    let results = context.workspace.sdk().join("pytest.xml");
    let _ = std::fs::remove_file(&results);
    let mut task = suite_task(context, &interpreter, &binary)
        .dir(sources(context))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .arg(format!("--junitxml={}", results.display()));
    if let Some(name) = &context.tests_like {
        task = task.arg("-k").arg(name);
    }
    let ended = task.run()?;
    // pytest's way to say that a filter matched nothing.
    const NO_TESTS: i32 = 5;
    if context.tests_like.is_some() && ended.status.code() == Some(NO_TESTS) {
        return Ok(Tally::default());
    }
    junit::read_or_fail(&results, ended.status)
}

pub(super) fn shipped_v4(context: &mut Context) -> Result<Tally> {
    shipped(context, "v4")
}

pub(super) fn shipped_v1(context: &mut Context) -> Result<Tally> {
    shipped(context, "v1")
}

/// The integration suite that comes in the sdist of oss2.
fn shipped(context: &mut Context, version: &str) -> Result<Tally> {
    let interpreter = environment(context)?;
    let binary = ensure_binary(context)?;
    let work = context.workspace.sdk().join("oss2-suite");
    std::fs::create_dir_all(&work)?;
    let results = work.join(format!("junit-{version}.xml"));
    let _ = std::fs::remove_file(&results);
    let ended = suite_task(context, &interpreter, &binary)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(sources(context).join("shipped/run.py"))
        .args(["--auth", version, "--work"])
        .arg(&work)
        .args(["-p", "no:cacheprovider"])
        .arg(format!("--junitxml={}", results.display()))
        .run()?;
    junit::read_or_fail(&results, ended.status)
}

/// The Python of a virtual environment with the pinned packages; made anew when the pins change.
fn environment(context: &Context) -> Result<PathBuf> {
    let pins = sources(context).join("requirements.txt");
    let folder = context.workspace.sdk().join("venv");
    let stamp = folder.join("installed.txt");
    let interpreter = folder.join("bin/python");
    let wanted = std::fs::read(&pins).with_context(|| format!("cannot read {}", pins.display()))?;
    if interpreter.exists() && std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(interpreter);
    }
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(context.workspace.sdk())?;
    let python = tools::python().context("no Python that can run the SDK suites")?;
    let deadline = context.deadline(INSTALL);
    succeed(Task::new(python, deadline).args(["-m", "venv"]).arg(&folder))?;
    succeed(
        Task::new(&interpreter, deadline)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .arg(&pins),
    )?;
    std::fs::write(&stamp, wanted)?;
    Ok(interpreter)
}

pub(super) fn node(context: &mut Context) -> Result<Tally> {
    if !tools::node_present() {
        return Ok(Tally::skip("ali-oss suite: node 18 or later with npm is not installed"));
    }
    let folder = node_folder(context)?;
    let binary = ensure_binary(context)?;
    let results = folder.join("results.tap");
    let _ = std::fs::remove_file(&results);
    let mut task = suite_task(context, Path::new("node"), &binary).dir(&folder).args([
        "--test",
        "--test-reporter=spec",
        "--test-reporter-destination=stdout",
        "--test-reporter=tap",
    ]);
    task = task.arg(format!("--test-reporter-destination={}", results.display()));
    if let Some(name) = &context.tests_like {
        task = task.arg(format!("--test-name-pattern={name}"));
    }
    let ended = task.run()?;
    let text = std::fs::read_to_string(&results).context("node left no results")?;
    let mut tally = count_tap(&text);
    if context.tests_like.is_some() {
        // node calls skipped what its name pattern leaves out.
        tally.skipped.clear();
    }
    if !ended.status.success() && tally.failed.is_empty() {
        tally.failed.push(format!("ali-oss suite: {}", ended.status));
    }
    Ok(tally)
}

/// A copy of the suite below the target directory, beside its packages.
fn node_folder(context: &Context) -> Result<PathBuf> {
    let from = sources(context).join("node");
    let folder = context.workspace.sdk().join("node");
    std::fs::create_dir_all(&folder)?;
    let pins = std::fs::read(from.join("package.json"))?;
    let stamp = folder.join("installed.json");
    for entry in std::fs::read_dir(&from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
    }
    if std::fs::read(&stamp).is_ok_and(|installed| installed == pins) {
        return Ok(folder);
    }
    let install = Task::new("npm", context.deadline(INSTALL)).dir(&folder);
    succeed(install.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]))?;
    std::fs::write(&stamp, pins)?;
    Ok(folder)
}

fn succeed(task: Task) -> Result<()> {
    let ended = task.run()?;
    if !ended.status.success() {
        bail!("ended with {}", ended.status);
    }
    Ok(())
}

/// node's closing comments: `# pass 12`, `# fail 0`, `# cancelled 0`, `# skipped 1`, `# todo 0`.
fn count_tap(text: &str) -> Tally {
    let count = |word: &str| -> usize {
        let mut counts =
            text.lines().filter_map(|line| line.strip_prefix("# ")?.strip_prefix(word)?.trim().parse().ok());
        counts.next_back().unwrap_or(0)
    };
    let mut tally = Tally { passed: count("pass "), ..Tally::default() };
    let failures = count("fail ") + count("cancelled ");
    tally.failed = failed_tests(text);
    tally.failed.resize(failures, "ali-oss: not named".to_owned());
    tally.skipped.resize(count("skipped ") + count("todo "), "ali-oss: skipped by the suite".to_owned());
    tally
}

/// Names of the `not ok` tests. A suite with a failed test is `not ok` too: the block below it says what it is.
fn failed_tests(text: &str) -> Vec<String> {
    let mut failed = Vec::new();
    let mut name = None;
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("not ok ") {
            failed.extend(name.take());
            name = rest.split_once(" - ").map(|(_, name)| format!("ali-oss {name}"));
        } else if line == "type: 'suite'" {
            name = None;
        } else if line == "..." {
            failed.extend(name.take());
        }
    }
    failed.extend(name);
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_s_counts_are_read_from_its_last_lines() {
        let tally = count_tap(
            "TAP version 13\n    ok 1 - one\n    not ok 2 - two\n      ---\n      type: 'test'\n\
             ...\nnot ok 1 - suite\n  ---\n  type: 'suite'\n  ...\n1..1\n# tests 3\n# suites 1\n\
             # pass 1\n# fail 1\n# cancelled 0\n# skipped 1\n# todo 0\n",
        );
        assert_eq!(tally.passed, 1);
        assert_eq!(tally.failed, ["ali-oss two"]);
        assert_eq!(tally.skipped.len(), 1);
    }
}
