"""Load a logical backup: rows into tables without secondary keys, several tables at once, and the keys afterwards.

Everything is in the server's binary log, so that its replicas get it too.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import itertools
import os
import queue
import threading
from collections.abc import Collection, Iterator, Mapping
from typing import IO

from ansible_collections.campaign.rollback.plugins.module_utils import database_structure as structure
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    DISK_FULL,
    Column,
    Database,
    error_code,
    qualified,
    quote,
    read_columns,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_events import sleeping
from ansible_collections.campaign.rollback.plugins.module_utils.database_files import OURS
from ansible_collections.campaign.rollback.plugins.module_utils.database_import import read_structure
from ansible_collections.campaign.rollback.plugins.module_utils.database_logical import text_path
from ansible_collections.campaign.rollback.plugins.module_utils.database_physical import STRUCTURE
from ansible_collections.campaign.rollback.plugins.module_utils.dump import (
    Progress,
    client_command,
    run_client,
    unzstd,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.structure_keys import Later, keys_apart
from ansible_collections.campaign.rollback.plugins.module_utils.table_text import insert_sql, load_sql, whole_rows

# Half a load may hold every row and yet lack a trigger; this is there until all is.
_UNFINISHED = "campaign_rollback_unfinished"
_SESSIONS = 2
#: Bytes of text from which on keys are cheaper to build afterwards than row by row.
LARGE = 1024 * 1024
_BLOCK = 1024 * 1024
# Megabytes of text in one transaction.
_PIECES = 16
# All comes from one snapshot, so foreign keys hold. unique_checks=0 would switch MariaDB to a slower way of loading.
# What a column once took it takes again, and what does not fit is found among the warnings.
_SETTINGS = (
    "SET SESSION foreign_key_checks=0, unique_checks=1, sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES',"
    " time_zone='+00:00', net_read_timeout=3600, max_error_count=65535"
)
# An ENUM or SET that holds no member of its type, from times when servers let that pass, is "truncated" to the same.
_HARMLESS = 1265


@dataclasses.dataclass(frozen=True)
class _Work:
    """What the sessions of a load share; ``by_file`` if the server reads files of its clients."""

    db: Database
    directory: str
    schema: str
    columns: Mapping[str, Mapping[str, Column]]
    later: Mapping[str, Later]
    by_file: bool
    progress: Progress
    waiting: queue.SimpleQueue[str] = dataclasses.field(default_factory=queue.SimpleQueue)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    #: What failed in any of them; the first is the reason for the others.
    failed: list[BaseException] = dataclasses.field(default_factory=list)

    def through(self, count: int) -> None:
        """Count bytes; all sessions together keep to the limit."""
        with self.lock:
            self.progress.add(count)
        if self.failed:
            raise RollbackError("Another table could not be loaded")


def refill(
    db: Database,
    connection: list[str],
    directory: str,
    sizes: Mapping[str, int],
    schema: str,
    beside: bool,
    progress: Progress,
) -> None:
    """Fill the empty ``schema`` from the verified backup in ``directory``, whose tables have texts of ``sizes`` bytes.

    ``beside`` the live schema no event of the copy runs. Killed at any point it leaves a part of a schema, in which a
    table tells that it is one.
    """
    text, where = read_structure(directory), os.path.join(directory, STRUCTURE)
    client = client_command(db.engine, connection, schema)
    large = [table for table, size in sizes.items() if size >= LARGE]
    bare, later = keys_apart(structure.tables_of(text), large)
    db.run(f"CREATE TABLE {qualified(schema, _UNFINISHED)} (at INT PRIMARY KEY)")
    run_client(client, bare, where)
    # MySQL's own default is not to read files of clients. To switch it on would be the fastest, but it is a setting of
    # the whole server that lets every application on it send files, for as long as a load takes, and who kills the load
    # would leave it on. So the rows go in as statements then: slower, but at any hour, with anybody's rights.
    by_file = bool(db.value("SELECT @@GLOBAL.local_infile"))
    columns = {table: found for (_schema, table), found in read_columns(db, [schema]).items()}
    work = _Work(db, directory, schema, columns, later, by_file, progress)
    # The largest first, or one session would end long after the others.
    for table in sorted(sizes, key=lambda name: -sizes[name]):
        work.waiting.put(table)
    with concurrent.futures.ThreadPoolExecutor(_SESSIONS) as pool:
        for _number in range(_SESSIONS):
            pool.submit(_session, work)
    if work.failed:
        raise work.failed[0]
    with _connected(work) as own:
        for table, clauses in later.items():
            _alter(own, schema, table, clauses.foreign)
    state = sleeping(db.engine, db.version_number()) if beside else "ENABLE"
    run_client(client, structure.objects_of(text, state), where)
    db.run(f"DROP TABLE {qualified(schema, _UNFINISHED)}")


@contextlib.contextmanager
def _connected(work: _Work) -> Iterator[Database]:
    with work.db.again(local_files=work.by_file) as own:
        own.limit_statements(0)
        own.run(_SETTINGS)
        if work.db.engine == "mariadb":
            own.run("SET SESSION check_constraint_checks=0")
        own.run(f"USE {quote(work.schema)}")
        yield own


def _session(work: _Work) -> None:
    """Bring tables in until none is left, or until another session fails."""
    try:
        with _connected(work) as own:
            while not work.failed:
                _load(work, own, work.waiting.get_nowait())
    except queue.Empty:
        pass
    except BaseException as error:
        work.failed.append(error)


def _load(work: _Work, own: Database, table: str) -> None:
    """Bring one table in, with its secondary keys."""
    path = text_path(work.directory, table)
    try:
        with open(path, "rb") as file, unzstd(file, path) as text:
            (_by_file if work.by_file else _by_statements)(work, own, table, text)
        if table in work.later:
            _alter(own, work.schema, table, work.later[table].keys)
    except RollbackError as error:
        if error_code(error) not in DISK_FULL:
            raise
        raise RollbackError(
            "Loading the backup failed because the database server has no room left", found=error.found, where=table
        ) from error


def _by_file(work: _Work, own: Database, table: str, text: IO[bytes]) -> None:
    """LOAD DATA in parts: while one transaction gets into the binary log, every other writer of the server waits."""
    pieces = whole_rows(text)
    for first in pieces:
        # A file without a name, in memory: nothing is left of it whatever ends this process.
        with open(os.memfd_create("rows"), "wb") as part:
            for piece in itertools.chain([first], itertools.islice(pieces, _PIECES - 1)):
                work.through(part.write(piece))
            part.flush()
            path = f"/dev/fd/{part.fileno()}"
            own.run(OURS + load_sql(work.schema, table, work.columns[table].values(), path))
        _refuse_changes(own, table)


def _by_statements(work: _Work, own: Database, table: str, text: IO[bytes]) -> None:
    limit = min(_BLOCK, int(own.value("SELECT @@max_allowed_packet")) // 2)
    # Values are bytes, in the character set of their column.
    own.run("SET NAMES binary")
    for statement in insert_sql(work.schema, table, work.columns[table].values(), text, limit):
        own.run(OURS.encode() + statement)
        _refuse_changes(own, table)
        work.through(len(statement))
    own.run("SET NAMES utf8mb4")


def _refuse_changes(own: Database, table: str) -> None:
    """A server that reads a client's file goes on after rows that it cannot take as they are; it only warns."""
    codes = sorted({int(row[1]) for row in own.rows("SHOW WARNINGS")} - {_HARMLESS})
    if codes:
        raise RollbackError(
            "The server left rows out or changed them; they are not those of this table",
            found=f"warnings {', '.join(map(str, codes))}",
            where=table,
        )


def _alter(own: Database, schema: str, table: str, clauses: Collection[str]) -> None:
    if clauses:
        own.run(f"{OURS}ALTER TABLE {qualified(schema, table)} " + ", ".join(f"ADD {clause}" for clause in clauses))
