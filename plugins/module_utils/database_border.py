"""Foreign keys between tables that a rename moves and others.

InnoDB lets a key follow the tables, so that one which crosses the border would point into the attic or into the staged
copy. Such keys are dropped and added again between the tables that have the names afterwards.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Column,
    Database,
    ForeignKey,
    qualified,
    quote,
    read_foreign_keys,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_plan import Plan
from ansible_collections.campaign.rollback.plugins.module_utils.database_relations import Relation, count_orphans
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

Place = tuple[str, str]
Columns = Mapping[Place, Mapping[str, Column]]


@dataclasses.dataclass(frozen=True)
class Border:
    """One constraint as it is before a rename and as it has to be after it; None where there must be none."""

    before: Relation | None
    after: Relation | None

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Border:
        """From a journal line with the fields of this class."""
        return cls(*(Relation.from_mapping(given[side]) if given[side] else None for side in ("before", "after")))


def borders(keys: Iterable[ForeignKey], plan: Plan) -> list[ForeignKey]:
    """Those that would not be right after the rename."""
    return [
        key
        for key in keys
        if plan.side(key.child) != plan.side(key.parent)
        # What a staged table refers to elsewhere, such as in another schema, it rightly goes on to refer to.
        and not (plan.side(key.child) == "into" and not plan.side(key.parent) and key.parent[0] != plan.incoming)
    ]


def cross(keys: Iterable[Relation], plan: Plan) -> tuple[list[Border], list[str]]:
    """How each of ``keys`` (see borders) has to be after the rename, and why that is impossible, in words."""
    found, reasons = [], []
    for key in keys:
        child, parent = plan.side(key.child), plan.side(key.parent)
        if not child and parent == "into" and key.child[0] != plan.incoming:
            reasons.append(f"{key.short}: refers to the staged copy from outside")
        elif child == "out" or parent == "into":
            # What is replaced, and what is left of the copy, must not hold on to live tables.
            found.append(Border(key, None))
        else:
            place = (plan.live, key.child[1]) if child == "into" else key.child
            found.append(Border(key, dataclasses.replace(key, child=place, parent=(plan.live, key.parent[1]))))
    return found, reasons


def returning(borders_: Iterable[Border], plan: Plan) -> list[Relation]:
    """Keys that replaced tables lose and get back when they go live again."""
    return [
        border.before
        for border in borders_
        if border.before and not border.after and plan.side(border.before.child) == "out"
    ]


def impossible(
    db: Database, plan: Plan, wanted: Iterable[Border], columns: Columns | None, live: Iterable[str]
) -> list[str]:
    """Why keys could not be added after the rename, in words. ``live`` are the tables that the schema has by then.

    Without ``columns`` of the tables that go live, only the tables are looked at.
    """
    reasons, tables = [], set(live)
    for border in wanted:
        key = border.after
        if key is None or key.parent[0] != plan.live:
            continue
        child, parent = (
            (plan.incoming, place[1]) if place[0] == plan.live and place[1] in plan.into else place
            for place in (key.child, key.parent)
        )
        if key.parent[1] not in tables:
            reasons.append(f"{key.short}: there will be no table {key.parent[1]}")
        elif columns is not None:
            new = columns.get(parent, {})
            # The columns of a child in another schema are not at hand; those that it refers to now fit it.
            fits = _alike(columns.get(child, {}), key.columns, new, key.references) and (
                border.before is None
                or _alike(columns.get(border.before.parent, {}), key.references, new, key.references)
            )
            if not fits or not _indexed(db, parent, key.references):
                reasons.append(f"{key.short}: the columns that it refers to will not fit it")
    return reasons


def _alike(one: Mapping[str, Column], names: Sequence[str], other: Mapping[str, Column], others: Sequence[str]) -> bool:
    """Whether the second table has the columns, and of the first one's types as far as that is known."""
    return all(
        there in other and (name not in one or _comparable(one[name]) == _comparable(other[there]))
        for name, there in zip(names, others)
    )


def _comparable(column: Column) -> tuple[str, str | None, str | None]:
    # Lengths and display widths may differ.
    return re.sub(r"\([0-9, ]+\)", "", column.type.lower()), column.charset, column.collation


def _indexed(db: Database, table: Place, columns: Sequence[str]) -> bool:
    rows = db.rows(
        "SELECT INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME FROM information_schema.STATISTICS"
        " WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
        table,
    )
    indexes: dict[str, dict[int, str]] = {}
    for name, position, column in rows:
        indexes.setdefault(name, {})[int(position)] = column
    first = list(columns)
    return any([parts.get(number) for number in range(1, len(first) + 1)] == first for parts in indexes.values())


def release(db: Database, plan: Plan, wanted: Iterable[Border], run: Callable[[str], object]) -> None:
    """Before the rename: drop the keys that would be wrong right after it.

    Those of tables that are replaced go afterwards, when nobody uses these any more.
    """
    for border in wanted:
        if border.before and plan.side(border.before.child) != "out":
            run(drop_sql(db, border.before.child, border.before))


def drop_sql(db: Database, child: Place, key: Relation) -> str:
    """Drop the constraint.

    An index that the server had made for it would get another name when the constraint is added again. Once renamed,
    be it to its own name, an index counts as made by hand.
    """
    columns = f"({','.join(map(quote, key.columns))})"
    create = str(db.rows(f"SHOW CREATE TABLE {qualified(*child)}")[0][1])
    indexes = re.findall(rf"^  KEY (`(?:[^`]|``)+`) {re.escape(columns)},?$", create, re.MULTILINE)
    same = "".join(f", RENAME INDEX {name} TO {name}" for name in indexes)
    return f"ALTER TABLE {qualified(*child)} DROP FOREIGN KEY {quote(key.name)}{same}"


def settle_keys(
    db: Database, plan: Plan, wanted: Sequence[Border], swapped: bool, run: Callable[[str], object]
) -> None:
    """Make every key what it has to be, before the rename or after it; what is right is not touched."""
    if not wanted:
        return
    there = {(key.child, key.name): key.parent for key in read_foreign_keys(db)}
    db.run("SET SESSION foreign_key_checks=0")
    try:
        for border in wanted:
            right = border.after if swapped else border.before
            if border.before:
                child = plan.place(border.before.child) if swapped else border.before.child
                found = there.pop((child, border.before.name), None)
                if right and found == right.parent and child == right.child:
                    continue
                if found:
                    run(drop_sql(db, child, border.before))
            if right and there.get((right.child, right.name)) != right.parent:
                # Without looking at the rows, which would take long; they are counted afterwards.
                run(right.add_sql(db.engine))
    finally:
        with contextlib.suppress(RollbackError):
            db.run("SET SESSION foreign_key_checks=1")


def orphans(db: Database, wanted: Iterable[Border]) -> list[dict[str, Any]]:
    """Per added key with rows that refer to nothing: ``name``, ``table``, ``references`` and the number of ``rows``."""
    found = []
    for key in (border.after for border in wanted):
        count = count_orphans(db, key) if key else 0
        if key and count:
            place = {"table": ".".join(key.child), "references": ".".join(key.parent)}
            found.append({"name": key.name, **place, "rows": count})
    return found
