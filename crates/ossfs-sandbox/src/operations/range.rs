//! Which bytes a `Range` header asks for.

use crate::error::{Code, OssError, Result};
use http::HeaderValue;
use ossfs_types::ByteRange;

/// What is sent of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selection {
    Whole,
    Part(ByteRange),
}

/// Reads a `Range` header against an object of `len` bytes.
///
/// By default OSS takes a range that is not wholly inside the object for no range at all. With
/// `x-oss-range-behavior: standard` it cuts the range to the object, and refuses one that begins past the end. Several
/// ranges are always no range.
pub(super) fn select(header: Option<&HeaderValue>, standard: bool, len: u64) -> Result<Selection> {
    let Some(header) = header else { return Ok(Selection::Whole) };
    let Some(wanted) = header.to_str().ok().and_then(parse) else { return Ok(Selection::Whole) };
    let (start, end) = match wanted {
        Wanted::From { first } => (first, len),
        Wanted::Between { first, last } => (first, last.saturating_add(1)),
        Wanted::Last { count } => (len.saturating_sub(count), len),
    };
    let satisfiable = start < len && wanted != Wanted::Last { count: 0 };
    if !standard {
        let too_many = matches!(wanted, Wanted::Last { count } if count > len);
        if !satisfiable || end > len || too_many {
            return Ok(Selection::Whole);
        }
    } else if !satisfiable {
        let text = header.to_str().unwrap_or_default();
        return Err(OssError::new(Code::InvalidRange)
            .detail("ActualObjectSize", len.to_string())
            .detail("RangeRequested", text)
            .header("content-range", super::ascii(&format!("bytes */{len}"))));
    }
    let range =
        ByteRange::new(start, end.min(len)).expect("it begins before the end of the object, and before its end");
    Ok(Selection::Part(range))
}

/// Reads `x-oss-copy-source-range` against a source of `len` bytes. OSS copies the whole source where the header is no
/// range; one outside the source is refused.
pub(super) fn select_copy(header: Option<&HeaderValue>, len: u64) -> Result<ByteRange> {
    let whole = ByteRange::new(0, len).expect("a length is not below 0");
    match header.and_then(|header| header.to_str().ok()).and_then(parse) {
        None => Ok(whole),
        Some(Wanted::Between { last, .. }) if last >= len => Err(Code::InvalidRange.into()),
        Some(_) => match select(header, true, len)? {
            Selection::Whole => Ok(whole),
            Selection::Part(range) => Ok(range),
        },
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    From { first: u64 },
    Between { first: u64, last: u64 },
    Last { count: u64 },
}

/// One range of bytes; `None` for anything else.
fn parse(text: &str) -> Option<Wanted> {
    let (first, last) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A number that does not fit is past every end.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (first.trim(), last.trim()) {
        ("", count) => Some(Wanted::Last { count: number(count)? }),
        (first, "") => Some(Wanted::From { first: number(first)? }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Wanted::Between { first, last })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, len: u64, default: &str, standard: &str) {
        let show = |standard| match select(Some(&HeaderValue::from_str(text).unwrap()), standard, len) {
            Ok(Selection::Whole) => "whole".to_owned(),
            Ok(Selection::Part(range)) => range.to_string(),
            Err(error) => error.status().as_str().to_owned(),
        };
        assert_eq!((show(false).as_str(), show(true).as_str()), (default, standard), "{text} of {len}");
    }

    #[test]
    fn ranges_by_default_and_by_the_standard() {
        check("bytes=0-9", 1000, "0..10", "0..10");
        check("bytes=990-999", 1000, "990..1000", "990..1000");
        check("bytes=500-2000", 1000, "whole", "500..1000");
        check("bytes=1000-2000", 1000, "whole", "416");
        check("bytes=1000-", 1000, "whole", "416");
        check("bytes=999-", 1000, "999..1000", "999..1000");
        check("bytes=-10", 1000, "990..1000", "990..1000");
        check("bytes=-2000", 1000, "whole", "0..1000");
        check("bytes=-0", 1000, "whole", "416");
        check("bytes=0-99999999999999999999", 10, "whole", "0..10");
        check("bytes=0-0", 0, "whole", "416");
        check("bytes=-1", 0, "whole", "416");
        for no_range in ["bytes=5-2", "bytes=0-1,3-4", "bytes=a-b", "bytes=-", "items=0-1", "bytes 0-1", ""] {
            check(no_range, 1000, "whole", "whole");
        }
    }

    #[test]
    fn ranges_of_copies() {
        let select = |text: &str| select_copy(Some(&HeaderValue::from_str(text).unwrap()), 100);
        assert_eq!(select("bytes=0-99").unwrap(), ByteRange::new(0, 100).unwrap());
        assert_eq!(select("bytes=40-").unwrap(), ByteRange::new(40, 100).unwrap());
        assert_eq!(select("nonsense").unwrap(), ByteRange::new(0, 100).unwrap());
        assert!(select("bytes=0-100").is_err() && select("bytes=100-").is_err());
    }
}
