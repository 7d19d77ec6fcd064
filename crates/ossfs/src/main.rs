//! ossfs.
fn main() {}
