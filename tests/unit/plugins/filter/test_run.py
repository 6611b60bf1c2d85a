"""Filters that look at all hosts of a run at once; ``hostvars`` is a plain dict here."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.filter import run
from hypothesis import given
from hypothesis import strategies as st

FILTERS = run.FilterModule().filters()
HOSTS = ["web1", "web2", "data1"]


def everywhere(**facts):
    return {host: dict(facts) for host in HOSTS}


def test_filters_are_offered_by_their_own_names():
    assert {name: function.__name__ for name, function in FILTERS.items()} == {name: name for name in FILTERS}


def test_components_of_a_host_follow_its_groups_in_order():
    groups_of = {"database": ["database"], "application": ["web", "whatsapp"], "gate": ["web"]}
    components = ["database", "application", "gate"]
    assert run.run_components_of(components, groups_of, ["web", "all"]) == ["application", "gate"]
    assert run.run_components_of(components, groups_of, ["hub"]) == []


@pytest.fixture
def captured():
    hosts = everywhere(run_host_components=["application", "env_restore"])
    for host in HOSTS:
        hosts[host].update(application_captured={"commit": "1a2b"}, env_restore_captured={"/srv/.env": host})
    return hosts


def test_a_manifest_holds_one_application_and_every_environment(captured):
    manifest = run.run_manifest(HOSTS, captured, ["application", "env_restore"])
    assert manifest == {
        "application": {"commit": "1a2b"},
        "env_restore": {host: {"/srv/.env": host} for host in HOSTS},
        "problems": [],
    }


def test_a_manifest_says_what_is_missing(captured):
    del captured["web2"]["env_restore_captured"]
    manifest = run.run_manifest(HOSTS, captured, ["application", "env_restore"])
    assert manifest["problems"] == ["env_restore of web2 was not captured"]


def test_hosts_that_differ_are_no_restore_point(captured):
    captured["web2"]["application_captured"] = {"commit": "9f8e"}
    manifest = run.run_manifest(HOSTS, captured, ["application"])
    assert manifest["problems"] == ["application: the hosts differ in commit, 1a2b, 9f8e"]


def test_a_host_counts_only_for_its_components(captured):
    captured["data1"] = {"run_host_components": ["database"]}
    manifest = run.run_manifest(HOSTS, captured, ["application", "env_restore"])
    assert manifest["problems"] == []
    assert list(manifest["env_restore"]) == ["web1", "web2"]


def test_a_plan_has_a_row_for_every_component_and_host_even_without_an_answer():
    hosts = everywhere(run_host_components=["application"])
    hosts["web1"]["application_assessment"] = {"can": True, "how": "switch link"}
    hosts["data1"]["run_host_components"] = ["database"]
    hosts["data1"]["database_assessment"] = {"can": False, "reason": "no room"}
    rows = run.run_plan(HOSTS, hosts, ["database", "application"])
    assert [(row["component"], row["host"], row["can"]) for row in rows] == [
        ("database", "data1", False),
        ("application", "web1", True),
        ("application", "web2", False),
    ]
    assert all(row["can"] or row["reason"] for row in rows)


def test_refusals_name_every_reason_and_a_failed_host_once():
    rows = [
        {"component": "database", "host": "data1", "can": False, "reason": "no room"},
        {"component": "application", "host": "web1", "can": True, "reason": ""},
        {"component": "application", "host": "web2", "can": False, "reason": "no answer"},
    ]
    failures = [{"host": "web2", "phase": "assess", "task": "connect", "error": "the host does not answer"}]
    assert run.run_refusals(rows, failures) == [
        "web2: the host does not answer (connect)",
        "database on data1: no room",
    ]
    assert run.run_refusals(rows[1:2], []) == []


def test_an_undo_plan_has_a_row_for_every_change_in_place():
    hosts = everywhere()
    hosts["web1"]["run_journal"] = {"to_undo": [{"component": "application", "name": "/srv/current", "state": "done"}]}
    rows = run.run_undo_plan(HOSTS, hosts)
    assert [(row["component"], row["host"], row["what"], row["state"], row["can"]) for row in rows] == [
        ("application", "web1", "/srv/current", "done", True)
    ]


def test_a_table_is_aligned_text():
    rows = [{"host": "web1", "how": "switch\n  link"}, {"host": "data1", "extra": 1}]
    assert run.run_table(rows, ["host", "how"]) == ["host   how", "web1   switch link", "data1"]


CELLS = st.text(max_size=8) | st.integers() | st.none() | st.booleans()


@given(st.lists(st.dictionaries(st.sampled_from("abc"), CELLS), max_size=5))
def test_a_table_has_a_line_a_row_whatever_is_in_it(rows):
    lines = run.run_table(rows, ["a", "b", "c"])
    assert len(lines) == len(rows) + 1
    assert all(len(line.splitlines()) <= 1 for line in lines)


def test_failures_are_what_was_recorded_and_who_is_not_there():
    hosts = everywhere(run_phase="switch")
    hosts["web1"]["run_failure"] = {"phase": "stage", "task": "Check out", "error": "no room"}
    hosts["data1"]["run_phase"] = "stage"
    found = run.run_failures(HOSTS, hosts, "switch")
    assert found[0] == {"host": "web1", "phase": "stage", "task": "Check out", "error": "no room"}
    assert [(failure["host"], failure["phase"]) for failure in found] == [("web1", "stage"), ("data1", "switch")]
    assert all(failure["error"] and failure["task"] for failure in found)
    assert run.run_failures(["web2"], hosts, "switch") == []


def test_a_host_that_never_entered_any_phase_has_failed():
    assert [failure["host"] for failure in run.run_failures(HOSTS, everywhere(), "assess")] == HOSTS


def test_a_host_with_code_and_no_gate_is_switched_before_users_are_held_back():
    groups_of = {"application": ["web", "wa"], "services": ["web", "wa", "data"], "database": ["data"], "gate": ["web"]}
    components = ["database", "application", "services", "gate"]

    def groups(*names):
        return run.run_groups_of(components, groups_of, names)

    assert groups("wa") == ["rollback_application", "rollback_services", "rollback_early"]
    assert "rollback_late_services" in groups("data")
    assert "rollback_early" not in groups("data")
    assert "rollback_late_application" in groups("web", "wa")
    assert "rollback_early" not in groups("web", "wa")
    assert "rollback_early" not in run.run_groups_of(components, groups_of, ["wa"], has_queue=True)
    in_front = {**groups_of, "gate": ["balancer"]}
    assert "rollback_early" not in run.run_groups_of(components, in_front, ["web"])


def test_checks_of_pages_database_and_processes_become_one_table():
    http = {"checks": [{"name": "home", "target": "web1", "passed": True, "detail": "", "seconds": 0.5}]}
    database = {
        "checks": [{"name": "no orphans", "passed": False, "detail": "3 rows"}],
        "threads_connected": 4,
        "processes": [{"command": "Sleep", "state": "", "count": 3}],
    }
    processes = {"processes": {"nginx": {"count": 0, "rss_bytes": 2097152, "cpu_s": 1.25}}}
    hostvars = {
        "localhost": {"validation_outside": http},
        "data1": {"database_checked": database},
        "web1": {"validation_found_processes": processes},
    }
    rows = run.run_checks(["data1", "web1"], hostvars)
    assert [(row["check"], row["where"], row["result"]) for row in rows] == [
        ("home", "web1", "passed"),
        ("no orphans", "data1", "FAILED"),
        ("process list", "data1", "passed"),
        ("nginx", "web1", "FAILED"),
    ]
    assert "4 connections: 3 Sleep" in rows[2]["detail"]
    assert "2 MB" in rows[3]["detail"]
