"""Durable writes: whole or not at all, on disk before the rename, private from the first byte."""

from __future__ import annotations

import os

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import files


def test_a_write_is_fsynced_renamed_and_made_durable_in_this_order(tmp_path, durability):
    path = str(tmp_path / "file")
    files.write_atomically(path, b"new", 0o640)
    (fsync, temporary), (rename, source, destination), last = durability
    assert (fsync, rename, last) == ("fsync", "rename", ("fsync", str(tmp_path)))
    assert (source, destination) == (temporary, path)
    assert os.stat(path).st_mode & 0o7777 == 0o640


@pytest.mark.parametrize("call", ["fsync", "rename", "fchmod", "fchown"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_arguments):
        raise OSError("it went wrong")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="went wrong"):
        files.write_atomically(str(path), b"new", owner=(os.getuid(), os.getgid()))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_write_is_never_readable_by_others_before_it_is_complete(tmp_path, monkeypatch):
    modes = []
    fchmod = os.fchmod

    def recorded(descriptor, mode):
        modes.append(os.fstat(descriptor).st_mode & 0o777)
        fchmod(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", recorded)
    files.write_atomically(str(tmp_path / "file"), b"secret", 0o644)
    assert modes == [0o600]


def test_directories_are_private_and_durable(tmp_path, durability):
    files.make_private_directory(str(tmp_path / "a" / "b"))
    assert os.stat(tmp_path / "a").st_mode & 0o777 == 0o700
    assert os.stat(tmp_path / "a" / "b").st_mode & 0o777 == 0o700
    assert durability == [("fsync", str(tmp_path)), ("fsync", str(tmp_path / "a"))]


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "assets").mkdir(parents=True)
    (root / "manifest.json").write_text("{}")
    (root / "assets" / "app.js").write_text("1")
    (root / "link").symlink_to("assets")
    return root


def test_a_digest_depends_on_content_and_names_only(tree):
    before = files.tree_digest(str(tree))
    os.utime(tree / "manifest.json", (1, 1))
    os.chmod(tree / "manifest.json", 0o600)
    moved = tree.rename(tree.with_name("elsewhere"))
    assert files.tree_digest(str(moved)) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "assets" / "app.js").write_text("2"),
        lambda root: (root / "assets" / "app.js").rename(root / "app.js"),
        lambda root: (root / "more").write_text(""),
        lambda root: (root / "manifest.json").unlink(),
        lambda root: ((root / "link").unlink(), (root / "link").symlink_to("/elsewhere")),
        lambda root: (root / "link").unlink(),
    ],
    ids=["content", "name", "more", "less", "link to a directory", "link gone"],
)
def test_a_digest_sees_every_change(tree, change):
    before = files.tree_digest(str(tree))
    change(tree)
    assert files.tree_digest(str(tree)) != before
