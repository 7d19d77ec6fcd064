//! A store whose requests wait until somebody says what becomes of each.

use async_trait::async_trait;
use ossfs_store::{
    AppendOptions, Appended, BucketInfo, BucketStat, CopyOptions, CopySource, Error, GetOptions, GotObject, Kind,
    ListPage, ListRequest, MemoryStore, ObjectMeta, ObjectStat, ObjectStore, Part, PartNumber, PartsPage, Payload,
    PutOptions, Result, Symlink, Upload, UploadMarker, UploadsPage, Written,
};
use ossfs_types::{ByteRange, Key, Prefix};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::oneshot;

/// A request without whoever asked.
type Late = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A request, as far as a schedule names it: what is drawn at random is left out of its key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Ask {
    pub operation: &'static str,
    pub key: String,
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.operation, self.key)
    }
}

impl Ask {
    /// Whether it changes the bucket.
    pub(super) fn changes(&self) -> bool {
        !matches!(self.operation, "Get" | "Head" | "List" | "ListParts" | "ListUploads" | "GetSymlink" | ABORT_OF_NONE)
    }

    /// Whether it belongs to an upload in parts.
    fn uploads_parts(&self) -> bool {
        matches!(self.operation, "CreateUpload" | "UploadPart" | "UploadPartCopy" | "Complete" | "Abort")
    }

    /// Whether its answer may be lost: others are repeated by the store's client itself.
    pub(super) fn may_be_lost(&self) -> bool {
        self.changes() && !matches!(self.operation, "CreateUpload" | "UploadPart" | "UploadPartCopy" | "Abort")
    }
}

/// The end of an upload that has ended already: it changes nothing.
const ABORT_OF_NONE: &str = "AbortOfNone";

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is carried out and answered.
    Served,
    /// It is carried out, and answered when that is said.
    Held,
    /// It is carried out, and whoever asked is told that nobody knows.
    Lost,
    /// Whoever asked is told that nobody knows. It may be carried out later.
    Late,
    /// Nothing is done.
    Refused,
}

struct Waiting {
    ask: Ask,
    fate: oneshot::Sender<Fate>,
    late: Option<Late>,
}

#[derive(Default)]
struct State {
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
    held: BTreeMap<u64, (Ask, oneshot::Sender<()>)>,
    late: Vec<(Ask, Late)>,
    /// Questions are answered at once.
    questions_pass: bool,
    /// So are requests of uploads in parts.
    uploads_pass: bool,
    answered: BTreeSet<Ask>,
}

impl State {
    /// Whether a request is served at once.
    fn passes(&self, ask: &Ask) -> bool {
        self.questions_pass && !ask.changes() || self.uploads_pass && ask.uploads_parts()
    }
}

/// A store whose requests wait until somebody says what becomes of each.
pub(super) struct Gate {
    inner: Arc<MemoryStore>,
    state: Mutex<State>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

impl Gate {
    pub(super) fn new(inner: Arc<MemoryStore>) -> Self {
        Self { inner, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Answers questions at once from now on, those that wait too.
    pub(super) fn let_questions_pass(&self) {
        let mut state = self.state();
        state.questions_pass = true;
        let passing: Vec<u64> =
            state.waiting.iter().filter(|(_, waiting)| state.passes(&waiting.ask)).map(|(id, _)| *id).collect();
        for id in passing {
            let waiting = state.waiting.remove(&id).unwrap();
            waiting.fate.send(Fate::Served).ok();
        }
        for (_, (_, deliver)) in std::mem::take(&mut state.held) {
            deliver.send(()).ok();
        }
    }

    /// The same, and uploads in parts go on too: before they have ended nobody reads what was written.
    pub(super) fn let_uploads_pass(&self) {
        self.state().uploads_pass = true;
        self.let_questions_pass();
    }

    /// Requests that wait, each once.
    pub(super) fn waiting(&self) -> BTreeSet<Ask> {
        let mut state = self.state();
        state.waiting.retain(|_, waiting| !waiting.fate.is_closed());
        state.waiting.values().map(|waiting| waiting.ask.clone()).collect()
    }

    /// Requests that were carried out and whose answers wait.
    pub(super) fn held(&self) -> BTreeSet<Ask> {
        let mut state = self.state();
        state.held.retain(|_, (_, deliver)| !deliver.is_closed());
        state.held.values().map(|(ask, _)| ask.clone()).collect()
    }

    /// Requests that may still be carried out, though nobody waits for that.
    pub(super) fn late(&self) -> BTreeSet<Ask> {
        self.state().late.iter().map(|(ask, _)| ask.clone()).collect()
    }

    /// Questions that were answered.
    pub(super) fn answered(&self) -> BTreeSet<Ask> {
        self.state().answered.clone()
    }

    /// Says what becomes of a request. Returns false if there is none such.
    pub(super) fn decide(&self, ask: &Ask, fate: Fate) -> bool {
        let mut state = self.state();
        let Some(id) = state.waiting.iter().find(|(_, waiting)| waiting.ask == *ask).map(|(id, _)| *id) else {
            return false;
        };
        let waiting = state.waiting.remove(&id).unwrap();
        if let (Fate::Late, Some(late)) = (fate, waiting.late) {
            state.late.push((ask.clone(), late));
        }
        if !ask.changes() {
            state.answered.insert(ask.clone());
        }
        waiting.fate.send(fate).is_ok()
    }

    /// Gives an answer that was held. Returns false if there is none such.
    pub(super) fn deliver(&self, ask: &Ask) -> bool {
        let mut state = self.state();
        let Some(id) = state.held.iter().find(|(_, (held, _))| held == ask).map(|(id, _)| *id) else { return false };
        state.held.remove(&id).unwrap().1.send(()).is_ok()
    }

    /// A request that nobody waits for any more, to be carried out.
    pub(super) fn take_late(&self, ask: &Ask) -> Option<Late> {
        let mut state = self.state();
        let at = state.late.iter().position(|(late, _)| late == ask)?;
        Some(state.late.swap_remove(at).1)
    }

    /// What may still be carried out never is.
    pub(super) fn drop_late(&self) {
        self.state().late.clear();
    }

    /// Whoever asked is killed. Returns the gate of whoever comes after; of the requests under way only `kept` may still be
    /// carried out.
    pub(super) fn sever(&self, kept: Option<&Ask>) -> Self {
        let next = Self::new(self.inner.clone());
        let mut state = self.state();
        let mut late = std::mem::take(&mut state.late);
        for waiting in state.waiting.values_mut() {
            if Some(&waiting.ask) == kept
                && let Some(request) = waiting.late.take()
            {
                late.push((waiting.ask.clone(), request));
                break;
            }
        }
        next.state().late = late;
        next
    }

    async fn pass<T>(
        &self,
        operation: &'static str,
        key: &str,
        late: Option<Late>,
        act: impl AsyncFnOnce() -> Result<T>,
    ) -> Result<T> {
        let ask = Ask { operation, key: nameless(key) };
        let decided = {
            let mut state = self.state();
            if state.passes(&ask) {
                None
            } else {
                let (fate, decided) = oneshot::channel();
                let id = state.next;
                state.next += 1;
                state.waiting.insert(id, Waiting { ask: ask.clone(), fate, late });
                Some(decided)
            }
        };
        let fate = match decided {
            None => Fate::Served,
            Some(decided) => match decided.await {
                Ok(fate) => fate,
                Err(_) => return std::future::pending().await,
            },
        };
        let unknown = || Error::new(Kind::Unknown, operation, "lost on the way");
        match fate {
            Fate::Served => act().await,
            Fate::Refused => Err(Error::new(Kind::Unavailable, operation, "refused")),
            Fate::Late => Err(unknown()),
            Fate::Lost => {
                drop(act().await);
                Err(unknown())
            }
            Fate::Held => {
                let result = act().await;
                let (deliver, delivered) = oneshot::channel();
                {
                    let mut state = self.state();
                    let id = state.next;
                    state.next += 1;
                    state.held.insert(id, (ask, deliver));
                }
                if delivered.await.is_err() {
                    return std::future::pending().await;
                }
                result
            }
        }
    }
}

/// Keys without what was drawn at random.
pub(super) fn nameless(keys: &str) -> String {
    keys.split(' ').map(nameless_key).collect::<Vec<_>>().join(" ")
}

fn nameless_key(key: &str) -> String {
    if let Some((before, _)) = key.split_once(".conflict-") {
        return format!("{before}.conflict-*");
    }
    if let Some((before, _)) = key.split_once(".ossfs/links/").filter(|(_, link)| !link.is_empty()) {
        return format!("{before}.ossfs/links/*");
    }
    match key.split_once(".ossfs/moved/").and_then(|(_, hidden)| hidden.split_once('-')) {
        Some((node, _)) => format!(".ossfs/moved/{node}-*"),
        None => key.to_owned(),
    }
}

#[async_trait]
impl ObjectStore for Gate {
    async fn put(&self, key: &Key, payload: Payload, options: &PutOptions) -> Result<Written> {
        let late: Late = {
            let (inner, key, payload, options) = (self.inner.clone(), key.clone(), payload.clone(), options.clone());
            Box::pin(async move { drop(inner.put(&key, payload, &options).await) })
        };
        self.pass("Put", key.as_str(), Some(late), async || self.inner.put(key, payload, options).await).await
    }

    async fn get(&self, key: &Key, options: &GetOptions) -> Result<GotObject> {
        self.pass("Get", key.as_str(), None, async || self.inner.get(key, options).await).await
    }

    async fn head(&self, key: &Key) -> Result<ObjectMeta> {
        self.pass("Head", key.as_str(), None, async || self.inner.head(key).await).await
    }

    async fn stat(&self, key: &Key) -> Result<ObjectStat> {
        self.pass("Head", key.as_str(), None, async || self.inner.stat(key).await).await
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage> {
        self.pass("List", request.prefix.as_str(), None, async || self.inner.list(request).await).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let late: Late = {
            let (inner, key) = (self.inner.clone(), key.clone());
            Box::pin(async move { drop(inner.delete(&key).await) })
        };
        self.pass("Delete", key.as_str(), Some(late), async || self.inner.delete(key).await).await
    }

    async fn delete_many(&self, keys: &[Key]) -> Result<Vec<Key>> {
        let late: Late = {
            let (inner, keys) = (self.inner.clone(), keys.to_vec());
            Box::pin(async move { drop(inner.delete_many(&keys).await) })
        };
        let named: Vec<&str> = keys.iter().map(Key::as_str).collect();
        self.pass("DeleteMany", &named.join(" "), Some(late), async || self.inner.delete_many(keys).await).await
    }

    async fn copy(&self, source: &CopySource, key: &Key, options: &CopyOptions) -> Result<Written> {
        let late: Late = {
            let (inner, source, key, options) = (self.inner.clone(), source.clone(), key.clone(), options.clone());
            Box::pin(async move { drop(inner.copy(&source, &key, &options).await) })
        };
        self.pass("Copy", key.as_str(), Some(late), async || self.inner.copy(source, key, options).await).await
    }

    async fn append(&self, key: &Key, position: u64, payload: Payload, options: &AppendOptions) -> Result<Appended> {
        let late: Late = {
            let (inner, key, payload, options) = (self.inner.clone(), key.clone(), payload.clone(), options.clone());
            Box::pin(async move { drop(inner.append(&key, position, payload, &options).await) })
        };
        let act = async || self.inner.append(key, position, payload, options).await;
        self.pass("Append", key.as_str(), Some(late), act).await
    }

    async fn create_upload(&self, key: &Key, options: &PutOptions) -> Result<Upload> {
        self.pass("CreateUpload", key.as_str(), None, async || self.inner.create_upload(key, options).await).await
    }

    async fn upload_part(&self, upload: &Upload, number: PartNumber, payload: Payload) -> Result<Part> {
        let act = async || self.inner.upload_part(upload, number, payload).await;
        self.pass("UploadPart", upload.key.as_str(), None, act).await
    }

    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: PartNumber,
        source: &CopySource,
        range: ByteRange,
    ) -> Result<Part> {
        let act = async || self.inner.upload_part_copy(upload, number, source, range).await;
        self.pass("UploadPartCopy", upload.key.as_str(), None, act).await
    }

    async fn complete_upload(&self, upload: &Upload, parts: &[Part], forbid_overwrite: bool) -> Result<Written> {
        let late: Late = {
            let (inner, upload, parts) = (self.inner.clone(), upload.clone(), parts.to_vec());
            Box::pin(async move { drop(inner.complete_upload(&upload, &parts, forbid_overwrite).await) })
        };
        let act = async || self.inner.complete_upload(upload, parts, forbid_overwrite).await;
        self.pass("Complete", upload.key.as_str(), Some(late), act).await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<bool> {
        let open = self.inner.list_parts(upload, None).await.is_ok();
        let operation = if open { "Abort" } else { ABORT_OF_NONE };
        self.pass(operation, upload.key.as_str(), None, async || self.inner.abort_upload(upload).await).await
    }

    async fn list_parts(&self, upload: &Upload, after: Option<PartNumber>) -> Result<PartsPage> {
        let act = async || self.inner.list_parts(upload, after).await;
        self.pass("ListParts", upload.key.as_str(), None, act).await
    }

    async fn list_uploads(&self, prefix: &Prefix, after: Option<&UploadMarker>) -> Result<UploadsPage> {
        let act = async || self.inner.list_uploads(prefix, after).await;
        self.pass("ListUploads", prefix.as_str(), None, act).await
    }

    async fn put_symlink(&self, key: &Key, target: &Key, options: &PutOptions) -> Result<()> {
        self.pass("PutSymlink", key.as_str(), None, async || self.inner.put_symlink(key, target, options).await).await
    }

    async fn get_symlink(&self, key: &Key) -> Result<Symlink> {
        self.pass("GetSymlink", key.as_str(), None, async || self.inner.get_symlink(key).await).await
    }

    async fn bucket_info(&self) -> Result<BucketInfo> {
        self.inner.bucket_info().await
    }

    async fn bucket_stat(&self) -> Result<BucketStat> {
        self.inner.bucket_stat().await
    }
}
