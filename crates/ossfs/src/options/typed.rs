//! What was typed after `-o`, each value parsed, nothing decided.

use ossfs_store::{Endpoint, Proxy, SignatureVersion};
use ossfs_volume::AppendMode;
use std::path::PathBuf;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// What was typed; absent is what was not. The last of two that exclude each other stands, as with mount(8).
#[derive(Debug, Clone, Default)]
pub(crate) struct Typed {
    pub bucket: Option<String>,
    pub endpoint: Option<Endpoint>,
    pub region: Option<String>,
    pub signature: Option<SignatureVersion>,
    pub path_style: Option<bool>,
    pub proxy: Option<Proxy>,
    pub no_check_certificate: Option<bool>,
    pub passwd_file: Option<PathBuf>,
    pub ram_role: Option<RamRole>,
    pub credential_process: Option<String>,
    pub public_bucket: Option<bool>,
    pub allow_other: Option<bool>,
    pub nonempty: Option<bool>,
    pub read_only: Option<bool>,
    pub kernel: KernelFlags,
    /// A number, or the name of a user.
    pub uid: Option<String>,
    /// A number, or the name of a group.
    pub gid: Option<String>,
    pub umask: Option<u32>,
    pub mp_umask: Option<u32>,
    pub stat_cache_expire: Option<Duration>,
    pub disable_noobj_cache: Option<bool>,
    pub readdir_optimize: Option<bool>,
    pub parallel_count: Option<usize>,
    pub part_bytes: Option<u64>,
    pub memory_limit: Option<u64>,
    pub retries: Option<u32>,
    pub connect_timeout: Option<Duration>,
    pub readwrite_timeout: Option<Duration>,
    pub deadline: Option<Duration>,
    pub settle_interval: Option<Duration>,
    pub append: Option<AppendMode>,
    pub state_dir: Option<PathBuf>,
    pub writeback: Option<bool>,
    pub staging_dir: Option<PathBuf>,
    /// Bytes.
    pub ensure_diskfree: Option<u64>,
    pub storage_class: Option<&'static str>,
    pub encryption: Option<Encryption>,
    pub default_acl: Option<Acl>,
    pub mime: Option<PathBuf>,
    pub log_level: Option<LevelFilter>,
    pub logfile: Option<PathBuf>,
    pub foreground: Option<bool>,
    pub debug: Option<bool>,
    /// Names and reasons of options that were typed and are not needed here.
    pub not_needed: Vec<(&'static str, &'static str)>,
}

/// Flags and labels of the mount that are the kernel's business. FUSE's own defaults: no devices, no set-user-id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KernelFlags {
    /// Device files are none.
    pub nodev: bool,
    /// Set-user-id and set-group-id bits have no effect.
    pub nosuid: bool,
    /// Nothing can be executed.
    pub noexec: bool,
    /// Reading changes no access time.
    pub noatime: bool,
    /// Reading a directory changes no access time.
    pub nodiratime: bool,
    /// Every write goes through at once.
    pub sync: bool,
    /// Every change of a directory goes through at once.
    pub dirsync: bool,
}

impl Default for KernelFlags {
    fn default() -> Self {
        Self {
            nodev: true,
            nosuid: true,
            noexec: false,
            noatime: false,
            nodiratime: false,
            sync: false,
            dirsync: false,
        }
    }
}

/// Whose role the ECS instance takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RamRole {
    /// The one that it has.
    Auto,
    /// This one.
    Named(String),
    /// This one, from the metadata service at this address.
    At {
        /// `http://host`.
        service: String,
        /// The role.
        role: String,
    },
    /// Whatever this URL answers.
    Url(String),
}

/// How OSS encrypts new objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// With keys of its own.
    Oss,
    /// With a key of KMS; the account's default one if absent.
    Kms(Option<String>),
}

/// Who may use new objects without a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Acl(pub &'static str);

impl KernelFlags {
    /// The same as words of mount(8).
    pub(crate) fn words(&self) -> Vec<String> {
        let words = [
            if self.nodev { "nodev" } else { "dev" },
            if self.nosuid { "nosuid" } else { "suid" },
            if self.noexec { "noexec" } else { "exec" },
            if self.noatime { "noatime" } else { "atime" },
        ];
        let set = [(self.nodiratime, "nodiratime"), (self.sync, "sync"), (self.dirsync, "dirsync")];
        let set = set.into_iter().filter_map(|(on, word)| on.then_some(word));
        words.into_iter().chain(set).map(str::to_owned).collect()
    }
}
