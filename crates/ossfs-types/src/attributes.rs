//! What a file is besides its bytes.

use jiff::Timestamp;

/// The kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Bytes.
    File,
    /// Names.
    Directory,
    /// A path.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// The bits of `st_mode` that tell the kind.
pub const MODE_KIND_BITS: u32 = 0o170_000;
/// The bits of `st_mode` that tell the permissions, with set-user-id, set-group-id and sticky.
pub const MODE_PERMISSION_BITS: u32 = 0o7777;

impl FileKind {
    /// The kind that the bits of `st_mode` tell, if they tell one.
    pub const fn of_mode(mode: u32) -> Option<Self> {
        match mode & MODE_KIND_BITS {
            0o100_000 => Some(Self::File),
            0o040_000 => Some(Self::Directory),
            0o120_000 => Some(Self::Symlink),
            0o010_000 => Some(Self::Fifo),
            0o140_000 => Some(Self::Socket),
            0o020_000 => Some(Self::CharDevice),
            0o060_000 => Some(Self::BlockDevice),
            _ => None,
        }
    }

    /// The bits of `st_mode` that tell this kind.
    pub const fn mode_bits(self) -> u32 {
        match self {
            Self::File => 0o100_000,
            Self::Directory => 0o040_000,
            Self::Symlink => 0o120_000,
            Self::Fifo => 0o010_000,
            Self::Socket => 0o140_000,
            Self::CharDevice => 0o020_000,
            Self::BlockDevice => 0o060_000,
        }
    }
}

/// What a file is besides its bytes, its names and its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits, with set-user-id, set-group-id and sticky; no bits of the kind.
    pub mode: u32,
    /// The owning user.
    pub uid: u32,
    /// The owning group.
    pub gid: u32,
    /// When it was last read, as far as that is kept.
    pub atime: Timestamp,
    /// When the content was last changed.
    pub mtime: Timestamp,
    /// When anything of it was last changed.
    pub ctime: Timestamp,
    /// Of devices: which one.
    pub rdev: u32,
}
