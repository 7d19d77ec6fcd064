//! What OSS says when it refuses.
//!
//! The table of [`Code`] is the only place that knows OSS's status, code, message and EC number for a refusal. Everything
//! else names a [`Code`] and adds what is particular to the request. EC numbers are those of Alibaba's documentation
//! and test suites; where none is known the error carries none.

use http::{HeaderName, HeaderValue, StatusCode};
use std::borrow::Cow;

/// Declares [`Code`] and its wire form, so that each refusal is one entry of one table.
macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident: $status:literal $name:literal $ec:literal $message:literal;)*) => {
        /// Why a request was refused, by OSS's name for it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code {
            $($(#[$doc])* $code,)*
        }

        impl Code {
            const fn facts(self) -> Facts {
                match self {
                    $(Self::$code => Facts { status: $status, name: $name, message: $message, ec: $ec },)*
                }
            }
        }
    };
}

/// The wire form of a [`Code`].
struct Facts {
    status: u16,
    name: &'static str,
    message: &'static str,
    /// OSS's own number of the error; empty where none is documented.
    ec: &'static str,
}

codes! {
    AccessDenied: 403 "AccessDenied" "0003-00000001"
        "You have no right to access this object because of bucket acl.";
    BucketAlreadyExists: 409 "BucketAlreadyExists" ""
        "The requested bucket name is not available.";
    BucketNotEmpty: 409 "BucketNotEmpty" ""
        "The bucket you tried to delete is not empty.";
    EntityTooLarge: 400 "EntityTooLarge" ""
        "Your proposed upload exceeds the maximum allowed size.";
    EntityTooSmall: 400 "EntityTooSmall" ""
        "Your proposed upload smaller than the minimum allowed size.";
    FileAlreadyExists: 409 "FileAlreadyExists" ""
        "The object you specified already exists and can not be overwritten.";
    IncompleteBody: 400 "IncompleteBody" ""
        "You did not provide the number of bytes specified by the Content-Length HTTP header.";
    InternalError: 500 "InternalError" ""
        "We encountered an internal error. Please try again.";
    InvalidAccessKeyId: 403 "InvalidAccessKeyId" "0002-00000902"
        "The OSS Access Key Id you provided does not exist in our records.";
    InvalidArgument: 400 "InvalidArgument" ""
        "Invalid argument.";
    InvalidBucketName: 400 "InvalidBucketName" ""
        "The specified bucket is not valid.";
    InvalidDigest: 400 "InvalidDigest" ""
        "The Content-MD5 you specified is not valid.";
    InvalidObjectName: 400 "InvalidObjectName" ""
        "The specified object is not valid.";
    InvalidObjectState: 403 "InvalidObjectState" ""
        "The operation is not valid for the object's state.";
    InvalidPart: 400 "InvalidPart" ""
        "One or more of the specified parts could not be found or the specified entity tag might not have \
         matched the part's entity tag.";
    InvalidPartOrder: 400 "InvalidPartOrder" ""
        "The list of parts was not in ascending order. Parts list must specified in order by part number.";
    InvalidRange: 416 "InvalidRange" ""
        "The requested range cannot be satisfied.";
    InvalidTargetType: 400 "InvalidTargetType" ""
        "The target object of the symbolic link is itself a symbolic link.";
    InvalidUri: 400 "InvalidURI" ""
        "Couldn't parse the specified URI.";
    MalformedXml: 400 "MalformedXML" ""
        "The XML you provided was not well-formed or did not validate against our published schema.";
    MethodNotAllowed: 405 "MethodNotAllowed" ""
        "The specified method is not allowed against this resource.";
    MissingArgument: 400 "MissingArgument" ""
        "Missing Some Required Arguments.";
    MissingContentLength: 411 "MissingContentLength" ""
        "You must provide the Content-Length HTTP header.";
    NoSuchBucket: 404 "NoSuchBucket" "0015-00000101"
        "The specified bucket does not exist.";
    NoSuchKey: 404 "NoSuchKey" "0026-00000001"
        "The specified key does not exist.";
    NoSuchUpload: 404 "NoSuchUpload" ""
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted \
         or completed.";
    NotImplemented: 501 "NotImplemented" ""
        "A header you provided implies functionality that is not implemented.";
    NotModified: 304 "NotModified" ""
        "Not Modified";
    NotSymlink: 400 "NotSymlink" ""
        "The object you specified is not a symlink object.";
    ObjectNotAppendable: 409 "ObjectNotAppendable" ""
        "The object is not appendable";
    OperationNotSupported: 400 "OperationNotSupported" ""
        "The operation is not supported for this resource";
    PositionNotEqualToLength: 409 "PositionNotEqualToLength" ""
        "Position is not equal to file length";
    PreconditionFailed: 412 "PreconditionFailed" ""
        "At least one of the pre-conditions you specified did not hold.";
    QuotaExceeded: 403 "QuotaExceeded" ""
        "The storage quota is exceeded.";
    RequestTimeTooSkewed: 403 "RequestTimeTooSkewed" "0002-00000504"
        "The difference between the request time and the current time is too large.";
    RequestTimeout: 400 "RequestTimeout" ""
        "Your socket connection to the server was not read from or written to within the timeout period.";
    /// OSS itself has no such limit: 507 says what it is, and the message names the flag.
    SandboxFull: 507 "InsufficientStorage" ""
        "The sandbox holds as much as its --memory-limit allows.";
    ServiceUnavailable: 503 "ServiceUnavailable" ""
        "Please reduce your request rate.";
    SignatureDoesNotMatch: 403 "SignatureDoesNotMatch" "0002-00000201"
        "The request signature we calculated does not match the signature you provided. Check your key and \
         signing method.";
    SymlinkTargetNotExist: 404 "SymlinkTargetNotExist" "0026-00000012"
        "The symlink target object does not exist.";
    TooManyBuckets: 400 "TooManyBuckets" ""
        "You have attempted to create more buckets than allowed.";
    TotalQpsLimitExceeded: 503 "TotalQpsLimitExceeded" ""
        "Please reduce your request rate.";
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
