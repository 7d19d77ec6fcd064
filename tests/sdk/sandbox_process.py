"""A running `ossfs sandbox`: started on a free port, spoken to in plain HTTP for `/-/…`, and always stopped.

The binary is the one that OSSFS_BIN names. Every wait has a deadline.
"""

import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time
from urllib.parse import urlsplit

KEY_ID = "LTAIjudgeAccessKeyId"
SECRET = "judge-access-key-secret"
REGION = "cn-hangzhou"
BUCKET = "judge-bucket"

START_DEADLINE_S = 20
STOP_DEADLINE_S = 10


class Sandbox:
    def __init__(self, *flags, buckets=(BUCKET,), binary=None, listen="127.0.0.1:0"):
        command = [binary or os.environ["OSSFS_BIN"], "sandbox", "--listen", listen, "--region", REGION,
                   "--access-key-id", KEY_ID, "--access-key-secret", SECRET]
        for bucket in buckets:
            command += ["--bucket", bucket]
        command += [str(flag) for flag in flags]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.stdout, self.stderr = [], []
        self._announced = threading.Event()
        self._drains = [
            threading.Thread(target=self._drain, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self.stdout), (self.process.stderr, self.stderr))
        ]
        for drain in self._drains:
            drain.start()
        self.url = self._await_url()
        parts = urlsplit(self.url)
        self.host, self.port = parts.hostname, parts.port

    def _drain(self, stream, lines):
        for line in stream:
            lines.append(line)
            if line.startswith("listening on "):
                self._announced.set()
        self._announced.set()

    def _await_url(self):
        self._announced.wait(START_DEADLINE_S)
        for line in self.stdout:
            found = re.fullmatch(r"listening on (http://\S+)\n", line)
            if found:
                return found[1]
        self.kill()
        raise AssertionError(f"no `listening on` line: {''.join(self.stdout)!r} {''.join(self.stderr)!r}")

    # Plain HTTP: nothing of an SDK in between.

    def request(self, method, path, body=None, headers=None, timeout=20):
        """(status, headers, body); the path is sent as given."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def stats(self):
        status, _, body = self.request("GET", "/-/stats")
        assert status == 200, body
        return json.loads(body)

    def reset_stats(self):
        status, _, body = self.request("POST", "/-/stats/reset")
        assert status // 100 == 2, body

    def conditions(self):
        status, _, body = self.request("GET", "/-/conditions")
        assert status == 200, body
        return json.loads(body)

    def set_conditions(self, **conditions):
        status, _, body = self.request("PUT", "/-/conditions", body=json.dumps(conditions),
                                       headers={"Content-Type": "application/json"})
        assert status // 100 == 2, body

    def clear_conditions(self):
        self.set_conditions(latency_ms=0, bandwidth=0, requests_per_second=0, faults=[])

    # The end of it.

    def terminate(self):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_DEADLINE_S)
        for drain in self._drains:
            drain.join(STOP_DEADLINE_S)
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_DEADLINE_S)
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            deadline = time.monotonic() + STOP_DEADLINE_S
            while self.process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
        self.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
