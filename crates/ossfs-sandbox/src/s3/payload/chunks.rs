//! `aws-chunked`: a body in chunks, each after a line with its length and, if they are signed, its signature; after the
//! last, which is empty, come trailers.
//!
//! ```text
//! Line -> Data -> DataEnd -> Line ...        0 -> Trailers -> Over
//! ```
//!
//! A line is kept until it is whole, and is bounded; the bytes of a chunk are given out as they come.

use super::super::signature::Signed;
use crate::error::{Code, OssError, Result};
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// A length, a signature and room; trailers are no longer.
const LINE_BYTES_MAX: usize = 1024;
/// A checksum, a signature and room.
const TRAILERS_MAX: usize = 16;
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// A body that is being taken apart.
#[derive(Debug)]
pub(super) struct Chunks {
    state: State,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    trailers: Vec<(String, String)>,
    signing: Option<Signing>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before or in the line that begins a chunk.
    Line,
    Data {
        left: u64,
    },
    /// The empty line after a chunk's bytes.
    DataEnd,
    Trailers,
    Over,
}

#[derive(Debug)]
struct Signing {
    signed: Signed,
    /// What the current chunk's line said.
    signature: String,
    digest: Sha256,
}

impl Chunks {
    /// Signed ones follow the signature of their request.
    pub(super) fn new(signed: Option<Signed>) -> Self {
        let signing = signed.map(|signed| Signing { signed, signature: String::new(), digest: Sha256::new() });
        Self { state: State::Line, line: Vec::new(), trailers: Vec::new(), signing }
    }

    pub(super) fn are_signed(&self) -> bool {
        self.signing.is_some()
    }

    /// The next bytes from inside the chunks; `None` once all that came was taken.
    pub(super) fn next(&mut self, came: &mut Bytes) -> Result<Option<Bytes>> {
        while !came.is_empty() {
            match self.state {
                State::Data { left } => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(came.len());
                    let left = left - take as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data { left } };
                    return Ok(Some(came.split_to(take)));
                }
                State::Line => {
                    let Some(line) = self.line(came)? else { break };
                    self.begin(&line)?;
                }
                State::DataEnd => {
                    let Some(line) = self.line(came)? else { break };
                    if !line.is_empty() {
                        return Err(malformed());
                    }
                    self.verify_chunk()?;
                    self.state = State::Line;
                }
                State::Trailers => {
                    let Some(line) = self.line(came)? else { break };
                    self.trailer(&line)?;
                }
                State::Over => return Err(malformed()),
            }
        }
        Ok(None)
    }

    /// Is shown what [`Self::next`] gave out.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        if let Some(signing) = &mut self.signing {
            signing.digest.update(bytes);
        }
    }

    /// The trailers of a body that came whole. Some clients leave out the last, empty line.
    pub(super) fn end(&mut self) -> Result<&[(String, String)]> {
        if !matches!(self.state, State::Trailers | State::Over) || !self.line.is_empty() {
            return Err(Code::IncompleteBody.into());
        }
        if self.state == State::Trailers {
            self.finish()?;
        }
        Ok(&self.trailers)
    }

    /// The next whole line, without its end. A lone line feed ends none: AWS's own example has one within a trailer.
    fn line(&mut self, came: &mut Bytes) -> Result<Option<String>> {
        while !came.is_empty() {
            let take = came.iter().position(|byte| *byte == b'\n').map_or(came.len(), |at| at + 1);
            if self.line.len() + take > LINE_BYTES_MAX {
                return Err(malformed());
            }
            self.line.extend_from_slice(&came.split_to(take));
            if self.line.ends_with(b"\r\n") {
                let line = String::from_utf8(std::mem::take(&mut self.line)).map_err(|_| malformed())?;
                return Ok(Some(line.trim_end().to_owned()));
            }
        }
        Ok(None)
    }

    fn begin(&mut self, line: &str) -> Result<()> {
        let (len, extension) = line.split_once(';').unwrap_or((line, ""));
        let digits = !len.is_empty() && len.bytes().all(|byte| byte.is_ascii_hexdigit());
        let len = u64::from_str_radix(len, 16).ok().filter(|_| digits).ok_or_else(malformed)?;
        if let Some(signing) = &mut self.signing {
            let signature = extension.trim().strip_prefix("chunk-signature=").ok_or_else(malformed)?;
            signature.clone_into(&mut signing.signature);
        }
        if len == 0 {
            self.verify_chunk()?;
            self.state = State::Trailers;
        } else {
            self.state = State::Data { left: len };
        }
        Ok(())
    }

    /// All bytes of a chunk were seen: whether they are what was signed.
    fn verify_chunk(&mut self) -> Result<()> {
        let Some(signing) = &mut self.signing else { return Ok(()) };
        let hash = hex::encode(signing.digest.finalize_reset());
        let nothing = hex::encode(Sha256::digest(b""));
        signing.signed.verify_next("PAYLOAD", &format!("{nothing}\n{hash}"), &signing.signature)
    }

    fn trailer(&mut self, line: &str) -> Result<()> {
        if line.is_empty() {
            return self.finish();
        }
        let (name, value) = line.split_once(':').ok_or(Code::MalformedTrailer)?;
        if self.trailers.len() == TRAILERS_MAX {
            return Err(Code::MalformedTrailer.into());
        }
        self.trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        Ok(())
    }

    /// Nothing comes after the trailers: whether they are what was signed.
    fn finish(&mut self) -> Result<()> {
        self.state = State::Over;
        let Some(signing) = &mut self.signing else { return Ok(()) };
        let signature = self.trailers.iter().find(|(name, _)| name == TRAILER_SIGNATURE);
        let signed = self.trailers.iter().filter(|(name, _)| name != TRAILER_SIGNATURE);
        let text: String = signed.map(|(name, value)| format!("{name}:{value}\n")).collect();
        match signature {
            Some((_, signature)) => {
                let hash = hex::encode(Sha256::digest(&text));
                signing.signed.verify_next("TRAILER", &hash, signature)
            }
            None if text.is_empty() => Ok(()),
            None => Err(Code::MalformedTrailer.into()),
        }
    }
}

fn malformed() -> Box<OssError> {
    OssError::new(Code::InvalidRequest).message("The body is not in chunks as its headers say.")
}
