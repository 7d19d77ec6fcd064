//! Where the demo is: its folder below the target directory, its mountpoint in there, and one demo at a time.
//!
//! Invariant: what is in a mounted bucket is never removed as if it were a file of the demo: files go by name, and the
//! mountpoint only as an empty folder.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::run::Task;
use crate::workspace::Workspace;

const UNMOUNT_DEADLINE: Duration = Duration::from_secs(30);
const FILES: [&str; 3] = ["passwd", "sandbox.log", "state.json"];

/// The folder, locked against a second demo as long as this lives.
pub(super) struct Place {
    root: PathBuf,
    folder: PathBuf,
    release: PathBuf,
    _lock: File,
}

impl Place {
    /// Makes the folder if it is not there.
    pub(super) fn make(workspace: &Workspace) -> Result<Place> {
        let folder = workspace.target.join("demo");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Place::lock(workspace, &folder)
    }

    /// Nothing if the folder is not there.
    pub(super) fn find(workspace: &Workspace) -> Result<Option<Place>> {
        let folder = workspace.target.join("demo");
        if folder.exists() { Place::lock(workspace, &folder).map(Some) } else { Ok(None) }
    }

    fn lock(workspace: &Workspace, folder: &Path) -> Result<Place> {
        // As the kernel tells it, for the list of mounts.
        let folder = fs::canonicalize(folder)?;
        let lock = File::open(&folder).with_context(|| format!("cannot open {}", folder.display()))?;
        ensure!(lock.try_lock().is_ok(), "another `cargo xtask demo` is at work");
        let release = workspace.target.join("release");
        Ok(Place { root: workspace.root.clone(), folder, release, _lock: lock })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn release(&self) -> &Path {
        &self.release
    }

    pub(super) fn program(&self) -> PathBuf {
        self.release.join("ossfs")
    }

    pub(super) fn mountpoint(&self) -> PathBuf {
        self.folder.join("mnt")
    }

    /// Where the mount remembers what is not in the bucket yet; nothing else is in it.
    pub(super) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// One of the demo's files.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        debug_assert!(FILES.contains(&name), "{name} would not be removed");
        self.folder.join(name)
    }

    /// A path as one gives it to a program at the root of the workspace.
    pub(super) fn below_root<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    /// The same as one types it.
    pub(super) fn shown(&self, path: &Path) -> String {
        quoted(&self.below_root(path).to_string_lossy())
    }

    /// Whether anything is mounted at the mountpoint, also if it is dead.
    pub(super) fn is_mounted(&self) -> Result<bool> {
        let mounts = fs::read("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
        let mountpoint = self.mountpoint();
        Ok(mounts.split(|byte| *byte == b'\n').any(|line| mountpoint_of(line).is_some_and(|path| path == mountpoint)))
    }

    /// For a mount that nobody serves any more, or that is in use.
    pub(super) fn unmount_by_force(&self) -> Result<()> {
        let root = rustix::process::geteuid().is_root();
        let (program, flag) = if root { ("umount", "-l") } else { ("fusermount3", "-uz") };
        let task = Task::new(program, UNMOUNT_DEADLINE).arg(flag).arg(self.mountpoint()).even_if_interrupted();
        if task.run()?.status.success() && !self.is_mounted()? {
            return Ok(());
        }
        bail!("{} stays mounted", self.mountpoint().display())
    }

    /// Removes what an earlier demo left. Nothing must be mounted.
    pub(super) fn clear(&self) -> Result<()> {
        for file in FILES {
            gone(fs::remove_file(self.folder.join(file)), file)?;
        }
        gone(fs::remove_dir_all(self.state()), "state")?;
        gone(fs::remove_dir(self.mountpoint()), "mnt")
    }

    /// Removes everything. Nothing must be mounted.
    pub(super) fn remove(&self) -> Result<()> {
        self.clear()?;
        gone(fs::remove_dir(&self.folder), "the demo's folder")
    }
}

/// What was not there need not be removed.
fn gone(removed: std::io::Result<()>, what: &str) -> Result<()> {
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {what}"))
        }
        _ => Ok(()),
    }
}

/// The fifth field, in which the kernel writes blanks and backslashes as three octal digits.
fn mountpoint_of(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(4)?;
    let mut path = Vec::new();
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\');
        let octal = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        path.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    Some(PathBuf::from(OsString::from_vec(path)))
}

/// As a shell takes it for one word.
pub(super) fn quoted(text: &str) -> String {
    let plain = |char: char| char.is_alphanumeric() || "/._-:=,@%+".contains(char);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountpoints_are_read_as_the_kernel_writes_them() {
        let line = br"36 35 0:29 / /a\040b/\134x\011\303\251 rw,nosuid - fuse.ossfs ossfs rw,user_id=0";
        assert_eq!(mountpoint_of(line), Some(PathBuf::from("/a b/\\x\té")));
        assert_eq!(mountpoint_of(b""), None);
    }

    #[test]
    fn words_are_quoted_where_they_must_be() {
        assert_eq!(quoted("target/demo/mnt"), "target/demo/mnt");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
