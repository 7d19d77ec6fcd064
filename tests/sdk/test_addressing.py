"""Path style, virtual-hosted, and what `Host` may say."""

import http.client
import socket

import pytest

from conftest import fresh_bucket_name

@pytest.fixture
def resolved(monkeypatch):
    """OSS's own names are this machine, for this process."""
    real = socket.getaddrinfo

    def resolve(host, *rest, **named):
        if isinstance(host, str) and host.endswith((".aliyuncs.com", ".localhost")):
            host = "127.0.0.1"
        return real(host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.parametrize("host", ["localhost", "oss-cn-hangzhou.aliyuncs.com", "oss-cn-hangzhou-internal.aliyuncs.com"])
def test_virtual_hosted(sandbox, oss, resolved, host):
    hosted = oss.but(url=f"http://{host}:{sandbox.port}")
    hosted.put("dir/a b+c", b"hosted")
    assert oss.get("dir/a b+c").body == b"hosted", "the same object, whatever the style"
    assert hosted.get("dir/a b+c").body == b"hosted"
    assert hosted.list().keys == ["dir/a b+c"]
    assert hosted.info().name == oss.bucket
    assert oss.bucket in [bucket.name for bucket in hosted.buckets(oss.bucket).items]


def test_a_bucket_is_created_virtual_hosted(sandbox, oss, resolved):
    name = fresh_bucket_name()
    hosted = oss.but(url=f"http://oss-cn-hangzhou.aliyuncs.com:{sandbox.port}", bucket=name)
    hosted.create_bucket()
    assert oss.but(bucket=name).info().name == name


def test_path_style_by_name(sandbox, v2):
    by_name = v2.but(url=f"http://localhost:{sandbox.port}", use_path_style=True)
    by_name.put("key", b"x")
    assert by_name.get("key").body == b"x"


def test_path_style_by_name_in_oss2(sandbox, oss2_bucket):
    by_name = oss2_bucket.but(url=f"http://localhost:{sandbox.port}", is_path_style=True)
    by_name.put("key", b"x")
    assert by_name.get("key").body == b"x"


def test_the_host_of_a_bucket_at_an_address(sandbox, oss):
    """What `ali-oss` sends: an IP address connected to, the bucket in `Host`."""
    oss.put("key", b"body")
    url, headers = oss.presign("GET", "key", 60)
    query = url.split("?", 1)[1]
    status, _, body = sandbox.request("GET", f"/key?{query}", headers={
        **headers, "Host": f"{oss.bucket}.oss-cn-hangzhou.aliyuncs.com"})
    assert (status, body) == (200, b"body")


def test_one_connection_serves_many_requests(sandbox, oss):
    oss.put("key", b"body")
    url, headers = oss.presign("GET", "key", 60)
    connection = http.client.HTTPConnection(sandbox.host, sandbox.port, timeout=10)
    try:
        for _ in range(20):
            connection.request("GET", url[len(sandbox.url):], headers=headers)
            response = connection.getresponse()
            assert response.read() == b"body"
            assert not response.will_close
    finally:
        connection.close()


def test_expect_continue(sandbox, oss):
    url, headers = oss.presign("PUT", "key", 60)
    lines = [f"PUT {url[len(sandbox.url):]} HTTP/1.1", f"Host: {sandbox.host}:{sandbox.port}", "Content-Length: 4",
             "Expect: 100-continue", *(f"{name}: {value}" for name, value in headers.items())]
    with socket.create_connection((sandbox.host, sandbox.port), timeout=10) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        assert connection.recv(1024).startswith(b"HTTP/1.1 100")
        connection.sendall(b"body")
        assert connection.recv(1024).startswith(b"HTTP/1.1 200")
    assert oss.get("key").body == b"body"
