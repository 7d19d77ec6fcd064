//! `ossfs sandbox`: an OSS server on this machine.

use anyhow::Context;
use clap::Args;
use ossfs_sandbox::{DEFAULT_ACCESS_KEY_ID, DEFAULT_ACCESS_KEY_SECRET, DEFAULT_REGION, SandboxConfig, half_of_memory};
use ossfs_types::BucketName;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

const EXAMPLES: &str = "\
EXAMPLES

  Serve a bucket named `demo` from memory, for as long as the command runs:

    ossfs sandbox --bucket demo

  Use it from an SDK of Alibaba Cloud (Python, package alibabacloud-oss-v2):

    export OSS_ACCESS_KEY_ID=sandbox OSS_ACCESS_KEY_SECRET=sandbox-secret

    import alibabacloud_oss_v2 as oss
    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.EnvironmentVariableCredentialsProvider()
    config.region, config.endpoint = 'cn-hangzhou', 'http://127.0.0.1:9900'
    client = oss.Client(config)
    client.put_object(oss.PutObjectRequest(bucket='demo', key='hello.txt', body=b'hello'))
    print(client.presign(oss.GetObjectRequest(bucket='demo', key='hello.txt')).url)

  Fetch it with curl: by the URL that this printed, or by its plain URL once
  the bucket is public (buckets are private, as in OSS: without a signature
  they answer 403). Path style and BUCKET.localhost:PORT both name a bucket:

    client.put_bucket_acl(oss.PutBucketAclRequest(bucket='demo', acl='public-read'))
    curl http://127.0.0.1:9900/demo/hello.txt
    curl http://demo.localhost:9900/hello.txt

  Keep the objects in a directory, on another port, as slow as a far region:

    ossfs sandbox --data ./oss-data --listen 127.0.0.1:9000 --bucket demo \\
                  --latency-ms 30 --bandwidth 10000000

  Make every twentieth answer get lost, to see what a program does about it:

    curl -X PUT http://127.0.0.1:9900/-/conditions -d \\
      '{\"faults\": [{\"operations\": [\"*\"], \"kind\": \"lost-answer\", \"probability\": 0.05}]}'

  Fault kinds: error-503, reset, lost-answer, stall, truncate, corrupt, denied.
  GET /-/stats counts requests by operation; POST /-/stats/reset begins anew.
  These are for clients on this machine only and need no signature.

NOT KEPT

  Old versions of objects (the versioning state of a bucket is kept and has its
  effect on x-oss-forbid-overwrite) and encryption. Restoring an archived object
  takes no time. Operations that are not there answer 501 NotImplemented.

  Logs go to stderr; RUST_LOG=ossfs_sandbox=debug shows every refusal.";

/// Serve buckets on this machine, as OSS would: for trying things out, for tests and for benchmarks
///
/// Signatures (version 4 and 1, in headers and in URLs), limits, paging and errors are those of OSS. Everything is kept
/// in memory, or in a directory with --data. When it serves it prints `listening on http://ADDR:PORT`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9900")]
    listen: SocketAddr,

    /// Keep everything in this directory, so that it survives a restart [default: in memory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Create this bucket if it is not there (may be repeated)
    #[arg(long = "bucket", value_name = "NAME")]
    buckets: Vec<String>,

    /// The access key id that requests are signed with
    #[arg(
        long,
        value_name = "ID",
        env = "OSS_ACCESS_KEY_ID",
        default_value = DEFAULT_ACCESS_KEY_ID
    )]
    access_key_id: String,

    /// The secret of the access key
    #[arg(
        long,
        value_name = "SECRET",
        env = "OSS_ACCESS_KEY_SECRET",
        hide_env_values = true,
        default_value = DEFAULT_ACCESS_KEY_SECRET
    )]
    access_key_secret: String,

    /// The region, which signatures of version 4 name
    #[arg(long, value_name = "REGION", default_value = DEFAULT_REGION)]
    region: String,

    /// Delay before each answer, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 0)]
    latency_ms: u64,

    /// Bytes a second for the bodies of each connection; 0 for no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    bandwidth: u64,

    /// Most bytes of memory for objects and their names [default: half of the memory]
    #[arg(long, value_name = "BYTES")]
    memory_limit: Option<u64>,
}

/// Serves until it is told to stop.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let buckets: Result<Vec<BucketName>, _> = arguments.buckets.iter().map(|name| BucketName::parse(name)).collect();
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let running = SandboxConfig {
        listen: arguments.listen,
        data: arguments.data,
        buckets: buckets?,
        access_key_id: or_default(arguments.access_key_id, DEFAULT_ACCESS_KEY_ID),
        access_key_secret: or_default(arguments.access_key_secret, DEFAULT_ACCESS_KEY_SECRET),
        region: arguments.region,
        latency: Duration::from_millis(arguments.latency_ms),
        bandwidth: arguments.bandwidth,
        memory_limit: arguments.memory_limit.unwrap_or_else(half_of_memory),
        ..SandboxConfig::default()
    }
    .start()
    .await?;
    let mut stdout = std::io::stdout();
    // Whoever started it may have closed the pipe: it serves all the same.
    let _ = writeln!(stdout, "listening on http://{}", running.addr()).and_then(|()| stdout.flush());
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    tracing::info!("shutting down");
    running.shutdown().await;
    Ok(())
}

/// An empty environment variable is as good as none.
fn or_default(text: String, default: &str) -> String {
    if text.is_empty() { default.to_owned() } else { text }
}
