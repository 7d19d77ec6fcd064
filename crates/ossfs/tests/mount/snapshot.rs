//! A tree of files as a value that can be compared.

use ossfs_types::Crc64;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Differences that a failed comparison shows.
const SHOWN_MAX: usize = 20;

/// Everything that `cp -a` keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    size: u64,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    File(Crc64),
    Symlink(PathBuf),
    Directory,
    Other,
}

/// The entries under a directory by their paths, itself included.
pub(crate) fn snapshot(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut entries = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let content = if meta.is_dir() {
            let children = fs::read_dir(&path).unwrap();
            left.extend(children.map(|child| child.unwrap().path()));
            Content::Directory
        } else if meta.is_symlink() {
            Content::Symlink(fs::read_link(&path).unwrap())
        } else if meta.is_file() {
            let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            Content::File(Crc64::of(&bytes))
        } else {
            Content::Other
        };
        let entry = Entry {
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            size: if meta.is_dir() { 0 } else { meta.len() },
            content,
        };
        let name = path.strip_prefix(root).unwrap().to_owned();
        assert!(entries.insert(name, entry).is_none(), "{} twice", path.display());
    }
    entries
}

/// The same without the times of directories: those that were not set on purpose do not outlive the mount.
pub(crate) fn without_directory_times(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut entries = snapshot(root);
    for entry in entries.values_mut().filter(|entry| entry.content == Content::Directory) {
        entry.mtime = (0, 0);
    }
    entries
}

/// Asserts that two trees are the same, and shows where they are not.
pub(crate) fn assert_same(wanted: &BTreeMap<PathBuf, Entry>, found: &BTreeMap<PathBuf, Entry>) {
    let names = wanted.keys().chain(found.keys().filter(|name| !wanted.contains_key(*name)));
    let differ: Vec<_> = names.filter(|name| wanted.get(*name) != found.get(*name)).collect();
    let shown = differ.iter().take(SHOWN_MAX);
    let lines: Vec<_> = shown
        .map(|name| format!("{}\n  wanted {:?}\n  found  {:?}", name.display(), wanted.get(*name), found.get(*name)))
        .collect();
    assert!(differ.is_empty(), "{} of {} differ:\n{}", differ.len(), wanted.len(), lines.join("\n"));
}
