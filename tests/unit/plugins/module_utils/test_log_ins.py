"""Log-ins: set aside under a name of the run, on record before, and brought back whoever asks."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import log_ins
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

RUN_ID, UNDO = "20261121T174500Z", "20261121T180000Z"


class Store:
    """A store in memory that can be killed between what it is asked."""

    def __init__(self, journal):
        self.live, self.kept, self.journal, self.announced = {"a", "b"}, {}, journal, []

    def aside(self, run_id):
        return f"aside:{run_id}"

    def end(self, aside):
        self.announced += [(step.state, step.undo) for step in self.journal.steps()]
        self.kept[aside], self.live = self.kept.get(aside, set()) | self.live, set()
        return len(self.kept[aside])

    def bring_back(self, aside):
        self.live |= self.kept.pop(aside, set())
        return len(self.live)


@pytest.fixture
def store(journal):
    return Store(journal)


def test_they_are_on_record_before_they_end(journal, store):
    assert log_ins.end(journal, store) == 2
    assert store.announced == [("begin", {"aside": f"aside:{RUN_ID}"})]
    assert store.live == set()


@pytest.mark.parametrize("by", [RUN_ID, UNDO])
def test_they_come_back(journal, store, state_dir, by):
    log_ins.end(journal, store)
    store.live.add("c")
    assert log_ins.bring_back(journal, Journal(by, state_dir), store) == 3
    assert store.live == {"a", "b", "c"}, "who logged in since stays"
    assert [step.state for step in journal.steps()] == ["undone"]
    assert log_ins.bring_back(journal, Journal(by, state_dir), store) == 0


def test_a_run_that_was_killed_while_it_ended_them_can_be_taken_back(journal, store, monkeypatch):
    def killed(aside):
        Store.end(store, aside)
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "end", killed)
    with pytest.raises(KeyboardInterrupt):
        log_ins.end(journal, store)
    log_ins.bring_back(journal, journal, store)
    assert store.live == {"a", "b"}
