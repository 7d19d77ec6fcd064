//! Histories that once went wrong, as short as they can be.

use crate::mount::{Entry, Mount, file};
use std::collections::BTreeMap;
use std::time::Duration;

/// Paths with `/` at the end are directories; so is everything above a path.
fn tree(files: &[(&str, &str)]) -> BTreeMap<String, Entry> {
    let mut tree = BTreeMap::new();
    for (path, bytes) in files {
        for (slash, _) in path.match_indices('/') {
            tree.insert(path[..slash].to_owned(), Entry::Directory);
        }
        if !path.ends_with('/') {
            tree.insert((*path).to_owned(), file(bytes));
        }
    }
    tree
}

/// A mount on a slow bucket with these objects, put by somebody else.
async fn over(objects: &[(&str, &str)]) -> Mount {
    let mount = Mount::new();
    for (key, bytes) in objects {
        mount.outsider_puts(key, bytes.as_bytes()).await;
    }
    mount.store.delay(Duration::from_millis(100), 7);
    mount
}

#[tokio::test(start_paused = true)]
async fn an_old_marker_moves_as_a_marker() {
    let mount = over(&[("a/s_$folder$", ""), ("a/x", "1")]).await;
    mount.mv("a", "b").await.unwrap();
    let expected = tree(&[("b/s/", ""), ("b/x", "1")]);
    for _ in 0..20 {
        assert_eq!(mount.tree().await, expected);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    mount.assert_settled_as(&expected).await;
}
