//! What the kernel and this file system agree on when a mount begins.

use fuser::{InitFlags, KernelConfig};

/// Largest write and read request: what the kernel allows at most without raising `fs.fuse.max_pages_limit` (256 pages).
const REQUEST_BYTES_MAX: u32 = 1 << 20;
/// Read-ahead requests in flight, at most. The kernel's default of 12 starves a store whose first byte takes 30 ms: 64
/// requests of 128 KiB are 8 MiB, about what fills a fast line in that time.
const BACKGROUND_MAX: u16 = 64;

/// Wanted where the kernel has it. Not wanted: WRITEBACK_CACHE (loses 27 % on large writes and hides them from the
/// volume), POSIX_LOCKS and FLOCK_LOCKS (the kernel keeps locks local, and fuser does not tell the two apart).
///
/// HANDLE_KILLPRIV_V2 is wanted for what comes with it: without it the kernel asks for the attribute `security.capability`
/// before every write. In return set-user-id and set-group-id are cleared by us.
///
/// Not wanted: ATOMIC_O_TRUNC, by which a file is cut before the kernel sees that it is a program that runs (ETXTBSY).
const WANTED: [InitFlags; 8] = [
    InitFlags::FUSE_ASYNC_READ,
    InitFlags::FUSE_AUTO_INVAL_DATA,
    InitFlags::FUSE_BIG_WRITES,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_HANDLE_KILLPRIV_V2,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_PARALLEL_DIROPS,
];

/// Chooses among what the kernel offers.
pub(super) fn choose(config: &mut KernelConfig) {
    for flag in WANTED {
        if let Err(missing) = config.add_capabilities(flag) {
            tracing::debug!("the kernel has no {missing:?}");
        }
    }
    // Each setter says the nearest allowed value if it refuses, and the value before if it does not.
    if let Err(nearest) = config.set_max_write(REQUEST_BYTES_MAX) {
        let _ = config.set_max_write(nearest);
    }
    if let Err(largest) = config.set_max_readahead(u32::MAX) {
        let _ = config.set_max_readahead(largest);
    }
    let _ = config.set_max_background(BACKGROUND_MAX);
}
