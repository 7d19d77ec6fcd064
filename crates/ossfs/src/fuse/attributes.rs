//! Attributes, times and modes, to and from the kernel's.

use fuser::{FileAttr, FileType, INodeNo, OpenAccMode, OpenFlags, TimeOrNow};
use ossfs_types::{FileKind, MODE_PERMISSION_BITS, Timestamp};
use ossfs_volume::{Allocate, NodeAttributes, OpenMode, Seek, SetAttributes, SetTime};
use rustix::fs::OFlags;
use std::time::{Duration, SystemTime};

/// What programs should read and write at once: the C library's buffers and `cp` take it from here.
const PREFERRED_IO_BYTES: u32 = 128 << 10;
/// The unit of `st_blocks`, whatever the block size.
const STAT_BLOCK_BYTES: u64 = 512;

/// The kernel's word for a kind.
pub(super) fn file_type(kind: FileKind) -> FileType {
    match kind {
        FileKind::File => FileType::RegularFile,
        FileKind::Directory => FileType::Directory,
        FileKind::Symlink => FileType::Symlink,
        FileKind::Fifo => FileType::NamedPipe,
        FileKind::Socket => FileType::Socket,
        FileKind::CharDevice => FileType::CharDevice,
        FileKind::BlockDevice => FileType::BlockDevice,
    }
}

/// The kernel's form of a node's attributes.
pub(super) fn file_attr(found: &NodeAttributes) -> FileAttr {
    let attributes = &found.attributes;
    let permissions = attributes.mode & MODE_PERMISSION_BITS;
    FileAttr {
        ino: INodeNo(found.node.0),
        size: found.size,
        blocks: found.size.div_ceil(STAT_BLOCK_BYTES),
        atime: attributes.atime.into(),
        mtime: attributes.mtime.into(),
        ctime: attributes.ctime.into(),
        crtime: attributes.ctime.into(),
        kind: file_type(found.kind),
        perm: u16::try_from(permissions).expect("twelve bits"),
        nlink: found.links,
        uid: attributes.uid,
        gid: attributes.gid,
        rdev: attributes.rdev,
        blksize: PREFERRED_IO_BYTES,
        flags: 0,
    }
}

/// Attributes with node number 0: as the answer to a lookup "there is no such name, and you may believe it for a while",
/// as an entry of readdirplus "I say nothing about this one".
pub(super) fn missing(kind: Option<FileKind>) -> FileAttr {
    FileAttr {
        ino: INodeNo(0),
        size: 0,
        blocks: 0,
        atime: SystemTime::UNIX_EPOCH,
        mtime: SystemTime::UNIX_EPOCH,
        ctime: SystemTime::UNIX_EPOCH,
        crtime: SystemTime::UNIX_EPOCH,
        kind: file_type(kind.unwrap_or(FileKind::File)),
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: PREFERRED_IO_BYTES,
        flags: 0,
    }
}

/// How long a missing name may be believed in; nothing if not at all, and a plain ENOENT says it shorter.
pub(super) fn entry_ttl(ttl: Duration) -> Option<Duration> {
    (!ttl.is_zero()).then_some(ttl)
}

/// Permission bits of what is created. The kernel has applied the umask already (DONT_MASK is not asked for); once more
/// changes nothing, and the volume may rely on it.
pub(super) fn created_permissions(mode: u32, umask: u32) -> u32 {
    mode & MODE_PERMISSION_BITS & !umask
}

/// How a file is opened.
pub(super) fn open_mode(flags: OpenFlags) -> OpenMode {
    let bits = OFlags::from_bits_retain(flags.0.cast_unsigned());
    let access = flags.acc_mode();
    OpenMode {
        read: access != OpenAccMode::O_WRONLY,
        write: access != OpenAccMode::O_RDONLY,
        append: bits.contains(OFlags::APPEND),
        truncate: bits.contains(OFlags::TRUNC),
    }
}

/// Whether set-user-id and set-group-id go by a change of attributes: when somebody without CAP_FSETID cuts the content
/// (fuser does not hand on the bit that says so; who has it is nearly always root), and where the kernel sets nothing at
/// all, which is how it asks for it before a write and for a `chown` to nobody else.
pub(super) fn drops_privileges(set: &SetAttributes, uid: u32) -> bool {
    SetAttributes { handle: None, ..*set } == SetAttributes::default() || set.size.is_some() && uid != 0
}

/// What becomes of a range. `None` for what no object can do, such as to move what follows.
pub(super) fn allocate(mode: i32) -> Option<Allocate> {
    use rustix::fs::FallocateFlags as Flags;
    let keep_size = Flags::KEEP_SIZE;
    let how = match Flags::from_bits(mode.cast_unsigned())? {
        flags if flags.is_empty() => Allocate::Extend,
        flags if flags == keep_size => Allocate::Reserve,
        // Zeros beyond the end can't be kept for later.
        flags if flags == Flags::PUNCH_HOLE | keep_size || flags == Flags::ZERO_RANGE | keep_size => Allocate::Punch,
        flags if flags == Flags::ZERO_RANGE => Allocate::Zero,
        _ => return None,
    };
    Some(how)
}

/// What is looked for. The kernel knows the other ways to seek itself.
pub(super) fn seek(whence: i32) -> Option<Seek> {
    const SEEK_DATA: i32 = 3;
    const SEEK_HOLE: i32 = 4;
    match whence {
        SEEK_DATA => Some(Seek::Data),
        SEEK_HOLE => Some(Seek::Hole),
        _ => None,
    }
}

/// A time to set.
pub(super) fn set_time(time: TimeOrNow) -> SetTime {
    match time {
        TimeOrNow::Now => SetTime::Now,
        TimeOrNow::SpecificTime(time) => SetTime::At(time_set(time)),
    }
}

/// The time that the kernel meant. fuser 0.18 subtracts the nanoseconds of a time before 1970 instead of adding them
/// (`time::system_time_from_time`): -1.2 s, which is -2 s + 0.8 s, arrives as -2.8 s. Seconds and nanoseconds are still
/// told apart by that, so it is undone here. Look again when fuser changes: `touch -d @-1.2` on a mount must show -1.2.
fn time_set(time: SystemTime) -> Timestamp {
    const NANOS: i128 = 1_000_000_000;
    let nanoseconds = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i128::from(after.as_secs()) * NANOS + i128::from(after.subsec_nanos()),
        Err(error) => {
            let before = error.duration();
            -i128::from(before.as_secs()) * NANOS + i128::from(before.subsec_nanos())
        }
    };
    let limit = if nanoseconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_nanosecond(nanoseconds).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ossfs_types::Attributes;
    use ossfs_volume::NodeId;

    fn node(kind: FileKind, size: u64, mtime: Timestamp) -> NodeAttributes {
        let attributes = Attributes {
            mode: 0o4755,
            uid: 1000,
            gid: 100,
            atime: Timestamp::UNIX_EPOCH,
            mtime,
            ctime: mtime,
            rdev: 0,
        };
        NodeAttributes { node: NodeId(42), kind, size, links: 1, attributes, ttl: Duration::from_secs(60) }
    }

    #[test]
    fn attributes_keep_every_bit() {
        let mtime = Timestamp::new(1_700_000_000, 123_456_789).unwrap();
        let attr = file_attr(&node(FileKind::File, 1025, mtime));
        assert_eq!((attr.ino.0, attr.size, attr.blocks, attr.perm), (42, 1025, 3, 0o4755));
        assert_eq!((attr.uid, attr.gid, attr.nlink, attr.kind), (1000, 100, 1, FileType::RegularFile));
        let since = attr.mtime.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!((since.as_secs(), since.subsec_nanos()), (1_700_000_000, 123_456_789));
        assert_eq!(file_attr(&node(FileKind::Symlink, 0, mtime)).blocks, 0);
    }

    #[test]
    fn times_before_1970_go_out_as_they_are() {
        let mtime = Timestamp::from_nanosecond(-1_200_000_000).unwrap();
        let attr = file_attr(&node(FileKind::File, 0, mtime));
        let before = SystemTime::UNIX_EPOCH.duration_since(attr.mtime).unwrap();
        assert_eq!(before, Duration::from_millis(1200));
    }

    #[test]
    fn times_before_1970_come_in_as_they_were_meant() {
        // What fuser makes of -2 s + 0.8 s.
        let told = SystemTime::UNIX_EPOCH - Duration::new(2, 800_000_000);
        assert_eq!(time_set(told), Timestamp::from_nanosecond(-1_200_000_000).unwrap());
        let told = SystemTime::UNIX_EPOCH - Duration::new(5, 0);
        assert_eq!(time_set(told), Timestamp::from_second(-5).unwrap());
        let told = SystemTime::UNIX_EPOCH + Duration::new(5, 1);
        assert_eq!(time_set(told), Timestamp::new(5, 1).unwrap());
    }

    #[test]
    fn times_no_calendar_has_are_the_last_it_has() {
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(i64::MAX as u64);
        assert_eq!(time_set(far), Timestamp::MAX);
        let far = SystemTime::UNIX_EPOCH - Duration::from_secs(i64::MAX as u64);
        assert_eq!(time_set(far), Timestamp::MIN);
    }

    #[test]
    fn open_flags_are_understood() {
        let mode = |flags: OFlags| open_mode(OpenFlags(flags.bits().cast_signed()));
        let read = OpenMode { read: true, ..OpenMode::default() };
        let write = OpenMode { write: true, ..OpenMode::default() };
        assert_eq!(mode(OFlags::RDONLY | OFlags::NOFOLLOW), read);
        assert_eq!(mode(OFlags::WRONLY), write);
        assert_eq!(mode(OFlags::RDWR), OpenMode { read: true, ..write });
        assert_eq!(mode(OFlags::WRONLY | OFlags::APPEND), OpenMode { append: true, ..write });
        assert_eq!(mode(OFlags::WRONLY | OFlags::TRUNC), OpenMode { truncate: true, ..write });
    }

    #[test]
    fn privileges_go_with_the_content_and_when_nothing_is_set() {
        let drops = |set: SetAttributes, uid| drops_privileges(&set, uid);
        let cut = SetAttributes { size: Some(1), ..SetAttributes::default() };
        assert!(drops(cut, 1000) && !drops(cut, 0));
        assert!(drops(SetAttributes::default(), 1000) && drops(SetAttributes::default(), 0));
        assert!(!drops(SetAttributes { mode: Some(0o4755), ..SetAttributes::default() }, 1000));
    }

    #[test]
    fn ways_to_allocate_are_understood() {
        let rows = [
            (0, Some(Allocate::Extend)),
            (1, Some(Allocate::Reserve)),
            (3, Some(Allocate::Punch)),
            (0x10, Some(Allocate::Zero)),
            (0x11, Some(Allocate::Punch)),
            (2, None),
            (8, None),
            (0x20, None),
            (0x40, None),
            (-1, None),
        ];
        for (mode, how) in rows {
            assert_eq!(allocate(mode), how, "{mode:#x}");
        }
    }

    #[test]
    fn the_umask_takes_bits_away_and_no_kind_gets_through() {
        assert_eq!(created_permissions(0o100_666, 0o027), 0o640);
        assert_eq!(created_permissions(0o042_777, 0), 0o2777);
    }
}
