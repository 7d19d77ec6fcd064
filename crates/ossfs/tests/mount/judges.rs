//! Judges by other hands: pjdfstest for what POSIX says of files, fsx for their bytes.
//!
//! `cargo xtask test` installs both and says where they are in `OSSFS_JUDGES`.

use crate::bucket::{Bucket, directory};
use crate::shell::{output_of, plain_or_long, run, skip};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// All of pjdfstest, or one run of fsx.
const LIMIT: Duration = Duration::from_secs(100);

/// Users of every Linux, for pjdfstest to be somebody else.
const USERS: [&str; 2] = ["nobody", "daemon"];

/// A program of those that judge; `None` where it is not there, which it says.
fn judge(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("OSSFS_JUDGES").map(PathBuf::from);
    let program = folder.map(|folder| folder.join(name)).filter(|program| program.is_file());
    if program.is_none() {
        skip(&format!("OSSFS_JUDGES names no folder with {name}; `cargo xtask test` does"));
    }
    program
}

/// `[user, group]` of a user, as pjdfstest wants it.
fn with_group(user: &str) -> Option<String> {
    let field = |path: &str, wanted: &dyn Fn(&[&str]) -> bool, at: usize| {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| wanted(fields))?;
        line.get(at).map(|field| (*field).to_owned())
    };
    let group = field("/etc/passwd", &|fields| fields.first() == Some(&user), 3)?;
    let group = field("/etc/group", &|fields| fields.get(2) == Some(&&*group), 0)?;
    Some(format!("[\"{user}\", \"{group}\"]"))
}

/// The names of the tests that did not pass, with why.
fn judged(output: &str, word: &str) -> BTreeSet<String> {
    let lines = output.lines().filter_map(|line| line.trim_end().strip_suffix(word));
    lines.map(|line| line.trim_end().to_owned()).collect()
}

/// The tests that first make a path of 4,095 bytes: no key of OSS has more than 1,023. `docs/semantics.md` lists them.
fn too_long_for_a_key() -> BTreeSet<String> {
    let calls = [
        "chmod",
        "chown",
        "chown::lchown",
        "link",
        "mkdir",
        "mkfifo",
        "mknod",
        "mknod::privileged",
        "open",
        "rename",
        "rmdir",
        "symlink",
        "truncate",
        "unlink",
    ];
    calls.map(|call| format!("{call}::enametoolong_path")).into_iter().collect()
}

#[test]
fn pjdfstest_passes_but_for_paths_that_are_too_long_for_a_key() {
    let Some(pjdfstest) = judge("pjdfstest") else { return };
    let Some(bucket) = Bucket::start() else { return };
    let users: Vec<String> = USERS.iter().filter_map(|user| with_group(user)).collect();
    let [one, other] = &users[..] else { return skip("the users nobody and daemon are not on this machine") };
    let config = bucket.path("pjdfstest.toml");
    let features = "[features]\nposix_fallocate = {}\nrename_ctime = {}\nutime_now = {}\nutimensat = {}\n";
    let rest = format!("[settings]\nnaptime = 0.01\n[dummy_auth]\nentries = [{one}, {other}]\n");
    fs::write(&config, format!("{features}{rest}")).unwrap();
    let mount = bucket.mount_with(&["-oallow_other,suid,dev"]);
    // Whoever a test becomes must get as far as the mount.
    open_to_all(&bucket);
    let mut command = Command::new(pjdfstest);
    command.env("NO_COLOR", "1").env("RUST_BACKTRACE", "0").arg("-c").arg(&config).arg("-p").arg(mount.root());
    command.arg("-s").arg(directory(&bucket.path("elsewhere")));
    let output = output_of(&mut command, LIMIT);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed = judged(&said, "FAILED");
    assert!(said.contains("Summary"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(failed, too_long_for_a_key(), "{said}");
    assert!(judged(&said, "ok").len() > 300, "{said}");
    // They would mount it anew as read-only, by a program of the system that knows no ossfs.
    let mut skipped = judged(&said, "skipped");
    skipped.retain(|name| !name.contains("erofs"));
    assert_eq!(skipped, BTreeSet::from(["link::link_count_max".to_owned()]), "{said}");
    mount.umount();
}

fn open_to_all(bucket: &Bucket) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(bucket.path("."), mode).unwrap();
}

/// Runs fsx on a file of a mount; then the file is the same after a remount, and as an object.
fn exercise(fsx: &Path, seed: u32) {
    let Some(bucket) = Bucket::start() else { return };
    let config = bucket.path("fsx.toml");
    let operations = "[weights]\nclose_open = 0.5\ninvalidate = 1\nmapread = 10\nmapwrite = 10\nread = 10\nwrite = 10\n\
                      truncate = 10\nfsync = 0.2\nfdatasync = 0.2\nsendfile = 5\nposix_fadvise = 1\n\
                      posix_fallocate = 5\npunch_hole = 5\ncopy_file_range = 5\n";
    // After each write through a map the file would be in the bucket: thousands of uploads a run.
    fs::write(&config, format!("nomsyncafterwrite = true\n{operations}")).unwrap();
    let mount = bucket.mount();
    let artifacts = bucket.path("artifacts");
    let mut command = Command::new(fsx);
    command.arg("-f").arg(&config).arg("-P").arg(directory(&artifacts)).args(["-N", "20000"]);
    run(command.args(["-S", &seed.to_string()]).arg(mount.path("file")), LIMIT);
    let before = fs::read(mount.path("file")).unwrap();
    mount.umount();
    assert!(bucket.get("file") == before, "seed {seed}: the object is another file");
    let mount = bucket.mount_elsewhere("fresh");
    assert!(fs::read(mount.path("file")).unwrap() == before, "seed {seed}: another file after a remount");
    mount.umount();
}

/// Every second run.
fn exercise_from(first: u32) {
    let Some(fsx) = judge("fsx") else { return };
    for seed in (first..plain_or_long(2, 20)).step_by(2) {
        exercise(&fsx, seed);
    }
}

#[test]
fn fsx_finds_the_bytes_that_it_wrote() {
    exercise_from(0);
}

#[test]
fn fsx_finds_the_bytes_that_it_wrote_with_another_seed() {
    exercise_from(1);
}
