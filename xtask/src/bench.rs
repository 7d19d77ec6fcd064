//! `cargo xtask bench`: builds for release, and runs what measures.
//!
//! Where we are root it gets a mount namespace of its own, so that the kernel takes its mounts away with it, however it
//! ends.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::run::Task;
use crate::workspace::{Workspace, cargo};

const BUILD_DEADLINE: Duration = Duration::from_secs(25 * 60);
/// Everything is to be measured within 40 minutes.
const BENCH_DEADLINE: Duration = Duration::from_secs(60 * 60);

/// Arguments of `cargo xtask bench`: they are for `ossfs-bench`, which knows what can be measured.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// What to measure, and how: see --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let workspace = Workspace::find()?;
    let build = Task::new(cargo(), BUILD_DEADLINE).args(["build", "--release", "--locked"]);
    let build = build.args(["--package", "ossfs", "--package", "ossfs-bench"]).dir(&workspace.root);
    ensure!(build.run()?.status.success(), "the build failed");
    let release = workspace.target.join("release");
    let program = release.join("ossfs-bench");
    let namespaced = rustix::process::geteuid().is_root()
        && Task::new("unshare", BENCH_DEADLINE).args(["--mount", "true"]).succeeds_quietly();
    let bench = if namespaced {
        Task::new("unshare", BENCH_DEADLINE).arg("--mount").arg(program)
    } else {
        Task::new(program, BENCH_DEADLINE)
    };
    let bench =
        bench.arg("--scratch").arg(workspace.target.join("bench")).arg("--docs").arg(workspace.root.join("docs"));
    let bench = bench.args(&arguments.arguments).env("OSSFS_BIN", release.join("ossfs"));
    Ok(bench.without_other_accounts().dir(&workspace.root).run()?.status.success())
}
