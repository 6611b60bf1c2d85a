"""Exchange the tables of two schemas in one atomic statement, and back again.

The live tables go to ``outgoing``, the tables of ``incoming`` go live. A swap has incoming = shadow and
outgoing = attic; its undo has incoming = attic and outgoing = the schema that keeps the restored tables, and the undo
of the undo the other way round, without end: each is journaled in the same form.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    DEADLOCK,
    LOCK_WAIT_TIMEOUT,
    Column,
    Database,
    ForeignKey,
    Table,
    crossing,
    error_code,
    existing_schemas,
    long_transactions,
    qualified,
    quote,
    read_columns,
    read_foreign_keys,
    read_objects,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_merge import (
    Merge,
    merge_rows,
    merge_sql,
    parents_first,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal, Step

COMPONENT = "database"
STEP = "swap"
_INTEGER_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}


#: Suboptions of the modules' option ``carry``, one entry of which becomes a Carry.
CARRY_OPTIONS = {
    "table": {"type": "str", "required": True},
    "key": {"type": "list", "elements": "str", "default": ["id"], "no_log": False},
    "when": {"type": "str", "required": True},
    "columns": {"type": "list", "elements": "str", "default": []},
}


@dataclasses.dataclass(frozen=True)
class Carry:
    """Rows that must not fall back: those of ``table`` for which ``when`` holds keep their ``columns``.

    ``when`` is SQL about the row that is live before the swap, whose alias is ``live``; no ``columns`` means all that
    both tables have.
    """

    table: str
    key: tuple[str, ...]
    when: str
    columns: tuple[str, ...] = ()

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Carry:
        """From module options or a journal line, both with the fields of this class."""
        return cls(given["table"], tuple(given["key"]), given["when"], tuple(given.get("columns") or ()))


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which tables one RENAME moves: ``out`` from ``live`` to ``outgoing``, ``into`` from ``incoming`` to ``live``."""

    live: str
    incoming: str
    outgoing: str
    out: tuple[str, ...]
    into: tuple[str, ...]

    def rename(self) -> str:
        """The one statement. Live tables leave first, so that their names are free."""
        moves = [(self.live, self.outgoing, name) for name in self.out]
        moves += [(self.incoming, self.live, name) for name in self.into]
        parts = [f"{qualified(source, name)} TO {qualified(target, name)}" for source, target, name in moves]
        return "RENAME TABLE " + ", ".join(parts)

    def moved(self) -> set[tuple[str, str]]:
        """(schema, table) of everything that moves, as named before."""
        return {(self.live, name) for name in self.out} | {(self.incoming, name) for name in self.into}


@dataclasses.dataclass(frozen=True)
class CarryStatements:
    """How to carry one table: ``find`` reads the keys of rows that differ, without locks, ``update`` wants a condition.

    The two steps are there for the outage's sake: one UPDATE over both tables locks every row that matches, changed
    or not, which took ten times as long.
    """

    find: str
    update: str
    key: tuple[str, ...]

    def update_for(self, rows: Iterable[Sequence[str]]) -> str:
        """The UPDATE for rows given by the literals of their keys."""
        conditions = (
            " AND ".join(f"incoming.{quote(column)} = {value}" for column, value in zip(self.key, row)) for row in rows
        )
        return self.update + " AND (" + " OR ".join(f"({condition})" for condition in conditions) + ")"


def carry_sql(
    carry: Carry, live: str, incoming: str, live_columns: Mapping[str, Column], incoming_columns: Mapping[str, Column]
) -> CarryStatements:
    """Statements that copy what ``carry`` asks for from the live row to the incoming row of the same key.

    Raises RollbackError if a key column is missing on a side or no column is left to copy.
    """
    for column in carry.key:
        if column not in live_columns or column not in incoming_columns:
            raise RollbackError(
                "A key column of a carried table is missing", found=f"{carry.table}.{column}", where="carry"
            )
    if not carry.key:
        raise RollbackError("A carried table needs a key", found=carry.table, where="carry")
    wanted = carry.columns or tuple(live_columns)
    shared = [
        column
        for column in wanted
        if column in live_columns
        and column in incoming_columns
        and column not in carry.key
        and not incoming_columns[column].generated
    ]
    if not shared:
        raise RollbackError("No column of a carried table exists on both sides", found=carry.table, where="carry")
    assignments = ["incoming.{0} = live.{0}".format(quote(column)) for column in shared]
    # Columns that stamp themselves on every update would otherwise tell the time of the rollback.
    assignments += [
        "incoming.{0} = incoming.{0}".format(quote(name))
        for name, column in incoming_columns.items()
        if "on update" in column.extra and name not in shared
    ]
    # Bytes, because two collations cannot be compared, and one may call different texts equal.
    same = " AND ".join(
        "CAST(incoming.{0} AS BINARY) <=> CAST(live.{0} AS BINARY)".format(quote(column))
        if live_columns[column].charset or incoming_columns[column].charset
        else "incoming.{0} <=> live.{0}".format(quote(column))
        for column in shared
    )
    on = " AND ".join("incoming.{0} = live.{0}".format(quote(column)) for column in carry.key)
    tables = f"{qualified(incoming, carry.table)} AS incoming JOIN {qualified(live, carry.table)} AS live ON {on}"
    keys = ", ".join(f"incoming.{quote(column)}" for column in carry.key)
    # The condition stands on lines of its own, so that a comment at its end cannot swallow the bracket.
    where = f"WHERE (\n{carry.when}\n)"
    return CarryStatements(
        f"SELECT {keys} FROM {tables} {where} AND NOT ({same})",
        f"UPDATE {tables} SET {', '.join(assignments)} {where}",
        carry.key,
    )


def largest(column: Column | None) -> int:
    """The highest number that a column takes, that of the widest type where it is not known."""
    match = re.match(r"[a-z]+", column.type.lower()) if column else None
    bits = _INTEGER_BITS.get(match.group(0), 64) if match else 64
    return (1 << bits) - 1 if column and "unsigned" in column.type.lower() else (1 << (bits - 1)) - 1


def auto_increments(
    live: Mapping[str, Table],
    incoming: Mapping[str, Table],
    columns: Mapping[str, Mapping[str, Column]],
    gap: int,
) -> dict[str, int]:
    """Table -> next AUTO_INCREMENT value for incoming tables that also exist live.

    Ids given out on one side are not given out again on the other, up to ``gap`` ids later; ``columns`` are those of
    the incoming tables. Near the end of the column's type the gap is given up rather than the ability to insert.
    """
    found = {}
    for name, table in incoming.items():
        other = live.get(name)
        if table.auto_increment is None or other is None or other.auto_increment is None:
            continue
        highest = max(table.auto_increment, other.auto_increment)
        counter = next((column for column in columns.get(name, {}).values() if "auto_increment" in column.extra), None)
        found[name] = highest + gap if highest + gap < largest(counter) else highest
    return found


def refusals(plan: Plan, objects: Mapping[str, Mapping[str, list[str]]], keys: Iterable[ForeignKey]) -> list[str]:
    """Reasons why this plan must not run, in words; empty if it may."""
    reasons = []
    for schema in (plan.live, plan.incoming):
        for kind, names in objects[schema].items():
            if names:
                reasons.append("{} in {}: {}".format(kind, schema, ", ".join(names)))
    border = crossing(keys, plan.moved())
    if border:
        reasons.append("foreign keys to tables that are not swapped: {}".format(", ".join(str(key) for key in border)))
    return reasons


def restored_name(schema: str, attic: str, run_id: str) -> str:
    """Schema that keeps the restored tables after an undo."""
    suffix = attic.split("__attic_", 1)[1] if "__attic_" in attic else run_id.lower()
    return f"{schema}__attic_undo_{suffix}"


def _empty_schema(db: Database, name: str) -> str:
    """``name``, or that with a number if tables of an earlier undo are kept there."""
    found, number = name, 1
    while read_tables(db, [found])[found]:
        number += 1
        found = f"{name}_{number}"
    quote(found)
    return found


@dataclasses.dataclass(frozen=True)
class Request:
    """What a swap is asked to do; ``gap`` in ids, ``lock_wait_s`` in seconds per attempt.

    ``incoming_tables`` is what the shadow is going to hold, for a plan made before it is loaded. ``merge_from`` has per
    table the id from which on rows of the live table are new, and are taken along.
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


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A checked plan with the statements that precede it."""

    plan: Plan
    auto_increment: dict[str, int]
    carry: dict[str, list[CarryStatements]]
    merge: tuple[Merge, ...] = ()


def prepare(db: Database, request: Request) -> Prepared:
    """Verify everything that can be known beforehand; reads only. ``request.shadow`` is the incoming schema.

    Raises one RollbackError that names all reasons.
    """
    version = db.version_number()
    if version < ((10, 6) if db.engine == "mariadb" else (8, 0)):
        raise RollbackError(
            "This server's RENAME TABLE does not survive a crash; MariaDB 10.6 or MySQL 8.0 is needed", found=db.version
        )
    names = [request.schema, request.shadow, request.attic]
    if len(set(names)) != 3:
        raise RollbackError("Live schema, shadow and attic must be three different schemas", found=", ".join(names))
    tables = read_tables(db, names)
    foreseen = not set(request.incoming_tables) <= set(tables[request.shadow])
    if foreseen:
        tables[request.shadow] = {name: Table(name, None, 0) for name in request.incoming_tables}
    missing = {request.schema, *([] if foreseen else [request.shadow])} - existing_schemas(db, names)
    if missing:
        raise RollbackError("The schema does not exist", found=", ".join(sorted(missing)))
    if tables[request.attic]:
        raise RollbackError(
            "The schema that is to receive the live tables is not empty",
            found="{}: {}".format(request.attic, ", ".join(sorted(tables[request.attic]))),
            where="attic",
        )
    keep = set(request.keep)
    live = {name: table for name, table in tables[request.schema].items() if name not in keep}
    incoming = {name: table for name, table in tables[request.shadow].items() if name not in keep}
    if not incoming:
        raise RollbackError("There is no table to bring in", found=request.shadow, where="shadow")
    plan = Plan(request.schema, request.shadow, request.attic, tuple(sorted(live)), tuple(sorted(incoming)))
    keys = read_foreign_keys(db)
    reasons = refusals(plan, read_objects(db, names[:2]), keys)
    if reasons:
        raise RollbackError(
            "The schema has what a rename of tables cannot move; nothing was touched",
            found="; ".join(reasons),
            where=request.schema,
            next_step="remove these objects; this version cannot move them",
        )
    columns = read_columns(db, names[:2])
    # Nobody knows the columns of tables that are not there yet; the live ones at least prove the condition.
    beside = request.schema if foreseen else request.shadow
    statements: dict[str, list[CarryStatements]] = {}
    for carry in request.carry:
        if carry.table in keep:
            raise RollbackError(
                "A table that stays live needs no carrying", found=carry.table, where="carry and keep_tables"
            )
        if carry.table in live and carry.table in incoming:
            carrying = carry_sql(
                carry,
                request.schema,
                beside,
                columns[(request.schema, carry.table)],
                columns[(beside, carry.table)],
            )
            # Proves that the condition is understood before anything is touched.
            db.rows("EXPLAIN " + carrying.find)
            statements.setdefault(carry.table, []).append(carrying)
    incoming_columns = {name: columns.get((request.shadow, name), {}) for name in incoming}
    merges = [
        merge_sql(
            name,
            request.schema,
            request.shadow,
            columns[(request.schema, name)],
            columns[(request.shadow, name)],
            request.merge_from[name],
        )
        for name in parents_first(set(request.merge_from) & set(live) & set(incoming), request.shadow, keys)
    ]
    return Prepared(
        plan,
        auto_increments(live, incoming, incoming_columns, request.gap),
        statements,
        tuple(merge for merge in merges if merge),
    )


def create_like(db: Database, schema: str, pattern: str) -> None:
    """Create ``schema``, if it is not there, with the character set of ``pattern``."""
    row = db.rows(
        "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA"
        " WHERE SCHEMA_NAME = %s",
        [pattern],
    )[0]
    db.run(f"CREATE DATABASE IF NOT EXISTS {quote(schema)} CHARACTER SET {row[0]} COLLATE {row[1]}")


def carry_rows(db: Database, carrying: CarryStatements) -> int:
    """Carry what one table needs; returns the number of rows that changed."""
    keys = [[db.literal(value) for value in row] for row in db.rows(carrying.find)]
    return sum(db.run(carrying.update_for(keys[start : start + 500])) for start in range(0, len(keys), 500))


def execute(db: Database, prepared: Prepared, request: Request) -> dict[str, Any]:
    """Merge, carry and rename, again after each bounded wait.

    Returns ``attempts``, ``swap_s``, ``carried``, ``merged``, ``conflicts`` and ``auto_increment``; ``swap_s`` is the
    duration of the rename that succeeded. Raises RollbackError with the blocking transactions.
    """
    plan = prepared.plan
    db.limit_waits(request.lock_wait_s)
    create_like(db, plan.outgoing, plan.live)
    for name, value in prepared.auto_increment.items():
        db.run(f"ALTER TABLE {qualified(plan.incoming, name)} AUTO_INCREMENT = {value:d}")
    carried = {carry.table: 0 for carry in request.carry}
    merged: dict[str, int] = {}
    for attempt in range(1, request.attempts + 1):
        try:
            inserted, conflicts = merge_rows(db, prepared.merge)
            for table, count in inserted.items():
                merged[table] = merged.get(table, 0) + count
            for table, statements in prepared.carry.items():
                for carrying in statements:
                    carried[table] += carry_rows(db, carrying)
            started = time.monotonic()
            db.run(plan.rename())
            swap_s = round(time.monotonic() - started, 4)
            break
        except RollbackError as error:
            if error_code(error) not in (LOCK_WAIT_TIMEOUT, DEADLOCK):
                raise
            if attempt == request.attempts:
                blocking = long_transactions(db, request.lock_wait_s)
                listed = ["connection {id}, user {user}, {seconds} s".format(**entry) for entry in blocking]
                raise RollbackError(
                    f"The tables stayed in use for {attempt} waits of {request.lock_wait_s} s; nothing was swapped",
                    found="; ".join(listed) or "the blocking transaction has ended meanwhile",
                    where=f"open transactions on schema {plan.live}",
                    next_step="end these transactions (KILL <connection>) and run again",
                ) from error
            # Everything that queued up behind the waiting rename gets through before the next try.
            time.sleep(min(0.1 * 2**attempt, 1.0))
    return {
        "attempts": attempt,
        "swap_s": swap_s,
        "carried": carried,
        "merged": merged,
        "conflicts": conflicts,
        "auto_increment": prepared.auto_increment,
    }


def described(plan: Plan) -> dict[str, Any]:
    """What the module returns and shows of a plan that is about to be carried out."""
    before = {plan.live: plan.out, plan.incoming: plan.into, plan.outgoing: ()}
    after = {plan.live: plan.into, plan.incoming: (), plan.outgoing: plan.out}
    return {
        "changed": True,
        "schema": plan.live,
        "incoming": plan.incoming,
        "outgoing": plan.outgoing,
        "tables": {"to_live": list(plan.into), "from_live": list(plan.out)},
        "diff": {"before": _listing(before), "after": _listing(after)},
    }


def _unchanged(schema: str) -> dict[str, Any]:
    return {
        "changed": False,
        "schema": schema,
        "in_force": False,
        "tables": {"to_live": [], "from_live": []},
        "diff": {"before": "", "after": ""},
        "attempts": 0,
        "swap_s": 0.0,
        "carried": {},
        "merged": {},
        "conflicts": {},
        "auto_increment": {},
    }


def _listing(schemas: Mapping[str, tuple[str, ...]]) -> str:
    return "".join("{}: {}\n".format(schema, ", ".join(names)) for schema, names in sorted(schemas.items()))


def is_swapped(db: Database, step: Step) -> bool:
    """Whether the rename of a journaled swap is in force now: the rename is atomic, so its tables tell.

    Raises RollbackError if they are in neither place, which only a hand from outside can have done.
    """
    undo = step.undo
    tables = read_tables(db, [undo["schema"], undo["shadow"], undo["attic"], undo["restored"]])
    out, into = set(undo["out"]), set(undo["into"])
    attic = set(tables[undo["attic"]])
    if out <= attic if out else into <= set(tables[undo["schema"]]):
        return True
    if not out & attic and (into <= set(tables[undo["shadow"]]) or into <= set(tables[undo["restored"]])):
        return False
    raise RollbackError(
        "The tables of a recorded swap are neither where it put them nor where it took them from",
        found="step {}: {} of {} tables in {}".format(step.seq, len(out & attic), len(out), undo["attic"]),
        where="schemas {schema}, {attic}, {shadow}, {restored}".format(**undo),
        next_step="compare them with the journal before anything else is changed",
    )


def means_back(prepared: Prepared, request: Request, restored: str) -> dict[str, Any]:
    """What the journal says of a swap before it happens: all that its reversal needs.

    The start values stand here and not in the result, because a run that dies right after the rename has no result.
    """
    return {
        "schema": request.schema,
        "shadow": request.shadow,
        "attic": request.attic,
        "restored": restored,
        "out": list(prepared.plan.out),
        "into": list(prepared.plan.into),
        "keep": list(request.keep),
        "carry": [dataclasses.asdict(carry) for carry in request.carry],
        "gap": request.gap,
        "auto_increment": prepared.auto_increment,
    }


def swap(db: Database, journal: Journal, request: Request, check: bool = False) -> dict[str, Any]:
    """Put the shadow tables live and the live tables into the attic; see the module database_swap.

    A swap of this run that is already in force is left alone, so running again after a crash completes the run.
    """
    for step in journal.to_undo(COMPONENT, STEP):
        undo = step.undo
        if undo["schema"] != request.schema:
            continue
        if is_swapped(db, step):
            if step.state != "done" and not check:
                journal.done(step.seq)
            return dict(
                _unchanged(request.schema),
                incoming=undo["shadow"],
                outgoing=undo["attic"],
                tables={"to_live": undo["into"], "from_live": undo["out"]},
                in_force=True,
                **step.result,
            )
        if not check:
            journal.undone(step.seq)
    prepared = prepare(db, request)
    plan = prepared.plan
    restored = _empty_schema(db, restored_name(request.schema, request.attic, journal.run_id))
    if check:
        return {**_unchanged(request.schema), **described(plan)}
    undo = means_back(prepared, request, restored)
    seq = journal.begin(COMPONENT, "switch", STEP, undo)
    try:
        result = execute(db, prepared, request)
    except RollbackError as error:
        journal.failed(seq, error.what)
        # If the server answers, the tables tell whether anything is left to undo; if not, a later undo asks again.
        with contextlib.suppress(RollbackError):
            if not is_swapped(db, Step(seq, COMPONENT, "switch", STEP, "failed", undo, {})):
                journal.undone(seq)
        raise
    journal.done(seq, **result)
    return {**result, **described(plan), "in_force": True}


def reversal(step: Step, lock_wait_s: int, attempts: int) -> Request:
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
    )


def settle(journal: Journal, step: Step, by: Journal) -> None:
    """Mark ``step``, which is not in force: it never was, or an attempt put it back and died before it said so."""
    origin = {"run": journal.run_id, "seq": step.seq}
    begun = any(known.undo.get("reverts") == origin for known in by.to_undo(step.component, step.name))
    # Where nothing was put back there is nothing to come back to, so nothing is announced.
    with journal.reverting(step, by if begun else journal, {}):
        pass


def revert(
    db: Database, journal: Journal, by: Journal, schema: str, lock_wait_s: int, attempts: int, check: bool = False
) -> dict[str, Any]:
    """Reverse the swap of ``schema`` that ``journal`` records, on behalf of the run ``by``.

    The attic tables go live, the restored ones into a schema of their own. What the swap carried is carried back the
    other way first, and rows inserted since the swap are taken along; those that cannot be stay in the schema of the
    restored tables. A swap that never happened or was undone changes nothing.
    """
    outcome = _unchanged(schema)
    for step in journal.to_undo(COMPONENT, STEP):
        if step.undo["schema"] != schema:
            continue
        if is_swapped(db, step):
            request = reversal(step, lock_wait_s, attempts)
            prepared = prepare(db, request)
            outcome.update(described(prepared.plan))
            if not check:
                with journal.reverting(step, by, means_back(prepared, request, request.shadow)) as result:
                    result.update(execute(db, prepared, request))
                outcome.update(result)
        elif not check:
            settle(journal, step, by)
    return outcome
