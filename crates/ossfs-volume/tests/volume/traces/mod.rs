//! The traces of the algorithm: what goes wrong without each of its rules. Each test fails when its rule is taken out.
//!
//! Most explore every schedule of the operations that the trace is about, with one thing that may go wrong where the trace
//! needs that; see [`explore`](crate::explore).
//!
//! What was taken out of the volume, to see the test of each trace fail:
//!
//! | trace | rule | taken out |
//! |---|---|---|
//! | 1 | claims say whose a key is | `owner` answers with the key itself |
//! | 2 | forgotten is what is seen without its record | `forget` does not ask for the `place` of the keys |
//! | 3 | what is at a key is moved before it is overwritten | `start` never probes |
//! | 4 | what moves is recorded before | what `record_page` recorded is not committed |
//! | 5 | an answer older than our change is not believed | `mutated_since` and `mutated_below` say no |
//! | 6 | where objects come from is asked before where they go | `sources` in the other order; with 5, which hides it |
//! | 7 | inherited prefixes are claimed | `materialise` and `rename` claim none |
//! | 8 | a claim on its own place stays under a shorter one | `tidy` does not ask for one |
//! | 9 | what is ours carries a token | `is_ours` says no |
//! | 10 | a key whose request may still arrive is left alone | `quarantined` says no |
//! | 11 | a home ends with a tombstone, in one transaction | `commit` drops the homes that nobody wants |
//! | 12 | one request changes a key at a time | `start` does not ask for `busy` |
//! | 13 | a commit counts for the generation that was sent | `commit` takes the node's |
//! | 14 | bytes are staged before their file replaces another | `rename` does not call `keep_before_replacing` |
//! | 15 | the ledger is synced before anything is destroyed | `sync_ledger` does nothing |
//! | 16 | a hidden key is used once | `hidden_key` is always the same |
//! | 17 | a directory that loses a child gets a marker | `want_marker` does nothing |
//! | 18 | a read that misses looks where its file is now | `read` fails at once |
//! | 19 | a tombstone has an identity | `verdict` says that any object is the one that is meant |
//! | 20 | what finds its name taken gets another | `file_at` passes it over |
//! | 21 | two versions are never mixed | `follow_source` does not ask whether the node is dirty |
//! | 22 | a deletion without an answer is not sent again | `delete_keys` sends it once more |
//! | 23 | attributes of a young object are not believed | `firm` is always true |

use crate::explore::{Operation, Outsider, Scene, Text, search};
use crate::mount::{Mount, WRITE, files, over};
use crate::weather::Storm;
use ossfs_store::{ObjectStore, Payload, PutOptions};
use ossfs_types::Key;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn mv(from: &str, to: &str) -> Operation {
    Operation::Rename(from.to_owned(), to.to_owned())
}

fn write(path: &str, bytes: &str) -> Operation {
    Operation::Write(path.to_owned(), bytes.into())
}

fn rm(path: &str) -> Operation {
    Operation::Unlink(path.to_owned())
}

fn mkdir(path: &str) -> Operation {
    Operation::Mkdir(path.to_owned())
}

fn puts(key: &str) -> Option<Outsider> {
    Some(Outsider::Puts(key.to_owned(), "(theirs)".into()))
}

/// Explores all schedules of these operations on these objects.
fn explore(keys: &[&str], operations: &[Operation], outsider: Option<Outsider>, disturbances: usize) {
    let objects = keys.iter().map(|key| ((*key).to_owned(), Text::from(&*format!("[{key}]")))).collect();
    search(&Scene { objects, operations: operations.to_vec(), outsider, disturbances, ..Scene::default() });
}

#[test]
fn trace_01_a_name_that_was_left_does_not_show_what_left_it() {
    explore(&["a/x", "b/y"], &[mv("a", "c"), mv("b", "a")], None, 0);
}

#[test]
fn trace_02_a_new_directory_under_a_claimed_prefix_stays() {
    explore(&["b/x"], &[mv("b", "c"), mkdir("b")], None, 0);
}

#[test]
fn trace_03_what_still_lives_at_a_key_is_moved_before_it_is_overwritten() {
    explore(&["a/x"], &[write("b", "<new>"), mv("a", "c"), mkdir("a"), mv("b", "a/x")], None, 1);
}

#[test]
fn trace_04_what_was_removed_while_it_moved_stays_away_after_a_crash() {
    explore(&["a/x", "a/y"], &[mv("a", "b"), rm("b/x")], None, 1);
}

#[test]
fn trace_05_an_answer_that_is_older_does_not_bring_back_what_was_removed() {
    explore(&["a/x"], &[mv("a", "b"), Operation::Look, rm("b/x")], None, 1);
}

#[test]
fn trace_06_what_moves_during_a_look_is_seen_once() {
    explore(&["a/x", "a/y"], &[mv("a", "b"), Operation::Look], None, 1);
}

#[test]
fn trace_07_inherited_prefixes_are_carved_out() {
    explore(&["a/s/x"], &[mv("a", "b"), mv("b/s", "c")], None, 1);
    explore(&["a/s/x", "a/t"], &[mv("a/s", "c"), mv("c", "a/s"), mv("a", "b"), mv("b/s", "c")], None, 0);
}

#[test]
fn trace_08_a_claim_on_its_own_place_is_kept_under_a_shorter_one() {
    explore(&["a/s/x"], &[mv("a", "b"), mkdir("a"), mv("b/s", "a/s")], None, 1);
}

#[test]
fn trace_09_an_object_of_ours_whose_answer_was_lost_is_known_again() {
    explore(&["f"], &[write("f", "<new>"), write("g", "<made>")], None, 1);
}

#[test]
fn trace_10_what_arrives_late_does_not_replace_what_came_after_it() {
    explore(&[], &[write("f", "<first>"), write("f", "<second>")], None, 1);
}

#[test]
fn trace_11_a_home_and_the_tombstone_of_the_one_before_are_one_transaction() {
    explore(&["a/x", "a/y"], &[mv("a/x", "g")], None, 1);
}

#[test]
fn trace_12_a_key_that_is_being_deleted_is_written_afterwards() {
    explore(&["f", "g"], &[rm("f"), mv("g", "f")], None, 1);
}

#[tokio::test(start_paused = true)]
async fn trace_13_what_is_written_during_an_upload_is_uploaded_after_it() {
    let mount = over(&[]).await;
    let handle = mount.create("f").await.unwrap();
    mount.volume.write(handle, 0, "first".into()).await.unwrap();
    let volume = mount.volume.clone();
    let flush = tokio::spawn(async move { volume.flush(handle).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    mount.volume.write(handle, 5, "second".into()).await.unwrap();
    flush.await.unwrap().unwrap();
    mount.close(handle).await.unwrap();
    mount.assert_settled_as(&files(&[("f", "firstsecond")])).await;
}

#[tokio::test(start_paused = true)]
async fn trace_14_a_file_is_not_replaced_by_bytes_that_a_crash_takes() {
    let mut mount = over(&[("f", "old")]).await;
    let handle = mount.create("t").await.unwrap();
    mount.volume.write(handle, 0, "new".into()).await.unwrap();
    mount.mv("t", "f").await.unwrap();
    mount.crash();
    assert_eq!(mount.read("f").await.unwrap(), b"new");
}

#[test]
fn trace_15_nothing_is_overwritten_before_the_ledger_is_on_disk() {
    explore(&["f", "g"], &[mv("g", "f")], None, 1);
    explore(&["f"], &[rm("f")], None, 1);
}

#[test]
fn trace_16_files_trade_places_through_keys_of_their_own() {
    let exchange = |one: &str, other: &str| Operation::Exchange(one.to_owned(), other.to_owned());
    explore(&["a", "b", "c", "d"], &[exchange("a", "b"), exchange("c", "d")], None, 0);
    explore(&["a", "b"], &[exchange("a", "b")], None, 1);
}

#[tokio::test(start_paused = true)]
async fn trace_16_no_hidden_key_is_used_twice() {
    let mount = over(&[("a", "1"), ("b", "2")]).await;
    let notes = Arc::<Mutex<Vec<String>>>::default();
    mount.store.note_in(notes.clone());
    for _ in 0..2 {
        mount.exchange("a", "b").await.unwrap();
        mount.settle().await;
    }
    let hidden = |note: &String| note.contains("Copy .ossfs/moved/");
    let hidden: Vec<String> = notes.lock().unwrap().iter().filter(|note| hidden(note)).cloned().collect();
    assert_eq!(hidden.len(), 2);
    assert_ne!(hidden[0], hidden[1]);
}

#[test]
fn trace_17_a_directory_that_loses_its_last_child_stays() {
    explore(&["a/x"], &[mv("a/x", "g")], None, 0);
}

#[test]
fn trace_18_what_moves_between_two_questions_of_a_read_is_read() {
    explore(&["a/x"], &[mv("a/x", "g"), Operation::Look], None, 1);
}

#[tokio::test(start_paused = true)]
async fn trace_18_a_read_goes_on_while_its_file_moves() {
    let mount = over(&[("a/x", "content")]).await;
    let handle = mount.open("a/x", WRITE).await.unwrap();
    mount.mv("a", "b").await.unwrap();
    for _ in 0..30 {
        assert_eq!(mount.read_handle(handle).await.unwrap(), b"content");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    mount.close(handle).await.unwrap();
    mount.assert_settled_as(&files(&[("b/x", "content")])).await;
}

#[test]
fn trace_19_an_object_that_was_put_where_one_was_to_be_deleted_stays() {
    explore(&["f"], &[rm("f")], puts("f"), 1);
}

#[test]
fn trace_20_one_path_for_two_objects_ends() {
    explore(&["a/x"], &[mv("a", "b"), write("b/n", "<made>")], puts("a/n"), 1);
    explore(&["a/x"], &[mv("a", "b"), mkdir("b/n")], puts("a/n"), 1);
}

#[tokio::test(start_paused = true)]
async fn trace_21_what_was_written_over_a_version_that_is_gone_is_never_mixed() {
    let mount = Mount::new();
    mount.outsider_puts("f", &[b'b'; 4 << 20]).await;
    let handle = mount.open("f", WRITE).await.unwrap();
    mount.volume.write(handle, 1 << 20, "ours".into()).await.unwrap();
    mount.outsider_puts("f", &[b't'; 4 << 20]).await;
    assert!(mount.close(handle).await.is_err());
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(mount.object("f").await == vec![b't'; 4 << 20], "theirs is whole");
    assert!(!mount.volume.unsettled().failures.is_empty(), "ours is still here");
}

#[test]
fn trace_22_a_deletion_without_an_answer_is_not_repeated_blindly() {
    explore(&["f"], &[rm("f")], puts("f"), 1);
}

#[tokio::test(start_paused = true)]
async fn trace_22_what_was_put_while_the_answer_to_a_deletion_was_on_its_way_stays() {
    let mount = over(&[("f", "old")]).await;
    mount.store.delay(Duration::from_secs(1), 7);
    mount.rm("f").await.unwrap();
    mount.store.storm(Some(Storm { refused: 0.0, lost_answers: 1.0, lost_requests: 0.0 }));
    while mount.objects().await.contains_key("f") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    mount.outsider_puts("f", b"theirs").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    mount.assert_settled_as(&files(&[("f", "theirs")])).await;
}

#[tokio::test(start_paused = true)]
async fn trace_23_attributes_that_changed_under_the_same_etag_are_seen() {
    let mount = Mount::new();
    let put = async |mode: &str| {
        let mut options = PutOptions::default();
        options.metadata.user.insert("mode".to_owned(), mode.parse().unwrap());
        mount.bucket.put(&Key::parse("f").unwrap(), Payload::from(b"1".to_vec()), &options).await.unwrap();
    };
    put("33188").await;
    assert_eq!(mount.stat("f").await.unwrap().attributes.mode, 0o644);
    // Within the same second: neither the ETag nor the time tells.
    put("33152").await;
    mount.outlast_ttl().await;
    assert_eq!(mount.stat("f").await.unwrap().attributes.mode, 0o600);
}
