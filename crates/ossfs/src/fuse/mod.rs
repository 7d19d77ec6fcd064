//! The kernel's calls, handed on to the volume: decode, call, reply.
//!
//! This layer has no opinions: what a call means is decided in `ossfs-volume`, how long it may take and how it is logged
//! in [`call`]. What the volume has no verb for is refused with the errno that makes programs do without it: see [`refused`],
//! also for the calls that are absent here on purpose.

mod attributes;
mod call;
mod capabilities;
mod directory;
mod handles;
mod refused;
mod xattrs;

use crate::fuse::attributes::{
    allocate, created_permissions, drops_privileges, entry_ttl, file_attr, missing, open_mode, seek, set_time,
};
use crate::fuse::call::{Call, Calls, Limit};
use crate::fuse::handles::Handles;
use bytes::Bytes;
use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, IoctlFlags,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr,
    Request, TimeOrNow, WriteFlags,
};
use ossfs_types::{FileKind, MODE_PERMISSION_BITS};
use ossfs_volume::{Caller, HandleId, Lookup, NodeAttributes, NodeId, Opened, SetAttributes, Volume};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;

/// Node numbers are never given twice as long as a volume is open, so one generation serves all.
const GENERATION: Generation = Generation(0);

/// Most bytes of one copy: what fits into the reply, in whole pages, as the kernel itself rounds.
const COPIED_BYTES_MAX: u64 = u32::MAX as u64 & !0xfff;

/// A volume as the kernel sees it.
pub(crate) struct Adapter {
    volume: Volume,
    calls: Calls,
    handles: Arc<Handles>,
    /// How many entries the last readdirplus reply took: what is asked for next time.
    entries_taken: Arc<AtomicUsize>,
}

impl Adapter {
    /// Answers with `volume`, on `runtime` where it can't at once; what takes longer than `deadline` fails with EIO.
    pub(crate) fn new(volume: Volume, runtime: Handle, deadline: Duration) -> Self {
        let entries_taken = Arc::new(AtomicUsize::new(directory::ENTRIES_FIRST));
        Self { volume, calls: Calls::new(runtime, deadline), handles: Arc::default(), entries_taken }
    }
}

fn node(ino: INodeNo) -> NodeId {
    NodeId(ino.0)
}

fn handle(file: FileHandle) -> HandleId {
    HandleId(file.0)
}

fn caller(request: &Request) -> Caller {
    Caller { uid: request.uid(), gid: request.gid() }
}

fn open_flags(opened: &Opened) -> FopenFlags {
    if opened.keep_cache { FopenFlags::FOPEN_KEEP_CACHE } else { FopenFlags::empty() }
}

fn reply_entry(reply: ReplyEntry, found: NodeAttributes) {
    reply.entry(&found.ttl, &file_attr(&found), GENERATION);
}

fn reply_attributes(reply: ReplyAttr, found: NodeAttributes) {
    reply.attr(&found.ttl, &file_attr(&found));
}

impl Filesystem for Adapter {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        capabilities::choose(config);
        Ok(())
    }

    fn destroy(&mut self) {
        let _context = self.calls.context();
        self.handles.release_all(&self.volume);
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let call = Call::named("lookup", parent, name);
        let (volume, name) = (self.volume.clone(), name.to_owned());
        let work = async move { volume.lookup(node(parent), &name).await };
        self.calls.run(call, Limit::Deadline, reply, work, |reply, found| match found {
            Lookup::Found(found) => reply_entry(reply, found),
            Lookup::Missing { ttl } => match entry_ttl(ttl) {
                Some(ttl) => reply.entry(&ttl, &missing(None), GENERATION),
                None => reply.error(Errno::ENOENT),
            },
        });
    }

    // fuser's batch_forget calls this for each node.
    fn forget(&self, _request: &Request, ino: INodeNo, count: u64) {
        let _context = self.calls.context();
        self.volume.forget(node(ino), count);
    }

    fn getattr(&self, _request: &Request, ino: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        let volume = self.volume.clone();
        let work = async move { volume.attributes(node(ino)).await };
        self.calls.run(Call::of("getattr", ino), Limit::Deadline, reply, work, reply_attributes);
    }

    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        file: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = SetAttributes {
            mode: mode.map(|mode| mode & MODE_PERMISSION_BITS),
            uid,
            gid,
            size,
            handle: file.map(handle),
            atime: atime.map(set_time),
            mtime: mtime.map(set_time),
            drop_privileges: false,
        };
        let set = SetAttributes { drop_privileges: drops_privileges(&set, request.uid()), ..set };
        let call = Call::detailed("setattr", ino, || format!("{set:?}"));
        let volume = self.volume.clone();
        let work = async move { volume.set_attributes(node(ino), set).await };
        self.calls.run(call, Limit::Deadline, reply, work, reply_attributes);
    }

    fn readlink(&self, _request: &Request, ino: INodeNo, reply: ReplyData) {
        let volume = self.volume.clone();
        let work = async move { volume.read_link(node(ino)).await };
        self.calls.run(Call::of("readlink", ino), Limit::Deadline, reply, work, |reply, target| reply.data(&target));
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        // No bits mean a regular file, as mknod(2) has it.
        let kind = FileKind::of_mode(mode).unwrap_or(FileKind::File);
        let call = Call::named("mknod", parent, name);
        let permissions = created_permissions(mode, umask);
        let (volume, name, caller) = (self.volume.clone(), name.to_owned(), caller(request));
        let work = async move { volume.make_file(node(parent), &name, kind, permissions, rdev, caller).await };
        self.calls.run(call, Limit::Deadline, reply, work, reply_entry);
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let call = Call::named("mkdir", parent, name);
        let permissions = created_permissions(mode, umask);
        let (volume, name, caller) = (self.volume.clone(), name.to_owned(), caller(request));
        let work = async move { volume.make_directory(node(parent), &name, permissions, caller).await };
        self.calls.run(call, Limit::Deadline, reply, work, reply_entry);
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let call = Call::named("unlink", parent, name);
        let (volume, name) = (self.volume.clone(), name.to_owned());
        let work = async move { volume.unlink(node(parent), &name).await };
        self.calls.run(call, Limit::Deadline, reply, work, |reply, ()| reply.ok());
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let call = Call::named("rmdir", parent, name);
        let (volume, name) = (self.volume.clone(), name.to_owned());
        let work = async move { volume.remove_directory(node(parent), &name).await };
        self.calls.run(call, Limit::Deadline, reply, work, |reply, ()| reply.ok());
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let call = Call::named("symlink", parent, name);
        let (volume, name, target) = (self.volume.clone(), name.to_owned(), target.as_os_str().to_owned());
        let caller = caller(request);
        let work = async move { volume.make_symlink(node(parent), &name, &target, caller).await };
        self.calls.run(call, Limit::Deadline, reply, work, reply_entry);
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (exchange, no_replace) = match flags {
            RenameFlags::RENAME_EXCHANGE => (true, false),
            flags if (flags - RenameFlags::RENAME_NOREPLACE).is_empty() => (false, !flags.is_empty()),
            _ => return reply.error(Errno::EINVAL),
        };
        let call = Call::detailed("rename", parent, || format!("{name:?} -> {new_parent} {new_name:?} {flags}"));
        let (volume, name, new_name) = (self.volume.clone(), name.to_owned(), new_name.to_owned());
        let work = async move {
            let (parent, new_parent) = (node(parent), node(new_parent));
            match exchange {
                true => volume.exchange(parent, &name, new_parent, &new_name).await,
                false => volume.rename(parent, &name, new_parent, &new_name, no_replace).await,
            }
        };
        self.calls.run(call, Limit::Deadline, reply, work, |reply, ()| reply.ok());
    }

    fn link(&self, _request: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let call = Call::detailed("link", ino, || format!("{parent} {name:?}"));
        let (volume, name) = (self.volume.clone(), name.to_owned());
        let work = async move { volume.link(node(ino), node(parent), &name).await };
        self.calls.run(call, Limit::Deadline, reply, work, reply_entry);
    }

    fn open(&self, _request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let mode = open_mode(flags);
        let call = Call::detailed("open", ino, || format!("{mode:?}"));
        let (volume, handles) = (self.volume.clone(), Arc::clone(&self.handles));
        let work = async move { volume.open_file(node(ino), mode).await };
        self.calls.run(call, Limit::Deadline, reply, work, move |reply, opened| {
            handles.file_opened(opened.handle);
            reply.opened(FileHandle(opened.handle.0), open_flags(&opened));
        });
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let call = Call::named("create", parent, name);
        let (permissions, mode) = (created_permissions(mode, umask), open_mode(OpenFlags(flags)));
        let (volume, name, caller) = (self.volume.clone(), name.to_owned(), caller(request));
        let handles = Arc::clone(&self.handles);
        let work = async move { volume.create(node(parent), &name, permissions, mode, caller).await };
        self.calls.run(call, Limit::Deadline, reply, work, move |reply, (made, opened)| {
            handles.file_opened(opened.handle);
            let flags = open_flags(&opened);
            reply.created(&made.ttl, &file_attr(&made), GENERATION, FileHandle(opened.handle.0), flags);
        });
    }

    fn read(
        &self,
        _request: &Request,
        ino: INodeNo,
        file: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let call = Call::detailed("read", ino, || format!("{size} bytes at {offset}"));
        let volume = self.volume.clone();
        let work = async move { volume.read(handle(file), offset, size as usize).await };
        self.calls.run(call, Limit::Deadline, reply, work, |reply, bytes| reply.data(&bytes));
    }

    fn write(
        &self,
        _request: &Request,
        ino: INodeNo,
        file: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        if write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID) {
            self.volume.drop_privileges(node(ino));
        }
        let call = Call::detailed("write", ino, || format!("{} bytes at {offset}", data.len()));
        // Borrowed from the thread's buffer, which the next request overwrites.
        let (volume, bytes) = (self.volume.clone(), Bytes::copy_from_slice(data));
        let work = async move { volume.write(handle(file), offset, bytes).await };
        self.calls.run(call, Limit::Progress, reply, work, |reply, written| {
            reply.written(u32::try_from(written).expect("no more than was given, and that fits one request"));
        });
    }

    fn flush(&self, _request: &Request, ino: INodeNo, file: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        let volume = self.volume.clone();
        let work = async move { volume.flush(handle(file)).await };
        self.calls.run(Call::of("flush", ino), Limit::Progress, reply, work, |reply, ()| reply.ok());
    }

    fn release(
        &self,
        _request: &Request,
        _ino: INodeNo,
        file: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let _context = self.calls.context();
        self.handles.file_released(handle(file));
        self.volume.release(handle(file));
        reply.ok();
    }

    fn fsync(&self, _request: &Request, ino: INodeNo, file: FileHandle, _data_only: bool, reply: ReplyEmpty) {
        let volume = self.volume.clone();
        let work = async move { volume.sync_file(handle(file)).await };
        self.calls.run(Call::of("fsync", ino), Limit::Progress, reply, work, |reply, ()| reply.ok());
    }

    fn fallocate(
        &self,
        _request: &Request,
        ino: INodeNo,
        file: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let call = Call::detailed("fallocate", ino, || format!("{mode:#x}: {length} bytes at {offset}"));
        let Some(how) = allocate(mode) else {
            call.refused("no such way to allocate");
            return reply.error(Errno::EOPNOTSUPP);
        };
        let volume = self.volume.clone();
        let work = async move { volume.allocate(handle(file), offset, length, how).await };
        self.calls.run(call, Limit::Progress, reply, work, |reply, ()| reply.ok());
    }

    fn lseek(&self, _request: &Request, ino: INodeNo, file: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let call = Call::detailed("lseek", ino, || format!("{whence} from {offset}"));
        let (Some(what), Ok(offset)) = (seek(whence), u64::try_from(offset)) else {
            call.refused("only data and holes are looked for, from the beginning on");
            return reply.error(Errno::EINVAL);
        };
        let volume = self.volume.clone();
        let work = async move { volume.seek(handle(file), offset, what) };
        self.calls.run(call, Limit::Deadline, reply, work, |reply, found| {
            reply.offset(i64::try_from(found).expect("a file is not that long"));
        });
    }

    fn copy_file_range(
        &self,
        _request: &Request,
        ino_in: INodeNo,
        fh_in: FileHandle,
        offset_in: u64,
        ino_out: INodeNo,
        fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let call = Call::detailed("copy_file_range", ino_in, || {
            format!("{len} bytes from {offset_in} to node {ino_out} at {offset_out}")
        });
        // The reply has 32 bits: who wants more asks again.
        let len = len.min(COPIED_BYTES_MAX);
        let volume = self.volume.clone();
        let work = async move { volume.copy_range(handle(fh_in), offset_in, handle(fh_out), offset_out, len).await };
        self.calls.run(call, Limit::Progress, reply, work, |reply, copied| {
            reply.written(u32::try_from(copied).expect("no more than was asked for, and that fits"));
        });
    }

    fn opendir(&self, _request: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let (volume, handles) = (self.volume.clone(), Arc::clone(&self.handles));
        let work = async move { volume.open_directory(node(ino)).await };
        self.calls.run(Call::of("opendir", ino), Limit::Deadline, reply, work, move |reply, opened| {
            handles.directory_opened(opened);
            reply.opened(FileHandle(opened.0), FopenFlags::empty());
        });
    }

    fn readdir(&self, _request: &Request, ino: INodeNo, file: FileHandle, offset: u64, reply: ReplyDirectory) {
        directory::plain(
            self,
            Call::detailed("readdir", ino, || format!("from {offset}")),
            handle(file),
            offset,
            reply,
        );
    }

    fn readdirplus(&self, _request: &Request, ino: INodeNo, file: FileHandle, offset: u64, reply: ReplyDirectoryPlus) {
        let call = Call::detailed("readdirplus", ino, || format!("from {offset}"));
        directory::with_attributes(self, call, handle(file), offset, reply);
    }

    fn releasedir(&self, _request: &Request, _ino: INodeNo, file: FileHandle, _flags: OpenFlags, reply: ReplyEmpty) {
        let _context = self.calls.context();
        self.handles.directory_released(handle(file));
        self.volume.release_directory(handle(file));
        reply.ok();
    }

    fn fsyncdir(&self, _request: &Request, ino: INodeNo, file: FileHandle, _data_only: bool, reply: ReplyEmpty) {
        let volume = self.volume.clone();
        let work = async move { volume.sync_directory(handle(file)).await };
        self.calls.run(Call::of("fsyncdir", ino), Limit::Progress, reply, work, |reply, ()| reply.ok());
    }

    fn statfs(&self, _request: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let stat = self.volume.stat();
        reply.statfs(
            stat.blocks,
            stat.blocks_free,
            stat.blocks_free,
            stat.files,
            stat.files_free,
            stat.block_bytes,
            stat.name_bytes_max,
            stat.block_bytes,
        );
    }

    fn setxattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        xattrs::set(self, ino, name, value, flags, reply);
    }

    fn getxattr(&self, _request: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        xattrs::get(self, ino, name, size, reply);
    }

    fn listxattr(&self, _request: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        xattrs::list(self, ino, size, reply);
    }

    fn removexattr(&self, _request: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        xattrs::remove(self, ino, name, reply);
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(refused::IOCTL);
    }
}
