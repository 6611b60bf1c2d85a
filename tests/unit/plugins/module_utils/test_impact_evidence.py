"""A number is evidence only beyond its limit, and a failing check speaks against the part that it stands for."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.impact_evidence import (
    Limits,
    of_builds,
    of_checks,
    of_hosts,
)

LIMITS = Limits()
TRAFFIC = {"requests": 100, "errors": 0, "error_share": 0.0, "average_s": 0.1, "p95_s": 0.2}
PARTS = {"home": "frontend", "detailed": "sessions", "send": "whatsapp", "list": "hybrid", "edit": "editor"}


def kinds(said, baseline_s=0.0, stores=()):
    return [one.kind for one in of_hosts({"host": said}, stores, LIMITS, baseline_s)]


@pytest.mark.parametrize(
    ("traffic", "baseline_s", "wanted"),
    [
        ({}, 0, []),
        ({"error_share": 0.05, "errors": 5}, 0, []),
        ({"error_share": 0.06, "errors": 6}, 0, ["requests_failed"]),
        ({"error_share": 1.0, "errors": 19, "requests": 19}, 0, []),
        ({"error_share": None, "requests": 0, "average_s": None, "p95_s": None}, 0, []),
        ({"average_s": 10.0, "p95_s": 1.0}, 0, []),
        ({"average_s": 10.1, "p95_s": 1.0}, 0, ["requests_slow"]),
        ({"p95_s": 2.0}, 0, []),
        ({"p95_s": 2.1}, 0, ["requests_slow"]),
        ({"p95_s": 2.1}, 0.5, []),
        ({"p95_s": 2.6}, 0.5, ["requests_slow"]),
        ({"average_s": 99.0, "p95_s": 99.0}, 0, ["requests_slow"]),
        # A log without times says nothing about time.
        ({"average_s": None, "p95_s": None, "error_share": 0.5, "errors": 50}, 0, ["requests_failed"]),
    ],
)
def test_traffic(traffic, baseline_s, wanted):
    assert kinds({"traffic": {**TRAFFIC, **traffic}}, baseline_s) == wanted


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"memory": {"used_share": 0.9, "limit": "host"}}, []),
        ({"memory": {"used_share": 0.91, "limit": "host"}}, ["memory_short"]),
        ({"services": {"serving": [], "working": [], "memory_exits": 2}}, []),
        ({"services": {"serving": [], "working": [], "memory_exits": 3}}, ["memory_short"]),
        ({"services": {"serving": [], "working": [], "memory_exits": None}}, []),
        ({"log": {"matching": {"memory": 3, "campaigns": 900}}}, ["memory_short"]),
        ({"services": {"serving": ["nginx.service"], "working": ["worker.service"]}}, ["server_down", "worker_down"]),
        ({"sessions": {"sales": "connected", "support": "failed"}}, ["session_failed"]),
        ({"sessions": {"sales": "needs_link", "support": "missing"}}, ["session_failed", "session_failed"]),
        ({"problems": {"sessions": "no answer", "database": "no connection"}}, ["store_silent", "session_failed"]),
        ({"problems": {"queue": "no answer", "log": "no zone"}}, ["not_read", "store_silent"]),
        ({"code": {"build_problem": "another"}}, ["build_wrong"]),
        (
            {"database": {"damage": {"failed": [{"name": "orphans", "found": "3", "expected": "0"}]}}},
            ["rows_damaged"],
        ),
        ({"database": {"damage": {"failed": [], "not_checked": 2}}}, []),
    ],
)
def test_states(said, wanted):
    assert kinds({"at": 1, **said}) == wanted


def test_a_host_that_does_not_answer():
    assert kinds({}) == ["host_silent"]
    assert kinds({}, stores=["host"]) == ["store_silent"]
    down = {"at": 1, "services": {"serving": ["redis.service"], "working": []}}
    assert kinds(down, stores=["host"]) == ["store_silent"]


def test_the_builds_of_one_commit_are_the_same_everywhere():
    def live(commit, digest):
        return {"code": {"commit": commit, "build_digest": digest}}

    assert of_builds({"a": live("c", "1"), "b": live("c", "1"), "wa": live("c", "")}) == []
    # Another commit is not a wrong build.
    assert of_builds({"a": live("c", "1"), "b": live("d", "2")}) == []
    assert [one.where for one in of_builds({"b": live("c", "1"), "a": live("c", "2")})] == ["a, b"]


def check(name, status=500, passed=False, target="web1"):
    return {"name": name, "target": target, "passed": passed, "status": status, "detail": f"status {status}"}


SOUND = check("health", 200, True)


@pytest.mark.parametrize(
    ("checks", "sessions_failed", "wanted"),
    [
        ([SOUND], False, []),
        ([check("health")], False, [("check_failed", "web1")]),
        ([SOUND, check("home", 404)], False, [("front_end_failed", "web1")]),
        # It came, but not as it should be.
        ([SOUND, check("home", 200)], False, [("front_end_failed", "web1")]),
        # An error of the application fails pages too.
        ([SOUND, check("home", 500)], False, [("check_failed", "web1")]),
        ([check("health"), check("home", 404)], False, [("check_failed", "web1"), ("check_failed", "web1")]),
        ([check("health", 200, True, "web2"), check("home", 404)], False, [("check_failed", "web1")]),
        ([SOUND, check("detailed", 503)], True, []),
        ([SOUND, check("detailed", 503)], False, [("check_failed", "web1")]),
        ([SOUND, check("send", 404)], False, [("function_failed", "whatsapp")]),
        # Most of the functions fail: then it is the application.
        ([SOUND, check("send"), check("list")], False, [("check_failed", "web1"), ("check_failed", "web1")]),
    ],
)
def test_checks(checks, sessions_failed, wanted):
    found = of_checks(checks, PARTS, sessions_failed)
    assert [(one.kind, one.where) for one in found] == wanted


def test_the_only_function_can_fail_alone():
    found = of_checks([SOUND, check("send")], {"send": "whatsapp"}, False)
    assert [one.kind for one in found] == ["function_failed"]
