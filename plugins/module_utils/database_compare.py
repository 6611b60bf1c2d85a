"""Compare two schemas of one server table by table, by policy: what was deleted, what is new, what was changed.

``left`` is what the question is asked of, such as the live schema after a rollback, and ``right`` what it is held
against, such as the attic: a row that only ``right`` has is *new*, one that only ``left`` has is *deleted*.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.chunks import OutOfTime
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    TOO_LONG,
    Database,
    error_code,
    existing_schemas,
    qualified,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_rows import Shape, read_shapes
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.table_comparison import (
    KINDS,
    Bounds,
    Clock,
    Pair,
    TableComparison,
)
from ansible_collections.campaign.rollback.plugins.module_utils.table_policies import Policies


@dataclasses.dataclass(frozen=True)
class Request:
    """Which schemas are compared and how; no ``tables`` means all, ``starts`` see ``new_rows_only``."""

    left: str
    right: str
    tables: tuple[str, ...] = ()
    policies: Policies = dataclasses.field(default_factory=Policies)
    bounds: Bounds = dataclasses.field(default_factory=Bounds)
    starts: Mapping[str, int] = dataclasses.field(default_factory=dict)


def compare(db: Database, request: Request) -> dict[str, Any]:
    """All differences of two schemas: ``tables``, ``complete``, ``unused`` policies and ``seconds``.

    Per table ``policy``, ``reason``, ``how`` it was found, ``complete``, ``seconds``, ``rows`` per side, ``columns``
    that only one side has, ``note`` in words, and with the policies merge and report the numbers ``deleted``, ``new``
    and ``changed`` (None where they cannot be known), up to ``bounds.ids`` of each in ``ids``, and ``samples`` of
    changed rows with the names of the columns that differ. Values are never told.

    Who wants bounded statements connects with a limit. Raises RollbackError if a schema or a named table is missing.
    """
    return _each(db, request, _compared)


def new_rows_only(db: Database, request: Request) -> dict[str, Any]:
    """As ``compare``, but only rows that ``right`` has beyond the highest key of ``left``: large tables take no time.

    ``starts`` has per table the first key that is new, for a left side that went on handing out keys. Rows whose
    transaction was under way at that time may have lower keys, and only ``compare`` finds them. Tables whose keys are
    not handed out in order have no answer.
    """
    return _each(db, request, _new_by_key)


#: Looks at one table over two connections and fills its entry; raises RollbackError and OutOfTime.
Look = Callable[
    [tuple[Database, Database], Request, Clock, str, "Shape | None", dict[str, Any]],
    None,
]


def _each(db: Database, request: Request, look: Look) -> dict[str, Any]:
    tables = _tables(db, request)
    shapes = read_shapes(db, request.left, request.right)
    clock = Clock(request.bounds.seconds)
    found: dict[str, dict[str, Any]] = {}
    with db.again() as second:
        for connection in (db, second):
            connection.use_utc()
        for name in sorted(tables):
            began = clock.passed()
            policy = request.policies.of_table(name)
            entry = {"policy": policy.policy, "reason": policy.reason, **_NOTHING, **_described(name, shapes, tables)}
            if policy.policy != "ignore" and entry["complete"]:
                try:
                    look((db, second), request, clock, name, shapes.get(name), entry)
                except OutOfTime:
                    entry.update(
                        complete=False, note=f"not finished within {request.bounds.seconds:g} s for all tables"
                    )
                except RollbackError as error:
                    if error_code(error) not in TOO_LONG:
                        raise
                    entry.update(complete=False, note="a statement took longer than it may")
            found[name] = {**entry, "seconds": round(clock.passed() - began, 3)}
    return {
        "left": request.left,
        "right": request.right,
        "tables": found,
        "complete": all(entry["complete"] for entry in found.values()),
        "unused": request.policies.unused(found),
        "seconds": round(clock.passed(), 3),
    }


_NOTHING: dict[str, Any] = {
    **dict.fromkeys(KINDS),
    "ids": {kind: [] for kind in KINDS},
    "samples": [],
    "rows": {"left": None, "right": None},
    "columns": {"left": [], "right": []},
    "how": "not looked at",
    "complete": True,
    "note": "",
}


def _tables(db: Database, request: Request) -> dict[str, set[str]]:
    """Table -> the sides that have it."""
    schemas = [request.left, request.right]
    missing = set(schemas) - existing_schemas(db, schemas)
    if missing:
        raise RollbackError("The schema does not exist", found=", ".join(sorted(missing)))
    if request.left == request.right:
        raise RollbackError("A schema cannot be compared with itself", found=request.left)
    known = read_tables(db, schemas)
    sides = {"left": set(known[request.left]), "right": set(known[request.right])}
    every = sides["left"] | sides["right"]
    strangers = sorted(set(request.tables) - every)
    if strangers:
        raise RollbackError(
            "Neither schema has this table", found=", ".join(strangers), where=f"{request.left}, {request.right}"
        )
    wanted = set(request.tables) or every
    return {name: {side for side, names in sides.items() if name in names} for name in wanted}


def _described(name: str, shapes: Mapping[str, Shape], tables: Mapping[str, set[str]]) -> dict[str, Any]:
    """What can be said of a table before any row is read."""
    shape = shapes.get(name)
    if shape:
        return {"columns": {side: shape.only(side) for side in ("left", "right")}}
    return {"note": f"only {min(tables[name])} has this table"}


def _compared(
    connections: tuple[Database, Database],
    request: Request,
    clock: Clock,
    name: str,
    shape: Shape | None,
    entry: dict[str, Any],
) -> None:
    clock.check()
    if shape is None or entry["policy"] == "keep":
        entry.update(rows=_counted(connections[0], request, name), how="rows counted")
        return
    pair = Pair(request.left, request.right, shape)
    comparison = TableComparison(connections, pair, request.bounds, clock)
    if not shape.key:
        same = comparison.same_rows()
        entry.update(
            rows=comparison.rows,
            how="rows counted and one checksum of all, because no columns identify a row on both sides",
            note="the same rows" if same else "the rows differ; which ones cannot be told",
        )
        return
    try:
        comparison.run()
    finally:
        # What was found before the time was over is told.
        entry.update(comparison.result())


def _new_by_key(
    connections: tuple[Database, Database],
    request: Request,
    clock: Clock,
    name: str,
    shape: Shape | None,
    entry: dict[str, Any],
) -> None:
    clock.check()
    if shape is None or entry["policy"] == "keep" or not shape.counter:
        entry.update(note=entry["note"] or "new rows cannot be told by their key")
        return
    comparison = TableComparison(connections, Pair(request.left, request.right, shape), request.bounds, clock)
    comparison.beyond(request.starts.get(name))
    entry.update(comparison.result(), deleted=None, changed=None)


def _counted(db: Database, request: Request, name: str) -> dict[str, int | None]:
    present = read_tables(db, [request.left, request.right])
    return {
        side: int(db.value(f"SELECT COUNT(*) FROM {qualified(schema, name)}")) if name in present[schema] else None
        for side, schema in (("left", request.left), ("right", request.right))
    }
