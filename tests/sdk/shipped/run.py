"""Runs the integration suite that Alibaba ships in the sdist of `oss2`, against `ossfs sandbox`.

The suite itself is not in this repository: it is taken from the pinned sdist and unpacked below `--work`. What of it
does not apply is named, with the reason, in `excluded.txt`. OSSFS_BIN names the binary; the rest of the command line
goes to pytest.
"""

import argparse
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DOWNLOAD_DEADLINE_S = 300


def pinned_version():
    requirements = (HERE.parent / "requirements.txt").read_text()
    return re.search(r"^oss2==(\S+)$", requirements, re.MULTILINE)[1]


def suite(work):
    """The folder of the unpacked sdist; fetched once."""
    name = f"oss2-{pinned_version()}"
    folder = work / name
    if not (folder / "tests").is_dir():
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:",
                        "--dest", work, name.replace("-", "==")], check=True, timeout=DOWNLOAD_DEADLINE_S)
        with tarfile.open(work / f"{name}.tar.gz") as archive:
            archive.extractall(work, filter="data")
    return folder


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--work", type=Path, required=True, help="where the sdist is unpacked and tests write")
    arguments.add_argument("--auth", choices=["v1", "v4"], default="v4", help="signature version")
    known, rest = arguments.parse_known_args()
    work = known.work.resolve()
    scratch = work / f"scratch-{known.auth}"
    scratch.mkdir(parents=True, exist_ok=True)
    folder = suite(work)

    sys.path[:0] = [str(HERE), str(HERE.parent)]
    import pytest
    from sandbox_process import KEY_ID, REGION, SECRET, Sandbox

    with Sandbox() as sandbox:
        os.environ.update({
            "OSS_TEST_ACCESS_KEY_ID": KEY_ID, "OSS_TEST_ACCESS_KEY_SECRET": SECRET, "OSS_TEST_REGION": REGION,
            # The suite writes OSS's own host names into some tests: all of them lead to the sandbox (see adapted.py).
            "OSS_TEST_ENDPOINT": f"http://oss-{REGION}.aliyuncs.com", "OSSFS_SANDBOX_PORT": str(sandbox.port),
            "OSS_TEST_BUCKET": "oss2-suite", "OSS_TEST_AUTH_VERSION": known.auth, "no_proxy": "*",
        })
        os.chdir(scratch)
        return pytest.main(["-c", str(HERE / "pytest.ini"), "--rootdir", str(folder), "-p", "adapted", "-p", "excluded",
                            f"--junitxml={scratch / 'junit.xml'}", *rest, str(folder / "tests")])


if __name__ == "__main__":
    sys.exit(main())
