//! Reused buffers for bodies.
//!
//! A fresh buffer for each body costs a page fault per 4 KiB and halves throughput, so bodies are received into
//! buffers that were touched before. Capacities are powers of two, so that a buffer fits the next body of its class.
//! What the pool keeps is bounded; what is in use is the caller's budget, not the pool's.

use bytes::Bytes;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// Smallest capacity, in bytes: one page.
const CAPACITY_MIN: usize = 4 << 10;
/// Capacities from one page to 2^(12 + 52) bytes: any `usize`.
const CLASSES: usize = 53;

/// Keeps buffers that are not in use for the next body.
pub struct BufferPool {
    kept: Mutex<Kept>,
    kept_bytes_max: usize,
}

struct Kept {
    /// Free buffers by class; class `c` has a capacity of `CAPACITY_MIN << c` bytes.
    classes: [Vec<Vec<u8>>; CLASSES],
    bytes: usize,
}

/// The class whose capacity holds `len` bytes.
fn class_of(len: usize) -> usize {
    let pages = len.div_ceil(CAPACITY_MIN).max(1);
    pages.next_power_of_two().trailing_zeros() as usize
}

impl BufferPool {
    /// A pool that keeps at most `kept_bytes_max` bytes of free buffers.
    pub fn new(kept_bytes_max: usize) -> Arc<Self> {
        let kept = Kept { classes: [const { Vec::new() }; CLASSES], bytes: 0 };
        Arc::new(Self { kept: Mutex::new(kept), kept_bytes_max })
    }

    /// An empty buffer with room for `len` bytes at least.
    pub fn take(self: &Arc<Self>, len: usize) -> Buffer {
        let class = class_of(len);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let reused = kept.classes[class].pop();
        if let Some(bytes) = &reused {
            kept.bytes -= bytes.capacity();
        }
        drop(kept);
        let bytes = reused.unwrap_or_else(|| Vec::with_capacity(CAPACITY_MIN << class));
        Buffer { bytes, pool: self.clone() }
    }

    /// Bytes of the free buffers that the pool keeps now.
    pub fn kept_bytes(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    fn put_back(&self, mut bytes: Vec<u8>) {
        let capacity = bytes.capacity();
        let class = class_of(capacity);
        // A buffer that grew past its class by the allocator's generosity would not fit the books.
        if capacity != CAPACITY_MIN << class {
            return;
        }
        bytes.clear();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes + capacity <= self.kept_bytes_max {
            kept.bytes += capacity;
            kept.classes[class].push(bytes);
        }
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BufferPool({} of {} bytes kept)", self.kept_bytes(), self.kept_bytes_max)
    }
}

/// A contiguous buffer that goes back to its pool when it, or the last [`Bytes`] made of it, is dropped.
pub struct Buffer {
    bytes: Vec<u8>,
    pool: Arc<BufferPool>,
}

impl Buffer {
    /// Adds bytes at the end. Within the length that was asked of [`BufferPool::take`], nothing is allocated.
    pub fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets the content.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Shares the content without copying.
    pub fn freeze(self) -> Bytes {
        if self.bytes.is_empty() { Bytes::new() } else { Bytes::from_owner(self) }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} of {} bytes)", self.bytes.len(), self.bytes.capacity())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.put_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_its_last_view_is_gone() {
        let pool = BufferPool::new(1 << 20);
        let mut buffer = pool.take(10_000);
        buffer.append(b"hello");
        let address = buffer.as_ptr();
        let bytes = buffer.freeze();
        let view = bytes.slice(1..3);
        drop(bytes);
        assert_eq!(pool.kept_bytes(), 0, "a view still needs it");
        assert_eq!(&view[..], b"el");
        drop(view);
        assert_eq!(pool.kept_bytes(), 16 << 10);
        let again = pool.take(9_000);
        assert_eq!(again.as_ptr(), address);
        assert!(again.is_empty());
    }

    #[test]
    fn the_pool_keeps_no_more_than_its_bound() {
        let pool = BufferPool::new(10_000);
        let buffers: Vec<Buffer> = (0..4).map(|_| pool.take(4096)).collect();
        drop(buffers);
        assert_eq!(pool.kept_bytes(), 8192);
    }

    #[test]
    fn classes_hold_what_is_asked_of_them() {
        for len in [0, 1, 4096, 4097, 1 << 20, (1 << 20) + 1] {
            assert!(CAPACITY_MIN << class_of(len) >= len, "{len}");
        }
        assert_eq!(class_of(4096), 0);
        assert_eq!(class_of(4097), 1);
    }
}
