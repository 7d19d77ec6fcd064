//! Which parts an upload is made of. Pure.

use super::extents::{Extent, Origin, Source};
use ossfs_types::ByteRange;
use ossfs_types::limits::{PART_BYTES_MAX, PART_BYTES_MIN, PART_NUMBER_MAX};
use std::sync::Arc;

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
    /// Bytes that go over the wire: those that are here, and those of objects that are too few for a part of their own.
    Upload(ByteRange),
    /// Bytes of an object, copied on the server.
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
/// copied; a part that is copied comes from one object, without a gap; no more than [`PART_NUMBER_MAX`] parts. As few bytes
/// as that allows go over the wire, and then as few requests.
pub(crate) fn plan(extents: &[Extent], limits: &PartLimits) -> Vec<Part> {
    let total: u64 = extents.iter().map(|extent| extent.range.len()).sum();
    // Fewer bytes a part and there would be too many parts.
    let mut least = total.div_ceil(u64::from(PART_NUMBER_MAX)).max(limits.min);
    loop {
        let parts = parts_of_at_least(least, extents, limits);
        if parts.len() <= PART_NUMBER_MAX as usize || least >= PART_BYTES_MAX {
            return parts;
        }
        // Many small changes, or uneven ends of runs: larger parts, of which fewer bytes are copied.
        least += least / 4;
    }
}

fn parts_of_at_least(least: u64, extents: &[Extent], limits: &PartLimits) -> Vec<Part> {
    let mut runs = runs(extents);
    absorb_small(&mut runs, least);
    let mut at = extents.first().map_or(0, |extent| extent.range.start());
    let mut parts = Vec::new();
    for run in runs {
        let copied = run.from.is_some();
        let size = if copied { limits.copy } else { limits.upload }.max(least);
        // Evenly, so that no piece is too small.
        let pieces = (run.len / size.max(1)).max(run.len.div_ceil(PART_BYTES_MAX)).max(1);
        let end = at + run.len;
        for piece in 0..pieces {
            let next = if piece + 1 == pieces { end } else { at + run.len / pieces };
            let range = ByteRange::new(at, next).expect("pieces ascend");
            parts.push(if copied { Part::Copy(range) } else { Part::Upload(range) });
            at = next;
        }
    }
    parts
}

/// Bytes that go the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    /// Where they can be copied from; nowhere if they are to be uploaded.
    from: Option<From>,
    len: u64,
}

/// Where bytes are that can be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
struct From {
    /// The object; the file's own, if absent.
    origin: Option<Arc<Origin>>,
    offset: u64,
}

impl From {
    fn after(&self, bytes: u64) -> Self {
        Self { origin: self.origin.clone(), offset: self.offset + bytes }
    }
}

/// Neighbours that go the same way, as one.
fn runs(extents: &[Extent]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for extent in extents {
        let from = match &extent.source {
            Source::Base => Some(From { origin: None, offset: extent.range.start() }),
            Source::Borrowed { origin, offset } => Some(From { origin: Some(origin.clone()), offset: *offset }),
            _ => None,
        };
        push(&mut runs, Run { from, len: extent.range.len() });
    }
    runs
}

fn push(runs: &mut Vec<Run>, run: Run) {
    if run.len == 0 {
        return;
    }
    if let Some(last) = runs.last_mut()
        && last.from.as_ref().map(|from| from.after(last.len)) == run.from
    {
        last.len += run.len;
    } else {
        runs.push(run);
    }
}

/// Makes every run but the last large enough for a part: copied ones that are not are uploaded, uploaded ones take the rest
/// from the copied one that follows.
fn absorb_small(runs: &mut Vec<Run>, min: u64) {
    let mut old = std::mem::take(runs).into_iter().peekable();
    while let Some(mut run) = old.next() {
        if let Some(next) = old.peek_mut() {
            if run.len < min {
                run.from = None;
            }
            // What is before it, if uploaded, is one run with it.
            let before =
                runs.last().filter(|last| last.from.is_none() && run.from.is_none()).map_or(0, |last| last.len);
            if run.from.is_none() && before + run.len < min {
                let taken = next.len.min(min - run.len - before);
                run.len += taken;
                next.len -= taken;
                next.from = next.from.as_ref().map(|from| from.after(taken));
            }
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
        // The last part may be small.
        check(&[(false, 20), (true, 4)], &[upload(0, 20), copy(20, 24)]);
    }

    /// What is copied from an object, from an offset on.
    fn borrowed(range: (u64, u64), key: &str, offset: u64) -> Extent {
        let ident = ossfs_ledger::Ident {
            etag: ossfs_types::ETag::parse(key).unwrap(),
            size: 1_000,
            crc64: None,
            last_modified: None,
        };
        let origin = Arc::new(Origin { key: ossfs_types::Key::parse(key).unwrap(), ident });
        let range = ByteRange::new(range.0, range.1).unwrap();
        Extent { range, source: Source::Borrowed { origin, offset }, generation: 1 }
    }

    #[test]
    fn a_copied_part_is_of_one_object_without_a_gap() {
        let extents = [borrowed((0, 20), "a", 5), borrowed((20, 50), "a", 25), borrowed((50, 80), "a", 60)];
        assert_eq!(plan(&extents, &LIMITS), [copy(0, 50), copy(50, 80)]);
        let extents = [borrowed((0, 20), "a", 5), borrowed((20, 23), "b", 25), borrowed((23, 80), "a", 28)];
        assert_eq!(plan(&extents, &LIMITS), [copy(0, 20), upload(20, 30), copy(30, 80)]);
    }

    #[test]
    fn a_large_file_with_many_small_changes_fits() {
        let changes = 40_000;
        let lens: Vec<(bool, u64)> = (0..changes).flat_map(|_| [(true, 200_000), (false, 1)]).collect();
        let limits = PartLimits { min: PART_BYTES_MIN, upload: 8 << 20, copy: PART_COPY_BYTES };
        let parts = plan(&extents(&lens), &limits);
        assert!(parts.len() <= PART_NUMBER_MAX as usize, "{}", parts.len());
        let last = parts.last().unwrap().range();
        assert_eq!(last.end(), changes * 200_001);
        assert!(parts[..parts.len() - 1].iter().all(|part| part.range().len() >= PART_BYTES_MIN));
        // A file of the largest size that there is, in parts of the largest size that there is.
        let whole = [Extent {
            range: ByteRange::new(0, ossfs_types::limits::OBJECT_BYTES_MAX).unwrap(),
            source: Source::Zero,
            generation: 1,
        }];
        let parts = plan(&whole, &limits);
        assert_eq!(parts.len(), PART_NUMBER_MAX as usize);
        assert!(parts.iter().all(|part| part.range().len() <= PART_BYTES_MAX));
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
            // What goes over the wire: what was written, what is too little for a part, and what fills a part up.
            let runs = runs(&extents);
            let needed = runs.iter().map(|run| if run.from.is_none() || run.len < LIMITS.min { run.len + LIMITS.min } else { 0 });
            let sent = parts.iter().map(|part| if let Part::Upload(range) = part { range.len() } else { 0 });
            prop_assert!(sent.sum::<u64>() <= needed.sum::<u64>(), "{:?}", parts);
            let requests = lens.iter().map(|(_, len)| 1 + len / LIMITS.upload).sum::<u64>();
            prop_assert!(parts.len() as u64 <= requests, "{:?}", parts);
        }
    }
}
