"""A change in another process holds an announcement up, and a stale number changes nothing."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import subprocess
import time
import types

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import fences
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import write_atomically

FORK = multiprocessing.get_context("fork")


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


def waits_for_lock(path):
    """Whether the kernel lists somebody who waits for a lock on this file."""
    inode = os.stat(path).st_ino
    with open("/proc/locks", encoding="utf-8") as stream:
        return any("->" in line and f":{inode} " in line for line in stream)


def change(results, started, go_on, state_dir, fencing):
    """A module that changes the host until it is told to go on; reports the host's number at its end."""
    try:
        with fences.acting(state_dir, fencing):
            started.set()
            assert go_on.wait(60)
            results.put(("changed", fences.number(state_dir)))
    except RollbackError as error:
        results.put(("refused", str(error)))


def change_when(gate, *arguments):
    """``change``, in a process that was forked before its parent took the lock, which a fork would share."""
    assert gate.wait(60)
    change(*arguments)


def announce(results, waiting, state_dir, fencing):
    """A new holder; ``waiting`` is set once it has found that it has to wait."""

    def sleep(seconds):
        waiting.set()
        # The code under test waits for as long as it says.
        time.sleep(seconds)

    fences.time = types.SimpleNamespace(monotonic=time.monotonic, sleep=sleep)
    results.put(("announced", fences.announce(state_dir, fencing, 60)))


@pytest.fixture
def start():
    """Start a process; all are ended with the test."""
    started = []

    def start_process(target, *arguments):
        process = FORK.Process(target=target, args=arguments, daemon=True)
        process.start()
        started.append(process)
        return process

    yield start_process
    for process in started:
        process.kill()
        process.join(60)


@pytest.fixture
def acting(state_dir, start):
    """A change under way in another process."""
    found = types.SimpleNamespace(results=FORK.Queue(), started=FORK.Event(), go_on=FORK.Event())
    found.process = start(change, found.results, found.started, found.go_on, state_dir, 4)
    assert found.started.wait(60)
    return found


def test_an_announcement_waits_for_a_change_under_way(state_dir, acting, start):
    waiting, results = FORK.Event(), FORK.Queue()
    start(announce, results, waiting, state_dir, 5)
    until(lambda: waiting.is_set() or not results.empty())
    assert fences.number(state_dir) == 0
    assert results.empty()
    acting.go_on.set()
    assert acting.results.get(timeout=60) == ("changed", 0), "the new holder did not wait for the end of the change"
    assert results.get(timeout=60) == ("announced", True)
    assert fences.number(state_dir) == 5


def test_a_change_that_does_not_end_is_told(state_dir, acting):
    with pytest.raises(RollbackError, match="still under way"):
        fences.announce(state_dir, 5, 0)
    assert fences.number(state_dir) == 0


def test_the_same_number_waits_too(state_dir, acting):
    """A resume by the holder itself meets what its killed controller left running."""
    with pytest.raises(RollbackError, match="still under way"):
        fences.announce(state_dir, 0, 0)


def test_a_killed_change_holds_nobody_up(state_dir, acting):
    acting.process.kill()
    acting.process.join(60)
    assert fences.announce(state_dir, 5, 0) is True


def test_changes_do_not_exclude_each_other(state_dir, acting, start):
    started = FORK.Event()
    start(change, acting.results, started, acting.go_on, state_dir, 4)
    until(lambda: started.is_set() or waits_for_lock(os.path.join(state_dir, "fence.lock")))
    assert started.is_set(), "the second change waits for the first one"
    acting.go_on.set()
    assert [acting.results.get(timeout=60) for _change in range(2)] == [("changed", 0)] * 2


def test_a_daemon_started_by_a_change_holds_nobody_up(state_dir):
    with fences.acting(state_dir, 1):
        daemon = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    try:
        assert fences.announce(state_dir, 2, 0) is True
        assert daemon.poll() is None
    finally:
        daemon.communicate()


def test_a_change_that_raises_holds_nobody_up(state_dir):
    with pytest.raises(KeyboardInterrupt), fences.acting(state_dir, 1):
        raise KeyboardInterrupt
    assert fences.announce(state_dir, 2, 0) is True


def test_a_stale_number_is_refused_before_anything_happens(state_dir):
    fences.announce(state_dir, 5, 0)
    for stale in (0, 4):
        changed = []
        with pytest.raises(RollbackError, match=f"lease number {stale}, the newest is 5"):  # noqa: SIM117
            with fences.acting(state_dir, stale):
                changed.append(stale)
        assert changed == []
    for current in (5, 6):
        with fences.acting(state_dir, current):
            changed.append(current)
    assert changed == [5, 6]
    assert fences.number(state_dir) == 5, "only an announcement makes a number known"


def test_who_waited_while_a_newer_number_was_announced_is_refused(state_dir, start):
    """The number is looked at once the lock is there, not before."""
    results, started, go_on = FORK.Queue(), FORK.Event(), FORK.Event()
    go_on.set()
    gate = FORK.Event()
    start(change_when, gate, results, started, go_on, state_dir, 4)
    with fences.locked(state_dir, fcntl.LOCK_EX):
        gate.set()
        until(lambda: waits_for_lock(os.path.join(state_dir, "fence.lock")) or started.is_set())
        write_atomically(os.path.join(state_dir, "fence.json"), json.dumps({"number": 5}).encode())
    kind, text = results.get(timeout=60)
    assert kind == "refused"
    assert "the newest is 5" in text


def test_a_number_only_grows(state_dir):
    assert fences.number(state_dir) == 0
    assert fences.announce(state_dir, 5, 0) is True
    assert fences.announce(state_dir, 5, 0) is False
    with pytest.raises(RollbackError, match="lease number 4, the newest is 5"):
        fences.announce(state_dir, 4, 0)
    assert fences.number(state_dir) == 5


def test_a_number_is_on_disk_when_it_is_announced(state_dir, durability):
    fences.announce(state_dir, 5, 0)
    path = os.path.join(state_dir, "fence.json")
    renamed = [index for index, event in enumerate(durability) if event[0] == "rename" and event[2] == path]
    assert len(renamed) == 1
    assert ("fsync", state_dir) in durability[renamed[0] :]


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "null"])
def test_a_fence_that_cannot_be_read_lets_nobody_pass(state_dir, text):
    os.makedirs(state_dir)
    with open(os.path.join(state_dir, "fence.json"), "w", encoding="utf-8") as stream:
        stream.write(text)
    for attempt in (lambda: fences.acting(state_dir, 9).__enter__(), lambda: fences.announce(state_dir, 9, 0)):
        with pytest.raises(RollbackError, match="cannot be read"):
            attempt()
