"""A queue moves if its oldest job is taken, however long it is and whatever comes in behind."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import queue_motion
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

KEYS = ["queues:default", "queues:default:reserved", "queues:default:delayed", "queues:default:notify"]


class Redis:
    """Answers like redis-cli: one answer a look, the last one again and again."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, argv):
        self.asked.append(argv)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return 0, "\n".join(map(str, answer)) + "\n", ""


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def pause(self, seconds):
        self.now += seconds


def checked(*answers, wait_s=30.0, keys=KEYS):
    redis, clock = Redis(*answers), Clock()
    check = queue_motion.check(redis, 0, keys, wait_s, clock, clock.pause)
    return check, redis, clock.now - 1000


@pytest.mark.parametrize(
    ("answers", "verdict", "told"),
    [
        ([[0, "-", 0, "-", 0, "-"]], "passed", "it is empty"),
        # Taken, although more came in behind.
        ([[5, "a", 1, 0, 0, "-"], [9, "b", 1, 0, 0, "-"]], "passed", "jobs are taken"),
        ([[1, "a", 0, "-", 0, "-"], [0, "-", 1, 0, 0, "-"]], "passed", "jobs are taken"),
        # Shorter is not taken: the oldest one is still there.
        ([[5, "a", 0, "-", 0, "-"], [3, "a", 0, "-", 0, "-"]], "failed", "the oldest job of queues:default was not"),
        # A worker that died with a job, and delayed ones that nobody fetches.
        ([[0, "-", 2, 2, 0, "-"]], "failed", "2 jobs in queues:default:reserved are overdue"),
        ([[0, "-", 0, "-", 7, 3]], "failed", "3 jobs in queues:default:delayed are overdue"),
        ([[0, "-", 2, 0, 7, 0]], "passed", "it is empty"),
    ],
)
def test_motion(answers, verdict, told):
    check, _redis, _seconds = checked(*answers)
    assert (check["verdict"], told in check["detail"]) == (verdict, True), check
    assert "redis-cli -n 0 LLEN queues:default" in check["look"]


def test_nobody_waits_longer_than_needed_nor_longer_than_allowed():
    standing, moved = [5, "a", 0, "-", 0, "-"], [5, "b", 0, "-", 0, "-"]
    assert checked([0, "-", 0, "-", 0, "-"])[2] == 0
    assert checked(standing, standing, moved)[2] == 1
    assert 30 <= checked(standing)[2] <= 31


def test_marks_for_waiting_workers_are_no_jobs():
    _check, redis, _seconds = checked([0, "-", 0, "-", 0, "-"])
    assert KEYS[3] not in redis.asked[0]


def test_a_server_that_does_not_answer_is_told():
    def refuses(_argv):
        return 1, "", "Could not connect to Redis"

    with pytest.raises(RollbackError, match="Redis does not answer"):
        queue_motion.check(refuses, 0, KEYS, 1)
