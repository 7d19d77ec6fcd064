"""Presigned URLs, followed by a plain HTTP client."""

import time

import pytest


@pytest.fixture
def follow(sandbox):
    def request(method, url, headers=None, body=None):
        assert url.startswith(sandbox.url)
        return sandbox.request(method, url[len(sandbox.url):], body=body, headers=headers)

    return request


@pytest.mark.parametrize("key", ["key", "dir/a b+c%d", "中文/\U0001f600"])
def test_get(oss, follow, key):
    oss.put(key, b"body")
    url, headers = oss.presign("GET", key, 60)
    status, answer, body = follow("GET", url, headers)
    assert (status, body) == (200, b"body")
    assert answer["ETag"]


def test_head(oss, follow):
    oss.put("key", b"body")
    url, headers = oss.presign("HEAD", "key", 60)
    status, answer, body = follow("HEAD", url, headers)
    assert (status, answer["Content-Length"], body) == (200, "4", b"")


def test_put(oss, follow):
    url, headers = oss.presign("PUT", "dir/key", 60)
    status, _, body = follow("PUT", url, headers, b"uploaded")
    assert status == 200, body
    assert oss.get("dir/key").body == b"uploaded"


def test_put_with_signed_headers(oss, follow):
    url, headers = oss.presign("PUT", "key", 60, {"Content-Type": "text/x-signed", "x-oss-meta-colour": "blue"})
    assert follow("PUT", url, headers, b"x")[0] == 200
    head = oss.head("key")
    assert head.headers["Content-Type"] == "text/x-signed"
    assert head.headers["x-oss-meta-colour"] == "blue"
    status, _, body = follow("PUT", url, {**headers, "x-oss-meta-colour": "red"}, b"x")
    assert status == 403 and b"SignatureDoesNotMatch" in body


def test_expired(oss, follow):
    oss.put("key", b"body")
    url, headers = oss.presign("GET", "key", 2)
    assert follow("GET", url, headers)[0] == 200
    time.sleep(3.5)
    status, _, body = follow("GET", url, headers)
    assert status == 403
    assert b"<Code>AccessDenied</Code>" in body
    assert b"expired" in body


def test_a_changed_url(oss, follow):
    oss.put("key", b"body")
    oss.put("other", b"secret")
    url, headers = oss.presign("GET", "key", 60)
    for changed in (url.replace("/key?", "/other?"), url.replace("xpires=", "xpires=9"), url + "&acl"):
        status, _, body = follow("GET", changed, headers)
        assert status in (400, 403), changed
        assert b"secret" not in body
    assert follow("PUT", url, headers, b"forged")[0] == 403
    assert oss.get("key").body == b"body"


def test_with_a_security_token(oss, follow):
    oss.put("key", b"body")
    url, headers = oss.but(token="CAIS+token/==").presign("GET", "key", 60)
    assert "token" in url
    assert follow("GET", url, headers)[2] == b"body"


def test_a_range_of_a_presigned_object(oss, follow):
    oss.put("key", b"0123456789")
    url, headers = oss.presign("GET", "key", 60)
    status, answer, body = follow("GET", url, {**headers, "Range": "bytes=2-4"})
    assert (status, body, answer["Content-Range"]) == (206, b"234", "bytes 2-4/10")


def test_the_sdk_follows_its_own_url(oss2_bucket):
    client = oss2_bucket.client
    url = client.sign_url("PUT", "dir/key", 60)  # slashes of the key as %2F
    assert client.put_object_with_url(url, b"by url").status == 200
    assert client.get_object_with_url(client.sign_url("GET", "dir/key", 60)).read() == b"by url"
    with_query = client.sign_url("GET", "dir/key", 60, params={"response-content-type": "image/png"})
    assert client.get_object_with_url(with_query).headers["Content-Type"] == "image/png"


def test_a_presigned_multipart_upload(v2, follow):
    import alibabacloud_oss_v2 as sdk

    def presigned(method, request, body=None):
        signed = v2.client.presign(request(bucket=v2.bucket, key="key"))
        return follow(method, signed.url, dict(signed.signed_headers or {}), body)

    status, _, body = presigned("POST", sdk.InitiateMultipartUploadRequest)
    assert status == 200, body
    upload = v2.uploads().items[0].upload_id
    signed = v2.client.presign(sdk.UploadPartRequest(bucket=v2.bucket, key="key", upload_id=upload, part_number=1))
    status, answer, _ = follow("PUT", signed.url, dict(signed.signed_headers or {}), b"part")
    assert status == 200
    v2.complete("key", upload, v2.parts("key", upload).items)
    assert v2.get("key").body == b"part"
