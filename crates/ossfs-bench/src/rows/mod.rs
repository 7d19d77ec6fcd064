//! What is measured: rows of steps, as data. Who takes the steps, and how, is the business of those above.

mod table;

pub(crate) use table::{FAMILIES, ROWS};

use crate::sandbox::Setting;

/// Divides sizes, to see whether rows work in seconds; what it gives is no measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale(pub(crate) u64);

impl Scale {
    /// A number of bytes, of blocks of 1 MiB at least.
    pub(crate) fn bytes(self, bytes: u64) -> u64 {
        (bytes / self.0).max(bytes.min(1 << 20))
    }

    /// A number of things.
    pub(crate) fn count(self, count: u64) -> u64 {
        (count / self.0).max(count.min(16))
    }
}

/// What the raw client puts into the bucket before a row begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Data {
    /// One large object.
    Object { file: &'static str, bytes: u64 },
    /// Small ones, `per_directory` in each directory `dNNN`, or all in one.
    Files { dir: &'static str, count: u64, bytes: usize, per_directory: Option<u64> },
}

/// One piece of work. Paths of what is read are below the mount, those of what is written below a folder that each
/// contestant has for each round.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// How long the mount took to answer.
    Mount,
    /// Asks for the attributes of files, so that they are known.
    Stat { dir: &'static str, files: u64 },
    /// Reads a file from begin to end by calls of 1 MiB.
    Read { file: &'static str },
    /// Writes a new file by calls of 1 MiB and closes it.
    Write { file: &'static str, bytes: u64 },
    /// Opens files and reads the first byte of each, one after the other.
    FirstBytes { dir: &'static str, files: u64 },
    /// Reads of 4 KiB at random places.
    RandomReads { file: &'static str, threads: usize, reads_each: u64 },
    /// `ls -l`.
    ListLong { dir: &'static str, entries: u64 },
    /// `ls -U`.
    ListNames { dir: &'static str, entries: u64 },
    /// `find -type f`.
    Find { dir: &'static str, entries: u64 },
    /// Reads whole small files.
    ReadFiles { dir: &'static str, files: u64, threads: usize },
    /// Writes new small files.
    CreateFiles { dir: &'static str, files: u64, bytes: usize, threads: usize },
    /// `cp -r` of folders on the local disk, one a process.
    CopyTrees { dir: &'static str, files: u64, bytes: usize, processes: u64 },
    /// `tar -x` of an archive on the local disk.
    Untar { dir: &'static str, files: u64, bytes: usize },
    /// Until what was written is in the bucket.
    Drain { dir: &'static str, files: u64, bytes: usize },
    /// Looks names up, each of them anew, as the kernel does that remembers none.
    Lookups { dir: &'static str, names: u64, threads: usize },
    /// Asks for attributes of open files that the kernel must not answer itself.
    Getattrs { dir: &'static str, threads: usize, calls_each: u64 },
    /// `mv` of a directory: until it is answered.
    Rename { from: &'static str, to: &'static str },
    /// Until the bucket has followed.
    SettleMove { from: &'static str, to: &'static str, entries: u64 },
    /// From now on the bucket takes no object.
    Refuse,
    /// `kill -9`, and how long a new mount takes to answer, with everything that was recorded. The bucket takes objects
    /// again.
    KillAndMount,
    /// Unmounts, and mounts again with everything that is remembered on disk, but without page caches.
    Remount,
}

/// What is counted of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes a second.
    Bytes,
    /// Things a second, named.
    Each(&'static str),
    /// How long it takes.
    Time,
}

impl Shape {
    pub(crate) fn unit(self) -> Unit {
        match self {
            Self::Read { .. } | Self::Write { .. } => Unit::Bytes,
            Self::RandomReads { .. } => Unit::Each("reads"),
            Self::ListNames { .. } => Unit::Each("names"),
            Self::ReadFiles { .. }
            | Self::CreateFiles { .. }
            | Self::CopyTrees { .. }
            | Self::Untar { .. }
            | Self::Drain { .. }
            | Self::Stat { .. } => Unit::Each("files"),
            Self::Lookups { .. } => Unit::Each("lookups"),
            Self::Getattrs { .. } => Unit::Each("calls"),
            Self::SettleMove { .. } => Unit::Each("objects"),
            Self::Mount
            | Self::FirstBytes { .. }
            | Self::ListLong { .. }
            | Self::Find { .. }
            | Self::Rename { .. }
            | Self::Refuse
            | Self::KillAndMount
            | Self::Remount => Unit::Time,
        }
    }
}

/// What the product must reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// This part of the raw client's speed.
    OfRaw(f64),
    /// This part of the local disk's speed.
    OfLocal(f64),
    /// This many a second.
    AtLeast(f64),
    /// At most so many seconds.
    Within(f64),
    /// Processor seconds of the daemon per GB.
    CpuPerGb(f64),
    /// Bytes fetched for each.
    FetchedEach(f64),
    /// No request.
    NoRequest,
}

/// A step, and what is shown of it; without a name it is only taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) figure: Option<&'static str>,
    pub(crate) shape: Shape,
    pub(crate) targets: &'static [Target],
}

/// Who takes part, besides the product.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Others {
    /// The raw client.
    pub(crate) raw: bool,
    /// The local disk.
    pub(crate) local: bool,
    /// The peers.
    pub(crate) peers: bool,
    /// The product once more, as a control.
    pub(crate) control: bool,
}

/// One row.
#[derive(Debug)]
pub(crate) struct Row {
    /// As it is asked for.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) family: &'static str,
    pub(crate) setting: Setting,
    pub(crate) data: &'static [Data],
    /// Options of the product; `@cache` stands for a folder of each run.
    pub(crate) options: &'static [&'static str],
    /// Of the raw client.
    pub(crate) connections: usize,
    pub(crate) others: Others,
    /// The data are changed by the work, and made anew for each run.
    pub(crate) fresh: bool,
    /// Rounds at most.
    pub(crate) rounds_max: usize,
    pub(crate) steps: &'static [Step],
}

/// The rows of these names or families, or, where there are none such, whose names begin so; all if nothing is named.
pub(crate) fn chosen(words: &[String], setting: Option<Setting>) -> Vec<&'static Row> {
    let is_named = |row: &Row, word: &String| row.name == word || row.family == word;
    let by_word = |row: &Row, word: &String| {
        let named = ROWS.iter().any(|row| is_named(row, word));
        is_named(row, word) || (!named && row.name.starts_with(word.as_str()))
    };
    let is_chosen = |row: &&Row| {
        let by_word = words.is_empty() || words.iter().any(|word| by_word(row, word));
        by_word && setting.is_none_or(|setting| row.setting == setting)
    };
    ROWS.iter().filter(is_chosen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn rows_have_names_of_their_own_and_families_that_are_shown() {
        let names: BTreeSet<&str> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), ROWS.len());
        for row in ROWS {
            assert!(FAMILIES.iter().any(|(family, _)| *family == row.family), "{}", row.name);
            assert!(row.steps.iter().any(|step| step.figure.is_some()), "{}", row.name);
        }
    }

    #[test]
    fn rows_are_chosen_by_their_names_or_how_they_begin() {
        let names = |words: &[&str], setting| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            chosen(&words, setting).iter().map(|row| row.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&["near-read"], None), ["near-read"]);
        assert_eq!(names(&["near-read-"], None), ["near-read-files"]);
        assert_eq!(names(&["warm"], None), ["warm-page-cache", "warm-disk-cache"]);
        assert_eq!(names(&["no such row"], None), [""; 0]);
        assert_eq!(names(&[], None).len(), ROWS.len());
        assert!(names(&["growth"], Some(Setting::Far)).is_empty());
    }

    #[test]
    fn small_sizes_stay_sizes() {
        assert_eq!(Scale(1).bytes(2 << 30), 2 << 30);
        assert_eq!(Scale(64).bytes(2 << 30), 32 << 20);
        assert_eq!(Scale(64).bytes(2 << 20), 1 << 20);
        assert_eq!(Scale(64).bytes(4096), 4096);
        assert_eq!(Scale(64).count(10), 10);
        assert_eq!(Scale(64).count(6400), 100);
    }
}
