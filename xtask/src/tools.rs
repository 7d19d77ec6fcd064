//! What the tests need of the machine, how to see whether it is there, and how to get it.
//!
//! System packages come through the system's own package manager, only as root and only if allowed; everything else
//! goes below the target directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::run::Task;
use crate::workspace::{Workspace, cargo};

/// Pinned, so that a fresh machine runs what every other machine runs.
const NEXTEST_VERSION: &str = "0.9.143";
/// Programs of others that judge a mount: of what POSIX says, and of bytes.
const JUDGES: [(&str, &str); 2] = [("pjdfstest", "0.2.2"), ("fsx", "0.3.2")];
const PROBE_DEADLINE: Duration = Duration::from_secs(60);
const INSTALL_DEADLINE: Duration = Duration::from_secs(15 * 60);
/// Interpreters that the SDK suites run on, preferred first.
const PYTHONS: [&str; 5] = ["python3", "python3.14", "python3.13", "python3.12", "python3.11"];

const COMPILER: &str = "cc";
const FUSERMOUNT: &str = "fusermount3";

struct Need {
    name: &'static str,
    why: &'static str,
    found: fn() -> bool,
    apt: &'static [&'static str],
    dnf: &'static [&'static str],
}

/// A program that some tests run on a mount: without it they are skipped.
const fn optional(name: &'static str, found: fn() -> bool, packages: &'static [&'static str]) -> Need {
    Need { name, why: "runs on a mount in the tests (optional)", found, apt: packages, dnf: packages }
}

const OPTIONAL: [Need; 4] = [
    optional("git", || probe("git", &["--version"]), &["git"]),
    optional("rsync", || probe("rsync", &["--version"]), &["rsync"]),
    optional("logrotate", || probe("logrotate", &["--version"]), &["logrotate"]),
    Need { dnf: &["vim-enhanced"], ..optional("vim", || probe("vim", &["--version"]), &["vim"]) },
];

const NEEDS: [Need; 3] = [
    Need {
        name: COMPILER,
        why: "links Rust programs and builds the C of cryptography crates",
        found: || probe("cc", &["--version"]),
        apt: &["gcc", "libc6-dev"],
        dnf: &["gcc"],
    },
    Need {
        name: FUSERMOUNT,
        why: "mounts in the tests",
        // Who has only that of FUSE 2 can mount too.
        found: || probe("fusermount3", &["-V"]) || probe("fusermount", &["-V"]),
        apt: &["fuse3"],
        dnf: &["fuse3"],
    },
    Need {
        name: "python3 (3.11 or later, with venv)",
        why: "runs Alibaba's Python SDKs against the sandbox",
        found: || python().is_some(),
        apt: &["python3", "python3-venv", "python3-pip"],
        // RHEL's own python3 is older than the SDK suites' syntax.
        dnf: &["python3.11", "python3.11-pip"],
    },
];

/// Says what is needed; installs what is missing, or says how.
pub(crate) fn ensure_prerequisites(may_install: bool) -> Result<()> {
    let missing = absent(&NEEDS, "MISSING");
    let wished = absent(&OPTIONAL, "absent");
    let node = if node_present() { "present" } else { "absent" };
    println!("  {node:<10}node and npm (optional): run ali-oss against the sandbox");
    if !missing.is_empty() {
        install(&missing, may_install)?;
    }
    if !wished.is_empty()
        && let Err(error) = install(&wished, may_install)
    {
        println!("  some tests will be skipped: {error:#}");
    }
    components(may_install)
}

/// Says of each whether it is there; returns those that are not.
fn absent<'a>(needs: &'a [Need], word: &str) -> Vec<&'a Need> {
    let is_missing = |need: &&Need| {
        let found = (need.found)();
        println!("  {:<10}{}: {}", if found { "present" } else { word }, need.name, need.why);
        !found
    };
    needs.iter().filter(is_missing).collect()
}

/// What a build and a mount need; the rest is for tests.
pub(crate) fn ensure_for_demo(may_install: bool) -> Result<()> {
    let needed = NEEDS.iter().filter(|need| [COMPILER, FUSERMOUNT].contains(&need.name));
    let missing: Vec<&Need> = needed.filter(|need| !(need.found)()).collect();
    if missing.is_empty() { Ok(()) } else { install(&missing, may_install) }
}

fn install(missing: &[&Need], may_install: bool) -> Result<()> {
    let Some((manager, packages)) = package_manager(missing) else {
        bail!("install these with your system's package manager: {}", names(missing));
    };
    let command = format!("{manager} install -y {}", packages.join(" "));
    let root = rustix::process::geteuid().is_root();
    if !root || !may_install {
        let sudo = if root { "" } else { "sudo " };
        bail!("missing: {}. Install with:\n\n    {sudo}{command}\n", names(missing));
    }
    if manager == "apt-get" {
        Task::new("apt-get", INSTALL_DEADLINE).arg("update").run()?;
    }
    let ended = Task::new(manager, INSTALL_DEADLINE)
        .args(["install", "-y"])
        .args(&packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run()?;
    if !ended.status.success() || missing.iter().any(|need| !(need.found)()) {
        bail!("`{command}` did not bring {}", names(missing));
    }
    Ok(())
}

fn names(needs: &[&Need]) -> String {
    needs.iter().map(|need| need.name).collect::<Vec<_>>().join(", ")
}

fn package_manager(missing: &[&Need]) -> Option<(&'static str, Vec<&'static str>)> {
    let manager = ["apt-get", "dnf", "yum"].into_iter().find(|manager| probe(manager, &["--version"]))?;
    let packages = missing.iter().flat_map(|need| if manager == "apt-get" { need.apt } else { need.dnf });
    Some((manager, packages.copied().collect()))
}

/// rustfmt and clippy, which minimal toolchains lack.
fn components(may_install: bool) -> Result<()> {
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        let cargo = cargo();
        if probe(&cargo.to_string_lossy(), &[subcommand, "--version"]) {
            continue;
        }
        let added = may_install
            && Task::new("rustup", INSTALL_DEADLINE)
                .args(["component", "add", component])
                .run()
                .is_ok_and(|ended| ended.status.success());
        if !added {
            bail!("missing: cargo {subcommand}. Install with:\n\n    rustup component add {component}\n");
        }
    }
    Ok(())
}

/// A Python that can run the SDK suites.
pub(crate) fn python() -> Option<&'static str> {
    let check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
    PYTHONS.into_iter().find(|python| probe(python, &["-c", check]))
}

pub(crate) fn node_present() -> bool {
    // `--test-reporter` came with node 18.15.
    probe("node", &["-e", "process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)"])
        && probe("npm", &["--version"])
}

/// The folder of cargo-nextest if it is ours, nothing if it is on PATH already.
pub(crate) fn ensure_nextest(workspace: &Workspace) -> Result<Option<PathBuf>> {
    if probe("cargo-nextest", &["nextest", "--version"]) {
        return Ok(None);
    }
    let bin = workspace.tools().join("bin");
    if !is_nextest(&bin) {
        cargo_install(workspace, "cargo-nextest", NEXTEST_VERSION)?;
        if !is_nextest(&bin) {
            bail!("cargo-nextest {NEXTEST_VERSION} was installed and does not run");
        }
    }
    Ok(Some(bin))
}

/// The folder of the judges. One that can't be had is told; the tests that need it then say that they are skipped.
pub(crate) fn ensure_judges(workspace: &Workspace) -> PathBuf {
    let bin = workspace.tools().join("bin");
    for (name, version) in JUDGES {
        if probe(&bin.join(name).to_string_lossy(), &["--version"]) {
            continue;
        }
        if let Err(error) = cargo_install(workspace, name, version) {
            println!("  {error:#}");
        }
    }
    bin
}

/// Builds a program that crates.io has, below the target directory.
fn cargo_install(workspace: &Workspace, name: &str, version: &str) -> Result<()> {
    let ended = Task::new(cargo(), INSTALL_DEADLINE)
        .args(["install", name, "--locked", "--version", version, "--root"])
        .arg(workspace.tools())
        .run()?;
    if !ended.status.success() {
        bail!("cannot install {name} {version}");
    }
    Ok(())
}

fn is_nextest(bin: &Path) -> bool {
    probe(&bin.join("cargo-nextest").to_string_lossy(), &["nextest", "--version"])
}

fn probe(program: &str, arguments: &[&str]) -> bool {
    Task::new(program, PROBE_DEADLINE).args(arguments).succeeds_quietly()
}
