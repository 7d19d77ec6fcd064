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
//! shows the files as they were before or after what the user does then, with one content under all names of a file, though
//! the objects may differ until all is settled; no object is a mixture; what was closed is in the bucket. Where schedules
//! meet or end: this process shows the same. At the end: the bucket is the model, byte for byte, with an object for each
//! name and the lists of names, a mount that knows nothing but the bucket shows the same, and nothing is left in the ledger,
//! of uploads, or hidden. With an outsider: nothing of theirs or ours is lost. And every schedule ends: one that comes back
//! to a state goes on from there as planned.
//!
//! `OSSFS_LONG=1` explores further; `OSSFS_SEED=n` plays one of the random schedules.

mod fingerprint;
mod gate;
mod journal;
mod play;
mod scene;
mod search;
mod sight;

pub(crate) use scene::{Operation, Outsider, Scene, Text};
pub(crate) use search::search;

use ossfs_types::limits::PART_BYTES_MIN;
use search::{Count, wander};
use std::time::Instant;

/// A file of so many bytes that its own are rather copied than read and put again.
const LARGE_BYTES: usize = (1 << 20) + 100;
/// A file of so many bytes is uploaded in two parts.
const PARTS_BYTES: usize = PART_BYTES_MIN as usize + 100;

fn is_long() -> bool {
    std::env::var("OSSFS_LONG").is_ok()
}

fn world(keys: &[&str], links: &[(&str, &str)]) -> Scene {
    let object = |key: &&str| {
        let marker = key.ends_with('/') || key.ends_with("_$folder$");
        let text = if marker { Text::from("") } else { Text::from(&*format!("[{key}]")) };
        ((*key).to_owned(), text)
    };
    let link = |(from, to): &(&str, &str)| ((*from).to_owned(), (*to).to_owned());
    Scene { objects: keys.iter().map(object).collect(), links: links.iter().map(link).collect(), ..Scene::default() }
}

/// The worlds: a file in each of two directories, one deeper; with markers of both forms.
fn worlds() -> Vec<Scene> {
    vec![world(&["a/x", "a/s/z", "b/y"], &[]), world(&["a/", "a/x", "b_$folder$", "b/x"], &[])]
}

/// Worlds of few files, of which one has several names, or has none yet.
fn linked_worlds() -> Vec<Scene> {
    vec![world(&["a/x", "b/y"], &[]), world(&["a/x", "b/y"], &[("a/x", "g")])]
}

/// A world with a file that is so large that its bytes are rather copied on the server than read.
fn large_worlds() -> Vec<Scene> {
    let mut world = world(&["a/x"], &[]);
    world.objects.push(("large".to_owned(), Text::of_length("[large]", LARGE_BYTES)));
    vec![world]
}

fn rename(from: &str, to: &str) -> Operation {
    Operation::Rename(from.to_owned(), to.to_owned())
}

fn exchange(one: &str, other: &str) -> Operation {
    Operation::Exchange(one.to_owned(), other.to_owned())
}

fn write(path: &str, text: &str) -> Operation {
    Operation::Write(path.to_owned(), text.into())
}

fn unlink(path: &str) -> Operation {
    Operation::Unlink(path.to_owned())
}

fn link(from: &str, to: &str) -> Operation {
    Operation::Link(from.to_owned(), to.to_owned())
}

fn copy(from: &str, to: &str) -> Operation {
    Operation::Copy(from.to_owned(), to.to_owned())
}

fn join(from: &str, to: &str) -> Operation {
    Operation::Join(from.to_owned(), to.to_owned())
}

fn operations() -> Vec<Operation> {
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
        write("a/x", "<new>"),
        write("b/n", "<made>"),
        unlink("a/x"),
        unlink("c/x"),
        Operation::Mkdir("a".to_owned()),
        Operation::Mkdir("c".to_owned()),
        Operation::Rmdir("a".to_owned()),
        Operation::Chmod("a/x".to_owned(), 0o600),
        Operation::Chmod("b".to_owned(), 0o700),
        Operation::Look,
    ]
}

/// Names are given and taken, and bytes are copied.
fn linking_operations() -> Vec<Operation> {
    vec![
        link("a/x", "g"),
        link("g", "b/l"),
        link("b/y", "a/l"),
        copy("a/x", "b/y"),
        copy("b/y", "a/x"),
        copy("g", "k"),
        copy("a/x", "k"),
        join("b/y", "a/x"),
        join("a/x", "a/x"),
        join("a/x", "g"),
        write("a/x", "<new>"),
        write("g", "<other>"),
        unlink("a/x"),
        unlink("g"),
        rename("a/x", "g"),
        rename("g", "b/y"),
        rename("b/y", "g"),
        rename("a", "c"),
        exchange("g", "b/y"),
        exchange("a/x", "b/y"),
        Operation::Chmod("g".to_owned(), 0o600),
        Operation::Look,
    ]
}

/// Files are uploaded in parts: those that are written, and those of which some is copied on the server.
fn large_operations() -> Vec<Operation> {
    let parts = |path: &str, word: &str| Operation::Write(path.to_owned(), Text::of_length(word, PARTS_BYTES));
    vec![
        parts("a/x", "<new>"),
        parts("n", "<made>"),
        parts("large", "<other>"),
        Operation::Patch("large".to_owned(), "<patch>".into()),
        copy("large", "k"),
        join("large", "a/x"),
        join("a/x", "large"),
        link("n", "a/n"),
        rename("large", "a/x"),
        rename("n", "a/x"),
        rename("a", "c"),
        exchange("large", "a/x"),
        unlink("large"),
        unlink("n"),
        write("n", "<small>"),
        Operation::Look,
    ]
}

/// Lists of so many operations of which each can be done after those before it.
fn lists(world: &Scene, operations: &[Operation], length: usize) -> Vec<Vec<Operation>> {
    let mut lists = vec![(Vec::new(), world.model())];
    for _ in 0..length {
        let longer = lists.iter().flat_map(|(list, model)| {
            operations.iter().filter_map(move |operation| {
                let after = operation.stages(model).ok()?.pop()?;
                let mut list: Vec<Operation> = list.clone();
                list.push(operation.clone());
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

/// Worlds, and what is done in them.
type Setting = (Vec<Scene>, Vec<Operation>);

fn scenes(
    (worlds, operations): &Setting,
    length: usize,
    disturbances: usize,
    outsiders: &[Option<Outsider>],
) -> Vec<Scene> {
    let mut scenes = Vec::new();
    for world in worlds {
        for operations in lists(world, operations, length) {
            for outsider in outsiders {
                let (operations, outsider) = (operations.clone(), outsider.clone());
                scenes.push(Scene { operations, outsider, disturbances, ..world.clone() });
            }
        }
    }
    scenes
}

fn moving() -> Setting {
    (worlds(), operations())
}

fn linking() -> Setting {
    (linked_worlds(), linking_operations())
}

fn large() -> Setting {
    (large_worlds(), large_operations())
}

#[test]
fn one_operation_and_all_that_may_go_wrong() {
    explore(
        "one operation, disturbed twice",
        scenes(&moving(), 1, 2, &[None]).into_iter(),
        if is_long() { 1 } else { 12 },
    );
}

#[test]
fn two_operations_in_fair_weather() {
    explore("two operations", scenes(&moving(), 2, 0, &[None]).into_iter(), if is_long() { 1 } else { 8 });
}

#[test]
fn two_operations_and_one_thing_that_goes_wrong() {
    explore(
        "two operations, disturbed once",
        scenes(&moving(), 2, 1, &[None]).into_iter(),
        if is_long() { 1 } else { 600 },
    );
}

#[test]
fn three_operations() {
    explore("three operations", scenes(&moving(), 3, 0, &[None]).into_iter(), if is_long() { 10 } else { 1_000 });
}

#[test]
fn outsiders() {
    let puts = |key: &str| Some(Outsider::Puts(key.to_owned(), "(theirs)".into()));
    let deletes = |key: &str| Some(Outsider::Deletes(key.to_owned()));
    let outsiders = [puts("a/x"), puts("c/x"), puts("b/y"), puts("g"), deletes("a/x"), deletes("b/y")];
    explore(
        "one operation and an outsider",
        scenes(&moving(), 1, 0, &outsiders).into_iter(),
        if is_long() { 1 } else { 3 },
    );
    let every = if is_long() { 1 } else { 80 };
    explore("two operations and an outsider", scenes(&moving(), 2, 0, &outsiders).into_iter(), every);
}

#[test]
fn names_and_copies() {
    let scenes = |length, disturbances| scenes(&linking(), length, disturbances, &[None]).into_iter();
    explore("a name or a copy, disturbed once", scenes(1, 1), if is_long() { 1 } else { 4 });
    explore("names and copies", scenes(2, 0), if is_long() { 1 } else { 25 });
    explore("names and copies, disturbed once", scenes(2, 1), if is_long() { 4 } else { 400 });
    explore("three names and copies", scenes(3, 0), if is_long() { 40 } else { 4_000 });
}

#[test]
fn uploads_in_parts() {
    let scenes = |length, disturbances| scenes(&large(), length, disturbances, &[None]).into_iter();
    explore("an upload in parts, disturbed once", scenes(1, 1), if is_long() { 1 } else { 5 });
    explore("uploads in parts", scenes(2, 0), if is_long() { 1 } else { 40 });
    explore("uploads in parts, disturbed once", scenes(2, 1), if is_long() { 10 } else { 1_000 });
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
        let (mut worlds, all) = if seed.is_multiple_of(2) { moving() } else { linking() };
        let world = worlds.swap_remove(rng.usize(..worlds.len()));
        let mut scene = Scene { disturbances: rng.usize(0..5), ..world };
        let mut model = scene.model();
        let length = rng.usize(3..9);
        while scene.operations.len() < length {
            let mut operation = all[rng.usize(..all.len())].clone();
            if let Operation::Write(_, text) = &mut operation {
                *text = text.marked(scene.operations.len());
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
