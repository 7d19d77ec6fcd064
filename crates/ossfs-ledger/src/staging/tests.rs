//! Staging on both media.

use super::*;

fn bytes(text: &str) -> [Bytes; 1] {
    [Bytes::copy_from_slice(text.as_bytes())]
}

/// Runs a check on each medium; `open` opens what is there once more.
fn on_each(check: impl Fn(&dyn Fn() -> Staging)) {
    let medium = MemoryMedium::default();
    check(&|| Staging::open(medium.clone(), 0).unwrap());
    let folder = tempfile::tempdir().unwrap();
    check(&|| Staging::open(DirectoryMedium::open(&folder.path().join("staging")).unwrap(), 0).unwrap());
}

#[test]
fn pieces_are_read_as_they_were_appended_and_by_the_next_process() {
    on_each(|open| {
        let staging = open();
        let one = staging.append(&[bytes("one"), bytes(" and more")].concat()).unwrap();
        let two = staging.append(&bytes("two")).unwrap();
        staging.sync().unwrap();
        let three = staging.append(&bytes("three")).unwrap();
        assert_eq!((one.segment, two.offset, two.len), (two.segment, 12, 3));
        let next = open();
        for (piece, text) in [(one, "one and more"), (two, "two"), (three, "three")] {
            assert_eq!(staging.read(&piece).unwrap(), text);
            assert!(next.adopt(&piece));
            assert_eq!(next.read(&piece).unwrap(), text);
        }
        let later = next.append(&bytes("later")).unwrap();
        assert!(later.segment > one.segment, "{later:?}");
        next.sync().unwrap();
    });
}

#[test]
fn segments_are_removed_when_no_piece_of_them_is_in_use_and_their_numbers_are_not_used_again() {
    on_each(|open| {
        let staging = open();
        let (one, two) = (staging.append(&bytes("one")).unwrap(), staging.append(&bytes("two")).unwrap());
        staging.release(one.segment);
        assert_eq!(staging.unused(), []);
        staging.release(two.segment);
        assert_eq!(staging.unused(), [one.segment]);
        let other = staging.append(&bytes("other")).unwrap();
        assert_ne!(other.segment, one.segment, "what is unused may be gone already");
        assert_eq!(staging.unused(), [one.segment]);
        staging.remove(one.segment).unwrap();
        assert!(matches!(staging.read(&one), Err(StagingError::Damaged(_))));
        assert_eq!(staging.unused(), []);
        // A record that names what is gone.
        let next = open();
        let lost = Piece { segment: 70, ..one };
        assert!(!next.adopt(&lost));
        assert_eq!(next.append(&bytes("next")).unwrap().segment, 71);
        assert_eq!(next.unused(), [other.segment]);
    });
}

#[test]
fn a_full_segment_is_followed_by_another() {
    on_each(|open| {
        let staging = open();
        let large = [Bytes::from(vec![7; PIECE_BYTES_MAX as usize])];
        let mut pieces: Vec<Piece> = Vec::new();
        while pieces.last().is_none_or(|last| last.segment == pieces[0].segment) {
            pieces.push(staging.append(&large).unwrap());
        }
        assert_eq!(pieces.len() as u64, SEGMENT_BYTES / PIECE_BYTES_MAX + 1);
        staging.sync().unwrap();
        pieces.iter().for_each(|piece| assert_eq!(staging.read(piece).unwrap(), large[0]));
    });
}

#[test]
fn damage_is_found_out() {
    let medium = MemoryMedium::default();
    let staging = Staging::open(medium.clone(), 0).unwrap();
    let pieces: Vec<_> = ["one", "two"].map(|text| staging.append(&bytes(text)).unwrap()).into();
    medium.damage(|_, mut bytes| {
        bytes[1] ^= 1;
        Some(bytes)
    });
    let error = staging.read(&pieces[0]).unwrap_err();
    assert!(matches!(&error, StagingError::Damaged(_)) && error.to_string().contains("checksum"), "{error}");
    assert_eq!(staging.read(&pieces[1]).unwrap(), "two");
    medium.damage(|_, bytes| Some(bytes[..4].to_vec()));
    assert!(matches!(staging.read(&pieces[1]), Err(StagingError::Damaged(_))), "cut off");
    medium.damage(|_, _| None);
    assert!(matches!(staging.read(&pieces[1]), Err(StagingError::Damaged(_))), "gone");
    let nonsense = Piece { len: u64::MAX, ..pieces[0] };
    assert!(matches!(staging.read(&nonsense), Err(StagingError::Damaged(_))));
}

#[test]
fn as_much_stays_free_as_is_to_be_kept() {
    let medium = MemoryMedium::default();
    let staging = Staging::open(medium.clone(), 10).unwrap();
    medium.set_free_bytes(12);
    assert!(matches!(staging.append(&bytes("one")), Err(StagingError::Full(_))));
    assert_eq!(medium.bytes(), 0);
    medium.set_free_bytes(13);
    staging.append(&bytes("one")).unwrap();
}

#[test]
fn a_sync_that_failed_fails_until_what_was_in_it_is_not_needed_any_more() {
    let medium = MemoryMedium::default();
    let staging = Staging::open(medium.clone(), 0).unwrap();
    let doubtful = staging.append(&bytes("one")).unwrap();
    medium.fail_syncs(true);
    assert!(staging.sync().is_err());
    medium.fail_syncs(false);
    assert!(staging.sync().is_err(), "the kernel says it once");
    let good = staging.append(&bytes("one")).unwrap();
    assert_ne!(good.segment, doubtful.segment);
    staging.release(doubtful.segment);
    staging.sync().unwrap();
}

#[test]
fn a_place_that_cannot_be_used_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    for path in [file.clone(), file.join("below")] {
        let text = DirectoryMedium::open(&path).unwrap_err().to_string();
        assert!(text.contains("not a directory") && text.contains("file"), "{text}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}
