//! What the mount, and the bucket once all is settled, must show.

use super::*;

impl History {
    pub(super) async fn end(mut self) {
        self.say("the end".into());
        self.lookers.drain(..).for_each(|looker| looker.abort());
        while !self.opens.is_empty() {
            self.close_one().await;
        }
        self.mount.settle().await;
        self.mount.store.storm(None);
        // What was lost on the way may arrive now.
        tokio::time::sleep(Duration::from_secs(20)).await;
        self.compare(&self.mount).await;
        self.say("a fresh mount".into());
        self.compare(&self.mount.fresh()).await;
        self.check_bucket().await;
        let ledger = self.mount.ledger.load().unwrap();
        assert!(ledger.is_empty(), "left in the ledger: {ledger:#?}");
        let uploads = self.mount.bucket.list_uploads(&Prefix::all(), None).await.unwrap().uploads;
        assert!(uploads.is_empty(), "left of uploads: {uploads:?}");
    }

    /// The bucket has each file under its key, markers of directories, and nothing else.
    pub(super) async fn check_bucket(&self) {
        let mut objects = self.mount.objects().await;
        let mut lists = self.mount.lists().await;
        objects.retain(|key, _| !key.starts_with(".ossfs/links/"));
        for file in 0..self.model.files.len() {
            let names = self.model.names_of(file);
            let Some(first) = names.first() else { continue };
            let link = self.mount.link_id(first).await;
            for name in &names {
                assert_eq!(self.mount.link_id(name).await, link, "the ids of {names:?}");
            }
            let listed = link.map(|link| lists.remove(&link).unwrap_or_else(|| panic!("no list of {names:?}")));
            match names.len() {
                1 => assert_eq!(listed, None, "{names:?} is several names"),
                _ => assert!(listed.as_ref().is_some_and(|listed| *listed == names), "{names:?}: {listed:?}"),
            }
        }
        assert!(lists.is_empty(), "left of lists: {lists:?}");
        for (path, item) in &self.model.items {
            match item {
                Item::File(file) => {
                    let object = objects.remove(path).unwrap_or_else(|| panic!("{path} is not in the bucket"));
                    same_bytes(path, &object, &self.model.files[*file].bytes);
                }
                Item::Symlink(target) => assert_eq!(objects.remove(path).as_ref(), Some(target), "{path}"),
                Item::Directory(_) => {
                    objects.remove(&format!("{path}/"));
                    objects.remove(&format!("{path}_$folder$"));
                }
            }
        }
        let left: Vec<&String> = objects.keys().collect();
        assert!(left.is_empty(), "the bucket has more than it should: {left:?}");
    }

    /// A few paths are as in the model.
    pub(super) async fn sample(&mut self) {
        for _ in 0..2 {
            let path = if self.rng.bool() { self.random_path() } else { self.path_of(|_| true) };
            self.compare_path(&self.mount, &path).await;
            if self.model.is_directory(&path) && self.rng.bool() {
                self.compare_names(&self.mount, &path).await;
            }
        }
        if self.rng.u8(0..4) == 0 {
            self.compare_names(&self.mount, "").await;
        }
    }

    pub(super) async fn compare_names(&self, mount: &Mount, directory: &str) {
        let names = self.insist_on(mount, async |mount| mount.names(directory).await).await;
        assert_eq!(names.unwrap(), self.model.names(directory), "names in {directory:?}");
    }

    pub(super) async fn insist_on<T>(&self, mount: &Mount, call: impl AsyncFn(&Mount) -> Result<T>) -> Result<T> {
        while self.plan.impatient && fastrand::u8(0..3) == 0 {
            let patience = Duration::from_millis(fastrand::u64(0..200));
            // What is given up has done nothing.
            if let Ok(result) = tokio::time::timeout(patience, call(mount)).await {
                match result {
                    Err(Error::Failed) if self.plan.storm.is_some() => {}
                    result => return result,
                }
            }
        }
        for _ in 0..REPEATS_MAX {
            match call(mount).await {
                Err(Error::Failed) if self.plan.storm.is_some() => tokio::time::sleep(Duration::from_millis(500)).await,
                result => return result,
            }
        }
        panic!("it fails for ever; {:?}", mount.volume.unsettled());
    }

    pub(super) async fn compare_path(&self, mount: &Mount, path: &str) {
        let found = self.insist_on(mount, async |mount| mount.stat(path).await).await;
        let Some((entry, mode)) = self.model.entry(path) else {
            let absent = matches!(found, Err(Error::NotFound | Error::NotDirectory));
            assert!(absent, "{path} should not be there: {found:?}");
            return;
        };
        let found = found.unwrap_or_else(|error| panic!("{path}: {error:?}"));
        if let Some(mode) = mode {
            assert_eq!(found.attributes.mode, mode, "mode of {path}: {:o} {mode:o}", found.attributes.mode);
            if !MODES_OF_NEW.contains(&mode) && !matches!(entry, Entry::Symlink(_)) {
                let value = self.insist_on(mount, async |mount| mount.xattr(path, MODE_XATTR).await).await;
                assert_eq!(value, Ok(mode.to_string().into_bytes()), "the extended attribute of {path}");
            }
        }
        match entry {
            Entry::Directory => {
                assert_eq!(found.kind, FileKind::Directory, "{path}");
                let below = self.model.paths(|item| matches!(item, Item::Directory(_)));
                let below = below.iter().filter(|below| above(below) == path).count();
                assert!(found.links == 1 || found.links as usize == below + 2, "{path} has {} links", found.links);
            }
            Entry::Symlink(target) => {
                assert_eq!(found.kind, FileKind::Symlink, "{path}");
                let read = self.insist_on(mount, async |mount| mount.volume.read_link(found.node).await).await;
                assert_eq!(read.unwrap(), target, "{path}");
            }
            Entry::File(bytes) => {
                assert_eq!((found.kind, found.size), (FileKind::File, bytes.len() as u64), "{path}");
                let names = self.model.names_of(self.model.file(path).unwrap());
                assert_eq!(found.links as usize, names.len(), "links of {path}");
                for name in names {
                    let other = self.insist_on(mount, async |mount| mount.stat(name).await).await;
                    assert_eq!(other.map(|other| other.node), Ok(found.node), "{path} and {name} are one file");
                }
                let read = self.insist_on(mount, async |mount| mount.read(path).await).await;
                let read = read.unwrap_or_else(|error| panic!("{path} can't be read: {error:?}"));
                same_bytes(path, &read, &bytes);
            }
        }
    }

    /// All is as in the model.
    pub(super) async fn compare(&self, mount: &Mount) {
        self.compare_names(mount, "").await;
        for (path, item) in &self.model.items {
            self.compare_path(mount, path).await;
            if matches!(item, Item::Directory(_)) {
                self.compare_names(mount, path).await;
            }
        }
    }
}

/// Looks at this and that, and gives up now and then.
pub(super) async fn look_around(mount: Mount, seed: u64, quiet: Arc<RwLock<()>>) {
    let mut rng = fastrand::Rng::with_seed(seed);
    loop {
        let looking = quiet.read().await;
        let path = random_path(&mut rng);
        let patience = Duration::from_millis(rng.u64(1..2_000));
        let look = async {
            match rng.u8(0..4) {
                0 => drop(mount.names(above(&path)).await),
                1 => drop(mount.names(&path).await),
                2 => drop(mount.read(&path).await),
                _ => drop(mount.stat(&path).await),
            }
        };
        tokio::time::timeout(patience, look).await.ok();
        drop(looking);
        tokio::time::sleep(Duration::from_millis(rng.u64(1..300))).await;
    }
}

pub(super) fn same_bytes(what: &str, found: &[u8], expected: &[u8]) {
    if found == expected {
        return;
    }
    let at = found.iter().zip(expected).position(|(one, other)| one != other);
    panic!("{what} has other bytes, first at {at:?}:\n{}\ninstead of\n{}", shown(found), shown(expected));
}
