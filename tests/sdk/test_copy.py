"""CopyObject: content, metadata, conditions on the source, what is refused."""

import pytest

from adapters import Refused

OTHER = '"0123456789ABCDEF0123456789ABCDEF"'
PAST = "Thu, 01 Jan 2015 00:00:00 GMT"
REPLACE = {"x-oss-metadata-directive": "REPLACE"}


@pytest.fixture
def source(oss):
    return oss.put("source", b"content", headers={"Content-Type": "text/x-source", "Cache-Control": "no-cache"},
                   metadata={"colour": "blue"})


def test_a_copy_has_content_and_metadata(oss, source):
    copied = oss.copy("source", "copy")
    assert copied.status == 200
    assert copied.etag == source.etag
    got = oss.get("copy")
    assert got.body == b"content"
    assert got.etag == source.etag
    assert got.crc64 == source.crc64
    assert got.headers["Content-Type"] == "text/x-source"
    assert got.headers["Cache-Control"] == "no-cache"
    assert got.headers["x-oss-meta-colour"] == "blue"


def test_copy_ignores_metadata_of_the_request_without_replace(oss, source):
    oss.copy("source", "copy", headers={"x-oss-meta-colour": "red", "x-oss-metadata-directive": "COPY"})
    assert oss.head("copy").headers["x-oss-meta-colour"] == "blue"


def test_replace_takes_the_metadata_of_the_request(oss, source):
    oss.copy("source", "copy", headers={**REPLACE, "x-oss-meta-size": "big", "Content-Type": "text/x-new"})
    head = oss.head("copy")
    assert head.headers["x-oss-meta-size"] == "big"
    assert head.headers["Content-Type"] == "text/x-new"
    assert "x-oss-meta-colour" not in head.headers
    assert "Cache-Control" not in head.headers


def test_onto_itself_with_new_metadata(oss, source):
    oss.copy("source", "source", headers={**REPLACE, "x-oss-meta-colour": "green"})
    got = oss.get("source")
    assert got.body == b"content"
    assert got.headers["x-oss-meta-colour"] == "green"
    assert got.etag == source.etag


def test_from_another_bucket(oss, source):
    other = oss.but(bucket=f"{oss.bucket}-other")
    other.create_bucket()
    other.copy("source", "copy", source_bucket=oss.bucket)
    assert other.get("copy").body == b"content"


@pytest.mark.parametrize("key", ["a b", "a+b", "a%2Fb", "中文", "d/e?f=1", "z\U0001f600"])
def test_odd_source_names(oss, key):
    oss.put(key, b"odd")
    oss.copy(key, "copy")
    assert oss.get("copy").body == b"odd"


def test_conditions_that_hold(oss, source):
    modified = oss.head("source").headers["Last-Modified"]
    for name, value in (("if-match", source.etag), ("if-none-match", OTHER), ("if-unmodified-since", modified),
                        ("if-modified-since", PAST)):
        assert oss.copy("source", "copy", headers={f"x-oss-copy-source-{name}": value}).status == 200, name


@pytest.mark.parametrize("name, value, status", [
    ("if-match", OTHER, 412), ("if-unmodified-since", PAST, 412), ("if-none-match", None, 304),
])
def test_conditions_that_fail(oss, source, name, value, status):
    with pytest.raises(Refused) as error:
        oss.copy("source", "copy", headers={f"x-oss-copy-source-{name}": value or source.etag})
    assert error.value.status == status
    with pytest.raises(Refused):
        oss.head("copy")


def test_forbid_overwrite(oss, source, refused):
    oss.put("taken", b"mine")
    with refused(409, "FileAlreadyExists"):
        oss.copy("source", "taken", headers={"x-oss-forbid-overwrite": "true"})
    assert oss.get("taken").body == b"mine"
    assert oss.copy("source", "free", headers={"x-oss-forbid-overwrite": "true"}).status == 200


def test_a_missing_source(oss, refused):
    with refused(404, "NoSuchKey"):
        oss.copy("missing", "copy")
    with refused(404, "NoSuchBucket"):
        oss.copy("missing", "copy", source_bucket="judge-no-such-bucket")


def test_a_wrong_directive(oss, source, refused):
    with refused(400, "InvalidArgument"):
        oss.copy("source", "copy", headers={"x-oss-metadata-directive": "MERGE"})


def test_an_appendable_object_is_not_copied(oss):
    oss.append("log", 0, b"line")
    with pytest.raises(Refused) as error:
        oss.copy("log", "copy")
    assert 400 <= error.value.status < 500


def test_a_copied_symlink_is_a_symlink(oss, source):
    oss.put_symlink("link", "source")
    oss.copy("link", "link-copy")
    assert oss.symlink("link-copy").headers["x-oss-symlink-target"] == "source"


def test_an_upload_in_parts_keeps_its_etag_or_its_content(oss):
    upload = oss.initiate("parts")
    first = oss.part("parts", upload, 1, b"a" * 102_400)
    last = oss.part("parts", upload, 2, b"b")
    oss.complete("parts", upload, [first, last])
    oss.copy("parts", "copy")
    assert oss.get("copy").body == b"a" * 102_400 + b"b"
    assert oss.head("copy").crc64 == oss.head("parts").crc64
