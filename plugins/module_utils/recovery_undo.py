"""Take out of a table exactly what a recovery brought, and put back what it overwrote.

A row that somebody changed since, or that other rows refer to by now, is left as it is and told: taking it out would
lose what was done after the recovery.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from ansible_collections.campaign.rollback.plugins.module_utils.chunks import Chunks
from ansible_collections.campaign.rollback.plugins.module_utils.database import qualified, quote
from ansible_collections.campaign.rollback.plugins.module_utils.database_rows import (
    Key,
    among,
    listed,
    literals,
    table_of,
)
from ansible_collections.campaign.rollback.plugins.module_utils.recovery_kept import (
    DIGEST,
    GONE,
    INSERTED,
    OVERWRITTEN,
    REMOVED,
    REPLACE,
    RESTORED,
    STATE,
    WANTED,
    digest_of_row,
    states,
)
from ansible_collections.campaign.rollback.plugins.module_utils.recovery_table import PAGE, TableRecovery


def take_out(table: TableRecovery, chunks: Chunks) -> int:
    """Delete what was brought and put back what was overwritten; returns how many rows. Stops when the time is over."""
    changed = _pages(table, chunks, OVERWRITTEN, functools.partial(_put_back, table))
    while True:
        deleted = _pages(table, chunks, INSERTED, functools.partial(_delete, table))
        changed += deleted
        # A row that another one of the same table refers to can go once that one has gone.
        if not deleted or chunks.over():
            return changed


def want_again(table: TableRecovery) -> None:
    """Mark what was taken out as to be brought, and what was put back as to be overwritten."""
    for before, after in ((REMOVED, WANTED), (RESTORED, REPLACE)):
        changes = f"r.{quote(STATE)} = '{after}'"
        table.db.run(f"UPDATE {table.of_kept()} SET {changes} WHERE {states('r', [before])}")


def left(table: TableRecovery, rows: int) -> list[tuple[Key, str]]:
    """Rows that were not taken out, with the reason."""
    key = listed("r", table.own.key)
    found = table.db.rows(
        f"SELECT {key}, r.{quote(STATE)}, r.{quote(DIGEST)} <=> {digest_of_row(table.own.text('left', 't'))}"
        f" FROM {table.of_kept()} JOIN {table.of_target()} ON {table.own.probe('r', 't', 'left')}"
        f" WHERE {states('r', (INSERTED, OVERWRITTEN))} ORDER BY {key} LIMIT {rows:d}"
    )
    reasons = {INSERTED: "other rows refer to it", OVERWRITTEN: "what it held before is refused now"}
    return [(row[:-2], reasons[row[-2]] if row[-1] else "it was changed since it was recovered") for row in found]


def _pages(table: TableRecovery, chunks: Chunks, state: str, change: Callable[[Sequence[Key]], None]) -> int:
    before, after = _undone(table), None
    while not chunks.over():
        keys = table.kept.page(table.own, [state], after, PAGE)
        if not keys:
            break
        after = keys[-1]
        # What is refused stays as it is, and is told as left.
        for _refused in chunks.each(keys, change):
            pass
    return _undone(table) - before


def _undone(table: TableRecovery) -> int:
    found = table.kept.counts(table.name)
    return found.get(REMOVED, 0) + found.get(RESTORED, 0)


def _unchanged(table: TableRecovery, keys: Sequence[Key], more: str = "") -> tuple[list[Key], list[Key]]:
    """Of these rows, now locked: those that are as the recovery left them, and those that are gone."""
    rows = [literals(table.db, key) for key in keys]
    # The lock comes first: what is read after it is what stays until the end of the transaction.
    table.db.rows(f"SELECT 1 FROM {table.of_target()} WHERE {among('t', table.own.key, rows)} FOR UPDATE")
    key = listed("r", table.own.key)
    found = table.db.rows(
        f"SELECT {key}, t.{quote(table.own.key[0])} IS NULL,"
        f" r.{quote(DIGEST)} <=> {digest_of_row(table.own.text('left', 't'))}{more}"
        f" FROM {table.of_kept()} LEFT JOIN {table.of_target()} ON {table.own.probe('r', 't', 'left')}"
        f" WHERE {among('r', table.own.key, rows)}"
    )
    same = [row[:-2] for row in found if row[-1] and not row[-2]]
    return same, [row[:-2] for row in found if row[-2]]


def _delete(table: TableRecovery, keys: Sequence[Key]) -> None:
    same, gone = _unchanged(table, keys, "".join(f" AND NOT EXISTS ({refers})" for refers in _children(table)))
    if same:
        rows = (literals(table.db, key) for key in same)
        target = qualified(table.target, table.name)
        table.db.run(f"DELETE FROM {target} WHERE {among(target, table.own.key, rows)}")
        table.kept.mark(table.own, same, REMOVED)
    if gone:
        table.kept.mark(table.own, gone, GONE)


def _put_back(table: TableRecovery, keys: Sequence[Key]) -> None:
    same, gone = _unchanged(table, keys)
    if same:
        held = [
            f"t.{quote(name)} = r.{quote(name)}"
            for name, column in table.own.left.items()
            if name not in table.own.key and not column.generated
        ]
        rows = (literals(table.db, key) for key in same)
        table.db.run(
            f"UPDATE {table.of_target()} JOIN {table.of_kept()} ON {table.own.probe('r', 't', 'left')}"
            f" SET {', '.join(held)} WHERE {among('t', table.own.key, rows)}"
        )
        table.kept.mark(table.own, same, RESTORED)
    if gone:
        table.kept.mark(table.own, gone, GONE)


def _children(table: TableRecovery) -> list[str]:
    """Queries for rows of any table that refer to the row ``t``; deleting it could delete them too."""
    found = []
    for relation in table.relations:
        if relation.parent == (table.target, table.name):
            itself = f" AND NOT ({table.own.probe('t', 'c', 'left')})" if relation.child == relation.parent else ""
            found.append(f"SELECT 1 FROM {table_of(*relation.child, 'c')} WHERE {relation.joins('c', 't')}{itself}")
    return found
