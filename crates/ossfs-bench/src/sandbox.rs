//! The OSS server that is measured against: its conditions and its counts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::leftovers::Running;

/// The bucket that everything is in.
pub(crate) const BUCKET: &str = "bench";
pub(crate) const REGION: &str = "cn-hangzhou";
pub(crate) const ACCESS_KEY_ID: &str = "sandbox";
pub(crate) const ACCESS_KEY_SECRET: &str = "sandbox-secret";
/// For an answer of the sandbox about itself.
const ASK_DEADLINE: Duration = Duration::from_secs(10);

/// How far away the bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Setting {
    /// As a bucket in the same region: 10 ms to the first byte, 20 MB/s per connection
    Far,
    /// No delay: what counts is the processor
    Near,
}

impl Setting {
    fn conditions(self) -> &'static str {
        match self {
            Self::Far => r#"{"latency_ms": 10, "bandwidth": 20000000}"#,
            Self::Near => "{}",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Far => "far",
            Self::Near => "near",
        }
    }
}

/// What was asked of it and moved since the counts were reset.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Counts {
    /// Requests by OSS's names of the operations.
    pub(crate) requests: BTreeMap<String, u64>,
    /// Bytes of objects, to the clients.
    pub(crate) bytes_out: u64,
}

/// The server; it ends when this is dropped.
pub(crate) struct Sandbox {
    running: Running,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
}

impl Sandbox {
    /// Starts it with an empty bucket, near.
    pub(crate) fn start(program: &Path, log: &Path) -> Result<Sandbox> {
        let log = File::options().create(true).append(true).open(log).context("cannot write the sandbox's log")?;
        let mut command = Command::new(program);
        command.args(["sandbox", "--listen", "127.0.0.1:0", "--bucket", BUCKET, "--region", REGION]);
        command.args(["--access-key-id", ACCESS_KEY_ID, "--access-key-secret", ACCESS_KEY_SECRET]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut running = Running::start(&mut command)?;
        let mut line = String::new();
        let stdout = running.stdout().context("the sandbox has no stdout")?;
        BufReader::new(stdout).read_line(&mut line).context("the sandbox said nothing")?;
        let address = line.trim().strip_prefix("listening on http://").context("the sandbox did not start")?.to_owned();
        Ok(Sandbox { running, address })
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    pub(crate) fn set(&self, setting: Setting) -> Result<()> {
        self.ask("PUT", "/-/conditions", setting.conditions()).map(drop)
    }

    /// No object is put from now on, until the next [`set`](Self::set).
    pub(crate) fn refuse_objects(&self) -> Result<()> {
        let faults = r#"{"faults": [{"operations": ["PutObject"], "kind": "error-503"}]}"#;
        self.ask("PUT", "/-/conditions", faults).map(drop)
    }

    pub(crate) fn begin_counting(&self) -> Result<()> {
        self.ask("POST", "/-/stats/reset", "").map(drop)
    }

    pub(crate) fn counts(&self) -> Result<Counts> {
        serde_json::from_str(&self.ask("GET", "/-/stats", "")?).context("the sandbox's counts can't be read")
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.address).context("the sandbox is gone")?;
        stream.set_read_timeout(Some(ASK_DEADLINE))?;
        let head = format!("{method} {path} HTTP/1.1\r\nhost: sandbox\r\nconnection: close\r\n");
        write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }
}
