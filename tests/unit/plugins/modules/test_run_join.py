"""run_join reports everything that stands against a rollback at once, and touches nothing."""

from __future__ import annotations

import os
import tempfile
import time
import types

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import preflight

HUGE = 1 << 62


@pytest.fixture
def room(monkeypatch):
    """Pretend a file system; returns a function that says what is free on it."""

    def pretend(free_bytes=10_000, free_inodes=5000, inodes=10_000, flag=0):
        system = types.SimpleNamespace(
            f_bavail=free_bytes // 100, f_frsize=100, f_favail=free_inodes, f_files=inodes, f_flag=flag
        )
        monkeypatch.setattr(os, "statvfs", lambda _path: system)

    return pretend


@pytest.fixture
def closed():
    """A directory that the caller may enter and not write."""
    me = os.geteuid()
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o555)
        if me == 0:
            os.seteuid(65534)
        try:
            yield directory
        finally:
            os.seteuid(me)


def test_all_problems_are_told_at_once_and_nothing_is_touched(run_module, untouched, tmp_path):
    (tmp_path / "broken_by_us.py").write_text("raise RuntimeError('half installed')")
    arguments = {
        "paths": [{"path": str(tmp_path / "a" / "b"), "free_bytes": HUGE, "free_inodes": HUGE}],
        "binaries": ["sh", "no-such-program"],
        "python_modules": ["json", "no_such_module"],
        "controller_time": time.time() - 3600,
    }
    for check in (True, False):
        with untouched():
            result = run_module("run_join", arguments, check=check)
        assert result["changed"] is False
        assert len(result["problems"]) == 5
        for part in ("room", "inodes", "no no-such-program", "no_such_module: ModuleNotFoundError", "+3600"):
            assert any(part in problem for problem in result["problems"]), part


def test_a_good_host_has_no_problem(run_module, tmp_path):
    arguments = {
        "paths": [{"path": str(tmp_path), "free_bytes": 1, "free_inodes": 0}],
        "binaries": ["sh"],
        "python_modules": ["json"],
        "controller_time": time.time(),
        "max_skew_s": 3600,
    }
    result = run_module("run_join", arguments)
    assert result["problems"] == []
    assert result["paths"][str(tmp_path)]["free_bytes"] > 0
    nothing = run_module("run_join", {})
    assert (nothing["problems"], nothing["paths"], nothing["clock_offset_s"]) == ([], {}, None)


def test_a_missing_path_is_judged_by_its_nearest_parent(run_module, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "dangling").symlink_to("elsewhere/not/yet")
    for name in ("elsewhere/x/y", "link/x", "dangling", "dangling/x"):
        path = str(tmp_path / name)
        result = run_module("run_join", {"paths": [{"path": path, "free_bytes": 1, "free_inodes": 0}]})
        assert result["problems"] == []
        assert result["paths"][path]["existing"] == str(tmp_path / "elsewhere")


def test_paths_of_one_file_system_share_its_room(room, tmp_path):
    room(free_bytes=10_000, free_inodes=1999)
    needs = [preflight.Need(str(tmp_path / name), 5000) for name in ("stage", "attic")]
    _free, problems = preflight.look_at_paths(needs)
    assert len(problems) == 1
    assert "1999 free, 2000 needed" in problems[0]
    room(free_bytes=9900, free_inodes=2000)
    _free, problems = preflight.look_at_paths(needs)
    assert len(problems) == 1
    assert "9900 bytes free" in problems[0]
    assert "10000 bytes needed" in problems[0]
    assert str(tmp_path / "stage") in problems[0]
    assert str(tmp_path / "attic") in problems[0]


def test_file_systems_are_judged_apart(tmp_path):
    needs = [preflight.Need(str(tmp_path / str(number)), 600) for number in range(2)]
    places = [preflight.Place(need, str(tmp_path), number, 1000, 5000, False) for number, need in enumerate(needs)]
    assert preflight.room_problems(places) == []


def test_a_file_system_without_inodes_of_its_own_has_enough(room, tmp_path):
    room(free_inodes=0, inodes=0)
    free, problems = preflight.look_at_paths([preflight.Need(str(tmp_path), 1)])
    assert problems == []
    assert free[str(tmp_path)]["free_inodes"] is None


def test_what_may_not_be_written_is_told_with_its_mode(closed):
    for path in (closed, f"{closed}/new/deep"):
        _free, problems = preflight.look_at_paths([preflight.Need(path, 1, 0)])
        assert len(problems) == 1
        assert "not writable" in problems[0]
        assert "mode 0555" in problems[0]
        assert preflight.look_at_paths([preflight.Need(path, 1, 0, writable=False)])[1] == []


def test_a_read_only_file_system_is_told(room, tmp_path):
    room(flag=os.ST_RDONLY)
    _free, problems = preflight.look_at_paths([preflight.Need(str(tmp_path), 1, 0)])
    assert len(problems) == 1
    assert "read-only" in problems[0]


def test_a_file_in_the_way_of_a_directory_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    _free, problems = preflight.look_at_paths([preflight.Need(str(tmp_path / "file" / "below"), 1, 0)])
    assert len(problems) == 1
    assert "something else" in problems[0]
    assert preflight.look_at_paths([preflight.Need(str(tmp_path / "file"), 1, 0)])[1] == []


def test_a_program_has_to_be_executable_and_is_looked_for_among_roots(tmp_path, monkeypatch):
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\n")
    monkeypatch.setattr(preflight, "EXTRA_PATH", str(tmp_path))
    assert len(preflight.binary_problems(["tool", "tool"])) == 1
    program.chmod(0o755)
    assert preflight.binary_problems(["tool"]) == []
    monkeypatch.undo()
    assert preflight.EXTRA_PATH.split(":") == ["/usr/sbin", "/sbin", "/usr/local/sbin"]


def test_a_module_that_is_there_and_broken_is_told(tmp_path, monkeypatch):
    (tmp_path / "broken_by_us.py").write_text("raise RuntimeError('half installed')")
    monkeypatch.syspath_prepend(str(tmp_path))
    problems = preflight.python_problems(["broken_by_us"])
    assert len(problems) == 1
    assert "half installed" in problems[0]
    assert os.listdir(tmp_path) == ["broken_by_us.py"], "looking left something behind"


@pytest.mark.parametrize(
    ("offset", "wrong"), [(30, False), (-30, False), (30.5, True), (-31, True), (float("nan"), True)]
)
def test_a_clock_may_be_off_by_so_much(offset, wrong):
    assert bool(preflight.clock_problems(offset, 30)) is wrong
    assert wrong is False or f"{offset:+.1f} s" in preflight.clock_problems(offset, 30)[0]
