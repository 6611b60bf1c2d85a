"""Bring a dump file into a schema: beside the live one, or, when there is no room for two, in its place."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Database,
    count_rows,
    existing_schemas,
    free_bytes,
    qualified,
    quote,
    read_columns,
    read_objects,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import (
    Carry,
    carry_rows,
    carry_sql,
    create_like,
)
from ansible_collections.campaign.rollback.plugins.module_utils.dump import Dump, client_command
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

COMPONENT = "database"
STEP = "in_place"
EXPENDABLE = ("__shadow_", "__verify_")
# Indexes and page fill make a loaded schema larger than its SQL text; measured 1.34 times.
_SPACE_FACTOR = 1.5

Expected = Mapping[str, Mapping[str, Any]]


def _unchanged(schema: str) -> dict[str, Any]:
    return {"changed": False, "schema": schema, "tables": {}, "bytes": 0, "load_s": 0.0, "carried": {}}


def is_expendable(schema: str) -> bool:
    """True for schemas that this collection made and may drop."""
    return any(infix in schema for infix in EXPENDABLE)


def differences(expected: Expected, counts: Mapping[str, int]) -> list[str]:
    """Expected tables that are missing or have another number of rows, in words."""
    found = []
    for name in sorted(expected):
        rows = expected[name].get("rows")
        if name not in counts:
            found.append(f"{name} is missing")
        elif rows is not None and counts[name] != int(rows):
            found.append(f"{name} has {counts[name]} rows instead of {rows}")
    return found


def _loaded(db: Database, schema: str, expected: Expected, started: float) -> dict[str, Any]:
    load_s = round(time.monotonic() - started, 3)
    names = sorted(read_tables(db, [schema])[schema])
    if names:
        # Without fresh statistics the sizes are wrong, and so are the query plans of the first minutes after a swap.
        db.rows("ANALYZE NO_WRITE_TO_BINLOG TABLE " + ", ".join(qualified(schema, name) for name in names))
    tables = read_tables(db, [schema])[schema]
    counts = count_rows(db, schema, tables)
    wrong = differences(expected, counts)
    if wrong:
        raise RollbackError("The loaded copy is not what was recorded", found="; ".join(wrong), where=schema)
    return {
        "tables": {name: {"rows": counts[name]} for name in sorted(counts)},
        "bytes": sum(table.bytes for table in tables.values()),
        "load_s": load_s,
    }


def _room(db: Database, uncompressed: int) -> None:
    free = free_bytes(db)
    if free is not None and free < uncompressed * _SPACE_FACTOR:
        raise RollbackError(
            "Not enough disk for a second copy of the data",
            found=f"{free} bytes free, about {uncompressed * _SPACE_FACTOR:.0f} needed",
            where="data directory of the server",
            next_step="free space, or use the strategy in_place",
        )


def load_beside(
    db: Database,
    connection: list[str],
    src: str,
    schema: str,
    expected: Expected,
    sha256: str | None,
    check: bool = False,
) -> dict[str, Any]:
    """Load ``src`` into ``schema``, created anew; the file is verified before anything is touched.

    A load that fails or does not match ``expected`` leaves no schema behind. Raises RollbackError.
    """
    if "__" not in schema:
        raise RollbackError(
            "A dump is loaded beside the live schema only; the name needs two underscores", found=schema, where="schema"
        )
    quote(schema)
    with Dump(src) as dump:
        uncompressed = dump.verify(sha256)
        exists = schema in existing_schemas(db, [schema])
        if exists and not is_expendable(schema):
            raise RollbackError(
                "The schema exists and is not one that may be dropped",
                found=schema,
                where="names with {} or {}".format(*EXPENDABLE),
            )
        _room(db, uncompressed)
        command = client_command(db.engine, connection, schema)
        if check:
            return dict(_unchanged(schema), changed=True)
        if exists:
            db.run(f"DROP DATABASE {quote(schema)}")
        db.run(f"CREATE DATABASE {quote(schema)} CHARACTER SET utf8mb4")
        try:
            started = time.monotonic()
            dump.load(command)
            result = _loaded(db, schema, expected, started)
        except BaseException:
            db.run(f"DROP DATABASE IF EXISTS {quote(schema)}")
            raise
    return dict(result, changed=True, schema=schema)


def remove(db: Database, schema: str, check: bool = False) -> dict[str, Any]:
    """Drop a shadow or verification schema; nothing else."""
    if not is_expendable(schema):
        raise RollbackError("Only schemas with {} or {} in their name are dropped".format(*EXPENDABLE), found=schema)
    exists = schema in existing_schemas(db, [schema])
    if exists and not check:
        db.run(f"DROP DATABASE {quote(schema)}")
    return dict(_unchanged(schema), changed=exists)


def _replace(db: Database, command: list[str], dump: Dump, schema: str, expected: Expected) -> dict[str, Any]:
    started = time.monotonic()
    db.run("SET SESSION foreign_key_checks=0")
    try:
        for kind, names in (
            ("VIEW", read_objects(db, [schema])[schema]["views"]),
            ("TABLE", sorted(read_tables(db, [schema])[schema])),
        ):
            if names:
                db.run("DROP {} IF EXISTS {}".format(kind, ", ".join(qualified(schema, name) for name in names)))
    finally:
        db.run("SET SESSION foreign_key_checks=1")
    dump.load(command)
    return _loaded(db, schema, expected, started)


def _store(db: Database, schema: str, store: str, carry: Sequence[Carry]) -> None:
    """Copy the rows that must not fall back out of the way of the load; by their condition they are few."""
    # What an attempt killed before its journal line left behind; the live rows are still whole then.
    db.run(f"DROP DATABASE IF EXISTS {quote(store)}")
    create_like(db, store, schema)
    for rule in carry:
        if rule.table in read_tables(db, [schema])[schema]:
            db.run(
                f"CREATE TABLE {qualified(store, rule.table)} AS SELECT live.*"
                f" FROM {qualified(schema, rule.table)} AS live WHERE (\n{rule.when}\n)"
            )


def _bring(db: Database, store: str, schema: str, carry: Sequence[Carry]) -> dict[str, int]:
    """Carry the stored rows into the loaded ones; returns how many changed, by table."""
    columns = read_columns(db, [store, schema])
    carried = {}
    for rule in carry:
        if (store, rule.table) in columns and (schema, rule.table) in columns:
            statements = carry_sql(rule, store, schema, columns[(store, rule.table)], columns[(schema, rule.table)])
            carried[rule.table] = carry_rows(db, statements)
    return carried


def load_in_place(
    db: Database,
    connection: list[str],
    journal: Journal,
    src: str,
    undo_src: str,
    schema: str,
    expected: Expected,
    sha256: str | None,
    carry: Sequence[Carry] = (),
    check: bool = False,
) -> dict[str, Any]:
    """Replace the tables and views of the live ``schema`` by those of ``src``; users see it happen.

    Rows that ``carry`` names keep what was done to them since the dump. ``undo_src`` is a dump of the
    present state, verified just as well before anything is touched. Running again after a crash loads again; after
    success it changes nothing.
    """
    nothing = _unchanged(schema)
    with Dump(src) as dump, Dump(undo_src) as undo_dump:
        dump.verify(sha256)
        undo_dump.verify()
        if schema not in existing_schemas(db, [schema]):
            raise RollbackError("The schema does not exist", found=schema)
        command = client_command(db.engine, connection, schema)
        pending = [step for step in journal.to_undo(COMPONENT, STEP) if step.undo["schema"] == schema]
        if pending and pending[0].state == "done":
            return nothing
        if check:
            return dict(nothing, changed=True)
        # A second attempt keeps the first one's undo file and rows: by now the schema may hold nothing worth keeping.
        store = f"{schema}__carry_{journal.run_id}"
        if pending:
            seq = pending[0].seq
        else:
            _store(db, schema, store, carry)
            undo = {"src": undo_src, "schema": schema, "carry": [dataclasses.asdict(rule) for rule in carry]}
            seq = journal.begin(COMPONENT, "switch", STEP, undo)
        try:
            result = _replace(db, command, dump, schema, expected)
            result["carried"] = _bring(db, store, schema, carry)
        except RollbackError as error:
            journal.failed(seq, error.what)
            raise
        journal.done(seq, load_s=result["load_s"])
    return dict(result, changed=True, schema=schema)


def revert_in_place(
    db: Database, connection: list[str], journal: Journal, schema: str, check: bool = False
) -> dict[str, Any]:
    """Load the undo file of this run's in-place restore of ``schema``; changes nothing if there was none."""
    result = _unchanged(schema)
    for step in journal.to_undo(COMPONENT, STEP):
        if step.undo["schema"] != schema:
            continue
        with Dump(step.undo["src"]) as dump:
            dump.verify()
            if not check:
                carry = [Carry.from_mapping(rule) for rule in step.undo["carry"]]
                store = f"{schema}__carry_undo_{journal.run_id}"
                if store not in existing_schemas(db, [store]):
                    _store(db, schema, store, carry)
                result.update(_replace(db, client_command(db.engine, connection, schema), dump, schema, {}))
                result["carried"] = _bring(db, store, schema, carry)
                journal.undone(step.seq)
        result["changed"] = True
    return result
