//! `ossfs sync`: waits until what was written is in the bucket.

use super::progress::{Progress, left_behind, tell_refused};
use super::watched::{self, Waiting};
use crate::control::{Status, Watch};
use crate::lock;
use crate::mount::{self, mountinfo};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// Wait until everything that was written is in the bucket
///
/// Files that are open are uploaded as they are now. What is changed while this waits is not waited for. Exit status 0 means
/// that the bucket has all of it; else it is said what it lacks, and why. If this is interrupted the upload goes on.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where it is mounted
    #[arg(value_name = "MOUNTPOINT")]
    mountpoint: PathBuf,

    /// Wait for what is at and below this path in the mount only
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,

    /// Stop waiting when nothing got on for this long
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
}

/// Waits, and tells what is not in the bucket.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mountpoint = mount::resolve(&arguments.mountpoint)?;
    let shown = mountpoint.display();
    let here = std::env::current_dir().unwrap_or_default();
    let path = match &arguments.path {
        Some(path) => path_in(&mountpoint, path, &here)?,
        None => String::new(),
    };
    let mount = mountinfo::at(&mountpoint)?;
    let ours = mount.as_ref().filter(|mount| mount.is_ossfs());
    let daemons = lock::daemons_at(&mountpoint, ours.and_then(mountinfo::Mount::user));
    match (ours, daemons.is_empty()) {
        (None, true) => bail!("{shown} is not a mount of ossfs"),
        (Some(_), true) => bail!(
            "the ossfs of {shown} is gone: `ossfs umount {shown}` and mount it again, and it goes on with what is not in the \
             bucket"
        ),
        (_, false) => {}
    }
    let asked = daemons.into_iter().map(|found| watched::watch(found, |socket| Watch::sync(socket, &path)));
    let watched = asked.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    let waiting = Waiting {
        stuck_after: Duration::from_secs(arguments.timeout),
        goes_on: "goes on trying",
        look: |_: &lock::Found, status: &Status, progress: &mut Progress| {
            progress.show(status);
            let is_last = status.is_settled() || status.is_hopeless || status.state.is_last();
            is_last.then(|| end(status, progress))
        },
    };
    waiting.wait_for_all(watched)
}

fn end(status: &Status, progress: &mut Progress) -> Result<()> {
    progress.finish();
    tell_refused(status);
    if !status.is_settled() {
        bail!("{}", left_behind(status));
    }
    if !status.refused.is_empty() {
        bail!("the bucket refuses what was done in {} places", status.refused.len());
    }
    Ok(())
}

/// A path as seen from the mountpoint. It may be absolute, or relative to the current directory or to the mountpoint, and need
/// not exist.
fn path_in(mountpoint: &Path, path: &Path, here: &Path) -> Result<String> {
    let inside = |path: &Path| normal(path).strip_prefix(mountpoint).map(Path::to_path_buf).ok();
    let found = inside(&here.join(path)).or_else(|| inside(&mountpoint.join(path)));
    let found = found.with_context(|| format!("{} is not in {}", path.display(), mountpoint.display()))?;
    let text = found.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(text.to_owned())
}

/// Without `.` and `..`. The mount is not asked: it may not answer.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(normal.pop()),
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => normal.push(component),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_seen_from_the_mountpoint() {
        let mount = Path::new("/mnt/b");
        let seen = |path: &str, here: &str| path_in(mount, Path::new(path), Path::new(here)).ok();
        for (path, here, expected) in [
            ("/mnt/b", "/", Some("")),
            ("/mnt/b/a/b/", "/", Some("a/b")),
            ("a", "/mnt/b/d", Some("d/a")),
            (".", "/mnt/b/d", Some("d")),
            ("a/./b", "/home", Some("a/b")),
            ("..", "/mnt/b/d", Some("")),
            ("/mnt/bc", "/", None),
            ("/mnt/b/../c", "/", None),
            ("../..", "/home", None),
        ] {
            assert_eq!(seen(path, here).as_deref(), expected, "{path} in {here}");
        }
    }
}
