"""Relations between tables: those that constraints declare, and those that only names suggest."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Column,
    Database,
    ForeignKey,
    qualified,
    quote,
    read_columns,
)


@dataclasses.dataclass(frozen=True)
class Relation:
    """``columns`` of ``child`` refer to ``references`` of ``parent``, in that order; each table as ``(schema, table)``.

    ``name`` is the constraint's and the rules are its own, all empty where there is none.
    """

    name: str
    child: tuple[str, str]
    columns: tuple[str, ...]
    parent: tuple[str, str]
    references: tuple[str, ...]
    on_update: str = ""
    on_delete: str = ""

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Relation:
        """From a journal line with the fields of this class."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
        }
        return cls(**fields)

    def __str__(self) -> str:
        """Both ends; the parent's schema only where it is another one."""
        parent = self.parent[1] if self.parent[0] == self.child[0] else ".".join(self.parent)
        return "{}.{} refers to {}.{}".format(self.child[1], "+".join(self.columns), parent, "+".join(self.references))

    @property
    def cascades(self) -> bool:
        """Whether the children go when their parent is deleted."""
        return self.on_delete == "CASCADE"

    @property
    def short(self) -> ForeignKey:
        """The same without columns."""
        return ForeignKey(self.name, self.child, self.parent)

    def joins(self, child: str, parent: str) -> str:
        """Condition under which the row of alias ``child`` refers to that of alias ``parent``."""
        pairs = zip(self.columns, self.references)
        return " AND ".join(f"{parent}.{quote(there)} = {child}.{quote(here)}" for here, there in pairs)

    def add_sql(self, engine: str) -> str:
        """Add the constraint to its child."""
        # MariaDB adds what says RESTRICT as NO ACTION, which is the same but for its name.
        rules = {"ON DELETE": self.on_delete, "ON UPDATE": self.on_update}
        said = [f" {on} {rule}" for on, rule in rules.items() if (engine, rule) != ("mariadb", "RESTRICT")]
        return (
            f"ALTER TABLE {qualified(*self.child)} ADD CONSTRAINT {quote(self.name)}"
            f" FOREIGN KEY ({', '.join(map(quote, self.columns))})"
            f" REFERENCES {qualified(*self.parent)} ({', '.join(map(quote, self.references))})" + "".join(said)
        )


def _relations(db: Database, condition: str, asked: Sequence[Sequence[str]]) -> list[Relation]:
    """Foreign keys by table and name; ``asked`` has the arguments of ``condition``, once for each time it is asked."""
    if not asked:
        return []
    select = (
        "SELECT k.CONSTRAINT_NAME, k.TABLE_SCHEMA, k.TABLE_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME,"
        " k.ORDINAL_POSITION, k.COLUMN_NAME, k.REFERENCED_COLUMN_NAME, r.UPDATE_RULE, r.DELETE_RULE"
        " FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r"
        " ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME"
        f" AND r.TABLE_NAME = k.TABLE_NAME WHERE k.REFERENCED_TABLE_NAME IS NOT NULL AND {condition}"
    )
    rows = db.rows(" UNION ALL ".join([select] * len(asked)), [part for places in asked for part in places])
    found: dict[tuple[str, ...], Relation] = {}
    for row in sorted(rows, key=lambda row: (row[1], row[2], row[0], row[5])):
        known = found.get(row[:3])
        columns, references = (known.columns, known.references) if known else ((), ())
        ends = (row[1], row[2]), (*columns, row[6]), (row[3], row[4]), (*references, row[7])
        found[row[:3]] = Relation(row[0], *ends, row[8], row[9])
    return list(found.values())


def read_relations(db: Database, schema: str) -> list[Relation]:
    """Every foreign key from or to a table of ``schema``, by table and name."""
    return _relations(db, "(k.TABLE_SCHEMA = %s OR k.REFERENCED_TABLE_SCHEMA = %s)", [(schema, schema)])


def in_full(db: Database, keys: Iterable[ForeignKey]) -> list[Relation]:
    """These foreign keys with their columns and rules, by table and name."""
    # Both tables are told where to look, because MariaDB opens every table of the server otherwise.
    condition = (
        "k.TABLE_SCHEMA = %s AND k.TABLE_NAME = %s AND k.CONSTRAINT_NAME = %s"
        " AND r.CONSTRAINT_SCHEMA = %s AND r.TABLE_NAME = %s"
    )
    return _relations(db, condition, [(*key.child, key.name, *key.child) for key in keys])


def declared(db: Database, schema: str) -> list[Relation]:
    """Foreign keys of the tables of ``schema``, by table and name."""
    return [relation for relation in read_relations(db, schema) if relation.child[0] == schema]


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
    known = {(relation.child[1], column) for relation in keys for column in relation.columns}
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
    given = " AND ".join(f"c.{quote(column)} IS NOT NULL" for column in relation.columns)
    absent = f"p.{quote(relation.references[0])} IS NULL"
    join = f"LEFT JOIN {qualified(*relation.parent)} p ON {relation.joins('c', 'p')}"
    return f"FROM {source} c {join} WHERE {given} AND {absent}"


def count_orphans(db: Database, relation: Relation) -> int:
    """Rows of ``relation`` that refer to nothing; a NULL is no reference.

    Each value is looked up once first, which is five times as fast as once a row where many rows share one.
    """
    named = ", ".join(quote(column) for column in relation.columns)
    different = f"(SELECT DISTINCT {named} FROM {qualified(*relation.child)})"
    if not int(db.value(f"SELECT COUNT(*) {orphans_from(relation, different)}")):
        return 0
    return int(db.value(f"SELECT COUNT(*) {orphans_from(relation, qualified(*relation.child))}"))
