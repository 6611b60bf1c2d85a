"""Texts that are written on the controller: only for their owner, and only where they differ."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.action.private_files import write


@pytest.fixture
def root(tmp_path):
    return tmp_path / "artifacts" / "run"


def test_files_are_private_and_left_alone_if_they_are_right(root, untouched):
    files = {"report.md": "# ü\n", "report.json": "{}"}
    with untouched():
        assert write(str(root), files, True) == sorted(files, reverse=True)
    assert write(str(root), files, False) == list(files)
    assert {path.name: path.read_text("utf-8") for path in root.iterdir()} == files
    assert {path.stat().st_mode & 0o777 for path in root.iterdir()} == {0o600}
    assert root.stat().st_mode & 0o777 == 0o700
    with untouched():
        assert write(str(root), files, False) == []
    assert write(str(root), {**files, "report.json": "[]"}, False) == ["report.json"]


def test_nothing_is_written_outside(root):
    write(str(root), {"../other": "x"}, False)
    assert [path.name for path in root.iterdir()] == ["other"]
