//! Real programs while one request in twenty fails, and over a bucket that is away for a while: they notice nothing, and
//! what they leave is whole.

use crate::bucket::Bucket;
use crate::faults::{one_at, outage};
use crate::mounted::Mounted;
use crate::programs::{CARGO, EDITORS, GIT_REPOSITORIES, Program, RSYNC, SQLITE_ROLLBACK, SQLITE_WAL, TAR};
use crate::shell::{is_long, plain_or_long, sh};
use std::time::Duration;

const ALL: [&Program; 7] = [&SQLITE_ROLLBACK, &SQLITE_WAL, &GIT_REPOSITORIES, &TAR, &RSYNC, &EDITORS, &CARGO];

fn limit() -> Duration {
    Duration::from_secs(plain_or_long(80, 600))
}

/// What is silent is given up soon: one request in twenty may be.
fn mount(bucket: &Bucket) -> Mounted {
    bucket.mount_with(&["-oreadwrite_timeout=2"])
}

/// All programs through one kind of fault; in the plain run one of them.
fn through(kind: &str, plain: &'static Program) {
    for program in if is_long() { ALL.to_vec() } else { vec![plain] } {
        if !program.is_here() {
            continue;
        }
        let Some(bucket) = Bucket::start() else { return };
        let mount = mount(&bucket);
        bucket.conditions(&one_at(kind, 0.05));
        program.comes_through(&bucket, mount, limit());
    }
}

#[test]
fn programs_through_error_503() {
    through("error-503", &SQLITE_WAL);
}

#[test]
fn programs_through_reset() {
    through("reset", &RSYNC);
}

#[test]
fn programs_through_lost_answer() {
    through("lost-answer", &EDITORS);
}

#[test]
fn programs_through_stall() {
    through("stall", &TAR);
}

#[test]
fn programs_through_truncate() {
    through("truncate", &RSYNC);
}

#[test]
fn programs_through_corrupt() {
    through("corrupt", &SQLITE_ROLLBACK);
}

/// 503 for 20 s on end, from the first request on.
#[test]
fn programs_wait_for_a_bucket_that_is_away() {
    for program in if is_long() { ALL.to_vec() } else { vec![&TAR] } {
        if !program.is_here() {
            continue;
        }
        let Some(bucket) = Bucket::start() else { return };
        let mount = mount(&bucket);
        sh(mount.root(), "ls -l");
        program.prepare(&bucket);
        bucket.conditions(&outage());
        std::thread::scope(|scope| {
            let working = scope.spawn(|| program.work(mount.root(), limit()));
            std::thread::sleep(Duration::from_secs(20));
            bucket.calm();
            working.join().unwrap();
        });
        program.check(mount.root(), limit());
        mount.umount();
        let mount = bucket.mount();
        program.check(mount.root(), limit());
        mount.umount();
    }
}
