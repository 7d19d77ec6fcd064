//! The program: parses what was typed and runs the command it names.

mod commands;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Mounts an Alibaba Cloud OSS bucket as a local directory, and serves one for tests.
#[derive(Debug, Parser)]
#[command(name = "ossfs", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Sandbox(commands::sandbox::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log_to_stderr();
    let outcome = match arguments.command {
        Command::Sandbox(arguments) => commands::sandbox::run(arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ossfs: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `RUST_LOG` says what is logged; without it warnings are.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
