//! What OSS says when it refuses.
//!
//! [`Code::facts`] is the only place that knows OSS's status, code, message and EC number for a refusal. Everything
//! else names a [`Code`] and adds what is particular to the request. EC numbers are those of Alibaba's documentation
//! and test suites; where none is known the error carries none.

use http::{HeaderName, HeaderValue, StatusCode};
use std::borrow::Cow;

/// Why a request was refused, by OSS's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    AccessDenied,
    BadDigest,
    BucketAlreadyExists,
    BucketNotEmpty,
    EntityTooLarge,
    EntityTooSmall,
    FileAlreadyExists,
    IncompleteBody,
    InternalError,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidBucketName,
    InvalidDigest,
    InvalidObjectName,
    InvalidObjectState,
    InvalidPart,
    InvalidPartOrder,
    InvalidRange,
    InvalidTargetType,
    InvalidUri,
    MalformedXml,
    MethodNotAllowed,
    MissingArgument,
    MissingContentLength,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    NotImplemented,
    NotModified,
    NotSymlink,
    ObjectNotAppendable,
    OperationNotSupported,
    PositionNotEqualToLength,
    PreconditionFailed,
    RequestTimeTooSkewed,
    RequestTimeout,
    SandboxFull,
    ServiceUnavailable,
    SignatureDoesNotMatch,
    SymlinkTargetNotExist,
    TooManyBuckets,
    TotalQpsLimitExceeded,
}

/// The wire form of a [`Code`].
struct Facts {
    status: u16,
    name: &'static str,
    message: &'static str,
    /// OSS's own number of the error; empty where none is documented.
    ec: &'static str,
}

const fn facts(status: u16, name: &'static str, message: &'static str, ec: &'static str) -> Facts {
    Facts { status, name, message, ec }
}

impl Code {
    fn facts(self) -> Facts {
        match self {
            Self::AccessDenied => facts(
                403,
                "AccessDenied",
                "You have no right to access this object because of bucket acl.",
                "0003-00000001",
            ),
            Self::BadDigest | Self::InvalidDigest => {
                facts(400, "InvalidDigest", "The Content-MD5 you specified is not valid.", "0017-00000004")
            }
            Self::BucketAlreadyExists => {
                facts(409, "BucketAlreadyExists", "The requested bucket name is not available.", "0015-00000104")
            }
            Self::BucketNotEmpty => {
                facts(409, "BucketNotEmpty", "The bucket you tried to delete is not empty.", "0015-00000301")
            }
            Self::EntityTooLarge => {
                facts(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.", "0017-00000801")
            }
            Self::EntityTooSmall => facts(
                400,
                "EntityTooSmall",
                "Your proposed upload smaller than the minimum allowed size.",
                "0042-00000207",
            ),
            Self::FileAlreadyExists => facts(
                409,
                "FileAlreadyExists",
                "The object you specified already exists and can not be overwritten.",
                "0026-00000010",
            ),
            Self::IncompleteBody => facts(
                400,
                "IncompleteBody",
                "You did not provide the number of bytes specified by the Content-Length HTTP header.",
                "",
            ),
            Self::InternalError => {
                facts(500, "InternalError", "We encountered an internal error. Please try again.", "")
            }
            Self::InvalidAccessKeyId => facts(
                403,
                "InvalidAccessKeyId",
                "The OSS Access Key Id you provided does not exist in our records.",
                "0002-00000902",
            ),
            Self::InvalidArgument => facts(400, "InvalidArgument", "Invalid argument.", ""),
            Self::InvalidBucketName => {
                facts(400, "InvalidBucketName", "The specified bucket is not valid.", "0015-00000001")
            }
            Self::InvalidObjectName => {
                facts(400, "InvalidObjectName", "The specified object is not valid.", "0016-00000001")
            }
            Self::InvalidObjectState => {
                facts(403, "InvalidObjectState", "The operation is not valid for the object's state.", "0026-00000011")
            }
            Self::InvalidPart => facts(
                400,
                "InvalidPart",
                "One or more of the specified parts could not be found or the specified entity tag might not have \
                 matched the part's entity tag.",
                "0042-00000205",
            ),
            Self::InvalidPartOrder => facts(
                400,
                "InvalidPartOrder",
                "The list of parts was not in ascending order. Parts list must specified in order by part number.",
                "0042-00000206",
            ),
            Self::InvalidRange => facts(416, "InvalidRange", "The requested range cannot be satisfied.", ""),
            Self::InvalidTargetType => {
                facts(400, "InvalidTargetType", "The target object of the symbolic link is itself a symbolic link.", "")
            }
            Self::InvalidUri => facts(400, "InvalidURI", "Couldn't parse the specified URI.", ""),
            Self::MalformedXml => facts(
                400,
                "MalformedXML",
                "The XML you provided was not well-formed or did not validate against our published schema.",
                "0006-00000001",
            ),
            Self::MethodNotAllowed => {
                facts(405, "MethodNotAllowed", "The specified method is not allowed against this resource.", "")
            }
            Self::MissingArgument => facts(400, "MissingArgument", "Missing Some Required Arguments.", ""),
            Self::MissingContentLength => {
                facts(411, "MissingContentLength", "You must provide the Content-Length HTTP header.", "")
            }
            Self::NoSuchBucket => facts(404, "NoSuchBucket", "The specified bucket does not exist.", "0015-00000101"),
            Self::NoSuchKey => facts(404, "NoSuchKey", "The specified key does not exist.", "0026-00000001"),
            Self::NoSuchUpload => facts(
                404,
                "NoSuchUpload",
                "The specified upload does not exist. The upload ID may be invalid, or the upload may have been \
                 aborted or completed.",
                "0042-00000002",
            ),
            Self::NotImplemented => {
                facts(501, "NotImplemented", "A header you provided implies functionality that is not implemented.", "")
            }
            Self::NotModified => facts(304, "NotModified", "Not Modified", ""),
            Self::NotSymlink => facts(400, "NotSymlink", "The object you specified is not a symlink object.", ""),
            Self::ObjectNotAppendable => facts(409, "ObjectNotAppendable", "The object is not appendable", ""),
            Self::OperationNotSupported => {
                facts(400, "OperationNotSupported", "The operation is not supported for this resource", "")
            }
            Self::PositionNotEqualToLength => {
                facts(409, "PositionNotEqualToLength", "Position is not equal to file length", "0026-00000016")
            }
            Self::PreconditionFailed => {
                facts(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.", "")
            }
            Self::RequestTimeTooSkewed => facts(
                403,
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
                "0002-00000504",
            ),
            Self::RequestTimeout => facts(
                400,
                "RequestTimeout",
                "Your socket connection to the server was not read from or written to within the timeout period.",
                "",
            ),
            // OSS itself has no such limit: 507 says what it is, and the message names the flag.
            Self::SandboxFull => {
                facts(507, "InsufficientStorage", "The sandbox holds as much as its --memory-limit allows.", "")
            }
            Self::ServiceUnavailable => facts(503, "ServiceUnavailable", "Please reduce your request rate.", ""),
            Self::SignatureDoesNotMatch => facts(
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your key and \
                 signing method.",
                "0002-00000201",
            ),
            Self::SymlinkTargetNotExist => {
                facts(404, "SymlinkTargetNotExist", "The symlink target object does not exist.", "0026-00000012")
            }
            Self::TooManyBuckets => {
                facts(400, "TooManyBuckets", "You have attempted to create more buckets than allowed.", "")
            }
            Self::TotalQpsLimitExceeded => facts(503, "TotalQpsLimitExceeded", "Please reduce your request rate.", ""),
        }
    }
}

/// A refusal, with what is particular to the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OssError {
    code: Code,
    message: Option<Cow<'static, str>>,
    ec: Option<&'static str>,
    /// Elements that OSS adds to the document, by name.
    details: Vec<(&'static str, String)>,
    /// Headers of the answer.
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What an operation gives.
pub(crate) type Result<T> = std::result::Result<T, Box<OssError>>;

impl OssError {
    pub(crate) fn new(code: Code) -> Box<Self> {
        Box::new(Self { code, message: None, ec: None, details: Vec::new(), headers: Vec::new() })
    }

    /// `InvalidArgument` about one argument, as OSS words it.
    pub(crate) fn argument(name: &str, value: &str, message: impl Into<Cow<'static, str>>) -> Box<Self> {
        Self::new(Code::InvalidArgument).message(message).detail("ArgumentName", name).detail("ArgumentValue", value)
    }

    /// `AccessDenied` for another reason than the bucket's ACL.
    pub(crate) fn denied(message: impl Into<Cow<'static, str>>) -> Box<Self> {
        Self::new(Code::AccessDenied).message(message).ec("")
    }

    /// A failure of the sandbox itself; the details go to the log, and briefly to the client.
    pub(crate) fn internal(doing: &str, error: &dyn std::fmt::Display) -> Box<Self> {
        tracing::error!("{doing}: {error}");
        Self::new(Code::InternalError).message(format!("The sandbox failed while {doing}: {error}"))
    }

    #[must_use]
    pub(crate) fn message(mut self: Box<Self>, message: impl Into<Cow<'static, str>>) -> Box<Self> {
        self.message = Some(message.into());
        self
    }

    #[must_use]
    pub(crate) fn ec(mut self: Box<Self>, ec: &'static str) -> Box<Self> {
        self.ec = Some(ec);
        self
    }

    #[must_use]
    pub(crate) fn detail(mut self: Box<Self>, name: &'static str, value: impl Into<String>) -> Box<Self> {
        self.details.push((name, value.into()));
        self
    }

    #[must_use]
    pub(crate) fn header(mut self: Box<Self>, name: &'static str, value: impl Into<HeaderValue>) -> Box<Self> {
        self.headers.push((HeaderName::from_static(name), value.into()));
        self
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.facts().status).expect("the table holds valid statuses")
    }

    /// OSS's name of the error.
    pub(crate) fn name(&self) -> &'static str {
        self.code.facts().name
    }

    pub(crate) fn text(&self) -> &str {
        self.message.as_deref().unwrap_or(self.code.facts().message)
    }

    /// OSS's number of the error, if it has one.
    pub(crate) fn number(&self) -> Option<&'static str> {
        Some(self.ec.unwrap_or(self.code.facts().ec)).filter(|ec| !ec.is_empty())
    }

    pub(crate) fn details(&self) -> &[(&'static str, String)] {
        &self.details
    }

    pub(crate) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }
}

impl From<Code> for Box<OssError> {
    fn from(code: Code) -> Self {
        OssError::new(code)
    }
}
