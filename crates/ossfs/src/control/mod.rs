//! Speaking with a daemon: a socket beside its lock file, a request a line, answers in lines of JSON.
//!
//! `{"request":"sync","path":"a/b"}` is answered again and again until what was not in the bucket at and below the path is
//! there, or is known never to come. `{"request":"status"}` is answered once, `{"request":"settle"}` once everything is in the bucket, and
//! `{"request":"watch"}` again and again until the daemon ends: the last line tells how, and a connection that closes
//! without such a line means that the daemon was killed.

mod client;
mod server;

pub(crate) use client::{Line, Watch};
pub(crate) use server::{Server, Subject};

/// Looks how far a sync has come.
pub(crate) type Look = Box<dyn FnMut() -> Synced + Send>;

use ossfs_volume::{Synced, Trouble, Unsettled};
use serde::{Deserialize, Serialize};

/// Failures told at once, at most; their number is told too.
const FAILURES_MAX: usize = 100;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub(crate) enum Request {
    /// How things are.
    Status,
    /// How things are, again and again until the end.
    Watch,
    /// How things are once everything is in the bucket.
    Settle,
    /// How far what is not in the bucket now has come, again and again until all of it is there.
    Sync {
        /// At and below this path in the mount; everything, if it is empty.
        path: String,
    },
}

/// The life of a daemon.
///
/// ```text
/// Starting -> Mounted -> Settling -> Settled
///                                 -> GaveUp
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Nobody can use the mount yet.
    Starting,
    /// The mount answers.
    Mounted,
    /// The mount is gone, the rest is being uploaded.
    Settling,
    /// Everything is in the bucket; it ends.
    Settled,
    /// It ends, and not everything is in the bucket.
    GaveUp,
}

impl State {
    /// Whether it ends now.
    pub(crate) fn is_last(self) -> bool {
        matches!(self, Self::Settled | Self::GaveUp)
    }
}

/// How things are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The daemon.
    pub(crate) pid: u32,
    /// `bucket:/prefix`.
    pub(crate) bucket: String,
    /// Where it is or was mounted.
    pub(crate) mountpoint: String,
    /// Where in its life it is.
    pub(crate) state: State,
    /// Files, directories and symlinks that the bucket does not show as they are.
    pub(crate) nodes: u64,
    /// Objects to be deleted.
    pub(crate) tombstones: u64,
    /// Renamed directories whose objects are still elsewhere.
    pub(crate) claims: u64,
    /// Bytes that are only here.
    pub(crate) bytes: u64,
    /// Bytes that went on their way to the bucket since it was mounted.
    pub(crate) sent: u64,
    /// Number of what could not be uploaded so far.
    pub(crate) failures_total: u64,
    /// The first of them.
    pub(crate) failures: Vec<Failure>,
    /// What was taken back a short time ago, because the bucket refuses it.
    pub(crate) refused: Vec<Failure>,
    /// All that is left was tried in vain, and will not succeed by itself. Told of a sync.
    pub(crate) is_hopeless: bool,
}

/// Something that could not be uploaded so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// Its path in the mount.
    pub(crate) path: String,
    /// Why.
    pub(crate) reason: String,
    /// What a person can do about it.
    pub(crate) advice: String,
    /// For how many seconds.
    pub(crate) since_s: u64,
}

impl Failure {
    fn of(trouble: Trouble) -> Self {
        let Trouble { path, reason, advice, since } = trouble;
        Self { path, reason, advice: advice.to_owned(), since_s: since.as_secs() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, reason, advice, since_s } = self;
        write!(f, "{path}: {reason} (for {since_s} s; {advice})")
    }
}

impl Status {
    /// Whether it has nothing left to do.
    pub(crate) fn is_settled(&self) -> bool {
        self.nodes == 0 && self.tombstones == 0 && self.claims == 0
    }

    /// What tells whether things get on.
    pub(crate) fn measure(&self) -> Unsettled {
        let Self { nodes, tombstones, claims, bytes, sent, .. } = *self;
        Unsettled { nodes, tombstones, claims, bytes, sent, ..Unsettled::default() }
    }

    /// What is left, in words.
    pub(crate) fn left(&self) -> String {
        left(self.nodes, self.tombstones + self.claims, self.bytes)
    }
}

/// What is left of a volume, in words.
pub(crate) fn left_of(unsettled: &Unsettled) -> String {
    left(unsettled.nodes, unsettled.tombstones + unsettled.claims, unsettled.bytes)
}

fn left(nodes: u64, cleanups: u64, bytes: u64) -> String {
    let mut parts = Vec::new();
    if nodes > 0 || cleanups == 0 {
        let noun = if nodes == 1 { "file" } else { "files" };
        parts.push(format!("{nodes} {noun}, {}", size(bytes)));
    }
    if cleanups > 0 {
        let noun = if cleanups == 1 { "old object or directory" } else { "old objects or directories" };
        parts.push(format!("{cleanups} {noun} to clear away"));
    }
    parts.join(", ")
}

/// Bytes as people read them.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let Some((unit, name)) = UNITS.iter().find(|(unit, _)| bytes >= *unit) else { return format!("{bytes} B") };
    // Tenths, rounded down: what is left is never shown as nothing.
    let tenths = u128::from(bytes) * 10 / u128::from(*unit);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(5 << 30), "5.0 GiB");
        assert_eq!(size(u64::MAX), "16777215.9 TiB");
    }

    #[test]
    fn what_is_left_is_said_in_words() {
        assert_eq!(left(1, 0, 2048), "1 file, 2.0 KiB");
        assert_eq!(left(3, 2, 0), "3 files, 0 B, 2 old objects or directories to clear away");
        assert_eq!(left(0, 1, 0), "1 old object or directory to clear away");
        assert_eq!(left(0, 0, 0), "0 files, 0 B");
    }

    #[test]
    fn requests_look_as_documented() {
        assert_eq!(serde_json::to_string(&Request::Watch).unwrap(), r#"{"request":"watch"}"#);
        assert_eq!(serde_json::from_str::<Request>(r#"{"request":"settle"}"#).unwrap(), Request::Settle);
        assert!(serde_json::from_str::<Request>(r#"{"request":"format"}"#).is_err());
    }
}
