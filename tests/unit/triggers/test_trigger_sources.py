"""Every source as it really answers, and as it fails."""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import socket
import ssl
import threading
import types
import urllib.error
import urllib.request

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import (
    impact_state,
    leases,
    runs,
    trigger_database,
    trigger_host,
    trigger_probes,
    trigger_prometheus,
    trigger_sources,
    trigger_state,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_integrity import Request
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.http_checks import Check
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_rules import parse
from ansible_collections.campaign.rollback.plugins.module_utils.verdicts import check, not_checked
from trigger_world import NOW

TOKEN = "Bearer hunter2hunter2"


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, headers, body = self.server.answers[self.path.partition("?")[0]]
        self.server.asked.append((self.path, dict(self.headers)))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(body)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def do_POST(self):
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.do_GET()

    def log_message(self, *_unused):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as found:
        found.answers, found.asked, found.bodies = {}, [], []
        found.url = f"http://127.0.0.1:{found.server_port}"
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def test_probes(server):
    server.answers = {
        "/": (200, {}, "welcome"),
        "/broken": (500, {}, ""),
        "/moved": (302, {"Location": "/"}, ""),
        "/later": (503, {"Retry-After": "30"}, ""),
        "/overloaded": (503, {}, ""),
        "/text": (200, {}, "something else"),
    }
    paths = [*server.answers, "/held"]
    server.answers["/held"] = (503, {"Retry-After": "30"}, "")
    checks = [Check(path, path, status=[503] if path == "/held" else [200]) for path in paths]
    checks[5].contains = ["wanted"]
    found = trigger_probes.sample({"web1": server.url}, checks, "hub", 5)
    words = {one.name: tuple(one.rows[0][2:5]) for one in found}
    assert words == {
        "/": (1, 0, 0),
        "/broken": (1, 1, 0),
        "/moved": (1, 1, 0),
        "/later": (0, 0, 0),
        "/overloaded": (1, 1, 0),
        "/text": (1, 1, 0),
        "/held": (1, 0, 0),
    }
    assert found[1].evidence == ["/broken on web1 from hub: status 500, wanted 200"]
    assert {headers["User-Agent"] for _path, headers in server.asked} == {trigger_probes.AGENT}


def test_nobody_there_is_a_failure_of_the_service():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        (found,) = trigger_probes.sample({"web1": address}, [Check("home", "/")], "hub", 5)
    assert tuple(found.rows[0][2:5]) == (1, 1, 0)
    assert "ConnectionRefused" in found.evidence[0]


@pytest.mark.parametrize(
    "error", [OSError(101, "Network is unreachable"), socket.gaierror(socket.EAI_AGAIN, "Temporary failure")]
)
def test_a_vantage_that_cannot_send_says_nothing_about_the_service(monkeypatch, error):
    def refuse(*_unused, **_named):
        raise error

    monkeypatch.setattr(socket, "create_connection", refuse)
    (found,) = trigger_probes.sample({"web1": "http://192.0.2.1"}, [Check("home", "/")], "hub", 5)
    assert tuple(found.rows[0][2:5]) == (0, 0, 1)


def test_only_what_reads_is_sent_with_its_secret(server):
    server.answers = {"/a": (200, {}, ""), "/b": (200, {}, "")}
    checks = [
        {"name": "a", "path": "/a", "token": True},
        {"name": "b", "path": "/b", "method": "POST"},
        {"name": "c", "path": "/c", "rollback_only": True},
    ]
    source = {"urls": {"web1": server.url}, "checks": checks, "vantage": "hub"}
    secrets = {"probes": {"Authorization": TOKEN}}
    found = trigger_sources.sample({"probes": source}, parse([]), "hub", None, secrets)
    assert [path for path, _headers in server.asked] == ["/a"]
    assert server.asked[0][1]["Authorization"] == TOKEN
    assert TOKEN not in repr(found)


def root_with(tmp_path, **files):
    for name, text in {"proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 50 kB\nMemFree: 1 kB\n", **files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(tmp_path)


def values(series):
    return {(one.measure, one.name): one.rows[0][5] for one in series if one.rows}


def test_memory_is_what_is_available_and_what_a_limit_leaves(tmp_path):
    unit = "sys/fs/cgroup/system.slice/fpm.service"
    files = {
        "proc/pressure/memory": "some avg10=0.00 avg60=12.50 avg300=0.00 total=1\nfull avg60=1\n",
        f"{unit}/memory.max": "1000\n",
        f"{unit}/memory.current": "900\n",
        f"{unit}/memory.stat": "anon 1\ninactive_file 400\n",
        "sys/fs/cgroup/free.slice/memory.max": "max\n",
        "sys/fs/cgroup/free.slice/memory.current": "900\n",
        "sys/fs/cgroup/free.slice/memory.stat": "inactive_file 400\n",
    }
    root = root_with(tmp_path, **files)
    groups = ["system.slice/fpm.service", "free.slice", "gone.slice"]
    found = values(trigger_host.memory("web1", groups, root))
    assert found == {("used_share", ""): 0.95, ("used_share", groups[0]): 0.5, ("pressure", ""): 0.125}


def test_a_kernel_without_pressure_says_so(tmp_path):
    found = trigger_host.memory("web1", root=root_with(tmp_path))
    assert ("pressure", "") not in values(found)
    assert "pressure" in found[-1].note


def test_services():
    blocks = ["NRestarts=4\nLoadState=loaded\nActiveState=active\nMainPID=3\nId=a.service"]
    blocks.append("LoadState=loaded\nActiveState=failed\nId=b.timer")
    found = trigger_host.systemd(lambda _argv: (0, "\n\n".join(blocks), ""), "web1", ["a.service", "b.timer"])
    assert [(one.measure, one.name, one.rows[0][3], one.rows[0][5]) for one in found] == [
        ("inactive", "a.service", 0, 0),
        ("restarts", "a.service", 0, 4),
        ("inactive", "b.timer", 1, 0),
    ]
    with pytest.raises(RollbackError, match="systemd"):
        trigger_host.systemd(lambda _argv: (1, "", "Failed to connect to bus"), "web1", ["a.service"])


def test_pm2_is_told_without_its_environment():
    entry = {"name": "wa", "pid": 5, "pm2_env": {"status": "errored", "restart_time": 9, "SECRET": TOKEN}}
    found = trigger_host.pm2_process(lambda _argv: (0, json.dumps([entry]), ""), "wa1", "wa", "/home/wa/.pm2", "wa")
    assert [(one.measure, one.rows[0][3], one.rows[0][5]) for one in found] == [("inactive", 1, 0), ("restarts", 0, 9)]
    assert TOKEN not in repr(found)


class Server:
    """A database that answers what it is told to."""

    def __init__(self, failing=None):
        self._failing = failing

    def __enter__(self):
        if self._failing:
            raise RollbackError("No connection to the database") from ConnectionError(self._failing)
        return self

    def __exit__(self, *_unused):
        pass

    def rows(self, sql):
        return [("x", "50" if "max_connections" in sql else "40")]


CHECKS = [
    check("tables that cannot be read", 0, 0),
    check("a refers to b", 3, 0),
    not_checked("error log: corruption", "older lines were not read"),
    check("error log: server crash", 1, 0, "lines 3"),
    check("error log: crash recovery", 1, 0, "lines 4"),
]


def test_database(monkeypatch):
    monkeypatch.setattr(trigger_database, "run_checks", lambda *_unused: {"checks": CHECKS})
    found = {one.measure: one for one in trigger_database.sample(Server, "data1", "blazz", Request())}
    assert tuple(found["reachable"].rows[0][2:4]) == (1, 0)
    assert found["connections_share"].rows[0][5] == 0.8
    # A restart of the server alone is no damage.
    assert tuple(found["integrity"].rows[0][2:5]) == (2, 1, 1)
    assert found["integrity"].evidence[0] == "data1: a refers to b: failed"


@pytest.mark.parametrize("code", [2002, 2003, 1040])
def test_a_database_that_does_not_answer_is_one_look(code):
    (found,) = trigger_database.sample(lambda: Server(code), "data1", "blazz", Request())
    assert (found.measure, tuple(found.rows[0][2:4])) == ("reachable", (1, 1))


def test_a_database_that_refuses_the_account_is_not_down():
    with pytest.raises(RollbackError):
        trigger_database.sample(lambda: Server(1045), "data1", "blazz", Request())


def matrix(*series):
    results = [{"metric": {"host": host}, "values": points} for host, points in series]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": results}})


def test_prometheus(server):
    points = [[NOW - 20, "1.5"], [NOW - 10, "NaN"], [NOW, "2.5"]]
    server.answers["/api/v1/query_range"] = (200, {}, matrix(("web1", points), ("web2", points[:1])))
    found = trigger_prometheus.sample(server.url + "/", "up == 0", NOW, 600, 10, {"Authorization": TOKEN}, 5)
    assert [(one.host, [row[5] for row in one.rows], [row[0] for row in one.rows]) for one in found] == [
        ("host=web1", [1.5, 2.5], [20, 0]),
        ("host=web2", [1.5], [20]),
    ]
    assert "query=up+%3D%3D+0" in server.bodies[0]
    assert server.asked[0][1]["Authorization"] == TOKEN


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (400, json.dumps({"error": "parse error: no such function"}), "no such function"),
        (502, "<html>", "status 502"),
        (200, "<html>", "no range"),
        (200, "{}", "no range"),
    ],
)
def test_a_prometheus_that_answers_no_values_is_told(server, status, body, wanted):
    server.answers["/api/v1/query_range"] = (status, {}, body)
    rules = parse([{"name": "own", "source": "prometheus", "measure": "value", "query": "up", "below": 1}])
    (found,) = trigger_sources.sample({"prometheus": {"url": server.url}}, rules, "controller", None, {})
    assert wanted in found.problem


def test_one_source_that_cannot_be_read_hides_no_other(tmp_path):
    sources = {"access_log": {"path": str(tmp_path / "gone.log")}, "probes": {"checks": "?"}, "memory": {}}
    found = trigger_sources.sample(sources, parse([]), "web1", None, {})
    assert {one.source: bool(one.problem) for one in found} == {"access_log": True, "probes": True, "memory": False}


def test_a_source_that_no_rule_asks_for_is_left_alone(tmp_path):
    assert (
        trigger_sources.sample({"laravel_log": {"paths": [str(tmp_path / "gone")]}}, parse([]), "web1", None, {}) == []
    )


def test_memory_lasts_and_check_mode_leaves_it(state_dir):
    with trigger_state.Memory(state_dir) as memory:
        memory.data["samples"] = {"a": [[1, 2]]}
    with trigger_state.Memory(state_dir, keep=False) as memory:
        memory.data["samples"] = {}
    with trigger_state.Memory(state_dir) as memory:
        assert memory.data == {"samples": {"a": [[1, 2]]}}
    path = pathlib.Path(state_dir) / "triggers.json"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("{")
    with pytest.raises(RollbackError, match="remembered"), trigger_state.Memory(state_dir):
        pass


def ended(state_dir, run_id, finished, kind="rollback"):
    runs.write(state_dir, {"id": run_id, "kind": kind, "state": "success", "finished": finished})


def test_a_rollback_holds_triggers_back(state_dir):
    ended(state_dir, "20261122T070000Z", "20261122T071000Z")
    settled = impact_state.seconds_of("20261122T071000Z")
    cooling = trigger_state.hold(state_dir, settled + 599, 600)
    assert (cooling.not_before, "cool-down" in cooling.reason) == (settled, True)
    over = trigger_state.hold(state_dir, settled + 600, 600)
    assert (over.not_before, over.reason) == (settled, "")
    ended(state_dir, "20261122T080000Z", "20261122T081000Z", "recovery")
    assert trigger_state.hold(state_dir, settled + 4000, 600) == over


@pytest.mark.parametrize(("purpose", "holds"), [("deployment", True), ("rollback", True), ("capture", False)])
def test_who_changes_the_system_holds_triggers_back(state_dir, monkeypatch, purpose, holds):
    lease = leases.acquire(state_dir, "deploy-7", "ci", purpose, 60, {})
    now = lease["acquired_at"]
    assert bool(trigger_state.hold(state_dir, now + 1, 600).reason) == holds
    # One that nobody gave back ends by itself, and what came before its end counts no more.
    expired = trigger_state.hold(state_dir, now + 61, 600)
    assert (expired.not_before, expired.reason) == (lease["expires_at"] if holds else 0, "")
    leases.release(state_dir, lease["fencing"])
    released = trigger_state.hold(state_dir, now + 61, 600)
    assert abs(released.not_before - now) < 30 if holds else released.not_before == 0, released
    assert released.reason == ""


def test_a_capture_hides_the_end_of_no_deployment(state_dir):
    lease = leases.acquire(state_dir, "deploy-7", "ci", "deployment", 60, {})
    leases.release(state_dir, lease["fencing"])
    now = lease["acquired_at"]
    ended = trigger_state.hold(state_dir, now + 30, 600).not_before
    assert abs(ended - now) < 30
    leases.release(state_dir, leases.acquire(state_dir, "capture-8", "ci", "capture", 60, {})["fencing"])
    assert trigger_state.hold(state_dir, now + 30, 600).not_before == ended


def test_a_certificate_that_is_not_trusted_here_says_nothing_about_users(monkeypatch):
    def refuse(*_unused, **_more):
        raise urllib.error.URLError(ssl.SSLCertVerificationError())

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", refuse)
    assert trigger_probes.ask("https://web1", Check("home", "/"), 5)[0] == trigger_probes.UNSURE


def test_modules(run_module, tmp_path, state_dir, monkeypatch):
    """From one host's look to the verdict, through what Ansible makes of both."""
    monkeypatch.setattr(
        trigger_host.impact_host,
        "memory",
        lambda _root: {"used_share": 0.97, "available_bytes": 1, "total_bytes": 100, "limit": "host"},
    )
    clock = types.SimpleNamespace(time=lambda: NOW)
    monkeypatch.setattr("ansible_collections.campaign.rollback.plugins.modules.trigger_check.time", clock)
    rules = [{"name": "memory", "for_s": 0}, {"name": "error_rate", "missing": "ok"}]
    sources = {"memory": {}, "access_log": {"path": str(tmp_path / "access.log")}}
    measured = run_module("trigger_sample", {"sources": sources, "host": "web1", "rules": rules})
    asked = {"series": measured["series"], "rules": rules, "state_dir": state_dir, "silent": {"web2": ["memory"]}}
    found = run_module("trigger_check", asked, check=True)
    assert not pathlib.Path(state_dir).exists()
    found = run_module("trigger_check", asked)
    assert (found["fired"], found["level"], found["changed"]) == (["memory"], "partial", False)
    named = {rule["name"]: rule for rule in found["rules"]}
    assert named["memory"]["notes"] == ["web2: it does not answer"]
    assert "no log" in named["error_rate"]["why"]
    assert 'rollback_trigger_value{trigger="memory"} 0.97' in found["metrics"]
    assert (pathlib.Path(state_dir) / "triggers.json").exists()
    run_module("trigger_check", {**asked, "rules": [{"name": "x"}]}, fails=True)


def test_the_error_log_counts_since_a_run_acted_on_the_host(state_dir, monkeypatch):
    asked = []
    monkeypatch.setattr(
        trigger_database, "sample", lambda _connect, _host, _schema, request: asked.append(request) or []
    )
    monkeypatch.setattr(trigger_sources, "time", types.SimpleNamespace(time=lambda: NOW))

    def since():
        trigger_sources.sample({"database": {"state_dir": state_dir, "log_s": 3600}}, parse([]), "data1", None, {})
        return asked[-1].since

    assert since() == NOW - 3600
    for run, at in (("20261122T070000Z", NOW - 900), ("20261122T060000Z", NOW - 5000)):
        journal = pathlib.Path(state_dir) / "runs" / run / "journal.jsonl"
        journal.parent.mkdir(parents=True)
        journal.touch()
        os.utime(journal, (at, at))
    assert since() == NOW - 900
