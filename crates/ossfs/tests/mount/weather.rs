//! Everyday programs while requests fail in every way: they notice nothing, and what they leave is right.

use crate::bucket::{Bucket, directory};
use crate::mounted::Mounted;
use crate::shell::{is_there, python, sh_within};
use crate::snapshot::{assert_same, without_directory_times};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(90);

/// A mount through every fault at once.
fn mount(bucket: &Bucket, seed: u64) -> Mounted {
    let mount = bucket.mount();
    let kinds = ["error-503", "reset", "truncate", "corrupt", "lost-answer"];
    let faults = kinds.map(|kind| format!(r#"{{"operations": ["*"], "kind": "{kind}", "probability": 0.01}}"#));
    bucket.conditions(&format!(r#"{{"seed": {seed}, "faults": [{}]}}"#, faults.join(",")));
    mount
}

#[test]
fn git_through_faults() {
    if !is_there("git") {
        return;
    }
    let Some(bucket) = Bucket::start() else { return };
    let first = mount(&bucket, 11);
    let git = "git -c user.name=n -c user.email=e@e -c safe.directory=* -c gc.auto=0";
    let line = format!(
        "git init -q repo; cd repo; mkdir src; for i in $(seq 30); do seq $i > src/f$i; done; {git} add .; \
         {git} commit -qm one; echo more >> src/f1; rm src/f2; git mv src/f3 src/g3; {git} commit -qam two; {git} repack -adq"
    );
    sh_within(first.root(), &line, LIMIT);
    let here = without_directory_times(&first.path("repo/src"));
    first.umount();
    bucket.calm();
    let second = bucket.mount();
    assert_same(&here, &without_directory_times(&second.path("repo/src")));
    let shown = sh_within(second.root(), &format!("cd repo; {git} fsck --full; {git} status --porcelain"), LIMIT);
    assert_eq!(shown, "");
}

#[test]
fn moving_and_removing_through_faults() {
    let Some(bucket) = Bucket::start() else { return };
    let tree = bucket.path("tree");
    sh_within(
        directory(&tree),
        "for d in a b c; do mkdir -p $d/sub; for i in $(seq 12); do seq $i > $d/f$i; seq $i > $d/sub/g$i; done; done",
        LIMIT,
    );
    let first = mount(&bucket, 12);
    let work = "cp -a ../tree one; mv one two; mv two/a two/b/; mv two/b/a/f1 two/c/moved; rm -r two/c/sub; \
         mv two/b two/c/sub; for i in $(seq 5); do mv two/c/f$i two/c/f1$i; echo $i >> two/c/f1$i; done; chmod 600 two/c/f6";
    sh_within(first.root(), work, LIMIT);
    sh_within(&bucket.path(""), &format!("cp -a tree alike; mkdir local; cd local; {work}"), LIMIT);
    let names =
        |root: &std::path::Path| sh_within(root, "find two | sort; find two -type f | sort | xargs cat | cksum", LIMIT);
    let wanted = names(&bucket.path("local"));
    assert_eq!(names(first.root()), wanted);
    first.umount();
    bucket.calm();
    let second = bucket.mount();
    assert_eq!(names(second.root()), wanted);
}

#[test]
fn sqlite_through_faults() {
    if !is_there("python3") {
        return;
    }
    let Some(bucket) = Bucket::start() else { return };
    let first = mount(&bucket, 13);
    let program = "import sqlite3, sys
base = sqlite3.connect(sys.argv[1])
base.execute('create table t (n integer primary key, text)')
for round in range(15):
    base.executemany('insert into t (text) values (?)', [('x' * (n % 300),) for n in range(200)])
    base.commit()
";
    python(program, &[first.path("base.db").as_os_str()], LIMIT);
    first.umount();
    bucket.calm();
    let second = bucket.mount();
    let check = "import sqlite3, sys
base = sqlite3.connect(sys.argv[1])
print(base.execute('pragma integrity_check').fetchone(), base.execute('select count(*) from t').fetchone())
";
    assert_eq!(python(check, &[second.path("base.db").as_os_str()], LIMIT), "('ok',) (3000,)\n");
}
