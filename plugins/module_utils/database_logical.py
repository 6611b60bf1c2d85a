"""Logical backups: a directory with the structure of a schema and per table its rows as compressed text.

Any server can load one, also one whose files and rights are somebody else's: it takes no more than reading tables.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import IO, Any

from ansible_collections.campaign.rollback.plugins.module_utils import database_structure as structure
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Column,
    Database,
    digest_of,
    read_columns,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_import import compare_files
from ansible_collections.campaign.rollback.plugins.module_utils.database_physical import STRUCTURE, build
from ansible_collections.campaign.rollback.plugins.module_utils.dump import (
    Dump,
    Messages,
    Progress,
    client_command,
    client_message,
    end_with_parent,
    piped,
    tool,
    unzstd,
    zstd,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.table_text import select_sql

_TEXT = ".txt.zst"
_BLOCK = 1024 * 1024
_THREADS = 2
# Whatever the server's own settings are: the text depends on none of them, and may be read slowly. No modes, because
# some change how texts are quoted. What is quoted are bytes, which MySQL would check against another character set.
_SESSION = """SET SESSION sql_mode='', time_zone='+00:00', net_write_timeout=86400;
SET SESSION character_set_results=NULL, collation_connection=binary;
/*M!100100 SET SESSION max_statement_time=0 */;
/*!80000 SET SESSION max_execution_time=0 */;
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;
START TRANSACTION WITH CONSISTENT SNAPSHOT;
SAVEPOINT before_each;
"""
# The server numbers its changes of a table's definition: rows of a snapshot before one cannot be read after it.
_CHANGED = re.compile(r"\((?:1412|1146|1054)\)")


def check_backup(db: Database, schema: str, dest: str) -> None:
    """Raise RollbackError unless a logical backup of ``schema`` can be made: programs, kinds of tables."""
    versioned = db.rows(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_TYPE = 'SYSTEM VERSIONED'",
        [schema],
    )
    if versioned:
        raise RollbackError(
            "The history of these tables would be lost; only a physical backup has it",
            found=", ".join(row[0] for row in versioned),
        )
    tool(db.engine, "dump")
    tool(db.engine, "client")
    if not shutil.which("zstd"):
        raise RollbackError("zstd is not installed", next_step="apt-get install zstd")


def write_backup(
    db: Database, connection: list[str], schema: str, dest: str, progress: Progress
) -> list[dict[str, Any]]:
    """Read ``schema`` in one snapshot while it is in use, and name the backup ``dest`` once it is whole.

    Returns ``[{path, bytes, sha256}]``. Raises RollbackError, leaving nothing behind, if a program fails, a value could
    not be read as it is, or the structure was changed meanwhile.
    """
    check_backup(db, schema, dest)
    return build(dest, lambda _work, whole: _write(db, connection, schema, whole, progress))


def text_path(directory: str, table: str) -> str:
    """File of the rows of ``table`` in the backup ``directory``."""
    stem = urllib.parse.quote(table, safe="")
    # File systems hold names of 255 bytes.
    return os.path.join(directory, (stem if len(stem) < 200 else digest_of(table)) + _TEXT)


def _write(db: Database, connection: list[str], schema: str, whole: str, progress: Progress) -> None:
    before = structure.read(db, connection, schema)
    columns = read_columns(db, [schema])
    paths = {table: text_path(whole, table) for table in sorted(read_tables(db, [schema])[schema])}
    _write_rows(db, connection, schema, paths, columns, progress)
    text = structure.read(db, connection, schema)
    if structure.without_counters(text) != structure.without_counters(before):
        raise _changed(schema)
    with open(os.path.join(whole, STRUCTURE), "xb") as stream:
        stream.write(text)


def _changed(schema: str) -> RollbackError:
    return RollbackError(
        "The structure of the schema was changed while it was read; this is not a backup",
        where=schema,
        next_step="run the same command again when no migration is running",
    )


def _write_rows(
    db: Database,
    connection: list[str],
    schema: str,
    paths: Mapping[str, str],
    columns: Mapping[tuple[str, str], Mapping[str, Column]],
    progress: Progress,
) -> None:
    # No value of a row can be this.
    mark = secrets.token_hex(16)
    messages = Messages()
    more = ("--batch", "--raw", "--quick", "--skip-column-names")
    with tempfile.TemporaryFile() as script:
        script.write(_SESSION.encode())
        for table in paths:
            select = select_sql(schema, table, columns[(schema, table)].values())
            # A table that was read is let go of, or a change of it would wait for the end, and all its users for that.
            script.write(f"{select};\nSELECT '{mark}', @@warning_count;\nROLLBACK TO SAVEPOINT before_each;\n".encode())
        script.seek(0)
        process = subprocess.Popen(
            client_command(db.engine, connection, schema, *more),
            stdin=script,
            stdout=subprocess.PIPE,
            stderr=messages.file,
            preexec_fn=end_with_parent,
        )
        try:
            told = _Told(piped(process.stdout), mark.encode(), progress)
            for table, path in paths.items():
                with zstd(path) as sink:
                    warnings = told.copy_to(sink)
                if warnings:
                    raise RollbackError(
                        "The server could not give out all values as they are",
                        found=f"{warnings} warnings",
                        where=f"{schema}.{table}",
                        next_step="raise max_allowed_packet to twice the longest text",
                    )
            code = process.wait()
        except EOFError as error:
            process.wait()
            found = client_message(messages.text())
            if _CHANGED.search(found):
                raise _changed(schema) from error
            raise RollbackError("Reading the tables failed", found=found, where=schema) from error
        finally:
            process.kill()
            process.wait()
    if code:
        raise RollbackError("Reading the tables failed", found=client_message(messages.text()), where=schema)


class _Told:
    """What the client tells: the rows of one table after the other, each ended by a line with a mark and a number."""

    def __init__(self, source: IO[bytes], mark: bytes, progress: Progress) -> None:
        self._source, self._mark, self._progress, self._held = source, mark + b"\t", progress, b""

    def copy_to(self, sink: IO[bytes]) -> int:
        """Write the rows of the next table to ``sink``; returns the number. Raises EOFError if they do not end."""
        while True:
            found = self._held.find(self._mark)
            end = self._held.find(b"\n", found) if found >= 0 else -1
            if end >= 0:
                number = int(self._held[found + len(self._mark) : end])
                sink.write(self._held[:found])
                self._progress.add(found)
                self._held = self._held[end + 1 :]
                return number
            # What may be the beginning of a mark stays.
            sure = max(0, len(self._held) - len(self._mark)) if found < 0 else found
            sink.write(self._held[:sure])
            self._progress.add(sure)
            block = self._source.read1(_BLOCK)  # type: ignore[attr-defined]
            if not block:
                raise EOFError
            self._held = self._held[sure:] + block


def verify_backup(directory: str, files: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Prove the backup in ``directory`` whole; returns the bytes of text of each of its tables.

    ``files`` are the recorded ``{path, sha256}``, of which the last part of the path counts; without them nothing is
    compared. Raises RollbackError for a file too many, missing or changed, for one that does not decompress to its end,
    and for a structure that is cut off, reaches outside the schema or does not belong to the files.
    """
    found = compare_files(directory, files)
    with Dump(os.path.join(directory, STRUCTURE)) as dump:
        dump.verify()
        paths = {table: text_path(directory, table) for table in dump.tables}
    odd = sorted({STRUCTURE, *map(os.path.basename, paths.values())} ^ set(found))
    if odd:
        raise RollbackError(
            "The files of the backup are not those of its tables", found=", ".join(odd), where=directory
        )
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(paths, pool.map(_text_size, paths.values())))


def _text_size(path: str) -> int:
    with open(path, "rb") as file, unzstd(file, path) as text:
        return sum(len(block) for block in iter(lambda: text.read(_BLOCK), b""))
