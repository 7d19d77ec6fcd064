//! A file system as plain as can be: what a mount is compared with.

use crate::mount::Entry;
use ossfs_volume::Error;
use std::collections::BTreeMap;

/// A file's content and permission bits, where known. Names and open handles refer to it by number.
#[derive(Debug, Clone, Default)]
pub(crate) struct File {
    pub bytes: Vec<u8>,
    pub mode: Option<u32>,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// Number of the file.
    File(usize),
    /// Permission bits, where known.
    Directory(Option<u32>),
    Symlink(Vec<u8>),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub items: BTreeMap<String, Item>,
    pub files: Vec<File>,
}

/// The path of the directory that a path is in; empty for the root.
pub(crate) fn above(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(above, _)| above)
}

impl Model {
    /// An object of somebody else, with the directories that its key makes.
    pub(crate) fn object(&mut self, key: &str, bytes: &[u8]) {
        for (slash, _) in key.match_indices('/') {
            self.items.entry(key[..slash].to_owned()).or_insert(Item::Directory(None));
        }
        if !key.ends_with('/') {
            let file = self.add(File { bytes: bytes.to_vec(), mode: None });
            self.items.insert(key.to_owned(), Item::File(file));
        }
    }

    fn add(&mut self, file: File) -> usize {
        self.files.push(file);
        self.files.len() - 1
    }

    pub(crate) fn file(&self, path: &str) -> Option<usize> {
        match self.items.get(path) {
            Some(Item::File(file)) => Some(*file),
            _ => None,
        }
    }

    pub(crate) fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || matches!(self.items.get(path), Some(Item::Directory(_)))
    }

    pub(crate) fn is_empty(&self, directory: &str) -> bool {
        let below = format!("{directory}/");
        !self.items.keys().any(|path| path.starts_with(&below))
    }

    pub(crate) fn names(&self, directory: &str) -> Vec<String> {
        let names = self.items.keys().filter(|path| above(path) == directory);
        names.map(|path| path.rsplit('/').next().unwrap().to_owned()).collect()
    }

    /// The paths of files, of directories, or of all.
    pub(crate) fn paths(&self, wanted: impl Fn(&Item) -> bool) -> Vec<String> {
        self.items.iter().filter(|(_, item)| wanted(item)).map(|(path, _)| path.clone()).collect()
    }

    fn free(&self, path: &str) -> Result<(), Error> {
        if !self.is_directory(above(path)) {
            return Err(Error::NotFound);
        }
        if self.items.contains_key(path) { Err(Error::Exists) } else { Ok(()) }
    }

    pub(crate) fn create(&mut self, path: &str) -> Result<usize, Error> {
        self.free(path)?;
        let file = self.add(File { bytes: Vec::new(), mode: Some(0o644) });
        self.items.insert(path.to_owned(), Item::File(file));
        Ok(file)
    }

    pub(crate) fn mkdir(&mut self, path: &str) -> Result<(), Error> {
        self.free(path)?;
        self.items.insert(path.to_owned(), Item::Directory(Some(0o755)));
        Ok(())
    }

    pub(crate) fn symlink(&mut self, path: &str, target: &str) -> Result<(), Error> {
        self.free(path)?;
        self.items.insert(path.to_owned(), Item::Symlink(target.as_bytes().to_vec()));
        Ok(())
    }

    pub(crate) fn chmod(&mut self, path: &str, to: u32) -> Result<(), Error> {
        match self.items.get_mut(path) {
            None => return Err(Error::NotFound),
            Some(Item::Directory(mode)) => *mode = Some(to),
            Some(Item::File(file)) => self.files[*file].mode = Some(to),
            Some(Item::Symlink(_)) => {}
        }
        Ok(())
    }

    pub(crate) fn unlink(&mut self, path: &str) -> Result<(), Error> {
        match self.items.get(path) {
            None => return Err(Error::NotFound),
            Some(Item::Directory(_)) => return Err(Error::IsDirectory),
            Some(_) => {}
        }
        self.items.remove(path);
        Ok(())
    }

    pub(crate) fn rmdir(&mut self, path: &str) -> Result<(), Error> {
        match self.items.get(path) {
            None => return Err(Error::NotFound),
            Some(Item::Directory(_)) => {}
            Some(_) => return Err(Error::NotDirectory),
        }
        if !self.is_empty(path) {
            return Err(Error::NotEmpty);
        }
        self.items.remove(path);
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Result<(), Error> {
        let item = self.items.get(from).ok_or(Error::NotFound)?.clone();
        if !self.is_directory(above(to)) {
            return Err(Error::NotFound);
        }
        if from == to || (matches!(item, Item::File(_)) && self.items.get(to) == Some(&item)) {
            return Ok(());
        }
        let below = format!("{from}/");
        if to.starts_with(&below) {
            return Err(Error::Invalid);
        }
        let directory = matches!(item, Item::Directory(_));
        match self.items.get(to) {
            None => {}
            Some(Item::Directory(_)) if !directory => return Err(Error::IsDirectory),
            Some(Item::Directory(_)) if !self.is_empty(to) => return Err(Error::NotEmpty),
            Some(Item::Directory(_)) => {}
            Some(_) if directory => return Err(Error::NotDirectory),
            Some(_) => {}
        }
        self.items.remove(from);
        let moved: Vec<String> = self.items.keys().filter(|path| path.starts_with(&below)).cloned().collect();
        for path in moved {
            let item = self.items.remove(&path).unwrap();
            self.items.insert(format!("{to}/{}", &path[below.len()..]), item);
        }
        self.items.insert(to.to_owned(), item);
        Ok(())
    }

    /// One more name for a file. (Symlinks are not asked for.)
    pub(crate) fn link(&mut self, from: &str, to: &str) -> Result<(), Error> {
        let item = match self.items.get(from).ok_or(Error::NotFound)? {
            Item::Directory(_) => return Err(Error::NotPermitted),
            item => item.clone(),
        };
        self.free(to)?;
        self.items.insert(to.to_owned(), item);
        Ok(())
    }

    /// The paths of a file.
    pub(crate) fn names_of(&self, file: usize) -> Vec<&str> {
        self.items.iter().filter(|(_, item)| **item == Item::File(file)).map(|(path, _)| &**path).collect()
    }

    pub(crate) fn exchange(&mut self, one: &str, other: &str) -> Result<(), Error> {
        if !self.items.contains_key(one) || !self.items.contains_key(other) {
            return Err(Error::NotFound);
        }
        if one.starts_with(&format!("{other}/")) || other.starts_with(&format!("{one}/")) {
            return Err(Error::Invalid);
        }
        let at = |path: &str, from: &str| path == from || path.starts_with(&format!("{from}/"));
        let (moving, staying): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.items).into_iter().partition(|(path, _)| at(path, one) || at(path, other));
        self.items = staying;
        for (path, item) in moving {
            let (from, to) = if at(&path, one) { (one, other) } else { (other, one) };
            self.items.insert(format!("{to}{}", &path[from.len()..]), item);
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, file: usize, offset: usize, bytes: &[u8]) {
        let content = &mut self.files[file].bytes;
        content.resize(content.len().max(offset + bytes.len()), 0);
        content[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn entry(&self, path: &str) -> Option<(Entry, Option<u32>)> {
        self.items.get(path).map(|item| match item {
            Item::File(file) => (Entry::File(self.files[*file].bytes.clone()), self.files[*file].mode),
            Item::Directory(mode) => (Entry::Directory, *mode),
            Item::Symlink(target) => (Entry::Symlink(target.clone()), None),
        })
    }
}
