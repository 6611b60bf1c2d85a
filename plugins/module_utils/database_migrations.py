"""What the database knows of migrations: which ran, and which data their reversal would take away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Column,
    Database,
    qualified,
    quote,
    read_columns,
    table_digests,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.migrations import Applied

TABLE = "migrations"


def read_applied(db: Database, schema: str) -> list[Applied]:
    """Migrations that ran in ``schema``. Raises RollbackError if it keeps no record of them."""
    if not {"migration", "batch"} <= set(read_columns(db, [schema]).get((schema, TABLE), {})):
        raise RollbackError(
            "The schema has no record of its migrations", found="nothing", where=qualified(schema, TABLE)
        )
    rows = db.rows(f"SELECT migration, batch FROM {qualified(schema, TABLE)} ORDER BY id")
    return [Applied(str(row[0]), int(row[1])) for row in rows]


def differences(db: Database, schema: str, digests: Mapping[str, Any], migrations: Iterable[str]) -> list[str]:
    """In what ``schema`` is not as recorded, in words: migrations, tables, their structure (name -> digest)."""
    applied, wanted = {row.name for row in read_applied(db, schema)}, set(migrations)
    wrong = [f"migration {name} is still in force" for name in sorted(applied - wanted)]
    wrong += [f"migration {name} is missing" for name in sorted(wanted - applied)]
    found = table_digests(db, schema)
    wrong += [f"table {name} is still there" for name in sorted(set(found) - set(digests))]
    wrong += [f"table {name} is missing" for name in sorted(set(digests) - set(found))]
    wrong += [
        f"table {name} has another structure"
        for name in sorted(set(found) & set(digests))
        if digests[name] is not None and found[name] != digests[name]
    ]
    return wrong


def _is_constant(engine: str, column: Column) -> bool:
    """Whether the default is the same for every row, and so a value to compare with."""
    if engine == "mysql":
        return "default_generated" not in column.extra
    return bool(re.match(r"'|-?[0-9.]+\Z", column.default or ""))


def _has_value(engine: str, name: str, column: Column) -> str:
    """Condition on rows whose value was given by somebody, as far as the default tells."""
    if column.default in (None, "NULL") or not _is_constant(engine, column):
        return f"{quote(name)} IS NOT NULL"
    return f"NOT ({quote(name)} <=> DEFAULT({quote(name)}))"


def losses(db: Database, schema: str, drops: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What dropping tables and columns would take away now: ``table``, ``column`` (None for all) and ``rows``.

    ``rows`` are those of the table, or those with a value other than the column's default; None if they could not be
    counted in the time that a statement has. What does not exist or holds nothing is left out.
    """
    columns = read_columns(db, [schema])
    found: list[dict[str, Any]] = []
    for drop in {(drop["table"], drop["column"]): drop for drop in drops}.values():
        own = columns.get((schema, drop["table"]))
        if own is None or (drop["column"] is not None and drop["column"] not in own):
            continue
        condition = ""
        if drop["column"] is not None:
            condition = " WHERE " + _has_value(db.engine, drop["column"], own[drop["column"]])
        try:
            rows = int(db.value(f"SELECT COUNT(*) FROM {qualified(schema, drop['table'])}{condition}"))
        except RollbackError:
            rows = None
        if rows != 0:
            found.append({"table": drop["table"], "column": drop["column"], "rows": rows})
    return found


def demands(live: Mapping[str, Mapping[str, Column]], restored: Mapping[str, Mapping[str, Column]]) -> list[str]:
    """Why code that knows the ``restored`` tables cannot work on the ``live`` ones, in words; name -> columns each.

    It misses what is not there, and gives no value to a column that it does not know.
    """
    found = [f"table {table} is missing" for table in sorted(set(restored) - set(live))]
    for table in sorted(set(restored) & set(live)):
        known, present = restored[table], live[table]
        found += [f"column {table}.{name} is missing" for name in sorted(set(known) - set(present))]
        found += [
            f"column {table}.{name} must have a value"
            for name in sorted(set(present) - set(known))
            if present[name].default is None and not present[name].nullable and not _filled_by_server(present[name])
        ]
    return found


def _filled_by_server(column: Column) -> bool:
    return column.generated or "auto_increment" in column.extra


def told(loss: Mapping[str, Any]) -> str:
    """A loss in words."""
    rows = "an unknown number of" if loss["rows"] is None else loss["rows"]
    if loss["column"] is None:
        return f"table {loss['table']} with {rows} rows"
    return f"column {loss['table']}.{loss['column']} with {rows} values"
