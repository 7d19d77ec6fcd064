//! The demo's OSS server: in a session of its own, so that it outlives the command and its terminal.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::place::Place;
use super::process::Process;
use super::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, BUCKET, REGION};
use crate::run::{interrupted, other_accounts};

const START_DEADLINE: Duration = Duration::from_secs(30);
const END_GRACE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// A server that was started, perhaps by an earlier command.
pub(super) struct Sandbox {
    process: Process,
    /// `http://127.0.0.1:PORT`; empty if it was never told.
    pub(super) endpoint: String,
}

impl Sandbox {
    /// Starts it, and waits until it listens.
    pub(super) fn start(place: &Place) -> Result<Sandbox> {
        let arguments = ["sandbox", "--listen", "127.0.0.1:0", "--region", REGION, "--bucket", BUCKET];
        let log = place.file("sandbox.log");
        println!("  $ ossfs {} > {} &", arguments.join(" "), place.shown(&log));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        // `setsid` becomes the program, so the child is the server.
        let mut command = Command::new("setsid");
        command.arg(place.program()).args(arguments).current_dir(place.root());
        for name in other_accounts() {
            command.env_remove(name);
        }
        command.env("OSS_ACCESS_KEY_ID", ACCESS_KEY_ID).env("OSS_ACCESS_KEY_SECRET", ACCESS_KEY_SECRET);
        command.stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output);
        let mut child = command.spawn().context("cannot run setsid (of util-linux)")?;
        let process = Process::of(child.id()).context("the sandbox ended at once")?;
        let mut sandbox = Sandbox { process, endpoint: String::new() };
        sandbox.record(place)?;
        let begun = Instant::now();
        loop {
            let said = fs::read_to_string(&log)?;
            if let Some(line) = said.lines().find(|line| line.starts_with("listening on ")) {
                println!("{line}");
                sandbox.endpoint = line.trim_start_matches("listening on ").to_owned();
                sandbox.record(place)?;
                return Ok(sandbox);
            }
            if child.try_wait()?.is_some() {
                bail!("the sandbox ended: {}", said.trim());
            }
            if interrupted() {
                bail!("interrupted");
            }
            if begun.elapsed() > START_DEADLINE {
                bail!("the sandbox did not listen within {} s: {}", START_DEADLINE.as_secs(), said.trim());
            }
            thread::sleep(POLL);
        }
    }

    /// The one that was started last, whether it lives or not.
    pub(super) fn recorded(place: &Place) -> Option<Sandbox> {
        let state: Value = serde_json::from_slice(&fs::read(place.file("state.json")).ok()?).ok()?;
        let pid = u32::try_from(state["pid"].as_u64()?).ok()?;
        let process = Process { pid, started: state["started"].as_u64()? };
        Some(Sandbox { process, endpoint: state["endpoint"].as_str()?.to_owned() })
    }

    fn record(&self, place: &Place) -> Result<()> {
        let Process { pid, started } = self.process;
        let state = json!({"pid": pid, "started": started, "endpoint": self.endpoint});
        fs::write(place.file("state.json"), state.to_string()).context("cannot write down what was started")
    }

    pub(super) fn is_alive(&self) -> bool {
        self.process.is_alive()
    }

    pub(super) fn end(&self) -> Result<()> {
        self.process.end(&[END_GRACE])
    }
}
