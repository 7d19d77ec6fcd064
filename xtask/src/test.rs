//! `cargo xtask test`: the steps in order, and the sum of what they found.
//!
//! Invariants: a step that fails does not keep later ones from running, except where they need what it makes; a test
//! that did not run is counted as skipped with a reason, never as passed; the last line printed is the counts.

mod junit;
mod rust;
mod sdk;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::report::{Outcome, Tally, summarise};
use crate::run;
use crate::tools;
use crate::workspace::Workspace;

/// All of `cargo xtask test`; the promise of CONTRIBUTING is 45 minutes on two cores.
const OVERALL: Duration = Duration::from_secs(60 * 60);
const OVERALL_LONG: Duration = Duration::from_secs(8 * 60 * 60);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run the full counts of seeds, rounds and operations (sets OSSFS_LONG=1)
    #[arg(long)]
    pub(crate) long: bool,
    /// Never install system packages; say what is missing instead
    #[arg(long)]
    pub(crate) no_install: bool,
    /// Only the steps whose name contains this, or, if none does, only the tests whose name does
    pub(crate) filter: Option<String>,
}

/// What every step may use.
pub(crate) struct Context {
    pub(crate) workspace: Workspace,
    pub(crate) long: bool,
    /// Part of test names, if the filter names no step.
    pub(crate) tests_like: Option<String>,
    may_install: bool,
    started: Instant,
    /// Where cargo-nextest is, if not on PATH.
    nextest: Option<PathBuf>,
    /// Where the programs are that judge a mount.
    judges: PathBuf,
    /// The `ossfs` program, once it is built.
    binary: Option<PathBuf>,
}

impl Context {
    /// How long a step may take that is given `most`: no longer than what is left of the whole.
    pub(crate) fn deadline(&self, most: Duration) -> Duration {
        let overall = if self.long { OVERALL_LONG } else { OVERALL };
        let most = if self.long { overall } else { most };
        most.min(overall.saturating_sub(self.started.elapsed()))
    }
}

type Run = fn(&mut Context) -> Result<Tally>;

struct Step {
    name: &'static str,
    run: Run,
    /// Runs tests that have names, so a filter for tests applies.
    named_tests: bool,
}

const fn check(name: &'static str, run: Run) -> Step {
    Step { name, run, named_tests: false }
}

const fn tests(name: &'static str, run: Run) -> Step {
    Step { name, run, named_tests: true }
}

const STEPS: [Step; 10] = [
    check("format", rust::format),
    tests("architecture", rust::architecture),
    check("lints", rust::lints),
    check("docs", rust::docs),
    tests("tests", rust::tests),
    check("doctests", rust::doctests),
    tests("sdk python", sdk::python),
    check("sdk oss2's own suite, V4", sdk::shipped_v4),
    check("sdk oss2's own suite, V1", sdk::shipped_v1),
    tests("sdk node", sdk::node),
];

/// True if nothing failed.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let mut context = Context {
        workspace: Workspace::find()?,
        long: arguments.long,
        tests_like: None,
        may_install: !arguments.no_install,
        started: Instant::now(),
        nextest: None,
        judges: PathBuf::new(),
        binary: None,
    };
    let steps = choose(&mut context, arguments.filter.as_deref());
    let mut outcomes = vec![carry_out(&check("prerequisites", prerequisites), &mut context)];
    if outcomes[0].tally.failed.is_empty() {
        for step in steps {
            if run::interrupted() {
                outcomes.push(Outcome { step: step.name, tally: Tally::failure("interrupted"), took: Duration::ZERO });
                break;
            }
            outcomes.push(carry_out(step, &mut context));
        }
    }
    Ok(summarise(&outcomes))
}

fn choose(context: &mut Context, filter: Option<&str>) -> Vec<&'static Step> {
    let Some(filter) = filter else { return STEPS.iter().collect() };
    let by_name: Vec<&Step> = STEPS.iter().filter(|step| step.name.contains(filter)).collect();
    if !by_name.is_empty() {
        return by_name;
    }
    context.tests_like = Some(filter.to_owned());
    STEPS.iter().filter(|step| step.named_tests).collect()
}

fn carry_out(step: &Step, context: &mut Context) -> Outcome {
    println!("\n== {}", step.name);
    let started = Instant::now();
    let tally = (step.run)(context).unwrap_or_else(|error| {
        println!("  {error:#}");
        Tally::failure(step.name)
    });
    let took = started.elapsed();
    let word = if tally.failed.is_empty() { "done" } else { "FAILED" };
    println!("== {} {word} after {:.1} s", step.name, took.as_secs_f64());
    Outcome { step: step.name, tally, took }
}

fn prerequisites(context: &mut Context) -> Result<Tally> {
    tools::ensure_prerequisites(context.may_install)?;
    context.nextest = tools::ensure_nextest(&context.workspace)?;
    context.judges = tools::ensure_judges(&context.workspace);
    Ok(Tally::default())
}
