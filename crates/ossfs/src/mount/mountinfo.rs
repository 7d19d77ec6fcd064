//! What is mounted where, from the text of `/proc/self/mountinfo`: asking a mountpoint itself may never return.

use anyhow::{Context, Result};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

const TABLE: &str = "/proc/self/mountinfo";

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// `major:minor`, as in `/sys/class/bdi`.
    pub(crate) device: String,
    /// Where.
    pub(crate) mountpoint: PathBuf,
    /// Its type, as `fuse.ossfs`.
    pub(crate) file_system: String,
    /// The options of the file system, as `rw,user_id=0`.
    pub(crate) options: String,
}

impl Mount {
    /// Whether it is one of ours.
    pub(crate) fn is_ossfs(&self) -> bool {
        self.file_system == super::FILE_SYSTEM
    }

    /// The user who mounted it, of FUSE mounts.
    pub(crate) fn user(&self) -> Option<u32> {
        let found = self.options.split(',').find_map(|option| option.strip_prefix("user_id="))?;
        found.parse().ok()
    }
}

/// What is on top at `mountpoint`, if anything.
pub(crate) fn at(mountpoint: &Path) -> Result<Option<Mount>> {
    let table = std::fs::read(TABLE).with_context(|| format!("cannot read {TABLE}"))?;
    Ok(find(&table, mountpoint))
}

/// Later lines lie on top of earlier ones.
fn find(table: &[u8], mountpoint: &Path) -> Option<Mount> {
    table.split(|byte| *byte == b'\n').rev().filter_map(parse).find(|mount| mount.mountpoint == mountpoint)
}

/// A line is `id parent major:minor root mountpoint options [optional …] - type source superoptions`.
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = text(fields.nth(2)?);
    let mountpoint = PathBuf::from(OsString::from_vec(unescape(fields.nth(1)?)));
    let mut after = fields.skip_while(|field| *field != b"-").skip(1);
    let file_system = text(&unescape(after.next()?));
    let options = text(after.nth(1)?);
    Some(Mount { device, mountpoint, file_system, options })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Space, tab, newline and backslash are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        match (first, octal(after)) {
            (b'\\', Some(byte)) => {
                plain.push(byte);
                rest = &after[3..];
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

/// The byte that the first three octal digits tell.
fn octal(digits: &[u8]) -> Option<u8> {
    let digits = digits.get(..3)?;
    digits.iter().try_fold(0_u8, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(digit - b'0'),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &[u8] = b"\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:35 / /mnt/a\\040b\\134c rw,nosuid,nodev,relatime shared:20 master:3 - fuse.ossfs ossfs rw,user_id=1000,group_id=1000
41 22 0:36 / /mnt/x rw - tmpfs tmpfs rw
42 41 0:37 / /mnt/x rw - fuse.ossfs ossfs rw,user_id=0,group_id=0,allow_other
broken line
";

    #[test]
    fn escaped_names_and_optional_fields_are_understood() {
        let found = find(SAMPLE, Path::new("/mnt/a b\\c")).unwrap();
        assert_eq!((found.device.as_str(), found.file_system.as_str()), ("0:35", "fuse.ossfs"));
        assert!(found.is_ossfs());
        assert_eq!(found.user(), Some(1000));
    }

    #[test]
    fn the_last_mount_lies_on_top() {
        assert_eq!(find(SAMPLE, Path::new("/mnt/x")).unwrap().device, "0:37");
        assert_eq!(find(SAMPLE, Path::new("/mnt")), None);
        assert_eq!(find(SAMPLE, Path::new("/")).unwrap().user(), None);
    }

    #[test]
    fn only_octal_escapes_are_escapes() {
        assert_eq!(unescape(b"a\\040b"), b"a b");
        assert_eq!(unescape(b"\\134040"), b"\\040");
        assert_eq!(unescape(b"\\9\\77\\777"), b"\\9\\77\\777");
        assert_eq!(unescape("\u{732b}\\011".as_bytes()), "\u{732b}\t".as_bytes());
    }

    #[test]
    fn the_table_of_this_machine_has_a_root() {
        assert!(at(Path::new("/")).unwrap().is_some());
    }
}
