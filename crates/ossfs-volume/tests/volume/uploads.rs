//! Multipart uploads: of ours none is left open, of others none is touched.

use crate::mount::{Mount, READ};
use ossfs_store::{ObjectStore, PutOptions, Upload};
use ossfs_types::{Key, Prefix};
use ossfs_volume::OpenMode;
use std::time::Duration;

impl Mount {
    async fn uploads(&self) -> Vec<Upload> {
        let page = self.bucket.list_uploads(&Prefix::all(), None).await.unwrap();
        page.uploads.into_iter().map(|open| open.upload).collect()
    }

    /// Another client begins an upload, long before anything that follows.
    async fn outsider_begins(&self, key: &str) -> Upload {
        let upload = self.bucket.create_upload(&Key::parse(key).unwrap(), &PutOptions::default()).await.unwrap();
        // Beginnings are told in whole seconds, of the true time.
        std::thread::sleep(Duration::from_millis(1100));
        upload
    }
}

/// Kills the process when it has begun an upload and does not know yet which.
async fn killed_while_beginning(mount: &mut Mount, act: impl AsyncFnOnce(Mount) + 'static) {
    let theirs = mount.outsider_begins("big").await;
    mount.store.delay(Duration::from_millis(100), 3);
    let same = mount.same();
    let acting = tokio::task::spawn_local(async move { act(same).await });
    while mount.uploads().await.len() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    mount.crash();
    acting.abort();
    assert_eq!(mount.uploads().await.len(), 2);
    mount.settle().await;
    assert_eq!(mount.uploads().await, [theirs]);
}

#[tokio::test(start_paused = true)]
async fn an_upload_whose_process_was_killed_before_it_knew_is_aborted() {
    let mut mount = Mount::new();
    let before = vec![1; 4 << 20];
    mount.outsider_puts("big", &before).await;
    let act = async |mount: Mount| {
        let _ = mount.write_at("big", 2 << 20, b"changed").await;
    };
    tokio::task::LocalSet::new().run_until(killed_while_beginning(&mut mount, act)).await;
    // Nobody was told that it is written.
    assert!(mount.object("big").await == before);
}

#[tokio::test(start_paused = true)]
async fn a_streamed_upload_whose_process_was_killed_before_it_knew_is_aborted() {
    let mut mount = Mount::new();
    let act = async |mount: Mount| {
        let handle = mount.create("big").await.unwrap();
        for at in 0..20 {
            let _ = mount.volume.write(handle, at << 20, vec![2; 1 << 20].into()).await;
        }
    };
    tokio::task::LocalSet::new().run_until(killed_while_beginning(&mut mount, act)).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_whose_upload_landed_with_a_kill_is_read_though_it_is_open_for_writing() {
    let mut mount = Mount::new();
    let before = vec![1; 4 << 20];
    mount.outsider_puts("big", &before).await;
    let killed = async {
        mount.store.delay(Duration::from_millis(100), 20);
        let same = mount.same();
        let writing = tokio::task::spawn_local(async move { same.write_at("big", 2 << 20, b"changed").await });
        while mount.object("big").await == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        mount.crash();
        writing.abort();
    };
    tokio::task::LocalSet::new().run_until(killed).await;
    let handle = mount.open("big", OpenMode { write: true, ..READ }).await.unwrap();
    let read = mount.volume.read(handle, 2 << 20, 7);
    let read = tokio::time::timeout(Duration::from_secs(30), read).await.expect("within the deadline");
    assert_eq!(read.unwrap()[..], b"changed"[..]);
    mount.volume.release(handle);
    mount.settle().await;
}
