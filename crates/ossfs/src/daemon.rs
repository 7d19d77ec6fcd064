//! Going to the background, but only when the mount answers.
//!
//! A process with threads must not fork, so this program runs itself a second time: same arguments, same working
//! directory, same standard error, a pipe as standard output. The first one waits on the pipe. The second says there
//! that the mount answers, and leaves the terminal; or it fails, having told why on standard error as any program does,
//! and the first one ends with the same exit status. Until then both are in the terminal's foreground: Ctrl-C ends both.

use crate::log;
use anyhow::{Context, Result, bail};
use rustix::fs::{Mode, OFlags};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

/// Tells the second process that it is the second: the number of the first. A number that is not its parent's was
/// inherited from someone else.
const PARENT_VARIABLE: &str = "OSSFS_STARTED_BY";
/// The line on the pipe. Other lines are handed on to standard output.
const READY_LINE: &str = "ossfs: the mount answers";

/// To be told when the mount answers.
#[derive(Debug)]
pub(crate) struct Ready {
    leaves_terminal: bool,
}

/// Runs `serve` here (`foreground`), or in a process of its own that is in the background once it is ready.
///
/// In the waiting process `serve` never runs, and the exit status is that of the other one.
pub(crate) fn start(foreground: bool, serve: impl FnOnce(Ready) -> Result<()>) -> Result<ExitCode> {
    if foreground || is_second() {
        let ready = Ready { leaves_terminal: !foreground };
        return serve(ready).map(|()| ExitCode::SUCCESS);
    }
    wait_for_second()
}

/// Whether this is the process that goes to the background.
fn is_second() -> bool {
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
    parent.is_some_and(|parent| std::env::var_os(PARENT_VARIABLE).is_some_and(|told| told == *parent))
}

impl Ready {
    /// The mount answers. In the background, standard input, output and error lead nowhere from here on, and the working
    /// directory is `/`, so that no file system is held.
    pub(crate) fn tell(self) -> Result<()> {
        if !self.leaves_terminal {
            return Ok(());
        }
        let nowhere = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .context("cannot open /dev/null")?;
        std::env::set_current_dir("/").context("cannot go to /")?;
        // Fails only for the leader of a process group, which a process just started is not.
        rustix::process::setsid().context("cannot leave the terminal")?;
        let mut stdout = std::io::stdout();
        // Who was killed while waiting did not want the mount any more.
        let told = writeln!(stdout, "{READY_LINE}").and_then(|()| stdout.flush());
        told.context("the process that waited for the mount was killed")?;
        log::leave_terminal();
        rustix::stdio::dup2_stdin(&nowhere).context("cannot close standard input")?;
        rustix::stdio::dup2_stderr(&nowhere).context("cannot close standard error")?;
        rustix::stdio::dup2_stdout(&nowhere).context("cannot close standard output")
    }
}

fn wait_for_second() -> Result<ExitCode> {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| OsString::from("ossfs"));
    let mut second = Command::new(own_program())
        .arg0(name)
        .args(arguments)
        .env(PARENT_VARIABLE, std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the background process")?;
    let pipe = second.stdout.take().expect("it was asked to be a pipe");
    if is_ready(BufReader::new(pipe), std::io::stdout()).context("cannot hear the background process")? {
        return Ok(ExitCode::SUCCESS);
    }
    exit_code(second.wait().context("cannot wait for the background process")?)
}

/// This program, by the name that `ps` should show; after an upgrade the name may lead nowhere, the link in `/proc` never.
fn own_program() -> PathBuf {
    let named = std::env::current_exe().ok().filter(|path| path.exists());
    named.unwrap_or_else(|| PathBuf::from("/proc/self/exe"))
}

/// Whether the other process said that it is ready before it closed the pipe.
fn is_ready(pipe: impl BufRead, mut other_lines: impl Write) -> std::io::Result<bool> {
    for line in pipe.lines() {
        let line = line?;
        if line == READY_LINE {
            return Ok(true);
        }
        writeln!(other_lines, "{line}")?;
    }
    Ok(false)
}

/// What the shell is told of a process that was never ready. It told why itself, unless it was killed.
fn exit_code(status: ExitStatus) -> Result<ExitCode> {
    if let Some(signal) = status.signal() {
        bail!("the background process was killed by signal {signal} before the mount answered");
    }
    match status.code().and_then(|code| u8::try_from(code).ok()) {
        // A pipe that closed without a word is a failure, whatever the status says.
        Some(0) | None => Ok(ExitCode::FAILURE),
        Some(code) => Ok(ExitCode::from(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(said: &str) -> (bool, String) {
        let mut others = Vec::new();
        let ready = is_ready(said.as_bytes(), &mut others).unwrap();
        (ready, String::from_utf8(others).unwrap())
    }

    #[test]
    fn only_the_line_means_ready() {
        assert_eq!(heard(&format!("{READY_LINE}\n")), (true, String::new()));
        assert_eq!(heard(&format!("a note\n{READY_LINE}\nlater")), (true, "a note\n".to_owned()));
        assert_eq!(heard("a note\n"), (false, "a note\n".to_owned()));
        assert_eq!(heard(""), (false, String::new()));
    }

    #[test]
    fn a_process_that_never_was_ready_failed() {
        let code = |wait: i32| format!("{:?}", exit_code(ExitStatus::from_raw(wait)).unwrap());
        assert_eq!(code(0), format!("{:?}", ExitCode::FAILURE));
        assert_eq!(code(3 << 8), format!("{:?}", ExitCode::from(3)));
        assert!(exit_code(ExitStatus::from_raw(9)).unwrap_err().to_string().contains("signal 9"));
    }

    #[test]
    fn the_foreground_runs_it_here() {
        let mut ran = false;
        let code = start(true, |ready| {
            ran = true;
            ready.tell()
        });
        assert!(ran && code.is_ok());
    }
}
