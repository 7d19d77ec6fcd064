"""`/-/stats` and `/-/conditions`: what is counted, and each kind of fault as a client sees it."""

import http.client
import json
import time

import pytest

from adapters import Refused
from conftest import connect, fresh_bucket_name


@pytest.fixture(params=["v2-v4", "oss2-v1"])
def one(request, sandbox, tidy):
    adapter = connect(request.param, sandbox, fresh_bucket_name())
    adapter.create_bucket()
    return adapter


def fault(kind, *operations, count=1, probability=1.0):
    """Without a count it goes on."""
    described = {"operations": list(operations) or ["*"], "kind": kind, "probability": probability}
    return described if count is None else {**described, "count": count}


# Stats.


def test_requests_are_counted_by_operation(sandbox, one):
    sandbox.reset_stats()
    assert sandbox.stats() == {"requests": {}, "bytes_in": 0, "bytes_out": 0}
    one.put("key", b"x" * 1000)
    one.put("key", b"x" * 1000)
    one.get("key")
    one.get("key", (0, 9))
    one.head("key")
    one.meta("key")
    one.list()
    one.list_v2()
    one.copy("key", "copy")
    one.delete_many(["copy"])
    one.delete("key")
    one.append("log", 0, b"12345")
    upload = one.initiate("parts")
    part = one.part("parts", upload, 1, b"p" * 500)
    one.parts("parts", upload)
    one.uploads()
    one.complete("parts", upload, [part])
    other = one.initiate("parts")
    one.part_copy("parts", other, 1, "parts")
    one.abort("parts", other)
    one.put_symlink("link", "parts")
    one.symlink("link")
    one.info()
    one.stat()
    one.location()
    one.buckets(one.bucket)
    stats = sandbox.stats()
    assert stats["requests"] == {
        "PutObject": 2, "GetObject": 2, "HeadObject": 1, "GetObjectMeta": 1, "ListObjects": 1, "ListObjectsV2": 1,
        "CopyObject": 1, "DeleteMultipleObjects": 1, "DeleteObject": 1, "AppendObject": 1,
        "InitiateMultipartUpload": 2, "UploadPart": 1, "ListParts": 1, "ListMultipartUploads": 1,
        "CompleteMultipartUpload": 1, "UploadPartCopy": 1, "AbortMultipartUpload": 1, "PutSymlink": 1,
        "GetSymlink": 1, "GetBucketInfo": 1, "GetBucketStat": 1, "GetBucketLocation": 1, "ListBuckets": 1,
    }
    assert stats["bytes_in"] == 1000 + 1000 + 5 + 500
    assert stats["bytes_out"] == 1000 + 10


def test_the_stats_are_not_a_bucket_s(sandbox):
    assert sandbox.request("GET", "/-/nothing")[0] == 404
    assert sandbox.request("POST", "/-/stats")[0] in (404, 405)


# Conditions.


def test_conditions_are_told_as_they_were_set(sandbox, conditions):
    conditions(latency_ms=3, faults=[fault("error-503", "GetObject", count=7, probability=0.25)])
    told = sandbox.conditions()
    assert told["latency_ms"] == 3
    assert told["faults"] == [
        {"operations": ["GetObject"], "kind": "error-503", "probability": 0.25, "count": 7}]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"latency_ms": "x"}', b'{"unknown": 1}',
                                  b'{"faults": [{"kind": "earthquake", "operations": ["*"]}]}',
                                  b'{"faults": [{"kind": "reset", "operations": ["*"], "probability": 2}]}'])
def test_nonsense_is_refused_and_changes_nothing(sandbox, conditions, body):
    before = sandbox.conditions()
    status, _, _ = sandbox.request("PUT", "/-/conditions", body=body)
    assert status == 400
    assert sandbox.conditions() == before


def test_latency(sandbox, one, conditions):
    one.put("key", b"x")
    conditions(latency_ms=300)
    started = time.monotonic()
    one.get("key")
    assert 0.28 <= time.monotonic() - started < 3


def test_bandwidth(sandbox, one, conditions):
    one.put("key", b"x" * 400_000)
    conditions(bandwidth=400_000)
    started = time.monotonic()
    assert len(one.get("key").body) == 400_000
    assert 0.5 <= time.monotonic() - started < 5


def test_requests_per_second(one, conditions):
    one.put("key", b"x")
    conditions(requests_per_second=5)
    statuses = []
    for _ in range(40):
        try:
            statuses.append(one.get("key").status)
        except Refused as error:
            statuses.append(error.status)
    assert set(statuses) == {200, 503}
    assert statuses.count(503) >= 20


# Faults.


def test_error_503_as_an_answer(sandbox, one, conditions, refused):
    one.put("key", b"x")
    conditions(faults=[fault("error-503", "GetObject")])
    with refused(503, "ServiceUnavailable"):
        one.get("key")
    assert one.get("key").body == b"x", "a fault ends with its count"


def test_error_503_is_retried_by_the_sdk(v2, conditions):
    retrying = v2.but(retry_max_attempts=3)
    for operation, call in (("PutObject", lambda: retrying.put("key", b"x")), ("GetObject", lambda: retrying.get("key")),
                            ("HeadObject", lambda: retrying.head("key")), ("ListObjectsV2", retrying.list_v2)):
        conditions(faults=[fault("error-503", operation)])
        call()


def test_a_fault_is_for_its_operations(one, conditions, refused):
    one.put("key", b"x")
    conditions(faults=[fault("error-503", "PutObject", "DeleteObject", count=None)])
    assert one.get("key").body == b"x"
    for call in (lambda: one.put("key", b"y"), lambda: one.delete("key")):
        with refused(503, "ServiceUnavailable"):
            call()


def presigned(sandbox, one, method, key, body=None, timeout=5):
    url, headers = one.presign(method, key, 60)
    return sandbox.request(method, url[len(sandbox.url):], body=body, headers=headers, timeout=timeout)


def test_reset_comes_before_the_request_is_applied(sandbox, one, conditions):
    conditions(faults=[fault("reset", "PutObject")])
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        presigned(sandbox, one, "PUT", "key", b"x")
    assert one.list().keys == []


def test_a_lost_answer_comes_after_it_was_applied(sandbox, one, conditions):
    conditions(faults=[fault("lost-answer", "PutObject")])
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        presigned(sandbox, one, "PUT", "key", b"x")
    assert one.get("key").body == b"x"


def test_resets_and_lost_answers_are_retried_by_the_sdk(v2, conditions):
    retrying = v2.but(retry_max_attempts=3)
    for kind in ("reset", "lost-answer"):
        conditions(faults=[fault(kind, "PutObject")])
        retrying.put(kind, b"x")
        assert v2.get(kind).body == b"x"


def test_a_stall_outlasts_the_client(sandbox, one, conditions):
    one.put("key", b"x")
    conditions(faults=[fault("stall", "GetObject")])
    with pytest.raises(TimeoutError):
        presigned(sandbox, one, "GET", "key", timeout=1.5)
    assert one.get("key").body == b"x", "others are served meanwhile"


def test_truncate_closes_short_of_the_length(sandbox, one, conditions):
    one.put("key", b"x" * 100_000)
    conditions(faults=[fault("truncate", "GetObject")])
    with pytest.raises(http.client.IncompleteRead) as error:
        presigned(sandbox, one, "GET", "key")
    assert len(error.value.partial) < 100_000


def test_corrupt_flips_one_byte_of_a_whole_get(sandbox, one, conditions):
    body = bytes(range(256)) * 40
    one.put("key", body)
    conditions(faults=[fault("corrupt", "GetObject")])
    status, headers, received = presigned(sandbox, one, "GET", "key")
    assert status == 200
    assert sum(a != b for a, b in zip(received, body, strict=True)) == 1
    assert int(headers["x-oss-hash-crc64ecma"]) == one.head("key").crc64
    assert one.get("key").body == body, "the stored object is whole"


def test_corrupt_leaves_ranges_alone(one, conditions):
    body = bytes(range(256)) * 40
    one.put("key", body)
    conditions(faults=[fault("corrupt", "GetObject", count=None)])
    assert one.get("key", (0, 99)).body == body[:100]


def test_corrupt_on_the_way_in_shows_in_the_crc(sandbox, one, conditions):
    body = b"x" * 10_000
    one.put("whole", body)
    conditions(faults=[fault("corrupt", "PutObject")])
    status, headers, _ = presigned(sandbox, one, "PUT", "key", body)
    assert status == 200
    assert int(headers["x-oss-hash-crc64ecma"]) != one.head("whole").crc64


def test_denied(one, conditions, refused):
    one.put("key", b"x")
    conditions(faults=[fault("denied", "GetObject")])
    with refused(403, "AccessDenied"):
        one.get("key")
    assert one.get("key").body == b"x"


def test_probability(one, conditions):
    one.put("key", b"x")
    conditions(faults=[fault("error-503", "GetObject", probability=0.5, count=None)])
    failures = 0
    for _ in range(200):
        try:
            one.get("key")
        except Refused:
            failures += 1
    assert 60 <= failures <= 140


def test_faults_never_reach_the_control_paths(sandbox, conditions):
    conditions(faults=[fault("error-503", count=None)])
    assert json.loads(sandbox.request("GET", "/-/stats")[2])
    assert sandbox.conditions()["faults"]
