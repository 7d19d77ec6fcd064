//! `cargo xtask bench`: builds for release, starts what is measured against, and prints tables.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::run::Task;
use crate::workspace::{Workspace, cargo};

const BUILD_DEADLINE: Duration = Duration::from_secs(20 * 60);
const BENCH_DEADLINE: Duration = Duration::from_secs(15 * 60);

/// What can be measured.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Subject {
    /// The OSS client against the sandbox: GB/s, requests a second, CPU time, over 1, 4 and 16 connections
    Store,
}

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to measure
    subject: Subject,
}

pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let workspace = Workspace::find()?;
    let build = Task::new(cargo(), BUILD_DEADLINE).args(["build", "--release", "--package", "ossfs"]);
    ensure!(build.dir(&workspace.root).run()?.status.success(), "the build failed");
    let bench = match arguments.subject {
        Subject::Store => {
            Task::new(cargo(), BENCH_DEADLINE).args(["bench", "--package", "ossfs-store", "--bench", "store"])
        }
    };
    let ended = bench.dir(&workspace.root).env("OSSFS_BIN", workspace.target.join("release/ossfs")).run()?;
    Ok(ended.status.success())
}
