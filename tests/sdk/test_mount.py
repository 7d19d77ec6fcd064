"""A mounted bucket: what the SDKs put is read as files, what is written as files the SDKs read."""

import os
import shutil
import stat
import subprocess

import pytest

from sandbox_process import KEY_ID, REGION, SECRET

MOUNT_DEADLINE_S = 60
PARENT_TIME_NS = 1_500_000_000_123_456_789


class Mount:
    """A bucket at a directory. `settle` unmounts, waits until the bucket has everything, and mounts again."""

    def __init__(self, url, bucket, folder):
        self.url, self.bucket = url, bucket
        self.path = folder / "mnt"
        self.path.mkdir()
        self.keys = folder / "passwd"
        self.keys.write_text(f"{bucket}:{KEY_ID}:{SECRET}\n")
        self.keys.chmod(0o600)
        self.binary = os.environ["OSSFS_BIN"]
        self.state = folder / "state"
        self.environment = {**os.environ, "STATE_DIRECTORY": str(self.state)}

    def mount(self, *options):
        self._run(self.bucket, self.path, f"-ourl={self.url}", f"-oregion={REGION}", f"-opasswd_file={self.keys}",
                  *options)

    def settle(self):
        self._run("umount", self.path)
        self.mount()

    def forget(self):
        """The same, and the next mount knows nothing but the bucket."""
        self._run("umount", self.path)
        shutil.rmtree(self.state)
        self.mount()

    def tree(self):
        """What `lstat` tells of everything, by paths."""
        found = sorted(self.path.rglob("*"))
        return {str(path.relative_to(self.path)): described(path.lstat()) for path in found}

    def close(self):
        try:
            self._run("umount", self.path)
        finally:
            # What a failed test left: nothing stays mounted.
            subprocess.run(["umount", "-l", self.path], stderr=subprocess.DEVNULL, timeout=MOUNT_DEADLINE_S, check=False)

    def _run(self, *arguments):
        done = subprocess.run([self.binary, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=MOUNT_DEADLINE_S, check=False,
                              env=self.environment)
        assert done.returncode == 0, done.stdout


def described(found):
    size = None if stat.S_ISDIR(found.st_mode) else found.st_size
    return oct(found.st_mode), found.st_uid, found.st_gid, found.st_mtime_ns, size, found.st_nlink


@pytest.fixture
def mount(oss, sandbox, tmp_path):
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or not shutil.which("fusermount3"):
        pytest.skip("needs /dev/fuse and fusermount3")
    mounted = Mount(sandbox.url, oss.bucket, tmp_path)
    mounted.mount()
    try:
        yield mounted
    finally:
        mounted.close()


NAMES = ["plain.txt", "with space", "per%20cent", "plus+", "目录/文件.html", "ファイル.json", "😀"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_put_is_read(oss, mount, name):
    oss.put(name, name.encode() * 1000)
    assert (mount.path / name).read_bytes() == name.encode() * 1000


def test_what_is_put_is_listed_with_sensible_modes(oss, mount):
    oss.put("file", b"12345")
    oss.put("marked/", b"")
    oss.put("implicit/deep/file", b"1")
    assert sorted(os.listdir(mount.path)) == ["file", "implicit", "marked"]
    file, directory = (mount.path / "file").stat(), (mount.path / "implicit").stat()
    assert (stat.S_IMODE(file.st_mode), file.st_size) == (0o640, 5)
    assert stat.S_IMODE(directory.st_mode) == 0o750 and stat.S_ISDIR(directory.st_mode)
    assert os.listdir(mount.path / "marked") == []


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_an_object(oss, mount, name):
    path = mount.path / name
    path.parent.mkdir(exist_ok=True)
    content = name.encode() * 1000
    path.write_bytes(content)
    got = oss.get(name)
    assert got.body == content
    assert got.headers["x-oss-object-type"] == "Normal"


def test_what_is_opened_for_appending_can_be_an_appendable_object(oss, mount):
    mount.close()
    mount.mount("-oappend=appendable")
    for line in [b"one\n", b"two\n"]:
        with (mount.path / "log").open("ab") as log:
            log.write(line)
    got = oss.get("log")
    assert got.body == b"one\ntwo\n"
    assert got.headers["x-oss-object-type"] == "Appendable"
    assert got.headers["x-oss-next-append-position"] == "8"


def test_metadata_are_those_of_ossfs_1(oss, mount):
    path = mount.path / "page.html"
    path.write_bytes(b"<p>")
    path.chmod(0o604)
    os.chown(path, 1234, 5678)
    os.utime(path, ns=(PARENT_TIME_NS, PARENT_TIME_NS))
    (mount.path / "directory").mkdir(mode=0o711)
    (mount.path / "link").symlink_to("page.html")
    mount.settle()
    headers = oss.head("page.html").headers
    assert headers["Content-Type"] == "text/html"
    assert headers["x-oss-meta-mode"] == str(0o100604)
    assert (headers["x-oss-meta-uid"], headers["x-oss-meta-gid"]) == ("1234", "5678")
    assert headers["x-oss-meta-mtime"] == "1500000000.123456789"
    headers = oss.head("directory/").headers
    assert headers["Content-Type"] == "application/x-directory"
    assert headers["x-oss-meta-mode"] == str(0o040711)
    assert oss.get("link").body == b"page.html"
    assert oss.head("link").headers["x-oss-meta-mode"] == str(0o120777)
    assert os.readlink(mount.path / "link") == "page.html"
    assert (mount.path / "page.html").stat().st_mtime_ns == PARENT_TIME_NS


def test_links_of_every_form_are_links(oss, mount):
    oss.put("dir/target", b"through")
    oss.put_symlink("native", "dir/target")
    oss.put("dir/body", b"target", headers={"x-oss-meta-mode": str(0o120777)})
    oss.put("header", b"", headers={"x-oss-meta-symlink-target": "header:10:dir/target"})
    for link in ("native", "dir/body", "header"):
        assert (mount.path / link).is_symlink(), link
        assert (mount.path / link).read_bytes() == b"through", link


def test_what_others_attached_survives(oss, mount):
    oss.put("file", b"1", headers={"Content-Type": "x/y", "Cache-Control": "no-store", "x-oss-meta-colour": "blue"})
    (mount.path / "file").chmod(0o600)
    with (mount.path / "file").open("ab") as file:
        file.write(b"2")
    os.rename(mount.path / "file", mount.path / "moved")
    mount.settle()
    got = oss.get("moved")
    assert got.body == b"12"
    assert (got.headers["Content-Type"], got.headers["Cache-Control"]) == ("x/y", "no-store")
    assert got.headers["x-oss-meta-colour"] == "blue"


def test_a_large_file_is_one_object(oss, mount):
    content = os.urandom(1 << 20) * 20
    with (mount.path / "large").open("wb") as file:
        file.write(content)
    assert oss.get("large").body == content
    with (mount.path / "large").open("r+b") as file:
        file.seek(7 << 20)
        file.write(b"changed")
    changed = content[:7 << 20] + b"changed" + content[(7 << 20) + 7:]
    assert oss.get("large").body == changed
    assert (mount.path / "large").read_bytes() == changed


def test_a_renamed_directory_has_only_the_new_keys(oss, mount):
    for number in range(30):
        oss.put(f"old/{number % 3}/{number}", b"x")
    os.rename(mount.path / "old", mount.path / "new")
    assert len([name for _, _, files in os.walk(mount.path / "new") for name in files]) == 30
    mount.settle()
    keys = set(oss.list_v2(max_keys=1000).keys)
    assert {f"new/{number % 3}/{number}" for number in range(30)} <= keys
    assert not any(key.startswith("old/") for key in keys)


def attributes(mode, uid=0, gid=0, mtime="1500000000"):
    """As ossfs 1.x writes them."""
    return {"x-oss-meta-mode": str(mode), "x-oss-meta-uid": str(uid), "x-oss-meta-gid": str(gid),
            "x-oss-meta-mtime": mtime}


# Keys of a bucket that ossfs 1.x wrote: body, headers, and what `lstat` is to say of the path (mode, uid, gid, seconds).
DIRECTORY = "application/x-directory"
OSSFS_1 = {
    "made/": (b"", {"Content-Type": DIRECTORY, **attributes(0o040751, 12, 34)}, ("made", 0o040751, 12, 34, 1500000000)),
    "made/setgid/": (b"", {"Content-Type": DIRECTORY, **attributes(0o042770)}, ("made/setgid", 0o042770, 0, 0, 1500000000)),
    "console/": (b"", {}, ("console", 0o040750, None, None, None)),
    "hadoop_$folder$": (b"", {}, ("hadoop", 0o040750, None, None, None)),
    "hadoop/part": (b"1", {}, ("hadoop/part", 0o100640, None, None, None)),
    "implied/deep/file": (b"2", {}, ("implied/deep", 0o040750, None, None, None)),
    "file": (b"text", attributes(0o100604, 1, 2, "1234567890"), ("file", 0o100604, 1, 2, 1234567890)),
    "made/program": (b"#!", attributes(0o104755, 5, 6), ("made/program", 0o104755, 5, 6, 1500000000)),
    "link": (b"made/program", attributes(0o120777, 7, 8), ("link", 0o120777, 7, 8, 1500000000)),
    "dangling": (b"no/where", attributes(0o120777), ("dangling", 0o120777, 0, 0, 1500000000)),
}


def test_a_bucket_that_ossfs_1_wrote(oss, mount):
    for key, (body, headers, _) in OSSFS_1.items():
        oss.put(key, body, headers=headers)
    wanted = {"implied", "implied/deep/file"} | {path for _, _, (path, *_) in OSSFS_1.values()}
    for _ in range(2):
        assert set(mount.tree()) == wanted
        for path, mode, uid, gid, mtime in (shown for _, _, shown in OSSFS_1.values()):
            found = (mount.path / path).lstat()
            assert oct(found.st_mode) == oct(mode), path
            assert uid is None or (found.st_uid, found.st_gid) == (uid, gid), path
            assert mtime is None or int(found.st_mtime) == mtime, path
        assert os.readlink(mount.path / "link") == "made/program"
        assert (mount.path / "link").read_bytes() == b"#!"
        assert not (mount.path / "dangling").exists()
        mount.forget()
    # And the reverse: what is changed here is as ossfs 1.x would have written it, what is not is untouched.
    os.rename(mount.path / "made", mount.path / "moved")
    os.rename(mount.path / "hadoop", mount.path / "hadoop2")
    (mount.path / "moved/program").chmod(0o644)
    mount.forget()
    shown = {path.replace("made", "moved", 1).replace("hadoop", "hadoop2", 1) for path in wanted}
    assert set(mount.tree()) == shown
    headers = oss.head("moved/").headers
    assert (headers["x-oss-meta-mode"], headers["x-oss-meta-uid"]) == (str(0o040751), "12")
    assert headers["Content-Type"] == DIRECTORY
    headers = oss.head("moved/program").headers
    assert (headers["x-oss-meta-mode"], headers["x-oss-meta-gid"]) == (str(0o100644), "6")
    assert oss.get("link").body == b"made/program"
    assert oss.get("hadoop2/part").body == b"1"
    keys = set(oss.list_v2(max_keys=1000).keys)
    assert not any(key.startswith(("made", "hadoop/", "hadoop_")) for key in keys), keys


def make_a_tree(root):
    for number in range(40):
        directory = root / f"d{number % 4}" / f"e{number % 3}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"f{number}").write_bytes(bytes([number]) * (number * number * 37))
    (root / "d0/large").write_bytes(os.urandom(3 << 20))
    with (root / "d0/large").open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"changed")
    with (root / "d1/sparse").open("wb") as file:
        file.truncate(500_000)
        file.seek(400_000)
        file.write(b"end")
    (root / "d1/e1/empty").touch()
    (root / "d2/link").symlink_to("../d1/e1")
    (root / "d3/e0").rename(root / "d2/moved")
    (root / "d1/e2").rename(root / "d1/e2 renamed")
    (root / "d0/e1/f16").chmod(0o4711)
    os.chown(root / "d2", 11, 22)
    os.utime(root / "d2/moved", ns=(PARENT_TIME_NS, PARENT_TIME_NS))
    (root / "d0/e0/f24").unlink()


def test_the_sdk_sees_what_the_mount_shows(oss, mount):
    make_a_tree(mount.path)
    before = {path: described for path, described in mount.tree().items() if not described[0].startswith("0o4")}
    contents = {path: (mount.path / path).read_bytes() for path, (mode, *_) in before.items() if mode.startswith("0o10")}
    mount.forget()
    assert {path: described for path, described in mount.tree().items() if path in before} == before
    keys = {key for key in oss.list_v2(max_keys=1000).keys if not key.endswith("/")}
    assert keys == set(before)
    for path, content in contents.items():
        assert oss.get(path).body == content, path
        assert (mount.path / path).read_bytes() == content, path
    directories = {path for path, (mode, *_) in mount.tree().items() if mode.startswith("0o4")}
    assert {"d2/moved", "d1/e2 renamed", "d3/e1"} <= directories and "d3/e0" not in directories
    assert oct((mount.path / "d2").stat().st_uid) == oct(11)
    assert (mount.path / "d2/moved").stat().st_mtime_ns == PARENT_TIME_NS
