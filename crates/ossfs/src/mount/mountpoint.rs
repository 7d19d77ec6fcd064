//! Where to mount: an absolute path, found without touching a mount that may be dead, and fit to be mounted on.

use super::{device, mountinfo};
use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

const FUSE_CONFIGURATION: &str = "/etc/fuse.conf";
/// A dead mount answers at once; this is for a machine that is busy.
const DEAD_WAIT: Duration = Duration::from_secs(1);

/// The path as the table of mounts names it: absolute, without symlinks. A mountpoint itself is never asked.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).with_context(|| format!("`{}` is no path", path.display()))?;
    // A mount whose path was typed as it is needs no look at the directories above it, dead ones included.
    if is_plain(&absolute) && mountinfo::at(&absolute)?.is_some() {
        return Ok(plain(&absolute));
    }
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return canonical(&absolute);
    };
    let beside = canonical(parent)?.join(name);
    if mountinfo::at(&beside)?.is_some() { Ok(beside) } else { canonical(&beside) }
}

/// Checks that `mountpoint` (resolved) can be mounted on by this user.
pub(crate) fn check(mountpoint: &Path, allow_other: bool, nonempty: bool) -> Result<()> {
    let shown = mountpoint.display();
    if let Some(mount) = mountinfo::at(mountpoint)?
        && mount.file_system.starts_with("fuse")
    {
        if is_dead(mountpoint) {
            bail!(
                "{shown} is a dead mount, whose program was killed: clear it away with `fusermount -u {shown}` (as root \
                 `umount {shown}`), then mount again"
            );
        }
        bail!("{shown} is already mounted ({}): `ossfs umount {shown}` first, or choose another", mount.file_system);
    }
    let entries = match std::fs::read_dir(mountpoint) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("there is no {shown}: `mkdir -p {shown}` first"),
        Err(error) if error.kind() == ErrorKind::NotADirectory => bail!("{shown} is no directory"),
        // Who may not list a directory may still own it; mounting says what is wrong, if anything is.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
        Err(error) => return Err(error).with_context(|| format!("cannot look at {shown}")),
    };
    if !nonempty && entries.is_some_and(|mut entries| entries.next().is_some()) {
        bail!("{shown} is not empty: choose an empty directory, or give `-o nonempty` to hide what is in it");
    }
    if allow_other && !may_allow_other() {
        bail!("`allow_other` is only for root until `user_allow_other` stands on a line in {FUSE_CONFIGURATION}");
    }
    device::check()
}

/// Whether what is mounted there is dead: its program was killed, and the kernel says so at once. A program that hangs is
/// not dead, so it is not waited for; neither is a mount that this user may not look at.
pub(crate) fn is_dead(mountpoint: &Path) -> bool {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let path = mountpoint.to_owned();
    std::thread::spawn(move || {
        // Attributes may be cached; statfs(2) always asks the program. Nobody may be listening any more.
        let _ = sender.send(rustix::fs::statfs(&path).is_err_and(|error| error == Errno::NOTCONN));
    });
    receiver.recv_timeout(DEAD_WAIT).unwrap_or(false)
}

fn canonical(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!("there is no {0}: `mkdir -p {0}` first", path.display()),
        ErrorKind::NotADirectory => anyhow::anyhow!("{} is no directory", path.display()),
        ErrorKind::NotConnected => anyhow::anyhow!(
            "{0} is on a dead mount, whose program was killed: `fusermount -u` it (`umount` as root) first",
            path.display()
        ),
        _ => anyhow::Error::new(error).context(format!("cannot look at {}", path.display())),
    })
}

fn is_plain(absolute: &Path) -> bool {
    !absolute.components().any(|part| part == Component::ParentDir)
}

/// Without a slash at the end.
fn plain(absolute: &Path) -> PathBuf {
    absolute.components().collect()
}

fn may_allow_other() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    // Who can't read it leaves the question to fusermount3.
    std::fs::read_to_string(FUSE_CONFIGURATION)
        .map_or_else(|error| error.kind() != ErrorKind::NotFound, |text| allows(&text))
}

fn allows(configuration: &str) -> bool {
    configuration.lines().any(|line| line.trim() == "user_allow_other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_what_the_table_of_mounts_says() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(resolve(&link).unwrap(), real);
        assert_eq!(resolve(&folder.path().join("link/../real/")).unwrap(), real);
        assert_eq!(resolve(Path::new("/")).unwrap(), Path::new("/"));
        assert!(resolve(&folder.path().join("none")).unwrap_err().to_string().contains("mkdir -p"));
    }

    #[test]
    fn what_can_not_be_mounted_on_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let told = |path: &Path| check(path, false, false).unwrap_err().to_string();
        let file = folder.path().join("file");
        assert!(told(&folder.path().join("none")).starts_with("there is no"));
        std::fs::write(&file, "").unwrap();
        assert!(told(&file).ends_with("is no directory"));
        assert!(told(folder.path()).contains("nonempty"));
    }

    #[test]
    fn only_a_line_of_its_own_allows_others() {
        assert!(allows("# comment\nuser_allow_other\n"));
        assert!(!allows("#user_allow_other\n# user_allow_other as well\n"));
    }
}
