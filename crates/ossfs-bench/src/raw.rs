//! The store's client without a file system: the limit of what a mount can do, and the hand that fills and looks into the
//! bucket.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::future::try_join_all;
use ossfs_store::{
    BufferPool, CopyOptions, CopySource, CredentialKeeper, Credentials, Endpoint, GetOptions, HttpOptions, ListRequest,
    ObjectStore, OssOptions, OssStore, PartNumber, Payload, Proxy, PutOptions,
};
use ossfs_types::limits::DELETE_KEYS_MAX;
use ossfs_types::{BucketName, ByteRange, Key, Prefix, SystemClock};
use tokio::runtime::Runtime;

use crate::rows::{Data, Scale, Shape};
use crate::sandbox::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, BUCKET, REGION};
use crate::work::{Done, file_name, random_place};

/// A size of ranges and parts that a file system uses.
pub(crate) const BLOCK_BYTES: usize = 8 << 20;
/// Who fills the bucket is in no hurry to be fair.
const FILLERS: usize = 16;
const POLL: Duration = Duration::from_millis(20);
/// For anything to be in the bucket that a peer answered for before.
const ARRIVAL_DEADLINE: Duration = Duration::from_secs(30);

/// A client of the sandbox.
pub(crate) struct Raw {
    runtime: Arc<Runtime>,
    store: Arc<OssStore>,
    pool: Arc<BufferPool>,
    /// What is written, again and again.
    block: Bytes,
}

impl Raw {
    pub(crate) fn connect(runtime: Arc<Runtime>, endpoint: &str) -> Result<Raw> {
        let store = runtime.block_on(store(endpoint))?;
        let mut block = vec![0; BLOCK_BYTES];
        fastrand::Rng::with_seed(1).fill(&mut block);
        let pool = BufferPool::new(32 * BLOCK_BYTES);
        Ok(Raw { runtime, store: Arc::new(store), pool, block: block.into() })
    }

    /// Puts what a row needs into the bucket.
    pub(crate) fn fill(&self, data: &Data, scale: Scale) -> Result<()> {
        match *data {
            Data::Object { file, bytes } => self.wait(self.write(key(file)?, scale.bytes(bytes), FILLERS)),
            Data::Files { dir, count, bytes, per_directory } => {
                let count = scale.count(count);
                for dir in folders(dir, count, per_directory) {
                    // Some peers see only directories that have an object of their own.
                    let marker = key(&format!("{dir}/"))?;
                    self.wait(async { Ok(self.store.put(&marker, Payload::empty(), &PutOptions::default()).await?) })?;
                }
                let dir = dir.to_owned();
                let name = move |number| file_name(&dir, number, per_directory);
                self.wait(self.put_files(name, count, bytes, FILLERS))
            }
        }
    }

    /// Takes one step as the file system would have to, with nothing between.
    pub(crate) fn work(
        &self,
        shape: Shape,
        out: &str,
        connections: usize,
        scale: Scale,
        limit: Duration,
    ) -> Result<Option<Done>> {
        let limited = async {
            let worked = tokio::time::timeout(limit, self.step(shape, out, connections, scale)).await;
            worked.with_context(|| format!("over {} s", limit.as_secs()))?
        };
        self.wait(limited)
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.block_on(work)
    }

    async fn step(&self, shape: Shape, out: &str, connections: usize, scale: Scale) -> Result<Option<Done>> {
        let below = |dir: &str| format!("{out}/{dir}");
        let begun = Instant::now();
        let amount = match shape {
            Shape::Read { file } => self.read(key(file)?, connections).await?,
            Shape::Write { file, bytes } => {
                let bytes = scale.bytes(bytes);
                self.write(key(&below(file))?, bytes, connections).await?;
                bytes
            }
            Shape::FirstBytes { dir, files } => self.first_bytes(dir, scale.count(files)).await?,
            Shape::RandomReads { file, threads, reads_each } => {
                self.random_reads(key(file)?, threads, scale.count(reads_each)).await?
            }
            Shape::ReadFiles { dir, files, threads } => self.get_files(dir, scale.count(files), threads).await?,
            Shape::CreateFiles { dir, files, bytes, threads } => {
                self.create(below(dir), scale.count(files), bytes, threads).await?
            }
            Shape::CopyTrees { dir, files, bytes, processes } => {
                self.create(below(dir), scale.count(files), bytes, usize::try_from(processes)?).await?
            }
            Shape::Drain { dir, files, bytes } => {
                self.create(below(dir), scale.count(files), bytes, connections).await?
            }
            Shape::ListNames { dir, .. } => u64::try_from(self.list(dir, Some("/")).await?.len())?,
            Shape::Find { dir, .. } => u64::try_from(self.list(dir, None).await?.len())?,
            Shape::ListLong { dir, .. } => {
                let keys = self.list(dir, Some("/")).await?;
                self.heads(keys, connections).await?
            }
            Shape::SettleMove { from, to, .. } => self.rename(from, to, connections).await?,
            Shape::Mount
            | Shape::Stat { .. }
            | Shape::Untar { .. }
            | Shape::Lookups { .. }
            | Shape::Getattrs { .. }
            | Shape::Rename { .. }
            | Shape::Refuse
            | Shape::KillAndMount
            | Shape::Remount => return Ok(None),
        };
        Ok(Some(Done { seconds: begun.elapsed().as_secs_f64(), amount }))
    }

    /// `workers` at once do one thing for each number below `count`.
    async fn each<W, F>(&self, count: u64, workers: usize, work: W) -> Result<()>
    where
        W: Fn(Arc<OssStore>, u64) -> F + Send + Sync + 'static,
        F: Future<Output = Result<()>> + Send,
    {
        let (next, work) = (Arc::new(AtomicU64::new(0)), Arc::new(work));
        let tasks = (0..workers).map(|_| {
            let (next, work, store) = (Arc::clone(&next), Arc::clone(&work), Arc::clone(&self.store));
            Task(tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return anyhow::Ok(());
                    }
                    work(Arc::clone(&store), number).await?;
                }
            }))
        });
        try_join_all(tasks.map(Task::end)).await.map(drop)
    }

    async fn read(&self, key: Key, connections: usize) -> Result<u64> {
        let (size, block, pool) = (self.store.stat(&key).await?.size, BLOCK_BYTES as u64, Arc::clone(&self.pool));
        let work = move |store: Arc<OssStore>, number: u64| {
            let (key, pool) = (key.clone(), Arc::clone(&pool));
            async move {
                let options = GetOptions { range: ByteRange::at(number * block, block), ..GetOptions::default() };
                store.read(&key, &options, &pool).await?;
                Ok(())
            }
        };
        self.each(size.div_ceil(block), connections, work).await?;
        Ok(size)
    }

    async fn write(&self, key: Key, bytes: u64, connections: usize) -> Result<()> {
        let upload = Arc::new(self.store.create_upload(&key, &PutOptions::default()).await?);
        let parts = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (block, into, of) = (self.block.clone(), Arc::clone(&parts), Arc::clone(&upload));
        let work = move |store: Arc<OssStore>, number: u64| {
            let (upload, parts) = (Arc::clone(&of), Arc::clone(&into));
            let left = usize::try_from(bytes - number * BLOCK_BYTES as u64).unwrap_or(BLOCK_BYTES);
            let payload = Payload::from(block.slice(..left.min(BLOCK_BYTES)));
            async move {
                let number = u32::try_from(number + 1).ok().and_then(PartNumber::new).context("too many parts")?;
                let part = store.upload_part(&upload, number, payload).await?;
                parts.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(part);
                Ok(())
            }
        };
        self.each(bytes.div_ceil(BLOCK_BYTES as u64), connections, work).await?;
        let mut parts = std::mem::take(&mut *parts.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        parts.sort_by_key(|part| part.number.value());
        self.store.complete_upload(&upload, &parts, false).await?;
        Ok(())
    }

    async fn first_bytes(&self, dir: &str, files: u64) -> Result<u64> {
        for number in 0..files {
            let options = GetOptions { range: ByteRange::at(0, 1), ..GetOptions::default() };
            self.store.read(&key(&file_name(dir, number, None))?, &options, &self.pool).await?;
        }
        Ok(files)
    }

    async fn random_reads(&self, key: Key, threads: usize, reads_each: u64) -> Result<u64> {
        let (size, pool) = (self.store.stat(&key).await?.size, Arc::clone(&self.pool));
        let work = move |store: Arc<OssStore>, number: u64| {
            let (key, pool) = (key.clone(), Arc::clone(&pool));
            async move {
                let range = ByteRange::at(random_place(number, size), 4096);
                store.read(&key, &GetOptions { range, ..GetOptions::default() }, &pool).await?;
                Ok(())
            }
        };
        let reads = reads_each * threads as u64;
        self.each(reads, threads, work).await?;
        Ok(reads)
    }

    async fn get_files(&self, dir: &str, files: u64, workers: usize) -> Result<u64> {
        let (dir, pool) = (dir.to_owned(), Arc::clone(&self.pool));
        let work = move |store: Arc<OssStore>, number: u64| {
            let (name, pool) = (file_name(&dir, number, None), Arc::clone(&pool));
            async move {
                store.read(&key(&name)?, &GetOptions::default(), &pool).await?;
                Ok(())
            }
        };
        self.each(files, workers, work).await?;
        Ok(files)
    }

    async fn create(&self, dir: String, files: u64, bytes: usize, workers: usize) -> Result<u64> {
        self.put_files(move |number| file_name(&dir, number, None), files, bytes, workers).await?;
        Ok(files)
    }

    async fn put_files(
        &self,
        name: impl Fn(u64) -> String + Send + Sync + 'static,
        files: u64,
        bytes: usize,
        workers: usize,
    ) -> Result<()> {
        let block = self.block.clone();
        // Small objects go in whole; those that have more than a block are no small objects.
        let bytes = bytes.min(BLOCK_BYTES);
        let work = move |store: Arc<OssStore>, number: u64| {
            let (name, payload) = (name(number), Payload::from(block.slice(..bytes)));
            async move {
                store.put(&key(&name)?, payload, &PutOptions::default()).await?;
                Ok(())
            }
        };
        self.each(files, workers, work).await
    }

    /// The keys of files below a directory; with a delimiter of those in it.
    async fn list(&self, dir: &str, delimiter: Option<&'static str>) -> Result<Vec<(Key, u64)>> {
        let prefix = Prefix::parse(&format!("{dir}/"))?;
        let mut request = ListRequest { delimiter, ..ListRequest::all(prefix) };
        let mut keys = Vec::new();
        loop {
            let page = self.store.list(&request).await?;
            let files = page.objects.into_iter().filter(|object| !object.key.as_str().ends_with('/'));
            keys.extend(files.map(|object| (object.key, object.size)));
            match page.next {
                Some(next) => request.continuation = Some(next),
                None => return Ok(keys),
            }
        }
    }

    async fn heads(&self, keys: Vec<(Key, u64)>, workers: usize) -> Result<u64> {
        let count = keys.len() as u64;
        let keys = Arc::new(keys);
        let work = move |store: Arc<OssStore>, number: u64| {
            let keys = Arc::clone(&keys);
            async move {
                store.head(&keys[usize::try_from(number)?].0).await?;
                Ok(())
            }
        };
        self.each(count, workers, work).await?;
        Ok(count)
    }

    async fn rename(&self, from: &str, to: &str, workers: usize) -> Result<u64> {
        let keys: Vec<Key> = self.list(from, None).await?.into_iter().map(|(key, _)| key).collect();
        let (sources, from, to) = (Arc::new(keys), from.to_owned(), to.to_owned());
        let all = Arc::clone(&sources);
        let work = move |store: Arc<OssStore>, number: u64| {
            let source = all.get(usize::try_from(number).unwrap_or(usize::MAX)).cloned();
            let renamed = source.as_ref().map(|source| source.as_str().replacen(&from, &to, 1));
            async move {
                let (Some(source), Some(renamed)) = (source, renamed) else { bail!("no such key") };
                let source = CopySource { key: source, if_match: None };
                store.copy(&source, &key(&renamed)?, &CopyOptions::default()).await?;
                Ok(())
            }
        };
        self.each(sources.len() as u64, workers, work).await?;
        for some in sources.chunks(DELETE_KEYS_MAX) {
            self.store.delete_many(some).await?;
        }
        Ok(sources.len() as u64)
    }

    /// Waits until files and bytes are in the bucket that a contestant has written.
    pub(crate) fn arrived(&self, dir: &str, files: u64, bytes: u64) -> Result<()> {
        let begun = Instant::now();
        loop {
            let found = self.wait(self.list(dir, None))?;
            if found.len() as u64 >= files && found.iter().map(|(_, size)| size).sum::<u64>() >= bytes {
                return Ok(());
            }
            if begun.elapsed() > ARRIVAL_DEADLINE {
                bail!("{} of {files} files in the bucket after {} s", found.len(), ARRIVAL_DEADLINE.as_secs());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Deletes what a contestant has written.
    pub(crate) fn clear(&self, dir: &str) -> Result<()> {
        self.wait(async {
            let keys: Vec<Key> = self.list(dir, None).await?.into_iter().map(|(key, _)| key).collect();
            for some in keys.chunks(DELETE_KEYS_MAX) {
                self.store.delete_many(some).await?;
            }
            Ok(())
        })
    }
}

/// A task that ends with whoever waits for it.
struct Task(tokio::task::JoinHandle<Result<()>>);

impl Task {
    async fn end(mut self) -> Result<()> {
        (&mut self.0).await.context("a worker of the raw client ended")?
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn key(name: &str) -> Result<Key> {
    Ok(Key::parse(name)?)
}

/// The directories that small files are in.
fn folders(dir: &str, count: u64, per_directory: Option<u64>) -> Vec<String> {
    let mut folders = vec![dir.to_owned()];
    if let Some(per_directory) = per_directory {
        folders.extend((0..count.div_ceil(per_directory)).map(|number| format!("{dir}/d{number:03}")));
    }
    folders
}

/// A client that has as many connections as it likes: who works with it says how many.
pub(crate) async fn store(endpoint: &str) -> Result<OssStore> {
    let mut options = OssOptions::new(Endpoint::parse(endpoint)?, BucketName::parse(BUCKET)?).in_region(REGION);
    options.http = HttpOptions { connections_max: 64, proxy: Proxy::Direct, ..HttpOptions::default() };
    let credentials = Credentials::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET, None)?;
    let keeper = CredentialKeeper::start(Box::new(credentials), Arc::new(SystemClock)).await?;
    Ok(OssStore::new(options, Some(keeper), Arc::new(SystemClock))?)
}
