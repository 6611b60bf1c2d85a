"""An emergency copy of the tables that migrations change, and the way back to it.

The copy is complete when it is in the attic: it is built in a shadow schema while nobody can write to its tables, and
moved by one rename. It is journaled in the form of a swap, so its reversal is one too. Tables outside of the copy stay
where they are; their foreign keys to and from the copied ones are taken away for the rename and added again.
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
    crossing,
    error_code,
    free_bytes,
    long_transactions,
    qualified,
    quote,
    read_columns,
    read_foreign_keys,
    read_objects,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_carry import Carry, auto_increments
from ansible_collections.campaign.rollback.plugins.module_utils.database_execute import create_like, execute
from ansible_collections.campaign.rollback.plugins.module_utils.database_migrations import (
    TABLE,
    differences,
    read_applied,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_prepare import prepare
from ansible_collections.campaign.rollback.plugins.module_utils.database_relations import count_orphans
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import (
    is_swapped,
    restored_name,
    reversal,
    settle,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal, Step
from ansible_collections.campaign.rollback.plugins.module_utils.migrations import to_reverse
from ansible_collections.campaign.rollback.plugins.module_utils.table_copy import (
    Border,
    add_borders,
    checksums,
    copy_rows,
    create_copies,
    drop_borders,
    read_borders,
    settle_session,
)

COMPONENT = "database"
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
    return {"changed": False, "schema": schema, "tables": [], "reverse": [], "seconds": 0.0, "in_force": False}


def chosen(db: Database, request: Request) -> tuple[list[str], list[str]]:
    """Tables that are copied and those that stay. Raises RollbackError if the way back would be closed."""
    live = read_tables(db, [request.schema])[request.schema]
    wanted = set(request.tables or live) & set(live) | {TABLE}
    objects = read_objects(db, [request.schema])[request.schema]
    reasons = [f"{kind}: {', '.join(names)}" for kind, names in objects.items() if names]
    inside = {(request.schema, name) for name in live}
    copied = {(request.schema, name) for name in wanted}
    reasons += [
        f"foreign key {key}"
        for key in crossing(read_foreign_keys(db), inside)
        if key.child in copied or key.parent in copied
    ]
    if reasons:
        raise RollbackError(
            "The schema has what an undo of migrations could not put back; nothing was touched",
            found="; ".join(reasons),
            where=request.schema,
        )
    free, needed = free_bytes(db), sum(live[name].bytes for name in wanted) * _SPACE_FACTOR
    if free is not None and free < needed:
        raise RollbackError(
            "Not enough disk for the emergency copy of the tables that the migrations change",
            found=f"{free} bytes free, about {needed:.0f} needed",
            where="data directory of the server",
        )
    return sorted(wanted), sorted(set(live) - wanted)


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


def _means_back(db: Database, request: Request, seq: int, tables: Sequence[str], keep: Sequence[str]) -> dict[str, Any]:
    live = read_tables(db, [request.schema])[request.schema]
    return {
        "schema": request.schema,
        "shadow": request.shadow,
        "attic": request.attic,
        # A run that begins again puts back what it had done first, and needs another place for it.
        "restored": f"{restored_name(request.schema, request.attic, '')}_{seq}",
        "out": list(tables),
        "into": [],
        "keep": list(keep),
        "carry": [dataclasses.asdict(rule) for rule in request.carry if rule.table in tables],
        "gap": request.gap,
        # Ids given out from here on are those of rows that an undo has to bring along.
        "auto_increment": {n: live[n].auto_increment for n in tables if live[n].auto_increment is not None},
        "borders": [dataclasses.asdict(border) for border in read_borders(db, request.schema, tables)],
    }


def _undone_first(db: Database, journal: Journal, request: Request, check: bool) -> bool:
    """Whether a copy of this run is in force that is still wanted.

    A run that stopped between two migrations, or in the middle of one, begins again with the tables as they were.
    """
    reverse = to_reverse(read_applied(db, request.schema), request.recorded)
    for step in journal.to_undo(COMPONENT, STEP):
        if step.undo["schema"] != request.schema:
            continue
        if is_swapped(db, step):
            if not reverse:
                return True
            if not check:
                put_back(db, journal, step, journal, request.lock_wait_s, request.attempts)
        elif not check:
            _leave(db, journal, step, journal)
    return False


def protect(db: Database, journal: Journal, request: Request, check: bool = False) -> dict[str, Any]:
    """Copy the tables that migrations are about to change into the attic; see the module migration_protection.

    If migrations of this run were reversed in part before, the tables are put back first, so that it begins anew. Where
    nothing is left to reverse nothing is done.
    """
    if _undone_first(db, journal, request, check):
        return dict(_unchanged(request.schema), in_force=True)
    reverse = to_reverse(read_applied(db, request.schema), request.recorded)
    if not reverse:
        return _unchanged(request.schema)
    tables, keep = chosen(db, request)
    result = dict(_unchanged(request.schema), changed=True, reverse=reverse, tables=tables)
    if check:
        return result
    started = time.monotonic()
    seq = 1 + max((step.seq for step in journal.steps()), default=0)
    # The lock is no change, and what is read under it is what the journal has to say.
    with _held(db, request, tables), db.again() as own:
        seq = journal.begin(COMPONENT, "switch", STEP, _means_back(own, request, seq, tables, keep))
        try:
            settle_session(own)
            create_copies(own, request.schema, request.shadow, tables)
            result["rows"] = _fill(own, request, tables)
            _check(own, request, tables)
            create_like(own, request.attic, request.schema)
            _move(own, request, tables)
        except RollbackError as error:
            journal.failed(seq, error.what)
            raise
    return {**result, "in_force": True, "seconds": round(time.monotonic() - started, 3)}


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
    steps = [step for step in journal.to_undo(COMPONENT, STEP) if step.undo["schema"] == schema]
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


def _leave(db: Database, journal: Journal, step: Step, by: Journal) -> None:
    """Mark what is not in force: never complete, or put back by an attempt that died before it said so."""
    add_borders(db, step.undo["schema"], _borders(step))
    settle(journal, step, by)


def _borders(step: Step) -> list[Border]:
    return [Border(**border) for border in step.undo["borders"]]


def put_back(
    db: Database, journal: Journal, step: Step, by: Journal, lock_wait_s: int, attempts: int
) -> dict[str, Any]:
    """Make the copied tables of ``step`` live again, with the rows written since; returns what the swap returns.

    ``orphans`` are rows of tables that stayed whose parent is not among the returning rows, per relation.
    """
    request = reversal(step, lock_wait_s, attempts)
    schema = request.schema
    tables = read_tables(db, [schema, request.shadow])
    moving = sorted(set(tables[schema]) - set(request.keep))
    borders = read_borders(db, schema, moving)
    columns = {table: own for (_schema, table), own in read_columns(db, [request.shadow]).items()}
    undo = {
        **step.undo,
        "shadow": request.shadow,
        "attic": request.attic,
        "restored": request.shadow,
        "out": moving,
        "into": sorted(tables[request.shadow]),
        "auto_increment": auto_increments(
            {name: tables[schema][name] for name in moving}, tables[request.shadow], columns, request.gap
        ),
        "borders": [dataclasses.asdict(border) for border in borders],
    }
    with journal.reverting(step, by, undo) as result:
        drop_borders(db, schema, borders)
        try:
            result.update(execute(db, prepare(db, request), request))
        except RollbackError:
            with contextlib.suppress(RollbackError):
                if is_swapped(db, step):
                    add_borders(db, schema, borders)
            raise
        relations = add_borders(db, schema, _borders(step))
        counts = {str(relation): count_orphans(db, relation) for relation in relations}
        result["orphans"] = {name: count for name, count in counts.items() if count}
    return result


def revert(
    db: Database, journal: Journal, by: Journal, schema: str, lock_wait_s: int, attempts: int, check: bool = False
) -> dict[str, Any]:
    """Put back the tables of ``schema`` that ``journal`` protected, on behalf of the run ``by``.

    A copy that was never complete, or was put back before, changes nothing.
    """
    outcome = _unchanged(schema)
    for step in journal.to_undo(COMPONENT, STEP):
        if step.undo["schema"] != schema:
            continue
        if is_swapped(db, step):
            outcome.update(changed=True, tables=step.undo["out"])
            if not check:
                outcome.update(put_back(db, journal, step, by, lock_wait_s, attempts))
        elif not check:
            _leave(db, journal, step, by)
    return outcome
