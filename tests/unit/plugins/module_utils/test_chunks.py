"""Sizes of transactions and pauses between them, with a clock of its own."""

from __future__ import annotations

import pymysql
import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import chunks
from ansible_collections.campaign.rollback.plugins.module_utils.database import DEADLOCK, LOCK_WAIT_TIMEOUT
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


class Server:
    """Takes its time for each row; refuses what it is told to."""

    engine = "mariadb"

    def __init__(self, per_row):
        self.now, self.per_row, self.statements, self.held, self.paused = 0.0, per_row, [], [], 0.0
        self.refusals = {}

    def run(self, sql):
        self.statements.append(sql)
        return 0

    def limit_waits(self, seconds):
        pass

    def insert(self, keys):
        began = self.now
        self.now += self.per_row * len(keys)
        self.held.append((len(keys), self.now - began))
        for key in keys:
            code = self.refusals.get(key)
            if code:
                error = RollbackError("refused")
                error.__cause__ = pymysql.MySQLError(code, "")
                raise error

    def sleep(self, seconds):
        self.now += seconds
        self.paused += seconds


@pytest.fixture
def server(monkeypatch):
    def make(per_row):
        made = Server(per_row)
        monkeypatch.setattr(chunks.time, "monotonic", lambda: made.now)
        monkeypatch.setattr(chunks.time, "sleep", made.sleep)
        return made

    return make


def keys(count):
    return [(number,) for number in range(count)]


@pytest.mark.parametrize("per_row", [0.00001, 0.0005, 0.003, 0.05])
def test_no_transaction_takes_longer_than_is_good_for_users(server, per_row):
    found = server(per_row)
    work = chunks.Chunks(found, 0)
    assert [refused for refused in work.each(keys(3000), found.insert) if refused] == []
    assert sum(rows for rows, _seconds in found.held) == 3000
    # But for the first ones, before anything is known.
    assert all(seconds <= 0.11 for _rows, seconds in found.held[2:])
    assert work.longest_s == max(seconds for _rows, seconds in found.held)
    # Users have the table for at least a third of the time.
    assert found.paused >= found.now / 4
    # On a fast server it takes few transactions.
    assert len(found.held) < max(12, 3000 * per_row / 0.04)


def test_each_chunk_is_a_transaction_and_waits_for_nobody(server):
    found = server(0.001)
    work = chunks.Chunks(found, 0)
    list(work.each(keys(60), found.insert))
    assert found.statements[0] == "SET SESSION innodb_lock_wait_timeout=0"
    assert found.statements[1:] == ["START TRANSACTION", "COMMIT"] * len(found.held)


def test_refused_rows_are_found_one_by_one_and_the_others_stay(server):
    found = server(0.0001)
    found.refusals = {(7,): 1062, (8,): 1452, (41,): 1406}
    work = chunks.Chunks(found, 0)
    refused = [key for part in work.each(keys(50), found.insert) for key, _error in part]
    assert refused == [(7,), (8,), (41,)]
    assert found.statements.count("COMMIT") + found.statements.count("ROLLBACK") == found.statements.count(
        "START TRANSACTION"
    )


@pytest.mark.parametrize("code", [LOCK_WAIT_TIMEOUT, DEADLOCK])
def test_locked_rows_are_tried_again_and_then_left(server, code):
    found = server(0.0001)
    found.refusals = {(3,): code}
    work = chunks.Chunks(found, 0)
    assert [key for part in work.each(keys(10), found.insert) for key, _error in part] == [(3,)]
    found.refusals = dict.fromkeys(keys(25), code)
    with pytest.raises(RollbackError, match=r"Too many rows stayed locked.*goes on with what is left"):
        list(work.each(keys(30), found.insert))


def test_what_is_wrong_with_more_than_a_row_is_raised(server):
    found = server(0.0001)
    found.refusals = {(3,): 1146}
    with pytest.raises(RollbackError):
        list(chunks.Chunks(found, 0).each(keys(10), found.insert))
    assert found.statements[-1] == "ROLLBACK"


def test_it_stops_between_two_chunks_when_the_time_is_over(server):
    found = server(0.002)
    work = chunks.Chunks(found, 0.5)
    list(work.each(keys(1000), found.insert))
    assert 0 < sum(rows for rows, _seconds in found.held) < 400
    assert work.over()
    with pytest.raises(chunks.OutOfTime):
        work.check()


def test_rows_that_are_through_are_counted(server):
    found, told = server(0.0001), []
    work = chunks.Chunks(found, 0)
    work.counted = told.append
    list(work.each(keys(200), found.insert))
    assert sum(told) == 200
