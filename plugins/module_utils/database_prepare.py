"""Verify before a swap everything that can be known beforehand, and work out its statements."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Column,
    Database,
    ForeignKey,
    Table,
    digest_of,
    existing_schemas,
    read_columns,
    read_foreign_keys,
    read_objects,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_border import (
    Border,
    borders,
    cross,
    impossible,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_carry import (
    Carry,
    CarryStatements,
    auto_increments,
    carry_sql,
    default_sql,
    sequence_sql,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_handover import Handover, plan_objects
from ansible_collections.campaign.rollback.plugins.module_utils.database_merge import Merge, merge_sql, parents_first
from ansible_collections.campaign.rollback.plugins.module_utils.database_objects import Definition
from ansible_collections.campaign.rollback.plugins.module_utils.database_plan import Plan
from ansible_collections.campaign.rollback.plugins.module_utils.database_relations import Relation, in_full
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

Columns = Mapping[tuple[str, str], Mapping[str, Column]]


@dataclasses.dataclass(frozen=True)
class Request:
    """What a swap is asked to do; ``gap`` in ids, ``lock_wait_s`` in seconds per attempt, ``freeze_s`` in all.

    ``incoming_tables`` is what the shadow is going to hold, for a plan made before it is loaded. ``merge_from`` has per
    table the id from which on rows of the live table are new, and are taken along. ``objects`` and ``foreign_keys`` are
    what an earlier swap took from the incoming tables; None takes the objects of the shadow. ``keep_objects`` are
    kinds, such as ``events``, that stay as they are.
    """

    schema: str
    shadow: str
    attic: str
    keep: tuple[str, ...] = ()
    carry: tuple[Carry, ...] = ()
    gap: int = 1000
    lock_wait_s: int = 2
    attempts: int = 5
    incoming_tables: tuple[str, ...] = ()
    merge_from: Mapping[str, int] = dataclasses.field(default_factory=dict)
    freeze_s: float = 2
    keep_objects: tuple[str, ...] = ()
    objects: tuple[Definition, ...] | None = None
    foreign_keys: tuple[Relation, ...] = ()


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A checked plan with the statements that precede it, and the objects that the live schema has now."""

    plan: Plan
    auto_increment: dict[str, int]
    carry: dict[str, list[CarryStatements]]
    merge: tuple[Merge, ...]
    adjust: tuple[str, ...]
    handover: Handover
    objects: tuple[Definition, ...]

    def described(self) -> dict[str, Any]:
        """What the module returns and shows of what is about to be carried out."""
        sides = {"to_live": _changed(self.handover, "after"), "from_live": _changed(self.handover, "before")}
        shown = self.plan.described()
        for side, changed in (("before", sides["from_live"]), ("after", sides["to_live"])):
            shown["diff"][side] += "".join(f"{self.plan.live}: {name} {mark}\n" for name, mark in changed)
        return {**shown, "objects": {side: [name for name, _mark in changed] for side, changed in sides.items()}}


def _changed(handover: Handover, side: str) -> list[tuple[str, str]]:
    """Names of what only one side of a handover has, each with a mark that tells two definitions apart."""
    both = [
        {(str(one), digest_of(one.sql)[:8]) for one in definitions}
        | {(f"foreign key {key.short}", "") for key in keys if key and key.child[0] != handover.plan.incoming}
        for definitions, keys in (
            (handover.live, [border.before for border in handover.keys]),
            (handover.wanted, [border.after for border in handover.keys]),
        )
    ]
    return sorted(both[0] - both[1] if side == "before" else both[1] - both[0])


def prepare(db: Database, request: Request) -> Prepared:
    """Verify everything that can be known beforehand; reads only. ``request.shadow`` is the incoming schema.

    Raises one RollbackError that names all reasons.
    """
    names = [request.schema, request.shadow, request.attic]
    tables = read_tables(db, names)
    foreseen = not set(request.incoming_tables) <= set(tables[request.shadow])
    if foreseen:
        tables[request.shadow] = {name: Table(name, None, 0) for name in request.incoming_tables}
    found = read_objects(db, names)
    _possible(db, names, tables, found, foreseen)
    keep = set(request.keep)
    live, incoming = (
        {name: table for name, table in tables[schema].items() if name not in keep} for schema in names[:2]
    )
    # What comes with a shadow that is not loaded yet is not known but for its tables.
    sequences = [[] if foreseen else sorted(set(found[schema]["sequences"]) - keep) for schema in names[:2]]
    out, into = tuple(sorted([*live, *sequences[0]])), tuple(sorted([*incoming, *sequences[1]]))
    plan = Plan(request.schema, request.shadow, request.attic, out, into)
    if not incoming:
        raise RollbackError("There is no table to bring in", found=request.shadow, where="shadow")
    columns = read_columns(db, names[:2])
    keys = read_foreign_keys(db)
    handover, objects = _handed_over(
        db, plan, request, found, columns, keys, set(tables[plan.live]) - set(live), foreseen
    )
    merging = parents_first(set(request.merge_from) & set(live) & set(incoming), request.shadow, keys)
    merges = [
        merge_sql(name, plan.live, plan.incoming, columns[(plan.live, name)], columns[(plan.incoming, name)], start)
        for name, start in ((name, request.merge_from[name]) for name in merging)
    ]
    own_columns = {name: columns.get((request.shadow, name), {}) for name in incoming}
    both = sorted(set(sequences[0]) & set(sequences[1]))
    return Prepared(
        plan,
        auto_increments(live, incoming, own_columns, request.gap),
        _carrying(db, request, live, incoming, columns, foreseen),
        tuple(merge for merge in merges if merge),
        (
            *sequence_sql(db, plan.live, plan.incoming, both, request.gap),
            *default_sql(plan.live, plan.incoming, columns, incoming if sequences[1] else ()),
        ),
        handover,
        objects,
    )


def _possible(
    db: Database,
    names: Sequence[str],
    tables: Mapping[str, Mapping[str, Table]],
    found: Mapping[str, Mapping[str, Sequence[str]]],
    foreseen: bool,
) -> None:
    """Raise RollbackError for what no look at single tables is needed for."""
    live, shadow, attic = names
    if db.version_number() < ((10, 6) if db.engine == "mariadb" else (8, 0)):
        raise RollbackError(
            "This server's RENAME TABLE does not survive a crash; MariaDB 10.6 or MySQL 8.0 is needed", found=db.version
        )
    if len(set(names)) != 3:
        raise RollbackError("Live schema, shadow and attic must be three different schemas", found=", ".join(names))
    missing = {live, *([] if foreseen else [shadow])} - existing_schemas(db, names)
    if missing:
        raise RollbackError("The schema does not exist", found=", ".join(sorted(missing)))
    there = [*tables[attic], *found[attic]["sequences"], *found[attic]["views"]]
    if there:
        raise RollbackError(
            "The schema that is to receive the live tables is not empty",
            found="{}: {}".format(attic, ", ".join(sorted(there))),
            where="attic",
        )


def _handed_over(
    db: Database,
    plan: Plan,
    request: Request,
    found: Mapping[str, Mapping[str, Sequence[str]]],
    columns: Columns,
    keys: Iterable[ForeignKey],
    kept: set[str],
    foreseen: bool,
) -> tuple[Handover, tuple[Definition, ...]]:
    """What the rename leaves behind, and the live objects; one RollbackError with all reasons why it cannot be.

    Of a shadow that is not loaded yet, only what stands against the live schema can be told.
    """
    handover = Handover(plan)
    objects: tuple[Definition, ...] = ()
    reasons: list[str] = []
    kinds = [
        found[schema][kind] for schema in (plan.live, plan.incoming) for kind in found[schema] if kind != "sequences"
    ]
    if not foreseen and (any(kinds) or request.objects):
        handover, objects, reasons = plan_objects(db, plan, found, request.objects, request.keep_objects, kept)
    crossing, more = cross(in_full(db, borders(keys, plan)), plan)
    crossing += [Border(None, key) for key in request.foreign_keys if key.child[1] in plan.into]
    reasons += more
    reasons += impossible(db, plan, crossing, None if foreseen else columns, {*kept, *plan.into})
    if reasons:
        raise RollbackError(
            "The schema has what cannot be handed over to other tables; nothing was touched",
            found="; ".join(reasons),
            where=request.schema,
            next_step="change or drop what is named, there or in the backup",
        )
    return dataclasses.replace(handover, keys=() if foreseen else tuple(crossing)), objects


def _carrying(
    db: Database,
    request: Request,
    live: Mapping[str, Table],
    incoming: Mapping[str, Table],
    columns: Columns,
    foreseen: bool,
) -> dict[str, list[CarryStatements]]:
    """Per table how its rows are carried, proven to be understood by the server."""
    # Nobody knows the columns of tables that are not there yet; the live ones at least prove the condition.
    beside = request.schema if foreseen else request.shadow
    statements: dict[str, list[CarryStatements]] = {}
    for carry in request.carry:
        if carry.table in request.keep:
            raise RollbackError(
                "A table that stays live needs no carrying", found=carry.table, where="carry and keep_tables"
            )
        if carry.table in live and carry.table in incoming:
            place = (columns[(request.schema, carry.table)], columns[(beside, carry.table)])
            carrying = carry_sql(carry, request.schema, beside, *place)
            # Proves that the condition is understood before anything is touched.
            db.rows("EXPLAIN " + carrying.find)
            statements.setdefault(carry.table, []).append(carrying)
    return statements
