"""run_open for real: what a run is about, and the lease for it, in one call."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import leases, runs

OWN, OLD = "20261122T090000Z", "20261121T174500Z"
PROCESS = {"controller": "a", "pid": 1}


def point(state_dir, point_id, environment="drill"):
    directory = os.path.join(state_dir, "restore_points", point_id)
    os.makedirs(directory)
    manifest = {"schema": 1, "id": point_id, "taken_at": "t", "taken_by": "me", "environment": environment}
    manifest.update(application={"commit": "1" * 40}, database={"kind": "logical"}, known_good=True)
    with open(os.path.join(directory, "manifest.json"), "w", encoding="utf-8") as stream:
        json.dump(manifest, stream)
    return manifest


@pytest.fixture
def manifest(state_dir):
    return point(state_dir, OLD)


@pytest.fixture
def arguments(state_dir):
    given = {"kind": "rollback", "run_id": OWN, "environment": "drill", "level": "frontend", "state_dir": state_dir}
    return {**given, "owner": "me", "process": PROCESS}


def record(state_dir, run_id, **fields):
    runs.write(state_dir, {"id": run_id, "kind": "rollback", "restore_point": OLD, "level": "frontend", **fields})


def test_a_rollback_finds_its_restore_point_and_takes_the_lease(arguments, manifest, run_module, untouched, state_dir):
    with untouched():
        looked = run_module("run_open", arguments)
        foreseen = run_module("run_open", {**arguments, "take": True}, check=True)
    assert (looked["resolved"], looked["effect"], looked["continued"]) == (manifest, "rollback", {})
    assert (looked["changed"], looked["fencing"], looked["holder"], looked["refused"]) == (False, 0, "", "")
    taken = run_module("run_open", {**arguments, "take": True})
    assert (taken["changed"], taken["fencing"]) == (foreseen["changed"], foreseen["fencing"]) == (True, 1)
    assert f"rollback {OWN} of me" in taken["holder"]
    assert leases.read(state_dir)["run_id"] == OWN
    again = run_module("run_open", {**arguments, "take": True})
    assert again["fencing"] == 1, "the same process may ask again"


def test_a_lease_of_somebody_else_is_told_and_left_alone(arguments, manifest, run_module, untouched, state_dir):
    leases.acquire(state_dir, "deploy-1", "pipeline", "deployment", 600, {})
    for check in (True, False):
        with untouched():
            found = run_module("run_open", {**arguments, "take": True}, check=check)
        assert (found["fencing"], found["changed"], found["resolved"]) == (0, False, manifest)
        assert "The system is held by another run" in found["refused"]
        assert "deployment deploy-1 of pipeline" in found["holder"]
        assert found["lease"]["fencing"] == 1


def test_an_interrupted_rollback_with_the_same_aim_goes_on_with_its_id(arguments, manifest, run_module, state_dir):
    record(state_dir, "20261122T080000Z", state="switching", target=manifest)
    found = run_module("run_open", {**arguments, "take": True})
    assert found["continued"]["id"] == found["lease"]["run_id"] == "20261122T080000Z"
    other = run_module("run_open", {**arguments, "level": "full"}, fails=True)
    assert "An earlier run stopped half way" in other["msg"]


def test_undo_resume_recovery_and_validation_know_what_they_are_about(arguments, manifest, run_module, state_dir):
    record(state_dir, "20261122T080000Z", state="success", target=manifest, level="full")
    for kind in ("undo", "recovery", "validation"):
        found = run_module("run_open", {**arguments, "kind": kind})
        assert found["chosen"]
        assert (found["effect"], found["resolved"]) == (kind, manifest), kind
    assert run_module("run_open", {**arguments, "kind": "recovery", "run": "old_copy"})["chosen"] == {}
    record(state_dir, "20261122T083000Z", state="switching", kind="undo", reverts="20261122T080000Z", target=manifest)
    found = run_module("run_open", {**arguments, "kind": "resume"})
    assert (found["effect"], found["chosen"]["id"], found["resolved"]) == ("undo", "20261122T080000Z", manifest)
    record(state_dir, "20261122T083000Z", state="success", kind="undo", reverts="20261122T080000Z", target=manifest)
    assert "No run was interrupted" in run_module("run_open", {**arguments, "kind": "resume"}, fails=True)["msg"]


def test_a_capture_wants_nothing_but_the_lease(arguments, run_module):
    found = run_module("run_open", {**arguments, "kind": "capture", "take": True})
    assert (found["resolved"], found["effect"], found["fencing"]) == ({}, "capture", 1)


def test_a_verification_reads_all_points_of_the_environment_or_one(arguments, manifest, run_module, state_dir):
    point(state_dir, "20261121T180000Z", "staging")
    newest = point(state_dir, "20261121T190000Z")
    given = {**arguments, "kind": "verification"}
    assert run_module("run_open", {**given, "target": "all"})["points"] == [manifest, newest]
    assert run_module("run_open", {**given, "target": "latest"})["points"] == [newest]
    assert run_module("run_open", {**given, "target": OLD})["points"] == [manifest]


def test_a_restore_point_of_another_environment_is_refused(arguments, run_module, state_dir, untouched):
    point(state_dir, OLD, "production")
    with untouched():
        message = run_module("run_open", {**arguments, "take": True}, fails=True)["msg"]
    assert "Found: production, wanted drill. Nothing was touched" in message


@pytest.mark.parametrize(("kind", "effect"), [("sessions", "recovery"), ("refresh", "refresh")])
def test_what_goes_back_to_nothing_is_not_begun_on_a_run_that_stopped_half_way(
    kind, effect, arguments, manifest, run_module, state_dir, untouched
):
    given = {**arguments, "kind": kind, "take": True}
    record(state_dir, "20261122T080000Z", state="switching", target=manifest)
    with untouched():
        assert "An earlier run stopped half way" in run_module("run_open", given, fails=True)["msg"]
    record(state_dir, "20261122T080000Z", state="success", target=manifest)
    found = run_module("run_open", given)
    assert (found["effect"], found["resolved"], found["chosen"], found["continued"]) == (effect, {}, {}, {})
    assert (found["fencing"], found["lease"]["purpose"]) == (1, effect)
