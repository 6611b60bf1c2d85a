"""Take along the rows that only one of two schemas has, such as those written since a swap."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    DEADLOCK,
    LOCK_WAIT_TIMEOUT,
    Column,
    Database,
    ForeignKey,
    error_code,
    qualified,
    quote,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_relations import Relation
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

Row = TypeVar("Row")

# What is wrong with one row, not with the server: no value, twice the same key, not representable, no parent, a check,
# of which MariaDB's one for JSON is an error of its own on MySQL (3140).
ROW_REFUSED = frozenset({1048, 1062, 1216, 1264, 1265, 1292, 1364, 1366, 1406, 1452, 1586, 3140, 3819, 4025})
DUPLICATE = 1062
NO_PARENT = (1216, 1452)
_REASONS = {
    1048: "a column that must have a value has none",
    1364: "a column that must have a value has none",
    3819: "a check of the table refuses it",
    4025: "a check of the table refuses it",
    LOCK_WAIT_TIMEOUT: "somebody else had it locked; the same command again tries once more",
    DEADLOCK: "somebody else had it locked; the same command again tries once more",
}
_KEY = re.compile(r"for key '(?:[^']*\.)?([^'.]+)'\Z")
_CONSTRAINT = re.compile(r"CONSTRAINT `([^`]+)` FOREIGN KEY")
_COLUMN = re.compile(r"(?:[Cc]olumn|Field) (?:`[^`]+`\.`[^`]+`\.)?[`']([^`']+)[`'](?: at row [0-9]+\Z| cannot| doesn)")


@dataclasses.dataclass(frozen=True)
class Merge:
    """How to bring the rows of one table that only the source has: ``find`` reads their keys, ``insert`` takes some."""

    table: str
    find: str
    insert: str

    def insert_for(self, keys: Sequence[int]) -> str:
        """The INSERT for rows given by their keys. In their order, so that a row finds its parent in the same table."""
        return self.insert.format(", ".join(f"{key:d}" for key in keys))


def merge_sql(
    table: str,
    source: str,
    target: str,
    source_columns: Mapping[str, Column],
    target_columns: Mapping[str, Column],
    start: int,
) -> Merge | None:
    """Statements for the rows of ``table`` that got their id, ``start`` or higher, in ``source``; None without ids."""
    counter = next((name for name, column in target_columns.items() if "auto_increment" in column.extra), None)
    if counter is None or counter not in source_columns:
        return None
    shared = [quote(name) for name, column in target_columns.items() if name in source_columns and not column.generated]
    # A name may hold what format() takes for a place.
    fixed = f"INSERT INTO {qualified(target, table)} ({', '.join(shared)}) SELECT {', '.join(shared)}"
    fixed += f" FROM {qualified(source, table)} WHERE {quote(counter)} "
    ends = f" ORDER BY {quote(counter)}"
    return Merge(
        table,
        "SELECT live.{0} FROM {1} AS live LEFT JOIN {2} AS incoming ON incoming.{0} = live.{0}"
        " WHERE live.{0} >= {3:d} AND incoming.{0} IS NULL ORDER BY live.{0}".format(
            quote(counter), qualified(source, table), qualified(target, table), start
        ),
        _literal_braces(fixed) + "IN ({})" + _literal_braces(ends),
    )


def _literal_braces(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def parents_first(tables: Iterable[str], schema: str, keys: Iterable[ForeignKey]) -> list[str]:
    """``tables`` of ``schema`` in an order where a referred table precedes those that refer to it, but for cycles."""
    remaining = sorted(tables)
    parents: dict[str, set[str]] = {name: set() for name in remaining}
    for key in keys:
        if key.child[0] == key.parent[0] == schema and key.child[1] in parents and key.child != key.parent:
            parents[key.child[1]].add(key.parent[1])
    ordered: list[str] = []
    while remaining:
        ready = [name for name in remaining if not parents[name] & set(remaining)] or remaining[:1]
        ordered += ready
        remaining = [name for name in remaining if name not in ready]
    return ordered


def in_halves(
    change: Callable[[Sequence[Row]], object], rows: Sequence[Row], refused: Collection[int] = ROW_REFUSED
) -> list[tuple[Row, RollbackError]]:
    """Change the rows that the table accepts; halves what is refused until each row that is to blame is alone.

    Returns those with what the server said. Raises RollbackError if its number is not among ``refused``.
    """
    try:
        change(rows)
    except RollbackError as error:
        if error_code(error) not in refused:
            raise
        middle = len(rows) // 2
        if not middle:
            return [(row, error) for row in rows]
        return in_halves(change, rows[:middle], refused) + in_halves(change, rows[middle:], refused)
    return []


def _insert(db: Database, merge: Merge, keys: Sequence[int]) -> None:
    db.run(merge.insert_for(keys))


def merge_rows(db: Database, merges: Sequence[Merge]) -> tuple[dict[str, int], dict[str, int]]:
    """Insert the rows that only the sources have: (inserted per table, refused per table), tables without any left out.

    Nothing is inserted twice however often this runs. ``merges`` has parents before their children; where they refer to
    each other, refused rows get another chance as long as any row found its place.
    """
    merged: dict[str, int] = {}
    conflicts: dict[str, int] = {}
    pending, progress = list(merges), True
    while pending and progress:
        progress = False
        for merge in pending:
            new = [int(row[0]) for row in db.rows(merge.find)]
            for start in range(0, len(new), 500):
                in_halves(functools.partial(_insert, db, merge), new[start : start + 500])
            conflicts[merge.table] = len(db.rows(merge.find)) if new else 0
            found = len(new) - conflicts[merge.table]
            merged[merge.table] = merged.get(merge.table, 0) + found
            progress = progress or found > 0
        pending = [merge for merge in pending if conflicts[merge.table]]
    return _some(merged), _some(conflicts)


def _some(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def reason(error: RollbackError, relations: Iterable[Relation], keys: Collection[str], columns: Collection[str]) -> str:
    """Why a row was refused, without any of its values; ``keys`` and ``columns`` are the names that may be told."""
    code, message = error_code(error), str(error.__cause__.args[1]) if error.__cause__ else ""
    if code == DUPLICATE:
        key = _name(_KEY, message, keys)
        if key == "PRIMARY":
            return "another row has the same key"
        return f"another row has the same value in {key or 'a unique key'}"
    if code in NO_PARENT:
        name = _name(_CONSTRAINT, message, {relation.name for relation in relations})
        parents = [relation.parent[1] for relation in relations if relation.name == name]
        return (
            f"the row that it refers to in {parents[0]} is missing" if parents else "a row that it refers to is missing"
        )
    known = _REASONS.get(code or 0, "a value does not fit into its column")
    column = _name(_COLUMN, message, columns)
    return f"{known}: {column}" if column else known


def _name(pattern: re.Pattern[str], message: str, known: Collection[str]) -> str:
    """The name in a server's message if it is one of the known names; it could be a part of a value."""
    found = pattern.search(message)
    return found.group(1) if found and found.group(1) in known else ""
