//! How every source file looks: it says what it is, and it is not too long.

use std::path::{Path, PathBuf};

use crate::crates::root;

/// Past this a file is two files.
const LINES_MAX: usize = 800;
const FOLDERS: [&str; 3] = ["crates", "xtask", "tests"];
const BAD_NAMES: [&str; 6] = ["utils", "util", "common", "helpers", "helper", "misc"];

fn files(extensions: &[&str]) -> Vec<PathBuf> {
    fn walk(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", "node_modules", "__pycache__"].contains(&name.as_str()) && !name.starts_with('.') {
                    walk(&path, extensions, found);
                }
            } else if path.extension().is_some_and(|own| extensions.contains(&own.to_string_lossy().as_ref())) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for folder in FOLDERS {
        let folder = root().join(folder);
        if folder.exists() {
            walk(&folder, extensions, &mut found);
        }
    }
    assert!(!found.is_empty());
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn every_module_says_what_it_is() {
    let silent: Vec<String> = files(&["rs"])
        .iter()
        .filter(|path| !std::fs::read_to_string(path).unwrap().starts_with("//!"))
        .map(|path| shown(path))
        .collect();
    assert!(silent.is_empty(), "these do not open with `//!`:\n{}", silent.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<String> = files(&["rs", "py", "js"])
        .iter()
        .map(|path| (path, std::fs::read_to_string(path).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{}: {lines} lines", shown(path)))
        .collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines:\n{}", long.join("\n"));
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let vague: Vec<String> = files(&["rs", "py", "js"])
        .iter()
        .filter(|path| BAD_NAMES.contains(&path.file_stem().unwrap_or_default().to_string_lossy().as_ref()))
        .map(|path| shown(path))
        .collect();
    assert!(vague.is_empty(), "{}", vague.join("\n"));
}
