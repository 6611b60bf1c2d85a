"""What a recovery did, row by row, in a schema that stays: ``<schema>__recovered_<run>``.

A table there has the name of the one it is about. Its rows are keys with a state; of a row that was overwritten it
holds what was there before. So a recovery that was killed goes on, and an undone one takes out exactly what it brought.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

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
    digest,
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


def digest_of_row(text: str) -> str:
    """What a row is told apart by; ``text`` as a Shape makes it."""
    return f"UNHEX(LEFT({digest(text)}, 32))"


def states(alias: str, wanted: Iterable[str]) -> str:
    """Condition for rows of an alias in one of these states."""
    return "{}.{} IN ({})".format(alias, quote(STATE), ", ".join(f"'{state}'" for state in wanted))


class Kept:
    """The kept schema of one run. A table is created with its first row: most tables have no later rows."""

    def __init__(self, db: Database, schema: str) -> None:
        """Nothing is created yet."""
        self.db, self.schema = db, schema
        self.tables = set(read_tables(db, [schema])[schema]) - {TABLES}

    def create(self, source: str) -> bool:
        """Create the schema for rows from ``source``; whether it was not there."""
        self.db.run(f"CREATE DATABASE IF NOT EXISTS {quote(self.schema)} CHARACTER SET utf8mb4")
        self.db.run(
            f"CREATE TABLE IF NOT EXISTS {qualified(self.schema, TABLES)} (table_name VARCHAR(64) PRIMARY KEY,"
            " source VARCHAR(64) NOT NULL, planned DECIMAL(40) NULL)"
            " ENGINE=InnoDB DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin"
        )
        return self._about([""], source, "NULL") > 0

    def plan(self, tables: Iterable[str], source: str) -> None:
        """Remember that all later rows of these tables are known: what is missing after that, somebody deleted."""
        self._about(tables, source, str(generation(self.db, source)))

    def forget_plan(self) -> None:
        """Remember that rows were taken out, so that no table is known any more."""
        self.db.run(f"UPDATE {qualified(self.schema, TABLES)} SET planned = NULL")

    def _about(self, tables: Iterable[str], source: str, planned: str) -> int:
        rows = [f"({self.db.literal(table)}, {self.db.literal(source)}, {planned})" for table in tables]
        if not rows:
            return 0
        return self.db.run(
            f"INSERT INTO {qualified(self.schema, TABLES)} VALUES {', '.join(rows)}"
            " ON DUPLICATE KEY UPDATE planned = VALUES(planned)"
        )

    def _create_table(self, shape: Shape) -> None:
        """A table for the rows of one table, whose ``left`` columns it has."""
        columns = [
            f"{quote(STATE)} VARCHAR(12) CHARACTER SET ascii NOT NULL, {quote(REASON)} VARCHAR(300) NULL,"
            f" {quote(DIGEST)} BINARY(16) NULL, {quote(REDUCED)} BOOLEAN NOT NULL DEFAULT FALSE"
        ]
        columns += [_definition(column, name in shape.key) for name, column in shape.left.items()]
        key = ", ".join(quote(name) for name in shape.key)
        self.db.run(
            f"CREATE TABLE IF NOT EXISTS {qualified(self.schema, shape.table)}"
            f" ({', '.join(columns)}, PRIMARY KEY ({key}), KEY ({quote(STATE)}))"
            " ENGINE=InnoDB DEFAULT CHARSET utf8mb4"
        )
        self.tables.add(shape.table)

    def note(self, shape: Shape, keys: Sequence[Key], state: str, why: str | None = None) -> None:
        """Note keys, or why they were refused. A row that was brought stays one."""
        if shape.table not in self.tables:
            self._create_table(shape)
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
        if shape.table not in self.tables:
            return []
        beyond = Range(literals(self.db, after) if after else None).of("r", shape.key)
        key = listed("r", shape.key)
        return self.db.rows(
            f"SELECT {key} FROM {table_of(self.schema, shape.table, 'r')} WHERE {states('r', wanted)} AND {beyond}"
            f" ORDER BY {key} LIMIT {rows:d}"
        )

    def counts(self, table: str) -> dict[str, int]:
        """State -> number of rows; ``reduced`` counts the brought ones that lost something with a column."""
        if table not in self.tables:
            return {"reduced": 0}
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
        if shape.table not in self.tables:
            return []
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


@dataclasses.dataclass(frozen=True)
class Earlier:
    """A recovery from the same source: ``noted`` tables have rows, of ``planned`` ones all later rows are known."""

    schema: str
    noted: frozenset[str]
    planned: frozenset[str]


def earlier(db: Database, target: str, source: str) -> list[Earlier]:
    """The recoveries into ``target`` from ``source`` so far."""
    rows = db.rows("SELECT TABLE_SCHEMA FROM information_schema.TABLES WHERE TABLE_NAME = %s", [TABLES])
    schemas = sorted(schema for (schema,) in rows if schema.startswith(target + INFIX))
    if not schemas:
        return []
    tables, now = read_tables(db, schemas), generation(db, source)
    found = []
    for schema in schemas:
        known = db.rows(f"SELECT table_name, planned FROM {qualified(schema, TABLES)} WHERE source = %s", [source])
        if known:
            planned = frozenset(name for name, made in known if made is not None and int(made) == now)
            found.append(Earlier(schema, frozenset(tables[schema]) - {TABLES}, planned))
    return found
