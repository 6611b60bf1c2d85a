"""Rows and ids that must not fall back when older tables go live."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Column,
    Database,
    Table,
    qualified,
    quote,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

_INTEGER_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}

#: Suboptions of the modules' option ``carry``, one entry of which becomes a Carry.
CARRY_OPTIONS = {
    "table": {"type": "str", "required": True},
    "key": {"type": "list", "elements": "str", "default": ["id"], "no_log": False},
    "when": {"type": "str", "required": True},
    "columns": {"type": "list", "elements": "str", "default": []},
}


@dataclasses.dataclass(frozen=True)
class Carry:
    """Rows that must not fall back: those of ``table`` for which ``when`` holds keep their ``columns``.

    ``when`` is SQL about the row that is live before the swap, whose alias is ``live``; no ``columns`` means all that
    both tables have.
    """

    table: str
    key: tuple[str, ...]
    when: str
    columns: tuple[str, ...] = ()

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Carry:
        """From module options or a journal line, both with the fields of this class."""
        return cls(given["table"], tuple(given["key"]), given["when"], tuple(given.get("columns") or ()))


@dataclasses.dataclass(frozen=True)
class CarryStatements:
    """How to carry one table: ``find`` reads the keys of rows that differ, without locks, ``update`` wants a condition.

    The two steps are there for the outage's sake: one UPDATE over both tables locks every row that matches, changed
    or not, which took ten times as long.
    """

    find: str
    update: str
    key: tuple[str, ...]

    def update_for(self, rows: Iterable[Sequence[str]]) -> str:
        """The UPDATE for rows given by the literals of their keys."""
        conditions = (
            " AND ".join(f"incoming.{quote(column)} = {value}" for column, value in zip(self.key, row)) for row in rows
        )
        return self.update + " AND (" + " OR ".join(f"({condition})" for condition in conditions) + ")"


def carry_sql(
    carry: Carry, live: str, incoming: str, live_columns: Mapping[str, Column], incoming_columns: Mapping[str, Column]
) -> CarryStatements:
    """Statements that copy what ``carry`` asks for from the live row to the incoming row of the same key.

    Raises RollbackError if a key column is missing on a side or no column is left to copy.
    """
    for column in carry.key:
        if column not in live_columns or column not in incoming_columns:
            raise RollbackError(
                "A key column of a carried table is missing", found=f"{carry.table}.{column}", where="carry"
            )
    if not carry.key:
        raise RollbackError("A carried table needs a key", found=carry.table, where="carry")
    wanted = carry.columns or tuple(live_columns)
    shared = [
        column
        for column in wanted
        if column in live_columns
        and column in incoming_columns
        and column not in carry.key
        and not incoming_columns[column].generated
    ]
    if not shared:
        raise RollbackError("No column of a carried table exists on both sides", found=carry.table, where="carry")
    assignments = ["incoming.{0} = live.{0}".format(quote(column)) for column in shared]
    # Columns that stamp themselves on every update would otherwise tell the time of the rollback.
    assignments += [
        "incoming.{0} = incoming.{0}".format(quote(name))
        for name, column in incoming_columns.items()
        if "on update" in column.extra and name not in shared
    ]
    # Bytes, because two collations cannot be compared, and one may call different texts equal.
    same = " AND ".join(
        "CAST(incoming.{0} AS BINARY) <=> CAST(live.{0} AS BINARY)".format(quote(column))
        if live_columns[column].charset or incoming_columns[column].charset
        else "incoming.{0} <=> live.{0}".format(quote(column))
        for column in shared
    )
    on = " AND ".join("incoming.{0} = live.{0}".format(quote(column)) for column in carry.key)
    tables = f"{qualified(incoming, carry.table)} AS incoming JOIN {qualified(live, carry.table)} AS live ON {on}"
    keys = ", ".join(f"incoming.{quote(column)}" for column in carry.key)
    # The condition stands on lines of its own, so that a comment at its end cannot swallow the bracket.
    where = f"WHERE (\n{carry.when}\n)"
    return CarryStatements(
        f"SELECT {keys} FROM {tables} {where} AND NOT ({same})",
        f"UPDATE {tables} SET {', '.join(assignments)} {where}",
        carry.key,
    )


def largest(column: Column | None) -> int:
    """The highest number that a column takes, that of the widest type where it is not known."""
    match = re.match(r"[a-z]+", column.type.lower()) if column else None
    bits = _INTEGER_BITS.get(match.group(0), 64) if match else 64
    return (1 << bits) - 1 if column and "unsigned" in column.type.lower() else (1 << (bits - 1)) - 1


def auto_increments(
    live: Mapping[str, Table],
    incoming: Mapping[str, Table],
    columns: Mapping[str, Mapping[str, Column]],
    gap: int,
) -> dict[str, int]:
    """Table -> next AUTO_INCREMENT value for incoming tables that also exist live.

    Ids given out on one side are not given out again on the other, up to ``gap`` ids later; ``columns`` are those of
    the incoming tables. Near the end of the column's type the gap is given up rather than the ability to insert.
    """
    found = {}
    for name, table in incoming.items():
        other = live.get(name)
        if table.auto_increment is None or other is None or other.auto_increment is None:
            continue
        highest = max(table.auto_increment, other.auto_increment)
        counter = next((column for column in columns.get(name, {}).values() if "auto_increment" in column.extra), None)
        found[name] = highest + gap if highest + gap < largest(counter) else highest
    return found


def carry_rows(db: Database, carrying: CarryStatements) -> int:
    """Carry what one table needs; returns the number of rows that changed."""
    keys = [[db.literal(value) for value in row] for row in db.rows(carrying.find)]
    return sum(db.run(carrying.update_for(keys[start : start + 500])) for start in range(0, len(keys), 500))


def sequence_sql(db: Database, live: str, incoming: str, names: Iterable[str], gap: int) -> list[str]:
    """Statements after which sequences of both schemas go on, in ``incoming``, behind what either has given out.

    Behind that by ``gap`` steps, unless the sequence would end before.
    """
    select = (
        "SELECT {0}, next_not_cached_value, increment, minimum_value, maximum_value, cycle_option FROM {1} UNION ALL"
        " SELECT {0}, next_not_cached_value, increment, minimum_value, maximum_value, cycle_option FROM {2}"
    )
    statements = []
    for name in names:
        rows = db.rows(select.format(db.literal(name), qualified(live, name), qualified(incoming, name)))
        step, lowest, highest = (int(value) for value in rows[1][2:5])
        ahead = max if step >= 0 else min
        last = ahead(int(row[1]) for row in rows)
        spaced = last + gap * (step or 1)
        value = spaced if lowest <= spaced <= highest else last
        if not rows[1][5] and lowest <= value <= highest:
            statements.append(f"DO SETVAL({qualified(incoming, name)}, {value:d}, 0)")
    return statements


def default_sql(
    live: str, incoming: str, columns: Mapping[tuple[str, str], Mapping[str, Column]], tables: Iterable[str]
) -> list[str]:
    """Statements that let defaults of ``incoming`` tables which take from its sequences take from the live ones.

    A default names its sequence together with the schema and does not follow a rename.
    """
    own = quote(incoming) + "."
    return [
        f"ALTER TABLE {qualified(incoming, table)} ALTER COLUMN {quote(name)}"
        f" SET DEFAULT ({str(column.default).replace(own, quote(live) + '.')})"
        for table in tables
        for name, column in columns.get((incoming, table), {}).items()
        if f"({own}" in str(column.default)
    ]
