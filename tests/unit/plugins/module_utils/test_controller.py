"""Which process a run is: the same for all of its workers, and never mistaken for another one or for a dead one."""

from __future__ import annotations

import multiprocessing
import os
import subprocess

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import controller

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def child(tmp_path):
    """A process that lives until its input is closed, under a name that looks like the end of one."""
    program = tmp_path / ") Z 1 (x"
    program.write_text("#!/bin/sh\necho ready\nread line\n")
    program.chmod(0o755)
    with subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        yield process


def of(process):
    """Identity of another process of this controller."""
    return {**controller.place(), "pid": process.pid, "started": controller.started(process.pid)}


def ended(process):
    """End a process and wait until it has, without taking its exit status from whoever started it."""
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def test_an_identity_says_which_process_of_which_boot_of_which_host():
    found = controller.identity()
    assert sorted(found) == ["boot", "host", "namespace", "pid", "started"]
    assert all(found.values())
    assert (found["pid"], found["host"]) == (os.getpid(), os.uname().nodename)
    assert found["namespace"] == os.readlink("/proc/self/ns/pid")
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as stream:
        assert found["boot"] == stream.read().strip()


def ask(answers):
    answers.put((os.getpid(), controller.identity()))


def test_a_worker_is_its_parent():
    """Lookups run in a worker of ansible-playbook, which ends with its task."""
    answers = FORK.Queue()
    worker = FORK.Process(target=ask, args=(answers,))
    worker.start()
    pid, found = answers.get(timeout=60)
    worker.join(60)
    assert pid != os.getpid()
    assert found == controller.identity()


def test_when_a_process_started_is_read_behind_its_name_whatever_that_is(child):
    with open(f"/proc/{child.pid}/stat", encoding="utf-8") as stream:
        behind = stream.read().split("() Z 1 (x) ")[1].split()
    # Fields are counted from 1 in proc(5); the third is the first one behind the name.
    assert controller.started(child.pid) == behind[22 - 3]
    assert int(controller.started(child.pid)) >= int(controller.started(os.getpid()))


def test_a_process_is_gone_when_it_has_ended(child):
    process = of(child)
    assert controller.is_gone(process) is False
    ended(child)
    assert controller.started(child.pid) == ""
    assert controller.is_gone(process) is True, "it waits for its parent only"
    child.wait(60)
    assert controller.is_gone(process) is True


def test_a_process_that_runs_is_not_gone():
    assert controller.is_gone(controller.identity()) is False


def test_a_number_that_was_given_again_is_another_process():
    me = controller.identity()
    assert controller.is_gone({**me, "started": str(int(me["started"]) - 1)}) is True


@pytest.fixture
def dead(child):
    """Identity of a process that has ended."""
    process = of(child)
    ended(child)
    child.wait(60)
    return process


def test_of_another_host_nothing_is_known(dead):
    assert controller.is_gone({**dead, "host": "elsewhere"}) is False
    assert controller.is_gone({**dead, "host": "elsewhere", "boot": "another", "namespace": "pid:[1]"}) is False


def test_nothing_of_an_earlier_boot_is_left():
    me = controller.identity()
    assert controller.is_gone({**me, "boot": "another"}) is True
    assert controller.is_gone({**me, "boot": "another", "namespace": "pid:[1]"}) is True


def test_numbers_of_another_namespace_mean_nothing_here(dead):
    assert controller.is_gone({**dead, "namespace": "pid:[1]"}) is False


def test_of_no_process_nothing_is_known():
    assert controller.is_gone({}) is False


def test_without_proc_there_is_no_identity_and_nobody_is_gone(dead, monkeypatch):
    me = controller.identity()

    def missing(path, *_arguments, **_options):
        raise FileNotFoundError(2, "No such file or directory", path)

    monkeypatch.setattr(controller, "open", missing, raising=False)
    assert controller.identity() == {}
    for process in (me, dead, {**dead, "boot": "another"}, {}):
        assert controller.is_gone(process) is False


def test_a_proc_without_namespaces_is_none(dead, monkeypatch):
    def missing(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "readlink", missing)
    assert controller.identity() == {}
    assert controller.is_gone(dead) is False
