"""Limits and digests on ordinary requests, and errors of requests without a body."""

import base64
import hashlib
from xml.etree import ElementTree

import pytest

from adapters import Refused

EIGHT_KB = 8 * 1024


@pytest.mark.parametrize("key", ["/leading", "\\leading", "//", "k" * 1024, "中" * 342], ids=len)
def test_key_rules(oss, key):
    with pytest.raises(Refused) as error:
        oss.put(key, b"x")
    assert (error.value.status, error.value.code) == (400, "InvalidObjectName")


def test_user_metadata_up_to_8_kb(oss):
    oss.put("key", b"x", metadata={"m": "v" * (EIGHT_KB - 1000)})
    assert len(oss.head("key").headers["x-oss-meta-m"]) == EIGHT_KB - 1000


@pytest.mark.parametrize("names", [1, 4])
def test_user_metadata_beyond_8_kb(oss, names):
    with pytest.raises(Refused) as error:
        oss.put("key", b"x", metadata={f"m{number}": "v" * (EIGHT_KB // names + 1) for number in range(names)})
    assert error.value.status == 400
    assert oss.list().keys == []


def test_a_wrong_digest(oss, refused):
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    with refused(400, "InvalidDigest"):
        oss.put("key", b"x", headers={"Content-MD5": wrong})
    for malformed in ("x", "AAAA", "not base64!"):
        with refused(400, "InvalidDigest"):
            oss.put("key", b"x", headers={"Content-MD5": malformed})
    assert oss.list().keys == []


def test_a_right_digest(oss):
    right = base64.b64encode(hashlib.md5(b"x").digest()).decode()
    assert oss.put("key", b"x", headers={"Content-MD5": right}).status == 200


def test_a_head_carries_its_error_in_a_header(oss):
    with pytest.raises(Refused) as error:
        oss.head("missing")
    document = ElementTree.fromstring(base64.b64decode(error.value.headers["x-oss-err"]))
    assert document.tag == "Error"
    assert document.findtext("Code") == "NoSuchKey"
    assert document.findtext("RequestId") == error.value.headers["x-oss-request-id"]
    assert error.value.headers["x-oss-ec"]


def test_a_storage_class_must_exist(oss, refused):
    with refused(400, "InvalidArgument"):
        oss.put("key", b"x", headers={"x-oss-storage-class": "Cheap"})


def test_an_archived_object_needs_a_restore(oss, refused):
    oss.put("key", b"frozen", headers={"x-oss-storage-class": "Archive"})
    assert oss.head("key").headers["x-oss-storage-class"] == "Archive"
    with refused(403, "InvalidObjectState"):
        oss.get("key")
    with refused(403, "InvalidObjectState"):
        oss.copy("key", "copy")
    assert oss.restore("key").status == 202
    assert "x-oss-restore" in oss.head("key").headers
    for _ in range(50):
        if 'ongoing-request="false"' in oss.head("key").headers["x-oss-restore"]:
            break
        import time
        time.sleep(0.2)
    assert oss.get("key").body == b"frozen"


def test_what_is_not_archived_is_not_restored(oss, refused):
    oss.put("key", b"x")
    with refused(400, "OperationNotSupported"):
        oss.restore("key")


@pytest.mark.parametrize("storage_class", ["IA", "Archive", "ColdArchive"])
def test_storage_classes_in_listings(oss, storage_class):
    oss.put("key", b"x", headers={"x-oss-storage-class": storage_class})
    assert oss.list().entries[0].storage_class == storage_class
    assert oss.list_v2().entries[0].storage_class == storage_class


@pytest.mark.parametrize("path", ["/%", "/%zz", "/b/%ff%fe", "/" + "x" * 9000, "/b?max-keys=%"])
def test_malformed_targets_get_an_error(sandbox, path):
    status, _, body = sandbox.request("GET", path)
    assert 400 <= status < 500
    assert sandbox.stats(), "and the server is well"


def test_a_huge_header_gets_an_error(sandbox):
    status, _, _ = sandbox.request("GET", "/", headers={"x-oss-meta-huge": "v" * 500_000})
    assert 400 <= status < 500
