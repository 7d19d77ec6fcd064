"""If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since on reads; none of them on writes."""

from email.utils import formatdate, parsedate_to_datetime

import pytest

from adapters import Refused

OTHER = '"0123456789ABCDEF0123456789ABCDEF"'
PAST = "Thu, 01 Jan 2015 00:00:00 GMT"


@pytest.fixture(params=["get", "head"])
def read(request, oss):
    oss.put("key", b"body")
    return lambda **headers: getattr(oss, request.param)(
        "key", headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.fixture
def etag(oss):
    return oss.head("key").etag


def test_conditions_that_hold(read, etag):
    modified = read().headers["Last-Modified"]
    for headers in ({"If_Match": etag}, {"If_Match": etag.strip('"')}, {"If_None_Match": OTHER},
                    {"If_Modified_Since": PAST}, {"If_Unmodified_Since": modified},
                    {"If_Match": etag, "If_None_Match": OTHER}):
        assert read(**headers).status == 200, headers


def test_conditions_that_fail(read, etag):
    for headers in ({"If_Match": OTHER}, {"If_Unmodified_Since": PAST}):
        with pytest.raises(Refused) as error:
            read(**headers)
        assert (error.value.status, error.value.code) == (412, "PreconditionFailed"), headers


def test_not_modified(read, etag):
    modified = read().headers["Last-Modified"]
    later = formatdate(parsedate_to_datetime(modified).timestamp() + 1, usegmt=True)
    for headers in ({"If_None_Match": etag}, {"If_Modified_Since": modified}, {"If_Modified_Since": later}):
        with pytest.raises(Refused) as error:
            read(**headers)
        assert error.value.status == 304, headers


def test_not_modified_has_no_body(sandbox, oss):
    put = oss.put("key", b"body")
    url, headers = oss.presign("GET", "key", 60)
    status, _, body = sandbox.request("GET", url[len(sandbox.url):], headers={**headers, "If-None-Match": put.etag})
    assert (status, body) == (304, b"")


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
def test_writes_take_no_conditions(oss, refused, header):
    with refused(501, "NotImplemented"):
        oss.put("key", b"x", headers={header: OTHER})


def test_forbid_overwrite(oss, refused):
    assert oss.put("key", b"first", forbid_overwrite=True).status == 200
    with refused(409, "FileAlreadyExists"):
        oss.put("key", b"second", forbid_overwrite=True)
    assert oss.get("key").body == b"first"
    oss.put("key", b"third", forbid_overwrite=False)
    assert oss.get("key").body == b"third"


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_forbid_overwrite_has_no_effect_on_a_versioned_bucket(oss, status):
    oss.put_versioning("Enabled")
    if status == "Suspended":
        oss.put_versioning("Suspended")
    assert oss.info().versioning == status
    oss.put("key", b"first", forbid_overwrite=True)
    assert oss.put("key", b"second", forbid_overwrite=True).status == 200
    assert oss.get("key").body == b"second"
