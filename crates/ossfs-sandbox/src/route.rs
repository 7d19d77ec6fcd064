//! Which of OSS's operations a request asks for: a pure function of method, target and query.

use crate::error::{Code, OssError, Result};
use crate::request::Request;
use http::Method;

/// Declares [`Operation`] with OSS's names, so that the names exist once.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// An operation of OSS's API, by its name there.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Operation {
            $($(#[$doc])* $name,)*
        }

        impl Operation {
            /// All of them.
            pub(crate) const ALL: &[Operation] = &[$(Operation::$name,)*];

            /// OSS's name.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Operation::$name => stringify!($name),)*
                }
            }
        }
    };
}

operations! {
    AbortMultipartUpload,
    AppendObject,
    CompleteMultipartUpload,
    CopyObject,
    DeleteBucket,
    DeleteMultipleObjects,
    DeleteObject,
    DeleteObjectTagging,
    GetBucketAcl,
    GetBucketInfo,
    GetBucketLocation,
    GetBucketStat,
    GetBucketVersioning,
    GetObject,
    GetObjectAcl,
    GetObjectMeta,
    GetObjectTagging,
    GetSymlink,
    HeadBucket,
    HeadObject,
    InitiateMultipartUpload,
    ListBuckets,
    ListMultipartUploads,
    ListObjects,
    ListObjectsV2,
    ListParts,
    PutBucket,
    PutBucketAcl,
    PutBucketVersioning,
    PutObject,
    PutObjectAcl,
    PutObjectTagging,
    PutSymlink,
    RestoreObject,
    UploadPart,
    UploadPartCopy,
}

impl Operation {
    /// The operation of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.name() == name)
    }

    /// What the operation does to objects, for ACLs.
    pub(crate) fn access(self) -> Access {
        match self {
            Self::GetObject | Self::HeadObject | Self::GetObjectMeta | Self::GetSymlink => Access::Read,
            Self::ListObjects | Self::ListObjectsV2 | Self::HeadBucket => Access::List,
            Self::AbortMultipartUpload
            | Self::AppendObject
            | Self::CompleteMultipartUpload
            | Self::CopyObject
            | Self::DeleteMultipleObjects
            | Self::DeleteObject
            | Self::InitiateMultipartUpload
            | Self::PutObject
            | Self::PutSymlink
            | Self::UploadPart
            | Self::UploadPartCopy => Access::Write,
            Self::DeleteBucket
            | Self::DeleteObjectTagging
            | Self::GetBucketAcl
            | Self::GetBucketInfo
            | Self::GetBucketLocation
            | Self::GetBucketStat
            | Self::GetBucketVersioning
            | Self::GetObjectAcl
            | Self::GetObjectTagging
            | Self::ListBuckets
            | Self::ListMultipartUploads
            | Self::ListParts
            | Self::PutBucket
            | Self::PutBucketAcl
            | Self::PutBucketVersioning
            | Self::PutObjectAcl
            | Self::PutObjectTagging
            | Self::RestoreObject => Access::Own,
        }
    }
}

/// Who may do something without a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anyone, if the object (or its bucket) is public.
    Read,
    /// Anyone, if the bucket is public.
    List,
    /// Anyone, if the bucket may be written by anyone.
    Write,
    /// The owner alone.
    Own,
}

/// Parameters that name operations the sandbox does not have: a request with one must not be taken for another.
const ABSENT: &[&str] = &[
    "accessPoint",
    "accessPointPolicy",
    "accessmonitor",
    "asyncFetch",
    "bucketArchiveDirectRead",
    "callback",
    "cname",
    "comp",
    "cors",
    "dataAccelerator",
    "encryption",
    "httpsConfig",
    "img",
    "inventory",
    "inventoryId",
    "lifecycle",
    "link",
    "live",
    "logging",
    "metaQuery",
    "objectWorm",
    "objectWormConfiguration",
    "overwriteConfig",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "qos",
    "qosInfo",
    "redundancyTransition",
    "referer",
    "regions",
    "replication",
    "replicationLocation",
    "replicationProgress",
    "requestPayment",
    "requesterQosInfo",
    "resourceGroup",
    "resourcePool",
    "retention",
    "rtc",
    "storageCapacity",
    "style",
    "transferAcceleration",
    "userqos",
    "versionId",
    "versions",
    "vod",
    "website",
    "worm",
    "wormExtend",
    "wormId",
    "x-oss-async-process",
    "x-oss-process",
    "x-oss-rename",
    "x-oss-write-get-object-response",
];

/// The operation that a request asks for.
pub(crate) fn operation(request: &Request) -> Result<Operation> {
    if let Some((name, _)) = request.query.pairs().find(|(name, _)| ABSENT.contains(name)) {
        return Err(not_implemented(name));
    }
    match (&request.bucket, &request.key) {
        (None, None) => of_service(request),
        (Some(_), None) => of_bucket(request),
        (_, Some(_)) => of_object(request),
    }
}

fn not_implemented(what: &str) -> Box<OssError> {
    OssError::new(Code::NotImplemented).message(format!("The sandbox does not implement {what}."))
}

fn not_allowed(request: &Request) -> Box<OssError> {
    OssError::new(Code::MethodNotAllowed)
        .detail("Method", request.method.as_str())
        .detail("ResourceType", if request.key.is_some() { "OBJECT" } else { "BUCKET" })
}

fn of_service(request: &Request) -> Result<Operation> {
    match request.method {
        Method::GET => Ok(Operation::ListBuckets),
        _ => Err(OssError::new(Code::MethodNotAllowed).detail("ResourceType", "SERVICE")),
    }
}

fn of_bucket(request: &Request) -> Result<Operation> {
    use Operation::*;
    let query = &request.query;
    // For each sub-resource what GET, PUT, POST, DELETE and HEAD do.
    let (get, put, post, delete, head) = if query.has("acl") {
        (Some(GetBucketAcl), Some(PutBucketAcl), None, None, None)
    } else if query.has("location") {
        (Some(GetBucketLocation), None, None, None, None)
    } else if query.has("bucketInfo") {
        (Some(GetBucketInfo), None, None, None, None)
    } else if query.has("stat") {
        (Some(GetBucketStat), None, None, None, None)
    } else if query.has("versioning") {
        (Some(GetBucketVersioning), Some(PutBucketVersioning), None, None, None)
    } else if query.has("uploads") {
        (Some(ListMultipartUploads), None, None, None, None)
    } else if query.has("delete") {
        (None, None, Some(DeleteMultipleObjects), None, None)
    } else if query.has("tagging") {
        return Err(not_implemented("tags of buckets"));
    } else {
        let list = if query.value("list-type") == Some("2") { ListObjectsV2 } else { ListObjects };
        if request.method == Method::POST {
            return Err(not_implemented("PostObject"));
        }
        (Some(list), Some(PutBucket), None, Some(DeleteBucket), Some(HeadBucket))
    };
    by_method(request, get, put, post, delete, head)
}

fn of_object(request: &Request) -> Result<Operation> {
    use Operation::*;
    let query = &request.query;
    let copies = request.headers.contains_key("x-oss-copy-source");
    let (get, put, post, delete, head) = if query.has("acl") {
        (Some(GetObjectAcl), Some(PutObjectAcl), None, None, None)
    } else if query.has("symlink") {
        (Some(GetSymlink), Some(PutSymlink), None, None, None)
    } else if query.has("tagging") {
        (Some(GetObjectTagging), Some(PutObjectTagging), None, Some(DeleteObjectTagging), None)
    } else if query.has("objectMeta") {
        (Some(GetObjectMeta), None, None, None, Some(GetObjectMeta))
    } else if query.has("uploads") {
        (None, None, Some(InitiateMultipartUpload), None, None)
    } else if query.has("uploadId") {
        let part = if copies { UploadPartCopy } else { UploadPart };
        (Some(ListParts), Some(part), Some(CompleteMultipartUpload), Some(AbortMultipartUpload), None)
    } else if query.has("append") {
        (None, None, Some(AppendObject), None, None)
    } else if query.has("restore") {
        (None, None, Some(RestoreObject), None, None)
    } else {
        let put = if copies { CopyObject } else { PutObject };
        (Some(GetObject), Some(put), None, Some(DeleteObject), Some(HeadObject))
    };
    by_method(request, get, put, post, delete, head)
}

fn by_method(
    request: &Request,
    get: Option<Operation>,
    put: Option<Operation>,
    post: Option<Operation>,
    delete: Option<Operation>,
    head: Option<Operation>,
) -> Result<Operation> {
    let chosen = match request.method {
        Method::GET => get,
        Method::PUT => put,
        Method::POST => post,
        Method::DELETE => delete,
        Method::HEAD => head,
        Method::OPTIONS => return Err(not_implemented("CORS")),
        _ => None,
    };
    chosen.ok_or_else(|| not_allowed(request))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(method: &str, path: &str, headers: &[&str]) -> std::result::Result<Operation, Code> {
        let mut builder = http::Request::builder().method(method).uri(path).header("host", "127.0.0.1");
        for name in headers {
            builder = builder.header(*name, "x");
        }
        let request = Request::parse(builder.body(()).unwrap().into_parts().0).unwrap();
        operation(&request).map_err(|error| error.code())
    }

    #[test]
    fn every_operation_has_its_request() {
        use Operation::*;
        for (method, path, expected) in [
            ("GET", "/", ListBuckets),
            ("PUT", "/bkt", PutBucket),
            ("DELETE", "/bkt/", DeleteBucket),
            ("GET", "/bkt?prefix=a", ListObjects),
            ("GET", "/bkt?list-type=2", ListObjectsV2),
            ("GET", "/bkt?acl", GetBucketAcl),
            ("PUT", "/bkt?acl", PutBucketAcl),
            ("GET", "/bkt?bucketInfo", GetBucketInfo),
            ("GET", "/bkt?stat=", GetBucketStat),
            ("GET", "/bkt?location", GetBucketLocation),
            ("GET", "/bkt?uploads", ListMultipartUploads),
            ("POST", "/bkt?delete", DeleteMultipleObjects),
            ("PUT", "/bkt/k", PutObject),
            ("GET", "/bkt/k", GetObject),
            ("HEAD", "/bkt/k", HeadObject),
            ("HEAD", "/bkt/k?objectMeta", GetObjectMeta),
            ("DELETE", "/bkt/k", DeleteObject),
            ("POST", "/bkt/k?append&position=0", AppendObject),
            ("POST", "/bkt/k?uploads", InitiateMultipartUpload),
            ("PUT", "/bkt/k?partNumber=1&uploadId=U", UploadPart),
            ("GET", "/bkt/k?uploadId=U", ListParts),
            ("POST", "/bkt/k?uploadId=U", CompleteMultipartUpload),
            ("DELETE", "/bkt/k?uploadId=U", AbortMultipartUpload),
            ("PUT", "/bkt/k?symlink", PutSymlink),
            ("GET", "/bkt/k?symlink", GetSymlink),
            ("POST", "/bkt/k?restore", RestoreObject),
        ] {
            assert_eq!(routed(method, path, &[]), Ok(expected), "{method} {path}");
        }
        assert_eq!(routed("PUT", "/bkt/k", &["x-oss-copy-source"]), Ok(CopyObject));
        assert_eq!(routed("PUT", "/bkt/k?partNumber=1&uploadId=U", &["x-oss-copy-source"]), Ok(UploadPartCopy));
    }

    #[test]
    fn the_rest_is_refused() {
        for (method, path, expected) in [
            ("PUT", "/bkt?lifecycle", Code::NotImplemented),
            ("GET", "/bkt?versions", Code::NotImplemented),
            ("GET", "/bkt/k?x-oss-process=image", Code::NotImplemented),
            ("OPTIONS", "/bkt/k", Code::NotImplemented),
            ("POST", "/bkt", Code::NotImplemented),
            ("POST", "/bkt/k", Code::MethodNotAllowed),
            ("PATCH", "/bkt/k", Code::MethodNotAllowed),
            ("DELETE", "/", Code::MethodNotAllowed),
            ("DELETE", "/bkt/k?append", Code::MethodNotAllowed),
        ] {
            assert_eq!(routed(method, path, &[]), Err(expected), "{method} {path}");
        }
    }

    #[test]
    fn names_are_found_again() {
        for operation in Operation::ALL {
            assert_eq!(Operation::from_name(operation.name()), Some(*operation));
        }
        assert_eq!(Operation::from_name("putobject"), None);
    }
}
