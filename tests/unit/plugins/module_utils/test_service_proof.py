"""What proves that a service took over: processes of its own kind, told apart from those that had the number before."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import service_group
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.processes import (
    Identity,
    arguments_of,
    children,
    environment_of,
    identify,
)
from ansible_collections.campaign.rollback.plugins.module_utils.service_proof import (
    Snapshot,
    matching,
    missing_proof,
    missing_start,
    wait_for,
)

FPM = Identity(10, 100, image=1, command="php-fpm8.2")
FPM_AGAIN = Identity(10, 100, image=2, command="php-fpm8.2")
NGINX = Identity(20, 100, image=1, command="nginx")
OLD, OTHER_OLD, NEW = (Identity(number, number) for number in (11, 12, 13))
#: The kernel gave the number of an old worker to something new.
REUSED = Identity(11, 900)


def snapshot(main, *workers):
    return Snapshot(main, frozenset(workers))


@pytest.mark.parametrize(
    ("before", "after", "missing"),
    [
        (snapshot(FPM, OLD, OTHER_OLD), snapshot(FPM_AGAIN, NEW), ""),
        (snapshot(FPM, OLD, OTHER_OLD), snapshot(FPM_AGAIN, NEW, OLD), "1 of its 2 old workers still run"),
        (snapshot(FPM, OLD), snapshot(FPM, OLD), "1 of its 1 old workers still run"),
        (snapshot(FPM, OLD), snapshot(FPM_AGAIN, REUSED), ""),
        # A pool on demand, or between its old workers and its new ones.
        (snapshot(FPM), snapshot(FPM), "its main process was not replaced"),
        (snapshot(FPM, OLD), snapshot(FPM), "its main process was not replaced"),
        (snapshot(FPM), snapshot(FPM_AGAIN), ""),
        # A worker that ends a connection is no reason to wait.
        (snapshot(NGINX, OLD), snapshot(NGINX, OLD, NEW), ""),
        (snapshot(NGINX, OLD), snapshot(NGINX, OLD), "it started no new worker"),
        (snapshot(NGINX), snapshot(NGINX), ""),
        # It was restarted, or did not run.
        (snapshot(FPM, OLD), snapshot(Identity(30, 900, command="php-fpm8.2")), ""),
        (snapshot(None), snapshot(FPM), ""),
        (snapshot(FPM, OLD), snapshot(None), "its main process does not run"),
    ],
)
def test_a_reload_is_over_when_old_code_is_gone(before, after, missing):
    assert missing_proof(before, after) == missing


@pytest.fixture
def process(tmp_path):
    """Start a program of Python; all are killed at the end."""
    started = []

    def start(program, **options):
        argv = [sys.executable, "-c", program, f"artisan-queue-work-{tmp_path.name}"]
        started.append(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, **options))
        assert started[-1].stdout.readline() == "ready\n"
        return started[-1]

    yield start
    for child in started:
        child.kill()
        child.wait()
        child.stdout.close()


def test_a_program_that_replaces_itself_has_another_image(process):
    again = "import sys; print('ready', flush=True); sys.stdin.read()"
    first = (
        "import os, sys; print('ready', flush=True); sys.stdin.readline();"
        f" os.execv(sys.executable, ['python', '-c', {again!r}])"
    )
    child = process(first, stdin=subprocess.PIPE)
    before = identify(child.pid)
    child.stdin.write("\n")
    child.stdin.flush()
    assert child.stdout.readline() == "ready\n"
    after = identify(child.pid)
    assert (before.pid, before.started) == (after.pid, after.started)
    assert before.image != after.image
    child.stdin.close()


def test_what_a_process_is_started_with_is_read(process, tmp_path):
    program = "import sys, time; print('ready', flush=True); time.sleep(60)"
    child = process(program, env={"TOKEN": "a=b", "EMPTY": ""}, cwd=tmp_path)
    found = environment_of(child.pid)
    assert (found["TOKEN"], found["EMPTY"]) == ("a=b", "")
    assert identify(child.pid) in children(os.getpid())
    assert "artisan-queue-work" in arguments_of(child.pid)
    assert list(matching(f"artisan-queue-work-{tmp_path.name}").values()) == [str(tmp_path)]
    assert missing_start(child.pid, str(tmp_path), []) == ""
    held = [identify(child.pid).pid, identify(child.pid).started]
    assert missing_start(child.pid, str(tmp_path), [held]) == f"it is still process {child.pid}"
    assert missing_start(child.pid, "/srv/new", []) == f"process {child.pid} runs in {tmp_path}"


def test_nothing_is_known_of_what_does_not_run():
    assert identify(0) is None
    assert (arguments_of(0), environment_of(0)) == ("", {})
    assert missing_start(0, "/", []) == "it does not run"


def test_a_proof_that_does_not_come_names_what_is_missing():
    with pytest.raises(
        RollbackError, match=r"Left\. Found: after 0 s one worker\. Look at: here\. Next: look"
    ) as error:
        wait_for(lambda: "one worker", "Left", "here", 0, "look")
    assert error.value.where == "here"


#: A queue worker as Laravel's: it reads the mark when it begins, works, and ends when the mark is another.
WORKER = """
import pathlib, sys, time
mark = pathlib.Path(sys.argv[1].rpartition(':')[2])
began = mark.read_text()
while mark.read_text() == began:
    time.sleep(0.01)
"""
#: Keeps one worker in the directory that is live when it starts it.
SUPERVISOR = """
import os, subprocess, sys
while True:
    subprocess.run([sys.executable, '-c', os.environ['WORKER'], os.environ['PATTERN']], cwd=os.environ['LIVE'])
"""


@pytest.fixture
def supervised(tmp_path):
    """Mark, live link and pattern of a supervised worker that runs the old release."""
    mark, live = tmp_path / "mark", tmp_path / "current"
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    live.symlink_to("old")
    mark.write_text("0")
    pattern = f"queue-worker:{mark}"
    environment = {"WORKER": WORKER, "PATTERN": pattern, "LIVE": str(live)}
    # In a group of its own, so that both can be ended at once.
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR], env=environment, start_new_session=True)
    wait_for(lambda: "" if matching(pattern) else "no worker", "No worker", "", 30, "")
    yield mark, live, pattern
    os.killpg(supervisor.pid, 9)
    supervisor.wait()


def workers(pattern):
    return service_group.Workers(pattern, "app", "php", 30)


@pytest.fixture(autouse=True)
def ask_again_soon(monkeypatch):
    monkeypatch.setattr(service_group, "ASK_AGAIN_S", 0.2)


def switch(live):
    (live.parent / "next").symlink_to("new")
    (live.parent / "next").rename(live)


def test_queue_workers_are_new_ones_in_the_live_release(supervised):
    mark, live, pattern = supervised
    before = set(matching(pattern))
    switch(live)

    def run(argv):
        assert argv == ["runuser", "-u", "app", "--", "php", f"{live}/artisan", "queue:restart", "--no-interaction"]
        mark.write_text(mark.read_text() + "1")
        return 0, "", ""

    started = service_group.restart_workers(run, workers(pattern), str(live))
    assert started
    assert not before & set(matching(pattern))
    assert set(matching(pattern).values()) == {str(live.parent / "new")}


def test_a_worker_that_took_the_mark_for_its_own_is_asked_again(supervised):
    """The race: the mark was there when the worker began to look, so it sees no change and runs on with old code."""
    mark, live, pattern = supervised
    switch(live)
    asked = []

    def run(_argv):
        asked.append(True)
        if len(asked) > 1:
            mark.write_text(mark.read_text() + "1")
        return 0, "", ""

    assert service_group.restart_workers(run, workers(pattern), str(live))
    assert len(asked) > 1


def test_a_worker_that_missed_the_mark_is_found(supervised):
    """Nobody supervises it, or its cache is another one than the application's."""
    _mark, live, pattern = supervised
    switch(live)
    stubborn = service_group.Workers(pattern, "app", "php", 0.1)
    with pytest.raises(RollbackError, match=r"Queue workers do not run the live code\. Found: after 0 s still run: "):
        service_group.restart_workers(lambda _argv: (0, "", ""), stubborn, str(live))


def test_a_worker_that_was_started_again_before_the_switch_is_found(supervised):
    """Another process than before proves nothing if it runs the old code."""
    mark, live, pattern = supervised
    (live.parent / "current2").symlink_to("new")
    elsewhere = service_group.Workers(pattern, "app", "php", 2)

    def run(_argv):
        mark.write_text(mark.read_text() + "1")
        return 0, "", ""

    with pytest.raises(RollbackError, match=r"workers run in .*/old"):
        service_group.restart_workers(run, elsewhere, str(live.parent / "current2"))
