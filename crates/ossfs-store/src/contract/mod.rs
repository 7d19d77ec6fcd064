//! What every store does: the sentences of [`ObjectStore`]'s documentation as checks, run against each implementation.
//!
//! A check panics with what it found. Each works under a prefix of its own, so that they can share a bucket.

mod conditions;
mod copying;
mod listing;
mod multipart;
mod objects;
mod symlinks;

use crate::api::{GetOptions, ObjectStore, Payload, PutOptions, Written};
use crate::buffer::BufferPool;
use crate::error::{Kind, Result};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderValue;
use ossfs_types::{ByteRange, Key, Prefix};
use std::fmt::Debug;
use std::sync::Arc;

/// A check of a store, and the sentence it checks.
#[derive(Clone, Copy)]
pub struct Case {
    /// The sentence, as an identifier.
    pub name: &'static str,
    run: for<'a> fn(&'a Bench) -> BoxFuture<'a, ()>,
}

impl Case {
    /// Runs the check against a store; panics if the store does otherwise.
    pub async fn run(&self, store: Arc<dyn ObjectStore>) {
        (self.run)(&Bench { store, prefix: format!("{}/", self.name), pool: BufferPool::new(16 << 20) }).await;
    }
}

/// All checks.
pub fn cases() -> impl Iterator<Item = Case> {
    [conditions::CASES, copying::CASES, listing::CASES, multipart::CASES, objects::CASES, symlinks::CASES]
        .into_iter()
        .flatten()
        .copied()
}

/// Makes the table of a module's checks.
macro_rules! case_table {
    ($($name:ident)*) => {
        pub(super) const CASES: &[super::Case] =
            &[$(super::Case { name: stringify!($name), run: |bench| Box::pin($name(bench)) }),*];
    };
}
use case_table;

/// A store with a place in it for one check.
struct Bench {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    pool: Arc<BufferPool>,
}

impl Bench {
    fn key(&self, name: &str) -> Key {
        Key::parse(&format!("{}{name}", self.prefix)).expect("a valid key")
    }

    fn prefix(&self, name: &str) -> Prefix {
        Prefix::parse(&format!("{}{name}", self.prefix)).expect("a valid prefix")
    }

    async fn put(&self, name: &str, bytes: impl Into<Payload>) -> Written {
        self.store.put(&self.key(name), bytes.into(), &PutOptions::default()).await.expect("a put succeeds")
    }

    /// The whole object, checked.
    async fn content(&self, name: &str) -> Bytes {
        self.read(name, &GetOptions::default()).await.expect("a read succeeds")
    }

    async fn read(&self, name: &str, options: &GetOptions) -> Result<Bytes> {
        Ok(self.store.read(&self.key(name), options, &self.pool).await?.bytes)
    }
}

/// Bytes that no part of repeats soon.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

fn range(start: u64, end: u64) -> ByteRange {
    ByteRange::new(start, end).expect("in order")
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("can be in a header")
}

#[track_caller]
fn assert_kind<T: Debug>(result: Result<T>, kind: Kind) {
    match result {
        Err(error) if error.kind() == kind => {}
        other => panic!("expected {kind:?}, got {other:?}"),
    }
}
