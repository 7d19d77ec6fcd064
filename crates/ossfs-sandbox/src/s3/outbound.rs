//! An answer of OSS's, said in S3's words. Pure.
//!
//! The documents are OSS's but for a namespace and a few words, which are put in their place in the text: that is
//! exact, because the writer of documents escapes every `<` that is not of a tag.

use super::inbound::checksums;
use crate::answer::{Answer, Payload};
use crate::error::{Code, OssError};
use crate::request::Request;
use crate::route::Operation;
use crate::xml::Writer;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
const META_PREFIX: &str = "x-oss-meta-";

/// Headers that S3 has too; what else is of OSS's own is left out.
const SAME: [&str; 3] = ["x-oss-request-id", "x-oss-restore", "x-oss-tagging-count"];

/// Storage classes, by OSS's names and S3's.
const CLASSES: [(&str, &str); 5] = [
    ("Standard", "STANDARD"),
    ("IA", "STANDARD_IA"),
    ("Archive", "GLACIER"),
    ("ColdArchive", "DEEP_ARCHIVE"),
    ("DeepColdArchive", "DEEP_ARCHIVE"),
];

/// The answer that says an error. HEAD has no body.
pub(crate) fn refusal(error: &OssError, method: &Method, path: &str, request_id: &str) -> Answer {
    let (status, name) = name(error);
    let mut answer = Answer::empty(status);
    for (name, value) in error.headers() {
        answer.headers.insert(name.clone(), value.clone());
    }
    if method == Method::HEAD || error.code() == Code::NotModified {
        return answer;
    }
    let mut writer = Writer::new("Error");
    writer.element("Code", name);
    writer.element("Message", error.text());
    writer.element("Resource", path);
    for (name, value) in error.details() {
        writer.element(if *name == "OSSAccessKeyId" { "AWSAccessKeyId" } else { name }, value);
    }
    writer.element("RequestId", request_id);
    writer.element("HostId", request_id);
    answer.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    answer.payload = Payload::Text(Bytes::from(writer.finish()));
    answer
}

/// Status and name of an error, which are OSS's but where S3 has others.
fn name(error: &OssError) -> (StatusCode, &'static str) {
    match error.code() {
        Code::ContentChanged => (StatusCode::BAD_REQUEST, "BadDigest"),
        Code::FileAlreadyExists => (StatusCode::PRECONDITION_FAILED, "PreconditionFailed"),
        Code::MissingArgument => (StatusCode::BAD_REQUEST, "InvalidRequest"),
        Code::TotalQpsLimitExceeded => (StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        _ => (error.status(), error.name()),
    }
}

/// What S3 says where OSS says nothing.
pub(crate) fn completed(mut answer: Answer, request: &Request, operation: Operation, region: &str) -> Answer {
    match operation {
        Operation::PutObject | Operation::UploadPart => {
            answer.headers.extend(checksums(request).map(|(name, value)| (name.clone(), value.clone())));
        }
        Operation::HeadBucket => {
            if let Ok(region) = HeaderValue::from_str(region) {
                answer = answer.header("x-amz-bucket-region", region);
            }
        }
        // Quietly, OSS says nothing at all.
        Operation::DeleteMultipleObjects if answer.len() == 0 => return Answer::document(Writer::new("DeleteResult")),
        _ => {}
    }
    answer
}

/// The same answer to a client that speaks S3.
pub(crate) fn in_s3_words(mut answer: Answer) -> Answer {
    answer.headers = headers(&answer.headers);
    let is_document = answer.headers.get(CONTENT_TYPE).is_some_and(|value| value == "application/xml");
    if is_document && let Payload::Text(text) = &answer.payload {
        let text = document(&String::from_utf8_lossy(text));
        answer.payload = Payload::Text(Bytes::from(text));
    }
    answer
}

fn headers(from: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(from.len());
    for (name, value) in from {
        let text = name.as_str();
        let amz =
            |text: &str| HeaderName::try_from(text.replacen("oss", "amz", 1)).expect("only three letters changed");
        if text == "x-oss-storage-class" {
            // S3 does not say the standard class.
            let class = CLASSES[1..].iter().find(|(oss, _)| value == oss);
            headers.extend(class.map(|(_, s3)| (amz(text), HeaderValue::from_static(s3))));
        } else if text.starts_with(META_PREFIX) || SAME.contains(&text) {
            headers.append(amz(text), value.clone());
        } else if !text.starts_with("x-oss-") && text != "content-md5" {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

fn document(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(start) = text.find("?>\n<").map(|at| at + "?>\n".len())
        && let Some(end) = text[start..].find('>').map(|at| start + at)
        && &text[start..end] != "<Error"
    {
        text.insert_str(end, &format!(" xmlns=\"{NAMESPACE}\""));
    }
    text = text.replacen(">oss-", ">", usize::from(text.contains("</LocationConstraint>")));
    for (oss, s3) in CLASSES {
        let said = format!("<StorageClass>{oss}<");
        if text.contains(&said) {
            text = text.replace(&said, &format!("<StorageClass>{s3}<"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(answer: &Answer) -> String {
        match &answer.payload {
            Payload::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Payload::Empty | Payload::Content(_) => String::new(),
        }
    }

    #[test]
    fn documents_have_s3s_namespace_and_words() {
        let mut writer = Writer::new("ListBucketResult");
        writer.element("Key", "<StorageClass>IA</StorageClass>");
        writer.element("StorageClass", "Standard");
        writer.element("StorageClass", "DeepColdArchive");
        let said = text(&in_s3_words(Answer::document(writer)));
        assert!(
            said.contains(
                "\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Key>&lt;StorageClass"
            )
        );
        assert!(said.ends_with(
            "<StorageClass>STANDARD</StorageClass><StorageClass>DEEP_ARCHIVE</StorageClass></ListBucketResult>"
        ));
        let mut writer = Writer::new("LocationConstraint");
        writer.text("oss-cn-hangzhou");
        assert!(text(&in_s3_words(Answer::document(writer))).ends_with("\">cn-hangzhou</LocationConstraint>"));
    }

    #[test]
    fn headers_are_s3s() {
        let answer = Answer::empty(StatusCode::OK)
            .header("x-oss-meta-oss", HeaderValue::from_static("1"))
            .header("x-oss-request-id", HeaderValue::from_static("ID"))
            .header("x-oss-storage-class", HeaderValue::from_static("IA"))
            .header("x-oss-hash-crc64ecma", HeaderValue::from_static("7"))
            .header("etag", HeaderValue::from_static("\"A\""));
        let answer = in_s3_words(answer);
        let mut said: Vec<String> =
            answer.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        said.sort();
        let expected = ["etag: \"A\"", "x-amz-meta-oss: 1", "x-amz-request-id: ID", "x-amz-storage-class: STANDARD_IA"];
        assert_eq!(said, expected);
    }

    #[test]
    fn errors_have_s3s_names() {
        let refused = |code, method: Method| {
            let error = OssError::new(code).detail("OSSAccessKeyId", "id");
            let answer = in_s3_words(refusal(&error, &method, "/bkt/k", "ID"));
            (answer.status.as_u16(), text(&answer))
        };
        let (status, said) = refused(Code::FileAlreadyExists, Method::PUT);
        assert_eq!(status, 412);
        let expected = "<Error><Code>PreconditionFailed</Code><Message>The object you specified already exists \
            and can not be overwritten.</Message><Resource>/bkt/k</Resource><AWSAccessKeyId>id</AWSAccessKeyId>\
            <RequestId>ID</RequestId><HostId>ID</HostId></Error>";
        assert!(said.ends_with(expected), "{said}");
        assert!(refused(Code::TotalQpsLimitExceeded, Method::GET).1.contains("<Code>SlowDown</Code>"));
        assert_eq!(refused(Code::NoSuchKey, Method::HEAD), (404, String::new()));
        assert_eq!(refused(Code::NotModified, Method::GET), (304, String::new()));
    }
}
