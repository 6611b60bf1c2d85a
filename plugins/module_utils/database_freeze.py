"""A moment in which nobody else writes, because live tables are without their triggers."""

from __future__ import annotations

import contextlib
import time

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    DEADLOCK,
    LOCK_WAIT_TIMEOUT,
    Database,
    error_code,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

STATEMENT_TIMEOUT = 1969
#: Share of the time that is kept for putting back what was taken away, should the rename not come about.
RESERVE = 0.5
_ROUNDS = 10


class TimeUp(RollbackError):
    """There was no time left for a statement; it was not run."""


def busy(error: RollbackError) -> bool:
    """True if a statement only waited in vain: it changed nothing, and another time it may work."""
    return isinstance(error, TimeUp) or error_code(error) in (LOCK_WAIT_TIMEOUT, DEADLOCK, STATEMENT_TIMEOUT)


class Freeze:
    """Statements of one connection around a rename, and how long they may hold up the writes of others.

    Outside of begin() and end() nobody is held up, and every wait ends after ``lock_wait_s``. ``seconds`` are for all
    freezes together. ``lasted`` is the longest one, ``renamed_s`` what the rename took, ``ended`` the connections that
    had to be ended.
    """

    def __init__(self, db: Database, schema: str, seconds: float, lock_wait_s: int, attempts: int) -> None:
        """Nothing is frozen yet; ``attempts`` bounds how often a statement waits that nobody is held up by."""
        self._db, self._schema, self._lock_wait_s, self._attempts = db, schema, lock_wait_s, attempts
        self._all = self._seconds = seconds
        self._since, self._read_only, self._waits = 0.0, False, 0
        self.lasted, self.renamed_s = 0.0, 0.0
        self.ended: list[int] = []

    @property
    def running(self) -> bool:
        """Whether others are held up now."""
        return bool(self._since)

    @property
    def exhausted(self) -> bool:
        """Whether too little time is left for another freeze."""
        return self._seconds <= RESERVE * self._all

    def begin(self, set_read_only: bool) -> None:
        """From now on time counts. With ``set_read_only`` writes of others fail; reads go on."""
        self._since = time.monotonic()
        if set_read_only:
            self._read_only = True
            self.bounded("SET GLOBAL read_only=1")

    def bounded(self, sql: str) -> None:
        """Run a statement that can be given up: in a freeze it gets what is left but for the reserve."""
        if self._since:
            self._limit(self._remaining() - RESERVE * self._all)
        self._db.run(sql)

    def renaming(self, sql: str) -> None:
        """Run the rename, likewise."""
        started = time.monotonic()
        self.bounded(sql)
        self.renamed_s = time.monotonic() - started

    def insist(self, sql: str) -> None:
        """Run a statement that there is no way back from.

        If the time of a freeze would end before another wait does, connections that work in the schema and may be in
        the way are ended: they came in these last seconds, and have written nothing that they could commit.
        """
        rounds = 0
        while True:
            try:
                if self._since:
                    self._wait(max(1, int(self._remaining())))
                self._db.run(sql)
                return
            except RollbackError as error:
                rounds += 1
                if not busy(error) or rounds >= (_ROUNDS if self._since else self._attempts):
                    raise
                if self._since and self._remaining() < 1:
                    self._end_others()

    def end(self) -> None:
        """Nobody is held up any more."""
        if self._read_only:
            self.thaw()
        self.over()

    def thaw(self) -> None:
        """Others may write again; harmless if they could."""
        self._db.run("SET GLOBAL read_only=0")
        self._read_only = False

    def over(self) -> None:
        """The freeze ended, by whatever hand; the clock stops."""
        if self._since:
            lasted = time.monotonic() - self._since
            self.lasted, self._seconds, self._since = max(self.lasted, lasted), self._seconds - lasted, 0.0
            # If the connection is lost, so is its limit.
            with contextlib.suppress(RollbackError):
                self._wait(self._lock_wait_s)
        self._read_only = False

    def _remaining(self) -> float:
        return self._since + self._seconds - time.monotonic()

    def _limit(self, seconds: float) -> None:
        # MySQL bounds DDL by its wait for locks only, which it counts in whole seconds.
        if seconds < 0.01:
            raise TimeUp("The time in which writes may be held up is over", next_step="run again, or raise freeze_s")
        if self._db.engine == "mysql":
            self._wait(max(1, int(seconds)))
        else:
            self._db.run(f"SET SESSION max_statement_time={seconds:.3f}")
            self._waits = 0

    def _wait(self, seconds: int) -> None:
        """Bound waits for locks and nothing else: a statement that works slowly is not one that waits in vain."""
        if seconds != self._waits:
            if self._db.engine == "mariadb":
                self._db.run("SET SESSION max_statement_time=DEFAULT")
            self._db.limit_waits(seconds)
            self._waits = seconds

    def _end_others(self) -> None:
        rows = self._db.rows(
            "SELECT p.ID FROM information_schema.PROCESSLIST p"
            " LEFT JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = p.ID"
            " WHERE p.ID <> CONNECTION_ID() AND p.DB = %s"
            " AND (t.trx_id IS NOT NULL OR p.COMMAND IN ('Query', 'Execute'))"
            " AND COALESCE(p.STATE, '') NOT LIKE 'Waiting for %% lock'",
            [self._schema],
        )
        for (connection,) in rows:
            # It may have ended by itself.
            with contextlib.suppress(RollbackError):
                self._db.run(f"KILL CONNECTION {int(connection):d}")
                self.ended.append(int(connection))
