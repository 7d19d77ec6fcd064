//! The walk: commands as one would type them, and what they print.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::place::{Place, quoted};
use super::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, BUCKET, REGION};
use crate::run::Task;

/// Longer than every call into the file system, which ends within 30 s.
const COMMAND_DEADLINE: Duration = Duration::from_secs(90);
/// For a rename to be carried to the bucket.
const SETTLE_DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// From a mount to a look around.
pub(super) fn walk(place: &Place, endpoint: &str) -> Result<()> {
    let typed =
        |line: &str| shell(place, endpoint, line).run().and_then(|ended| must_succeed(line, ended.status.success()));
    println!("\n== The bucket, mounted");
    mount(place, endpoint)?;
    println!("\n== A file is an object (`bucket` is an example of ossfs-store: it knows the API of OSS, and no files)");
    typed("echo 'Hello from the mount.' > hello.txt")?;
    typed("bucket list")?;
    typed("bucket get hello.txt")?;
    typed("echo 'And one more line.' >> hello.txt")?;
    typed("bucket get hello.txt")?;
    println!("\n== An object is a file");
    typed("bucket put reports/2026/六月.txt 'Hello from the API.'")?;
    typed("ls -l reports/2026")?;
    typed("cat reports/2026/六月.txt")?;
    println!("\n== A directory gets another name at once; the bucket follows");
    typed("mv reports archive")?;
    typed("cat archive/2026/六月.txt")?;
    wait_for_bucket(place, endpoint)?;
    typed("bucket list")
}

/// The end of a walk that leaves nothing.
pub(super) fn umount(place: &Place, endpoint: &str) -> Result<()> {
    println!("\n== Unmounted: this returns when everything is in the bucket\n  $ cd -");
    let umount = super::ossfs_umount(place).run()?;
    ensure!(umount.status.success(), "the bucket was not unmounted");
    let line = "bucket list";
    let ended = shell(place, endpoint, line).dir(place.root()).run()?;
    must_succeed(line, ended.status.success())
}

/// What `bucket` and the SDKs of OSS find in their environment.
pub(super) fn variables(endpoint: &str) -> [(&'static str, &str); 5] {
    [
        ("OSS_ENDPOINT", endpoint),
        ("OSS_REGION", REGION),
        ("OSS_BUCKET", BUCKET),
        ("OSS_ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("OSS_ACCESS_KEY_SECRET", ACCESS_KEY_SECRET),
    ]
}

fn mount(place: &Place, endpoint: &str) -> Result<()> {
    let (mountpoint, passwd) = (place.mountpoint(), place.file("passwd"));
    fs::create_dir_all(&mountpoint).with_context(|| format!("cannot make {}", mountpoint.display()))?;
    let line = format!("{BUCKET}:{ACCESS_KEY_ID}:{ACCESS_KEY_SECRET}");
    let shown = place.shown(&passwd);
    println!("  $ echo {line} > {shown}; chmod 600 {shown}");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&passwd)?;
    // Whatever the umask says.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    writeln!(file, "{line}")?;
    let passwd = place.below_root(&passwd).to_string_lossy().replace('\\', r"\\").replace(',', r"\,");
    let options = [format!("-ourl={endpoint}"), format!("-oregion={REGION}"), format!("-opasswd_file={passwd}")];
    let shown = options.each_ref().map(|option| quoted(option)).join(" ");
    let task =
        Task::new(place.program(), COMMAND_DEADLINE).arg(BUCKET).arg(place.below_root(&mountpoint)).args(&options);
    let line = format!("ossfs {BUCKET} {} {shown}", place.shown(&mountpoint));
    // What is not in the bucket yet is remembered with the demo, not with the system.
    let task = task.without_other_accounts().env("STATE_DIRECTORY", place.state());
    let ended = task.dir(place.root()).shown_as(line).run()?;
    ensure!(ended.status.success(), "the bucket was not mounted");
    let line = format!("df -h {}", place.shown(&mountpoint));
    let ended = shell(place, endpoint, &line).dir(place.root()).run()?;
    must_succeed(&line, ended.status.success())?;
    println!("  $ cd {}", place.shown(&mountpoint));
    Ok(())
}

/// A command line, run by a shell in the mount.
fn shell(place: &Place, endpoint: &str, line: &str) -> Task {
    let task = Task::new("sh", COMMAND_DEADLINE).args(["-c", line]).dir(place.mountpoint());
    let task = task.without_other_accounts().shown_as(line.to_owned());
    let task = variables(endpoint).into_iter().fold(task, |task, (name, value)| task.env(name, value));
    task.path_first([place.release().to_owned(), place.release().join("examples")])
}

fn must_succeed(line: &str, success: bool) -> Result<()> {
    ensure!(success, "`{line}` failed");
    Ok(())
}

/// Until the bucket shows nothing under the directory's old name any more.
fn wait_for_bucket(place: &Place, endpoint: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let listed = shell(place, endpoint, "bucket list reports/").output_quietly()?;
        if listed.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > SETTLE_DEADLINE {
            bail!("the bucket did not follow the rename within {} s: {listed}", SETTLE_DEADLINE.as_secs());
        }
        thread::sleep(POLL);
    }
}
