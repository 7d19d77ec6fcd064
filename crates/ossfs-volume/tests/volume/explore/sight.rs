//! What can be seen of a mount, and whether a model may be seen so.

use crate::model::{Item, Model};
use crate::mount::{Entry, Mount, READ};
use ossfs_ledger::NodeId;
use ossfs_types::{Crc64, FileKind};
use ossfs_volume::Error;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Longer contents are told by their beginning and checksum.
const WRITTEN_OUT_MAX: usize = 64;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sight {
    pub entry: Entry,
    /// Permission bits.
    pub mode: u32,
    /// The first of the names of the same file.
    pub first: String,
}

/// What a mount shows, by path.
pub(super) type Shown = BTreeMap<String, Sight>;

/// What a mount shows.
pub(super) async fn view(mount: &Mount) -> Result<Shown, Error> {
    Ok(look(mount).await?.0)
}

/// What a mount shows, and whether a file had to be opened once more.
pub(super) async fn look(mount: &Mount) -> Result<(Shown, bool), Error> {
    let mut shown = Shown::new();
    let mut nodes: BTreeMap<String, NodeId> = BTreeMap::new();
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
            nodes.insert(path.clone(), attributes.node);
            shown.insert(path, Sight { entry, mode: attributes.attributes.mode, first: String::new() });
        }
    }
    let mut firsts: HashMap<NodeId, String> = HashMap::new();
    for (path, node) in nodes {
        let first = firsts.entry(node).or_insert_with(|| path.clone()).clone();
        if let Some(sight) = shown.get_mut(&path) {
            sight.first = first;
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
        && shown.iter().all(|(path, sight)| {
            model.entry(path).is_some_and(|(expected, bits)| {
                sight.entry == expected
                    && bits.is_none_or(|bits| bits == sight.mode)
                    && sight.first == first_name(model, path)
            })
        })
}

/// The first of the names of the file at a path.
fn first_name<'a>(model: &'a Model, path: &'a str) -> &'a str {
    model.file(path).and_then(|file| model.names_of(file).first().copied()).unwrap_or(path)
}

/// The model's files and directories, for messages and for comparing.
pub(super) fn written_out(model: &Model) -> String {
    let entry = |path: &String| match model.entry(path) {
        Some((Entry::File(bytes), mode)) => {
            let also = also(path, first_name(model, path));
            format!("{path}={}{}{also}", shortened(&bytes), bits(mode))
        }
        Some((Entry::Directory, mode)) => format!("{path}/{}", bits(mode)),
        Some((Entry::Symlink(target), _)) => format!("{path}->{}", String::from_utf8_lossy(&target)),
        None => String::new(),
    };
    model.items.keys().map(entry).collect::<Vec<_>>().join(" ")
}

fn bits(mode: Option<u32>) -> String {
    mode.map(|mode| format!("({mode:o})")).unwrap_or_default()
}

/// Of a further name of a file, the first one.
fn also(path: &str, first: &str) -> String {
    if path == first { String::new() } else { format!("={first}") }
}

/// Bytes, for messages and for comparing.
pub(super) fn shortened(bytes: &[u8]) -> String {
    match bytes.split_at_checked(WRITTEN_OUT_MAX) {
        Some((first, _)) => {
            format!("{}… {} bytes, {}", String::from_utf8_lossy(first), bytes.len(), Crc64::of(bytes))
        }
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// What a mount shows, for messages.
pub(super) fn shown_out(shown: &Shown) -> String {
    let entry = |(path, sight): (&String, &Sight)| match &sight.entry {
        Entry::File(bytes) => {
            format!("{path}={}({:o}){}", shortened(bytes), sight.mode, also(path, &sight.first))
        }
        Entry::Directory => format!("{path}/({:o})", sight.mode),
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
