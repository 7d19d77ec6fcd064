//! A tree copied in with `cp -a` comes back from the bucket entry by entry, in good weather and in bad.

use crate::bucket::{Bucket, directory};
use crate::shell::{plain_or_long, sh, sh_within};
use crate::snapshot::{assert_same, snapshot};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Beside a source tree: everything about names, modes and times that goes wrong easily.
const ODDITIES: &str = r#"
mkdir 'odd names' 'odd names/empty directory' 'odd names/日本語' odd-modes odd-times
cd 'odd names'
for name in 'with space' ' leading' 'trailing ' '100%' 'a%20b' '%' 'a+b' '++' '文件.txt' 'ファイル' '😀🎉' "quote'd" 'double"d' \
    'back\slash' 'star*' 'ques?tion' '#hash' '&amp;' '<tag>' 'tab	tab' '~tilde' '-dash' 'a=b;c' 'é' '$dollar' '[x]' '{y}' '.hidden'; do
    printf '%s' "$name" > "./$name"
done
printf 'new\nline' > "$(printf 'new\nline')"
echo deep > '日本語/深い😀'
ln -s '日本語/深い😀' link; ln -s nowhere dangling; ln -s / absolute; ln -s '日本語' to-directory
ln -s "$(printf 'x%.0s' $(seq 1000))" long-target
cd ../odd-modes
for mode in 0000 0200 0400 0444 0600 0644 0666 0755 0777 1644 2755 4755 6711 7777; do
    echo $mode > f$mode; chmod $mode f$mode
    mkdir d$mode; chmod $mode d$mode
done
chown 1234:4321 f0644; chown 99 d0755
cd ../odd-times
for time in 0 1 -1 -86400.5 0.000000001 1.999999999 1234567890.123456789 4102444800.5; do
    echo $time > f$time; touch -d @$time ./f$time
    mkdir d$time; touch -d @$time ./d$time
    ln -s ./f$time l$time; touch -h -d @$time ./l$time
done
: > empty-file
"#;

/// Makes a tree of sources with at least so many files, and the oddities.
fn make_tree(root: &Path, files_min: usize) -> usize {
    directory(root);
    let mut count = 0;
    for source in vendored() {
        if count >= files_min {
            break;
        }
        let name = source.file_name().unwrap().to_str().unwrap().to_owned();
        let copy = format!("cp -a '{}' . && find '{name}' -type f | wc -l", source.display());
        count += sh(root, &copy).trim().parse::<usize>().unwrap();
    }
    for number in count..files_min {
        let parent = root.join(format!("made/{}", number % 17));
        fs::write(directory(&parent).join(format!("{number}.rs")), "x".repeat(number * 37 % 20_000)).unwrap();
    }
    sh(root, ODDITIES);
    count.max(files_min)
}

/// Directories with the sources of crates, in a steady order; small ones first.
fn vendored() -> Vec<PathBuf> {
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| home + "/.cargo"));
    let registry = PathBuf::from(home.unwrap_or_default()).join("registry/src");
    let children = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut crates: Vec<_> = children(&registry).flat_map(|index| children(&index).collect::<Vec<_>>()).collect();
    crates.sort();
    crates
}

/// Copies a tree in, unmounts, mounts again, and compares. Commands are not repeated: the mount must cope.
fn comes_back(files_min: usize, weather: &str) {
    let Some(bucket) = Bucket::start() else { return };
    let begun = Instant::now();
    let count = make_tree(&bucket.path("tree"), files_min);
    let wanted = snapshot(&bucket.path("tree"));
    assert!(count >= files_min && wanted.len() > files_min);
    let limit = Duration::from_secs(plain_or_long(100, 1800));
    let mount = bucket.mount();
    println!("{} entries after {:?}", wanted.len(), begun.elapsed());
    bucket.conditions(weather);
    sh_within(&bucket.path(""), "cp -a tree mnt/", limit);
    println!("copied after {:?}", begun.elapsed());
    assert_same(&wanted, &snapshot(&mount.path("tree")));
    println!("compared before the unmount after {:?}", begun.elapsed());
    mount.umount();
    println!("unmounted after {:?}", begun.elapsed());
    let mount = bucket.mount();
    assert_same(&wanted, &snapshot(&mount.path("tree")));
    println!("compared after {:?}; {:?}", begun.elapsed(), bucket.stats());
    bucket.calm();
    mount.umount();
}

/// The same with a fault in 5 of 100 requests.
fn comes_back_through(fault: &str) {
    let faults = format!(r#"[{{"operations": ["*"], "kind": "{fault}", "probability": 0.05}}]"#);
    comes_back(plain_or_long(100, 3000), &format!(r#"{{"seed": 7, "faults": {faults}}}"#));
}

#[test]
fn a_source_tree_comes_back() {
    comes_back(plain_or_long(400, 3000), "{}");
}

#[test]
fn through_error_503() {
    comes_back_through("error-503");
}

#[test]
fn through_reset() {
    comes_back_through("reset");
}

#[test]
fn through_truncate() {
    comes_back_through("truncate");
}

#[test]
fn through_corrupt() {
    comes_back_through("corrupt");
}

#[test]
fn through_lost_answer() {
    comes_back_through("lost-answer");
}
