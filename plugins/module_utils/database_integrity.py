"""Read-only statements about a schema, each with a verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Database,
    qualified,
    quote,
    read_columns,
    read_tables,
    table_digests,
    threads_connected,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


def check(name: str, found: Any, expected: Any, detail: str = "") -> dict[str, Any]:
    """One verdict; values are compared as text, because drivers disagree about the types of numbers."""
    shown = None if found is None else str(found)
    wanted = None if expected is None else str(expected)
    return {
        "name": name,
        "passed": shown == wanted and not detail,
        "found": shown,
        "expected": wanted,
        "detail": detail,
    }


def structure_checks(
    expected: Mapping[str, Any], digests: Mapping[str, str], columns: Mapping[str, Iterable[str]]
) -> list[dict[str, Any]]:
    """Compare ``tables`` (digests), ``absent_tables`` and ``absent_columns`` (``table.column``) with what is there."""
    checks = []
    for table, wanted in sorted((expected.get("tables") or {}).items()):
        if wanted.get("digest"):
            checks.append(check(f"structure of {table}", digests.get(table, "missing"), wanted["digest"]))
        else:
            checks.append(check(f"table {table}", "present" if table in digests else "missing", "present"))
    for table in expected.get("absent_tables") or []:
        checks.append(check(f"no table {table}", "present" if table in digests else "absent", "absent"))
    for name in expected.get("absent_columns") or []:
        table, _dot, column = name.rpartition(".")
        present = column in columns.get(table, ())
        checks.append(check(f"no column {name}", "present" if present else "absent", "absent"))
    return checks


def orphan_sql(schema: str, orphan: Mapping[str, str]) -> str:
    """Count rows whose ``column`` names no row of the referenced table; NULL refers to nothing and is no orphan."""
    return (
        "SELECT COUNT(*) FROM {0} c LEFT JOIN {1} p ON p.{2} = c.{3} WHERE c.{3} IS NOT NULL AND p.{2} IS NULL".format(
            qualified(schema, orphan["table"]),
            qualified(schema, orphan["references_table"]),
            quote(orphan["references_column"]),
            quote(orphan["column"]),
        )
    )


def _asked(db: Database, name: str, sql: str, expected: Any) -> dict[str, Any]:
    try:
        return check(name, db.value(sql), expected)
    except RollbackError as error:
        return check(name, None, expected, str(error))


def run_checks(
    db: Database,
    schema: str,
    expected: Mapping[str, Any],
    assertions: Iterable[Mapping[str, Any]],
    orphans: Iterable[Mapping[str, str]],
) -> dict[str, Any]:
    """All verdicts about ``schema``; a check that cannot be made has not passed. See the module database_integrity."""
    tables = read_tables(db, [schema])[schema]
    columns = {table: list(named) for (_schema, table), named in read_columns(db, [schema]).items() if table in tables}
    checks = [check(f"schema {schema} has tables", bool(tables), True)]
    checks += structure_checks(expected, table_digests(db, schema), columns)
    for orphan in orphans:
        name = "{table}.{column} refers to {references_table}.{references_column}".format(**orphan)
        checks.append(_asked(db, name, orphan_sql(schema, orphan), 0))
    if tables:
        # Assertions name tables without their schema, so that the same ones hold for a shadow.
        db.run(f"USE {quote(schema)}")
        for assertion in assertions:
            checks.append(_asked(db, assertion["name"], assertion["query"], assertion["expect"]))
    else:
        checks += [
            check(assertion["name"], None, assertion["expect"], "the schema has no tables") for assertion in assertions
        ]
    processes = db.rows(
        "SELECT COMMAND, COALESCE(STATE, ''), COUNT(*) FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()"
        " GROUP BY COMMAND, COALESCE(STATE, '') ORDER BY 3 DESC, 1, 2"
    )
    passed = sum(entry["passed"] for entry in checks)
    return {
        "checks": checks,
        "checks_passed": passed,
        "checks_failed": len(checks) - passed,
        "threads_connected": threads_connected(db),
        "processes": [{"command": row[0], "state": row[1], "count": int(row[2])} for row in processes],
    }
