//! A volume as tests use it: by paths.

use crate::weather::Weather;
use ossfs_ledger::{Ledger, MemoryLedger, NodeId};
use ossfs_store::{GetOptions, ListRequest, MemoryStore, ObjectMeta, ObjectStore, Payload, PutOptions};
use ossfs_types::{BucketName, FileKind, Key, Prefix, SystemClock};
use ossfs_volume::{
    Caller, Error, HandleId, Lookup, NodeAttributes, OpenMode, Result, SetAttributes, Volume, VolumeOptions,
};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const ME: Caller = Caller { uid: 1000, gid: 1000 };
/// No test waits longer for the bucket to be settled; of simulated time.
const SETTLE_DEADLINE: Duration = Duration::from_secs(3600);

pub(crate) const READ: OpenMode = OpenMode { read: true, write: false, append: false, truncate: false };
pub(crate) const WRITE: OpenMode = OpenMode { read: true, write: true, append: false, truncate: false };
pub(crate) const APPEND: OpenMode = OpenMode { read: true, write: true, append: true, truncate: false };

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    File(Vec<u8>),
    Directory,
    Symlink(Vec<u8>),
}

pub(crate) struct Mount {
    pub bucket: Arc<MemoryStore>,
    pub store: Arc<Weather>,
    pub ledger: Arc<MemoryLedger>,
    pub volume: Volume,
    pub options: VolumeOptions,
}

impl Mount {
    pub(crate) fn new() -> Self {
        Self::with(VolumeOptions::default())
    }

    pub(crate) fn with(options: VolumeOptions) -> Self {
        let bucket = Arc::new(MemoryStore::new(BucketName::parse("bucket").unwrap(), Arc::new(SystemClock)));
        let store = Arc::new(Weather::new(bucket.clone()));
        let ledger = Arc::new(MemoryLedger::new());
        let volume = open(&store, &ledger, &options);
        Self { bucket, store, ledger, volume, options }
    }

    /// A volume over this bucket by way of another store and ledger than a mount has.
    pub(crate) fn of(bucket: Arc<MemoryStore>, volume: Volume, options: VolumeOptions) -> Self {
        let store = Arc::new(Weather::new(bucket.clone()));
        Self { bucket, store, ledger: Arc::new(MemoryLedger::new()), volume, options }
    }

    /// A new volume over the same bucket and ledger; the old one is as dead as a killed process: what it has under way may
    /// still arrive, but nobody hears of it.
    pub(crate) fn crash(&mut self) {
        self.volume.close();
        self.store = Arc::new(self.store.sever());
        self.ledger = Arc::new(self.ledger.killed());
        self.volume = open(&self.store, &self.ledger, &self.options);
    }

    /// The same volume, for somebody else on the same machine.
    pub(crate) fn same(&self) -> Mount {
        Mount {
            bucket: self.bucket.clone(),
            store: self.store.clone(),
            ledger: self.ledger.clone(),
            volume: self.volume.clone(),
            options: self.options.clone(),
        }
    }

    /// A volume that knows nothing but the bucket.
    pub(crate) fn fresh(&self) -> Mount {
        let ledger = Arc::new(MemoryLedger::new());
        let volume = open(&self.store, &ledger, &self.options);
        Mount { bucket: self.bucket.clone(), store: self.store.clone(), ledger, volume, options: self.options.clone() }
    }

    pub(crate) async fn settle(&self) {
        if tokio::time::timeout(SETTLE_DEADLINE, self.volume.settled()).await.is_err() {
            panic!("not settled: {:?}\n{:#?}", self.volume.unsettled(), self.ledger.load());
        }
    }

    pub(crate) async fn at(&self, path: &str) -> Result<NodeId> {
        Ok(self.stat(path).await?.node)
    }

    pub(crate) async fn stat(&self, path: &str) -> Result<NodeAttributes> {
        if path.is_empty() {
            return self.volume.attributes(NodeId::ROOT).await;
        }
        let (parent, name) = Box::pin(self.parent(path)).await?;
        match self.volume.lookup(parent, OsStr::new(name)).await? {
            Lookup::Found(attributes) => Ok(attributes),
            Lookup::Missing { .. } => Err(Error::NotFound),
        }
    }

    pub(crate) async fn parent<'a>(&self, path: &'a str) -> Result<(NodeId, &'a str)> {
        match path.rsplit_once('/') {
            None => Ok((NodeId::ROOT, path)),
            Some((above, name)) => Ok((Box::pin(self.at(above)).await?, name)),
        }
    }

    pub(crate) async fn open(&self, path: &str, mode: OpenMode) -> Result<HandleId> {
        Ok(self.volume.open_file(self.at(path).await?, mode).await?.handle)
    }

    pub(crate) async fn create(&self, path: &str) -> Result<HandleId> {
        self.create_for(path, WRITE).await
    }

    pub(crate) async fn create_for(&self, path: &str, mode: OpenMode) -> Result<HandleId> {
        let (parent, name) = self.parent(path).await?;
        Ok(self.volume.create(parent, OsStr::new(name), 0o644, mode, ME).await?.1.handle)
    }

    pub(crate) async fn close(&self, handle: HandleId) -> Result<()> {
        let flushed = self.volume.flush(handle).await;
        self.volume.release(handle);
        flushed
    }

    /// As `echo -n … > path` does.
    pub(crate) async fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let handle = match self.create(path).await {
            Err(Error::Exists) => self.open(path, OpenMode { truncate: true, ..WRITE }).await?,
            created => created?,
        };
        let written = self.volume.write(handle, 0, bytes.to_vec().into()).await;
        self.close(handle).await.and(written.map(drop))
    }

    pub(crate) async fn write_at(&self, path: &str, offset: u64, bytes: &[u8]) -> Result<()> {
        let handle = self.open(path, WRITE).await?;
        let written = self.volume.write(handle, offset, bytes.to_vec().into()).await;
        self.close(handle).await.and(written.map(drop))
    }

    pub(crate) async fn truncate(&self, path: &str, size: u64) -> Result<()> {
        let set = SetAttributes { size: Some(size), ..SetAttributes::default() };
        self.volume.set_attributes(self.at(path).await?, set).await.map(drop)
    }

    pub(crate) async fn chmod(&self, path: &str, mode: u32) -> Result<()> {
        let set = SetAttributes { mode: Some(mode), ..SetAttributes::default() };
        self.volume.set_attributes(self.at(path).await?, set).await.map(drop)
    }

    pub(crate) async fn read(&self, path: &str) -> Result<Vec<u8>> {
        let closed = Closed(&self.volume, self.open(path, READ).await?);
        self.read_handle(closed.1).await
    }

    pub(crate) async fn read_handle(&self, handle: HandleId) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let bytes = self.volume.read(handle, all.len() as u64, 100_000).await?;
            if bytes.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&bytes);
        }
    }

    pub(crate) async fn mkdir(&self, path: &str) -> Result<()> {
        let (parent, name) = self.parent(path).await?;
        self.volume.make_directory(parent, OsStr::new(name), 0o755, ME).await.map(drop)
    }

    pub(crate) async fn symlink(&self, path: &str, target: &str) -> Result<()> {
        let (parent, name) = self.parent(path).await?;
        self.volume.make_symlink(parent, OsStr::new(name), OsStr::new(target), ME).await.map(drop)
    }

    pub(crate) async fn rm(&self, path: &str) -> Result<()> {
        let (parent, name) = self.parent(path).await?;
        self.volume.unlink(parent, OsStr::new(name)).await
    }

    pub(crate) async fn rmdir(&self, path: &str) -> Result<()> {
        let (parent, name) = self.parent(path).await?;
        self.volume.remove_directory(parent, OsStr::new(name)).await
    }

    pub(crate) async fn mv(&self, from: &str, to: &str) -> Result<()> {
        let (parent, name) = self.parent(from).await?;
        let (new_parent, new_name) = self.parent(to).await?;
        self.volume.rename(parent, OsStr::new(name), new_parent, OsStr::new(new_name), false).await
    }

    pub(crate) async fn ln(&self, from: &str, to: &str) -> Result<()> {
        let (parent, name) = self.parent(to).await?;
        let node = self.at(from).await?;
        self.volume.link(node, parent, OsStr::new(name)).await.map(drop)
    }

    /// The lists of names of files that have several, by their ids.
    pub(crate) async fn lists(&self) -> BTreeMap<String, Vec<String>> {
        let objects = self.objects().await;
        let lists = objects.into_iter().filter_map(|(key, bytes)| {
            let link = key.strip_prefix(".ossfs/links/")?.to_owned();
            let text = String::from_utf8(bytes).unwrap();
            Some((link, text.lines().skip(1).map(str::to_owned).collect()))
        });
        lists.collect()
    }

    /// The id of several names that an object carries.
    pub(crate) async fn link_id(&self, key: &str) -> Option<String> {
        let link = self.head(key).await.metadata.user.get("ossfs-link").cloned();
        link.map(|link| link.to_str().unwrap().to_owned())
    }

    pub(crate) async fn exchange(&self, one: &str, other: &str) -> Result<()> {
        let (parent, name) = self.parent(one).await?;
        let (other_parent, other_name) = self.parent(other).await?;
        self.volume.exchange(parent, OsStr::new(name), other_parent, OsStr::new(other_name)).await
    }

    pub(crate) async fn names(&self, path: &str) -> Result<Vec<String>> {
        let handle = self.volume.open_directory(self.at(path).await?).await?;
        let mut names = Vec::new();
        let mut offset = 0;
        loop {
            let entries = self.volume.read_directory(handle, offset, 100, false).await?;
            let Some(last) = entries.last() else { break };
            offset = last.next_offset;
            names.extend(entries.iter().map(|entry| entry.name.to_string()));
        }
        self.volume.release_directory(handle);
        names.retain(|name| name != "." && name != "..");
        Ok(names)
    }

    /// Everything that the mount shows, by path.
    pub(crate) async fn tree(&self) -> BTreeMap<String, Entry> {
        let mut tree = BTreeMap::new();
        let mut directories = vec![String::new()];
        while let Some(directory) = directories.pop() {
            for name in self.names(&directory).await.unwrap_or_else(|error| panic!("{directory:?}: {error}")) {
                let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
                let attributes = self.stat(&path).await.unwrap_or_else(|error| panic!("{path:?}: {error}"));
                let entry = match attributes.kind {
                    FileKind::Directory => {
                        directories.push(path.clone());
                        Entry::Directory
                    }
                    FileKind::Symlink => Entry::Symlink(self.volume.read_link(attributes.node).await.unwrap()),
                    _ => Entry::File(self.read(&path).await.unwrap_or_else(|error| panic!("{path:?}: {error}"))),
                };
                tree.insert(path, entry);
            }
        }
        tree
    }

    /// Everything that is in the bucket, by key.
    pub(crate) async fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let mut objects = BTreeMap::new();
        let mut request = ListRequest::all(Prefix::all());
        loop {
            let page = self.bucket.list(&request).await.unwrap();
            for entry in page.objects {
                objects.insert(entry.key.to_string(), self.object(entry.key.as_str()).await);
            }
            match page.next {
                Some(next) => request.continuation = Some(next),
                None => return objects,
            }
        }
    }

    pub(crate) async fn object(&self, key: &str) -> Vec<u8> {
        let mut got = self.bucket.get(&Key::parse(key).unwrap(), &GetOptions::default()).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(chunk) = got.body.next().await.unwrap() {
            bytes.extend_from_slice(&chunk);
        }
        bytes
    }

    pub(crate) async fn head(&self, key: &str) -> ObjectMeta {
        self.bucket.head(&Key::parse(key).unwrap()).await.unwrap()
    }

    /// Somebody else puts an object.
    pub(crate) async fn outsider_puts(&self, key: &str, bytes: &[u8]) {
        let payload = Payload::from(bytes.to_vec());
        self.bucket.put(&Key::parse(key).unwrap(), payload, &PutOptions::default()).await.unwrap();
    }

    /// Somebody else deletes an object.
    pub(crate) async fn outsider_deletes(&self, key: &str) {
        self.bucket.delete(&Key::parse(key).unwrap()).await.unwrap();
    }

    /// Waits until what is known of the bucket is too old to be believed.
    pub(crate) async fn outlast_ttl(&self) {
        tokio::time::sleep(self.options.metadata_ttl + Duration::from_secs(1)).await;
    }

    /// The mount shows the same as one that knows nothing but the bucket, once all is settled.
    pub(crate) async fn assert_settled_as(&self, expected: &BTreeMap<String, Entry>) {
        self.settle().await;
        assert_eq!(&self.tree().await, expected, "this mount");
        assert_eq!(&self.fresh().tree().await, expected, "a fresh mount");
        let ledger = self.ledger.load().unwrap();
        assert!(ledger.is_empty(), "left in the ledger: {ledger:#?}");
    }
}

/// A file that is closed even if the call is given up.
struct Closed<'a>(&'a Volume, HandleId);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.release(self.1);
    }
}

fn open(store: &Arc<Weather>, ledger: &Arc<MemoryLedger>, options: &VolumeOptions) -> Volume {
    Volume::open(store.clone(), ledger.clone(), Arc::new(SystemClock), options.clone()).unwrap()
}

pub(crate) fn file(bytes: &str) -> Entry {
    Entry::File(bytes.as_bytes().to_vec())
}

/// Paths with `/` at the end are directories; so is everything above a path.
pub(crate) fn files(files: &[(&str, &str)]) -> BTreeMap<String, Entry> {
    let mut tree = BTreeMap::new();
    for (path, bytes) in files {
        for (slash, _) in path.match_indices('/') {
            tree.insert(path[..slash].to_owned(), Entry::Directory);
        }
        if !path.ends_with('/') {
            tree.insert((*path).to_owned(), file(bytes));
        }
    }
    tree
}

/// A mount on a slow bucket with these objects, put by somebody else.
pub(crate) async fn over(objects: &[(&str, &str)]) -> Mount {
    let mount = Mount::new();
    for (key, bytes) in objects {
        mount.outsider_puts(key, bytes.as_bytes()).await;
    }
    mount.store.delay(Duration::from_millis(100), 7);
    mount
}
