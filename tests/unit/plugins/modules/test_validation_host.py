"""validation_host for real: logs, processes and a Redis server that is a script."""

from __future__ import annotations

import json
import os
import time

import pytest

CANARY = "canary-7f3a"
REDIS = """#!/bin/sh
echo 3; echo "$(cat {state})"
"""


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Options for a sound host; files are in ``tmp_path``."""
    now = time.time()
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now - 2))
    line = f'192.0.2.7 - - [{stamp}] "GET /api/campaigns/7?q={CANARY} HTTP/1.1" 200 10 "-" "a" rt=0.020 urt="0.019"\n'
    (tmp_path / "access.log").write_text(line * 25)
    (tmp_path / "laravel.log").write_text("")
    (tmp_path / "oldest").write_text("a")
    redis = tmp_path / "redis-cli"
    redis.write_text(REDIS.format(state=tmp_path / "oldest"))
    redis.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with open("/proc/self/comm", encoding="utf-8") as stream:
        command = stream.read().strip()
    return {
        "processes": [command],
        "limits": {"memory_share": 1, "disk_share": 1, "load": 1000},
        "since": now - 60,
        "access_log": str(tmp_path / "access.log"),
        "logs": [str(tmp_path / "laravel.log")],
        "queue": {"keys": ["queues:default"], "wait_s": 0},
    }


def verdicts(result):
    return {check["name"]: check["verdict"] for check in result["checks"]}


def test_every_part_has_its_verdict_and_what_was_measured_is_kept(run_module, host, tmp_path):
    (tmp_path / "redis-cli").write_text("#!/bin/sh\necho 0; echo -\n")
    result = run_module("validation_host", host)
    assert set(verdicts(result).values()) == {"passed"}, result["checks"]
    assert {"no new 5xx", "no new errors in the log", "queue moves", "disk of /", *host["processes"]} <= set(
        verdicts(result)
    )
    assert result["measured"]["routes"] == {"/api/campaigns/{id}": {"p50": 0.02, "p95": 0.02, "samples": 25}}
    assert result["measured"]["resources"][f"memory of {host['processes'][0]} in bytes"] > 0
    assert os.getpid() in result["processes"][host["processes"][0]]["pids"]
    assert result["checks_failed"] == 0
    assert CANARY not in json.dumps(result)


def test_a_queue_whose_oldest_job_stays_fails(run_module, host):
    result = run_module("validation_host", host)
    assert [name for name, verdict in verdicts(result).items() if verdict == "failed"] == ["queue moves"]
    assert result["checks_failed"] == 1


def test_a_part_that_cannot_be_read_fails_and_hides_no_other(run_module, host, tmp_path):
    (tmp_path / "redis-cli").write_text("#!/bin/sh\nexit 1\n")
    result = run_module("validation_host", {**host, "access_log": str(tmp_path / "none"), "processes": ["no such"]})
    found = verdicts(result)
    assert {name for name, verdict in found.items() if verdict == "failed"} == {"no such", "access log", "queue"}
    assert found["no new errors in the log"] == "passed"


@pytest.mark.parametrize(
    ("then", "verdict"),
    [
        ({"p50": 0.02, "p95": 0.02, "samples": 500}, "passed"),
        ({"p50": 0.0001, "p95": 0.02, "samples": 500}, "passed"),
        ({"p50": 0.02, "p95": 0.02, "samples": 5}, "not checked"),
    ],
)
def test_times_are_compared_with_the_baseline(run_module, host, then, verdict):
    given = {**host, "baseline": {"routes": {"/api/campaigns/{id}": then}}}
    assert verdicts(run_module("validation_host", given))["time of /api/campaigns/{id}"] == verdict


def test_what_got_slower_than_is_tolerated_fails(run_module, host):
    then = {"p50": 0.001, "p95": 0.001, "samples": 500}
    given = {**host, "baseline": {"routes": {"/api/campaigns/{id}": then}}, "tolerance": {"floor_s": 0.005}}
    result = run_module("validation_host", given)
    (check,) = [check for check in result["checks"] if check["name"].startswith("time of")]
    assert (check["verdict"], check["evidence"]) == ("failed", "25 samples now, 500 then")
    assert check["look"].startswith("tail")


def test_what_uses_far_more_than_it_did_fails(run_module, host):
    name = f"memory of {host['processes'][0]} in bytes"
    result = run_module("validation_host", {**host, "baseline": {"resources": {name: 1 << 40, "gone": 1}}})
    assert verdicts(result)["use of gone"] == "not checked"
    assert verdicts(result)[f"use of {name}"] == "passed"


def test_only_what_is_asked_for_is_looked_at(run_module):
    result = run_module("validation_host", {"since": time.time(), "limits": {"memory_share": 1, "disk_share": 1}})
    assert {name.split(" ")[0] for name in verdicts(result)} == {"memory", "load", "disk"}


def test_an_option_that_says_nothing_clear_is_refused(run_module):
    assert "validation_limits" in run_module("validation_host", {"since": 0, "limits": {"x": 1}}, fails=True)["msg"]
