//! The listening socket and its connections.
//!
//! Bounds: so many connections, so large a head of a request, so long for it to come. A connection ends in order, which
//! means that a client still sending gets to read its answer, unless a fault says otherwise.

use crate::auth::Account;
use crate::bucket::Settings;
use crate::conditions::{Climate, Conditions};
use crate::disk::DataError;
use crate::error::OssError;
use crate::respond::{End, Ending, Shared};
use crate::stats::Stats;
use crate::world::World;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ossfs_types::{BucketName, Clock, SystemClock};
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// The port that `ossfs sandbox` listens on by default.
pub const DEFAULT_PORT: u16 = 9900;
/// The access key id if none is given.
pub const DEFAULT_ACCESS_KEY_ID: &str = "sandbox";
/// The access key secret if none is given.
pub const DEFAULT_ACCESS_KEY_SECRET: &str = "sandbox-secret";
/// The region if none is given.
pub const DEFAULT_REGION: &str = "cn-hangzhou";

/// More than any test or benchmark opens; later ones wait.
const CONNECTIONS_MAX: usize = 1024;
/// 8 KB of user metadata, a presigned URL of a long key, and room.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Largest read from a connection, and what is gathered of small writes.
const BUFFER_BYTES_MAX: usize = 256 << 10;
/// The time for the head of a request to come, counted from the end of the one before: also how long a connection idles.
const HEAD_TIME_MAX: Duration = Duration::from_secs(60);
/// A connection that has been answered its last is read on for so long and so much, so that its client is not reset
/// before it has read the answer.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 64 << 20;
/// The time for requests in progress to end when the server shuts down.
const GRACE: Duration = Duration::from_secs(5);

/// How to run a sandbox. The default listens on a free port of this machine and keeps everything in memory.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The directory to keep everything in; without one it is kept in memory and lost at the end.
    pub data: Option<PathBuf>,
    /// Buckets to create if they are not there.
    pub buckets: Vec<BucketName>,
    /// The id of the one account.
    pub access_key_id: String,
    /// Its secret.
    pub access_key_secret: String,
    /// Without `oss-`, such as `cn-hangzhou`; signatures of version 4 name it.
    pub region: String,
    /// Delay before the first byte of each answer.
    pub latency: Duration,
    /// Bytes a second, per connection; 0 for no limit.
    pub bandwidth: u64,
    /// Most bytes of memory for content and names.
    pub memory_limit: u64,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data: None,
            buckets: Vec::new(),
            access_key_id: DEFAULT_ACCESS_KEY_ID.to_owned(),
            access_key_secret: DEFAULT_ACCESS_KEY_SECRET.to_owned(),
            region: DEFAULT_REGION.to_owned(),
            latency: Duration::ZERO,
            bandwidth: 0,
            memory_limit: half_of_memory(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Half of the machine's memory, in bytes.
pub fn half_of_memory() -> u64 {
    let info = rustix::system::sysinfo();
    // Both fit: the memory of a machine is less than 2^64 bytes.
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit)) / 2
}

/// Why a sandbox cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is in use, or not one of this machine.
    #[error("cannot listen on {addr}: {error}")]
    Listen {
        /// Where it was to listen.
        addr: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A bucket cannot be created.
    #[error("cannot create the bucket {name}: {message}")]
    Bucket {
        /// Its name.
        name: BucketName,
        /// Why.
        message: String,
    },
}

/// A sandbox that serves; dropping it stops it without waiting.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl SandboxConfig {
    /// Begins to serve, on the runtime of the caller.
    pub async fn start(self) -> Result<Running, StartError> {
        let world = match &self.data {
            None => World::in_memory(self.memory_limit),
            Some(root) => World::on_disk(root, self.memory_limit)?,
        };
        let now = crate::time::whole_seconds(self.clock.now());
        for name in &self.buckets {
            if world.bucket(name).is_err() {
                let failed =
                    |error: Box<OssError>| StartError::Bucket { name: name.clone(), message: error.text().to_owned() };
                world.create_bucket(name, Settings::default(), now).map_err(failed)?;
            }
        }
        let failed = |error| StartError::Listen { addr: self.listen, error };
        let listener = TcpListener::bind(self.listen).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(Shared {
            world: Arc::new(world),
            account: Account::new(self.access_key_id, self.access_key_secret, self.region),
            climate: Climate::new(Conditions::new(self.latency, self.bandwidth)),
            stats: Arc::new(Stats::new()),
            clock: self.clock,
        });
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, shared, stopped));
        Ok(Running { addr, stop, accepting })
    }
}

impl Running {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops accepting, lets requests in progress end for a short while, then stops.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.accepting.await {
            tracing::error!("the server ended badly: {error}");
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let place = places.clone().acquire_owned();
        let accepted = async {
            let place = place.await;
            (listener.accept().await, place)
        };
        tokio::select! {
            // The sender is gone, or says so: the end either way.
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => {}
            (accepted, place) = accepted => match accepted {
                Ok((stream, peer)) => {
                    let (shared, stopped) = (shared.clone(), stopped.clone());
                    connections.spawn(async move {
                        serve(stream, peer, shared, stopped).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of descriptors, most likely: it passes.
                    tracing::warn!("cannot accept a connection: {error}");
                    sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    let _ = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    // Answers are written as a whole: there is nothing to gather.
    let _ = stream.set_nodelay(true);
    let ending = Arc::new(Ending::default());
    let service = {
        let ending = ending.clone();
        service_fn(move |request| {
            let (shared, ending) = (shared.clone(), ending.clone());
            // In a box: it is large, and hyper would move it.
            Box::pin(async move { shared.respond(request, peer, &ending).await })
        })
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        // As OSS's own front does; what is left of such a request gets an answer in OSS's form.
        .ignore_invalid_headers(true)
        .max_buf_size(BUFFER_BYTES_MAX)
        .auto_date_header(false)
        .writev(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut stopping = false;
    loop {
        tokio::select! {
            served = poll_fn(|cx| connection.poll_without_shutdown(cx)) => {
                if let Err(error) = served {
                    tracing::debug!("the connection of {peer} ended: {error}");
                }
                break;
            }
            _ = stopped.changed(), if !stopping => {
                stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
    let stream = connection.into_parts().io.into_inner();
    match ending.get() {
        End::Orderly => linger(stream).await,
        End::Closed => drop(stream),
        End::Reset => {
            // Closing with no time to linger is what makes the system send a reset.
            let _ = stream.set_zero_linger();
            drop(stream);
        }
    }
}

/// Says goodbye, and listens until the other side has too.
async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let _ = timeout(LINGER, async {
        let mut left = LINGER_BYTES_MAX;
        let mut scrap = vec![0; 16 << 10];
        while let Ok(read @ 1..) = stream.read(&mut scrap).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    })
    .await;
}
