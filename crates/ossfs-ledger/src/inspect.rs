//! Looks a database over before LMDB maps it: LMDB trusts its pages, and what can't be ends the process there.
//!
//! Every page that is in use is read once: each must say that it is the page that was meant, hold what it points to, and
//! be used for one thing. Bytes of records are not judged here: they have checksums. The layout is LMDB's data version 1, which is in the byte order of the machine.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const PAGE_HEAD_BYTES: usize = 16;
const NODE_HEAD_BYTES: usize = 8;
const META_BYTES: usize = PAGE_HEAD_BYTES + 136;
const META_MAGIC: u32 = 0xBEEF_C0DE;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const OVERFLOW: u16 = 4;
const META: u16 = 8;
/// The flags that tell what a page is.
const KINDS: u16 = 0x6F;
/// Of a node: its value is in pages of its own.
const BIG: u16 = 1;
/// The root of a tree without entries.
const NO_PAGE: u64 = u64::MAX;
/// The two copies of what is known of the file.
const META_PAGES: u64 = 2;
/// LMDB's own limits.
const PAGE_BYTES_MIN: usize = 256;
const PAGE_BYTES_MAX: usize = 32 << 10;
const DEPTH_MAX: u16 = 32;

/// Why a file is no database that can be mapped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("page {page}: {reason}")]
    Page { page: u64, reason: &'static str },
    #[error("it was cut to {found} of {wanted} bytes")]
    Cut { found: u64, wanted: u64 },
}

/// The flags of the tree of free pages: its keys are numbers. LMDB keeps flags of the environment beside it.
const FREE_FLAGS: u16 = 0x08;
const ENVIRONMENT_FLAGS: u16 = 0xC000;
/// Where the two trees stand in a meta page: that of free pages, and that of records.
const TREES: [(usize, Holds); 2] = [(40, Holds::FreePages), (88, Holds::Records)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    FreePages,
    Records,
}

struct Inspection<'a> {
    file: &'a File,
    page_bytes: usize,
    /// Which pages were met.
    met: Vec<bool>,
}

/// Looks a database over.
pub(crate) fn inspect(file: &File) -> Result<(), Fault> {
    let found = file.metadata()?.len();
    let first = read_meta(file, found, 0, 0)?;
    let page_bytes = number_32(&first, 40) as usize;
    if !page_bytes.is_power_of_two() || !(PAGE_BYTES_MIN..=PAGE_BYTES_MAX).contains(&page_bytes) {
        return Err(Fault::Page { page: 0, reason: "its pages have an impossible size" });
    }
    let second = read_meta(file, found, 1, page_bytes as u64)?;
    if number_32(&second, 40) != number_32(&first, 40) {
        return Err(Fault::Page { page: 1, reason: "its pages have another size" });
    }
    let transaction = |meta: &[u8]| number_64(meta, 144);
    let meta = if transaction(&second) > transaction(&first) { second } else { first };
    let pages = number_64(&meta, 136).saturating_add(1);
    let wanted = pages.saturating_mul(page_bytes as u64);
    if found < wanted {
        return Err(Fault::Cut { found, wanted });
    }
    let pages = usize::try_from(pages).map_err(io::Error::other)?;
    let mut inspection = Inspection { file, page_bytes, met: vec![false; pages] };
    for (at, holds) in TREES {
        inspection.tree(&meta[at..at + 48], holds)?;
    }
    Ok(())
}

fn read_meta(file: &File, found: u64, page: u64, at: u64) -> Result<[u8; META_BYTES], Fault> {
    let mut meta = [0; META_BYTES];
    let wanted = at + META_BYTES as u64;
    if found < wanted {
        return Err(Fault::Cut { found, wanted });
    }
    file.read_exact_at(&mut meta, at)?;
    if number_16(&meta, 10) & META == 0 || number_32(&meta, 16) != META_MAGIC {
        return Err(Fault::Page { page, reason: "it is not the beginning of a ledger" });
    }
    Ok(meta)
}

impl Inspection<'_> {
    fn tree(&mut self, tree: &[u8], holds: Holds) -> Result<(), Fault> {
        let (flags, depth, entries, root) =
            (number_16(tree, 4), number_16(tree, 6), number_64(tree, 32), number_64(tree, 40));
        let wrong = |reason| Fault::Page { page: root, reason };
        let as_made = match holds {
            Holds::FreePages => flags & !ENVIRONMENT_FLAGS == FREE_FLAGS,
            Holds::Records => flags == 0,
        };
        if !as_made {
            return Err(wrong("a tree is of another kind"));
        }
        if root == NO_PAGE {
            return if entries == 0 { Ok(()) } else { Err(wrong("a tree has entries and no root")) };
        }
        if depth == 0 || depth > DEPTH_MAX {
            return Err(wrong("a tree has an impossible depth"));
        }
        if self.page(root, depth, holds)? == entries {
            Ok(())
        } else {
            Err(wrong("a tree does not have the entries that it says"))
        }
    }

    /// Looks over a page and all below it, and gives the number of entries there.
    fn page(&mut self, page: u64, depth: u16, holds: Holds) -> Result<u64, Fault> {
        let wrong = |reason| Fault::Page { page, reason };
        let mut bytes = vec![0; self.page_bytes];
        let kind = self.read(page, &mut bytes)?;
        if kind != if depth > 1 { BRANCH } else { LEAF } {
            return Err(wrong("it is of another kind than where it stands"));
        }
        let (lower, upper) = (usize::from(number_16(&bytes, 12)), usize::from(number_16(&bytes, 14)));
        if lower <= PAGE_HEAD_BYTES || lower % 2 != 0 || lower > upper || upper > self.page_bytes {
            return Err(wrong("its bounds are impossible"));
        }
        let mut entries = 0;
        let mut before: Option<&[u8]> = None;
        for pointer in (PAGE_HEAD_BYTES..lower).step_by(2) {
            let at = usize::from(number_16(&bytes, pointer));
            if at < upper || at % 2 != 0 || at + NODE_HEAD_BYTES > self.page_bytes {
                return Err(wrong("an entry is outside of it"));
            }
            let [low, high, flags, key] = [0, 2, 4, 6].map(|offset| number_16(&bytes, at + offset));
            let key_end = at + NODE_HEAD_BYTES + usize::from(key);
            let key = bytes.get(at + NODE_HEAD_BYTES..key_end).ok_or_else(|| wrong("a key is cut off"))?;
            // The first key of a branch stands for all below the second.
            let implied = depth > 1 && pointer == PAGE_HEAD_BYTES;
            if !implied && !holds.follows(before, key) {
                return Err(wrong("keys are not in order"));
            }
            before = if implied { None } else { Some(key) };
            if depth > 1 {
                let child = u64::from(low) | u64::from(high) << 16 | u64::from(flags) << 32;
                entries += self.page(child, depth - 1, holds)?;
            } else {
                let value_bytes = usize::from(low) | usize::from(high) << 16;
                self.value(page, &bytes[key_end..], flags, value_bytes, holds)?;
                entries += 1;
            }
        }
        Ok(entries)
    }

    /// Looks over a value of a page: `rest` begins with it, or with the number of its pages.
    fn value(&mut self, page: u64, rest: &[u8], flags: u16, value_bytes: usize, holds: Holds) -> Result<(), Fault> {
        let cut = Fault::Page { page, reason: "an entry is cut off" };
        match flags {
            0 => {
                let value = rest.get(..value_bytes).ok_or(cut)?;
                if holds == Holds::FreePages { self.free(page, value) } else { Ok(()) }
            }
            BIG if rest.len() >= 8 => self.big_value(number_64(rest, 0), value_bytes, holds),
            _ => Err(cut),
        }
    }

    /// Looks over a value in pages of its own.
    fn big_value(&mut self, page: u64, value_bytes: usize, holds: Holds) -> Result<(), Fault> {
        let wrong = || Fault::Page { page, reason: "it does not hold the value that it should" };
        let mut head = [0; PAGE_HEAD_BYTES];
        let kind = self.read(page, &mut head)?;
        let pages = (PAGE_HEAD_BYTES + value_bytes).div_ceil(self.page_bytes) as u64;
        if kind != OVERFLOW || u64::from(number_32(&head, 12)) != pages {
            return Err(wrong());
        }
        for further in 1..pages {
            self.meet(page.checked_add(further).ok_or_else(wrong)?)?;
        }
        if holds == Holds::FreePages {
            // Its pages are there, and so is the value.
            let mut value = vec![0; value_bytes];
            self.file.read_exact_at(&mut value, page * self.page_bytes as u64 + PAGE_HEAD_BYTES as u64)?;
            self.free(page, &value)?;
        }
        Ok(())
    }

    /// Looks over a list of free pages: their count, then their numbers, the highest first.
    fn free(&mut self, page: u64, list: &[u8]) -> Result<(), Fault> {
        let wrong = Fault::Page { page, reason: "a list of free pages is none" };
        let mut numbers = list.chunks_exact(8).map(|number| number_64(number, 0));
        let count = numbers.next().and_then(|count| usize::try_from(count).ok());
        let numbers: Vec<u64> = numbers.collect();
        let Some(numbers) = count.and_then(|count| numbers.get(..count)) else { return Err(wrong) };
        if !numbers.is_sorted_by(|one, next| one > next) {
            return Err(wrong);
        }
        numbers.iter().try_for_each(|number| self.meet(*number))
    }

    /// Takes notice of a page: it must be there, and used for nothing else.
    fn meet(&mut self, page: u64) -> Result<(), Fault> {
        let wrong = |reason| Fault::Page { page, reason };
        let met = usize::try_from(page).ok().filter(|_| page >= META_PAGES).and_then(|page| self.met.get_mut(page));
        match met {
            None => Err(wrong("there is no such page")),
            Some(met) if *met => Err(wrong("it is used for two things")),
            Some(met) => {
                *met = true;
                Ok(())
            }
        }
    }

    /// Reads a page or its head, and gives its kind.
    fn read(&mut self, page: u64, bytes: &mut [u8]) -> Result<u16, Fault> {
        self.meet(page)?;
        self.file.read_exact_at(bytes, page * self.page_bytes as u64)?;
        if number_64(bytes, 0) != page {
            return Err(Fault::Page { page, reason: "another page, or nothing, is in its place" });
        }
        Ok(number_16(bytes, 10) & KINDS)
    }
}

impl Holds {
    /// Whether a key is one, and comes after the one before.
    fn follows(self, before: Option<&[u8]>, key: &[u8]) -> bool {
        match self {
            Self::Records => before.is_none_or(|before| before < key),
            Self::FreePages => key.len() == 8 && before.is_none_or(|before| number_64(before, 0) < number_64(key, 0)),
        }
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("offsets are checked against the page before")
}

fn number_16(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(array(bytes, at))
}

fn number_32(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(array(bytes, at))
}

fn number_64(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(array(bytes, at))
}
