"""What a recovery did, row by row, in a schema that stays: ``<schema>__recovered_<run>``.

A table there has the name of the one it is about. Its rows are keys with a state; of a row that was overwritten it
holds what was there before. So a recovery that was killed goes on, and an undone one takes out exactly what it brought.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Column,
    Database,
    qualified,
    quote,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_rows import (
    Key,
    Range,
    Shape,
    among,
    listed,
    literals,
    table_of,
)

INFIX = "__recovered_"
#: Which tables a recovery has planned, and from which schema.
TABLES = "campaign_rollback_recovery"
STATE, REASON, DIGEST, REDUCED = ("rollback__state", "rollback__reason", "rollback__digest", "rollback__reduced")

#: To be brought, to be overwritten; brought, overwritten; there already; refused, refused for want of a parent, not
#: even tried; taken out again, put back again; and brought but deleted by somebody since.
WANTED, REPLACE = "wanted", "replace"
INSERTED, OVERWRITTEN, PRESENT = "inserted", "overwritten", "present"
CONFLICT, ORPHAN, DECLINED = "conflict", "orphan", "declined"
REMOVED, RESTORED, GONE = "removed", "restored", "gone"
REFUSED = (CONFLICT, ORPHAN, DECLINED)


def states(alias: str, wanted: Iterable[str]) -> str:
    """Condition for rows of an alias in one of these states."""
    return "{}.{} IN ({})".format(alias, quote(STATE), ", ".join(f"'{state}'" for state in wanted))


class Kept:
    """The kept schema of one run."""

    def __init__(self, db: Database, schema: str) -> None:
        """Nothing is created yet."""
        self.db, self.schema = db, schema

    def create(self) -> bool:
        """Create the schema; whether it was not there."""
        created = not read_tables(self.db, [self.schema])[self.schema]
        self.db.run(f"CREATE DATABASE IF NOT EXISTS {quote(self.schema)} CHARACTER SET utf8mb4")
        self.db.run(
            f"CREATE TABLE IF NOT EXISTS {qualified(self.schema, TABLES)} (table_name VARCHAR(64) PRIMARY KEY,"
            " source VARCHAR(64) NOT NULL, planned DECIMAL(40) NULL)"
            " ENGINE=InnoDB DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin"
        )
        return created

    def create_table(self, shape: Shape, source: str) -> None:
        """A table for the rows of one table, whose ``left`` columns it has."""
        columns = [
            f"{quote(STATE)} VARCHAR(12) CHARACTER SET ascii NOT NULL, {quote(REASON)} VARCHAR(300) NULL,"
            f" {quote(DIGEST)} CHAR(32) CHARACTER SET ascii NULL, {quote(REDUCED)} BOOLEAN NOT NULL DEFAULT FALSE"
        ]
        columns += [_definition(column, name in shape.key) for name, column in shape.left.items()]
        key = ", ".join(quote(name) for name in shape.key)
        table = qualified(self.schema, shape.table)
        self.db.run(
            f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(columns)}, PRIMARY KEY ({key}), KEY ({quote(STATE)}))"
            " ENGINE=InnoDB DEFAULT CHARSET utf8mb4"
        )
        self.db.run(
            f"INSERT IGNORE INTO {qualified(self.schema, TABLES)}"
            f" VALUES ({self.db.literal(shape.table)}, {self.db.literal(source)}, NULL)"
        )

    def planned(self, table: str, source: str | None) -> None:
        """Remember that all later rows of a table in ``source`` are known, or with None that they are not.

        What is missing after that, somebody deleted.
        """
        value = "NULL" if source is None else generation(self.db, source)
        known = f"table_name = {self.db.literal(table)}"
        self.db.run(f"UPDATE {qualified(self.schema, TABLES)} SET planned = {value} WHERE {known}")

    def tables(self) -> list[str]:
        """Names of the tables that it is about."""
        return [row[0] for row in self.db.rows(f"SELECT table_name FROM {qualified(self.schema, TABLES)}")]

    def note(self, shape: Shape, keys: Sequence[Key], state: str, why: str | None = None) -> None:
        """Note keys, or why they were refused. A row that was brought stays one."""
        more = (self.db.literal(state), self.db.literal(why))
        rows = ["({})".format(", ".join([*literals(self.db, key), *more])) for key in keys]
        columns = ", ".join(map(quote, [*shape.key, STATE, REASON]))
        brought = f"{quote(STATE)} IN ('{INSERTED}', '{OVERWRITTEN}')"
        # In this order, as the state decides about both.
        changes = [f"{quote(name)} = IF({brought}, {quote(name)}, VALUES({quote(name)}))" for name in (REASON, STATE)]
        self.db.run(
            f"INSERT INTO {qualified(self.schema, shape.table)} ({columns}) VALUES {', '.join(rows)}"
            f" ON DUPLICATE KEY UPDATE {', '.join(changes)}"
        )

    def mark(self, shape: Shape, keys: Sequence[Key], state: str) -> None:
        """Give rows another state."""
        chosen = among("r", shape.key, (literals(self.db, key) for key in keys))
        changes = f"r.{quote(STATE)} = '{state}', r.{quote(REASON)} = NULL"
        self.db.run(f"UPDATE {table_of(self.schema, shape.table, 'r')} SET {changes} WHERE {chosen}")

    def page(self, shape: Shape, wanted: Iterable[str], after: Key | None, rows: int) -> list[Key]:
        """Keys in one of the states in their order, those after ``after``."""
        beyond = Range(literals(self.db, after) if after else None).of("r", shape.key)
        key = listed("r", shape.key)
        return self.db.rows(
            f"SELECT {key} FROM {table_of(self.schema, shape.table, 'r')} WHERE {states('r', wanted)} AND {beyond}"
            f" ORDER BY {key} LIMIT {rows:d}"
        )

    def counts(self, table: str) -> dict[str, int]:
        """State -> number of rows; ``reduced`` counts the brought ones that lost something with a column."""
        name = qualified(self.schema, table)
        found = {
            str(row[0]): int(row[1])
            for row in self.db.rows(f"SELECT {quote(STATE)}, COUNT(*) FROM {name} GROUP BY {quote(STATE)}")
        }
        brought = states("r", (INSERTED, OVERWRITTEN))
        found["reduced"] = int(
            self.db.value(f"SELECT COUNT(*) FROM {name} AS r WHERE {brought} AND r.{quote(REDUCED)}")
        )
        return found

    def brought(self, table: str) -> int:
        """Number of rows that were inserted or overwritten."""
        found = self.counts(table)
        return sum(found.get(state, 0) for state in (INSERTED, OVERWRITTEN))

    def refused(self, shape: Shape, rows: int) -> list[tuple[Key, str]]:
        """Keys of refused rows with the reason."""
        found = self.db.rows(
            f"SELECT {listed('r', shape.key)}, r.{quote(REASON)} FROM {table_of(self.schema, shape.table, 'r')}"
            f" WHERE {states('r', REFUSED)} ORDER BY {listed('r', shape.key)} LIMIT {rows:d}"
        )
        return [(row[:-1], str(row[-1])) for row in found]


def _definition(column: Column, in_key: bool) -> str:
    charset = f" CHARACTER SET {column.charset} COLLATE {column.collation}" if column.charset else ""
    return f"{quote(column.name)} {column.type}{charset} {'NOT NULL' if in_key else 'NULL'}"


def generation(db: Database, schema: str) -> int:
    """A number that grows with every id that is handed out in a schema: an attic may be live in between."""
    return sum(table.auto_increment or 0 for table in read_tables(db, [schema])[schema].values())


def earlier(db: Database, target: str, source: str) -> dict[str, dict[str, bool]]:
    """Kept schemas of recoveries into ``target`` from ``source`` -> table -> whether its later rows are all known."""
    schemas: list[tuple[Any, ...]] = db.rows(
        "SELECT TABLE_SCHEMA FROM information_schema.TABLES WHERE TABLE_NAME = %s", [TABLES]
    )
    now = generation(db, source)
    found: dict[str, dict[str, bool]] = {}
    for (schema,) in sorted(schemas):
        if schema.startswith(target + INFIX):
            rows = db.rows(f"SELECT table_name, planned FROM {qualified(schema, TABLES)} WHERE source = %s", [source])
            found[schema] = {row[0]: row[1] is not None and int(row[1]) == now for row in rows}
    return found
