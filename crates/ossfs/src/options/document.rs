//! The table as `docs/options.md`.

use super::table::{self, Group, Meaning, OptionRow};
use std::fmt::Write;
use std::path::Path;

const HEAD: &str = "\
# Options

<!-- Made from the table in crates/ossfs/src/options/rows. To change it, change the table and run
     UPDATE=1 cargo test -p ossfs options_document -->

`ossfs BUCKET[:/PREFIX] MOUNTPOINT -ourl=ENDPOINT [-o OPTION[=VALUE],…] [-f] [-d]`

Options follow `-o`, with or without a blank, and may be repeated. Commas separate them; a comma within a value is written
`\\,` and a backslash `\\\\`. The last of two that exclude each other stands. `-f` stays in the foreground, `-d` logs
everything (and stays in the foreground), `-s` of ossfs 1.x is accepted. An option that does not exist is an error that
names the one that was probably meant.
";

const FORMERLY: &str = "
These are accepted, so that command lines and `/etc/fstab` stay as they are. Nothing is done about them; a note on stderr
says so when mounting, with the reason.
";

const SILENT: &str = "
These are accepted without a word: they are for others, or say what is so anyway.
";

const REFUSED: &str = "
## Not possible

These are errors: to ignore them would not do what was asked for.
";

/// The whole document.
fn document() -> String {
    let mut text = HEAD.to_owned();
    for group in Group::ALL {
        let rows: Vec<_> = table::all().filter(|row| row.group == group).collect();
        write(&mut text, format_args!("\n## {}\n", group.title()));
        let honoured: Vec<_> = rows.iter().filter(|row| row.is_honoured()).collect();
        if !honoured.is_empty() {
            text.push_str("\n| option | what it does | without it |\n|---|---|---|\n");
            for row in honoured {
                write(&mut text, format_args!("| `{}` | {} | {} |\n", spelled(row), cell(row.help), cell(row.default)));
            }
        }
        reasons(&mut text, FORMERLY, &rows, |meaning| match meaning {
            Meaning::NotNeeded(reason) => Some(reason),
            _ => None,
        });
        let silent: Vec<_> = rows.iter().filter(|row| matches!(row.meaning, Meaning::Silent)).collect();
        if !silent.is_empty() {
            let names: Vec<_> = silent.iter().map(|row| format!("`{}`", row.name)).collect();
            write(&mut text, format_args!("{SILENT}\n{}\n", names.join(", ")));
        }
    }
    let all: Vec<_> = table::all().collect();
    reasons(&mut text, REFUSED, &all, |meaning| match meaning {
        Meaning::Refused(reason) => Some(reason),
        _ => None,
    });
    text
}

/// The rows with a reason, as a table below an introduction.
fn reasons(text: &mut String, introduction: &str, rows: &[&OptionRow], reason: fn(&Meaning) -> Option<&'static str>) {
    let reasons: Vec<_> = rows.iter().filter_map(|row| Some((row.name, reason(&row.meaning)?))).collect();
    if reasons.is_empty() {
        return;
    }
    text.push_str(introduction);
    text.push_str("\n| option | why |\n|---|---|\n");
    for (name, reason) in reasons {
        write(text, format_args!("| `{name}` | {} |\n", cell(reason)));
    }
}

fn spelled(row: &OptionRow) -> String {
    row.spelled().trim_start_matches("-o").replace('|', "\\|")
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

fn write(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).unwrap();
}

#[test]
fn options_document_is_what_the_table_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/options.md");
    let wanted = document();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == wanted, "docs/options.md is out of date: run UPDATE=1 cargo test -p ossfs options_document");
}
