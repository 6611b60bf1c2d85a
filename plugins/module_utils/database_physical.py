"""Physical backups of MariaDB: a directory with the server's own files of each table.

The directory holds ``structure.sql``, and per table the rows (``.ibd``) and their layout (``.cfg``), prepared so that
they can be imported as they are.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import database_structure as structure
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Database,
    read_objects,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_files import (
    LAYOUT,
    LOGICAL,
    ROWS,
    checkpoint,
    data_directory,
    file_names,
    read_tablespaces,
    schema_directory,
)
from ansible_collections.campaign.rollback.plugins.module_utils.dump import (
    Messages,
    Progress,
    end_with_parent,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import (
    fsync_directory,
    fsync_file,
    make_private_directory,
    sha256_file,
)

STRUCTURE = "structure.sql"
_THREADS = 2
_MEMORY = "256M"
_MADE_BY = re.compile(r"based on MariaDB server (\d+)\.(\d+)")


def obstacles(db: Database, schema: str) -> list[str]:
    """Why ``schema`` cannot be backed up as files, in words; empty if it can. Such a schema needs a logical backup."""
    if db.engine != "mariadb":
        return ["the server is not MariaDB"]
    found = []
    tables = db.rows(
        "SELECT TABLE_NAME, ENGINE, LOWER(CREATE_OPTIONS) FROM information_schema.TABLES"
        " WHERE TABLE_SCHEMA = %s AND TABLE_TYPE NOT IN ('VIEW', 'SEQUENCE') ORDER BY TABLE_NAME",
        [schema],
    )
    names = file_names(db, [row[0] for row in tables])
    spaces = read_tablespaces(db, schema)
    searched = {
        int(match.group(1), 16) for match in (re.match(r"FTS_([0-9a-f]{16})_", name) for name in spaces) if match
    }
    directory = f"./{file_names(db, [schema])[schema]}"
    for name, engine, options in tables:
        space = spaces.get(names[name])
        if engine != "InnoDB":
            found.append(f"{name} is a table of the engine {engine}")
        elif "partitioned" in options:
            found.append(f"{name} is partitioned")
        elif space is None or space.path != f"{directory}/{names[name]}{ROWS}":
            found.append(f"{name} has no file of its own in the directory of the schema")
        elif space.row_format == "Compressed" or "page_compressed" in options:
            found.append(f"{name} is compressed")
        elif space.table_id in searched:
            found.append(f"{name} has or had a FULLTEXT index")
    encrypted = db.rows(
        "SELECT NAME FROM information_schema.INNODB_TABLESPACES_ENCRYPTION WHERE ENCRYPTION_SCHEME <> 0"
    )
    prefix = directory[2:] + "/"
    found += [f"{name} is encrypted" for name, stem in names.items() if (prefix + stem,) in encrypted]
    found += [f"{name} is a sequence" for name in read_objects(db, [schema])[schema]["sequences"]]
    return found


def _program(db: Database) -> str:
    """Path of the backup tool; RollbackError unless it is of the server's release."""
    path = shutil.which("mariadb-backup")
    if not path:
        raise RollbackError("mariadb-backup is not installed", next_step="apt-get install mariadb-backup")
    asked = [path, "--version"]
    said = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
    release = _MADE_BY.search(said)
    if not release or tuple(int(part) for part in release.groups()) != db.version_number()[:2]:
        raise RollbackError(
            "mariadb-backup and the server are of different releases",
            found=f"{release.group(0) if release else 'unknown'}, server {db.version}",
            next_step="install the one of the server, or " + LOGICAL,
        )
    return path


def check_backup(db: Database, schema: str, dest: str) -> None:
    """Raise RollbackError unless a physical backup of ``schema`` can be made: tools, rights, room, kinds of tables."""
    reasons = obstacles(db, schema)
    if reasons:
        raise RollbackError(
            "This schema needs a logical backup; nothing was done", found="; ".join(reasons), next_step=LOGICAL
        )
    _program(db)
    # What belongs to no table in particular is copied as well, and removed later.
    needed = _size_of(schema_directory(db, schema)) + _size(os.path.join(data_directory(db), "ibdata1"))
    parent = os.path.abspath(dest)
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    system = os.statvfs(parent)
    if system.f_bavail * system.f_frsize < needed:
        raise RollbackError(
            "Not enough disk for the backup",
            found=f"{system.f_bavail * system.f_frsize} bytes free, {needed} needed",
            where=parent,
        )


def write_backup(
    db: Database, connection: list[str], schema: str, dest: str, progress: Progress
) -> list[dict[str, Any]]:
    """Copy the files of ``schema`` while it is in use, prepare them for import, and name them ``dest`` once whole.

    Returns ``[{path, bytes, sha256}]``. Raises RollbackError, leaving nothing behind, if anything about the schema
    stands against it, a program fails, a table is missing in the copy, or its structure was changed meanwhile.
    """
    check_backup(db, schema, dest)
    return build(
        dest,
        lambda work, whole: _copy(db, connection, schema, os.path.join(work, "copy"), whole, progress),
    )


def build(dest: str, fill: Callable[[str, str], None]) -> list[dict[str, Any]]:
    """Name a directory ``dest`` once ``fill``, given a directory to work in and one inside it, made the latter whole.

    Returns ``[{path, bytes, sha256}]``; leaves nothing behind if ``fill`` raises.
    """
    dest = os.path.abspath(dest)
    parent, name = os.path.split(dest)
    make_private_directory(parent)
    # A fixed name, so that what a killed attempt left is found and removed.
    work = os.path.join(parent, f".{name}.partial")
    try:
        if os.path.exists(work):
            shutil.rmtree(work)
        whole = os.path.join(work, "whole")
        make_private_directory(whole)
        fill(work, whole)
        files = _made_durable(whole, dest)
        os.rename(whole, dest)
        fsync_directory(parent)
        return files
    except OSError as error:
        raise RollbackError("The backup cannot be written", found=error.strerror, where=dest) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _copy(db: Database, connection: list[str], schema: str, copy: str, whole: str, progress: Progress) -> None:
    program, directory = _program(db), file_names(db, [schema])[schema]
    before = _fingerprint(db, connection, schema)
    # Tables imported since the last checkpoint would be left out without a word.
    checkpoint(db)
    make_private_directory(copy)
    _run(
        [
            program,
            *connection,
            "--backup",
            f"--parallel={_THREADS}",
            f"--databases={directory}",
            f"--target-dir={copy}",
        ],
        copy,
        progress,
    )
    text, identities = _fingerprint(db, connection, schema)
    if (structure.without_counters(text), identities) != (structure.without_counters(before[0]), before[1]):
        raise RollbackError(
            "The structure of the schema was changed while it was copied; this is not a backup",
            where=schema,
            next_step="run the same command again when no migration is running",
        )
    _run(
        [program, "--no-defaults", "--prepare", "--export", f"--use-memory={_MEMORY}", f"--target-dir={copy}"],
        copy,
        progress,
    )
    with open(os.path.join(whole, STRUCTURE), "wb") as stream:
        stream.write(text)
    names = [stem + ending for stem in sorted(identities) for ending in (ROWS, LAYOUT)]
    missing = [name for name in names if not os.path.exists(os.path.join(copy, directory, name))]
    if missing:
        raise RollbackError("The backup tool left tables out; this is not a backup", found=", ".join(missing))
    for name in names:
        os.rename(os.path.join(copy, directory, name), os.path.join(whole, name))


def _fingerprint(db: Database, connection: list[str], schema: str) -> tuple[bytes, dict[str, int]]:
    """The structure as text, and for the files of every table a number that changes when it is built anew."""
    text = structure.read(db, connection, schema)
    spaces = read_tablespaces(db, schema)
    stems = file_names(db, read_tables(db, [schema])[schema]).values()
    return text, {stem: spaces[stem].table_id if stem in spaces else 0 for stem in stems}


def _run(command: list[str], directory: str, progress: Progress) -> None:
    """Run the backup tool; ``progress`` is told by what has arrived in ``directory``."""
    messages, arrived = Messages(), 0
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=messages.file,
        preexec_fn=end_with_parent,
    )
    try:
        while True:
            try:
                code = process.wait(timeout=1)
                break
            except subprocess.TimeoutExpired:
                now = _size_of(directory)
                progress.add(max(0, now - arrived))
                arrived = max(now, arrived)
    except BaseException:
        process.kill()
        process.wait()
        raise
    said = messages.text().splitlines()
    if code or not said or not said[-1].endswith("completed OK!"):
        raise RollbackError("mariadb-backup failed", found=f"exit {code}: {' / '.join(said[-3:])}")


def _size_of(directory: str) -> int:
    return sum(_size(os.path.join(path, name)) for path, _names, files in os.walk(directory) for name in files)


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


def _made_durable(directory: str, dest: str) -> list[dict[str, Any]]:
    """Bring every file to disk; returns how each will be known below ``dest``."""
    paths = [os.path.join(directory, name) for name in os.listdir(directory)]
    for path in paths:
        os.chmod(path, 0o600)
    # The disk and the processor are busy at the same time.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        synced = pool.submit(_sync, paths)
        files = files_of(directory)
        synced.result()
    fsync_directory(directory)
    return [dict(entry, path=os.path.join(dest, os.path.basename(entry["path"]))) for entry in files]


def _sync(paths: list[str]) -> None:
    for path in paths:
        fsync_file(path)


def files_of(directory: str) -> list[dict[str, Any]]:
    """What is to be recorded of every file in ``directory``: ``{path, bytes, sha256}``."""
    paths = [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        digests = pool.map(sha256_file, paths)
        return [
            {"path": path, "bytes": os.path.getsize(path), "sha256": digest} for path, digest in zip(paths, digests)
        ]
