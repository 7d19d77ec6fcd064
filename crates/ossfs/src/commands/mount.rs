//! `ossfs BUCKET MOUNTPOINT`, which is `ossfs mount`: from the command line to a mount that is sure to work.

use crate::config::{self, Machine, MountConfig, Named, StateConfig};
use crate::mounting::{Mounting, Opened, run_mount};
use crate::{log, options};
use clap::Args;
use ossfs_ledger::{AttributeCache, FileCache, Ledger, LmdbLedger, StateDirectory};
use ossfs_types::{Crc64, SystemClock};
use ossfs_volume::{Volume, VolumeOptions};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// Where bytes are staged, in the state directory.
const STAGING_DIRECTORY: &str = "staging";

/// Where objects that were replaced go on costing money, files that stay open are settled so often, unless somebody says
/// how often.
const COSTLY_SETTLE_INTERVAL: Duration = Duration::from_secs(60);

/// The command's arguments. Values of `-o` are for the table of options.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The bucket, and the directory of it to show if not all of it
    #[arg(value_name = "BUCKET[:/PREFIX]")]
    pub bucket: Option<OsString>,

    /// The directory to mount it on
    #[arg(value_name = "MOUNTPOINT")]
    pub mountpoint: Option<OsString>,

    /// Options, separated by commas; may be repeated. -ourl=ENDPOINT must be there
    #[arg(short = 'o', value_name = "OPTION[=VALUE],…", allow_hyphen_values = true)]
    pub options: Vec<String>,

    /// Stay in the foreground
    #[arg(short, long)]
    pub foreground: bool,

    /// Log everything, and stay in the foreground
    #[arg(short, long)]
    pub debug: bool,

    /// Accepted for ossfs 1.x: the number of threads follows from the machine
    #[arg(short, hide_short_help = true)]
    pub single_threaded: bool,
}

/// Mounts, and serves the mount until it is unmounted and settled. In the background it returns when the mount answers.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = configuration(arguments)?;
    start_log(&config)?;
    let label = match config.prefix.as_str().trim_end_matches('/') {
        "" => config.bucket.to_string(),
        prefix => format!("{}:/{prefix}", config.bucket),
    };
    let mounting = Mounting {
        mountpoint: config.mountpoint.clone(),
        bucket_label: label,
        allow_other: config.allow_other,
        nonempty: config.nonempty,
        read_only: config.read_only,
        flags: config.mount_flags.words(),
        foreground: config.foreground,
        deadline: config.volume.deadline,
    };
    run_mount(&mounting, |name| open(config, name))
}

/// Checks that the bucket answers, and opens it as a volume, with what an earlier mount has left to do.
async fn open(config: MountConfig, name: String) -> anyhow::Result<Opened> {
    let connected = config::connect(&config).await?;
    let state = match &config.state {
        StateConfig::Named(directory) => directory.clone(),
        StateConfig::Below(directory) => directory.join(name),
    };
    let identity = format!("{}/{}", config.bucket, config.prefix);
    let directory = StateDirectory::lock(&state)?;
    let ledger = open_ledger(&config, &directory, &identity)?;
    let cache = FileCache::new(&directory);
    for note in &config.notes {
        eprintln!("ossfs: note: {note}");
    }
    let mut options = VolumeOptions { versioned: connected.versioned, ..config.volume };
    if let (Some(why), false) = (connected.costly, config.settle_interval_typed) {
        options.settle_interval = COSTLY_SETTLE_INTERVAL;
        let seconds = COSTLY_SETTLE_INTERVAL.as_secs();
        eprintln!(
            "ossfs: note: {why}: files that stay open are uploaded every {seconds} s only; -osettle_interval=5 changes that"
        );
    }
    let shown_as = attributes_identity(&identity, &options);
    let volume = Volume::open(Arc::new(connected.store), Arc::new(ledger), Arc::new(SystemClock), options)?;
    volume.recall(cache.take(&shown_as));
    let known = volume.clone();
    let at_end = move || cache.keep(&shown_as, &mut known.known_attributes().into_iter());
    Ok(Opened { volume, at_end: Box::new(at_end) })
}

/// All that shows in the attributes of an object, besides the object itself.
fn attributes_identity(identity: &str, options: &VolumeOptions) -> String {
    let VolumeOptions { uid, gid, file_mode, trust_listing, .. } = options;
    let version = env!("CARGO_PKG_VERSION");
    format!("{identity} {version} {uid} {gid} {file_mode:o} {trust_listing}")
}

/// Opens the record of what is not in the bucket yet, and the place for its bytes.
fn open_ledger(config: &MountConfig, state: &StateDirectory, identity: &str) -> anyhow::Result<LmdbLedger> {
    let staging = match &config.staging {
        None => state.path().join(STAGING_DIRECTORY),
        // Others may stage there too. The state directory is this mount's alone, wherever that is.
        Some(below) => below.join(Crc64::of(state.path().as_os_str().as_bytes()).to_string()),
    };
    let ledger = LmdbLedger::open_staging(state, identity, &staging, config.staging_keeps_free)?;
    if !ledger.staging().has_room() {
        let lacking = format!(
            "the disk of {} has less than {} MB free, so nothing can be staged there: make room, give another staging_dir, \
             or lower ensure_diskfree",
            staging.display(),
            config.staging_keeps_free >> 20
        );
        anyhow::ensure!(!config.volume.writeback, lacking);
        tracing::warn!("{lacking}");
    }
    Ok(ledger)
}

/// `RUST_LOG` goes before the options, for whoever looks for an error in the program itself.
fn start_log(config: &MountConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(config.log.level.to_string().to_lowercase()));
    log::start(filter, config.log.file.as_deref())
}

/// What was typed, as a configuration.
fn configuration(arguments: Arguments) -> anyhow::Result<MountConfig> {
    let Arguments { bucket, mountpoint, options, foreground, debug, single_threaded } = arguments;
    let typed = options::parse(options.iter().map(String::as_str))?;
    let words = [bucket, mountpoint].into_iter().flatten().collect();
    let mut config = config::resolve(&Named { words, foreground, debug }, &typed, &Machine::this())?;
    if single_threaded {
        config.notes.push("-s is not needed: the number of threads follows from the machine".to_owned());
    }
    Ok(config)
}
