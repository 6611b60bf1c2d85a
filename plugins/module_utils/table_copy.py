"""Copies of tables beside the live ones: definitions with their keys, and rows, all or some."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Column,
    Database,
    existing_schemas,
    qualified,
    quote,
    read_columns,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_execute import create_like
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import is_expendable
from ansible_collections.campaign.rollback.plugins.module_utils.database_relations import Relation, declared
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

_CONSTRAINT = re.compile(r"\s+CONSTRAINT `((?:[^`]|``)*)` FOREIGN KEY ")


def definition(db: Database, schema: str, table: str) -> str:
    """``SHOW CREATE TABLE``."""
    return str(db.rows(f"SHOW CREATE TABLE {qualified(schema, table)}")[0][1])


def _constraint(line: str) -> str | None:
    match = _CONSTRAINT.match(line)
    return match[1].replace("``", "`") if match else None


def without_constraints(create: str, names: Collection[str]) -> str:
    """A definition without the foreign keys in ``names``."""
    lines = create.split("\n")
    end = next(index for index, line in enumerate(lines) if line.startswith(")"))
    kept = [line.rstrip(",") for line in lines[1:end] if _constraint(line) not in names or _constraint(line) is None]
    return "\n".join([lines[0], ",\n".join(kept), *lines[end:]])


@dataclasses.dataclass(frozen=True)
class Border:
    """A foreign key between a table of a set and one outside of it, with what adds it again.

    ``indexes`` are those of its own table, name to columns: the server renames one that it had made for the key.
    """

    table: str
    name: str
    definition: str
    indexes: Mapping[str, Sequence[str]]


def _indexes(db: Database, schema: str, table: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, column in db.rows(
        "SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"
        " ORDER BY INDEX_NAME, SEQ_IN_INDEX",
        [schema, table],
    ):
        found.setdefault(name, []).append(column)
    return found


def read_borders(db: Database, schema: str, tables: Collection[str]) -> list[Border]:
    """Foreign keys within ``schema`` with exactly one end in ``tables``."""
    crossing = [
        key
        for key in declared(db, schema)
        if key.parent[0] == schema and (key.child[1] in tables) != (key.parent[1] in tables)
    ]
    found = []
    for table in sorted({key.child[1] for key in crossing}):
        names = {key.name for key in crossing if key.child[1] == table}
        for line in definition(db, schema, table).split("\n"):
            name = _constraint(line)
            if name in names and name is not None:
                found.append(Border(table, name, line.strip().rstrip(","), _indexes(db, schema, table)))
    return found


def _present(db: Database, schema: str) -> dict[tuple[str, str], Relation]:
    return {(key.child[1], key.name): key for key in declared(db, schema)}


def drop_borders(db: Database, schema: str, borders: Iterable[Border]) -> None:
    """Take these foreign keys away, those that are still there."""
    present = _present(db, schema)
    for border in borders:
        if (border.table, border.name) in present:
            db.run(f"ALTER TABLE {qualified(schema, border.table)} DROP FOREIGN KEY {quote(border.name)}")


def add_borders(db: Database, schema: str, borders: Sequence[Border]) -> list[Relation]:
    """Add these foreign keys, those that are missing; rows are not checked against them. Returns all of them."""
    present = _present(db, schema)
    # Otherwise the server looks at every row, while users wait.
    db.run("SET SESSION foreign_key_checks=0")
    try:
        for border in borders:
            if (border.table, border.name) not in present:
                db.run(f"ALTER TABLE {qualified(schema, border.table)} ADD {border.definition}")
            _rename_indexes(db, schema, border)
    finally:
        db.run("SET SESSION foreign_key_checks=1")
    found = _present(db, schema)
    return [found[(border.table, border.name)] for border in borders]


def _rename_indexes(db: Database, schema: str, border: Border) -> None:
    now = _indexes(db, schema, border.table)
    for name in sorted(set(border.indexes) - set(now)):
        other = next(
            (new for new in sorted(set(now) - set(border.indexes)) if now[new] == list(border.indexes[name])), ""
        )
        if other:
            table = qualified(schema, border.table)
            db.run(f"ALTER TABLE {table} RENAME INDEX {quote(other)} TO {quote(name)}")


def settle_session(db: Database) -> None:
    """Let a session copy rows as they are: no locks on what it reads, no conversion of times, no check of old rows."""
    db.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    settings = ["time_zone='+00:00'", "foreign_key_checks=0"]
    if db.engine == "mariadb":
        settings.append("check_constraint_checks=0")
    db.run("SET SESSION " + ", ".join(settings))


def create_copies(db: Database, source: str, target: str, tables: Collection[str]) -> None:
    """Create the schema ``target`` anew with empty copies of ``tables``; foreign keys to other tables are left out.

    ``target`` has to be a schema that may be dropped. Raises RollbackError.
    """
    if not is_expendable(target):
        raise RollbackError("Tables are copied only into a schema that may be dropped", found=target)
    if target in existing_schemas(db, [target]):
        db.run(f"DROP DATABASE {quote(target)}")
    outside: dict[str, set[str]] = {}
    for border in read_borders(db, source, tables):
        outside.setdefault(border.table, set()).add(border.name)
    create_like(db, target, source)
    # Keys name tables of their own schema without it, and so mean the copies.
    db.run(f"USE {quote(target)}")
    for table in sorted(tables):
        db.run(without_constraints(definition(db, source, table), outside.get(table, set())))


def writable(columns: Mapping[str, Column]) -> list[str]:
    """Quoted names of the columns that the server does not compute."""
    return [quote(name) for name, column in columns.items() if not column.generated]


def copy_rows(db: Database, source: str, target: str, table: str, newest: int | None = None) -> int:
    """Copy the rows of ``table``, or about the ``newest`` of them by primary key; returns their number."""
    columns = read_columns(db, [source])[(source, table)]
    names = ", ".join(writable(columns))
    limit = ""
    if newest is not None:
        keys = db.rows(
            "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"
            " AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX",
            [source, table],
        )
        order = ", ".join(f"{quote(row[0])} DESC" for row in keys)
        limit = (f" ORDER BY {order}" if order else "") + f" LIMIT {newest:d}"
    return db.run(
        f"INSERT INTO {qualified(target, table)} ({names}) SELECT {names} FROM {qualified(source, table)}{limit}"
    )


def checksums(db: Database, schema: str, tables: Iterable[str]) -> dict[str, int | None]:
    """Table -> checksum of its rows; comparable between tables of the same definition on the same server."""
    names = sorted(tables)
    if not names:
        return {}
    listed = ", ".join(qualified(schema, name) for name in names)
    return {name: row[1] for name, row in zip(names, db.rows(f"CHECKSUM TABLE {listed}"))}
