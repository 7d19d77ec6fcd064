//! How costs grow with the number of entries: for each step the cost of one entry, at each number of them.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::figures::found;
use crate::contestants::Contestant;
use crate::measure::Measured;
use crate::rows::{Data, Row, Shape, Unit};
use crate::statistics::{grouped, three_digits};

/// The product's costs of each step side by side.
pub(super) fn table(rows: &[&Measured]) -> String {
    let mut steps: Vec<&str> = Vec::new();
    let mut costs: BTreeMap<(&str, u64), f64> = BTreeMap::new();
    let mut memory: BTreeMap<u64, f64> = BTreeMap::new();
    for measured in rows {
        let entries = entries(measured.row);
        for (at, step) in measured.row.steps.iter().enumerate() {
            let (Some(name), Some(own)) = (step.figure, found(measured, &Contestant::Ossfs, at)) else { continue };
            if !steps.contains(&name) {
                steps.push(name);
            }
            let whole = if step.shape.unit() == Unit::Time { 1.0 } else { entries as f64 };
            costs.insert((name, entries), own.seconds_each * whole * 1e3);
            let peak = memory.entry(entries).or_default();
            *peak = peak.max(own.peak_bytes / f64::from(1 << 20));
        }
    }
    let numbers: Vec<u64> = memory.keys().copied().collect();
    let heads: String = numbers.iter().map(|entries| format!(" {} |", grouped(*entries as f64))).collect();
    let rules: String = numbers.iter().map(|_| "---:|").collect();
    let mut text = format!("**growth** of ossfs's costs with the number of entries\n\n| what |{heads}\n|---|{rules}\n");
    for step in steps {
        let cells =
            numbers.iter().map(|entries| costs.get(&(step, *entries)).map(|ms| format!("{} ms", three_digits(*ms))));
        let _ = writeln!(text, "| {step} |{}", joined(cells));
    }
    let cells = numbers.iter().map(|entries| memory.get(entries).map(|mib| format!("{} MiB", three_digits(*mib))));
    let _ = writeln!(text, "| peak memory |{}", joined(cells));
    text
}

fn joined(cells: impl Iterator<Item = Option<String>>) -> String {
    cells.map(|cell| format!(" {} |", cell.unwrap_or_default())).collect()
}

/// Those that are there before the work, or come with it.
fn entries(row: &Row) -> u64 {
    let there = row.data.iter().map(|data| match *data {
        Data::Files { count, .. } => count,
        Data::Object { .. } => 1,
    });
    let made = row.steps.iter().map(|step| match step.shape {
        Shape::CreateFiles { files, .. } => files,
        _ => 0,
    });
    there.chain(made).sum()
}
