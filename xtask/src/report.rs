//! What happened: counts of tests, outcomes of steps, and the closing line that CI reads.

use std::time::Duration;

/// Counts of tests, with the names that a reader wants.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: Vec<String>,
    /// Each with its reason.
    pub(crate) skipped: Vec<String>,
}

impl Tally {
    pub(crate) fn failure(name: impl Into<String>) -> Tally {
        Tally { failed: vec![name.into()], ..Tally::default() }
    }

    pub(crate) fn skip(what: impl Into<String>) -> Tally {
        Tally { skipped: vec![what.into()], ..Tally::default() }
    }

    fn add(&mut self, other: &Tally) {
        self.passed += other.passed;
        self.failed.extend(other.failed.iter().cloned());
        self.skipped.extend(other.skipped.iter().cloned());
    }
}

/// One step's end.
pub(crate) struct Outcome {
    pub(crate) step: &'static str,
    pub(crate) tally: Tally,
    pub(crate) took: Duration,
}

/// Prints the table, the failures and skips, and last the one line of counts. True if nothing failed.
pub(crate) fn summarise(outcomes: &[Outcome]) -> bool {
    let mut total = Tally::default();
    println!("\n{:<34}{:>8}{:>8}{:>8}{:>10}", "step", "passed", "failed", "skipped", "seconds");
    for Outcome { step, tally, took } in outcomes {
        println!(
            "{step:<34}{:>8}{:>8}{:>8}{:>10.1}",
            tally.passed,
            tally.failed.len(),
            tally.skipped.len(),
            took.as_secs_f64()
        );
        total.add(tally);
    }
    list("skipped", &total.skipped);
    list("FAILED", &total.failed);
    println!("\n{} passed, {} failed, {} skipped", total.passed, total.failed.len(), total.skipped.len());
    total.failed.is_empty()
}

fn list(word: &str, names: &[String]) {
    /// Beyond this many names the step's own output is the better place to look.
    const SHOWN: usize = 100;
    if !names.is_empty() {
        println!();
    }
    for name in names.iter().take(SHOWN) {
        println!("{word}: {name}");
    }
    if names.len() > SHOWN {
        println!("{word}: and {} more", names.len() - SHOWN);
    }
}
