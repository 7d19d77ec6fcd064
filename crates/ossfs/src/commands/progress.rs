//! What is left, shown to a person: a bar that is drawn over and over on a terminal, else a line now and then.

use crate::control::{Status, size};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two lines where they are not written over each other.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);
/// A rate over less time than this says nothing.
const RATE_AFTER: Duration = Duration::from_secs(1);
/// Letters of the bar.
const BAR_WIDTH: u64 = 20;

/// What is left, on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    terminal: bool,
    shown: Option<Instant>,
    begun: Instant,
    /// As it was at first; files and bytes as many as there ever were.
    first: Option<Status>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), shown: None, begun: Instant::now(), first: None }
    }

    pub(super) fn show(&mut self, status: &Status) {
        // Nothing left, or not unmounted yet: not worth a line.
        if status.is_settled() {
            return;
        }
        let first = self.first.get_or_insert_with(|| status.clone());
        first.nodes = first.nodes.max(status.nodes);
        first.bytes = first.bytes.max(status.bytes);
        let line = line(first, status, self.begun.elapsed());
        let mut stderr = std::io::stderr();
        // Progress that nobody can read does not stop the wait.
        if self.terminal {
            let _ = write!(stderr, "\r\x1b[K{} {line}", bar(first, status)).and_then(|()| stderr.flush());
            self.shown = Some(Instant::now());
        } else if self.shown.is_none_or(|shown| shown.elapsed() >= PLAIN_INTERVAL) {
            let _ = writeln!(stderr, "{line}");
            self.shown = Some(Instant::now());
        }
    }

    /// Clears the bar away.
    pub(super) fn finish(&mut self) {
        if self.terminal && self.shown.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// Files, bytes, rate and time left.
fn line(first: &Status, now: &Status, elapsed: Duration) -> String {
    let mut line = format!("uploading: {} left", now.left());
    let sent = now.sent.saturating_sub(first.sent);
    if elapsed < RATE_AFTER || sent == 0 {
        return line;
    }
    let rate = (sent as f64 / elapsed.as_secs_f64()) as u64;
    line.push_str(&format!(", {}/s", size(rate)));
    if now.bytes > 0 && rate > 0 {
        line.push_str(&format!(", about {}", time(now.bytes / rate)));
    }
    line
}

/// Seconds as people read them.
fn time(seconds: u64) -> String {
    match seconds {
        0..=1 => "1 s".to_owned(),
        2..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

/// How much is done: bytes where there are any, else files.
fn bar(first: &Status, now: &Status) -> String {
    let (all, left) = if first.bytes > 0 { (first.bytes, now.bytes) } else { (first.nodes.max(1), now.nodes) };
    let done = u128::from(all.saturating_sub(left)) * u128::from(BAR_WIDTH) / u128::from(all);
    let done = usize::try_from(done).expect("no more than the width");
    format!("[{:<width$}]", "#".repeat(done), width = BAR_WIDTH as usize)
}

/// What is not in the bucket, with the reasons, a line each.
pub(super) fn left_behind(status: &Status) -> String {
    let mut text = format!("not in the bucket: {}", status.left());
    for failure in &status.failures {
        text.push_str(&format!("\n  {failure}"));
    }
    let more = status.failures_total.saturating_sub(status.failures.len() as u64);
    if more > 0 {
        text.push_str(&format!("\n  and {more} more"));
    }
    text
}

/// Tells what the bucket refuses, and what was therefore taken back.
pub(super) fn tell_refused(status: &Status) {
    for failure in &status.refused {
        eprintln!("ossfs: {failure}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Failure, State};

    fn status(nodes: u64, bytes: u64, sent: u64) -> Status {
        Status {
            pid: 1,
            bucket: "demo".into(),
            mountpoint: "/mnt".into(),
            state: State::GaveUp,
            nodes,
            tombstones: 0,
            claims: 0,
            bytes,
            sent,
            failures_total: 0,
            failures: Vec::new(),
            refused: Vec::new(),
            is_hopeless: false,
        }
    }

    #[test]
    fn what_stays_behind_is_listed() {
        let (path, reason, advice) = ("/a/b".into(), "denied".into(), "ask for it".into());
        let failure = Failure { path, reason, advice, since_s: 7 };
        let status = Status { failures_total: 3, failures: vec![failure], ..status(3, 1024, 0) };
        let expected = "not in the bucket: 3 files, 1.0 KiB\n  /a/b: denied (for 7 s; ask for it)\n  and 2 more";
        assert_eq!(left_behind(&status), expected);
    }

    #[test]
    fn the_rate_and_the_time_left_are_told_once_they_are_known() {
        let first = status(4, 8 << 20, 1 << 20);
        assert_eq!(line(&first, &first, Duration::ZERO), "uploading: 4 files, 8.0 MiB left");
        let later = status(3, 6 << 20, 3 << 20);
        let shown = line(&first, &later, Duration::from_secs(2));
        assert_eq!(shown, "uploading: 3 files, 6.0 MiB left, 1.0 MiB/s, about 6 s");
        assert_eq!([0, 119, 120, 7_200].map(time), ["1 s", "119 s", "2 min", "2 h"]);
    }

    #[test]
    fn the_bar_grows_with_what_is_done() {
        assert_eq!(bar(&status(4, 100, 0), &status(4, 100, 0)), format!("[{}]", " ".repeat(20)));
        assert_eq!(bar(&status(4, 100, 0), &status(4, 50, 0)), format!("[{}{}]", "#".repeat(10), " ".repeat(10)));
        assert_eq!(bar(&status(4, 0, 0), &status(0, 0, 0)), format!("[{}]", "#".repeat(20)));
        assert_eq!(bar(&status(0, 0, 0), &status(9, 9, 0)), format!("[{}]", " ".repeat(20)));
    }
}
