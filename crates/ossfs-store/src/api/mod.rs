//! The seam between the file system and a bucket: [`ObjectStore`] and the words it uses.
//!
//! Knows no HTTP beyond the values that objects carry as headers. What an implementation must do is on the trait and
//! is run by `contract` against each of them.

mod body;
mod multipart;
mod object;
mod store;

pub use body::{BodySource, ObjectBody, Payload};
pub use multipart::{Part, PartNumber, PartsPage, Upload, UploadId, UploadListEntry, UploadMarker, UploadsPage};
pub use object::{
    AppendOptions, Appended, BucketInfo, BucketStat, BucketSummary, CopyOptions, CopySource, Fetched, GetOptions,
    GotObject, ListEntry, ListPage, ListRequest, Metadata, ObjectMeta, ObjectStat, ObjectType, PutOptions, Symlink,
    Versioning, WriteHeaders, Written,
};
pub use store::ObjectStore;
pub(crate) use store::{check_copy, check_delete_many, deleted_of};
