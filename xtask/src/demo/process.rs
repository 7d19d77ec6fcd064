//! Processes that are not our children: told from others by when they were started, ended with a grace.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, kill_process};

const POLL: Duration = Duration::from_millis(20);
/// For the kernel to clear away what was killed.
const KILL_GRACE: Duration = Duration::from_secs(10);

/// A process, and not another one that got its number later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// Ticks from the start of the machine.
    pub(super) started: u64,
}

impl Process {
    /// Nothing if there is no such process, or if it has ended and only waits for its parent.
    pub(super) fn of(pid: u32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field, the name, may have anything in it.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?;
        let started = fields.nth(18)?.parse().ok()?;
        (!matches!(state, "Z" | "X")).then_some(Process { pid, started })
    }

    /// The process that runs a program with a path among its arguments.
    pub(super) fn with_argument(program: &Path, argument: &Path) -> Option<Process> {
        let program = fs::canonicalize(program).ok()?;
        let folders = fs::read_dir("/proc").ok()?;
        folders.filter_map(Result::ok).find_map(|folder| {
            let pid = folder.file_name().to_str()?.parse().ok()?;
            let runs = fs::read_link(folder.path().join("exe")).ok()? == program;
            let arguments = fs::read(folder.path().join("cmdline")).ok()?;
            let has = arguments.split(|byte| *byte == 0).any(|word| word == argument.as_os_str().as_bytes());
            if runs && has { Process::of(pid) } else { None }
        })
    }

    pub(super) fn is_alive(self) -> bool {
        Process::of(self.pid) == Some(self)
    }

    /// SIGTERM, once for each grace, then SIGKILL.
    pub(super) fn end(self, graces: &[Duration]) -> Result<()> {
        let signals = graces.iter().map(|grace| (Signal::TERM, *grace)).chain([(Signal::KILL, KILL_GRACE)]);
        for (signal, grace) in signals {
            if !self.is_alive() {
                return Ok(());
            }
            if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
                // That it has just ended is no error.
                let _ = kill_process(pid, signal);
            }
            let told = Instant::now();
            while told.elapsed() < grace && self.is_alive() {
                thread::sleep(POLL);
            }
        }
        if self.is_alive() {
            bail!("process {} can't be ended", self.pid);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_told_from_a_later_one_with_its_number() {
        let own = Process::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        assert!(!Process { started: own.started + 1, ..own }.is_alive());
    }

    #[test]
    fn a_process_is_found_and_ended() {
        let argument = format!("60.{}", std::process::id());
        let mut child = Command::new("sleep").arg(&argument).spawn().unwrap();
        let folders = std::env::var_os("PATH").unwrap();
        let mut programs = std::env::split_paths(&folders).map(|folder| folder.join("sleep"));
        let program = programs.find(|program| program.exists()).unwrap();
        // Its arguments are there a moment after it is.
        let begun = Instant::now();
        let found = loop {
            let found = Process::with_argument(&program, Path::new(&argument));
            if found.is_some() || begun.elapsed() > Duration::from_secs(10) {
                break found;
            }
            thread::sleep(POLL);
        };
        let ended = found.map(|process| process.end(&[Duration::from_secs(10)]));
        let _ = child.kill();
        child.wait().unwrap();
        ended.expect("it was there").unwrap();
        assert_eq!(Process::with_argument(&program, Path::new(&argument)), None);
    }
}
