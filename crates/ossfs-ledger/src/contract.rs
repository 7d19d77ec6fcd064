//! What every ledger must do, as checks.

use crate::api::Ledger;
use crate::schema::{Change, Claim, NodeId, Record, RecordKey};

fn claim(prefix: &str, node: u64) -> Change {
    let record = Record::Claim(Claim { directory: NodeId(node), cursor: None });
    Change { key: RecordKey::Claim(prefix.into()), record: Some(record) }
}

fn name(name: &str, node: u64) -> Change {
    Change { key: RecordKey::Name(NodeId::ROOT, name.into()), record: Some(Record::Name(NodeId(node))) }
}

/// Runs the checks, each on an empty ledger that `make` gives.
///
/// # Panics
///
/// If the ledger does not keep to the contract.
pub fn run(make: impl Fn() -> Box<dyn Ledger>) {
    what_was_committed_is_loaded_in_order(&*make());
    a_change_without_a_record_removes_it(&*make());
    the_last_change_of_a_key_counts(&*make());
}

fn what_was_committed_is_loaded_in_order(ledger: &dyn Ledger) {
    let changes = [claim("b/", 3), name("z", 2), name("a", 4), claim("a/", 5)];
    ledger.commit(&changes).expect("a commit of new records succeeds");
    ledger.sync().expect("a sync succeeds");
    let mut expected: Vec<_> =
        changes.into_iter().filter_map(|change| change.record.map(|record| (change.key, record))).collect();
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(ledger.load(), Ok(expected));
}

fn a_change_without_a_record_removes_it(ledger: &dyn Ledger) {
    ledger.commit(&[name("a", 2), name("b", 3)]).expect("a commit succeeds");
    let removal = Change { record: None, ..name("a", 2) };
    ledger.commit(&[removal.clone(), Change { record: None, ..name("never there", 9) }]).expect("a commit succeeds");
    let left = name("b", 3);
    assert_eq!(ledger.load(), Ok(vec![(left.key, left.record.expect("made with a record"))]));
}

fn the_last_change_of_a_key_counts(ledger: &dyn Ledger) {
    ledger.commit(&[name("a", 2), name("a", 3)]).expect("a commit succeeds");
    let last = name("a", 3);
    assert_eq!(ledger.load(), Ok(vec![(last.key, last.record.expect("made with a record"))]));
}
