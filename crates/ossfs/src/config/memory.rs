//! How much memory this process may use.

use std::path::{Path, PathBuf};

/// Bytes that this process may use: the machine's memory, or less where a control group says so. A container that is
/// killed for what was taken beyond it loses what was not uploaded yet.
pub(super) fn allowed_bytes() -> u64 {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limit = least_limit(Path::new("/sys/fs/cgroup"), &groups);
    limit.unwrap_or(u64::MAX).min(machine_bytes())
}

fn machine_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit))
}

/// The least limit of the groups that `/proc/self/cgroup` names and of those that they lie in, of both versions of control
/// groups.
fn least_limit(root: &Path, groups: &str) -> Option<u64> {
    groups.lines().filter_map(|line| limit_of(root, line)).min()
}

/// A line is `0::/path` (version 2) or `number:controllers:/path` (version 1).
fn limit_of(root: &Path, line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(":/")?;
    let (root, file) = match controllers {
        "" => (root.to_owned(), "memory.max"),
        _ if controllers.split(',').any(|controller| controller == "memory") => {
            (root.join("memory"), "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let mut directory: PathBuf = root.join(path);
    let mut least = None;
    loop {
        let limit = std::fs::read_to_string(directory.join(file)).ok();
        let limit = limit.and_then(|text| text.trim().parse::<u64>().ok());
        least = [least, limit].into_iter().flatten().min();
        if directory == root || !directory.pop() || !directory.starts_with(&root) {
            return least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_all_groups_counts() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        let set = |directory: &Path, text: &str| std::fs::write(directory.join("memory.max"), text).unwrap();
        assert_eq!(least_limit(root.path(), "0::/a/b\n"), None);
        set(&inner, "max\n");
        set(&root.path().join("a"), "268435456\n");
        set(root.path(), "1073741824\n");
        assert_eq!(least_limit(root.path(), "0::/a/b\n"), Some(256 << 20));
        assert_eq!(least_limit(root.path(), "0::/\n"), Some(1 << 30));
        assert_eq!(least_limit(root.path(), "1:cpu:/a\n"), None);
        let first = root.path().join("memory/c");
        std::fs::create_dir_all(&first).unwrap();
        std::fs::write(first.join("memory.limit_in_bytes"), "134217728\n").unwrap();
        assert_eq!(least_limit(root.path(), "4:cpu:/c\n3:memory:/c\n0::/a/b\n"), Some(128 << 20));
        assert!(allowed_bytes() > 0);
    }
}
