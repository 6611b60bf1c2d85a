"""The kinds of backups: how one is written, proven whole, and brought into a schema.

Another kind is another entry of ``KINDS``.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ansible_collections.campaign.rollback.plugins.module_utils import (
    database_logical,
    database_physical,
    database_structure,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Database,
    digest_of,
    existing_schemas,
    quote,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_events import sleeping
from ansible_collections.campaign.rollback.plugins.module_utils.database_files import ROWS
from ansible_collections.campaign.rollback.plugins.module_utils.database_import import (
    check_server,
    import_beside,
    verify_files,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_physical import files_of
from ansible_collections.campaign.rollback.plugins.module_utils.database_refill import refill
from ansible_collections.campaign.rollback.plugins.module_utils.dump import Dump, Progress, client_command, tool
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

#: Longest wait for the transactions that were under way when a backup begins, in seconds.
_SETTLE_S = 10
#: What was recorded of a backup's files, each ``{path, bytes, sha256}``.
Files = Sequence[Mapping[str, Any]]
#: Suboptions of the modules' option for them.
FILE_OPTIONS = {
    "path": {"type": "path", "required": True},
    "bytes": {"type": "int"},
    "sha256": {"type": "str", "required": True},
}


class Backup(Protocol):
    """A backup that exists, held open so that what is loaded is what was proven.

    Known once it was proven: the names of its ``tables``, the ``load_bytes`` that a load works through, and the
    ``room_bytes`` that the copy takes. ``beside_only`` says why it cannot be loaded in place, if so.
    """

    beside_only: str | None

    tables: list[str]
    load_bytes: int
    room_bytes: int

    def __enter__(self) -> Any:
        """The backup itself."""

    def __exit__(self, *unused: object) -> None:
        """Let go of it."""

    def prove(self, db: Database, files: Files | None) -> None:
        """Raise RollbackError unless the backup is whole, stays inside one schema, is the one of ``files``, and this
        server can load it."""

    def completed(self, db: Database, schema: str) -> bool:
        """False if ``schema`` may be a part of a copy although every table and row is there."""

    def fill(self, db: Database, connection: list[str], schema: str, beside: bool, progress: Progress) -> None:
        """Bring everything into the empty ``schema``, the live one unless it is ``beside`` that."""


class SqlDump(Dump):
    """A dump as SQL text that an operator has, loaded by the server's own client."""

    beside_only: str | None = None
    # Indexes and page fill make a loaded schema larger than its SQL text; measured 1.34 times.
    _SPACE_FACTOR = 1.5

    def prove(self, db: Database, files: Files | None) -> None:
        """See Backup."""
        tool(db.engine, "client")
        self.load_bytes = self.verify(_recorded_digest(files))
        self.room_bytes = int(self.load_bytes * self._SPACE_FACTOR)

    def completed(self, db: Database, schema: str) -> bool:
        """The last table is the last to get its rows."""
        return True

    def fill(self, db: Database, connection: list[str], schema: str, beside: bool, progress: Progress) -> None:
        """See Backup."""
        state = sleeping(db.engine, db.version_number()) if beside else "ENABLE"
        # A trigger that was written with the name of its schema would otherwise be made in the live one.
        self.load(
            client_command(db.engine, connection, schema),
            progress,
            lambda lines: database_structure.confined(lines, state),
        )


class _Directory:
    """A backup of several files."""

    def __init__(self, path: str) -> None:
        """Nothing is read before it is proven."""
        self._path = path

    def __enter__(self) -> Any:
        """The backup itself."""
        return self

    def __exit__(self, *unused: object) -> None:
        """There is nothing to close."""


class TableTexts(_Directory):
    """A directory with the rows of each table as text."""

    beside_only: str | None = None
    # Measured 1.45 times the text; sorting the largest key takes room as well.
    _SPACE_FACTOR = 1.7

    def prove(self, db: Database, files: Files | None) -> None:
        """See Backup."""
        tool(db.engine, "client")
        self._sizes = database_logical.verify_backup(self._path, files or [])
        self.tables = sorted(self._sizes)
        self.load_bytes = sum(self._sizes.values())
        self.room_bytes = int(self.load_bytes * self._SPACE_FACTOR)

    def completed(self, db: Database, schema: str) -> bool:
        """A part of a copy has a table too many."""
        return True

    def fill(self, db: Database, connection: list[str], schema: str, beside: bool, progress: Progress) -> None:
        """See Backup."""
        refill(db, connection, self._path, self._sizes, schema, beside, progress)


class TableFiles(_Directory):
    """A directory with the server's own files of each table."""

    beside_only: str | None = "its files can be imported only where nobody uses the tables"

    def prove(self, db: Database, files: Files | None) -> None:
        """See Backup."""
        self.tables = verify_files(self._path, files or [])
        check_server(db, self._path)
        found = sorted((entry.name, entry.stat()) for entry in os.scandir(self._path))
        self.load_bytes = self.room_bytes = sum(stat.st_size for _name, stat in found)
        self._mark = "whole copy of " + digest_of([[name, stat.st_size, stat.st_mtime_ns] for name, stat in found])

    def completed(self, db: Database, schema: str) -> bool:
        """Triggers and the like come last, and before them what makes the tables survive a crash."""
        select = "SELECT SCHEMA_COMMENT FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s"
        return bool(db.value(select, [schema]) == self._mark)

    def fill(self, db: Database, connection: list[str], schema: str, beside: bool, progress: Progress) -> None:
        """See Backup."""
        import_beside(db, connection, self._path, schema, progress)
        db.run(f"ALTER DATABASE {quote(schema)} COMMENT = '{self._mark}'")


def _recorded_digest(files: Files | None) -> str | None:
    """Recorded digest of a dump, which is one file."""
    if files and len(files) != 1:
        raise RollbackError("A dump is one file", found=f"{len(files)} recorded", where="files")
    return str(files[0]["sha256"]) if files else None


@dataclasses.dataclass(frozen=True)
class Kind:
    """What there is to do with backups of one kind, each a directory.

    ``check`` raises if one cannot be made, ``write`` returns its files as they are to be recorded, ``verify`` raises
    unless one that exists is whole.
    """

    check: Callable[[Database, str, str], None]
    write: Callable[[Database, list[str], str, str, Progress], list[dict[str, Any]]]
    verify: Callable[[str, Files], object]


KINDS = {
    "physical": Kind(
        database_physical.check_backup,
        database_physical.write_backup,
        verify_files,
    ),
    "logical": Kind(database_logical.check_backup, database_logical.write_backup, database_logical.verify_backup),
}


def opened(path: str) -> Backup:
    """The backup at ``path``, of whichever kind; raises RollbackError if there is none."""
    if not os.path.exists(path):
        raise RollbackError("The backup cannot be read", found="there is none", where=path)
    if not os.path.isdir(path):
        return SqlDump(path)
    return TableFiles(path) if any(name.endswith(ROWS) for name in os.listdir(path)) else TableTexts(path)


def back_up(
    db: Database,
    connection: list[str],
    kind: str,
    schema: str,
    dest: str,
    check: bool = False,
    progress: str | None = None,
) -> dict[str, Any]:
    """Write a backup of ``schema`` to ``dest``, or prove the one that is there; see the module database_backup."""
    if schema not in existing_schemas(db, [schema]):
        raise RollbackError("The schema does not exist", found=schema)
    changed, starts = not os.path.exists(dest), {}
    if changed:
        KINDS[kind].check(db, schema, dest)
        starts = {} if check else first_ids(db, schema)
        files = [] if check else _write(db, connection, kind, schema, dest, progress)
    else:
        KINDS[kind].verify(dest, [])
        files = files_of(dest)
    return {
        "changed": changed,
        "kind": kind,
        "path": dest,
        "files": files,
        "bytes": sum(entry["bytes"] for entry in files),
        "starts": starts,
        "engine": db.engine,
        "version": db.version,
    }


def first_ids(db: Database, schema: str) -> dict[str, int]:
    """Per table the first id that rows can have which a backup, begun after this, does not have.

    Ids are given out when a row is inserted and not when it is committed, so transactions that are under way now are
    waited for. Empty if one of them does not end: then no id tells.
    """
    tables = read_tables(db, [schema])[schema].values()
    starts = {table.name: table.auto_increment for table in tables if table.auto_increment is not None}
    under_way, deadline = _writing(db), time.monotonic() + _SETTLE_S
    while under_way:
        if time.monotonic() > deadline:
            return {}
        # Asked more often than every tenth of a second, the server would go on telling what it told first.
        time.sleep(0.2)
        under_way &= _writing(db)
    return starts


def _writing(db: Database) -> set[str]:
    """Transactions that hold rows or are about to."""
    select = "SELECT trx_id FROM information_schema.INNODB_TRX WHERE trx_rows_modified > 0 OR trx_tables_locked > 0"
    return {str(row[0]) for row in db.rows(select)}


def _write(
    db: Database, connection: list[str], kind: str, schema: str, dest: str, progress: str | None
) -> list[dict[str, Any]]:
    # As text it is another size, but of that order.
    total = sum(table.bytes for table in read_tables(db, [schema])[schema].values())
    with Progress(progress, total) as counted:
        return KINDS[kind].write(db, connection, schema, dest, counted)
