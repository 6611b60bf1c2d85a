"""Find the rows that two copies of one table do not have in common.

A first look compares checksums of ranges of the table, both copies at once; only ranges that differ are looked at row
by row. It reads only, in statements that are short, and takes no locks.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import decimal
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.chunks import OutOfTime
from ansible_collections.campaign.rollback.plugins.module_utils.database import Database, qualified, quote
from ansible_collections.campaign.rollback.plugins.module_utils.database_rows import (
    Key,
    Range,
    Shape,
    digest,
    listed,
    steps,
    table_of,
    walk,
)

KINDS = ("deleted", "new", "changed")
# A range with so many times the rows of a usual one is divided before it is looked at row by row.
_HEAVY = 4
# So many ranges are looked at in one statement once most of them differ.
_SLICE = 40
_NAMED = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z|[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{26}\Z")


@dataclasses.dataclass(frozen=True)
class Bounds:
    """How much is looked at and told: ``seconds`` for everything, ``ids`` of each kind and ``samples`` per table.

    ``rows`` is how many a range holds; memory is bounded by it. Statements are bounded by the connection.
    """

    seconds: float = 300.0
    ids: int = 100
    samples: int = 10
    rows: int = 5000


class Clock:
    """Until when the comparison may go on."""

    def __init__(self, seconds: float) -> None:
        """Start now."""
        self.started = time.monotonic()
        self.seconds = seconds

    def check(self) -> None:
        """Raise OutOfTime once it is too late."""
        if self.passed() > self.seconds:
            raise OutOfTime

    def passed(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self.started


def shown(key: Key) -> Any:
    """A key as it may be told: numbers, dates, UUIDs and ULIDs; any other text may be somebody's address."""
    parts = [_shown(value) for value in key]
    return parts[0] if len(parts) == 1 else parts


def _shown(value: object) -> Any:
    if isinstance(value, int):
        return value
    if isinstance(value, (decimal.Decimal, datetime.date, datetime.timedelta)):
        return str(value)
    if isinstance(value, (bytes, bytearray)) and len(value) == 16:
        return value.hex()
    return value if isinstance(value, str) and _NAMED.match(value) else "(text)"


@dataclasses.dataclass
class Found:
    """What is known of one table so far."""

    counts: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    ids: dict[str, list[Any]] = dataclasses.field(default_factory=lambda: {kind: [] for kind in KINDS})
    samples: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    # Two connections add to it at once.
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def add(self, kind: str, count: int, ids: Iterable[Any] = (), samples: Iterable[dict[str, Any]] = ()) -> None:
        """Rows of one kind, some of them with their keys."""
        with self.lock:
            self.counts[kind] += count
            self.ids[kind] += ids
            self.samples += samples


@dataclasses.dataclass(frozen=True)
class Pair:
    """One table in two schemas: statements about both."""

    left: str
    right: str
    shape: Shape

    def checksum(self, side: str, digest: str, within: Range) -> str:
        """Number of rows and two independent checksums of their texts.

        Equal changes to two rows cancel out in the first one, hence the sum; two texts with the same CRC-32 differ in
        ``digest``.
        """
        row = self.shape.text(side, "t")
        return (
            f"SELECT COUNT(*), COALESCE(BIT_XOR(CRC32({row})), 0), COALESCE(SUM({digest.format(row)}), 0)"
            f" FROM {table_of(self._schema(side), self.shape.table, 't')} WHERE {within.of('t', self.shape.key)}"
        )

    def differing(self, kind: str, within: Range) -> str:
        """FROM and WHERE for the rows of one kind, whose alias is ``a``; within the range on the side of ``a``."""
        a, b, side = ("right", "left", "left") if kind == "new" else ("left", "right", "right")
        tables = table_of(self._schema(a), self.shape.table, "a"), table_of(self._schema(b), self.shape.table, "b")
        probe, limits = self.shape.probe("a", "b", side), within.of("a", self.shape.key)
        if kind == "changed":
            differ = self.shape.differ("a", "b")
            return f"FROM {tables[0]} STRAIGHT_JOIN {tables[1]} ON {probe} WHERE {limits} AND {differ}"
        missing = f"b.{quote(self.shape.key[0])} IS NULL"
        return f"FROM {tables[0]} LEFT JOIN {tables[1]} ON {probe} WHERE {limits} AND {missing}"

    def _schema(self, side: str) -> str:
        return self.left if side == "left" else self.right


def _second_checksum(db: Database) -> str:
    # CRC-32C has another polynomial: a change that one does not see the other does. Servers without it need a digest.
    if db.engine == "mariadb" and db.version_number() >= (10, 8):
        return "CRC32C({})"
    return f"CONV(LEFT({digest('{}')}, 8), 16, 10)"


class TableComparison:
    """Compares one table over two connections; see ``compare``."""

    def __init__(self, connections: Sequence[Database], pair: Pair, bounds: Bounds, clock: Clock) -> None:
        """Nothing is read yet."""
        self.connections, self.pair, self.bounds, self.clock = connections, pair, bounds, clock
        self.shape = pair.shape
        self.found = Found()
        self.rows: dict[str, int | None] = {"left": None, "right": None}
        self.how = "checksums"

    def run(self) -> None:
        """Fill ``found``, ``rows`` and ``how``; raises RollbackError and OutOfTime."""
        if not self.shape.same_order:
            self.how = "joins, because the two sides sort their keys differently"
            self._rows_of_both()
            self._look(self._walked("left"), ("deleted", "changed"))
            self._look(self._walked("right"), ("new",))
            return
        ranges = self._ranges()
        sums = self._checksums(ranges)
        for side, known in sums.items():
            self.rows[side] = sum(int(row[0]) for row in known)
        differing = [number for number in range(len(ranges)) if self._differ(sums, number)]
        if len(differing) * 2 > len(ranges) > 1:
            self.how = "joins, because most ranges differ"
            self._look(_joined(ranges, differing, _SLICE), KINDS)
            return
        heavy = [number for number in differing if self._heaviest(sums, number)[0] > _HEAVY * self.bounds.rows]
        self._look([ranges[number] for number in differing if number not in heavy], KINDS)
        for number in heavy:
            self._divide(ranges[number], self._heaviest(sums, number)[1])

    def same_rows(self) -> bool:
        """Whether both sides have the same rows, however often each, for a table without a key."""
        sums = self._checksums([Range()])
        for side, known in sums.items():
            self.rows[side] = int(known[0][0])
        return not self._differ(sums, 0)

    def beyond(self, start: int | None) -> None:
        """Find the rows that only the right side has from key ``start`` on, or beyond all keys of the left side."""
        db, key = self.connections[0], quote(self.shape.key[0])
        table = qualified(self.pair.left, self.shape.table)
        low = db.value(f"SELECT MAX({key}) FROM {table}") if start is None else start - 1
        self.how = "by key"
        self.collect(db, "new", Range() if low is None else Range((str(low),), None))

    def _divide(self, within: Range, side: str) -> None:
        """Look at a range that holds far more rows than others: the keys are spread unevenly."""
        db, table = self.connections[0], qualified(getattr(self.pair, side), self.shape.table)
        ranges = walk(db, table, self.shape.key, within, self.bounds.rows)
        sums = self._checksums(ranges)
        self._look([found for number, found in enumerate(ranges) if self._differ(sums, number)], KINDS)

    def _ranges(self) -> list[Range]:
        db, name = self.connections[0], self.shape.table
        estimates = {
            side: int(db.value(_ESTIMATE, [schema, name]) or 0)
            for side, schema in (("left", self.pair.left), ("right", self.pair.right))
        }
        if not self.shape.integer:
            return self._walked(max(estimates, key=lambda side: estimates[side]))
        ends: list[int] = []
        for schema in (self.pair.left, self.pair.right):
            key = quote(self.shape.key[0])
            found = db.rows(f"SELECT MIN({key}), MAX({key}) FROM {qualified(schema, name)}")[0]
            ends += [int(end) for end in found if end is not None]
        return steps(min(ends), max(ends), max(estimates.values()), self.bounds.rows) if ends else [Range()]

    def _walked(self, side: str) -> list[Range]:
        table = qualified(getattr(self.pair, side), self.shape.table)
        return walk(self.connections[0], table, self.shape.key, Range(), self.bounds.rows)

    def _rows_of_both(self) -> None:
        for side in self.rows:
            table = qualified(getattr(self.pair, side), self.shape.table)
            self.rows[side] = int(self.connections[0].value(f"SELECT COUNT(*) FROM {table}"))

    def _checksums(self, ranges: Sequence[Range]) -> dict[str, list[tuple[Any, ...]]]:
        """Side -> checksum of each range; each side on a connection of its own."""

        def of_side(db: Database, side: str) -> list[tuple[Any, ...]]:
            digest, found = _second_checksum(db), []
            for within in ranges:
                self.clock.check()
                found += db.rows(self.pair.checksum(side, digest, within))
            return found

        sides = ("left", "right")
        return dict(zip(sides, _at_once(of_side, self.connections, sides)))

    @staticmethod
    def _differ(sums: Mapping[str, Sequence[tuple[Any, ...]]], number: int) -> bool:
        left, right = (tuple(int(part) for part in sums[side][number]) for side in ("left", "right"))
        return left != right

    @staticmethod
    def _heaviest(sums: Mapping[str, Sequence[tuple[Any, ...]]], number: int) -> tuple[int, str]:
        return max((int(sums[side][number][0]), side) for side in ("left", "right"))

    def _look(self, ranges: Sequence[Range], kinds: Iterable[str]) -> None:
        """Look at ranges row by row, half of them on each connection."""

        def of_part(db: Database, part: Sequence[Range]) -> None:
            for within in part:
                for kind in kinds:
                    self.clock.check()
                    self.collect(db, kind, within)

        _at_once(of_part, self.connections, (ranges[::2], ranges[1::2]))

    def collect(self, db: Database, kind: str, within: Range) -> None:
        """Count the rows of one kind in a range, and list them as long as any more are wanted."""
        differing, key = self.pair.differing(kind, within), self.shape.key
        wanted = max(0, self.bounds.ids - len(self.found.ids[kind]))
        columns = self.shape.differing("a", "b") if kind == "changed" else {}
        selected = ", ".join([listed("a", key), *columns.values()])
        order = f"ORDER BY {listed('a', key)} LIMIT {wanted:d}"
        rows = db.rows(f"SELECT {selected} {differing} {order}") if wanted else []
        count = len(rows) if len(rows) < wanted else int(db.value(f"SELECT COUNT(*) {differing}"))
        ids = [shown(row[: len(key)]) for row in rows]
        samples = [
            {"id": name, "columns": [column for column, differs in zip(columns, row[len(key) :]) if differs]}
            for name, row in zip(ids, rows)
            if columns
        ]
        self.found.add(kind, count, ids, samples[: self.bounds.samples])

    def result(self) -> dict[str, Any]:
        """What was found, the lists in order and within their bounds: two connections may each have filled them."""
        ids = {kind: sorted(found, key=_order)[: self.bounds.ids] for kind, found in self.found.ids.items()}
        samples = sorted(self.found.samples, key=lambda sample: _order(sample["id"]))[: self.bounds.samples]
        return {**self.found.counts, "ids": ids, "samples": samples, "rows": self.rows, "how": self.how}


_ESTIMATE = "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"


def _order(key: Any) -> list[tuple[bool, Any]]:
    parts = key if isinstance(key, list) else [key]
    return [(False, part) if isinstance(part, int) else (True, str(part)) for part in parts]


def _at_once(work: Callable[[Database, Any], Any], connections: Sequence[Database], parts: Sequence[Any]) -> list[Any]:
    """``work`` for each part on a connection of its own; the first failure of any is raised once all have ended."""
    with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
        return [job.result() for job in [pool.submit(work, db, part) for db, part in zip(connections, parts)]]


def _joined(ranges: Sequence[Range], wanted: Sequence[int], most: int) -> list[Range]:
    """The wanted ranges with neighbours put together, at most ``most`` into one."""
    found: list[list[int]] = []
    for number in wanted:
        if found and found[-1][-1] == number - 1 and len(found[-1]) < most:
            found[-1].append(number)
        else:
            found.append([number])
    return [Range(ranges[part[0]].low, ranges[part[-1]].high) for part in found]
