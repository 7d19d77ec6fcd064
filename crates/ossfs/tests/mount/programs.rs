//! Programs as data: what each does in a mount, and a check of its own that what it left is whole.

use crate::bucket::Bucket;
use crate::mounted::Mounted;
use crate::shell::{is_there, sh_within};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// One program's work, as lines of the shell in a directory whose parent is on the machine's own disk.
pub(crate) struct Program {
    /// What must be on the machine.
    needs: &'static [&'static str],
    /// Makes, beside the mount, what the work and the check need.
    prepare: &'static str,
    work: &'static str,
    /// Fails if what is there is not whole.
    check: &'static str,
}

/// Writes so many transactions to a database, and their count, once each is committed, to a file of the machine.
const SQLITE: &str = "
cat > write.py <<'END'
import os, sqlite3, sys
mode, rounds = sys.argv[1], int(sys.argv[2])
base = sqlite3.connect('base.db', timeout=60)
assert base.execute('pragma journal_mode=' + mode).fetchone() == (mode,)
base.execute('create table if not exists t (n integer primary key, round integer, text)')
base.commit()
done = base.execute('select coalesce(max(round), 0) from t').fetchone()[0]
committed = os.open('../committed', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for round in range(done + 1, done + 1 + rounds):
    base.executemany('insert into t (round, text) values (?, ?)', [(round, 'x' * (n % 300)) for n in range(100)])
    base.execute('update t set text = text || ? where n % 17 = 0', ('y',))
    base.commit()
    os.write(committed, b'%d\\n' % round)
END
cat > check.py <<'END'
import sqlite3
base = sqlite3.connect('base.db', timeout=60)
assert base.execute('pragma integrity_check').fetchone() == ('ok',)
rows = base.execute('select round, count(*) from t group by round order by round').fetchall()
committed = int(open('../committed').read().split()[-1])
assert rows == [(n, 100) for n in range(1, len(rows) + 1)], rows
assert committed <= len(rows) <= committed + 1, (committed, len(rows))
END
";

pub(crate) const SQLITE_ROLLBACK: Program = Program {
    needs: &["python3"],
    prepare: SQLITE,
    work: "python3 ../write.py delete 5; ! timeout -s KILL 0.7 python3 ../write.py delete 100000 2>/dev/null; \
           python3 ../check.py; python3 ../write.py delete 2",
    check: "python3 ../check.py",
};

pub(crate) const SQLITE_WAL: Program = Program {
    needs: &["python3"],
    prepare: SQLITE,
    work: "python3 ../write.py wal 5; ! timeout -s KILL 0.7 python3 ../write.py wal 100000 2>/dev/null; \
           python3 ../check.py; python3 ../write.py wal 2",
    check: "python3 ../check.py",
};

/// Git with nothing of the machine's configuration.
const GIT: &str = "
cat > git.sh <<'END'
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
git() { command git -c user.name=n -c user.email=e@e -c safe.directory='*' -c gc.auto=0 -c init.defaultBranch=main \
    -c protocol.file.allow=always \"$@\"; }
END
";

pub(crate) const GIT_REPOSITORIES: Program = Program {
    needs: &["git"],
    prepare: GIT,
    work: ". ../git.sh; git init -q one; cd one; mkdir src; \
           for i in $(seq 8); do seq $i 40 > src/f$i; echo $i >> log; git add .; git commit -qm $i; done; \
           git clone -q . ../two; git clone -q file://$PWD ../three; cd ../two; git mv src/f1 src/g1; rm src/f2; \
           git commit -qam side; git push -q origin HEAD:side; cd ../one; git merge -q side; git gc -q --prune=now; \
           git stash -q 2>/dev/null; git checkout -q HEAD~3; git checkout -q main",
    check: ". ../git.sh; for name in one two three; do \
            test -z \"$(git -C $name fsck --full --strict 2>&1 | grep -v -e Checking -e dangling)\"; \
            test -z \"$(git -C $name status --porcelain)\"; git -C $name log -p | cksum > /dev/null; done; \
            test $(git -C one log --format=%s | head -1) = side; test $(git -C three log --format=%s | wc -l) = 8; \
            test -f one/src/g1; test ! -e one/src/f2; diff -r one/src two/src",
};

/// Makes a tree in which a file has three names and a symlink two, and a check of those.
const TREE: &str = "
cat > names.sh <<'END'
test \"$(stat -c %h $1/three $1/a/three $1/a/b/f7 | sort -u)\" = 3
test \"$(stat -c %i $1/three $1/a/three $1/a/b/f7 | sort -u | wc -l)\" = 1
test \"$(stat -c %h $1/a/link $1/two $1/a/b/f8 | paste -sd ' ')\" = '2 2 1'
test \"$(find $1 -samefile $1/three | wc -l)\" = 3
END
mkdir -p tree/a/b tree/empty; for i in $(seq 40); do seq $i > tree/a/b/f$i; done; ln -s b tree/a/link; ln tree/a/link tree/two
ln tree/a/b/f7 tree/three; ln tree/a/b/f7 tree/a/three
chmod 600 tree/a/b/f2; touch -d @1000000000.123456789 tree/a/b/f1 tree/a/b
";

pub(crate) const TAR: Program = Program {
    needs: &["tar"],
    prepare: TREE,
    work: "tar --format=posix -C ../tree -czf all.tar.gz .; mkdir x; tar -C x -xpzf all.tar.gz",
    check: "sh -e ../names.sh x; rm -rf ../out; mkdir ../out; tar -C x -cf - . | tar -C ../out -xpf -; \
            sh -e ../names.sh ../out; diff -r --no-dereference ../tree ../out; \
            test -z \"$(tar -C x --compare -zf all.tar.gz 2>&1)\"; diff -r --no-dereference ../tree x; \
            test \"$(stat -c %.9Y x/a/b x/a/b/f1)\" = \"$(stat -c %.9Y ../tree/a/b ../tree/a/b/f1)\"",
};

pub(crate) const RSYNC: Program = Program {
    needs: &["rsync"],
    prepare: TREE,
    work: "rsync -aH ../tree/ x; echo more >> x/a/b/f3; rm x/a/b/f4; touch x/a/b/f5; \
           rm x/three; echo other > x/three; ln x/a/b/f8 x/a/b/f9~; rsync -aH --delete ../tree/ x; \
           rsync -aH --inplace --no-whole-file ../tree/ x",
    check: "sh -e ../names.sh x; test -z \"$(rsync -aHi --delete ../tree/ x)\"; diff -r --no-dereference ../tree x; \
            rsync -aH --stats ../tree/ x | grep -qx 'Number of regular files transferred: 0'; \
            rm -rf ../out; rsync -aH x/ ../out; sh -e ../names.sh ../out; test -z \"$(rsync -aHi --delete x/ ../out)\"",
};

/// Backup by renaming, backup by copying, a temporary name over the old one, in place.
pub(crate) const EDITORS: Program = Program {
    needs: &["vim", "python3"],
    prepare: "
cat > save.py <<'END'
import os, sys
name, text = sys.argv[1:]
with open('.' + name + '.tmp', 'w') as file:
    file.write(text)
    file.flush()
    os.fsync(file.fileno())
os.chmod('.' + name + '.tmp', os.stat(name).st_mode & 0o7777)
os.replace('.' + name + '.tmp', name)
directory = os.open('.', os.O_RDONLY)
os.fsync(directory)
END
",
    work: "for name in renamed copied replaced moved; do printf 'one\\ntwo\\n' > $name; chmod 640 $name; done; \
           edit() { vim -Nu NONE -es -c \"set backup backupskip= backupcopy=$1\" -c '%s/two/three/' -c wq $2; }; \
           edit no renamed; edit yes copied; python3 ../save.py replaced 'one\nthree\n'; \
           mv moved moved~; sed s/two/three/ moved~ > moved; sed -i s/one/1/ renamed copied replaced moved",
    check: "for name in renamed copied replaced moved; do grep -qx 1 $name; grep -q three $name; \
            test $(stat -c %a $name) != 0; done; for name in renamed copied moved; do grep -qx two $name~; done; \
            test $(stat -c %a renamed copied replaced | sort -u) = 640; test -z \"$(ls -A | grep -e swp -e tmp)\"",
};

pub(crate) const CARGO: Program = Program {
    needs: &["cargo"],
    prepare: "",
    work: "unset CARGO_TARGET_DIR; mkdir -p crate/src; cd crate; \
           printf '[package]\\nname = \"it\"\\nversion = \"0.1.0\"\\nedition = \"2021\"\\n[workspace]\\n' > Cargo.toml; \
           echo 'pub fn sum(of: &[u64]) -> u64 { of.iter().sum() }' > src/lib.rs; \
           echo 'fn main() { println!(\"{}\", it::sum(&[40, 1])); }' > src/main.rs; \
           cargo build -q --offline; test $(target/debug/it) = 41; sed -i 's/40, 1/40, 2/' src/main.rs; cargo build -q --offline",
    check: "unset CARGO_TARGET_DIR; cd crate; test $(target/debug/it) = 42; \
            ! cargo build --offline 2>&1 | grep Compiling; test $(target/debug/it) = 42",
};

impl Program {
    /// Whether it can run here; says so if not.
    pub(crate) fn is_here(&self) -> bool {
        self.needs.iter().all(|program| is_there(program))
    }

    /// Makes what it needs beside a mount.
    pub(crate) fn prepare(&self, bucket: &Bucket) {
        self.line(&bucket.path(""), self.prepare, Duration::from_secs(20));
    }

    pub(crate) fn work(&self, root: &Path, limit: Duration) {
        self.line(root, self.work, limit);
    }

    pub(crate) fn check(&self, root: &Path, limit: Duration) {
        self.line(root, self.check, limit);
    }

    fn line(&self, directory: &Path, line: &str, limit: Duration) {
        sh_within(directory, line, limit);
    }

    /// The whole of it: in a mount, in the next, and in one that knows only the bucket.
    pub(crate) fn comes_through(&self, bucket: &Bucket, mount: Mounted, limit: Duration) {
        self.prepare(bucket);
        self.work(mount.root(), limit);
        self.check(mount.root(), limit);
        mount.umount();
        bucket.calm();
        let mount = bucket.mount();
        self.check(mount.root(), limit);
        mount.umount();
        fs::remove_dir_all(bucket.state()).unwrap();
        let mount = bucket.mount();
        self.check(mount.root(), limit);
        mount.umount();
        assert_eq!(bucket.uploads(), []);
    }
}
