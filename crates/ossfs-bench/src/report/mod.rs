//! What was measured, as Markdown and as charts: pure, but for writing the files.

mod charts;
mod figures;
mod growth;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::contestants::Contestant;
use crate::measure::{Measured, Standing};
use crate::rows::{FAMILIES, Step};
use crate::statistics::three_digits;
use figures::{Figures, found, verdict};

const BEGIN: &str = "<!-- Written by cargo xtask bench, from here -->";
const END: &str = "<!-- to here. -->";

/// What is said above the tables.
pub(crate) struct Preface {
    /// The command that makes the report.
    pub(crate) command: String,
    /// Processor and kernel.
    pub(crate) machine: String,
    pub(crate) rounds: usize,
    /// Names with versions.
    pub(crate) peers: Vec<String>,
    pub(crate) absent: Vec<&'static str>,
}

/// The whole report; `charts` is where the charts are, as seen from it.
pub(crate) fn markdown(preface: &Preface, rows: &[Measured], client: Option<&str>, charts: Option<&str>) -> String {
    let mut text = head(preface);
    if rows.iter().any(|measured| measured.row.steps.iter().any(|step| !step.targets.is_empty())) {
        text.push_str(&targets(rows));
    }
    if rows.iter().any(|measured| measured.row.others.control) {
        text.push_str(&control(rows));
    }
    if rows.iter().any(|measured| measured.standings.iter().any(Standing::is_peer)) {
        text.push_str(&peers(rows));
    }
    text.push_str(&memory(rows));
    for (family, title) in FAMILIES {
        let rows: Vec<&Measured> = rows.iter().filter(|measured| measured.row.family == *family).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n### {title}\n");
        if let Some(charts) = charts {
            let _ = writeln!(text, "![{title}]({charts}/{family}.svg)\n");
        }
        for measured in &rows {
            text.push_str(&row(measured));
        }
        if *family == "growth" {
            text.push_str(&growth::table(&rows));
        }
    }
    if let Some(client) = client {
        let _ = writeln!(text, "\n### The OSS client alone\n\n{client}");
    }
    text
}

fn head(preface: &Preface) -> String {
    let peers = if preface.peers.is_empty() { "none".to_owned() } else { preface.peers.join("; ") };
    let absent = if preface.absent.is_empty() { "none".to_owned() } else { preface.absent.join(", ") };
    format!(
        "`{}` on {}; medians of {} rounds at most, contestants in turn. *far*: {}; *near*: {}. A contestant that took \
         long has fewer rounds. CPU and memory are the daemon's (of the raw client the measuring process's), GB are 10^9 \
         bytes.\n\nPeers: {peers}. Absent: {absent}.\n",
        preface.command,
        preface.machine,
        preface.rounds,
        "10 ms to the first byte, 20 MB/s per connection",
        "no delay, so that the processor is the limit",
    )
}

fn targets(rows: &[Measured]) -> String {
    let mut text = String::from("\n### Targets\n\n| row | what | target | measured | |\n|---|---|---|---:|---|\n");
    for measured in rows {
        for (at, step) in measured.row.steps.iter().enumerate() {
            for target in step.targets {
                let (asked, found, met) = verdict(measured, at, *target);
                let mark = if met { "met" } else { "**not met**" };
                let figure = step.figure.unwrap_or_default();
                let _ = writeln!(text, "| {} | {figure} | {asked} | {found} | {mark} |", measured.row.name);
            }
        }
    }
    text
}

/// Where the product had most memory: `memory_limit` and 64 MiB is what it may have.
fn memory(rows: &[Measured]) -> String {
    let peak_of = |measured: &Measured| {
        let ours = measured.standings.iter().filter(|standing| standing.contestant.is_ours());
        ours.flat_map(|standing| standing.samples.iter().flatten()).map(|sample| sample.peak_bytes).max()
    };
    let peaks = rows.iter().filter_map(|measured| Some((peak_of(measured)?, measured.row.name)));
    peaks.max().map_or(String::new(), |(peak, name)| {
        let mib = three_digits(peak as f64 / f64::from(1 << 20));
        format!("\nMost memory of ossfs in any row: {mib} MiB, in {name}.\n")
    })
}

/// How far the product is from itself.
fn control(rows: &[Measured]) -> String {
    let mut text =
        String::from("\n### Control: the product against itself\n\n| row | what | first | again | apart |\n");
    text.push_str("|---|---|---:|---:|---:|\n");
    for measured in rows {
        for (at, step) in measured.row.steps.iter().enumerate() {
            let Some(figure) = step.figure else { continue };
            let of = |who| found(measured, &who, at);
            if let (Some(first), Some(again)) = (of(Contestant::Ossfs), of(Contestant::Again)) {
                let apart = (first.seconds_each / again.seconds_each - 1.0).abs() * 100.0;
                let (first, again) = (first.value(), again.value());
                let _ = writeln!(text, "| {} | {figure} | {first} | {again} | {apart:.0} % |", measured.row.name);
            }
        }
    }
    text
}

/// How much faster the product is than each peer.
fn peers(rows: &[Measured]) -> String {
    let mut text = String::from("\n### Against the peers\n\n| row | what | peer | ossfs is faster by | |\n");
    text.push_str("|---|---|---|---:|---|\n");
    for measured in rows {
        for (at, step) in measured.row.steps.iter().enumerate() {
            let (Some(figure), Some(own)) = (step.figure, found(measured, &Contestant::Ossfs, at)) else { continue };
            for standing in measured.standings.iter().filter(|standing| standing.is_peer()) {
                let (name, peer) = (standing.contestant.name(), Figures::of(standing, at, step));
                let faster = peer.map(|peer| peer.seconds_each / own.seconds_each);
                let (by, mark) = match (faster, &standing.trouble) {
                    (Some(faster), _) => {
                        (format!("{}x", three_digits(faster)), if faster > 1.0 { "ahead" } else { "**behind**" })
                    }
                    (None, Some(trouble)) => (trouble.replace('|', "/"), ""),
                    (None, None) => continue,
                };
                let _ = writeln!(text, "| {} | {figure} | {name} | {by} | {mark} |", measured.row.name);
            }
        }
    }
    text
}

fn row(measured: &Measured) -> String {
    let row = measured.row;
    let options = row.options.join(" ");
    let with = if options.is_empty() { String::new() } else { format!(", with `{options}`") };
    let mut text = format!("**{}** ({}): {}{with}\n\n", row.name, row.setting.name(), row.title);
    text.push_str("| what | who | | of raw | CPU | peak memory | requests | rounds |\n");
    text.push_str("|---|---|---:|---:|---:|---:|---|---:|\n");
    for (at, step) in row.steps.iter().enumerate().filter(|(_, step)| step.figure.is_some()) {
        for standing in &measured.standings {
            text.push_str(&line(measured, standing, at, step));
        }
    }
    text.push('\n');
    text
}

fn line(measured: &Measured, standing: &Standing, at: usize, step: &Step) -> String {
    let (figure, who) = (step.figure.unwrap_or_default(), standing.contestant.name());
    let Some(figures) = Figures::of(standing, at, step) else {
        return match &standing.trouble {
            Some(trouble) => format!("| {figure} | {who} | {} | | | | | |\n", trouble.replace('|', "/")),
            None => String::new(),
        };
    };
    let of_raw = found(measured, &Contestant::Raw, at);
    let of_raw = of_raw.map_or(String::new(), |raw| format!("{:.2}", raw.seconds_each / figures.seconds_each));
    let local = standing.contestant == Contestant::Local;
    let unless_local = |text: String| if local { String::new() } else { text };
    format!(
        "| {figure} | {who} | {} | {of_raw} | {} | {} | {} | {} |\n",
        figures.value(),
        unless_local(figures.cpu()),
        unless_local(format!("{} MiB", three_digits(figures.peak_bytes / f64::from(1 << 20)))),
        unless_local(figures.requests()),
        figures.rounds,
    )
}

/// Puts a report between its marks in a document, or at the end.
fn replaced(document: &str, report: &str) -> String {
    let report = format!("{BEGIN}\n\n## Everything, in one run\n\n{}\n\n{END}", report.trim());
    match (document.find(BEGIN), document.find(END)) {
        (Some(begin), Some(end)) if begin < end => {
            format!("{}{report}{}", &document[..begin], &document[end + END.len()..])
        }
        _ => format!("{}\n\n{report}\n", document.trim_end()),
    }
}

/// Writes report and charts below a folder: `benchmarks.md` and `benchmarks/FAMILY.svg`.
pub(crate) fn publish(docs: &Path, preface: &Preface, rows: &[Measured], client: Option<&str>) -> Result<()> {
    let charts = docs.join("benchmarks");
    fs::create_dir_all(&charts).with_context(|| format!("cannot make {}", charts.display()))?;
    for (family, title) in FAMILIES {
        let of_family: Vec<&Measured> = rows.iter().filter(|measured| measured.row.family == *family).collect();
        if !of_family.is_empty() {
            fs::write(charts.join(format!("{family}.svg")), charts::chart(title, &of_family))?;
        }
    }
    let path = docs.join("benchmarks.md");
    let document = fs::read_to_string(&path).unwrap_or_default();
    let report = markdown(preface, rows, client, Some("benchmarks"));
    fs::write(&path, replaced(&document, &report)).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests;
