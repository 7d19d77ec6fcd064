//! The names of a file that has several, as an object tells them: `.ossfs/links/ID`.
//!
//! ```text
//! ossfs-links 1
//! a/first
//! b/second
//! ```
//!
//! Each name is the key of an object with the whole content, relative to the mounted prefix, and each of these objects
//! carries `ossfs-link: ID`. What an object does not carry itself is not believed: the list only says where to look.

use super::HIDDEN_DIRECTORY;
use ossfs_store::Metadata;
use ossfs_types::limits::KEY_BYTES_MAX;
use std::sync::Arc;

/// Which file an object is one of the names of. Not known to ossfs 1.x.
pub(crate) const LINK: &str = "ossfs-link";

/// Most names of one file: whoever sees one of them first has to look at all.
pub(crate) const NAMES_MAX: usize = 1_000;

/// More bytes no list has.
pub(crate) const LIST_BYTES_MAX: u64 = (HEAD.len() + NAMES_MAX * (2 * KEY_BYTES_MAX + 1)) as u64;

const HEAD: &str = "ossfs-links 1\n";
/// Digits of an id.
const ID_CHARS: usize = 16;

/// Where the lists are, below the mounted prefix.
pub(crate) fn lists() -> String {
    format!("{HIDDEN_DIRECTORY}/links/")
}

/// An id that no other file has.
pub(crate) fn new_link() -> Arc<str> {
    format!("{:0ID_CHARS$x}", fastrand::u64(..)).into()
}

/// The id that an object carries.
pub(crate) fn link_of(metadata: &Metadata) -> Option<&str> {
    let link = metadata.user.get(LINK)?.to_str().ok()?;
    let digits = link.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (link.len() == ID_CHARS && digits).then_some(link)
}

/// The list of these names.
pub(crate) fn list_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut list = HEAD.to_owned();
    for name in names {
        list.extend(name.chars().flat_map(|char| match char {
            '\\' => ['\\', '\\'].into_iter().take(2),
            '\n' => ['\\', 'n'].into_iter().take(2),
            char => [char, ' '].into_iter().take(1),
        }));
        list.push('\n');
    }
    list
}

/// The names of a list; `None` if it is none.
pub(crate) fn names_of(list: &[u8]) -> Option<Vec<String>> {
    let lines = std::str::from_utf8(list).ok()?.strip_prefix(HEAD)?;
    if !lines.is_empty() && !lines.ends_with('\n') {
        return None;
    }
    lines.split_terminator('\n').take(NAMES_MAX).map(name_of).collect()
}

fn name_of(line: &str) -> Option<String> {
    let mut name = String::new();
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        name.push(match char {
            '\\' => match chars.next()? {
                '\\' => '\\',
                'n' => '\n',
                _ => return None,
            },
            char => char,
        });
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    #[test]
    fn a_list_is_lines() {
        assert_eq!(list_of(["a/b", "c\\d\ne"]), "ossfs-links 1\na/b\nc\\\\d\\ne\n");
        assert_eq!(names_of(b"ossfs-links 1\n"), Some(Vec::new()));
        for none in ["", "ossfs-links 2\na\n", "ossfs-links 1\na", "ossfs-links 1\n\\x\n", "ossfs-links 1\n\\\n"] {
            assert_eq!(names_of(none.as_bytes()), None, "{none:?}");
        }
    }

    #[test]
    fn only_ids_are_believed_to_be_ids() {
        let carried = |link: &str| {
            let mut metadata = Metadata::default();
            metadata.user.insert(LINK.to_owned(), HeaderValue::from_str(link).unwrap());
            link_of(&metadata).map(str::to_owned)
        };
        let id = new_link();
        assert_eq!(carried(&id).as_deref(), Some(&*id));
        for none in ["", "../../../../etc/a", "0123456789ABCDEF", "0123456789abcde", "0123456789abcdef0"] {
            assert_eq!(carried(none), None, "{none:?}");
        }
    }

    proptest! {
        #[test]
        fn a_list_comes_back(names in prop::collection::vec("[^\0]{1,20}", 0..5)) {
            let list = list_of(names.iter().map(String::as_str));
            prop_assert_eq!(names_of(list.as_bytes()), Some(names));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = names_of(&bytes);
            let _ = names_of(&[HEAD.as_bytes(), &bytes].concat());
        }
    }
}
