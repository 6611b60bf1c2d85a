"""Processes and room of a host, and that one check that cannot be made hides no other."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import host_checks
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


def test_a_process_that_does_not_run_fails():
    found = {
        "nginx": {"count": 3, "rss_bytes": 3 << 20, "cpu_s": 1.25},
        "php-fpm": {"count": 0, "rss_bytes": 0, "cpu_s": 0},
    }
    checks = host_checks.processes(found)
    assert [(check["name"], check["verdict"]) for check in checks] == [("nginx", "passed"), ("php-fpm", "failed")]
    assert checks[0]["detail"] == "3 processes, 3 MB, 1.2 s of processor time"


@pytest.mark.parametrize(
    ("limits", "failed"),
    [
        ({}, []),
        ({"memory_share": 0}, ["memory of the host"]),
        ({"disk_share": 0}, ["disk of /"]),
        ({"load": -1}, ["load per processor"]),
    ],
)
def test_room(limits, failed, tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 900 kB\n")
    generous = {"disk_share": 1.0, "load": 1000.0, **limits}
    checks = host_checks.room(host_checks.Limits.parse(generous), ["/"], str(tmp_path))
    assert [check["name"] for check in checks if not check["passed"]] == failed
    assert all(check["look"] for check in checks)


@pytest.mark.parametrize("declared", [{"memory": 1}, {"memory_share": "much"}, {"new_5xx": None}])
def test_limits_that_say_nothing_clear_are_refused(declared):
    with pytest.raises(RollbackError, match="validation_limits"):
        host_checks.Limits.parse(declared)


def test_what_cannot_be_made_has_failed_and_the_rest_is_told():
    def broken():
        raise RollbackError("There is no log", where="/var/log/x")

    def missing():
        raise FileNotFoundError("/nonexistent")

    parts = {
        "log": broken,
        "disk": missing,
        "fine": lambda: [host_checks.statement("fine", "passed", "")],
    }
    checks = host_checks.make_all(parts, map)
    assert [(check["name"], check["verdict"]) for check in checks] == [
        ("log", "failed"),
        ("disk", "failed"),
        ("fine", "passed"),
    ]
    assert "/var/log/x" in checks[0]["detail"]
