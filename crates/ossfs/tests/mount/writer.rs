//! A writer with an oracle: it changes a directory of its own call by call, and knows after each answered call what must
//! be there whatever happens to the daemon.
//!
//! A name that was answered must be there. Of a file it must be what was promised last (by `close` or `fsync`), or a
//! version written since, whole, and the same under each of its names. The call that was not answered may have happened
//! or not.

use crate::dice::Dice;
use crate::failing::close;
use crate::world::{Entry, Seen, Version, World};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Each write is one message of the kernel, so that there is no version between two of the writer's.
const WRITE_BYTES: usize = 64 << 10;
/// With more names than this the writer rather removes some, so that checks stay short.
const NAMES_MAX: usize = 40;

/// The daemon is gone: the last call has no answer.
#[derive(Debug)]
pub(crate) struct Gone;

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
    /// The number of the first file that was made since the last kill.
    first_since_kill: usize,
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
            first_since_kill: 0,
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
        self.first_since_kill = self.world.next_file();
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
                seen.insert(path[..at].to_owned(), Seen::Directory);
            }
            if !path.ends_with('/') {
                seen.insert(path.to_owned(), Seen::File { bytes: bytes.clone(), inode: None });
            }
        }
        self.adopt(&seen);
    }

    /// Everything is in the bucket: what was seen last stays as it is.
    pub(crate) fn settle(&mut self) {
        self.world.promise_all();
    }

    /// The keys of each file that has several.
    pub(crate) fn linked(&self) -> impl Iterator<Item = BTreeSet<String>> {
        let files = self.world.names_by_file().into_values().filter(|names| names.len() > 1);
        files.map(|names| names.iter().map(|name| format!("{}/{name}", self.name)).collect())
    }

    fn adopt(&mut self, seen: &BTreeMap<String, Seen>) {
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
        if let Some(pending) = &pending {
            world.allow_versions_of(&[&self.world, pending]);
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
        match self.dice.below(26) {
            0..=3 => self.write_new().map(drop),
            4..=5 => self.write_again(),
            6..=7 => self.change_some(),
            8..=10 => self.replace(),
            11..=12 => self.rename_file(),
            13 => self.remove(),
            14 => self.make_directory(),
            15 => self.rename_directory(),
            16 => self.exchange(),
            17..=20 => self.link_some(),
            21..=22 => self.cut(),
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

    /// One of the files, rather one that was made lately.
    fn some_file(&mut self) -> Option<(String, usize)> {
        let mut files = self.files();
        let last = files.split_off(files.len().saturating_sub(8));
        let among = if self.dice.below(8) == 0 && !files.is_empty() { files } else { last };
        self.pick(&among)
    }

    /// One of the files that were made since the last kill, seldom another: what an earlier daemon left is slow to write
    /// to.
    fn some_file_to_change(&mut self) -> Option<(String, usize)> {
        let files = self.files();
        let first = files.partition_point(|(file, _)| *file < self.first_since_kill);
        let (old, new) = files.split_at(first);
        if self.dice.below(40) == 0 { self.pick(old) } else { self.pick(new) }
    }

    /// The names of files, the oldest file first.
    fn files(&self) -> Vec<(usize, String)> {
        let of_file = |(name, entry): (&String, &Entry)| match entry {
            Entry::File(file) => Some((*file, name.clone())),
            Entry::Directory => None,
        };
        let mut files: Vec<_> = self.world.names.iter().filter_map(of_file).collect();
        files.sort_unstable();
        files
    }

    fn pick(&mut self, among: &[(usize, String)]) -> Option<(String, usize)> {
        (!among.is_empty()).then(|| self.dice.pick(among)).map(|(file, name)| (name.clone(), *file))
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
        let file = self.world.next_file();
        let after = self.world.with(|world| world.create(&name));
        let handle = self.call("create", after, |root| File::create_new(root.join(&name)))?;
        if self.dice.below(8) == 0 {
            self.link(&name, file)?;
        }
        self.fill(handle, file)?;
        Ok(name)
    }

    /// Writes new bytes from the beginning, then promises them.
    fn fill(&mut self, mut handle: File, file: usize) -> Result<(), Gone> {
        let bytes = Arc::new(self.bytes());
        for at in (0..bytes.len()).step_by(WRITE_BYTES) {
            let len = (at + WRITE_BYTES).min(bytes.len());
            let after = self.world.with(|world| world.write(file, Version::beginning(&bytes, len)));
            self.call("write", after, |_| handle.write_all(&bytes[at..len]))?;
        }
        if self.dice.below(6) == 0 {
            self.set_len(&handle, file)?;
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

    /// Truncates a file that is there and writes it anew.
    fn write_again(&mut self) -> Result<(), Gone> {
        let Some((name, file)) = self.some_file_to_change() else { return Ok(()) };
        let after = self.world.with(|world| world.set_len(file, 0));
        let mut options = File::options();
        options.write(true).truncate(true);
        let handle = self.call("open to truncate", after, |root| options.open(root.join(&name)))?;
        self.fill(handle, file)
    }

    fn open(&mut self, name: &str) -> Result<File, Gone> {
        self.call("open", self.world.clone(), |root| File::options().write(true).open(root.join(name)))
    }

    fn change_some(&mut self) -> Result<(), Gone> {
        let Some((name, file)) = self.some_file_to_change() else { return Ok(()) };
        self.change(&name, file)
    }

    /// Changes some of a file's bytes.
    fn change(&mut self, name: &str, file: usize) -> Result<(), Gone> {
        let handle = self.open(name)?;
        for _ in 0..=self.dice.below(3) {
            self.made += 1;
            let text = format!("[{} {}]", self.name, self.made);
            let mut bytes = self.world.latest(file).bytes().to_vec();
            let at = usize::try_from(self.dice.below(bytes.len() as u64 + 1)).unwrap();
            bytes.resize(bytes.len().max(at + text.len()), 0);
            bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
            let after = self.world.with(|world| world.write(file, Version::whole(bytes)));
            self.call("pwrite", after, |_| handle.write_all_at(text.as_bytes(), at as u64))?;
        }
        self.finish(handle, file)
    }

    /// Cuts a file, or makes it longer: one that is held open, or one that is opened for that alone.
    fn cut(&mut self) -> Result<(), Gone> {
        if self.dice.below(2) == 0
            && let Some(held) = self.held.take()
        {
            self.set_len(&held.handle, held.file)?;
            self.held = Some(held);
            return Ok(());
        }
        let Some((name, file)) = self.some_file_to_change() else { return Ok(()) };
        let handle = self.open(&name)?;
        self.set_len(&handle, file)?;
        self.finish(handle, file)
    }

    fn set_len(&mut self, handle: &File, file: usize) -> Result<(), Gone> {
        let old = self.world.latest(file).bytes().len();
        let len = match self.dice.below(3) {
            0 => 0,
            1 => usize::try_from(self.dice.below(old as u64 + 1)).unwrap(),
            _ => old + usize::try_from(self.dice.below(200_000)).unwrap(),
        };
        let after = self.world.with(|world| world.set_len(file, len));
        self.call("ftruncate", after, |_| handle.set_len(len as u64))
    }

    /// Gives a file one more name, and goes on with one of both.
    fn link_some(&mut self) -> Result<(), Gone> {
        let Some((old, file)) = self.some_file_to_change() else { return Ok(()) };
        let new = self.link(&old, file)?;
        match self.dice.below(5) {
            0 => self.change(&new, file),
            1 => self.remove_one(&old, false),
            2 => {
                let to = self.new_name('f');
                self.rename(&old, &to)
            }
            3 => self.rename(&old, &new),
            _ => Ok(()),
        }
    }

    /// Gives a file one more name, and returns that.
    fn link(&mut self, old: &str, file: usize) -> Result<String, Gone> {
        let new = self.new_name('f');
        let after = self.world.with(|world| world.link(file, &new));
        self.call("link", after, |root| fs::hard_link(root.join(old), root.join(&new)))?;
        Ok(new)
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
        let Some((from, _)) = self.some_file() else { return Ok(()) };
        let to = match self.some_file() {
            Some((other, _)) if self.dice.below(3) == 0 && other != from => other,
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
        let after = self.world.with(|world| world.write(held.file, Version::whole(bytes)));
        self.call("append", after, |_| held.handle.write_all_at(line.as_bytes(), at))?;
        self.finish(held.handle, held.file)
    }
}

/// The files below a directory with their bytes, and the directories.
fn read_tree(root: &Path) -> BTreeMap<String, Seen> {
    let mut seen = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let metadata = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
            let found = if metadata.is_dir() {
                left.push(path);
                Seen::Directory
            } else {
                let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
                Seen::File { bytes, inode: Some((metadata.ino(), usize::try_from(metadata.nlink()).unwrap())) }
            };
            assert!(seen.insert(name.clone(), found).is_none(), "{name} is shown twice");
        }
    }
    seen
}
