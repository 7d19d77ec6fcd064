//! All schedules of a scene, or some at random; and what of one that fails is needed for that.

use super::play::{Choice, Play, Seen, State};
use super::scene::Scene;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a search looked at.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Count {
    pub states: u64,
    pub schedules: u64,
}

impl Count {
    pub(super) fn add(&mut self, other: Self) {
        self.states += other.states;
        self.schedules += other.schedules;
    }
}

/// Plays every schedule of a scene, from each state that was not met before.
pub(crate) fn search(scene: &Scene) -> Count {
    let mut seen = Seen::default();
    let mut count = Count::default();
    let mut open = vec![Vec::new()];
    while let Some(beginning) = open.pop() {
        count.schedules += 1;
        let mut schedule = beginning;
        let played = catch_unwind(AssertUnwindSafe(|| {
            let mut play = Play::begin(scene);
            for choice in &schedule {
                assert!(play.step(choice), "a schedule can't be played again: {choice:?} of {schedule:?}");
            }
            loop {
                let state = play.check(&mut seen);
                if state == State::Met {
                    break;
                }
                count.states += u64::from(state == State::New);
                let choices = play.choices();
                let Some((first, others)) = choices.split_first() else { return play.check_end() };
                if state == State::New {
                    open.extend(others.iter().rev().map(|other| {
                        let mut other_schedule = schedule.clone();
                        other_schedule.push(other.clone());
                        other_schedule
                    }));
                }
                schedule.push(first.clone());
                assert!(play.step(first), "what can be chosen can be done: {first:?}");
            }
            play.check_view();
        }));
        if played.is_err() {
            fail(scene, schedule);
        }
    }
    count
}

/// Plays some schedule of a scene.
pub(super) fn wander(scene: &Scene, seed: u64) -> Count {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut schedule = Vec::new();
    let mut seen = Seen::default();
    let mut count = Count { schedules: 1, ..Count::default() };
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut play = Play::begin(scene);
        loop {
            play.check(&mut seen);
            count.states += 1;
            let choices = play.choices();
            if choices.is_empty() {
                return play.check_end();
            }
            let (disturbing, plain): (Vec<&Choice>, Vec<&Choice>) =
                choices.iter().partition(|choice| choice.disturbs());
            let some =
                if plain.is_empty() || !disturbing.is_empty() && rng.u8(0..12) == 0 { disturbing } else { plain };
            let choice = some[rng.usize(..some.len())].clone();
            schedule.push(choice.clone());
            assert!(play.step(&choice), "what can be chosen can be done: {choice:?}");
        }
    }));
    if played.is_err() {
        fail(scene, schedule);
    }
    count
}

/// Plays a schedule, without the steps that can't be taken, and goes on as planned to the end. Returns how that failed.
fn failure(scene: &Scene, schedule: &[Choice]) -> Option<(String, String)> {
    failure_of(scene, schedule, false).or_else(|| failure_of(scene, schedule, true))
}

/// The same; `looks` instead of going on after the last step.
fn failure_of(scene: &Scene, schedule: &[Choice], looks: bool) -> Option<(String, String)> {
    let mut play = None;
    let played = catch_unwind(AssertUnwindSafe(|| {
        let play = play.insert(Play::begin(scene));
        let mut seen = Seen::default();
        play.check(&mut seen);
        for choice in schedule {
            play.step(choice);
            play.check(&mut seen);
        }
        if looks {
            return play.check_view();
        }
        while let Some(choice) = play.choices().first() {
            play.step(choice);
            play.check(&mut seen);
        }
        play.check_end();
    }));
    let payload = played.err()?;
    let message = match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload.downcast_ref::<&str>().copied().unwrap_or("no message").to_owned(),
    };
    Some((message, play.map(|play| play.describe()).unwrap_or_default()))
}

/// Leaves out of a schedule that fails what is not needed for that, and fails with what is left.
fn fail(scene: &Scene, schedule: Vec<Choice>) -> ! {
    let whole = schedule.clone();
    let mut needed = schedule;
    loop {
        let before = needed.len();
        for at in (0..before).rev() {
            if at >= needed.len() {
                continue;
            }
            let mut fewer = needed.clone();
            fewer.remove(at);
            if failure(scene, &fewer).is_some() {
                needed = fewer;
            }
        }
        if needed.len() == before {
            break;
        }
    }
    let mut scene = scene.clone();
    while scene.operations.len() > 1 {
        let mut fewer = scene.clone();
        fewer.operations.pop();
        if failure(&fewer, &needed).is_none() {
            break;
        }
        scene = fewer;
    }
    match failure(&scene, &needed) {
        Some((message, state)) => panic!("{scene:#?}\nwith {needed:#?}\n{message}\n{state}"),
        None => panic!("{scene:#?}\nfails only with all of {whole:#?}: see above"),
    }
}
