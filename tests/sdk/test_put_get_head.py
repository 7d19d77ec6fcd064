"""PutObject, GetObject, HeadObject, GetObjectMeta: what goes in comes out, with OSS's headers."""

import base64
import hashlib
import re
from email.utils import parsedate_to_datetime

import pytest

CHECK_VALUE = b"123456789"
CHECK_CRC64 = 11051210869376104954

KEYS = [
    "plain", "dir/inner", "dir/", "a b", "a+b", "a%b", "a%2Fb", "per%20cent", "q?x=1&y=2", "hash#tag", "semi;colon",
    "quote\"'", "<xml>&amp;", "back\\slash", "tilde~", "star*", "(paren)", "{brace}", "pipe|", "caret^", "comma,",
    "equal=", "at@", "dollar$", "colon:", "emoji-\U0001f600", "中文/文件", "ümlaut", "e\u0301", "trailing ", "?leading",
    "double//slash", "tab\tkey", "newline\nkey", "bell\x07", "\x01", "\u007f",
]


def md5_etag(body):
    return f'"{hashlib.md5(body).hexdigest().upper()}"'


@pytest.mark.parametrize("body", [b"", b"x", bytes(range(256)) * 5, b"p" * 3_000_001], ids=["empty", "one", "bytes", "3M"])
def test_a_put_body_is_read_back(oss, body):
    put = oss.put("key", body)
    assert put.status == 200
    assert put.etag == md5_etag(body)
    got = oss.get("key")
    assert got.status == 200
    assert got.body == body
    assert got.etag == put.etag
    assert got.crc64 == put.crc64
    assert got.headers["Content-Length"] == str(len(body))


def test_crc64_is_xz_and_decimal(oss):
    assert oss.put("key", CHECK_VALUE).crc64 == CHECK_CRC64
    assert oss.get("key").crc64 == CHECK_CRC64
    assert oss.head("key").crc64 == CHECK_CRC64


def test_a_put_answers_its_md5(oss):
    put = oss.put("key", b"body")
    assert put.headers["Content-MD5"] == base64.b64encode(hashlib.md5(b"body").digest()).decode()


def test_every_answer_names_its_request(oss):
    ids = [reply.headers["x-oss-request-id"] for reply in (oss.put("key", b"1"), oss.get("key"), oss.head("key"))]
    assert len(set(ids)) == 3
    assert all(re.fullmatch("[0-9A-F]{24}", request_id) for request_id in ids)


def test_a_put_replaces(oss):
    oss.put("key", b"first", metadata={"only": "first"})
    oss.put("key", b"second")
    got = oss.get("key")
    assert got.body == b"second"
    assert "x-oss-meta-only" not in got.headers


@pytest.mark.parametrize("key", KEYS, ids=[repr(key) for key in KEYS])
def test_odd_keys(oss, key):
    body = key.encode()
    oss.put(key, body)
    assert oss.get(key).body == body
    assert oss.head(key).headers["Content-Length"] == str(len(body))
    assert oss.list(max_keys=10).keys == [key]
    assert oss.list_v2(max_keys=10).keys == [key]
    assert oss.delete(key).status == 204
    assert oss.list().keys == []


def test_the_longest_key(oss):
    key = "k" * 1023
    oss.put(key, b"long")
    assert oss.get(key).body == b"long"


def test_headers_of_a_normal_object(oss):
    oss.put("key", b"0123456789")
    for reply in (oss.get("key"), oss.head("key")):
        assert reply.headers["Accept-Ranges"] == "bytes"
        assert reply.headers["x-oss-object-type"] == "Normal"
        assert reply.headers["x-oss-storage-class"] == "Standard"
        assert reply.headers["Content-Length"] == "10"
        assert reply.headers["Server"] == "AliyunOSS"
        assert reply.etag == md5_etag(b"0123456789")
        modified = parsedate_to_datetime(reply.headers["Last-Modified"])
        served = parsedate_to_datetime(reply.headers["Date"])
        assert 0 <= (served - modified).total_seconds() < 60


def test_user_metadata_and_standard_headers_come_back(oss):
    oss.put("key", b"x", metadata={"uid": "1000", "mode": "33188", "empty-looking": "-"}, headers={
        "Content-Type": "text/x-judge; charset=utf-8",
        "Cache-Control": "max-age=60",
        "Content-Disposition": 'attachment; filename="x.txt"',
        "Content-Encoding": "identity",
        "Expires": "Wed, 01 Jan 2042 00:00:00 GMT",
    })
    for reply in (oss.head("key"), oss.get("key")):
        assert reply.headers["x-oss-meta-uid"] == "1000"
        assert reply.headers["x-oss-meta-mode"] == "33188"
        assert reply.headers["x-oss-meta-empty-looking"] == "-"
        assert reply.headers["Content-Type"] == "text/x-judge; charset=utf-8"
        assert reply.headers["Cache-Control"] == "max-age=60"
        assert reply.headers["Content-Disposition"] == 'attachment; filename="x.txt"'
        assert reply.headers["Content-Encoding"] == "identity"
        assert reply.headers["Expires"] == "Wed, 01 Jan 2042 00:00:00 GMT"


def test_metadata_names_come_back_in_lower_case(oss):
    oss.put("key", b"x", headers={"X-OSS-Meta-MixedCase": "Value"})
    names = [name for name in oss.head("key").headers if name.lower().startswith("x-oss-meta-")]
    assert names == ["x-oss-meta-mixedcase"]


def test_without_a_type_an_object_is_octets(oss):
    oss.raw("PUT", "no-extension", body=b"x")
    assert oss.head("no-extension").headers["Content-Type"] == "application/octet-stream"


def test_object_meta_is_light(oss):
    put = oss.put("key", b"12345", metadata={"colour": "blue"})
    meta = oss.meta("key")
    assert meta.headers["Content-Length"] == "5"
    assert meta.etag == put.etag
    assert "Last-Modified" in meta.headers
    assert not [name for name in meta.headers if name.lower().startswith("x-oss-meta-")]


def test_response_headers_can_be_overridden(oss):
    oss.put("key", b"x", headers={"Content-Type": "text/plain"})
    got = oss.raw("GET", "key", query={"response-content-type": "image/png",
                                       "response-content-disposition": "inline",
                                       "response-cache-control": "no-store"})
    assert got.body == b"x"
    assert got.headers["Content-Type"] == "image/png"
    assert got.headers["Content-Disposition"] == "inline"
    assert got.headers["Cache-Control"] == "no-store"


def test_missing_objects(oss, refused):
    with refused(404, "NoSuchKey") as caught:
        oss.get("missing")
    assert caught["error"].fields["Key"] == "missing"
    with refused(404, "NoSuchKey"):
        oss.head("missing")
    with refused(404, "NoSuchKey"):
        oss.meta("missing")


def test_a_streamed_upload_of_unknown_length(oss):
    def blocks():
        for _ in range(5):
            yield b"block" * 1000

    oss.put("key", blocks())
    assert oss.get("key").body == b"block" * 5000
