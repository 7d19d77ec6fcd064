//! The rows of the table: what does something, what once did, and what is for the kernel and mount(8).

mod formerly;
mod honoured;
mod mount;

use super::table::OptionRow;

/// In the order of the help.
pub(super) static TABLES: [&[OptionRow]; 3] = [honoured::ROWS, mount::ROWS, formerly::ROWS];
