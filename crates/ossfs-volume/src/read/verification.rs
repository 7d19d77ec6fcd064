//! Whether an object that was read from its start to its end was read right: OSS gives one CRC-64 an object, so the ranges'
//! are combined. Pure.

use ossfs_types::{ByteRange, Crc64};
use std::collections::BTreeMap;

/// Chunks that may wait for an earlier one. In-order readers need a few; who jumps further does not read from start to end.
const WAITING_MAX: usize = 64;

/// The progress of one reader through one object.
///
/// ```text
/// Collecting --all ranges, right--> Done        Failed --read again from 0--> Collecting
///     |  \------all ranges, wrong--> Failed
///     \---ranges that don't fit, or without checksum--> Done
/// ```
#[derive(Debug)]
pub(super) enum Verification {
    /// All bytes before `position` have the checksum `crc64`; ranges past it wait.
    Collecting { expected: Crc64, size: u64, position: u64, crc64: Crc64, waiting: BTreeMap<u64, (u64, Crc64)> },
    /// Nothing more to check: all was right, or it can't be told.
    Done,
    /// The bytes are not the object's, as was found with the chunk at `from`. Stays, because the kernel drops the error of
    /// a readahead and asks again.
    Failed { from: u64 },
}

impl Verification {
    /// For an object of `size` bytes. Without its checksum there is nothing to check.
    pub(super) fn new(size: u64, expected: Option<Crc64>) -> Self {
        match expected {
            Some(expected) => {
                Self::Collecting { expected, size, position: 0, crc64: Crc64::EMPTY, waiting: BTreeMap::new() }
            }
            None => Self::Done,
        }
    }

    /// Whether the bytes were found to be wrong.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }

    /// Whether a read of `range` must fail: it reaches what the bytes were found to be wrong with.
    pub(super) fn fails(&self, range: ByteRange) -> bool {
        matches!(self, Self::Failed { from } if range.end() > *from)
    }

    /// Takes the checksum of a range; one that was taken before is ignored. Returns whether the object has just been found
    /// to be wrong.
    pub(super) fn add(&mut self, range: ByteRange, checksum: Option<Crc64>) -> bool {
        let Self::Collecting { expected, size, position, crc64, waiting } = self else { return false };
        if range.end() <= *position || waiting.get(&range.start()).is_some_and(|(end, _)| *end == range.end()) {
            return false;
        }
        let Some(checksum) = checksum.filter(|_| range.start() >= *position && waiting.len() < WAITING_MAX) else {
            *self = Self::Done;
            return false;
        };
        waiting.insert(range.start(), (range.end(), checksum));
        while let Some(entry) = waiting.first_entry().filter(|entry| entry.key() == position) {
            let (end, next) = entry.remove();
            *crc64 = crc64.followed_by(next, end - *position);
            *position = end;
        }
        // Fetched anew with other bounds: the ranges don't tile the object.
        let overlaps = waiting.first_key_value().is_some_and(|(start, _)| start < position);
        if *position < *size && !overlaps {
            return false;
        }
        let failed = !overlaps && crc64 != expected;
        *self = if failed { Self::Failed { from: range.start() } } else { Self::Done };
        failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: &[u8] = b"the bytes of an object";

    fn range(start: usize, end: usize) -> (ByteRange, Option<Crc64>) {
        (ByteRange::new(start as u64, end as u64).unwrap(), Some(Crc64::of(&BYTES[start..end])))
    }

    fn run(expected: Crc64, ranges: &[(ByteRange, Option<Crc64>)]) -> (Verification, Vec<bool>) {
        let mut verification = Verification::new(BYTES.len() as u64, Some(expected));
        let found = ranges.iter().map(|(range, crc64)| verification.add(*range, *crc64)).collect();
        (verification, found)
    }

    #[test]
    fn ranges_in_any_order_make_the_whole() {
        let (wrong, len) = (Crc64::from_u64(1), BYTES.len());
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]] {
            let ranges = order.map(|at| [range(0, 5), range(5, 11), range(11, len)][at]);
            let (right, found) = run(Crc64::of(BYTES), &ranges);
            assert!(matches!(right, Verification::Done) && found == [false; 3], "{order:?}: {right:?}");
            let (failed, found) = run(wrong, &ranges);
            assert!(failed.fails(range(21, 22).0) && found == [false, false, true], "{order:?}: {failed:?}");
        }
    }

    #[test]
    fn a_range_counts_once() {
        let ranges = [range(0, 5), range(0, 5), range(11, 22), range(11, 22), range(5, 11), range(5, 11)];
        let (wrong, found) = run(Crc64::from_u64(1), &ranges);
        assert!(wrong.fails(range(5, 6).0) && !wrong.fails(range(0, 5).0));
        assert_eq!(found, [false, false, false, false, true, false]);
    }

    #[test]
    fn what_does_not_fit_is_not_judged() {
        let (wrong, len) = (Crc64::from_u64(1), BYTES.len());
        let no_checksum = (range(5, len).0, None);
        for second in [range(4, len), no_checksum] {
            let (verification, found) = run(wrong, &[range(0, 5), second, range(5, len)]);
            assert!(matches!(verification, Verification::Done), "{verification:?}");
            assert_eq!(found, [false; 3]);
        }
        let (verification, _) = run(wrong, &[range(3, len), range(0, 5)]);
        assert!(matches!(verification, Verification::Done), "{verification:?}");
        assert!(matches!(Verification::new(5, None), Verification::Done));
    }
}
