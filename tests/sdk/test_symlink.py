"""PutSymlink, GetSymlink, and reading through a link."""

from urllib.parse import unquote

import pytest

from adapters import Refused


def test_a_link_names_its_target(oss):
    oss.put("target", b"x")
    assert oss.put_symlink("link", "target").status == 200
    assert oss.symlink("link").headers["x-oss-symlink-target"] == "target"


@pytest.mark.parametrize("target", ["dir/a b", "a+b", "a%2Fb", "中文/文件"])
def test_odd_targets(oss, target):
    oss.put(target, b"through")
    oss.put_symlink("link", target)
    assert oss.get("link").body == b"through"
    assert unquote(oss.symlink("link").headers["x-oss-symlink-target"]) == target


def test_a_read_goes_through(oss):
    put = oss.put("target", b"0123456789", headers={"Content-Type": "text/x-target"})
    oss.put_symlink("link", "target", headers={"x-oss-meta-colour": "blue"})
    got = oss.get("link")
    assert got.body == b"0123456789"
    assert got.etag == put.etag
    assert oss.get("link", (2, 4)).body == b"234"
    head = oss.head("link")
    assert head.headers["Content-Length"] == "10"
    assert head.etag == put.etag
    assert head.headers["x-oss-object-type"] == "Symlink"
    assert head.headers["x-oss-meta-colour"] == "blue"


def test_object_meta_describes_the_link_itself(oss):
    put = oss.put("target", b"0123456789")
    oss.put_symlink("link", "target")
    meta = oss.meta("link")
    assert meta.headers["Content-Length"] == "0"
    assert meta.etag != put.etag


def test_a_link_follows_its_target(oss):
    oss.put("target", b"old")
    oss.put_symlink("link", "target")
    oss.put("target", b"newer")
    assert oss.get("link").body == b"newer"


def test_existence_is_not_checked_when_linking(oss, refused):
    oss.put_symlink("link", "nowhere")
    assert oss.symlink("link").headers["x-oss-symlink-target"] == "nowhere"
    for read in (oss.get, oss.head):
        with refused(404, "SymlinkTargetNotExist"):
            read("link")


def test_a_link_to_a_link_is_not_read(oss):
    oss.put("target", b"x")
    oss.put_symlink("link", "target")
    oss.put_symlink("link-to-link", "link")
    with pytest.raises(Refused) as error:
        oss.get("link-to-link")
    assert error.value.status == 400


def test_the_link_of_what_is_no_link(oss, refused):
    oss.put("key", b"x")
    with refused(400, "NotSymlink"):
        oss.symlink("key")
    with refused(404, "NoSuchKey"):
        oss.symlink("missing")


def test_links_in_a_listing(oss):
    oss.put("target", b"0123456789")
    oss.put_symlink("link", "target")
    assert {entry.key: entry.kind for entry in oss.list().entries} == {"link": "Symlink", "target": "Normal"}
    assert {entry.key: entry.size for entry in oss.list_v2().entries} == {"link": 0, "target": 10}


def test_forbid_overwrite(oss, refused):
    oss.put("key", b"mine")
    with refused(409, "FileAlreadyExists"):
        oss.put_symlink("key", "target", headers={"x-oss-forbid-overwrite": "true"})
    oss.put_symlink("key", "target")
    assert oss.symlink("key").headers["x-oss-symlink-target"] == "target"


def test_deleting_a_link_leaves_the_target(oss):
    oss.put("target", b"x")
    oss.put_symlink("link", "target")
    oss.delete("link")
    assert oss.list().keys == ["target"]


def test_a_target_is_needed(oss, refused):
    with refused(400, "InvalidArgument"):
        oss.raw("PUT", "link", query={"symlink": ""})
