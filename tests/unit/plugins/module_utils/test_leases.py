"""Exactly one holds the system, its number only grows, and a holder who lost it is told so."""

from __future__ import annotations

import json
import multiprocessing
import os
import time

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import leases
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

FORK = multiprocessing.get_context("fork")
ONE, TWO = "20261121T174500Z", "20261121T180000Z"
ME = {"host": "controller", "pid": 7, "started": 1.5}


def take(state_dir, run_id=ONE, process=ME, expiry_s=60, dead=0):
    return leases.acquire(state_dir, run_id, "ana@controller", "rollback", expiry_s, process, dead)


def attempt(results, ready, state_dir, run_id, process):
    """One controller of several; what came of it goes to ``results``."""
    ready.wait()
    try:
        results.put(("won", take(state_dir, run_id, process)["fencing"], run_id))
    except RollbackError as error:
        results.put(("refused", str(error), run_id))


def events(state_dir):
    with open(os.path.join(state_dir, "leases.jsonl"), encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def waits_for_lock(path):
    """Whether the kernel lists somebody who waits for a lock on this file."""
    inode = os.stat(path).st_ino
    with open("/proc/locks", encoding="utf-8") as stream:
        return any("->" in line and f":{inode} " in line for line in stream)


@pytest.fixture
def clock(monkeypatch):
    """The state host's clock; ``clock[0]`` may be set."""
    now = [1_000_000.0]
    monkeypatch.setattr(leases.time, "time", lambda: now[0])
    return now


@pytest.mark.parametrize("attempts", range(5))
def test_of_several_at_once_exactly_one_wins(state_dir, attempts):
    results, ready = FORK.Queue(), FORK.Barrier(6)
    runs = [f"20261121T17450{number}Z" for number in range(6)]
    processes = [
        FORK.Process(target=attempt, args=(results, ready, state_dir, run_id, {"pid": number}), daemon=True)
        for number, run_id in enumerate(runs)
    ]
    for process in processes:
        process.start()
    outcomes = [results.get(timeout=60) for _process in processes]
    for process in processes:
        process.join(60)
    winners = [outcome for outcome in outcomes if outcome[0] == "won"]
    assert [number for _won, number, _run in winners] == [1]
    assert all(
        f"rollback {winners[0][2]} of ana@controller, since" in text for kind, text, _ in outcomes if kind != "won"
    )
    assert leases.read(state_dir)["run_id"] == winners[0][2]
    assert len(events(state_dir)) == 1


def test_nobody_reads_the_lease_while_another_one_decides(state_dir, monkeypatch):
    """The second one is kept waiting between the first one's look and its writing."""
    results, ready = FORK.Queue(), FORK.Event()
    # Forked before the lock is taken, because a fork shares the locks of its parent.
    rival = FORK.Process(target=attempt, args=(results, ready, state_dir, TWO, {"pid": 8}), daemon=True)
    rival.start()
    read = leases.read

    def slow_read(directory):
        found = read(directory)
        ready.set()
        deadline = time.monotonic() + 60
        while results.empty() and not waits_for_lock(os.path.join(state_dir, "lease.lock")):
            assert time.monotonic() < deadline
        return found

    monkeypatch.setattr(leases, "read", slow_read)
    assert take(state_dir)["fencing"] == 1
    kind, text, _run = results.get(timeout=60)
    rival.join(60)
    assert kind == "refused"
    assert ONE in text


def test_who_is_refused_learns_who_holds_it_since_when_until_when_and_what_to_do(state_dir, clock):
    take(state_dir)
    with pytest.raises(RollbackError) as refused:
        take(state_dir, TWO)
    text = str(refused.value)
    for part in ("rollback", ONE, "ana@controller", leases.clock(clock[0]), leases.clock(clock[0] + 60)):
        assert part in text
    assert f"rollback_break_lease={ONE}" in text
    assert len(events(state_dir)) == 1, "a refusal changed something"


def test_the_same_process_may_ask_again_and_keeps_its_number(state_dir, clock):
    first = take(state_dir)
    clock[0] += 10
    again = take(state_dir)
    assert again == {**first, "expires_at": clock[0] + 60}
    with pytest.raises(RollbackError, match="held by another run"):
        take(state_dir, ONE, {**ME, "pid": 8})
    with pytest.raises(RollbackError, match="held by another run"):
        take(state_dir, TWO, ME)


def test_an_expired_lease_binds_nobody_and_a_new_one_has_a_new_number(state_dir, clock):
    take(state_dir)
    clock[0] += 59.9
    with pytest.raises(RollbackError, match="held by another run"):
        take(state_dir, TWO)
    clock[0] += 0.1
    assert not leases.is_held(leases.read(state_dir), clock[0])
    assert take(state_dir, TWO)["fencing"] == 2
    with pytest.raises(RollbackError, match="not this run's any more") as lost:
        leases.refresh(state_dir, 1, 60)
    assert TWO in str(lost.value)
    with pytest.raises(RollbackError, match="not this run's any more"):
        leases.release(state_dir, 1)


def test_even_its_own_process_gets_a_new_number_after_expiry(state_dir, clock):
    take(state_dir)
    clock[0] += 61
    assert take(state_dir)["fencing"] == 2


def test_refreshing_extends_and_an_expired_lease_that_nobody_took_is_still_ones_own(state_dir, clock):
    take(state_dir)
    clock[0] += 50
    assert leases.refresh(state_dir, 1, 60)["expires_at"] == clock[0] + 60
    clock[0] += 59
    assert leases.is_held(leases.read(state_dir), clock[0])
    clock[0] += 100
    assert leases.refresh(state_dir, 1, 60)["expires_at"] == clock[0] + 60
    with pytest.raises(RollbackError, match="held by another run"):
        take(state_dir, TWO)


def test_a_dead_holder_is_taken_over_before_expiry_by_his_number_only(state_dir, clock):
    take(state_dir)
    with pytest.raises(RollbackError, match="held by another run"):
        take(state_dir, TWO, dead=2)
    taken = take(state_dir, TWO, dead=1)
    assert (taken["fencing"], taken["acquired_at"]) == (2, clock[0])
    assert [event["event"] for event in events(state_dir)] == ["acquired", "taken over"]
    with pytest.raises(RollbackError, match="not this run's any more"):
        leases.refresh(state_dir, 1, 60)
    with pytest.raises(RollbackError, match="held by another run"):
        take(state_dir, ONE, dead=1)


def test_two_who_know_of_the_same_death_cannot_both_take_over(state_dir):
    take(state_dir)
    take(state_dir, TWO, {"pid": 8}, dead=1)
    with pytest.raises(RollbackError, match=TWO):
        take(state_dir, "20261121T190000Z", {"pid": 9}, dead=1)


def test_a_released_lease_is_free_and_its_number_is_not_given_again(state_dir):
    take(state_dir)
    released = leases.release(state_dir, 1)
    assert not leases.is_held(released, time.time())
    assert leases.release(state_dir, 1) == released, "releasing twice is no error"
    assert take(state_dir, TWO)["fencing"] == 2


def test_a_broken_holder_may_not_go_on(state_dir):
    take(state_dir)
    assert leases.break_by_hand(state_dir, ONE, "bob@controller")["ended"] == "broken"
    for change in (lambda: leases.refresh(state_dir, 1, 60), lambda: leases.release(state_dir, 1)):
        with pytest.raises(RollbackError, match="not this run's any more"):
            change()
    last = events(state_dir)[-1]
    assert (last["event"], last["by"], last["owner"]) == ("broken", "bob@controller", "ana@controller")
    assert take(state_dir, ONE)["fencing"] == 2, "who comes back is a new holder"


@pytest.mark.parametrize("run_id", [TWO, ""])
def test_only_the_named_holder_is_broken(state_dir, run_id):
    take(state_dir)
    with pytest.raises(RollbackError, match="does not hold the lease") as refused:
        leases.break_by_hand(state_dir, run_id, "bob")
    assert ONE in str(refused.value)
    assert leases.refresh(state_dir, 1, 60)["fencing"] == 1


def test_a_lease_that_ended_cannot_be_broken(state_dir, clock):
    with pytest.raises(RollbackError, match="nobody holds it"):
        leases.break_by_hand(state_dir, ONE, "bob")
    take(state_dir)
    clock[0] += 61
    with pytest.raises(RollbackError, match="nobody holds it"):
        leases.break_by_hand(state_dir, ONE, "bob")


def test_nothing_of_a_lease_that_was_never_taken_can_be_refreshed(state_dir):
    with pytest.raises(RollbackError, match="no lease"):
        leases.refresh(state_dir, 0, 60)
    assert leases.read(state_dir) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"fencing": "1"}', "null"])
def test_a_lease_that_cannot_be_read_is_never_taken_for_none(state_dir, text):
    os.makedirs(state_dir)
    path = os.path.join(state_dir, "lease.json")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    with pytest.raises(RollbackError, match="The lease") as refused:
        take(state_dir)
    assert path in str(refused.value)


def test_a_lease_is_on_disk_when_it_is_held(state_dir, durability):
    take(state_dir)
    path = os.path.join(state_dir, "lease.json")
    renamed = [index for index, event in enumerate(durability) if event[0] == "rename" and event[2] == path]
    assert len(renamed) == 1
    assert ("fsync", os.path.join(state_dir, "leases.jsonl")) in durability[: renamed[0]]
    assert ("fsync", state_dir) in durability[renamed[0] :]
