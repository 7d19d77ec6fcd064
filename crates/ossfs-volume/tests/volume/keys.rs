//! A key that one file wants and another one has.

use crate::mount::{Mount, READ, WRITE, files, over};
use crate::weather::Ill;
use ossfs_store::Kind;
use ossfs_volume::{Error, VolumeOptions};
use std::time::Duration;
use tokio::time::Instant;

/// Longer than any failure is left alone before it is tried again.
const LONG: Duration = Duration::from_secs(600);

/// What a call says, which it does long before its deadline.
async fn soon<T>(mount: &Mount, call: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let said = call.await;
    assert!(begun.elapsed() < mount.options.deadline / 2, "it took {:?}", begun.elapsed());
    said
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_key_fails_as_whoever_has_it() {
    let mount = over(&[("a", "1")]).await;
    mount.names("").await.unwrap();
    // Nothing that is refused for good: the rename stays, and is tried again and again.
    mount.store.forbid(Some(("Copy", Kind::Invalid)));
    mount.mv("a", "b").await.unwrap();
    let handle = mount.create("a").await.unwrap();
    mount.volume.write(handle, 0, "new".into()).await.unwrap();
    assert_eq!(soon(&mount, mount.volume.flush(handle)).await, Err(Error::Invalid));
    assert_eq!(soon(&mount, mount.volume.sync_file(handle)).await, Err(Error::Invalid));
    // Also while the one that has the key is not tried again for a while.
    tokio::time::sleep(LONG).await;
    assert_eq!(soon(&mount, mount.volume.sync_file(handle)).await, Err(Error::Invalid));
    assert_eq!(mount.read("a").await.unwrap(), b"new");
    assert_eq!(mount.read("b").await.unwrap(), b"1");
    mount.store.forbid(None);
    assert_eq!(soon(&mount, mount.volume.sync_file(handle)).await, Ok(()));
    mount.close(handle).await.unwrap();
    mount.assert_settled_as(&files(&[("a", "new"), ("b", "1")])).await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_a_row_for_a_key_fails_as_the_first() {
    let mount = over(&[("a", "1"), ("b", "2")]).await;
    mount.names("").await.unwrap();
    mount.store.forbid(Some(("Copy", Kind::Invalid)));
    mount.mv("b", "c").await.unwrap();
    mount.mv("a", "b").await.unwrap();
    assert_eq!(soon(&mount, mount.write("a", b"new")).await, Err(Error::Invalid));
    tokio::time::sleep(LONG).await;
    assert_eq!(soon(&mount, mount.write("a", b"newer")).await, Err(Error::Invalid));
    let expected = files(&[("a", "newer"), ("b", "1"), ("c", "2")]);
    assert_eq!(mount.tree().await, expected);
    mount.store.forbid(None);
    mount.assert_settled_as(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_nobody_answers_for_is_waited_for_no_longer_than_the_deadline() {
    let mount = over(&[("a", "1")]).await;
    mount.names("").await.unwrap();
    mount.mv("a", "b").await.unwrap();
    mount.store.befall("b", Some(Ill::Silent(LONG)));
    let begun = Instant::now();
    assert_eq!(mount.write("a", b"new").await, Err(Error::Failed));
    assert!(begun.elapsed() < mount.options.deadline * 2, "{:?}", begun.elapsed());
    mount.store.befall("b", None);
    mount.assert_settled_as(&files(&[("a", "new"), ("b", "1")])).await;
}

/// A file of `size` bytes at `f` that is open while it loses its name, so that another file gets its key.
async fn nameless(size: usize, replaced: bool) -> (Mount, ossfs_volume::HandleId, Vec<u8>) {
    let mount = Mount::with(VolumeOptions { memory_limit: 2 << 20, ..VolumeOptions::default() });
    let old: Vec<u8> = (0..size).map(|at| u8::try_from(at / 1000 % 251).unwrap()).collect();
    mount.outsider_puts("f", &old).await;
    mount.outsider_puts("g", b"new").await;
    mount.names("").await.unwrap();
    mount.store.delay(Duration::from_millis(100), 7);
    let handle = mount.open("f", READ).await.unwrap();
    if replaced {
        mount.mv("g", "f").await.unwrap();
    } else {
        mount.rm("f").await.unwrap();
        mount.rm("g").await.unwrap();
        mount.write("f", b"new").await.unwrap();
    }
    (mount, handle, old)
}

#[tokio::test(start_paused = true)]
async fn an_open_file_without_a_name_gives_its_key_up() {
    for replaced in [false, true] {
        let (mount, handle, old) = nameless(5 << 20, replaced).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(mount.object("f").await, b"new", "replaced: {replaced}");
        assert_eq!(mount.fresh().tree().await, files(&[("f", "new")]), "replaced: {replaced}");
        // More than the memory takes: it is asked for.
        assert!(mount.read_handle(handle).await.unwrap() == old, "replaced: {replaced}");
        mount.write("f", b"newer").await.unwrap();
        assert!(mount.read_handle(handle).await.unwrap() == old, "replaced: {replaced}");
        mount.volume.release(handle);
        mount.assert_settled_as(&files(&[("f", "newer")])).await;
        assert_eq!(mount.objects().await.into_keys().collect::<Vec<_>>(), ["f"], "replaced: {replaced}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_a_file_without_a_name_after_a_crash() {
    for step in 0..12 {
        let (mut mount, _, _) = nameless(1000, step % 2 == 0).await;
        tokio::time::sleep(Duration::from_millis(step * 60)).await;
        mount.crash();
        mount.settle().await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        mount.assert_settled_as(&files(&[("f", "new")])).await;
        assert_eq!(mount.objects().await.into_keys().collect::<Vec<_>>(), ["f"], "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_written_without_a_name_stays_out_of_the_way() {
    let mount = over(&[("f", "old")]).await;
    let handle = mount.open("f", WRITE).await.unwrap();
    mount.volume.write(handle, 3, " and more".into()).await.unwrap();
    mount.outsider_puts("g", b"new").await;
    mount.mv("g", "f").await.unwrap();
    mount.volume.write(handle, 0, "OLD".into()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(mount.object("f").await, b"new");
    assert_eq!(mount.read_handle(handle).await.unwrap(), b"OLD and more");
    mount.close(handle).await.unwrap();
    mount.assert_settled_as(&files(&[("f", "new")])).await;
    assert_eq!(mount.objects().await.into_keys().collect::<Vec<_>>(), ["f"]);
}
