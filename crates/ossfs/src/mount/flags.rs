//! The flags of mount(8) that a file system does not see: `ro`, `noexec`, `noatime` and their like.

use anyhow::{Result, bail};
use rustix::mount::MountFlags;

/// What a word does to the flags.
#[derive(Debug, Clone, Copy)]
enum Effect {
    Set(MountFlags),
    Clear(MountFlags),
}

const WORDS: &[(&str, Effect)] = &[
    ("ro", Effect::Set(MountFlags::RDONLY)),
    ("rw", Effect::Clear(MountFlags::RDONLY)),
    ("nosuid", Effect::Set(MountFlags::NOSUID)),
    ("suid", Effect::Clear(MountFlags::NOSUID)),
    ("nodev", Effect::Set(MountFlags::NODEV)),
    ("dev", Effect::Clear(MountFlags::NODEV)),
    ("noexec", Effect::Set(MountFlags::NOEXEC)),
    ("exec", Effect::Clear(MountFlags::NOEXEC)),
    ("noatime", Effect::Set(MountFlags::NOATIME)),
    ("atime", Effect::Clear(MountFlags::NOATIME)),
    ("nodiratime", Effect::Set(MountFlags::NODIRATIME)),
    ("diratime", Effect::Clear(MountFlags::NODIRATIME)),
    ("relatime", Effect::Set(MountFlags::RELATIME)),
    ("norelatime", Effect::Clear(MountFlags::RELATIME)),
    ("strictatime", Effect::Set(MountFlags::STRICTATIME)),
    ("nostrictatime", Effect::Clear(MountFlags::STRICTATIME)),
    ("lazytime", Effect::Set(MountFlags::LAZYTIME)),
    ("nolazytime", Effect::Clear(MountFlags::LAZYTIME)),
    ("sync", Effect::Set(MountFlags::SYNCHRONOUS)),
    ("async", Effect::Clear(MountFlags::SYNCHRONOUS)),
    ("dirsync", Effect::Set(MountFlags::DIRSYNC)),
];

/// Flags, both as mount(2) and as `fusermount3` take them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flags {
    bits: MountFlags,
    words: Vec<&'static str>,
}

impl Flags {
    /// The flags that `words` ask for, later ones winning; set-user-id programs and devices are off unless asked for.
    pub(crate) fn of(words: &[String], read_only: bool) -> Result<Self> {
        let mut flags = Self { bits: MountFlags::NOSUID | MountFlags::NODEV, words: Vec::new() };
        for word in words {
            let Some((known, effect)) = WORDS.iter().find(|(known, _)| known == word) else {
                bail!("`{word}` is no flag of a mount");
            };
            flags.apply(known, *effect);
        }
        if read_only {
            flags.apply("ro", Effect::Set(MountFlags::RDONLY));
        }
        Ok(flags)
    }

    fn apply(&mut self, word: &'static str, effect: Effect) {
        match effect {
            Effect::Set(bits) => self.bits |= bits,
            Effect::Clear(bits) => self.bits &= !bits,
        }
        if !self.words.contains(&word) {
            self.words.push(word);
        }
    }

    /// As mount(2) takes them.
    pub(super) fn bits(&self) -> MountFlags {
        self.bits
    }

    /// As `fusermount3 -o` takes them.
    pub(super) fn words(&self) -> &[&'static str] {
        &self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str], read_only: bool) -> Flags {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Flags::of(&words, read_only).unwrap()
    }

    #[test]
    fn a_mount_is_careful_unless_told_otherwise() {
        assert_eq!(of(&[], false).bits(), MountFlags::NOSUID | MountFlags::NODEV);
        assert_eq!(of(&["suid", "dev"], false).bits(), MountFlags::empty());
        assert!(of(&[], false).words().is_empty());
    }

    #[test]
    fn words_and_bits_say_the_same() {
        let flags = of(&["noexec", "noatime"], true);
        let careful = MountFlags::NOSUID | MountFlags::NODEV;
        assert_eq!(flags.bits(), careful | MountFlags::NOEXEC | MountFlags::NOATIME | MountFlags::RDONLY);
        assert_eq!(flags.words(), ["noexec", "noatime", "ro"]);
        assert_eq!(of(&["ro", "rw"], false).bits(), careful);
    }

    #[test]
    fn other_words_are_refused() {
        assert!(Flags::of(&["fd=3".to_owned()], false).is_err());
    }
}
