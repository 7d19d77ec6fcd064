//! The table of rows. Sizes are such that a row takes well under two minutes for all contestants together.

use super::{Data, Others, Row, Shape, Step, Target};
use crate::sandbox::Setting;

const KIB: usize = 1 << 10;
const GIB: u64 = 1 << 30;

/// Names of families, in the order in which they are shown, and their titles.
pub(crate) const FAMILIES: &[(&str, &str)] = &[
    ("sequential", "Large files, from begin to end"),
    ("first", "First bytes, random reads, cold files"),
    ("metadata", "Listings and attributes"),
    ("small", "Many small files"),
    ("warm", "What was read before"),
    ("growth", "Growth with the number of entries"),
];

const EVERYONE: Others = Others { raw: true, local: false, peers: true, control: true };
const WITH_LOCAL: Others = Others { local: true, ..EVERYONE };
const NO_PEERS: Others = Others { peers: false, ..EVERYONE };
const ALONE: Others = Others { raw: false, peers: false, ..EVERYONE };

/// What most rows have in common.
const PLAIN: Row = Row {
    name: "",
    title: "",
    family: "",
    setting: Setting::Near,
    data: &[],
    options: &[],
    connections: 32,
    others: EVERYONE,
    fresh: false,
    rounds_max: 9,
    steps: &[],
};

const fn figure(name: &'static str, shape: Shape, targets: &'static [Target]) -> Step {
    Step { figure: Some(name), shape, targets }
}

const fn silent(shape: Shape) -> Step {
    Step { figure: None, shape, targets: &[] }
}

const LARGE: &[Data] = &[Data::Object { file: "data/large", bytes: 2 * GIB }];
const READ_LARGE: Shape = Shape::Read { file: "data/large" };
const WRITE_LARGE: Shape = Shape::Write { file: "large", bytes: 2 * GIB };
const DIRECT: &[&str] = &["-odirect_io"];

/// Everything that can be measured but the client alone.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "far-read",
        title: "Cold read of 2 GiB",
        family: "sequential",
        setting: Setting::Far,
        data: LARGE,
        connections: 16,
        steps: &[figure("read", READ_LARGE, &[Target::OfRaw(0.97)])],
        ..PLAIN
    },
    Row {
        name: "far-write",
        title: "First write of 2 GiB",
        family: "sequential",
        setting: Setting::Far,
        connections: 16,
        steps: &[figure("write", WRITE_LARGE, &[Target::OfRaw(0.92)])],
        ..PLAIN
    },
    Row {
        name: "near-read",
        title: "Cold read of 2 GiB",
        family: "sequential",
        data: LARGE,
        connections: 4,
        others: WITH_LOCAL,
        steps: &[figure("read", READ_LARGE, &[Target::OfRaw(0.30), Target::CpuPerGb(0.65)])],
        ..PLAIN
    },
    Row {
        name: "near-write",
        title: "First write of 2 GiB",
        family: "sequential",
        connections: 4,
        others: WITH_LOCAL,
        steps: &[figure("write", WRITE_LARGE, &[Target::OfRaw(0.27), Target::CpuPerGb(0.55)])],
        ..PLAIN
    },
    Row {
        name: "near-direct-read",
        title: "Cold read of 2 GiB, past the page cache (-odirect_io)",
        family: "sequential",
        data: LARGE,
        options: DIRECT,
        connections: 4,
        others: NO_PEERS,
        steps: &[figure("read", READ_LARGE, &[Target::OfRaw(0.40)])],
        ..PLAIN
    },
    Row {
        name: "near-direct-write",
        title: "First write of 2 GiB, past the page cache (-odirect_io)",
        family: "sequential",
        options: DIRECT,
        connections: 4,
        others: NO_PEERS,
        steps: &[figure("write", WRITE_LARGE, &[Target::OfRaw(0.40)])],
        ..PLAIN
    },
    Row {
        name: "far-first-byte",
        title: "First byte of 20 cold files of 16 MiB, one after the other",
        family: "first",
        setting: Setting::Far,
        data: &[Data::Files { dir: "data/heads", count: 20, bytes: 16 << 20, per_directory: None }],
        // 1 / 1.5: within one and a half times a request.
        steps: &[
            silent(Shape::Stat { dir: "data/heads", files: 20 }),
            figure("open and read 1 byte", Shape::FirstBytes { dir: "data/heads", files: 20 }, &[Target::OfRaw(0.667)]),
        ],
        ..PLAIN
    },
    Row {
        name: "far-random",
        title: "Random reads of 4 KiB by 16 threads on a cold 1 GiB file",
        family: "first",
        setting: Setting::Far,
        data: &[Data::Object { file: "data/random", bytes: GIB }],
        connections: 16,
        steps: &[figure(
            "read",
            Shape::RandomReads { file: "data/random", threads: 16, reads_each: 250 },
            &[Target::OfRaw(0.8), Target::FetchedEach(16384.0)],
        )],
        ..PLAIN
    },
    Row {
        name: "far-cold-files",
        title: "1,000 cold files of 16 KiB by 32 readers, after ls -l",
        family: "first",
        setting: Setting::Far,
        data: &[Data::Files { dir: "data/cold", count: 1000, bytes: 16 * KIB, per_directory: None }],
        steps: &[
            silent(Shape::ListLong { dir: "data/cold", entries: 1000 }),
            figure("read", Shape::ReadFiles { dir: "data/cold", files: 1000, threads: 32 }, &[Target::OfRaw(0.8)]),
        ],
        ..PLAIN
    },
    Row {
        name: "far-list",
        title: "ls -l of 10,000 entries of 8 KiB",
        family: "metadata",
        setting: Setting::Far,
        data: &[Data::Files { dir: "data/list", count: 10_000, bytes: 8 * KIB, per_directory: None }],
        steps: &[
            figure("ls -l, cold", Shape::ListLong { dir: "data/list", entries: 10_000 }, &[Target::Within(3.0)]),
            figure(
                "ls -l, again",
                Shape::ListLong { dir: "data/list", entries: 10_000 },
                &[Target::Within(0.15), Target::NoRequest],
            ),
        ],
        ..PLAIN
    },
    Row {
        name: "far-find",
        title: "find -type f over 100 directories of 100 files of 8 KiB, cold",
        family: "metadata",
        setting: Setting::Far,
        data: &[Data::Files { dir: "data/find", count: 10_000, bytes: 8 * KIB, per_directory: Some(100) }],
        steps: &[figure("find", Shape::Find { dir: "data/find", entries: 10_000 }, &[Target::Within(3.0)])],
        ..PLAIN
    },
    Row {
        name: "far-names",
        title: "ls -U of 100,000 names",
        family: "metadata",
        setting: Setting::Far,
        data: &[Data::Files { dir: "data/names", count: 100_000, bytes: 16, per_directory: None }],
        rounds_max: 2,
        steps: &[
            figure("ls -U, cold", Shape::ListNames { dir: "data/names", entries: 100_000 }, &[]),
            figure(
                "ls -U, again",
                Shape::ListNames { dir: "data/names", entries: 100_000 },
                &[Target::AtLeast(300_000.0)],
            ),
        ],
        ..PLAIN
    },
    Row {
        name: "near-attributes",
        title: "Answers from memory, with the kernel's caches passed by, four callers",
        family: "metadata",
        data: &[Data::Files { dir: "data/known", count: 50_000, bytes: 16, per_directory: None }],
        others: ALONE,
        steps: &[
            silent(Shape::ListLong { dir: "data/known", entries: 50_000 }),
            figure(
                "lookup",
                Shape::Lookups { dir: "data/known", names: 50_000, threads: 4 },
                &[Target::AtLeast(100_000.0), Target::NoRequest],
            ),
            figure(
                "getattr",
                Shape::Getattrs { dir: "data/known", threads: 4, calls_each: 50_000 },
                &[Target::AtLeast(150_000.0), Target::NoRequest],
            ),
        ],
        ..PLAIN
    },
    Row {
        name: "far-copy",
        title: "cp -r of 5,000 files of 4 KiB by 8 processes",
        family: "small",
        setting: Setting::Far,
        connections: 8,
        steps: &[figure(
            "cp -r",
            Shape::CopyTrees { dir: "copy", files: 5000, bytes: 4 * KIB, processes: 8 },
            &[Target::OfRaw(0.8)],
        )],
        ..PLAIN
    },
    Row {
        name: "far-untar",
        title: "tar -x of 5,000 files of 4 KiB, with -owriteback",
        family: "small",
        setting: Setting::Far,
        options: &["-owriteback"],
        others: WITH_LOCAL,
        steps: &[
            figure("tar -x", Shape::Untar { dir: "untar", files: 5000, bytes: 4 * KIB }, &[Target::AtLeast(3000.0)]),
            figure(
                "into the bucket",
                Shape::Drain { dir: "untar", files: 5000, bytes: 4 * KIB },
                &[Target::OfRaw(0.8)],
            ),
        ],
        ..PLAIN
    },
    Row {
        name: "near-read-files",
        title: "5,000 cold files of 16 KiB by 8 threads",
        family: "small",
        data: &[Data::Files { dir: "data/files", count: 5000, bytes: 16 * KIB, per_directory: None }],
        connections: 8,
        others: WITH_LOCAL,
        steps: &[figure(
            "read",
            Shape::ReadFiles { dir: "data/files", files: 5000, threads: 8 },
            &[Target::OfRaw(0.22)],
        )],
        ..PLAIN
    },
    Row {
        name: "near-create-files",
        title: "5,000 new files of 16 KiB by 8 threads",
        family: "small",
        connections: 8,
        others: WITH_LOCAL,
        steps: &[figure(
            "create",
            Shape::CreateFiles { dir: "new", files: 5000, bytes: 16 * KIB, threads: 8 },
            &[Target::OfRaw(0.20)],
        )],
        ..PLAIN
    },
    Row {
        name: "warm-page-cache",
        title: "1 GiB once more, through the page cache",
        family: "warm",
        data: &[Data::Object { file: "data/warm", bytes: GIB }],
        others: Others { raw: false, local: true, ..EVERYONE },
        steps: &[
            silent(Shape::Read { file: "data/warm" }),
            figure("read again", Shape::Read { file: "data/warm" }, &[Target::OfLocal(0.9)]),
        ],
        ..PLAIN
    },
    Row {
        name: "warm-disk-cache",
        title: "1 GiB once more, mounted anew, from the disk cache; page caches empty",
        family: "warm",
        data: &[Data::Object { file: "data/warm", bytes: GIB }],
        options: &["-ocache_dir=@cache"],
        others: Others { raw: false, local: true, peers: false, control: true },
        steps: &[
            silent(Shape::Read { file: "data/warm" }),
            silent(Shape::Remount),
            figure("read again", Shape::Read { file: "data/warm" }, &[Target::OfLocal(0.5)]),
        ],
        ..PLAIN
    },
    GROWTH_1K,
    GROWTH_10K,
    GROWTH_100K,
    KILLED_1K,
    KILLED_10K,
    KILLED_100K,
    Row {
        name: "growth-1m",
        title: "1,000,000 entries",
        data: &[Data::Files { dir: "data/tree", count: 1_000_000, bytes: 1, per_directory: None }],
        others: ALONE_ONCE,
        rounds_max: 1,
        steps: &[
            figure("mount", Shape::Mount, &[]),
            figure("ls -U, cold", Shape::ListNames { dir: "data/tree", entries: 1_000_000 }, &[]),
        ],
        ..GROWTH_1K
    },
];

const ALONE_ONCE: Others = Others { raw: false, local: false, peers: false, control: false };

/// The steps of a growth row with a number of entries.
macro_rules! growth {
    ($entries:expr) => {
        &[
            figure("mount", Shape::Mount, &[]),
            figure("ls -U, cold", Shape::ListNames { dir: "data/tree", entries: $entries }, &[]),
            figure("ls -l, cold", Shape::ListLong { dir: "data/tree", entries: $entries }, &[]),
            figure("mv", Shape::Rename { from: "data/tree", to: "data/moved" }, &[]),
            figure(
                "mv, into the bucket",
                Shape::SettleMove { from: "data/tree", to: "data/moved", entries: $entries },
                &[],
            ),
        ]
    };
}

const GROWTH_1K: Row = Row {
    name: "growth-1k",
    title: "1,000 entries",
    family: "growth",
    data: &[Data::Files { dir: "data/tree", count: 1000, bytes: 16, per_directory: None }],
    others: Others { raw: true, ..ALONE_ONCE },
    fresh: true,
    rounds_max: 3,
    steps: growth!(1000),
    ..PLAIN
};

const GROWTH_10K: Row = Row {
    name: "growth-10k",
    title: "10,000 entries",
    data: &[Data::Files { dir: "data/tree", count: 10_000, bytes: 16, per_directory: None }],
    steps: growth!(10_000),
    ..GROWTH_1K
};

const GROWTH_100K: Row = Row {
    name: "growth-100k",
    title: "100,000 entries",
    data: &[Data::Files { dir: "data/tree", count: 100_000, bytes: 16, per_directory: None }],
    rounds_max: 1,
    steps: growth!(100_000),
    ..GROWTH_1K
};

/// The steps of a row with a number of files that a killed daemon leaves on the local disk.
macro_rules! killed {
    ($files:expr) => {
        &[
            silent(Shape::Refuse),
            figure("create, kept here", Shape::CreateFiles { dir: "new", files: $files, bytes: 16, threads: 8 }, &[]),
            figure("mount after kill -9", Shape::KillAndMount, &[]),
            figure("kept, into the bucket", Shape::Drain { dir: "new", files: $files, bytes: 16 }, &[]),
        ]
    };
}

const KILLED_1K: Row = Row {
    name: "killed-1k",
    title: "1,000 files that are not in the bucket when ossfs is killed",
    family: "growth",
    options: &["-owriteback"],
    others: ALONE_ONCE,
    rounds_max: 3,
    steps: killed!(1000),
    ..PLAIN
};

const KILLED_10K: Row = Row {
    name: "killed-10k",
    title: "10,000 files that are not in the bucket when ossfs is killed",
    steps: killed!(10_000),
    rounds_max: 1,
    ..KILLED_1K
};

const KILLED_100K: Row = Row {
    name: "killed-100k",
    title: "100,000 files that are not in the bucket when ossfs is killed",
    steps: killed!(100_000),
    rounds_max: 1,
    ..KILLED_1K
};
