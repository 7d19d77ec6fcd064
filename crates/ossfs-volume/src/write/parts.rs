//! Which parts an upload is made of. Pure.

use super::extents::{Extent, Source};
use ossfs_types::ByteRange;
use ossfs_types::limits::{PART_BYTES_MAX, PART_BYTES_MIN, PART_NUMBER_MAX};

/// Bytes of one part that is copied on the server: large, as no byte moves, but small enough to be done within a request's
/// deadline.
pub(crate) const PART_COPY_BYTES: u64 = 1 << 30;

const _: () = assert!(PART_BYTES_MIN <= PART_COPY_BYTES && PART_COPY_BYTES <= PART_BYTES_MAX);

/// How large parts may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartLimits {
    /// Smallest, except the last.
    pub min: u64,
    /// What is uploaded at once, if possible.
    pub upload: u64,
    /// What is copied at once.
    pub copy: u64,
}

/// One part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Bytes that go over the wire: those that are here, and those of the base that are too few for a part of their own.
    Upload(ByteRange),
    /// Bytes of the base, copied on the server.
    Copy(ByteRange),
}

impl Part {
    pub(crate) fn range(self) -> ByteRange {
        match self {
            Self::Upload(range) | Self::Copy(range) => range,
        }
    }
}

/// The parts of the extents, which adjoin each other.
///
/// Invariants: the parts tile the extents in order; none but the last is smaller than `min`; no byte that was written is
/// copied; no more than [`PART_NUMBER_MAX`] parts.
pub(crate) fn plan(extents: &[Extent], limits: &PartLimits) -> Vec<Part> {
    let mut runs = runs(extents);
    absorb_small(&mut runs, limits.min);
    let total: u64 = runs.iter().map(|run| run.len).sum();
    // Room for the uneven ends of runs.
    let fair = total.div_ceil(u64::from(PART_NUMBER_MAX) / 2).max(1);
    let mut at = extents.first().map_or(0, |extent| extent.range.start());
    let mut parts = Vec::new();
    for run in runs {
        let size = if run.copied { limits.copy } else { limits.upload }.max(fair).max(limits.min);
        // Evenly, so that no piece is too small.
        let pieces = (run.len / size.max(1)).max(1);
        let end = at + run.len;
        for piece in 0..pieces {
            let next = if piece + 1 == pieces { end } else { at + run.len / pieces };
            let range = ByteRange::new(at, next).expect("pieces ascend");
            parts.push(if run.copied { Part::Copy(range) } else { Part::Upload(range) });
            at = next;
        }
    }
    parts
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    copied: bool,
    len: u64,
}

/// Neighbours that go the same way, as one.
fn runs(extents: &[Extent]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for extent in extents {
        push(&mut runs, Run { copied: extent.source == Source::Base, len: extent.range.len() });
    }
    runs
}

fn push(runs: &mut Vec<Run>, run: Run) {
    match runs.last_mut() {
        Some(last) if last.copied == run.copied => last.len += run.len,
        _ if run.len == 0 => {}
        _ => runs.push(run),
    }
}

/// Makes every run but the last large enough for a part: copied ones that are not are uploaded, uploaded ones take the rest
/// from the copied one that follows.
fn absorb_small(runs: &mut Vec<Run>, min: u64) {
    let mut old = std::mem::take(runs).into_iter().peekable();
    while let Some(mut run) = old.next() {
        if let Some(next) = old.peek_mut() {
            if run.copied && run.len < min {
                run.copied = false;
            }
            // What is before it, if uploaded, is one run with it.
            let before = runs.last().filter(|last| !last.copied && !run.copied).map_or(0, |last| last.len);
            if !run.copied && before + run.len < min {
                let taken = next.len.min(min - run.len - before);
                run.len += taken;
                next.len -= taken;
            }
        } else if run.copied && run.len < min && runs.last().is_some_and(|last| !last.copied) {
            // A small last part could be copied, but with what is before it it needs no request of its own.
            run.copied = false;
        }
        push(runs, run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    const LIMITS: PartLimits = PartLimits { min: 10, upload: 40, copy: 100 };

    fn extents(lens: &[(bool, u64)]) -> Vec<Extent> {
        let mut at = 0;
        lens.iter()
            .map(|(base, len)| {
                let range = ByteRange::at(at, *len).unwrap();
                at += len;
                let memory = || Source::Memory(Bytes::from(vec![0; usize::try_from(*len).unwrap()]));
                Extent { range, source: if *base { Source::Base } else { memory() }, generation: 1 }
            })
            .collect()
    }

    fn check(lens: &[(bool, u64)], expected: &[Part]) {
        assert_eq!(plan(&extents(lens), &LIMITS), expected, "{lens:?}");
    }

    fn upload(start: u64, end: u64) -> Part {
        Part::Upload(ByteRange::new(start, end).unwrap())
    }

    fn copy(start: u64, end: u64) -> Part {
        Part::Copy(ByteRange::new(start, end).unwrap())
    }

    #[test]
    fn parts_by_rows() {
        check(&[], &[]);
        check(&[(false, 5)], &[upload(0, 5)]);
        check(&[(false, 80)], &[upload(0, 40), upload(40, 80)]);
        check(&[(true, 50), (false, 3)], &[copy(0, 50), upload(50, 53)]);
        // A small change in the middle takes what is missing from what follows.
        check(&[(true, 50), (false, 3), (true, 60)], &[copy(0, 50), upload(50, 60), copy(60, 113)]);
        // Too little between two changes to be copied.
        check(&[(false, 20), (true, 5), (false, 20)], &[upload(0, 45)]);
        check(&[(true, 4), (false, 20)], &[upload(0, 24)]);
        check(&[(true, 300)], &[copy(0, 100), copy(100, 200), copy(200, 300)]);
        check(&[(false, 3), (true, 4)], &[upload(0, 7)]);
    }

    proptest! {
        #[test]
        fn parts_tile_the_file_within_the_limits(
            lens in proptest::collection::vec((any::<bool>(), 1u64..70), 0..20),
        ) {
            let extents = extents(&lens);
            let parts = plan(&extents, &LIMITS);
            let mut at = 0;
            for (index, part) in parts.iter().enumerate() {
                let range = part.range();
                prop_assert_eq!(range.start(), at);
                prop_assert!(range.len() >= LIMITS.min || index + 1 == parts.len(), "{:?}", parts);
                at = range.end();
                if let Part::Copy(range) = part {
                    let written = extents.iter().any(|extent| {
                        extent.source != Source::Base
                            && extent.range.start() < range.end()
                            && range.start() < extent.range.end()
                    });
                    prop_assert!(!written, "{:?}", parts);
                }
            }
            prop_assert_eq!(at, lens.iter().map(|(_, len)| len).sum::<u64>());
        }
    }
}
