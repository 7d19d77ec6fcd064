"""The multipart family: what an upload becomes, and how uploads and parts are listed."""

import hashlib

import pytest

MIN = 102_400  # no part but the last is smaller


def composite_etag(parts):
    digest = hashlib.md5(b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)).hexdigest().upper()
    return f'"{digest}-{len(parts)}"'


def test_parts_become_one_object(oss):
    blocks = {1: b"a" * MIN, 2: b"b" * (MIN + 1), 3: b"c"}
    upload = oss.initiate("key", headers={"x-oss-meta-colour": "blue", "Content-Type": "text/x-parts"})
    parts = [oss.part("key", upload, number, block) for number, block in blocks.items()]
    for part, block in zip(parts, blocks.values()):
        assert part.etag == f'"{hashlib.md5(block).hexdigest().upper()}"'
    assert oss.list().keys == [], "an upload is no object before it is completed"
    completed = oss.complete("key", upload, parts)
    whole = b"".join(blocks.values())
    got = oss.get("key")
    assert got.body == whole
    assert got.etag == completed.etag == composite_etag(parts)
    assert got.crc64 == completed.crc64
    assert got.headers["x-oss-object-type"] == "Multipart"
    assert got.headers["x-oss-meta-colour"] == "blue"
    assert got.headers["Content-Type"] == "text/x-parts"
    assert oss.list().entries[0].kind == "Multipart"
    assert oss.uploads().items == []


def test_the_crc_is_that_of_the_bytes(oss):
    oss.put("put", b"x" * MIN + b"y")
    upload = oss.initiate("key")
    parts = [oss.part("key", upload, 1, b"x" * MIN), oss.part("key", upload, 2, b"y")]
    assert oss.complete("key", upload, parts).crc64 == oss.head("put").crc64


def test_gaps_in_the_numbers_and_any_order_of_upload(oss):
    upload = oss.initiate("key")
    last = oss.part("key", upload, 10_000, b"end")
    first = oss.part("key", upload, 7, b"s" * MIN)
    oss.complete("key", upload, [first, last])
    assert oss.get("key").body == b"s" * MIN + b"end"


def test_a_part_sent_again_replaces(oss):
    upload = oss.initiate("key")
    oss.part("key", upload, 1, b"first")
    second = oss.part("key", upload, 1, b"second")
    assert [part.size for part in oss.parts("key", upload).items] == [6]
    oss.complete("key", upload, [second])
    assert oss.get("key").body == b"second"


def test_parts_left_out_are_dropped(oss):
    upload = oss.initiate("key")
    oss.part("key", upload, 1, b"x" * MIN)
    second = oss.part("key", upload, 2, b"only")
    oss.complete("key", upload, [second])
    assert oss.get("key").body == b"only"


def test_complete_all_needs_no_list(oss):
    upload = oss.initiate("key")
    oss.part("key", upload, 1, b"x" * MIN)
    oss.part("key", upload, 2, b"y")
    oss.raw("POST", "key", query={"uploadId": upload}, headers={"x-oss-complete-all": "yes"})
    assert oss.get("key").body == b"x" * MIN + b"y"


def test_an_upload_replaces_the_object_when_completed(oss):
    oss.put("key", b"old")
    upload = oss.initiate("key")
    part = oss.part("key", upload, 1, b"new")
    assert oss.get("key").body == b"old"
    oss.complete("key", upload, [part])
    assert oss.get("key").body == b"new"


def test_two_uploads_of_one_key_do_not_meet(oss):
    one, two = oss.initiate("key"), oss.initiate("key")
    assert one != two
    part_one, part_two = oss.part("key", one, 1, b"one"), oss.part("key", two, 1, b"two")
    oss.complete("key", one, [part_one])
    assert oss.get("key").body == b"one"
    oss.complete("key", two, [part_two])
    assert oss.get("key").body == b"two"


def test_an_aborted_upload_is_gone(oss, refused):
    upload = oss.initiate("key")
    part = oss.part("key", upload, 1, b"x")
    assert oss.abort("key", upload).status == 204
    for call in (lambda: oss.part("key", upload, 1, b"x"), lambda: oss.complete("key", upload, [part]),
                 lambda: oss.parts("key", upload), lambda: oss.abort("key", upload)):
        with refused(404, "NoSuchUpload"):
            call()
    assert oss.list().keys == []


def test_a_completed_upload_is_gone(oss, refused):
    upload = oss.initiate("key")
    oss.complete("key", upload, [oss.part("key", upload, 1, b"x")])
    with refused(404, "NoSuchUpload"):
        oss.part("key", upload, 2, b"x")


@pytest.mark.parametrize("odd", ["a b/c+d", "中文", "per%20cent"])
def test_odd_keys(oss, odd):
    upload = oss.initiate(odd)
    assert [item.key for item in oss.uploads().items] == [odd]
    oss.complete(odd, upload, [oss.part(odd, upload, 1, b"odd")])
    assert oss.get(odd).body == b"odd"


def test_a_key_that_xml_cannot_hold(v2):
    """oss2 asks for the key of a new upload as plain XML, and cannot take part."""
    upload = v2.initiate("\x01")
    assert [item.key for item in v2.uploads().items] == ["\x01"]
    v2.complete("\x01", upload, [v2.part("\x01", upload, 1, b"odd")])
    assert v2.get("\x01").body == b"odd"


# Copied parts.


def test_parts_copied_with_ranges(oss):
    body = bytes(range(256)) * 1000
    etag = oss.put("source", body).etag
    upload = oss.initiate("key")
    parts = [
        oss.part_copy("key", upload, 1, "source", (0, MIN - 1), headers={"x-oss-copy-source-if-match": etag}),
        oss.part("key", upload, 2, b"between" * 20_000),
        oss.part_copy("key", upload, 3, "source", (MIN, len(body) - 1)),
    ]
    oss.complete("key", upload, parts)
    assert oss.get("key").body == body[:MIN] + b"between" * 20_000 + body[MIN:]
    assert [part.size for part in parts if part.size] == [140_000]


def test_a_part_copied_whole(oss):
    oss.put("source/a b+c", b"whole")
    upload = oss.initiate("key")
    oss.complete("key", upload, [oss.part_copy("key", upload, 1, "source/a b+c")])
    assert oss.get("key").body == b"whole"


def test_a_copied_part_checks_its_source(oss, refused):
    oss.put("source", b"x" * 1000)
    upload = oss.initiate("key")
    with refused(412, "PreconditionFailed"):
        oss.part_copy("key", upload, 1, "source", headers={
            "x-oss-copy-source-if-match": '"0123456789ABCDEF0123456789ABCDEF"'})
    with refused(404, "NoSuchKey"):
        oss.part_copy("key", upload, 1, "missing")
    with refused(404, "NoSuchUpload"):
        oss.part_copy("key", "0123456789ABCDEF0123456789ABCDEF", 1, "source")
    assert oss.parts("key", upload).items == []


# Listings of them.


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 1000])
def test_parts_are_listed_in_pages(oss, size):
    upload = oss.initiate("key")
    numbers = [1, 2, 3, 10, 11, 500, 10_000]
    sent = [oss.part("key", upload, number, b"p" * number) for number in reversed(numbers)]
    seen, after, pages = [], None, 0
    while True:
        page = oss.parts("key", upload, after, size)
        seen += page.items
        pages += 1
        if not page.truncated:
            break
        after = page.next
        assert pages < 20
    assert [part.number for part in seen] == numbers
    assert [part.size for part in seen] == numbers
    assert {part.etag for part in seen} == {part.etag for part in sent}
    assert pages == -(-len(numbers) // size)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_uploads_are_listed_in_pages(oss, size):
    started = {(key, oss.initiate(key)) for key in ["a", "b", "b", "b", "c/1", "c/2", "d"]}
    seen, key_marker, id_marker = [], None, None
    while True:
        page = oss.uploads(key_marker=key_marker, upload_id_marker=id_marker, max_uploads=size)
        seen += [(item.key, item.upload_id) for item in page.items]
        if not page.truncated:
            break
        key_marker, id_marker = page.next, page.next_upload_id
        assert len(seen) <= len(started)
    assert [key for key, _ in seen] == ["a", "b", "b", "b", "c/1", "c/2", "d"]
    assert set(seen) == started


def test_uploads_by_prefix(oss):
    for key in ("a/1", "a/2", "b"):
        oss.initiate(key)
    assert [item.key for item in oss.uploads(prefix="a/").items] == ["a/1", "a/2"]
    assert [item.key for item in oss.uploads(delimiter="/").items] == ["b"]
    assert [item.key for item in oss.uploads(key_marker="a/2").items] == ["b"]


def test_limits_of_the_pages(oss, refused):
    upload = oss.initiate("key")
    with refused(400, "InvalidArgument"):
        oss.parts("key", upload, max_parts=1001)
    with refused(400, "InvalidArgument"):
        oss.uploads(max_uploads=1001)
