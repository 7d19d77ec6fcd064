//! What processes cost, read from `/proc`: processor time and memory of a process with all that it started.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

/// What Linux counts processor time in, for programs: 100 a second on every architecture.
const TICK_S: f64 = 0.01;

/// Our own process, as `/proc` names it.
pub(crate) fn own() -> u32 {
    std::process::id()
}

/// One line of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Of all threads, also those that have ended.
    ticks: u64,
}

fn parse_stat(line: &str) -> Option<Stat> {
    // The second field, the name, may have anything in it.
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat { parent: u32::try_from(number(1)?).ok()?, ticks: number(11)? + number(12)? })
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// A process and its descendants, itself first.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && let Some(stat) = stat(pid)
        {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children.get(pid).into_iter().flatten().copied());
        next += 1;
    }
    found
}

/// Seconds of processor time that a process and its descendants have taken so far.
pub(crate) fn cpu_s(root: u32, with_children: bool) -> f64 {
    let pids = if with_children { tree(root) } else { vec![root] };
    let ticks: u64 = pids.into_iter().filter_map(stat).map(|stat| stat.ticks).sum();
    ticks as f64 * TICK_S
}

fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// Most bytes of memory that a process and its descendants have had, each at its own time.
pub(crate) fn peak_bytes(root: u32, with_children: bool) -> u64 {
    let pids = if with_children { tree(root) } else { vec![root] };
    let status = |pid: u32| fs::read_to_string(format!("/proc/{pid}/status")).ok();
    pids.into_iter().filter_map(status).filter_map(|status| peak_of(&status)).sum()
}

/// Lets our own peak begin anew.
pub(crate) fn forget_own_peak() -> Result<()> {
    fs::write("/proc/self/clear_refs", "5").context("cannot reset VmHWM")
}

fn available_bytes(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()? << 10)
}

/// Touches half of the memory that is free, and frees it again. A virtual machine gets a page from its host when it first
/// touches it, which takes longer than to fill it: without this whoever is measured first pays for all.
pub(crate) fn touch_memory() {
    const CHUNK_BYTES: usize = 64 << 20;
    const PAGE_BYTES: usize = 4096;
    let free = fs::read_to_string("/proc/meminfo").ok().and_then(|meminfo| available_bytes(&meminfo)).unwrap_or(0);
    let mut chunks = Vec::new();
    for _ in 0..free / 2 / CHUNK_BYTES {
        let mut chunk = vec![0u8; CHUNK_BYTES];
        chunk.iter_mut().step_by(PAGE_BYTES).for_each(|byte| *byte = 1);
        chunks.push(std::hint::black_box(chunk));
    }
}

/// Ends a process and its descendants at once. They must be ours: not yet waited for.
pub(crate) fn kill(root: u32) {
    for pid in tree(root) {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // That it has just ended is no error.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_anything_in_it_is_no_trap() {
        let line = "71 (a ) b) S 7 71 70 0 -1 4194560 1 2 3 4 250 50 9 9 20 0 1 0 100 1 1";
        assert_eq!(parse_stat(line), Some(Stat { parent: 7, ticks: 300 }));
        assert_eq!(parse_stat("71 (short) S 7"), None);
    }

    #[test]
    fn the_peak_is_in_kilobytes() {
        assert_eq!(peak_of("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2 << 20));
        assert_eq!(peak_of("Name:\tx\n"), None);
    }

    #[test]
    fn free_memory_is_in_kilobytes() {
        assert_eq!(available_bytes("MemTotal: 9 kB\nMemAvailable:    4 kB\n"), Some(4096));
        assert_eq!(available_bytes(""), None);
    }

    #[test]
    fn our_own_numbers_are_there() {
        assert!(peak_bytes(own(), false) > 0);
        assert!(tree(own()).contains(&own()));
    }
}
