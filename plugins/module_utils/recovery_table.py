"""Bring rows of one table from a source schema into the target, and take exactly those out again.

Aliases in the SQL: ``s`` is the source, ``t`` the target, ``r`` the kept rows of this recovery.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from ansible_collections.campaign.rollback.plugins.module_utils.chunks import Chunks
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Column,
    Database,
    error_code,
    qualified,
    quote,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_merge import DUPLICATE, NO_PARENT, reason
from ansible_collections.campaign.rollback.plugins.module_utils.database_relations import Relation
from ansible_collections.campaign.rollback.plugins.module_utils.database_rows import (
    Key,
    Range,
    Shape,
    among,
    listed,
    literals,
    table_of,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.recovery_kept import (
    CONFLICT,
    DIGEST,
    INSERTED,
    ORPHAN,
    OVERWRITTEN,
    PRESENT,
    REASON,
    REDUCED,
    STATE,
    Kept,
    digest_of_row,
)

#: Keys that are read at once.
PAGE = 2000
#: A condition about the source's row, whose alias is given.
Condition = Callable[[str], str]


@dataclasses.dataclass(frozen=True)
class TableRecovery:
    """One table of a recovery.

    ``shape`` has the target left and the source right, ``own`` the target on both sides. ``relations`` are all foreign
    keys from and to tables of the target, ``unique`` the unique keys of the target's table, name -> columns.
    """

    db: Database
    source: str
    target: str
    kept: Kept
    shape: Shape
    own: Shape
    relations: Sequence[Relation]
    unique: Mapping[str, tuple[str, ...]]

    @property
    def name(self) -> str:
        """The table's name."""
        return self.shape.table

    def of_source(self) -> str:
        """The source's table as ``s``."""
        return table_of(self.source, self.name, "s")

    def of_target(self) -> str:
        """The target's table as ``t``."""
        return table_of(self.target, self.name, "t")

    def of_kept(self) -> str:
        """The kept rows as ``r``."""
        return table_of(self.kept.schema, self.name, "r")

    # Finding

    def missing(self, wanted: Condition) -> str:
        """FROM and WHERE for the wanted rows that the target does not have."""
        return (
            f"FROM {self.of_source()} LEFT JOIN {self.of_target()} ON {self.shape.probe('s', 't', 'left')}"
            f" WHERE t.{quote(self.shape.key[0])} IS NULL AND ({wanted('s')})"
        )

    def differing(self, keys: Sequence[Key]) -> list[Key]:
        """Those of the keys whose row is in the target with another content."""
        found: list[Key] = []
        for rows in _parts(self.db, keys):
            found += self.db.rows(
                f"SELECT {listed('s', self.shape.key)} FROM {self.of_source()} STRAIGHT_JOIN {self.of_target()}"
                f" ON {self.shape.probe('s', 't', 'left')}"
                f" WHERE {among('s', self.shape.key, rows)} AND {self.shape.differ('t', 's')}"
            )
        return found

    def absent(self, keys: Sequence[Key]) -> list[Key]:
        """Those of the keys that are not in the source."""
        return [
            key
            for key, row in zip(keys, (row for rows in _parts(self.db, keys) for row in rows))
            if not self.db.value(f"SELECT 1 FROM {self.of_source()} WHERE {among('s', self.shape.key, [row])}")
        ]

    def page(self, found: str, after: Key | None) -> list[Key]:
        """Keys of the source's rows in order, those after ``after``; ``found`` is FROM and WHERE."""
        beyond = Range(literals(self.db, after) if after else None).of("s", self.shape.key)
        key = listed("s", self.shape.key)
        return self.db.rows(f"SELECT {key} {found} AND {beyond} ORDER BY {key} LIMIT {PAGE:d}")

    def count(self, found: str) -> int:
        """Number of rows."""
        return int(self.db.value(f"SELECT COUNT(*) {found}"))

    def blocked(self, alias: str, brought: Mapping[str, Condition]) -> str:
        """Condition for rows that the target is going to refuse, as far as that can be known beforehand.

        ``brought`` has the tables from which rows come at the same time, with the condition for these.
        """
        reasons = [
            self._taken(alias, key) for key in self.unique.values() if key != self.shape.key and self._copied(key)
        ]
        for relation in self.relations:
            if relation.child == (self.target, self.name) and self._copied(relation.columns):
                reasons.append(self._parentless(alias, relation, brought.get(relation.parent[1])))
        return " OR ".join(f"({condition})" for condition in reasons) or "FALSE"

    def _copied(self, columns: Iterable[str]) -> bool:
        return all(name in self.shape.shared for name in columns)

    def _taken(self, alias: str, key: tuple[str, ...]) -> str:
        probe = self.shape.probe(alias, "u", "left", key)
        return f"EXISTS (SELECT 1 FROM {table_of(self.target, self.name, 'u')} WHERE {probe})"

    def _parentless(self, alias: str, relation: Relation, brought: Condition | None) -> str:
        refers = [f"{alias}.{quote(name)} IS NOT NULL" for name in relation.columns]
        there = f"SELECT 1 FROM {table_of(*relation.parent, 'p')} WHERE {relation.joins(alias, 'p')}"
        parts = [*refers, f"NOT EXISTS ({there})"]
        if brought:
            comes = table_of(self.source, relation.parent[1], "p")
            condition = f"{relation.joins(alias, 'p')} AND ({brought('p')})"
            parts.append(f"NOT EXISTS (SELECT 1 FROM {comes} WHERE {condition})")
        return " AND ".join(parts)

    def reduced(self, alias: str) -> str:
        """Condition for rows that lose something because the target lacks a column: a value that is not the default."""
        lost = [self.shape.right[name] for name in self.shape.only("right")]
        return " OR ".join(_special(alias, column) for column in lost if _tells(column)) or "FALSE"

    # Bringing

    def insert(self, keys: Sequence[Key]) -> None:
        """Bring whole rows, in the order of their keys, so that a row finds its parent in the same table."""
        columns = [quote(name) for name in self.shape.shared]
        rows = [literals(self.db, key) for key in keys]
        self.db.run(
            f"INSERT INTO {qualified(self.target, self.name)} ({', '.join(columns)})"
            f" SELECT {', '.join('s.' + column for column in columns)} FROM {self.of_source()}"
            f" WHERE {among('s', self.shape.key, rows)} ORDER BY {listed('s', self.shape.key)}"
        )
        self._note(INSERTED, rows)

    def overwrite(self, keys: Sequence[Key]) -> None:
        """Replace what the rows hold; what they held is kept."""
        rows = [literals(self.db, key) for key in keys]
        chosen = among("t", self.shape.key, rows)
        self.db.rows(f"SELECT 1 FROM {self.of_target()} WHERE {chosen} FOR UPDATE")
        held = [f"r.{quote(name)} = t.{quote(name)}" for name in self.own.left if name not in self.own.key]
        joined = f"{self.of_kept()} JOIN {self.of_target()} ON {self.own.probe('r', 't', 'left')}"
        if held:
            self.db.run(f"UPDATE {joined} SET {', '.join(held)} WHERE {chosen}")
        new = [f"t.{quote(name)} = s.{quote(name)}" for name in self.shape.shared if name not in self.shape.key]
        self._update(f"{self.of_target()} JOIN {self.of_source()} ON {self.shape.probe('s', 't', 'left')}", new, chosen)
        self._note(OVERWRITTEN, rows)

    def _update(self, joined: str, changes: list[str], chosen: str) -> None:
        """Columns that stamp themselves on every change would otherwise tell the time of the recovery."""
        changed = {change.split(" = ")[0] for change in changes}
        changes += [
            f"t.{quote(name)} = t.{quote(name)}"
            for name, column in self.shape.left.items()
            if "on update" in column.extra and f"t.{quote(name)}" not in changed
        ]
        self.db.run(f"UPDATE {joined} SET {', '.join(changes)} WHERE {chosen}")

    def _note(self, state: str, rows: Sequence[Sequence[str]]) -> None:
        """Note what the rows are now, in the same transaction."""
        self.db.run(
            f"UPDATE {self.of_kept()} JOIN {self.of_target()} ON {self.own.probe('r', 't', 'left')}"
            f" JOIN {self.of_source()} ON {self.shape.probe('r', 's', 'right')}"
            f" SET r.{quote(STATE)} = '{state}', r.{quote(REASON)} = NULL, r.{quote(REDUCED)} = ({self.reduced('s')}),"
            f" r.{quote(DIGEST)} = {digest_of_row(self.own.text('left', 't'))} WHERE {among('r', self.shape.key, rows)}"
        )

    def bring(self, chunks: Chunks, wanted: Iterable[str], change: Callable[[Sequence[Key]], None]) -> int:
        """Change the kept rows in these states; returns how many were changed. Stops when the time is over."""
        before, after = self.kept.brought(self.name), None
        while not chunks.over():
            keys = self.kept.page(self.own, wanted, after, PAGE)
            if not keys:
                break
            after = keys[-1]
            for refused in chunks.each(keys, change):
                for key, error in refused:
                    self._explain(key, error)
        return self.kept.brought(self.name) - before

    def _explain(self, key: Key, error: RollbackError) -> None:
        """Note why a row was refused; one that is there already with the same content needs nothing."""
        if error_code(error) == DUPLICATE and self._is_there(key):
            self.kept.mark(self.own, [key], PRESENT)
            return
        why = reason(error, self.relations, self.unique, self.shape.left)
        self.kept.note(self.own, [key], ORPHAN if error_code(error) in NO_PARENT else CONFLICT, why)

    def _is_there(self, key: Key) -> bool:
        rows = f"{self.of_source()} JOIN {self.of_target()} ON {self.shape.probe('s', 't', 'left')}"
        chosen = among("s", self.shape.key, [literals(self.db, key)])
        return bool(self.db.value(f"SELECT 1 FROM {rows} WHERE {chosen} AND NOT {self.shape.differ('t', 's')}"))


def _parts(db: Database, keys: Sequence[Key]) -> Iterator[list[tuple[str, ...]]]:
    for start in range(0, len(keys), PAGE):
        yield [literals(db, key) for key in keys[start : start + PAGE]]


def _tells(column: Column) -> bool:
    """Whether a value of the column can be something that somebody put there."""
    stamped = "current_timestamp" in f"{column.default or ''} {column.extra}".lower()
    return not stamped and "auto_increment" not in column.extra


def _special(alias: str, column: Column) -> str:
    value = f"{alias}.{quote(column.name)}"
    return f"{value} IS NOT NULL" if column.default is None else f"NOT ({value} <=> DEFAULT({value}))"
