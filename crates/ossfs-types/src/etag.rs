//! ETags, without the quotes that HTTP puts around them.

use std::fmt;
use std::sync::Arc;

/// The identity of one version of an object's content, as OSS gives it. Opaque: it is the MD5 only for objects that
/// were put whole.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ETag(Arc<str>);

impl ETag {
    /// Takes an ETag from a header or a document, with or without quotes. `None` if nothing is left, or if it holds
    /// what could not be sent back in a header (anything but visible ASCII) or another quote.
    pub fn parse(text: &str) -> Option<Self> {
        let inner = text.trim();
        let inner = inner.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(inner);
        let sendable = !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        sendable.then(|| Self(inner.into()))
    }

    /// The ETag without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The ETag in quotes, as headers and documents carry it.
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ETag({})", self.0)
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_do_not_matter() {
        assert_eq!(ETag::parse("\"5D41402ABC\""), ETag::parse("5D41402ABC"));
        assert_eq!(ETag::parse("\"A-3\"").unwrap().quoted(), "\"A-3\"");
    }

    #[test]
    fn what_cannot_go_into_a_header_is_no_etag() {
        for bad in ["", "\"\"", "  ", "a b", "a\"b", "é", "a\r\nb", "\""] {
            assert_eq!(ETag::parse(bad), None, "{bad:?}");
        }
    }
}
