"""Change many rows of a table that users work with: short transactions, with pauses, until the time is over."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    DEADLOCK,
    LOCK_WAIT_TIMEOUT,
    TOO_LONG,
    Database,
    error_code,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_merge import ROW_REFUSED, in_halves
from ansible_collections.campaign.rollback.plugins.module_utils.database_rows import Key
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

# Seconds that a transaction is meant to hold its locks. Half of what users may notice, as no two take equally long.
_WANTED_S = 0.08
_SMALLEST, _LARGEST = 1, 2000
# How often rows that somebody else has locked are tried, the seconds in between, and how many are left aside at most.
_TRIES, _WAIT_S, _LEFT = 10, 0.05, 20
_LOCKED = (LOCK_WAIT_TIMEOUT, DEADLOCK)


class OutOfTime(Exception):
    """The time is over."""


@contextlib.contextmanager
def transaction(db: Database) -> Iterator[None]:
    """All of the body or nothing of it."""
    db.run("START TRANSACTION")
    try:
        yield
        db.run("COMMIT")
    except BaseException:
        # A connection that is gone has taken its transaction along.
        with contextlib.suppress(RollbackError):
            db.run("ROLLBACK")
        raise


class Chunks:
    """How many rows go into one transaction, and when to stop.

    ``counted`` hears how many rows are through, ``longest_s`` is how long the longest transaction held its locks. None
    waits for locks of others while it holds its own, as far as the server allows that: on MariaDB not at all, on MySQL
    for a second.
    """

    def __init__(self, db: Database, seconds: float) -> None:
        """``seconds`` is when to stop, 0 for never."""
        self.db = db
        self.ends = time.monotonic() + seconds if seconds else None
        self.size = 50
        self.longest_s = 0.0
        self.locked = 0
        self.counted: Callable[[int], None] = lambda _rows: None
        db.limit_waits(1)
        if db.engine == "mariadb":
            db.run("SET SESSION innodb_lock_wait_timeout=0")

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Queries of the body end with the time too; raises OutOfTime then."""
        if self.ends is None:
            yield
            return
        left = max(self.ends - time.monotonic(), 0.1)
        self.db.limit_statements(left)
        try:
            yield
        except RollbackError as error:
            if error_code(error) not in TOO_LONG:
                raise
            raise OutOfTime from error
        finally:
            self.db.limit_statements(0)

    def check(self) -> None:
        """Raise OutOfTime once it is too late."""
        if self.over():
            raise OutOfTime

    def over(self) -> bool:
        """Whether the time is over."""
        return self.ends is not None and time.monotonic() >= self.ends

    def each(
        self, keys: Sequence[Key], change: Callable[[Sequence[Key]], object]
    ) -> Iterator[list[tuple[Key, RollbackError]]]:
        """Give ``keys`` to ``change`` in transactions of its own; yields after each chunk the keys that were refused.

        Rows that stay locked are refused too. Ends early once the time is over. Raises RollbackError if too many are.
        """
        start = 0
        while start < len(keys) and not self.over():
            chunk = keys[start : start + self.size]
            refused = in_halves(lambda part: self._held(change, part), chunk, ROW_REFUSED.union(_LOCKED))
            self.locked += sum(error_code(error) in _LOCKED for _key, error in refused)
            if self.locked > _LEFT:
                raise RollbackError(
                    "Too many rows stayed locked by somebody else; what was brought so far stays",
                    found=f"{self.locked} rows",
                    where="SHOW ENGINE INNODB STATUS",
                    next_step="run the same command again; it goes on with what is left",
                )
            self.counted(len(chunk))
            yield refused
            start += len(chunk)

    def _held(self, change: Callable[[Sequence[Key]], object], keys: Sequence[Key]) -> None:
        """One transaction, again as long as somebody else has the rows."""
        for attempt in range(1, _TRIES + 1):
            began = time.monotonic()
            try:
                with transaction(self.db):
                    change(keys)
                return
            except RollbackError as error:
                if error_code(error) not in _LOCKED or attempt == _TRIES:
                    raise
                time.sleep(_WAIT_S)
            finally:
                self._learn(time.monotonic() - began, len(keys))

    def _learn(self, seconds: float, rows: int) -> None:
        """Size the next chunk by this one, and let users have the table for as long as they were kept from it."""
        self.longest_s = max(self.longest_s, seconds)
        fitting = int(rows * _WANTED_S / max(seconds, 0.001))
        self.size = max(_SMALLEST, min(fitting, self.size * 2, _LARGEST))
        time.sleep(min(seconds / 2, 0.1))
