"""`alibabacloud-oss-v2` behind the adapters' vocabulary."""

import datetime
import functools
from email.utils import format_datetime
from urllib.parse import quote

import alibabacloud_oss_v2 as sdk
from requests.structures import CaseInsensitiveDict

from .reply import Bucket, Entry, Listing, Page, Part, Refused, Reply, Upload


def _refusals(method):
    @functools.wraps(method)
    def call(*args, **kwargs):
        try:
            return method(*args, **kwargs)
        except sdk.exceptions.OperationError as error:
            inner = error.unwrap()
            if not isinstance(inner, sdk.exceptions.ServiceError):
                raise
            raise Refused(
                inner.status_code, inner.code, inner.message, inner.request_id, inner.headers, inner.error_fileds
            ) from error

    return call


def _reply(result, body=b""):
    return Reply(result.status_code, CaseInsensitiveDict(result.headers), body)


class OssV2:
    sdk_name = "alibabacloud-oss-v2"

    def __init__(self, version, url, region, bucket, key_id, secret, token=None, **options):
        self.version = version
        self.bucket = bucket
        self._how = dict(version=version, url=url, region=region, bucket=bucket, key_id=key_id, secret=secret,
                         token=token, **options)
        provider = sdk.credentials.StaticCredentialsProvider(key_id, secret, token)
        if key_id is None:
            provider = sdk.credentials.AnonymousCredentialsProvider()
        options.setdefault("retry_max_attempts", 1)
        self.client = sdk.Client(sdk.Config(region=region, endpoint=url, signature_version=version,
                                            credentials_provider=provider, **options))

    def but(self, **changes):
        """The same adapter with other credentials, another bucket, endpoint or client option."""
        return OssV2(**{**self._how, **changes})

    def _object(self, request, key, **fields):
        return request(bucket=self.bucket, key=key, **fields)

    # Objects.

    @_refusals
    def put(self, key, body, headers=None, metadata=None, forbid_overwrite=None):
        return _reply(self.client.put_object(self._object(
            sdk.PutObjectRequest, key, body=body, headers=headers or {}, metadata=metadata,
            forbid_overwrite=forbid_overwrite)))

    @_refusals
    def get(self, key, byte_range=None, standard=True, headers=None):
        """`byte_range` is (first, last), either may be None."""
        request = self._object(sdk.GetObjectRequest, key, headers=headers or {})
        if byte_range is not None:
            first, last = ("" if end is None else end for end in byte_range)
            request.range_header = f"bytes={first}-{last}"
            request.range_behavior = "standard" if standard else None
        result = self.client.get_object(request)
        with result.body as stream:
            return _reply(result, stream.read())

    @_refusals
    def head(self, key, headers=None):
        return _reply(self.client.head_object(self._object(sdk.HeadObjectRequest, key, headers=headers or {})))

    @_refusals
    def meta(self, key):
        return _reply(self.client.get_object_meta(self._object(sdk.GetObjectMetaRequest, key)))

    @_refusals
    def delete(self, key):
        return _reply(self.client.delete_object(self._object(sdk.DeleteObjectRequest, key)))

    @_refusals
    def delete_many(self, keys, quiet=False):
        result = self.client.delete_multiple_objects(sdk.DeleteMultipleObjectsRequest(
            bucket=self.bucket, encoding_type="url", objects=[sdk.DeleteObject(key=key) for key in keys],
            quiet=quiet))
        return [deleted.key for deleted in result.deleted_objects or []]

    @_refusals
    def copy(self, source, key, source_bucket=None, headers=None):
        result = self.client.copy_object(self._object(
            sdk.CopyObjectRequest, key, source_bucket=source_bucket or self.bucket, source_key=source,
            headers=headers or {}))
        reply = _reply(result)
        reply.headers.setdefault("ETag", result.etag)
        return reply

    @_refusals
    def append(self, key, position, body, headers=None):
        result = self.client.append_object(self._object(
            sdk.AppendObjectRequest, key, position=position, body=body, headers=headers or {}))
        return _reply(result)

    @_refusals
    def put_symlink(self, key, target, headers=None):
        # The header takes a URL-encoded key; this SDK, unlike oss2, leaves the encoding to its user.
        return _reply(self.client.put_symlink(self._object(
            sdk.PutSymlinkRequest, key, symlink_target=quote(target, safe=""), headers=headers or {})))

    @_refusals
    def symlink(self, key):
        result = self.client.get_symlink(self._object(sdk.GetSymlinkRequest, key))
        return _reply(result)

    @_refusals
    def restore(self, key):
        return _reply(self.client.restore_object(self._object(sdk.RestoreObjectRequest, key)))

    # Listings.

    def _listing(self, result, next_page, key_count=None):
        entries = [
            Entry(item.key, item.size, item.etag, item.object_type, item.storage_class, item.last_modified,
                  item.owner.id if item.owner else None)
            for item in result.contents or []
        ]
        prefixes = [item.prefix for item in result.common_prefixes or []]
        return Listing(entries, prefixes, bool(result.is_truncated), next_page, key_count)

    @_refusals
    def list(self, prefix=None, delimiter=None, marker=None, max_keys=None):
        result = self.client.list_objects(sdk.ListObjectsRequest(
            bucket=self.bucket, prefix=prefix, delimiter=delimiter, marker=marker, max_keys=max_keys,
            encoding_type="url"))
        return self._listing(result, result.next_marker)

    @_refusals
    def list_v2(self, prefix=None, delimiter=None, token=None, start_after=None, max_keys=None, fetch_owner=None):
        result = self.client.list_objects_v2(sdk.ListObjectsV2Request(
            bucket=self.bucket, prefix=prefix, delimiter=delimiter, continuation_token=token,
            start_after=start_after, max_keys=max_keys, fetch_owner=fetch_owner, encoding_type="url"))
        return self._listing(result, result.next_continuation_token, result.key_count)

    # Multipart uploads.

    @_refusals
    def initiate(self, key, headers=None):
        return self.client.initiate_multipart_upload(self._object(
            sdk.InitiateMultipartUploadRequest, key, headers=headers or {})).upload_id

    @_refusals
    def part(self, key, upload_id, number, body, headers=None):
        result = self.client.upload_part(self._object(
            sdk.UploadPartRequest, key, upload_id=upload_id, part_number=number, body=body, headers=headers or {}))
        return Part(number, result.etag, len(body))

    @_refusals
    def part_copy(self, key, upload_id, number, source, byte_range=None, source_bucket=None, headers=None):
        result = self.client.upload_part_copy(self._object(
            sdk.UploadPartCopyRequest, key, upload_id=upload_id, part_number=number,
            source_bucket=source_bucket or self.bucket, source_key=source,
            source_range=f"bytes={byte_range[0]}-{byte_range[1]}" if byte_range else None, headers=headers or {}))
        return Part(number, result.etag)

    @_refusals
    def complete(self, key, upload_id, parts, headers=None):
        listed = [sdk.UploadPart(part_number=part.number, etag=part.etag) for part in parts]
        result = self.client.complete_multipart_upload(self._object(
            sdk.CompleteMultipartUploadRequest, key, upload_id=upload_id, headers=headers or {},
            complete_multipart_upload=sdk.CompleteMultipartUpload(parts=listed)))
        reply = _reply(result)
        reply.headers.setdefault("ETag", result.etag)
        return reply

    @_refusals
    def abort(self, key, upload_id):
        return _reply(self.client.abort_multipart_upload(self._object(
            sdk.AbortMultipartUploadRequest, key, upload_id=upload_id)))

    @_refusals
    def parts(self, key, upload_id, after=None, max_parts=None):
        result = self.client.list_parts(self._object(
            sdk.ListPartsRequest, key, upload_id=upload_id, part_number_marker=after, max_parts=max_parts))
        items = [Part(part.part_number, part.etag, part.size) for part in result.parts or []]
        return Page(items, bool(result.is_truncated), result.next_part_number_marker)

    @_refusals
    def uploads(self, prefix=None, delimiter=None, key_marker=None, upload_id_marker=None, max_uploads=None):
        result = self.client.list_multipart_uploads(sdk.ListMultipartUploadsRequest(
            bucket=self.bucket, prefix=prefix, delimiter=delimiter, key_marker=key_marker,
            upload_id_marker=upload_id_marker, max_uploads=max_uploads, encoding_type="url"))
        items = [Upload(upload.key, upload.upload_id) for upload in result.uploads or []]
        return Page(items, bool(result.is_truncated), result.next_key_marker, result.next_upload_id_marker)

    # Buckets.

    @_refusals
    def create_bucket(self, acl=None):
        return _reply(self.client.put_bucket(sdk.PutBucketRequest(bucket=self.bucket, acl=acl)))

    @_refusals
    def delete_bucket(self):
        return _reply(self.client.delete_bucket(sdk.DeleteBucketRequest(bucket=self.bucket)))

    @_refusals
    def buckets(self, prefix=None, marker=None, max_keys=None):
        result = self.client.list_buckets(sdk.ListBucketsRequest(prefix=prefix, marker=marker, max_keys=max_keys))
        items = [Bucket(item.name, item.location, item.storage_class, item.extranet_endpoint, item.intranet_endpoint)
                 for item in result.buckets or []]
        return Page(items, bool(result.is_truncated), result.next_marker)

    @_refusals
    def info(self):
        info = self.client.get_bucket_info(sdk.GetBucketInfoRequest(bucket=self.bucket)).bucket_info
        return Bucket(info.name, info.location, info.storage_class, info.extranet_endpoint, info.intranet_endpoint,
                      info.acl, info.versioning)

    @_refusals
    def stat(self):
        stat = self.client.get_bucket_stat(sdk.GetBucketStatRequest(bucket=self.bucket))
        return {"storage": stat.storage, "objects": stat.object_count, "uploads": stat.multi_part_upload_count}

    @_refusals
    def location(self):
        return self.client.get_bucket_location(sdk.GetBucketLocationRequest(bucket=self.bucket)).location

    @_refusals
    def acl(self):
        return self.client.get_bucket_acl(sdk.GetBucketAclRequest(bucket=self.bucket)).acl

    @_refusals
    def put_acl(self, acl):
        return _reply(self.client.put_bucket_acl(sdk.PutBucketAclRequest(bucket=self.bucket, acl=acl)))

    @_refusals
    def versioning(self):
        result = self.client.get_bucket_versioning(sdk.GetBucketVersioningRequest(bucket=self.bucket))
        return result.version_status

    @_refusals
    def put_versioning(self, status):
        return _reply(self.client.put_bucket_versioning(sdk.PutBucketVersioningRequest(
            bucket=self.bucket, versioning_configuration=sdk.VersioningConfiguration(status=status))))

    # Signing.

    def presign(self, method, key, expires, headers=None):
        """A URL and the headers that were signed with it; `expires` in seconds."""
        request = {"GET": sdk.GetObjectRequest, "PUT": sdk.PutObjectRequest, "HEAD": sdk.HeadObjectRequest}[method]
        signed = self.client.presign(self._object(request, key, headers=dict(headers or {})),
                                     expires=datetime.timedelta(seconds=expires))
        return signed.url, dict(signed.signed_headers or {})

    @_refusals
    def get_skewed(self, key, seconds):
        """GetObject signed by a clock that is `seconds` ahead."""
        clock = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
        headers = {"x-oss-date": format_datetime(clock, usegmt=True)}
        return _reply(self.client.get_object(self._object(sdk.GetObjectRequest, key, headers=headers)))

    @_refusals
    def raw(self, method, key=None, query=None, headers=None, body=None, bucket=True):
        """A request that the SDK signs and sends but has no name for."""
        output = self.client.invoke_operation(sdk.OperationInput(
            op_name="Raw", method=method, bucket=self.bucket if bucket else None, key=key,
            parameters=dict(query or {}), headers=CaseInsensitiveDict(headers or {}), body=body))
        return Reply(output.status_code, CaseInsensitiveDict(output.headers), output.http_response.content or b"")
