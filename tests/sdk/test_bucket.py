"""Buckets: creation, deletion, listing, and what they say of themselves."""

import pytest

from adapters import Refused
from conftest import fresh_bucket_name
from sandbox_process import BUCKET


@pytest.fixture
def absent(oss):
    return oss.but(bucket=fresh_bucket_name())


def test_a_bucket_is_created_and_deleted(absent, refused):
    with refused(404, "NoSuchBucket"):
        absent.info()
    assert absent.create_bucket().status == 200
    assert absent.info().name == absent.bucket
    assert absent.delete_bucket().status == 204
    with refused(404, "NoSuchBucket"):
        absent.list()


def test_creating_one_s_own_bucket_again_succeeds(oss):
    oss.put("key", b"x")
    assert oss.create_bucket().status == 200
    assert oss.list().keys == ["key"]


def test_everything_in_an_absent_bucket_is_refused(absent, refused):
    for call in (absent.list, absent.list_v2, absent.info, absent.stat, absent.location, absent.acl,
                 absent.delete_bucket, absent.uploads, lambda: absent.put("k", b"x"), lambda: absent.get("k"),
                 lambda: absent.head("k"), lambda: absent.initiate("k"), lambda: absent.delete("k")):
        with refused(404, "NoSuchBucket"):
            call()


def test_a_bucket_with_an_object_is_not_deleted(oss, refused):
    oss.put("key", b"x")
    with refused(409, "BucketNotEmpty"):
        oss.delete_bucket()
    oss.delete("key")
    assert oss.delete_bucket().status == 204


def test_a_bucket_with_an_upload_is_not_deleted(oss, refused):
    upload = oss.initiate("key")
    with refused(409, "BucketNotEmpty"):
        oss.delete_bucket()
    oss.abort("key", upload)
    assert oss.delete_bucket().status == 204


@pytest.mark.parametrize("name", ["Upper", "un_der", "ab", "-dash", "dash-", "x" * 64])
def test_names(sandbox, oss, name):
    """Both SDKs refuse such names themselves, so the plain request is presigned for another and changed."""
    status, _, body = sandbox.request("PUT", f"/{name}/")
    assert status in (400, 403)
    assert b"<Code>InvalidBucketName</Code>" in body or b"<Code>AccessDenied</Code>" in body


def test_info(oss):
    info = oss.info()
    assert info.location == "oss-cn-hangzhou"
    assert info.storage_class == "Standard"
    assert info.acl == "private"
    assert info.extranet_endpoint == "oss-cn-hangzhou.aliyuncs.com"
    assert info.intranet_endpoint == "oss-cn-hangzhou-internal.aliyuncs.com"
    assert not info.versioning


def test_location(oss):
    assert oss.location() == "oss-cn-hangzhou"


def test_stat_counts(oss):
    assert oss.stat() == {"storage": 0, "objects": 0, "uploads": 0}
    oss.put("a", b"12345")
    oss.put("b", b"123")
    oss.initiate("c")
    assert oss.stat() == {"storage": 8, "objects": 2, "uploads": 1}


def test_acl(oss, refused):
    assert oss.acl() == "private"
    for acl in ("public-read", "public-read-write", "private"):
        oss.put_acl(acl)
        assert oss.acl() == acl
    with refused(400, "InvalidArgument"):
        oss.raw("PUT", query={"acl": ""}, headers={"x-oss-acl": "everyone"})


def test_created_with_an_acl(absent):
    absent.create_bucket("public-read")
    assert absent.acl() == "public-read"


def test_versioning_status(oss):
    assert not oss.versioning()
    oss.put_versioning("Enabled")
    assert oss.versioning() == "Enabled"
    assert oss.info().versioning == "Enabled"
    oss.put_versioning("Suspended")
    assert oss.versioning() == "Suspended"


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_buckets_are_listed_in_pages(oss, size):
    base = fresh_bucket_name()
    names = [f"{base}-{number}" for number in range(5)]
    for name in reversed(names):
        oss.but(bucket=name).create_bucket()
    seen, marker = [], None
    while True:
        page = oss.buckets(f"{base}-", marker, size)
        seen += page.items
        if not page.truncated:
            break
        marker = page.next
        assert len(seen) < 20
    assert [bucket.name for bucket in seen] == names
    assert {bucket.location for bucket in seen} == {"oss-cn-hangzhou"}


def test_the_bucket_of_the_command_line_exists(oss):
    assert oss.but(bucket=BUCKET).info().name == BUCKET
    assert BUCKET in [bucket.name for bucket in oss.buckets(BUCKET).items]


def test_existence_as_the_sdk_asks(v2):
    assert v2.client.is_bucket_exist(v2.bucket)
    assert not v2.client.is_bucket_exist("judge-no-such-bucket")
    v2.put("key", b"x")
    assert v2.client.is_object_exist(v2.bucket, "key")
    assert not v2.client.is_object_exist(v2.bucket, "missing")


def test_existence_as_oss2_asks(oss2_bucket):
    oss2_bucket.put("key", b"x")
    assert oss2_bucket.client.object_exists("key")
    assert not oss2_bucket.client.object_exists("missing")


def test_what_is_no_operation_is_refused(oss):
    with pytest.raises(Refused) as error:
        oss.raw("PATCH", "key")
    assert error.value.status in (400, 405, 501)
