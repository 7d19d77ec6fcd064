//! Which bytes of a file are where. Pure.
//!
//! Invariant: the extents tile `0..len` in order, none empty. Each carries the generation at which it was written, so that
//! an upload of one generation can replace by ranges of its object what was not written since.

use super::staged::{Staged, pieces};
use bytes::{Bytes, BytesMut};
use ossfs_ledger::Ident;
use ossfs_types::{ByteRange, Key};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Small neighbours are merged up to this many bytes, so that a file written byte by byte doesn't take an extent a byte.
const MERGED_BYTES_MAX: usize = 1 << 20;

/// What zeros are sent from.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Adds that many zeros.
pub(crate) fn push_zeros(chunks: &mut Vec<Bytes>, mut len: u64) {
    while len > 0 {
        let piece = len.min(ZEROS.len() as u64);
        chunks.push(Bytes::from_static(&ZEROS[..usize::try_from(piece).expect("no more than the zeros")]));
        len -= piece;
    }
}

/// One version of an object that bytes are borrowed from. It stays as it is until nobody borrows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub key: Key,
    pub ident: Ident,
}

impl Origin {
    /// Whether the object of this identity at a key is the one.
    pub(crate) fn is(&self, key: &Key, ident: &Ident) -> bool {
        self.key == *key && self.ident.etag == ident.etag
    }
}

/// Where bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the object that the file was before, at the same offset.
    Base,
    /// Nowhere: they are zero.
    Zero,
    /// Here.
    Memory(Bytes),
    /// On disk, and not in the bucket.
    Staged(Staged),
    /// In a part of an upload that is not complete: they can't be read.
    Sent,
    /// In one version of an object, most often another file's, from this offset on.
    Borrowed { origin: Arc<Origin>, offset: u64 },
}

impl Source {
    /// Where the bytes are that lie so much further on.
    fn after(&self, bytes: u64) -> Self {
        match self {
            Self::Borrowed { origin, offset } => Self::Borrowed { origin: origin.clone(), offset: offset + bytes },
            Self::Staged(staged) => Self::Staged(staged.skip(bytes)),
            other => other.clone(),
        }
    }
}

/// A run of bytes that are in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extent {
    pub range: ByteRange,
    pub source: Source,
    /// When it was written.
    pub generation: u64,
}

impl Extent {
    /// The part of it that lies in a range.
    fn cut(&self, range: ByteRange) -> Option<Self> {
        let start = self.range.start().max(range.start());
        let end = self.range.end().min(range.end());
        let cut = ByteRange::new(start, end).filter(|cut| !cut.is_empty())?;
        let source = match &self.source {
            Source::Memory(bytes) => {
                let from = usize::try_from(start - self.range.start()).expect("within a buffer");
                let to = usize::try_from(end - self.range.start()).expect("within a buffer");
                Source::Memory(bytes.slice(from..to))
            }
            other => other.after(start - self.range.start()),
        };
        Some(Self { range: cut, source, generation: self.generation })
    }
}

/// All bytes of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Extents {
    /// By start.
    map: BTreeMap<u64, Extent>,
    memory_bytes: u64,
    /// What is borrowed from, each with the number of extents that do.
    origins: Vec<(Arc<Origin>, usize)>,
}

impl Extents {
    /// The bytes of an object of this length.
    pub(crate) fn of_base(len: u64) -> Self {
        let mut extents = Self::default();
        extents.set(0, len, Source::Base, 0);
        extents
    }

    /// These extents, which adjoin each other from 0 on.
    pub(crate) fn of(all: Vec<Extent>) -> Self {
        let mut extents = Self::default();
        for Extent { range, source, generation } in all {
            extents.set(range.start(), range.end(), source, generation);
        }
        extents
    }

    /// Length of the file.
    pub(crate) fn len(&self) -> u64 {
        self.map.last_key_value().map_or(0, |(_, last)| last.range.end())
    }

    /// Bytes that are held here.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// The extents in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Extent> {
        self.map.values()
    }

    /// What lies in a range, in order, cut to it.
    pub(crate) fn in_range(&self, range: ByteRange) -> Vec<Extent> {
        let first = self.map.range(..=range.start()).next_back().map_or(range.start(), |(start, _)| *start);
        self.map.range(first..range.end()).filter_map(|(_, extent)| extent.cut(range)).collect()
    }

    /// The bytes that are in memory alone, in pieces as they are staged.
    pub(crate) fn unstaged(&self) -> Vec<Extent> {
        let mut unstaged = Vec::new();
        for extent in self.map.values() {
            let Source::Memory(bytes) = &extent.source else { continue };
            unstaged.extend(pieces(bytes).filter_map(|(offset, bytes)| {
                let range = ByteRange::at(extent.range.start() + offset, bytes.len() as u64)?;
                Some(Extent { range, source: Source::Memory(bytes), generation: extent.generation })
            }));
        }
        unstaged
    }

    /// Bytes that were in memory are staged now, as far as nothing was written over them since.
    pub(crate) fn stage(&mut self, staged: &Extent) {
        for extent in self.in_range(staged.range) {
            if matches!(extent.source, Source::Memory(_)) && extent.generation == staged.generation {
                let Some(cut) = staged.cut(extent.range) else { continue };
                self.set(cut.range.start(), cut.range.end(), cut.source, cut.generation);
            }
        }
    }

    /// Bytes that are not in the bucket: in memory, or staged.
    pub(crate) fn kept_bytes(&self) -> u64 {
        let kept = |extent: &&Extent| matches!(extent.source, Source::Memory(_) | Source::Staged(_));
        self.map.values().filter(kept).map(|extent| extent.range.len()).sum()
    }

    /// What bytes are borrowed from.
    pub(crate) fn origins(&self) -> impl Iterator<Item = &Arc<Origin>> {
        self.origins.iter().map(|(origin, _)| origin)
    }

    /// The object that all bytes are, if they are the whole of one that is borrowed from.
    pub(crate) fn whole_origin(&self) -> Option<&Arc<Origin>> {
        let (_, only) = self.map.first_key_value().filter(|_| self.map.len() == 1)?;
        match &only.source {
            Source::Borrowed { origin, offset: 0 } if origin.ident.size == only.range.len() => Some(origin),
            _ => None,
        }
    }

    /// Writes bytes; a gap before them becomes zeros.
    pub(crate) fn write(&mut self, offset: u64, bytes: Bytes, generation: u64) {
        let len = self.len();
        if offset > len {
            self.set(len, offset, Source::Zero, generation);
        }
        let end = offset + bytes.len() as u64;
        self.set(offset, end, Source::Memory(bytes), generation);
        self.merge_before(end);
    }

    /// Puts bytes there that are elsewhere; a gap before them becomes zeros.
    pub(crate) fn place(&mut self, range: ByteRange, source: Source, generation: u64) {
        let len = self.len();
        if range.start() > len {
            self.set(len, range.start(), Source::Zero, generation);
        }
        self.set(range.start(), range.end(), source, generation);
        self.merge_borrowed_before(range.start());
    }

    /// The bytes of an object are in another one now: whoever borrows them borrows from that.
    pub(crate) fn move_origin(&mut self, from: &Origin, to: &Arc<Origin>) {
        for extent in self.map.values_mut() {
            match &mut extent.source {
                Source::Borrowed { origin, .. } if origin.is(&from.key, &from.ident) => *origin = to.clone(),
                _ => {}
            }
        }
        self.origins.clear();
        let sources: Vec<Source> = self.map.values().map(|extent| extent.source.clone()).collect();
        sources.iter().for_each(|source| self.count_origin(source));
    }

    /// Where the first byte from an offset on lies that is, or is not, in a hole; the end of the file is one.
    pub(crate) fn seek(&self, offset: u64, hole: bool) -> Option<u64> {
        let rest = ByteRange::new(offset, self.len()).filter(|rest| !rest.is_empty())?;
        let found = self.in_range(rest).into_iter().find(|extent| (extent.source == Source::Zero) == hole);
        found.map(|extent| extent.range.start()).or(hole.then_some(self.len()))
    }

    /// Cuts the file, or makes it longer with zeros.
    pub(crate) fn set_len(&mut self, len: u64, generation: u64) {
        let old = self.len();
        if len > old {
            self.set(old, len, Source::Zero, generation);
        } else {
            self.clear(len, old);
        }
    }

    /// An upload of a generation is the base now: what was not written since, or is in a part of it, is a range of it.
    pub(crate) fn rebase(&mut self, generation: u64) {
        let replaced: Vec<ByteRange> = self
            .map
            .values()
            .filter(|extent| extent.generation <= generation || extent.source == Source::Sent)
            .map(|extent| extent.range)
            .collect();
        for range in replaced {
            self.set(range.start(), range.end(), Source::Base, 0);
        }
        self.merge_base();
    }

    /// The bytes of a range are in a part that was uploaded.
    pub(crate) fn sent(&mut self, range: ByteRange) {
        let generation = self.in_range(range).iter().map(|extent| extent.generation).max().unwrap_or_default();
        self.set(range.start(), range.end(), Source::Sent, generation);
        self.merge_sent(range);
    }

    /// Whether bytes are in parts that were uploaded.
    pub(crate) fn has_sent(&self) -> bool {
        self.map.values().any(|extent| extent.source == Source::Sent)
    }

    /// Whether everything before an offset was written here since there was a base.
    pub(crate) fn is_new_before(&self, offset: u64) -> bool {
        let elsewhere = |extent: &Extent| matches!(extent.source, Source::Base | Source::Borrowed { .. });
        !self.map.range(..offset).any(|(_, extent)| elsewhere(extent))
    }

    fn set(&mut self, start: u64, end: u64, source: Source, generation: u64) {
        let Some(range) = ByteRange::new(start, end).filter(|range| !range.is_empty()) else { return };
        self.clear(start, end);
        self.insert(Extent { range, source, generation });
    }

    fn insert(&mut self, extent: Extent) {
        if matches!(extent.source, Source::Memory(_)) {
            self.memory_bytes += extent.range.len();
        }
        self.count_origin(&extent.source);
        self.map.insert(extent.range.start(), extent);
    }

    fn remove(&mut self, start: u64) -> Option<Extent> {
        let extent = self.map.remove(&start)?;
        if matches!(extent.source, Source::Memory(_)) {
            self.memory_bytes -= extent.range.len();
        }
        if let Source::Borrowed { origin, .. } = &extent.source {
            self.origins.iter_mut().filter(|(known, _)| known == origin).for_each(|(_, count)| *count -= 1);
            self.origins.retain(|(_, count)| *count > 0);
        }
        Some(extent)
    }

    fn count_origin(&mut self, source: &Source) {
        let Source::Borrowed { origin, .. } = source else { return };
        match self.origins.iter_mut().find(|(known, _)| known == origin) {
            Some((_, count)) => *count += 1,
            None => self.origins.push((origin.clone(), 1)),
        }
    }

    /// Removes what lies in a range, cutting what reaches over its ends.
    fn clear(&mut self, start: u64, end: u64) {
        let Some(range) = ByteRange::new(start, end).filter(|range| !range.is_empty()) else { return };
        let first = self.map.range(..=start).next_back().map_or(start, |(first, _)| *first);
        let touched: Vec<u64> = self.map.range(first..end).map(|(at, _)| *at).collect();
        for at in touched {
            let Some(extent) = self.remove(at) else { continue };
            let before = ByteRange::new(extent.range.start(), range.start().max(extent.range.start()));
            let after = ByteRange::new(range.end().min(extent.range.end()), extent.range.end());
            for kept in [before, after].into_iter().flatten().filter_map(|kept| extent.cut(kept)) {
                self.insert(kept);
            }
        }
    }

    /// Merges the extent that ends at `end` with smaller ones before it: each byte is copied a few times at most, as the
    /// merged ones double.
    fn merge_before(&mut self, end: u64) {
        loop {
            let mut last_two = self.map.range(..end).rev().take(2).map(|(_, extent)| extent);
            let (Some(last), Some(before)) = (last_two.next(), last_two.next()) else { return };
            let (Source::Memory(tail), Source::Memory(head)) = (&last.source, &before.source) else { return };
            let small = head.len() <= tail.len() * 2 && head.len() + tail.len() <= MERGED_BYTES_MAX;
            if !small || before.range.end() != last.range.start() || before.generation > last.generation {
                return;
            }
            let mut merged = BytesMut::with_capacity(head.len() + tail.len());
            merged.extend_from_slice(head);
            merged.extend_from_slice(tail);
            let (start, generation) = (before.range.start(), last.generation);
            self.set(start, end, Source::Memory(merged.freeze()), generation);
        }
    }

    /// Makes one extent of two that meet at an offset and go on in one object: a file that is copied in pieces is one.
    fn merge_borrowed_before(&mut self, start: u64) {
        let Some((_, before)) = self.map.range(..start).next_back() else { return };
        let Some(last) = self.map.get(&start) else { return };
        if !matches!(before.source, Source::Borrowed { .. }) || before.source.after(before.range.len()) != last.source {
            return;
        }
        let (source, generation) = (before.source.clone(), before.generation.max(last.generation));
        let (start, end) = (before.range.start(), last.range.end());
        self.set(start, end, source, generation);
    }

    /// Makes one extent of what was sent and its neighbours that were sent too: which part they are in does not matter here.
    fn merge_sent(&mut self, range: ByteRange) {
        let before = self.map.range(..range.start()).next_back().map(|(_, extent)| extent);
        let after = self.map.get(&range.end());
        let neighbours = [before, after].into_iter().flatten().filter(|extent| extent.source == Source::Sent);
        let Some(own) = self.map.get(&range.start()) else { return };
        let (start, end, generation) =
            neighbours.fold((range.start(), range.end(), own.generation), |(start, end, generation), extent| {
                let (first, last) = (extent.range.start(), extent.range.end());
                (start.min(first), end.max(last), generation.max(extent.generation))
            });
        self.set(start, end, Source::Sent, generation);
    }

    /// Makes one extent of neighbours that are ranges of the base.
    fn merge_base(&mut self) {
        let mut merged: BTreeMap<u64, Extent> = BTreeMap::new();
        for extent in std::mem::take(&mut self.map).into_values() {
            match merged.last_entry() {
                Some(mut last) if last.get().source == Source::Base && extent.source == Source::Base => {
                    let start = last.get().range.start();
                    last.get_mut().range = ByteRange::new(start, extent.range.end()).expect("in order");
                }
                _ => drop(merged.insert(extent.range.start(), extent)),
            }
        }
        self.map = merged;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ossfs_ledger::{MemoryMedium, Staging};
    use proptest::prelude::*;
    use std::sync::Arc;

    /// The file as bytes; what can't be read is told by letters.
    fn shown(extents: &Extents) -> Vec<u8> {
        let mut at = 0;
        let mut all = Vec::new();
        for extent in extents.iter() {
            assert_eq!(extent.range.start(), at, "a gap: {extents:?}");
            assert!(!extent.range.is_empty());
            at = extent.range.end();
            let len = usize::try_from(extent.range.len()).unwrap();
            match &extent.source {
                Source::Base => all.extend(std::iter::repeat_n(b'b', len)),
                Source::Zero => all.extend(std::iter::repeat_n(0, len)),
                Source::Sent => all.extend(std::iter::repeat_n(b's', len)),
                Source::Staged(staged) => all.extend_from_slice(&staged.fetch_now(len as u64)),
                Source::Borrowed { offset, .. } => all.extend((*offset..).map(borrowed_byte).take(len)),
                Source::Memory(bytes) => {
                    assert_eq!(bytes.len(), len);
                    all.extend_from_slice(bytes);
                }
            }
        }
        all
    }

    /// What the object that is borrowed from has at an offset.
    fn borrowed_byte(offset: u64) -> u8 {
        b'A' + u8::try_from(offset % 26).unwrap()
    }

    fn origin(key: &str) -> Arc<Origin> {
        let ident = Ident {
            etag: ossfs_types::ETag::parse(&format!("\"{key}\"")).unwrap(),
            size: 100,
            crc64: None,
            last_modified: None,
        };
        Arc::new(Origin { key: Key::parse(key).unwrap(), ident })
    }

    #[derive(Debug, Clone)]
    enum Operation {
        Write(u64, Vec<u8>),
        Borrow(u64, u64, u64),
        Zero(u64, u64),
        SetLen(u64),
        Rebase,
        /// Stages what is in memory; what is written until `Staged` is not.
        Stage,
        Staged,
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            4 => (0u64..60, proptest::collection::vec(b'0'..=b'9', 1..20))
                .prop_map(|(offset, bytes)| Operation::Write(offset, bytes)),
            2 => (0u64..60, 0u64..50, 1u64..40).prop_map(|(to, from, len)| Operation::Borrow(to, from, len)),
            1 => (0u64..60, 1u64..30).prop_map(|(offset, len)| Operation::Zero(offset, len)),
            1 => (0u64..80).prop_map(Operation::SetLen),
            1 => Just(Operation::Rebase),
            1 => Just(Operation::Stage),
            1 => Just(Operation::Staged),
        ]
    }

    proptest! {
        #[test]
        fn a_file_is_what_was_written(operations in proptest::collection::vec(operation(), 0..40)) {
            let mut extents = Extents::of_base(30);
            let mut model = vec![b'b'; 30];
            let staging = Arc::new(Staging::open(MemoryMedium::default(), 0).unwrap());
            let mut being_staged = Vec::new();
            for (operation, generation) in operations.into_iter().zip(1..) {
                match operation {
                    Operation::Write(offset, bytes) => {
                        let at = usize::try_from(offset).unwrap();
                        model.resize(model.len().max(at + bytes.len()), 0);
                        model[at..at + bytes.len()].copy_from_slice(&bytes);
                        extents.write(offset, bytes.into(), generation);
                    }
                    Operation::Borrow(to, from, len) => {
                        let at = usize::try_from(to).unwrap();
                        let bytes: Vec<u8> = (from..from + len).map(borrowed_byte).collect();
                        model.resize(model.len().max(at + bytes.len()), 0);
                        model[at..at + bytes.len()].copy_from_slice(&bytes);
                        let source = Source::Borrowed { origin: origin("o"), offset: from };
                        extents.place(ByteRange::at(to, len).unwrap(), source, generation);
                    }
                    Operation::Zero(offset, len) => {
                        let (at, end) = (usize::try_from(offset).unwrap(), usize::try_from(offset + len).unwrap());
                        model.resize(model.len().max(end), 0);
                        model[at..end].fill(0);
                        extents.place(ByteRange::at(offset, len).unwrap(), Source::Zero, generation);
                    }
                    Operation::SetLen(len) => {
                        model.resize(usize::try_from(len).unwrap(), 0);
                        extents.set_len(len, generation);
                    }
                    Operation::Rebase => {
                        model.fill(b'b');
                        extents.rebase(generation);
                    }
                    Operation::Stage => {
                        being_staged = extents.unstaged();
                        for extent in &mut being_staged {
                            if let Source::Memory(bytes) = &extent.source {
                                extent.source = Source::Staged(Staged::append(&staging, bytes.clone()).unwrap());
                            }
                        }
                    }
                    Operation::Staged => being_staged.drain(..).for_each(|staged| extents.stage(&staged)),
                }
                prop_assert_eq!(shown(&extents), model.clone());
                prop_assert_eq!(extents.len(), model.len() as u64);
                let held = extents.iter().map(|extent| match &extent.source {
                    Source::Memory(bytes) => bytes.len() as u64,
                    _ => 0,
                });
                prop_assert_eq!(held.sum::<u64>(), extents.memory_bytes());
                let borrows = extents.iter().any(|extent| matches!(extent.source, Source::Borrowed { .. }));
                prop_assert_eq!(extents.origins().count(), usize::from(borrows));
                let part = extents.in_range(ByteRange::new(7, 23).unwrap());
                let cut: u64 = part.iter().map(|extent| extent.range.len()).sum();
                prop_assert_eq!(cut, model.len().clamp(7, 23) as u64 - 7);
            }
        }
    }

    #[test]
    fn what_was_written_since_an_upload_stays() {
        let mut extents = Extents::default();
        extents.write(0, Bytes::from_static(b"aaaa"), 1);
        extents.write(6, Bytes::from_static(b"cc"), 2);
        extents.rebase(1);
        assert_eq!(shown(&extents), b"bbbb\0\0cc");
    }

    #[test]
    fn pieces_are_in_use_as_long_as_bytes_of_them_are() {
        let staging = Arc::new(Staging::open(MemoryMedium::default(), 0).unwrap());
        let mut extents = Extents::default();
        extents.write(0, Bytes::from_static(b"aaaa"), 1);
        let staged = Staged::append(&staging, Bytes::from_static(b"aaaa")).unwrap();
        extents.stage(&Extent { range: ByteRange::new(0, 4).unwrap(), source: Source::Staged(staged), generation: 1 });
        assert_eq!((extents.memory_bytes(), extents.kept_bytes()), (0, 4));
        extents.write(1, Bytes::from_static(b"bb"), 2);
        assert_eq!(shown(&extents), b"abba");
        let upload = extents.clone();
        extents.rebase(2);
        assert!(staging.unused().is_empty());
        drop(upload);
        assert_eq!(staging.unused(), [0]);
    }

    #[test]
    fn a_copy_in_pieces_is_the_whole_object() {
        let mut extents = Extents::default();
        for (start, end, generation) in [(0, 40, 1), (40, 70, 2), (70, 100, 3)] {
            let source = Source::Borrowed { origin: origin("o"), offset: start };
            extents.place(ByteRange::new(start, end).unwrap(), source, generation);
        }
        assert_eq!(extents.whole_origin(), Some(&origin("o")));
        extents.move_origin(&origin("o"), &origin("p"));
        assert_eq!(extents.whole_origin(), Some(&origin("p")));
        assert_eq!(extents.origins().collect::<Vec<_>>(), [&origin("p")]);
        extents.set_len(99, 4);
        assert_eq!(extents.whole_origin(), None);
        extents.set_len(0, 5);
        assert_eq!(extents.origins().count(), 0);
    }

    #[test]
    fn holes_and_data_are_found() {
        let mut extents = Extents::of_base(10);
        extents.place(ByteRange::new(4, 6).unwrap(), Source::Zero, 1);
        let found = |extents: &Extents, hole| [0, 5, 7, 8, 10].map(|offset| extents.seek(offset, hole));
        assert_eq!(found(&extents, false), [Some(0), Some(6), Some(7), Some(8), None]);
        assert_eq!(found(&extents, true), [Some(4), Some(5), Some(10), Some(10), None]);
        extents.place(ByteRange::new(8, 10).unwrap(), Source::Zero, 2);
        assert_eq!(found(&extents, false), [Some(0), Some(6), Some(7), None, None], "only a hole is left");
        assert_eq!(found(&extents, true), [Some(4), Some(5), Some(8), Some(8), None]);
    }

    #[test]
    fn a_file_written_byte_by_byte_has_few_extents() {
        let mut extents = Extents::default();
        for offset in 0..10_000 {
            extents.write(offset, Bytes::from_static(b"x"), 1);
        }
        assert!(extents.map.len() < 32, "{}", extents.map.len());
    }
}
