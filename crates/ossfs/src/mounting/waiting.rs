//! Before a mount: the daemon before it may still be uploading.

use crate::control::{Line, Watch};
use crate::lock::{Found, Lock, Tried};
use crate::mount::mountinfo;
use anyhow::{Result, bail};
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two tries for the lock.
const TRY_INTERVAL: Duration = Duration::from_millis(200);
/// Between two lines about the wait.
const NEWS_INTERVAL: Duration = Duration::from_secs(5);
/// How long an answer about what is left is waited for.
const NEWS_WAIT: Duration = Duration::from_millis(500);

/// Takes the lock. While the daemon before still uploads this waits and says so; that it serves a mount is an error, which
/// [`mount::check`](crate::mount::check) tells.
pub(super) fn take_lock(bucket: &str, mountpoint: &Path) -> Result<Lock> {
    let mut last_news: Option<Instant> = None;
    let mut tries = 0_u32;
    loop {
        let found = match Lock::take(bucket, mountpoint)? {
            Tried::Taken(lock) => return Ok(lock),
            Tried::Held(found) => found,
        };
        if mountinfo::at(mountpoint)?.is_some_and(|mount| mount.is_ossfs()) {
            let shown = mountpoint.display();
            bail!("{shown} is already mounted with {bucket}: `ossfs umount {shown}` first");
        }
        // Who only looks around holds a lock for a moment: not worth a word.
        tries += 1;
        if tries > 1 && last_news.is_none_or(|last| last.elapsed() >= NEWS_INTERVAL) {
            eprintln!("ossfs: {}", news(bucket, mountpoint, &found));
            last_news = Some(Instant::now());
        }
        std::thread::sleep(TRY_INTERVAL);
    }
}

fn news(bucket: &str, mountpoint: &Path, found: &Found) -> String {
    let process = found.holder.as_ref().map_or_else(String::new, |holder| format!(" (process {})", holder.pid));
    let waiting = format!("waiting for the mount of {bucket} at {} before this one{process}", mountpoint.display());
    let status = Watch::start(&found.socket).ok().and_then(|mut watch| watch.next_line(NEWS_WAIT).ok());
    match status {
        Some(Line::Status(status)) if !status.is_settled() => {
            let reason = status
                .failures
                .first()
                .map_or_else(String::new, |failure| format!("; {}: {}", failure.path, failure.reason));
            format!("{waiting}, which still has to upload {}{reason}", status.left())
        }
        _ => waiting,
    }
}
