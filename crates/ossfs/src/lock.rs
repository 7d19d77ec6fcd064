//! One daemon for each (bucket and prefix, mountpoint): a lock file that it holds as long as it lives.
//!
//! A daemon outlives its mount until everything is in the bucket, and the next mount of the same waits for it. The lock
//! is the kernel's (flock), so a killed daemon holds none; the file tells who holds it, and beside it is its control
//! socket. Files are removed by the holder, so whoever gets a lock looks whether it is still on the file of that name.

use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A socket's path has at most 107 bytes, and the file's name has 21.
const DIRECTORY_BYTES_MAX: usize = 80;
/// Bytes of the digest in a file's name: enough that two mounts never share one.
const NAME_BYTES: usize = 8;
const LOCK_EXTENSION: &str = "lock";
const SOCKET_EXTENSION: &str = "sock";
/// A file says no more than a bucket, a prefix and a path.
const HOLDER_BYTES_MAX: u64 = 16 << 10;

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    /// Its process.
    pub(crate) pid: u32,
    /// `bucket:/prefix`.
    pub(crate) bucket: String,
    /// Where it is or was mounted.
    pub(crate) mountpoint: String,
}

/// A daemon that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Who it is, if it has written it down yet.
    pub(crate) holder: Option<Holder>,
    /// Where it can be spoken to.
    pub(crate) socket: PathBuf,
}

impl Found {
    /// The process that holds the lock, as far as it says; else 0.
    pub(crate) fn pid(&self) -> u32 {
        self.holder.as_ref().map_or(0, |holder| holder.pid)
    }

    /// Whether it still lives.
    pub(crate) fn lives(&self) -> bool {
        living(&self.socket.with_extension(LOCK_EXTENSION)).is_some()
    }
}

/// A lock that is held; let go, with its files removed, when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    /// The lock lasts as long as this is open.
    _file: File,
}

/// What came of trying.
#[derive(Debug)]
pub(crate) enum Tried {
    /// It is ours.
    Taken(Lock),
    /// Someone has it.
    Held(Found),
}

impl Lock {
    /// Takes the lock of a bucket at a mountpoint, if nobody has it.
    pub(crate) fn take(bucket: &str, mountpoint: &Path) -> Result<Tried> {
        Self::take_in(&own_directory()?, bucket, mountpoint)
    }

    fn take_in(directory: &Path, bucket: &str, mountpoint: &Path) -> Result<Tried> {
        let path = directory.join(format!("{}.{LOCK_EXTENSION}", name(bucket, mountpoint)));
        loop {
            let mut file =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
            let file = file.as_mut().map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))?;
            match rustix::fs::flock(&*file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    return Ok(Tried::Held(Found { holder: read(file), socket: socket_beside(&path) }));
                }
                Err(error) => return Err(error).with_context(|| format!("cannot lock {}", path.display())),
            }
            // The holder before may have removed the file between our opening and our locking it.
            let named = std::fs::metadata(&path).map(|named| (named.dev(), named.ino())).ok();
            let ours = file.metadata().map(|ours| (ours.dev(), ours.ino())).context("cannot look at a lock file")?;
            if named != Some(ours) {
                continue;
            }
            let holder = Holder {
                pid: std::process::id(),
                bucket: bucket.to_owned(),
                mountpoint: mountpoint.to_string_lossy().into_owned(),
            };
            file.set_len(0)
                .and_then(|()| file.write_all(&serde_json::to_vec(&holder)?))
                .context("cannot write a lock file")?;
            let file = file.try_clone().context("cannot keep a lock file open")?;
            return Ok(Tried::Taken(Self { path, _file: file }));
        }
    }

    /// A name that no other mount has.
    pub(crate) fn name(&self) -> String {
        self.path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Where its holder listens.
    pub(crate) fn socket(&self) -> PathBuf {
        socket_beside(&self.path)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Whoever waits finds the file gone or the lock free, and both are fine.
        let _ = std::fs::remove_file(self.socket());
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The daemons of a mountpoint that live, those of `user` alone where a user is given. There may be several: one that
/// serves, and others that still settle what was mounted there before.
pub(crate) fn daemons_at(mountpoint: &Path, user: Option<u32>) -> Vec<Found> {
    let mountpoint = mountpoint.to_string_lossy();
    let directories = directories().into_iter().filter(|directory| {
        let owner = std::fs::symlink_metadata(directory).map(|metadata| metadata.uid()).ok();
        owner.is_some() && user.is_none_or(|user| owner == Some(user))
    });
    directories
        .flat_map(|directory| daemons_in(&directory))
        .filter(|found| found.holder.as_ref().is_some_and(|holder| holder.mountpoint == mountpoint))
        .collect()
}

fn daemons_in(directory: &Path) -> Vec<Found> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .filter(|path| path.extension().is_some_and(|own| own == LOCK_EXTENSION))
        .filter_map(|path| living(&path))
        .collect()
}

/// The holder of a lock file, if it is held.
fn living(path: &Path) -> Option<Found> {
    let mut file = File::open(path).ok()?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => Some(Found { holder: read(&mut file), socket: socket_beside(path) }),
        _ => None,
    }
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = Vec::new();
    file.take(HOLDER_BYTES_MAX).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn socket_beside(lock: &Path) -> PathBuf {
    lock.with_extension(SOCKET_EXTENSION)
}

fn name(bucket: &str, mountpoint: &Path) -> String {
    let mut digest = Sha256::new();
    digest.update(bucket.as_bytes());
    // No bucket name and no path has this byte.
    digest.update([0]);
    digest.update(mountpoint.as_os_str().as_bytes());
    hex::encode(&digest.finalize()[..NAME_BYTES])
}

/// Where this user's daemons keep their files, best first.
fn candidates() -> Vec<PathBuf> {
    let user = rustix::process::geteuid();
    let fallback = PathBuf::from(format!("/tmp/ossfs-{}", user.as_raw()));
    if user.is_root() {
        return vec![PathBuf::from("/run/ossfs"), fallback];
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(|runtime| Path::new(&runtime).join("ossfs"));
    let standard = PathBuf::from(format!("/run/user/{}/ossfs", user.as_raw()));
    runtime
        .into_iter()
        .chain([standard, fallback])
        .filter(|path| path.as_os_str().len() <= DIRECTORY_BYTES_MAX)
        .collect()
}

/// The first candidate that is there or can be made, and that nobody else can write to.
fn own_directory() -> Result<PathBuf> {
    let mut refused = String::new();
    for directory in candidates() {
        match prepare(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) => refused = format!("{}: {error}", directory.display()),
        }
    }
    bail!("there is no directory for lock files: {refused}")
}

fn prepare(directory: &Path) -> std::io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = std::fs::symlink_metadata(directory)?;
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    if !found.is_dir() || !ours || found.mode() & 0o022 != 0 {
        return Err(std::io::Error::other("it is not a directory of this user alone"));
    }
    Ok(())
}

/// Where daemons are looked for: this user's, and for root everyone's.
fn directories() -> Vec<PathBuf> {
    let mut found = candidates();
    if rustix::process::geteuid().is_root() {
        found.extend(children("/run/user", |_| true).into_iter().map(|user| user.join("ossfs")));
        found.extend(children("/tmp", |name| name.starts_with("ossfs-")));
    }
    found.sort();
    found.dedup();
    found
}

fn children(directory: &str, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let entries = entries.filter_map(std::io::Result::ok);
    entries.filter(|entry| wanted(&entry.file_name().to_string_lossy())).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(tried: Tried) -> Lock {
        match tried {
            Tried::Taken(lock) => lock,
            Tried::Held(found) => panic!("held by {found:?}"),
        }
    }

    #[test]
    fn one_holder_at_a_time_who_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let at = Path::new("/mnt/a");
        let lock = taken(Lock::take_in(folder.path(), "bucket", at).unwrap());
        let Tried::Held(found) = Lock::take_in(folder.path(), "bucket", at).unwrap() else { panic!("taken twice") };
        let holder = Holder { pid: std::process::id(), bucket: "bucket".into(), mountpoint: "/mnt/a".into() };
        assert_eq!(found, Found { holder: Some(holder), socket: lock.socket() });
        assert_eq!(daemons_in(folder.path()).as_slice(), std::slice::from_ref(&found));
        assert!(found.lives());
        drop(lock);
        assert!(!found.lives());
        assert!(daemons_in(folder.path()).is_empty());
        taken(Lock::take_in(folder.path(), "bucket", at).unwrap());
    }

    #[test]
    fn other_buckets_and_mountpoints_are_other_locks() {
        let folder = tempfile::tempdir().unwrap();
        let _one = taken(Lock::take_in(folder.path(), "bucket", Path::new("/mnt/a")).unwrap());
        let _two = taken(Lock::take_in(folder.path(), "bucket:/x", Path::new("/mnt/a")).unwrap());
        let _three = taken(Lock::take_in(folder.path(), "bucket", Path::new("/mnt/b")).unwrap());
        assert_eq!(daemons_in(folder.path()).len(), 3);
    }

    #[test]
    fn files_of_the_killed_hold_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let lock = taken(Lock::take_in(folder.path(), "bucket", Path::new("/mnt/a")).unwrap());
        let left = std::fs::read(&lock.path).unwrap();
        let path = lock.path.clone();
        drop(lock);
        std::fs::write(&path, left).unwrap();
        assert!(daemons_in(folder.path()).is_empty());
        taken(Lock::take_in(folder.path(), "bucket", Path::new("/mnt/a")).unwrap());
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let ours = folder.path().join("ours");
        prepare(&ours).unwrap();
        std::fs::set_permissions(&ours, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(prepare(&ours).is_err());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(prepare(&link).is_err());
    }
}
