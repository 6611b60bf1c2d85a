"""Rows of a table as text: a line for each, its values between tabs, every value as SQL would write it.

So the server's own reader of files takes the text, and where that is switched off it becomes INSERT statements without
being understood again. Texts are between single quotes and may hold tabs and line ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import IO

from ansible_collections.campaign.rollback.plugins.module_utils.database import Column, qualified, quote
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

_NUMBERS = ("tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "year")
# Types that have a text of their own in UTF-8. All others are bytes, in whichever character set.
_TIMES = ("date", "time")
_SPELLED = ("inet", "uuid", "json")
_BLOCK = 1024 * 1024


def _stored(columns: Iterable[Column]) -> list[Column]:
    return [column for column in columns if not column.generated]


def select_sql(schema: str, table: str, columns: Iterable[Column]) -> str:
    """Query whose rows are those of the text; the session must not convert characters, and its zone must be UTC."""
    return f"SELECT {', '.join(map(_written, _stored(columns))) or '1'} FROM {qualified(schema, table)}"


def _written(column: Column) -> str:
    name, kind = quote(column.name), column.type.lower()
    if kind.startswith("float"):
        # Shown with fewer digits than it has. As a factor, because a sum would lose the sign of a zero.
        return f"QUOTE({name} * 1e0)"
    if kind.startswith("double"):
        # In a statement -0 is a whole number, which has no sign.
        return f"QUOTE({name})"
    if kind.startswith("bit"):
        return f"{name} + 0"
    if kind.startswith(_NUMBERS):
        return name
    return f"QUOTE({name})" if kind.startswith((*_TIMES, *_SPELLED)) else f"QUOTE(CAST({name} AS BINARY))"


def _read(column: Column, value: str) -> str | None:
    """SQL for what the text ``value`` stands for, None if that is the value itself."""
    kind = column.type.lower()
    if kind.startswith("bit"):
        return f"CAST({value} AS UNSIGNED)"
    # Bytes would not be read as a text.
    return f"CONVERT({value} USING utf8mb4)" if kind.startswith(_SPELLED) else None


def load_sql(schema: str, table: str, columns: Iterable[Column], path: str) -> str:
    """LOAD DATA statement for the text in ``path``, a file of this process."""
    places, converted = [], []
    for number, column in enumerate(_stored(columns)):
        value = _read(column, f"@c{number}")
        places.append(f"@c{number}" if value else quote(column.name))
        converted += [f"{quote(column.name)} = {value}"] if value else []
    text = (
        f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE {qualified(schema, table)} CHARACTER SET binary"
        r" FIELDS TERMINATED BY '\t' ENCLOSED BY '\'' ESCAPED BY '\\' LINES TERMINATED BY '\n'"
        f" ({', '.join(places) or '@nothing'})"
    )
    return f"{text} SET {', '.join(converted)}" if converted else text


def whole_rows(text: IO[bytes]) -> Iterator[bytes]:
    """The ``text`` in pieces of about a megabyte that end where a row ends, so that each can be loaded by itself."""
    held = b""
    for block in iter(lambda: text.read(_BLOCK), b""):
        held += block
        end = _row_end(held)
        if end:
            yield held[:end]
            held = held[end:]
    if held:
        yield held


def _row_end(text: bytes) -> int:
    """Where the last whole row of a ``text`` that begins with one ends; 0 if there is none."""
    # Quotes that belong to a value are blanked out, so that every other character stays where it is.
    plain = text.replace(rb"\\", b"  ").replace(rb"\'", b"  ")
    end = plain.rfind(b"\n")
    # A line end inside a value has an odd number of quotes before it.
    inside = plain.count(b"'", 0, max(end, 0)) % 2
    while end >= 0 and inside:
        # On with what is before the value.
        opening = plain.rfind(b"'", 0, end)
        end = plain.rfind(b"\n", 0, opening)
        inside = plain.count(b"'", max(end, 0), opening) % 2
    return end + 1


def insert_sql(schema: str, table: str, columns: Iterable[Column], text: IO[bytes], limit: int) -> Iterator[bytes]:
    """INSERT statements of about ``limit`` bytes for the ``text``, for a session whose literals are bytes.

    Raises RollbackError for a text that is not that of this table.
    """
    stored = _stored(columns)
    names = ", ".join(quote(column.name) for column in stored)
    head = f"INSERT INTO {qualified(schema, table)} ({names}) VALUES ".encode()
    # Of a row without a column that is stored there is a line all the same.
    forms = [(_read(column, "?") or "?").encode().split(b"?") for column in stored]
    # Of a text there is one way to match it, or looking at one whose end is not there yet would take forever.
    line = re.compile(
        rb"\t".join([rb"(NULL|'[^'\\]*(?:\\.[^'\\]*)*'|[^\t\n']+)"] * (len(stored) or 1)) + rb"\n", re.DOTALL
    )
    rows: list[bytes] = []
    size, held = 0, b""
    for block in iter(lambda: text.read(_BLOCK), b""):
        held, at = held + block, 0
        while True:
            found = line.match(held, at)
            if not found:
                break
            at = found.end()
            row = b",".join(before + value + after for (before, after), value in zip(forms, found.groups()))
            rows.append(b"(" + row + b")")
            size += len(row) + 3
            if size >= limit:
                yield head + b",".join(rows)
                rows, size = [], 0
        held = held[at:]
    if held:
        raise RollbackError("The rows are not those of this table, or cut off", found=f"{len(held)} bytes too many")
    if rows:
        yield head + b",".join(rows)
