"""Statements of the server about its own tables: whether it can read them, and hand out ids."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Database,
    error_code,
    qualified,
    read_columns,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_carry import largest
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.verdicts import check, not_checked

#: How thorough a CHECK TABLE is; InnoDB tells only QUICK and EXTENDED apart.
LEVELS = {"fast": "FAST QUICK", "medium": "MEDIUM", "extended": "EXTENDED"}
#: The server closed the connection, or ended.
GONE = (2006, 2013, 2014)


@contextlib.contextmanager
def _stopped_after(db: Database, seconds: float) -> Iterator[threading.Event]:
    """Stops the statement of ``db`` that runs in the body after ``seconds``; the event says that it was too late."""
    late = threading.Event()
    connection = int(db.value("SELECT CONNECTION_ID()"))

    def stop() -> None:
        late.set()
        with contextlib.suppress(RollbackError), db.again() as other:
            other.run(f"KILL QUERY {connection:d}")

    timer = threading.Timer(max(seconds, 0.01), stop)
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()
        if late.is_set():
            # What was meant for the statement must not hit the next one.
            with contextlib.suppress(RollbackError):
                db.value("SELECT 1")


def check_table(db: Database, schema: str, table: str, level: str, seconds: float) -> dict[str, Any]:
    """``CHECK TABLE`` of one table, ``seconds`` at most. Writers are not held up.

    The server says OK about a table whose check was stopped, so its answer counts only if nobody stopped it.
    """
    name = f"check of {table}"
    # That limit would stop it as silently.
    db.limit_statements(0)
    with _stopped_after(db, seconds) as late:
        try:
            rows = db.rows(f"CHECK TABLE {qualified(schema, table)} {LEVELS[level]}")
        except RollbackError as error:
            if error_code(error) in GONE:
                # The server did not survive what it read.
                raise
            rows = [(table, "check", "error", str(error.found))]
    if late.is_set():
        return not_checked(name, f"stopped after {seconds:.1f} s")
    said = [str(row[3]) for row in rows if row[2] != "note"]
    sound = bool(said) and all(text in ("OK", "Table is already up to date") for text in said)
    return check(name, "OK" if sound else "damaged", "OK", "" if sound else "; ".join(said[:3])[:300])


def unreadable(db: Database, schema: str) -> dict[str, Any]:
    """Tables that the server knows and cannot read one row of: crashed, without a file, damaged at its beginning.

    The catalogue alone does not tell, it lists them as if nothing had happened.
    """
    names = []
    for name in sorted(read_tables(db, [schema])[schema]):
        try:
            db.rows(f"SELECT 1 FROM {qualified(schema, name)} LIMIT 1")
        except RollbackError as error:
            if error_code(error) in GONE:
                raise
            names.append(f"{name} (error {error_code(error)})")
    return check("tables that cannot be read", ", ".join(names) or "none", "none")


def exhausted(db: Database, schema: str) -> dict[str, Any]:
    """Tables that have no id left for another row, or only the very last, and how full the fullest is."""
    columns = {table: own for (_schema, table), own in read_columns(db, [schema]).items()}
    shares: dict[str, float] = {}
    for name, table in read_tables(db, [schema])[schema].items():
        counter = next((own for own in columns.get(name, {}).values() if "auto_increment" in own.extra), None)
        if table.auto_increment is not None and counter is not None:
            shares[name] = table.auto_increment / largest(counter)
    full = sorted(name for name, share in shares.items() if share >= 1)
    found = check("tables without an id left", ", ".join(full) or "none", "none")
    if shares and not full:
        fullest = max(shares, key=lambda name: shares[name])
        found["found"] = found["expected"] = f"none; fullest is {fullest} with {shares[fullest]:.1%} of its ids"
    return found
