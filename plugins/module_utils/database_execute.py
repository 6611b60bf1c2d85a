"""Carry a prepared swap out: bring rows along, rename, hand over the rest, and put all back if it cannot be."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Database,
    long_transactions,
    qualified,
    quote,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_border import orphans
from ansible_collections.campaign.rollback.plugins.module_utils.database_carry import carry_rows
from ansible_collections.campaign.rollback.plugins.module_utils.database_freeze import RESERVE, Freeze, busy
from ansible_collections.campaign.rollback.plugins.module_utils.database_handover import (
    Handover,
    exchange,
    in_force,
    settle,
    take_triggers,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_merge import merge_rows
from ansible_collections.campaign.rollback.plugins.module_utils.database_prepare import Prepared, Request
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import RUN_ID, Journal, Step

COMPONENT = "database"
#: A step of this name is pending only while what a rename leaves behind is being handed over.
HANDOVER = "objects"


def create_like(db: Database, schema: str, pattern: str) -> None:
    """Create ``schema``, if it is not there, with the character set of ``pattern``."""
    row = db.rows(
        "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA"
        " WHERE SCHEMA_NAME = %s",
        [pattern],
    )[0]
    db.run(f"CREATE DATABASE IF NOT EXISTS {quote(schema)} CHARACTER SET {row[0]} COLLATE {row[1]}")


def execute(db: Database, prepared: Prepared, request: Request, by: Journal) -> dict[str, Any]:
    """Merge, carry and rename, again after each bounded wait, and hand over what the rename leaves behind.

    Returns ``attempts``, ``swap_s``, ``frozen_s``, ``ended``, ``carried``, ``merged``, ``conflicts``, ``orphans`` and
    ``auto_increment``; ``swap_s`` is the duration of the rename that succeeded. Raises RollbackError with the blocking
    transactions, or with what the server did not accept once the tables were swapped.
    """
    plan, handover = prepared.plan, prepared.handover
    db.limit_waits(request.lock_wait_s)
    create_like(db, plan.outgoing, plan.live)
    for name, value in prepared.auto_increment.items():
        db.run(f"ALTER TABLE {qualified(plan.incoming, name)} AUTO_INCREMENT = {value:d}")
    for statement in prepared.adjust:
        db.run(statement)
    seq = by.begin(COMPONENT, "switch", HANDOVER, handover.to_mapping()) if handover else None
    try:
        result, problems = _attempts(db, prepared, request)
    except RollbackError as error:
        if seq is not None and not isinstance(error, Unsettled):
            by.undone(seq)
        raise
    if problems:
        raise incomplete(problems, plan.live)
    if seq is not None:
        by.undone(seq)
    return {**result, "auto_increment": prepared.auto_increment, "orphans": orphans(db, handover.keys)}


class Unsettled(RollbackError):
    """What was taken away for a rename could not be put back, or not all of it made after it."""


def incomplete(problems: list[str], schema: str) -> RollbackError:
    """The error for objects that the server refuses although the tables they belong to are live."""
    return RollbackError(
        "The tables were swapped, but the server did not accept everything that belongs to them",
        found="; ".join(problems),
        where=schema,
        next_step="mend what is named and run again, or undo",
    )


def _attempts(db: Database, prepared: Prepared, request: Request) -> tuple[dict[str, Any], list[str]]:
    """Try until the rename succeeds; returns the result so far, and what the server did not accept after it.

    When this raises, what was taken away has been put back, but for Unsettled.
    """
    plan, handover = prepared.plan, prepared.handover
    carried = {carry.table: 0 for carry in request.carry}
    merged: dict[str, int] = {}
    conflicts: dict[str, int] = {}
    freeze = Freeze(db, plan.live, request.freeze_s, request.lock_wait_s, request.attempts)
    for attempt in range(1, request.attempts + 1):
        try:
            take_triggers(db, handover)
            inserted, conflicts = merge_rows(db, prepared.merge)
            for table, count in inserted.items():
                merged[table] = merged.get(table, 0) + count
            for table, statements in prepared.carry.items():
                for carrying in statements:
                    carried[table] += carry_rows(db, carrying)
            problems = exchange(db, handover, freeze)
            break
        except RollbackError as error:
            # Now, because putting back may end them.
            blocking = long_transactions(db, 0 if freeze.running else request.lock_wait_s) if busy(error) else []
            swapped, problems, ended = _settled(db, handover, request, error)
            freeze.over()
            freeze.ended += ended
            if swapped:
                break
            if not busy(error):
                raise
            if attempt == request.attempts or freeze.exhausted:
                raise _blocked(blocking, attempt, request, freeze) from error
            # Everything that queued up behind the waiting rename gets through before the next try.
            time.sleep(min(0.1 * 2**attempt, 1.0))
    result = {
        "attempts": attempt,
        "swap_s": round(freeze.renamed_s, 4),
        "frozen_s": round(freeze.lasted, 4),
        "ended": freeze.ended,
        "carried": carried,
        "merged": merged,
        "conflicts": conflicts,
    }
    return result, problems


def _blocked(blocking: list[dict[str, Any]], attempts: int, request: Request, freeze: Freeze) -> RollbackError:
    listed = ["connection {id}, user {user}, {seconds} s".format(**entry) for entry in blocking]
    listed += [
        f"connection {connection} was ended, as it was in the way of the triggers" for connection in freeze.ended
    ]
    waited = f"{attempts} waits of {request.lock_wait_s} s"
    if freeze.lasted:
        waited = f"{freeze.lasted:.1f} s, in which others could not write"
    return RollbackError(
        f"The tables stayed in use for {waited}; nothing was swapped",
        found="; ".join(listed) or "the blocking transaction has ended meanwhile",
        where=f"open transactions on schema {request.schema}",
        next_step="end these transactions (KILL <connection>) and run again",
    )


def _settled(
    db: Database, handover: Handover, request: Request, error: RollbackError
) -> tuple[bool, list[str], list[int]]:
    """After an error, on a connection of its own: make the rest fit the tables.

    Returns whether the rename is in force, what the server did not accept, and the connections that had to be ended.
    """
    if not handover:
        return False, [], []
    try:
        with db.again() as own:
            own.limit_waits(request.lock_wait_s)
            swapped, freeze = in_force(own, handover.to_mapping()), _freeze(own, request)
            return swapped, settle(own, handover, swapped, freeze), freeze.ended
    except RollbackError as second:
        raise Unsettled(
            error.what,
            found="; ".join(str(part) for part in (error.found, second.what, second.found) if part),
            where="the journal, which knows what was taken away",
            next_step="run again, or undo: both put it back first",
        ) from error


def _freeze(db: Database, request: Request) -> Freeze:
    # What is left of the time, once it has become clear that there is something to put back.
    return Freeze(db, request.schema, RESERVE * request.freeze_s, request.lock_wait_s, request.attempts)


def pending(by: Journal, schema: str) -> list[tuple[Journal, Step]]:
    """What killed swaps and undos of ``schema``, of any run on this host, had begun to hand over and did not finish.

    Of any run, because whoever comes next would take what a dead one left, such as a server that cannot be written to,
    for what always was.
    """
    root = os.path.dirname(by.directory)
    names = os.listdir(root) if os.path.isdir(root) else []
    journals = [Journal(name, by.state_dir, by.fencing) for name in sorted(names) if RUN_ID.match(name)]
    return [
        (journal, step)
        for journal in journals
        if _mentions_handover(journal.path)
        for step in journal.to_undo(COMPONENT, HANDOVER)
        if step.undo["schema"] == schema
    ]


def _mentions_handover(path: str) -> bool:
    # Cheaper than to read the lines of every run there ever was, in the middle of the outage.
    try:
        with open(path, "rb") as stream:
            return f'"{HANDOVER}"'.encode("ascii") in stream.read()
    except FileNotFoundError:
        return False


def recover(db: Database, by: Journal, request: Request, reverts: Journal | None = None) -> dict[str, Any]:
    """Finish or put back what is pending, as the tables tell; returns ``changed`` and ``ended``, nothing if none was.

    Raises RollbackError for what the server refuses; not if the run ``reverts`` is about to be reverted, which replaces
    it. What another run left is passed over if somebody has moved its tables since.
    """
    found = pending(by, request.schema)
    if found:
        db.limit_waits(request.lock_wait_s)
    ended: list[int] = []
    concerned = {journal.run_id for journal in (by, reverts) if journal}
    for journal, step in found:
        try:
            swapped = in_force(db, step.undo)
        except RollbackError:
            if journal.run_id in concerned:
                raise
            continue
        freeze = _freeze(db, request)
        problems = settle(db, Handover.from_mapping(step.undo), swapped, freeze)
        ended += freeze.ended
        if problems and not reverts:
            raise incomplete(problems, request.schema)
        journal.undone(step.seq)
    return {"changed": True, "ended": ended} if found else {}
