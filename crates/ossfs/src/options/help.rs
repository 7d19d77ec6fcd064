//! The table as the text of `--help`.

use super::table::{self, Group, Meaning, OptionRow};
use std::fmt::Write;

/// Columns of a line. Terminals have 80 at least, nearly always.
const WIDTH: usize = 80;
/// Of the text below an option's name.
const INDENT: &str = "          ";
/// What `-h` shows, in few words.
const OFTEN_USED: [(&str, &str); 11] = [
    ("url", "Address of OSS; it must be there"),
    ("region", "Region, if the address does not tell it"),
    ("passwd_file", "File with the access key"),
    ("ram_role", "Use the RAM role of the ECS instance"),
    ("ro", "Read-only"),
    ("allow_other", "Let all users in"),
    ("uid", "Owner of files that have none"),
    ("gid", "Group of files that have none"),
    ("umask", "Permissions of files that have none"),
    ("stat_cache_expire", "How long attributes are believed"),
    ("dbglevel", "How much is logged"),
];

const EXAMPLES: &str = "\
EXAMPLES

  With keys in /etc/passwd-ossfs, for root:

    echo my-bucket:ID:SECRET > /etc/passwd-ossfs
    chmod 640 /etc/passwd-ossfs
    ossfs my-bucket /mnt/oss -ourl=http://oss-cn-hangzhou.aliyuncs.com

  A directory of the bucket, read-only, for all users:

    ossfs my-bucket:/photos /mnt/photos -ourl=oss-cn-hangzhou.aliyuncs.com \\
          -o ro,allow_other,umask=022

  On an ECS instance, with its RAM role and the internal address:

    ossfs my-bucket /mnt/oss -oram_role \\
          -ourl=http://oss-cn-hangzhou-internal.aliyuncs.com

  From /etc/fstab, in one line:

    my-bucket /mnt/oss fuse.ossfs _netdev,allow_other,url=http://oss-cn-hangzhou.aliyuncs.com 0 0

  Unmounting; the second waits until everything is in the bucket:

    fusermount -u /mnt/oss
    ossfs umount /mnt/oss

  A bucket of your own, without an account: see `ossfs sandbox --help`.";

/// What follows the arguments in `-h`.
pub(crate) fn short() -> String {
    let mut text = "Often used with -o:\n".to_owned();
    for (name, help) in OFTEN_USED {
        let spelled = table::find(name).map(OptionRow::spelled).unwrap_or_default();
        line(&mut text, format_args!("  {spelled:<28}{help}"));
    }
    text.push_str("\n`ossfs --help` has them all, with examples.");
    text
}

/// What follows the arguments in `--help`.
pub(crate) fn long() -> String {
    let mut text = EXAMPLES.to_owned();
    text.push_str("\n\nOPTIONS FOR -o\n\n  Commas separate them; a comma within a value is written \\,\n");
    for group in Group::ALL {
        let rows: Vec<_> = table::all().filter(|row| row.group == group && row.is_honoured()).collect();
        if rows.is_empty() {
            continue;
        }
        line(&mut text, format_args!("\n{}:", group.title()));
        rows.into_iter().for_each(|row| entry(&mut text, row));
    }
    let ignored = |wanted: fn(&Meaning) -> bool| {
        let rows = table::all().filter(|row| wanted(&row.meaning));
        rows.map(|row| row.name).collect::<Vec<_>>().join(", ")
    };
    line(&mut text, format_args!("\nAccepted, and not needed (docs/options.md says why):"));
    wrap(&mut text, "  ", &ignored(|meaning| matches!(meaning, Meaning::NotNeeded(_))));
    line(&mut text, format_args!("\nAccepted without a word:"));
    wrap(&mut text, "  ", &ignored(|meaning| matches!(meaning, Meaning::Silent)));
    // What prints the help ends the line.
    text.truncate(text.trim_end().len());
    text
}

fn entry(text: &mut String, row: &OptionRow) {
    line(text, format_args!("  {}", row.spelled()));
    let default = if row.default.is_empty() { String::new() } else { format!(" [default: {}]", row.default) };
    wrap(text, INDENT, &format!("{}{default}", row.help));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string does not fail");
}

/// Breaks words into lines of at most `WIDTH` columns.
fn wrap(text: &mut String, indent: &str, words: &str) {
    let mut current = String::new();
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        if !current.is_empty() && indent.len() + current.len() + 1 + word.len() > WIDTH {
            line(text, format_args!("{indent}{current}"));
            current.clear();
        }
        if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(word);
    }
    line(text, format_args!("{indent}{current}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_option_that_is_accepted_in_lines_that_fit() {
        let help = long();
        for row in table::all().filter(|row| !matches!(row.meaning, Meaning::Refused(_))) {
            assert!(help.contains(row.name), "{}", row.name);
        }
        let mut too_long = help.lines().filter(|line| line.len() > WIDTH && !line.contains("fuse.ossfs"));
        assert_eq!(too_long.next(), None, "a line of fstab alone can't be broken");
    }

    #[test]
    fn the_short_help_shows_options_that_there_are() {
        let help = short();
        assert_eq!(
            help.lines().filter(|line| line.starts_with("  -o") && line.len() < WIDTH).count(),
            OFTEN_USED.len(),
            "{help}"
        );
    }
}
