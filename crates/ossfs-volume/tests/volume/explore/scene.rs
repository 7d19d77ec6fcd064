//! What a schedule plays in: the objects at the beginning, what the user does, and what an outsider does.

use crate::model::Model;
use crate::mount::{Mount, READ, WRITE};
use ossfs_volume::{Error, HandleId, OpenMode};
use std::fmt;

/// What a file has: a word, so many times.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Text {
    word: String,
    times: usize,
}

impl Text {
    /// A word, over and over again, until there are so many bytes.
    pub(super) fn of_length(word: &str, bytes: usize) -> Self {
        Self { word: word.to_owned(), times: bytes.div_ceil(word.len()) }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.word.repeat(self.times).into_bytes()
    }

    /// The same with another word.
    pub(super) fn marked(&self, mark: usize) -> Self {
        Self { word: format!("{}{mark}", self.word), ..*self }
    }
}

impl From<&str> for Text {
    fn from(word: &str) -> Self {
        Self { word: word.to_owned(), times: 1 }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.times {
            1 => write!(f, "{:?}", self.word),
            times => write!(f, "{:?} * {times}", self.word),
        }
    }
}

/// One thing that the user does; it is answered before the next is begun.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    /// Creates or replaces a file, and closes it.
    Write(String, Text),
    /// Writes over the beginning of a file, and closes it.
    Patch(String, Text),
    /// Creates or replaces a file with the content of another, without moving bytes, as `cp` does.
    Copy(String, String),
    /// Puts the content of a file behind that of another, without moving bytes.
    Join(String, String),
    Link(String, String),
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
    Puts(String, Text),
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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Scene {
    pub objects: Vec<(String, Text)>,
    /// Names that files have besides, since long ago.
    pub links: Vec<(String, String)>,
    pub operations: Vec<Operation>,
    pub outsider: Option<Outsider>,
    /// So much may go wrong.
    pub disturbances: usize,
}

impl Scene {
    /// What is there at the beginning.
    pub(super) fn model(&self) -> Model {
        let mut model = Model::default();
        for (key, text) in &self.objects {
            let place = key.strip_suffix("_$folder$").map_or_else(|| key.clone(), |place| format!("{place}/"));
            model.object(&place, &text.bytes());
        }
        for (from, to) in &self.links {
            model.link(from, to).unwrap();
        }
        model
    }
}

impl Operation {
    /// Does it.
    pub(super) async fn perform(&self, mount: &Mount) -> Result<(), Error> {
        match self {
            Self::Write(path, text) => mount.write(path, &text.bytes()).await,
            Self::Patch(path, text) => mount.write_at(path, 0, &text.bytes()).await,
            Self::Copy(from, to) => copy(mount, from, to, true).await,
            Self::Join(from, to) => copy(mount, from, to, false).await,
            Self::Link(from, to) => mount.ln(from, to).await,
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
            Self::Write(path, text) => return filled(after, path, &text.bytes(), true),
            Self::Patch(path, text) => {
                let file = after.file(path).ok_or(Error::NotFound)?;
                after.write(file, 0, &text.bytes());
            }
            Self::Copy(from, to) | Self::Join(from, to) => {
                let file = after.file(from).ok_or(Error::NotFound)?;
                let cut = matches!(self, Self::Copy(..));
                // Who copies a file onto itself cuts it first.
                let bytes =
                    if cut && after.file(to) == Some(file) { Vec::new() } else { after.files[file].bytes.clone() };
                return filled(after, to, &bytes, cut);
            }
            Self::Link(from, to) => after.link(from, to)?,
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
            Self::Write(path, _)
            | Self::Copy(_, path)
            | Self::Unlink(path)
            | Self::Rmdir(path)
            | Self::Rename(_, path) => path,
            Self::Patch(..)
            | Self::Join(..)
            | Self::Link(..)
            | Self::Exchange(..)
            | Self::Mkdir(_)
            | Self::Chmod(..)
            | Self::Look => return None,
        };
        path.rsplit('/').next()
    }
}

/// A file that is created, or cut if that is so, and then gets bytes at its end.
fn filled(mut model: Model, path: &str, bytes: &[u8], cut: bool) -> Result<Vec<Model>, Error> {
    let mut stages = Vec::new();
    let file = match model.file(path) {
        Some(file) => file,
        None => model.create(path)?,
    };
    if cut {
        model.files[file].bytes.clear();
    }
    let end = model.files[file].bytes.len();
    if end == 0 {
        stages.push(model.clone());
    }
    model.write(file, end, bytes);
    stages.push(model);
    Ok(stages)
}

async fn copy(mount: &Mount, from: &str, to: &str, cut: bool) -> Result<(), Error> {
    let reader = mount.open(from, READ).await?;
    let writer = match mount.create(to).await {
        Err(Error::Exists) => mount.open(to, OpenMode { truncate: cut, ..WRITE }).await,
        created => created,
    };
    let copied = match writer {
        Ok(writer) => {
            let copied = copy_behind(mount, (from, reader), (to, writer)).await;
            mount.close(writer).await.and(copied)
        }
        Err(error) => Err(error),
    };
    mount.volume.release(reader);
    copied
}

async fn copy_behind(mount: &Mount, from: (&str, HandleId), to: (&str, HandleId)) -> Result<(), Error> {
    let size = mount.stat(from.0).await?.size;
    let end = mount.stat(to.0).await?.size;
    let mut copied = 0;
    while copied < size {
        match mount.volume.copy_range(from.1, copied, to.1, end + copied, size - copied).await? {
            0 => break,
            some => copied += some,
        }
    }
    Ok(())
}
