"""Which rows a recovery brings, from which tables, in which order; reads only."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Database,
    existing_schemas,
    quote,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_merge import parents_first
from ansible_collections.campaign.rollback.plugins.module_utils.database_relations import (
    Relation,
    read_relations,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_rows import (
    Key,
    Shape,
    among,
    literals,
    read_shapes,
    read_unique_keys,
    table_of,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.recovery_kept import (
    GONE,
    INSERTED,
    OVERWRITTEN,
    PRESENT,
    REFUSED,
    WANTED,
    Earlier,
    Kept,
    earlier,
    states,
)
from ansible_collections.campaign.rollback.plugins.module_utils.recovery_table import Condition, TableRecovery
from ansible_collections.campaign.rollback.plugins.module_utils.table_policies import Policies

ATTIC = "__attic_"


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be brought from ``source`` into ``schema``; ``kept`` is the schema that remembers it.

    Without ``ids`` these are the later rows of tables with the policy merge, all or those in ``tables``: the ones from
    key ``starts[table]`` on, and where no key is known or keys are not handed out in order, all that
    ``schema`` does not have. With ``ids``, table -> keys, these rows and what was deleted together with them; a row
    that ``schema`` has with another content is overwritten only with ``changed``. ``seconds`` is when to stop, 0 for
    never, and ``listed`` how many refused rows are told.
    """

    schema: str
    source: str
    kept: str
    tables: tuple[str, ...] = ()
    ids: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)
    changed: bool = False
    policies: Policies = dataclasses.field(default_factory=Policies)
    starts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    listed: int = 100


@dataclasses.dataclass(frozen=True)
class Plan:
    """``tables`` with referred ones first, ``wanted`` their condition, ``named`` the chosen keys, ``skipped`` why not.

    ``kept`` remembers what is brought; ``planned`` are the tables of which this recovery knows all rows already.
    """

    kept: Kept
    tables: tuple[TableRecovery, ...]
    wanted: Mapping[str, Condition]
    named: Mapping[str, list[Key]]
    skipped: Mapping[str, str]
    planned: frozenset[str]


def make_plan(db: Database, request: Request) -> Plan:
    """The plan; raises RollbackError for schemas, tables, ids and policies that do not fit together."""
    _check_schemas(db, request)
    kept = Kept(db, request.kept)
    tables = read_recoveries(kept, request.schema, request.source)
    _check_tables(request, tables)
    skipped = {name: why for name, table in tables.items() if (why := _why_not(request, table))}
    chosen = {name: table for name, table in tables.items() if name not in skipped}
    known = earlier(db, request.schema, request.source)
    named = _named(request, chosen, skipped)
    wanted: dict[str, Condition] = {}
    for name, table in chosen.items():
        if request.ids:
            if _chosen(chosen, named, name, "s"):
                wanted[name] = functools.partial(_chosen, chosen, named, name)
        elif not request.tables or name in request.tables:
            wanted[name] = functools.partial(_later, table, request, known)
    planned = [run.planned for run in known if run.schema == request.kept and not request.ids]
    ordered = in_order({name: chosen[name] for name in wanted}, request.policies)
    return Plan(kept, tuple(ordered), wanted, named, skipped, frozenset().union(*planned))


def dated(request: Request, table: TableRecovery) -> bool:
    """Whether the key of a row tells that it was written later."""
    return table.shape.counter and table.name in request.starts


def read_recoveries(kept: Kept, schema: str, source: str) -> dict[str, TableRecovery]:
    """Table -> TableRecovery for every table that both schemas have."""
    db = kept.db
    shapes, own = read_shapes(db, schema, source), read_shapes(db, schema, schema)
    unique, relations = read_unique_keys(db, [schema]), read_relations(db, schema)
    return {
        name: TableRecovery(
            db,
            source,
            schema,
            kept,
            shape,
            # Rows are identified in the target by the columns that identify them in the source.
            dataclasses.replace(own[name], key=shape.key),
            relations,
            unique.get((schema, name), {}),
        )
        for name, shape in shapes.items()
    }


def _check_schemas(db: Database, request: Request) -> None:
    missing = {request.schema, request.source} - existing_schemas(db, [request.schema, request.source])
    if missing:
        raise RollbackError("The schema does not exist", found=", ".join(sorted(missing)))
    if request.schema == request.source:
        raise RollbackError("A schema has nothing to recover from itself", found=request.source, where="source")
    if request.ids and request.tables:
        raise RollbackError("Either tables or ids say what to recover", found="both", where="tables and ids")
    if not (request.ids or request.tables) and ATTIC not in request.source:
        raise RollbackError(
            "Only an attic has later rows; what any other schema has was deleted since, so it is chosen",
            found=request.source,
            where="source",
            next_step="compare the two schemas and name tables or ids",
        )


def _check_tables(request: Request, tables: Mapping[str, TableRecovery]) -> None:
    strangers = sorted((set(request.tables) | set(request.ids)) - set(tables))
    if strangers:
        raise RollbackError(
            "There is no such table on both sides",
            found=", ".join(strangers),
            where=f"{request.schema}, {request.source}",
        )


def _why_not(request: Request, table: TableRecovery) -> str:
    """Why nothing is brought into a table, in words; empty if something may be."""
    policy = request.policies.of_table(table.name)
    if policy.policy != "merge" and not (request.ids and policy.policy == "report"):
        return f"policy {policy.policy}: {policy.reason}"
    return "" if table.shape.key else "no columns identify a row on both sides"


def _named(request: Request, chosen: Mapping[str, TableRecovery], skipped: Mapping[str, str]) -> dict[str, list[Key]]:
    """The chosen keys as values of their columns; raises RollbackError for tables and ids that cannot be chosen."""
    for name in request.ids:
        if name in skipped:
            raise RollbackError("No rows of this table can be recovered", found=f"{name}: {skipped[name]}", where="ids")
    return {name: [_key(chosen[name].shape, given) for given in ids] for name, ids in request.ids.items()}


def _key(shape: Shape, given: Any) -> Key:
    parts = given if isinstance(given, (list, tuple)) else [given]
    if len(parts) != len(shape.key):
        raise RollbackError(
            f"A row of {shape.table} is named by {', '.join(shape.key)}", found=f"{len(parts)} values", where="ids"
        )
    return tuple(_value(shape, name, part) for name, part in zip(shape.key, parts))


def _value(shape: Shape, name: str, given: Any) -> Any:
    try:
        if shape.is_integer(name):
            return int(given)
        return bytes.fromhex(str(given)) if shape.is_bytes(name) else str(given)
    except ValueError as error:
        wanted = "a number" if shape.is_integer(name) else "hexadecimal"
        raise RollbackError(f"{name} of {shape.table} is {wanted}", found="something else", where="ids") from error


def _chosen(
    chosen: Mapping[str, TableRecovery],
    named: Mapping[str, list[Key]],
    name: str,
    alias: str,
    path: tuple[str, ...] = (),
) -> str:
    """Condition for the named rows, and for those that were deleted together with a named row; empty without any."""
    table = chosen[name]
    parts = []
    if named.get(name):
        parts.append(among(alias, table.shape.key, (literals(table.db, key) for key in named[name])))
    for relation in table.relations:
        if not _leads_on(chosen, relation, table) or relation.name in path:
            continue
        parent, p = chosen[relation.parent[1]], f"p{len(path)}"
        reaches = _chosen(chosen, named, parent.name, p, (*path, relation.name))
        if reaches:
            there = (
                f"SELECT 1 FROM {table_of(parent.target, parent.name, 'm')} WHERE {parent.shape.probe(p, 'm', 'left')}"
            )
            deleted = f"{relation.joins(alias, p)} AND NOT EXISTS ({there}) AND ({reaches})"
            parts.append(f"EXISTS (SELECT 1 FROM {table_of(parent.source, parent.name, p)} WHERE {deleted})")
    return " OR ".join(parts)


def _leads_on(chosen: Mapping[str, TableRecovery], relation: Relation, table: TableRecovery) -> bool:
    """Whether rows of ``table`` were deleted together with the row that they refer to by ``relation``."""
    if relation.child != (table.target, table.name) or not relation.cascades or relation.parent[1] not in chosen:
        return False
    parent = chosen[relation.parent[1]]
    known = set(relation.columns) <= set(table.shape.right) and set(relation.references) <= set(parent.shape.right)
    return known and relation.parent[0] == table.target


def _later(table: TableRecovery, request: Request, known: Sequence[Earlier], alias: str) -> str:
    """Condition for rows that were written later and not brought yet.

    Once a recovery knew all later rows of a table, whatever else is missing was deleted by somebody since then.
    """
    noted = [run for run in known if table.name in run.noted]
    if any(table.name in run.planned for run in known):
        left = [_noted(table, run.schema, alias, (WANTED, *REFUSED)) for run in noted if table.name in run.planned]
        later = " OR ".join(left) or "FALSE"
    elif dated(request, table):
        later = f"{alias}.{quote(table.shape.key[0])} >= {request.starts[table.name]:d}"
    else:
        later = "TRUE"
    brought = [f"NOT {_noted(table, run.schema, alias, (INSERTED, OVERWRITTEN, PRESENT, GONE))}" for run in noted]
    return " AND ".join([f"({later})", *brought])


def _noted(table: TableRecovery, schema: str, alias: str, wanted: Sequence[str]) -> str:
    probe = table.shape.probe(alias, "e", "left")
    return f"EXISTS (SELECT 1 FROM {table_of(schema, table.name, 'e')} WHERE {probe} AND {states('e', wanted)})"


def in_order(tables: Mapping[str, TableRecovery], policies: Policies) -> list[TableRecovery]:
    """Tables with those first that others refer to, and those last whose rows are acted upon at once."""
    if not tables:
        return []
    some = next(iter(tables.values()))
    names = parents_first(tables, some.target, (relation.short for relation in some.relations))
    return [tables[name] for name in sorted(names, key=lambda name: policies.of_table(name).last)]
