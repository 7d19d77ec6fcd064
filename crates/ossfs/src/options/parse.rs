//! `-o NAME=VALUE,NAME,…` to [`Typed`].

use super::table::{self, Meaning, OptionRow};
use super::typed::Typed;
use super::value;

/// Why options can't be understood; one line, says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OptionError {
    /// There is no such option.
    #[error("there is no option -o{name}{suggestion}")]
    Unknown {
        /// What was typed.
        name: String,
        /// What was meant, or where to look.
        suggestion: String,
    },
    /// The value is missing.
    #[error("-o{name} needs a value: {spelled}")]
    NoValue {
        /// The option.
        name: &'static str,
        /// How it is typed.
        spelled: String,
    },
    /// The value is not one.
    #[error("-o{name}={value}: must be {wanted}")]
    BadValue {
        /// The option.
        name: &'static str,
        /// What was typed.
        value: String,
        /// What it must look like.
        wanted: String,
    },
    /// What is asked for is not possible.
    #[error("-o{name} is not possible: {reason}")]
    Refused {
        /// The option.
        name: &'static str,
        /// Why, and what to do instead.
        reason: &'static str,
    },
}

/// Understands the texts that followed `-o`, in order.
pub(crate) fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Typed, OptionError> {
    let mut typed = Typed::default();
    for text in texts {
        for option in split(text) {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value)),
                None => (option.trim(), None),
            };
            if !name.is_empty() || value.is_some() {
                apply(&mut typed, name, value)?;
            }
        }
    }
    Ok(typed)
}

/// Commas separate; `\,` is a comma and `\\` a backslash.
fn split(text: &str) -> Vec<String> {
    let mut options = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let current = options.last_mut().expect("there is always one");
        match character {
            '\\' if matches!(characters.peek(), Some(',' | '\\')) => current.extend(characters.next()),
            ',' => options.push(String::new()),
            _ => current.push(character),
        }
    }
    options
}

fn apply(typed: &mut Typed, name: &str, value: Option<&str>) -> Result<(), OptionError> {
    let Some(row) = table::find(name) else { return Err(unknown(name)) };
    let bad = |wanted| OptionError::BadValue { name: row.name, value: value.unwrap_or_default().to_owned(), wanted };
    match row.meaning {
        Meaning::Flag(slot) => *slot(typed) = Some(value::flag(value.unwrap_or_default()).map_err(bad)?),
        Meaning::Word(set) => match value {
            None => set(typed),
            Some(_) => return Err(bad("without a value".to_owned())),
        },
        Meaning::Value(_, set) => match value {
            None => return Err(OptionError::NoValue { name: row.name, spelled: row.spelled() }),
            Some(value) => set(typed, value).map_err(bad)?,
        },
        Meaning::OptionalValue(_, set) => set(typed, value.unwrap_or_default()).map_err(bad)?,
        Meaning::NotNeeded(reason) => note(typed, row, reason),
        Meaning::Refused(reason) => return Err(OptionError::Refused { name: row.name, reason }),
        Meaning::Silent => {}
    }
    Ok(())
}

fn note(typed: &mut Typed, row: &'static OptionRow, reason: &'static str) {
    let note = (row.name, reason);
    if !typed.not_needed.contains(&note) {
        typed.not_needed.push(note);
    }
}

fn unknown(name: &str) -> OptionError {
    let suggestion = match table::nearest(name) {
        Some(row) => format!(": did you mean {}?", row.spelled()),
        None => "; `ossfs --help` lists those that there are".to_owned(),
    };
    OptionError::Unknown { name: name.to_owned(), suggestion }
}

#[cfg(test)]
mod tests;
