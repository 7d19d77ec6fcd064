//! Counts of what was asked and moved, for tests and benchmarks.

use crate::route::Operation;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters; each is exact, all together are not one instant.
#[derive(Debug)]
pub(crate) struct Stats {
    requests: Vec<AtomicU64>,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// The counts, as `GET /-/stats` says them.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Snapshot {
    /// Requests by operation; operations that nobody asked for are left out.
    requests: BTreeMap<&'static str, u64>,
    /// Bytes of objects in bodies, received.
    bytes_in: u64,
    /// Bytes of objects in bodies, sent.
    bytes_out: u64,
}

impl Stats {
    pub(crate) fn new() -> Self {
        let requests = Operation::ALL.iter().map(|_| AtomicU64::new(0)).collect();
        Self { requests, bytes_in: AtomicU64::new(0), bytes_out: AtomicU64::new(0) }
    }

    pub(crate) fn count(&self, operation: Operation) {
        if let Some(counter) = self.requests.get(operation as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn add_bytes_in(&self, bytes: u64) {
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_bytes_out(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let counts = Operation::ALL.iter().zip(&self.requests);
        let counts = counts.map(|(operation, counter)| (operation.name(), counter.load(Ordering::Relaxed)));
        Snapshot {
            requests: counts.filter(|(_, count)| *count > 0).collect(),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn reset(&self) {
        for counter in self.requests.iter().chain([&self.bytes_in, &self.bytes_out]) {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_name() {
        let stats = Stats::new();
        stats.count(Operation::PutObject);
        stats.count(Operation::PutObject);
        stats.count(Operation::UploadPartCopy);
        stats.add_bytes_in(7);
        let json = serde_json::to_value(stats.snapshot()).unwrap();
        let expected = serde_json::json!({
            "requests": {"PutObject": 2, "UploadPartCopy": 1}, "bytes_in": 7, "bytes_out": 0,
        });
        assert_eq!(json, expected);
        stats.reset();
        assert_eq!(serde_json::to_value(stats.snapshot()).unwrap()["requests"], serde_json::json!({}));
    }
}
