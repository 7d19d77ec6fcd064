//! AppendObject.

use super::{Call, put};
use crate::answer::Answer;
use crate::budget::Budget;
use crate::error::{Code, OssError, Result};
use crate::object::{Kind, Object, StorageClass, content_md5, etag_of_md5};
use crate::world::Change;
use http::HeaderValue;
use md5::{Digest, Md5};
use ossfs_types::limits::APPENDABLE_BYTES_MAX;
use ossfs_types::{Crc64, ETag};
use std::sync::Arc;

pub(super) async fn append(call: &mut Call<'_>) -> Result<Answer> {
    let (bucket, key) = (call.bucket()?, call.key()?.clone());
    let position = call.request.query.number("position", 0..=u64::MAX)?;
    let position = position
        .ok_or_else(|| OssError::argument("position", "", "The position parameter is missing.").ec("0016-00000501"))?;
    let md5 = content_md5(&call.request.headers)?;
    call.body.check_length_is_said(&call.request.method)?;
    check(bucket.object(&key).as_deref(), position)?;
    // Only the append that creates the object says what it is like; later ones are not even looked at.
    let attributes = if position == 0 { Some(put::attributes(call)?) } else { None };
    if let Some(class @ (StorageClass::ColdArchive | StorageClass::DeepColdArchive)) =
        attributes.as_ref().map(|attributes| attributes.class)
    {
        let message = "An appendable object cannot be of this storage class.";
        return Err(OssError::argument("x-oss-storage-class", class.as_str(), message).ec("0016-00000503"));
    }
    let room = APPENDABLE_BYTES_MAX.saturating_sub(position);
    let received = call.body.store(call.world.medium(), room, md5).await?;
    let fresh = match attributes {
        Some(attributes) => attributes,
        None => {
            let current = bucket.object(&key).ok_or_else(|| wrong_position(0))?;
            (*current.attributes).clone()
        }
    };
    let added = put::new_object(call, &key, received, fresh)?;
    let object = call
        .world
        .commit(move |world| {
            world.change_object(&bucket, &key, |state| {
                let current = state.objects.get(&key);
                check(current.map(AsRef::as_ref), position)?;
                let object = joined(current.map(AsRef::as_ref), added, world.budget())?;
                Ok((Change::Put(object.clone()), object))
            })
        })
        .await?;
    Ok(put::stored(&object).header("x-oss-next-append-position", HeaderValue::from(object.content.len())))
}

/// Whether bytes may be added at `position`.
fn check(current: Option<&Object>, position: u64) -> Result<()> {
    let len = match current {
        None => 0,
        Some(object) if object.kind == Kind::Appendable => object.content.len(),
        Some(_) => return Err(Code::ObjectNotAppendable.into()),
    };
    if position == len { Ok(()) } else { Err(wrong_position(len)) }
}

fn wrong_position(len: u64) -> Box<OssError> {
    OssError::new(Code::PositionNotEqualToLength).header("x-oss-next-append-position", HeaderValue::from(len))
}

fn joined(current: Option<&Object>, added: Object, budget: &Arc<Budget>) -> Result<Object> {
    let (content, crc) = match current {
        Some(current) => (
            current.content.followed_by(&added.content, budget)?,
            current.crc.followed_by(added.crc, added.content.len()),
        ),
        None => (added.content.clone(), added.crc),
    };
    Ok(Object {
        kind: Kind::Appendable,
        etag: etag(crc, content.len()),
        content,
        crc,
        attributes: current.map_or(added.attributes, |current| current.attributes.clone()),
        charge: current.map_or(added.charge, |current| current.charge.clone()),
        ..added
    })
}

/// OSS does not say how it makes this one; it changes with the content and is no MD5 of it.
fn etag(crc: Crc64, len: u64) -> ETag {
    etag_of_md5(&Md5::digest(format!("appendable {crc} {len}")).into())
}
