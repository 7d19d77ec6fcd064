//! Mounting and unmounting as anyone: the set-user-id program `fusermount3`, or `fusermount` of FUSE 2.
//!
//! It mounts and hands the descriptor over a socket (SCM_RIGHTS) whose number the variable `_FUSE_COMMFD` tells. The socket
//! is its standard input, which needs no tampering with close-on-exec.

use super::{Flags, NAME};
use anyhow::{Context, Result, anyhow, bail};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use std::io::{ErrorKind, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const PROGRAMS: [&str; 2] = ["fusermount3", "fusermount"];
const SOCKET_VARIABLE: &str = "_FUSE_COMMFD";

/// The connection of a new mount.
pub(super) fn mount(mountpoint: &Path, allow_other: bool, flags: &Flags) -> Result<OwnedFd> {
    let (ours, its) = UnixStream::pair().context("cannot make a socket")?;
    let its = OwnedFd::from(its);
    let child = start(|command| {
        let socket = its.try_clone()?;
        command.arg("-o").arg(options(allow_other, flags)).arg("--").arg(mountpoint);
        command.env(SOCKET_VARIABLE, "0").stdin(Stdio::from(socket));
        Ok(())
    })?;
    // Else its end would stay open here, and a program that fails without a word would be waited for.
    drop(its);
    let connection = receive(&ours);
    let output = child.wait_with_output().context("cannot wait for fusermount3")?;
    match connection {
        Ok(Some(connection)) if output.status.success() => Ok(connection),
        Ok(_) => Err(explain(&String::from_utf8_lossy(&output.stderr), mountpoint)),
        Err(error) => Err(error).context("cannot receive the descriptor of fusermount3"),
    }
}

/// Unmounts; `Err` is what the program said.
pub(super) fn unmount(mountpoint: &Path, lazy: bool) -> Result<Result<(), String>> {
    let child = start(|command| {
        command.arg("-u");
        if lazy {
            command.arg("-z");
        }
        command.arg("--").arg(mountpoint).stdin(Stdio::null());
        Ok(())
    })?;
    let output = child.wait_with_output().context("cannot wait for fusermount3")?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    Ok(Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Starts the first of the programs that is there. What it says is kept, in the language we look for words in.
fn start(arguments: impl Fn(&mut Command) -> std::io::Result<()>) -> Result<Child> {
    for program in PROGRAMS {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").stdout(Stdio::null()).stderr(Stdio::piped());
        arguments(&mut command).context("cannot make a socket")?;
        match command.spawn() {
            Ok(child) => return Ok(child),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot run {program}")),
        }
    }
    bail!(
        "there is no fusermount3, without which only root can mount: install the package `fuse3` (`apt install fuse3`, \
         `yum install fuse3`)"
    )
}

fn options(allow_other: bool, flags: &Flags) -> String {
    let mut options = format!("fsname={NAME},subtype={NAME},default_permissions");
    if allow_other {
        options.push_str(",allow_other");
    }
    for word in flags.words() {
        options.push(',');
        options.push_str(word);
    }
    options
}

/// The descriptor that comes with one byte; nothing if the other side closed without one.
fn receive(socket: &UnixStream) -> rustix::io::Result<Option<OwnedFd>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    loop {
        match rustix::net::recvmsg(
            socket.as_fd(),
            &mut [IoSliceMut::new(&mut byte)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        ) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    let received = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok(received)
}

/// What `fusermount3` said, as what to do about it.
fn explain(said: &str, mountpoint: &Path) -> anyhow::Error {
    let shown = mountpoint.display();
    let said = said.trim();
    if said.contains("user_allow_other") {
        return anyhow!("`allow_other` is only for root until `user_allow_other` stands on a line in /etc/fuse.conf");
    }
    if said.contains("/dev/fuse") || said.contains("fuse device not found") {
        return anyhow!(
            "{said}: load the kernel module with `modprobe fuse`, or allow the device with `chmod 666 /dev/fuse`; a \
             container needs `--device /dev/fuse --cap-add SYS_ADMIN`"
        );
    }
    if said.contains("Operation not permitted") {
        return anyhow!(
            "mounting at {shown} is not permitted here ({said}): a container needs `--device /dev/fuse --cap-add SYS_ADMIN`"
        );
    }
    if said.contains("no write access to mountpoint") {
        return anyhow!("you may not write to {shown}, and only its owner may mount there");
    }
    if said.is_empty() {
        return anyhow!("fusermount3 could not mount at {shown} and did not say why");
    }
    anyhow!("cannot mount at {shown}: {said}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
    use std::io::{IoSlice, Read, Write};

    #[test]
    fn the_program_gets_name_type_and_flags() {
        let flags = Flags::of(&["noexec".to_owned()], true).unwrap();
        assert_eq!(options(false, &flags), "fsname=ossfs,subtype=ossfs,default_permissions,noexec,ro");
        let none = Flags::of(&[], false).unwrap();
        assert_eq!(options(true, &none), "fsname=ossfs,subtype=ossfs,default_permissions,allow_other");
    }

    #[test]
    fn a_descriptor_comes_through_the_socket() {
        let (ours, its) = UnixStream::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let descriptors = [writer.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        rustix::net::sendmsg(&its, &[IoSlice::new(&[0])], &mut control, SendFlags::empty()).unwrap();
        let received = receive(&ours).unwrap().unwrap();
        drop(writer);
        std::fs::File::from(received).write_all(b"through").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn a_socket_closed_without_a_descriptor_is_noticed() {
        let (ours, its) = UnixStream::pair().unwrap();
        drop(its);
        assert!(receive(&ours).unwrap().is_none());
    }

    #[test]
    fn what_it_says_becomes_what_to_do() {
        let at = Path::new("/mnt/oss");
        let said = "fusermount3: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf\n";
        assert!(explain(said, at).to_string().starts_with("`allow_other` is only for root"));
        let said = "fusermount3: failed to open /dev/fuse: Permission denied\n";
        assert!(explain(said, at).to_string().contains("chmod 666 /dev/fuse"));
        assert!(explain("", at).to_string().contains("did not say why"));
    }
}
