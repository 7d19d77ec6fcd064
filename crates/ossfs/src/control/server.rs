//! The daemon's side of the socket.

use super::{FAILURES_MAX, Failure, Look, Request, State, Status};
use anyhow::{Context, Result};
use ossfs_volume::{Synced, Unsettled};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

/// Connections at a time; more wait.
const CONNECTIONS_MAX: u32 = 16;
/// A request is one short line.
const REQUEST_BYTES_MAX: u64 = 4096;
/// Who connects and says nothing is cut off.
const REQUEST_WAIT: Duration = Duration::from_secs(10);
/// Between two lines for one who watches: four a second look alive on a terminal.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);
/// How long the end waits for those who watch to be told.
const FAREWELL_WAIT: Duration = Duration::from_secs(1);

/// What the daemon can tell of itself.
#[derive(Clone)]
pub(crate) struct Subject {
    /// `bucket:/prefix`.
    pub(crate) bucket: String,
    /// Where it is mounted.
    pub(crate) mountpoint: String,
    /// What is not in the bucket.
    pub(crate) unsettled: Arc<dyn Fn() -> Unsettled + Send + Sync>,
    /// Begins to wait for what is not in the bucket at and below a path.
    pub(crate) sync: Arc<dyn Fn(&str) -> Look + Send + Sync>,
    /// Where in its life it is.
    pub(crate) state: watch::Receiver<State>,
}

/// Answers until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    socket: PathBuf,
    listening: JoinHandle<()>,
    connections: Arc<Semaphore>,
    closing: Arc<Notify>,
}

impl Server {
    /// Listens at `socket`. The lock of the same name is held, so what is there was left by the killed.
    pub(crate) fn start(socket: &Path, subject: Subject) -> Result<Self> {
        let _ = std::fs::remove_file(socket);
        // Nobody else can reach into the directory it is in.
        let listener = UnixListener::bind(socket).with_context(|| format!("cannot listen at {}", socket.display()))?;
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
        let closing = Arc::new(Notify::new());
        let listening = tokio::spawn(listen(listener, subject, Arc::clone(&connections), Arc::clone(&closing)));
        Ok(Self { socket: socket.to_owned(), listening, connections, closing })
    }

    /// Ends, once those who watch have been told, and those too who have only just connected.
    pub(crate) async fn finish(mut self) {
        // From here on nobody connects. It may be gone already; then nobody could before.
        let _ = std::fs::remove_file(&self.socket);
        self.closing.notify_one();
        let _ = tokio::time::timeout(FAREWELL_WAIT, &mut self.listening).await;
        // All of them are free again when every connection has ended.
        let _ = tokio::time::timeout(FAREWELL_WAIT, self.connections.acquire_many(CONNECTIONS_MAX)).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: UnixListener, subject: Subject, connections: Arc<Semaphore>, closing: Arc<Notify>) {
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closing.notified() => return answer_late(listener, permit, &subject, &connections),
        };
        match accepted {
            Ok((stream, _)) => spawn_answer(stream, permit, &subject),
            Err(error) => {
                tracing::warn!("control socket: {error}");
                tokio::time::sleep(REQUEST_WAIT).await;
            }
        }
    }
}

/// Who connected before the socket was removed is told too. The runtime may not have heard of them yet, so the kernel is
/// asked.
fn answer_late(listener: UnixListener, permit: OwnedSemaphorePermit, subject: &Subject, connections: &Arc<Semaphore>) {
    let Ok(listener) = listener.into_std() else { return };
    let mut permit = Some(permit);
    while let Ok((stream, _)) = listener.accept() {
        let free = permit.take().or_else(|| Arc::clone(connections).try_acquire_owned().ok());
        let ready = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
        match (free, ready) {
            (Some(permit), Ok(stream)) => spawn_answer(stream, permit, subject),
            _ => return,
        }
    }
}

fn spawn_answer(stream: UnixStream, permit: OwnedSemaphorePermit, subject: &Subject) {
    let subject = subject.clone();
    tokio::spawn(async move {
        if let Err(error) = answer(stream, subject).await {
            tracing::debug!("control connection: {error:#}");
        }
        drop(permit);
    });
}

async fn answer(stream: UnixStream, subject: Subject) -> Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(REQUEST_BYTES_MAX));
    tokio::time::timeout(REQUEST_WAIT, reader.read_line(&mut line)).await.context("no request came")??;
    let Ok(request) = serde_json::from_str::<Request>(&line) else {
        writer.write_all(b"{\"error\":\"not a request\"}\n").await?;
        return Ok(());
    };
    let mut state = subject.state.clone();
    let mut look = match &request {
        Request::Sync { path } => Some((subject.sync)(path)),
        Request::Status | Request::Watch | Request::Settle => None,
    };
    loop {
        // First whether it ends, then what is left: not the other way round, or the last line would be an old one.
        let now = *state.borrow_and_update();
        let status = match &mut look {
            Some(look) => subject.status(now, look()),
            None => subject.status(now, Synced { left: (subject.unsettled)(), is_hopeless: false }),
        };
        let (once, again) = match &request {
            Request::Status => (true, false),
            Request::Settle => (status.is_settled(), false),
            Request::Sync { .. } => (status.is_settled() || status.is_hopeless, true),
            Request::Watch => (false, true),
        };
        let last = now.is_last() || once;
        if last || again {
            let mut line = serde_json::to_vec(&status)?;
            line.push(b'\n');
            // Who asked and does not listen is not waited for.
            tokio::time::timeout(REQUEST_WAIT, writer.write_all(&line)).await.context("nobody listens")??;
        }
        if last {
            return Ok(());
        }
        tokio::select! {
            changed = state.changed() => changed?,
            () = tokio::time::sleep(WATCH_INTERVAL) => {}
        }
    }
}

impl Subject {
    fn status(&self, state: State, synced: Synced) -> Status {
        let Synced { left: unsettled, is_hopeless } = synced;
        let told =
            |troubles: Vec<ossfs_volume::Trouble>| troubles.into_iter().take(FAILURES_MAX).map(Failure::of).collect();
        Status {
            pid: std::process::id(),
            bucket: self.bucket.clone(),
            mountpoint: self.mountpoint.clone(),
            state,
            nodes: unsettled.nodes,
            tombstones: unsettled.tombstones,
            claims: unsettled.claims,
            bytes: unsettled.bytes,
            sent: unsettled.sent,
            failures_total: unsettled.failures_total,
            failures: told(unsettled.failures),
            refused: told(unsettled.refused),
            is_hopeless,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Line, Watch};
    use super::*;
    use std::io::{BufRead, Write};
    use std::sync::Mutex;

    struct Daemon {
        unsettled: Arc<Mutex<Unsettled>>,
        state: watch::Sender<State>,
        server: Server,
        socket: std::path::PathBuf,
        _folder: tempfile::TempDir,
    }

    fn daemon() -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("a.sock");
        std::fs::write(&socket, "left behind").unwrap();
        let unsettled = Arc::new(Mutex::new(Unsettled { nodes: 2, bytes: 7, ..Unsettled::default() }));
        let (shared, syncing) = (Arc::clone(&unsettled), Arc::clone(&unsettled));
        let (sender, state) = watch::channel(State::Mounted);
        let subject = Subject {
            bucket: "demo".into(),
            mountpoint: "/mnt".into(),
            unsettled: Arc::new(move || shared.lock().unwrap().clone()),
            sync: Arc::new(move |path| {
                let (path, shared) = (path.to_owned(), Arc::clone(&syncing));
                Box::new(move || {
                    let left = if path == "a" { shared.lock().unwrap().clone() } else { Unsettled::default() };
                    Synced { left, is_hopeless: false }
                })
            }),
            state,
        };
        let server = Server::start(&socket, subject).unwrap();
        Daemon { unsettled, state: sender, server, socket, _folder: folder }
    }

    fn ask(socket: &Path, request: &str) -> String {
        let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
        writeln!(stream, "{request}").unwrap();
        let mut line = String::new();
        std::io::BufReader::new(stream).read_line(&mut line).unwrap();
        line
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn status_is_told_at_once_and_nonsense_refused() {
        let daemon = daemon();
        let socket = daemon.socket.clone();
        let (status, nonsense) =
            tokio::task::spawn_blocking(move || (ask(&socket, r#"{"request":"status"}"#), ask(&socket, "hello")))
                .await
                .unwrap();
        let status: Status = serde_json::from_str(&status).unwrap();
        assert_eq!((status.nodes, status.bytes, status.state), (2, 7, State::Mounted));
        assert!(nonsense.contains("error"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn settle_is_answered_when_all_is_in_the_bucket() {
        let daemon = daemon();
        let socket = daemon.socket.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&socket, r#"{"request":"settle"}"#));
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!asked.is_finished());
        *daemon.unsettled.lock().unwrap() = Unsettled::default();
        let status: Status = serde_json::from_str(&asked.await.unwrap()).unwrap();
        assert!(status.is_settled());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_sync_is_of_its_path_and_ends_when_that_is_there() {
        let daemon = daemon();
        let socket = daemon.socket.clone();
        let elsewhere = tokio::task::spawn_blocking(move || ask(&socket, r#"{"request":"sync","path":"b"}"#));
        let status: Status = serde_json::from_str(&elsewhere.await.unwrap()).unwrap();
        assert!(status.is_settled());
        let socket = daemon.socket.clone();
        let synced = tokio::task::spawn_blocking(move || {
            let mut watch = Watch::sync(&socket, "a").unwrap();
            let mut left = Vec::new();
            while let Line::Status(status) = watch.next_line(Duration::from_secs(5)).unwrap() {
                left.push(status.nodes);
            }
            left
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        *daemon.unsettled.lock().unwrap() = Unsettled::default();
        let left = synced.await.unwrap();
        assert_eq!((left.first(), left.last()), (Some(&2), Some(&0)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_watches_is_told_the_end() {
        let daemon = daemon();
        let socket = daemon.socket.clone();
        let watched = tokio::task::spawn_blocking(move || {
            let mut seen = Vec::new();
            let mut watch = Watch::start(&socket).unwrap();
            loop {
                match watch.next_line(Duration::from_secs(5)).unwrap() {
                    Line::Status(status) => seen.push(status.state),
                    Line::Quiet => panic!("a line every 250 ms"),
                    Line::Closed => return seen,
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        daemon.state.send(State::Settling).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        daemon.unsettled.lock().unwrap().failures_total += 1;
        daemon.state.send(State::GaveUp).unwrap();
        daemon.server.finish().await;
        let seen = watched.await.unwrap();
        assert_eq!((seen.first(), seen.last()), (Some(&State::Mounted), Some(&State::GaveUp)));
    }
}
