"""Bring a backup into a schema: beside the live one, or, when there is no room for two, in its place."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Column,
    Database,
    existing_schemas,
    free_bytes,
    qualified,
    quote,
    read_columns,
    read_foreign_keys,
    read_objects,
    read_tables,
    schema_info,
    table_digests,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_backup import (
    Backup,
    Files,
    back_up,
    opened,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_carry import (
    Carry,
    auto_increments,
    carry_rows,
    carry_sql,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_execute import create_like
from ansible_collections.campaign.rollback.plugins.module_utils.database_files import (
    discard_schema,
    drop_schema,
    end_loads,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_merge import (
    merge_rows,
    merge_sql,
    parents_first,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_standby import (
    is_same_load,
    is_untouched,
    proof,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_verify import verify_copy
from ansible_collections.campaign.rollback.plugins.module_utils.dump import Progress
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal, Step

COMPONENT = "database"
STEP = "in_place"
#: Parts of the names of schemas that this collection made and may drop; the last one ends the name.
EXPENDABLE = ("__shadow_", "__verify_", "__standby")

# In a schema of stored rows: all of them are there.
_COMPLETE = "campaign_rollback_complete"


@dataclasses.dataclass(frozen=True)
class Expected:
    """What was recorded of a backup: per table ``rows``, ``digest`` and ``auto_increment`` as far as known, the list of
    migrations, and what ``verify_copy`` measured of the test restore; for a copy that was left loaded its ``standby``.

    Without tables nothing is known of them.
    """

    tables: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    migrations: Sequence[str] | None = None
    checksums: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    standby: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _unchanged(schema: str) -> dict[str, Any]:
    return {
        "changed": False,
        "schema": schema,
        "tables": {},
        "bytes": 0,
        "load_s": 0.0,
        "checksums": {},
        "standby": {},
        "carried": {},
        "merged": {},
        "conflicts": {},
    }


def is_expendable(schema: str) -> bool:
    """True for schemas that this collection made and may drop."""
    return any(infix in schema for infix in EXPENDABLE[:-1]) or schema.endswith(EXPENDABLE[-1])


def differences(expected: Expected, found: Mapping[str, Any]) -> list[str]:
    """In what a loaded schema is not what was recorded, in words; ``found`` as schema_info describes it."""
    tables = found["tables"]
    wrong = [
        f"{name} is not in the manifest" for name in sorted(tables) if expected.tables and name not in expected.tables
    ]
    for name in sorted(expected.tables):
        rows, digest = expected.tables[name].get("rows"), expected.tables[name].get("digest")
        if name not in tables:
            wrong.append(f"{name} is missing")
            continue
        if rows is not None and tables[name]["rows"] != int(rows):
            wrong.append(f"{name} has {tables[name]['rows']} rows instead of {rows}")
        if digest is not None and tables[name]["digest"] != digest:
            wrong.append(f"{name} has another structure")
        next_id = expected.tables[name].get("auto_increment")
        if next_id is not None and (tables[name]["auto_increment"] or 0) < int(next_id):
            wrong.append(f"{name} would give out ids again, from {tables[name]['auto_increment']} to {next_id}")
    if expected.migrations is not None:
        loaded, recorded = set(found["migrations"] or ()), set(expected.migrations)
        wrong += [f"migration {name} is not in the manifest" for name in sorted(loaded - recorded)]
        wrong += [f"migration {name} is missing" for name in sorted(recorded - loaded)]
    return wrong


def _refuse(wrong: Sequence[str], schema: str) -> None:
    if wrong:
        raise RollbackError("The loaded copy is not what was recorded", found="; ".join(wrong), where=schema)


def _described(found: Mapping[str, Any]) -> dict[str, Any]:
    tables = {name: {"rows": table["rows"]} for name, table in found["tables"].items()}
    return {"tables": tables, "bytes": found["bytes"]}


def _analyze(db: Database, schema: str) -> None:
    """Without fresh statistics the sizes are wrong, and so are the query plans of the first minutes after a swap."""
    names = sorted(read_tables(db, [schema])[schema])
    if names:
        db.rows("ANALYZE NO_WRITE_TO_BINLOG TABLE " + ", ".join(qualified(schema, name) for name in names))


def _examined(db: Database, schema: str, expected: Expected) -> tuple[dict[str, Any], list[str]]:
    """What the copy in ``schema`` holds, looked at in every way there is, and in what it is not what was recorded."""
    found = schema_info(db, schema, rows=False)
    copy = verify_copy(db, schema, expected.checksums)
    for name, measured in copy.tables.items():
        found["tables"][name]["rows"] = measured.get("rows")
    return dict(_described(found), checksums=copy.recorded()), copy.wrong + differences(expected, found)


def _whole(db: Database, backup: Backup, schema: str, expected: Expected) -> dict[str, Any] | None:
    """What ``schema`` holds if that is the whole backup, every table with the recorded rows and structure; or None."""
    known = all("rows" in table and table.get("digest") for table in expected.tables.values())
    digests = {name: table.get("digest") for name, table in expected.tables.items()}
    # Rows are looked at only where it can matter, because that takes long.
    if not expected.tables or not known or table_digests(db, schema) != digests or not backup.completed(db, schema):
        return None
    result, wrong = _examined(db, schema, expected)
    return None if wrong else result


def _left_loaded(db: Database, schema: str, expected: Expected) -> dict[str, Any] | None:
    """What ``schema`` holds if that is the copy of ``expected.standby``, as it was verified; or None."""
    now = proof(db, schema)
    if not is_same_load(expected.standby, now):
        return None
    if is_untouched(expected.standby, now):
        found = read_tables(db, [schema])[schema]
        return {
            "tables": {name: {} for name in found},
            "bytes": sum(table.bytes for table in found.values()),
            "standby": now,
        }
    # The server was restarted, or somebody wrote to it. MySQL may lose the last step of a counter when it is killed;
    # the swap raises counters anyway.
    tables = {name: {**table, "auto_increment": None} for name, table in expected.tables.items()}
    result, wrong = _examined(db, schema, dataclasses.replace(expected, tables=tables))
    return None if wrong else dict(result, standby=now)


def _room(db: Database, needed: int, schema: str) -> None:
    free = free_bytes(db)
    # What an earlier attempt loaded is dropped first.
    freed = sum(table.bytes for table in read_tables(db, [schema])[schema].values())
    if free is not None and free + freed < needed:
        raise RollbackError(
            "Not enough disk for a second copy of the data",
            found=f"{free} bytes free, about {needed} needed",
            where="data directory of the server",
            next_step="free space, or use the strategy in_place",
        )


def load_beside(
    db: Database,
    connection: list[str],
    src: str,
    schema: str,
    expected: Expected,
    files: Files | None,
    check: bool = False,
    progress: str | None = None,
    limit: float = 0,
) -> dict[str, Any]:
    """Load the backup ``src`` into ``schema``; it is proven to be the one of ``files`` before anything is touched.

    A schema that an earlier attempt loaded completely is left as it is, a partial one is dropped first. A load that
    fails or does not match ``expected`` leaves no schema behind. ``limit`` in bytes per second. Raises RollbackError.
    """
    if "__" not in schema:
        raise RollbackError(
            "A backup is loaded beside the live schema only; the name needs two underscores",
            found=schema,
            where="schema",
        )
    quote(schema)
    left = _left_loaded(db, schema, expected) if expected.standby else None
    if left:
        return {**_unchanged(schema), **left}
    if check and expected.standby:
        # What is asked for is that copy, not whether another could be made.
        return dict(_unchanged(schema), changed=True)
    with opened(src) as backup:
        backup.prove(db, files)
        exists = schema in existing_schemas(db, [schema])
        if exists and not is_expendable(schema):
            raise RollbackError(
                "The schema exists and is not one that may be dropped",
                found=schema,
                where="names with " + " or ".join(EXPENDABLE),
            )
        whole = _whole(db, backup, schema, expected) if exists else None
        if whole:
            if not check:
                _analyze(db, schema)
            return {**_unchanged(schema), **whole, "standby": proof(db, schema)}
        _room(db, backup.room_bytes, schema)
        if check:
            return dict(_unchanged(schema), changed=True, tables={name: {} for name in backup.tables})
        if exists:
            drop_schema(db, schema)
        db.run(f"CREATE DATABASE {quote(schema)} CHARACTER SET utf8mb4")
        try:
            started = time.monotonic()
            with Progress(progress, backup.load_bytes, limit=limit) as counted:
                backup.fill(db, connection, schema, True, counted)
            load_s = round(time.monotonic() - started, 3)
            _analyze(db, schema)
            result, wrong = _examined(db, schema, expected)
            _refuse(wrong, schema)
        except BaseException:
            discard_schema(db, schema)
            raise
    return {**_unchanged(schema), **result, "load_s": load_s, "standby": proof(db, schema), "changed": True}


def remove(db: Database, schema: str, check: bool = False) -> dict[str, Any]:
    """Drop a copy that this collection made; nothing else."""
    if not is_expendable(schema):
        raise RollbackError(f"Only schemas with {' or '.join(EXPENDABLE)} in their name are dropped", found=schema)
    exists = schema in existing_schemas(db, [schema])
    if exists and not check:
        drop_schema(db, schema)
    return dict(_unchanged(schema), changed=exists)


def _proven_in_place(db: Database, backup: Backup, files: Files | None) -> None:
    """Raise RollbackError unless the backup is whole and can be loaded in place."""
    if backup.beside_only:
        raise RollbackError("This backup cannot be loaded in place", found=backup.beside_only)
    backup.prove(db, files)


def _replace(
    db: Database, connection: list[str], backup: Backup, schema: str, expected: Expected, progress: Progress
) -> dict[str, Any]:
    started = time.monotonic()
    end_loads(db, schema)
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
    backup.fill(db, connection, schema, False, progress)
    load_s = round(time.monotonic() - started, 3)
    _analyze(db, schema)
    found = schema_info(db, schema)
    _refuse(differences(expected, found), schema)
    return dict(_described(found), load_s=load_s)


def _store(db: Database, schema: str, store: str, carry: Sequence[Carry], starts: Mapping[str, int]) -> None:
    """Copy what the load must not lose out of its way: rows to carry, and rows whose id is new since ``starts``.

    By their conditions they are few.
    """
    # What an attempt killed before it was complete left behind; the live rows are still whole then.
    db.run(f"DROP DATABASE IF EXISTS {quote(store)}")
    create_like(db, store, schema)
    columns = read_columns(db, [schema])
    conditions: dict[str, list[str]] = {}
    for rule in carry:
        conditions.setdefault(rule.table, []).append(f"(\n{rule.when}\n)")
    for table, start in starts.items():
        counter = _counter(columns.get((schema, table), {}))
        if counter:
            conditions.setdefault(table, []).append(f"live.{quote(counter)} >= {start:d}")
    for table in sorted(conditions):
        if (schema, table) in columns:
            db.run(
                f"CREATE TABLE {qualified(store, table)} AS SELECT live.*"
                f" FROM {qualified(schema, table)} AS live WHERE {' OR '.join(conditions[table])}"
            )
    db.run(f"CREATE TABLE {qualified(store, _COMPLETE)} (at INT)")


def _counter(columns: Mapping[str, Column]) -> str | None:
    return next((name for name, column in columns.items() if "auto_increment" in column.extra), None)


def _bring(
    db: Database, store: str, schema: str, carry: Sequence[Carry], starts: Mapping[str, int]
) -> dict[str, dict[str, int]]:
    """Bring the stored rows into the loaded ones; returns how many were carried, merged, and refused, by table."""
    columns = read_columns(db, [store, schema])
    both = {table for where, table in columns if where == store and (schema, table) in columns}
    merges = [
        merge_sql(table, store, schema, columns[(store, table)], columns[(schema, table)], starts[table])
        for table in parents_first(both & set(starts), schema, read_foreign_keys(db))
    ]
    merged, conflicts = merge_rows(db, [merge for merge in merges if merge])
    carried = {}
    for rule in carry:
        if rule.table in both:
            place = (columns[(store, rule.table)], columns[(schema, rule.table)])
            carried[rule.table] = carry_rows(db, carry_sql(rule, store, schema, *place))
    return {"carried": carried, "merged": merged, "conflicts": conflicts}


def _space_out(db: Database, schema: str, starts: Mapping[str, int]) -> None:
    """Go on with ids from ``starts``, so that what is inserted from now on can be told from what was there."""
    tables = read_tables(db, [schema])[schema]
    for name in sorted(set(starts) & set(tables)):
        if tables[name].auto_increment is not None:
            db.run(f"ALTER TABLE {qualified(schema, name)} AUTO_INCREMENT = {starts[name]:d}")


def _starts(db: Database, schema: str, gap: int) -> dict[str, int]:
    """Ids from which on rows are new once ``schema`` was loaded over."""
    tables = read_tables(db, [schema])[schema]
    columns = {table: found for (_schema, table), found in read_columns(db, [schema]).items()}
    return auto_increments(tables, tables, columns, gap)


def _means_back(db: Database, schema: str, src: str, carry: Sequence[Carry], gap: int) -> dict[str, Any]:
    return {
        "schema": schema,
        "src": src,
        "carry": [dataclasses.asdict(rule) for rule in carry],
        "gap": gap,
        "auto_increment": _starts(db, schema, gap),
    }


def load_in_place(
    db: Database,
    connection: list[str],
    journal: Journal,
    src: str,
    undo_src: str,
    schema: str,
    expected: Expected,
    files: Files | None,
    carry: Sequence[Carry] = (),
    gap: int = 1000,
    check: bool = False,
    progress: str | None = None,
) -> dict[str, Any]:
    """Replace the tables and views of the live ``schema`` by those of ``src``; users see it happen.

    Rows that ``carry`` names keep what was done to them since the backup. ``undo_src`` is one of the present state,
    verified just as well before anything is touched; a check does without. Running again after a crash loads again;
    after success it changes nothing.
    """
    with opened(src) as backup:
        _proven_in_place(db, backup, files)
        if os.path.exists(undo_src) or not check:
            with opened(undo_src) as undo_backup:
                _proven_in_place(db, undo_backup, None)
        if schema not in existing_schemas(db, [schema]):
            raise RollbackError("The schema does not exist", found=schema)
        pending = [step for step in journal.to_undo(COMPONENT, STEP) if step.undo["schema"] == schema]
        if pending and pending[0].state == "done":
            return _unchanged(schema)
        if check:
            return dict(_unchanged(schema), changed=True, tables={name: {} for name in backup.tables})
        # A second attempt keeps the first one's backup and rows: by now the schema may hold nothing worth keeping.
        store = f"{schema}__carry_{journal.run_id}"
        if pending:
            seq, undo = pending[0].seq, pending[0].undo
        else:
            _store(db, schema, store, carry, {})
            undo = _means_back(db, schema, undo_src, carry, gap)
            seq = journal.begin(COMPONENT, "switch", STEP, undo)
        try:
            with Progress(progress, backup.load_bytes) as counted:
                result = _replace(db, connection, backup, schema, expected, counted)
            _space_out(db, schema, undo.get("auto_increment", {}))
            result.update(_bring(db, store, schema, carry, {}))
        except RollbackError as error:
            journal.failed(seq, error.what)
            raise
        journal.done(seq, load_s=result["load_s"])
    return {**_unchanged(schema), **result, "changed": True}


def _set_aside(
    db: Database, connection: list[str], step: Step, journal: Journal, by: Journal, store: str
) -> dict[str, Any]:
    """Keep what is live before a reversal loads over it; returns the means to come back to it.

    An attempt that was announced has set aside what was live before it; what is live now may be half loaded.
    """
    schema = str(step.undo["schema"])
    carry = [Carry.from_mapping(rule) for rule in step.undo["carry"]]
    origin = {"run": journal.run_id, "seq": step.seq}
    begun = [known for known in by.to_undo(COMPONENT, STEP) if known.undo.get("reverts") == origin]
    if begun:
        return begun[0].undo
    own = by.run_id == journal.run_id
    # A run that takes itself back announces nothing, but it begins to load as soon as the rows are stored.
    if not own or _COMPLETE not in read_tables(db, [store])[store]:
        _store(db, schema, store, carry, step.undo.get("auto_increment", {}))
    kept = os.path.join(by.directory, "replaced", "database", f"{schema}_{journal.run_id}_{step.seq}")
    if not own:
        # Not announced, so what is live is still whole, and may have changed since a first attempt kept it.
        shutil.rmtree(kept, ignore_errors=True)
        back_up(db, connection, "logical", schema, kept)
    return _means_back(db, schema, kept, carry, step.undo.get("gap", 0))


def revert_in_place(
    db: Database,
    connection: list[str],
    journal: Journal,
    by: Journal,
    schema: str,
    check: bool = False,
    progress: str | None = None,
) -> dict[str, Any]:
    """Load the emergency backup of the in-place restore of ``schema`` that ``journal`` records, on behalf of ``by``.

    Rows to carry and rows inserted since are brought along; those that cannot be stay in a schema of their own. Changes
    nothing if there was no such restore.
    """
    result = _unchanged(schema)
    for step in journal.to_undo(COMPONENT, STEP):
        if step.undo["schema"] != schema:
            continue
        with opened(step.undo["src"]) as backup:
            _proven_in_place(db, backup, None)
            result["changed"] = True
            if not check:
                store = f"{schema}__carry_undo_{by.run_id}_{step.seq}"
                undo = _set_aside(db, connection, step, journal, by, store)
                carry = [Carry.from_mapping(rule) for rule in step.undo["carry"]]
                with journal.reverting(step, by, undo) as recorded, Progress(progress, backup.load_bytes) as counted:
                    result.update(_replace(db, connection, backup, schema, Expected(), counted))
                    _space_out(db, schema, undo["auto_increment"])
                    recorded.update(_bring(db, store, schema, carry, step.undo.get("auto_increment", {})))
                result.update(recorded)
    return result
