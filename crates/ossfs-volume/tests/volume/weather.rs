//! A store over another one that counts, delays and fails.

use async_trait::async_trait;
use ossfs_store::{
    AppendOptions, Appended, BucketInfo, BucketStat, CopyOptions, CopySource, Error, GetOptions, GotObject, Kind,
    ListPage, ListRequest, MemoryStore, ObjectMeta, ObjectStat, ObjectStore, Part, PartNumber, PartsPage, Payload,
    PutOptions, Result, Symlink, Upload, UploadMarker, UploadsPage, Written,
};
use ossfs_types::{ByteRange, Key, Prefix};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request of a process that was killed, or one that got no answer, may arrive so much later.
const LATE_MS_MAX: u64 = 10_000;

/// A request without whoever asked.
type Late = Option<Pin<Box<dyn Future<Output = ()> + Send>>>;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Storm {
    /// Of 1: requests that are refused.
    pub refused: f64,
    /// Of 1: mutations that are applied, but answered `Unknown`.
    pub lost_answers: f64,
    /// Of 1: mutations that are not applied, or some seconds later, and answered `Unknown`.
    pub lost_requests: f64,
}

/// What requests for some keys meet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ill {
    /// They are refused at once.
    Refused(Kind),
    /// Nothing is answered, and nothing done, until whoever asked gives up, which is after this long.
    Silent(Duration),
}

#[derive(Debug)]
struct State {
    rng: fastrand::Rng,
    latency: Duration,
    storm: Option<Storm>,
    counts: BTreeMap<&'static str, u64>,
    bytes_in: u64,
    dead: bool,
    /// An operation that is never allowed, and how it is refused.
    forbidden: Option<(&'static str, Kind)>,
    /// Whoever asked is gone: nothing is answered any more.
    severed: bool,
    /// Nothing under this prefix may be deleted.
    kept: Option<&'static str>,
    /// What befalls requests for keys that begin like this.
    ills: BTreeMap<&'static str, Ill>,
    /// Requests under way.
    in_flight: usize,
    notes: Option<Arc<Mutex<Vec<String>>>>,
    /// Entries of a page of a listing, at most.
    page_entries_max: usize,
}

#[derive(Debug)]
pub(crate) struct Weather {
    inner: Arc<MemoryStore>,
    state: Mutex<State>,
}

impl Weather {
    pub(crate) fn new(inner: Arc<MemoryStore>) -> Self {
        let state = State {
            rng: fastrand::Rng::with_seed(1),
            latency: Duration::ZERO,
            storm: None,
            counts: BTreeMap::new(),
            bytes_in: 0,
            dead: false,
            forbidden: None,
            severed: false,
            kept: None,
            ills: BTreeMap::new(),
            in_flight: 0,
            notes: None,
            page_entries_max: usize::MAX,
        };
        Self { inner, state: Mutex::new(state) }
    }

    /// Whoever asked is killed: requests under way are carried out or not, and none is answered any more. Returns the
    /// same weather for whoever comes after.
    pub(crate) fn sever(&self) -> Self {
        let mut state = self.state.lock().unwrap();
        state.severed = true;
        let seed = state.rng.u64(..);
        let next = Self::new(self.inner.clone());
        next.delay(state.latency, seed);
        next.storm(state.storm);
        next.state.lock().unwrap().notes = state.notes.clone();
        next.page(state.page_entries_max);
        next
    }

    /// Requests under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.state.lock().unwrap().in_flight
    }

    /// Each request takes up to twice this long, by a generator with this seed.
    pub(crate) fn delay(&self, latency: Duration, seed: u64) {
        let mut state = self.state.lock().unwrap();
        state.latency = latency;
        state.rng = fastrand::Rng::with_seed(seed);
    }

    pub(crate) fn storm(&self, storm: Option<Storm>) {
        self.state.lock().unwrap().storm = storm;
    }

    /// Something befalls every request for a key, or a prefix, that begins like this.
    pub(crate) fn befall(&self, prefix: &'static str, ill: Option<Ill>) {
        let ills = &mut self.state.lock().unwrap().ills;
        match ill {
            Some(ill) => ills.insert(prefix, ill),
            None => ills.remove(prefix),
        };
    }

    /// What befalls a request instead of being carried out.
    async fn suffer(&self, operation: &'static str, key: &str, mutation: bool) -> Result<()> {
        let ill = {
            let state = self.state.lock().unwrap();
            state.ills.iter().find(|(prefix, _)| key.starts_with(**prefix)).map(|(_, ill)| *ill)
        };
        match ill {
            None => Ok(()),
            Some(Ill::Refused(kind)) => Err(Error::new(kind, operation, "refused here")),
            Some(Ill::Silent(patience)) => {
                tokio::time::sleep(patience).await;
                let kind = if mutation { Kind::Unknown } else { Kind::Unavailable };
                Err(Error::new(kind, operation, "no answer"))
            }
        }
    }

    /// Refuses an operation for good.
    pub(crate) fn forbid(&self, forbidden: Option<(&'static str, Kind)>) {
        self.state.lock().unwrap().forbidden = forbidden;
    }

    /// Refuses for good to delete what begins like this, and whatever is to be deleted in one request with it.
    pub(crate) fn keep(&self, prefix: Option<&'static str>) {
        self.state.lock().unwrap().kept = prefix;
    }

    fn may_delete(&self, keys: &[Key]) -> Result<()> {
        let kept = self.state.lock().unwrap().kept;
        match kept.is_some_and(|kept| keys.iter().any(|key| key.as_str().starts_with(kept))) {
            true => Err(Error::new(Kind::Denied, "Delete", "it is to be kept")),
            false => Ok(()),
        }
    }

    /// Nothing is answered any more but errors.
    pub(crate) fn die(&self, dead: bool) {
        self.state.lock().unwrap().dead = dead;
    }

    /// The requests since the last call, by operation.
    pub(crate) fn take_counts(&self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut self.state.lock().unwrap().counts)
    }

    /// Bytes that were put since the last call.
    pub(crate) fn take_bytes_in(&self) -> u64 {
        std::mem::take(&mut self.state.lock().unwrap().bytes_in)
    }

    async fn pass<T>(
        &self,
        operation: &'static str,
        key: &str,
        mutation: bool,
        bytes: u64,
        late: Late,
        act: impl AsyncFnOnce() -> Result<T>,
    ) -> Result<T> {
        let (before, after, fate) = {
            let mut state = self.state.lock().unwrap();
            *state.counts.entry(operation).or_default() += 1;
            state.bytes_in += bytes;
            let latency = state.latency.as_secs_f64();
            let before = Duration::from_secs_f64(latency * state.rng.f64());
            let after = Duration::from_secs_f64(latency * state.rng.f64());
            (before, after, (state.rng.f64(), state.storm, state.dead))
        };
        let _in_flight = InFlight::new(&self.state);
        if self.is_severed() {
            return std::future::pending().await;
        }
        if !before.is_zero() {
            tokio::time::sleep(before).await;
        }
        if self.is_severed() {
            // It was on its way already: it arrives, or not, and sometimes late.
            let (arrives, late) = {
                let mut state = self.state.lock().unwrap();
                let late = if state.rng.bool() { state.rng.u64(0..LATE_MS_MAX) } else { 0 };
                (state.rng.bool(), Duration::from_millis(late))
            };
            if arrives {
                tokio::time::sleep(late).await;
                drop(act().await);
            }
            return std::future::pending().await;
        }
        let result = match self.suffer(operation, key, mutation).await {
            Ok(()) => self.answer(operation, mutation, late, after, fate, act).await,
            Err(ill) => Err(ill),
        };
        self.note(operation, key, &result);
        if self.is_severed() {
            return std::future::pending().await;
        }
        result
    }

    /// Tells what was asked, where somebody looks for the cause of a failure.
    fn note<T>(&self, operation: &str, key: &str, result: &Result<T>) {
        let notes = &self.state.lock().unwrap().notes;
        if let Some(notes) = notes {
            let error = result.as_ref().err().map(|error| format!(": {:?}", error.kind())).unwrap_or_default();
            notes.lock().unwrap().push(format!("        {operation} {key}{error}"));
        }
    }

    /// Listings come in pages of so many entries.
    pub(crate) fn page(&self, entries_max: usize) {
        self.state.lock().unwrap().page_entries_max = entries_max;
    }

    /// Requests are noted here.
    pub(crate) fn note_in(&self, notes: Arc<Mutex<Vec<String>>>) {
        self.state.lock().unwrap().notes = Some(notes);
    }

    fn arrive_late(&self, operation: &'static str, late: Late) {
        let mut state = self.state.lock().unwrap();
        let Some(late) = late.filter(|_| state.rng.bool()) else { return };
        let wait = Duration::from_millis(state.rng.u64(0..LATE_MS_MAX));
        let notes = state.notes.clone();
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            late.await;
            if let Some(notes) = notes {
                notes.lock().unwrap().push(format!("        {operation} arrives late"));
            }
        });
    }

    fn is_severed(&self) -> bool {
        self.state.lock().unwrap().severed
    }

    async fn answer<T>(
        &self,
        operation: &'static str,
        mutation: bool,
        late: Late,
        after: Duration,
        (chance, storm, dead): (f64, Option<Storm>, bool),
        act: impl AsyncFnOnce() -> Result<T>,
    ) -> Result<T> {
        let forbidden = self.state.lock().unwrap().forbidden;
        if let Some((_, kind)) = forbidden.filter(|(forbidden, _)| *forbidden == operation) {
            return Err(Error::new(kind, operation, "forbidden"));
        }
        if dead {
            return Err(Error::new(Kind::Unavailable, operation, "the endpoint is dead"));
        }
        let Some(storm) = storm else {
            let result = act().await;
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            return result;
        };
        if chance < storm.refused {
            return Err(Error::new(Kind::Unavailable, operation, "refused by the weather"));
        }
        let unknown = || Error::new(Kind::Unknown, operation, "lost in the weather");
        if mutation && chance < storm.refused + storm.lost_requests {
            self.arrive_late(operation, late);
            return Err(unknown());
        }
        let result = act().await;
        tokio::time::sleep(after).await;
        if mutation && chance < storm.refused + storm.lost_requests + storm.lost_answers {
            return Err(unknown());
        }
        result
    }
}

/// Counts a request as long as it is under way.
struct InFlight<'a>(&'a Mutex<State>);

impl<'a> InFlight<'a> {
    fn new(state: &'a Mutex<State>) -> Self {
        state.lock().unwrap().in_flight += 1;
        Self(state)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap().in_flight -= 1;
    }
}

#[async_trait]
impl ObjectStore for Weather {
    async fn put(&self, key: &Key, payload: Payload, options: &PutOptions) -> Result<Written> {
        let bytes = payload.len();
        let late: Late = {
            let inner = self.inner.clone();
            let key = key.clone();
            let payload = payload.clone();
            let options = options.clone();
            Some(Box::pin(async move { drop(inner.put(&key, payload, &options).await) }))
        };
        self.pass("Put", key.as_str(), true, bytes, late, async || self.inner.put(key, payload, options).await).await
    }

    async fn get(&self, key: &Key, options: &GetOptions) -> Result<GotObject> {
        self.pass("Get", key.as_str(), false, 0, None, async || self.inner.get(key, options).await).await
    }

    async fn head(&self, key: &Key) -> Result<ObjectMeta> {
        self.pass("Head", key.as_str(), false, 0, None, async || self.inner.head(key).await).await
    }

    async fn stat(&self, key: &Key) -> Result<ObjectStat> {
        self.pass("Head", key.as_str(), false, 0, None, async || self.inner.stat(key).await).await
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage> {
        let most = self.state.lock().unwrap().page_entries_max;
        let request = &ListRequest { entries_max: request.entries_max.min(most), ..request.clone() };
        self.pass("List", request.prefix.as_str(), false, 0, None, async || self.inner.list(request).await).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let late: Late = {
            let inner = self.inner.clone();
            let key = key.clone();
            Some(Box::pin(async move { drop(inner.delete(&key).await) }))
        };
        let act = async || match self.may_delete(std::slice::from_ref(key)) {
            Ok(()) => self.inner.delete(key).await,
            Err(error) => Err(error),
        };
        self.pass("Delete", key.as_str(), true, 0, late, act).await
    }

    async fn delete_many(&self, keys: &[Key]) -> Result<Vec<Key>> {
        let late: Late = {
            let inner = self.inner.clone();
            let keys = keys.to_vec();
            Some(Box::pin(async move { drop(inner.delete_many(&keys).await) }))
        };
        let act = async || match self.may_delete(keys) {
            Ok(()) => self.inner.delete_many(keys).await,
            Err(error) => Err(error),
        };
        self.pass("DeleteMany", &format!("{} keys", keys.len()), true, 0, late, act).await
    }

    async fn copy(&self, source: &CopySource, key: &Key, options: &CopyOptions) -> Result<Written> {
        let late: Late = {
            let inner = self.inner.clone();
            let source = source.clone();
            let key = key.clone();
            let options = options.clone();
            Some(Box::pin(async move { drop(inner.copy(&source, &key, &options).await) }))
        };
        self.pass("Copy", key.as_str(), true, 0, late, async || self.inner.copy(source, key, options).await).await
    }

    async fn append(&self, key: &Key, position: u64, payload: Payload, options: &AppendOptions) -> Result<Appended> {
        let bytes = payload.len();
        let late: Late = {
            let inner = self.inner.clone();
            let key = key.clone();
            let payload = payload.clone();
            let options = options.clone();
            Some(Box::pin(async move { drop(inner.append(&key, position, payload, &options).await) }))
        };
        self.pass("Append", key.as_str(), true, bytes, late, async || {
            self.inner.append(key, position, payload, options).await
        })
        .await
    }

    async fn create_upload(&self, key: &Key, options: &PutOptions) -> Result<Upload> {
        self.pass("CreateUpload", key.as_str(), false, 0, None, async || self.inner.create_upload(key, options).await)
            .await
    }

    async fn upload_part(&self, upload: &Upload, number: PartNumber, payload: Payload) -> Result<Part> {
        let bytes = payload.len();
        self.pass("UploadPart", upload.key.as_str(), false, bytes, None, async || {
            self.inner.upload_part(upload, number, payload).await
        })
        .await
    }

    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: PartNumber,
        source: &CopySource,
        range: ByteRange,
    ) -> Result<Part> {
        self.pass("UploadPartCopy", upload.key.as_str(), false, 0, None, async || {
            self.inner.upload_part_copy(upload, number, source, range).await
        })
        .await
    }

    async fn complete_upload(&self, upload: &Upload, parts: &[Part], forbid_overwrite: bool) -> Result<Written> {
        let late: Late = {
            let inner = self.inner.clone();
            let upload = upload.clone();
            let parts = parts.to_vec();
            Some(Box::pin(async move { drop(inner.complete_upload(&upload, &parts, forbid_overwrite).await) }))
        };
        self.pass("Complete", upload.key.as_str(), true, 0, late, async || {
            self.inner.complete_upload(upload, parts, forbid_overwrite).await
        })
        .await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<bool> {
        self.pass("Abort", upload.key.as_str(), false, 0, None, async || self.inner.abort_upload(upload).await).await
    }

    async fn list_parts(&self, upload: &Upload, after: Option<PartNumber>) -> Result<PartsPage> {
        self.pass("ListParts", upload.key.as_str(), false, 0, None, async || self.inner.list_parts(upload, after).await)
            .await
    }

    async fn list_uploads(&self, prefix: &Prefix, after: Option<&UploadMarker>) -> Result<UploadsPage> {
        self.pass("ListUploads", prefix.as_str(), false, 0, None, async || self.inner.list_uploads(prefix, after).await)
            .await
    }

    async fn put_symlink(&self, key: &Key, target: &Key, options: &PutOptions) -> Result<()> {
        let late: Late = {
            let inner = self.inner.clone();
            let key = key.clone();
            let target = target.clone();
            let options = options.clone();
            Some(Box::pin(async move { drop(inner.put_symlink(&key, &target, &options).await) }))
        };
        self.pass("PutSymlink", key.as_str(), true, 0, late, async || {
            self.inner.put_symlink(key, target, options).await
        })
        .await
    }

    async fn get_symlink(&self, key: &Key) -> Result<Symlink> {
        self.pass("GetSymlink", key.as_str(), false, 0, None, async || self.inner.get_symlink(key).await).await
    }

    async fn bucket_info(&self) -> Result<BucketInfo> {
        self.inner.bucket_info().await
    }

    async fn bucket_stat(&self) -> Result<BucketStat> {
        self.inner.bucket_stat().await
    }
}
