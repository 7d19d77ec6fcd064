//! DeleteObject and DeleteMultipleObjects.

use super::{Call, DOCUMENT_BYTES_MAX, encoded};
use crate::answer::Answer;
use crate::bucket::Bucket;
use crate::error::{Code, OssError, Result};
use crate::object::content_md5;
use crate::request::parse_key;
use crate::world::{Change, World};
use crate::xml::{Element, Writer};
use http::StatusCode;
use md5::{Digest, Md5};
use ossfs_types::Key;
use ossfs_types::limits::DELETE_KEYS_MAX;

pub(super) async fn one(call: &mut Call<'_>) -> Result<Answer> {
    let (bucket, key) = (call.bucket()?, call.key()?.clone());
    call.world.commit(move |world| delete(world, &bucket, &key)).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn delete(world: &World, bucket: &Bucket, key: &Key) -> Result<()> {
    world.change_object(bucket, key, |_| Ok((Change::Remove, ())))
}

pub(super) async fn many(call: &mut Call<'_>) -> Result<Answer> {
    let bucket = call.bucket()?;
    let encode = call.encodes_names()?;
    let expected = content_md5(&call.request.headers)?;
    if expected.is_none() && !call.body.verifies_itself() {
        return Err(OssError::new(Code::MissingArgument).detail("ArgumentName", "Content-MD5"));
    }
    call.body.check_length_is_said(&call.request.method)?;
    let document = call.body.document(DOCUMENT_BYTES_MAX).await?;
    if expected.is_some_and(|expected| expected != <[u8; 16]>::from(Md5::digest(&document))) {
        return Err(Code::ContentChanged.into());
    }
    let (quiet, keys) = parse(&document)?;
    let deleted = keys.clone();
    call.world.commit(move |world| keys.iter().try_for_each(|key| delete(world, &bucket, key))).await?;
    if quiet {
        return Ok(Answer::empty(StatusCode::OK));
    }
    let mut writer = Writer::new("DeleteResult");
    if encode {
        writer.element("EncodingType", "url");
    }
    for key in deleted {
        writer.begin("Deleted");
        writer.element("Key", encoded(key.as_str(), encode));
        writer.end();
    }
    Ok(Answer::document(writer))
}

/// Whether the answer is to be quiet, and the keys.
fn parse(document: &[u8]) -> Result<(bool, Vec<Key>)> {
    let root = Element::parse(document, "Delete")?;
    let quiet = match root.child_text("Quiet").map(str::trim) {
        None | Some("false" | "") => false,
        Some("true") => true,
        Some(_) => return Err(Code::MalformedXml.into()),
    };
    let objects = root.children().iter().filter(|child| child.name() == "Object");
    let key =
        |object: &Element| -> Result<Key> { parse_key(object.child_text("Key").ok_or(Code::MalformedXml)?.as_bytes()) };
    let keys = objects.map(key).collect::<Result<Vec<Key>>>()?;
    if keys.is_empty() || keys.len() > DELETE_KEYS_MAX {
        return Err(Code::MalformedXml.into());
    }
    Ok((quiet, keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_a_thousand_keys() {
        let document = |count: usize| format!("<Delete>{}</Delete>", "<Object><Key>k</Key></Object>".repeat(count));
        assert_eq!(parse(document(1000).as_bytes()).unwrap().1.len(), 1000);
        for bad in [document(0), document(1001), "<Delete><Object/></Delete>".into(), "<X/>".into()] {
            assert_eq!(parse(bad.as_bytes()).unwrap_err().code(), Code::MalformedXml);
        }
    }
}
