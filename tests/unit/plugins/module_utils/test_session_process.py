"""Who runs a session, by argument, environment, program or open file: two are refused, that there is none is proven."""

from __future__ import annotations

import contextlib
import os

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import session_process
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.pm2 import Process
from ansible_collections.campaign.rollback.plugins.module_utils.session_process import HOLD, Holder, Service
from ansible_collections.campaign.rollback.plugins.module_utils.session_state import Store
from ansible_collections.campaign.rollback.plugins.module_utils.sessions import COMPONENT

SESSIONS = "/var/lib/whatsapp/sessions"
PROGRAM = "/srv/campaign/current/whatsapp-service/server.js"
NODE, CHROME = "/usr/bin/node", "/opt/chromium/chrome"


@pytest.fixture
def proc(tmp_path):
    """Make processes below a directory that stands for /proc."""

    def make(pid, program=NODE, arguments=(), environment=(), parent=1, cwd="/", state="S", writes=(), reads=()):
        path = tmp_path / "proc" / str(pid)
        (path / "fd").mkdir(parents=True)
        (path / "fdinfo").mkdir()
        (path / "stat").write_text(f"{pid} (no) de) {state} {parent} 0 0\n")
        (path / "cmdline").write_bytes("\0".join([*arguments, ""]).encode())
        (path / "environ").write_bytes("\0".join([*environment, ""]).encode())
        (path / "exe").symlink_to(program)
        (path / "cwd").symlink_to(cwd)
        opened = [(name, "0100002") for name in writes] + [(name, "0100000") for name in reads]
        for number, (name, flags) in enumerate(opened):
            (path / "fd" / str(number)).symlink_to(name)
            (path / "fdinfo" / str(number)).write_text(f"pos:\t0\nflags:\t{flags}\n")

    make(1, program="/sbin/init", parent=0)
    return make


@pytest.fixture
def pids(tmp_path):
    def found(program="", accounts=("sales",), folder="{account}"):
        store = Store(SESSIONS, folder=folder)
        holders = session_process.holders(store, list(accounts), program, root=str(tmp_path / "proc"))
        return {account: [holder.pid for holder in each] for account, each in holders.items()}

    return found


@pytest.mark.parametrize(
    "process",
    [
        {"environment": [f"SESSION_DIR={SESSIONS}"]},
        {"environment": [f"SESSION_DIR={SESSIONS}/"]},
        {"arguments": ["node", "server.js", f"--sessions={SESSIONS}/sales"]},
        {"program": CHROME, "arguments": ["chrome", f"--user-data-dir={SESSIONS}/sales"]},
        {"arguments": [f"node {PROGRAM}"]},
        {"arguments": ["node", "server.js"], "cwd": "/srv/campaign/releases/old/whatsapp-service"},
        {"arguments": ["node", "whatsapp-service/server.js"], "cwd": "/srv/campaign/releases/old"},
        {"program": "/usr/bin/anything", "writes": [f"{SESSIONS}/sales/Default/IndexedDB/LOCK"]},
    ],
)
def test_a_process_that_runs_the_session_is_found(proc, pids, process):
    proc(100, **process)
    assert pids(PROGRAM) == {"sales": [100]}


@pytest.mark.parametrize(
    "process",
    [
        {"arguments": ["node", "/srv/other/server.js"]},
        {"environment": [f"PWD={SESSIONS}/sales", f"OLDPWD={SESSIONS}"]},
        {"environment": [f"SESSION_DIR={SESSIONS}-old", f"OTHER={SESSIONS}/support"]},
        {"environment": [f"OTHER={SESSIONS}/sales-old"]},
        {"program": "/usr/bin/vim", "arguments": ["vim", f"{SESSIONS}/sales/creds.json", PROGRAM]},
        {"program": "/usr/bin/rsync", "reads": [f"{SESSIONS}/sales/creds.json"]},
        {"arguments": ["PM2 v7: God Daemon (/home/whatsapp/.pm2)"], "environment": [f"SESSION_DIR={SESSIONS}"]},
        {"arguments": [f"node {PROGRAM}"], "state": "Z"},
    ],
)
def test_a_process_that_does_not_is_left_out(proc, pids, process):
    proc(100, **process)
    assert pids(PROGRAM) == {"sales": []}


def test_what_a_holder_started_is_part_of_it(proc, pids):
    proc(100, arguments=[f"node {PROGRAM}"])
    proc(101, program="/bin/sh", parent=100)
    proc(102, program=CHROME, parent=101, arguments=["chrome", f"--user-data-dir={SESSIONS}/session-sales"])
    proc(200, program=CHROME, arguments=["chrome", f"--user-data-dir={SESSIONS}/session-sales"])
    found = pids(PROGRAM, accounts=["sales", "support"], folder="session-{account}")
    assert found == {"sales": [100, 200], "support": [100]}


def test_two_under_the_daemon_are_two(proc, pids):
    proc(50, arguments=["PM2 v7: God Daemon (/home/whatsapp/.pm2)"], environment=[f"SESSION_DIR={SESSIONS}"])
    proc(100, parent=50, arguments=[f"node {PROGRAM}"])
    proc(101, parent=50, arguments=[f"node {PROGRAM}"])
    assert pids(PROGRAM) == {"sales": [100, 101]}


def test_who_asks_and_what_it_was_started_by_do_not_count(proc, pids):
    proc(os.getpid(), parent=90, arguments=["node", PROGRAM])
    proc(90, arguments=["node", PROGRAM])
    assert pids(PROGRAM) == {"sales": []}


def test_real_processes_can_be_read():
    assert all(isinstance(process.pid, int) for process in session_process.read_all())


class Daemon:
    """pm2 with one process, whose holder goes with it."""

    def __init__(self, status="online", others=0):
        self.calls = []
        self.process = Process("whatsapp-service", 100, status, "/", 0) if status else None
        self.others = [Holder(200 + number, "node") for number in range(others)]

    def look(self):
        own = [Holder(100, "node")] if self.process and not self.process.at_rest else []
        return {"sales": own + self.others}

    def find(self, _name):
        return self.process

    def forget(self, name):
        self.calls.append(f"forget {name}")
        self.process = None

    def start(self, name, ecosystem):
        self.calls.append(f"start {name} {ecosystem}")
        self.process = Process(name, 101, "online", "/", 0)

    def save(self, home):
        self.calls.append(f"save {home}")


START = ["start whatsapp-service /srv/eco.config.js", "save /home/whatsapp/.pm2"]


def service(daemon, under_pm2=True):
    pm2 = daemon if under_pm2 else None
    return Service(daemon.look, pm2, "whatsapp-service", "/home/whatsapp/.pm2", "/srv/eco.config.js", wait_s=0.1)


def test_nobody_runs_it_in_the_body_and_it_runs_again_after(journal):
    daemon = Daemon()
    with service(daemon).stopped([journal]):
        assert daemon.look() == {"sales": []}
        assert daemon.calls == ["forget whatsapp-service"]
        assert [step.state for step in journal.to_undo(COMPONENT, HOLD)] == ["done"]
    assert daemon.calls[1:] == START
    assert journal.to_undo(COMPONENT) == []


def test_it_runs_again_although_the_body_failed(journal):
    daemon = Daemon()
    with pytest.raises(OSError, match="full"), service(daemon).stopped([journal]):
        raise OSError("disk is full")
    assert daemon.calls[1:] == START


@pytest.mark.parametrize("status", ["stopped", "errored", None])
def test_what_did_not_run_is_not_started(journal, status):
    daemon = Daemon(status)
    with service(daemon).stopped([journal]):
        pass
    assert daemon.calls == []
    assert journal.steps() == []


def test_what_a_killed_run_stopped_is_started_by_the_next_one(journal):
    daemon = Daemon()
    with contextlib.suppress(KeyboardInterrupt), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Service, "_start_again", lambda *_arguments: None)
        with service(daemon).stopped([journal]):
            raise KeyboardInterrupt
    assert daemon.look() == {"sales": []}
    with service(daemon).stopped([journal]):
        pass
    assert daemon.calls[1:] == START
    assert journal.to_undo(COMPONENT) == []


@pytest.mark.parametrize("under_pm2", [True, False])
def test_two_are_refused_before_either_is_stopped(journal, under_pm2):
    daemon = Daemon(others=1)
    with (
        pytest.raises(RollbackError, match=r"process 100 \(node\), process 200"),
        service(daemon, under_pm2).stopped([journal]),
    ):
        pytest.fail("the body ran")
    assert daemon.calls == []


@pytest.mark.parametrize("status", ["stopped", None])
def test_one_that_is_not_of_pm2_keeps_the_folder_from_being_touched(journal, status):
    daemon = Daemon(status, others=1)
    with pytest.raises(RollbackError, match="still runs"), service(daemon).stopped([journal]):
        pytest.fail("the body ran")
    assert daemon.calls == []


def test_a_restart_starts_afresh():
    daemon = Daemon("errored")
    assert service(daemon).restart() == ""
    assert daemon.calls == ["forget whatsapp-service", *START]


def test_a_second_live_copy_is_never_started():
    daemon = Daemon("errored", others=1)
    with pytest.raises(RollbackError, match="still runs"):
        service(daemon).restart()
    assert daemon.calls == ["forget whatsapp-service"]
    daemon = Daemon(others=1)
    with pytest.raises(RollbackError, match="Two processes"):
        service(daemon).restart()
    assert daemon.calls == []


def test_without_pm2_nothing_can_be_restarted():
    assert "not under pm2" in service(Daemon(), under_pm2=False).restart()
