//! With faults of every kind, the bucket ends as a model says and no wrong byte is read.

use crate::model::{Client, Tally};
use crate::sandboxed::Sandbox;
use ossfs_store::{MemoryStore, ObjectStore, PutOptions, SignatureVersion};
use ossfs_types::{BucketName, Key, Prefix, SystemClock};
use std::sync::Arc;

const KINDS: [&str; 7] = ["error-503", "reset", "lost-answer", "stall", "truncate", "corrupt", "denied"];
/// Each at 5 %.
const PROBABILITY: f64 = 0.05;
/// Clients at the same time, each with its own keys.
const CLIENTS: u64 = 16;

/// Operations of one run: 2,000, or 20,000 in the long runs.
fn operations() -> u64 {
    if std::env::var_os("OSSFS_LONG").is_some() { 20_000 } else { 2_000 }
}

fn seed() -> u64 {
    match std::env::var("OSSFS_SEED") {
        Ok(seed) => seed.parse().expect("OSSFS_SEED is a number"),
        Err(_) => fastrand::u64(..),
    }
}

fn faults(kinds: &[&str]) -> String {
    let faults: Vec<String> = kinds
        .iter()
        .map(|kind| format!(r#"{{"operations": ["*"], "kind": "{kind}", "probability": {PROBABILITY}}}"#))
        .collect();
    format!(r#"{{"faults": [{}]}}"#, faults.join(","))
}

async fn run(store: Arc<dyn ObjectStore>, seed: u64) -> Vec<Client> {
    let clients = (0..CLIENTS).map(|number| {
        let mut client = Client::new(store.clone(), number, seed);
        tokio::spawn(async move {
            for _ in 0..operations() / CLIENTS {
                client.step().await;
            }
            client
        })
    });
    let mut done = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        done.push(client.await.unwrap());
    }
    done
}

async fn survives(kinds: &[&str]) {
    let seed = seed();
    println!("OSSFS_SEED={seed}");
    let sandbox = Sandbox::start().await;
    let store = Arc::new(sandbox.store(SignatureVersion::V4).await);
    sandbox.set_conditions(&faults(kinds)).await;
    let clients = run(store, seed).await;
    sandbox.set_conditions(r#"{"faults": []}"#).await;
    let mut tally = Tally::default();
    for mut client in clients {
        client.check().await;
        tally.done += client.tally.done;
        tally.unknown += client.tally.unknown;
        tally.failed += client.tally.failed;
    }
    println!("{kinds:?}: {tally:?}");
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_is_a_model_of_the_store_in_memory() {
    let store = Arc::new(MemoryStore::new(BucketName::parse("my-bucket").unwrap(), Arc::new(SystemClock)));
    for mut client in run(store, seed()).await {
        client.check().await;
        assert_eq!((client.tally.unknown, client.tally.failed), (0, 0));
    }
}

macro_rules! each_kind {
    ($($name:ident $number:literal)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            survives(&[KINDS[$number]]).await;
        }
    )*};
}
each_kind! {
    errors_503 0
    resets 1
    lost_answers 2
    stalls 3
    truncated_answers 4
    corrupted_bodies 5
    denials 6
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_kinds_at_once() {
    survives(&KINDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_whose_answer_was_lost_is_aborted() {
    let sandbox = Sandbox::start().await;
    let store = sandbox.store(SignatureVersion::V4).await;
    let key = |text| Key::parse(text).unwrap();
    let options = PutOptions::default();
    let earlier = store.create_upload(&key("file"), &options).await.unwrap();
    let longer = store.create_upload(&key("file.more"), &options).await.unwrap();
    // Beginnings are told in whole seconds.
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    let lost = r#"{"faults": [{"operations": ["InitiateMultipartUpload"], "kind": "lost-answer", "count": 2}]}"#;
    sandbox.set_conditions(lost).await;
    let upload = store.create_upload(&key("file"), &options).await.unwrap();
    let page = store.list_uploads(&Prefix::all(), None).await.unwrap();
    let mut left: Vec<_> = page.uploads.into_iter().map(|open| open.upload).collect();
    left.sort_by_key(|upload| (upload.key.clone(), upload.id.as_str().to_owned()));
    let mut wanted = vec![earlier, upload];
    wanted.sort_by_key(|upload| upload.id.as_str().to_owned());
    wanted.push(longer);
    assert_eq!(left, wanted);
    sandbox.stop().await;
}
