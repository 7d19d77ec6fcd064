//! Bad input to the program: each ends in time with one line on stderr that says what to do, and a status that is not 0.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use ossfs_sandbox::{DEFAULT_ACCESS_KEY_ID, DEFAULT_ACCESS_KEY_SECRET, Running, SandboxConfig};
use ossfs_types::BucketName;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// For everything that does not wait for a server that is silent.
const SOON: Duration = Duration::from_secs(3);

/// A sandbox, a home and a mountpoint.
struct World {
    _runtime: tokio::runtime::Runtime,
    sandbox: Running,
    home: TempDir,
}

impl World {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let buckets = vec![BucketName::parse("my-bucket").unwrap()];
        let sandbox = runtime.block_on(SandboxConfig { buckets, ..SandboxConfig::default() }.start()).unwrap();
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("mnt")).unwrap();
        Self { _runtime: runtime, sandbox, home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn url(&self) -> String {
        format!("-ourl=http://{}", self.sandbox.addr())
    }

    /// A credential file, and the option that names it.
    fn keys(&self, text: &str, mode: u32) -> String {
        let path = self.path("keys");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        format!("-opasswd_file={}", path.display())
    }

    fn good_keys(&self) -> String {
        self.keys(&format!("{DEFAULT_ACCESS_KEY_ID}:{DEFAULT_ACCESS_KEY_SECRET}"), 0o600)
    }

    /// The one line that the program says.
    fn said(&self, arguments: &[&str], limit: Duration) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ossfs"));
        command.args(arguments).env_clear().env("HOME", self.home.path()).stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let begun = Instant::now();
        let output = command.output().unwrap();
        let took = begun.elapsed();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?} succeeded: {said}");
        assert!(took < limit, "{arguments:?} took {took:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert_eq!(said.lines().count(), 1, "{arguments:?} said:\n{said}");
        let line = said.trim_end().strip_prefix("ossfs: ").unwrap_or_else(|| panic!("{said}"));
        assert!(!line.contains(DEFAULT_ACCESS_KEY_SECRET) && !line.contains("s3cret"), "a secret: {line}");
        line.to_owned()
    }

    /// What it says to a mount of `my-bucket` with more options.
    fn refusal(&self, more: &[&str]) -> String {
        let (url, mountpoint) = (self.url(), self.path("mnt"));
        let base = ["my-bucket", mountpoint.to_str().unwrap(), url.as_str(), "-oregion=cn-hangzhou"];
        self.said(&[&base, more].concat(), SOON)
    }
}

/// A server that does the same with every connection.
fn server(serve: impl Fn(std::net::TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            serve(stream);
        }
    });
    format!("-ourl=http://{address}")
}

fn answering(answer: &'static str) -> String {
    server(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(answer.as_bytes());
    })
}

#[test]
fn credential_files() {
    let world = World::start();
    let path = world.path("keys");
    let path = path.to_str().unwrap();
    for (text, mode, said) in [
        ("I:s3cret", 0o644, format!("run `chmod 600 {path}`")),
        ("I:s3cret", 0o640, format!("run `chmod 600 {path}`")),
        ("I:s3cret\nonly-s3cret\n", 0o600, format!("{path}:2: is neither `id:secret` nor `bucket:id:secret`")),
        ("a:b:c:s3cret", 0o600, format!("{path}:1: is neither")),
        ("other-bucket:I:s3cret", 0o600, format!("{path} has no line `id:secret` and none for the bucket my-bucket")),
        (
            "my-bucket:I:s3cret\nmy-bucket:J:s3cret",
            0o600,
            format!("{path}:2: the bucket my-bucket is there a second time"),
        ),
        ("", 0o600, format!("{path} has no line")),
    ] {
        let keys = world.keys(text, mode);
        let line = world.refusal(&[&keys]);
        assert!(line.contains(&said), "{text:?} {mode:o}: {line}");
    }
    let line = world.refusal(&["-opasswd_file=/nonexistent"]);
    assert_eq!(line, "/nonexistent: there is no such file");
}

#[test]
fn no_credentials_anywhere() {
    if std::path::Path::new("/etc/passwd-ossfs").exists() {
        println!("SKIPPED: /etc/passwd-ossfs exists on this machine");
        return;
    }
    let world = World::start();
    let line = world.refusal(&[]);
    for place in ["OSS_ACCESS_KEY_ID", "/.passwd-ossfs", "/etc/passwd-ossfs", ".aliyun/config.json"] {
        assert!(line.contains(place), "{place}: {line}");
    }
}

#[test]
fn keys_that_oss_refuses() {
    let world = World::start();
    let keys = world.keys(&format!("{DEFAULT_ACCESS_KEY_ID}:wrong-s3cret"), 0o600);
    for signature in ["-osigv4", "-osigv1"] {
        let line = world.refusal(&[&keys, signature]);
        assert!(line.starts_with("OSS refused the signature of the access key sandbox of /"), "{line}");
        assert!(line.contains("its secret is wrong"), "{line}");
    }
    let keys = world.keys("stranger:s3cret", 0o600);
    for signature in ["-osigv4", "-osigv1"] {
        let line = world.refusal(&[&keys, signature]);
        assert!(line.starts_with("OSS does not know the access key stranger of /"), "{line}");
    }
    let line = world.refusal(&["-opublic_bucket"]);
    assert!(line.starts_with("no permission to list the bucket my-bucket with no key (public_bucket)"), "{line}");
}

#[test]
fn buckets_and_regions() {
    let world = World::start();
    let (url, keys, mountpoint) = (world.url(), world.good_keys(), world.path("mnt"));
    let mountpoint = mountpoint.to_str().unwrap();
    let said = |bucket: &str, region: &str| world.said(&[bucket, mountpoint, &url, &keys, region], SOON);
    let line = said("no-bucket", "-oregion=cn-hangzhou");
    assert!(line.starts_with("there is no bucket no-bucket at http://127.0.0.1:"), "{line}");
    let line = said("my-bucket", "-oregion=cn-beijing");
    assert!(line.starts_with("cn-beijing is not the region of the bucket my-bucket"), "{line}");
    assert!(line.contains("-oregion="), "{line}");
    let line = said("My_Bucket", "-oregion=cn-hangzhou");
    assert!(line.contains("is no bucket name"), "{line}");
}

#[test]
fn endpoints() {
    let world = World::start();
    let (keys, mountpoint) = (world.good_keys(), world.path("mnt"));
    let mountpoint = mountpoint.to_str().unwrap();
    let said = |url: &str, limit| {
        world.said(&["my-bucket", mountpoint, url, &keys, "-oregion=cn-hangzhou", "-oconnect_timeout=2"], limit)
    };
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let line = said(&format!("-ourl=http://{free}"), SOON);
    assert!(line.starts_with("nothing listens at http://127.0.0.1:"), "{line}");
    let line = said(&server(std::mem::forget), Duration::from_secs(4));
    assert!(line.contains("does not answer within 2 s"), "{line}");
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
    ] {
        let line = said(&answering(answer), SOON);
        assert!(line.contains("is no OSS") && line.contains("check -ourl"), "{answer:?}: {line}");
    }
    let line = said(&format!("-ourl=https://{}", world.sandbox.addr()), SOON);
    assert!(line.contains("use http:// in -ourl"), "{line}");
    let line = said("-ourl=http://oss.nonexistent.invalid", Duration::from_secs(5));
    assert!(line.contains("http://oss.nonexistent.invalid"), "{line}");
    if line.contains("does not answer") {
        println!("SKIPPED: this machine has no name server that answers");
    } else {
        assert!(line.contains("can't be resolved"), "{line}");
    }
}

#[test]
fn mountpoints() {
    let world = World::start();
    let (url, keys) = (world.url(), world.good_keys());
    std::fs::create_dir(world.path("full")).unwrap();
    std::fs::write(world.path("full/file"), "").unwrap();
    for (name, said) in [
        ("none", "there is no "),
        ("none", "mkdir -p "),
        ("full/file", "is no directory"),
        ("full/file/x", "is no directory"),
        ("full", "is not empty"),
    ] {
        let path = world.path(name);
        let line = world.said(&["my-bucket", path.to_str().unwrap(), &url, &keys, "-osigv1"], SOON);
        assert!(line.contains(said) && line.contains(name), "{line}");
    }
}

#[test]
fn options() {
    let world = World::start();
    for (option, said) in [
        ("-oumaks=022", "there is no option -oumaks: did you mean -oumask=MASK?"),
        ("-oretries=x", "-oretries=x: must be a number from 0 to 100"),
        ("-ouid=no-such-user", "-ouid=no-such-user: must be a number, or a name that this machine knows"),
        ("-omime=/nonexistent", "-omime=/nonexistent: can't be read: No such file or directory (os error 2)"),
        ("-oallow_root", "-oallow_root is not possible: use -oallow_other, with -omp_umask=077"),
    ] {
        let line = world.refusal(&[option]);
        assert!(line.starts_with(said), "{line}");
    }
    let line = world.said(&["my-bucket", "/mnt"], SOON);
    assert!(line.starts_with("-ourl= is missing"), "{line}");
    let line = world.said(&["my-bucket", "/mnt", "-ourl=127.0.0.1:1", "-osigv4"], SOON);
    assert!(line.starts_with("-osigv4 needs the region"), "{line}");
    let line = world.said(&["mount", "my-bucket"], SOON);
    assert!(line.starts_with("there is no mountpoint for the bucket my-bucket"), "{line}");
}

#[test]
fn help_and_version_succeed() {
    for (arguments, holds) in [
        (&["--help"][..], "-oparallel_count="),
        (&["-h"], "-ourl=ENDPOINT"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["help", "umount"], "MOUNTPOINT"),
        (&["mount", "--help"], "/etc/fstab"),
        (&["sandbox", "--help"], "--bucket"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_ossfs")).args(arguments).output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && shown.contains(holds), "{arguments:?}: {shown}");
    }
}
