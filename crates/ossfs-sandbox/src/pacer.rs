//! Holding bodies to a bandwidth.

use std::time::Duration;
use tokio::time::Instant;

/// Decides when bytes are through: each byte takes its time after the one before, and time that was not used is lost.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// 0 for no limit.
    bytes_per_second: u64,
    free_at: Option<Instant>,
}

/// A piece is what passes in about this time, so that a body flows rather than jumps.
const PIECE_MILLISECONDS: u64 = 10;
/// Smaller pieces would cost more than they smooth.
const PIECE_BYTES_MIN: u64 = 4 << 10;

impl Pacer {
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, free_at: None }
    }

    /// Largest piece to pass at once.
    pub(crate) fn piece_bytes(&self, max: usize) -> usize {
        if self.bytes_per_second == 0 {
            return max;
        }
        let piece = (self.bytes_per_second / 1000).saturating_mul(PIECE_MILLISECONDS).max(PIECE_BYTES_MIN);
        usize::try_from(piece).unwrap_or(max).min(max)
    }

    /// When `bytes` more will be through; `None` for at once.
    pub(crate) fn pass(&mut self, bytes: u64, now: Instant) -> Option<Instant> {
        if self.bytes_per_second == 0 {
            return None;
        }
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let through = self.free_at.map_or(now, |free_at| free_at.max(now)) + takes;
        self.free_at = Some(through);
        Some(through)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_their_time_and_idle_time_is_lost() {
        let start = Instant::now();
        let mut pacer = Pacer::new(1_000_000);
        assert_eq!(pacer.piece_bytes(1 << 20), 10_000);
        assert_eq!(pacer.pass(500_000, start), Some(start + Duration::from_millis(500)));
        assert_eq!(pacer.pass(500_000, start), Some(start + Duration::from_secs(1)));
        let later = start + Duration::from_secs(10);
        assert_eq!(pacer.pass(1_000, later), Some(later + Duration::from_millis(1)));
        assert_eq!(Pacer::new(0).pass(1 << 40, start), None);
    }
}
