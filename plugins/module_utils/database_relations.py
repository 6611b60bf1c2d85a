"""Foreign keys with their columns, and why a row was refused, in words."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    DEADLOCK,
    LOCK_WAIT_TIMEOUT,
    Database,
    ForeignKey,
    error_code,
    quote,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

DUPLICATE = 1062
NO_PARENT = (1216, 1452)
_REASONS = {
    1048: "a column that must have a value has none",
    1364: "a column that must have a value has none",
    3819: "a check of the table refuses it",
    4025: "a check of the table refuses it",
    LOCK_WAIT_TIMEOUT: "somebody else had it locked; the same command again tries once more",
    DEADLOCK: "somebody else had it locked; the same command again tries once more",
}
_KEY = re.compile(r"for key '(?:[^']*\.)?([^'.]+)'\Z")
_CONSTRAINT = re.compile(r"CONSTRAINT `([^`]+)` FOREIGN KEY")
_COLUMN = re.compile(r"(?:[Cc]olumn|Field) (?:`[^`]+`\.`[^`]+`\.)?[`']([^`']+)[`'](?: at row [0-9]+\Z| cannot| doesn)")


@dataclasses.dataclass(frozen=True)
class Relation:
    """A foreign key: ``columns`` of ``child`` refer to ``references`` of ``parent``, each ``(schema, table)``.

    ``cascades`` says whether the children go when their parent is deleted.
    """

    name: str
    child: tuple[str, str]
    parent: tuple[str, str]
    columns: tuple[str, ...]
    references: tuple[str, ...]
    cascades: bool

    def joins(self, child: str, parent: str) -> str:
        """Condition under which the row of alias ``child`` refers to that of alias ``parent``."""
        pairs = zip(self.columns, self.references)
        return " AND ".join(f"{parent}.{quote(there)} = {child}.{quote(here)}" for here, there in pairs)


def read_relations(db: Database, schema: str) -> list[Relation]:
    """Every foreign key from or to a table of ``schema``."""
    rows = db.rows(
        "SELECT k.CONSTRAINT_NAME, k.TABLE_SCHEMA, k.TABLE_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME,"
        " k.ORDINAL_POSITION, k.COLUMN_NAME, k.REFERENCED_COLUMN_NAME, r.DELETE_RULE"
        " FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r"
        " ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME"
        " AND r.TABLE_NAME = k.TABLE_NAME"
        " WHERE k.REFERENCED_TABLE_NAME IS NOT NULL AND (k.TABLE_SCHEMA = %s OR k.REFERENCED_TABLE_SCHEMA = %s)",
        [schema, schema],
    )
    found: dict[tuple[str, ...], Relation] = {}
    for row in sorted(rows, key=lambda row: (row[1], row[2], row[0], row[5])):
        known = found.get(row[:3])
        columns, references = (known.columns, known.references) if known else ((), ())
        found[row[:3]] = Relation(
            row[0], (row[1], row[2]), (row[3], row[4]), (*columns, row[6]), (*references, row[7]), row[8] == "CASCADE"
        )
    return list(found.values())


def as_foreign_keys(relations: Iterable[Relation]) -> list[ForeignKey]:
    """The same without columns."""
    return [ForeignKey(relation.name, relation.child, relation.parent) for relation in relations]


def reason(error: RollbackError, relations: Iterable[Relation], keys: Collection[str], columns: Collection[str]) -> str:
    """Why a row was refused, without any of its values; ``keys`` and ``columns`` are the names that may be told."""
    code, message = error_code(error), str(error.__cause__.args[1]) if error.__cause__ else ""
    if code == DUPLICATE:
        key = _name(_KEY, message, keys)
        if key == "PRIMARY":
            return "another row has the same key"
        return f"another row has the same value in {key or 'a unique key'}"
    if code in NO_PARENT:
        name = _name(_CONSTRAINT, message, {relation.name for relation in relations})
        parents = [relation.parent[1] for relation in relations if relation.name == name]
        return (
            f"the row that it refers to in {parents[0]} is missing" if parents else "a row that it refers to is missing"
        )
    known = _REASONS.get(code or 0, "a value does not fit into its column")
    column = _name(_COLUMN, message, columns)
    return f"{known}: {column}" if column else known


def _name(pattern: re.Pattern[str], message: str, known: Collection[str]) -> str:
    """The name in a server's message if it is one of the known names; it could be a part of a value."""
    found = pattern.search(message)
    return found.group(1) if found and found.group(1) in known else ""
