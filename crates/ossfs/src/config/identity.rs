//! Numbers of users and groups, from numbers or names.

/// The number of a user or a group: `text` is a number, or a name in `database`, whose lines have the form of
/// `/etc/passwd` and `/etc/group`: the name first, the number third.
pub(super) fn number(text: &str, database: &str) -> Option<u32> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let line = database.lines().find(|line| line.split(':').next() == Some(text))?;
    line.split(':').nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_and_names() {
        let database = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/sh\nbroken\n";
        assert_eq!(number("1000", ""), Some(1000));
        assert_eq!(number("www-data", database), Some(33));
        assert_eq!(number("root", database), Some(0));
        for bad in ["nobody", "", "broken", "-1", "x"] {
            assert_eq!(number(bad, database), None, "{bad}");
        }
    }
}
