"""The server's files as seen from this host: where they may be placed, and how they are copied."""

from __future__ import annotations

import errno
import os

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database_files import data_directory, place
from ansible_collections.campaign.rollback.plugins.module_utils.dump import Progress
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


class Server:
    """A server that says where its files are."""

    def __init__(self, path):
        self.path = path

    def value(self, sql):
        assert sql == "SELECT @@datadir"
        return f"{self.path}/"


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data" / "mysql").mkdir(parents=True)
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("uid", "allowed", "reason"),
    [(None, True, None), (0, True, None), (1, True, "uid 1 cannot give files"), (1, False, "uid 1 may not write")],
)
def test_files_are_placed_by_root_or_the_server_s_user(data, monkeypatch, uid, allowed, reason):
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(data).st_uid if uid is None else uid)
    monkeypatch.setattr(os, "access", lambda *_unused, **_more: allowed)
    if os.stat(data).st_uid == 1:
        pytest.skip("the tests run as the user that stands for another one")
    if reason is None:
        assert data_directory(Server(data)) == f"{data}/"
        return
    with pytest.raises(RollbackError, match=rf"{reason}.*strategy=logical"):
        data_directory(Server(data))


def test_a_server_elsewhere_is_told_from_one_here(tmp_path):
    with pytest.raises(RollbackError, match=r"not on this host.*strategy=logical"):
        data_directory(Server(tmp_path / "gone"))
    # The same path may be there without being the server's.
    with pytest.raises(RollbackError, match="not on this host"):
        data_directory(Server(tmp_path))


@pytest.mark.parametrize("shared", [True, False], ids=["in the kernel", "by hand"])
def test_a_copy_is_a_file_of_its_own_with_the_owner_of_the_others(tmp_path, monkeypatch, shared):
    source, target = tmp_path / "a.ibd", tmp_path / "b.ibd"
    source.write_bytes(os.urandom(20_000_000))
    model = tmp_path / "model"
    model.write_bytes(b"")
    model.chmod(0o640)
    if not shared:

        def refused(*_unused):
            raise OSError(errno.EXDEV, "another file system")

        monkeypatch.setattr(os, "copy_file_range", refused)
    passed = []
    progress = Progress(None, 0)
    monkeypatch.setattr(progress, "add", passed.append)
    place(str(source), str(target), os.stat(model), progress)
    assert target.read_bytes() == source.read_bytes()
    assert (target.stat().st_mode & 0o777, target.stat().st_uid) == (0o640, model.stat().st_uid)
    # The server rewrites what it imports.
    assert target.stat().st_ino != source.stat().st_ino
    assert source.stat().st_nlink == 1
    assert sum(passed) == 20_000_000
    # In small pieces, so that neither memory nor a limited bandwidth is overdrawn.
    assert max(passed) <= 8 * 1024 * 1024
    with pytest.raises(RollbackError, match="cannot be placed"):
        place(str(source), str(target), os.stat(model), progress)


def test_a_disk_that_fills_up_half_way_is_an_error(tmp_path, monkeypatch):
    source, real, calls = tmp_path / "a.ibd", os.copy_file_range, []
    source.write_bytes(bytes(20_000_000))

    def filling(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(os, "copy_file_range", filling)
    with pytest.raises(RollbackError, match="No space left on device"):
        place(str(source), str(tmp_path / "b.ibd"), os.stat(source), Progress(None, 0))
