//! A checksum of a body: computed as the body passes, compared at its end.

use crate::error::{Code, OssError, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::CrcAlgorithm;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// One that is being computed.
#[derive(Debug)]
pub(super) struct Checksum {
    /// Of the header or trailer that says what it must be.
    name: String,
    digest: Running,
    /// `None` if it follows the body.
    expected: Option<Vec<u8>>,
    /// What a wrong one is called.
    mismatch: Code,
}

#[derive(Debug)]
enum Running {
    /// And how many bytes of the number are sent.
    Crc(crc_fast::Digest, usize),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Checksum {
    /// The one that a header or trailer of this name, in lower case, says the value of.
    pub(super) fn to_follow(name: &str) -> Result<Self> {
        let crc = |algorithm, bytes| Running::Crc(crc_fast::Digest::new(algorithm), bytes);
        let digest = match name {
            "x-amz-checksum-crc32" => crc(CrcAlgorithm::Crc32IsoHdlc, 4),
            "x-amz-checksum-crc32c" => crc(CrcAlgorithm::Crc32Iscsi, 4),
            "x-amz-checksum-crc64nvme" => crc(CrcAlgorithm::Crc64Nvme, 8),
            "x-amz-checksum-sha1" => Running::Sha1(Sha1::new()),
            "x-amz-checksum-sha256" => Running::Sha256(Sha256::new()),
            _ => {
                let message = format!("The checksum {name} is not known.");
                return Err(OssError::new(Code::InvalidRequest).message(message));
            }
        };
        Ok(Self { name: name.to_owned(), digest, expected: None, mismatch: Code::ContentChanged })
    }

    /// The SHA-256 that is part of the signature.
    pub(super) fn of_signature(hexadecimal: &str) -> Result<Self> {
        let expected = hex::decode(hexadecimal).ok().filter(|bytes| bytes.len() == 32);
        let expected = expected.ok_or_else(|| {
            let message = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, \
                STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-UNSIGNED-PAYLOAD-TRAILER or a SHA-256.";
            OssError::argument("x-amz-content-sha256", hexadecimal, message)
        })?;
        Ok(Self {
            name: "x-amz-content-sha256".to_owned(),
            digest: Running::Sha256(Sha256::new()),
            expected: Some(expected),
            mismatch: Code::ContentSha256Mismatch,
        })
    }

    /// The same, with what it must be, in base64.
    pub(super) fn expecting(mut self, value: &str) -> Result<Self> {
        let expected = BASE64.decode(value.trim()).map_err(|_| {
            OssError::new(Code::InvalidRequest).message(format!("The value of {} is no checksum.", self.name))
        })?;
        self.expected = Some(expected);
        Ok(self)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match &mut self.digest {
            Running::Crc(digest, _) => digest.update(bytes),
            Running::Sha1(digest) => digest.update(bytes),
            Running::Sha256(digest) => digest.update(bytes),
        }
    }

    /// The body is over: compares, with what the trailers say if nothing was said before.
    pub(super) fn verify(self, trailers: &[(String, String)]) -> Result<()> {
        let this = match &self.expected {
            Some(_) => self,
            None => {
                let found = trailers.iter().find(|(name, _)| *name == self.name);
                let (_, value) = found.ok_or(Code::MalformedTrailer)?;
                self.expecting(value)?
            }
        };
        let computed = match this.digest {
            Running::Crc(digest, bytes) => digest.finalize().to_be_bytes()[8 - bytes..].to_vec(),
            Running::Sha1(digest) => digest.finalize().to_vec(),
            Running::Sha256(digest) => digest.finalize().to_vec(),
        };
        if this.expected.is_some_and(|expected| expected == computed) {
            return Ok(());
        }
        let error = OssError::new(this.mismatch).detail("Checksum", this.name);
        Err(match this.mismatch {
            Code::ContentChanged => error.message("The checksum you specified did not match what was received."),
            _ => error,
        })
    }
}
