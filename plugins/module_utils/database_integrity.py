"""Read-only statements about a schema, each with a verdict, in a bounded time."""

from __future__ import annotations

import dataclasses
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    TOO_LONG,
    Database,
    error_code,
    quote,
    read_tables,
    table_digests,
    threads_connected,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_relations import (
    Relation,
    columns_of,
    count_orphans,
    declared,
    undeclared,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.server_log import (
    KINDS,
    Log,
    numbers,
    read_file,
    read_journal,
    scan,
)
from ansible_collections.campaign.rollback.plugins.module_utils.table_checks import (
    GONE,
    check_table,
    exhausted,
    unreadable,
)
from ansible_collections.campaign.rollback.plugins.module_utils.verdicts import FAILED, PASSED, check, not_checked

_SESSIONS = 2

#: One check: takes a connection and the seconds that are left, returns verdicts.
Check = Callable[[Database, float], "list[dict[str, Any]]"]


@dataclasses.dataclass(frozen=True)
class Request:
    """What is checked; see the module database_integrity.

    ``level`` of CHECK TABLE is ``none``, ``fast``, ``medium`` or ``extended``. All checks together take ``seconds``,
    one query takes ``statement_s``. ``since`` is Unix time, None leaves the error log alone; ``unit`` wrote the journal
    that is read where there is no file.
    """

    expected: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    assertions: Sequence[Mapping[str, Any]] = ()
    orphans: Sequence[Mapping[str, str]] = ()
    level: str = "none"
    seconds: float = 300
    statement_s: float = 60
    since: float | None = None
    unit: str = "mariadb.service"


def structure_checks(
    expected: Mapping[str, Any], digests: Mapping[str, str], columns: Mapping[str, Iterable[str]]
) -> list[dict[str, Any]]:
    """Compare ``tables`` (digests), ``absent_tables`` and ``absent_columns`` (``table.column``) with what is there."""
    checks = []
    for table, wanted in sorted((expected.get("tables") or {}).items()):
        if wanted.get("digest"):
            checks.append(check(f"structure of {table}", digests.get(table, "missing"), wanted["digest"]))
        else:
            checks.append(check(f"table {table}", "present" if table in digests else "missing", "present"))
    for table in expected.get("absent_tables") or []:
        checks.append(check(f"no table {table}", "present" if table in digests else "absent", "absent"))
    for name in expected.get("absent_columns") or []:
        table, _dot, column = name.rpartition(".")
        present = column in columns.get(table, ())
        checks.append(check(f"no column {name}", "present" if present else "absent", "absent"))
    return checks


def _question(name: str, request: Request, ask: Callable[[Database], Any], expected: Any) -> Check:
    """A check by one query; one that took all the time that was left has not been made."""

    def run(db: Database, left: float) -> list[dict[str, Any]]:
        try:
            # Zero would be no limit.
            db.limit_statements(max(0.01, min(left, request.statement_s)))
            return [check(name, ask(db), expected)]
        except RollbackError as error:
            if error_code(error) in GONE:
                raise
            if error_code(error) in TOO_LONG and left < request.statement_s:
                return [not_checked(name, "stopped, because the time for all checks was over")]
            return [check(name, None, expected, str(error))]

    return run


def _referring(schema: str, orphan: Mapping[str, str]) -> Relation:
    return Relation(
        "",
        (schema, orphan["table"]),
        (orphan["column"],),
        (schema, orphan["references_table"]),
        (orphan["references_column"],),
    )


def _asked(request: Request, schema: str, assertion: Mapping[str, Any]) -> Check:
    def ask(db: Database) -> Any:
        # Assertions name tables without their schema, so that the same ones hold for a shadow.
        db.run(f"USE {quote(schema)}")
        return db.value(assertion["query"])

    return _question(assertion["name"], request, ask, assertion["expect"])


def _orphans(request: Request, relation: Relation) -> Check:
    return _question(str(relation), request, lambda db: count_orphans(db, relation), 0)


def _log_of(db: Database, request: Request, since: float, left: float) -> Log:
    path = str(db.value("SELECT @@log_error") or "")
    if path in ("", "stderr"):
        return read_journal(request.unit, since, left)
    return read_file(os.path.join(str(db.value("SELECT @@datadir")), path))


def _said(request: Request, since: float) -> Check:
    """One check for each kind of bad news in the server's error log."""

    def run(db: Database, left: float) -> list[dict[str, Any]]:
        names = {kind: f"error log: {kind}" for kind in KINDS}
        try:
            log = _log_of(db, request, since, left)
        except RollbackError as error:
            return [not_checked(name, str(error)) for name in names.values()]
        findings, first = scan(log.lines, since)
        reached = log.whole or (first is not None and first <= since)
        checks = []
        for finding in findings:
            name = names[finding.kind]
            if finding.lines:
                detail = f"{numbers(finding.lines)} of {log.place}"
                checks.append(check(name, len(finding.lines), 0, detail))
            elif reached:
                checks.append(check(name, 0, 0))
            else:
                checks.append(not_checked(name, f"older lines were not read: {log.place}"))
        return checks

    return run


def _listed(db: Database, schema: str, request: Request) -> tuple[dict[str, Check], dict[str, Check]]:
    """All checks by name, those that matter most first, and those of relations that nobody has declared."""
    found: dict[str, Check] = {}
    sizes = read_tables(db, [schema])[schema]
    columns = columns_of(db, schema)
    found["tables that cannot be read"] = lambda own, _left: [unreadable(own, schema)]
    found["tables without an id left"] = lambda own, _left: [exhausted(own, schema)]
    if request.since is not None:
        found["error log"] = _said(request, request.since)
    keys = declared(db, schema)
    relations = {str(relation): relation for relation in [_referring(schema, orphan) for orphan in request.orphans]}
    for name, relation in {**relations, **{str(relation): relation for relation in keys}}.items():
        found[name] = _orphans(request, relation)
    for assertion in request.assertions:
        found[assertion["name"]] = _asked(request, schema, assertion)
    if request.level != "none":
        # The smallest first, so that the time reaches most tables.
        for table in sorted(sizes, key=lambda name: (sizes[name].bytes, name)):
            found[f"check of {table}"] = _checking(schema, table, request.level)
    own_tables = {table: own for table, own in columns.items() if table in sizes}
    guesses = [relation for relation in undeclared(schema, own_tables, keys) if str(relation) not in found]
    return found, {str(relation): _orphans(request, relation) for relation in guesses}


def _checking(schema: str, table: str, level: str) -> Check:
    return lambda db, left: [check_table(db, schema, table, level, left)]


class _Work:
    """Checks that several sessions take one after the other until the time is over."""

    def __init__(self, db: Database, checks: Mapping[str, Check], deadline: float) -> None:
        self._db = db
        self._deadline = deadline
        self._waiting: queue.SimpleQueue[tuple[str, Check]] = queue.SimpleQueue()
        for item in checks.items():
            self._waiting.put(item)
        self._made: dict[str, list[dict[str, Any]]] = {}
        self._names = list(checks)

    def run(self) -> list[dict[str, Any]]:
        """Verdicts in the order of the checks; what was not reached is said to be not checked."""
        threads = [threading.Thread(target=self._session) for _number in range(min(_SESSIONS, len(self._names)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        missing = "the time for all checks was over, or the server did not answer"
        return [verdict for name in self._names for verdict in self._made.get(name) or [not_checked(name, missing)]]

    def _session(self) -> None:
        while True:
            try:
                with self._db.again() as own:
                    self._take(own)
                return
            except RollbackError as error:
                if error_code(error) not in GONE:
                    return

    def _take(self, own: Database) -> None:
        while time.monotonic() < self._deadline:
            try:
                name, make = self._waiting.get_nowait()
            except queue.Empty:
                return
            started = time.monotonic()
            try:
                verdicts = make(own, self._deadline - started)
            except RollbackError as error:
                self._made[name] = [check(name, None, "an answer", str(error))]
                raise
            seconds = round(time.monotonic() - started, 3)
            self._made[name] = [{**verdict, "seconds": seconds} for verdict in verdicts]


def _guessed(verdict: Mapping[str, Any]) -> dict[str, Any]:
    orphans = int(verdict["found"]) if verdict["found"] is not None else None
    return {"relation": verdict["name"], "orphans": orphans, "detail": verdict["detail"], "seconds": verdict["seconds"]}


def run_checks(db: Database, schema: str, request: Request) -> dict[str, Any]:
    """All verdicts about ``schema``; a check that cannot be made has not passed. See the module database_integrity."""
    deadline = time.monotonic() + request.seconds
    started = time.monotonic()
    tables = read_tables(db, [schema])[schema]
    columns = {table: list(own) for table, own in columns_of(db, schema).items() if table in tables}
    checks = [check(f"schema {schema} has tables", bool(tables), True)]
    checks += structure_checks(request.expected, table_digests(db, schema), columns)
    checks = [{**verdict, "seconds": round(time.monotonic() - started, 3)} for verdict in checks]
    # Now, because a server may not survive the checks: MySQL ends itself when it reads a damaged page.
    processes = db.rows(
        "SELECT COMMAND, COALESCE(STATE, ''), COUNT(*) FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()"
        " GROUP BY COMMAND, COALESCE(STATE, '') ORDER BY 3 DESC, 1, 2"
    )
    connected = threads_connected(db)
    guessed: list[dict[str, Any]] = []
    if tables:
        listed, guesses = _listed(db, schema, request)
        checks += _Work(db, listed, deadline).run()
        guessed = _Work(db, guesses, deadline).run()
    else:
        names = [assertion["name"] for assertion in request.assertions]
        names += [str(_referring(schema, orphan)) for orphan in request.orphans]
        checks += [check(name, None, "an answer", "the schema has no tables") for name in names]
    verdicts = [entry["verdict"] for entry in checks]
    return {
        "checks": checks,
        "checks_passed": verdicts.count(PASSED),
        "checks_failed": verdicts.count(FAILED),
        "checks_not_made": len(verdicts) - verdicts.count(PASSED) - verdicts.count(FAILED),
        "undeclared": [_guessed(verdict) for verdict in guessed],
        "threads_connected": connected,
        "processes": [{"command": row[0], "state": row[1], "count": int(row[2])} for row in processes],
        "seconds": round(time.monotonic() - started, 3),
    }
