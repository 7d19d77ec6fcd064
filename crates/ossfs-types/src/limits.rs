//! What OSS allows. Sizes are in bytes; OSS's KB, MB and GB are powers of 1,024.

/// Longest key, in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 1023;
/// All `x-oss-meta-*` of one object together: names and values.
pub const USER_METADATA_BYTES_MAX: usize = 8 * 1024;
/// Largest body of one PutObject.
pub const PUT_BYTES_MAX: u64 = 5 << 30;
/// Largest appendable object.
pub const APPENDABLE_BYTES_MAX: u64 = 5 << 30;
/// Smallest part of a multipart upload, except the last.
pub const PART_BYTES_MIN: u64 = 100 << 10;
/// Largest part of a multipart upload.
pub const PART_BYTES_MAX: u64 = 5 << 30;
/// Highest part number; the lowest is 1.
pub const PART_NUMBER_MAX: u32 = 10_000;
/// Largest object: 10,000 parts of 5 GiB, 48.8 TB in OSS's counting.
pub const OBJECT_BYTES_MAX: u64 = PART_NUMBER_MAX as u64 * PART_BYTES_MAX;
/// Most entries of one page of a listing.
pub const LIST_KEYS_MAX: usize = 1000;
/// Most keys of one DeleteMultipleObjects.
pub const DELETE_KEYS_MAX: usize = 1000;

const _: () = assert!(PART_BYTES_MIN <= PART_BYTES_MAX);
const _: () = assert!(PUT_BYTES_MAX <= OBJECT_BYTES_MAX);
