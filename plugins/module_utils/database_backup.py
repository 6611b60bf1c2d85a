"""The kinds of backups: how one is written, proven whole, and brought into a schema.

Another kind is another entry of ``KINDS``.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Database,
    digest_of,
    existing_schemas,
    quote,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_import import (
    check_server,
    import_beside,
    verify_files,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_physical import (
    check_backup,
    files_of,
    write_backup,
)
from ansible_collections.campaign.rollback.plugins.module_utils.dump import (
    Dump,
    Progress,
    client_command,
    dump_command,
    tool,
    write_dump,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

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
    ``room_bytes`` that the copy takes.
    """

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

    def fill(self, db: Database, connection: list[str], schema: str, progress: Progress) -> None:
        """Bring everything into the empty ``schema``."""


class SqlDump(Dump):
    """A dump as SQL text, loaded by the server's own client."""

    # Indexes and page fill make a loaded schema larger than its SQL text; measured 1.34 times.
    _SPACE_FACTOR = 1.5

    def prove(self, db: Database, files: Files | None) -> None:
        """See Backup."""
        tool(db.engine, "client")
        self.load_bytes = self.verify(recorded_digest(files))
        self.room_bytes = int(self.load_bytes * self._SPACE_FACTOR)

    def completed(self, db: Database, schema: str) -> bool:
        """The last table is the last to get its rows."""
        return True

    def fill(self, db: Database, connection: list[str], schema: str, progress: Progress) -> None:
        """See Backup."""
        self.load(client_command(db.engine, connection, schema), progress)


class TableFiles:
    """A directory with the server's own files of each table."""

    def __init__(self, path: str) -> None:
        """Nothing is read before it is proven."""
        self._path = path

    def __enter__(self) -> TableFiles:
        """The backup itself."""
        return self

    def __exit__(self, *unused: object) -> None:
        """There is nothing to close."""

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

    def fill(self, db: Database, connection: list[str], schema: str, progress: Progress) -> None:
        """See Backup."""
        import_beside(db, connection, self._path, schema, progress)
        db.run(f"ALTER DATABASE {quote(schema)} COMMENT = '{self._mark}'")


def recorded_digest(files: Files | None) -> str | None:
    """Recorded digest of a dump, which is one file."""
    if files and len(files) != 1:
        raise RollbackError("A dump is one file", found=f"{len(files)} recorded", where="files")
    return str(files[0]["sha256"]) if files else None


def _check_dump(db: Database, schema: str, dest: str) -> None:
    tool(db.engine, "dump")


def _write_dump(
    db: Database, connection: list[str], schema: str, dest: str, progress: str | None
) -> list[dict[str, Any]]:
    # As SQL text it is another size, but of that order.
    total = sum(table.bytes for table in read_tables(db, [schema])[schema].values())
    written = write_dump(dump_command(db.engine, connection, schema), dest, Progress(progress, total))
    return [{"path": written.path, "bytes": written.bytes, "sha256": written.sha256}]


def _existing_dump(dest: str) -> list[dict[str, Any]]:
    with Dump(dest) as dump:
        dump.verify()
        return [{"path": dest, "bytes": dump.bytes, "sha256": dump.sha256()}]


def _write_files(
    db: Database, connection: list[str], schema: str, dest: str, progress: str | None
) -> list[dict[str, Any]]:
    total = sum(table.bytes for table in read_tables(db, [schema])[schema].values())
    with Progress(progress, total) as counted:
        return write_backup(db, connection, schema, dest, counted)


def _existing_files(dest: str) -> list[dict[str, Any]]:
    verify_files(dest, [])
    return files_of(dest)


@dataclasses.dataclass(frozen=True)
class Kind:
    """What there is to do with backups of one kind.

    ``recognises`` takes the path of one, ``check`` raises if one cannot be made, ``write`` and ``existing`` return its
    files as they are to be recorded.
    """

    recognises: Callable[[str], bool]
    opened: Callable[[str], Backup]
    check: Callable[[Database, str, str], None]
    write: Callable[[Database, list[str], str, str, str | None], list[dict[str, Any]]]
    existing: Callable[[str], list[dict[str, Any]]]


KINDS = {
    "physical": Kind(os.path.isdir, TableFiles, check_backup, _write_files, _existing_files),
    "logical": Kind(lambda path: True, SqlDump, _check_dump, _write_dump, _existing_dump),
}


def opened(path: str) -> Backup:
    """The backup at ``path``, of whichever kind."""
    return next(kind for kind in KINDS.values() if kind.recognises(path)).opened(path)


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
    changed = not os.path.exists(dest)
    if changed:
        KINDS[kind].check(db, schema, dest)
        files = [] if check else KINDS[kind].write(db, connection, schema, dest, progress)
    else:
        files = KINDS[kind].existing(dest)
    return {
        "changed": changed,
        "kind": kind,
        "path": dest,
        "files": files,
        "bytes": sum(entry["bytes"] for entry in files),
        "engine": db.engine,
        "version": db.version,
    }
