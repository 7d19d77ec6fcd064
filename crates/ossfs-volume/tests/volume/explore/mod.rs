//! The volume's states, explored one after the other: every request of the store is a step, and between any two steps may
//! come the user's next operation, the end of the process or of the power, a lost, late or refused request, a late answer,
//! and an outsider.
//!
//! It is the real volume that is explored, by playing schedules from the beginning: what a schedule may go on with is found
//! by playing it. Where a state was met before, nothing new can come of it. A state is what can be seen of it: the bucket,
//! the ledger and what of it is synced, requests under way, answers that were given, what the user may still do. What the
//! volume has in memory beyond that (caches, pauses) is not compared; the schedules that are played at random go on there.
//!
//! Questions (GET, HEAD, LIST) are answered at once, unless that is what goes wrong: an answer that comes late, or a
//! question that waits, counts as such, like a kill or a lost answer, and a scene bounds their number.
//!
//! Checked at every state: a new process over the ledger as it was after each commit of the last step, and as it is on disk,
//! shows the files as they were before or after what the user does then; no object is a mixture; what was closed is in
//! the bucket. Where schedules meet or end: this process shows the same. At the end: the bucket is the model, byte for byte,
//! a mount that knows nothing but the bucket shows the same, and nothing is left in the ledger, of uploads, or hidden.
//! With an outsider: nothing of theirs or ours is lost. And every schedule ends.
//!
//! `OSSFS_LONG=1` explores further; `OSSFS_SEED=n` plays one of the random schedules.

mod fingerprint;
mod gate;
mod journal;
mod play;
mod scene;
mod search;

pub(crate) use scene::{Operation, Outsider, Scene};
pub(crate) use search::search;

use search::{Count, wander};
use std::time::Instant;

fn is_long() -> bool {
    std::env::var("OSSFS_LONG").is_ok()
}

fn objects(keys: &[&str]) -> Vec<(String, String)> {
    keys.iter()
        .map(|key| {
            let marker = key.ends_with('/') || key.ends_with("_$folder$");
            ((*key).to_owned(), if marker { String::new() } else { format!("[{key}]") })
        })
        .collect()
}

/// The worlds: a file in each of two directories, one deeper; with markers of both forms.
fn worlds() -> Vec<Vec<(String, String)>> {
    vec![objects(&["a/x", "a/s/z", "b/y"]), objects(&["a/", "a/x", "b_$folder$", "b/x"])]
}

fn operations() -> Vec<Operation> {
    let rename = |from: &str, to: &str| Operation::Rename(from.to_owned(), to.to_owned());
    let exchange = |one: &str, other: &str| Operation::Exchange(one.to_owned(), other.to_owned());
    vec![
        rename("a", "c"),
        rename("c", "a"),
        rename("b", "a"),
        rename("b", "c"),
        rename("a/s", "c"),
        rename("c", "a/s"),
        rename("a/s", "b/s"),
        rename("a/x", "g"),
        rename("a/x", "b/x"),
        rename("a/x", "b/y"),
        rename("b/y", "a/x"),
        rename("c/x", "a/x"),
        exchange("a", "b"),
        exchange("a/s", "b"),
        exchange("a/x", "b/y"),
        exchange("a/x", "b/x"),
        Operation::Write("a/x".to_owned(), "<new>".to_owned()),
        Operation::Write("b/n".to_owned(), "<made>".to_owned()),
        Operation::Unlink("a/x".to_owned()),
        Operation::Unlink("c/x".to_owned()),
        Operation::Mkdir("a".to_owned()),
        Operation::Mkdir("c".to_owned()),
        Operation::Rmdir("a".to_owned()),
        Operation::Chmod("a/x".to_owned(), 0o600),
        Operation::Chmod("b".to_owned(), 0o700),
        Operation::Look,
    ]
}

/// Lists of so many operations of which each can be done after those before it.
fn lists(world: &[(String, String)], length: usize) -> Vec<Vec<Operation>> {
    let scene = Scene { objects: world.to_vec(), operations: Vec::new(), outsider: None, disturbances: 0 };
    let mut lists = vec![(Vec::new(), scene.model())];
    for _ in 0..length {
        let longer = lists.iter().flat_map(|(list, model)| {
            operations().into_iter().filter_map(move |operation| {
                let after = operation.stages(model).ok()?.pop()?;
                let mut list: Vec<Operation> = list.clone();
                list.push(operation);
                Some((list, after))
            })
        });
        lists = longer.collect();
    }
    lists.into_iter().map(|(list, _)| list).collect()
}

/// Explores scenes, and tells how much that was. Of the scenes, every `every`th is played, beginning with one that depends
/// on nothing but their number.
fn explore(what: &str, scenes: impl Iterator<Item = Scene>, every: usize) {
    let began = Instant::now();
    let mut count = Count::default();
    let mut number = 0;
    for scene in scenes.step_by(every) {
        count.add(search(&scene));
        number += 1;
    }
    let Count { states, schedules } = count;
    println!("{what}: {number} scenes, {states} states, {schedules} schedules in {:?}", began.elapsed());
}

fn scenes(length: usize, disturbances: usize, outsiders: &[Option<Outsider>]) -> Vec<Scene> {
    let mut scenes = Vec::new();
    for world in worlds() {
        for operations in lists(&world, length) {
            for outsider in outsiders {
                let (objects, operations, outsider) = (world.clone(), operations.clone(), outsider.clone());
                scenes.push(Scene { objects, operations, outsider, disturbances });
            }
        }
    }
    scenes
}

#[test]
fn one_operation_and_all_that_may_go_wrong() {
    explore("one operation, disturbed twice", scenes(1, 2, &[None]).into_iter(), if is_long() { 1 } else { 12 });
}

#[test]
fn two_operations_in_fair_weather() {
    explore("two operations", scenes(2, 0, &[None]).into_iter(), if is_long() { 1 } else { 8 });
}

#[test]
fn two_operations_and_one_thing_that_goes_wrong() {
    explore("two operations, disturbed once", scenes(2, 1, &[None]).into_iter(), if is_long() { 1 } else { 600 });
}

#[test]
fn three_operations() {
    explore("three operations", scenes(3, 0, &[None]).into_iter(), if is_long() { 10 } else { 1_000 });
}

#[test]
fn outsiders() {
    let puts = |key: &str| Some(Outsider::Puts(key.to_owned(), "(theirs)".to_owned()));
    let deletes = |key: &str| Some(Outsider::Deletes(key.to_owned()));
    let outsiders = [puts("a/x"), puts("c/x"), puts("b/y"), puts("g"), deletes("a/x"), deletes("b/y")];
    explore("one operation and an outsider", scenes(1, 0, &outsiders).into_iter(), if is_long() { 1 } else { 3 });
    let every = if is_long() { 1 } else { 80 };
    explore("two operations and an outsider", scenes(2, 0, &outsiders).into_iter(), every);
}

#[test]
fn at_random() {
    let began = Instant::now();
    let mut count = Count::default();
    let seeds = match std::env::var("OSSFS_SEED") {
        Ok(seed) => seed.parse().unwrap()..seed.parse::<u64>().unwrap() + 1,
        Err(_) => 0..if is_long() { 20_000 } else { 300 },
    };
    for seed in seeds {
        let mut rng = fastrand::Rng::with_seed(seed);
        let world = worlds().swap_remove(rng.usize(..worlds().len()));
        let mut scene = Scene { objects: world, operations: Vec::new(), outsider: None, disturbances: rng.usize(0..5) };
        let mut model = scene.model();
        let length = rng.usize(3..9);
        while scene.operations.len() < length {
            let all = operations();
            let mut operation = all[rng.usize(..all.len())].clone();
            if let Operation::Write(_, bytes) = &mut operation {
                bytes.push_str(&scene.operations.len().to_string());
            }
            if let Some(after) = operation.stages(&model).ok().and_then(|mut stages| stages.pop()) {
                model = after;
                scene.operations.push(operation);
            }
        }
        let played = std::panic::catch_unwind(|| wander(&scene, seed));
        match played {
            Ok(played) => count.add(played),
            Err(failed) => {
                println!("seed {seed}");
                std::panic::resume_unwind(failed);
            }
        }
    }
    println!("at random: {} states, {} schedules in {:?}", count.states, count.schedules, began.elapsed());
}
