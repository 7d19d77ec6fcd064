//! The documents that OSS sends and takes.
//!
//! A document is believed only if its root element has the expected name and all that is needed is there; entities other
//! than XML's own are not known, so none can expand. What comes out is text as OSS wrote it: `oss` makes keys, ETags and
//! times of it.

use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::Event;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Parses a document with this root element.
pub(crate) fn parse<T: DeserializeOwned>(root: &str, document: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(document).map_err(|_| "the answer is not UTF-8".to_owned())?;
    match root_name(text) {
        Some(name) if name == root => {}
        Some(name) => return Err(format!("the answer is a document {name:?} instead of {root:?}")),
        None => return Err(format!("the answer is no XML, but {:?}", beginning(text))),
    }
    quick_xml::de::from_str(text).map_err(|error| format!("the answer {root:?} is malformed: {error}"))
}

fn root_name(text: &str) -> Option<String> {
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => {
                return Some(element.local_name().as_ref().to_owned());
            }
            Ok(Event::Eof) | Err(_) => return None,
            Ok(Event::Text(text)) if !text.trim().is_empty() => return None,
            Ok(_) => {}
        }
    }
}

/// The first words of an answer that should have been something else, for the message.
fn beginning(text: &str) -> String {
    text.trim().chars().take(60).collect()
}

/// The body of DeleteMultipleObjects; `None` if a key holds a character that XML can't carry.
pub(crate) fn delete_request<'a>(keys: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut document = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Delete><Quiet>false</Quiet>".to_owned();
    for key in keys {
        if !can_be_in_xml(key) {
            return None;
        }
        document.push_str("<Object><Key>");
        document.push_str(&escape(key));
        document.push_str("</Key></Object>");
    }
    document.push_str("</Delete>");
    Some(document)
}

/// Whether XML 1.0 can carry a text unchanged: no control characters, no line ends, which parsers normalise, and no
/// spaces at the ends, which some trim.
pub(crate) fn can_be_in_xml(text: &str) -> bool {
    text.trim() == text
        && text.chars().all(|character| !matches!(character, '\0'..='\u{1f}' | '\u{7f}' | '\u{fffe}' | '\u{ffff}'))
}

/// The body of CompleteMultipartUpload.
pub(crate) fn complete_request<'a>(parts: impl Iterator<Item = (u32, &'a str)>) -> String {
    let mut document = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CompleteMultipartUpload>".to_owned();
    for (number, etag) in parts {
        let etag = escape(etag);
        document.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{etag}\"</ETag></Part>"));
    }
    document.push_str("</CompleteMultipartUpload>");
    document
}

/// `Error`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ErrorDocument {
    pub code: String,
    #[serde(default)]
    pub message: String,
    /// Where the bucket is, if the request went to a wrong place.
    #[serde(default)]
    pub endpoint: Option<String>,
}

/// `ListBucketResult`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListDocument {
    #[serde(default)]
    pub encoding_type: Option<String>,
    pub is_truncated: bool,
    #[serde(default)]
    pub next_continuation_token: Option<String>,
    #[serde(default)]
    pub contents: Vec<ListedObject>,
    #[serde(default)]
    pub common_prefixes: Vec<ListedPrefix>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedObject {
    pub key: String,
    pub last_modified: String,
    #[serde(rename = "ETag")]
    pub etag: String,
    #[serde(rename = "Type", default)]
    pub object_type: String,
    pub size: u64,
    #[serde(default)]
    pub storage_class: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedPrefix {
    pub prefix: String,
}

/// `DeleteResult`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeleteDocument {
    #[serde(default)]
    pub encoding_type: Option<String>,
    #[serde(default)]
    pub deleted: Vec<DeletedObject>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeletedObject {
    pub key: String,
}

/// `CopyObjectResult` and `CopyPartResult`.
#[derive(Debug, Deserialize)]
pub(crate) struct CopyDocument {
    #[serde(rename = "ETag")]
    pub etag: String,
}

/// `InitiateMultipartUploadResult`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InitiateDocument {
    pub upload_id: String,
}

/// `CompleteMultipartUploadResult`.
#[derive(Debug, Deserialize)]
pub(crate) struct CompleteDocument {
    #[serde(rename = "ETag")]
    pub etag: String,
}

/// `ListPartsResult`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PartsDocument {
    pub is_truncated: bool,
    #[serde(default)]
    pub next_part_number_marker: Option<String>,
    #[serde(rename = "Part", default)]
    pub parts: Vec<ListedPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedPart {
    pub part_number: u32,
    #[serde(rename = "ETag")]
    pub etag: String,
    pub size: u64,
    #[serde(rename = "HashCrc64ecma", default)]
    pub crc64: Option<String>,
}

/// `ListMultipartUploadsResult`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UploadsDocument {
    #[serde(default)]
    pub encoding_type: Option<String>,
    pub is_truncated: bool,
    #[serde(default)]
    pub next_key_marker: Option<String>,
    #[serde(default)]
    pub next_upload_id_marker: Option<String>,
    #[serde(rename = "Upload", default)]
    pub uploads: Vec<ListedUpload>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedUpload {
    pub key: String,
    pub upload_id: String,
    pub initiated: String,
}

/// `BucketInfo`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BucketInfoDocument {
    pub bucket: BucketElement,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BucketElement {
    pub name: String,
    #[serde(default)]
    pub location: String,
    #[serde(default)]
    pub creation_date: Option<String>,
    #[serde(default)]
    pub storage_class: Option<String>,
    #[serde(default)]
    pub versioning: Option<String>,
    #[serde(default)]
    pub hierarchical_namespace: Option<String>,
    #[serde(default)]
    pub extranet_endpoint: Option<String>,
}

/// `BucketStat`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BucketStatDocument {
    pub storage: u64,
    pub object_count: u64,
    #[serde(default)]
    pub multipart_upload_count: u64,
}

/// `ListAllMyBucketsResult`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BucketsDocument {
    #[serde(default)]
    pub is_truncated: bool,
    #[serde(default)]
    pub next_marker: Option<String>,
    #[serde(default)]
    pub buckets: BucketElements,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BucketElements {
    #[serde(default)]
    pub bucket: Vec<BucketElement>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read() {
        let document = br#"<?xml version="1.0"?><!-- c --><ListBucketResult xmlns="urn:x"><Name>b</Name>
            <IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>
            <Contents><Key>a%20b</Key><LastModified>2020-01-01T00:00:00.000Z</LastModified><ETag>"E"</ETag>
            <Type>Normal</Type><Size>5</Size><StorageClass>Standard</StorageClass><Owner><ID>1</ID></Owner></Contents>
            <CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes><Contents><Key>c</Key>
            <LastModified>2020-01-01T00:00:00.000Z</LastModified><ETag>E</ETag><Size>6</Size></Contents>
            </ListBucketResult>"#;
        let list: Result<ListDocument, _> = parse("ListBucketResult", document);
        // Contents and CommonPrefixes never alternate in OSS's answers, but nothing may be lost if they did.
        match list {
            Ok(list) => {
                assert_eq!((list.contents.len(), list.common_prefixes.len()), (2, 1));
                assert_eq!((list.contents[0].key.as_str(), list.contents[1].size), ("a%20b", 6));
            }
            Err(error) => assert!(error.contains("malformed"), "{error}"),
        }
    }

    #[test]
    fn other_documents_are_refused() {
        let parse = |document: &[u8]| parse::<CopyDocument>("CopyObjectResult", document).unwrap_err();
        assert!(parse(b"<html><body>login</body></html>").contains("\"html\" instead of \"CopyObjectResult\""));
        assert!(parse(b"login please").contains("no XML, but \"login please\""));
        assert!(parse(b"").contains("no XML"));
        assert!(parse(b"\xff").contains("UTF-8"));
        assert!(parse(b"<CopyObjectResult></CopyObjectResult>").contains("malformed"));
        assert!(parse(b"<CopyObjectResult><ETag>x").contains("malformed"));
        assert!(
            parse(b"<!DOCTYPE x [<!ENTITY e \"eee\">]><CopyObjectResult><ETag>&e;</ETag></CopyObjectResult>")
                .contains("malformed")
        );
    }

    #[test]
    fn depth_does_not_exhaust_the_stack() {
        let mut document = "<CopyObjectResult>".to_owned();
        document.push_str(&"<a>".repeat(1_000_000));
        assert!(parse::<CopyDocument>("CopyObjectResult", document.as_bytes()).is_err());
        let nested =
            format!("<CopyObjectResult>{}{}</CopyObjectResult>", "<ETag>".repeat(100_000), "</ETag>".repeat(100_000));
        assert!(parse::<CopyDocument>("CopyObjectResult", nested.as_bytes()).is_err());
    }

    #[test]
    fn requests_are_escaped() {
        assert!(delete_request(["a<&>\"b"].into_iter()).unwrap().contains("<Key>a&lt;&amp;&gt;&quot;b</Key>"));
        assert_eq!(delete_request(["a\u{1}"].into_iter()), None);
        assert_eq!(delete_request(["a\r"].into_iter()), None);
        assert!(complete_request([(3, "E")].into_iter()).contains("<PartNumber>3</PartNumber><ETag>\"E\"</ETag>"));
    }
}
