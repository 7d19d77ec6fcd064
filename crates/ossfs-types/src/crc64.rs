//! CRC-64/XZ, the checksum OSS computes of every object.

use crc_fast::{CrcAlgorithm, Digest, checksum, checksum_combine};
use std::fmt;

/// The CRC-64/XZ of some bytes. On the wire it is an unsigned decimal number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Crc64(u64);

impl Crc64 {
    /// The checksum of no bytes.
    pub const EMPTY: Self = Self(0);

    /// The checksum of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(checksum(CrcAlgorithm::Crc64Xz, bytes))
    }

    /// The checksum of these bytes followed by `next_len` bytes whose checksum is `next`.
    #[must_use]
    pub fn followed_by(self, next: Self, next_len: u64) -> Self {
        Self(checksum_combine(CrcAlgorithm::Crc64Xz, self.0, next.0, next_len))
    }

    /// The checksum that a number stands for, as OSS sends it.
    pub const fn from_u64(value: u64) -> Self {
        Self(value)
    }

    /// The number that OSS sends for it.
    pub const fn to_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Crc64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Crc64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crc64({})", self.0)
    }
}

/// Computes a [`Crc64`] piece by piece.
#[derive(Clone)]
pub struct Crc64Digest(Digest);

impl Crc64Digest {
    /// A digest of no bytes yet.
    pub fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc64Xz))
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all bytes so far.
    pub fn value(&self) -> Crc64 {
        Crc64(self.0.finalize())
    }
}

impl Default for Crc64Digest {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Crc64Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.value(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_check_value_of_the_standard() {
        assert_eq!(Crc64::of(b"123456789").to_u64(), 11051210869376104954);
        assert_eq!(Crc64::of(b""), Crc64::EMPTY);
    }

    /// Bit by bit, from the standard's definition: independent of the library and its SIMD paths.
    fn reference(bytes: &[u8]) -> u64 {
        let mut crc = !0u64;
        for byte in bytes {
            crc ^= u64::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xC96C_5795_D787_0F42 } else { crc >> 1 };
            }
        }
        !crc
    }

    proptest! {
        #[test]
        fn whole_pieces_and_combination_agree(
            bytes in proptest::collection::vec(any::<u8>(), 0..3000),
            cut in any::<prop::sample::Index>(),
        ) {
            let (head, tail) = bytes.split_at(cut.index(bytes.len() + 1));
            let mut digest = Crc64Digest::new();
            digest.update(head);
            digest.update(tail);
            prop_assert_eq!(Crc64::of(&bytes).to_u64(), reference(&bytes));
            prop_assert_eq!(digest.value(), Crc64::of(&bytes));
            prop_assert_eq!(Crc64::of(head).followed_by(Crc64::of(tail), tail.len() as u64), Crc64::of(&bytes));
        }
    }
}
