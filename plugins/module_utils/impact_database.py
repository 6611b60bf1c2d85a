"""What the database says about an incident: declared figures, damage, rows at risk, copies that are kept."""

from __future__ import annotations

import datetime
import decimal
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import database_standby
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    TOO_LONG,
    Database,
    error_code,
    existing_schemas,
    free_bytes,
    qualified,
    quote,
    read_columns,
    read_tables,
    threads_connected,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_integrity import Request, run_checks
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.table_policies import Policies
from ansible_collections.campaign.rollback.plugins.module_utils.verdicts import FAILED

#: Rows of a declared query that are told.
MOST_ROWS = 50
#: The server knows no such column or table: the query is one for another release.
UNKNOWN = (1054, 1146)


def look(db: Database, given: Mapping[str, Any]) -> dict[str, Any]:
    """Everything about one schema, see the module impact_info; a query takes at most the time that ``db`` allows."""
    schema = given["schema"]
    tables = read_tables(db, [schema])[schema]
    if not tables:
        raise RollbackError("The schema does not exist, or has no tables", found=schema, where="database_schema")
    db.use_utc()
    return {
        "engine": db.engine,
        "version": db.version,
        "bytes": sum(table.bytes for table in tables.values()),
        "free_bytes": free_bytes(db),
        "threads_connected": threads_connected(db),
        "migrations": migrations(db, schema),
        "figures": figures(db, schema, given["queries"]),
        "rows_at_risk": rows_at_risk(db, schema, given["starts"], Policies.of(given["policies"])),
        "damage": damage(db, schema, given),
        "standby": standby(db, schema, given["standbys"]),
        "attics": attics(db, schema),
    }


def migrations(db: Database, schema: str) -> list[str] | None:
    """Names of the migrations that ran, in order; None without such a table."""
    if "migration" not in read_columns(db, [schema]).get((schema, "migrations"), {}):
        return None
    return [row[0] for row in db.rows("SELECT migration FROM {} ORDER BY id".format(qualified(schema, "migrations")))]


def figures(db: Database, schema: str, queries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Answers to declared queries: ``{name, rows, problem}``; one that cannot be answered hides no other.

    The first of a query's statements whose columns exist is asked, because an older release knows fewer of them.
    """
    db.run(f"USE {quote(schema)}")
    found = []
    for query in queries:
        answer: dict[str, Any] = {"name": query["name"], "rows": [], "problem": "no statement is declared"}
        for statement in query["sql"]:
            try:
                # A derived table can only be read, and no more of its rows than anybody looks at.
                rows = db.records(f"SELECT * FROM ({statement}) answer LIMIT {MOST_ROWS}")
                answer.update(problem="", rows=[{name: plain(value) for name, value in row.items()} for row in rows])
                break
            except RollbackError as error:
                answer["problem"] = "it took too long" if error_code(error) in TOO_LONG else str(error.found)
                if error_code(error) not in UNKNOWN:
                    break
        found.append(answer)
    return found


def plain(value: Any) -> Any:
    """A value of a row as JSON has it."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, (datetime.date, datetime.timedelta)):
        return str(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def rows_at_risk(db: Database, schema: str, starts: Mapping[str, Any], policies: Policies) -> dict[str, Any] | None:
    """Rows that were added since the restore point: ``{tables, total, not_counted}``; None without a restore point.

    ``starts`` has every table of the restore point with the first id that was new then, None where ids are not handed
    out in order. All rows of a table that is newer count. Changed and deleted rows take a comparison to find.
    """
    if not starts:
        return None
    tables: dict[str, int] = {}
    not_counted = []
    columns = read_columns(db, [schema])
    for name in sorted(read_tables(db, [schema])[schema]):
        if policies.of_table(name).policy in ("keep", "ignore"):
            continue
        counter = next((c.name for c in columns[(schema, name)].values() if "auto_increment" in c.extra), None)
        try:
            if name not in starts:
                count = db.value(f"SELECT COUNT(*) FROM {qualified(schema, name)}")
            elif counter and starts[name] is not None:
                first = int(starts[name])
                count = db.value(f"SELECT COUNT(*) FROM {qualified(schema, name)} WHERE {quote(counter)} >= {first:d}")
            else:
                raise RollbackError("The ids of this table are not handed out in order")
            tables[name] = int(count)
        except RollbackError as error:
            if error.__cause__ is not None and error_code(error) not in TOO_LONG:
                raise
            not_counted.append(name)
    return {
        "tables": {name: count for name, count in tables.items() if count},
        "total": sum(tables.values()),
        "not_counted": not_counted,
    }


def damage(db: Database, schema: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Rows without a parent, and declared assertions that do not hold: ``{failed, checked, not_checked, seconds}``."""
    request = Request(
        assertions=given["assertions"],
        orphans=given["orphans"],
        seconds=given["seconds"],
        statement_s=given["statement_s"],
    )
    found = run_checks(db, schema, request)
    failed = [check for check in found["checks"] if check["verdict"] == FAILED]
    return {
        "failed": [{name: check[name] for name in ("name", "found", "expected", "detail")} for check in failed],
        "checked": found["checks_passed"] + found["checks_failed"],
        "not_checked": found["checks_not_made"],
        "seconds": found["seconds"],
    }


def standby(db: Database, schema: str, standbys: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The verified copy that a capture left loaded: ``{schema, bytes, point, untouched}``, empty if there is none.

    ``standbys`` has the ``id`` and the recorded ``standby`` of restore points, newest first; ``point`` is the one whose
    copy it is, empty if it is none of theirs.
    """
    name = f"{schema}__standby"
    if name not in existing_schemas(db, [name]):
        return {}
    now = database_standby.proof(db, name)
    own = next((one for one in standbys if database_standby.is_same_load(one["standby"], now)), None)
    return {
        "schema": name,
        "bytes": sum(table.bytes for table in read_tables(db, [name])[name].values()),
        "point": own["id"] if own else "",
        "untouched": own is not None and database_standby.is_untouched(own["standby"], now),
    }


def attics(db: Database, schema: str) -> dict[str, int]:
    """Schemas that earlier rollbacks set aside, with the bytes that they take."""
    names = [row[0] for row in db.rows("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA")]
    kept = [name for name in names if name.startswith(f"{schema}__attic_")]
    return {name: sum(table.bytes for table in own.values()) for name, own in read_tables(db, kept).items()}


def backups(points: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The files of each restore point's backup on this host: ``{id: {bytes, problem}}``; their content is not read."""
    found = {}
    for point in points:
        sizes = {entry["path"]: _size(entry["path"]) for entry in point["files"]}
        wrong = [entry["path"] for entry in point["files"] if sizes[entry["path"]] != entry["bytes"]]
        problem = (
            f"{len(wrong)} of {len(sizes)} files are missing or of another size, such as {wrong[0]}" if wrong else ""
        )
        found[point["id"]] = {
            "bytes": sum(size or 0 for size in sizes.values()),
            "problem": problem if sizes else "there are no files on record",
        }
    return found


def _size(path: str) -> int | None:
    try:
        return os.path.getsize(path)
    except OSError:
        return None
