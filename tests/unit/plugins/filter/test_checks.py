"""What the checks of a whole run are made into: one table, one sentence, and the way to look further."""

from __future__ import annotations

import json

import pytest
from ansible_collections.campaign.rollback.plugins.filter import checks
from ansible_collections.campaign.rollback.plugins.module_utils.verdicts import statement

HOSTS = ["web1", "web2", "data1"]


def test_filters_are_offered_by_their_own_names():
    filters = checks.FilterModule().filters()
    assert {name: function.__name__ for name, function in filters.items()} == {name: name for name in filters}


UNITS = {
    "live": "/srv/releases/old",
    "services": {
        "worker.service": {"active": True, "pid": 7, "directory": "/srv/releases/old"},
        "nginx.service": {"active": True, "pid": 8, "directory": "/"},
    },
    "pm2": {
        "status": "online",
        "pid": 9,
        "directory": "/srv/releases/old/service",
        "declared_directory": "/srv/releases/old/service",
        "wrong_environment": [],
    },
}


EVIDENCE = {"proofs": [{"unit": "nginx.service", "seconds": 0.1}], "started": {"worker.service": 7}}


def test_every_service_says_what_is_proven_of_it():
    rows = checks.run_service_checks(UNITS, ["worker.service"], {"name": "wa"}, EVIDENCE)
    assert [(row["name"], row["passed"], row["detail"]) for row in rows] == [
        ("worker.service", True, "process 7, started by this run, in /srv/releases/old"),
        ("nginx.service", True, "taken over after 0.1 s"),
        ("pm2 wa", True, "process 9, /srv/releases/old/service"),
    ]
    assert (
        checks.run_service_checks({**UNITS, "pm2": {}}, [], {}, {"proofs": [], "started": {}})[0]["detail"] == "active"
    )


@pytest.mark.parametrize(
    ("place", "changes", "detail"),
    [
        ("worker.service", {"active": False, "pid": 0}, "worker.service is not active"),
        ("worker.service", {"directory": "/srv/releases/new"}, "worker.service runs other code"),
        ("pm2", {"status": "errored"}, "pm2 wa is errored"),
        (
            "pm2",
            {"wrong_environment": ["ENV_FILE"]},
            "pm2 wa has another environment than its ecosystem file says: ENV_FILE",
        ),
        (
            "pm2",
            {"directory": "/srv/releases/old"},
            "pm2 wa does not run where its ecosystem file says, /srv/releases/old/service",
        ),
        (
            "pm2",
            {"directory": "/srv/releases/new/service", "declared_directory": "/srv/releases/new/service"},
            "pm2 wa runs in /srv/releases/new/service",
        ),
        (
            "pm2",
            {"directory": "/srv/releases/older/service", "declared_directory": "/srv/releases/older/service"},
            "pm2 wa runs in /srv/releases/older/service",
        ),
    ],
)
def test_a_service_that_is_not_as_it_should_be_is_told(place, changes, detail):
    found = json.loads(json.dumps(UNITS))
    (found["services"] if place != "pm2" else found)[place].update(changes)
    rows = checks.run_service_checks(found, ["worker.service"], {"name": "wa"}, EVIDENCE)
    assert [row["detail"] for row in rows if not row["passed"]] == [detail]


def test_services_and_tests_of_the_application_are_checks_of_the_run():
    hosts = {"localhost": {}, **{host: {} for host in HOSTS}}
    hosts["web1"]["services_checked"] = [{"name": "worker", "passed": True, "detail": "process 7"}]
    hosts["web2"]["validation_tested"] = {
        "checks": [
            {"name": "feature", "passed": False, "detail": "exit status 1", "seconds": 1.0},
            {"name": "unit", "passed": True, "detail": "", "seconds": 1.234},
        ]
    }
    assert [
        tuple(row[key] for key in ("check", "where", "result", "detail")) for row in checks.run_checks(HOSTS, hosts)
    ] == [
        ("worker", "web1", "passed", "process 7"),
        ("feature", "web2", "FAILED", "exit status 1"),
        ("unit", "web2", "passed", "1.23 s"),
    ]


def test_how_sessions_stand_is_among_the_checks():
    accounts = {
        "sales": {"stated": "silent", "action": "restore", "why": "creds.json", "word": ""},
        "support": {"stated": "connected", "action": "none", "why": "", "word": "open"},
        "office": {"stated": "logged out", "action": "link", "why": "the service says 401", "word": "401"},
    }
    cloud = {"meta": {"state": "broken", "reasons": ["token: expired"], "notes": ["RED"]}}
    hosts = {
        "localhost": {},
        "wa1": {"whatsapp_session_checked": accounts, "whatsapp_session_cloud_checked": cloud},
    }
    rows = checks.run_checks(["wa1"], hosts)
    assert [(row["check"], row["where"], row["result"]) for row in rows] == [
        ("session sales", "wa1", "FAILED"),
        ("session support", "wa1", "passed"),
        ("session office", "wa1", "link phone"),
        ("cloud account meta", "wa1", "FAILED"),
    ]


def test_checks_of_pages_database_and_processes_become_one_table():
    http = {"checks": [{"name": "home", "target": "web1", "passed": True, "detail": "", "seconds": 0.5}]}
    database = {
        "checks": [
            {"name": "no orphans", "passed": False, "verdict": "failed", "detail": "3 rows"},
            {"name": "check of logs", "passed": False, "verdict": "not checked", "detail": "stopped after 60 s"},
        ],
        "threads_connected": 4,
        "processes": [{"command": "Sleep", "state": "", "count": 3}],
    }
    told = statement("nginx", "failed", "0 processes, 2 MB", look="ps -C nginx")
    processes = {"checks": [told]}
    hostvars = {
        "localhost": {"validation_outside": http},
        "data1": {"database_checked": database},
        "web1": {"validation_host_found": processes},
    }
    rows = checks.run_checks(["data1", "web1"], hostvars)
    assert [(row["check"], row["where"], row["result"]) for row in rows] == [
        ("home", "web1", "passed"),
        ("no orphans", "data1", "FAILED"),
        ("check of logs", "data1", "not checked"),
        ("process list", "data1", "passed"),
        ("nginx", "web1", "FAILED"),
    ]
    assert "4 connections: 3 Sleep" in rows[3]["detail"]
    assert "2 MB" in rows[4]["detail"]


FAILING = {"check": "home", "where": "web1", "result": "FAILED", "detail": "status 500", "evidence": "e", "look": "l"}
FINE = {**FAILING, "check": "health", "result": "passed", "detail": ""}
UNKNOWN = {**FAILING, "check": "time of /", "result": "not checked", "detail": "too few samples"}


def test_a_failed_check_is_told_with_its_evidence_and_the_way_to_look_further():
    assert checks.run_check_lines([FINE, UNKNOWN, FAILING]) == [
        "FAILED home, web1: status 500",
        "    evidence: e",
        "    look further: l",
    ]
    assert checks.run_check_lines([{**FAILING, "evidence": "", "look": ""}]) == ["FAILED home, web1: status 500"]


def test_what_was_not_checked_is_counted_by_itself():
    assert checks.run_check_totals([FINE, UNKNOWN, FAILING, FINE]) == "2 passed, 1 FAILED, 1 not checked"
    assert checks.run_check_totals([]) == "0 passed"


def test_what_is_run_on_a_host_says_on_which():
    hosts = {"localhost": {}, "web1": {"validation_host_found": {"checks": [statement("x", "failed", "", look="df")]}}}
    assert [row["look"] for row in checks.run_checks(["web1"], hosts)] == ["on web1: df"]


def test_a_component_that_is_not_sound_is_a_row():
    hosts = {"localhost": {}, "web1": {"run_verify_failed": {"application": "another commit"}}}
    (row,) = checks.run_checks(["web1"], hosts)
    assert (row["check"], row["result"], row["detail"]) == ("component application", "FAILED", "another commit")


def test_what_a_browser_did_not_look_at_is_never_passed():
    browsed = {"checks": [{**statement("forms", "skipped", "no browser"), "target": "web1"}]}
    (row,) = checks.run_checks([], {"localhost": {"validation_browsed": browsed}})
    assert (row["result"], row["passed"]) == ("skipped", False)


def soak(rounds, limit=2, missing=()):
    """How a soak stands after these rounds, each a list of the checks that failed, a minute apart."""
    found = {}
    for number, failed in enumerate(rounds):
        rows = [{**FAILING, "check": name} for name in failed] + [FINE]
        last = number == len(rounds) - 1
        found = checks.soak_counted(found, rows, list(missing) if last else [], 60.0 * number, limit)
    return found


@pytest.mark.parametrize(
    ("rounds", "regress"),
    [
        ([[], [], []], []),
        # Once is noise, if it is over; twice in turn is not.
        ([["a"], [], ["a"], []], []),
        ([["a"], ["b"], ["a"]], []),
        ([[], ["a"], ["a"]], ["a on web1: status 500"]),
        ([["a", "b"], ["b"]], ["b on web1: status 500"]),
        # The same name twice in one round is one failure.
        ([["a", "a"]], []),
    ],
)
def test_a_soak_ends_when_something_got_worse_and_stays_so(rounds, regress):
    found = soak(rounds)
    assert (found["regress"], found["over"]) == (regress, bool(regress))
    assert (found["rounds"], found["seconds"]) == (len(rounds), 60 * (len(rounds) - 1))


def test_a_soak_says_how_it_goes():
    assert soak([["a"]])["told"] == "Round 1: 1 passed, 1 FAILED. Failing: a on web1, 1 of 2 rounds"


def test_a_host_that_is_gone_ends_a_soak_at_once():
    assert soak([[], []], missing=["web2"])["regress"] == ["web2 does not answer"]


def test_a_soak_is_a_row_of_the_table():
    (row,) = checks.run_checks([], {"localhost": {"validation_soaked": soak([[], []])}})
    assert (row["check"], row["result"], row["detail"]) == ("stays sound", "passed", "2 rounds in 60 s")
    (row,) = checks.run_checks([], {"localhost": {"validation_soaked": soak([["a"], ["a"]])}})
    assert (row["result"], row["detail"]) == ("FAILED", "a on web1: status 500")


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, ""),
        ({"validation_limits": {"new_5xx": 3}, "validation_tolerance": {"factor": 3}}, ""),
        ({"validation_limits": {"new_4xx": 3}}, "new_4xx"),
        ({"validation_tolerance": {"factor": 0}}, "factor"),
    ],
)
def test_what_hosts_declare_wrongly_is_found_before_anything_is_touched(facts, told):
    problem = checks.host_check_problem([{}, facts])
    assert told in problem
    assert bool(problem) == bool(told)


def test_a_failed_assertion_shows_what_was_found_and_its_query():
    checked = {"name": "all sent", "verdict": "failed", "passed": False, "found": "3", "expected": "0", "detail": ""}
    facts = {
        "database_schema": "blazz",
        "database_assertions": [{"name": "all sent", "query": "SELECT COUNT(*) FROM logs", "expect": "0"}],
        "database_checked": {"checks": [checked, {**checked, "name": "table campaigns"}]},
    }
    rows = checks.run_checks(["data1"], {"localhost": {}, "data1": facts})
    assert rows[0]["evidence"] == "found 3, expected 0"
    assert rows[0]["look"] == 'on data1: mysql blazz -e "SELECT COUNT(*) FROM logs"'
    assert "PROCESSLIST" in rows[1]["look"]
