//! A control group that confines a process to so much memory: version 1 or 2, whichever this machine has.

use std::fs;
use std::path::{Path, PathBuf};

/// A group that is gone with the test.
pub(crate) struct Group {
    directory: PathBuf,
    peak: &'static str,
}

impl Group {
    /// A group with a limit; `None`, with the reason, where there can't be one.
    pub(crate) fn with_memory(bytes: u64) -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mounts").map_err(|error| error.to_string())?;
        let mut why = "no control groups for memory".to_owned();
        for line in mounts.lines() {
            let fields: Vec<_> = line.split(' ').collect();
            let [_, place, kind, options, ..] = fields[..] else { continue };
            let made = match kind {
                "cgroup" if options.split(',').any(|option| option == "memory") => {
                    Self::make(Path::new(place), "memory.limit_in_bytes", "memory.max_usage_in_bytes", bytes)
                }
                "cgroup2" => {
                    // Fails where it is so already, or where this group has processes: then so does what follows.
                    let _ = fs::write(Path::new(place).join("cgroup.subtree_control"), "+memory");
                    Self::make(Path::new(place), "memory.max", "memory.peak", bytes)
                }
                _ => continue,
            };
            match made {
                Ok(group) => return Ok(group),
                Err(error) => why = format!("{place}: {error}"),
            }
        }
        Err(why)
    }

    fn make(place: &Path, limit: &str, peak: &'static str, bytes: u64) -> std::io::Result<Self> {
        let directory = place.join(format!("ossfs-test-{}", std::process::id()));
        fs::create_dir(&directory)?;
        let group = Self { directory, peak };
        fs::write(group.directory.join(limit), bytes.to_string())?;
        Ok(group)
    }

    /// The file that a process writes its number to.
    pub(crate) fn processes(&self) -> PathBuf {
        self.directory.join("cgroup.procs")
    }

    /// The most bytes that it has used; `None` where the kernel does not tell.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        fs::read_to_string(self.directory.join(self.peak)).ok()?.trim().parse().ok()
    }

    /// Bytes of memory that belong to processes, not to the kernel's cache of files.
    pub(crate) fn stat(&self) -> String {
        fs::read_to_string(self.directory.join("memory.stat")).unwrap_or_default()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A killed process leaves it a moment later.
        for _ in 0..100 {
            if fs::remove_dir(&self.directory).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
