"""Ranged GetObject: the standard behaviour, and OSS's older one without `x-oss-range-behavior`."""

import pytest

BODY = bytes(range(256)) * 4


@pytest.fixture
def stored(oss):
    oss.put("key", BODY)
    return oss


@pytest.mark.parametrize("standard", [True, False], ids=["standard", "legacy"])
@pytest.mark.parametrize("byte_range, first, last", [
    ((0, 0), 0, 0), ((0, 99), 0, 99), ((100, 199), 100, 199), ((1000, None), 1000, 1023), ((None, 24), 1000, 1023),
    ((1023, 1023), 1023, 1023), ((0, 1023), 0, 1023),
])
def test_a_range_inside_the_object(stored, byte_range, first, last, standard):
    got = stored.get("key", byte_range, standard)
    assert got.status == 206
    assert got.body == BODY[first:last + 1]
    assert got.headers["Content-Range"] == f"bytes {first}-{last}/1024"
    assert got.headers["Content-Length"] == str(last - first + 1)
    assert got.crc64 == stored.head("key").crc64, "the CRC is the whole object's"


@pytest.mark.parametrize("byte_range, first", [((1000, 5000), 1000), ((0, 1024), 0)])
def test_standard_cuts_a_range_that_ends_beyond(stored, byte_range, first):
    got = stored.get("key", byte_range)
    assert got.status == 206
    assert got.body == BODY[first:]
    assert got.headers["Content-Range"] == f"bytes {first}-1023/1024"


@pytest.mark.parametrize("byte_range", [(1024, 2000), (1024, None), (5000, 6000)])
def test_standard_refuses_a_range_that_begins_beyond(stored, refused, byte_range):
    with refused(416, "InvalidRange"):
        stored.get("key", byte_range)


@pytest.mark.parametrize("byte_range", [(1000, 5000), (1024, 2000), (5000, None)])
def test_legacy_answers_the_whole_object(stored, byte_range):
    got = stored.get("key", byte_range, standard=False)
    assert got.status == 200
    assert got.body == BODY
    assert "Content-Range" not in got.headers


@pytest.mark.parametrize("header", ["byte=0-4", "bytes=4-0", "bytes=abc", "0-4"])
def test_a_malformed_range_is_ignored(stored, header):
    got = stored.raw("GET", "key", headers={"Range": header})
    assert got.status == 200
    assert got.body == BODY


def test_an_empty_object_has_no_range(oss, refused):
    oss.put("empty", b"")
    with refused(416, "InvalidRange"):
        oss.get("empty", (0, 0))


def test_a_range_with_a_condition(stored, refused):
    etag = stored.head("key").etag
    assert stored.get("key", (0, 9), headers={"If-Match": etag}).body == BODY[:10]
    with refused(412, "PreconditionFailed"):
        stored.get("key", (0, 9), headers={"If-Match": '"0123456789ABCDEF0123456789ABCDEF"'})
