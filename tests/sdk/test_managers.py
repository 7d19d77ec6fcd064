"""The v2 SDK's Uploader, Downloader, Copier and its file-like objects, which check CRC-64 themselves."""

import os
import random

import alibabacloud_oss_v2 as sdk
import pytest

SIZE = 1_300_003
PART = 128 * 1024


@pytest.fixture
def content():
    return random.Random(2).randbytes(SIZE)


@pytest.fixture
def local(tmp_path, content):
    path = tmp_path / "local"
    path.write_bytes(content)
    return str(path)


def request(kind, v2, key="key", **fields):
    return kind(bucket=v2.bucket, key=key, **fields)


@pytest.mark.parametrize("parallel", [1, 4])
def test_upload_in_parts(v2, local, content, parallel):
    uploader = v2.client.uploader(part_size=PART, parallel_num=parallel)
    result = uploader.upload_file(request(sdk.PutObjectRequest, v2, metadata={"colour": "blue"}), local)
    assert result.upload_id
    got = v2.get("key")
    assert got.body == content
    assert got.crc64 == int(result.hash_crc64)
    assert got.headers["x-oss-object-type"] == "Multipart"
    assert got.headers["x-oss-meta-colour"] == "blue"


def test_upload_of_a_small_file_is_one_put(v2, local, content):
    result = v2.client.uploader(part_size=2 * SIZE).upload_file(request(sdk.PutObjectRequest, v2), local)
    assert result.upload_id is None
    assert v2.get("key").body == content


def test_upload_from_a_stream(v2, local, content):
    with open(local, "rb") as stream:
        v2.client.uploader(part_size=PART).upload_from(request(sdk.PutObjectRequest, v2), stream)
    assert v2.get("key").body == content


def test_an_interrupted_upload_is_resumed(v2, local, content, tmp_path, monkeypatch):
    class Broken(Exception):
        pass

    sent = []
    real = v2.client.upload_part

    def fail_at_the_fourth(upload, **kwargs):
        if upload.part_number == 4:
            raise Broken()
        sent.append(upload.part_number)
        return real(upload, **kwargs)

    options = dict(part_size=PART, parallel_num=1, enable_checkpoint=True, checkpoint_dir=str(tmp_path),
                   leave_parts_on_error=True)
    monkeypatch.setattr(v2.client, "upload_part", fail_at_the_fourth)
    with pytest.raises(Exception):
        v2.client.uploader(**options).upload_file(request(sdk.PutObjectRequest, v2), local)
    assert sent[:3] == [1, 2, 3]
    monkeypatch.setattr(v2.client, "upload_part", lambda upload, **kwargs: (
        sent.append(upload.part_number), real(upload, **kwargs))[1])
    sent.clear()
    v2.client.uploader(**options).upload_file(request(sdk.PutObjectRequest, v2), local)
    assert min(sent) == 4, "the parts that were there are not sent again"
    assert v2.get("key").body == content


@pytest.mark.parametrize("parallel", [1, 4])
def test_download_in_parts(v2, content, tmp_path, parallel):
    v2.put("key", content)
    target = tmp_path / "down"
    result = v2.client.downloader(part_size=PART, parallel_num=parallel).download_file(
        request(sdk.GetObjectRequest, v2), str(target))
    assert result.written == SIZE
    assert target.read_bytes() == content


def test_download_of_a_range_from_the_start(v2, content, tmp_path):
    v2.put("key", content)
    target = tmp_path / "down"
    v2.client.downloader(part_size=PART).download_file(
        request(sdk.GetObjectRequest, v2, range_header="bytes=0-700000"), str(target))
    assert target.read_bytes() == content[:700_001]


def test_download_with_a_checkpoint(v2, content, tmp_path):
    v2.put("key", content)
    target = tmp_path / "down"
    v2.client.downloader(part_size=PART, enable_checkpoint=True, checkpoint_dir=str(tmp_path)).download_file(
        request(sdk.GetObjectRequest, v2), str(target))
    assert target.read_bytes() == content
    assert os.listdir(tmp_path) == ["down"]


def test_to_a_file_and_from_a_file(v2, local, content, tmp_path):
    v2.client.put_object_from_file(request(sdk.PutObjectRequest, v2), local)
    target = tmp_path / "down"
    retrying = v2.but(retry_max_attempts=3)  # with a single attempt this call of the SDK makes none
    retrying.client.get_object_to_file(request(sdk.GetObjectRequest, v2), str(target))
    assert target.read_bytes() == content


@pytest.mark.parametrize("threshold", [1, 10 * SIZE], ids=["in-parts", "whole"])
def test_copy(v2, content, threshold):
    v2.put("source", content, metadata={"colour": "blue"}, headers={"Content-Type": "text/x-source"})
    copier = v2.client.copier(part_size=PART, multipart_copy_threshold=threshold, disable_shallow_copy=True)
    copier.copy(request(sdk.CopyObjectRequest, v2, "copy", source_bucket=v2.bucket, source_key="source"))
    got = v2.get("copy")
    assert got.body == content
    assert got.headers["x-oss-meta-colour"] == "blue"
    assert got.headers["Content-Type"] == "text/x-source"
    assert got.headers["x-oss-object-type"] == ("Multipart" if threshold == 1 else "Normal")


@pytest.mark.parametrize("prefetch", [False, True])
def test_a_file_like_object(v2, content, prefetch):
    v2.put("key", content)
    with v2.client.open_file(v2.bucket, "key", enable_prefetch=prefetch, chunk_size=PART,
                             prefetch_threshold=1024) as opened:
        assert opened.read(1000) == content[:1000]
        opened.seek(500_000)
        assert opened.read(100) == content[500_000:500_100]
        opened.seek(-10, os.SEEK_END)
        assert opened.read() == content[-10:]
        opened.seek(0)
        assert opened.read() == content


def test_the_crc_of_an_upload_is_compared(v2, conditions):
    conditions(faults=[{"operations": ["PutObject"], "kind": "corrupt", "probability": 1.0, "count": 1}])
    with pytest.raises(sdk.exceptions.OperationError) as error:
        v2.put("key", b"x" * 10_000)
    assert isinstance(error.value.unwrap(), sdk.exceptions.InconsistentError)


def test_progress_is_told(v2, local, tmp_path):
    seen = []
    v2.client.put_object_from_file(request(
        sdk.PutObjectRequest, v2, progress_fn=lambda step, done, total: seen.append((done, total))), local)
    assert seen[-1] == (SIZE, SIZE)
