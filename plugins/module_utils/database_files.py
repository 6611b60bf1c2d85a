"""The database server's own files: where they are on this host, what they are called, and how they become durable.

Everything here that places or removes a file concerns schemas that this collection made and may drop.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Database,
    error_code,
    quote,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.dump import Progress
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

LOGICAL = "use a logical backup (database_backup_kind: logical, -e rollback_database_strategy=logical)"
#: The server's files of one table that an import places: the rows, and how they are laid out.
ROWS, LAYOUT = ".ibd", ".cfg"
#: Begins the statements of a load that may take long, so that they can be told from those of others.
OURS = "/* campaign.rollback load */ "
_DIRECTORY_NOT_EMPTY = 1010
# Seconds that a server which went away in mid-load has to come back. After that the next run drops what is half loaded.
_RETURN_S = 20.0
_BLOCK = 8 * 1024 * 1024
_SYNC_BLOCKS = 4
# Names that a file system somewhere reserves for devices; the server marks them.
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[1-9]|lpt[1-9])\Z", re.IGNORECASE)


def data_directory(db: Database) -> str:
    """The server's data directory if this process may place files in it; RollbackError otherwise."""
    path = str(db.value("SELECT @@datadir"))
    if not os.path.isdir(os.path.join(path, "mysql")):
        problem = "it is not on this host"
    elif not os.access(path, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        problem = f"uid {os.geteuid()} may not write there"
    elif os.geteuid() not in (0, os.stat(path).st_uid):
        problem = f"uid {os.geteuid()} cannot give files to the server's user"
    else:
        return path
    raise RollbackError(
        "The data directory of the server cannot be reached", found=problem, where=path, next_step=LOGICAL
    )


def file_names(db: Database, names: Iterable[str]) -> dict[str, str]:
    """Name of each schema or table -> what the server calls its directory, or its files without their endings."""
    listed = list(names)
    found: dict[str, str] = {}
    for start in range(0, len(listed), 100):
        part = listed[start : start + 100]
        select = ", ".join(["CAST(CONVERT(%s USING filename) AS BINARY)"] * len(part))
        for name, encoded in zip(part, db.rows(f"SELECT {select}", part)[0]):
            text = encoded.decode("ascii")
            found[name] = text + "@@@" if _RESERVED.match(text) else text
    return found


def schema_directory(db: Database, schema: str) -> str:
    """Directory of ``schema`` below the data directory; it need not exist."""
    return os.path.join(data_directory(db), file_names(db, [schema])[schema])


@dataclasses.dataclass(frozen=True)
class Tablespace:
    """A file of rows as the server knows it: its number, its row format, and the path if it is a file of its own."""

    table_id: int
    row_format: str
    path: str | None


def read_tablespaces(db: Database, schema: str) -> dict[str, Tablespace]:
    """Encoded table name -> Tablespace for everything that InnoDB keeps in ``schema``; needs the right PROCESS."""
    prefix = file_names(db, [schema])[schema] + "/"
    found = db.rows(
        "SELECT t.NAME, t.TABLE_ID, t.ROW_FORMAT, s.FILENAME FROM information_schema.INNODB_SYS_TABLES t"
        " LEFT JOIN information_schema.INNODB_SYS_TABLESPACES s ON s.SPACE = t.SPACE AND t.SPACE <> 0"
    )
    return {
        row[0][len(prefix) :]: Tablespace(int(row[1]), str(row[2]), row[3])
        for row in found
        if row[0].startswith(prefix)
    }


def drop_schema(db: Database, schema: str) -> None:
    """Drop a schema that may be dropped, with whatever an import that was killed left in its directory."""
    try:
        directory = schema_directory(db, schema)
    except RollbackError:
        # Then nothing was ever placed there.
        directory = None
    end_loads(db, schema)
    try:
        db.run(f"DROP DATABASE IF EXISTS {quote(schema)}")
    except RollbackError as error:
        # The tables are gone by now; what is left the server does not know.
        if directory is None or error_code(error) != _DIRECTORY_NOT_EMPTY or read_tables(db, [schema])[schema]:
            raise
        for name in os.listdir(directory):
            if name.endswith((ROWS, LAYOUT)):
                os.unlink(os.path.join(directory, name))
        db.run(f"DROP DATABASE IF EXISTS {quote(schema)}")


def discard_schema(db: Database, schema: str) -> None:
    """Drop a half loaded schema although its load failed, perhaps because the server went away and is coming back."""
    deadline = time.monotonic() + _RETURN_S
    while True:
        try:
            with db.again() as own:
                drop_schema(own, schema)
            return
        except RollbackError:
            if time.monotonic() >= deadline:
                # The failure of the load says more; the next load of the run, or tidying up, drops the rest.
                return
            time.sleep(0.2)


def end_loads(db: Database, schema: str) -> None:
    """The server goes on with the statement of a client that was killed, and a drop would wait for it."""
    for (session,) in db.rows(
        "SELECT ID FROM information_schema.PROCESSLIST"
        " WHERE DB = %s AND (INFO LIKE %s OR INFO LIKE %s) AND ID <> CONNECTION_ID()",
        [schema, "ALTER TABLE % TABLESPACE", OURS + "%"],
    ):
        # It may have ended by itself meanwhile.
        with contextlib.suppress(RollbackError):
            db.run(f"KILL {session:d}")


def place(source: str, target: str, owner: os.stat_result, progress: Progress) -> None:
    """Copy ``source`` to ``target``, which must not exist, with the owner and mode of ``owner``.

    Shares the blocks where the file system can. Never a hard link: the server rewrites what it imports.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with open(source, "rb") as reading, open(os.open(target, flags, 0o600), "wb") as writing:
            for number, count in enumerate(_copied(reading.fileno(), writing.fileno()), 1):
                progress.add(count)
                # Or the file system writes it all in one go when a transaction has to get to disk, and that waits.
                if number % _SYNC_BLOCKS == 0:
                    os.fdatasync(writing.fileno())
            os.fchown(writing.fileno(), owner.st_uid, owner.st_gid)
            os.fchmod(writing.fileno(), owner.st_mode & 0o777)
    except OSError as error:
        raise RollbackError(
            "A table's file cannot be placed beside those of the server", found=error.strerror, where=target
        ) from error


def _copied(source: int, target: int) -> Iterator[int]:
    try:
        while True:
            count = os.copy_file_range(source, target, _BLOCK)
            yield count
            if not count:
                return
    except OSError:
        # Not between these two file systems. Any other error at the start comes again below.
        if os.lseek(source, 0, os.SEEK_CUR):
            raise
    while True:
        block = os.read(source, _BLOCK)
        if not block:
            return
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(target, rest) :]
        yield len(block)


def lsn(db: Database, name: str) -> int:
    """One of InnoDB's log positions: ``current`` or ``last_checkpoint``."""
    return int(db.rows(f"SHOW GLOBAL STATUS LIKE 'Innodb_lsn_{name}'")[0][1])


def checkpoint(db: Database, timeout_s: float = 300) -> None:
    """Bring InnoDB's checkpoint past everything done so far.

    A server that dies before that recovers imported tables by the log of their creation, which makes them empty, and a
    backup leaves them out. Raises RollbackError if the server cannot do it, or not in ``timeout_s`` seconds.
    """
    wanted = lsn(db, "current")
    failures: list[RollbackError] = []

    def ask() -> None:
        try:
            with db.again() as own:
                own.run("SET GLOBAL innodb_log_checkpoint_now=ON")
        except RollbackError as error:
            failures.append(error)

    # The statement itself chases the end of the log for as long as others write, which may take long. What counts is
    # there much sooner.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    deadline = time.monotonic() + timeout_s
    while asking.is_alive() and lsn(db, "last_checkpoint") < wanted:
        if time.monotonic() >= deadline:
            raise RollbackError(
                "The server did not write its checkpoint in time; without it a crash would empty the imported tables",
                found=f"not after {timeout_s:.0f} s",
                where="innodb_log_checkpoint_now",
                next_step=LOGICAL,
            )
        asking.join(0.005)
    if failures:
        raise RollbackError(
            "The server cannot be asked for a checkpoint; without it a crash would empty the imported tables",
            found=failures[0].found,
            where="innodb_log_checkpoint_now",
            next_step=LOGICAL,
        )
