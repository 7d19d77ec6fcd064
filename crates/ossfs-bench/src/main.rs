//! Measures ossfs against the store's client without a file system, the local disk, and every peer that is installed.
//!
//! Run by `cargo xtask bench`, which builds it and the program for release, and takes care that nothing outlives it.

mod client;
mod contestants;
mod leftovers;
mod measure;
mod processes;
mod raw;
mod report;
mod rows;
mod sandbox;
mod statistics;
mod work;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use measure::{Measured, Plan};
use report::Preface;
use rows::Scale;
use sandbox::Setting;

/// The row that is the client alone, in detail.
const CLIENT: &str = "store";
const ROUNDS: usize = 3;
/// `--small` divides by this.
const SMALL: u64 = 64;
/// Ended by a signal.
const INTERRUPTED: i32 = 130;

/// Measure ossfs against the raw client, the local disk and its peers
///
/// Without rows all are measured, in under 40 minutes, and the result is written to docs/benchmarks.md; otherwise it is
/// printed. Peers are found by name on PATH, or by OSSFS_BENCH_S3FS=/path and the like (OSSFS, OSSFS2, RCLONE, GOOFYS,
/// GEESEFS, MOUNT_S3, JUICEFS). The machine should be idle.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench", version = None)]
struct Arguments {
    /// Only the rows whose names begin so, or of these families; `store` is the client alone
    #[arg(value_name = "ROW")]
    rows: Vec<String>,

    /// Only the rows of one setting
    #[arg(long)]
    setting: Option<Setting>,

    /// How often each contestant's turn comes
    #[arg(long, value_name = "N", default_value_t = ROUNDS)]
    rounds: usize,

    /// Only these peers, or none of them: names with commas between, or `none` [default: all that are installed]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    peers: Option<Vec<String>>,

    /// Another option of ossfs for every row, such as -omemory_limit=128M (may be repeated)
    #[arg(long = "mount-option", value_name = "-oOPTION", allow_hyphen_values = true)]
    mount_options: Vec<String>,

    /// Write the result to docs/benchmarks.md although not everything is measured
    #[arg(long)]
    publish: bool,

    /// Name the rows
    #[arg(long)]
    list: bool,

    /// Small sizes, to see whether rows work
    #[arg(long, hide = true)]
    small: bool,

    /// The program
    #[arg(long, hide = true, env = "OSSFS_BIN", value_name = "PATH")]
    program: Option<PathBuf>,

    /// Where to work
    #[arg(long, hide = true, value_name = "DIR")]
    scratch: Option<PathBuf>,

    /// Where results are written
    #[arg(long, hide = true, value_name = "DIR")]
    docs: Option<PathBuf>,
}

impl Arguments {
    /// Everything, as it is to be published.
    fn is_whole(&self) -> bool {
        let narrowed = !self.rows.is_empty() || self.setting.is_some() || self.peers.is_some();
        !narrowed && !self.small && self.rounds >= ROUNDS && self.mount_options.is_empty()
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        list();
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    for row in rows::ROWS {
        println!("{:<18} {:<5} {:<11} {}", row.name, row.setting.name(), row.family, row.title);
    }
    println!(
        "{CLIENT:<18} {:<5} {CLIENT:<11} The client alone: requests of each kind over 1, 4 and 16 connections",
        "near"
    );
}

fn run(arguments: &Arguments) -> Result<()> {
    let begun = Instant::now();
    let client_wanted =
        (arguments.rows.is_empty() && arguments.setting.is_none()) || arguments.rows.iter().any(|word| word == CLIENT);
    let chosen = rows::chosen(&arguments.rows, arguments.setting);
    ensure!(client_wanted || !chosen.is_empty(), "there is no such row: --list names them");
    let runtime = Arc::new(runtime()?);
    runtime.spawn(end_when_told());
    let (peers, absent) = contestants::find(arguments.peers.as_deref());
    let plan = plan(arguments, runtime, peers)?;
    let _scratch = leftovers::Folder::make(plan.scratch.clone())?;
    let preface = preface(&plan, absent);
    println!("Peers: {}. Absent: {}.", preface.peers.join("; "), preface.absent.join(", "));
    if !arguments.small {
        processes::touch_memory();
    }
    let mut measured: Vec<Measured> = Vec::new();
    for row in chosen {
        let begun = Instant::now();
        println!("\n{} ({}): {}", row.name, row.setting.name(), row.title);
        measured.push(measure::measure(&plan, row).with_context(|| row.name)?);
        println!("  {:.0} s", begun.elapsed().as_secs_f64());
    }
    let client = client_wanted.then(|| {
        println!("\n{CLIENT}");
        let log = plan.scratch.join("sandbox.log");
        client::table(&plan.runtime, &plan.program, &log, plan.rounds, arguments.small)
    });
    let client = client.transpose()?;
    println!("\n{}", report::markdown(&preface, &measured, client.as_deref(), None));
    if let Some(docs) = arguments.docs.as_ref().filter(|_| arguments.publish || arguments.is_whole()) {
        report::publish(docs, &preface, &measured, client.as_deref())?;
        println!("Written to {}.", docs.join("benchmarks.md").display());
    }
    println!("{:.0} s in all.", begun.elapsed().as_secs_f64());
    Ok(())
}

fn plan(arguments: &Arguments, runtime: Arc<Runtime>, peers: Vec<contestants::Peer>) -> Result<Plan> {
    let program = arguments.program.clone().context("which ossfs? Run `cargo xtask bench`, or set OSSFS_BIN")?;
    // As the kernel tells it, for mountpoints; and of our own, so that two runs don't meet.
    let scratch = arguments.scratch.clone().unwrap_or_else(std::env::temp_dir);
    fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    let scratch = fs::canonicalize(scratch)?.join(format!("ossfs-bench-{}", processes::own()));
    Ok(Plan {
        program: fs::canonicalize(&program).with_context(|| format!("there is no {}", program.display()))?,
        scratch,
        runtime,
        scale: Scale(if arguments.small { SMALL } else { 1 }),
        rounds: arguments.rounds.max(1),
        peers,
        options: arguments.mount_options.clone(),
    })
}

fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(2).enable_all().build()?)
}

/// Ctrl-C and SIGTERM end everything that was begun, whatever hangs.
async fn end_when_told() {
    let (Ok(mut interrupted), Ok(mut terminated)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    eprintln!("interrupted");
    leftovers::end_all();
    std::process::exit(INTERRUPTED);
}

fn preface(plan: &Plan, absent: Vec<&'static str>) -> Preface {
    let named = |peer: &contestants::Peer| format!("{} ({})", peer.name, peer.version);
    Preface {
        command: "cargo xtask bench".to_owned(),
        machine: machine(),
        rounds: plan.rounds,
        peers: plan.peers.iter().map(named).collect(),
        absent,
    }
}

/// Cores, processor and kernel.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel: Vec<&str> = kernel.trim().split(['.', '-']).take(2).collect();
    let model = model.map_or("unknown processor", |(_, model)| model);
    format!("{cores} cores ({model}), Linux {}", kernel.join("."))
}
