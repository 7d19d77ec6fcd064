//! Extended attributes, to and from the kernel's.
//!
//! A reply goes into a buffer of a size that the kernel names: 0 asks how large it would have to be.

use crate::fuse::call::{Call, Limit};
use crate::fuse::{Adapter, node};
use fuser::{Errno, INodeNo, ReplyEmpty, ReplyXattr};
use ossfs_volume::SetXattr;
use rustix::fs::XattrFlags;
use std::ffi::OsStr;

/// Sets one.
pub(super) fn set(adapter: &Adapter, ino: INodeNo, name: &OsStr, value: &[u8], flags: i32, reply: ReplyEmpty) {
    let flags = XattrFlags::from_bits_retain(flags.cast_unsigned());
    let set = if flags.contains(XattrFlags::CREATE) {
        SetXattr::Create
    } else if flags.contains(XattrFlags::REPLACE) {
        SetXattr::Replace
    } else {
        SetXattr::Always
    };
    let call = Call::named("setxattr", ino, name);
    let (volume, name, value) = (adapter.volume.clone(), name.to_owned(), value.to_vec());
    let work = async move { volume.set_xattr(node(ino), &name, &value, set).await };
    adapter.calls.run(call, Limit::Deadline, reply, work, |reply, ()| reply.ok());
}

/// The value of one.
pub(super) fn get(adapter: &Adapter, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
    let call = Call::named("getxattr", ino, name);
    let (volume, name) = (adapter.volume.clone(), name.to_owned());
    let work = async move { volume.xattr(node(ino), &name).await };
    adapter.calls.run(call, Limit::Deadline, reply, work, move |reply, value| answer(reply, &value, size));
}

/// All names, each with a zero byte at its end.
pub(super) fn list(adapter: &Adapter, ino: INodeNo, size: u32, reply: ReplyXattr) {
    let volume = adapter.volume.clone();
    let work = async move { volume.xattr_names(node(ino)).await };
    adapter.calls.run(Call::of("listxattr", ino), Limit::Deadline, reply, work, move |reply, names| {
        let all: Vec<u8> = names.iter().flat_map(|name| name.bytes().chain([0])).collect();
        answer(reply, &all, size);
    });
}

/// Removes one.
pub(super) fn remove(adapter: &Adapter, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
    let call = Call::named("removexattr", ino, name);
    let (volume, name) = (adapter.volume.clone(), name.to_owned());
    let work = async move { volume.remove_xattr(node(ino), &name).await };
    adapter.calls.run(call, Limit::Deadline, reply, work, |reply, ()| reply.ok());
}

fn answer(reply: ReplyXattr, bytes: &[u8], size: u32) {
    let len = u32::try_from(bytes.len()).expect("they fit the metadata of one object");
    match size {
        0 => reply.size(len),
        size if size < len => reply.error(Errno::ERANGE),
        _ => reply.data(bytes),
    }
}
