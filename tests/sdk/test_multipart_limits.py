"""What CompleteMultipartUpload, UploadPart and InitiateMultipartUpload refuse."""

import base64
import hashlib

import pytest

from adapters import Part, Refused

MIN = 102_400


@pytest.fixture
def upload(oss):
    return oss.initiate("key")


def test_a_part_too_small_shows_at_complete(oss, upload, refused):
    parts = [oss.part("key", upload, 1, b"x" * (MIN - 1)), oss.part("key", upload, 2, b"y")]
    with refused(400, "EntityTooSmall"):
        oss.complete("key", upload, parts)
    assert oss.list().keys == []


def test_the_smallest_part(oss, upload):
    parts = [oss.part("key", upload, 1, b"x" * MIN), oss.part("key", upload, 2, b"y")]
    assert oss.complete("key", upload, parts).status == 200


def test_a_lone_part_may_be_small(oss, upload):
    assert oss.complete("key", upload, [oss.part("key", upload, 1, b"")]).status == 200
    assert oss.get("key").body == b""


def raw_complete(oss, upload, parts):
    """The SDKs sort what they are given; the document is written here."""
    listed = "".join(
        f"<Part><PartNumber>{part.number}</PartNumber><ETag>{part.etag}</ETag></Part>" for part in parts)
    return oss.raw("POST", "key", query={"uploadId": upload},
                   body=f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode())


def test_the_order_must_ascend(oss, upload, refused):
    one, two = oss.part("key", upload, 1, b"x" * MIN), oss.part("key", upload, 2, b"y" * MIN)
    for parts in ([two, one], [one, one]):
        with refused(400, "InvalidPartOrder"):
            raw_complete(oss, upload, parts)
    raw_complete(oss, upload, [one, two])


def test_a_part_that_was_never_sent(oss, upload, refused):
    part = oss.part("key", upload, 1, b"x" * MIN)
    with refused(400, "InvalidPart"):
        oss.complete("key", upload, [part, Part(2, part.etag)])


def test_a_part_with_another_etag(oss, upload, refused):
    oss.part("key", upload, 1, b"x")
    with refused(400, "InvalidPart"):
        oss.complete("key", upload, [Part(1, '"0123456789ABCDEF0123456789ABCDEF"')])


def test_a_refused_complete_can_be_mended(oss, upload, refused):
    part = oss.part("key", upload, 1, b"x")
    with refused(400, "InvalidPart"):
        oss.complete("key", upload, [part, Part(2, part.etag)])
    assert oss.complete("key", upload, [part]).status == 200


@pytest.mark.parametrize("body", [b"", b"<CompleteMultipartUpload>", b"<CompleteMultipartUpload/>", b"text"],
                         ids=["empty", "cut", "no-part", "text"])
def test_a_document_that_is_no_list(oss, upload, refused, body):
    with refused(400, "MalformedXML"):
        oss.raw("POST", "key", query={"uploadId": upload}, body=body)


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x"])
def test_part_numbers(oss, upload, refused, number):
    with refused(400, "InvalidArgument"):
        oss.raw("PUT", "key", query={"uploadId": upload, "partNumber": number}, body=b"x")


def test_an_unknown_upload(oss, refused):
    unknown = "0123456789ABCDEF0123456789ABCDEF"
    for call in (lambda: oss.part("key", unknown, 1, b"x"), lambda: oss.abort("key", unknown),
                 lambda: oss.parts("key", unknown), lambda: oss.complete("key", unknown, [Part(1, unknown)])):
        with refused(404, "NoSuchUpload"):
            call()


def test_an_upload_belongs_to_its_key(oss, upload, refused):
    with refused(404, "NoSuchUpload"):
        oss.part("another", upload, 1, b"x")


def test_the_digest_of_a_part_is_checked(oss, upload, refused):
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    with refused(400, "InvalidDigest"):
        oss.part("key", upload, 1, b"x", headers={"Content-MD5": wrong})
    assert oss.parts("key", upload).items == []


@pytest.mark.parametrize("where", ["initiate", "complete"])
def test_forbid_overwrite(oss, refused, where):
    forbid = {"x-oss-forbid-overwrite": "true"}
    if where == "initiate":
        oss.put("key", b"taken")
        with refused(409, "FileAlreadyExists"):
            oss.initiate("key", headers=forbid)
    else:
        upload = oss.initiate("key")
        part = oss.part("key", upload, 1, b"x")
        oss.put("key", b"taken")
        with refused(409, "FileAlreadyExists"):
            oss.complete("key", upload, [part], headers=forbid)
    assert oss.get("key").body == b"taken"


def test_no_part_is_copied_from_a_symlink(oss, upload):
    oss.put("target", b"x")
    oss.put_symlink("link", "target")
    with pytest.raises(Refused) as error:
        oss.part_copy("key", upload, 1, "link")
    assert 400 <= error.value.status < 500


@pytest.mark.timeout(900)
def test_many_parts(oss, upload, long_run):
    """As many as OSS takes in a long run."""
    count = 10_000 if long_run else 300
    parts = [oss.part("key", upload, number, b"%06d" % number * 17_067) for number in range(1, count + 1)]
    assert oss.complete("key", upload, parts).etag.endswith(f'-{count}"')
    assert int(oss.head("key").headers["Content-Length"]) == count * 102_402
