"""Queued jobs are set aside only after the journal says so, and come back once."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import service_group
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

UNDO, REDO = "20261121T180000Z", "20261121T183000Z"
KEYS = ["campaign_queues:default", "campaign_queues:default:reserved"]


@pytest.fixture
def redis():
    """A runner that records what would run and answers like redis-cli."""

    def run(argv):
        run.calls.append(argv)
        return run.answer

    run.calls, run.answer = [], (0, "2\n", "")
    return run


def test_the_journal_knows_before_the_first_job_moves(journal, redis):
    seen = []

    def run(argv):
        seen.append(journal.to_undo("services", "queue")[0].undo)
        return redis(argv)

    service_group.set_queue_aside(run, journal, 3, KEYS)
    aside = f"rollback:{journal.run_id}:"
    assert seen == [{"database": 3, "keys": KEYS, "aside": aside, "other": aside + "undone:"}]
    assert redis.calls[0][:4] == ["redis-cli", "-n", "3", "EVAL"]
    assert redis.calls[0][5:8] == ["2", *KEYS]
    assert journal.steps("services")[0].result == {"moved": 2}


def test_jobs_come_back_once(journal, redis):
    service_group.set_queue_aside(redis, journal, 0, KEYS)
    redis.calls.clear()
    service_group.put_queue_back(redis, journal, journal)
    assert redis.calls
    redis.calls.clear()
    service_group.put_queue_back(redis, journal, journal)
    assert redis.calls == []


def test_each_undo_of_an_undo_moves_jobs_the_other_way(journal, redis, state_dir):
    service_group.set_queue_aside(redis, journal, 0, KEYS)
    aside = f"rollback:{journal.run_id}:"
    chain = [journal, Journal(UNDO, state_dir), Journal(REDO, state_dir)]
    for undone, by, places in zip(chain, chain[1:], ([aside, aside + "undone:"], [aside + "undone:", aside])):
        redis.calls.clear()
        service_group.put_queue_back(redis, undone, by)
        assert [argv[4:] for argv in redis.calls] == [[service_group.PUT_BACK, "2", *KEYS, *places]]
        assert [(step.state, step.result) for step in by.steps()] == [("done", {"moved": 2})]


def test_a_putting_back_by_another_run_that_fails_is_to_be_repeated_and_to_be_undone(journal, redis, state_dir):
    service_group.set_queue_aside(redis, journal, 0, KEYS)
    by = Journal(UNDO, state_dir)
    redis.answer = (1, "", "Could not connect")
    with pytest.raises(RollbackError, match="Redis did not do"):
        service_group.put_queue_back(redis, journal, by)
    assert [step.state for step in journal.steps()] == ["done"]
    assert [step.state for step in by.to_undo("services", "queue")] == ["failed"]
    redis.answer = (0, "2\n", "")
    service_group.put_queue_back(redis, journal, by)
    assert [[step.state for step in one.steps()] for one in (journal, by)] == [["undone"], ["done"]]


@pytest.mark.parametrize("answer", [(1, "", "Could not connect"), (0, "OOM command not allowed", ""), (0, "", "")])
def test_what_redis_did_not_do_stays_to_be_undone(journal, redis, answer):
    redis.answer = answer
    with pytest.raises(RollbackError, match="Redis did not do"):
        service_group.set_queue_aside(redis, journal, 0, KEYS)
    assert [step.state for step in journal.to_undo("services")] == ["failed"]
    with pytest.raises(RollbackError, match="Redis did not do"):
        service_group.put_queue_back(redis, journal, journal)
    assert len(journal.to_undo("services")) == 1
