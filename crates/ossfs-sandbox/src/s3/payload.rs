//! How bodies come: as they are, or in chunks that may be signed, with checksums before or after them.
//!
//! `x-amz-content-sha256` says which; `x-amz-checksum-…` is a checksum of the body, in a header or after the chunks
//! (`x-amz-trailer` says so before). All that is said is verified when the body has come to its end, before anything of
//! it is used.

mod checksum;
mod chunks;

use super::signature::{CONTENT_SHA256, Signed, UNSIGNED};
use crate::error::{Code, OssError, Result};
use crate::receive::Wrapping;
use crate::request::Request;
use crate::route::Operation;
use bytes::Bytes;
use checksum::Checksum;
use chunks::Chunks;
use http::HeaderMap;

const CHECKSUM_PREFIX: &str = "x-amz-checksum-";

/// What a body comes in.
#[derive(Debug)]
pub(super) struct Payload {
    /// Nothing where it comes as it is.
    chunks: Option<Chunks>,
    checksums: Vec<Checksum>,
    /// Bytes that the client said the body has inside its chunks.
    declared: Option<u64>,
    seen: u64,
}

/// What the body of a request comes in, and how long it is inside; `None` if it comes as it is, with nothing to verify.
pub(super) fn wrapping(
    request: &Request,
    operation: Operation,
    signed: Option<Signed>,
) -> Result<Option<(Payload, Option<u64>)>> {
    let headers = &request.headers;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |name: &str| text(name).and_then(|text| text.parse::<u64>().ok());
    let kind = text(CONTENT_SHA256).unwrap_or(UNSIGNED);
    // Of a completion it is the checksum of the object that is to be.
    let mut checksums = if operation == Operation::CompleteMultipartUpload { Vec::new() } else { in_headers(headers)? };
    let (needs_signature, trailer) = match kind {
        UNSIGNED => (None, false),
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => (Some(false), true),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => (Some(true), false),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => (Some(true), true),
        hexadecimal => {
            checksums.push(Checksum::of_signature(hexadecimal)?);
            (None, false)
        }
    };
    let Some(needs_signature) = needs_signature else {
        let payload = Payload { chunks: None, checksums, declared: None, seen: 0 };
        let declared = number("content-length");
        return Ok((!payload.checksums.is_empty()).then_some((payload, declared)));
    };
    let declared = number("x-amz-decoded-content-length").ok_or(Code::MissingContentLength)?;
    if trailer && let Some(name) = text("x-amz-trailer") {
        checksums.push(Checksum::to_follow(&name.to_ascii_lowercase())?);
    }
    let signed = match (needs_signature, signed) {
        (true, None) => {
            return Err(OssError::new(Code::InvalidRequest).message("Chunks are signed after a signed request only."));
        }
        (true, signed) => signed,
        (false, _) => None,
    };
    let payload = Payload { chunks: Some(Chunks::new(signed)), checksums, declared: Some(declared), seen: 0 };
    Ok(Some((payload, Some(declared))))
}

fn in_headers(headers: &HeaderMap) -> Result<Vec<Checksum>> {
    let mut checksums = Vec::new();
    for (name, value) in headers {
        // The others of this beginning say which is meant, not what it is.
        if !name.as_str().starts_with(CHECKSUM_PREFIX) || is_about_checksums(name.as_str()) {
            continue;
        }
        checksums.push(Checksum::to_follow(name.as_str())?.expecting(value.to_str().unwrap_or(""))?);
    }
    Ok(checksums)
}

/// Whether a header's name begins as those of checksums do, but is not one.
pub(super) fn is_about_checksums(name: &str) -> bool {
    matches!(name, "x-amz-checksum-algorithm" | "x-amz-checksum-mode" | "x-amz-checksum-type")
}

impl Wrapping for Payload {
    fn unwrap(&mut self, came: &mut Bytes) -> Result<Option<Bytes>> {
        match &mut self.chunks {
            Some(chunks) => chunks.next(came),
            None if came.is_empty() => Ok(None),
            None => Ok(Some(std::mem::take(came))),
        }
    }

    fn see(&mut self, bytes: &[u8]) {
        self.seen += bytes.len() as u64;
        if let Some(chunks) = &mut self.chunks {
            chunks.see(bytes);
        }
        for checksum in &mut self.checksums {
            checksum.update(bytes);
        }
    }

    fn end(&mut self) -> Result<()> {
        let trailers = match &mut self.chunks {
            Some(chunks) => chunks.end()?,
            None => &[],
        };
        if self.declared.is_some_and(|declared| declared != self.seen) {
            return Err(Code::IncompleteBody.into());
        }
        for checksum in self.checksums.drain(..) {
            checksum.verify(trailers)?;
        }
        Ok(())
    }

    fn verifies(&self) -> bool {
        !self.checksums.is_empty() || self.chunks.as_ref().is_some_and(Chunks::are_signed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::signature::tests::{account, now, request, signed};
    use super::super::signature::verify;
    use super::*;
    use http::Method;
    use proptest::prelude::*;

    const HOST: &str = "s3.amazonaws.com";
    const TARGET: &str = "/examplebucket/chunkObject.txt";
    const STREAMING: (&str, &str) = (CONTENT_SHA256, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    const LENGTH: (&str, &str) = ("x-amz-decoded-content-length", "66560");

    /// Unwraps a body that comes in pieces of `step` bytes.
    fn unwrapped(payload: &mut Payload, body: &[u8], step: usize) -> Result<Vec<u8>> {
        let mut inside = Vec::new();
        for piece in body.chunks(step) {
            let mut came = Bytes::copy_from_slice(piece);
            while let Some(bytes) = payload.unwrap(&mut came)? {
                payload.see(&bytes);
                inside.extend_from_slice(&bytes);
            }
        }
        payload.end()?;
        Ok(inside)
    }

    /// The documentation's example: 66,560 times `a` in two chunks and the last.
    fn example() -> (Request, Vec<u8>) {
        let headers = [
            ("content-encoding", "aws-chunked"),
            ("content-length", "66824"),
            STREAMING,
            LENGTH,
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ];
        let names = "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
            x-amz-decoded-content-length;x-amz-storage-class";
        let signature = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
        let request = signed(request(Method::PUT, HOST, TARGET, &headers), names, signature);
        let mut body = Vec::new();
        for (len, signature) in [
            (65_536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
            (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
            (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
        ] {
            body.extend_from_slice(format!("{len:x};chunk-signature={signature}\r\n").as_bytes());
            body.extend(std::iter::repeat_n(b'a', len));
            body.extend_from_slice(b"\r\n");
        }
        (request, body)
    }

    fn payload_of(request: &Request) -> Payload {
        let signed = verify(&account(), request, now()).unwrap();
        wrapping(request, Operation::PutObject, signed).unwrap().unwrap().0
    }

    #[test]
    fn the_official_example_of_signed_chunks() {
        let (request, body) = example();
        assert_eq!(body.len(), 66_824);
        for step in [1, 7, 1000, 100_000] {
            let inside = unwrapped(&mut payload_of(&request), &body, step).unwrap();
            assert!(inside.len() == 66_560 && inside.iter().all(|byte| *byte == b'a'), "{step}");
        }
        for at in [100, 65_700, 66_000] {
            let mut changed = body.clone();
            changed[at] ^= 1;
            let refused = unwrapped(&mut payload_of(&request), &changed, 5000).unwrap_err();
            assert_eq!(refused.code(), Code::SignatureDoesNotMatch, "{at}");
        }
        for cut in [0, 50, 30_000, 65_700, 66_700] {
            let refused = unwrapped(&mut payload_of(&request), &body[..cut], 5000).unwrap_err();
            assert_eq!(refused.code(), Code::IncompleteBody, "{cut}");
        }
    }

    #[test]
    fn the_official_example_of_signed_chunks_with_a_trailer() {
        let headers = [
            ("content-encoding", "aws-chunked"),
            (CONTENT_SHA256, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
            LENGTH,
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("x-amz-trailer", "x-amz-checksum-crc32c"),
        ];
        let names = "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;\
            x-amz-storage-class;x-amz-trailer";
        let signature = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
        let request = signed(request(Method::PUT, HOST, TARGET, &headers), names, signature);
        let mut body = Vec::new();
        for (len, signature) in [
            (65_536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
            (1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
            (0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
        ] {
            body.extend_from_slice(format!("{len:x};chunk-signature={signature}\r\n").as_bytes());
            body.extend(std::iter::repeat_n(b'a', len));
            body.extend_from_slice(if len > 0 { b"\r\n" } else { b"" });
        }
        let trailer = |signature: &str| {
            let trailer = format!("x-amz-checksum-crc32c:sOO8/Q==\n\r\nx-amz-trailer-signature:{signature}\r\n\r\n");
            [&body[..], trailer.as_bytes()].concat()
        };
        let good = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435";
        assert_eq!(unwrapped(&mut payload_of(&request), &trailer(good), 999).unwrap().len(), 66_560);
        let refused = unwrapped(&mut payload_of(&request), &trailer(signature), 999).unwrap_err();
        assert_eq!(refused.code(), Code::SignatureDoesNotMatch);
        let refused = unwrapped(&mut payload_of(&request), &[&body[..], b"\r\n"].concat(), 999).unwrap_err();
        assert_eq!(refused.code(), Code::MalformedTrailer);
    }

    fn unsigned(length: &str, trailer: &str) -> Payload {
        let headers = [
            (CONTENT_SHA256, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            ("x-amz-decoded-content-length", length),
            ("x-amz-trailer", trailer),
        ];
        let request = request(Method::PUT, HOST, TARGET, &headers);
        wrapping(&request, Operation::PutObject, None).unwrap().unwrap().0
    }

    #[test]
    fn checksums_follow_unsigned_chunks() {
        let check = |name: &str, value: &str, body: &str| {
            let body = format!("5\r\nhello\r\n6\r\n world\r\n0\r\n{body}");
            let body = body.replace("NAME", name).replace("VALUE", value);
            unwrapped(&mut unsigned("11", name), body.as_bytes(), 3).map_err(|error| error.code())
        };
        for (name, value) in [
            ("x-amz-checksum-crc32", "DUoRhQ=="),
            ("x-amz-checksum-crc32c", "yZRlqg=="),
            ("x-amz-checksum-sha1", "Kq5sNclPz7QV2+lfQIuc6R7oRu0="),
            ("x-amz-checksum-sha256", "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="),
        ] {
            assert_eq!(check(name, value, "NAME:VALUE\r\n\r\n").as_deref(), Ok(&b"hello world"[..]), "{name}");
            assert_eq!(check(name, "AAAA", "NAME:VALUE\r\n\r\n"), Err(Code::ContentChanged));
            assert_eq!(check(name, value, "\r\n"), Err(Code::MalformedTrailer));
        }
        let short = unwrapped(&mut unsigned("12", "x-amz-checksum-crc32"), b"0\r\n\r\n", 9).unwrap_err();
        assert_eq!(short.code(), Code::IncompleteBody);
    }

    #[test]
    fn the_check_value_of_crc64nvme() {
        let value = "rosUhgp5mIg=";
        let body = format!("9\r\n123456789\r\n0\r\nx-amz-checksum-crc64nvme: {value}\r\n\r\n");
        let mut payload = unsigned("9", "x-amz-checksum-crc64nvme");
        assert_eq!(unwrapped(&mut payload, body.as_bytes(), 4).unwrap(), b"123456789");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let code = |headers: &[(&str, &str)]| {
            let request = request(Method::PUT, HOST, TARGET, headers);
            wrapping(&request, Operation::PutObject, None)
                .map(|payload| payload.is_some())
                .map_err(|error| error.code())
        };
        assert_eq!(code(&[(CONTENT_SHA256, UNSIGNED)]), Ok(false));
        assert_eq!(code(&[(CONTENT_SHA256, &"0".repeat(64))]), Ok(true));
        assert_eq!(code(&[(CONTENT_SHA256, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")]), Err(Code::InvalidArgument));
        assert_eq!(code(&[STREAMING]), Err(Code::MissingContentLength));
        assert_eq!(code(&[STREAMING, LENGTH]), Err(Code::InvalidRequest));
        assert_eq!(code(&[("x-amz-checksum-crc32", "AAAAAA==")]), Ok(true));
        assert_eq!(code(&[("x-amz-checksum-crc32", "*")]), Err(Code::InvalidRequest));
        assert_eq!(code(&[("x-amz-checksum-md9", "AAAAAA==")]), Err(Code::InvalidRequest));
        assert_eq!(code(&[("x-amz-checksum-algorithm", "CRC32")]), Ok(false));
    }

    proptest! {
        #[test]
        fn any_bytes_are_unwrapped_or_refused(
            body in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..300).boxed(),
                "([0-9a-f]{1,20}(;[a-z=-]{0,30})?\r\n[a-z]{0,20}(\r\n)?){0,8}".prop_map(String::into_bytes).boxed(),
            ],
            step in 1usize..50,
        ) {
            let _ = unwrapped(&mut unsigned("5", "x-amz-checksum-crc32"), &body, step);
        }

        #[test]
        fn however_it_is_cut_the_inside_is_the_same(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
            step in 1usize..50,
        ) {
            let mut body = Vec::new();
            for piece in &pieces {
                body.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
                body.extend_from_slice(piece);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\n\r\n");
            let inside = pieces.concat();
            let headers = [
                (CONTENT_SHA256, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
                ("x-amz-decoded-content-length", &inside.len().to_string()),
            ];
            let request = request(Method::PUT, HOST, TARGET, &headers);
            let mut payload = wrapping(&request, Operation::PutObject, None).unwrap().unwrap().0;
            prop_assert_eq!(unwrapped(&mut payload, &body, step).unwrap(), inside);
        }
    }
}
