"""DeleteObject and DeleteMultipleObjects."""

import base64
import hashlib

import pytest


def test_a_deleted_object_is_gone(oss, refused):
    oss.put("key", b"x")
    assert oss.delete("key").status == 204
    with refused(404, "NoSuchKey"):
        oss.get("key")


def test_deleting_what_is_not_there_succeeds(oss):
    assert oss.delete("never").status == 204


def test_many_at_once(oss):
    keys = ["plain", "dir/a b", "a+b", "a%2Fb", "<&>", "中文", "z\U0001f600"]
    for key in [*keys, "stays"]:
        oss.put(key, b"x")
    assert sorted(oss.delete_many(keys)) == sorted(keys)
    assert oss.list().keys == ["stays"]


def test_what_is_not_there_counts_as_deleted(oss):
    assert oss.delete_many(["never"]) == ["never"]


def test_quiet_names_nothing(oss):
    oss.put("a", b"x")
    assert oss.delete_many(["a", "never"], quiet=True) == []
    assert oss.list().keys == []


def test_a_thousand_and_no_more(oss, refused):
    keys = [f"{number:04}" for number in range(1001)]
    for key in keys[:3]:
        oss.put(key, b"")
    assert len(oss.delete_many(keys[:1000])) == 1000
    assert oss.list().keys == []
    with refused(400, "MalformedXML"):
        oss.delete_many(keys)


def document_headers(document):
    return {"Content-MD5": base64.b64encode(hashlib.md5(document).digest()).decode()}


@pytest.mark.parametrize("document", [
    b"", b"not xml", b"<Delete>", b"<Delete></Delete>", b"<Other><Object><Key>a</Key></Object></Other>",
], ids=["empty", "text", "cut", "no-object", "other-root"])
def test_a_document_that_is_no_request(oss, refused, document):
    with refused(400, "MalformedXML"):
        oss.raw("POST", query={"delete": ""}, body=document, headers=document_headers(document))


def test_the_md5_is_checked(oss, refused):
    oss.put("a", b"x")
    document = b"<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object></Delete>"
    with refused(400, "InvalidDigest"):
        oss.raw("POST", query={"delete": ""}, body=document, headers=document_headers(b"other"))
    assert oss.list().keys == ["a"]
