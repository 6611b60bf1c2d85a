"""Rows of two copies of one table: what identifies them, when they are the same, and ranges of them.

Everything here makes SQL; ``left`` and ``right`` are the two copies, in whichever schemas they are.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Column,
    Database,
    qualified,
    quote,
    read_columns,
    read_tables,
)

#: Values of the key columns of one row, in their order.
Key = tuple[Any, ...]

_INTEGER = re.compile(r"(tiny|small|medium|big)?int\b", re.IGNORECASE)
_REAL = re.compile(r"(float|double|real)\b", re.IGNORECASE)
_LONG = re.compile(r"(medium|long)(text|blob)\b|json\b|(multi)?(point|linestring|polygon)\b|geom", re.IGNORECASE)
_UNNAMED = re.compile(r"(float|double|real|bit|enum|set|json)\b", re.IGNORECASE)
_BYTES = re.compile(r"(var)?binary\b|(tiny|medium|long)?blob\b", re.IGNORECASE)
_SPATIAL = re.compile(r"(multi)?(point|linestring|polygon)\b|geom", re.IGNORECASE)


def digest(text: str) -> str:
    """What a long text is told apart by, in hexadecimal; MySQL 9.6 and later have no MD5 of their own any more."""
    return f"SHA2({text}, 256)"


@dataclasses.dataclass(frozen=True)
class Shape:
    """What two copies of one table have in common.

    ``key`` are the columns that identify a row on both sides, empty if there are none. ``shared`` are the columns that
    both sides have; generated ones follow from the others and are left out.
    """

    table: str
    key: tuple[str, ...]
    shared: tuple[str, ...]
    left: Mapping[str, Column]
    right: Mapping[str, Column]

    @property
    def integer(self) -> bool:
        """Whether the key is one number, so that ranges of it can be computed."""
        return len(self.key) == 1 and self.is_integer(self.key[0])

    @property
    def counter(self) -> bool:
        """Whether the server hands the keys out in order, so that a higher key was inserted later."""
        return self.integer and "auto_increment" in self.left[self.key[0]].extra

    @property
    def same_order(self) -> bool:
        """Whether both sides sort by the key in the same way, so that a range means the same rows on both."""
        return all(
            (self.left[name].collation, _kind(self.left[name])) == (self.right[name].collation, _kind(self.right[name]))
            for name in self.key
        )

    def is_integer(self, name: str) -> bool:
        """Whether a column is a whole number on both sides."""
        return all(_INTEGER.match(side[name].type) for side in (self.left, self.right))

    def is_bytes(self, name: str) -> bool:
        """Whether a column is bytes on the right side, which cannot be said as text."""
        return _kind(self.right[name]) == "bytes"

    def only(self, side: str) -> list[str]:
        """Columns that only ``left`` or only ``right`` has."""
        mine, other = (self.left, self.right) if side == "left" else (self.right, self.left)
        return [name for name, column in mine.items() if name not in other and not column.generated]

    def text(self, side: str, alias: str) -> str:
        """One row as bytes that two different rows never have in common.

        Lengths stand first, so that nothing can move from one column into the next without being seen. What may be
        longer than the server's longest text stands there as a digest.
        """
        mine, other = (self.left, self.right) if side == "left" else (self.right, self.left)
        heads, tails = [], []
        for name in self.shared:
            value = _comparable(alias, name, mine[name], other[name])
            columns = (mine[name], other[name])
            if {_kind(column) for column in columns} & {"text", "bytes", "spatial"}:
                heads.append(f"COALESCE(LENGTH({value}), 'N')")
                tails.append(digest(value) if any(_LONG.match(column.type) for column in columns) else value)
            else:
                nullable = mine[name].nullable or other[name].nullable
                heads.append(f"COALESCE({value}, 'N')" if nullable else value)
        return "CONCAT_WS('#', {})".format(", ".join(heads + tails))

    def differing(self, left: str, right: str) -> dict[str, str]:
        """Column -> condition under which the rows of these aliases differ in it."""
        return {name: f"NOT ({self._same(left, right, name)})" for name in self.shared}

    def differ(self, left: str, right: str) -> str:
        """Condition under which the rows of these aliases differ at all."""
        return "(" + " OR ".join(self.differing(left, right).values()) + ")"

    def _same(self, left: str, right: str, name: str) -> str:
        mine, other = self.left[name], self.right[name]
        return f"{_comparable(left, name, mine, other)} <=> {_comparable(right, name, other, mine)}"

    def probe(self, known: str, probed: str, side: str, columns: Sequence[str] = ()) -> str:
        """Condition that finds rows of alias ``probed``, which is of ``side``, by the values of the row ``known``.

        By the key, unless other ``columns`` are given. The other side's text is compared as ``side`` would, because two
        collations cannot be compared.
        """
        mine, other = (self.left, self.right) if side == "left" else (self.right, self.left)
        return " AND ".join(
            f"{probed}.{quote(name)} = {as_column(f'{known}.{quote(name)}', other[name], mine[name])}"
            for name in columns or self.key
        )


def as_column(value: str, found: Column, wanted: Column) -> str:
    """A value of the column ``found`` in a form that an index on the column ``wanted`` can be searched for."""
    if not wanted.charset or (wanted.charset, wanted.collation) == (found.charset, found.collation):
        return value
    return f"CONVERT({value} USING {wanted.charset}) COLLATE {wanted.collation}"


def _kind(column: Column) -> str:
    if column.charset or column.type.lower() == "json":
        return "text"
    for kind, pattern in (("real", _REAL), ("bytes", _BYTES), ("spatial", _SPATIAL)):
        if pattern.match(column.type):
            return kind
    return "bit" if column.type.lower().startswith("bit") else "plain"


def _comparable(alias: str, name: str, mine: Column, other: Column) -> str:
    """The value of a column in a form that is equal on both sides exactly if the value is the same.

    Texts are compared as bytes, because two collations cannot be compared, and one may call different texts equal.
    """
    value, kinds = f"{alias}.{quote(name)}", {_kind(mine), _kind(other)}
    if "spatial" in kinds:
        return f"ST_AsBinary({value})" if _kind(mine) == "spatial" else value
    if "text" in kinds and mine.charset == other.charset and mine.charset:
        return f"CAST({value} AS BINARY)"
    if kinds & {"text", "bytes"} and _kind(mine) != "bytes":
        return f"CAST(CONVERT({value} USING utf8mb4) AS BINARY)"
    # As text a number with a fraction would be rounded, and bits would be bytes.
    return {"real": f"({value} + 0e0)", "bit": f"({value} + 0)"}.get(_kind(mine), value)


def read_unique_keys(db: Database, schemas: Iterable[str]) -> dict[tuple[str, str], dict[str, tuple[str, ...]]]:
    """(schema, table) -> name -> columns of its unique keys, ``PRIMARY`` first; keys of parts of a column left out."""
    found: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {}
    for schema in schemas:
        rows = db.rows(
            "SELECT TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS"
            " WHERE TABLE_SCHEMA = %s AND NON_UNIQUE = 0",
            [schema],
        )
        indexes: dict[tuple[str, str], list[tuple[int, str | None]]] = {}
        for table, index, number, column, part in rows:
            indexes.setdefault((table, index), []).append((int(number), column if part is None else None))
        for table, index in sorted(indexes, key=lambda known: (known[0], known[1] != "PRIMARY", known[1])):
            columns = [column for _number, column in sorted(indexes[(table, index)], key=lambda part: part[0])]
            if all(columns):
                found.setdefault((schema, table), {})[index] = tuple(str(column) for column in columns)
    return found


def shape_of(
    table: str,
    left: Mapping[str, Column],
    right: Mapping[str, Column],
    left_keys: Mapping[str, tuple[str, ...]],
    right_keys: Mapping[str, tuple[str, ...]],
) -> Shape:
    """What two copies of ``table`` have in common.

    A key that allows NULL identifies nothing, and of some types a value cannot be named exactly or sorts otherwise.
    """

    def identifies(key: tuple[str, ...]) -> bool:
        columns = [side.get(name) for name in key for side in (left, right)]
        return all(column and not column.nullable and not _UNNAMED.match(column.type) for column in columns)

    key = next((key for key in left_keys.values() if key in right_keys.values() and identifies(key)), ())
    shared = [
        name for name, column in left.items() if name in right and not column.generated and not right[name].generated
    ]
    return Shape(table, key, tuple(shared), left, right)


def read_shapes(db: Database, left: str, right: str) -> dict[str, Shape]:
    """Table -> Shape for all tables that both schemas have."""
    tables = read_tables(db, [left, right])
    columns = read_columns(db, [left, right])
    keys = read_unique_keys(db, [left, right])
    return {
        table: shape_of(
            table,
            columns[(left, table)],
            columns[(right, table)],
            keys.get((left, table), {}),
            keys.get((right, table), {}),
        )
        for table in sorted(set(tables[left]) & set(tables[right]))
    }


def literal(db: Database, value: object) -> str:
    """A key's value as SQL; bytes need a form of their own, because they may be no text in any character set."""
    return f"X'{value.hex()}'" if isinstance(value, (bytes, bytearray)) else db.literal(value)


def literals(db: Database, key: Key) -> tuple[str, ...]:
    """All values of a key as SQL."""
    return tuple(literal(db, value) for value in key)


def listed(alias: str, key: Sequence[str]) -> str:
    """The key columns of an alias, for SELECT and ORDER BY."""
    return ", ".join(f"{alias}.{quote(name)}" for name in key)


def among(alias: str, key: Sequence[str], values: Iterable[Sequence[str]]) -> str:
    """Condition for rows given by the literals of their keys."""
    rows = [f"({', '.join(row)})" for row in values]
    return f"({listed(alias, key)}) IN ({', '.join(rows)})"


@dataclasses.dataclass(frozen=True)
class Range:
    """Rows whose key is greater than ``low`` and not greater than ``high``, both literals; None is no limit."""

    low: tuple[str, ...] | None = None
    high: tuple[str, ...] | None = None

    def of(self, alias: str, key: Sequence[str]) -> str:
        """Condition for the rows of an alias, in a form that both servers read as a range of the key."""
        columns = [f"{alias}.{quote(name)}" for name in key]
        parts = []
        if self.low is not None:
            parts.append(_beyond(columns, self.low, ">"))
        if self.high is not None:
            parts.append(_beyond(columns, self.high, "<"))
        return " AND ".join(parts) or "TRUE"


def _beyond(columns: Sequence[str], values: Sequence[str], sign: str) -> str:
    if len(columns) == 1:
        return f"{columns[0]} {sign if sign == '>' else '<='} {values[0]}"
    rest = _beyond(columns[1:], values[1:], sign)
    return f"{columns[0]} {sign}= {values[0]} AND ({columns[0]} {sign} {values[0]} OR ({rest}))"


def walk(db: Database, table: str, key: Sequence[str], within: Range, rows: int) -> list[Range]:
    """``within`` in ranges of ``rows`` rows of ``table``, a qualified name; the last one may hold fewer."""
    ranges: list[Range] = []
    low = within.low
    while True:
        here = Range(low, within.high)
        found = db.rows(
            f"SELECT {listed('t', key)} FROM {table} AS t WHERE {here.of('t', key)}"
            f" ORDER BY {listed('t', key)} LIMIT 1 OFFSET {rows - 1:d}"
        )
        if not found:
            return [*ranges, here]
        low = literals(db, found[0])
        ranges.append(Range(here.low, low))


def steps(lowest: int, highest: int, rows: int, size: int) -> list[Range]:
    """Ranges of numbers that cover everything, each of about ``size`` of ``rows`` rows if those are spread evenly."""
    width = max(1, (highest - lowest + 1) * size // max(rows, 1))
    borders = [(str(border),) for border in range(lowest - 1 + width, highest, width)]
    lows: list[tuple[str, ...] | None] = [None, *borders]
    highs: list[tuple[str, ...] | None] = [*borders, None]
    return [Range(low, high) for low, high in zip(lows, highs)]


def table_of(schema: str, table: str, alias: str) -> str:
    """``schema.table AS alias``."""
    return f"{qualified(schema, table)} AS {alias}"
