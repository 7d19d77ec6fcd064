//! Where the log goes: to the file that was named; else to the terminal while there is one, and then to the system's log.
//!
//! A daemon's standard error is gone. `/dev/log` takes datagrams of the form `<priority>ossfs[pid]: text`, from syslogd
//! and journald alike; where there is none either, nothing is logged.

use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

const SYSTEM_SOCKET: &str = "/dev/log";
/// syslog's number for daemons, in its place within a priority.
const FACILITY_DAEMON: u8 = 3 << 3;
/// It may name files: for the owner and a group, as the system's own logs.
const FILE_MODE: u32 = 0o640;

#[derive(Debug)]
enum Destination {
    Terminal,
    File(File, PathBuf),
    System(UnixDatagram),
    Nowhere,
}

static DESTINATION: RwLock<Destination> = RwLock::new(Destination::Terminal);

/// Begins to log what `filter` lets through, to `file` or to standard error.
pub(crate) fn start(filter: EnvFilter, file: Option<&Path>) -> Result<()> {
    if let Some(path) = file {
        let opened = open(path).with_context(|| format!("cannot write the log file {}", path.display()))?;
        set(Destination::File(opened, path.to_owned()));
    }
    let colours = file.is_none() && std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(Output).init();
    log_panics();
    Ok(())
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path)
}

/// Goes on in a new file of the same name: somebody has moved the old one away. Returns whether the log goes to a file.
pub(crate) fn reopen() -> bool {
    let path = match &*DESTINATION.read().unwrap_or_else(PoisonError::into_inner) {
        Destination::File(_, path) => path.clone(),
        Destination::Terminal | Destination::System(_) | Destination::Nowhere => return false,
    };
    match open(&path) {
        Ok(file) => set(Destination::File(file, path)),
        Err(error) => tracing::error!("the log goes on in the old file: {}: {error}", path.display()),
    }
    true
}

/// A panic is written to standard error, and where that leads nowhere, to the log.
fn log_panics() {
    let standard = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        standard(panic);
        if !goes_to_terminal() {
            tracing::error!("{panic}");
        }
    }));
}

/// What went to the terminal goes to the system's log from now on.
pub(crate) fn leave_terminal() {
    let mut destination = DESTINATION.write().unwrap_or_else(PoisonError::into_inner);
    if matches!(*destination, Destination::Terminal) {
        *destination = system(Path::new(SYSTEM_SOCKET)).map_or(Destination::Nowhere, Destination::System);
    }
}

/// Whether what is logged is read where standard error is read too.
pub(crate) fn goes_to_terminal() -> bool {
    matches!(*DESTINATION.read().unwrap_or_else(PoisonError::into_inner), Destination::Terminal)
}

fn set(to: Destination) {
    *DESTINATION.write().unwrap_or_else(PoisonError::into_inner) = to;
}

fn system(socket: &Path) -> std::io::Result<UnixDatagram> {
    let datagrams = UnixDatagram::unbound()?;
    datagrams.connect(socket)?;
    // A log that does not keep up must not stop the file system.
    datagrams.set_nonblocking(true)?;
    Ok(datagrams)
}

/// Makes a writer for every line.
struct Output;

/// The writer of one line.
struct Line {
    severity: u8,
}

impl MakeWriter<'_> for Output {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line { severity: severity(Level::INFO) }
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Line {
        Line { severity: severity(*metadata.level()) }
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        match &*DESTINATION.read().unwrap_or_else(PoisonError::into_inner) {
            Destination::Terminal => std::io::stderr().write_all(line)?,
            Destination::File(file, _) => (&*file).write_all(line)?,
            Destination::System(datagrams) => {
                // A full or restarted system log loses lines; there is nowhere to complain.
                let _ = datagrams.send(&system_line(self.severity, std::process::id(), line));
            }
            Destination::Nowhere => {}
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// syslog's severities.
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

fn system_line(severity: u8, pid: u32, line: &[u8]) -> Vec<u8> {
    let mut datagram = format!("<{}>ossfs[{pid}]: ", FACILITY_DAEMON | severity).into_bytes();
    datagram.extend_from_slice(line.trim_ascii_end());
    datagram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_log_is_told_who_speaks_and_how_bad_it_is() {
        assert_eq!(system_line(severity(Level::ERROR), 7, b"it broke\n"), b"<27>ossfs[7]: it broke");
        assert_eq!(system_line(severity(Level::DEBUG), 7, b"detail"), b"<31>ossfs[7]: detail");
    }

    #[test]
    fn a_log_that_was_moved_away_goes_on_in_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        set(Destination::File(open(&path).unwrap(), path.clone()));
        let mut line = Line { severity: severity(Level::INFO) };
        line.write_all(b"before\n").unwrap();
        std::fs::rename(&path, folder.path().join("log.1")).unwrap();
        line.write_all(b"between\n").unwrap();
        assert!(reopen());
        line.write_all(b"after\n").unwrap();
        set(Destination::Terminal);
        assert!(!reopen());
        assert_eq!(std::fs::read_to_string(path).unwrap(), "after\n");
        assert_eq!(std::fs::read_to_string(folder.path().join("log.1")).unwrap(), "before\nbetween\n");
    }

    #[test]
    fn datagrams_reach_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let listener = UnixDatagram::bind(&path).unwrap();
        system(&path).unwrap().send(&system_line(4, 1, b"careful\n")).unwrap();
        let mut datagram = [0; 64];
        let len = listener.recv(&mut datagram).unwrap();
        assert_eq!(&datagram[..len], b"<28>ossfs[1]: careful");
        assert!(system(&folder.path().join("none")).is_err());
    }
}
