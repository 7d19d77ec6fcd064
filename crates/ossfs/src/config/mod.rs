//! The configuration of a mount: what the options that were typed mean ([`resolve()`]), and whether it can work
//! ([`connect`]), each failure told in one line that says what to do.
//!
//! A [`MountConfig`] holds no secret: where credentials are, not what they are.

mod check;
mod explain;
mod identity;
mod memory;
mod resolve;

pub(crate) use check::connect;
pub(crate) use resolve::{Machine, Named, resolve};

use crate::options::KernelFlags;
use ossfs_store::{Addressing, CredentialOptions, Endpoint, HttpOptions, RetryOptions, SignatureVersion};
use ossfs_types::{BucketName, Prefix};
use ossfs_volume::VolumeOptions;
use std::path::PathBuf;
use tracing::level_filters::LevelFilter;

/// What to mount, where, and how.
#[derive(Debug, Clone)]
pub(crate) struct MountConfig {
    /// The bucket.
    pub bucket: BucketName,
    /// The part of it that is shown: empty, or ends with `/`. The same as the volume's.
    pub prefix: Prefix,
    /// Where to mount it, as it was typed.
    pub mountpoint: PathBuf,
    /// Stays in the foreground.
    pub foreground: bool,
    /// Where OSS is.
    pub endpoint: Endpoint,
    /// How the bucket is addressed; as the endpoint suggests if absent.
    pub addressing: Option<Addressing>,
    /// The bucket's region. There is one wherever signatures have version 4.
    pub region: Option<String>,
    /// Version of the signatures.
    pub signature: SignatureVersion,
    /// Where to look for credentials; `None` for a public bucket, to which requests go unsigned.
    pub credentials: Option<CredentialOptions>,
    /// Connections, time limits and proxy of the mounted store.
    pub http: HttpOptions,
    /// Repetitions of the mounted store.
    pub retry: RetryOptions,
    /// Other users than the mounting one may enter.
    pub allow_other: bool,
    /// The mountpoint need not be empty.
    pub nonempty: bool,
    /// Mounted read-only. The same as the volume's.
    pub read_only: bool,
    /// What the kernel is told of the mount.
    pub mount_flags: KernelFlags,
    /// What is logged, and where to.
    pub log: LogConfig,
    /// The directory for the record of what is not in the bucket yet: absolute.
    pub state: StateConfig,
    /// The directory below which bytes are staged, if not in the state's: absolute.
    pub staging: Option<PathBuf>,
    /// Bytes that stay free where bytes are staged.
    pub staging_keeps_free: u64,
    /// How the file system behaves.
    pub volume: VolumeOptions,
    /// Whether somebody said how often files that stay open are settled.
    pub settle_interval_typed: bool,
    /// For stderr, once it is sure that the mount will work: each a sentence without `ossfs: note:` before it.
    pub notes: Vec<String>,
}

/// What is logged, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogConfig {
    /// The least that is logged.
    pub level: LevelFilter,
    /// The file that it is appended to, absolute; without one the system's log, or stderr in the foreground.
    pub file: Option<PathBuf>,
}

/// Where the record is kept of what is not in the bucket yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StateConfig {
    /// In this directory, which is for one mount.
    Named(PathBuf),
    /// In a directory of the mount's own below this one.
    Below(PathBuf),
}
