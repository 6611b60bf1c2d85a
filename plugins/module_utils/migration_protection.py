"""An emergency copy of the tables that migrations change, and the way back to it.

The copy is complete when it is in the attic: it is built in a shadow schema while nobody can write to its tables, and
moved by one rename. It is journaled in the form of a swap, so that the reversal is that of a swap. Tables outside of
the copy stay where they are.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    LOCK_WAIT_TIMEOUT,
    Database,
    error_code,
    free_bytes,
    long_transactions,
    qualified,
    quote,
    read_foreign_keys,
    read_objects,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_border import borders, cross
from ansible_collections.campaign.rollback.plugins.module_utils.database_carry import Carry
from ansible_collections.campaign.rollback.plugins.module_utils.database_execute import COMPONENT, create_like
from ansible_collections.campaign.rollback.plugins.module_utils.database_handover import Handover, of_tables
from ansible_collections.campaign.rollback.plugins.module_utils.database_migrations import (
    TABLE,
    differences,
    read_applied,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_objects import read_definitions
from ansible_collections.campaign.rollback.plugins.module_utils.database_plan import Plan
from ansible_collections.campaign.rollback.plugins.module_utils.database_prepare import Prepared, prepare
from ansible_collections.campaign.rollback.plugins.module_utils.database_prepare import Request as SwapRequest
from ansible_collections.campaign.rollback.plugins.module_utils.database_relations import in_full
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import (
    empty_schema,
    is_swapped,
    means_back,
    restored_name,
    revert,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal, Step
from ansible_collections.campaign.rollback.plugins.module_utils.migrations import to_reverse
from ansible_collections.campaign.rollback.plugins.module_utils.table_copy import (
    checksums,
    copy_rows,
    create_copies,
    settle_session,
)

STEP = "migrations"
#: A copy of a table takes at most about this much of the original.
_SPACE_FACTOR = 1.2
_SESSIONS = 2


@dataclasses.dataclass(frozen=True)
class Request:
    """What is protected: ``tables`` (all if empty) of ``schema`` before what is not ``recorded`` is reversed.

    ``gap`` is in ids, ``lock_wait_s`` in seconds per attempt; ``carry`` as for a swap, for the undo.
    """

    schema: str
    shadow: str
    attic: str
    recorded: tuple[str, ...]
    tables: tuple[str, ...] = ()
    carry: tuple[Carry, ...] = ()
    gap: int = 1000
    lock_wait_s: int = 2
    attempts: int = 5


def _unchanged(schema: str) -> dict[str, Any]:
    return {"changed": False, "schema": schema, "copied": [], "reverse": [], "seconds": 0.0, "in_force": False}


def _refused(what: str, found: str, where: str) -> RollbackError:
    return RollbackError(what + "; nothing was touched", found=found, where=where)


def chosen(db: Database, request: Request) -> SwapRequest:
    """The swap that would put the copied tables back: all tables and sequences that it does not keep are copied.

    Raises RollbackError if the way back would be closed.
    """
    schema = request.schema
    live, sequences = read_tables(db, [schema])[schema], read_objects(db, [schema])[schema]["sequences"]
    wanted = set(request.tables or live) & set(live) | {TABLE}
    # A rehearsal's copy of such a table would hold on to rows of the other schema.
    reasons = [f"foreign key {key}" for key in read_foreign_keys(db) if key.child[0] == schema != key.parent[0]]
    if wanted == set(live):
        # Whatever is not understood may change them as well, and a rename of tables does not bring them back.
        reasons += [f"sequence {name}" for name in sequences]
    if reasons:
        raise _refused("The schema has what an undo of migrations could not put back", "; ".join(reasons), schema)
    free, needed = free_bytes(db), sum(live[name].bytes for name in wanted) * _SPACE_FACTOR
    if free is not None and free < needed:
        raise _refused(
            "Not enough disk for the emergency copy of the tables that the migrations change",
            f"{free} bytes free, about {needed:.0f} needed",
            "data directory of the server",
        )
    back = SwapRequest(
        schema,
        request.attic,
        empty_schema(db, restored_name(schema, request.attic, "")),
        tuple(sorted({*live, *sequences} - wanted)),
        tuple(rule for rule in request.carry if rule.table in wanted),
        request.gap,
        incoming_tables=tuple(sorted(wanted)),
    )
    prepare(db, back)
    return back


@contextlib.contextmanager
def _held(db: Database, request: Request, tables: Sequence[str]) -> Iterator[None]:
    """Nobody writes to ``tables`` in the body; a bounded wait, again after a pause."""
    db.limit_waits(request.lock_wait_s)
    locks = ", ".join(f"{qualified(request.schema, name)} READ" for name in tables)
    for attempt in range(1, request.attempts + 1):
        try:
            db.run(f"LOCK TABLES {locks}")
            break
        except RollbackError as error:
            if error_code(error) != LOCK_WAIT_TIMEOUT:
                raise
            if attempt == request.attempts:
                blocking = long_transactions(db, request.lock_wait_s)
                listed = ["connection {id}, user {user}, {seconds} s".format(**entry) for entry in blocking]
                raise RollbackError(
                    f"The tables stayed in use for {attempt} waits of {request.lock_wait_s} s; nothing was changed",
                    found="; ".join(listed) or "the blocking transaction has ended meanwhile",
                    where=f"open transactions on schema {request.schema}",
                    next_step="end these transactions (KILL <connection>) and run again",
                ) from error
            # Everything that queued up behind the waiting lock gets through before the next try.
            time.sleep(min(0.1 * 2**attempt, 1.0))
    try:
        yield
    finally:
        db.run("UNLOCK TABLES")


def _copy_one(db: Database, request: Request, table: str) -> int:
    with db.again() as own:
        settle_session(own)
        return copy_rows(own, request.schema, request.shadow, table)


def _fill(db: Database, request: Request, tables: Sequence[str]) -> dict[str, int]:
    """Copy all rows, the largest tables first; returns their numbers."""
    sizes = read_tables(db, [request.schema])[request.schema]
    ordered = sorted(tables, key=lambda name: -sizes[name].bytes)
    with concurrent.futures.ThreadPoolExecutor(_SESSIONS) as pool:
        counts = pool.map(lambda name: _copy_one(db, request, name), ordered)
        return dict(zip(ordered, counts))


def _check(db: Database, request: Request, tables: Sequence[str]) -> None:
    """An emergency copy that is not the same is none."""
    live, copied = checksums(db, request.schema, tables), checksums(db, request.shadow, tables)
    unlike = [name for name in tables if live[name] is None or live[name] != copied[name]]
    if unlike:
        raise RollbackError(
            "The emergency copy is not the same as the live tables; nothing was changed",
            found=", ".join(unlike),
            where=request.shadow,
        )


def _means_back(db: Database, request: Request, back: SwapRequest) -> dict[str, Any]:
    """What the journal says of a swap that moves the live tables into the attic; there is the copy instead."""
    schema, tables = request.schema, back.incoming_tables
    plan = Plan(schema, request.shadow, request.attic, tables, ())
    keys, _reasons = cross(in_full(db, borders(read_foreign_keys(db), plan)), plan)
    live = read_tables(db, [schema])[schema]
    # Ids given out from here on are those of rows that an undo has to bring along.
    ids = {name: live[name].auto_increment for name in tables}
    starts = {name: start for name, start in ids.items() if start is not None}
    objects = of_tables(read_definitions(db, schema, read_objects(db, [schema])[schema]), tables)
    prepared = Prepared(plan, starts, {}, (), (), Handover(plan, keys=tuple(keys)), tuple(objects))
    forth = dataclasses.replace(back, shadow=request.shadow, attic=request.attic)
    return means_back(prepared, forth, back.attic)


def protect(db: Database, journal: Journal, request: Request, check: bool = False) -> dict[str, Any]:
    """Copy the tables that migrations are about to change into the attic; see the module migration_protection.

    A run that stopped between two migrations, or in the middle of one, begins again with the tables as they were. Where
    nothing is left to reverse nothing is done.
    """
    schema = request.schema
    reverse = to_reverse(read_applied(db, schema), request.recorded)
    if not reverse and any(is_swapped(db, step) for step in _steps(journal, schema)):
        return dict(_unchanged(schema), in_force=True)
    if not check:
        revert(db, journal, journal, schema, request.lock_wait_s, request.attempts, name=STEP)
        reverse = to_reverse(read_applied(db, schema), request.recorded)
    if not reverse:
        return _unchanged(schema)
    back = chosen(db, request)
    tables = back.incoming_tables
    result = dict(_unchanged(schema), changed=True, reverse=reverse, copied=list(tables))
    if check:
        return result
    started = time.monotonic()
    # The lock is no change, and what is read under it is what the journal has to say.
    with _held(db, request, tables), db.again() as own:
        seq = journal.begin(COMPONENT, "switch", STEP, _means_back(own, request, back))
        try:
            settle_session(own)
            create_copies(own, schema, request.shadow, tables)
            result["rows"] = _fill(own, request, tables)
            _check(own, request, tables)
            create_like(own, request.attic, schema)
            _move(own, request, tables)
        except RollbackError as error:
            journal.failed(seq, error.what)
            raise
    return {**result, "in_force": True, "seconds": round(time.monotonic() - started, 3)}


def _steps(journal: Journal, schema: str) -> list[Step]:
    return [step for step in journal.to_undo(COMPONENT, STEP) if step.undo["schema"] == schema]


def _move(db: Database, request: Request, tables: Sequence[str]) -> None:
    """From here on the copy is whole and in the attic, or it is not there."""
    moves = [f"{qualified(request.shadow, name)} TO {qualified(request.attic, name)}" for name in tables]
    db.run("RENAME TABLE " + ", ".join(moves))
    db.run(f"DROP DATABASE IF EXISTS {quote(request.shadow)}")


def confirm(
    db: Database,
    journal: Journal,
    schema: str,
    digests: Mapping[str, Any],
    recorded: Sequence[str],
    reversed_in: Mapping[str, float],
    check: bool = False,
) -> dict[str, Any]:
    """Verify that exactly what is not ``recorded`` was reversed, and note it; the program's own answer proves nothing.

    ``reversed_in`` has the seconds per migration, for the journal. Raises RollbackError with every difference.
    """
    wrong = differences(db, schema, digests, recorded)
    steps = _steps(journal, schema)
    if wrong:
        for step in [] if check else steps:
            journal.failed(step.seq, "the schema is not the recorded one")
        raise RollbackError(
            "The migrations were not reversed to the recorded state", found="; ".join(wrong), where=schema
        )
    begun = [step for step in steps if step.state != "done"]
    for step in [] if check else begun:
        journal.done(step.seq, reversed=dict(reversed_in))
    return dict(_unchanged(schema), changed=bool(begun), in_force=bool(steps))
