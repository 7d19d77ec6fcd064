//! The words of mount(8) and fstab: what concerns the mount is passed to the kernel, the rest is for others.

use crate::options::table::{Group, Meaning, OptionRow};
use crate::options::typed::Typed;

/// A word that does something.
const fn word(name: &'static str, help: &'static str, set: fn(&mut Typed)) -> OptionRow {
    OptionRow { name, group: Group::Mount, help, default: "", meaning: Meaning::Word(set) }
}

const fn silent(name: &'static str) -> OptionRow {
    OptionRow { name, group: Group::Mount, help: "", default: "", meaning: Meaning::Silent }
}

const fn not_needed(name: &'static str, reason: &'static str) -> OptionRow {
    OptionRow { name, group: Group::Mount, help: "", default: "", meaning: Meaning::NotNeeded(reason) }
}

const fn refused(name: &'static str, reason: &'static str) -> OptionRow {
    OptionRow { name, group: Group::Mount, help: "", default: "", meaning: Meaning::Refused(reason) }
}

pub(super) static ROWS: &[OptionRow] = &[
    word("ro", "Read-only: every change fails with EROFS.", |typed| typed.read_only = Some(true)),
    word("rw", "Not read-only; so it is by default.", |typed| typed.read_only = Some(false)),
    word("nodev", "Device files are none; so it is by default.", |typed| typed.kernel.nodev = true),
    word("dev", "Device files are devices. For root alone.", |typed| typed.kernel.nodev = false),
    word("nosuid", "Set-user-id bits have no effect; so it is by default.", |typed| typed.kernel.nosuid = true),
    word("suid", "Set-user-id bits have their effect. For root alone.", |typed| typed.kernel.nosuid = false),
    word("noexec", "Nothing can be executed.", |typed| typed.kernel.noexec = true),
    word("exec", "Files can be executed; so it is by default.", |typed| typed.kernel.noexec = false),
    word("noatime", "Reading changes no access time.", |typed| typed.kernel.noatime = true),
    word("atime", "Reading changes access times, in memory only.", |typed| typed.kernel.noatime = false),
    word("nodiratime", "Reading a directory changes no access time.", |typed| typed.kernel.nodiratime = true),
    word("diratime", "Reading a directory changes its access time.", |typed| typed.kernel.nodiratime = false),
    word("sync", "Every write goes through at once.", |typed| typed.kernel.sync = true),
    word("async", "Writes are gathered; so it is by default.", |typed| typed.kernel.sync = false),
    word("dirsync", "Every change of a directory goes through at once.", |typed| typed.kernel.dirsync = true),
    refused("context", "labels of SELinux are not passed to the kernel: label the mount with a policy instead"),
    refused("fscontext", "labels of SELinux are not passed to the kernel: label the mount with a policy instead"),
    refused("defcontext", "labels of SELinux are not passed to the kernel: label the mount with a policy instead"),
    refused("rootcontext", "labels of SELinux are not passed to the kernel: label the mount with a policy instead"),
    silent("defaults"),
    silent("auto"),
    silent("noauto"),
    silent("user"),
    silent("nouser"),
    silent("users"),
    silent("owner"),
    silent("noowner"),
    silent("group"),
    silent("nogroup"),
    silent("_netdev"),
    silent("_rnetdev"),
    silent("nofail"),
    silent("fail"),
    silent("comment"),
    silent("x-*"),
    silent("X-*"),
    silent("uhelper"),
    silent("helper"),
    silent("silent"),
    silent("loud"),
    silent("relatime"),
    silent("norelatime"),
    silent("strictatime"),
    silent("nostrictatime"),
    silent("lazytime"),
    silent("nolazytime"),
    silent("mand"),
    silent("nomand"),
    silent("iversion"),
    silent("noiversion"),
    refused("remount", "unmount it and mount it anew"),
    not_needed("acl", "access control lists are not kept in OSS; owners and modes are"),
    not_needed("noacl", "access control lists are never used"),
];
