"""A swap, its undo and the undo of that, stopped before a change; what comes next leads to all old or all new."""

from __future__ import annotations

import os
import pathlib
import signal

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import is_swapped, revert, swap
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from furniture import LIVE, REQUEST, clear, furnish, seen
from stopping import die, stopped


class Stage:
    """Schemas furnished anew, and the journals of a rollback, of its undo and of the undo of that."""

    def __init__(self, server, db, state_dir):
        furnish(server)
        self.db = db
        self.runs = [Journal(f"20261121T18000{second}Z", state_dir) for second in range(3)]

    def act(self, what, db=None):
        """Carry out one word of a history."""
        first, second, third = self.runs
        return {
            "swap": lambda own: swap(own, first, REQUEST),
            "take back": lambda own: revert(own, first, first, LIVE, 30, 5, freeze_s=60),
            "undo": lambda own: revert(own, first, second, LIVE, 30, 5, freeze_s=60),
            "undo the undo": lambda own: revert(own, second, third, LIVE, 30, 5, freeze_s=60),
        }[what](db or self.db)

    def unsettled(self):
        return [step for run in self.runs for step in run.to_undo("database", "objects")]


@pytest.fixture(scope="module")
def expected(server, tmp_path_factory):
    """What all old and all new look like, from histories that nobody disturbs."""
    with server.connect() as db:
        stage = Stage(server, db, str(tmp_path_factory.mktemp("undisturbed")))
        old = seen(db)
        stage.act("swap")
        new = seen(db)
    assert old != new
    return {"swap": new, "take back": old, "undo": old, "undo the undo": new}


@pytest.fixture(autouse=True)
def cleared(server):
    yield
    clear(server)


#: Of this many points one is tried; where each test begins, every point of MariaDB's has its turn in one of them.
EVERY = {"mariadb": 4, "mysql": 8}
#: First point, and what is stopped there and what comes next, one after the other on the same schemas.
HISTORIES = [
    (1, [("swap", "swap"), ("undo", "undo"), ("undo the undo", "undo the undo")]),
    (2, [("swap", "take back")]),
    (3, [("swap", "undo")]),
    (4, [("swap", "swap"), ("take back", "take back")]),
    (2, [("swap", "swap"), ("undo", "undo the undo")]),
]
SERVER_HISTORIES = [(5, [("swap", "swap"), ("undo", "undo the undo")]), (7, [("swap", "undo")])]


def differing(found, wanted):
    return {name: (found[name], wanted[name]) for name in wanted if found[name] != wanted[name]}


@pytest.mark.parametrize(("number", "history"), HISTORIES)
def test_killed_before_some_change(server, db, tmp_path, expected, number, history):
    statuses = {9}
    while 9 in statuses:
        stage, statuses = Stage(server, db, str(tmp_path / str(number))), set()
        for what, then in history:
            statuses.add(stopped(server, number, die, lambda own, stage=stage, what=what: stage.act(what, own)))
            stage.act(then)
            assert differing(seen(db), expected[then]) == {}, (number, what)
            assert stage.unsettled() == [], (number, what)
        number += EVERY[server.engine]
    assert statuses == {0}
    assert number > 30


@pytest.mark.parametrize(("number", "history"), SERVER_HISTORIES)
def test_the_server_killed_before_some_change(server, tmp_path, expected, number, history):
    def dead():
        # Nobody has waited for it yet, so it is still listed.
        stat = pathlib.Path(f"/proc/{server.process.pid}/stat")
        return stat.read_text().rpartition(") ")[2][0] == "Z"

    def kill():
        os.kill(server.process.pid, signal.SIGKILL)
        while not dead():
            continue

    killed = True
    while killed:
        killed = False
        with server.connect() as db:
            stage = Stage(server, db, str(tmp_path / str(number)))
        for what, then in history:
            stopped(server, number, kill, lambda own, stage=stage, what=what: stage.act(what, own))
            # Killed after the last change it is not missed by whoever was at work.
            if dead():
                killed = True
                server.process.wait()
                server.start()
            with server.connect() as db:
                stage.act(then, db)
                assert differing(seen(db), expected[then]) == {}, (number, what)
                assert stage.unsettled() == [], (number, what)
        number += EVERY[server.engine]
    assert number > 30


def test_an_error_at_some_change_leaves_all_old_or_all_new_at_once(server, db, tmp_path, expected):
    def refuse():
        raise RollbackError("injected")

    number, statuses = 3, {3}
    while 3 in statuses:
        stage, statuses = Stage(server, db, str(tmp_path / str(number))), set()
        for what in ("swap", "undo"):
            statuses.add(stopped(server, number, refuse, lambda own, stage=stage, what=what: stage.act(what, own)))
            found = seen(db)
            swapped = [step for step in stage.runs[0].steps() if step.name == "swap" and is_swapped(db, step)]
            assert differing(found, expected["swap" if swapped else "undo"]) == {}, (number, what)
            stage.act(what)
            assert differing(seen(db), expected[what]) == {}, (number, what)
        number += EVERY[server.engine]
    assert number > 30
