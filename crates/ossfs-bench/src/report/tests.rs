//! The report of rows that were never run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::contestants::Peer;
use crate::measure::Sample;
use crate::rows::{ROWS, Row};
use crate::sandbox::Counts;
use crate::work::Done;

fn row_of(name: &str) -> &'static Row {
    ROWS.iter().find(|row| row.name == name).unwrap()
}

fn sample(seconds: f64, amount: u64) -> Sample {
    let requests = BTreeMap::from([("GetObject".to_owned(), 256), ("HeadObject".to_owned(), 1)]);
    let counts = Counts { requests, bytes_out: 4096 * amount };
    Sample { done: Done { seconds, amount }, cpu_s: 1.0, peak_bytes: 100 << 20, counts }
}

fn standing(contestant: Contestant, seconds: &[f64], amount: u64) -> Standing {
    let samples = vec![seconds.iter().map(|seconds| sample(*seconds, amount)).collect()];
    Standing { contestant, samples, trouble: None, spent: Duration::ZERO }
}

fn peer(name: &'static str) -> Contestant {
    let version = "1".to_owned();
    Contestant::Peer(Peer { name, program: PathBuf::new(), version, uploads_later: false, own_layout: false })
}

fn near_read() -> Measured {
    let bytes = 2_000_000_000;
    let slow = Standing { trouble: Some("over 30 s".to_owned()), ..standing(peer("rclone"), &[], bytes) };
    Measured {
        row: row_of("near-read"),
        standings: vec![
            standing(Contestant::Ossfs, &[1.0, 9.0, 1.0], bytes),
            standing(Contestant::Raw, &[0.4], bytes),
            standing(Contestant::Local, &[0.5], bytes),
            standing(Contestant::Again, &[1.1], bytes),
            standing(peer("s3fs"), &[4.0], bytes),
            slow,
        ],
    }
}

fn preface() -> Preface {
    Preface {
        command: "cargo xtask bench".to_owned(),
        machine: "a machine".to_owned(),
        rounds: 3,
        peers: vec!["s3fs 1.90".to_owned()],
        absent: vec!["goofys", "juicefs"],
    }
}

#[test]
fn a_report_has_medians_ratios_targets_and_who_is_absent() {
    let text = markdown(&preface(), &[near_read()], Some("| client |"), None);
    for line in [
        "| near-read | read | at least 0.3 of the raw client | 0.40 | met |",
        "| near-read | read | CPU at most 0.65 s/GB | 0.500 s/GB | met |",
        "| near-read | read | 2.00 GB/s | 1.82 GB/s | 9 % |",
        "| near-read | read | s3fs | 4.00x | ahead |",
        "| near-read | read | rclone | over 30 s |  |",
        "| read | ossfs | 2.00 GB/s | 0.40 | 0.500 s/GB | 100 MiB | 256 GetObject, 1 HeadObject | 3 |",
        "| read | local disk | 4.00 GB/s | 0.80 |  |  |  | 1 |",
        "| read | rclone | over 30 s | | | | | |",
        "Peers: s3fs 1.90. Absent: goofys, juicefs.",
        "| client |",
        "Most memory of ossfs in any row: 100 MiB, in near-read.",
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
}

#[test]
fn what_was_not_measured_is_not_met() {
    let measured = Measured { row: row_of("far-list"), standings: Vec::new() };
    let text = markdown(&preface(), &[measured], None, None);
    assert!(text.contains("| far-list | ls -l, again | no request | not measured | **not met** |"), "{text}");
}

#[test]
fn fetched_bytes_and_rates_are_for_each() {
    let row = row_of("far-random");
    let measured = Measured { row, standings: vec![standing(Contestant::Ossfs, &[2.0], 4000)] };
    let text = markdown(&preface(), &[measured], None, None);
    assert!(text.contains("| at most 16,384 bytes fetched for each | 4,096 bytes | met |"), "{text}");
    assert!(text.contains("| read | ossfs | 2,000 reads/s |  | 250 us each |"), "{text}");
    assert!(text.contains("0.06 each: 256 GetObject"), "{text}");
}

#[test]
fn growth_is_shown_side_by_side() {
    let steps = |times: [f64; 2]| {
        let samples = times.iter().map(|seconds| vec![sample(*seconds, 1000)]).collect();
        vec![Standing { contestant: Contestant::Ossfs, samples, trouble: None, spent: Duration::ZERO }]
    };
    let rows = [
        Measured { row: row_of("growth-1k"), standings: steps([0.010, 0.020]) },
        Measured { row: row_of("growth-10k"), standings: steps([0.011, 0.2]) },
    ];
    let text = markdown(&preface(), &rows, None, None);
    assert!(text.contains("| what | 1,000 | 10,000 |\n"), "{text}");
    assert!(text.contains("| mount | 10.0 ms | 11.0 ms |\n"), "{text}");
}

#[test]
fn a_report_replaces_the_one_before_and_nothing_else() {
    let once = replaced("# Benchmarks\n\nBy hand.\n", "first");
    assert!(once.starts_with("# Benchmarks\n\nBy hand.\n\n<!--"));
    let twice = replaced(&format!("{once}\nMore by hand.\n"), "second");
    assert!(twice.contains("second") && !twice.contains("first"));
    assert!(twice.starts_with("# Benchmarks\n\nBy hand.\n") && twice.ends_with("\nMore by hand.\n"));
}

#[test]
fn files_are_written_where_they_belong() {
    let docs = tempfile::tempdir().unwrap();
    publish(docs.path(), &preface(), &[near_read()], None).unwrap();
    let text = fs::read_to_string(docs.path().join("benchmarks.md")).unwrap();
    assert!(text.contains("(benchmarks/sequential.svg)"), "{text}");
    let chart = fs::read_to_string(docs.path().join("benchmarks/sequential.svg")).unwrap();
    // The fastest has the longest bar; who has no figure has none.
    assert!(chart.contains("width='440.0' height='16' fill='#868e96'"), "{chart}");
    assert_eq!(chart.matches("height='16'").count(), 5);
}
