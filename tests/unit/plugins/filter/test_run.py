"""Filters that look at all hosts of a run at once; ``hostvars`` is a plain dict here."""

from __future__ import annotations

import json
import tempfile

import pytest
from ansible_collections.campaign.rollback.plugins.filter import run
from ansible_collections.campaign.rollback.plugins.module_utils import runs
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from ansible_collections.campaign.rollback.plugins.module_utils.session_recovery import ACTIONS
from hypothesis import given, settings
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


def test_a_plan_says_until_when_a_component_can_be_undone():
    hosts = everywhere(run_host_components=["application", "database"])
    hosts["web1"]["application_assessment"] = {"can": True, "reversible": "releases are kept"}
    hosts["web2"]["application_assessment"] = {"can": True}
    rows = run.run_plan(HOSTS, hosts, ["application"])
    column = "reversible until"
    assert [(row["host"], row[column]) for row in rows] == [("web1", "releases are kept"), ("web2", ""), ("data1", "")]
    assert run.run_table(rows[:1], ["host", column])[1].split("  ")[-1] == "releases are kept"


def test_what_the_preflight_found_is_one_sentence_each_with_its_host():
    hosts = {
        "web1": {"run_preflight": {"problems": ["no room", "no sh"]}},
        "web2": {"run_preflight": {"problems": []}},
        "data1": {"run_preflight": {"problems": ["no room"]}},
        "hub": {"run_preflight": {"problems": ["not asked for"]}},
    }
    assert run.run_preflight_problems(HOSTS, hosts) == ["web1: no room", "web1: no sh", "data1: no room"]


@pytest.mark.parametrize("answer", [{}, {"run_preflight": {}}, {"run_preflight": None}, {"run_preflight": {"rc": 1}}])
def test_a_host_whose_preflight_did_not_answer_is_no_problem_of_the_preflight(answer):
    """It is among the failures, where it is named once."""
    assert run.run_preflight_problems(["web1"], {"web1": answer}) == []


BEGAN, DEADLINE = 1000.0, 1900.0


def project(progress, now):
    return run.run_projection(json.dumps(progress), BEGAN, now, DEADLINE)


def test_a_job_that_reports_is_projected_to_its_end():
    found = project({"done": 25, "total": 100}, BEGAN + 100)
    assert (found["finish"], found["breach"]) == (BEGAN + 400, False)
    assert found["text"] == "25% done, about 300 s to go, 800 s are left of the budget"


def test_a_job_that_will_not_fit_is_told_long_before_the_deadline():
    found = project({"done": 1, "total": 100}, BEGAN + 10)
    assert (found["finish"], found["breach"]) == (BEGAN + 1000, True)
    assert "will NOT fit" in found["text"]
    assert "890 s are left" in found["text"]


def test_a_job_that_ends_at_the_deadline_fits():
    assert project({"done": 1, "total": 9}, BEGAN + 100)["breach"] is False


def test_a_job_that_is_done_fits_whenever_it_is_looked_at():
    found = project({"done": 7, "total": 7}, DEADLINE - 1)
    assert (found["finish"], found["breach"]) == (DEADLINE - 1, False)
    assert "100% done, about 0 s to go" in found["text"]


UNKNOWN = ["", "{", "[]", "null", "7", "{}", '{"done": 1}', '{"done": 1, "total": 0}', '{"done": 0, "total": 9}']


@pytest.mark.parametrize("progress", [*UNKNOWN, '{"done": null, "total": 9}', '{"done": "1", "total": 9}'])
def test_a_job_without_progress_breaches_only_when_the_deadline_is_over(progress):
    for now, breach in ((DEADLINE, False), (DEADLINE + 1, True)):
        found = run.run_projection(progress, BEGAN, now, DEADLINE)
        assert (found["breach"], found["finish"]) == (breach, 0)
        left = f"{DEADLINE - now:.0f} s are left of the budget"
        assert found["text"] == f"under way since {now - BEGAN:.0f} s, {left}"


AMOUNTS = st.integers(1, 10**6)


@given(AMOUNTS, AMOUNTS, st.floats(0.1, 10**6))
def test_at_an_even_speed_every_look_projects_the_same_end(one, other, seconds):
    done, total = sorted((one, other))
    finish = BEGAN + seconds
    found = project({"done": done, "total": total}, BEGAN + seconds * done / total)
    assert found["finish"] == pytest.approx(finish)
    assert found["breach"] is (found["finish"] > DEADLINE)
    assert ("NOT" in found["text"]) is found["breach"]


def record(run_id, state="success", **fields):
    return {"id": run_id, "kind": "undo" if fields.get("reverts") else "rollback", "state": state, **fields}


def test_an_undo_leaves_the_undone_run_undone_and_what_that_had_undone_as_it_was():
    records = [
        record("4", reverts="3", reverted_state="success"),
        record("3", reverts="2", reverted_state="failed"),
        record("2", reverts="1", reverted_state="switched"),
        record("1", reverts=""),
        record("0"),
    ]
    assert run.run_chain(records, "1") == [{"id": "1", "state": "undone"}]
    assert run.run_chain(records, "2") == [{"id": "1", "state": "switched"}, {"id": "2", "state": "undone"}]
    assert run.run_chain(records, "4") == [
        {"id": "1", "state": "switched"},
        {"id": "2", "state": "undone"},
        {"id": "3", "state": "success"},
        {"id": "4", "state": "undone"},
    ]
    assert run.run_chain(list(reversed(records)), "4") == run.run_chain(records, "4"), "records come in any order"


@pytest.mark.parametrize("reverted_state", [{}, {"reverted_state": ""}])
def test_an_undo_that_does_not_say_what_it_undid_had_undone_a_finished_run(reverted_state):
    chain = run.run_chain([record("2", reverts="1", **reverted_state), record("1", "undone")], "2")
    assert chain == [{"id": "1", "state": "success"}, {"id": "2", "state": "undone"}]


@pytest.mark.parametrize("undone", ["", "9"])
def test_without_a_run_there_is_no_chain(undone):
    assert run.run_chain([record("1", reverts="")], undone) == []
    assert run.run_chain([], undone) == []


def test_a_chain_ends_where_its_records_do():
    assert run.run_chain([record("3", reverts="2")], "3") == [{"id": "3", "state": "undone"}]


class System:
    """A system with one value that runs change and put back, with real journals; the records are kept by run_chain."""

    def __init__(self, state_dir):
        self.state_dir, self.value, self.records, self.before = state_dir, "", [], {}

    def next_id(self):
        return f"20261121T1745{len(self.records):02d}Z"

    def journal(self, run_id):
        return Journal(run_id, self.state_dir)

    def roll_back(self, state):
        run_id = self.next_id()
        with self.journal(run_id).step("application", "switch", "value", {"value": self.value}):
            self.before[run_id], self.value = self.value, run_id
        self.records.insert(0, record(run_id, state, reverts=""))

    def undo(self, chosen):
        run_id, journal = self.next_id(), self.journal(chosen["id"])
        self.before[run_id] = self.value
        for step in journal.to_undo("application"):
            with journal.reverting(step, self.journal(run_id), {"value": self.value}):
                self.value = step.undo["value"]
        chain = {end["id"]: end["state"] for end in run.run_chain(self.records, chosen["id"])}
        undo = record(run_id, reverts=chosen["id"], reverted_state=chosen["state"])
        self.records = [undo] + [{**known, "state": chain.get(known["id"], known["state"])} for known in self.records]

    def undoable(self):
        """Runs that the collection would undo now."""
        found = []
        for known in self.records:
            try:
                found.append(runs.choose(self.records, known["id"]))
            except RollbackError:
                continue
        return found


ENDED = ("success", "switched", "failed")
MOVES = st.one_of(st.sampled_from(ENDED), st.integers(0, 9))


@settings(max_examples=60)
@given(st.lists(MOVES, max_size=12))
def test_the_records_say_of_every_run_what_replaying_all_undos_says(moves):
    with tempfile.TemporaryDirectory() as state_dir:
        system, ended = System(state_dir), {}
        for move in moves:
            undoable = system.undoable()
            if isinstance(move, str):
                system.roll_back(move)
                ended[system.records[0]["id"]] = move
            elif undoable:
                chosen = undoable[move % len(undoable)]
                system.undo(chosen)
                ended[system.records[0]["id"]] = "success"
                assert system.value == system.before[chosen["id"]]
        for known in system.records:
            (step,) = system.journal(known["id"]).steps()
            in_force = step.state != "undone"
            assert known["state"] == (ended[known["id"]] if in_force else "undone"), known["id"]
        rollbacks = [known for known in system.records if known["kind"] == "rollback" and known["state"] != "undone"]
        assert system.value == (rollbacks[0]["id"] if rollbacks else "")


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
    hosts = everywhere()
    hosts["web1"]["run_failure"] = {"phase": "stage", "task": "Check out", "error": "no room"}
    present = [host for host in HOSTS if host != "data1"]
    found = run.run_failures(HOSTS, hosts, present, "switch")
    assert found[0] == {"host": "web1", "phase": "stage", "task": "Check out", "error": "no room"}
    assert [(failure["host"], failure["phase"]) for failure in found] == [("web1", "stage"), ("data1", "switch")]
    assert all(failure["error"] and failure["task"] for failure in found)
    assert run.run_failures(["web2"], hosts, present, "switch") == []
    # What a host recorded before it was lost is the cause.
    assert run.run_failures(["web1"], hosts, [], "switch") == found[:1]


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


def test_the_plan_of_a_recovery_says_what_is_known_and_what_is_not():
    compared = {
        "campaigns": {"policy": "merge", "new": 3, "deleted": 0, "changed": 1, "note": ""},
        "cache": {"policy": "ignore", "new": None, "deleted": None, "changed": None, "note": ""},
        "only": {"policy": "merge", "new": None, "deleted": None, "changed": None, "note": "only right has this table"},
    }
    planned = {
        "campaigns": {"policy": "merge", "wanted": 2, "conflicts": 1, "reduced": 1, "note": ""},
        "cache": {"policy": "ignore", "wanted": 0, "conflicts": 0, "reduced": 0, "note": "policy ignore: worthless"},
    }
    facts = {"database_compared": {"tables": compared}, "database_recoverable": {"tables": planned}}
    rows = {row.pop("table"): row for row in run.run_recovery_rows(facts)}
    assert rows["campaigns"] == {
        "policy": "merge",
        "bring": 2,
        "conflicts": 1,
        "reduced": 1,
        "missing live": 3,
        "only live": 0,
        "changed": 1,
        "note": "",
    }
    assert (rows["cache"]["changed"], rows["cache"]["note"]) == ("?", "policy ignore: worthless")
    assert rows["only"]["note"] == "only right has this table"
    # What could not be asked is told as a reason of the plan, not here.
    assert run.run_recovery_rows({"database_compared": {"failed": True}}) == []


def test_what_a_recovery_brought_is_shown_with_every_refused_row():
    numbers = {"policy": "merge", "brought": 2, "overwritten": 1, "conflicts": 1, "reduced": 0, "wanted": 0, "note": ""}
    result = {"tables": {"campaigns": numbers}, "conflicts": [{"table": "campaigns", "id": 4, "reason": "taken"}]}
    lines = run.run_recovered(result)
    assert lines[1].split()[:4] == ["campaigns", "merge", "2", "1"]
    assert lines[-1] == "campaigns 4: taken"
    assert len(run.run_recovered(dict(result, conflicts=[]))) == 2
    assert run.run_recovered_rows([{"database_recovered": result}, {}]) == [{"rows": 3, "conflicts": 1}]


def test_what_a_test_restore_found_goes_into_the_manifest():
    point = {"id": "20261121T174500Z", "known_good": True, "database": {"kind": "physical", "bytes": 1}}
    good, bad = {"at": "2026-11-21T18:00:00Z", "failed": ""}, {"at": "", "failed": "damaged"}
    found = run.run_verified([point], [{point["id"]: good}, {}])[0]
    assert found["manifest"] == {**point, "database": {**point["database"], "verified": good}}
    assert found["row"]["restored in a test"] == good["at"]
    found = run.run_verified([point], [{point["id"]: good}, {point["id"]: bad}])[0]
    assert (found["manifest"]["known_good"], found["row"]["why not"]) == (False, "damaged")
    # Silence is no answer, and does not change what is known.
    found = run.run_verified([point], [{}])[0]
    assert (found["manifest"], found["row"]["why not"]) == (None, "no answer")


def test_what_keeps_users_waiting_is_collected_from_every_component():
    hosts = everywhere(run_host_components=["database", "services"], services_gated="")
    assert run.run_gated(HOSTS, hosts) == []
    hosts["data1"].update(database_gated="80 MB are copied", application_gated="not one of its components")
    assert run.run_gated(HOSTS, hosts) == ["database on data1: 80 MB are copied"]


def seen(**changes):
    """An account as session_info tells of it."""
    found = {"disk": "", "stated": "connected", "word": "open", "copy": "20261121T174500Z", "identity": "a"}
    return {**found, "holders": [], "action": "none", "why": "", **changes}


SESSIONS = {
    "localhost": {},
    "wa1": {
        "whatsapp_session_found": {
            "sales": seen(disk="creds.json is missing", stated="silent", word="", action="restore", why="creds.json"),
            "support": seen(identity="b"),
            "office": seen(stated="logged out", word="401", identity="", action="link", why="the service says 401"),
        },
        "whatsapp_session_cloud_found": {"meta": {"state": "broken", "reasons": ["token: expired"], "notes": ["RED"]}},
    },
    "wa2": {"whatsapp_session_found": {"shop": seen(identity="c"), "old": seen(identity="", action="give_up")}},
}


def test_every_session_is_a_row_of_the_plan():
    rows = run.run_session_rows(["localhost", "wa1", "wa2"], SESSIONS)
    lines = run.run_table(rows, ["account", "host", "service", "disk", "newest copy", "does"])
    assert [" ".join(line.split()) for line in lines[1:]] == [
        "sales wa1 silent creds.json is missing 20261121T174500Z restore the newest copy, start again",
        "support wa1 open sound 20261121T174500Z nothing",
        "office wa1 401 sound 20261121T174500Z nothing; a PHONE HAS TO BE LINKED AGAIN",
        "meta wa1 cloud, broken nothing",
        "shop wa2 open sound 20261121T174500Z nothing",
        "old wa2 open sound 20261121T174500Z nothing",
    ]
    assert rows[3]["why"] == "token: expired; RED"


def test_the_same_device_on_two_hosts_is_refused():
    assert run.run_session_twins(["localhost", "wa1", "wa2"], SESSIONS) == []
    doubled = {**SESSIONS, "wa2": {"whatsapp_session_found": {"shop": seen(identity="b")}}}
    (row,) = run.run_session_twins(["wa1", "wa2"], doubled)
    assert row["can"] is False
    assert row["reason"] == "one device on several hosts: support on wa1, shop on wa2"
    assert run.run_refusals([row], []) == ["whatsapp_session on wa1: " + row["reason"]]


def test_every_action_is_said_in_a_plan():
    assert set(run.DOES) == set(ACTIONS)


def test_components_take_part_where_a_function_has_something_in_them():
    components = ["database", "application", "env_restore", "services"]
    nothing = {"files": [], "env": {}, "migrations": []}
    assert run.run_components_for(components, nothing) == ["services"]
    assert run.run_components_for(components, {**nothing, "files": ["a"]}) == ["application", "services"]
    assert run.run_components_for(components, {**nothing, "env": {"f": ["K"]}, "migrations": ["m"]}) == [
        *("database", "env_restore", "services"),
    ]
