//! A writer with an oracle: it changes a directory of its own call by call, and knows after each answered call what must
//! be there whatever happens to the daemon.
//!
//! A name that was answered must be there. Of a file it must be what was promised last (by `close` or `fsync`), or a
//! version written since, whole. The call that was not answered may have happened or not.

use crate::dice::Dice;
use crate::failing::close;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Each write is one message of the kernel, so that there is no version between two of the writer's.
const WRITE_BYTES: usize = 64 << 10;
/// With more names than this the writer rather removes some, so that checks stay short.
const NAMES_MAX: usize = 40;

/// The daemon is gone: the last call has no answer.
#[derive(Debug)]
pub(crate) struct Gone;

/// What a file held at one moment: the beginning of some bytes.
#[derive(Debug, Clone)]
struct Version {
    bytes: Arc<Vec<u8>>,
    len: usize,
}

impl Version {
    fn whole(bytes: Vec<u8>) -> Self {
        Self { len: bytes.len(), bytes: Arc::new(bytes) }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A file under one or more names.
#[derive(Debug, Clone)]
struct Content {
    /// The promised one, then those since.
    versions: Vec<Version>,
    /// It was made, and neither closed nor synced since.
    unborn: bool,
}

impl Content {
    fn latest(&self) -> &[u8] {
        self.versions.last().map_or(&[], Version::bytes)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Directory,
    /// By its number in `World::files`.
    File(usize),
}

/// What is in the writer's directory.
#[derive(Debug, Clone, Default)]
struct World {
    names: BTreeMap<String, Entry>,
    files: Vec<Content>,
}

impl World {
    fn latest(&self, file: usize) -> Version {
        self.files[file].versions.last().cloned().unwrap_or_else(|| Version::whole(Vec::new()))
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }

    fn promise(&mut self, file: usize) {
        let latest = self.latest(file);
        self.files[file] = Content { versions: vec![latest], unborn: false };
    }

    /// Swaps what is at two names, neither of which is below the other.
    fn exchange(&mut self, one: &str, other: &str) {
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
    fn remove(&mut self, name: &str) {
        let below = format!("{name}/");
        self.names.retain(|own, _| own != name && !own.starts_with(&below));
    }

    fn rename(&mut self, from: &str, to: &str) {
        let below = format!("{from}/");
        let moving: Vec<_> = self.names.iter().filter(|(name, _)| *name == from || name.starts_with(&below)).collect();
        let moved: Vec<_> =
            moving.into_iter().map(|(name, entry)| (format!("{to}{}", &name[from.len()..]), *entry)).collect();
        self.remove(from);
        self.remove(to);
        self.names.extend(moved);
    }

    /// What differs from what was seen, or the world as it was seen.
    fn compare(&self, seen: &BTreeMap<String, Option<Vec<u8>>>) -> Result<Self, String> {
        let mut adopted = self.clone();
        for (name, entry) in &self.names {
            match (entry, seen.get(name)) {
                (Entry::Directory, Some(None)) => {}
                (Entry::File(file), Some(Some(bytes))) => {
                    let content = &self.files[*file];
                    if !content.versions.iter().any(|version| version.bytes() == bytes) {
                        let kept: Vec<_> = content.versions.iter().map(|version| shown(version.bytes())).collect();
                        return Err(format!("{name}: {} instead of {kept:?}", shown(bytes)));
                    }
                    adopted.files[*file] = Content { versions: vec![Version::whole(bytes.clone())], unborn: false };
                }
                (Entry::File(file), None) if self.files[*file].unborn => adopted.remove(name),
                (entry, found) => {
                    let found = found.map(|content| content.as_ref().map(|bytes| shown(bytes)));
                    return Err(format!("{name}: {entry:?} wanted, {found:?} found"));
                }
            }
        }
        match seen.keys().find(|name| !self.names.contains_key(*name)) {
            Some(name) => Err(format!("{name} should not be there")),
            None => Ok(adopted),
        }
    }
}

/// Content for a message.
fn shown(bytes: &[u8]) -> String {
    format!("{} bytes {:?}", bytes.len(), String::from_utf8_lossy(&bytes[..bytes.len().min(24)]))
}

/// A file that is held open over other calls.
struct Held {
    handle: File,
    file: usize,
}

/// A writer with an oracle.
pub(crate) struct Writer {
    name: String,
    root: PathBuf,
    dice: Dice,
    made: u64,
    world: World,
    /// How it is if the call without an answer happened.
    pending: Option<World>,
    held: Option<Held>,
    calls: u64,
}

impl Writer {
    /// A writer whose directory has this name, at the root of the mount.
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        Self {
            name: name.to_owned(),
            root: PathBuf::new(),
            dice: Dice::new(seed),
            made: 0,
            world: World::default(),
            pending: None,
            held: None,
            calls: 0,
        }
    }

    /// Calls that were answered.
    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    /// Changes its directory until the daemon is gone.
    pub(crate) fn run(&mut self, mount: &Path) {
        self.root = mount.join(&self.name);
        while self.act().is_ok() {}
        self.held = None;
    }

    /// Asserts that all is there that was answered, and goes on from what is there.
    pub(crate) fn check(&mut self, mount: &Path) {
        let root = mount.join(&self.name);
        fs::create_dir_all(&root).unwrap();
        self.adopt(&read_tree(&root));
    }

    /// The same of what a bucket has, by its keys; directories that are only implied by keys count.
    pub(crate) fn check_objects(&mut self, objects: &BTreeMap<String, Vec<u8>>) {
        let prefix = format!("{}/", self.name);
        let mut seen = BTreeMap::new();
        for (key, bytes) in objects.iter().filter(|(key, _)| **key != prefix) {
            let Some(path) = key.strip_prefix(&prefix) else { continue };
            for (at, _) in path.match_indices('/') {
                seen.insert(path[..at].to_owned(), None);
            }
            if !path.ends_with('/') {
                seen.insert(path.to_owned(), Some(bytes.clone()));
            }
        }
        self.adopt(&seen);
    }

    /// Everything is in the bucket: what was seen last stays as it is.
    pub(crate) fn settle(&mut self) {
        for file in 0..self.world.files.len() {
            self.world.promise(file);
        }
    }

    fn adopt(&mut self, seen: &BTreeMap<String, Option<Vec<u8>>>) {
        let pending = self.pending.take();
        let mut world = match (self.world.compare(seen), &pending) {
            (Ok(world), _) => world,
            (Err(before), None) => panic!("{}: {before}", self.name),
            (Err(before), Some(after)) => {
                after.compare(seen).unwrap_or_else(|after| panic!("{}: {before}; or else {after}", self.name))
            }
        };
        // A request of the dead daemon may still come, or be completed by the next: no version of the call that was not
        // answered is out.
        for (file, content) in world.files.iter_mut().enumerate() {
            let others = [Some(&self.world), pending.as_ref()].into_iter().flatten();
            let versions: Vec<_> =
                others.filter_map(|world| world.files.get(file)).flat_map(|own| own.versions.clone()).collect();
            if pending.is_some() && versions.iter().any(|version| version.bytes() != content.latest()) {
                content.versions.splice(..0, versions);
            }
        }
        self.world = world;
    }

    /// One call that makes `after` of the world.
    fn call<T>(&mut self, what: &str, after: World, call: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, Gone> {
        match call(&self.root) {
            Ok(value) => {
                self.world = after;
                self.calls += 1;
                Ok(value)
            }
            Err(error) => {
                let gone = [Errno::CONNABORTED, Errno::NOTCONN].map(|errno| Some(errno.raw_os_error()));
                assert!(gone.contains(&error.raw_os_error()), "{}: {what}: {error}", self.name);
                self.pending = Some(after);
                Err(Gone)
            }
        }
    }

    fn act(&mut self) -> Result<(), Gone> {
        if self.world.names.len() > NAMES_MAX {
            return self.remove();
        }
        match self.dice.below(20) {
            0..=3 => self.write_new().map(drop),
            4..=5 => self.write_again(true),
            6..=7 => self.write_again(false),
            8..=10 => self.replace(),
            11..=12 => self.rename_file(),
            13 => self.remove(),
            14 => self.make_directory(),
            15 => self.rename_directory(),
            16 => self.exchange(),
            _ => self.log(),
        }
    }

    /// A name that was never used, in one of the directories.
    fn new_name(&mut self, letter: char) -> String {
        self.made += 1;
        let directories = self.names_of(|entry| entry == Entry::Directory);
        match self.dice.below(3) {
            0 if !directories.is_empty() => format!("{}/{letter}{}", self.dice.pick(&directories), self.made),
            _ => format!("{letter}{}", self.made),
        }
    }

    fn names_of(&self, wanted: impl Fn(Entry) -> bool) -> Vec<String> {
        self.world.names.iter().filter(|(_, entry)| wanted(**entry)).map(|(name, _)| name.clone()).collect()
    }

    /// One of the files, rather one that was made lately: what an earlier daemon left is slow to write to.
    fn some_file(&mut self) -> Option<(String, usize)> {
        let entries = self.world.names.iter();
        let mut files: Vec<_> =
            entries.filter_map(|(name, entry)| file_of(*entry).map(|file| (file, name.clone()))).collect();
        files.sort_unstable();
        let last = files.split_off(files.len().saturating_sub(8));
        let among = if self.dice.below(8) == 0 && !files.is_empty() { files } else { last };
        (!among.is_empty()).then(|| self.dice.pick(&among)).map(|(file, name)| (name.clone(), *file))
    }

    fn bytes(&mut self) -> Vec<u8> {
        self.made += 1;
        let len = match self.dice.below(10) {
            0 => 1,
            1..=6 => self.dice.below(300),
            7..=8 => self.dice.below(200_000),
            _ => self.dice.below(3 << 20),
        };
        format!("{} {} ", self.name, self.made).bytes().cycle().take(usize::try_from(len).unwrap()).collect()
    }

    /// Makes a file and returns its name.
    fn write_new(&mut self) -> Result<String, Gone> {
        let name = self.new_name('f');
        let file = self.world.files.len();
        let after = self.world.with(|world| {
            world.files.push(Content { versions: vec![Version::whole(Vec::new())], unborn: true });
            world.names.insert(name.clone(), Entry::File(file));
        });
        let handle = self.call("create", after, |root| File::create_new(root.join(&name)))?;
        self.fill(handle, file)?;
        Ok(name)
    }

    /// Writes new bytes from the beginning, then promises them.
    fn fill(&mut self, mut handle: File, file: usize) -> Result<(), Gone> {
        let bytes = Arc::new(self.bytes());
        for at in (0..bytes.len()).step_by(WRITE_BYTES) {
            let len = (at + WRITE_BYTES).min(bytes.len());
            let version = Version { bytes: Arc::clone(&bytes), len };
            let after = self.world.with(|world| world.files[file].versions.push(version));
            self.call("write", after, |_| handle.write_all(&bytes[at..len]))?;
        }
        self.finish(handle, file)
    }

    /// `fsync`, `close` or both.
    fn finish(&mut self, handle: File, file: usize) -> Result<(), Gone> {
        let after = self.world.with(|world| world.promise(file));
        if self.dice.below(3) == 0 {
            self.call("fsync", after.clone(), |_| handle.sync_all())?;
            if self.dice.below(2) == 0 {
                self.held = Some(Held { handle, file });
                return Ok(());
            }
        }
        self.call("close", after, |_| close(handle))
    }

    /// Truncates a file that is there and writes it anew, or changes some of its bytes.
    fn write_again(&mut self, anew: bool) -> Result<(), Gone> {
        let Some((name, file)) = self.some_file() else { return Ok(()) };
        let mut options = File::options();
        options.write(true).truncate(anew);
        if anew {
            let after = self.world.with(|world| world.files[file].versions.push(Version::whole(Vec::new())));
            let handle = self.call("open to truncate", after, |root| options.open(root.join(&name)))?;
            return self.fill(handle, file);
        }
        let handle = self.call("open", self.world.clone(), |root| options.open(root.join(&name)))?;
        for _ in 0..=self.dice.below(3) {
            self.made += 1;
            let text = format!("[{} {}]", self.name, self.made);
            let mut bytes = self.world.latest(file).bytes().to_vec();
            let at = usize::try_from(self.dice.below(bytes.len() as u64 + 1)).unwrap();
            bytes.resize(bytes.len().max(at + text.len()), 0);
            bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
            let after = self.world.with(|world| world.files[file].versions.push(Version::whole(bytes)));
            self.call("pwrite", after, |_| handle.write_all_at(text.as_bytes(), at as u64))?;
        }
        self.finish(handle, file)
    }

    /// Writes a new file and renames it over one that is there.
    fn replace(&mut self) -> Result<(), Gone> {
        let target = self.some_file();
        let new = self.write_new()?;
        match target {
            Some((target, _)) => self.rename(&new, &target),
            None => Ok(()),
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), Gone> {
        let after = self.world.with(|world| world.rename(from, to));
        self.call("rename", after, |root| fs::rename(root.join(from), root.join(to)))
    }

    fn rename_file(&mut self) -> Result<(), Gone> {
        let Some((from, file)) = self.some_file() else { return Ok(()) };
        let to = match self.some_file() {
            Some((other, replaced)) if self.dice.below(3) == 0 && replaced != file => other,
            _ => self.new_name('f'),
        };
        self.rename(&from, &to)
    }

    fn remove(&mut self) -> Result<(), Gone> {
        let names = self.names_of(|_| true);
        if names.is_empty() {
            return Ok(());
        }
        let name = self.dice.pick(&names).clone();
        let is_directory = self.world.names[&name] == Entry::Directory;
        let below = format!("{name}/");
        // From the last to the first, as `rm -r` does: what is in a directory comes after it.
        for own in names.iter().rev().filter(|own| own.starts_with(&below)) {
            let is_directory = self.world.names[own] == Entry::Directory;
            self.remove_one(own, is_directory)?;
        }
        self.remove_one(&name, is_directory)
    }

    fn remove_one(&mut self, name: &str, is_directory: bool) -> Result<(), Gone> {
        let after = self.world.with(|world| world.remove(name));
        if is_directory {
            self.call("rmdir", after, |root| fs::remove_dir(root.join(name)))
        } else {
            self.call("unlink", after, |root| fs::remove_file(root.join(name)))
        }
    }

    fn make_directory(&mut self) -> Result<(), Gone> {
        let name = self.new_name('d');
        let after = self.world.with(|world| {
            world.names.insert(name.clone(), Entry::Directory);
        });
        self.call("mkdir", after, |root| fs::create_dir(root.join(&name)))
    }

    fn rename_directory(&mut self) -> Result<(), Gone> {
        let directories = self.names_of(|entry| entry == Entry::Directory);
        if directories.is_empty() {
            return self.make_directory();
        }
        let from = self.dice.pick(&directories).clone();
        let to = self.new_name('d');
        if to.starts_with(&format!("{from}/")) {
            return Ok(());
        }
        self.rename(&from, &to)
    }

    fn exchange(&mut self) -> Result<(), Gone> {
        let names = self.names_of(|_| true);
        if names.len() < 2 {
            return Ok(());
        }
        let (one, other) = (self.dice.pick(&names).clone(), self.dice.pick(&names).clone());
        let is_below = |name: &str, above: &str| format!("{name}/").starts_with(&format!("{above}/"));
        if is_below(&one, &other) || is_below(&other, &one) {
            return Ok(());
        }
        let after = self.world.with(|world| world.exchange(&one, &other));
        self.call("exchange", after, |root| {
            Ok(renameat_with(CWD, root.join(&one), CWD, root.join(&other), RenameFlags::EXCHANGE)?)
        })
    }

    /// Appends to the file that is held open, wherever it is named now, and syncs it.
    fn log(&mut self) -> Result<(), Gone> {
        let Some(held) = self.held.take() else { return self.write_new().map(drop) };
        self.made += 1;
        let line = format!("line {}\n", self.made);
        let mut bytes = self.world.latest(held.file).bytes().to_vec();
        let at = bytes.len() as u64;
        bytes.extend(line.bytes());
        let after = self.world.with(|world| world.files[held.file].versions.push(Version::whole(bytes)));
        self.call("append", after, |_| held.handle.write_all_at(line.as_bytes(), at))?;
        self.finish(held.handle, held.file)
    }
}

fn file_of(entry: Entry) -> Option<usize> {
    match entry {
        Entry::File(file) => Some(file),
        Entry::Directory => None,
    }
}

/// The files below a directory with their bytes, and the directories.
fn read_tree(root: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut seen = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let bytes = if fs::symlink_metadata(&path).unwrap().is_dir() {
                left.push(path);
                None
            } else {
                Some(fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}")))
            };
            assert!(seen.insert(name.clone(), bytes).is_none(), "{name} is shown twice");
        }
    }
    seen
}
