//! What a request is about: bucket, key and query, whatever way they were said.
//!
//! Path style (`/bucket/key`) and virtual-hosted style (`Host: bucket.endpoint`) mean the same. Percent-encoding is
//! decoded once, here; a path is never normalised, so `..` in a key is two dots.

use crate::error::{Code, OssError, Result};
use http::request::Parts;
use http::{HeaderMap, Method};
use ossfs_types::{BucketName, Key, KeyError};
use percent_encoding::percent_decode;
use std::net::{IpAddr, SocketAddr};

/// The beginning of the paths that are not OSS's.
const CONTROL_PREFIX: &str = "/-/";
/// Longest query that is looked at; hyper bounds the request line as a whole.
const QUERY_PAIRS_MAX: usize = 256;

/// A request without its body.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// As it came, percent-encoded.
    pub(crate) path: String,
    pub(crate) bucket: Option<BucketName>,
    pub(crate) key: Option<Key>,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    /// As the client named it; errors say it back.
    pub(crate) host: String,
}

/// A path and a host that were split into what they name, as text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) bucket: Option<String>,
    pub(crate) key: Option<Vec<u8>>,
}

impl Request {
    pub(crate) fn parse(parts: Parts) -> Result<Self> {
        let host = host_of(&parts);
        let query = Query::parse(parts.uri.query().unwrap_or(""))?;
        let target = Target::parse(&host, parts.uri.path())?;
        let bucket = match &target.bucket {
            Some(name) => Some(
                BucketName::parse(name)
                    .map_err(|_| OssError::new(Code::InvalidBucketName).detail("BucketName", name.clone()))?,
            ),
            None => None,
        };
        let key = target.key.as_deref().map(parse_key).transpose()?;
        let path = parts.uri.path().to_owned();
        Ok(Self { method: parts.method, path, bucket, key, query, headers: parts.headers, host })
    }

    pub(crate) fn bucket(&self) -> Result<&BucketName> {
        self.bucket.as_ref().ok_or_else(|| Code::InvalidBucketName.into())
    }

    pub(crate) fn key(&self) -> Result<&Key> {
        self.key.as_ref().ok_or_else(|| Code::InvalidObjectName.into())
    }
}

/// Whether a request is for the sandbox itself rather than for OSS: `/-/…`, where no host names a bucket. No bucket has
/// the name `-`.
pub(crate) fn is_control(parts: &Parts) -> bool {
    parts.uri.path().starts_with(CONTROL_PREFIX) && bucket_of_host(&host_of(parts)).is_none()
}

/// A key by OSS's rules, or OSS's error.
pub(crate) fn parse_key(bytes: &[u8]) -> Result<Key> {
    Key::from_bytes(bytes).map_err(|error| {
        let refused = OssError::new(Code::InvalidObjectName);
        let refused = refused.detail("ObjectName", String::from_utf8_lossy(bytes).into_owned());
        match error {
            KeyError::TooLong(_) => refused.message("The length of object name must be less than 1024."),
            KeyError::Empty | KeyError::BadStart(_) | KeyError::NotUtf8(_) => refused,
        }
    })
}

/// The host without its port, in lower case. An absolute URI's host wins over the header, as HTTP says.
fn host_of(parts: &Parts) -> String {
    let header = parts.headers.get(http::header::HOST).and_then(|value| value.to_str().ok());
    let text = parts.uri.host().or(header).unwrap_or("").trim();
    let name = match text.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or(""),
        None => text.split(':').next().unwrap_or(""),
    };
    name.to_ascii_lowercase()
}

impl Target {
    fn parse(host: &str, path: &str) -> Result<Self> {
        let path = path.strip_prefix('/').unwrap_or(path);
        if let Some(bucket) = bucket_of_host(host) {
            // What ali-oss says at an IP address where there is no bucket (ListBuckets).
            let nobody = matches!(bucket, "" | "undefined") && path.is_empty();
            let key = (!path.is_empty()).then(|| decode(path)).transpose()?;
            return Ok(Self { bucket: (!nobody).then(|| bucket.to_owned()), key });
        }
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let bucket = String::from_utf8_lossy(&decode(bucket)?).into_owned();
        let key = (!key.is_empty()).then(|| decode(key)).transpose()?;
        // `oss2` encodes the slashes of a key, and so may the one after the bucket be.
        match bucket.split_once('/') {
            Some((bucket, rest)) if key.is_none() => {
                let key = (!rest.is_empty()).then(|| rest.as_bytes().to_vec());
                Ok(Self { bucket: Some(bucket.to_owned()), key })
            }
            _ => Ok(Self { bucket: (!bucket.is_empty()).then_some(bucket), key }),
        }
    }
}

/// The bucket that a virtual host names: the label before an endpoint of OSS, or before `localhost`.
fn bucket_of_host(host: &str) -> Option<&str> {
    if host.parse::<IpAddr>().is_ok() {
        return None;
    }
    let (bucket, endpoint) = host.split_once('.')?;
    let first = endpoint.split('.').next().unwrap_or("");
    // `oss-cn-hangzhou`, `oss-cn-hangzhou-internal`, `oss-accelerate`; `oss.` of any domain, for endpoints of one's own;
    // or dual stack, `cn-hangzhou.oss.aliyuncs.com`.
    let is_endpoint = first == "localhost"
        || first == "oss"
        || first.starts_with("oss-")
        || endpoint.strip_suffix(".aliyuncs.com").is_some_and(|region| region.ends_with(".oss"));
    is_endpoint.then_some(bucket)
}

/// Undoes percent-encoding; a `%` that begins no byte is an error.
fn decode(text: &str) -> Result<Vec<u8>> {
    let bytes = text.as_bytes();
    let wrong = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'%')
        .any(|(at, _)| !bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)));
    if wrong {
        return Err(OssError::new(Code::InvalidUri).message("The URI is not percent-encoded correctly."));
    }
    Ok(percent_decode(bytes).collect())
}

/// The names and values of a query, decoded, in the order they came. A missing value is an empty one.
#[derive(Debug, Default, Clone)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the part of a URI after `?`, where `+` is a space, as `oss2` sends it.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let text = |part: &str| {
                String::from_utf8(decode(&part.replace('+', "%20"))?)
                    .map_err(|_| OssError::new(Code::InvalidArgument).message("The query must be UTF-8."))
            };
            pairs.push((text(name)?, text(value)?));
            if pairs.len() > QUERY_PAIRS_MAX {
                return Err(OssError::new(Code::InvalidArgument).message("The query has too many parameters."));
            }
        }
        Ok(Self(pairs))
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The value of a parameter; empty if it came without one.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.pairs().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// The value of a parameter, unless it is empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.value(name).filter(|value| !value.is_empty())
    }

    /// Gives a parameter one value, whatever it had.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        self.0.retain(|(other, _)| other != name);
        self.0.push((name.to_owned(), value));
    }

    /// A number within a range.
    pub(crate) fn number(&self, name: &str, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse::<u64>().ok().filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| {
            OssError::argument(
                name,
                text,
                format!("Argument {name} must be an integer between {} and {}.", range.start(), range.end()),
            )
        })
    }
}

/// Whether a peer is this machine.
pub(crate) fn is_loopback(peer: SocketAddr) -> bool {
    match peer.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str, path: &str) -> (Option<String>, Option<String>) {
        let target = Target::parse(host, path).unwrap();
        (target.bucket, target.key.map(|key| String::from_utf8(key).unwrap()))
    }

    #[test]
    fn both_styles_name_the_same() {
        let expected = (Some("bkt".to_owned()), Some("a/b c".to_owned()));
        for (host, path) in [
            ("127.0.0.1", "/bkt/a/b%20c"),
            ("::1", "/bkt/a%2Fb%20c"),
            ("localhost", "/bkt/a/b%20c"),
            ("sandbox", "/bkt/a/b%20c"),
            ("oss-cn-hangzhou.aliyuncs.com", "/bkt/a/b%20c"),
            ("bkt.oss-cn-hangzhou.aliyuncs.com", "/a/b%20c"),
            ("bkt.oss-cn-hangzhou-internal.aliyuncs.com", "/a%2Fb%20c"),
            ("bkt.cn-hangzhou.oss.aliyuncs.com", "/a/b%20c"),
            ("bkt.oss-accelerate.aliyuncs.com", "/a/b%20c"),
            ("bkt.localhost", "/a/b%20c"),
            ("bkt.oss.example.com", "/a/b%20c"),
            ("oss.example.com", "/bkt/a/b%20c"),
        ] {
            assert_eq!(target(host, path), expected, "{host} {path}");
        }
    }

    #[test]
    fn a_bucket_alone_and_nothing_at_all() {
        assert_eq!(target("127.0.0.1", "/"), (None, None));
        assert_eq!(target("127.0.0.1", "/bkt"), (Some("bkt".into()), None));
        assert_eq!(target("127.0.0.1", "/bkt/"), (Some("bkt".into()), None));
        assert_eq!(target("127.0.0.1", "/bkt%2Fk"), (Some("bkt".into()), Some("k".into())));
        assert_eq!(target("bkt.localhost", "/"), (Some("bkt".into()), None));
        assert_eq!(target(".oss-cn-hangzhou.aliyuncs.com", "/"), (None, None));
        assert_eq!(target("undefined.oss-cn-hangzhou.aliyuncs.com", "/"), (None, None));
        assert_eq!(target("oss-cn-hangzhou.aliyuncs.com", "/"), (None, None));
    }

    #[test]
    fn keys_are_not_normalised() {
        assert_eq!(target("127.0.0.1", "/bkt/../..//x/"), (Some("bkt".into()), Some("../..//x/".into())));
        assert_eq!(target("127.0.0.1", "/bkt//x").1, Some("/x".into()));
        assert_eq!(parse_key(b"/x").unwrap_err().code(), Code::InvalidObjectName);
        assert_eq!(parse_key(b"a\xff").unwrap_err().code(), Code::InvalidObjectName);
        assert_eq!(parse_key(&[b'a'; 1024]).unwrap_err().code(), Code::InvalidObjectName);
    }

    #[test]
    fn bad_percent_encoding_is_refused() {
        for bad in ["/bkt/%", "/bkt/%4", "/bkt/%zz", "/%e"] {
            assert_eq!(Target::parse("127.0.0.1", bad).unwrap_err().code(), Code::InvalidUri, "{bad}");
        }
        assert!(Query::parse("a=%").is_err() && Query::parse("a=%ff").is_err());
        assert!(Query::parse(&"a&".repeat(QUERY_PAIRS_MAX + 1)).is_err());
    }

    #[test]
    fn queries_have_spaces_and_empty_values() {
        let query = Query::parse("acl&prefix=a%2Fb+c%2B&max-keys=7&x=").unwrap();
        assert_eq!(query.value("acl"), Some(""));
        assert_eq!(query.value("prefix"), Some("a/b c+"));
        assert_eq!((query.text("x"), query.has("x"), query.has("y")), (None, true, false));
        assert_eq!(query.number("max-keys", 1..=10).unwrap(), Some(7));
        assert!(query.number("max-keys", 1..=6).is_err() && query.number("prefix", 1..=6).is_err());
    }
}
