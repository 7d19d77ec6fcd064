//! Medians of one contestant's step, and whether a target is met.

use crate::contestants::Contestant;
use crate::measure::{Measured, Sample, Standing};
use crate::rows::{Step, Target, Unit};
use crate::statistics::{grouped, median, three_digits};

/// A contestant's medians of one step.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    unit: Unit,
    /// For each byte or thing; of what is a time, for all of it.
    pub(super) seconds_each: f64,
    /// For each byte or thing; of what is a time, for all of it.
    cpu_s_each: f64,
    /// The most of all rounds.
    pub(super) peak_bytes: f64,
    requests: f64,
    /// Bytes or things.
    amount: f64,
    bytes_out: f64,
    /// The two most frequent operations, with their counts in the last round.
    operations: Vec<(String, u64)>,
    pub(super) rounds: usize,
}

impl Figures {
    pub(super) fn of(standing: &Standing, at: usize, step: &Step) -> Option<Figures> {
        let samples = standing.samples.get(at)?;
        let last = samples.last()?;
        let unit = step.shape.unit();
        let parts = |sample: &Sample| if unit == Unit::Time { 1.0 } else { sample.done.amount.max(1) as f64 };
        let of = |figure: &dyn Fn(&Sample) -> f64| median(samples.iter().map(figure)).unwrap_or_default();
        let mut operations: Vec<(String, u64)> = last.counts.requests.clone().into_iter().collect();
        operations.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        operations.truncate(2);
        Some(Figures {
            unit,
            seconds_each: of(&|sample| sample.done.seconds / parts(sample)),
            cpu_s_each: of(&|sample| sample.cpu_s / parts(sample)),
            peak_bytes: samples.iter().map(|sample| sample.peak_bytes as f64).fold(0.0, f64::max),
            requests: of(&|sample| sample.counts.requests.values().sum::<u64>() as f64),
            amount: of(&|sample| sample.done.amount as f64),
            bytes_out: of(&|sample| sample.counts.bytes_out as f64),
            operations,
            rounds: samples.len(),
        })
    }

    /// The rate, or the time.
    pub(super) fn value(&self) -> String {
        match self.unit {
            Unit::Bytes => format!("{} GB/s", three_digits(1e-9 / self.seconds_each)),
            Unit::Each(things) => format!("{} {things}/s", three_digits(1.0 / self.seconds_each)),
            Unit::Time => seconds(self.seconds_each),
        }
    }

    /// How long a bar is: more is better, so of times the inverse.
    pub(super) fn speed(&self) -> f64 {
        1.0 / self.seconds_each
    }

    pub(super) fn cpu(&self) -> String {
        match self.unit {
            Unit::Bytes => format!("{} s/GB", three_digits(self.cpu_s_each * 1e9)),
            Unit::Each(_) => format!("{} us each", three_digits(self.cpu_s_each * 1e6)),
            Unit::Time => seconds(self.cpu_s_each),
        }
    }

    /// How many, what kinds, and of things how many for each.
    pub(super) fn requests(&self) -> String {
        let kinds: Vec<String> =
            self.operations.iter().map(|(name, count)| format!("{} {name}", grouped(*count as f64))).collect();
        let each = match self.unit {
            Unit::Each(_) if self.amount > 0.0 => format!("{:.2} each: ", self.requests / self.amount),
            _ => String::new(),
        };
        if kinds.is_empty() { "none".to_owned() } else { each + &kinds.join(", ") }
    }
}

fn seconds(seconds: f64) -> String {
    if seconds < 0.1 { format!("{} ms", three_digits(seconds * 1e3)) } else { format!("{} s", three_digits(seconds)) }
}

/// A contestant's medians, if it took part.
pub(super) fn found(measured: &Measured, who: &Contestant, at: usize) -> Option<Figures> {
    let standing = measured.standings.iter().find(|standing| standing.contestant == *who)?;
    Figures::of(standing, at, measured.row.steps.get(at)?)
}

/// What is asked, what was found, and whether that is enough.
pub(super) fn verdict(measured: &Measured, at: usize, target: Target) -> (String, String, bool) {
    let own = found(measured, &Contestant::Ossfs, at);
    let part_of = |who: &Contestant, part: f64| {
        let others = found(measured, who, at);
        let ratio = own.as_ref().zip(others).map(|(own, others)| others.seconds_each / own.seconds_each);
        (ratio.map(|ratio| format!("{ratio:.2}")), ratio.is_some_and(|ratio| ratio >= part))
    };
    let own = own.as_ref();
    let at_most = |figure: Option<f64>, most: f64, unit: &str| {
        (figure.map(|figure| format!("{}{unit}", three_digits(figure))), figure.is_some_and(|figure| figure <= most))
    };
    let (asked, (found, met)) = match target {
        Target::OfRaw(part) => (format!("at least {part} of the raw client"), part_of(&Contestant::Raw, part)),
        Target::OfLocal(part) => (format!("at least {part} of the local disk"), part_of(&Contestant::Local, part)),
        Target::AtLeast(rate) => {
            let found = own.map(|own| 1.0 / own.seconds_each);
            let shown = found.map(|found| format!("{}/s", three_digits(found)));
            (format!("at least {}/s", grouped(rate)), (shown, found.is_some_and(|found| found >= rate)))
        }
        Target::Within(most) => {
            let found = own.map(|own| own.seconds_each);
            (format!("within {}", seconds(most)), (found.map(seconds), found.is_some_and(|found| found <= most)))
        }
        Target::CpuPerGb(most) => {
            (format!("CPU at most {most} s/GB"), at_most(own.map(|own| own.cpu_s_each * 1e9), most, " s/GB"))
        }
        Target::FetchedEach(most) => {
            let each = own.map(|own| own.bytes_out / own.amount.max(1.0));
            (format!("at most {} bytes fetched for each", grouped(most)), at_most(each, most, " bytes"))
        }
        Target::NoRequest => ("no request".to_owned(), at_most(own.map(|own| own.requests), 0.0, " requests")),
    };
    (asked, found.unwrap_or_else(|| "not measured".to_owned()), met)
}
