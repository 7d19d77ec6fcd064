//! Other programs that mount buckets: how they are found, and their command lines, all in the foreground.
//!
//! Each has the defaults that its makers gave it. s3fs, rclone and JuiceFS are known to work so with the sandbox; the
//! others' command lines are those of their documentation.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use super::Ask;
use crate::sandbox::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, BUCKET, REGION};

/// A program that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    /// What it says of its version.
    pub(crate) version: String,
    /// `close` may answer before the bytes are in the bucket.
    pub(crate) uploads_later: bool,
    /// Its files are not objects, so it finds nothing that others put.
    pub(crate) own_layout: bool,
}

struct Known {
    name: &'static str,
    variable: &'static str,
    version: &'static str,
    uploads_later: bool,
    own_layout: bool,
    command: fn(&Ask<'_>) -> Result<Command>,
}

const fn plain(name: &'static str, variable: &'static str, command: fn(&Ask<'_>) -> Result<Command>) -> Known {
    Known { name, variable, version: "--version", uploads_later: false, own_layout: false, command }
}

const KNOWN: &[Known] = &[
    plain("s3fs", "OSSFS_BENCH_S3FS", s3fs),
    Known { name: "ossfs 1.x", ..plain("ossfs", "OSSFS_BENCH_OSSFS", ossfs1) },
    plain("ossfs2", "OSSFS_BENCH_OSSFS2", ossfs2),
    Known { uploads_later: true, ..plain("rclone", "OSSFS_BENCH_RCLONE", rclone) },
    plain("goofys", "OSSFS_BENCH_GOOFYS", goofys),
    plain("geesefs", "OSSFS_BENCH_GEESEFS", geesefs),
    plain("mount-s3", "OSSFS_BENCH_MOUNT_S3", mount_s3),
    Known { own_layout: true, ..plain("juicefs", "OSSFS_BENCH_JUICEFS", juicefs) },
];

/// Those that are installed, and the names of the others. `only`: those of these names alone, or `none`.
pub(crate) fn find(only: Option<&[String]>) -> (Vec<Peer>, Vec<&'static str>) {
    let mut absent = Vec::new();
    let mut found = Vec::new();
    for known in KNOWN {
        if only.is_some_and(|only| !only.iter().any(|name| name == known.name)) {
            continue;
        }
        match known.find() {
            Some(peer) => found.push(peer),
            None => absent.push(known.name),
        }
    }
    (found, absent)
}

impl Known {
    fn find(&self) -> Option<Peer> {
        // The C++ ossfs has the name of the product.
        let file = self.name.split(' ').next().unwrap_or(self.name);
        let program = std::env::var_os(self.variable).map(PathBuf::from).or_else(|| on_path(file))?;
        let said = Command::new(&program).arg(self.version).stdin(Stdio::null()).output().ok()?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        let version = said.lines().next().unwrap_or_default().trim().to_owned();
        if file == "ossfs" && !version.contains("Storage Service File System") {
            return None;
        }
        let Known { name, uploads_later, own_layout, .. } = *self;
        Some(Peer { name, program, version, uploads_later, own_layout })
    }
}

impl Peer {
    /// How it is mounted.
    pub(crate) fn command(&self, ask: &Ask<'_>) -> Result<Command> {
        let known = KNOWN.iter().find(|known| known.name == self.name);
        let mut command = (known.expect("peers are made from this table").command)(ask)?;
        command.env_remove("AWS_CA_BUNDLE");
        Ok(command)
    }
}

fn on_path(file: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(file)).find(|program| program.is_file())
}

fn s3fs(ask: &Ask<'_>) -> Result<Command> {
    let keys = ask.secret("keys", &format!("{ACCESS_KEY_ID}:{ACCESS_KEY_SECRET}\n"))?;
    let mut command = Command::new(ask.program);
    let options = format!("url={},use_path_request_style,passwd_file={}", ask.endpoint, keys.display());
    command.arg(BUCKET).arg(ask.mountpoint).args(["-f", "-o", &options]);
    Ok(command)
}

fn ossfs1(ask: &Ask<'_>) -> Result<Command> {
    let keys = ask.secret("keys", &format!("{BUCKET}:{ACCESS_KEY_ID}:{ACCESS_KEY_SECRET}\n"))?;
    let mut command = Command::new(ask.program);
    command.arg(BUCKET).arg(ask.mountpoint).arg(format!("-ourl={}", ask.endpoint)).arg("-ouse_path_request_style");
    command.arg(format!("-opasswd_file={}", keys.display())).arg("-f");
    Ok(command)
}

fn ossfs2(ask: &Ask<'_>) -> Result<Command> {
    let text = format!(
        "--oss_endpoint={}\n--oss_region={REGION}\n--oss_bucket={BUCKET}\n--oss_access_key_id={ACCESS_KEY_ID}\n\
         --oss_access_key_secret={ACCESS_KEY_SECRET}\n",
        ask.endpoint
    );
    let config = ask.secret("ossfs2.conf", &text)?;
    let mut command = Command::new(ask.program);
    command.arg("mount").arg(ask.mountpoint).arg("-c").arg(config).arg("-f");
    Ok(command)
}

fn rclone(ask: &Ask<'_>) -> Result<Command> {
    let mut command = Command::new(ask.program);
    command.arg("mount").arg(format!(":s3:{BUCKET}")).arg(ask.mountpoint);
    command.args(["--s3-provider", "Other", "--s3-endpoint", ask.endpoint, "--s3-force-path-style"]);
    command.args(["--s3-access-key-id", ACCESS_KEY_ID, "--s3-secret-access-key", ACCESS_KEY_SECRET]);
    // Its default, no cache, refuses much of what files are used for. It would wait 5 s before it uploads.
    command.args(["--vfs-cache-mode", "writes", "--vfs-write-back", "0s", "--config", "/dev/null"]);
    command.arg("--cache-dir").arg(ask.folder.join("cache"));
    Ok(command)
}

fn with_keys(command: &mut Command) {
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID).env("AWS_SECRET_ACCESS_KEY", ACCESS_KEY_SECRET);
}

fn goofys(ask: &Ask<'_>) -> Result<Command> {
    let mut command = Command::new(ask.program);
    command.args(["-f", "--endpoint", ask.endpoint, "--region", REGION, BUCKET]).arg(ask.mountpoint);
    with_keys(&mut command);
    Ok(command)
}

fn geesefs(ask: &Ask<'_>) -> Result<Command> {
    let mut command = Command::new(ask.program);
    command.args(["-f", "--endpoint", ask.endpoint, BUCKET]).arg(ask.mountpoint);
    with_keys(&mut command);
    Ok(command)
}

fn mount_s3(ask: &Ask<'_>) -> Result<Command> {
    let mut command = Command::new(ask.program);
    command.args(["--foreground", "--endpoint-url", ask.endpoint, "--force-path-style", "--region", REGION]);
    command.args(["--allow-delete", "--allow-overwrite", BUCKET]).arg(ask.mountpoint);
    with_keys(&mut command);
    Ok(command)
}

fn juicefs(ask: &Ask<'_>) -> Result<Command> {
    let meta = format!("sqlite3://{}", ask.folder.join("meta.db").display());
    let mut format = Command::new(ask.program);
    format.args(["format", &meta, "bench", "--storage", "s3", "--bucket"]).arg(bucket_url(ask.endpoint));
    format.args(["--access-key", ACCESS_KEY_ID, "--secret-key", ACCESS_KEY_SECRET]);
    format.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    ensure!(format.status()?.success(), "juicefs format failed");
    let mut command = Command::new(ask.program);
    command.args(["mount", &meta]).arg(ask.mountpoint).arg("--no-usage-report");
    command.arg("--cache-dir").arg(ask.folder.join("cache"));
    Ok(command)
}

fn bucket_url(endpoint: &str) -> PathBuf {
    Path::new(endpoint).join(BUCKET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_found_by_name_or_are_absent() {
        let (found, absent) = find(Some(&[]));
        assert!(found.is_empty() && absent.is_empty());
        let (found, absent) = find(Some(&["mount-s3".to_owned()]));
        assert_eq!(found.len() + absent.len(), 1);
        assert!(on_path("sh").is_some());
        assert!(on_path("no-such-program").is_none());
    }

    #[test]
    fn a_command_line_names_bucket_mountpoint_and_endpoint() {
        let folder = tempfile::tempdir().unwrap();
        let (program, mountpoint) = (Path::new("/bin/x"), Path::new("/m"));
        let ask = Ask { program, endpoint: "http://127.0.0.1:1", mountpoint, folder: folder.path() };
        for known in KNOWN.iter().filter(|known| !known.own_layout && known.name != "ossfs2") {
            let command = (known.command)(&ask).unwrap();
            let line: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
            let line = line.join(" ");
            assert!(line.contains(BUCKET) && line.contains("/m") && line.contains("127.0.0.1:1"), "{line}");
        }
    }
}
