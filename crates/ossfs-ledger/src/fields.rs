//! Fields of a record as bytes: each a tag, a length and a value, so that later formats can add some.
//!
//! Nothing that is read here is trusted: whatever the bytes are, reading ends with a value or a [`DecodeError`].

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct DecodeError(pub(crate) &'static str);

/// Tag and length.
const HEAD_BYTES: usize = 1 + 4;

/// Writes fields.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// A field of bytes.
    pub(crate) fn bytes(mut self, tag: u8, value: &[u8]) -> Self {
        let length = u32::try_from(value.len()).expect("no field of a record has 4 GiB: paths and names are short");
        self.0.push(tag);
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(value);
        self
    }

    /// A field of bytes, if it has a value.
    pub(crate) fn optional(self, tag: u8, value: Option<impl AsRef<[u8]>>) -> Self {
        match value {
            Some(value) => self.bytes(tag, value.as_ref()),
            None => self,
        }
    }

    /// A field of a number.
    pub(crate) fn number(self, tag: u8, value: u64) -> Self {
        self.bytes(tag, &value.to_le_bytes())
    }

    /// The fields that were written.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Fields that were read.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    fields: Vec<(u8, &'a [u8])>,
}

impl<'a> Reader<'a> {
    /// Reads fields, whose tags must be among 1 to `last`: others belong to a later format, which is refused before.
    pub(crate) fn new(mut bytes: &'a [u8], last: u8) -> Result<Self, DecodeError> {
        let mut fields: Vec<(u8, &[u8])> = Vec::new();
        while !bytes.is_empty() {
            let (head, rest) = bytes.split_at_checked(HEAD_BYTES).ok_or(DecodeError("a field is cut off"))?;
            let tag = head[0];
            let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
            let length = usize::try_from(length).map_err(|_| DecodeError("a field is too long"))?;
            let (value, rest) = rest.split_at_checked(length).ok_or(DecodeError("a field is cut off"))?;
            if tag == 0 || tag > last {
                return Err(DecodeError("a field is not known"));
            }
            // Ascending tags: none twice, and one way alone to write a record.
            if fields.last().is_some_and(|(before, _)| *before >= tag) {
                return Err(DecodeError("fields are not in order"));
            }
            fields.push((tag, value));
            bytes = rest;
        }
        Ok(Self { fields })
    }

    /// The value of a field, if it is there.
    pub(crate) fn optional(&self, tag: u8) -> Option<&'a [u8]> {
        self.fields.iter().find(|(found, _)| *found == tag).map(|(_, value)| *value)
    }

    /// The value of a field that must be there.
    pub(crate) fn bytes(&self, tag: u8) -> Result<&'a [u8], DecodeError> {
        self.optional(tag).ok_or(DecodeError("a field is missing"))
    }

    /// The number of a field, if it is there.
    pub(crate) fn optional_number(&self, tag: u8) -> Result<Option<u64>, DecodeError> {
        self.optional(tag).map(number).transpose()
    }

    /// The number of a field that must be there.
    pub(crate) fn number(&self, tag: u8) -> Result<u64, DecodeError> {
        number(self.bytes(tag)?)
    }

    /// The number of a field that must be there and fit in 32 bits.
    pub(crate) fn number_32(&self, tag: u8) -> Result<u32, DecodeError> {
        u32::try_from(self.number(tag)?).map_err(|_| DecodeError("a number is too large"))
    }

    /// The text of a field, if it is there.
    pub(crate) fn optional_text(&self, tag: u8) -> Result<Option<&'a str>, DecodeError> {
        self.optional(tag).map(text).transpose()
    }

    /// The text of a field that must be there.
    pub(crate) fn text(&self, tag: u8) -> Result<&'a str, DecodeError> {
        text(self.bytes(tag)?)
    }
}

fn number(bytes: &[u8]) -> Result<u64, DecodeError> {
    bytes.try_into().map(u64::from_le_bytes).map_err(|_| DecodeError("a number does not have 8 bytes"))
}

/// Bytes as text.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError("a text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_are_cut_unknown_twice_or_of_another_type() {
        let good = Writer::default().number(1, 7).bytes(2, b"text").finish();
        let fields = Reader::new(&good, 2).unwrap();
        assert_eq!((fields.number(1), fields.text(2), fields.optional(3)), (Ok(7), Ok("text"), None));
        assert!(fields.number(2).is_err() && fields.bytes(3).is_err());
        for length in 1..good.len() {
            let cut = Reader::new(&good[..length], 2);
            // A whole first field is whole.
            assert_eq!(cut.is_ok(), length == HEAD_BYTES + 8, "{length}");
        }
        assert!(Reader::new(&good, 1).is_err());
        assert!(Reader::new(&Writer::default().number(1, 7).number(1, 7).finish(), 1).is_err());
    }
}
