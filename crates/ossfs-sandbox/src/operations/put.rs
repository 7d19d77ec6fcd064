//! PutObject, and what all ways to create an object share.

use super::{Call, ascii, preconditions};
use crate::answer::Answer;
use crate::bucket::Bucket;
use crate::error::{Code, OssError, Result};
use crate::object::{Attributes, Kind, Object, content_md5, etag_of_md5};
use crate::receive::Received;
use crate::time::whole_seconds;
use crate::world::{Change, World};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderValue, StatusCode};
use ossfs_types::Key;
use ossfs_types::limits::PUT_BYTES_MAX;
use std::sync::Arc;

/// What the uploader says about the object it makes.
pub(super) fn attributes(call: &Call<'_>) -> Result<Attributes> {
    preconditions::refuse_on_write(&call.request.headers)?;
    if call.request.headers.contains_key("x-oss-callback") {
        return Err(OssError::new(Code::NotImplemented).detail("Header", "x-oss-callback"));
    }
    let class = call.bucket()?.read().settings.class;
    Attributes::from_request(&call.request.headers, class)
}

/// A new object out of a body.
pub(super) fn new_object(call: &Call<'_>, key: &Key, received: Received, attributes: Attributes) -> Result<Object> {
    Ok(Object {
        kind: Kind::Normal,
        etag: etag_of_md5(&received.md5),
        crc: received.crc,
        content: received.content,
        modified: whole_seconds(call.now),
        restored_until: None,
        charge: call.world.charge(attributes.weight_bytes(key))?,
        attributes: Arc::new(attributes),
    })
}

pub(super) async fn put(call: &mut Call<'_>) -> Result<Answer> {
    let (bucket, key) = (call.bucket()?, call.key()?.clone());
    let attributes = attributes(call)?;
    let md5 = content_md5(&call.request.headers)?;
    let forbid = call.forbids_overwrite();
    call.body.check_length_is_said(&call.request.method)?;
    // Looked at before the body, to refuse early, and again when the object takes its place.
    bucket.read().check_overwrite(&key, forbid)?;
    let received = call.body.store(call.world.medium(), PUT_BYTES_MAX, md5).await?;
    let md5 = received.md5;
    let object = new_object(call, &key, received, attributes)?;
    let answer = stored(&object).header("content-md5", ascii(&BASE64.encode(md5)));
    place(call.world, bucket, key, object, forbid).await?;
    Ok(answer)
}

/// Gives a whole object its place, unless the name is taken and is to be kept.
pub(super) async fn place(
    world: &Arc<World>,
    bucket: Arc<Bucket>,
    key: Key,
    object: Object,
    forbid_overwrite: bool,
) -> Result<()> {
    let change = move |world: &World| {
        world.change_object(&bucket, &key, |state| {
            state.check_overwrite(&key, forbid_overwrite)?;
            Ok((Change::Put(object), ()))
        })
    };
    world.commit(change).await
}

/// 200 with what identifies a stored object.
pub(super) fn stored(object: &Object) -> Answer {
    Answer::empty(StatusCode::OK)
        .header("etag", ascii(&object.etag.quoted()))
        .header("x-oss-hash-crc64ecma", HeaderValue::from(object.crc.to_u64()))
}
