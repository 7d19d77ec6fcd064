//! `cargo xtask`: everything that is done with this repository besides `cargo build`.
//!
//! Each command is a module. None of them knows a fixed target directory or a network address: tools are found on PATH or
//! installed below the target directory that cargo names. None uses a shell but the demo, which shows what is typed there.

mod bench;
mod demo;
mod report;
mod run;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Build, test and measure ossfs.", version = None)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check format, architecture, lints and docs, and run every test
    ///
    /// Ends with the line `N passed, N failed, N skipped`; a step that is not a test (format, lints, docs, a build)
    /// counts as one failure when it fails. Missing system packages are installed when run as root.
    Test(test::Arguments),
    /// Build, start an OSS server on this machine, mount a bucket of it and show what that is like
    Demo(demo::Arguments),
    /// Measure ossfs against the raw client, the local disk and every peer that is installed
    ///
    /// `cargo xtask bench --list` names the rows, `cargo xtask bench --help` everything else.
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Test(arguments) => test::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
