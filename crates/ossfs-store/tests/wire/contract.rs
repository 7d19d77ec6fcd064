//! Every implementation keeps the contract.

use ossfs_store::{MemoryStore, contract};
use ossfs_types::{BucketName, SystemClock};
use std::sync::Arc;

#[tokio::test]
async fn the_store_in_memory_keeps_the_contract() {
    let store = Arc::new(MemoryStore::new(BucketName::parse("my-bucket").unwrap(), Arc::new(SystemClock)));
    for case in contract::cases() {
        println!("{}", case.name);
        case.run(store.clone()).await;
    }
}
