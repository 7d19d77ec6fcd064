//! The content of a file as bytes: its extents one after the other, each with its length in front; the parts of an upload
//! likewise.

use super::{decode_ident, encode_ident};
use crate::fields::{DecodeError, Reader, Writer};
use crate::schema::{ContentExtent, ContentRecord, ContentSource, OpenUpload, Piece, SentPart, UploadPart};
use ossfs_types::limits::PART_NUMBER_MAX;
use ossfs_types::{ByteRange, Crc64, ETag, Key};

pub(super) fn encode_content(content: &ContentRecord) -> Vec<u8> {
    Writer::default()
        .number(1, content.generation)
        .bytes(2, &encode_all(&content.extents, encode_extent))
        .optional(3, content.upload.as_ref().map(encode_upload))
        .finish()
}

pub(super) fn decode_content(bytes: &[u8]) -> Result<ContentRecord, DecodeError> {
    let fields = Reader::new(bytes, 3)?;
    let extents = decode_all(fields.bytes(2)?, decode_extent)?;
    let upload = fields.optional(3).map(decode_upload).transpose()?;
    let mut end = 0;
    for extent in &extents {
        if extent.range.start() != end {
            return Err(DecodeError("extents do not adjoin each other"));
        }
        if extent.source == ContentSource::Sent && upload.is_none() {
            return Err(DecodeError("bytes are in an upload, and there is none"));
        }
        end = extent.range.end();
    }
    Ok(ContentRecord { generation: fields.number(1)?, extents, upload })
}

/// Items one after the other, each with its length in front.
fn encode_all<T>(items: &[T], encode: impl Fn(&T) -> Vec<u8>) -> Vec<u8> {
    let mut all = Vec::new();
    for item in items.iter().map(encode) {
        let length = u32::try_from(item.len()).expect("an item is a few numbers, a key and an identity");
        all.extend_from_slice(&length.to_le_bytes());
        all.extend_from_slice(&item);
    }
    all
}

fn decode_all<T>(mut rest: &[u8], decode: impl Fn(&[u8]) -> Result<T, DecodeError>) -> Result<Vec<T>, DecodeError> {
    let mut items = Vec::new();
    while !rest.is_empty() {
        let cut_off = DecodeError("an extent or a part is cut off");
        let (length, behind) = rest.split_first_chunk::<4>().ok_or(cut_off)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| cut_off)?;
        let (item, behind) = behind.split_at_checked(length).ok_or(cut_off)?;
        items.push(decode(item)?);
        rest = behind;
    }
    Ok(items)
}

fn encode_upload(upload: &OpenUpload) -> Vec<u8> {
    Writer::default()
        .bytes(1, upload.id.as_bytes())
        .number(2, upload.generation)
        .bytes(3, &encode_all(&upload.parts, encode_part))
        .finish()
}

fn decode_upload(bytes: &[u8]) -> Result<OpenUpload, DecodeError> {
    let fields = Reader::new(bytes, 3)?;
    let parts = decode_all(fields.bytes(3)?, decode_part)?;
    let total = parts.iter().try_fold(0u64, |total, part: &UploadPart| total.checked_add(part.len));
    if total.is_none() || parts.len() > PART_NUMBER_MAX as usize {
        return Err(DecodeError("an upload has too many or too long parts"));
    }
    Ok(OpenUpload { id: fields.text(1)?.into(), generation: fields.number(2)?, parts })
}

fn encode_part(part: &UploadPart) -> Vec<u8> {
    let sent = part.sent.as_ref();
    Writer::default()
        .number(1, part.len)
        .optional(2, sent.map(|sent| sent.etag.as_str()))
        .optional(3, sent.and_then(|sent| sent.crc64).map(|crc64| crc64.to_u64().to_le_bytes()))
        .finish()
}

fn decode_part(bytes: &[u8]) -> Result<UploadPart, DecodeError> {
    let fields = Reader::new(bytes, 3)?;
    let len = fields.number(1)?;
    if len == 0 {
        return Err(DecodeError("a part has no bytes"));
    }
    let crc64 = fields.optional_number(3)?.map(Crc64::from_u64);
    let etag = fields.optional_text(2)?.map(|text| ETag::parse(text).ok_or(DecodeError("an ETag is none")));
    let sent = etag.transpose()?.map(|etag| SentPart { etag, crc64 });
    if sent.is_none() && crc64.is_some() {
        return Err(DecodeError("a part that was not sent has a checksum"));
    }
    Ok(UploadPart { len, sent })
}

fn encode_extent(extent: &ContentExtent) -> Vec<u8> {
    let (kind, offset, piece, object) = match &extent.source {
        ContentSource::Base => (1, None, None, None),
        ContentSource::Zero => (2, None, None, None),
        ContentSource::Staged { piece, offset } => (3, Some(*offset), Some(piece), None),
        ContentSource::Borrowed { key, ident, offset } => (4, Some(*offset), None, Some((key, ident))),
        ContentSource::Sent => (5, None, None, None),
    };
    Writer::default()
        .number(1, extent.range.start())
        .number(2, extent.range.end())
        .number(3, extent.generation)
        .number(4, kind)
        .optional(5, offset.map(u64::to_le_bytes))
        .optional(6, piece.map(encode_piece))
        .optional(7, object.map(|(key, _)| key.as_str()))
        .optional(8, object.map(|(_, ident)| encode_ident(ident)))
        .finish()
}

fn decode_extent(bytes: &[u8]) -> Result<ContentExtent, DecodeError> {
    let fields = Reader::new(bytes, 8)?;
    let empty = DecodeError("an extent has no bytes");
    let range = ByteRange::new(fields.number(1)?, fields.number(2)?).filter(|range| !range.is_empty()).ok_or(empty)?;
    let source = match fields.number(4)? {
        1 => ContentSource::Base,
        2 => ContentSource::Zero,
        3 => {
            let (piece, offset) = (decode_piece(fields.bytes(6)?)?, fields.number(5)?);
            if offset.checked_add(range.len()).is_none_or(|end| end > piece.len) {
                return Err(DecodeError("an extent reaches over its piece"));
            }
            ContentSource::Staged { piece, offset }
        }
        4 => {
            let key = Key::from_bytes(fields.bytes(7)?).map_err(|_| DecodeError("bytes are borrowed from no key"))?;
            ContentSource::Borrowed { key, ident: decode_ident(fields.bytes(8)?)?, offset: fields.number(5)? }
        }
        5 => ContentSource::Sent,
        _ => return Err(DecodeError("where bytes are is not known")),
    };
    Ok(ContentExtent { range, generation: fields.number(3)?, source })
}

/// Segment, offset, length and checksum, 8 bytes each.
fn encode_piece(piece: &Piece) -> [u8; 32] {
    let mut bytes = [0; 32];
    let numbers = [piece.segment, piece.offset, piece.len, piece.crc64.to_u64()];
    for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

fn decode_piece(bytes: &[u8]) -> Result<Piece, DecodeError> {
    let wrong = DecodeError("a piece is none");
    let (numbers, []) = bytes.as_chunks::<8>() else { return Err(wrong) };
    let [segment, offset, len, crc64] = *numbers else { return Err(wrong) };
    let [segment, offset, len, crc64] = [segment, offset, len, crc64].map(u64::from_le_bytes);
    Ok(Piece { segment, offset, len, crc64: Crc64::from_u64(crc64) })
}
