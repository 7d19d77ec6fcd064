//! Who waits is answered: with the failure of what stands in the way, and never later than the deadline says.

use crate::mount::{Mount, READ};
use ossfs_store::Kind;
use ossfs_volume::Error;
use std::time::Duration;
use tokio::time::Instant;

/// A mount where `x` was renamed to `z`, for which the bucket is failing.
async fn stuck() -> Mount {
    let mount = Mount::new();
    mount.outsider_puts("x", b"old").await;
    mount.names("").await.unwrap();
    mount.store.forbid(Some(("Copy", Kind::Unavailable)));
    mount.mv("x", "z").await.unwrap();
    mount
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_key_of_a_failing_file_is_told_of_that() {
    let mount = stuck().await;
    let begun = Instant::now();
    assert_eq!(mount.write("x", b"new").await, Err(Error::Failed));
    assert!(begun.elapsed() < mount.options.deadline / 2, "{:?}", begun.elapsed());
    mount.store.forbid(None);
    mount.settle().await;
    assert_eq!((mount.object("x").await, mount.object("z").await), (b"new".to_vec(), b"old".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_free_once_its_open_file_has_no_name() {
    let mount = stuck().await;
    let open = mount.open("z", READ).await.unwrap();
    mount.write("x", b"new").await.unwrap_err();
    mount.store.forbid(None);
    mount.rm("z").await.unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(mount.object("x").await, b"new");
    assert_eq!(mount.read_handle(open).await.unwrap(), b"old");
    mount.volume.release(open);
    mount.settle().await;
    assert_eq!(mount.objects().await.into_keys().collect::<Vec<_>>(), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_endpoint_is_waited_for_no_longer_than_the_deadline() {
    let mount = stuck().await;
    // What fails now and then beside it is no progress.
    for name in ["a", "b", "c"] {
        mount.outsider_puts(name, b"1").await;
        mount.outlast_ttl().await;
        mount.mv(name, &format!("{name}-moved")).await.unwrap();
    }
    mount.store.stall(Some("Put"));
    let begun = Instant::now();
    assert_eq!(mount.write("new", b"1").await, Err(Error::Failed));
    let most = mount.options.deadline + mount.options.deadline / 4;
    assert!(begun.elapsed() <= most, "{:?}", begun.elapsed());
    mount.store.stall(None);
    mount.store.forbid(None);
}
