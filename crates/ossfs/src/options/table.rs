//! The shape of the table of options, and finding a row in it.

use super::rows;
use super::typed::Typed;
use super::value::Problem;
use strsim::osa_distance;

/// How far a typing error may be from a name, in changed letters, of a name this long.
const fn distance_max(len: usize) -> usize {
    if len < 5 { 1 } else { len / 3 }
}

/// One option.
pub(crate) struct OptionRow {
    /// What follows `-o`. A `*` at the end stands for anything.
    pub name: &'static str,
    /// The chapter it is in.
    pub group: Group,
    /// What it does here, for those that do something.
    pub help: &'static str,
    /// What holds without it; empty if there is nothing to say.
    pub default: &'static str,
    /// What becomes of it.
    pub meaning: Meaning,
}

/// Puts a value where it belongs, or says what it must look like.
pub(crate) type Setter = fn(&mut Typed, &str) -> Result<(), Problem>;

/// What becomes of an option.
pub(crate) enum Meaning {
    /// Stands alone, or with `=1` or `=0`.
    Flag(fn(&mut Typed) -> &mut Option<bool>),
    /// Stands alone and says one thing.
    Word(fn(&mut Typed)),
    /// Has a value, shown by this placeholder.
    Value(&'static str, Setter),
    /// May have a value; the text is empty without one.
    OptionalValue(&'static str, Setter),
    /// Accepted, with a note that gives the reason why nothing is done.
    NotNeeded(&'static str),
    /// An error that says what to do instead: to ignore it would not do what was asked for.
    Refused(&'static str),
    /// A word that is not for us, or says what is so anyway.
    Silent,
}

/// Chapters of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Place,
    Credentials,
    Access,
    Caching,
    Transfer,
    NewObjects,
    Logging,
    Mount,
    /// Of ossfs 1.x and s3fs, and not needed.
    Formerly,
    /// Of FUSE, and not needed.
    Fuse,
}

impl Group {
    /// Every chapter, in the order of the help.
    pub(crate) const ALL: [Self; 10] = [
        Self::Place,
        Self::Credentials,
        Self::Access,
        Self::Caching,
        Self::Transfer,
        Self::NewObjects,
        Self::Logging,
        Self::Mount,
        Self::Formerly,
        Self::Fuse,
    ];

    /// The chapter's title.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Place => "Where the bucket is",
            Self::Credentials => "Credentials",
            Self::Access => "Who may do what",
            Self::Caching => "What is remembered",
            Self::Transfer => "Requests, time limits and memory",
            Self::NewObjects => "New objects",
            Self::Logging => "Messages",
            Self::Mount => "mount(8) and fstab",
            Self::Formerly => "Options of ossfs 1.x and s3fs",
            Self::Fuse => "Options of FUSE",
        }
    }
}

impl OptionRow {
    /// As it is typed: `-ourl=ENDPOINT`, `-oro`.
    pub(crate) fn spelled(&self) -> String {
        match self.meaning {
            Meaning::Value(name, _) => format!("-o{}={name}", self.name),
            Meaning::OptionalValue(name, _) => format!("-o{}[={name}]", self.name),
            _ => format!("-o{}", self.name),
        }
    }

    /// Whether it does something.
    pub(crate) fn is_honoured(&self) -> bool {
        !matches!(self.meaning, Meaning::NotNeeded(_) | Meaning::Refused(_) | Meaning::Silent)
    }
}

/// Every option, in the order of the help.
pub(crate) fn all() -> impl Iterator<Item = &'static OptionRow> {
    rows::TABLES.into_iter().flatten()
}

/// The option of this name.
pub(crate) fn find(name: &str) -> Option<&'static OptionRow> {
    all().find(|row| match row.name.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => row.name == name,
    })
}

/// The option whose name is most like this, if any is: first among those that do something.
pub(crate) fn nearest(name: &str) -> Option<&'static OptionRow> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let limit = distance_max(name.chars().count());
    all()
        .filter(|row| !matches!(row.meaning, Meaning::Silent) || row.name.len() > 3)
        .map(|row| (osa_distance(&name, row.name), !row.is_honoured(), row))
        .filter(|(distance, _, _)| *distance <= limit)
        .min_by_key(|(distance, ignored, _)| (*distance, *ignored))
        .map(|(_, _, row)| row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_is_there_once_and_can_be_typed() {
        let mut names = BTreeSet::new();
        for row in all() {
            assert!(names.insert(row.name), "{} is there twice", row.name);
            assert!(!row.name.is_empty() && !row.name.contains(['=', ',', ' ']), "{}", row.name);
            assert_eq!(row.help.is_empty(), !row.is_honoured(), "{}: help is for those that do something", row.name);
        }
        assert!(names.len() > 150, "{}", names.len());
    }

    #[test]
    fn what_was_probably_meant() {
        for (typed, meant) in [
            ("umaks", Some("umask")),
            ("allow-other", Some("allow_other")),
            ("alow_other", Some("allow_other")),
            ("passwd_fil", Some("passwd_file")),
            ("URL", Some("url")),
            ("regoin", Some("region")),
            ("multipart_sizes", Some("multipart_size")),
            ("frobnicate", None),
        ] {
            assert_eq!(nearest(typed).map(|row| row.name), meant, "{typed}");
        }
    }

    #[test]
    fn a_star_stands_for_anything() {
        assert!(find("x-systemd.automount").is_some_and(|row| matches!(row.meaning, Meaning::Silent)));
        assert!(find("x").is_none());
    }
}
