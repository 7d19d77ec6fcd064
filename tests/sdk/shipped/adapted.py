"""A pytest plugin: puts the sandbox where the suite expects Alibaba Cloud.

Invariant: no test talks to anything but this machine. OSS's host names lead to the sandbox, whatever the port; every
other name is unknown.
"""

import os
import socket
import threading


def pytest_configure():
    _lead_to_the_sandbox(int(os.environ["OSSFS_SANDBOX_PORT"]))
    _replace_other_services()
    _write_records_whole()


def _lead_to_the_sandbox(sandbox_port):
    real = socket.getaddrinfo

    def resolve(host, port, *rest, **named):
        name = host.decode() if isinstance(host, bytes) else host or ""
        if ".oss-" in f".{name}" and name.endswith(".aliyuncs.com"):
            return real("127.0.0.1", sandbox_port, *rest, **named)
        if name in ("127.0.0.1", "::1", "localhost"):
            return real(host, port, *rest, **named)
        raise socket.gaierror(socket.EAI_NONAME, f"{name} is not this machine")

    socket.getaddrinfo = resolve


def _replace_other_services():
    import oss2

    # After each test the suite deletes live channels too; OSS has none for a bucket that never made one.
    oss2.LiveChannelIterator = lambda *_: iter(())

    # Uploads and downloads are tested with a bucket drawn among plain and client-side encrypted ones. A key of this
    # process stands in for the key service.
    from Crypto.PublicKey import RSA

    key = RSA.generate(2048)
    pair = {"private_key": key.export_key(), "public_key": key.public_key().export_key()}
    oss2.AliKMSProvider = lambda *_, **__: oss2.RsaProvider(pair)


def _write_records_whole():
    """Some tests read the record of a resumable download in one thread while another thread's `put` writes it in place."""
    import json

    from oss2.resumable import _ResumableStoreBase

    def put(store, key, value):
        path = store._ResumableStoreBase__path(key)
        whole = f"{path}.{threading.get_ident()}"
        with open(whole, "w") as file:
            json.dump(value, file)
        os.replace(whole, path)

    _ResumableStoreBase.put = put
