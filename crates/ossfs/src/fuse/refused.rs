//! What the volume has no verb for, and the errno that makes programs do without it.
//!
//! ENOSYS is remembered by the kernel for the whole mount: it never asks again and does the next best thing by itself. It
//! is therefore right for what no file here has, and wrong for anything that only some files refuse. It is what fuser
//! answers to the calls that the adapter leaves out:
//!
//! | left out | what the kernel does from then on |
//! |---|---|
//! | `poll` | says always ready, as for every regular file |
//! | `access` | nothing: it never comes, because of `default_permissions` |
//! | `getlk`, `setlk` | nothing: they never come, because locks are kept local |
//! | `bmap` | nothing: it only comes for block devices |

use fuser::Errno;

/// Not remembered; what programs that try (`isatty`, FICLONE of `cp`) take for "no such thing here".
pub(super) const IOCTL: Errno = Errno::ENOTTY;
