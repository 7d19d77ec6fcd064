"""ListObjects and ListObjectsV2: order, paging, delimiter, limits, encoded names."""

import hashlib

import pytest

NAMES = ["a", "a/", "a/1", "a/2", "a/sub/1", "b+c", "b c", "b%2Fc", "c\x01d", "c\u00e9", "d/1", "d/2", "z\U0001f600", "中"]


def utf8_order(names):
    return sorted(names, key=lambda name: name.encode())


def every_page(call, advance, **options):
    pages, position = [], None
    for _ in range(1000):
        page = call(**options, **({advance: position} if position else {}))
        pages.append(page)
        if not page.truncated:
            return pages
        assert page.next, "a truncated page says where to go on"
        position = page.next
    raise AssertionError("the listing never ends")


@pytest.fixture
def filled(oss):
    for name in NAMES:
        oss.put(name, name.encode())
    return oss


@pytest.fixture(params=["list", "list_v2"])
def pages(request, filled):
    advance = "marker" if request.param == "list" else "token"
    return lambda **options: every_page(getattr(filled, request.param), advance, **options)


def test_names_are_in_byte_order(pages):
    assert pages()[0].keys == utf8_order(NAMES)


def test_an_entry(filled):
    filled.put("entry", b"12345", headers={"x-oss-storage-class": "IA"})
    for entry in (filled.list(prefix="entry").entries[0], filled.list_v2(prefix="entry").entries[0]):
        assert (entry.key, entry.size, entry.kind, entry.storage_class) == ("entry", 5, "Normal", "IA")
        assert entry.etag == f'"{hashlib.md5(b"12345").hexdigest().upper()}"'


def test_owners_only_where_asked(filled):
    assert filled.list(prefix="a/1").entries[0].owner_id
    assert filled.list_v2(prefix="a/1", fetch_owner=True).entries[0].owner_id
    assert filled.list_v2(prefix="a/1").entries[0].owner_id is None


@pytest.mark.parametrize("size", [1, 2, 3, 7, 13, 14, 15, 1000])
def test_pages_tile_the_names(pages, size):
    listed = pages(max_keys=size)
    assert [key for page in listed for key in page.keys] == utf8_order(NAMES)
    assert all(len(page.keys) == size for page in listed[:-1])
    assert len(listed) == -(-len(NAMES) // size), "a page that ends with the last name is not truncated"


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_delimiter_folds_names(pages, size):
    listed = pages(delimiter="/", max_keys=size)
    keys = [key for page in listed for key in page.keys]
    prefixes = [prefix for page in listed for prefix in page.prefixes]
    assert prefixes == ["a/", "d/"]
    assert keys == utf8_order(name for name in NAMES if "/" not in name)
    assert all(len(page.keys) + len(page.prefixes) <= size for page in listed)


def test_a_delimiter_below_a_prefix(pages):
    page, = pages(prefix="a/", delimiter="/")
    assert page.keys == ["a/", "a/1", "a/2"]
    assert page.prefixes == ["a/sub/"]


def test_a_prefix_need_not_end_at_a_delimiter(pages):
    assert pages(prefix="b")[0].keys == utf8_order(["b c", "b%2Fc", "b+c"])
    assert pages(prefix="nothing")[0].keys == []


def test_a_delimiter_may_be_any_text(pages):
    page, = pages(delimiter="2F")
    assert page.prefixes == ["b%2F"]


def test_marker_and_start_after_exclude_their_name(filled):
    assert filled.list(marker="a/1").keys == utf8_order(NAMES)[3:]
    assert filled.list_v2(start_after="a/1").keys == utf8_order(NAMES)[3:]
    assert filled.list(marker="a/1x").keys == utf8_order(NAMES)[3:]
    assert filled.list_v2(start_after="中").keys == []


def test_a_marker_inside_a_folded_prefix(filled):
    page = filled.list(delimiter="/", marker="a/2")
    assert page.prefixes == ["a/", "d/"] or page.prefixes == ["d/"]
    page = filled.list(delimiter="/", marker="a/")
    assert "d/" in page.prefixes


def test_key_count_counts_prefixes_too(v2):
    for name in NAMES:
        v2.put(name, b"")
    page = v2.list_v2(delimiter="/", max_keys=1000)
    assert page.key_count == len(page.keys) + len(page.prefixes)


@pytest.mark.parametrize("call", ["list", "list_v2"])
def test_a_hundred_by_default_a_thousand_at_most(oss, call):
    for number in range(101):
        oss.put(f"{number:03}", b"")
    listing = oss.raw("GET", query={"list-type": "2"} if call == "list_v2" else {"prefix": ""}).body
    assert listing.count(b"<Contents>") == 100
    assert b"<IsTruncated>true</IsTruncated>" in listing
    assert len(getattr(oss, call)(max_keys=1000).keys) == 101


@pytest.mark.parametrize("max_keys", ["1001", "-1", "many"])
def test_max_keys_has_limits(oss, refused, max_keys):
    for query in ({"max-keys": max_keys}, {"list-type": "2", "max-keys": max_keys}):
        with refused(400, "InvalidArgument"):
            oss.raw("GET", query=query)


def test_a_continuation_token_must_be_one_of_ours(oss, refused):
    with refused(400, "InvalidArgument"):
        oss.raw("GET", query={"list-type": "2", "continuation-token": "\u4e2d not a token"})


def test_sdk_iterators(v2, oss2_bucket):
    import alibabacloud_oss_v2
    import oss2

    for adapter in (v2, oss2_bucket):
        for number in range(23):
            adapter.put(f"n/{number:03}", b"")
    for pages, request in (
        (v2.client.list_objects_v2_paginator(limit=5), alibabacloud_oss_v2.ListObjectsV2Request(bucket=v2.bucket)),
        (v2.client.list_objects_paginator(limit=5), alibabacloud_oss_v2.ListObjectsRequest(bucket=v2.bucket)),
    ):
        assert sum(len(page.contents) for page in pages.iter_page(request)) == 23
    for iterator in (oss2.ObjectIterator(oss2_bucket.client, max_keys=5),
                     oss2.ObjectIteratorV2(oss2_bucket.client, max_keys=5)):
        assert len(list(iterator)) == 23


def test_a_large_listing(oss):
    total = 1203
    for number in range(total):
        oss.put(f"{number:05}", b"")
    pages = every_page(oss.list_v2, "token", max_keys=1000)
    assert [len(page.keys) for page in pages] == [1000, total - 1000]
