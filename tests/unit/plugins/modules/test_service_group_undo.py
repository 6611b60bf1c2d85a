"""service_group undone by another run: queued jobs change places each time, and no run holds writers then."""

from __future__ import annotations

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import service_group
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

RUN_ID, UNDO, REDO = "20261121T174500Z", "20261121T180000Z", "20261121T183000Z"
KEY, WRITERS = "campaign_queues:default", ["campaign-scheduler.timer"]


class Redis:
    """What the two scripts do to the keys of one server; what they are is proven against a real one in the drill."""

    def __init__(self, state_dir):
        self.keys, self.state_dir, self.seen = {KEY: "jobs of the new release"}, state_dir, []

    def rename(self, source, target):
        if source in self.keys:
            self.keys[target] = self.keys.pop(source)

    def evaluate(self, database, script, count, key=KEY, aside="", other=""):
        assert (database, count, key) == ("3", "1" if aside else "0", KEY)
        self.seen = [Journal(run_id, self.state_dir).steps() for run_id in (RUN_ID, UNDO, REDO)]
        if script == service_group.SET_ASIDE and aside + "mark" not in self.keys:
            self.rename(key, aside + key)
            self.keys[aside + "mark"] = ""
        elif script == service_group.PUT_BACK and aside + "mark" in self.keys:
            self.rename(key, other + key)
            self.rename(aside + key, key)
            del self.keys[aside + "mark"]
            self.keys[other + "mark"] = ""
        return 0, "1\n", ""


@pytest.fixture
def redis(state_dir, monkeypatch):
    found = Redis(state_dir)

    def run_command(_self, argv, **_options):
        if argv[:2] == ["redis-cli", "-n"]:
            return found.evaluate(argv[2], *argv[4:])
        return 0, "[]", ""

    monkeypatch.setattr(AnsibleModule, "run_command", run_command)
    return found


@pytest.fixture
def act(run_module, state_dir):
    """Run service_group for a run, which puts back what another one did if that is given."""

    def run(state, run_id, reverts=None, **options):
        arguments = {"run_id": run_id, "reverts": reverts, "state": state, "state_dir": state_dir, "writers": WRITERS}
        return run_module("service_group", {**arguments, "queue": {"database": 3, "keys": [KEY]}}, **options)

    return run


def states(state_dir):
    """How the changes stand in the journal of each run."""
    return [[step.state for step in Journal(run_id, state_dir).steps()] for run_id in (RUN_ID, UNDO, REDO)]


def test_queued_jobs_come_back_with_an_undo_and_go_again_with_the_undo_of_that(act, redis, state_dir):
    act("switched", RUN_ID)
    assert KEY not in redis.keys
    redis.keys[KEY] = "jobs of the old release"
    act("reverted", UNDO)
    assert redis.keys[KEY] == "jobs of the old release", "that run set nothing aside itself"
    act("reverted", UNDO, RUN_ID)
    assert redis.keys[KEY] == "jobs of the new release"
    assert states(state_dir) == [["undone"], ["done"], []]
    (announced,) = redis.seen[1]
    aside = f"rollback:{RUN_ID}:"
    assert (announced.state, announced.verb) == ("begin", "undo"), "it was announced before a job moved"
    assert announced.undo == {
        "database": 3,
        "keys": [KEY],
        "aside": aside + "undone:",
        "other": aside,
        "reverts": {"run": RUN_ID, "seq": 1},
    }
    act("reverted", UNDO, RUN_ID)
    assert redis.keys[KEY] == "jobs of the new release", "put back twice"
    act("reverted", REDO, UNDO)
    assert redis.keys[KEY] == "jobs of the old release"
    assert states(state_dir) == [["done"], ["undone"], ["done"]]
    act("reverted", RUN_ID)
    assert redis.keys[KEY] == "jobs of the new release"
    assert set(redis.keys) == {KEY, aside + "undone:" + KEY, aside + "undone:mark"}, "no job was lost"


def test_check_mode_moves_no_job(act, redis, untouched):
    act("switched", RUN_ID)
    before = dict(redis.keys)
    with untouched():
        act("reverted", UNDO, RUN_ID, check=True)
    assert redis.keys == before


@pytest.mark.parametrize("reverts", [None, RUN_ID], ids=["by itself", "by another run"])
def test_writers_that_run_again_are_held_by_no_run(act, redis, state_dir, reverts):
    """The undone run was killed while it held them, and the undo held them once more."""
    act("held", RUN_ID)
    own = UNDO if reverts else RUN_ID
    if reverts:
        act("held", own)
    act("resumed", own, reverts)
    journals = [Journal(run_id, state_dir) for run_id in (RUN_ID, UNDO)]
    assert [journal.to_undo("services", "writers") for journal in journals] == [[], []]
    assert [[step.state for step in journal.steps()] for journal in journals] == [
        ["undone"],
        ["undone"] if reverts else [],
    ]
