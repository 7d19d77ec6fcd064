"""`oss2` behind the adapters' vocabulary."""

import contextlib
import datetime
import functools
import time
from unittest import mock

import oss2
from oss2.credentials import StaticCredentialsProvider
from requests.structures import CaseInsensitiveDict

from .reply import Bucket, Entry, Listing, Page, Part, Refused, Reply, Upload


def _refusals(method):
    @functools.wraps(method)
    def call(*args, **kwargs):
        try:
            return method(*args, **kwargs)
        except oss2.exceptions.OssError as error:
            if error.status < 100:  # oss2's own errors (client, connection, CRC) carry negative statuses
                raise
            raise Refused(
                error.status, error.code, error.message, error.request_id, error.headers, error.details
            ) from error

    return call


def _reply(result, body=b""):
    return Reply(result.status, CaseInsensitiveDict(result.headers), body)


def _auth(version, key_id, secret, token):
    if key_id is None:
        return oss2.AnonymousAuth()
    provider = StaticCredentialsProvider(key_id, secret, token)
    return {"v1": oss2.ProviderAuth, "v4": oss2.ProviderAuthV4}[version](provider)


class Oss2:
    sdk_name = "oss2"

    def __init__(self, version, url, region, bucket, key_id, secret, token=None, **options):
        self.version = version
        self.bucket = bucket
        self._how = dict(version=version, url=url, region=region, bucket=bucket, key_id=key_id, secret=secret,
                         token=token, **options)
        auth = _auth(version, key_id, secret, token)
        options.setdefault("connect_timeout", 20)
        self.service = oss2.Service(auth, url, region=region, **options)
        # Keys that begin with "?" are legal; that the SDK's V1 refuses them is not what is judged here.
        self.client = oss2.Bucket(auth, url, bucket, region=region, is_verify_object_strict=False, **options)

    def but(self, **changes):
        """The same adapter with other credentials, another bucket, endpoint or client option."""
        return Oss2(**{**self._how, **changes})

    # Objects.

    @_refusals
    def put(self, key, body, headers=None, metadata=None, forbid_overwrite=None):
        headers = dict(headers or {})
        headers.update({f"x-oss-meta-{name}": value for name, value in (metadata or {}).items()})
        if forbid_overwrite is not None:
            headers["x-oss-forbid-overwrite"] = "true" if forbid_overwrite else "false"
        return _reply(self.client.put_object(key, body, headers=headers))

    @_refusals
    def get(self, key, byte_range=None, standard=True, headers=None):
        """`byte_range` is (first, last), either may be None."""
        headers = dict(headers or {})
        if byte_range is not None and standard:
            headers["x-oss-range-behavior"] = "standard"
        result = self.client.get_object(key, byte_range=byte_range, headers=headers)
        return _reply(result, result.read())

    @_refusals
    def head(self, key, headers=None):
        return _reply(self.client.head_object(key, headers=headers))

    @_refusals
    def meta(self, key):
        return _reply(self.client.get_object_meta(key))

    @_refusals
    def delete(self, key):
        return _reply(self.client.delete_object(key))

    @_refusals
    def delete_many(self, keys, quiet=False):
        if not quiet:
            return list(self.client.batch_delete_objects(keys).deleted_keys)
        # oss2 has no name for Quiet: its own document, signed and sent by its own machinery.
        document = oss2.xml_utils.to_batch_delete_objects_request(keys, True)
        reply = self.raw("POST", query={"delete": "", "encoding-type": "url"}, body=document,
                         headers={"Content-MD5": oss2.utils.content_md5(document)})
        return oss2.xml_utils.ElementTree.fromstring(reply.body).findall("Deleted") if reply.body else []

    @_refusals
    def copy(self, source, key, source_bucket=None, headers=None):
        result = self.client.copy_object(source_bucket or self.bucket, source, key, headers=headers)
        return _reply(result)

    @_refusals
    def append(self, key, position, body, headers=None):
        return _reply(self.client.append_object(key, position, body, headers=headers))

    @_refusals
    def put_symlink(self, key, target, headers=None):
        return _reply(self.client.put_symlink(target, key, headers=headers))

    @_refusals
    def symlink(self, key):
        return _reply(self.client.get_symlink(key))

    @_refusals
    def restore(self, key):
        return _reply(self.client.restore_object(key))

    # Listings.

    def _listing(self, result, next_page, key_count=None):
        entries = [
            Entry(item.key, item.size, f'"{item.etag}"', item.type, item.storage_class, item.last_modified,
                  item.owner.id if item.owner else None)
            for item in result.object_list
        ]
        return Listing(entries, list(result.prefix_list), result.is_truncated, next_page or None, key_count)

    @_refusals
    def list(self, prefix=None, delimiter=None, marker=None, max_keys=None):
        result = self.client.list_objects(prefix or "", delimiter or "", marker or "",
                                          100 if max_keys is None else max_keys)
        return self._listing(result, result.next_marker)

    @_refusals
    def list_v2(self, prefix=None, delimiter=None, token=None, start_after=None, max_keys=None, fetch_owner=None):
        result = self.client.list_objects_v2(prefix or "", delimiter or "", token or "", start_after or "",
                                             bool(fetch_owner), max_keys=100 if max_keys is None else max_keys)
        return self._listing(result, result.next_continuation_token)

    # Multipart uploads.

    @_refusals
    def initiate(self, key, headers=None):
        return self.client.init_multipart_upload(key, headers=headers).upload_id

    @_refusals
    def part(self, key, upload_id, number, body, headers=None):
        result = self.client.upload_part(key, upload_id, number, body, headers=headers)
        return Part(number, f'"{result.etag}"', len(body))

    @_refusals
    def part_copy(self, key, upload_id, number, source, byte_range=None, source_bucket=None, headers=None):
        result = self.client.upload_part_copy(source_bucket or self.bucket, source, byte_range, key, upload_id, number,
                                              headers=headers)
        return Part(number, f'"{result.etag}"')

    @_refusals
    def complete(self, key, upload_id, parts, headers=None):
        listed = [oss2.models.PartInfo(part.number, part.etag.strip('"')) for part in parts]
        result = self.client.complete_multipart_upload(key, upload_id, listed, headers=headers)
        return _reply(result)

    @_refusals
    def abort(self, key, upload_id):
        return _reply(self.client.abort_multipart_upload(key, upload_id))

    @_refusals
    def parts(self, key, upload_id, after=None, max_parts=None):
        result = self.client.list_parts(key, upload_id, marker=after or "",
                                        max_parts=1000 if max_parts is None else max_parts)
        items = [Part(part.part_number, f'"{part.etag}"', part.size) for part in result.parts]
        return Page(items, result.is_truncated, result.next_marker)

    @_refusals
    def uploads(self, prefix=None, delimiter=None, key_marker=None, upload_id_marker=None, max_uploads=None):
        result = self.client.list_multipart_uploads(prefix or "", delimiter or "", key_marker or "",
                                                    upload_id_marker or "",
                                                    1000 if max_uploads is None else max_uploads)
        items = [Upload(upload.key, upload.upload_id) for upload in result.upload_list]
        return Page(items, result.is_truncated, result.next_key_marker, result.next_upload_id_marker)

    # Buckets.

    @_refusals
    def create_bucket(self, acl=None):
        return _reply(self.client.create_bucket(acl))

    @_refusals
    def delete_bucket(self):
        return _reply(self.client.delete_bucket())

    @_refusals
    def buckets(self, prefix=None, marker=None, max_keys=None):
        result = self.service.list_buckets(prefix or "", marker or "", 100 if max_keys is None else max_keys)
        items = [Bucket(item.name, item.location, item.storage_class, item.extranet_endpoint, item.intranet_endpoint)
                 for item in result.buckets]
        return Page(items, result.is_truncated, result.next_marker)

    @_refusals
    def info(self):
        info = self.client.get_bucket_info()
        return Bucket(info.name, info.location, info.storage_class, info.extranet_endpoint, info.intranet_endpoint,
                      info.acl.grant, info.versioning_status)

    @_refusals
    def stat(self):
        stat = self.client.get_bucket_stat()
        return {"storage": stat.storage_size_in_bytes, "objects": stat.object_count,
                "uploads": stat.multi_part_upload_count}

    @_refusals
    def location(self):
        return self.client.get_bucket_location().location

    @_refusals
    def acl(self):
        return self.client.get_bucket_acl().acl

    @_refusals
    def put_acl(self, acl):
        return _reply(self.client.put_bucket_acl(acl))

    @_refusals
    def versioning(self):
        return self.client.get_bucket_versioning().status

    @_refusals
    def put_versioning(self, status):
        return _reply(self.client.put_bucket_versioning(oss2.models.BucketVersioningConfig(status)))

    # Signing.

    def presign(self, method, key, expires, headers=None):
        """A URL and the headers that were signed with it; `expires` in seconds."""
        headers = dict(headers or {})
        return self.client.sign_url(method, key, expires, headers=dict(headers), slash_safe=True), headers

    @_refusals
    def get_skewed(self, key, seconds):
        """GetObject signed by a clock that is `seconds` ahead."""
        with self._clock(seconds):
            return self.get(key)

    @staticmethod
    @contextlib.contextmanager
    def _clock(seconds):
        class Shifted(datetime.datetime):
            @classmethod
            def utcnow(cls):
                return datetime.datetime.utcnow() + datetime.timedelta(seconds=seconds)

        real_date = oss2.utils.http_date
        with (
            mock.patch("oss2.auth.datetime", Shifted),
            mock.patch("oss2.utils.http_date", lambda now=None: real_date(time.time() + seconds)),
        ):
            yield

    @_refusals
    def raw(self, method, key=None, query=None, headers=None, body=None, bucket=True):
        """A request that the SDK signs and sends but has no name for."""
        result = self.client._do(method, self.bucket if bucket else "", key or "", params=dict(query or {}),
                                 headers=dict(headers or {}), data=body)
        return Reply(result.status, CaseInsensitiveDict(result.headers), result.read())
