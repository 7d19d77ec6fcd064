//! Why a call failed: the only place that names an errno.

use ossfs_store as store;
use std::fmt;

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// There is no such name.
    NotFound,
    /// The name is taken.
    Exists,
    /// A directory was wanted.
    NotDirectory,
    /// Something else than a directory was wanted.
    IsDirectory,
    /// The directory has names in it.
    NotEmpty,
    /// A name has more than 255 bytes, or a key more than 1,023.
    NameTooLong,
    /// A name is not UTF-8.
    NotUtf8,
    /// The call makes no sense.
    Invalid,
    /// The version that was open is gone.
    Stale,
    /// The mount is read-only.
    ReadOnly,
    /// The credentials do not allow it.
    Denied,
    /// Not possible here.
    NotPermitted,
    /// Not possible for this kind of file.
    Unsupported,
    /// A file or an object's metadata would be too large.
    TooLarge,
    /// No more room for what is written.
    NoSpace,
    /// The bucket or its owner may not grow.
    Quota,
    /// There is no such open file.
    BadHandle,
    /// The store failed, or did not answer in time.
    Failed,
    /// The file has as many names as a file can have.
    TooManyLinks,
    /// There is no such attribute.
    NoAttribute,
    /// There is nothing of that kind from the offset on.
    PastTheEnd,
}

impl Error {
    /// The number that the kernel is told. Never ENOSYS: the kernel would remember it for every file.
    pub fn errno(self) -> i32 {
        use rustix::io::Errno;
        let errno = match self {
            Self::NotFound => Errno::NOENT,
            Self::Exists => Errno::EXIST,
            Self::NotDirectory => Errno::NOTDIR,
            Self::IsDirectory => Errno::ISDIR,
            Self::NotEmpty => Errno::NOTEMPTY,
            Self::NameTooLong => Errno::NAMETOOLONG,
            Self::NotUtf8 => Errno::ILSEQ,
            Self::Invalid => Errno::INVAL,
            Self::Stale => Errno::STALE,
            Self::ReadOnly => Errno::ROFS,
            Self::Denied => Errno::ACCESS,
            Self::NotPermitted => Errno::PERM,
            Self::Unsupported => Errno::OPNOTSUPP,
            Self::TooLarge => Errno::FBIG,
            Self::NoSpace => Errno::NOSPC,
            Self::Quota => Errno::DQUOT,
            Self::BadHandle => Errno::BADF,
            Self::Failed => Errno::IO,
            Self::TooManyLinks => Errno::MLINK,
            Self::NoAttribute => Errno::NODATA,
            Self::PastTheEnd => Errno::NXIO,
        };
        errno.raw_os_error()
    }

    /// What a person can do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Denied => "check what the credentials may do, and whether the object must be restored first",
            Self::Quota => "make room in the bucket, or have its quota raised",
            Self::NameTooLong => "give it, or a directory above it, a shorter name",
            Self::Stale => "somebody else has changed it too: read both versions and write the one that is right",
            Self::TooLarge | Self::Invalid | Self::Unsupported | Self::NotUtf8 => "OSS does not take it as it is",
            Self::NoSpace => "make room on the local disk",
            Self::Failed
            | Self::NotFound
            | Self::Exists
            | Self::NotDirectory
            | Self::IsDirectory
            | Self::NotEmpty
            | Self::ReadOnly
            | Self::NotPermitted
            | Self::BadHandle
            | Self::NoAttribute
            | Self::PastTheEnd
            | Self::TooManyLinks => "it is tried again by itself; if it goes on, check the network and the endpoint",
        }
    }

    /// What it means for who asked by number rather than by name: a name that is gone is a file that is gone.
    pub(crate) fn by_number(self) -> Self {
        if self == Self::NotFound { Self::Stale } else { self }
    }

    /// What a store's failure means for a call.
    pub(crate) fn of(kind: store::Kind) -> Self {
        use store::Kind;
        match kind {
            Kind::NotFound => Self::NotFound,
            Kind::Precondition => Self::Stale,
            Kind::AlreadyExists => Self::Exists,
            Kind::Archived | Kind::Denied | Kind::Credentials => Self::Denied,
            Kind::Quota => Self::Quota,
            Kind::Invalid => Self::Invalid,
            Kind::Unsupported | Kind::WrongType => Self::Unsupported,
            Kind::BucketNotFound
            | Kind::UploadNotFound
            | Kind::WrongPosition { .. }
            | Kind::InvalidRange
            | Kind::Throttled
            | Kind::Unavailable
            | Kind::Unknown
            | Kind::Corrupt => Self::Failed,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "no such file or directory",
            Self::Exists => "the name is taken",
            Self::NotDirectory => "not a directory",
            Self::IsDirectory => "is a directory",
            Self::NotEmpty => "the directory is not empty",
            Self::NameTooLong => "the name or the key is too long",
            Self::NotUtf8 => "the name is not UTF-8",
            Self::Invalid => "invalid argument",
            Self::Stale => "the version that was open is gone",
            Self::ReadOnly => "the mount is read-only",
            Self::Denied => "the credentials do not allow it",
            Self::NotPermitted => "not permitted",
            Self::Unsupported => "not supported",
            Self::TooLarge => "too large",
            Self::NoSpace => "no space left",
            Self::Quota => "the quota is exceeded",
            Self::BadHandle => "no such open file",
            Self::Failed => "the store failed or did not answer in time",
            Self::TooManyLinks => "the file has too many names",
            Self::NoAttribute => "no such attribute",
            Self::PastTheEnd => "nothing there up to the end of the file",
        })
    }
}

impl std::error::Error for Error {}
