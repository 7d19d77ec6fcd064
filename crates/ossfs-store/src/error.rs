//! One error for every store, ordered by what the caller must do about it.
//!
//! Knows no errno: only `ossfs-volume` names those. Never holds a secret: messages are made of OSS's own answer, and
//! OSS's echo of what was signed is not kept.

use std::error::Error as StdError;
use std::fmt;

/// The result of a store's operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an error means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There is no such object, or what a symlink points to is not there.
    NotFound,
    /// There is no such bucket.
    BucketNotFound,
    /// There is no such multipart upload: it was completed or aborted, or never was.
    UploadNotFound,
    /// A condition (If-Match and its like) did not hold. Never retried.
    Precondition,
    /// The name is taken, and the caller asked not to overwrite. Never retried.
    AlreadyExists,
    /// An append at another position than the object's length, which is given where the store told it.
    WrongPosition {
        /// Length of the object in bytes.
        length: Option<u64>,
    },
    /// The object's type forbids the operation: an append to an object that was put, or a copy of an appendable one.
    WrongType,
    /// The range lies wholly outside of the object.
    InvalidRange,
    /// The object is archived and must be restored before it can be read.
    Archived,
    /// These credentials are absent, unknown, expired, or did not make the signature OSS expected.
    Credentials,
    /// The credentials are good, but not for this operation; or a retention rule forbids it.
    Denied,
    /// The bucket or its owner has as much as it may have.
    Quota,
    /// Throttled, and not applied. Retried here already, with a long back-off.
    Throttled,
    /// Not applied, for a reason that may pass: no connection, or a failing server. Retried here already.
    Unavailable,
    /// A mutation that may have been applied, or may still be. Look before repeating it.
    Unknown,
    /// The answer can't be true: wrong checksum, length, ETag or document, or not from OSS at all.
    Corrupt,
    /// OSS doesn't do this, or not for this bucket.
    Unsupported,
    /// Our request was wrong: a bug or a bad option.
    Invalid,
}

impl Kind {
    /// What went wrong, in a few words for a person.
    fn summary(self) -> &'static str {
        match self {
            Self::NotFound => "no such object",
            Self::BucketNotFound => "no such bucket",
            Self::UploadNotFound => "no such multipart upload",
            Self::Precondition => "the object is not the version that was expected",
            Self::AlreadyExists => "the object exists already",
            Self::WrongPosition { .. } => "the position is not the object's length",
            Self::WrongType => "not possible with this type of object",
            Self::InvalidRange => "the range lies outside of the object",
            Self::Archived => "the object is archived: restore it first (RestoreObject)",
            Self::Credentials => "the credentials were refused",
            Self::Denied => "permission denied",
            Self::Quota => "the quota is exceeded",
            Self::Throttled => "throttled by the server",
            Self::Unavailable => "the server can't be reached or is failing",
            Self::Unknown => "no answer: it may have been done or not",
            Self::Corrupt => "the answer can't be right",
            Self::Unsupported => "not supported by the server",
            Self::Invalid => "the request was refused as invalid",
        }
    }
}

/// Why an operation failed.
pub struct Error(Box<Details>);

struct Details {
    kind: Kind,
    operation: &'static str,
    key: Option<String>,
    status: Option<u16>,
    code: Option<String>,
    request_id: Option<String>,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `operation` (OSS's name of it), with a message for a person.
    pub fn new(kind: Kind, operation: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind,
            operation,
            key: None,
            status: None,
            code: None,
            request_id: None,
            message: message.into(),
            source: None,
        }))
    }

    /// The same error, of an operation on this key.
    #[must_use]
    pub fn on_key(mut self, key: impl Into<String>) -> Self {
        self.0.key = Some(key.into());
        self
    }

    /// The same error with what the server said of it.
    #[must_use]
    pub fn answered(mut self, status: u16, code: Option<String>, request_id: Option<String>) -> Self {
        self.0.status = Some(status);
        self.0.code = code;
        self.0.request_id = request_id;
        self
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same failure, of another kind.
    #[must_use]
    pub fn into_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// What the caller must do about it.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// OSS's name of the operation that failed.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// OSS's error code, where it sent one.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// HTTP status, where there was an answer.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// OSS's id of the request, to give to its support.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// What OSS or the transport said.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = &*self.0;
        f.write_str(details.operation)?;
        if let Some(key) = &details.key {
            write!(f, " {key:?}")?;
        }
        write!(f, ": {}", details.kind.summary())?;
        if !details.message.is_empty() {
            write!(f, ": {}", details.message)?;
        }
        if let Some(status) = details.status {
            write!(f, " (HTTP {status}")?;
            if let Some(code) = &details.code {
                write!(f, " {code}")?;
            }
            if let Some(request_id) = &details.request_id {
                write!(f, ", request id {request_id}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        match &self.0.source {
            Some(source) => write!(f, ": {source:?}"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_where_and_which_request() {
        let error = Error::new(Kind::NotFound, "GetObject", "The specified key does not exist.")
            .on_key("a b")
            .answered(404, Some("NoSuchKey".into()), Some("5C3D".into()));
        assert_eq!(
            error.to_string(),
            "GetObject \"a b\": no such object: The specified key does not exist. \
             (HTTP 404 NoSuchKey, request id 5C3D)"
        );
    }
}
