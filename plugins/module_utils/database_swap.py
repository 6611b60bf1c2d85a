"""Exchange the tables of two schemas in one atomic statement, and back again.

The live tables go to ``outgoing``, the tables of ``incoming`` go live. A swap has incoming = shadow and
outgoing = attic; its undo has incoming = attic and outgoing = the schema that keeps the restored tables, and the undo
of the undo the other way round, without end: each is journaled in the same form.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import Database, quote
from ansible_collections.campaign.rollback.plugins.module_utils.database_border import returning
from ansible_collections.campaign.rollback.plugins.module_utils.database_carry import Carry
from ansible_collections.campaign.rollback.plugins.module_utils.database_execute import (
    COMPONENT,
    execute,
    pending,
    recover,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_handover import in_force, moveable
from ansible_collections.campaign.rollback.plugins.module_utils.database_objects import Definition
from ansible_collections.campaign.rollback.plugins.module_utils.database_prepare import Prepared, Request, prepare
from ansible_collections.campaign.rollback.plugins.module_utils.database_relations import Relation
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal, Step

STEP = "swap"


def restored_name(schema: str, attic: str, run_id: str) -> str:
    """Schema that keeps the restored tables after an undo."""
    suffix = attic.split("__attic_", 1)[1] if "__attic_" in attic else run_id.lower()
    return f"{schema}__attic_undo_{suffix}"


def empty_schema(db: Database, name: str) -> str:
    """``name``, or that with a number if tables of an earlier undo are kept there."""
    found, number = name, 1
    while moveable(db, [found])[found]:
        number += 1
        found = f"{name}_{number}"
    quote(found)
    return found


def _unchanged(schema: str) -> dict[str, Any]:
    return {
        "changed": False,
        "schema": schema,
        "in_force": False,
        "tables": {"to_live": [], "from_live": []},
        "objects": {"to_live": [], "from_live": []},
        "diff": {"before": "", "after": ""},
        "attempts": 0,
        "swap_s": 0.0,
        "frozen_s": 0.0,
        "ended": [],
        "carried": {},
        "merged": {},
        "conflicts": {},
        "orphans": [],
        "auto_increment": {},
    }


def is_swapped(db: Database, step: Step) -> bool:
    """Whether the rename of a journaled swap is in force now: the rename is atomic, so its tables tell.

    Raises RollbackError if they are in neither place, which only a hand from outside can have done.
    """
    return in_force(db, step.undo)


def means_back(prepared: Prepared, request: Request, restored: str) -> dict[str, Any]:
    """What the journal says of a swap before it happens: all that its reversal needs.

    The start values stand here and not in the result, because a run that dies right after the rename has no result.
    """
    plan = prepared.plan
    return {
        "schema": request.schema,
        "shadow": request.shadow,
        "attic": request.attic,
        "restored": restored,
        "out": list(plan.out),
        "into": list(plan.into),
        "keep": list(request.keep),
        "keep_objects": list(request.keep_objects),
        "carry": [dataclasses.asdict(carry) for carry in request.carry],
        "gap": request.gap,
        "auto_increment": prepared.auto_increment,
        "objects": [dataclasses.asdict(definition) for definition in prepared.objects],
        "foreign_keys": [dataclasses.asdict(key) for key in returning(prepared.handover.keys, plan)],
    }


def swap(db: Database, journal: Journal, request: Request, check: bool = False) -> dict[str, Any]:
    """Put the shadow tables live and the live tables into the attic; see the module database_swap.

    A swap of this run that is already in force is left alone, so running again after a crash completes the run.
    """
    if check:
        recovered: dict[str, Any] = {"changed": True} if pending(journal, request.schema) else {}
    else:
        recovered = recover(db, journal, request)
    for step in journal.to_undo(COMPONENT, STEP):
        undo = step.undo
        if undo["schema"] != request.schema:
            continue
        if is_swapped(db, step):
            if step.state != "done" and not check:
                journal.done(step.seq)
            done = {"incoming": undo["shadow"], "outgoing": undo["attic"], "in_force": True}
            done["tables"] = {"to_live": undo["into"], "from_live": undo["out"]}
            return {**_unchanged(request.schema), **done, **step.result, **recovered}
        if not check:
            journal.undone(step.seq)
    prepared = prepare(db, request)
    restored = empty_schema(db, restored_name(request.schema, request.attic, journal.run_id))
    if check:
        return {**_unchanged(request.schema), **prepared.described()}
    undo = means_back(prepared, request, restored)
    seq = journal.begin(COMPONENT, "switch", STEP, undo)
    try:
        result = execute(db, prepared, request, journal)
    except RollbackError as error:
        journal.failed(seq, error.what)
        # If the server answers, the tables tell whether anything is left to undo; if not, a later undo asks again.
        with contextlib.suppress(RollbackError):
            if not in_force(db, undo):
                journal.undone(seq)
        raise
    journal.done(seq, **result)
    return {**result, **prepared.described(), "in_force": True}


def reversal(step: Step, lock_wait_s: int, attempts: int, freeze_s: float) -> Request:
    """The swap that reverses the one of ``step``."""
    undo = step.undo
    return Request(
        undo["schema"],
        undo["attic"],
        undo["restored"],
        tuple(undo["keep"]),
        tuple(Carry.from_mapping(carry) for carry in undo["carry"]),
        undo["gap"],
        lock_wait_s,
        attempts,
        merge_from=undo.get("auto_increment", {}),
        freeze_s=freeze_s,
        keep_objects=tuple(undo.get("keep_objects", ())),
        # A swap recorded by an earlier version could not have any.
        objects=tuple(Definition.from_mapping(given) for given in undo.get("objects", ())),
        foreign_keys=tuple(Relation.from_mapping(given) for given in undo.get("foreign_keys", ())),
    )


def settle(journal: Journal, step: Step, by: Journal) -> None:
    """Mark ``step``, which is not in force: it never was, or an attempt put it back and died before it said so."""
    origin = {"run": journal.run_id, "seq": step.seq}
    begun = any(known.undo.get("reverts") == origin for known in by.to_undo(step.component, step.name))
    # Where nothing was put back there is nothing to come back to, so nothing is announced.
    with journal.reverting(step, by if begun else journal, {}):
        pass


def revert(
    db: Database,
    journal: Journal,
    by: Journal,
    schema: str,
    lock_wait_s: int,
    attempts: int,
    check: bool = False,
    freeze_s: float = 2,
    name: str = STEP,
) -> dict[str, Any]:
    """Reverse the swap of ``schema`` that ``journal`` records by ``name``, on behalf of the run ``by``.

    The attic tables go live, the restored ones into a schema of their own, and what the swap replaced beside tables is
    made again. What the swap carried is carried back the other way first, and rows inserted since the swap are taken
    along; those that cannot be stay in the schema of the restored tables. A swap that never happened or was undone
    changes nothing.
    """
    outcome = _unchanged(schema)
    if not check:
        waits = Request(schema, "", "", lock_wait_s=lock_wait_s, attempts=attempts, freeze_s=freeze_s)
        outcome.update(recover(db, by, waits, reverts=journal))
    for step in journal.to_undo(COMPONENT, name):
        if step.undo["schema"] != schema:
            continue
        if is_swapped(db, step):
            request = reversal(step, lock_wait_s, attempts, freeze_s)
            prepared = prepare(db, request)
            outcome.update(prepared.described())
            if not check:
                with journal.reverting(step, by, means_back(prepared, request, request.shadow)) as result:
                    result.update(execute(db, prepared, request, by))
                outcome.update(result)
        elif not check:
            settle(journal, step, by)
    return outcome
