//! The program: parses what was typed and runs the command it names.

mod commands;
mod config;
mod control;
mod daemon;
mod fuse;
mod lock;
mod log;
mod mount;
mod mounting;
mod options;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

const USAGE: &str = "\
ossfs [mount] BUCKET[:/PREFIX] MOUNTPOINT -ourl=ENDPOINT [-o OPTION[=VALUE],…] [-f] [-d]
       ossfs umount MOUNTPOINT
       ossfs sync MOUNTPOINT [PATH]
       ossfs sandbox [OPTIONS]";

/// Mounts an Alibaba Cloud OSS bucket as a local directory, and serves one for tests.
#[derive(Debug, Parser)]
#[command(
    name = "ossfs",
    version,
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true,
    override_usage = USAGE,
    after_help = options::short_help(),
    after_long_help = options::long_help(),
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    mount: commands::mount::Arguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Mount a bucket; the same without the word `mount`
    #[command(after_help = options::short_help(), after_long_help = options::long_help())]
    Mount(commands::mount::Arguments),
    Umount(commands::umount::Arguments),
    Sync(commands::sync::Arguments),
    Sandbox(commands::sandbox::Arguments),
}

fn main() -> ExitCode {
    let arguments = CommandLine::parse();
    let outcome = match arguments.command.unwrap_or(Command::Mount(arguments.mount)) {
        Command::Mount(arguments) => commands::mount::run(arguments),
        Command::Umount(arguments) => {
            log_to_stderr().and_then(|()| commands::umount::run(&arguments)).map(|()| ExitCode::SUCCESS)
        }
        Command::Sync(arguments) => {
            log_to_stderr().and_then(|()| commands::sync::run(&arguments)).map(|()| ExitCode::SUCCESS)
        }
        Command::Sandbox(arguments) => {
            log_to_stderr().and_then(|()| commands::sandbox::run(arguments)).map(|()| ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("ossfs: {error:#}");
        ExitCode::FAILURE
    })
}

/// `RUST_LOG` says what is logged; without it warnings are.
fn log_to_stderr() -> anyhow::Result<()> {
    log::start(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")), None)
}
