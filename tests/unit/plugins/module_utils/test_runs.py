"""Run records: laid over atomically, and the run to undo is the one whose changes are in place."""

from __future__ import annotations

import os

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import runs
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

FIRST, SECOND = "20261121T100000Z", "20261121T110000Z"


def test_fields_are_laid_over_and_the_identity_stays(tmp_path):
    _before, record = runs.merge(str(tmp_path), FIRST, {"kind": "rollback", "state": "open", "reason": "test"})
    runs.write(str(tmp_path), record)
    before, after = runs.merge(str(tmp_path), FIRST, {"state": "success", "id": "other"})
    assert before == {"id": FIRST, "kind": "rollback", "state": "open", "reason": "test"}
    assert after == {"id": FIRST, "kind": "rollback", "state": "success", "reason": "test"}
    assert os.stat(runs.path_of(str(tmp_path), FIRST)).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("run_id", "fields"), [("../x", {}), (FIRST + "\n", {}), (FIRST, {"state": "great"})])
def test_nonsense_is_refused(tmp_path, run_id, fields):
    with pytest.raises(RollbackError):
        runs.merge(str(tmp_path), run_id, fields)


def test_records_come_newest_first_and_only_where_there_are_any(tmp_path):
    for run_id in (FIRST, SECOND):
        runs.write(str(tmp_path), {"id": run_id, "state": "open"})
    os.makedirs(tmp_path / "runs" / "20261121T120000Z")  # a journal without a record, as on other hosts
    os.makedirs(tmp_path / "runs" / "lost+found")
    assert [record["id"] for record in runs.read_all(str(tmp_path))] == [SECOND, FIRST]
    assert runs.read_all(str(tmp_path / "none")) == []


@pytest.mark.parametrize("text", [b"{", b"\xff", b"[]"])
def test_a_record_that_cannot_be_read_is_named(tmp_path, text):
    runs.write(str(tmp_path), {"id": FIRST, "state": "open"})
    with open(runs.path_of(str(tmp_path), FIRST), "wb") as stream:
        stream.write(text)
    with pytest.raises(RollbackError, match=FIRST):
        runs.read_all(str(tmp_path))


@pytest.mark.parametrize(
    ("states", "chosen"),
    [
        (["success"], 0),
        (["undone", "open", "switching"], 2),
        (["failed", "success"], 0),
        (["switched"], 0),
        (["open", "success"], 0),
        (["undone", "open"], None),
        ([], None),
    ],
)
def test_latest_is_the_newest_run_that_is_in_place(states, chosen):
    records = [{"id": str(number), "state": state} for number, state in enumerate(states)]
    if chosen is None:
        with pytest.raises(RollbackError, match="No rollback is in place"):
            runs.choose(records, "latest")
    else:
        assert runs.choose(records, "latest")["id"] == str(chosen)


def test_a_run_is_found_by_its_id():
    records = [{"id": FIRST, "state": "undone"}, {"id": SECOND, "state": "success"}]
    assert runs.choose(records, SECOND)["id"] == SECOND
    with pytest.raises(RollbackError, match=f"not in place. Found: {FIRST} is undone"):
        runs.choose(records, FIRST)
    with pytest.raises(RollbackError, match="no run with this id"):
        runs.choose([{"id": FIRST}], SECOND)


def test_a_run_under_a_newer_one_is_not_undone():
    records = [{"id": "20261121T110000Z", "state": "success"}, {"id": "20261121T100000Z", "state": "success"}]
    with pytest.raises(RollbackError, match="A newer run is in place"):
        runs.choose(records, "20261121T100000Z")
    records[0]["state"] = "undone"
    assert runs.choose(records, "20261121T100000Z")["id"] == "20261121T100000Z"
    records[0] = {"id": "20261121T110000Z", "state": "failed", "switched": False}
    assert runs.choose(records, "latest")["id"] == "20261121T100000Z"


def undo(run_id, reverts, state="success"):
    return {"id": run_id, "kind": "undo", "reverts": reverts, "state": state}


def rollback(run_id, state="success", **fields):
    return {"id": run_id, "kind": "rollback", "restore_point": "p1", "level": "full", "state": state, **fields}


def test_an_undo_is_undone_only_by_name():
    records = [undo("2", "1"), rollback("1", "undone"), rollback("0")]
    assert runs.choose(records, "latest")["id"] == "0"
    assert runs.choose(records, "2")["id"] == "2"


def test_an_undo_of_something_newer_does_not_stand_in_the_way_and_another_run_does():
    assert runs.choose([undo("3", "2"), rollback("2", "undone"), rollback("1")], "1")["id"] == "1"
    with pytest.raises(RollbackError, match="A newer run is in place"):
        runs.choose([undo("4", "1"), undo("3", "2"), rollback("2", "undone"), rollback("1", "undone")], "3")


@pytest.mark.parametrize("state", ["open", "switching", "failed"])
def test_an_interrupted_undo_goes_on(state):
    records = [undo("2", "1", state), rollback("1")]
    assert runs.choose(records, "1")["id"] == "1"
    assert runs.interrupted_undo(records, "1")["id"] == "2"
    assert runs.interrupted_undo([undo("2", "1"), rollback("1", "undone")], "1") == {}
    assert runs.interrupted_undo(records[1:], "1") == {}


@pytest.mark.parametrize("state", ["open", "switching", "switched"])
def test_a_rollback_with_the_same_aim_goes_on(state):
    newest = rollback("2", state)
    assert runs.interrupted_rollback([newest, rollback("1")], "p1", "full") == newest
    assert runs.resumable([newest]) == newest


@pytest.mark.parametrize(
    "newest",
    [
        rollback("2", "switching", restore_point="p2"),
        rollback("2", "switched", level="partial"),
        rollback("2", "switching", undoing=True),
        rollback("2", "failed", switched=True),
        undo("2", "1", "switching"),
    ],
)
def test_nothing_is_built_on_a_run_that_stopped_half_way(newest):
    with pytest.raises(RollbackError, match=r"stopped half way.*resume-rollback"):
        runs.interrupted_rollback([newest, rollback("1")], "p1", "full")
    assert runs.resumable([newest, rollback("1")]) == newest


@pytest.mark.parametrize(
    "newest", [rollback("2"), rollback("2", "undone"), rollback("2", "failed", switched=False), undo("2", "1")]
)
def test_a_settled_run_is_not_continued(newest):
    assert runs.interrupted_rollback([newest], "p1", "full") == {}
    with pytest.raises(RollbackError, match=r"No run was interrupted\. Found: the newest, 2"):
        runs.resumable([newest])


def test_what_was_only_staged_for_something_else_is_left_alone():
    assert runs.interrupted_rollback([rollback("2", "open", restore_point="p2")], "p1", "full") == {}
    with pytest.raises(RollbackError, match="no run on record"):
        runs.resumable([])


def test_the_rollback_in_force_is_the_newest_that_was_not_undone():
    records = [undo("3", "2"), rollback("2", "undone"), rollback("1")]
    assert runs.in_force(records)["id"] == "1"
    assert runs.in_force(records[:2]) == {}


def test_a_record_begins_with_what_kind_of_run_it_is(tmp_path):
    with pytest.raises(RollbackError, match="no run with this id on record"):
        runs.merge(str(tmp_path), FIRST, {"state": "failed", "switched": True})


@pytest.mark.parametrize("state", ["switching", "switched", "success"])
def test_a_run_that_began_to_switch_does_not_become_one_that_only_stages(tmp_path, state):
    runs.write(str(tmp_path), rollback(FIRST, state))
    with pytest.raises(RollbackError, match="began to switch"):
        runs.merge(str(tmp_path), FIRST, {"state": "open"})
    runs.merge(str(tmp_path), FIRST, {"state": "switching"})


def test_an_undo_without_a_name_goes_on_with_an_interrupted_one():
    records = [undo("4", "3", "switching"), undo("3", "2"), rollback("2", "undone"), rollback("1")]
    assert runs.choose(records, "latest")["id"] == "3"
    half_marked = [undo("3", "2", "switching"), rollback("2", "undone"), rollback("1")]
    assert runs.choose(half_marked, "latest")["id"] == "2"


def test_undoing_an_undo_never_brings_back_a_run_that_stopped_half_way():
    records = [{**undo("2", "1"), "reverted_state": "switching"}, rollback("1", "undone")]
    with pytest.raises(RollbackError, match="had stopped half way"):
        runs.choose(records, "2")


def test_a_deployment_is_not_built_on_a_run_that_stopped_half_way():
    with pytest.raises(RollbackError, match="stopped half way"):
        runs.refuse_half_way([rollback("1", "switching")])
    for settled in ([], [rollback("1")], [rollback("1", "open")], [rollback("1", "undone")]):
        runs.refuse_half_way(settled)


def recovery(state, run_id=SECOND):
    return {"id": run_id, "kind": "recovery", "level": "recovery", "state": state}


@pytest.mark.parametrize("state", ["switching", "success", "failed"])
def test_a_recovery_stands_in_nobodys_way_wherever_it_stopped(state):
    rollback = {"id": FIRST, "kind": "rollback", "state": "success", "restore_point": "p", "level": "full"}
    records = runs.switches([recovery(state), rollback])
    assert runs.choose(records, "latest") == runs.choose(records, FIRST) == rollback
    assert runs.interrupted_rollback(records, "other", "full") == {}
    assert runs.in_force(records) == rollback
    with pytest.raises(RollbackError, match="No run was interrupted"):
        runs.resumable(records)
    runs.refuse_half_way(records)


def test_a_recovery_is_undone_by_its_name_only():
    rollback = {"id": FIRST, "kind": "rollback", "state": "success"}
    records = [recovery("switching"), rollback]
    assert runs.choose(runs.switches(records, SECOND), SECOND) == records[0]
    assert runs.choose(runs.switches(records, "latest"), "latest") == rollback


def test_the_attic_that_is_meant():
    third = "20261121T120000Z"
    undone = {"id": third, "kind": "rollback", "state": "undone"}
    records = [undone, recovery("success"), {"id": FIRST, "kind": "rollback", "state": "success"}]
    assert runs.attic_of(records, "latest")["id"] == FIRST
    assert runs.attic_of(records, third) == undone
    for wanted in (SECOND, "20200101T000000Z"):
        with pytest.raises(RollbackError, match="no such rollback to recover from"):
            runs.attic_of(records, wanted)
    with pytest.raises(RollbackError, match="no such rollback"):
        runs.attic_of([undone], "latest")


@pytest.mark.parametrize(
    ("newer", "found"),
    [
        ({"level": "frontend"}, FIRST),
        ({"level": "partial", "strategy": "none"}, FIRST),
        ({"level": "partial", "strategy": "campaigns"}, FIRST),
        ({"level": "partial", "strategy": "migrations"}, SECOND),
        ({"level": "selective", "strategy": "migrations", "selection": {"migrations": []}}, FIRST),
        ({"level": "selective", "strategy": "migrations", "selection": {"migrations": ["a"]}}, SECOND),
    ],
)
def test_the_latest_attic_is_that_of_the_newest_rollback_that_has_one(newer, found):
    records = [
        {"id": SECOND, "kind": "rollback", "state": "success", **newer},
        {"id": FIRST, "kind": "rollback", "level": "full", "strategy": "", "state": "success"},
    ]
    assert runs.attic_of(records, "latest")["id"] == found
    assert runs.attic_of(records, SECOND)["id"] == SECOND, "named, whatever it has"
