//! Commands that end: each within its deadline, or the test fails.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// Between two looks at something that is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Whether this is the run with the full counts.
pub(crate) fn is_long() -> bool {
    std::env::var_os("OSSFS_LONG").is_some_and(|value| value == "1")
}

/// A number for the plain run, and one for the long run.
pub(crate) fn plain_or_long<T>(plain: T, long: T) -> T {
    if is_long() { long } else { plain }
}

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// What a command said, whatever its status.
pub(crate) fn output_of(command: &mut Command, limit: Duration) -> Output {
    let shown = format!("{command:?}");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{shown}: {error}"));
    let pid = child.id();
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(limit) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            kill(pid);
            panic!("{shown}: not within {limit:?}");
        }
    }
}

/// The standard output of a command that succeeds.
pub(crate) fn run(command: &mut Command, limit: Duration) -> String {
    let shown = format!("{command:?}");
    let output = output_of(command, limit);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}: {}\n{said}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a line of the shell in a directory, and returns what it printed.
pub(crate) fn sh(directory: &Path, line: &str) -> String {
    sh_within(directory, line, Duration::from_secs(60))
}

/// The same with another deadline.
pub(crate) fn sh_within(directory: &Path, line: &str, limit: Duration) -> String {
    run(Command::new("sh").args(["-ec", line]).current_dir(directory), limit)
}

/// What a line of the shell said, whatever its status.
pub(crate) fn try_sh(directory: &Path, line: &str, limit: Duration) -> Output {
    output_of(Command::new("sh").args(["-ec", line]).current_dir(directory), limit)
}

/// Runs a Python program with arguments.
pub(crate) fn python(program: &str, arguments: &[&OsStr], limit: Duration) -> String {
    run(Command::new("python3").arg("-c").arg(program).args(arguments), limit)
}

/// Whether a program is there; else says that the test is skipped.
pub(crate) fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = there.is_ok_and(|status| status.success());
    if !there {
        skip(&format!("{program} is not on this machine"));
    }
    there
}

/// Says that a test can't run here.
pub(crate) fn skip(why: &str) {
    // At the beginning of a line, also where the test runner has begun one.
    let _ = writeln!(std::io::stdout(), "\nSKIPPED: {why}");
}

/// Ends a process at once.
pub(crate) fn kill(pid: u32) {
    signal(pid, rustix::process::Signal::KILL);
}

/// Sends a signal; the process may be gone.
pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Whether a process is there and has not ended.
pub(crate) fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

/// The exit status of a child that ends in time.
pub(crate) fn status_of(child: &mut Child, limit: Duration) -> std::process::ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(begun.elapsed() < limit, "process {} still runs after {limit:?}", child.id());
        std::thread::sleep(LOOK_INTERVAL);
    }
}
