//! Measures the store against a sandbox: throughput, requests a second, and the processor time both cost.
//!
//! Run by `cargo xtask bench store`, which builds the sandbox and names it in `OSSFS_BIN`. Everything is in memory and on
//! the loopback interface, so what is measured is the client (and the server, beside it). Rows are measured in turn, in
//! several rounds, and the median is printed.

#![allow(clippy::unwrap_used, reason = "a measurement that can't be made has nothing better to do than to end")]

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ossfs_store::{
    BufferPool, CredentialKeeper, Credentials, Endpoint, GetOptions, HttpOptions, ObjectStore, OssOptions, OssStore,
    Part, PartNumber, Payload, Proxy, PutOptions, Upload,
};
use ossfs_types::{BucketName, ByteRange, Crc64, Key, SystemClock};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: usize = 3;
const ROUND_TIME: Duration = Duration::from_secs(2);
const CONNECTIONS: [usize; 3] = [1, 4, 16];
/// A size of ranges and parts that a file system uses.
const BLOCK_BYTES: usize = 8 << 20;
const BLOCKS: usize = 32;
const SMALL_GET_BYTES: usize = 16 << 10;
const SMALL_PUT_BYTES: usize = 4 << 10;
const SMALL_OBJECTS: u64 = 256;

/// The server, killed when dropped.
struct Sandbox {
    child: Child,
    endpoint: String,
}

impl Sandbox {
    fn start() -> Self {
        let binary =
            std::env::var_os("OSSFS_BIN").expect("OSSFS_BIN names the ossfs binary: run `cargo xtask bench store`");
        let mut child = Command::new(binary)
            .args(["sandbox", "--listen", "127.0.0.1:0", "--bucket", "bench"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let endpoint = line.trim().strip_prefix("listening on ").expect("the sandbox says where it listens").to_owned();
        Self { child, endpoint }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Processor time of a process so far.
fn cpu_time(pid: &str) -> Duration {
    /// What Linux counts processor time in, for programs: 100 a second on every architecture.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks: u32 = fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap();
    TICK * ticks
}

/// What every worker of a row shares.
struct Bench {
    store: OssStore,
    pool: Arc<BufferPool>,
    block: Bytes,
    upload: Upload,
    next: AtomicU64,
}

type Work = for<'a> fn(&'a Bench, u64) -> BoxFuture<'a, u64>;

struct Row {
    name: &'static str,
    work: Work,
}

const ROWS: [Row; 6] = [
    Row { name: "GET ranges of 8 MiB", work: |bench, number| Box::pin(get_range(bench, number, false)) },
    Row { name: "GET ranges of 8 MiB, CRC-64", work: |bench, number| Box::pin(get_range(bench, number, true)) },
    Row { name: "PUT parts of 8 MiB, CRC-64", work: |bench, number| Box::pin(put_part(bench, number)) },
    Row { name: "GET 16 KiB", work: |bench, number| Box::pin(get_small(bench, number, false)) },
    Row { name: "GET 16 KiB, CRC-64", work: |bench, number| Box::pin(get_small(bench, number, true)) },
    Row { name: "PUT 4 KiB, MD5 and CRC-64", work: |bench, number| Box::pin(put_small(bench, number)) },
];

fn key(name: &str) -> Key {
    Key::parse(name).unwrap()
}

async fn get_range(bench: &Bench, number: u64, checksum: bool) -> u64 {
    let len = BLOCK_BYTES as u64;
    let options = GetOptions { range: ByteRange::at(number % BLOCKS as u64 * len, len), if_match: None, checksum };
    bench.store.read(&key("large"), &options, &bench.pool).await.unwrap().bytes.len() as u64
}

async fn put_part(bench: &Bench, number: u64) -> u64 {
    let number = PartNumber::new(u32::try_from(number % BLOCKS as u64).unwrap() + 1).unwrap();
    bench.store.upload_part(&bench.upload, number, Payload::from(bench.block.clone())).await.unwrap().size
}

async fn get_small(bench: &Bench, number: u64, checksum: bool) -> u64 {
    let options = GetOptions { range: None, if_match: None, checksum };
    let key = key(&format!("small/{}", number % SMALL_OBJECTS));
    bench.store.read(&key, &options, &bench.pool).await.unwrap().bytes.len() as u64
}

async fn put_small(bench: &Bench, number: u64) -> u64 {
    let payload = Payload::from(bench.block.slice(..SMALL_PUT_BYTES));
    let key = key(&format!("put/{}", number % SMALL_OBJECTS));
    bench.store.put(&key, payload, &PutOptions::default()).await.unwrap();
    SMALL_PUT_BYTES as u64
}

/// One round of one row.
#[derive(Clone, Copy)]
struct Sample {
    seconds: f64,
    bytes: f64,
    requests: f64,
    client_cpu_s: f64,
    server_cpu_s: f64,
}

async fn measure(bench: &Arc<Bench>, server: &str, work: Work, connections: usize) -> Sample {
    let (client_before, server_before, begun) = (cpu_time("self"), cpu_time(server), Instant::now());
    let workers: Vec<_> = (0..connections)
        .map(|_| {
            let bench = bench.clone();
            tokio::spawn(async move {
                let (mut bytes, mut requests) = (0, 0u64);
                while begun.elapsed() < ROUND_TIME {
                    let number = bench.next.fetch_add(1, Ordering::Relaxed);
                    bytes += work(&bench, number).await;
                    requests += 1;
                }
                (bytes, requests)
            })
        })
        .collect();
    let (mut bytes, mut requests) = (0, 0);
    for worker in workers {
        let (some_bytes, some_requests) = worker.await.unwrap();
        bytes += some_bytes;
        requests += some_requests;
    }
    Sample {
        seconds: begun.elapsed().as_secs_f64(),
        bytes: bytes as f64,
        requests: requests as f64,
        client_cpu_s: (cpu_time("self") - client_before).as_secs_f64(),
        server_cpu_s: (cpu_time(server) - server_before).as_secs_f64(),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn prepare(store: OssStore) -> Bench {
    let mut random = fastrand::Rng::with_seed(1);
    let mut block = vec![0; BLOCK_BYTES];
    random.fill(&mut block);
    let block = Bytes::from(block);
    let large = store.create_upload(&key("large"), &PutOptions::default()).await.unwrap();
    let mut parts: Vec<Part> = Vec::new();
    for number in 1..=u32::try_from(BLOCKS).unwrap() {
        let number = PartNumber::new(number).unwrap();
        parts.push(store.upload_part(&large, number, Payload::from(block.clone())).await.unwrap());
    }
    store.complete_upload(&large, &parts, false).await.unwrap();
    for number in 0..SMALL_OBJECTS {
        let payload = Payload::from(block.slice(..SMALL_GET_BYTES));
        store.put(&key(&format!("small/{number}")), payload, &PutOptions::default()).await.unwrap();
    }
    let upload = store.create_upload(&key("upload"), &PutOptions::default()).await.unwrap();
    Bench { store, pool: BufferPool::new(256 << 20), block, upload, next: AtomicU64::new(0) }
}

/// Seconds per GB that the checksum alone costs.
fn checksum_s_per_gb(block: &Bytes) -> f64 {
    let begun = Instant::now();
    let mut bytes = 0;
    while begun.elapsed() < ROUND_TIME / 2 {
        std::hint::black_box(Crc64::of(block));
        bytes += block.len();
    }
    begun.elapsed().as_secs_f64() / (bytes as f64 / 1e9)
}

async fn run() {
    let sandbox = Sandbox::start();
    let server = sandbox.child.id().to_string();
    let mut options = OssOptions::new(Endpoint::parse(&sandbox.endpoint).unwrap(), BucketName::parse("bench").unwrap())
        .in_region("cn-hangzhou");
    options.http = HttpOptions { connections_max: 64, proxy: Proxy::Direct, ..HttpOptions::default() };
    let credentials = Credentials::new("sandbox", "sandbox-secret", None).unwrap();
    let keeper = CredentialKeeper::start(Box::new(credentials), Arc::new(SystemClock)).await.unwrap();
    let bench = Arc::new(prepare(OssStore::new(options, Some(keeper), Arc::new(SystemClock)).unwrap()).await);

    let cells: Vec<(&Row, usize)> =
        ROWS.iter().flat_map(|row| CONNECTIONS.map(|connections| (row, connections))).collect();
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); cells.len()];
    for _ in 0..ROUNDS {
        for (index, (row, connections)) in cells.iter().enumerate() {
            samples[index].push(measure(&bench, &server, row.work, *connections).await);
        }
    }
    println!("| work | connections | GB/s | requests/s | client CPU s/GB | server CPU s/GB | client us/request |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for ((row, connections), samples) in cells.iter().zip(&samples) {
        let of = |figure: fn(&Sample) -> f64| median(samples.iter().map(figure).collect());
        println!(
            "| {} | {connections} | {:.2} | {:.0} | {:.3} | {:.3} | {:.1} |",
            row.name,
            of(|sample| sample.bytes / sample.seconds / 1e9),
            of(|sample| sample.requests / sample.seconds),
            of(|sample| sample.client_cpu_s / (sample.bytes / 1e9)),
            of(|sample| sample.server_cpu_s / (sample.bytes / 1e9)),
            of(|sample| sample.client_cpu_s / sample.requests * 1e6),
        );
    }
    println!("\nCRC-64 alone: {:.3} CPU s/GB.", checksum_s_per_gb(&bench.block));
}

fn main() {
    // `cargo test --benches` and clippy's runs only ask whether it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run());
}
