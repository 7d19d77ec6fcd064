"""Fixtures: one sandbox for the session, one adapter and one bucket for each test.

A test that takes `oss` runs four times: with each SDK and each signature version. Every test has a bucket of its own,
so no test depends on what another left behind; buckets are removed after it, because an account may own a hundred.
"""

import contextlib
import itertools
import os

import pytest

from adapters import Oss2, OssV2, Refused
from sandbox_process import BUCKET, KEY_ID, REGION, SECRET, Sandbox

JUDGES = {"v2-v4": (OssV2, "v4"), "v2-v1": (OssV2, "v1"), "oss2-v4": (Oss2, "v4"), "oss2-v1": (Oss2, "v1")}

_BUCKETS = f"judge-{os.getpid()}-"
_bucket_numbers = itertools.count(1)


@pytest.fixture
def long_run():
    """`cargo xtask test --long`: full counts."""
    return os.environ.get("OSSFS_LONG") == "1"


@pytest.fixture(scope="session", autouse=True)
def _no_proxy():
    """The server is on loopback; a proxy of the environment is none of its business."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        os.environ.pop(name, None)
    os.environ["no_proxy"] = "*"


@pytest.fixture(scope="session")
def sandbox():
    with Sandbox() as running:
        yield running


def connect(judge, sandbox, bucket=BUCKET, **changes):
    adapter, version = JUDGES[judge]
    settings = dict(url=sandbox.url, region=REGION, bucket=bucket, key_id=KEY_ID, secret=SECRET)
    return adapter(version, **{**settings, **changes})


def fresh_bucket_name():
    return f"{_BUCKETS}{next(_bucket_numbers)}"


@pytest.fixture
def tidy(sandbox):
    """Removes the buckets that the test made."""
    yield
    any_bucket = connect("v2-v4", sandbox)
    for made in any_bucket.buckets(_BUCKETS, max_keys=1000).items:
        remove(any_bucket.but(bucket=made.name))


def remove(adapter):
    for upload in adapter.uploads(max_uploads=1000).items:
        adapter.abort(upload.key, upload.upload_id)
    while keys := adapter.list_v2(max_keys=1000).keys:
        for key in keys if len(keys) < 50 else ():
            adapter.delete(key)
        if len(keys) >= 50:
            adapter.delete_many(keys)
    adapter.delete_bucket()


@pytest.fixture(params=JUDGES, ids=list(JUDGES))
def judge(request):
    return request.param


@pytest.fixture
def oss(judge, sandbox, tidy):
    """An adapter on an empty bucket."""
    adapter = connect(judge, sandbox, fresh_bucket_name())
    adapter.create_bucket()
    return adapter


@pytest.fixture(params=["v4", "v1"])
def v2(request, sandbox, tidy):
    """`alibabacloud-oss-v2` alone, for what only it offers."""
    adapter = connect(f"v2-{request.param}", sandbox, fresh_bucket_name())
    adapter.create_bucket()
    return adapter


@pytest.fixture(params=["v4", "v1"])
def oss2_bucket(request, sandbox, tidy):
    """`oss2` alone, for what only it offers."""
    adapter = connect(f"oss2-{request.param}", sandbox, fresh_bucket_name())
    adapter.create_bucket()
    return adapter


@pytest.fixture
def conditions(sandbox):
    """Sets the server's conditions and puts them back, whatever happens."""
    try:
        yield sandbox.set_conditions
    finally:
        sandbox.clear_conditions()


@pytest.fixture
def refused():
    """`with refused(404, "NoSuchKey") as error:` holds when the server refuses exactly so."""
    return _refused


@contextlib.contextmanager
def _refused(status, code):
    caught = {}
    with pytest.raises(Refused) as error:
        yield caught
    caught["error"] = error.value
    assert (error.value.status, error.value.code) == (status, code), error.value
