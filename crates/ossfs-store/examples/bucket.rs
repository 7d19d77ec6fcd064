//! Puts, reads and lists objects of a bucket, as a program would that knows OSS and no file system.
//!
//! ```text
//! ossfs sandbox --bucket my-bucket &
//! export OSS_ENDPOINT=http://127.0.0.1:9900 OSS_REGION=cn-hangzhou OSS_BUCKET=my-bucket
//! export OSS_ACCESS_KEY_ID=sandbox OSS_ACCESS_KEY_SECRET=sandbox-secret
//! cargo run --example bucket -- put greetings/你好.txt 'Hello from ossfs.'
//! cargo run --example bucket -- get greetings/你好.txt
//! cargo run --example bucket -- list greetings/
//! ```

use ossfs_store::{
    BufferPool, CredentialKeeper, CredentialOptions, Endpoint, GetOptions, ListRequest, ObjectStore, OssOptions,
    OssStore, PutOptions, find_credentials,
};
use ossfs_types::{BucketName, Key, Prefix, SystemClock};
use std::error::Error;
use std::io::Write;
use std::sync::Arc;

const POOL_BYTES: usize = 64 << 20;
const USAGE: &str = "usage: bucket put KEY TEXT | get KEY | list [PREFIX], with OSS_ENDPOINT, OSS_REGION, OSS_BUCKET, \
                     OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET in the environment";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["put", key, text] => put(&open().await?, key, text).await,
        ["get", key] => get(&open().await?, key).await,
        ["list"] => list(&open().await?, "").await,
        ["list", prefix] => list(&open().await?, prefix).await,
        _ => Err(USAGE.into()),
    }
}

async fn open() -> Result<OssStore, Box<dyn Error>> {
    let variable = |name: &str| std::env::var(name).ok();
    let needed = |name: &str| variable(name).ok_or(USAGE);
    let bucket = BucketName::parse(&needed("OSS_BUCKET")?)?;
    let endpoint = Endpoint::parse(&needed("OSS_ENDPOINT")?)?;
    let clock = Arc::new(SystemClock);
    let source = find_credentials(&CredentialOptions::default(), &bucket, &variable).await?;
    let credentials = CredentialKeeper::start(source, clock.clone()).await?;
    let options = OssOptions::new(endpoint, bucket).in_region(&needed("OSS_REGION")?);
    Ok(OssStore::new(options, Some(credentials), clock)?)
}

/// The object is the text and an end of line.
async fn put(store: &OssStore, key: &str, text: &str) -> Result<(), Box<dyn Error>> {
    let key = Key::parse(key)?;
    let written = store.put(&key, format!("{text}\n").into_bytes().into(), &PutOptions::default()).await?;
    println!("put {key}: ETag {}", written.etag);
    Ok(())
}

async fn get(store: &OssStore, key: &str) -> Result<(), Box<dyn Error>> {
    let fetched = store.read(&Key::parse(key)?, &GetOptions::default(), &BufferPool::new(POOL_BYTES)).await?;
    std::io::stdout().write_all(&fetched.bytes)?;
    Ok(())
}

async fn list(store: &OssStore, prefix: &str) -> Result<(), Box<dyn Error>> {
    let mut request = ListRequest::all(Prefix::parse(prefix)?);
    loop {
        let page = store.list(&request).await?;
        for entry in page.objects {
            println!("{:>8}  {}  {}", entry.size, entry.last_modified, entry.key);
        }
        match page.next {
            Some(next) => request.continuation = Some(next),
            None => return Ok(()),
        }
    }
}
