"""What a test of the application prints is kept for root alone, and the verdict says where."""

from __future__ import annotations

import pytest
from ansible.module_utils.basic import AnsibleModule


@pytest.mark.parametrize(
    ("status", "detail"),
    [(0, ""), (3, "exit status 3, see {log}"), (124, "not finished after 600 s, see {log}")],
)
def test_output_is_kept(run_module, tmp_path, monkeypatch, status, detail):
    monkeypatch.setattr(AnsibleModule, "run_command", lambda *_given, **_options: (status, "printed\n", "said\udcff\n"))
    test = {"name": "Feature: all", "argv": ["test"], "group": "web", "chdir": str(tmp_path)}
    given = {"commands": [test], "groups": ["web"], "own_groups": ["web"], "directory": str(tmp_path / "run" / "tests")}
    (found,) = run_module("validation_commands", given)["checks"]
    log = tmp_path / "run" / "tests" / "Feature_all.log"
    assert (found["passed"], found["detail"]) == (not status, detail.format(log=log))
    assert log.read_bytes() == b"printed\nsaid\xff\n"
    assert log.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("given", [{}, {"chdir": "elsewhere"}])
def test_a_test_runs_in_the_live_code_unless_it_says_where(run_module, tmp_path, monkeypatch, given):
    ran = []
    monkeypatch.setattr(AnsibleModule, "run_command", lambda *_a, **options: ran.append(options["cwd"]) or (0, "", ""))
    for name in ("live", "elsewhere"):
        (tmp_path / name).mkdir()
    test = {"name": "a", "argv": ["b"], "group": "web", **{key: str(tmp_path / name) for key, name in given.items()}}
    where = {"path": str(tmp_path / "live"), "directory": str(tmp_path / "tests")}
    run_module("validation_commands", {"commands": [test], "groups": ["web"], "own_groups": ["web"], **where})
    assert ran == [str(tmp_path / given.get("chdir", "live"))]
