//! Objects, and what an uploader says about one.
//!
//! An [`Object`] is immutable: whoever changes something about a key replaces its object. [`Attributes`] are parsed
//! from the headers of a request once and hold only what OSS accepts.

use crate::budget::Charge;
use crate::content::Content;
use crate::error::{Code, OssError, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, EXPIRES};
use http::{HeaderMap, HeaderName, HeaderValue};
use ossfs_types::limits::USER_METADATA_BYTES_MAX;
use ossfs_types::{Crc64, ETag, Key, Timestamp};
use percent_encoding::percent_decode_str;
use std::sync::Arc;

/// The beginning of the names of user metadata.
pub(crate) const USER_METADATA_PREFIX: &str = "x-oss-meta-";
/// Memory of an object without its names and content, about what was measured.
const OBJECT_BYTES: usize = 512;
/// OSS's limits of tags: tags of an object, characters of a name, characters of a value.
const TAGS_MAX: usize = 10;
const TAG_NAME_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;

/// A class of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum StorageClass {
    Standard,
    #[serde(rename = "IA")]
    Ia,
    Archive,
    ColdArchive,
    DeepColdArchive,
}

impl StorageClass {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "Standard" => Self::Standard,
            "IA" => Self::Ia,
            "Archive" => Self::Archive,
            "ColdArchive" => Self::ColdArchive,
            "DeepColdArchive" => Self::DeepColdArchive,
            _ => return None,
        })
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "Standard",
            Self::Ia => "IA",
            Self::Archive => "Archive",
            Self::ColdArchive => "ColdArchive",
            Self::DeepColdArchive => "DeepColdArchive",
        }
    }

    /// Whether an object must be restored before it can be read.
    pub(crate) fn needs_restore(self) -> bool {
        matches!(self, Self::Archive | Self::ColdArchive | Self::DeepColdArchive)
    }
}

/// Who may do what: of a bucket, or of an object (where `Default` means the bucket's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Acl {
    Default,
    Private,
    PublicRead,
    PublicReadWrite,
}

impl Acl {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "default" => Self::Default,
            "private" => Self::Private,
            "public-read" => Self::PublicRead,
            "public-read-write" => Self::PublicReadWrite,
            _ => return None,
        })
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::PublicReadWrite => "public-read-write",
        }
    }

    /// What holds for an object with this ACL in a bucket with that one.
    pub(crate) fn or(self, bucket: Self) -> Self {
        if self == Self::Default { bucket } else { self }
    }

    pub(crate) fn anyone_may_read(self) -> bool {
        matches!(self, Self::PublicRead | Self::PublicReadWrite)
    }

    pub(crate) fn anyone_may_write(self) -> bool {
        self == Self::PublicReadWrite
    }
}

/// Names and values of tags.
pub(crate) type Tags = Vec<(String, String)>;

/// What an uploader says about an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attributes {
    /// Content-Type and its like, and user metadata: sent back as they came.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Encryption at rest; said back, not done.
    pub(crate) encryption: Vec<(HeaderName, HeaderValue)>,
    pub(crate) class: StorageClass,
    pub(crate) acl: Acl,
    pub(crate) tags: Tags,
}

impl Attributes {
    /// Reads them from a request to a bucket whose class is `class`.
    pub(crate) fn from_request(headers: &HeaderMap, class: StorageClass) -> Result<Self> {
        Ok(Self {
            headers: kept_headers(headers)?,
            encryption: encryption(headers)?,
            class: match text_header(headers, "x-oss-storage-class")? {
                Some(text) => StorageClass::parse(text).ok_or_else(|| {
                    OssError::argument("x-oss-storage-class", text, "The storage class you specified is invalid.")
                })?,
                None => class,
            },
            acl: match text_header(headers, "x-oss-object-acl")? {
                Some(text) => Acl::parse(text).ok_or_else(|| {
                    OssError::argument("x-oss-object-acl", text, "no such object access control exists")
                })?,
                None => Acl::Default,
            },
            tags: match text_header(headers, "x-oss-tagging")? {
                Some(text) => parse_tags(text)?,
                None => Tags::new(),
            },
        })
    }

    /// Bytes of memory that the names of an object with them take, roughly.
    pub(crate) fn weight_bytes(&self, key: &Key) -> u64 {
        let headers = self.headers.iter().chain(&self.encryption);
        let headers: usize = headers.map(|(name, value)| name.as_str().len() + value.len() + 64).sum();
        let tags: usize = self.tags.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
        (OBJECT_BYTES + key.as_str().len() + headers + tags) as u64
    }
}

/// A header's value as text; anything but visible ASCII is refused.
pub(crate) fn text_header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => Err(OssError::argument(name, "", "The header must be ASCII.")),
    }
}

fn kept_headers(headers: &HeaderMap) -> Result<Vec<(HeaderName, HeaderValue)>> {
    const KEPT: [HeaderName; 6] =
        [CONTENT_TYPE, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, EXPIRES];
    let mut kept = Vec::new();
    let mut user_bytes = 0;
    for (name, value) in headers {
        if let Some(user) = name.as_str().strip_prefix(USER_METADATA_PREFIX) {
            user_bytes += name.as_str().len() + value.len();
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if user.is_empty() || !user.bytes().all(plain) {
                return Err(OssError::argument(
                    name.as_str(),
                    "",
                    "The key of user metadata may hold letters, digits and hyphens only.",
                )
                .ec("0011-00000004"));
            }
            kept.push((name.clone(), copied(value)));
        } else if KEPT.contains(name) && !value.is_empty() {
            kept.push((name.clone(), copied(value)));
        }
    }
    if user_bytes > USER_METADATA_BYTES_MAX {
        return Err(OssError::argument("x-oss-meta-*", "", "User metadata exceeds the limit of 8192 bytes.")
            .ec("0011-00000002"));
    }
    Ok(kept)
}

/// A value with memory of its own: those of a request share its connection's read buffer.
fn copied(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).expect("it was a header's value before")
}

fn encryption(headers: &HeaderMap) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let mut kept = Vec::new();
    for name in
        ["x-oss-server-side-encryption", "x-oss-server-side-data-encryption", "x-oss-server-side-encryption-key-id"]
    {
        if let Some(value) = headers.get(name) {
            let known = ["AES256", "KMS", "SM4"].iter().any(|algorithm| value == algorithm);
            if name != "x-oss-server-side-encryption-key-id" && !known {
                let text = String::from_utf8_lossy(value.as_bytes());
                return Err(OssError::argument(name, &text, "The encryption algorithm is not supported."));
            }
            kept.push((HeaderName::from_static(name), copied(value)));
        }
    }
    Ok(kept)
}

/// Reads `a=b&c=d`, percent-encoded.
fn parse_tags(text: &str) -> Result<Tags> {
    let decode = |part: &str| percent_decode_str(part).decode_utf8().map(|decoded| decoded.into_owned());
    let mut tags = Tags::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Ok(name), Ok(value)) = (decode(name), decode(value)) else {
            return Err(OssError::argument("x-oss-tagging", text, "The tagging header is not percent-encoded UTF-8."));
        };
        tags.push((name, value));
    }
    check_tags(&tags)?;
    Ok(tags)
}

/// Holds tags against OSS's rules.
pub(crate) fn check_tags(tags: &Tags) -> Result<()> {
    let plain = |text: &str| text.chars().all(|c| c.is_alphanumeric() || " +-=._:/".contains(c));
    let refuse = |what: &'static str| Err(OssError::argument("Tagging", "", what));
    if tags.len() > TAGS_MAX {
        return refuse("Object tags cannot be greater than 10");
    }
    for (index, (name, value)) in tags.iter().enumerate() {
        if name.is_empty() || name.chars().count() > TAG_NAME_CHARS_MAX || !plain(name) {
            return refuse("The TagKey you have provided is invalid");
        }
        if value.chars().count() > TAG_VALUE_CHARS_MAX || !plain(value) {
            return refuse("The TagValue you have provided is invalid");
        }
        if tags[..index].iter().any(|(other, _)| other == name) {
            return refuse("The TagKey is specified more than once");
        }
    }
    Ok(())
}

/// The MD5 of a Content-MD5 header.
pub(crate) fn content_md5(headers: &HeaderMap) -> Result<Option<[u8; 16]>> {
    let Some(value) = headers.get("content-md5") else { return Ok(None) };
    let decoded = BASE64.decode(value.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    decoded.map(Some).ok_or_else(|| OssError::new(Code::InvalidDigest))
}

/// How an object came to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Normal,
    Multipart,
    Appendable,
    /// Another name for the object of a key, whether there is one or not.
    Symlink {
        target: Key,
    },
}

impl Kind {
    /// OSS's name of the kind.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Multipart => "Multipart",
            Self::Appendable => "Appendable",
            Self::Symlink { .. } => "Symlink",
        }
    }
}

/// One version of an object.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    pub(crate) content: Content,
    pub(crate) etag: ETag,
    pub(crate) crc: Crc64,
    /// In whole seconds.
    pub(crate) modified: Timestamp,
    pub(crate) attributes: Arc<Attributes>,
    /// An archived object can be read until then.
    pub(crate) restored_until: Option<Timestamp>,
    /// The memory of its names; shared by its successors that share them.
    pub(crate) charge: Arc<Charge>,
}

impl Object {
    /// Whether it must be restored before it can be read.
    pub(crate) fn is_frozen(&self, now: Timestamp) -> bool {
        self.attributes.class.needs_restore() && self.restored_until.is_none_or(|until| until < now)
    }
}

/// The ETag that stands for an MD5.
pub(crate) fn etag_of_md5(md5: &[u8; 16]) -> ETag {
    ETag::parse(&hex::encode_upper(md5)).expect("hexadecimal digits make an ETag")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let name = |name: &str| HeaderName::from_bytes(name.as_bytes()).unwrap();
        pairs.iter().map(|(n, v)| (name(n), HeaderValue::from_str(v).unwrap())).collect()
    }

    fn attributes(pairs: &[(&str, &str)]) -> Result<Attributes> {
        Attributes::from_request(&headers(pairs), StorageClass::Ia)
    }

    #[test]
    fn what_is_kept() {
        let got = attributes(&[("content-type", "a/b"), ("x-oss-meta-mode", "33188"), ("host", "h"), ("etag", "e")]);
        let got = got.unwrap();
        assert_eq!(got.headers.len(), 2);
        assert_eq!((got.class, got.acl), (StorageClass::Ia, Acl::Default));
    }

    #[test]
    fn user_metadata_has_8_kb_and_plain_names() {
        let fits = "v".repeat(USER_METADATA_BYTES_MAX - "x-oss-meta-a".len());
        assert!(attributes(&[("x-oss-meta-a", &fits)]).is_ok());
        let refused = attributes(&[("x-oss-meta-a", &fits), ("x-oss-meta-b", "")]).unwrap_err();
        assert_eq!((refused.code(), refused.number()), (Code::InvalidArgument, Some("0011-00000002")));
        assert!(attributes(&[("x-oss-meta-a_b", "1")]).is_err());
    }

    #[test]
    fn tags_follow_the_rules() {
        let got = attributes(&[("x-oss-tagging", "%2B%3A%2F=.-&%20%2B%20=%E4%B8%AD&c=")]).unwrap();
        assert_eq!(got.tags, [("+:/".into(), ".-".into()), (" + ".into(), "中".into()), ("c".into(), String::new())]);
        let many = (0..11).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join("&");
        let long = format!("{}=b", "a".repeat(129));
        for bad in ["=a", "a=b&a=b", "a=%40", "%ff=b", &many, &long] {
            assert!(attributes(&[("x-oss-tagging", bad)]).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_classes_and_acls_are_refused() {
        assert!(attributes(&[("x-oss-storage-class", "Warm")]).is_err());
        assert!(attributes(&[("x-oss-object-acl", "everyone")]).is_err());
        assert!(attributes(&[("x-oss-server-side-encryption", "ROT13")]).is_err());
    }
}
