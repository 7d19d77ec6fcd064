//! What can be changed of an object without writing it: ACL, tags, and being restored from an archive.

use super::{Call, DOCUMENT_BYTES_MAX, ascii, buckets, read};
use crate::answer::Answer;
use crate::error::{Code, OssError, Result};
use crate::object::{Acl, Attributes, Object, StorageClass, Tags, check_tags, text_header};
use crate::world::Change;
use crate::xml::{Element, Writer};
use http::StatusCode;
use jiff::SignedDuration;
use std::sync::Arc;

/// Replaces the object of the call's key by one that `change` made of it.
async fn change(call: &Call<'_>, change: impl FnOnce(&Object) -> Result<Object> + Send + 'static) -> Result<()> {
    let (bucket, key) = (call.bucket()?, call.key()?.clone());
    call.world
        .commit(move |world| {
            world.change_object(&bucket, &key, |state| {
                let object = state.objects.get(&key).ok_or_else(|| read::no_such_key(&key))?;
                Ok((Change::Put(change(object)?), ()))
            })
        })
        .await
}

fn with_attributes(object: &Object, change: impl FnOnce(&mut Attributes)) -> Object {
    let mut attributes = (*object.attributes).clone();
    change(&mut attributes);
    Object { attributes: Arc::new(attributes), ..object.clone() }
}

pub(super) fn acl(call: &mut Call<'_>) -> Result<Answer> {
    let object = read::object(call, call.key()?)?;
    Ok(Answer::document(buckets::acl_document(object.attributes.acl)))
}

pub(super) async fn put_acl(call: &mut Call<'_>) -> Result<Answer> {
    let text = text_header(&call.request.headers, "x-oss-object-acl")?.unwrap_or_default();
    let acl = Acl::parse(text)
        .ok_or_else(|| OssError::argument("x-oss-object-acl", text, "no such object access control exists"))?;
    change(call, move |object| Ok(with_attributes(object, |attributes| attributes.acl = acl))).await?;
    Ok(Answer::empty(StatusCode::OK))
}

pub(super) fn tagging(call: &mut Call<'_>) -> Result<Answer> {
    let object = read::object(call, call.key()?)?;
    let mut writer = Writer::new("Tagging");
    writer.begin("TagSet");
    for (name, value) in &object.attributes.tags {
        writer.begin("Tag");
        writer.element("Key", name);
        writer.element("Value", value);
        writer.end();
    }
    Ok(Answer::document(writer))
}

pub(super) async fn put_tagging(call: &mut Call<'_>) -> Result<Answer> {
    let document = call.body.document(DOCUMENT_BYTES_MAX).await?;
    let root = Element::parse(&document, "Tagging")?;
    let set = root.child("TagSet").ok_or(Code::MalformedXml)?;
    let mut tags = Tags::new();
    for tag in set.children().iter().filter(|child| child.name() == "Tag") {
        let name = tag.child_text("Key").ok_or(Code::MalformedXml)?;
        tags.push((name.to_owned(), tag.child_text("Value").unwrap_or_default().to_owned()));
    }
    check_tags(&tags)?;
    set_tags(call, tags).await?;
    Ok(Answer::empty(StatusCode::OK))
}

pub(super) async fn delete_tagging(call: &mut Call<'_>) -> Result<Answer> {
    set_tags(call, Tags::new()).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn set_tags(call: &Call<'_>, tags: Tags) -> Result<()> {
    change(call, move |object| Ok(with_attributes(object, |attributes| attributes.tags = tags))).await
}

/// Makes an archived object readable: at once, where OSS takes minutes to hours.
pub(super) async fn restore(call: &mut Call<'_>) -> Result<Answer> {
    let object = read::object(call, call.key()?)?;
    let class = object.attributes.class;
    if !class.needs_restore() {
        return Err(Code::OperationNotSupported.into());
    }
    let document = call.body.document(DOCUMENT_BYTES_MAX).await?;
    let (days, tier) = restore_request(&document, class)?;
    let until = call.now.saturating_add(SignedDuration::from_hours(24 * i64::from(days)));
    let until = until.map_err(|error| OssError::internal("restoring an object", &error))?;
    let again = !object.is_frozen(call.now);
    change(call, move |object| Ok(Object { restored_until: Some(until), ..object.clone() })).await?;
    let answer = Answer::empty(if again { StatusCode::OK } else { StatusCode::ACCEPTED });
    Ok(match tier {
        Some(tier) => answer.header("x-oss-object-restore-priority", ascii(&tier)),
        None => answer,
    })
}

/// For how many days, and how fast.
fn restore_request(document: &[u8], class: StorageClass) -> Result<(u16, Option<String>)> {
    let days_max = if class == StorageClass::Archive { 7 } else { 365 };
    if document.is_empty() {
        return Ok((1, None));
    }
    let root = Element::parse(document, "RestoreRequest")?;
    let days = match root.child_text("Days") {
        None => 1,
        Some(text) => {
            let days = text.trim().parse::<u16>().ok().filter(|days| (1..=days_max).contains(days));
            days.ok_or_else(|| OssError::argument("Days", text, "The days of a restore are out of range."))?
        }
    };
    let tier = match root.child("JobParameters") {
        None => None,
        // Archive knows no tiers.
        Some(_) if class == StorageClass::Archive => return Err(Code::MalformedXml.into()),
        Some(parameters) => match parameters.child_text("Tier") {
            Some(tier @ ("Expedited" | "Standard" | "Bulk")) => Some(tier.to_owned()),
            tier => return Err(OssError::argument("Tier", tier.unwrap_or(""), "The tier is invalid.")),
        },
    };
    Ok((days, tier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restores_say_days_and_tier() {
        let request = |inner: &str| format!("<RestoreRequest>{inner}</RestoreRequest>").into_bytes();
        let tier = |tier: &str| format!("<JobParameters><Tier>{tier}</Tier></JobParameters>");
        let cold = |inner: &str| restore_request(&request(inner), StorageClass::ColdArchive);
        assert_eq!(restore_request(b"", StorageClass::Archive).unwrap(), (1, None));
        assert_eq!(cold(&format!("<Days>5</Days>{}", tier("Bulk"))).unwrap(), (5, Some("Bulk".into())));
        assert_eq!(cold(&tier("wrong")).unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(cold("<Days>0</Days>").unwrap_err().code(), Code::InvalidArgument);
        let archive = restore_request(&request(&tier("Bulk")), StorageClass::Archive);
        assert_eq!(archive.unwrap_err().code(), Code::MalformedXml);
    }
}
