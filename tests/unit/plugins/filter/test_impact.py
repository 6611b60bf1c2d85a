"""From what hosts say to what an operator reads: each fault of the drill, and systems of which little is left."""

from __future__ import annotations

import copy
import json
import pathlib

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.campaign.rollback.plugins.filter.impact import impact_assessment
from ansible_collections.campaign.rollback.plugins.filter.impact_text import impact_lines, impact_recommendation
from hypothesis import given
from hypothesis import strategies as st

ROLE = pathlib.Path(__file__).parents[4] / "roles" / "impact"
DEFAULTS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
RULES = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))["__impact_rules"]
V1, V2 = "1" * 40, "2" * 40
POINT = "20261121T174500Z"
GROUPS = {
    "application": ["web", "whatsapp"],
    "frontend": ["web"],
    "database": ["database"],
    "whatsapp_session": ["whatsapp"],
    "gate": ["web"],
}
LEVELS = {
    "full": {"components": ["database", "application", "frontend", "whatsapp_session"], "budget_s": 7200},
    "partial": {"components": ["database", "application"], "budget_s": 1800},
    "frontend": {"components": ["frontend"], "budget_s": 300},
    "selective": {"components": ["application"], "budget_s": 300},
}
HOSTS = {"web1": ["web"], "web2": ["web"], "data1": ["database"], "wa1": ["whatsapp"]}
WEB = {
    "problems": {},
    "memory": {"used_share": 0.4, "limit": "host", "total_bytes": 1, "available_bytes": 1},
    "processes": {"nginx": {"count": 3, "rss_bytes": 9437184, "cpu_s": 1.0, "pids": [1]}},
    "services": {"serving": [], "working": [], "memory_exits": 0},
    "traffic": {
        **{"requests": 100, "errors": 0, "error_share": 0.0, "held_back": 0, "given_up": 0},
        **{"average_s": 0.1, "p95_s": 0.2, "complete": True},
    },
    "log": {"errors": 0, "matching": {"campaigns": 0, "memory": 0}, "classes": {}, "complete": True},
    "code": {
        **{"name": "r2", "path": "/r2", "commit": V2, "version": "v2", "build_digest": "b" * 64, "build_problem": ""},
        **{"recent": ["2222222 2026-11-20 Add hybrid campaigns"], "changed_files": None, "target": True},
    },
}
DATABASE = {
    "problems": {},
    "queue": {"queued": 4, "reserved": 1, "delayed": 0, "set_aside": 0},
    "backups": {POINT: {"bytes": 7, "problem": ""}},
    "database": {
        "migrations": ["one", "hybrid"],
        "figures": [
            {"name": "ongoing", "rows": [{"campaigns": 3}], "problem": ""},
            {"name": "failed", "rows": [], "problem": "no such column"},
        ],
        "rows_at_risk": {"tables": {"campaigns": 12}, "total": 12, "not_counted": ["settings"]},
        "damage": {"failed": [], "checked": 9, "not_checked": 0, "seconds": 0.1},
        "standby": {"schema": "blazz__standby", "bytes": 1, "point": POINT, "untouched": True},
        "attics": {"blazz__attic_1": 5},
        "bytes": 10,
        "free_bytes": 100,
        "threads_connected": 3,
    },
}
WHATSAPP = {
    "problems": {},
    "code": {**WEB["code"], "build_digest": ""},
    "sessions": {"sales": "connected", "support": "connected"},
}
CHECKS = ("home", "health", "detailed health", "campaign list")


def checks(**failing):
    """Every check of both web hosts, all passed but those of ``failing``, name to status."""
    return [
        {
            "name": name,
            "target": host,
            "status": failing.get(name.replace(" ", "_"), 200),
            "passed": name.replace(" ", "_") not in failing,
            "detail": "as told",
            "seconds": 0.1,
        }
        for host in ("web1", "web2")
        for name in CHECKS
    ]


def system():
    """hostvars and the rest of a healthy v2 whose restore point is v1."""
    row = {"can": True, "reason": "", "now": "v2", "target": "v1", "how": "link", "seconds": 1, "reversible": "kept"}
    own = {"web1": WEB, "web2": WEB, "data1": DATABASE, "wa1": WHATSAPP}
    answers = {
        host: {
            level: {name: row for name in LEVELS[level]["components"] if set(GROUPS[name]) & set(groups)}
            for level in LEVELS
        }
        for host, groups in HOSTS.items()
    }
    hostvars = {
        host: {
            "group_names": groups,
            "impact_found": {**copy.deepcopy(own[host]), "changed": False, "invocation": {"secret": "x"}},
            "run_answers": answers[host],
        }
        for host, groups in HOSTS.items()
    }
    point = {
        **{"id": POINT, "age_s": 90000, "problem": "", "commit": V1, "version": "v1", "known_good": True},
        **{"kind": "logical", "bytes": 7, "verified": "2026-11-21T17:46:00Z", "verification_failed": ""},
    }
    seen = {
        **{"at": "now", "environment": "drill", "operator": "ann", "reason": "errors", "window_s": 600},
        "deciders": {"partial": ["technical lead"]},
        "checks": checks(),
        "checks_problem": "",
        "parts": {"home": "frontend", "detailed health": "sessions"},
        "functions": {},
        "limits": DEFAULTS["impact_limits"],
        "rules": RULES,
        "levels": DEFAULTS["impact_levels"],
        "known_levels": LEVELS,
        "component_groups": GROUPS,
        "state": {"points": [point], "runs": [], "unfinished": {}, "holder": "", "dumps": [], "standbys": []},
        "target": {
            **{"id": POINT, "known_good": True, "application": {"commit": V1}},
            **{"database": {"migrations": ["one"]}, "baseline": {"/": {"p50": 0.01, "p95": 0.02, "samples": 5}}},
        },
        "target_problem": "",
    }
    return hostvars, seen


def web(hostvars, part, **values):
    for host in ("web1", "web2"):
        hostvars[host]["impact_found"][part].update(values)


def error_share(hostvars, seen):
    web(hostvars, "traffic", errors=30, error_share=0.3)
    seen["checks"] = checks(home=500, campaign_list=500)


def slow(hostvars, seen):
    web(hostvars, "traffic", average_s=1.6, p95_s=3.1)


def memory(hostvars, seen):
    web(hostvars, "services", memory_exits=5)


def orphan_logs(hostvars, seen):
    damage = {"name": "campaign_logs refers to campaigns", "found": "5", "expected": "0", "detail": ""}
    hostvars["data1"]["impact_found"]["database"]["damage"]["failed"] = [damage]


def health(hostvars, seen):
    seen["checks"] = checks(health=500, detailed_health=500, home=500, campaign_list=500)


def failed_sessions(hostvars, seen):
    hostvars["wa1"]["impact_found"]["sessions"]["sales"] = "failed"
    seen["checks"] = checks(detailed_health=503)


def one_function(hostvars, seen):
    seen["functions"] = {"whatsapp": {"tests": ["detailed health"]}, "hybrid": {"tests": [{"name": "hybrid"}]}}
    seen["parts"] = {}
    seen["checks"] = checks(detailed_health=503)


def build(hostvars, seen):
    hostvars["web2"]["impact_found"]["code"].update(build_digest="c" * 64)


def page(hostvars, seen):
    seen["checks"] = checks(home=404)


def database_down(hostvars, seen):
    found = hostvars["data1"]["impact_found"]
    del found["database"]
    found["problems"] = {"database": "No connection to the database."}
    seen["checks"] = checks(health=503, detailed_health=503, home=500, campaign_list=500)
    web(hostvars, "traffic", errors=90, error_share=0.9)


def half_way(hostvars, seen):
    seen["state"]["unfinished"] = {"id": POINT, "kind": "rollback", "state": "switching"}


def assessed(change=None):
    hostvars, seen = system()
    if change:
        change(hostvars, seen)
    return impact_assessment(list(HOSTS), hostvars, seen)


@pytest.mark.parametrize(
    ("fault", "action"),
    [
        (None, "none"),
        (error_share, "partial"),
        (slow, "partial"),
        (memory, "partial"),
        (orphan_logs, "full"),
        (health, "partial"),
        (failed_sessions, "recover-whatsapp"),
        (one_function, "selective"),
        (build, "frontend"),
        (page, "frontend"),
        (database_down, "none"),
        (half_way, "resume-rollback"),
    ],
)
def test_each_fault_asks_for_what_mends_it(fault, action):
    found = assessed(fault)
    assert found["recommendation"]["action"] == action
    lines = impact_recommendation(found)
    assert (fault is None) == (lines == ["RECOMMENDED: no rollback, nothing is broken"])
    playbook = action if action in ("recover-whatsapp", "resume-rollback") else f"rollback-{action}"
    assert (action == "none") != any(
        line.startswith(f"Next: ansible-playbook playbooks/{playbook}.yml") for line in lines
    )
    json.dumps(found)


def test_without_a_restore_point_the_level_is_named_and_refused():
    def change(hostvars, seen):
        error_share(hostvars, seen)
        for facts in hostvars.values():
            facts["run_answers"] = {}
        seen.update(target={}, target_problem="No restore point answers to this target")
        seen["state"]["points"] = []
        hostvars["data1"]["impact_found"]["database"]["rows_at_risk"] = None

    found = assessed(change)
    assert found["recommendation"]["action"] == "none"
    text = "\n".join(impact_recommendation(found) + impact_lines(found))
    assert "no level that would cover the evidence can be done" in text
    assert "partial would cover it and CANNOT be done: there is no restore point to go back to" in text
    assert "there is no restore point" in text


def test_a_host_that_is_down_refuses_the_levels_that_need_it():
    def change(hostvars, seen):
        error_share(hostvars, seen)
        del hostvars["web2"]["impact_found"]
        hostvars["web2"]["run_answers"] = {}

    found = assessed(change)
    assert found["silent"] == ["web2"]
    text = "\n".join(impact_recommendation(found))
    assert "-e rollback_without=web2" in text
    assert "RECOMMENDED: a rollback, but no level" in text


def test_nothing_answers():
    def change(hostvars, seen):
        for facts in hostvars.values():
            del facts["impact_found"], facts["run_answers"]
        seen.update(target={}, target_problem="the state host does not answer", state={}, checks=[])

    found = assessed(change)
    assert found["silent"] == sorted(HOSTS)
    text = "\n".join(impact_lines(found))
    assert "web1: does not answer" in text
    assert text.count("the state host gave no answer") == 2


def test_what_broke_off_says_why():
    def change(hostvars, seen):
        hostvars["web1"]["impact_found"] = {"msg": "a misspelled option", "failed": False}
        hostvars["web2"]["impact_found"] = {"msg": "connection refused", "unreachable": True}
        seen.update(checks=[], checks_problem="two checks have the same name")

    text = "\n".join(impact_lines(assessed(change)) + impact_recommendation(assessed(change)))
    assert "web1: this host was NOT READ: a misspelled option" in text
    assert "web2: does not answer" in text
    assert "seen as well: from outside: two checks have the same name" in text


def test_the_numbers_are_shown():
    text = "\n".join(impact_lines(assessed(error_share)))
    for shown in (
        *("30.0%", "campaign list", "500", "ongoing: campaigns 3", "failed: NOT KNOWN: no such column"),
        *("4 queued, 1 reserved", "sales on wa1: connected", "12 rows were added since", "12 in campaigns"),
        *(f"{POINT}, 25 h old, v1 111111111111, known good", "restored in a test 2026-11-21T17:46:00Z"),
        *("standby blazz__standby of", "attic blazz__attic_1", "target commit present", "Add hybrid campaigns"),
        *("migration since the restore point: hybrid", "nobody holds the system", "partial: technical lead"),
        *("What full would do", "can be taken back by undo-rollback.yml until", "served by one host at least"),
    ):
        assert shown in text, shown


def test_what_is_not_known_is_no_number():
    def change(hostvars, seen):
        none = {"requests": 0, "errors": 0, "error_share": None, "average_s": None, "p95_s": None}
        web(hostvars, "traffic", **none)
        seen["state"]["points"][0].update(verified="", known_good=False)
        hostvars["data1"]["impact_found"]["backups"][POINT]["problem"] = "1 of 1 files are missing"

    text = "\n".join(impact_lines(assessed(change)))
    assert "unknown" in text
    assert "UNVERIFIED; MISSING: 1 of 1 files" in text
    assert "NOT known good" in text


def test_arguments_of_modules_are_not_kept():
    assert "secret" not in json.dumps(assessed())


def test_a_misspelled_limit_or_rule_is_refused():
    for name, value in (("limits", {"error_shares": 1}), ("rules", [{"evidence": "x"}])):
        hostvars, seen = system()
        seen[name] = value
        with pytest.raises(AnsibleFilterError):
            impact_assessment(list(HOSTS), hostvars, seen)


PARTS = st.sampled_from(["memory", "processes", "services", "traffic", "log", "code", "queue", "database", "backups"])


@given(st.lists(st.tuples(st.sampled_from(sorted(HOSTS)), PARTS)), st.sets(st.sampled_from(sorted(HOSTS))))
def test_whatever_could_not_be_read_the_rest_is_told(missing, down):
    hostvars, seen = system()
    for host, part in missing:
        if hostvars[host]["impact_found"].pop(part, None):
            hostvars[host]["impact_found"]["problems"][part] = "it could not be read"
    for host in down:
        del hostvars[host]["impact_found"]
        hostvars[host]["run_answers"] = {}
    found = impact_assessment(list(HOSTS), hostvars, seen)
    text = "\n".join(impact_lines(found) + impact_recommendation(found))
    assert all(f"{host}: does not answer" in text for host in down)
    json.dumps(found)
