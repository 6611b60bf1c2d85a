"""What a rename of tables leaves behind is handed over around it: triggers, views, routines, events, foreign keys.

The rename stays the one moment at which everything changes. What has to be taken away before it and made after it is
announced in the journal, before and after, so that whoever comes next can look where the tables are and make the rest
fit, however often the one before was killed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Database,
    error_code,
    qualified,
    read_objects,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_border import Border, release, settle_keys
from ansible_collections.campaign.rollback.plugins.module_utils.database_freeze import Freeze, busy
from ansible_collections.campaign.rollback.plugins.module_utils.database_objects import (
    KINDS,
    Definition,
    bring,
    drop_sql,
    missing_definers,
    read_definitions,
    staged_as,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_plan import Plan
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


@dataclasses.dataclass(frozen=True)
class Handover:
    """What one rename leaves behind, as far as it has to change.

    ``live`` is of the live schema before the rename, ``wanted`` after it, ``staged`` are the triggers of the incoming
    tables before it. A trigger is in these even if it stays the same, as a table cannot take it along. ``read_only`` is
    what the server was before.
    """

    plan: Plan
    live: tuple[Definition, ...] = ()
    staged: tuple[Definition, ...] = ()
    wanted: tuple[Definition, ...] = ()
    keys: tuple[Border, ...] = ()
    read_only: bool = False

    def __bool__(self) -> bool:
        """Whether there is anything to do beside the rename."""
        return bool(self.live or self.staged or self.wanted or self.keys)

    @property
    def freezes(self) -> bool:
        """Whether live tables are without triggers for a moment, in which nobody may write."""
        return any(definition.kind == "TRIGGER" for definition in (*self.live, *self.wanted))

    def to_mapping(self) -> dict[str, Any]:
        """For the journal; the places of the tables are called as in the journal of a swap."""
        kept = dataclasses.asdict(self)
        plan = kept.pop("plan")
        places = {"schema": plan["live"], "shadow": plan["incoming"], "attic": plan["outgoing"]}
        return {**kept, **places, "restored": plan["incoming"], "out": plan["out"], "into": plan["into"]}

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Handover:
        """From a journal line."""
        out, into = tuple(given["out"]), tuple(given["into"])
        live, staged, wanted = (
            tuple(map(Definition.from_mapping, given[side])) for side in ("live", "staged", "wanted")
        )
        plan = Plan(given["schema"], given["shadow"], given["attic"], out, into)
        return cls(plan, live, staged, wanted, tuple(map(Border.from_mapping, given["keys"])), given["read_only"])


def of_tables(definitions: Iterable[Definition], tables: Collection[str]) -> list[Definition]:
    """Without the triggers of other tables."""
    return [one for one in definitions if one.kind != "TRIGGER" or one.table in tables]


def moveable(db: Database, schemas: Iterable[str]) -> dict[str, set[str]]:
    """Schema -> names of its tables and sequences; a schema that does not exist is empty."""
    found: dict[str, set[str]] = {schema: set() for schema in schemas}
    select = (
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES"
        " WHERE TABLE_SCHEMA = %s AND TABLE_TYPE NOT IN ('VIEW', 'SYSTEM VIEW')"
    )
    for schema, name in db.rows(" UNION ALL ".join([select] * len(found)), list(found)):
        found.get(schema, set()).add(name)
    return found


def in_force(db: Database, places: Mapping[str, Any]) -> bool:
    """Whether a rename is in force, as the journal describes it: it is atomic, so its tables tell.

    Raises RollbackError if they are in neither place, which only a hand from outside can have done.
    """
    tables = moveable(db, [places["schema"], places["shadow"], places["attic"], places["restored"]])
    out, into = set(places["out"]), set(places["into"])
    attic = tables[places["attic"]]
    if out <= attic if out else into <= tables[places["schema"]]:
        return True
    if not out & attic and (into <= tables[places["shadow"]] or into <= tables[places["restored"]]):
        return False
    raise RollbackError(
        "The tables of a recorded swap are neither where it put them nor where it took them from",
        found="{} of {} tables in {}".format(len(out & attic), len(out), places["attic"]),
        where="schemas {schema}, {attic}, {shadow}, {restored}".format(**places),
        next_step="compare them with the journal before anything else is changed",
    )


def plan_objects(
    db: Database,
    plan: Plan,
    found: Mapping[str, Mapping[str, Sequence[str]]],
    recorded: Sequence[Definition] | None,
    keep: Collection[str] = (),
    kept_tables: Collection[str] = (),
) -> tuple[Handover, tuple[Definition, ...], list[str]]:
    """What has to be handed over, all that the live schema has now, and why that cannot be, in words.

    ``found`` is what read_objects says. The incoming side's objects are those of the incoming schema, or ``recorded``
    if they are definitions that a swap replaced: then only triggers can have come to its tables meanwhile, and what was
    there once may be there again, whatever is wrong with it. Kinds in ``keep`` stay as they are.
    """
    live = read_definitions(db, plan.live, found[plan.live])
    own = of_tables(live, plan.out)
    at_hand = found[plan.incoming] if recorded is None else {"triggers": found[plan.incoming]["triggers"]}
    staged = of_tables(read_definitions(db, plan.incoming, at_hand), plan.into)
    known = {one.identity: one for one in own}
    if recorded is None:
        arriving = [staged_as(one, plan.incoming, plan.live, known.get(one.identity)) for one in staged]
    else:
        names = {one.identity for one in recorded}
        arriving = [*of_tables(recorded, plan.into), *(one for one in staged if one.identity not in names)]
    arriving = [one for one in arriving if KINDS[one.kind] not in keep]
    arriving += [one for one in own if KINDS[one.kind] in keep]
    arriving.sort(key=lambda one: list(KINDS).index(one.kind))
    coming = {one.identity: one for one in arriving}
    wanted = [_with_grants(one, known.get(one.identity)) for one in arriving if _changes(one, known)]
    handover = Handover(
        plan,
        tuple(one for one in own if _changes(one, coming)),
        tuple(one for one in staged if one.kind == "TRIGGER"),
        tuple(wanted),
    )
    if handover.freezes and str(db.value("SELECT @@GLOBAL.read_only")) not in ("0", "OFF"):
        handover = dataclasses.replace(handover, read_only=True)
    new = [one for one in wanted if not one.same(known.get(one.identity))] if recorded is None else []
    reasons = missing_definers(db, new) if new else []
    reasons += [f"{one} refers to something that is missing" for one in new if not one.sound]
    others = {one.identity for one in live} - set(known)
    reasons += [f"{one} has the name of one of a table that stays" for one in wanted if one.identity in others]
    in_the_way = [one for one in wanted if one.kind == "VIEW" and one.name in kept_tables]
    reasons += [f"{one} has the name of a table that stays" for one in in_the_way]
    return handover, tuple(own), reasons


def _changes(one: Definition, other_side: Mapping[tuple[str, str], Definition]) -> bool:
    return one.kind == "TRIGGER" or not one.same(other_side.get(one.identity))


def _with_grants(one: Definition, replaced: Definition | None) -> Definition:
    """Whoever may execute a routine may execute the one that replaces it."""
    own = dict.fromkeys(one.grants)
    return dataclasses.replace(one, grants=tuple({**own, **dict.fromkeys(replaced.grants if replaced else ())}))


def exchange(db: Database, handover: Handover, freeze: Freeze) -> list[str]:
    """The rename with all that belongs to it; returns what the server did not accept, in words.

    After an error the tables are where they were or where they belong, and the rest is to be settled.
    """
    plan = handover.plan
    if not handover:
        freeze.renaming(plan.rename())
        return []
    # While everything is still there: whoever holds the tables for long, holds up nothing but this.
    await_tables(db, plan)
    release(db, plan, handover.keys, db.run)
    if handover.freezes:
        freeze.begin(set_read_only=not handover.read_only)
    # A view that has the name of a table to come makes room for it.
    gone = [
        one
        for one in reversed(handover.live)
        if one.kind == "TRIGGER" or (one.kind == "VIEW" and one.name in plan.into)
    ]
    for one in gone:
        freeze.bounded(drop_sql(plan.live, one))
    freeze.renaming(plan.rename())
    left = [one for one in handover.live if one not in gone]
    problems = bring(db, plan.live, left, handover.wanted, freeze.insist)
    freeze.end()
    settle_keys(db, plan, handover.keys, True, freeze.insist)
    return problems


def await_tables(db: Database, plan: Plan) -> None:
    """Wait until nobody holds the live tables; whoever comes meanwhile queues up, as behind the rename itself."""
    if not plan.out:
        return
    try:
        db.run("LOCK TABLES " + ", ".join(f"{qualified(plan.live, table)} WRITE" for table in plan.out))
    except RollbackError as error:
        # Locking also opens what triggers name; if that is missing, the rename will do the waiting.
        if busy(error) or error_code(error) is None:
            raise
    db.run("UNLOCK TABLES")


def take_triggers(db: Database, handover: Handover) -> None:
    """Before rows are brought along: incoming tables lose their triggers, which must not fire for such rows."""
    for one in reversed(handover.staged):
        db.run(drop_sql(handover.plan.incoming, one))


def settle(db: Database, handover: Handover, swapped: bool, freeze: Freeze) -> list[str]:
    """Make everything that was handed over fit the tables, wherever an attempt stopped; what is right is not touched.

    Returns what the server did not accept, in words.
    """
    plan = handover.plan
    if handover.freezes:
        freeze.begin(set_read_only=False)
    known = {one.identity for one in (*handover.live, *handover.wanted)}
    kinds = {KINDS[kind] for kind, _name in known} | ({"triggers"} if handover.staged else set())
    found = read_objects(db, [plan.live, plan.incoming]) if kinds else {}
    names, staged_names = (
        {kind: listed for kind, listed in found.get(schema, {}).items() if kind in kinds}
        for schema in (plan.live, plan.incoming)
    )
    present = of_tables(read_definitions(db, plan.live, names), plan.into if swapped else plan.out)
    wanted = handover.wanted if swapped else handover.live
    problems = bring(db, plan.live, [one for one in present if one.identity in known], wanted, freeze.insist)
    if handover.freezes and not handover.read_only:
        freeze.thaw()
    freeze.end()
    if not swapped and handover.staged:
        triggers = {"triggers": staged_names["triggers"]}
        staged = of_tables(read_definitions(db, plan.incoming, triggers), plan.into)
        problems += bring(db, plan.incoming, staged, handover.staged, freeze.insist)
    settle_keys(db, plan, handover.keys, swapped, freeze.insist)
    return problems
