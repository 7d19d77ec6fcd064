//! Every implementation keeps the contract.

use crate::sandboxed::Sandbox;
use ossfs_store::{MemoryStore, ObjectStore, SignatureVersion, contract};
use ossfs_types::{BucketName, SystemClock};
use std::sync::Arc;

async fn keeps_the_contract(store: Arc<dyn ObjectStore>) {
    for case in contract::cases() {
        println!("{}", case.name);
        case.run(store.clone()).await;
    }
}

#[tokio::test]
async fn the_store_in_memory() {
    let store = MemoryStore::new(BucketName::parse("my-bucket").unwrap(), Arc::new(SystemClock));
    keeps_the_contract(Arc::new(store)).await;
}

#[tokio::test]
async fn oss_with_signatures_of_version_4() {
    let sandbox = Sandbox::start().await;
    keeps_the_contract(Arc::new(sandbox.store(SignatureVersion::V4).await)).await;
    sandbox.stop().await;
}

#[tokio::test]
async fn oss_with_signatures_of_version_1() {
    let sandbox = Sandbox::start().await;
    keeps_the_contract(Arc::new(sandbox.store(SignatureVersion::V1).await)).await;
    sandbox.stop().await;
}

#[tokio::test]
async fn oss_that_keeps_its_objects_in_files() {
    let directory = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::on_directory(directory.path()).await;
    keeps_the_contract(Arc::new(sandbox.store(SignatureVersion::V4).await)).await;
    sandbox.stop().await;
}
