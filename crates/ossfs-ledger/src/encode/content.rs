//! The content of a file as bytes: its extents one after the other, each with its length in front.

use super::{decode_ident, encode_ident};
use crate::fields::{DecodeError, Reader, Writer};
use crate::schema::{ContentExtent, ContentRecord, ContentSource, Piece};
use ossfs_types::{ByteRange, Crc64, Key};

pub(super) fn encode_content(content: &ContentRecord) -> Vec<u8> {
    let mut extents = Vec::new();
    for extent in &content.extents {
        let extent = encode_extent(extent);
        let length = u32::try_from(extent.len()).expect("an extent is a few numbers, a key and an identity");
        extents.extend_from_slice(&length.to_le_bytes());
        extents.extend_from_slice(&extent);
    }
    Writer::default().number(1, content.generation).bytes(2, &extents).finish()
}

pub(super) fn decode_content(bytes: &[u8]) -> Result<ContentRecord, DecodeError> {
    let fields = Reader::new(bytes, 2)?;
    let mut rest = fields.bytes(2)?;
    let mut extents = Vec::new();
    let mut end = 0;
    while !rest.is_empty() {
        let cut_off = DecodeError("an extent is cut off");
        let (length, behind) = rest.split_first_chunk::<4>().ok_or(cut_off)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| cut_off)?;
        let (extent, behind) = behind.split_at_checked(length).ok_or(cut_off)?;
        let extent = decode_extent(extent)?;
        if extent.range.start() != end {
            return Err(DecodeError("extents do not adjoin each other"));
        }
        end = extent.range.end();
        extents.push(extent);
        rest = behind;
    }
    Ok(ContentRecord { generation: fields.number(1)?, extents })
}

fn encode_extent(extent: &ContentExtent) -> Vec<u8> {
    let (kind, offset, piece, object) = match &extent.source {
        ContentSource::Base => (1, None, None, None),
        ContentSource::Zero => (2, None, None, None),
        ContentSource::Staged { piece, offset } => (3, Some(*offset), Some(piece), None),
        ContentSource::Borrowed { key, ident, offset } => (4, Some(*offset), None, Some((key, ident))),
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
