"""AWS's own SDK (`boto3`) against S3's face of the server, beside `alibabacloud-oss-v2` on the same bucket."""

import hashlib
import io
import os
import urllib.error
import urllib.request

import boto3
import botocore.config
import botocore.exceptions
import pytest

from conftest import connect, fresh_bucket_name
from sandbox_process import KEY_ID, REGION, SECRET

MIB = 1 << 20


def s3_client(sandbox, *, secret=SECRET, region="us-east-1", **settings):
    config = botocore.config.Config(s3={"addressing_style": "path", **settings.pop("s3", {})},
                                    retries={"max_attempts": 1}, **settings)
    return boto3.client("s3", endpoint_url=sandbox.url, region_name=region, aws_access_key_id=KEY_ID,
                        aws_secret_access_key=secret, config=config)


@pytest.fixture
def s3(sandbox):
    return s3_client(sandbox)


@pytest.fixture
def oss(sandbox, tidy):
    """The other face of the bucket."""
    adapter = connect("v2-v4", sandbox, fresh_bucket_name())
    adapter.create_bucket()
    return adapter


@pytest.fixture
def bucket(oss):
    return oss.bucket


def refused_as(status, code, call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (status, code)
    assert answer["ResponseMetadata"].get("RequestId")
    return answer


def test_buckets(s3, sandbox, tidy):
    name = fresh_bucket_name()
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    assert name in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == REGION
    assert s3.head_bucket(Bucket=name)["BucketRegion"] == REGION
    assert "Status" not in s3.get_bucket_versioning(Bucket=name)
    for probe in (s3.get_bucket_policy, s3.get_bucket_acl, s3.get_bucket_lifecycle_configuration, s3.get_bucket_cors):
        refused_as(501, "NotImplemented", probe, Bucket=name)
    s3.delete_bucket(Bucket=name)
    refused_as(404, "404", s3.head_bucket, Bucket=name)
    refused_as(404, "NoSuchBucket", s3.list_objects_v2, Bucket=name)


def test_objects_have_two_faces(s3, oss, bucket):
    key = "目录/a b+c&d%.txt"
    put = s3.put_object(Bucket=bucket, Key=key, Body=b"0123456789", ContentType="text/x", CacheControl="no-cache",
                        Metadata={"mode": "33188", "note": "a  b"}, Tagging="k=v", ACL="private",
                        StorageClass="STANDARD_IA")
    assert put["ETag"] == '"%s"' % hashlib.md5(b"0123456789").hexdigest().upper()
    assert oss.get(key).body == b"0123456789"
    got = s3.get_object(Bucket=bucket, Key=key)
    assert got["Body"].read() == b"0123456789"
    assert (got["ContentType"], got["CacheControl"], got["ETag"]) == ("text/x", "no-cache", put["ETag"])
    assert got["Metadata"] == {"mode": "33188", "note": "a  b"} and got["TagCount"] == 1
    assert s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == [{"Key": "k", "Value": "v"}]
    part = s3.get_object(Bucket=bucket, Key=key, Range="bytes=3-5")
    assert (part["Body"].read(), part["ContentRange"]) == (b"345", "bytes 3-5/10")
    refused_as(416, "InvalidRange", s3.get_object, Bucket=bucket, Key=key, Range="bytes=10-")
    refused_as(304, "304", s3.get_object, Bucket=bucket, Key=key, IfNoneMatch=put["ETag"])
    refused_as(412, "PreconditionFailed", s3.get_object, Bucket=bucket, Key=key, IfMatch='"0"')
    refused_as(412, "PreconditionFailed", s3.put_object, Bucket=bucket, Key=key, Body=b"", IfNoneMatch="*")
    s3.delete_object(Bucket=bucket, Key=key)
    refused_as(404, "404", s3.head_object, Bucket=bucket, Key=key)
    assert refused_as(404, "NoSuchKey", s3.get_object, Bucket=bucket, Key=key)["Error"]["Key"] == key


def test_copies(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a +%", Body=b"content", Metadata={"mode": "1"}, ContentType="text/x")
    source = {"Bucket": bucket, "Key": "a +%"}
    etag = s3.copy_object(Bucket=bucket, Key="b", CopySource=source)["CopyObjectResult"]["ETag"]
    copied = s3.head_object(Bucket=bucket, Key="b")
    assert (copied["ETag"], copied["Metadata"], copied["ContentType"]) == (etag, {"mode": "1"}, "text/x")
    s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "b"}, MetadataDirective="REPLACE",
                   Metadata={"mode": "2"})
    assert s3.head_object(Bucket=bucket, Key="b")["Metadata"] == {"mode": "2"}
    refused_as(400, "InvalidRequest", s3.copy_object, Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "b"})
    refused_as(412, "PreconditionFailed", s3.copy_object, Bucket=bucket, Key="c", CopySource=source,
               CopySourceIfMatch='"0"')
    refused_as(404, "NoSuchKey", s3.copy_object, Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "none"})


def test_lists(s3, bucket):
    keys = [f"d{at % 3}/{at:04} +" for at in range(30)] + ["top&"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    first = s3.list_objects_v2(Bucket=bucket)
    assert [item["Key"] for item in first["Contents"]] == sorted(keys) and first["MaxKeys"] == 1000
    assert {item["StorageClass"] for item in first["Contents"]} == {"STANDARD"}
    folders = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [item["Prefix"] for item in folders["CommonPrefixes"]] == ["d0/", "d1/", "d2/"]
    assert [item["Key"] for item in folders["Contents"]] == ["top&"] and folders["KeyCount"] == 4
    for operation, arguments in (("list_objects_v2", {}), ("list_objects", {}), ("list_objects", {"Delimiter": "!"})):
        pages = s3.get_paginator(operation).paginate(Bucket=bucket, Prefix="d", PaginationConfig={"PageSize": 7},
                                                     **arguments)
        assert [item["Key"] for page in pages for item in page["Contents"]] == sorted(keys)[:-1]
    after = s3.list_objects_v2(Bucket=bucket, StartAfter="d2/0029", Prefix="")
    assert [item["Key"] for item in after["Contents"]] == ["d2/0029 +", "top&"]
    refused_as(400, "InvalidArgument", s3.list_objects_v2, Bucket=bucket, ContinuationToken="nonsense")


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256", None])
def test_batches_are_deleted(s3, oss, bucket, algorithm):
    keys = [f"key {at} &<>" for at in range(20)]
    for key in keys:
        oss.put(key, b"x")
    chosen = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    for quiet in (False, True):
        batch = {"Objects": [{"Key": key} for key in keys], "Quiet": quiet}
        answer = s3.delete_objects(Bucket=bucket, Delete=batch, **chosen)
        assert sorted(item["Key"] for item in answer.get("Deleted", [])) == ([] if quiet else sorted(keys))
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256", None])
def test_uploads_in_parts(s3, oss, bucket, algorithm):
    chosen = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    body = os.urandom(MIB)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big", Metadata={"mode": "1"}, **chosen)["UploadId"]
    assert [item["UploadId"] for item in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
    oss.put("source", body)
    named = {"Bucket": bucket, "Key": "big", "UploadId": upload}
    parts = [{"PartNumber": 1, "ETag": s3.upload_part(PartNumber=1, Body=body, **named, **chosen)["ETag"]}]
    copied = s3.upload_part_copy(PartNumber=2, CopySource={"Bucket": bucket, "Key": "source"},
                                 CopySourceRange="bytes=10-99", **named)
    parts.append({"PartNumber": 2, "ETag": copied["CopyPartResult"]["ETag"]})
    assert [part["Size"] for part in s3.list_parts(**named)["Parts"]] == [MIB, 90]
    wrong = {"Parts": [{"PartNumber": 1, "ETag": '"0"'}]}
    refused_as(400, "InvalidPart", s3.complete_multipart_upload, MultipartUpload=wrong, **named)
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **named)
    assert done["ETag"].endswith('-2"')
    got = oss.get("big")
    assert got.body == body + body[10:100]
    assert s3.head_object(Bucket=bucket, Key="big")["Metadata"] == {"mode": "1"}
    refused_as(404, "NoSuchUpload", s3.list_parts, **named)
    other = s3.create_multipart_upload(Bucket=bucket, Key="other")["UploadId"]
    s3.abort_multipart_upload(Bucket=bucket, Key="other", UploadId=other)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_managed_transfers(s3, bucket):
    body = os.urandom(20 * MIB + 7)
    s3.upload_fileobj(io.BytesIO(body), bucket, "managed")
    s3.copy({"Bucket": bucket, "Key": "managed"}, bucket, "copied")
    got = io.BytesIO()
    s3.download_fileobj(bucket, "copied", got)
    assert got.getvalue() == body
    assert s3.head_object(Bucket=bucket, Key="managed")["ETag"].endswith('-3"')


@pytest.mark.parametrize("settings", [
    {"request_checksum_calculation": "when_required"},
    {"request_checksum_calculation": "when_supported"},
    {"s3": {"payload_signing_enabled": False}},
    {"s3": {"payload_signing_enabled": True}},
], ids=["signed", "checksum", "unsigned", "signed and checksum"])
def test_ways_to_send_a_body(sandbox, bucket, settings):
    s3 = s3_client(sandbox, **settings)
    for body in (b"", b"x", os.urandom(3 * MIB)):
        s3.put_object(Bucket=bucket, Key="k", Body=body)
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body


def test_what_is_not_as_it_was_sent_is_refused(s3, bucket):
    refused_as(400, "BadDigest", s3.put_object, Bucket=bucket, Key="k", Body=b"x", ChecksumCRC32="AAAAAA==")
    refused_as(400, "BadDigest", s3.put_object, Bucket=bucket, Key="k", Body=b"x",
               ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
    refused_as(404, "404", s3.head_object, Bucket=bucket, Key="k")


def test_who_asks(sandbox, s3, bucket):
    wrong = s3_client(sandbox, secret="wrong")
    answer = refused_as(403, "SignatureDoesNotMatch", wrong.list_objects_v2, Bucket=bucket)
    assert answer["Error"]["AWSAccessKeyId"] == KEY_ID
    # Signatures name a region, and any will do.
    s3_client(sandbox, region=REGION).list_objects_v2(Bucket=bucket)
    s3_client(sandbox, region="auto").list_objects_v2(Bucket=bucket)


def test_signed_urls(sandbox, bucket):
    s3 = s3_client(sandbox, signature_version="s3v4")
    put = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "a b", "ContentType": "text/x"})
    request = urllib.request.Request(put, data=b"by url", method="PUT", headers={"Content-Type": "text/x"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200
    get = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b"}, ExpiresIn=60)
    with urllib.request.urlopen(get, timeout=20) as answer:
        assert (answer.read(), answer.headers["Content-Type"]) == (b"by url", "text/x")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(get.replace("a%20b", "other"), timeout=20)
    assert caught.value.code == 403 and b"<Code>SignatureDoesNotMatch</Code>" in caught.value.read()


def test_requests_are_counted_by_oss_names(sandbox, s3, bucket):
    sandbox.reset_stats()
    s3.put_object(Bucket=bucket, Key="k", Body=b"12345")
    s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    s3.list_objects_v2(Bucket=bucket)
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})
    stats = sandbox.stats()
    assert stats["requests"] == {"PutObject": 1, "GetObject": 1, "ListObjectsV2": 1, "DeleteMultipleObjects": 1}
    assert (stats["bytes_in"], stats["bytes_out"]) == (5, 5)


def test_the_weather_is_the_same(s3, bucket, conditions):
    conditions(faults=[{"operations": ["PutObject"], "kind": "error-503"}])
    refused_as(503, "ServiceUnavailable", s3.put_object, Bucket=bucket, Key="k", Body=b"x")
    conditions(faults=[{"operations": ["PutObject"], "kind": "corrupt"}])
    refused_as(400, "BadDigest", s3.put_object, Bucket=bucket, Key="k", Body=b"x")
