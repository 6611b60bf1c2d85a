"""run_lease and run_join for real: check mode tells what real mode then does, and a refusal names the holder."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import fences, leases

ONE, TWO = "20261121T174500Z", "20261121T180000Z"
ME = {"host": "controller", "pid": 7, "started": "15"}
NOW = 1_000_000.0


@pytest.fixture
def clock(monkeypatch):
    """The state host's clock; ``clock[0]`` may be set."""
    now = [NOW]
    monkeypatch.setattr(leases.time, "time", lambda: now[0])
    return now


@pytest.fixture
def lease(run_module, state_dir, clock):
    """Run run_lease on the state directory of the test."""

    def run(state="read", check=False, fails=False, **arguments):
        given = {"owner": "ana@controller", "expiry_s": 60, "process": ME, **arguments}
        return run_module("run_lease", {"state_dir": state_dir, "state": state, **given}, check=check, fails=fails)

    return run


@pytest.fixture
def predicted(lease, untouched):
    """Run run_lease in check mode, which may touch nothing, and then for real: both have to say the same."""

    def run(state, **arguments):
        with untouched():
            foreseen = lease(state, check=True, **arguments)
        found = lease(state, **arguments)
        assert foreseen == found
        return found

    return run


@pytest.fixture
def refused(lease, untouched):
    """What run_lease says to somebody whom it refuses, the same in both modes, and touches nothing."""

    def run(state, **arguments):
        with untouched():
            said = [lease(state, check=check, fails=True, **arguments)["msg"] for check in (True, False)]
        assert said[0] == said[1]
        return said[0]

    return run


def holder(run_id, since=NOW, until=NOW + 60, purpose="rollback"):
    return f"{purpose} {run_id} of ana@controller, since {leases.clock(since)}, until {leases.clock(until)}"


def test_before_the_first_one_nobody_holds_it(lease, untouched):
    for check in (True, False):
        with untouched():
            found = lease(check=check)
        assert (found["changed"], found["lease"], found["held"], found["holder"], found["fencing"]) == (
            False,
            {},
            False,
            "",
            0,
        )


def test_taking_it(predicted, lease, state_dir, untouched):
    found = predicted("acquired", run_id=ONE, purpose="undo")
    assert (found["changed"], found["held"], found["fencing"]) == (True, True, 1)
    assert found["holder"] == holder(ONE, purpose="undo")
    assert found["diff"] == {"before": "nobody\n", "after": found["holder"] + "\n"}
    assert found["lease"] == leases.read(state_dir)
    assert (found["lease"]["process"], found["lease"]["purpose"]) == (ME, "undo")
    with untouched():
        looked = lease()
    assert (looked["changed"], looked["lease"], looked["holder"]) == (False, found["lease"], found["holder"])


def test_who_is_refused_learns_who_holds_it_in_both_modes(lease, refused, state_dir):
    lease("acquired", run_id=ONE)
    for arguments in ({"run_id": TWO}, {"run_id": ONE, "process": {**ME, "pid": 8}}, {"run_id": TWO, "dead": 7}):
        message = refused("acquired", **arguments)
        assert holder(ONE) in message
        assert f"rollback_break_lease={ONE}" in message
    assert leases.read(state_dir)["run_id"] == ONE


def test_asking_again_refreshes_and_keeps_the_number(lease, clock):
    lease("acquired", run_id=ONE)
    clock[0] += 10
    again = lease("acquired", run_id=ONE)
    assert (again["changed"], again["fencing"]) == (True, 1)
    assert again["holder"] == holder(ONE, until=NOW + 70)


def test_check_mode_lets_the_holder_ask_again(lease, untouched):
    lease("acquired", run_id=ONE)
    with untouched():
        assert lease("acquired", check=True, run_id=ONE)["held"] is True


def test_the_lease_of_a_dead_process_is_taken_over(lease, predicted):
    lease("acquired", run_id=ONE)
    taken = predicted("acquired", run_id=TWO, dead=1)
    assert (taken["changed"], taken["fencing"], taken["holder"]) == (True, 2, holder(TWO))
    assert taken["diff"]["before"] == holder(ONE) + "\n"


def test_an_expired_lease_is_taken_with_a_new_number(lease, predicted, clock):
    lease("acquired", run_id=ONE)
    clock[0] += 60
    found = lease()
    assert (found["held"], found["holder"], found["fencing"]) == (False, "", 1)
    taken = predicted("acquired", run_id=TWO)
    assert (taken["fencing"], taken["diff"]["before"]) == (2, "nobody\n")


def test_a_holder_that_outlives_its_process_needs_none(run_module, state_dir, clock):
    arguments = {"run_id": "deploy-1", "purpose": "deployment", "state": "acquired", "state_dir": state_dir}
    found = run_module("run_lease", arguments)
    assert (found["lease"]["process"], found["lease"]["owner"]) == ({}, "unknown")
    assert found["lease"]["expires_at"] == clock[0] + 600
    assert run_module("run_lease", arguments)["fencing"] == 1


def test_refreshing(lease, clock, untouched):
    lease("acquired", run_id=ONE)
    clock[0] += 50
    with untouched():
        assert lease("refreshed", check=True, fencing=1)["held"] is True
    found = lease("refreshed", fencing=1)
    assert (found["changed"], found["holder"]) == (True, holder(ONE, until=NOW + 110))


def test_giving_it_back(lease, predicted):
    lease("acquired", run_id=ONE)
    found = predicted("released", fencing=1)
    assert (found["changed"], found["held"], found["holder"], found["fencing"]) == (True, False, "", 1)
    assert (found["diff"]["after"], found["lease"]["ended"]) == ("nobody\n", "released")
    again = predicted("released", fencing=1)
    assert (again["changed"], again["fencing"]) == (False, 1)
    assert lease("acquired", run_id=TWO)["fencing"] == 2


@pytest.mark.parametrize("state", ["refreshed", "released"])
def test_whoever_lost_it_is_told_who_has_it(lease, clock, untouched, state):
    lease("acquired", run_id=ONE)
    clock[0] += 60
    lease("acquired", run_id=TWO)
    with untouched():
        message = lease(state, fencing=1, fails=True)["msg"]
    assert "not this run's any more" in message
    assert holder(TWO, NOW + 60, NOW + 120) in message


def test_breaking_it(lease, predicted, state_dir):
    lease("acquired", run_id=ONE)
    found = predicted("broken", run_id=ONE, owner="bob@controller")
    assert (found["changed"], found["held"], found["lease"]["ended"]) == (True, False, "broken")
    assert found["lease"]["owner"] == "ana@controller", "whose it was"
    with open(os.path.join(state_dir, "leases.jsonl"), encoding="utf-8") as stream:
        event = json.loads(stream.readlines()[-1])
    assert (event["event"], event["by"]) == ("broken", "bob@controller")
    assert "not this run's any more" in lease("refreshed", fencing=1, fails=True)["msg"]


def test_only_the_named_holder_is_broken(lease, refused):
    lease("acquired", run_id=ONE)
    message = refused("broken", run_id=TWO)
    assert "does not hold the lease" in message
    assert holder(ONE) in message
    lease("released", fencing=1)
    assert "nobody holds it" in refused("broken", run_id=ONE)


@pytest.mark.parametrize("state", ["acquired", "broken"])
def test_a_run_has_to_be_named(lease, untouched, state):
    with untouched():
        assert "run_id" in lease(state, fails=True)["msg"]


@pytest.mark.parametrize("state", ["read", "acquired", "refreshed", "released", "broken"])
def test_a_lease_that_cannot_be_read_is_never_taken_for_none(refused, state_dir, state):
    os.makedirs(state_dir)
    with open(os.path.join(state_dir, "lease.json"), "w", encoding="utf-8") as stream:
        stream.write("{")
    assert os.path.join(state_dir, "lease.json") in refused(state, run_id=ONE, fencing=1)


@pytest.fixture
def fence(run_module, state_dir):
    """Run run_join on the state directory of the test."""

    def run(number, check=False, fails=False, **arguments):
        given = {"fencing": number, "state_dir": state_dir, **arguments}
        return run_module("run_join", given, check=check, fails=fails)

    return run


def test_announcing_a_number(fence, state_dir, untouched):
    for number, before in ((3, 0), (5, 3)):
        with untouched():
            foreseen = fence(number, check=True)
        found = fence(number)
        assert found == foreseen
        assert (found["changed"], found["number"]) == (True, before)
        assert found["diff"] == {"before": f"{before}\n", "after": f"{number}\n"}
        assert fences.number(state_dir) == number


def test_announcing_it_again_changes_nothing(fence, untouched):
    fence(5)
    for check in (True, False):
        with untouched():
            again = fence(5, check=check)
        assert (again["changed"], again["number"]) == (False, 5)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("number", [4, 1])
def test_a_stale_number_is_refused_in_both_modes(fence, state_dir, untouched, check, number):
    fence(5)
    with untouched():
        assert f"lease number {number}, the newest is 5" in fence(number, check=check, fails=True)["msg"]
    assert fences.number(state_dir) == 5


def test_an_announcement_waits_no_longer_than_it_is_told(fence, state_dir, monkeypatch):
    monkeypatch.setattr(fences.time, "sleep", lambda _seconds: pytest.fail("it waited"))
    fence(5)
    with fences.acting(state_dir, 5):
        assert fence(6, check=True)["changed"] is True
        message = fence(6, wait_s=0, fails=True)["msg"]
        assert "still under way" in message
        assert "after 0 s" in message
    assert fences.number(state_dir) == 5
    assert fence(6, wait_s=0)["changed"] is True


def test_a_fence_that_cannot_be_read_is_never_taken_for_none(fence, state_dir, untouched):
    fence(5)
    with open(os.path.join(state_dir, "fence.json"), "w", encoding="utf-8") as stream:
        json.dump({"no": "number"}, stream)
    for check in (True, False):
        with untouched():
            assert "cannot be read" in fence(6, check=check, fails=True)["msg"]
