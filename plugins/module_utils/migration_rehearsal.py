"""A copy of the schema's structure with some of its rows, on which migrations are reversed before they are live.

The copy has an account of its own that may do nothing anywhere else, so a statement that names the live schema fails
in the rehearsal. It is known by the batch number of its migrations: whoever sees that number is connected to the copy.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Database,
    existing_schemas,
    qualified,
    quote,
    read_columns,
    read_tables,
    table_digests,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_migrations import (
    TABLE,
    demands,
    differences,
    losses,
    told,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_relations import declared, orphans_from
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.table_copy import (
    check_droppable,
    checksums,
    copy_rows,
    create_copies,
    settle_session,
)


def account(copy: str) -> str:
    """Name of the account of a copy, after the run that it is named after; MySQL takes 32 characters."""
    return f"rollback_{copy.rsplit('__verify_', 1)[-1]}"[:32]


def _pattern(schema: str) -> str:
    """A schema's name where a GRANT takes a pattern."""
    return quote(schema.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%"))


def _delete_orphans(db: Database, schema: str) -> None:
    """What refers to a row that was not copied; a foreign key that is added again would stumble over it."""
    relations = [key for key in declared(db, schema) if key.parent[0] == schema]
    left = True
    while left:
        left = False
        for relation in relations:
            left = db.run(f"DELETE c {orphans_from(relation, qualified(*relation.child))}") > 0 or left


def prepare(db: Database, schema: str, copy: str, rows: int, password: str) -> dict[str, Any]:
    """Build ``copy`` from ``schema`` with at most ``rows`` rows of each table, and an account for it.

    Returns ``batch`` (what tells it from the live schema), ``account``, ``rows`` per table, ``checksums`` and
    ``seconds``. An earlier copy is dropped first. Raises RollbackError, also if the copy is not the same structure.
    """
    started = time.monotonic()
    tables = sorted(read_tables(db, [schema])[schema])
    settle_session(db)
    create_copies(db, schema, copy, tables)
    for table in tables:
        copy_rows(db, schema, copy, table, None if table == TABLE else rows)
    _delete_orphans(db, copy)
    live, copied = table_digests(db, schema), table_digests(db, copy)
    unlike = sorted(name for name in live if copied.get(name) != live[name])
    if unlike:
        raise RollbackError(
            "The copy for the rehearsal is not like the live schema", found=", ".join(unlike), where=copy
        )
    batch = 10**8 + secrets.randbelow(10**9)
    db.run(f"UPDATE {qualified(copy, TABLE)} SET batch = {batch:d}")
    name = db.literal(account(copy))
    db.run(f"DROP USER IF EXISTS {name}@'%'")
    db.run(f"CREATE USER {name}@'%' IDENTIFIED BY {db.literal(password)}")
    db.run(f"GRANT ALL PRIVILEGES ON {_pattern(copy)}.* TO {name}@'%'")
    counted = {table: int(db.value(f"SELECT COUNT(*) FROM {qualified(copy, table)}")) for table in tables}
    return {
        "batch": batch,
        "account": account(copy),
        "rows": counted,
        "checksums": checksums(db, copy, tables),
        "seconds": round(time.monotonic() - started, 3),
    }


def compare(
    db: Database,
    schema: str,
    copy: str,
    digests: Mapping[str, Any],
    migrations: Iterable[str],
    before: Mapping[str, int | None],
    named: Sequence[str],
    whole: bool,
) -> dict[str, Any]:
    """What the rehearsal did to ``copy``, held against what was recorded.

    ``before`` are its checksums before. ``named`` are the tables that the source of the migrations names, ``whole``
    says that they may change others too. Returns ``differences`` from the recorded state, ``affected`` tables of
    ``schema`` (all of them if ``whole``, or if rows changed where the source named nothing), ``losses`` in words, and
    the ``demands`` of the live schema that the restored code would not meet.
    """
    live, copied = table_digests(db, schema), table_digests(db, copy)
    columns = {table: own for (_schema, table), own in read_columns(db, [copy]).items()}
    present = {table: own for (_schema, table), own in read_columns(db, [schema]).items()}
    structure = {name for name in live if copied.get(name) != live[name]}
    same = sorted(set(live) - structure - {TABLE})
    after = checksums(db, copy, [name for name in same if name in before])
    rows = {name for name in same if name in before and after[name] != before[name]}
    affected = set(live) if whole or rows - set(named) else (structure | rows | set(named) | {TABLE}) & set(live)
    drops: list[dict[str, Any]] = [{"table": name, "column": None} for name in sorted(set(live) - set(copied))]
    drops += [
        {"table": table, "column": column}
        for table, own in sorted(present.items())
        if table in copied
        for column in sorted(set(own) - set(columns[table]))
    ]
    return {
        "differences": differences(db, copy, digests, migrations),
        "affected": sorted(affected),
        "losses": [told(loss) for loss in losses(db, schema, drops)],
        "demands": demands(present, columns),
    }


def remove(db: Database, copy: str, check: bool = False) -> bool:
    """Drop the copy and its account; returns whether there was anything to drop."""
    check_droppable(copy)
    name = db.literal(account(copy))
    exists = copy in existing_schemas(db, [copy])
    with contextlib.suppress(RollbackError):
        # An account that may not look at others cannot have made one either.
        exists = exists or bool(db.value(f"SELECT COUNT(*) FROM mysql.user WHERE User = {name}"))
    if exists and not check:
        db.run(f"DROP DATABASE IF EXISTS {quote(copy)}")
        db.run(f"DROP USER IF EXISTS {name}@'%'")
    return exists
