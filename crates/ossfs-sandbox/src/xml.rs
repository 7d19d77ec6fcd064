//! The documents of OSS's API: writing answers, and reading request bodies without trusting them.
//!
//! Reading knows elements, text and the five predefined entities. A document type, an unknown entity, more than
//! [`DEPTH_MAX`] levels or more than [`ELEMENTS_MAX`] elements make a document malformed, so that no body can make the
//! reader use more than a small multiple of its own size. The size itself is bounded by whoever receives the body.

use crate::error::{Code, Result};
use quick_xml::Reader;
use quick_xml::events::Event;
use std::fmt::Display;

/// OSS's documents have five levels at most.
const DEPTH_MAX: usize = 16;
/// CompleteMultipartUpload has 10,000 parts of three elements each; the rest is room.
const ELEMENTS_MAX: usize = 50_000;

/// One element of a document that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a document whose root has this name.
    pub(crate) fn parse(document: &[u8], root: &str) -> Result<Self> {
        let text = std::str::from_utf8(document).map_err(|_| Code::MalformedXml)?;
        let element = read(text).ok_or(Code::MalformedXml)?;
        if element.name == root { Ok(element) } else { Err(Code::MalformedXml.into()) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The element's own text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn children(&self) -> &[Element] {
        &self.children
    }

    /// The first child of this name.
    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of this name.
    pub(crate) fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(Element::text)
    }
}

/// `None` for everything that is malformed.
fn read(text: &str) -> Option<Element> {
    let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    // The last is the element being read; the first stands for the document.
    let mut open = vec![Element::default()];
    let mut elements = 0;
    loop {
        match reader.read_event().ok()? {
            event @ (Event::Start(_) | Event::Empty(_)) => {
                elements += 1;
                if open.len() > DEPTH_MAX || elements > ELEMENTS_MAX {
                    return None;
                }
                let (Event::Start(start) | Event::Empty(start)) = &event else { return None };
                let element = Element { name: start.local_name().into_inner().to_owned(), ..Element::default() };
                if matches!(event, Event::Empty(_)) {
                    open.last_mut()?.children.push(element);
                } else {
                    open.push(element);
                }
            }
            Event::End(_) => {
                let element = open.pop()?;
                open.last_mut()?.children.push(element);
            }
            Event::Text(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
            Event::CData(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
            Event::GeneralRef(entity) => {
                let character = match entity.resolve_char_ref().ok()? {
                    Some(character) => character,
                    None => predefined(entity.as_ref())?,
                };
                open.last_mut()?.text.push(character);
            }
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::DocType(_) => return None,
            Event::Eof => break,
        }
    }
    let mut document = open.pop()?;
    let whole = open.is_empty() && document.children.len() == 1 && document.text.trim().is_empty();
    if whole { document.children.pop() } else { None }
}

fn predefined(entity: &str) -> Option<char> {
    Some(match entity {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => return None,
    })
}

/// Writes a document from its root on.
#[derive(Debug)]
pub(crate) struct Writer {
    out: String,
    open: Vec<&'static str>,
}

impl Writer {
    /// Begins a document.
    pub(crate) fn new(root: &'static str) -> Self {
        let mut writer = Self { out: String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"), open: Vec::new() };
        writer.begin(root);
        writer
    }

    pub(crate) fn begin(&mut self, name: &'static str) {
        self.tag("<", name);
        self.open.push(name);
    }

    /// Ends the innermost element.
    pub(crate) fn end(&mut self) {
        if let Some(name) = self.open.pop() {
            self.tag("</", name);
        }
    }

    /// An element with text alone.
    pub(crate) fn element(&mut self, name: &'static str, text: impl Display) {
        self.tag("<", name);
        escape(&text.to_string(), &mut self.out);
        self.tag("</", name);
    }

    /// Text of the innermost element.
    pub(crate) fn text(&mut self, text: &str) {
        escape(text, &mut self.out);
    }

    /// Ends every element and gives the document.
    pub(crate) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.end();
        }
        self.out
    }

    fn tag(&mut self, open: &str, name: &str) {
        self.out.push_str(open);
        self.out.push_str(name);
        self.out.push('>');
    }
}

fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // A parser would turn these into a line feed.
            '\r' => out.push_str("&#13;"),
            // No document can hold these, in whatever form; `encoding-type=url` is for whoever has such names.
            '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}' => {
                out.push(char::REPLACEMENT_CHARACTER);
            }
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_elements_text_and_entities() {
        let document = b"<?xml version='1.0'?>\n<Delete xmlns='x'><Quiet>true</Quiet>\
            <Object><Key>a&amp;b&#x41; <![CDATA[<c>]]></Key></Object><Object/></Delete>";
        let root = Element::parse(document, "Delete").unwrap();
        assert_eq!(root.child_text("Quiet"), Some("true"));
        assert_eq!(root.children().len(), 3);
        assert_eq!(root.children()[1].child_text("Key"), Some("a&bA <c>"));
    }

    #[test]
    fn refuses_what_is_not_one_small_plain_document() {
        let deep = "<a>".repeat(DEPTH_MAX + 1) + &"</a>".repeat(DEPTH_MAX + 1);
        let many = format!("<a>{}</a>", "<b/>".repeat(ELEMENTS_MAX + 1));
        let bomb = "<!DOCTYPE a [<!ENTITY x \"xxxxxxxx\"><!ENTITY y \"&x;&x;\">]><a>&y;</a>";
        let bad = ["", "a", "<a>", "<a></b>", "<a/><a/>", "<a/>x", "<a>&x;</a>", "<a>&#xFFFFFFFF;</a>", "<b/>", "</a>"];
        for document in bad.into_iter().chain([deep.as_str(), &many, bomb]) {
            assert!(Element::parse(document.as_bytes(), "a").is_err(), "{}", &document[..document.len().min(40)]);
        }
        assert!(Element::parse(b"<a>\xff</a>", "a").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Element::parse(&bytes, "a");
        }

        #[test]
        fn what_was_written_is_read(text in "[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x85\\u{2028}\\u{fffe}\\u{ffff}]{0,40}") {
            let mut writer = Writer::new("a");
            writer.element("b", &text);
            let document = writer.finish();
            let root = Element::parse(document.as_bytes(), "a").unwrap();
            prop_assert_eq!(root.child_text("b"), Some(text.as_str()));
        }
    }
}
