//! Counts from JUnit XML, as nextest and pytest write it.
//!
//! A Rust test that cannot run on this machine prints a line that begins with `SKIPPED: `; runners know it as passed,
//! here it counts as skipped.

use std::path::Path;
use std::process::ExitStatus;

use anyhow::{Context as _, Result, bail};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::report::Tally;

const SKIPPED: &str = "SKIPPED: ";

/// The results a runner left; a runner that failed without a failed test counts as one failure.
pub(super) fn read_or_fail(results: &Path, status: ExitStatus) -> Result<Tally> {
    let Ok(text) = std::fs::read_to_string(results) else {
        if status.success() {
            return Ok(Tally::default());
        }
        bail!("no test was run: {status}");
    };
    let mut tally = count(&text).with_context(|| format!("cannot read {}", results.display()))?;
    if !status.success() && tally.failed.is_empty() {
        tally.failed.push(format!("the test runner: {status}"));
    }
    Ok(tally)
}

#[derive(Default)]
struct Case {
    name: String,
    failed: bool,
    skipped: Option<String>,
}

fn count(text: &str) -> Result<Tally> {
    let mut reader = Reader::from_str(text);
    let mut tally = Tally::default();
    let mut case: Option<Case> = None;
    let mut in_output = false;
    loop {
        let event = reader.read_event()?;
        match &event {
            Event::Start(element) | Event::Empty(element) => {
                let empty = matches!(event, Event::Empty(_));
                match element.local_name().as_ref() {
                    "testcase" => {
                        case = Some(Case { name: name_of(element)?, ..Case::default() });
                        if empty {
                            finish(case.take(), &mut tally);
                        }
                    }
                    "system-out" => in_output = !empty,
                    "failure" | "error" => case.iter_mut().for_each(|case| case.failed = true),
                    "skipped" => {
                        let reason = attribute(element, "message")?.unwrap_or_default();
                        case.iter_mut().for_each(|case| case.skipped = Some(reason.clone()));
                    }
                    _ => {}
                }
            }
            Event::Text(written) if in_output => note_skip(&mut case, written),
            Event::CData(written) if in_output => note_skip(&mut case, written),
            Event::End(element) => match element.local_name().as_ref() {
                "testcase" => finish(case.take(), &mut tally),
                "system-out" => in_output = false,
                _ => {}
            },
            Event::Eof => return Ok(tally),
            _ => {}
        }
    }
}

fn note_skip(case: &mut Option<Case>, output: &str) {
    let reason = output.lines().find_map(|line| line.trim_start().strip_prefix(SKIPPED));
    if let (Some(case), Some(reason)) = (case, reason) {
        case.skipped = Some(reason.to_owned());
    }
}

fn finish(case: Option<Case>, tally: &mut Tally) {
    let Some(case) = case else { return };
    match case {
        // pytest writes a failed test whose clean-up failed too as two cases; both name it.
        Case { failed: true, name, .. } => tally.failed.push(name),
        Case { skipped: Some(reason), name, .. } => tally.skipped.push(format!("{name}: {reason}")),
        _ => tally.passed += 1,
    }
}

fn name_of(element: &BytesStart<'_>) -> Result<String> {
    let class = attribute(element, "classname")?.unwrap_or_default();
    let name = attribute(element, "name")?.unwrap_or_default();
    Ok(format!("{class} {name}"))
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>> {
    let found = element.try_get_attribute(name)?;
    Ok(found.map(|found| found.value.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_end_is_counted() {
        let tally = count(
            r#"<?xml version="1.0"?><testsuites><testsuite name="s">
            <testcase classname="c" name="ok"/>
            <testcase classname="c" name="talks"><system-out>running
test ... ok</system-out></testcase>
            <testcase classname="c" name="bad"><failure message="m">text</failure></testcase>
            <testcase classname="c" name="broken"><error/></testcase>
            <testcase classname="c" name="left"><skipped message="no device"/></testcase>
            <testcase classname="c" name="cannot"><system-out>
SKIPPED: no /dev/fuse
</system-out></testcase></testsuite></testsuites>"#,
        )
        .unwrap();
        assert_eq!(tally.passed, 2);
        assert_eq!(tally.failed, ["c bad", "c broken"]);
        assert_eq!(tally.skipped, ["c left: no device", "c cannot: no /dev/fuse"]);
    }
}
