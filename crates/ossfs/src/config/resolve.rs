//! From what was typed to what it means.

use super::identity;
use super::{LogConfig, MountConfig, StateConfig};
use crate::options::{Encryption, RamRole, Typed, parse_region};
use anyhow::{Context, bail};
use http::HeaderValue;
use ossfs_store::{
    Addressing, CredentialOptions, Endpoint, HttpOptions, Proxy, RetryOptions, SignatureVersion, Timeouts, WriteHeaders,
};
use ossfs_types::{BucketName, Prefix};
use ossfs_volume::{MimeTypes, VolumeOptions};
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// Where the region may stand in the environment, in the order in which they are asked.
const REGION_VARIABLES: [&str; 3] = ["OSS_REGION", "ALIBABA_CLOUD_REGION", "ALIBABA_CLOUD_REGION_ID"];
/// Where the system keeps what programs must remember over a reboot.
const SYSTEM_STATE_PATH: &str = "/var/lib/ossfs";
/// Most systems have it.
const MIME_TYPES_PATH: &str = "/etc/mime.types";
/// An upload has parts in memory while others are filled: fewer than this many would stand still in turn.
const PARTS_IN_MEMORY_MIN: u64 = 4;
/// Of the memory that the process may use, content takes one part in so many by default: the rest is for attributes,
/// connections and the kernel's cache.
const MEMORY_SHARE: u64 = 4;
const MEMORY_DEFAULT_MIN: u64 = 32 << 20;
/// Room on the disk for the record itself, and for others.
const ENSURE_DISKFREE_BYTES: u64 = 256 << 20;
/// With attempts that fail at once, the waits between six of them add up to less than the deadline of a call (6 s, when
/// throttled 16 s); a server that is silent uses it up by its second attempt.
const RETRIES: u32 = 5;
const DELAY_FIRST: Duration = Duration::from_millis(200);
const DELAY_MAX: Duration = Duration::from_secs(5);

/// What was typed besides the options.
#[derive(Debug, Clone, Default)]
pub(crate) struct Named {
    /// `BUCKET[:/PREFIX]` and the mountpoint, or the mountpoint alone.
    pub words: Vec<OsString>,
    /// `-f`
    pub foreground: bool,
    /// `-d`
    pub debug: bool,
}

/// What the machine and the environment say.
pub(crate) struct Machine<'a> {
    /// The environment.
    pub variable: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// The mounting user.
    pub uid: u32,
    /// The mounting user's group.
    pub gid: u32,
    /// `/etc/passwd`
    pub users: String,
    /// `/etc/group`
    pub groups: String,
    /// Bytes of memory that the process may use.
    pub memory_bytes: u64,
}

impl Machine<'static> {
    /// This machine, this process.
    pub(crate) fn this() -> Self {
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            variable: &|name| std::env::var(name).ok(),
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            users: text("/etc/passwd"),
            groups: text("/etc/group"),
            memory_bytes: super::memory::allowed_bytes(),
        }
    }
}

/// What it all means; an error is one line.
pub(crate) fn resolve(named: &Named, typed: &Typed, machine: &Machine<'_>) -> anyhow::Result<MountConfig> {
    let mut notes: Vec<String> =
        typed.not_needed.iter().map(|(name, reason)| format!("-o{name} is not needed: {reason}")).collect();
    let (bucket, prefix, mountpoint) = place(named, typed)?;
    let Some(endpoint) = typed.endpoint.clone() else {
        bail!(
            "-ourl= is missing, the address of OSS: add for example -ourl=http://oss-cn-hangzhou.aliyuncs.com, for the \
             region that the bucket is in"
        );
    };
    let credentials = credentials(typed, &mut notes)?;
    let region = region(typed, &endpoint, machine)?;
    let signature = signature(typed, &endpoint, region.as_deref(), credentials.is_some(), &mut notes)?;
    let volume = volume(typed, prefix.clone(), machine, &mut notes)?;
    let debug = named.debug || typed.debug.unwrap_or(false);
    Ok(MountConfig {
        bucket,
        prefix,
        mountpoint,
        foreground: named.foreground || debug || typed.foreground.unwrap_or(false),
        endpoint,
        addressing: typed.path_style.unwrap_or(false).then_some(Addressing::PathStyle),
        region,
        signature,
        credentials,
        http: http_options(typed, &volume),
        retry: RetryOptions {
            attempts_max: typed.retries.unwrap_or(RETRIES) + 1,
            delay_first: DELAY_FIRST,
            delay_max: DELAY_MAX,
            // A bucket that throttles everything for a while is waited for, most of the time that a call may take.
            patience: if typed.retries.is_some() { Duration::ZERO } else { volume.deadline * 4 / 5 },
        },
        allow_other: typed.allow_other.unwrap_or(false),
        nonempty: typed.nonempty.unwrap_or(false),
        read_only: volume.read_only,
        mount_flags: typed.kernel.clone(),
        log: log(typed, debug)?,
        state: state(typed, machine)?,
        staging: absolute_of(typed.staging_dir.as_deref())?,
        staging_keeps_free: typed.ensure_diskfree.unwrap_or(ENSURE_DISKFREE_BYTES),
        volume: VolumeOptions { mime: mime_types(typed.mime.as_deref())?, ..volume },
        settle_interval_typed: typed.settle_interval.is_some(),
        notes,
    })
}

/// The bucket, the prefix and the mountpoint.
fn place(named: &Named, typed: &Typed) -> anyhow::Result<(BucketName, Prefix, PathBuf)> {
    const USAGE: &str = "ossfs BUCKET[:/PREFIX] MOUNTPOINT -ourl=ENDPOINT";
    let (bucket, mountpoint) = match (&named.words[..], &typed.bucket) {
        ([bucket, mountpoint], _) => (bucket.as_os_str(), mountpoint),
        ([mountpoint], Some(bucket)) => (OsStr::new(bucket), mountpoint),
        ([bucket], None) => {
            bail!("there is no mountpoint for the bucket {}; the command is {USAGE}", bucket.display())
        }
        _ => bail!("there is no bucket and no mountpoint; the command is {USAGE}"),
    };
    let bucket = bucket.to_str().context("the bucket's name, or the directory of it, is not UTF-8")?;
    let (bucket, path) = bucket.split_once(':').unwrap_or((bucket, "/"));
    let bucket = BucketName::parse(bucket)?;
    Ok((bucket, prefix(path)?, absolute(mountpoint).context("the mountpoint has no name")?))
}

/// `/a/b` and `/a/b/` are the prefix `a/b/`, `/` is the whole bucket.
fn prefix(path: &str) -> anyhow::Result<Prefix> {
    let Some(relative) = path.strip_prefix('/') else {
        bail!("the directory of the bucket must begin with /: BUCKET:/{path}, not BUCKET:{path}");
    };
    let relative = relative.strip_suffix('/').unwrap_or(relative);
    if relative.is_empty() {
        return Ok(Prefix::all());
    }
    if relative.split('/').any(|name| matches!(name, "" | "." | "..")) {
        bail!("{path} can't be mounted: the names in it must not be empty, . or ..");
    }
    Prefix::parse(&format!("{relative}/")).with_context(|| format!("{path} can't be mounted"))
}

/// Where to look for credentials: `None` for nowhere.
fn credentials(typed: &Typed, notes: &mut Vec<String>) -> anyhow::Result<Option<CredentialOptions>> {
    let mut options = CredentialOptions::default();
    let chosen = if typed.public_bucket.unwrap_or(false) {
        "-opublic_bucket"
    } else if let Some(role) = &typed.ram_role {
        match role.clone() {
            RamRole::Auto => options.ram_role = Some(None),
            RamRole::Named(role) => options.ram_role = Some(Some(role)),
            RamRole::At { service, role } => {
                options.ram_role = Some(Some(role));
                options.metadata_endpoint = Some(service);
            }
            RamRole::Url(url) => options.credentials_uri = Some(url),
        }
        "-oram_role"
    } else if let Some(command) = &typed.credential_process {
        options.credential_process = Some(command.clone());
        "-ocredential_process"
    } else {
        options.passwd_file = absolute_of(typed.passwd_file.as_deref())?;
        return Ok(Some(options));
    };
    if typed.passwd_file.is_some() {
        notes.push(format!("-opasswd_file is not used, because {chosen} goes before it"));
    }
    Ok((chosen != "-opublic_bucket").then_some(options))
}

/// As typed, else as the endpoint's name tells, else as the environment does.
fn region(typed: &Typed, endpoint: &Endpoint, machine: &Machine<'_>) -> anyhow::Result<Option<String>> {
    if let Some(region) = typed.region.as_deref().or_else(|| endpoint.region()) {
        return Ok(Some(region.to_owned()));
    }
    for name in REGION_VARIABLES {
        if let Some(value) = (machine.variable)(name).filter(|value| !value.is_empty()) {
            return match parse_region(&value) {
                Ok(region) => Ok(Some(region)),
                Err(wanted) => bail!("{name}={value} in the environment: must be {wanted}"),
            };
        }
    }
    Ok(None)
}

fn signature(
    typed: &Typed,
    endpoint: &Endpoint,
    region: Option<&str>,
    signed: bool,
    notes: &mut Vec<String>,
) -> anyhow::Result<SignatureVersion> {
    match (typed.signature, region) {
        (Some(SignatureVersion::V1), _) => Ok(SignatureVersion::V1),
        (_, Some(_)) => Ok(SignatureVersion::V4),
        (Some(SignatureVersion::V4), None) if signed => {
            bail!("-osigv4 needs the region of the bucket, which {endpoint} does not tell: add -oregion=REGION")
        }
        (_, None) => {
            if signed {
                notes.push(format!(
                    "requests are signed with version 1, because {endpoint} does not tell the region; OSS refuses it to \
                     new accounts and for new buckets: add -oregion=REGION"
                ));
            }
            Ok(SignatureVersion::V1)
        }
    }
}

fn http_options(typed: &Typed, volume: &VolumeOptions) -> HttpOptions {
    let defaults = HttpOptions::default();
    // A call that waits for a server longer than it may itself last learns nothing from its answer.
    let silence = typed.readwrite_timeout.unwrap_or_else(|| defaults.timeouts.silence.min(volume.deadline));
    HttpOptions {
        // Reads keep connections of their own beside those of metadata and uploads.
        connections_max: defaults.connections_max.max(volume.parallel * 2),
        timeouts: Timeouts {
            connect: typed.connect_timeout.unwrap_or(defaults.timeouts.connect),
            first_byte: silence,
            silence,
        },
        proxy: typed.proxy.clone().unwrap_or(Proxy::FromEnvironment),
        verify_certificates: !typed.no_check_certificate.unwrap_or(false),
    }
}

fn volume(
    typed: &Typed,
    prefix: Prefix,
    machine: &Machine<'_>,
    notes: &mut Vec<String>,
) -> anyhow::Result<VolumeOptions> {
    let defaults = VolumeOptions::default();
    let of = |option: &str, text: Option<&str>, own: u32, database: &str| match text {
        None => Ok(own),
        Some(text) => identity::number(text, database)
            .with_context(|| format!("-o{option}={text}: must be a number, or a name that this machine knows")),
    };
    let metadata_ttl = typed.stat_cache_expire.unwrap_or(defaults.metadata_ttl);
    let no_negatives = typed.disable_noobj_cache.unwrap_or(false);
    let memory_limit = typed
        .memory_limit
        .unwrap_or_else(|| (machine.memory_bytes / MEMORY_SHARE).clamp(MEMORY_DEFAULT_MIN, defaults.memory_limit));
    let lacking = |mask: u32| 0o777 & !mask;
    let root_default = if typed.allow_other.unwrap_or(false) { 0o777 } else { 0o700 };
    Ok(VolumeOptions {
        prefix,
        uid: of("uid", typed.uid.as_deref(), machine.uid, &machine.users)?,
        gid: of("gid", typed.gid.as_deref(), machine.gid, &machine.groups)?,
        file_mode: typed.umask.map_or(defaults.file_mode, lacking),
        directory_mode: typed.umask.map_or(defaults.directory_mode, lacking),
        root_mode: typed.mp_umask.map_or(root_default, lacking),
        read_only: typed.read_only.unwrap_or(false),
        metadata_ttl,
        negative_ttl: if no_negatives { Duration::ZERO } else { defaults.negative_ttl.min(metadata_ttl) },
        trust_listing: typed.readdir_optimize.unwrap_or(false),
        parallel: typed.parallel_count.unwrap_or(defaults.parallel),
        part_bytes: part_bytes(typed.part_bytes, defaults.part_bytes, memory_limit, notes),
        memory_limit,
        deadline: typed.deadline.unwrap_or(defaults.deadline),
        settle_interval: typed.settle_interval.unwrap_or(defaults.settle_interval),
        writeback: typed.writeback.unwrap_or(defaults.writeback),
        append: typed.append.unwrap_or(defaults.append),
        headers: write_headers(typed),
        ..defaults
    })
}

/// Parts of which the memory holds a few.
fn part_bytes(typed: Option<u64>, default: u64, memory_limit: u64, notes: &mut Vec<String>) -> u64 {
    let most = memory_limit / PARTS_IN_MEMORY_MIN;
    if let Some(typed) = typed.filter(|typed| *typed > most) {
        notes.push(format!(
            "-omultipart_size={} is too much for a memory limit of {} MB: parts begin with {} MB; raise -omemory_limit for more",
            typed >> 20,
            memory_limit >> 20,
            most >> 20
        ));
    }
    typed.unwrap_or(default).min(most)
}

fn write_headers(typed: &Typed) -> WriteHeaders {
    let (encryption, key) = match &typed.encryption {
        None => (None, None),
        Some(Encryption::Oss) => (Some("AES256"), None),
        Some(Encryption::Kms(id)) => (Some("KMS"), id.as_deref()),
    };
    WriteHeaders {
        forbid_overwrite: false,
        storage_class: typed.storage_class.map(HeaderValue::from_static),
        acl: typed.default_acl.map(|acl| HeaderValue::from_static(acl.0)),
        encryption: encryption.map(HeaderValue::from_static),
        encryption_key: key.map(|id| HeaderValue::from_str(id).expect("only printable ids are parsed")),
    }
}

fn log(typed: &Typed, debug: bool) -> anyhow::Result<LogConfig> {
    let level = typed.log_level.unwrap_or(if debug { LevelFilter::DEBUG } else { LevelFilter::WARN });
    Ok(LogConfig { level, file: absolute_of(typed.logfile.as_deref())? })
}

/// The file that was named must be there; the system's need not.
fn mime_types(named: Option<&Path>) -> anyhow::Result<MimeTypes> {
    let path = named.unwrap_or(Path::new(MIME_TYPES_PATH));
    match std::fs::read(path) {
        Ok(bytes) => Ok(MimeTypes::parse(&String::from_utf8_lossy(&bytes))),
        Err(error) if named.is_none() => {
            if error.kind() != ErrorKind::NotFound {
                tracing::warn!("{MIME_TYPES_PATH} can't be read: {error}");
            }
            Ok(MimeTypes::default())
        }
        Err(error) => bail!("-omime={}: can't be read: {error}", path.display()),
    }
}

/// Root's state belongs to the system, a user's to the user.
fn state(typed: &Typed, machine: &Machine<'_>) -> anyhow::Result<StateConfig> {
    if let Some(named) = absolute_of(typed.state_dir.as_deref())? {
        return Ok(StateConfig::Named(named));
    }
    let set = |name| (machine.variable)(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // How systemd tells a service where its state is to be.
    if let Some(given) = set("STATE_DIRECTORY").filter(|path| path.is_absolute()) {
        return Ok(StateConfig::Below(given));
    }
    if machine.uid == 0 {
        return Ok(StateConfig::Below(PathBuf::from(SYSTEM_STATE_PATH)));
    }
    let own = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
    let own = own.context("there is no place for the state of the mount: set HOME, or add -ostate_dir=PATH")?;
    Ok(StateConfig::Below(own.join("ossfs")))
}

/// The daemon leaves the directory that it was started in.
fn absolute_of(path: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    path.map(|path| absolute(path).with_context(|| format!("{} is no path", path.display()))).transpose()
}

#[cfg(test)]
mod tests;
