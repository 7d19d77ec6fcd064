//! The ledger on disk: the contract, power losses, refusals.

use super::*;
use crate::contract;
use crate::encode::{FORMAT, encode_key};
use crate::schema::NodeId;
use proptest::prelude::*;
use tempfile::TempDir;

const IDENTITY: &str = "bucket:/prefix at endpoint";

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(path: &Path) -> Result<LmdbLedger, OpenError> {
    LmdbLedger::open(&StateDirectory::lock(path)?, IDENTITY)
}

fn opened(path: &Path) -> LmdbLedger {
    open(path).unwrap()
}

fn name(name: &str, node: u64) -> Change {
    Change { key: RecordKey::Name(NodeId::ROOT, name.into()), record: Some(Record::Name(NodeId(node))) }
}

/// What is in a directory: its files and their bytes.
fn image(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.retain(|file| file.is_file());
    files.into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
}

/// A copy of what a process that is killed now leaves.
fn killed(path: &Path) -> TempDir {
    let copy = folder();
    for name in [FILE, journal::FILES[0], journal::FILES[1]] {
        std::fs::copy(path.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

#[test]
fn keeps_to_the_contract() {
    contract::run_durable(folder, |folder| Box::new(opened(folder.path())));
}

#[test]
fn what_was_committed_survives_a_kill_before_and_after_it_moved_to_the_database() {
    let folder = folder();
    let ledger = opened(folder.path());
    for round in 0..4 {
        ledger.commit(&[name("round", round), name(&round.to_string(), round)]).unwrap();
        let copy = killed(folder.path());
        if round % 2 == 1 {
            ledger.shared.checkpoint_all(&mut ledger.shared.disk()).unwrap();
        }
        let moved = killed(folder.path());
        let now = ledger.load();
        assert_eq!(opened(copy.path()).load(), now, "{round}");
        assert_eq!(opened(moved.path()).load(), now, "{round}");
    }
}

/// Three names that each commit writes, and one of its own.
fn changes(number: u64) -> Vec<Change> {
    let own = format!("own {number}");
    ["a", "b", "c", &own].iter().map(|text| name(text, number)).collect()
}

/// The number of the last commit, of which, and of all before, everything is there.
fn last_commit(ledger: &LmdbLedger) -> u64 {
    let records = ledger.load().unwrap();
    let Some((_, Record::Name(NodeId(last)))) = records.first() else { return 0 };
    let mut expected: Vec<_> =
        (1..=*last).flat_map(changes).map(|change| (change.key, change.record.unwrap())).collect();
    // The last one of each key counts.
    expected.reverse();
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    expected.dedup_by(|one, other| one.0 == other.0);
    assert_eq!(records, expected);
    *last
}

#[test]
fn a_turn_that_was_moved_and_not_emptied_is_moved_once() {
    let folder = folder();
    let ledger = opened(folder.path());
    ledger.commit(&changes(1)).unwrap();
    let before = killed(folder.path());
    ledger.shared.checkpoint_all(&mut ledger.shared.disk()).unwrap();
    ledger.commit(&changes(2)).unwrap();
    let copy = killed(folder.path());
    std::fs::copy(before.path().join(journal::FILES[0]), copy.path().join(journal::FILES[0])).unwrap();
    assert_eq!(last_commit(&opened(copy.path())), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// What was not synced may be on disk or not, byte by byte, in each of the files.
    #[test]
    fn a_power_loss_leaves_the_beginning_of_what_was_committed(
        synced in 0..6u64,
        turns in 0..2u64,
        begun in any::<bool>(),
        later in 0..6u64,
        cut in any::<[prop::sample::Index; 2]>(),
        holes in proptest::collection::vec((0..2usize, any::<prop::sample::Index>()), 0..3),
    ) {
        let folder = folder();
        let ledger = opened(folder.path());
        let commit = |number| ledger.commit(&changes(number)).unwrap();
        for number in 1..=synced {
            commit(number);
            if number <= turns {
                ledger.shared.checkpoint_all(&mut ledger.shared.disk()).unwrap();
            }
        }
        ledger.sync().unwrap();
        let before = killed(folder.path());
        (synced + 1..=synced + later).for_each(commit);
        if begun {
            // A checkpoint that has not come far.
            let mut disk = ledger.shared.disk();
            disk.frozen = ledger.shared.writing().journal.rotate();
            drop(disk);
            (synced + later + 1..=synced + 2 * later).for_each(commit);
        }
        let copy = killed(folder.path());
        for (number, file) in journal::FILES.iter().enumerate() {
            let kept = std::fs::metadata(before.path().join(file)).unwrap().len() as usize;
            let mut bytes = std::fs::read(copy.path().join(file)).unwrap();
            let length = kept + cut[number].index(bytes.len() - kept + 1);
            for (_, at) in holes.iter().filter(|(of, _)| *of == number && length > kept) {
                bytes[kept + at.index(length - kept)] = 0;
            }
            std::fs::write(copy.path().join(file), &bytes[..length]).unwrap();
        }
        let reopened = opened(copy.path());
        let number = last_commit(&reopened);
        prop_assert!((synced..=synced + 2 * later).contains(&number), "{} of {}+{}", number, synced, later);
        // What was left out never comes back.
        reopened.commit(&changes(number + 1)).unwrap();
        prop_assert_eq!(last_commit(&opened(killed(copy.path()).path())), number + 1);
    }
}

#[test]
fn commits_are_synced_within_the_interval_without_being_asked() {
    let folder = folder();
    let ledger = opened(folder.path());
    ledger.commit(&[name("a", 2)]).unwrap();
    let wanted = ledger.shared.writing().journal.last();
    let since = Instant::now();
    while ledger.shared.disk().synced < wanted {
        assert!(since.elapsed() < 5 * SYNC_INTERVAL, "never synced");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(since.elapsed() > SYNC_INTERVAL / 2, "each commit was synced on its own");
    assert_eq!(ledger.shared.writing().since, None);
}

#[test]
fn a_journal_that_has_grown_is_moved_and_the_map_grows() {
    let folder = folder();
    let ledger = opened(folder.path());
    let long = "n".repeat(900);
    // More than the first map and several journals.
    for transaction in 0..300 {
        let changes: Vec<_> = (0..100).map(|number| name(&format!("{transaction} {number} {long}"), number)).collect();
        ledger.commit(&changes).unwrap();
    }
    assert_eq!(ledger.load().unwrap().len(), 30_000);
    drop(ledger);
    let journals = journal::FILES.map(|name| folder.path().join(name).metadata().unwrap().len());
    assert_eq!(journals, [0, 0]);
    assert_eq!(opened(folder.path()).load().unwrap().len(), 30_000);
}

#[test]
fn keys_that_are_too_long_are_refused_and_the_ledger_goes_on() {
    let folder = folder();
    let ledger = opened(folder.path());
    assert!(ledger.commit(&[name(&"n".repeat(1024), 2)]).is_err());
    ledger.commit(&[name("a", 2)]).unwrap();
    assert_eq!(ledger.load().unwrap().len(), 1);
}

#[test]
fn a_sync_that_failed_is_made_up_for() {
    let folder = folder();
    let ledger = opened(folder.path());
    ledger.commit(&[name("a", 2)]).unwrap();
    ledger.shared.disk().doubted = true;
    ledger.sync().unwrap();
    let disk = ledger.shared.disk();
    assert_eq!((disk.doubted, disk.synced, disk.environment.applied()), (false, 1, 1));
}

/// Checks that a state directory is refused, with words, and left as it is.
fn check_refused(path: &Path, identity: &str, words: &[&str]) -> OpenError {
    let before = image(path);
    let directory = StateDirectory::lock(path).unwrap();
    let error = LmdbLedger::open(&directory, identity).unwrap_err();
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    let ours = |files: Vec<(PathBuf, Vec<u8>)>| -> Vec<_> {
        files.into_iter().filter(|(file, _)| !file.ends_with("lock")).collect()
    };
    assert!(ours(image(path)) == ours(before), "something was changed: {text}");
    error
}

#[test]
fn the_state_of_another_bucket_is_refused() {
    let folder = folder();
    let ledger = opened(folder.path());
    ledger.commit(&[name("a", 2)]).unwrap();
    let copy = killed(folder.path());
    let error = check_refused(copy.path(), "other", &[IDENTITY, "not to other", &copy.path().display().to_string()]);
    assert!(matches!(error, OpenError::AnotherBucket { .. }));
    assert_eq!(opened(copy.path()).load(), ledger.load());
}

/// Writes pairs into the database of a state directory, as any version of ossfs does.
fn write_database(path: &Path, pairs: &[(Vec<u8>, Vec<u8>)]) {
    Environment::open(path, IDENTITY).unwrap().write_raw(pairs);
}

#[test]
fn a_newer_format_is_refused() {
    let folder = folder();
    write_database(folder.path(), &[(vec![0], [&3u32.to_le_bytes()[..], b"whatever is in there then"].concat())]);
    let error = check_refused(folder.path(), IDENTITY, &["newer ossfs", "format 3", "up to 2", "ledger.mdb"]);
    assert!(matches!(error, OpenError::Newer { found: 3, known: 2, .. }));
}

#[test]
fn damage_is_refused() {
    let damage = |damage: &dyn Fn(&Path)| {
        let folder = folder();
        drop(opened(folder.path()));
        damage(folder.path());
        let error = check_refused(folder.path(), IDENTITY, &["ledger.mdb is damaged"]);
        assert!(matches!(error, OpenError::Corrupt { .. }));
    };
    damage(&|path| std::fs::write(path.join(FILE), vec![0x5A; 100_000]).unwrap());
    damage(&|path| std::fs::write(path.join(FILE), "short").unwrap());
    let cut =
        |length| move |path: &Path| File::options().write(true).open(path.join(FILE)).unwrap().set_len(length).unwrap();
    damage(&cut(8192));
    damage(&cut(5000));
    damage(&|path| {
        std::fs::remove_file(path.join(FILE)).unwrap();
        std::fs::write(path.join(journal::FILES[1]), "a commit").unwrap();
    });
    for meta in [&b""[..], &[1, 0], &[0; 40], &[1, 0, 0, 0, 9, 9], &[2, 0, 0, 0, 9, 9]] {
        damage(&|path| write_database(path, &[(vec![0], meta.to_vec())]));
    }
}

/// Bytes of the database that are others, anywhere: an error that says so, or a ledger that works; never the end of the
/// process, and never other records.
#[test]
fn bytes_that_rotted_are_found_out() {
    let folder = folder();
    let ledger = opened(folder.path());
    for transaction in 0..40 {
        let names = (0..20).map(|at| name(&format!("{} {}", at * transaction % 37, "-".repeat(300)), transaction));
        ledger.commit(&names.collect::<Vec<_>>()).unwrap();
        ledger.shared.checkpoint_all(&mut ledger.shared.disk()).unwrap();
    }
    ledger.commit(&contract::every_kind()).unwrap();
    let expected = ledger.load().unwrap();
    drop(ledger);
    let good = std::fs::read(folder.path().join(FILE)).unwrap();
    let used = good.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let file = File::options().write(true).open(folder.path().join(FILE)).unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    let (mut refused, mut unharmed) = (0, 0);
    for round in 0..ROTTEN_ROUNDS {
        let at = random.usize(..used);
        let length = [1, 2, 8, 4096][round % 4].min(used - at);
        let rotten: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
        std::os::unix::fs::FileExt::write_all_at(&file, &rotten, at as u64).unwrap();
        let loaded = open(folder.path()).map_err(|error| error.to_string()).and_then(|ledger| {
            let records = ledger.load().map_err(|error| error.to_string())?;
            ledger.commit(&[name("one more", 1)]).unwrap();
            drop(ledger);
            Ok(records)
        });
        match loaded {
            Ok(records) => {
                assert!(records == expected, "{round}: {length} bytes at {at}");
                unharmed += 1;
            }
            Err(text) => {
                assert!(text.contains("ledger.mdb is damaged") || text.contains("checksum"), "{text}");
                refused += 1;
            }
        }
        std::os::unix::fs::FileExt::write_all_at(&file, &good[..used], 0).unwrap();
    }
    assert!(refused > ROTTEN_ROUNDS / 4 && unharmed > 0, "{refused} refused, {unharmed} unharmed");
}

const ROTTEN_ROUNDS: usize = 400;

#[test]
fn a_record_that_is_not_readable_is_an_error_that_says_where() {
    let folder = folder();
    write_database(folder.path(), &[(vec![99], vec![1])]);
    let error = opened(folder.path()).load().unwrap_err();
    assert!(error.0.contains(&folder.path().display().to_string()), "{error}");
}

const VERSION_1: &str = include_str!("../../fixtures/version-1.txt");
const VERSION_2: &str = include_str!("../../fixtures/version-2.txt");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The lines of a kind in a fixture, as bytes.
fn lines(fixture: &str, kind: &str) -> Vec<Vec<Vec<u8>>> {
    let lines = fixture.lines().filter_map(|line| line.strip_prefix(kind));
    lines.map(|line| line.split_whitespace().map(unhex).collect()).collect()
}

/// Checks that what a fixture has in the database, or in the journal, is read as these records, and is of this format
/// from then on.
fn check_read(fixture: &str, expected: Vec<Change>) {
    let pairs = |kind| lines(fixture, kind).into_iter().map(|line| (line[0].clone(), line[1].clone()));
    let meta: Vec<_> = pairs("meta").collect();
    let mut expected: Vec<_> = expected.into_iter().map(|change| (change.key, change.record.unwrap())).collect();
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    let database = folder();
    write_database(database.path(), &meta.iter().cloned().chain(pairs("record")).collect::<Vec<_>>());
    let ledger = opened(database.path());
    assert_eq!(ledger.load().as_ref(), Ok(&expected));
    assert_eq!(ledger.shared.disk().environment.read_raw(&[0])[..4], FORMAT.to_le_bytes());
    drop(ledger);
    assert_eq!(opened(database.path()).load().as_ref(), Ok(&expected), "opened again");
    let with_journal = folder();
    write_database(with_journal.path(), &meta);
    std::fs::write(with_journal.path().join(journal::FILES[0]), &lines(fixture, "journal")[0][0]).unwrap();
    assert_eq!(opened(with_journal.path()).load(), Ok(expected));
}

#[test]
fn version_1_is_read() {
    check_read(VERSION_1, contract::kinds_of_version_1());
}

#[test]
fn version_2_is_read() {
    check_read(VERSION_2, contract::every_kind());
}

/// If this fails, the format has changed: raise it, read the old one, and keep its fixture. (Until a version of ossfs that
/// writes it is released, the fixture is replaced by what this prints.)
#[test]
fn version_2_is_written() {
    let folder = folder();
    let ledger = opened(folder.path());
    let meta = ledger.shared.disk().environment.read_raw(&[0]);
    let mut written = format!("meta 00 {}\n", hex(&meta));
    let changes = contract::every_kind();
    ledger.commit(&changes).unwrap();
    let journal = hex(&std::fs::read(folder.path().join(journal::FILES[0])).unwrap());
    let mut disk = ledger.shared.disk();
    ledger.shared.checkpoint_all(&mut disk).unwrap();
    for Change { key, .. } in &changes {
        let key = encode_key(key);
        written += &format!("record {} {}\n", hex(&key), hex(&disk.environment.read_raw(&key)));
    }
    written += &format!("journal {journal}\n");
    let fixture: Vec<_> = VERSION_2.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(fixture, written.lines().collect::<Vec<_>>(), "now written:\n{written}");
}

#[test]
fn what_a_commit_names_is_staged_on_disk_before_it_is_synced() {
    let folder = folder();
    let ledger = opened(folder.path());
    for checkpoint in [false, true] {
        let piece = ledger.staging().append(&[bytes::Bytes::from_static(b"bytes")]).unwrap();
        ledger.commit(&[name("a", piece.segment)]).unwrap();
        match checkpoint {
            true => ledger.shared.checkpoint_all(&mut ledger.shared.disk()).unwrap(),
            false => ledger.sync().unwrap(),
        }
        assert_eq!(ledger.staging().unsynced(), [], "{checkpoint}");
    }
}
