"""Each switchable fault of release v2 is seen in numbers, and the smallest level that mends it is recommended."""

from __future__ import annotations

import concurrent.futures
import json
import pathlib
import subprocess
import sys
import time

import httpx
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "default" / "tests"))

from system import ROOT, System
from test_refusals import NAME, digests, on, touched

REQUESTS = 24


@pytest.fixture(scope="module")
def system():
    return System()


@pytest.fixture
def faults(system, tmp_path):
    """Switch faults on for web and WhatsApp hosts; they are off again afterwards."""

    def switch(web=None, whatsapp=None):
        given = tmp_path / "faults.json"
        given.write_text(json.dumps({"drill_faults": web or {}, "drill_whatsapp_faults": whatsapp or {}}))
        system.must("drill/faults.yml", {f"@{given}": ""})
        # The times in logs are whole seconds.
        since = int(time.time()) + 1
        system.wait_until("the next second", lambda: time.time() >= since)
        return since

    yield switch
    switch()


def visit(system):
    """The same number of requests to each web host, some at a time; returns their statuses."""
    with client_of(system) as client, concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        return list(
            pool.map(lambda url: client.get(f"{url}/api/campaigns").status_code, [*system.web.values()] * REQUESTS)
        )


def client_of(system):
    headers = {"Authorization": f"Bearer {system.secret('api_token')}", "Accept": "application/json"}
    return httpx.Client(headers=headers, timeout=30, trust_env=False)


def create(system, campaigns):
    """Make campaigns for a small group, and wait until their messages are sent."""
    choice = {
        "template_id": system.query("SELECT MIN(id) FROM templates")[0][0],
        "group_id": system.query("SELECT id FROM contact_groups WHERE name = 'Pilot'")[0][0],
    }
    urls = list(system.web.values())
    with client_of(system) as client:
        for number in range(campaigns):
            answer = client.post(
                f"{urls[number % len(urls)]}/api/campaigns", json={"name": f"assess {number}", **choice}
            )
            assert answer.status_code == 201, answer.text
    unsent = "SELECT 1 FROM campaign_logs WHERE status IN ('pending', 'sending') LIMIT 1"
    system.wait_until("everything queued is sent", lambda: not system.query(unsent))


def settled(system):
    """Digests of the hosts, once they stay the same: faults end workers, and systemd starts new ones."""
    seen = [digests()]

    def still():
        seen.append(digests())
        return seen[-1] == seen[-2]

    system.wait_until("the hosts settle", still)
    return seen[-1]


def assess(since, *arguments, status=0):
    """The assessment of what happened after ``since``, which must not touch anything; its JSON twin and its output."""
    argv = [
        "ansible-playbook",
        "-i",
        "inventories/drill",
        "playbooks/assess-rollback.yml",
        "-e",
        f"impact_since={since}",
    ]
    for argument in arguments:
        argv += ["-e", argument]
    before = settled(System())
    run = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == status, run.stdout
    assert touched(before) == {}
    found = json.loads((ROOT / "artifacts" / "assessment.json").read_text(encoding="utf-8"))
    action = found["recommendation"]["action"]
    print(f"{action}: {found['recommendation']['because']}", flush=True)
    assert f"RECOMMENDED: {action}" in run.stdout or action == "none"
    return found, run.stdout


def kinds(found):
    return {one["kind"] for one in found["evidence"]}


def able(found, *wanted):
    """The first of these levels that exists and can be done; levels of other parts of the project may not be there."""
    can = {level["name"] for level in found["levels"] if level["can"]}
    return next((level for level in wanted if level in can), "none")


def code(found):
    return able(found, "partial", "full")


def test_healthy(system, faults):
    since = faults()
    assert set(visit(system)) == {200}
    found, text = assess(since)
    assert found["recommendation"]["action"] == "none"
    assert "nothing is broken" in text
    assert all(check["passed"] and check["status"] and check["seconds"] > 0 for check in found["checks"])
    for host in ("web1", "web2"):
        traffic = found["hosts"][host]["traffic"]
        assert traffic["requests"] >= REQUESTS
        assert (traffic["errors"], traffic["complete"]) == (0, True)
        assert 0 < traffic["average_s"] <= traffic["p95_s"]
        live = found["hosts"][host]["code"]
        assert (live["version"], live["target"], live["build_problem"]) == ("v2", True, "")
        assert len(live["recent"]) == 2
    assert found["hosts"]["wa1"]["sessions"] == {"sales": "connected", "support": "connected"}
    own = found["hosts"]["data1"]
    assert set(own["queue"]) == {"queued", "reserved", "delayed", "set_aside"}
    database = own["database"]
    assert not any(figure["problem"] for figure in database["figures"])
    point = found["state"]["points"][0]
    assert point["known_good"]
    assert point["verified"]
    assert database["standby"]["point"] == point["id"] == found["target"]["id"]
    assert own["backups"][point["id"]]["problem"] == ""
    assert [name.split("_", 4)[-1] for name in found["newer_migrations"]] == ["add_hybrid_campaigns"]
    full = next(level for level in found["levels"] if level["name"] == "full")
    assert full["can"], full["refused"]
    assert full["seconds"] > 0
    assert {row["component"] for row in full["rows"]} == set(full["components"])


def test_requests_fail(system, faults):
    since = faults({"error_share": 0.5})
    statuses = visit(system)
    found, text = assess(since)
    assert "requests_failed" in kinds(found)
    assert found["recommendation"]["action"] == code(found)
    numbers = [found["hosts"][host]["traffic"] for host in ("web1", "web2")]
    assert sum(one["errors"] for one in numbers) == statuses.count(500)
    logged = [found["hosts"][host]["log"] for host in ("web1", "web2")]
    assert sum(one["errors"] for one in logged) >= statuses.count(500)
    assert all("RuntimeException" in one["classes"] for one in logged)
    assert "Fault switched on" not in text


def test_requests_are_slow(system, faults):
    # Also on a machine that has other things to do, as it had when the restore point measured how long requests take.
    since = faults({"slow_ms": 6000})
    visit(system)
    found, _text = assess(since)
    assert kinds(found) == {"requests_slow"}
    assert found["recommendation"]["action"] == code(found)
    assert found["hosts"]["web1"]["traffic"]["p95_s"] >= 6


def test_memory_grows(system, faults):
    since = faults({"memory_mb": 60})
    # Two of its twenty messages are too much for a worker, of which there are two.
    create(system, 4)
    found, _text = assess(since)
    assert kinds(found) == {"memory_short"}
    assert found["recommendation"]["action"] == code(found)
    ends = [found["hosts"][host]["services"]["memory_exits"] for host in ("web1", "web2")]
    assert max(ends) >= 3


def test_health_fails(system, faults):
    since = faults({"health": True, "error_share": 1})
    found, _text = assess(since)
    assert kinds(found) == {"check_failed"}
    assert found["recommendation"]["action"] == code(found)
    health = [check for check in found["checks"] if check["name"] == "health"]
    assert [(check["status"], check["passed"]) for check in health] == [(500, False)] * 2


def test_sessions_fail(system, faults):
    since = faults(whatsapp={"failed_sessions": ["sales"]})
    found, text = assess(since)
    assert kinds(found) == {"session_failed"}
    assert found["recommendation"]["action"] == "recover-whatsapp"
    assert found["hosts"]["wa1"]["sessions"] == {"sales": "failed", "support": "connected"}
    assert "account sales is failed" in text


def test_a_build_was_changed(system, faults):
    since = faults()
    on("web2", "echo >>/srv/campaign/current/public/build/manifest.json")
    try:
        found, _text = assess(since)
    finally:
        on("web2", "truncate --size=-1 /srv/campaign/current/public/build/manifest.json")
    assert kinds(found) == {"build_wrong"}
    assert found["recommendation"]["action"] == able(found, "frontend", "partial", "full")


# What it leaves in the tables stays, so this comes after the others.
def test_rows_are_damaged(system, faults):
    since = faults({"orphan_logs": True})
    create(system, 2)
    found, text = assess(since)
    assert kinds(found) == {"rows_damaged"}
    assert found["recommendation"]["action"] == "full"
    damage = found["hosts"]["data1"]["database"]["damage"]["failed"]
    orphans = system.query("SELECT COUNT(*) FROM campaign_logs WHERE campaign_id > 1000000000")[0][0]
    assert [one["found"] for one in damage] == [str(orphans)]
    at_risk = found["hosts"]["data1"]["database"]["rows_at_risk"]["tables"]
    assert at_risk["campaigns"] >= 2
    figures = {figure["name"]: figure["rows"] for figure in found["hosts"]["data1"]["database"]["figures"]}
    assert figures["failed in the last hour"][0]["messages"] >= orphans
    assert {row["type"] for row in figures["by type and status in the last hour"]} == {"standard"}
    assert "incident commander" in text


def test_hosts_that_are_down(system, faults):
    """The host that keeps state and data is one of them; of the rest there is still much to tell."""
    since = faults()
    for host in ("data1", "web2"):
        subprocess.run(["docker", "pause", f"{NAME}-{host}"], check=True, capture_output=True)
    try:
        argv = ["ansible-playbook", "-i", "inventories/drill", "playbooks/assess-rollback.yml"]
        argv += ["-e", f"impact_since={since}", "-e", "impact_check_s=3"]
        run = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    finally:
        for host in ("data1", "web2"):
            subprocess.run(["docker", "unpause", f"{NAME}-{host}"], check=True, capture_output=True)
    assert run.returncode == 4, run.stdout
    found = json.loads((ROOT / "artifacts" / "assessment.json").read_text(encoding="utf-8"))
    assert found["silent"] == ["data1", "web2"]
    assert found["recommendation"]["action"] == "none"
    assert found["hosts"]["web1"]["code"]["version"] == "v2"
    assert "bring the servers that keep the data back first" in run.stdout


def test_without_a_restore_point(system, faults):
    since = faults({"health": True, "error_share": 1})
    on("data1", "mv /var/lib/rollback/restore_points /var/lib/rollback/put-away")
    try:
        found, text = assess(since)
    finally:
        on("data1", "mv /var/lib/rollback/put-away /var/lib/rollback/restore_points")
    assert found["state"]["points"] == []
    assert found["recommendation"]["action"] == "none"
    assert "there is no restore point to go back to" in text
    assert found["hosts"]["data1"]["database"]["rows_at_risk"] is None
