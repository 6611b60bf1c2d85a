"""Bring later rows back after a rollback, or chosen rows from any other schema of the server, and undo that.

Everything that is brought is noted first, in the schema ``<schema>__recovered_<run>``; see recovery_kept. So a run that
was killed goes on, running again changes nothing, and an undo takes out exactly what was brought.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.chunks import Chunks, OutOfTime
from ansible_collections.campaign.rollback.plugins.module_utils.database import Database, existing_schemas
from ansible_collections.campaign.rollback.plugins.module_utils.database_rows import Key
from ansible_collections.campaign.rollback.plugins.module_utils.dump import Progress
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal, Step
from ansible_collections.campaign.rollback.plugins.module_utils.recovery_kept import (
    CONFLICT,
    DECLINED,
    INFIX,
    INSERTED,
    ORPHAN,
    OVERWRITTEN,
    PRESENT,
    REFUSED,
    REMOVED,
    REPLACE,
    RESTORED,
    WANTED,
    Kept,
)
from ansible_collections.campaign.rollback.plugins.module_utils.recovery_plan import (
    ATTIC,
    Plan,
    Request,
    dated,
    in_order,
    make_plan,
    read_recoveries,
)
from ansible_collections.campaign.rollback.plugins.module_utils.recovery_table import TableRecovery
from ansible_collections.campaign.rollback.plugins.module_utils.recovery_undo import left, take_out, want_again
from ansible_collections.campaign.rollback.plugins.module_utils.table_comparison import shown
from ansible_collections.campaign.rollback.plugins.module_utils.table_policies import Policies

COMPONENT = "database"
STEP = "recover"
_LISTED = 100


def kept_schema(schema: str, run_id: str) -> str:
    """The schema that remembers what the run brought into ``schema``."""
    return f"{schema}{INFIX}{run_id}"


def recover(
    db: Database, journal: Journal, request: Request, check: bool = False, progress: str | None = None
) -> dict[str, Any]:
    """Bring what ``request`` wants; see the module database_recover for what is returned.

    A run may be told to recover again: it goes on where it stopped, and tries refused rows once more. With ``check`` it
    only says what it would bring, and how many rows would be refused as far as that can be known. ``progress`` is a
    file that says how far it is. Raises RollbackError.
    """
    began = time.monotonic()
    db.use_utc()
    plan = make_plan(db, request)
    if check:
        return _result(request, _foreseen(request, plan), began)
    seq = _announce(journal, request)
    try:
        chunks = Chunks(db, request.seconds)
        new = plan.kept.create(request.source)
        complete = _note_wanted(request, plan, chunks)
        left = sum(entry["wanted"] for entry in _done(request, plan).values())
        with Progress(progress, left) as counted:
            chunks.counted = counted.add
            brought = _bring(plan.tables, chunks)
    except RollbackError as error:
        journal.failed(seq, error.what)
        raise
    result = _result(request, _done(request, plan), began)
    result.update(
        complete=complete and all(not entry["wanted"] for entry in result["tables"].values()),
        changed=new or brought > 0,
        conflicts=_refused(plan.tables, request.listed),
        longest_s=round(chunks.longest_s, 3),
    )
    journal.done(seq, tables=result["tables"], complete=result["complete"])
    return result


def _announce(journal: Journal, request: Request) -> int:
    """Put on record what is about to be changed; returns the number of the step, which may have begun before."""
    for step in journal.to_undo(COMPONENT, STEP):
        if step.undo["kept"] == request.kept and step.undo["brought"]:
            if step.undo["source"] != request.source:
                raise RollbackError(
                    "This run recovers from another schema already", found=step.undo["source"], where=request.kept
                )
            return step.seq
    undo = {"schema": request.schema, "source": request.source, "kept": request.kept, "brought": True}
    return journal.begin(COMPONENT, "recover", STEP, undo)


def _note_wanted(request: Request, plan: Plan, chunks: Chunks) -> bool:
    """Note all wanted keys before the first row is brought; whether the time was enough."""
    known: list[str] = []
    complete = True
    try:
        with chunks.reading():
            for table in plan.tables:
                if table.name not in plan.planned:
                    _note_table(table, request, plan, chunks)
                    known.append(table.name)
    except OutOfTime:
        complete = False
    if not request.ids:
        plan.kept.plan(known, request.source)
    return complete


def _note_table(table: TableRecovery, request: Request, plan: Plan, chunks: Chunks) -> None:
    keys: list[Key] = []
    while True:
        chunks.check()
        keys = table.page(table.missing(plan.wanted[table.name]), keys[-1] if keys else None)
        if not keys:
            break
        table.kept.note(table.own, keys, WANTED)
    if request.ids:
        _note_named(table, plan.named.get(table.name, []), request)


def _note_named(table: TableRecovery, keys: Sequence[Key], request: Request) -> None:
    """Note the chosen rows that are in both schemas with another content, or not in the source."""
    differing = table.differing(keys)
    if differing and request.changed:
        table.kept.note(table.own, differing, REPLACE)
    elif differing:
        table.kept.note(table.own, differing, DECLINED, "it is there, with another content")
    absent = table.absent(keys)
    if absent:
        table.kept.note(table.own, absent, DECLINED, f"it is not in {request.source}")


def _bring(tables: Sequence[TableRecovery], chunks: Chunks) -> int:
    """Bring all that is noted; again, as long as refused rows may have got the row that they refer to."""
    brought = 0
    wanted: tuple[str, ...] = (WANTED, CONFLICT, ORPHAN)
    while True:
        found = 0
        for table in tables:
            found += table.bring(chunks, (REPLACE,), table.overwrite)
            found += table.bring(chunks, wanted, table.insert)
        brought += found
        wanted = (ORPHAN,)
        if not found or chunks.over() or not any(table.kept.counts(table.name).get(ORPHAN) for table in tables):
            return brought


def _result(request: Request, tables: dict[str, dict[str, Any]], began: float) -> dict[str, Any]:
    wanted = sum(entry["wanted"] for entry in tables.values())
    return {
        "changed": wanted > 0,
        "schema": request.schema,
        "source": request.source,
        "kept": request.kept,
        "tables": tables,
        "complete": True,
        "conflicts": [],
        "longest_s": 0.0,
        "seconds": round(time.monotonic() - began, 3),
        "diff": {"before": "", "after": _listing(request, tables)},
    }


def _listing(request: Request, tables: dict[str, dict[str, Any]]) -> str:
    rows = {name: sum(entry[kind] for kind in ("wanted", "brought", "overwritten")) for name, entry in tables.items()}
    return "".join(
        f"{request.schema}.{name}: {rows[name]} rows from {request.source}\n" for name in sorted(rows) if rows[name]
    )


def _entry(request: Request, plan: Plan, name: str, **numbers: int) -> dict[str, Any]:
    nothing = dict.fromkeys(("wanted", "brought", "overwritten", "present", "conflicts", "reduced"), 0)
    told = {"policy": request.policies.of_table(name).policy, "note": plan.skipped.get(name, "")}
    later = [table for table in plan.tables if table.name == name and not request.ids]
    return {**nothing, **numbers, **told, "undated": any(not dated(request, table) for table in later)}


def _foreseen(request: Request, plan: Plan) -> dict[str, dict[str, Any]]:
    """Per table what would be brought and refused."""
    found = {name: _entry(request, plan, name) for name in plan.skipped}
    for table in plan.tables:
        missing = table.missing(plan.wanted[table.name])
        blocked, reduced = table.blocked("s", plan.wanted), table.reduced("s")
        numbers = {"wanted": table.count(missing), "conflicts": table.count(f"{missing} AND ({blocked})")}
        numbers["reduced"] = table.count(f"{missing} AND ({reduced})")
        if plan.named.get(table.name):
            differing = table.differing(plan.named[table.name])
            numbers["wanted" if request.changed else "conflicts"] += len(differing)
            numbers["conflicts"] += len(table.absent(plan.named[table.name]))
        found[table.name] = _entry(request, plan, table.name, **numbers)
    return found


def _done(request: Request, plan: Plan) -> dict[str, dict[str, Any]]:
    """Per table how its rows stand now."""
    found = {name: _entry(request, plan, name) for name in plan.skipped}
    for table in plan.tables:
        counts = table.kept.counts(table.name)
        numbers = {
            "wanted": counts.get(WANTED, 0) + counts.get(REPLACE, 0),
            "brought": counts.get(INSERTED, 0),
            "overwritten": counts.get(OVERWRITTEN, 0),
            "present": counts.get(PRESENT, 0),
            "conflicts": sum(counts.get(state, 0) for state in REFUSED),
            "reduced": counts["reduced"],
        }
        found[table.name] = _entry(request, plan, table.name, **numbers)
    return found


def _refused(tables: Iterable[TableRecovery], rows: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for table in tables:
        if len(found) < rows:
            refused = table.kept.refused(table.own, rows - len(found))
            found += [_told(table, key, why) for key, why in refused]
    return found


def revert(db: Database, journal: Journal, by: Journal, schema: str, check: bool = False) -> dict[str, Any]:
    """Take out what the run of ``journal`` brought into ``schema``, on behalf of the run ``by``, or bring it again.

    The latter if the run is itself an undo. Rows that were changed since, or that others refer to by now, are left and
    told in ``conflicts``. If the tables of the attic are live again, everything that was brought is in them anyway.
    """
    began = time.monotonic()
    db.use_utc()
    result: dict[str, Any] = {"schema": schema, "changed": False, "tables": {}, "conflicts": [], "longest_s": 0.0}
    for step in journal.to_undo(COMPONENT, STEP):
        if step.undo["schema"] != schema:
            continue
        tables, out = _recorded(db, step), bool(step.undo["brought"])
        if check:
            result.update(_reversal(tables, _pending(tables, out)))
            continue
        undo = {key: value for key, value in step.undo.items() if key != "reverts"}
        with journal.reverting(step, by, {**undo, "brought": not out}) as recorded:
            if out and existing_schemas(db, [undo["kept"]]):
                Kept(db, undo["kept"]).forget_plan()
            recorded.update(_reverse(tables, Chunks(db, 0), out))
        result.update(recorded)
    listing = "".join(f"{schema}.{name}: {entry['rows']} rows\n" for name, entry in sorted(result["tables"].items()))
    return {**result, "seconds": round(time.monotonic() - began, 3), "diff": {"before": listing, "after": ""}}


def _recorded(db: Database, step: Step) -> list[TableRecovery]:
    """The tables that a recorded recovery is about, in the order in which they were brought."""
    undo = step.undo
    source = undo["source"]
    there = existing_schemas(db, [source, undo["kept"]])
    # An attic without tables was made live again; then what was brought from it is live in any case.
    if undo["kept"] not in there or (source not in there and ATTIC in source):
        return []
    if source not in there and not undo["brought"]:
        raise RollbackError("The schema that the rows came from is gone", found=source, where=undo["kept"])
    # To take rows out, the target and what is kept are enough.
    kept = Kept(db, undo["kept"])
    found = read_recoveries(kept, undo["schema"], source if source in there else undo["schema"])
    return in_order({name: table for name, table in found.items() if name in kept.tables}, Policies())


def _pending(tables: Sequence[TableRecovery], out: bool) -> dict[str, int]:
    """Table -> number of rows that a reversal is about."""
    concerned = (INSERTED, OVERWRITTEN) if out else (REMOVED, RESTORED)
    counts = {table.name: table.kept.counts(table.name) for table in tables}
    return {name: sum(count.get(state, 0) for state in concerned) for name, count in counts.items()}


def _reversal(tables: Sequence[TableRecovery], rows: dict[str, int]) -> dict[str, Any]:
    return {"changed": any(rows.values()), "tables": {table.name: {"rows": rows[table.name]} for table in tables}}


def _reverse(tables: Sequence[TableRecovery], chunks: Chunks, out: bool) -> dict[str, Any]:
    before = _pending(tables, out)
    if out:
        for table in reversed(tables):
            take_out(table, chunks)
        conflicts = [(table, key, why) for table in tables for key, why in left(table, _LISTED)]
    else:
        for table in tables:
            want_again(table)
        _bring(tables, chunks)
        conflicts = [(table, key, why) for table in tables for key, why in table.kept.refused(table.own, _LISTED)]
    after = _pending(tables, out)
    return {
        **_reversal(tables, {name: before[name] - after[name] for name in before}),
        "conflicts": [_told(*conflict) for conflict in conflicts[:_LISTED]],
        "longest_s": round(chunks.longest_s, 3),
    }


def _told(table: TableRecovery, key: Key, why: str) -> dict[str, Any]:
    return {"table": table.name, "id": shown(key), "reason": why}
