//! The side of who asks.

use super::{Request, Status};
use anyhow::{Context, Result};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A line holds a hundred failures, with paths of a thousand bytes.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// How things are.
    Status(Status),
    /// Nothing, for as long as was waited.
    Quiet,
    /// The daemon has closed the connection.
    Closed,
}

/// A daemon being watched.
#[derive(Debug)]
pub(crate) struct Watch {
    stream: UnixStream,
    /// What has come of the next lines.
    pending: Vec<u8>,
}

impl Watch {
    /// Asks the daemon at `socket` to tell how things are until it ends.
    pub(crate) fn start(socket: &Path) -> std::io::Result<Self> {
        Self::ask(socket, &Request::Watch)
    }

    /// Asks the daemon at `socket` to tell how far what is at and below a path in the mount has come, until all of it is in
    /// the bucket.
    pub(crate) fn sync(socket: &Path, path: &str) -> std::io::Result<Self> {
        Self::ask(socket, &Request::Sync { path: path.to_owned() })
    }

    fn ask(socket: &Path, request: &Request) -> std::io::Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        Ok(Self { stream, pending: Vec::new() })
    }

    /// The next line, if one comes within `wait`.
    pub(crate) fn next_line(&mut self, wait: Duration) -> Result<Line> {
        self.stream.set_read_timeout(Some(wait)).context("cannot wait for the daemon")?;
        let mut buffer = [0; 8192];
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                let status = serde_json::from_slice(&line).context("the daemon is of another version")?;
                return Ok(Line::Status(status));
            }
            anyhow::ensure!(self.pending.len() <= LINE_BYTES_MAX, "the daemon says too much");
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(Line::Closed),
                Ok(count) => self.pending.extend_from_slice(&buffer[..count]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Ok(Line::Quiet),
                    ErrorKind::Interrupted => {}
                    ErrorKind::ConnectionReset => return Ok(Line::Closed),
                    _ => return Err(error).context("cannot hear the daemon"),
                },
            }
        }
    }
}
