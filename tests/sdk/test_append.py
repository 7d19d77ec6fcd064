"""AppendObject: positions, types, checksums, what it refuses."""

import hashlib

import pytest
from crcmod import mkCrcFun

crc64 = mkCrcFun(0x142F0E1EBA9EA3693, initCrc=0, xorOut=0xFFFFFFFFFFFFFFFF, rev=True)


def next_position(reply):
    return int(reply.headers["x-oss-next-append-position"])


def test_appends_add_up(oss):
    content = b""
    for block in (b"first ", b"second " * 1000, b"", b"third"):
        reply = oss.append("log", len(content), block)
        content += block
        assert next_position(reply) == len(content)
        assert reply.crc64 == crc64(content), "the CRC is the whole object's"
    got = oss.get("log")
    assert got.body == content
    assert got.crc64 == crc64(content)
    assert got.headers["x-oss-object-type"] == "Appendable"
    assert next_position(oss.head("log")) == len(content)
    assert oss.list().entries[0].kind == "Appendable"


def test_the_position_is_the_length(oss, refused):
    oss.append("log", 0, b"12345")
    for position in (0, 4, 6, 1000):
        with refused(409, "PositionNotEqualToLength") as caught:
            oss.append("log", position, b"x")
        assert next_position(caught["error"]) == 5
    assert oss.get("log").body == b"12345"


def test_a_new_object_begins_at_zero(oss, refused):
    with refused(409, "PositionNotEqualToLength"):
        oss.append("log", 1, b"x")


def test_a_normal_object_cannot_be_appended_to(oss, refused):
    oss.put("key", b"12345")
    with refused(409, "ObjectNotAppendable"):
        oss.append("key", 5, b"x")


def test_a_put_replaces_an_appendable_object(oss):
    oss.append("key", 0, b"log")
    oss.put("key", b"normal")
    assert oss.head("key").headers["x-oss-object-type"] == "Normal"
    assert oss.get("key").body == b"normal"


@pytest.mark.parametrize("position", ["-1", "x", ""])
def test_a_position_is_a_number(oss, refused, position):
    with refused(400, "InvalidArgument"):
        oss.raw("POST", "log", query={"append": "", "position": position}, body=b"x")


def test_metadata_comes_with_the_first_append(oss):
    oss.append("log", 0, b"x", headers={"x-oss-meta-colour": "blue", "Content-Type": "text/x-log"})
    oss.append("log", 1, b"y")
    head = oss.head("log")
    assert head.headers["x-oss-meta-colour"] == "blue"
    assert head.headers["Content-Type"] == "text/x-log"


def test_the_etag_changes_with_every_append(oss):
    oss.append("log", 0, b"x")
    first = oss.head("log").etag
    oss.append("log", 1, b"y")
    assert oss.head("log").etag != first


def test_the_digest_of_a_block_is_checked(oss, refused):
    import base64

    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    with refused(400, "InvalidDigest"):
        oss.append("log", 0, b"x", headers={"Content-MD5": wrong})
    with refused(404, "NoSuchKey"):
        oss.head("log")


def test_the_sdk_checks_the_crc_itself(oss2_bucket):
    first = oss2_bucket.client.append_object("log", 0, b"first", init_crc=0)
    second = oss2_bucket.client.append_object("log", first.next_position, b"second", init_crc=first.crc)
    assert second.crc == crc64(b"firstsecond")


def test_the_sdk_appends_like_a_file(v2):
    with v2.client.append_file(v2.bucket, "log") as log:
        log.write(b"one ")
        log.write(b"two")
    with v2.client.append_file(v2.bucket, "log") as log:
        assert log.tell() == 7
        log.write(b" three")
    assert v2.get("log").body == b"one two three"
