//! The forms of time on the wire. OSS's times have whole seconds.

use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::{Offset, TimeZone};
use ossfs_types::Timestamp;

fn utc(time: Timestamp) -> DateTime {
    Offset::UTC.to_datetime(time)
}

/// The time without its fraction of a second.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).expect("the second of a valid time is a valid time")
}

/// `Mon, 23 Nov 2026 08:42:40 GMT`, as in headers.
pub(crate) fn http_date(time: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let at = utc(time);
    let day = DAYS[at.weekday().to_monday_zero_offset().rem_euclid(7) as usize];
    let month = MONTHS[(at.month() - 1).rem_euclid(12) as usize];
    format!(
        "{day}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT",
        at.day(),
        at.year(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// `2026-11-23T08:42:40.000Z`, as in documents.
pub(crate) fn iso(time: Timestamp) -> String {
    let at = utc(time);
    let (date, clock) = ((at.year(), at.month(), at.day()), (at.hour(), at.minute(), at.second()));
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.000Z", date.0, date.1, date.2, clock.0, clock.1, clock.2)
}

/// Reads a date of a header: of HTTP, or with a numeric zone as mail has it.
pub(crate) fn parse_http_date(text: &str) -> Option<Timestamp> {
    rfc2822::parse(text.trim()).ok().map(|zoned| zoned.timestamp())
}

/// Reads `20261123T084240Z`, as in signatures of version 4.
pub(crate) fn parse_compact(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 16 && bytes[8] == b'T' && bytes[15] == b'Z';
    let digits = |range: std::ops::Range<usize>| -> Option<i16> {
        let part = text.get(range)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let small = |range| digits(range).and_then(|number| i8::try_from(number).ok());
    if !shaped {
        return None;
    }
    let at = DateTime::new(digits(0..4)?, small(4..6)?, small(6..8)?, small(9..11)?, small(11..13)?, small(13..15)?, 0);
    at.ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_agree() {
        let time = Timestamp::from_second(1_702_743_657).unwrap();
        assert_eq!(http_date(time), "Sat, 16 Dec 2023 16:20:57 GMT");
        assert_eq!(iso(time), "2023-12-16T16:20:57.000Z");
        assert_eq!(parse_http_date(&http_date(time)), Some(time));
        assert_eq!(parse_http_date("Sat, 16 Dec 2023 17:20:57 +0100"), Some(time));
        assert_eq!(parse_compact("20231216T162057Z"), Some(time));
        assert_eq!(whole_seconds(Timestamp::from_millisecond(1_702_743_657_999).unwrap()), time);
    }

    #[test]
    fn nonsense_is_no_time() {
        for bad in ["", "20231216T162057", "2023-216T162057Z", "20231316T162057Z", "20231216T252057Z", "ééééééééé"]
        {
            assert_eq!(parse_compact(bad), None, "{bad}");
            assert_eq!(parse_http_date(bad), None, "{bad}");
        }
    }
}
