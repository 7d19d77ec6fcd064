//! The client alone, in more detail than a row has: bytes and requests a second, and the processor time that both sides
//! take, over 1, 4 and 16 connections.
//!
//! Kinds of requests are measured in turn, in several rounds, and the median is shown.

use std::fmt::Write;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use ossfs_store::{BufferPool, GetOptions, ObjectStore, OssStore, Part, PartNumber, Payload, PutOptions, Upload};
use ossfs_types::{ByteRange, Crc64, Key};
use tokio::runtime::Runtime;

use crate::processes;
use crate::raw::{BLOCK_BYTES, store};
use crate::sandbox::Sandbox;
use crate::statistics::median;

const ROUND_TIME: Duration = Duration::from_secs(2);
const CONNECTIONS: [usize; 3] = [1, 4, 16];
const BLOCKS: u32 = 32;
const SMALL_GET_BYTES: usize = 16 << 10;
const SMALL_PUT_BYTES: usize = 4 << 10;
const SMALL_OBJECTS: u64 = 256;

/// What every worker shares.
struct Bench {
    store: OssStore,
    pool: Arc<BufferPool>,
    block: Bytes,
    upload: Upload,
    next: AtomicU64,
}

type Work = for<'a> fn(&'a Bench, u64) -> Pin<Box<dyn Future<Output = Result<u64>> + Send + 'a>>;

struct Kind {
    name: &'static str,
    work: Work,
}

const KINDS: [Kind; 6] = [
    Kind { name: "GET ranges of 8 MiB", work: |bench, number| Box::pin(bench.get_range(number, false)) },
    Kind { name: "GET ranges of 8 MiB, CRC-64", work: |bench, number| Box::pin(bench.get_range(number, true)) },
    Kind { name: "PUT parts of 8 MiB, CRC-64", work: |bench, number| Box::pin(bench.put_part(number)) },
    Kind { name: "GET 16 KiB", work: |bench, number| Box::pin(bench.get_small(number, false)) },
    Kind { name: "GET 16 KiB, CRC-64", work: |bench, number| Box::pin(bench.get_small(number, true)) },
    Kind { name: "PUT 4 KiB, MD5 and CRC-64", work: |bench, number| Box::pin(bench.put_small(number)) },
];

impl Bench {
    async fn prepare(store: OssStore) -> Result<Bench> {
        let mut block = vec![0; BLOCK_BYTES];
        fastrand::Rng::with_seed(1).fill(&mut block);
        let block = Bytes::from(block);
        let large = store.create_upload(&Key::parse("large")?, &PutOptions::default()).await?;
        let mut parts: Vec<Part> = Vec::new();
        for number in 1..=BLOCKS {
            let number = PartNumber::new(number).context("a part's number")?;
            parts.push(store.upload_part(&large, number, Payload::from(block.clone())).await?);
        }
        store.complete_upload(&large, &parts, false).await?;
        for number in 0..SMALL_OBJECTS {
            let payload = Payload::from(block.slice(..SMALL_GET_BYTES));
            store.put(&Key::parse(&format!("small/{number}"))?, payload, &PutOptions::default()).await?;
        }
        let upload = store.create_upload(&Key::parse("upload")?, &PutOptions::default()).await?;
        Ok(Bench {
            store,
            pool: BufferPool::new(BLOCKS as usize * BLOCK_BYTES),
            block,
            upload,
            next: AtomicU64::new(0),
        })
    }

    async fn get_range(&self, number: u64, checksum: bool) -> Result<u64> {
        let len = BLOCK_BYTES as u64;
        let range = ByteRange::at(number % u64::from(BLOCKS) * len, len);
        let options = GetOptions { range, if_match: None, checksum };
        Ok(self.store.read(&Key::parse("large")?, &options, &self.pool).await?.bytes.len() as u64)
    }

    async fn put_part(&self, number: u64) -> Result<u64> {
        let number = u32::try_from(number % u64::from(BLOCKS))? + 1;
        let number = PartNumber::new(number).context("a part's number")?;
        Ok(self.store.upload_part(&self.upload, number, Payload::from(self.block.clone())).await?.size)
    }

    async fn get_small(&self, number: u64, checksum: bool) -> Result<u64> {
        let options = GetOptions { range: None, if_match: None, checksum };
        let key = Key::parse(&format!("small/{}", number % SMALL_OBJECTS))?;
        Ok(self.store.read(&key, &options, &self.pool).await?.bytes.len() as u64)
    }

    async fn put_small(&self, number: u64) -> Result<u64> {
        let payload = Payload::from(self.block.slice(..SMALL_PUT_BYTES));
        let key = Key::parse(&format!("put/{}", number % SMALL_OBJECTS))?;
        self.store.put(&key, payload, &PutOptions::default()).await?;
        Ok(SMALL_PUT_BYTES as u64)
    }
}

/// One round of one kind.
#[derive(Clone, Copy)]
struct Sample {
    seconds: f64,
    gigabytes: f64,
    requests: f64,
    client_cpu_s: f64,
    server_cpu_s: f64,
}

async fn measure(bench: &Arc<Bench>, server: u32, work: Work, connections: usize, time: Duration) -> Result<Sample> {
    let cpu_s = || (processes::cpu_s(processes::own(), false), processes::cpu_s(server, false));
    let ((client_before, server_before), begun) = (cpu_s(), Instant::now());
    let worker = || {
        let bench = Arc::clone(bench);
        tokio::spawn(async move {
            let (mut bytes, mut requests) = (0, 0u64);
            while begun.elapsed() < time {
                let number = bench.next.fetch_add(1, Ordering::Relaxed);
                bytes += work(&bench, number).await?;
                requests += 1;
            }
            anyhow::Ok((bytes, requests))
        })
    };
    let workers: Vec<_> = (0..connections).map(|_| worker()).collect();
    let (mut bytes, mut requests) = (0, 0);
    for worker in workers {
        let (some_bytes, some_requests) = worker.await??;
        bytes += some_bytes;
        requests += some_requests;
    }
    let (client_after, server_after) = cpu_s();
    Ok(Sample {
        seconds: begun.elapsed().as_secs_f64(),
        gigabytes: bytes as f64 / 1e9,
        requests: requests as f64,
        client_cpu_s: client_after - client_before,
        server_cpu_s: server_after - server_before,
    })
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

/// Measures it, and gives the table.
pub(crate) fn table(runtime: &Runtime, program: &Path, log: &Path, rounds: usize, small: bool) -> Result<String> {
    let sandbox = Sandbox::start(program, log)?;
    let time = if small { ROUND_TIME / 20 } else { ROUND_TIME };
    let measured = async {
        let bench = Arc::new(Bench::prepare(store(&sandbox.endpoint()).await?).await?);
        let cells: Vec<_> = KINDS.iter().flat_map(|kind| CONNECTIONS.map(|connections| (kind, connections))).collect();
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); cells.len()];
        for _ in 0..rounds {
            for ((kind, connections), samples) in cells.iter().zip(&mut samples) {
                samples.push(measure(&bench, sandbox.pid(), kind.work, *connections, time).await?);
            }
        }
        let rows =
            cells.into_iter().zip(samples).map(|((kind, connections), samples)| (kind.name, connections, samples));
        anyhow::Ok((rows.collect::<Vec<_>>(), checksum_s_per_gb(&bench.block)))
    };
    let (rows, checksum) = runtime.block_on(measured)?;
    Ok(shown(&rows, checksum))
}

fn shown(rows: &[(&str, usize, Vec<Sample>)], checksum: f64) -> String {
    let mut text = String::from(
        "| work | connections | GB/s | requests/s | client CPU s/GB | server CPU s/GB | client us/request |\n\
         |---|---:|---:|---:|---:|---:|---:|\n",
    );
    for (name, connections, samples) in rows {
        let of = |figure: fn(&Sample) -> f64| median(samples.iter().map(figure)).unwrap_or_default();
        let _ = writeln!(
            text,
            "| {name} | {connections} | {:.2} | {:.0} | {:.3} | {:.3} | {:.1} |",
            of(|sample| sample.gigabytes / sample.seconds),
            of(|sample| sample.requests / sample.seconds),
            of(|sample| sample.client_cpu_s / sample.gigabytes),
            of(|sample| sample.server_cpu_s / sample.gigabytes),
            of(|sample| sample.client_cpu_s / sample.requests * 1e6),
        );
    }
    let _ = writeln!(text, "\nCRC-64 alone: {checksum:.3} CPU s/GB.");
    text
}
