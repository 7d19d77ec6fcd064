//! What a schedule plays in: the objects at the beginning, what the user does, and what an outsider does; and what may be
//! seen meanwhile.

use crate::model::{Item, Model};
use crate::mount::{Entry, Mount, READ};
use ossfs_types::FileKind;
use ossfs_volume::Error;
use std::collections::{BTreeMap, BTreeSet};

/// What a mount shows: by path, what is there and its permission bits.
pub(super) type Shown = BTreeMap<String, (Entry, u32)>;

/// One thing that the user does; it is answered before the next is begun.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    /// Creates or replaces a file, and closes it.
    Write(String, String),
    Unlink(String),
    Rename(String, String),
    Exchange(String, String),
    Mkdir(String),
    Rmdir(String),
    Chmod(String, u32),
    /// Somebody begins to look at everything; the user goes on meanwhile.
    Look,
}

/// One thing that somebody else does to the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Outsider {
    Puts(String, String),
    Deletes(String),
}

impl Outsider {
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Puts(key, _) | Self::Deletes(key) => key,
        }
    }
}

/// What a schedule plays in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Scene {
    pub objects: Vec<(String, String)>,
    pub operations: Vec<Operation>,
    pub outsider: Option<Outsider>,
    /// So much may go wrong.
    pub disturbances: usize,
}

impl Scene {
    /// What is there at the beginning.
    pub(super) fn model(&self) -> Model {
        let mut model = Model::default();
        for (key, bytes) in &self.objects {
            let place = key.strip_suffix("_$folder$").map_or_else(|| key.clone(), |place| format!("{place}/"));
            model.object(&place, bytes.as_bytes());
        }
        model
    }
}

impl Operation {
    /// Does it.
    pub(super) async fn perform(&self, mount: &Mount) -> Result<(), Error> {
        match self {
            Self::Write(path, bytes) => mount.write(path, bytes.as_bytes()).await,
            Self::Unlink(path) => mount.rm(path).await,
            Self::Rename(from, to) => mount.mv(from, to).await,
            Self::Exchange(one, other) => mount.exchange(one, other).await,
            Self::Mkdir(path) => mount.mkdir(path).await,
            Self::Rmdir(path) => mount.rmdir(path).await,
            Self::Chmod(path, mode) => mount.chmod(path, *mode).await,
            Self::Look => Ok(()),
        }
    }

    /// What may be there once it is begun; the last of them once it is done.
    pub(super) fn stages(&self, before: &Model) -> Result<Vec<Model>, Error> {
        let mut after = before.clone();
        match self {
            Self::Write(path, bytes) => {
                let file = match after.file(path) {
                    Some(file) => {
                        after.files[file].bytes.clear();
                        file
                    }
                    None => after.create(path)?,
                };
                let empty = after.clone();
                after.write(file, 0, bytes.as_bytes());
                return Ok(vec![empty, after]);
            }
            Self::Unlink(path) => after.unlink(path)?,
            Self::Rename(from, to) => after.rename(from, to)?,
            Self::Exchange(one, other) => after.exchange(one, other)?,
            Self::Mkdir(path) => after.mkdir(path)?,
            Self::Rmdir(path) => after.rmdir(path)?,
            Self::Chmod(path, mode) => after.chmod(path, *mode)?,
            Self::Look => {}
        }
        Ok(vec![after])
    }

    /// The last component of the path whose content it replaces or removes.
    pub(super) fn destroys(&self) -> Option<&str> {
        let path = match self {
            Self::Write(path, _) | Self::Unlink(path) | Self::Rmdir(path) | Self::Rename(_, path) => path,
            Self::Exchange(..) | Self::Mkdir(_) | Self::Chmod(..) | Self::Look => return None,
        };
        path.rsplit('/').next()
    }
}

/// What a mount shows.
pub(super) async fn view(mount: &Mount) -> Result<Shown, Error> {
    Ok(look(mount).await?.0)
}

/// What a mount shows, and whether a file had to be opened once more.
pub(super) async fn look(mount: &Mount) -> Result<(Shown, bool), Error> {
    let mut shown = Shown::new();
    let mut reopened = false;
    let mut directories = vec![String::new()];
    while let Some(directory) = directories.pop() {
        for name in mount.names(&directory).await? {
            let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
            let attributes = mount.stat(&path).await?;
            let entry = match attributes.kind {
                FileKind::Directory => {
                    directories.push(path.clone());
                    Entry::Directory
                }
                FileKind::Symlink => Entry::Symlink(mount.volume.read_link(attributes.node).await?),
                _ => {
                    let (bytes, again) = read(mount, &path).await?;
                    reopened |= again;
                    Entry::File(bytes)
                }
            };
            shown.insert(path, (entry, attributes.attributes.mode));
        }
    }
    Ok((shown, reopened))
}

/// Reads a file, and opens it once more if it was found meanwhile that a process before has put another version there.
/// Returns its bytes, and whether that was so.
async fn read(mount: &Mount, path: &str) -> Result<(Vec<u8>, bool), Error> {
    match read_once(mount, path).await {
        Err(Error::Stale) => Ok((read_once(mount, path).await?, true)),
        read => Ok((read?, false)),
    }
}

async fn read_once(mount: &Mount, path: &str) -> Result<Vec<u8>, Error> {
    let handle = mount.open(path, READ).await?;
    let bytes = mount.read_handle(handle).await;
    mount.volume.release(handle);
    // It was there when it was opened.
    bytes.map_err(|error| if error == Error::NotFound { Error::Stale } else { error })
}

/// Whether a mount that shows this may be at that point of the model.
pub(super) fn agrees(shown: &Shown, model: &Model) -> bool {
    shown.len() == model.items.len()
        && shown.iter().all(|(path, (entry, mode))| {
            model
                .entry(path)
                .is_some_and(|(expected, bits)| *entry == expected && bits.is_none_or(|bits| bits == *mode))
        })
}

/// The model's files and directories, for messages and for comparing.
pub(super) fn written_out(model: &Model) -> String {
    let entry = |path: &String| match model.entry(path) {
        Some((Entry::File(bytes), mode)) => format!("{path}={}{}", String::from_utf8_lossy(&bytes), bits(mode)),
        Some((Entry::Directory, mode)) => format!("{path}/{}", bits(mode)),
        Some((Entry::Symlink(target), _)) => format!("{path}->{}", String::from_utf8_lossy(&target)),
        None => String::new(),
    };
    model.items.keys().map(entry).collect::<Vec<_>>().join(" ")
}

fn bits(mode: Option<u32>) -> String {
    mode.map(|mode| format!("({mode:o})")).unwrap_or_default()
}

/// What a mount shows, for messages.
pub(super) fn shown_out(shown: &Shown) -> String {
    let entry = |(path, (entry, mode)): (&String, &(Entry, u32))| match entry {
        Entry::File(bytes) => format!("{path}={}({mode:o})", String::from_utf8_lossy(bytes)),
        Entry::Directory => format!("{path}/({mode:o})"),
        Entry::Symlink(target) => format!("{path}->{}", String::from_utf8_lossy(target)),
    };
    shown.iter().map(entry).collect::<Vec<_>>().join(" ")
}

/// The contents of all files that a model names.
pub(super) fn contents(model: &Model) -> BTreeSet<Vec<u8>> {
    let file = |item: &Item| match item {
        Item::File(file) => Some(model.files[*file].bytes.clone()),
        _ => None,
    };
    model.items.values().filter_map(file).filter(|bytes| !bytes.is_empty()).collect()
}
