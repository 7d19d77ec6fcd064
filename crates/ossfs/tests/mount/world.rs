//! What a writer's directory must show: names, the files that they are names of, and the versions that each may have.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What a file held at one moment: the beginning of some bytes.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    bytes: Arc<Vec<u8>>,
    len: usize,
}

impl Version {
    pub(crate) fn whole(bytes: Vec<u8>) -> Self {
        Self { len: bytes.len(), bytes: Arc::new(bytes) }
    }

    pub(crate) fn beginning(bytes: &Arc<Vec<u8>>, len: usize) -> Self {
        Self { bytes: Arc::clone(bytes), len }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The same, cut or made longer with zeros.
    pub(crate) fn sized(&self, len: usize) -> Self {
        if len <= self.len {
            return Self::beginning(&self.bytes, len);
        }
        let mut bytes = self.bytes().to_vec();
        bytes.resize(len, 0);
        Self::whole(bytes)
    }
}

/// A file under one or more names.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    /// The promised one, then those since.
    versions: Vec<Version>,
    /// It was made, and neither closed, synced nor given another name since.
    unborn: bool,
    /// It was written to, and neither closed nor synced since.
    dirty: bool,
}

impl Content {
    fn promised(version: Version) -> Self {
        Self { versions: vec![version], unborn: false, dirty: false }
    }

    fn latest(&self) -> Version {
        self.versions.last().cloned().expect("a file that is there has a version")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Directory,
    /// By its number in `World::files`.
    File(usize),
}

/// What was seen at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Directory,
    File {
        bytes: Vec<u8>,
        /// The file's number, and how many names it has; of an object nobody knows.
        inode: Option<(u64, usize)>,
    },
}

/// What is in a writer's directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) names: BTreeMap<String, Entry>,
    files: Vec<Content>,
}

impl World {
    pub(crate) fn latest(&self, file: usize) -> Version {
        self.files[file].latest()
    }

    pub(crate) fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }

    /// The number of the file that is made next.
    pub(crate) fn next_file(&self) -> usize {
        self.files.len()
    }

    /// Makes an empty file.
    pub(crate) fn create(&mut self, name: &str) {
        self.names.insert(name.to_owned(), Entry::File(self.files.len()));
        self.files.push(Content { unborn: true, ..Content::promised(Version::whole(Vec::new())) });
    }

    /// A file is written to.
    pub(crate) fn write(&mut self, file: usize, version: Version) {
        self.files[file].versions.push(version);
        self.files[file].dirty = true;
    }

    /// A file is cut or made longer, which is a promise unless bytes were written before.
    pub(crate) fn set_len(&mut self, file: usize, len: usize) {
        let version = self.latest(file).sized(len);
        self.files[file].versions.push(version);
        if !self.files[file].dirty {
            self.promise(file);
        }
    }

    pub(crate) fn promise(&mut self, file: usize) {
        self.files[file] = Content::promised(self.latest(file));
    }

    pub(crate) fn promise_all(&mut self) {
        (0..self.files.len()).for_each(|file| self.promise(file));
    }

    /// Gives a file one more name.
    pub(crate) fn link(&mut self, file: usize, name: &str) {
        self.files[file].unborn = false;
        self.names.insert(name.to_owned(), Entry::File(file));
    }

    /// Swaps what is at two names, neither of which is below the other.
    pub(crate) fn exchange(&mut self, one: &str, other: &str) {
        let swap = |name: &str| {
            let under = |above: &str| name.strip_prefix(above).filter(|rest| rest.is_empty() || rest.starts_with('/'));
            match (under(one), under(other)) {
                (Some(rest), _) => format!("{other}{rest}"),
                (None, Some(rest)) => format!("{one}{rest}"),
                (None, None) => name.to_owned(),
            }
        };
        self.names = std::mem::take(&mut self.names).into_iter().map(|(name, entry)| (swap(&name), entry)).collect();
    }

    /// Takes a name and what is below it away.
    pub(crate) fn remove(&mut self, name: &str) {
        let below = format!("{name}/");
        self.names.retain(|own, _| own != name && !own.starts_with(&below));
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        let is_same_file =
            matches!(self.names.get(from), Some(Entry::File(_))) && self.names.get(from) == self.names.get(to);
        if is_same_file {
            return;
        }
        let below = format!("{from}/");
        let moving: Vec<_> = self.names.iter().filter(|(name, _)| *name == from || name.starts_with(&below)).collect();
        let moved: Vec<_> =
            moving.into_iter().map(|(name, entry)| (format!("{to}{}", &name[from.len()..]), *entry)).collect();
        self.remove(from);
        self.remove(to);
        self.names.extend(moved);
    }

    /// The names of each file.
    pub(crate) fn names_by_file(&self) -> BTreeMap<usize, Vec<&str>> {
        let mut files: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for (name, entry) in &self.names {
            if let Entry::File(file) = entry {
                files.entry(*file).or_default().push(name);
            }
        }
        files
    }

    /// What differs from what was seen, or the world as it was seen.
    pub(crate) fn compare(&self, seen: &BTreeMap<String, Seen>) -> Result<Self, String> {
        let mut adopted = self.clone();
        for (name, entry) in &self.names {
            match (entry, seen.get(name)) {
                (Entry::Directory, Some(Seen::Directory)) => {}
                (Entry::File(file), Some(Seen::File { bytes, .. })) => {
                    let versions = &self.files[*file].versions;
                    if !versions.iter().any(|version| version.bytes() == bytes) {
                        let kept: Vec<_> = versions.iter().map(|version| shown(version.bytes())).collect();
                        return Err(format!("{name}: {} instead of {kept:?}", shown(bytes)));
                    }
                    adopted.files[*file] = Content::promised(Version::whole(bytes.clone()));
                }
                (Entry::File(file), None) if self.files[*file].unborn => adopted.remove(name),
                (entry, None) => return Err(format!("{name}: {entry:?} wanted, nothing found")),
                (entry, Some(Seen::Directory)) => return Err(format!("{name}: {entry:?} wanted, a directory found")),
                (entry, Some(Seen::File { bytes, .. })) => {
                    return Err(format!("{name}: {entry:?} wanted, {} found", shown(bytes)));
                }
            }
        }
        adopted.compare_names(seen)?;
        match seen.keys().find(|name| !self.names.contains_key(*name)) {
            Some(name) => Err(format!("{name} should not be there")),
            None => Ok(adopted),
        }
    }

    /// The names of one file show one version, and are told to be that file's; no other file is taken for it.
    fn compare_names(&self, seen: &BTreeMap<String, Seen>) -> Result<(), String> {
        let mut inodes = BTreeMap::new();
        for (file, names) in self.names_by_file() {
            let first = &seen[names[0]];
            if let Some(other) = names.iter().find(|name| seen[**name] != *first) {
                return Err(format!("{} and {other} are one file, but shown as two", names[0]));
            }
            let Seen::File { inode: Some((inode, links)), .. } = first else { continue };
            if *links != names.len() {
                return Err(format!("{names:?} are all names of a file, which is said to have {links}"));
            }
            if inodes.insert(inode, file).is_some() {
                return Err(format!("{names:?} are shown as names of another file"));
            }
        }
        Ok(())
    }

    /// Lets a file have any version that it may have in these worlds too, where it is not the same in all of them.
    pub(crate) fn allow_versions_of(&mut self, worlds: &[&World]) {
        for (file, content) in self.files.iter_mut().enumerate() {
            let latest = content.latest();
            let contents = worlds.iter().filter_map(|world| world.files.get(file));
            let versions: Vec<_> = contents.flat_map(|own| own.versions.clone()).collect();
            if versions.iter().any(|version| version.bytes() != latest.bytes()) {
                content.versions.splice(..0, versions);
            }
        }
    }
}

/// Content for a message.
fn shown(bytes: &[u8]) -> String {
    format!("{} bytes {:?}", bytes.len(), String::from_utf8_lossy(&bytes[..bytes.len().min(24)]))
}
