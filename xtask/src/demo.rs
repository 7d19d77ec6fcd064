//! `cargo xtask demo`: a bucket of one's own, mounted, and what that is like.
//!
//! Invariants: what is started outlives this process only if the whole walk succeeded and nobody said `--once`; a step
//! that fails, and Ctrl-C, end all of it again. What is shown as typed is what is run. Every wait has a deadline.

mod place;
mod process;
mod sandbox;
mod walk;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::run::Task;
use crate::tools;
use crate::workspace::{Workspace, cargo};
use place::Place;
use process::Process;
use sandbox::Sandbox;

const BUILD_DEADLINE: Duration = Duration::from_secs(25 * 60);
/// `ossfs umount` gives up by itself when nothing gets on for 120 s; this is for the rest.
const UMOUNT_DEADLINE: Duration = Duration::from_secs(10 * 60);
/// `ossfs` gives up after its deadline of 30 s if the bucket does not answer any more.
const GIVE_UP_GRACE: Duration = Duration::from_secs(40);
/// For what is to end without uploading anything more.
const AT_ONCE_GRACE: Duration = Duration::from_secs(2);
const BUCKET: &str = "my-bucket";
const REGION: &str = "cn-hangzhou";
const ACCESS_KEY_ID: &str = "sandbox";
const ACCESS_KEY_SECRET: &str = "sandbox-secret";

/// Arguments of `cargo xtask demo`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// End everything again when the walk is done
    #[arg(long)]
    once: bool,
    /// Unmount what a demo left mounted, end its sandbox and remove its files
    #[arg(long, conflicts_with = "once")]
    stop: bool,
    /// Never install system packages; say what is missing instead
    #[arg(long)]
    no_install: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let workspace = Workspace::find()?;
    if arguments.stop { stop(&workspace) } else { start(&workspace, arguments) }
}

fn start(workspace: &Workspace, arguments: &Arguments) -> Result<bool> {
    let place = Place::make(workspace)?;
    refuse_second(&place)?;
    ensure!(
        Path::new("/dev/fuse").exists(),
        "there is no /dev/fuse, so nothing can be mounted: load the module (modprobe fuse); into a container it comes with \
         `docker run --device /dev/fuse --cap-add SYS_ADMIN`"
    );
    tools::ensure_for_demo(!arguments.no_install)?;
    build(workspace)?;
    let shown = show(&place, arguments.once);
    if shown.is_err() || arguments.once {
        let ended = end_all(&place);
        // The first failure tells more than what it led to.
        shown.and(ended)?;
        println!("\nThe sandbox is ended, and everything of the demo but what was built is removed.");
    }
    Ok(true)
}

fn build(workspace: &Workspace) -> Result<()> {
    println!("\n== Build");
    let packages = ["--package", "ossfs", "--package", "ossfs-store", "--bins", "--examples"];
    let build = Task::new(cargo(), BUILD_DEADLINE).args(["build", "--release", "--locked"]).args(packages);
    ensure!(build.dir(&workspace.root).run()?.status.success(), "the build failed");
    Ok(())
}

fn show(place: &Place, once: bool) -> Result<()> {
    println!("\n== An OSS server of your own, on a free port, with a new bucket");
    let sandbox = Sandbox::start(place)?;
    walk::walk(place, &sandbox.endpoint)?;
    if once {
        return walk::umount(place, &sandbox.endpoint);
    }
    println!("\n== Yours\nThe bucket stays mounted. Look around, from {}:\n", place.root().display());
    println!("{}", how_to_look(place, &sandbox));
    Ok(())
}

fn how_to_look(place: &Place, sandbox: &Sandbox) -> String {
    let (mountpoint, endpoint) = (place.shown(&place.mountpoint()), &sandbox.endpoint);
    let variables = walk::variables(endpoint).map(|(name, value)| format!("{name}={value}")).join(" ");
    let bucket = place.shown(&place.release().join("examples/bucket"));
    format!(
        "  ls -l {mountpoint}\n  export {variables}\n  {bucket} list\n  curl -s {endpoint}/-/stats\n\nand stop it with\n\n  \
         cargo xtask demo --stop"
    )
}

fn refuse_second(place: &Place) -> Result<()> {
    let sandbox = Sandbox::recorded(place).filter(Sandbox::is_alive);
    match (sandbox, place.is_mounted()?) {
        (Some(sandbox), true) => {
            bail!(
                "the demo is running already. Look around, from {}:\n\n{}",
                place.root().display(),
                how_to_look(place, &sandbox)
            )
        }
        (None, false) => place.clear(),
        _ => bail!("a demo was left behind half ended: `cargo xtask demo --stop` first"),
    }
}

fn stop(workspace: &Workspace) -> Result<bool> {
    let Some(place) = Place::find(workspace)? else {
        println!("No demo is running.");
        return Ok(true);
    };
    let sandbox = Sandbox::recorded(&place);
    if place.is_mounted()? {
        let umount = ossfs_umount(&place).run();
        ensure!(
            !place.is_mounted()?,
            "the demo goes on: nothing was ended. When the reason is gone, `cargo xtask demo --stop` again"
        );
        // A mount whose ossfs was killed is cleared away and is an error all the same; its reason was shown.
        umount?;
    } else if daemon(&place).is_some() {
        // Unmounted by hand, and still uploading.
        ossfs_umount(&place).run()?;
    }
    let was_alive = sandbox.as_ref().is_some_and(Sandbox::is_alive);
    end_all(&place)?;
    println!(
        "{}",
        if was_alive { "The demo is stopped." } else { "No demo was running; what one had left is removed." }
    );
    Ok(true)
}

/// The `ossfs` that serves the mount, or uploads what was written there.
fn daemon(place: &Place) -> Option<Process> {
    Process::with_argument(&place.program(), place.below_root(&place.mountpoint()))
}

/// Waits for everything to be in the bucket, but not for a bucket that is gone.
fn ossfs_umount(place: &Place) -> Task {
    let bucket_is_there = Sandbox::recorded(place).is_some_and(|sandbox| sandbox.is_alive());
    let impatience: &[&str] = if bucket_is_there { &[] } else { &["--timeout", "1"] };
    let task = Task::new(place.program(), UMOUNT_DEADLINE)
        .arg("umount")
        .args(impatience)
        .arg(place.mountpoint())
        .dir(place.root());
    task.shown_as(format!("ossfs umount {}", place.shown(&place.mountpoint()))).even_if_interrupted()
}

/// Ends whatever of the demo is there.
fn end_all(place: &Place) -> Result<()> {
    if place.is_mounted()? {
        // Whatever it says: what counts is what is left.
        let _ = ossfs_umount(place).run();
    }
    if let Some(daemon) = daemon(place) {
        let bucket_is_there = Sandbox::recorded(place).is_some_and(|sandbox| sandbox.is_alive());
        // Told once it gives up after a while, told twice at once.
        daemon.end(&[if bucket_is_there { GIVE_UP_GRACE } else { AT_ONCE_GRACE }, AT_ONCE_GRACE])?;
    }
    if place.is_mounted()? {
        place.unmount_by_force()?;
    }
    if let Some(sandbox) = Sandbox::recorded(place) {
        sandbox.end()?;
    }
    place.remove()
}
