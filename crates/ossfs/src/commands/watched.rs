//! A daemon that is listened to, from its lock to its last word.

use crate::control::Watch;
use crate::lock::Found;
use anyhow::{Context, Result};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a line of the daemon, of which four come a second, is waited for at a time.
pub(super) const LINE_WAIT: Duration = Duration::from_secs(1);
/// How long a daemon may take from its lock to its socket, and from its last word to its end.
pub(super) const HANDSHAKE_WAIT: Duration = Duration::from_secs(5);
/// Between two looks at that.
pub(super) const HANDSHAKE_INTERVAL: Duration = Duration::from_millis(10);

/// A daemon whose end is waited for.
pub(super) struct Watched {
    pub(super) found: Found,
    pub(super) pid: u32,
    pub(super) watch: Watch,
}

/// Begins to watch a daemon, unless it has ended meanwhile. At its beginning and its end it holds its lock and does not
/// listen.
pub(super) fn watch(found: Found, ask: impl Fn(&Path) -> std::io::Result<Watch>) -> Result<Option<Watched>> {
    let pid = found.holder.as_ref().map_or(0, |holder| holder.pid);
    let begun = Instant::now();
    loop {
        match ask(&found.socket) {
            Ok(watch) => return Ok(Some(Watched { found, pid, watch })),
            Err(_) if !found.lives() => return Ok(None),
            Err(error) if begun.elapsed() >= HANDSHAKE_WAIT => {
                let socket = found.socket.display();
                return Err(error).with_context(|| format!("ossfs (process {pid}) does not answer at {socket}"));
            }
            Err(_) => std::thread::sleep(HANDSHAKE_INTERVAL),
        }
    }
}
