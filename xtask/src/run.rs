//! Children: each in a process group of its own, with a deadline, and none left behind.
//!
//! Invariant: `Task::run` returns only when the child has ended. On its deadline, and on Ctrl-C or SIGTERM to us, the
//! group gets SIGTERM, so that test runners can end the groups they made themselves, and SIGKILL after a grace.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGINT, SIGTERM};

const POLL: Duration = Duration::from_millis(20);
/// nextest gives its tests 5 s, then kills them: it must live longer than that.
const GRACE: Duration = Duration::from_secs(12);
/// After a child has ended, how long its output may still be held open by something it left.
const OUTPUT_GRACE: Duration = Duration::from_secs(3);

/// Ctrl-C or SIGTERM was seen: nothing new is started.
pub(crate) fn interrupted() -> bool {
    interruption().load(Ordering::Relaxed)
}

fn interruption() -> &'static Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // Without the handler a signal ends us at once, which is no worse than before.
            let _ = signal_hook::flag::register(signal, Arc::clone(&flag));
        }
        flag
    })
}

/// A command line with its surroundings.
pub(crate) struct Task {
    command: Command,
    shown: String,
    deadline: Duration,
    /// Cleans up: an interruption neither keeps it from running nor ends it.
    uninterrupted: bool,
}

/// What `cargo run` says of xtask itself.
fn is_of_our_package(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
}

/// Variables of our environment that belong to another account of OSS, or lead elsewhere.
pub(crate) fn other_accounts() -> Vec<OsString> {
    let is_other = |name: &OsString| {
        let lower = name.to_string_lossy().to_ascii_lowercase();
        ["oss_", "alibaba_cloud_", "aws_"].iter().any(|start| lower.starts_with(start)) || lower.ends_with("_proxy")
    };
    std::env::vars_os().map(|(name, _)| name).filter(is_other).collect()
}

/// How a child ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// What it wrote to stdout, if that was asked for.
    pub(crate) output: String,
}

impl Task {
    pub(crate) fn new(program: impl AsRef<OsStr>, deadline: Duration) -> Task {
        let mut command = Command::new(program.as_ref());
        command.stdin(Stdio::null()).process_group(0);
        // Build scripts that look at these would run again for the next `cargo build`, and all that depends on them.
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_our_package(name)) {
            command.env_remove(name);
        }
        let shown = Path::new(program.as_ref()).file_name().unwrap_or(program.as_ref());
        Task { shown: shown.to_string_lossy().into_owned(), command, deadline, uninterrupted: false }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Task {
        self.shown = format!("{} {}", self.shown, argument.as_ref().to_string_lossy());
        self.command.arg(argument);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Task {
        arguments.into_iter().fold(self, Task::arg)
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Task {
        self.command.env(name, value);
        self
    }

    pub(crate) fn dir(mut self, dir: impl AsRef<Path>) -> Task {
        self.command.current_dir(dir);
        self
    }

    pub(crate) fn without_env(mut self, name: impl AsRef<OsStr>) -> Task {
        self.command.env_remove(name);
        self
    }

    /// Without what belongs to another account of OSS, or leads elsewhere.
    pub(crate) fn without_other_accounts(self) -> Task {
        other_accounts().into_iter().fold(self, Task::without_env)
    }

    /// Shows this as the command line.
    pub(crate) fn shown_as(mut self, line: impl Into<String>) -> Task {
        self.shown = line.into();
        self
    }

    /// Runs although, and even while, we are told to end; its deadline stands.
    pub(crate) fn even_if_interrupted(mut self) -> Task {
        self.uninterrupted = true;
        self
    }

    /// Puts folders before all others on the child's PATH.
    pub(crate) fn path_first(self, first: impl IntoIterator<Item = PathBuf>) -> Task {
        let old = std::env::var_os("PATH").unwrap_or_default();
        let folders = first.into_iter().chain(std::env::split_paths(&old));
        let joined: OsString = std::env::join_paths(folders).unwrap_or(old.clone());
        self.env("PATH", joined)
    }

    /// Runs it with our stdout and stderr.
    pub(crate) fn run(mut self) -> Result<Ended> {
        println!("  $ {}", self.shown);
        let child = self.spawn()?;
        let status = self.wait(child)?;
        Ok(Ended { status, output: String::new() })
    }

    /// Runs it, shows what it writes to stdout and keeps that.
    pub(crate) fn run_keeping_output(self) -> Result<Ended> {
        println!("  $ {}", self.shown);
        self.keep_output(true)
    }

    /// Runs it and keeps what it writes to stdout, for messages that are meant for us alone.
    pub(crate) fn run_for_output(self) -> Result<Ended> {
        println!("  $ {}", self.shown);
        self.keep_output(false)
    }

    /// Runs it and gives what it wrote to stdout, if it ended well. Nothing is shown.
    pub(crate) fn output_quietly(self) -> Result<String> {
        let shown = self.shown.clone();
        let ended = self.keep_output(false)?;
        if !ended.status.success() {
            bail!("`{shown}` failed");
        }
        Ok(ended.output)
    }

    /// True if it could be run and ended well. Nothing is shown.
    pub(crate) fn succeeds_quietly(mut self) -> bool {
        self.command.stderr(Stdio::null());
        self.keep_output(false).is_ok_and(|ended| ended.status.success())
    }

    fn keep_output(mut self, show: bool) -> Result<Ended> {
        self.command.stdout(Stdio::piped());
        let mut child = self.spawn()?;
        let stdout = child.stdout.take().context("the child has no stdout")?;
        let (sender, receiver) = sync_channel(1);
        thread::spawn(move || {
            let mut kept = String::new();
            for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
                if show {
                    let _ = writeln!(std::io::stdout(), "{line}");
                }
                kept.push_str(&line);
                kept.push('\n');
            }
            let _ = sender.send(kept);
        });
        let status = self.wait(child)?;
        let output = receiver.recv_timeout(OUTPUT_GRACE).unwrap_or_default();
        Ok(Ended { status, output })
    }

    fn spawn(&mut self) -> Result<Child> {
        if interrupted() && !self.uninterrupted {
            bail!("interrupted");
        }
        self.command.spawn().with_context(|| format!("cannot run {}", self.shown))
    }

    fn wait(&self, mut child: Child) -> Result<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                end_group(&child, Signal::KILL);
                return Ok(status);
            }
            if interrupted() && !self.uninterrupted {
                end(&mut child)?;
                bail!("interrupted");
            }
            if started.elapsed() > self.deadline {
                end(&mut child)?;
                bail!("{} did not end within {} s", self.shown, self.deadline.as_secs());
            }
            thread::sleep(POLL);
        }
    }
}

/// SIGTERM, a grace, SIGKILL; then the child is reaped.
fn end(child: &mut Child) -> Result<()> {
    end_group(child, Signal::TERM);
    let asked = Instant::now();
    while asked.elapsed() < GRACE && child.try_wait()?.is_none() {
        thread::sleep(POLL);
    }
    end_group(child, Signal::KILL);
    child.wait()?;
    Ok(())
}

/// Whatever is left of the group; that nothing is left is no error.
fn end_group(child: &Child, signal: Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_ended_at_its_deadline() {
        let started = Instant::now();
        let ended = Task::new("sleep", Duration::from_millis(100)).arg("60").run();
        assert!(ended.is_err());
        assert!(started.elapsed() < GRACE);
    }

    #[test]
    fn what_a_child_leaves_behind_ends_with_it() {
        // `timeout` runs `sleep` as a child of its own; ended by force it could not pass that on.
        let marker = format!("60.{}", std::process::id());
        let task = Task::new("timeout", Duration::from_millis(200)).args(["--foreground", "100", "sleep", &marker]);
        assert!(task.run().is_err());
        let left = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let line = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
            String::from_utf8(line).ok()?.contains(&marker).then_some(())
        });
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn output_is_kept_and_the_status_told() {
        let ended = Task::new("echo", Duration::from_secs(10)).arg("said").run_for_output().unwrap();
        assert!(ended.status.success());
        assert_eq!(ended.output, "said\n");
        assert!(!Task::new("false", Duration::from_secs(10)).succeeds_quietly());
        assert!(!Task::new("no-such-program", Duration::from_secs(10)).succeeds_quietly());
    }
}
