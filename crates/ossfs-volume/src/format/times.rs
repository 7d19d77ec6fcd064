//! Times as they are in metadata: `sec` or `sec.nnnnnnnnn`.
//!
//! The fraction always counts forwards, as in a `timespec`: `-2.500000000` is a second and a half before 1970. That is what
//! ossfs 1.x writes.

use ossfs_types::Timestamp;

const NANOSECONDS_OF_SECOND: i128 = 1_000_000_000;
/// Digits of a nanosecond's fraction.
const FRACTION_DIGITS: usize = 9;

/// A time's text: nine digits of fraction, or none.
pub(super) fn text(time: Timestamp) -> String {
    let nanoseconds = time.as_nanosecond();
    let seconds = nanoseconds.div_euclid(NANOSECONDS_OF_SECOND);
    match nanoseconds.rem_euclid(NANOSECONDS_OF_SECOND) {
        0 => seconds.to_string(),
        fraction => format!("{seconds}.{fraction:09}"),
    }
}

/// The time that a text says. The fraction may have any number of digits; those past the nanoseconds don't count.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds = i128::from(seconds.parse::<i64>().ok()?);
    Timestamp::from_nanosecond(seconds * NANOSECONDS_OF_SECOND + nanoseconds(fraction)?).ok()
}

/// What the digits behind the point are worth.
fn nanoseconds(fraction: &str) -> Option<i128> {
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(FRACTION_DIGITS);
    Some(digits.fold(0, |value, digit| value * 10 + i128::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, seconds: i128, nanoseconds: i128) {
        let time = Timestamp::from_nanosecond(seconds * NANOSECONDS_OF_SECOND + nanoseconds).unwrap();
        assert_eq!(parse(text), Some(time), "{text}");
    }

    #[test]
    fn the_two_forms() {
        check("1700000000", 1_700_000_000, 0);
        check("1700000000.000000001", 1_700_000_000, 1);
        check("0", 0, 0);
        assert_eq!(text(Timestamp::new(1_700_000_000, 1).unwrap()), "1700000000.000000001");
        assert_eq!(text(Timestamp::new(1_700_000_000, 0).unwrap()), "1700000000");
    }

    #[test]
    fn before_1970_the_fraction_counts_forwards() {
        check("-2.500000000", -2, 500_000_000);
        assert_eq!(text(Timestamp::from_nanosecond(-1_500_000_000).unwrap()), "-2.500000000");
        assert_eq!(text(Timestamp::from_nanosecond(-1).unwrap()), "-1.999999999");
    }

    #[test]
    fn a_fraction_may_be_shorter_or_longer() {
        check("1.5", 1, 500_000_000);
        check("1.", 1, 0);
        check("1.1234567899999", 1, 123_456_789);
        check(&format!("1.{}", "9".repeat(5000)), 1, 999_999_999);
    }

    #[test]
    fn junk_is_no_time() {
        let huge = "9".repeat(5000);
        for junk in ["", ".5", "-", "abc", "1e9", "1.x", "1.-5", "1.5.5", "0x10", " 1", "9223372036854775807", &huge] {
            assert_eq!(parse(junk), None, "{junk}");
        }
    }

    proptest! {
        #[test]
        fn every_time_comes_back(nanosecond in Timestamp::MIN.as_nanosecond()..=Timestamp::MAX.as_nanosecond()) {
            let time = Timestamp::from_nanosecond(nanosecond).unwrap();
            prop_assert_eq!(parse(&text(time)), Some(time));
        }

        #[test]
        fn no_text_panics(text in "[-+0-9.]{0,40}|.{0,20}") {
            parse(&text);
        }
    }

    #[test]
    fn the_ends_of_time_come_back() {
        for time in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH] {
            assert_eq!(parse(&text(time)), Some(time));
        }
    }
}
