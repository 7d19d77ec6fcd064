//! Who is measured, and how each comes to a directory to work in.
//!
//! Invariant: every daemon is in the foreground, as a child of ours, and goes with its mount when [`Mounted`] is dropped.

mod peers;

pub(crate) use peers::{Peer, find};

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::leftovers::{Guard, Running};
use crate::sandbox::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, BUCKET, REGION};

const MOUNT_DEADLINE: Duration = Duration::from_secs(30);
const END_GRACE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(1);

/// Who is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// The client without a file system.
    Raw,
    /// The product.
    Ossfs,
    /// The product once more: what differs from the first is chance.
    Again,
    /// A directory on the local disk.
    Local,
    /// Another program.
    Peer(Peer),
}

impl Contestant {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Raw => "raw client",
            Self::Ossfs => "ossfs",
            Self::Again => "ossfs (again)",
            Self::Local => "local disk",
            Self::Peer(peer) => peer.name,
        }
    }

    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::Ossfs | Self::Again)
    }
}

/// What a mount is made of.
pub(crate) struct Ask<'a> {
    pub(crate) program: &'a Path,
    pub(crate) endpoint: &'a str,
    pub(crate) mountpoint: &'a Path,
    /// For keys, state, caches and logs: this mount's own.
    pub(crate) folder: &'a Path,
}

impl Ask<'_> {
    /// Writes a file that only we may read, and returns where it is.
    pub(super) fn secret(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }
}

/// The product's command line. `@cache` in an option is a folder.
pub(crate) fn ossfs(ask: &Ask<'_>, options: &[String]) -> Result<Command> {
    let keys = ask.secret("keys", &format!("{BUCKET}:{ACCESS_KEY_ID}:{ACCESS_KEY_SECRET}\n"))?;
    let cache = ask.folder.join("cache");
    fs::create_dir_all(&cache)?;
    let mut command = Command::new(ask.program);
    command.arg(BUCKET).arg(ask.mountpoint).arg(format!("-ourl={}", ask.endpoint)).arg(format!("-oregion={REGION}"));
    command.arg(format!("-opasswd_file={}", keys.display())).arg("-f");
    command.args(options.iter().map(|option| option.replace("@cache", &cache.to_string_lossy())));
    command.env("STATE_DIRECTORY", ask.folder.join("state"));
    Ok(command)
}

/// A mount that goes away, with its daemon, when dropped.
pub(crate) struct Mounted {
    // Dropped in this order: what is out of sight can't hang anybody who looks.
    _guard: Guard,
    daemon: Running,
    mountpoint: PathBuf,
    /// From the start of the daemon to the first answer.
    pub(crate) seconds: f64,
}

impl Mounted {
    /// Runs a daemon that stays in the foreground, until the mount answers. `options` must all be honoured.
    pub(crate) fn start(mut command: Command, mountpoint: &Path, log: &Path, options: &[String]) -> Result<Mounted> {
        fs::create_dir_all(mountpoint).with_context(|| format!("cannot make {}", mountpoint.display()))?;
        let outside = fs::metadata(mountpoint)?.dev();
        let output = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let guard = Guard::mount(mountpoint);
        let begun = Instant::now();
        let daemon = Running::start(&mut command)?;
        // Whatever fails from here on drops this as a whole.
        let mut mounted = Mounted { _guard: guard, daemon, mountpoint: mountpoint.to_owned(), seconds: 0.0 };
        while fs::metadata(mountpoint).map_or(true, |inside| inside.dev() == outside) {
            if let Some(status) = mounted.daemon.ended()? {
                bail!("did not mount ({status}): {}", last_line(log));
            }
            ensure!(begun.elapsed() < MOUNT_DEADLINE, "did not mount: {}", last_line(log));
            thread::sleep(POLL);
        }
        mounted.seconds = begun.elapsed().as_secs_f64();
        let said = fs::read_to_string(log).unwrap_or_default();
        if let Some(option) = options.iter().find(|option| said.contains(option_name(option))) {
            bail!("{option} is not honoured: {}", last_line(log));
        }
        Ok(mounted)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// `ossfs sync`: everything is in the bucket then.
    pub(crate) fn sync(&self, program: &Path) -> Result<()> {
        ossfs_does(program, "sync", &self.mountpoint)
    }

    /// `ossfs umount`, and the end of the daemon.
    pub(crate) fn umount(mut self, program: &Path) -> Result<()> {
        ossfs_does(program, "umount", &self.mountpoint)?;
        let begun = Instant::now();
        while self.daemon.ended()?.is_none() {
            ensure!(begun.elapsed() < END_GRACE, "the daemon did not end");
            thread::sleep(POLL);
        }
        Ok(())
    }
}

fn ossfs_does(program: &Path, what: &str, mountpoint: &Path) -> Result<()> {
    let mut command = Command::new(program);
    command.arg(what).arg(mountpoint).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = Running::start(&mut command)?.end()?;
    ensure!(status.success(), "ossfs {what}: {status}");
    Ok(())
}

/// `-oNAME=VALUE`.
fn option_name(option: &str) -> &str {
    let name = option.trim_start_matches("-o");
    name.split_once('=').map_or(name, |(name, _)| name)
}

fn last_line(log: &Path) -> String {
    let said = fs::read_to_string(log).unwrap_or_default();
    said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_known_by_their_names() {
        assert_eq!(option_name("-odirect_io"), "direct_io");
        assert_eq!(option_name("-ocache_dir=/a=b"), "cache_dir");
    }

    #[test]
    fn a_daemon_that_ends_is_told_from_a_mount() {
        let _alone = crate::leftovers::one_test_at_a_time();
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such bucket >&2; exit 3"]);
        let log = folder.path().join("log");
        let error = Mounted::start(command, &folder.path().join("mnt"), &log, &[]).err().unwrap();
        assert!(format!("{error}").contains("no such bucket"), "{error}");
    }
}
