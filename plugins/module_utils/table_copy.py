"""Copies of tables beside the live ones: definitions with their keys, and rows, all or some."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Column,
    Database,
    existing_schemas,
    qualified,
    quote,
    read_columns,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_execute import create_like
from ansible_collections.campaign.rollback.plugins.module_utils.database_relations import declared
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


def check_droppable(schema: str) -> None:
    """Raise RollbackError for any schema but those that are made to be dropped; a standby is not among them."""
    if "__shadow_" not in schema and "__verify_" not in schema:
        raise RollbackError("Only schemas with __shadow_ or __verify_ in their name are dropped", found=schema)


def settle_session(db: Database) -> None:
    """Let a session copy rows as they are: no locks on what it reads, no conversion of times, no check of old rows."""
    db.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    db.use_utc()
    db.run("SET SESSION foreign_key_checks=0" + (", check_constraint_checks=0" if db.engine == "mariadb" else ""))


def create_copies(db: Database, source: str, target: str, tables: Collection[str]) -> None:
    """Create the schema ``target`` anew with empty copies of ``tables``; foreign keys to other tables are left out.

    ``target`` has to be a schema that may be dropped. Raises RollbackError.
    """
    check_droppable(target)
    if target in existing_schemas(db, [target]):
        db.run(f"DROP DATABASE {quote(target)}")
    outside: dict[str, set[str]] = {}
    for key in declared(db, source):
        if key.parent[1] not in tables:
            outside.setdefault(key.child[1], set()).add(key.name)
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
