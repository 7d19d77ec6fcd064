//! OSS's operations, one family a file: each takes a call and gives an answer or OSS's error.
//!
//! Whoever calls [`run`] has verified the signature; what an anonymous caller may do is decided here, from ACLs.

mod append;
mod buckets;
mod copy;
mod delete;
mod link;
mod list;
mod multipart;
mod preconditions;
mod properties;
mod put;
mod range;
mod read;

use crate::answer::Answer;
use crate::auth::{Account, Caller};
use crate::bucket::Bucket;
use crate::error::{Code, OssError, Result};
use crate::receive::RequestBody;
use crate::request::Request;
use crate::route::{Access, Operation};
use crate::world::World;
use crate::xml::Writer;
use http::HeaderValue;
use ossfs_types::{Key, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::sync::Arc;

/// The account's id and name in documents. OSS's are sixteen digits.
const OWNER: &str = "1000000000000000";
/// Largest document of a request: 10,000 parts, or 1,000 keys of 1,023 bytes, each byte of them escaped.
const DOCUMENT_BYTES_MAX: u64 = 8 << 20;
/// What `encoding-type=url` encodes.
const URL_ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// One request, on its way to an answer.
pub(crate) struct Call<'a> {
    pub(crate) world: &'a Arc<World>,
    pub(crate) account: &'a Account,
    pub(crate) caller: Caller,
    pub(crate) request: &'a Request,
    pub(crate) body: &'a mut RequestBody,
    pub(crate) now: Timestamp,
}

impl Call<'_> {
    fn bucket(&self) -> Result<Arc<Bucket>> {
        self.world.bucket(self.request.bucket()?)
    }

    fn key(&self) -> Result<&Key> {
        self.request.key()
    }

    /// Whether a header says `true`.
    fn flag(&self, name: &str) -> bool {
        self.request.headers.get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
    }

    fn forbids_overwrite(&self) -> bool {
        self.flag("x-oss-forbid-overwrite")
    }

    /// Whether the answer's names are to be percent-encoded.
    fn encodes_names(&self) -> Result<bool> {
        match self.request.query.text("encoding-type") {
            None => Ok(false),
            Some("url") => Ok(true),
            Some(other) => {
                Err(OssError::argument("encoding-type", other, "Invalid Encoding Method specified in Request"))
            }
        }
    }
}

/// Does what a request asks for.
pub(crate) async fn run(operation: Operation, mut call: Call<'_>) -> Result<Answer> {
    use Operation::*;
    check_access(operation, &call)?;
    let call = &mut call;
    match operation {
        ListBuckets => buckets::list(call),
        PutBucket => buckets::put(call).await,
        DeleteBucket => buckets::delete(call).await,
        HeadBucket => buckets::head(call),
        GetBucketAcl => buckets::acl(call),
        PutBucketAcl => buckets::put_acl(call).await,
        GetBucketInfo => buckets::info(call),
        GetBucketLocation => buckets::location(call),
        GetBucketStat => buckets::stat(call),
        GetBucketVersioning => buckets::versioning(call),
        PutBucketVersioning => buckets::put_versioning(call).await,
        ListObjects => list::objects(call),
        ListObjectsV2 => list::objects_v2(call),
        ListMultipartUploads => list::uploads(call),
        ListParts => list::parts(call),
        GetObject => read::get(call),
        HeadObject => read::head(call),
        GetObjectMeta => read::meta(call),
        PutObject => put::put(call).await,
        AppendObject => append::append(call).await,
        CopyObject => copy::copy(call).await,
        DeleteObject => delete::one(call).await,
        DeleteMultipleObjects => delete::many(call).await,
        InitiateMultipartUpload => multipart::initiate(call).await,
        UploadPart => multipart::upload_part(call).await,
        UploadPartCopy => multipart::upload_part_copy(call).await,
        CompleteMultipartUpload => multipart::complete(call).await,
        AbortMultipartUpload => multipart::abort(call).await,
        PutSymlink => link::put(call).await,
        GetSymlink => link::get(call),
        GetObjectAcl => properties::acl(call),
        PutObjectAcl => properties::put_acl(call).await,
        GetObjectTagging => properties::tagging(call),
        PutObjectTagging => properties::put_tagging(call).await,
        DeleteObjectTagging => properties::delete_tagging(call).await,
        RestoreObject => properties::restore(call).await,
    }
}

fn check_access(operation: Operation, call: &Call<'_>) -> Result<()> {
    // OSS names the missing bucket before it says who may do what.
    let bucket = match operation {
        Operation::ListBuckets | Operation::PutBucket => None,
        _ => Some(call.bucket()?),
    };
    if call.caller == Caller::Owner {
        return Ok(());
    }
    let Some(bucket) = bucket else {
        return Err(OssError::denied("Anonymous access is forbidden for this operation."));
    };
    let state = bucket.read();
    let of_bucket = state.settings.acl;
    let object = call.request.key.as_ref().and_then(|key| state.objects.get(key));
    let of_object = object.map_or(of_bucket, |object| object.attributes.acl.or(of_bucket));
    let allowed = match operation.access() {
        Access::Read => of_object.anyone_may_read(),
        Access::List => of_bucket.anyone_may_read(),
        Access::Write => of_object.anyone_may_write(),
        Access::Own => false,
    };
    if allowed { Ok(()) } else { Err(Code::AccessDenied.into()) }
}

/// A header's value out of text that holds visible ASCII only.
fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("numbers, dates, ETags and encoded names are visible ASCII")
}

/// A name as a document carries it.
fn encoded(name: &str, encode: bool) -> String {
    if encode { utf8_percent_encode(name, &URL_ENCODED).to_string() } else { name.to_owned() }
}

fn write_owner(writer: &mut Writer) {
    writer.begin("Owner");
    writer.element("ID", OWNER);
    writer.element("DisplayName", OWNER);
    writer.end();
}
