//! Puts an object into a bucket, lists it and reads it back.
//!
//! ```text
//! ossfs sandbox --bucket my-bucket &
//! OSS_ACCESS_KEY_ID=sandbox OSS_ACCESS_KEY_SECRET=sandbox-secret \
//!     cargo run --example quickstart -- http://127.0.0.1:9900 my-bucket cn-hangzhou
//! ```

use ossfs_store::{
    BufferPool, CredentialKeeper, CredentialOptions, Endpoint, GetOptions, ListRequest, ObjectStore, OssOptions,
    OssStore, PutOptions, find_credentials,
};
use ossfs_types::{BucketName, Key, Prefix, SystemClock};
use std::error::Error;
use std::sync::Arc;

const POOL_BYTES: usize = 64 << 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, bucket, region] = &arguments[..] else {
        return Err("usage: quickstart ENDPOINT BUCKET REGION".into());
    };
    let bucket = BucketName::parse(bucket)?;
    let clock = Arc::new(SystemClock);
    let variable = |name: &str| std::env::var(name).ok();
    let source = find_credentials(&CredentialOptions::default(), &bucket, &variable).await?;
    let credentials = CredentialKeeper::start(source, clock.clone()).await?;
    let options = OssOptions::new(Endpoint::parse(endpoint)?, bucket).in_region(region);
    let store = OssStore::new(options, Some(credentials), clock)?;

    let key = Key::parse("greetings/你好.txt")?;
    let written = store.put(&key, "Hello from ossfs.\n".into(), &PutOptions::default()).await?;
    println!("put   {key}: ETag {}", written.etag);
    for entry in store.list(&ListRequest::all(Prefix::parse("greetings/")?)).await?.objects {
        println!("list  {}: {} bytes, {:?}, {}", entry.key, entry.size, entry.object_type, entry.last_modified);
    }
    let fetched = store.read(&key, &GetOptions::default(), &BufferPool::new(POOL_BYTES)).await?;
    print!("read  {key}: {}", String::from_utf8_lossy(&fetched.bytes));
    Ok(())
}
