//! Records as bytes: format [`FORMAT`].
//!
//! A key is a tag and what follows it in the order of [`RecordKey`], so that bytes are ordered as keys are; a record is
//! fields (`fields`). Both are written by hand: what is on disk is what this file says, whatever becomes of the types.
//! Tags are never used again for something else.

mod content;

use crate::fields::{DecodeError, Reader, Writer, text};
use crate::schema::{
    Claim, Expect, Home, Ident, Intent, IntentKind, Link, LinkList, NodeId, NodeRecord, Record, RecordKey, Tomb,
};
use ossfs_types::{Attributes, Crc64, ETag, FileKind, Key, Timestamp};

/// The format that is written. A change of what a byte means is a new one, with an upgrade and a fixture.
pub(crate) const FORMAT: u32 = 2;

/// Formats that are read: 1 is 2 without contents, and with fewer fields.
pub(crate) const FORMATS_READ: std::ops::RangeInclusive<u32> = 1..=FORMAT;

const NODE: u8 = 1;
const NAME: u8 = 2;
const HOME: u8 = 3;
const TOMB: u8 = 4;
const INTENT: u8 = 5;
const CLAIM: u8 = 6;
const CONTENT: u8 = 7;

/// Longest key in bytes: a tag, a node and a name or key of an object. Pages of 4 KiB take up to 1,982.
pub(crate) const KEY_BYTES_MAX: usize = 1 + 8 + ossfs_types::limits::KEY_BYTES_MAX;

/// A key as bytes.
pub(crate) fn encode_key(key: &RecordKey) -> Vec<u8> {
    fn tagged(tag: u8, rest: &[u8]) -> Vec<u8> {
        [&[tag], rest].concat()
    }
    match key {
        RecordKey::Node(id) => tagged(NODE, &id.0.to_be_bytes()),
        RecordKey::Name(parent, name) => [&[NAME], &parent.0.to_be_bytes()[..], name.as_bytes()].concat(),
        RecordKey::Home(key) => tagged(HOME, key.as_str().as_bytes()),
        RecordKey::Tomb(key) => tagged(TOMB, key.as_str().as_bytes()),
        RecordKey::Intent(key) => tagged(INTENT, key.as_str().as_bytes()),
        RecordKey::Claim(prefix) => tagged(CLAIM, prefix.as_bytes()),
        RecordKey::Content(id) => tagged(CONTENT, &id.0.to_be_bytes()),
    }
}

/// The key that bytes are.
pub(crate) fn decode_key(bytes: &[u8]) -> Result<RecordKey, DecodeError> {
    let (tag, rest) = bytes.split_first().ok_or(DecodeError("a key is empty"))?;
    let key = || Key::from_bytes(rest).map_err(|_| DecodeError("a key of an object is none"));
    Ok(match *tag {
        NODE => RecordKey::Node(NodeId(ordered_number(rest)?)),
        NAME => {
            let (parent, name) = rest.split_at_checked(8).ok_or(DecodeError("the key of a name is cut off"))?;
            RecordKey::Name(NodeId(ordered_number(parent)?), text(name)?.into())
        }
        HOME => RecordKey::Home(key()?),
        TOMB => RecordKey::Tomb(key()?),
        INTENT => RecordKey::Intent(key()?),
        CLAIM => RecordKey::Claim(text(rest)?.into()),
        CONTENT => RecordKey::Content(NodeId(ordered_number(rest)?)),
        _ => return Err(DecodeError("the kind of a record is not known")),
    })
}

fn ordered_number(bytes: &[u8]) -> Result<u64, DecodeError> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| DecodeError("the number of a node does not have 8 bytes"))
}

/// A record as bytes.
pub(crate) fn encode_record(record: &Record) -> Vec<u8> {
    match record {
        Record::Node(node) => encode_node(node),
        Record::Name(node) => Writer::default().number(1, node.0).finish(),
        Record::Home(home) => Writer::default()
            .number(1, home.node.0)
            .bytes(2, &encode_ident(&home.ident))
            .optional(3, home.stale.then_some([]))
            .finish(),
        Record::Tomb(tomb) => Writer::default().bytes(1, &encode_ident(&tomb.ident)).finish(),
        Record::Intent(intent) => encode_intent(intent),
        Record::Claim(claim) => {
            Writer::default().number(1, claim.directory.0).optional(2, claim.cursor.as_deref()).finish()
        }
        Record::Content(content) => content::encode_content(content),
    }
}

/// The record that bytes at a key are.
pub(crate) fn decode_record(key: &RecordKey, bytes: &[u8]) -> Result<Record, DecodeError> {
    Ok(match key {
        RecordKey::Node(_) => Record::Node(decode_node(bytes)?),
        RecordKey::Name(..) => Record::Name(NodeId(Reader::new(bytes, 1)?.number(1)?)),
        RecordKey::Home(_) => {
            let fields = Reader::new(bytes, 3)?;
            let stale = fields.optional(3).is_some();
            Record::Home(Home { node: NodeId(fields.number(1)?), ident: decode_ident(fields.bytes(2)?)?, stale })
        }
        RecordKey::Tomb(_) => Record::Tomb(Tomb { ident: decode_ident(Reader::new(bytes, 1)?.bytes(1)?)? }),
        RecordKey::Intent(_) => Record::Intent(decode_intent(bytes)?),
        RecordKey::Claim(_) => {
            let fields = Reader::new(bytes, 2)?;
            let cursor = fields.optional_text(2)?.map(Into::into);
            Record::Claim(Claim { directory: NodeId(fields.number(1)?), cursor })
        }
        RecordKey::Content(_) => Record::Content(content::decode_content(bytes)?),
    })
}

fn encode_node(node: &NodeRecord) -> Vec<u8> {
    Writer::default()
        .number(1, kind_number(node.kind))
        .optional(2, node.current.as_ref().map(encode_ident))
        .number(3, node.generation)
        .number(4, node.settled_generation)
        .optional(5, node.attributes.as_ref().map(encode_attributes))
        .number(6, node.attributes_generation)
        .number(7, node.settled_attributes_generation)
        .optional(8, node.wants_marker.then_some([]))
        .optional(9, node.target.as_deref())
        .optional(10, node.xattrs.as_deref())
        .optional(12, node.link.as_ref().map(encode_link))
        .optional(13, node.appendable.then_some([]))
        .number(14, node.attributes_set)
        .finish()
}

fn decode_node(bytes: &[u8]) -> Result<NodeRecord, DecodeError> {
    let fields = Reader::new(bytes, 14)?;
    let attributes_generation = fields.number(6)?;
    Ok(NodeRecord {
        kind: kind_of(fields.number(1)?)?,
        current: fields.optional(2).map(decode_ident).transpose()?,
        generation: fields.number(3)?,
        settled_generation: fields.number(4)?,
        attributes: fields.optional(5).map(decode_attributes).transpose()?,
        attributes_generation,
        settled_attributes_generation: fields.number(7)?,
        wants_marker: fields.optional(8).is_some(),
        target: fields.optional(9).map(Into::into),
        xattrs: fields.optional_text(10)?.map(Into::into),
        link: fields.optional(12).map(decode_link).transpose()?,
        appendable: fields.optional(13).is_some(),
        // Format 1 told nothing of it: perhaps all were.
        attributes_set: fields.optional_number(14)?.unwrap_or(attributes_generation),
    })
}

fn encode_link(link: &Link) -> Vec<u8> {
    let (state, crc64) = match link.list {
        LinkList::Absent => (1, None),
        LinkList::Unsure => (2, None),
        LinkList::Says(crc64) => (3, Some(crc64.to_u64().to_le_bytes())),
    };
    Writer::default().bytes(1, link.id.as_bytes()).number(2, state).optional(3, crc64).finish()
}

fn decode_link(bytes: &[u8]) -> Result<Link, DecodeError> {
    let fields = Reader::new(bytes, 3)?;
    let list = match (fields.number(2)?, fields.optional_number(3)?) {
        (1, None) => LinkList::Absent,
        (2, None) => LinkList::Unsure,
        (3, Some(crc64)) => LinkList::Says(Crc64::from_u64(crc64)),
        _ => return Err(DecodeError("what a list of names says is not known")),
    };
    Ok(Link { id: fields.text(1)?.into(), list })
}

pub(crate) fn kind_number(kind: FileKind) -> u64 {
    match kind {
        FileKind::File => 1,
        FileKind::Directory => 2,
        FileKind::Symlink => 3,
        FileKind::Fifo => 4,
        FileKind::Socket => 5,
        FileKind::CharDevice => 6,
        FileKind::BlockDevice => 7,
    }
}

pub(crate) fn kind_of(number: u64) -> Result<FileKind, DecodeError> {
    Ok(match number {
        1 => FileKind::File,
        2 => FileKind::Directory,
        3 => FileKind::Symlink,
        4 => FileKind::Fifo,
        5 => FileKind::Socket,
        6 => FileKind::CharDevice,
        7 => FileKind::BlockDevice,
        _ => return Err(DecodeError("the kind of a file is not known")),
    })
}

pub(crate) fn encode_attributes(attributes: &Attributes) -> Vec<u8> {
    Writer::default()
        .number(1, attributes.mode.into())
        .number(2, attributes.uid.into())
        .number(3, attributes.gid.into())
        .bytes(4, &encode_time(attributes.atime))
        .bytes(5, &encode_time(attributes.mtime))
        .bytes(6, &encode_time(attributes.ctime))
        .number(7, attributes.rdev.into())
        .finish()
}

pub(crate) fn decode_attributes(bytes: &[u8]) -> Result<Attributes, DecodeError> {
    let fields = Reader::new(bytes, 7)?;
    Ok(Attributes {
        mode: fields.number_32(1)?,
        uid: fields.number_32(2)?,
        gid: fields.number_32(3)?,
        atime: decode_time(fields.bytes(4)?)?,
        mtime: decode_time(fields.bytes(5)?)?,
        ctime: decode_time(fields.bytes(6)?)?,
        rdev: fields.number_32(7)?,
    })
}

/// Seconds in 8 bytes, nanoseconds in 4, of the same sign.
fn encode_time(time: Timestamp) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&time.as_second().to_le_bytes());
    bytes[8..].copy_from_slice(&time.subsec_nanosecond().to_le_bytes());
    bytes
}

fn decode_time(bytes: &[u8]) -> Result<Timestamp, DecodeError> {
    let wrong = DecodeError("a time is none");
    let (second, nanosecond) = bytes.split_first_chunk::<8>().ok_or(wrong)?;
    let nanosecond = nanosecond.try_into().map(i32::from_le_bytes).map_err(|_| wrong)?;
    Timestamp::new(i64::from_le_bytes(*second), nanosecond).map_err(|_| wrong)
}

pub(crate) fn encode_ident(ident: &Ident) -> Vec<u8> {
    Writer::default()
        .bytes(1, ident.etag.as_str().as_bytes())
        .number(2, ident.size)
        .optional(3, ident.crc64.map(|crc64| crc64.to_u64().to_le_bytes()))
        .optional(4, ident.last_modified.map(encode_time))
        .finish()
}

pub(crate) fn decode_ident(bytes: &[u8]) -> Result<Ident, DecodeError> {
    let fields = Reader::new(bytes, 4)?;
    Ok(Ident {
        etag: ETag::parse(fields.text(1)?).ok_or(DecodeError("an ETag is none"))?,
        size: fields.number(2)?,
        crc64: fields.optional_number(3)?.map(Crc64::from_u64),
        last_modified: fields.optional(4).map(decode_time).transpose()?,
    })
}

fn encode_intent(intent: &Intent) -> Vec<u8> {
    let kind = match intent.kind {
        IntentKind::Put => 1,
        IntentKind::Multipart => 2,
        IntentKind::Copy => 3,
        IntentKind::Describe => 4,
        IntentKind::Hide => 5,
        IntentKind::Append => 6,
    };
    let (expect, expected) = match &intent.expect {
        Expect::Absent => (1, None),
        Expect::Present(ident) => (2, Some(ident)),
        Expect::PresentOrAbsent(ident) => (3, Some(ident)),
    };
    let (source_key, source_ident) = intent.source.as_ref().map(|(key, ident)| (key, encode_ident(ident))).unzip();
    Writer::default()
        .number(1, intent.node.0)
        .number(2, kind)
        .number(3, expect)
        .optional(4, expected.map(encode_ident))
        .bytes(5, intent.token.as_bytes())
        .number(6, intent.generation)
        .number(7, intent.attributes_generation)
        .optional(8, source_key.map(Key::as_str))
        .optional(9, source_ident)
        .optional(10, intent.upload.as_deref())
        .optional(11, intent.begun.map(encode_time))
        .optional(12, intent.makes.map(encode_makes))
        .finish()
}

/// Length and checksum, 8 bytes each.
fn encode_makes((size, crc64): (u64, Crc64)) -> Vec<u8> {
    [size.to_le_bytes(), crc64.to_u64().to_le_bytes()].concat()
}

fn decode_makes(bytes: &[u8]) -> Result<(u64, Crc64), DecodeError> {
    let wrong = DecodeError("what an append makes does not have 16 bytes");
    let (size, crc64) = bytes.split_first_chunk::<8>().ok_or(wrong)?;
    let crc64 = crc64.try_into().map(u64::from_le_bytes).map_err(|_| wrong)?;
    Ok((u64::from_le_bytes(*size), Crc64::from_u64(crc64)))
}

fn decode_intent(bytes: &[u8]) -> Result<Intent, DecodeError> {
    let fields = Reader::new(bytes, 12)?;
    let kind = match fields.number(2)? {
        1 => IntentKind::Put,
        2 => IntentKind::Multipart,
        3 => IntentKind::Copy,
        4 => IntentKind::Describe,
        5 => IntentKind::Hide,
        6 => IntentKind::Append,
        _ => return Err(DecodeError("the kind of an intent is not known")),
    };
    let expect = match (fields.number(3)?, fields.optional(4)) {
        (1, None) => Expect::Absent,
        (2, Some(ident)) => Expect::Present(decode_ident(ident)?),
        (3, Some(ident)) => Expect::PresentOrAbsent(decode_ident(ident)?),
        _ => return Err(DecodeError("what an intent expects is not known")),
    };
    let source = match (fields.optional(8), fields.optional(9)) {
        (None, None) => None,
        (Some(key), Some(ident)) => {
            let key = Key::from_bytes(key).map_err(|_| DecodeError("the source of a copy is no key"))?;
            Some((key, decode_ident(ident)?))
        }
        _ => return Err(DecodeError("half of a copy's source is missing")),
    };
    Ok(Intent {
        node: NodeId(fields.number(1)?),
        kind,
        expect,
        token: fields.text(5)?.into(),
        generation: fields.number(6)?,
        attributes_generation: fields.number(7)?,
        source,
        upload: fields.optional_text(10)?.map(Into::into),
        begun: fields.optional(11).map(decode_time).transpose()?,
        makes: fields.optional(12).map(decode_makes).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{arbitrary_key, arbitrary_pair};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_are_ordered_as_keys_are(one in arbitrary_key(), other in arbitrary_key()) {
            prop_assert_eq!(encode_key(&one).cmp(&encode_key(&other)), one.cmp(&other));
            prop_assert!(encode_key(&one).len() <= KEY_BYTES_MAX);
        }

        #[test]
        fn what_was_written_is_read(pair in arbitrary_pair()) {
            let (key, record) = pair;
            prop_assert_eq!(decode_key(&encode_key(&key)), Ok(key.clone()));
            prop_assert_eq!(decode_record(&key, &encode_record(&record)), Ok(record));
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            pair in arbitrary_pair(),
            noise in proptest::collection::vec(any::<u8>(), 0..64),
            at in any::<prop::sample::Index>(),
            value in any::<u8>(),
        ) {
            let (key, record) = pair;
            let _ = decode_key(&noise);
            let _ = decode_record(&key, &noise);
            let mut bytes = encode_record(&record);
            let at = at.index(bytes.len());
            bytes[at] = value;
            let _ = decode_record(&key, &bytes);
            let _ = decode_record(&key, &bytes[..at]);
        }
    }
}
