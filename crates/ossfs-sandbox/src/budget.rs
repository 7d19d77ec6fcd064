//! How much memory the stored objects may take.
//!
//! Invariant: the bytes of all live [`Charge`]s never exceed the limit; a charge is given back when it is dropped, so
//! whatever holds memory holds its charge beside it.

use crate::error::{Code, OssError, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The memory that may be used for content and for names.
#[derive(Debug)]
pub(crate) struct Budget {
    limit_bytes: u64,
    used_bytes: AtomicU64,
}

impl Budget {
    pub(crate) fn new(limit_bytes: u64) -> Arc<Self> {
        Arc::new(Self { limit_bytes, used_bytes: AtomicU64::new(0) })
    }

    /// Takes `bytes` out of the budget, or refuses.
    pub(crate) fn charge(self: &Arc<Self>, bytes: u64) -> Result<Charge> {
        let taken = self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|total| *total <= self.limit_bytes)
        });
        match taken {
            Ok(_) => Ok(Charge { budget: self.clone(), bytes }),
            Err(_) => Err(OssError::new(Code::SandboxFull)
                .message(format!("The sandbox may hold {} bytes (--memory-limit).", self.limit_bytes))),
        }
    }
}

/// A part of the budget, in use until dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Charge {
    /// Gives back all but `bytes`; never takes more.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        let kept = bytes.min(self.bytes);
        self.budget.used_bytes.fetch_sub(self.bytes - kept, Ordering::Relaxed);
        self.bytes = kept;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_can_be_used_again() {
        let budget = Budget::new(100);
        let mut first = budget.charge(60).unwrap();
        assert!(budget.charge(41).is_err());
        first.shrink_to(10);
        let second = budget.charge(90).unwrap();
        assert!(budget.charge(1).is_err() && budget.charge(u64::MAX).is_err());
        drop((first, second));
        assert!(budget.charge(100).is_ok());
    }
}
