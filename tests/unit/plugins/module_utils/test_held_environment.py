"""Processes that hold a replaced environment, real ones: by what they were started with, and by when."""

from __future__ import annotations

import os
import pathlib
import subprocess
import time

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import held_environment
from ansible_collections.campaign.rollback.plugins.module_utils.held_environment import Running, held

OLD, NEW = 'TOKEN="wrong \\"one\\""\nPORT=3000\nGONE=1\nSAME=yes # always\n', "TOKEN=right\nPORT=3000\nSAME=yes\n"


@pytest.fixture
def start():
    """Start a process with an environment, and know that it runs with it."""
    running = []

    def begin(**environment):
        process = subprocess.Popen(["sleep", "60"], env={"PATH": os.defpath, **environment})
        running.append(process)
        while not pathlib.Path(f"/proc/{process.pid}/cmdline").read_text().startswith("sleep"):
            pass
        return process.pid

    yield begin
    for process in running:
        process.kill()
        process.wait()


def found(pid, olds=(OLD,), changed_at=None, reads_once=True):
    return held([Running("worker", pid, reads_once)], olds, NEW, changed_at)


@pytest.mark.parametrize(
    ("environment", "keys"),
    [
        ({"TOKEN": 'wrong "one"'}, ["TOKEN"]),
        ({"TOKEN": "right"}, []),
        ({"TOKEN": "another, set by the unit"}, []),
        ({"GONE": "1"}, ["GONE"]),
        ({"GONE": "1", "TOKEN": 'wrong "one"', "PORT": "3000", "SAME": "yes"}, ["GONE", "TOKEN"]),
        ({}, []),
    ],
)
def test_old_values_are_found_in_what_a_process_was_started_with(start, environment, keys):
    answer = found(start(**environment))
    assert [entry["keys"] for entry in answer] == ([keys] if keys else [])
    assert "wrong" not in str(answer), "keys are told, values are not"


def test_every_replaced_text_counts(start):
    assert found(start(TOKEN="older"), olds=(OLD, "TOKEN=older")) != []


def test_a_process_that_reads_once_and_is_older_than_the_file_holds_what_was_replaced(start):
    pid = start()
    now = time.time()
    assert found(pid, changed_at=now + 5)[0]["why"] == "was started before the file changed"
    assert found(pid, changed_at=now - 5) == []
    assert found(pid, changed_at=now + 5, reads_once=False) == []
    assert found(pid, changed_at=None) == []


def test_who_does_not_run_holds_nothing(start):
    assert found(0, changed_at=time.time()) == []
    assert found(2**22 + 1, changed_at=time.time()) == []


def test_the_start_of_a_process_is_known(start):
    assert abs(held_environment.started(start()) - time.time()) < 3
