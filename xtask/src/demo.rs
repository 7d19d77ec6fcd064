//! `cargo xtask demo`: shows what works, on this machine alone, and leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::run::Task;
use crate::tools;
use crate::workspace::{Workspace, cargo};

const BUILD_DEADLINE: Duration = Duration::from_secs(20 * 60);
const WALK_DEADLINE: Duration = Duration::from_secs(60);
const BUCKET: &str = "my-bucket";

/// Arguments of `cargo xtask demo`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Never install system packages; say what is missing instead
    #[arg(long)]
    no_install: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let workspace = Workspace::find()?;
    tools::ensure_compiler(!arguments.no_install)?;
    println!("\n== Build");
    let build = Task::new(cargo(), BUILD_DEADLINE).args([
        "build",
        "--release",
        "--package",
        "ossfs",
        "--package",
        "ossfs-store",
        "--bins",
        "--examples",
    ]);
    ensure!(build.dir(&workspace.root).run()?.status.success(), "the build failed");
    let release = workspace.target.join("release");

    println!("\n== An OSS server of your own, on a free port, with the bucket {BUCKET}");
    let (_sandbox, endpoint) = Sandbox::start(&release.join("ossfs"))?;

    println!("\n== An object put, listed and read through the OSS API");
    let walk = Task::new(release.join("examples/quickstart"), WALK_DEADLINE)
        .args([&endpoint, BUCKET, "cn-hangzhou"])
        .env("OSS_ACCESS_KEY_ID", "sandbox")
        .env("OSS_ACCESS_KEY_SECRET", "sandbox-secret");
    ensure!(walk.run()?.status.success(), "the walk failed");
    println!("\nRun it yourself: {} sandbox --help", release.join("ossfs").display());
    Ok(true)
}

/// The server; ends with this value.
struct Sandbox(Child);

impl Sandbox {
    fn start(program: &Path) -> Result<(Self, String)> {
        let arguments = ["sandbox", "--listen", "127.0.0.1:0", "--bucket", BUCKET];
        println!("  $ ossfs {}", arguments.join(" "));
        let child = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn();
        let mut sandbox = Self(child.context("can't start the sandbox")?);
        let mut line = String::new();
        let stdout = sandbox.0.stdout.take().context("the sandbox has no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        print!("{line}");
        let endpoint = line.trim().strip_prefix("listening on ").context("the sandbox doesn't say where it listens")?;
        Ok((sandbox, endpoint.to_owned()))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
