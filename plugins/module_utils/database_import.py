"""Bring a physical backup of MariaDB into a schema beside the live one, by importing the files of its tables."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import database_structure as structure
from ansible_collections.campaign.rollback.plugins.module_utils.database import Database, quote, read_tables
from ansible_collections.campaign.rollback.plugins.module_utils.database_files import (
    LAYOUT,
    LOGICAL,
    ROWS,
    checkpoint,
    data_directory,
    file_names,
    place,
    schema_directory,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_physical import STRUCTURE, files_of
from ansible_collections.campaign.rollback.plugins.module_utils.dump import Dump, Progress, client_command, run_client
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import fsync_directory, fsync_file

# Nothing of an import may reach replicas or a point-in-time recovery: neither has the files.
_SESSION = "SET SESSION sql_log_bin=0, foreign_key_checks=0"
_SYNC_S = 0.05


def verify_files(directory: str, files: Sequence[Mapping[str, Any]]) -> list[str]:
    """Prove the backup in ``directory`` whole; returns the names of its tables.

    ``files`` are the recorded ``{path, sha256}``, of which the last part of the path counts; without them nothing is
    compared. Raises RollbackError for a file too many, missing or changed, and for a structure that is cut off, reaches
    outside the schema or does not belong to the files.
    """
    found = compare_files(directory, files)
    with Dump(os.path.join(directory, STRUCTURE)) as dump:
        dump.verify()
        tables = dump.tables
    parts = {ending: {name for name in found if name.endswith(ending)} for ending in (ROWS, LAYOUT)}
    if not len(parts[ROWS]) == len(parts[LAYOUT]) == len(tables) == (len(found) - 1) / 2:
        raise RollbackError(
            "The files of the backup are not those of its tables",
            found=f"{len(tables)} tables, {len(parts[ROWS])} {ROWS}, {len(parts[LAYOUT])} {LAYOUT}, {len(found)} files",
            where=directory,
        )
    return tables


def compare_files(directory: str, files: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of what is in ``directory``; raises RollbackError if ``files``, unless empty, say something else."""
    found = _listed(directory)
    recorded = {os.path.basename(entry["path"]): str(entry["sha256"]).lower() for entry in files}
    if recorded:
        odd = sorted(set(found) ^ set(recorded))
        if odd:
            raise RollbackError(
                "The backup does not consist of the files that were recorded",
                found=", ".join(f"{name} is {'missing' if name in recorded else 'too many'}" for name in odd),
                where=directory,
            )
        digests = {os.path.basename(entry["path"]): entry["sha256"] for entry in files_of(directory)}
        changed = sorted(name for name, digest in digests.items() if digest != recorded[name])
        if changed:
            raise RollbackError(
                "The backup is not the one that was recorded", found=", ".join(changed), where=directory
            )
    return found


def _listed(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError as error:
        raise RollbackError("The backup cannot be read", found=error.strerror, where=directory) from error


def read_structure(directory: str) -> bytes:
    """Text of the structure in the backup ``directory``."""
    path = os.path.join(directory, STRUCTURE)
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise RollbackError("The backup cannot be read", found=error.strerror, where=path) from error


def check_server(db: Database, directory: str) -> None:
    """Raise RollbackError unless this server can import the backup in ``directory``, from where this process runs."""
    data_directory(db)
    release = structure.release_of(read_structure(directory))
    if db.engine != "mariadb" or release != db.version_number()[:2]:
        known = "{}.{}".format(*release) if release else "an unknown release"
        problem = f"the backup is of MariaDB {known}, the server is {db.engine} {db.version}"
    elif not db.value("SELECT @@innodb_file_per_table"):
        problem = "innodb_file_per_table is off"
    elif db.value("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'"):
        problem = "a replica is connected, and would not get the imported tables"
    elif ("wsrep_on", "ON") in db.rows("SHOW GLOBAL VARIABLES LIKE 'wsrep_on'"):
        problem = "it is a node of a cluster, and the others would not get the imported tables"
    else:
        return
    raise RollbackError("This server cannot import the backup", found=problem, next_step=LOGICAL)


def import_beside(db: Database, connection: list[str], directory: str, schema: str, progress: Progress) -> None:
    """Fill the empty ``schema`` from the verified backup in ``directory``, which stays as it is.

    Killed at any point it leaves a schema to be dropped by ``drop_schema``. When it returns the tables survive a crash.
    """
    text = read_structure(directory)
    client = client_command(db.engine, connection, schema)
    head = f"{_SESSION};\n".encode()
    where = os.path.join(directory, STRUCTURE)
    run_client(client, head + structure.tables_of(text), where)
    target = schema_directory(db, schema)
    with db.again() as own:
        own.run(_SESSION)
        own.run(f"USE {quote(schema)}")
        for table, stem in file_names(db, read_tables(db, [schema])[schema]).items():
            _import_table(own, table, os.path.join(directory, stem), os.path.join(target, stem), progress)
    fsync_directory(target)
    checkpoint(db)
    run_client(client, head + structure.objects_of(text), where)
    running = db.value(
        "SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s AND STATUS = 'ENABLED'", [schema]
    )
    if running:
        raise RollbackError("Events of the copy would run", found=f"{running} enabled", where=schema)


def _import_table(db: Database, table: str, source: str, target: str, progress: Progress) -> None:
    try:
        owner = os.stat(target + ROWS)
    except OSError as error:
        raise RollbackError(
            "The server does not keep its files where it says, as seen from this host",
            found=error.strerror,
            where=target + ROWS,
            next_step=LOGICAL,
        ) from error
    db.run(f"ALTER TABLE {quote(table)} DISCARD TABLESPACE")
    for ending in (ROWS, LAYOUT):
        place(source + ending, target + ending, owner, progress)
    with _synced(target + ROWS):
        db.run(f"ALTER TABLE {quote(table)} IMPORT TABLESPACE")
    # Left there it would be in the way of dropping the schema.
    os.unlink(target + LAYOUT)


@contextlib.contextmanager
def _synced(path: str) -> Iterator[None]:
    """Bring a file to disk while it is written, and all of it in the end.

    The server writes every page of what it imports and syncs once. Until that is done no other commit gets to disk.
    """
    over = threading.Event()
    failures: list[OSError] = []

    def sync() -> None:
        try:
            while not over.wait(_SYNC_S):
                fsync_file(path)
        except OSError as error:
            # Told to whoever asks first, and to nobody after.
            failures.append(error)

    syncing = threading.Thread(target=sync, daemon=True)
    syncing.start()
    try:
        yield
    finally:
        over.set()
        syncing.join()
    fsync_file(path)
    if failures:
        raise failures[0]
