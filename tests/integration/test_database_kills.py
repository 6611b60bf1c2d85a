"""A swap, its undo and the undo of that, stopped before every change; what comes next leads to all old or all new."""

from __future__ import annotations

import os
import signal

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import is_swapped, revert, swap
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from furniture import LIVE, REQUEST, clear, furnish, seen
from points import die, stopped


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


#: What was done before, what is stopped, what comes next.
HISTORIES = [
    ((), "swap", "swap"),
    ((), "swap", "take back"),
    ((), "swap", "undo"),
    (("swap",), "take back", "take back"),
    (("swap",), "undo", "undo"),
    (("swap",), "undo", "undo the undo"),
    (("swap", "undo"), "undo the undo", "undo the undo"),
]


def differing(found, wanted):
    return {name: (found[name], wanted[name]) for name in wanted if found[name] != wanted[name]}


@pytest.mark.parametrize(("before", "what", "then"), HISTORIES)
def test_killed_before_every_change(server, db, tmp_path, expected, before, what, then):
    number, status = 0, 9
    while status == 9:
        number += 1
        stage = Stage(server, db, str(tmp_path / str(number)))
        for word in before:
            stage.act(word)
        status = stopped(server, number, die, lambda own, stage=stage: stage.act(what, own))
        stage.act(then)
        assert differing(seen(db), expected[then]) == {}, number
        assert stage.unsettled() == [], number
    assert status == 0
    assert number > 20


@pytest.mark.parametrize(("before", "what", "then"), [HISTORIES[0], HISTORIES[2], HISTORIES[5]])
def test_the_server_killed_before_every_change(server, tmp_path, expected, before, what, then):
    def kill():
        os.kill(server.process.pid, signal.SIGKILL)

    number, status = 0, 3
    while status == 3:
        number += 1
        with server.connect() as db:
            stage = Stage(server, db, str(tmp_path / str(number)))
            for word in before:
                stage.act(word)
        status = stopped(server, number, kill, lambda own, stage=stage: stage.act(what, own))
        if server.process.poll() is not None or status == 3:
            server.process.wait()
            server.start()
        with server.connect() as db:
            stage.act(then, db)
            assert differing(seen(db), expected[then]) == {}, number
            assert stage.unsettled() == [], number
    assert number > 20


@pytest.mark.parametrize("what", ["swap", "undo"])
def test_an_error_at_every_change_leaves_all_old_or_all_new_at_once(server, db, tmp_path, expected, what):
    def refuse():
        raise RollbackError("injected")

    number, status = 0, 3
    while status == 3:
        number += 1
        stage = Stage(server, db, str(tmp_path / str(number)))
        if what == "undo":
            stage.act("swap")
        status = stopped(server, number, refuse, lambda own, stage=stage: stage.act(what, own))
        found = seen(db)
        swapped = [step for step in stage.runs[0].steps() if step.name == "swap" and is_swapped(db, step)]
        assert differing(found, expected["swap" if swapped else "undo"]) == {}, number
        stage.act(what)
        assert differing(seen(db), expected[what]) == {}, number
    assert number > 20
