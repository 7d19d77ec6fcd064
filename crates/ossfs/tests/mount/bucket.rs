//! A sandbox with a bucket, and the bucket as a program sees it that uses OSS's API.

use crate::mounted::{Guard, Mounted};
use crate::shell::{is_long, skip};
use http::HeaderValue;
use ossfs_sandbox::{DEFAULT_ACCESS_KEY_ID, DEFAULT_ACCESS_KEY_SECRET, DEFAULT_REGION, Running, SandboxConfig};
use ossfs_store::{
    BufferPool, CopySource, CredentialKeeper, Credentials, Endpoint, GetOptions, ListRequest, Metadata, ObjectMeta,
    ObjectStore, OssOptions, OssStore, PartNumber, PutOptions,
};
use ossfs_types::{BucketName, ByteRange, Key, Prefix, SystemClock};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Its name.
pub(crate) const BUCKET: &str = "my-bucket";
/// A plain test that takes longer hangs: its daemons are killed, so that it fails and cleans up before the test runner
/// kills it, which would leave the mount behind.
const TEST_LIMIT: Duration = Duration::from_secs(110);
const LONG_TEST_LIMIT: Duration = Duration::from_secs(40 * 60);
/// How long requests must have been silent to count as over. The settler's longest pause between two steps is shorter.
const SILENCE: Duration = Duration::from_millis(700);
/// Threads that put many objects.
const PUTTERS: usize = 4;

/// A sandbox, a directory, and the mounts in it.
pub(crate) struct Bucket {
    runtime: tokio::runtime::Runtime,
    sandbox: Option<Running>,
    address: SocketAddr,
    store: OssStore,
    pool: Arc<BufferPool>,
    directory: TempDir,
    guards: Arc<Mutex<Vec<Guard>>>,
}

impl Bucket {
    /// An empty bucket; `None` where nothing can be mounted, which it says.
    pub(crate) fn start() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip("only root can mount here");
            return None;
        }
        if let Err(error) = std::fs::File::options().read(true).write(true).open("/dev/fuse") {
            skip(&format!("/dev/fuse: {error}"));
            return None;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let buckets = vec![BucketName::parse(BUCKET).unwrap()];
        let config = SandboxConfig { buckets, ..SandboxConfig::default() };
        let sandbox = runtime.block_on(config.start()).unwrap();
        let address = sandbox.addr();
        let store = runtime.block_on(store(address));
        let directory = tempfile::tempdir().unwrap();
        let keys = directory.path().join("keys");
        std::fs::write(&keys, format!("{BUCKET}:{DEFAULT_ACCESS_KEY_ID}:{DEFAULT_ACCESS_KEY_SECRET}\n")).unwrap();
        std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).unwrap();
        let guards = Arc::new(Mutex::new(Vec::new()));
        watch(Arc::clone(&guards));
        let pool = BufferPool::new(64 << 20);
        Some(Self { runtime, sandbox: Some(sandbox), address, store, pool, directory, guards })
    }

    /// A path beside the mounts, on the machine's own disk.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Mounts the bucket at `mnt`.
    pub(crate) fn mount(&self) -> Mounted {
        self.mount_with(&[])
    }

    /// The same with more options.
    pub(crate) fn mount_with(&self, options: &[&str]) -> Mounted {
        Mounted::start(self, BUCKET, "mnt", options)
    }

    /// Mounts the bucket a second time, at another place.
    pub(crate) fn mount_elsewhere(&self, name: &str) -> Mounted {
        Mounted::start(self, BUCKET, name, &[])
    }

    /// Where mounts keep their state, whoever makes them.
    pub(crate) fn state(&self) -> PathBuf {
        let path = self.path("state");
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o1777)).unwrap();
        path
    }

    /// The options without which nothing can be mounted.
    pub(crate) fn options(&self) -> Vec<String> {
        vec![
            format!("-ourl=http://{}", self.address),
            format!("-opasswd_file={}", self.path("keys").display()),
            format!("-oregion={DEFAULT_REGION}"),
        ]
    }

    /// Where the sandbox listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn guard(&self, guard: Guard) {
        self.guards.lock().unwrap_or_else(PoisonError::into_inner).push(guard);
    }

    /// The endpoint dies: nothing listens any more, open connections are closed.
    pub(crate) fn kill_endpoint(&mut self) {
        if let Some(sandbox) = self.sandbox.take() {
            self.conditions(r#"{"faults": [{"operations": ["*"], "kind": "reset"}]}"#);
            self.runtime.block_on(sandbox.shutdown());
        }
    }

    /// Another endpoint, empty, answers at the same address from now on.
    pub(crate) fn replace_endpoint(&mut self, adjust: impl FnOnce(&mut SandboxConfig)) {
        if let Some(sandbox) = self.sandbox.take() {
            self.runtime.block_on(sandbox.shutdown());
        }
        let buckets = vec![BucketName::parse(BUCKET).unwrap()];
        let mut config = SandboxConfig { listen: self.address, buckets, ..SandboxConfig::default() };
        adjust(&mut config);
        self.sandbox = Some(self.runtime.block_on(config.start()).unwrap());
    }

    /// What a request to the sandbox itself answers.
    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: sandbox\r\nconnection: close\r\ncontent-length: ");
        stream.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Puts conditions in force.
    pub(crate) fn conditions(&self, json: &str) {
        self.ask("PUT", "/-/conditions", json);
    }

    /// Good weather again.
    pub(crate) fn calm(&self) {
        self.conditions("{}");
    }

    /// Counts of requests by operation.
    pub(crate) fn stats(&self) -> BTreeMap<String, u64> {
        let stats: Value = serde_json::from_str(&self.ask("GET", "/-/stats", "")).unwrap();
        let requests = stats["requests"].as_object().unwrap();
        requests.iter().map(|(name, count)| (name.clone(), count.as_u64().unwrap())).collect()
    }

    /// Bytes of objects that came in and went out, since the counts were reset.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        let stats: Value = serde_json::from_str(&self.ask("GET", "/-/stats", "")).unwrap();
        (stats["bytes_in"].as_u64().unwrap(), stats["bytes_out"].as_u64().unwrap())
    }

    /// The requests of what `act` does, and of what follows from it in the background.
    pub(crate) fn requests_of(&self, act: impl FnOnce()) -> BTreeMap<String, u64> {
        self.quiet_stats();
        self.ask("POST", "/-/stats/reset", "");
        act();
        self.quiet_stats()
    }

    /// The counts once they no longer change.
    fn quiet_stats(&self) -> BTreeMap<String, u64> {
        let begun = Instant::now();
        let (mut seen, mut since) = (self.stats(), Instant::now());
        while since.elapsed() < SILENCE {
            assert!(begun.elapsed() < Duration::from_secs(30), "requests without end: {seen:?}");
            std::thread::sleep(Duration::from_millis(50));
            let now = self.stats();
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
        }
        seen
    }

    /// Puts an object.
    pub(crate) fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        self.put_with(key, bytes, None, &[]);
    }

    /// Puts an object with a content type and entries of metadata, named without `x-oss-meta-`.
    pub(crate) fn put_with(
        &self,
        key: &str,
        bytes: impl Into<Vec<u8>>,
        content_type: Option<&'static str>,
        entries: &[(&str, &str)],
    ) {
        let metadata = metadata(content_type, entries);
        self.put_as(key, bytes, &PutOptions { metadata, ..PutOptions::default() });
    }

    /// Puts an object in every particular.
    pub(crate) fn put_as(&self, key: &str, bytes: impl Into<Vec<u8>>, options: &PutOptions) {
        self.runtime.block_on(self.store.put(&key_of(key), bytes.into().into(), options)).unwrap();
    }

    /// Puts an object that repeats some bytes, which are sent only once.
    pub(crate) fn put_repeated(&self, key: &str, bytes: impl Into<Vec<u8>>, times: u32) {
        let bytes = bytes.into();
        let whole = ByteRange::at(0, bytes.len() as u64).unwrap();
        self.put(key, bytes);
        let key = key_of(key);
        let source = CopySource { key: key.clone(), if_match: None };
        self.runtime.block_on(async {
            let upload = self.store.create_upload(&key, &PutOptions::default()).await.unwrap();
            let mut parts = Vec::new();
            for number in 1..=times {
                let number = PartNumber::new(number).unwrap();
                parts.push(self.store.upload_part_copy(&upload, number, &source, whole).await.unwrap());
            }
            self.store.complete_upload(&upload, &parts, false).await.unwrap();
        });
    }

    /// Puts many objects, as fast as it goes.
    pub(crate) fn put_many(&self, keys: impl Iterator<Item = String>, bytes: &'static str) {
        let keys: Vec<_> = keys.collect();
        self.put_each(&keys, |_| bytes.into());
    }

    /// The same with bytes for each.
    pub(crate) fn put_each(&self, keys: &[String], bytes: impl Fn(&str) -> Vec<u8> + Sync) {
        let put = |keys: &[String]| {
            self.runtime.block_on(async {
                for key in keys {
                    self.store.put(&key_of(key), bytes(key).into(), &PutOptions::default()).await.unwrap();
                }
            });
        };
        std::thread::scope(|scope| {
            for some in keys.chunks(keys.len().div_ceil(PUTTERS).max(1)) {
                scope.spawn(|| put(some));
            }
        });
    }

    /// Begins a multipart upload with one part, as another client, and returns its key and id.
    pub(crate) fn begin_upload(&self, key: &str) -> (String, String) {
        let number = PartNumber::new(1).unwrap();
        let upload = self.runtime.block_on(async {
            let upload = self.store.create_upload(&key_of(key), &PutOptions::default()).await.unwrap();
            self.store.upload_part(&upload, number, "theirs".into()).await.unwrap();
            upload
        });
        (key.to_owned(), upload.id.as_str().to_owned())
    }

    /// The multipart uploads that are open: keys and ids.
    pub(crate) fn uploads(&self) -> Vec<(String, String)> {
        let page = self.runtime.block_on(self.store.list_uploads(&Prefix::all(), None)).unwrap();
        assert!(page.next.is_none(), "more than a page of uploads");
        let named = page.uploads.iter().map(|open| &open.upload);
        named.map(|upload| (upload.key.as_str().to_owned(), upload.id.as_str().to_owned())).collect()
    }

    /// The bytes of an object.
    pub(crate) fn get(&self, key: &str) -> Vec<u8> {
        let (parsed, options) = (key_of(key), GetOptions::default());
        self.runtime
            .block_on(self.store.read(&parsed, &options, &self.pool))
            .unwrap_or_else(|error| panic!("{key}: {error}"))
            .bytes
            .to_vec()
    }

    /// All that is known of an object but its bytes.
    pub(crate) fn head(&self, key: &str) -> ObjectMeta {
        self.runtime.block_on(self.store.head(&key_of(key))).unwrap_or_else(|error| panic!("{key}: {error}"))
    }

    /// Deletes an object.
    pub(crate) fn delete(&self, key: &str) {
        self.runtime.block_on(self.store.delete(&key_of(key))).unwrap();
    }

    /// Puts a native symlink.
    pub(crate) fn put_symlink(&self, key: &str, target: &str) {
        let (key, target, options) = (key_of(key), key_of(target), PutOptions::default());
        self.runtime.block_on(self.store.put_symlink(&key, &target, &options)).unwrap();
    }

    /// Every key, in order.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        let mut request = ListRequest::all(Prefix::all());
        loop {
            let page = self.runtime.block_on(self.store.list(&request)).unwrap();
            keys.extend(page.objects.iter().map(|object| object.key.as_str().to_owned()));
            match page.next {
                Some(next) => request.continuation = Some(next),
                None => return keys,
            }
        }
    }
}

/// One entry of an object's metadata, as text.
pub(crate) fn entry<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    meta.metadata.user.get(name)?.to_str().ok()
}

/// Metadata of a content type and entries.
pub(crate) fn metadata(content_type: Option<&'static str>, entries: &[(&str, &str)]) -> Metadata {
    let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
    Metadata {
        content_type: content_type.map(HeaderValue::from_static),
        user: entries.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect(),
        ..Metadata::default()
    }
}

fn key_of(text: &str) -> Key {
    Key::parse(text).unwrap()
}

async fn store(address: SocketAddr) -> OssStore {
    let endpoint = Endpoint::parse(&format!("http://{address}")).unwrap();
    let options = OssOptions::new(endpoint, BucketName::parse(BUCKET).unwrap()).in_region(DEFAULT_REGION);
    let credentials = Credentials::new(DEFAULT_ACCESS_KEY_ID, DEFAULT_ACCESS_KEY_SECRET, None).unwrap();
    let keeper = CredentialKeeper::start(Box::new(credentials), Arc::new(SystemClock)).await.unwrap();
    OssStore::new(options, Some(keeper), Arc::new(SystemClock)).unwrap()
}

/// Kills all daemons of a test that hangs.
fn watch(guards: Arc<Mutex<Vec<Guard>>>) {
    std::thread::spawn(move || {
        std::thread::sleep(if is_long() { LONG_TEST_LIMIT } else { TEST_LIMIT });
        println!("the test hangs: its daemons are killed");
        guards.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(Guard::end);
    });
}

/// A directory that is there.
pub(crate) fn directory(path: &Path) -> &Path {
    std::fs::create_dir_all(path).unwrap();
    path
}
