"""The program: its flags, its first line, its end, and what outlives it."""

import os
import re
import socket
import subprocess
import time

import pytest

from adapters import Refused
from conftest import connect
from sandbox_process import KEY_ID, SECRET, Sandbox

BINARY = os.environ.get("OSSFS_BIN", "")


def run(*arguments, **options):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL,
                          **options)


def test_the_first_line_says_where():
    with Sandbox() as sandbox:
        assert re.fullmatch(r"listening on http://127\.0\.0\.1:[1-9]\d*\n", sandbox.stdout[0])
        assert sandbox.request("GET", "/-/stats")[0] == 200


def test_sigterm_ends_it_cleanly():
    with Sandbox() as sandbox:
        started = time.monotonic()
        assert sandbox.terminate() == 0
        assert time.monotonic() - started < 5
        assert "panicked" not in "".join(sandbox.stderr)


def test_a_port_in_use_is_said():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run("sandbox", "--listen", address)
    assert result.returncode != 0
    assert address in result.stderr
    assert "listening on" not in result.stdout


def test_help_explains_every_flag():
    result = run("sandbox", "--help")
    assert result.returncode == 0
    for flag in ("--listen", "--data", "--bucket", "--access-key-id", "--access-key-secret", "--region",
                 "--latency-ms", "--bandwidth"):
        assert flag in result.stdout
    assert "127.0.0.1:9900" in result.stdout
    assert "cn-hangzhou" in result.stdout


@pytest.mark.parametrize("flags", [["--listen", "nowhere"], ["--bucket", "Not_A_Bucket"], ["--latency-ms", "x"],
                                   ["--unknown"]])
def test_wrong_flags_are_refused(flags):
    result = run("sandbox", *flags)
    assert result.returncode != 0
    assert result.stderr.strip()


def test_several_buckets():
    with Sandbox(buckets=("one-bucket", "two-bucket")) as sandbox:
        names = [bucket.name for bucket in connect("v2-v4", sandbox).buckets().items]
        assert names == ["one-bucket", "two-bucket"]


def test_latency_flag():
    with Sandbox("--latency-ms", 200) as sandbox:
        oss = connect("v2-v4", sandbox)
        started = time.monotonic()
        oss.list()
        assert time.monotonic() - started >= 0.19
        assert sandbox.conditions()["latency_ms"] == 200


def test_bandwidth_flag():
    with Sandbox("--bandwidth", 300_000) as sandbox:
        assert sandbox.conditions()["bandwidth"] == 300_000


@pytest.mark.parametrize("judge", ["v2-v4", "oss2-v1"])
@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_a_directory_outlives_the_process(tmp_path, judge, end):
    keys = ["plain", "dir/inner", "dir/", "dir", "a b", "../up", "..", ".", "中文", "z\U0001f600", "\x01", "k" * 1023,
            "nul%00", "CON", "a/../b"]
    with Sandbox("--data", tmp_path / "data") as sandbox:
        oss = connect(judge, sandbox)
        if judge == "v2-v4":
            keys = [key for key in keys if ".." not in key and key != "."]
        else:
            keys = [key for key in keys if key not in (".", "..") and "../" not in key]
        puts = {key: oss.put(key, key.encode(), metadata={"colour": "blue"}) for key in keys}
        oss.append("log", 0, b"first")
        oss.put_symlink("link", "plain")
        upload = oss.initiate("parts")
        part = oss.part("parts", upload, 1, b"p" * 102_400)
        done = oss.initiate("done")
        complete = oss.complete("done", done, [oss.part("done", done, 1, b"x")])
        oss.but(bucket="created-later").create_bucket()
        getattr(sandbox, end)()
    with Sandbox("--data", tmp_path / "data") as sandbox:
        oss = connect(judge, sandbox)
        for key, put in puts.items():
            got = oss.get(key)
            assert got.body == key.encode()
            assert (got.etag, got.crc64) == (put.etag, put.crc64)
            assert got.headers["x-oss-meta-colour"] == "blue"
        assert oss.get("done").etag == complete.etag
        assert oss.append("log", 5, b" second").headers["x-oss-next-append-position"] == "12"
        assert oss.get("link").body == b"plain"
        last = oss.part("parts", upload, 2, b"end")
        oss.complete("parts", upload, [part, last])
        assert oss.get("parts").body == b"p" * 102_400 + b"end"
        assert oss.but(bucket="created-later").list().keys == []


def test_keys_with_dots_stay_inside_the_directory(tmp_path):
    """No SDK sends `..` as it is (their HTTP library folds it), so the path is signed for and sent plainly."""
    data = tmp_path / "deep" / "data"
    with Sandbox("--data", data) as sandbox:
        oss = connect("v2-v4", sandbox)
        for key in ("../../escaped", "a/../../../escaped", "..", "."):
            url, headers = oss.presign("PUT", key, 60)
            status, _, body = sandbox.request("PUT", url[len(sandbox.url):], body=b"x", headers=headers)
            assert status in (200, 400, 403), body
        assert not (tmp_path / "escaped").exists()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["deep"]
        assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["data"]


def test_the_control_paths_need_no_signature_and_objects_do():
    with Sandbox() as sandbox:
        assert sandbox.request("GET", "/-/conditions")[0] == 200
        with pytest.raises(Refused):
            connect("v2-v4", sandbox, secret="other").list()


def test_the_quick_start(tmp_path):
    """A person's first minutes: the default credentials that --help names, then the SDK's README sample."""
    with Sandbox(buckets=("b-1",)) as sandbox:
        import alibabacloud_oss_v2 as oss

        os.environ["OSS_ACCESS_KEY_ID"], os.environ["OSS_ACCESS_KEY_SECRET"] = KEY_ID, SECRET
        try:
            cfg = oss.config.load_default()
            cfg.credentials_provider = oss.credentials.EnvironmentVariableCredentialsProvider()
            cfg.region = "cn-hangzhou"
            cfg.endpoint = sandbox.url
            client = oss.Client(cfg)
            local = tmp_path / "file.txt"
            local.write_text("hello\n")
            result = client.put_object_from_file(oss.PutObjectRequest(bucket="b-1", key="hello.txt"), str(local))
            assert result.status_code == 200
            pages = client.list_objects_v2_paginator().iter_page(oss.ListObjectsV2Request(bucket="b-1"))
            assert [item.key for page in pages for item in page.contents] == ["hello.txt"]
            body = client.get_object(oss.GetObjectRequest(bucket="b-1", key="hello.txt")).body
            assert body.read() == b"hello\n"
        finally:
            del os.environ["OSS_ACCESS_KEY_ID"], os.environ["OSS_ACCESS_KEY_SECRET"]


def test_an_account_owns_a_hundred_buckets():
    with Sandbox(buckets=()) as sandbox:
        for number in range(100):
            connect("v2-v4", sandbox, f"bucket-{number:03}").create_bucket()
        with pytest.raises(Refused) as error:
            connect("v2-v4", sandbox, "bucket-100").create_bucket()
        assert (error.value.status, error.value.code) == (400, "TooManyBuckets")
