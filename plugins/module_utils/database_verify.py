"""Prove a copy of a schema: exact row counts, digests of the rows, and the server's own check of every index.

No one of them is enough. Counts miss changed rows, digests miss a damaged secondary index, and the server's check
misses a page that is whole but old.
"""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Column,
    Database,
    qualified,
    quote,
    read_columns,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

#: The form that a server computes quickly, comparable within one version of it, and the one that every server computes.
NATIVE, PORTABLE = "checksum", "portable"
_SESSIONS = 2
_TEXT = ("char", "text", "enum", "set", "binary", "blob")
_SHAPES = ("bit", "geometry", "point", "linestring", "polygon", "multi")


@dataclasses.dataclass
class Copy:
    """What a look at every table found: per table ``rows`` and its digests by form, and in ``wrong`` what is amiss."""

    version: str
    tables: dict[str, dict[str, Any]]
    wrong: list[str]

    def recorded(self) -> dict[str, Any]:
        """What a manifest keeps, to be compared with later copies: ``{version, tables: {name: {rows, ...}}}``."""
        return {"version": self.version, "tables": self.tables}


def _exact(column: Column) -> str:
    """SQL that stands for one value, the same wherever the value is the same, and short."""
    name, kind = quote(column.name), column.type.lower()
    if kind.startswith(_SHAPES):
        return f"HEX({name})"
    if any(text in kind for text in _TEXT):
        # Long texts together might be longer than the server allows a value to be.
        return f"LENGTH({name}), CRC32({name})"
    # A float is shown with fewer digits than it has.
    return f"{name} + 0e0" if kind.startswith("float") else name


def portable_sql(schema: str, table: str, columns: Iterable[Column]) -> str:
    """Query for one digest over all rows of a table in any order: ``count:xor:sum``, computed columns left out.

    The session's time zone has to be the same for both copies. Equal rows cancel each other out in the first sum, so
    there is a second one.
    """
    stored = [column for column in columns if not column.generated]
    parts = [_exact(column) for column in stored]
    nullable = [f"ISNULL({quote(column.name)})" for column in stored if column.nullable]
    parts += [f"CONCAT({', '.join(nullable)})"] if nullable else []
    row = f"CRC32(CONCAT_WS('#', {', '.join(parts)}))"
    return f"SELECT CONCAT_WS(':', COUNT(*), BIT_XOR({row}), COALESCE(SUM({row}), 0)) FROM {qualified(schema, table)}"


def _rows(db: Database, schema: str, table: str, columns: Iterable[Column]) -> int:
    return int(db.value(f"SELECT COUNT(*) FROM {qualified(schema, table)}"))


def _native(db: Database, schema: str, table: str, columns: Iterable[Column]) -> int:
    found = db.rows(f"CHECKSUM TABLE {qualified(schema, table)}")[0][1]
    if found is None:
        raise RollbackError("The table cannot be read to its end")
    return int(found)


def _portable(db: Database, schema: str, table: str, columns: Iterable[Column]) -> str:
    return str(db.value(portable_sql(schema, table, columns)))


def _sound(db: Database, schema: str, table: str, columns: Iterable[Column]) -> str:
    found = db.rows(f"CHECK TABLE {qualified(schema, table)}")
    if found[-1][2:4] != ("status", "OK"):
        raise RollbackError("CHECK TABLE finds damage", found="; ".join(str(row[3]) for row in found[:3]))
    return "OK"


_LOOKS: dict[str, Callable[[Database, str, str, Iterable[Column]], Any]] = {
    "check": _sound,
    PORTABLE: _portable,
    NATIVE: _native,
    "rows": _rows,
}


def _look(db: Database, schema: str, work: Iterable[tuple[str, str]]) -> tuple[dict[tuple[str, str], Any], list[str]]:
    """Do all of ``work``, (table, kind of look), in two sessions at once: what each found, and what went wrong."""
    columns = read_columns(db, [schema])
    waiting: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    for entry in work:
        waiting.put(entry)
    found: dict[tuple[str, str], Any] = {}
    wrong: list[str] = []

    def session() -> None:
        try:
            with db.again() as own:
                own.run("SET SESSION time_zone='+00:00'")
                while True:
                    table, kind = waiting.get_nowait()
                    try:
                        found[(table, kind)] = _LOOKS[kind](own, schema, table, columns[(schema, table)].values())
                    except RollbackError as error:
                        wrong.append(f"{kind} of {table}: {error}")
        except queue.Empty:
            pass
        except RollbackError as error:
            wrong.append(str(error))

    threads = [threading.Thread(target=session, daemon=True) for _number in range(_SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found, wrong


def verify_copy(db: Database, schema: str, recorded: Mapping[str, Any]) -> Copy:
    """Look at every table of ``schema``, which nobody else writes to, and compare it with ``recorded``.

    ``recorded`` is what ``Copy.recorded`` gave for another copy of the same backup. If it is empty the digests are
    taken in both forms, to be recorded; otherwise only the form that can be compared.
    """
    tables = read_tables(db, [schema])[schema]
    # The largest first, or one session would end long after the others.
    names = sorted(tables, key=lambda name: -tables[name].bytes)
    left_out = {(PORTABLE if recorded["version"] == db.version else NATIVE)} if recorded else set()
    work = [(name, kind) for name in names for kind in _LOOKS if kind not in left_out]
    found, wrong = _look(db, schema, work)
    measured: dict[str, dict[str, Any]] = {name: {} for name in sorted(names)}
    for (name, kind), value in found.items():
        if kind != "check":
            measured[name][kind] = value
            known = recorded["tables"].get(name, {}).get(kind) if recorded else value
            # A manifest went through templates, which may have made text of a number.
            if str(known) != str(value):
                wrong.append(f"{kind} of {name} is {value} instead of {known}")
    return Copy(db.version, measured, sorted(wrong))
