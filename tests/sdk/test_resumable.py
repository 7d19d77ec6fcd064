"""`oss2`'s resumable uploads and downloads, iterators and its own CRC-64 checks."""

import random

import oss2
import pytest

SIZE = 1_300_003
PART = 128 * 1024


@pytest.fixture
def content():
    return random.Random(3).randbytes(SIZE)


@pytest.fixture
def local(tmp_path, content):
    path = tmp_path / "local"
    path.write_bytes(content)
    return str(path)


@pytest.fixture
def store(tmp_path):
    return oss2.ResumableStore(root=str(tmp_path / "store"))


@pytest.mark.parametrize("threads", [1, 4])
def test_upload(oss2_bucket, local, content, store, threads):
    result = oss2.resumable_upload(oss2_bucket.client, "key", local, store=store, multipart_threshold=PART,
                                   part_size=PART, num_threads=threads, headers={"x-oss-meta-colour": "blue"})
    assert result.status == 200
    got = oss2_bucket.get("key")
    assert got.body == content
    assert got.headers["x-oss-meta-colour"] == "blue"
    assert oss2_bucket.uploads().items == []


def test_an_interrupted_upload_is_resumed(oss2_bucket, local, content, store, monkeypatch):
    client, sent = oss2_bucket.client, []
    real = client.upload_part

    def fail_at_the_fourth(key, upload_id, number, data, **kwargs):
        if number == 4 and 4 not in sent:
            sent.append(4)
            raise oss2.exceptions.RequestError(ConnectionResetError())
        sent.append(number)
        return real(key, upload_id, number, data, **kwargs)

    monkeypatch.setattr(client, "upload_part", fail_at_the_fourth)
    options = dict(store=store, multipart_threshold=PART, part_size=PART, num_threads=1)
    with pytest.raises(oss2.exceptions.RequestError):
        oss2.resumable_upload(client, "key", local, **options)
    oss2.resumable_upload(client, "key", local, **options)
    assert sent == [1, 2, 3, 4, *range(4, 12)][:len(sent)]
    assert oss2_bucket.get("key").body == content


def test_download(oss2_bucket, content, tmp_path):
    oss2_bucket.put("key", content)
    target = tmp_path / "down"
    oss2.resumable_download(oss2_bucket.client, "key", str(target), multiget_threshold=PART, part_size=PART,
                            num_threads=4, store=oss2.ResumableDownloadStore(root=str(tmp_path / "store")))
    assert target.read_bytes() == content


def test_download_notices_a_replaced_object(oss2_bucket, content, tmp_path, monkeypatch):
    """Parts are read with If-Unmodified-Since and If-Match of the first HEAD."""
    oss2_bucket.put("key", content)
    client = oss2_bucket.client
    real = client.get_object
    calls = []

    def replace_after_the_second(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            oss2_bucket.put("key", b"other" * 300_000)
        return real(*args, **kwargs)

    monkeypatch.setattr(client, "get_object", replace_after_the_second)
    with pytest.raises(oss2.exceptions.PreconditionFailed):
        oss2.resumable_download(client, "key", str(tmp_path / "down"), multiget_threshold=PART, part_size=PART,
                                num_threads=1, store=oss2.ResumableDownloadStore(root=str(tmp_path / "store")))


def test_part_and_upload_iterators(oss2_bucket):
    client = oss2_bucket.client
    upload = client.init_multipart_upload("key").upload_id
    for number in range(1, 8):
        client.upload_part("key", upload, number, b"x")
    assert len(list(oss2.PartIterator(client, "key", upload, max_parts=3))) == 7
    client.init_multipart_upload("other")
    assert len(list(oss2.MultipartUploadIterator(client, max_uploads=1))) == 2
    assert len(list(oss2.ObjectUploadIterator(client, "key", max_uploads=1))) == 1


def test_bucket_iterator(oss2_bucket):
    names = [bucket.name for bucket in oss2.BucketIterator(oss2_bucket.service, max_keys=7)]
    assert oss2_bucket.bucket in names
    assert names == sorted(names)


def test_the_crc_of_a_download_is_compared(oss2_bucket, conditions, tmp_path):
    oss2_bucket.put("key", b"x" * 10_000)
    conditions(faults=[{"operations": ["GetObject"], "kind": "corrupt", "probability": 1.0, "count": 1}])
    with pytest.raises(oss2.exceptions.InconsistentError):
        oss2_bucket.client.get_object_to_file("key", str(tmp_path / "down"))
    oss2_bucket.client.get_object_to_file("key", str(tmp_path / "down"))


def test_update_metadata(oss2_bucket):
    oss2_bucket.put("key", b"x", metadata={"colour": "blue"})
    oss2_bucket.client.update_object_meta("key", {"x-oss-meta-size": "big"})
    head = oss2_bucket.head("key")
    assert head.headers["x-oss-meta-size"] == "big"
    assert "x-oss-meta-colour" not in head.headers
