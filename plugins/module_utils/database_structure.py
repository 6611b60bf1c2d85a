"""The structure of a schema as SQL text: what an import of tables needs before the rows, and what after them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator

from ansible_collections.campaign.rollback.plugins.module_utils.database import Database
from ansible_collections.campaign.rollback.plugins.module_utils.dump import Messages, dump_command, is_complete
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

# Options that make the dump tool write structure alone, the same text as long as the structure is the same.
_OPTIONS = ("--no-data", "--skip-dump-date")
_CREATE = re.compile(rb"CREATE TABLE `")
# Tables may take their numbers from sequences.
_SEQUENCE = re.compile(rb"(?:DROP SEQUENCE IF EXISTS|CREATE SEQUENCE) `|DO SETVAL\(`")
# Clients older than the line that forbids their own commands take it for an error; binary mode forbids them as well.
_LEFT_OUT = re.compile(rb"DROP TABLE IF EXISTS `|/\*M?!999999")
_COUNTER = re.compile(rb"^(\) ENGINE=.*?) AUTO_INCREMENT=\d+|^(DO SETVAL\(`.*`, )\d+", re.MULTILINE)
_VERSION = re.compile(rb"^-- Server version\t(\d+)\.(\d+)", re.MULTILINE)
_OBJECT = re.compile(rb"/\*!50\d+ CREATE\*/ .*?/\*!50\d+ (TRIGGER|EVENT)\s", re.IGNORECASE)
_NAME = rb"(?:`(?:[^`]|``)+`|[^\s`.]+)"
_EVENT = re.compile(
    rb"(EVENT " + _NAME + rb" ON SCHEDULE (?:[^'\n]|'[^'\n]*')*? ON COMPLETION (?:NOT )?PRESERVE )"
    rb"(?:ENABLE|(DISABLE(?: ON SLAVE)?))\b"
)
# Unlike everything else a trigger is kept as it was written, perhaps with the name of its schema.
_TRIGGER = re.compile(
    rb"(TRIGGER\s+(?:IF\s+NOT\s+EXISTS\s+)?)(?:" + _NAME + rb"\s*\.\s*)?(" + _NAME + rb"\s+(?:BEFORE|AFTER)\s+"
    rb"(?:INSERT|UPDATE|DELETE)\s+ON\s+)(?:" + _NAME + rb"\s*\.\s*)?(" + _NAME + rb"\s+FOR\s+EACH\s+ROW\b)",
    re.IGNORECASE,
)


def _parts(text: bytes) -> Iterator[tuple[str, bytes]]:
    """Pieces of a dump: lines of a ``table`` or sequence, a ``statement`` between other delimiters, ``other`` lines."""
    inside, delimited, statement = False, False, b""
    for line in text.splitlines(keepends=True):
        if statement or (delimited and not line.startswith(b"DELIMITER ")):
            statement += line
            if line.endswith(b";;\n"):
                yield "statement", statement
                statement = b""
        elif inside or _CREATE.match(line) or _SEQUENCE.match(line):
            # Texts inside the statement never hold a line's end: the server writes it as two characters.
            inside = not line.endswith(b";\n")
            yield "table", line
        elif not _LEFT_OUT.match(line):
            if line.startswith(b"DELIMITER "):
                delimited = line != b"DELIMITER ;\n"
            yield "other", line
    yield "other", statement


def read(db: Database, connection: list[str], schema: str) -> bytes:
    """The structure of ``schema`` as the server's own dump tool writes it; raises RollbackError if that fails."""
    messages = Messages()
    made = subprocess.run(
        dump_command(db.engine, connection, schema, *_OPTIONS),
        stdout=subprocess.PIPE,
        stderr=messages.file,
        check=False,
    )
    if made.returncode or not is_complete(made.stdout[-512:]):
        raise RollbackError("The dump program failed", found=f"exit {made.returncode}: {messages.text()}")
    return made.stdout


def tables_of(text: bytes) -> bytes:
    """The statements of dump ``text`` that create its tables and sequences, without triggers, so that nothing fires."""
    # Defaults of columns are told in UTC, as everything of a dump.
    head = b"SET SESSION foreign_key_checks=0, unique_checks=0, time_zone='+00:00', sql_mode='NO_AUTO_VALUE_ON_ZERO';\n"
    return head + b"".join(piece for kind, piece in _parts(text) if kind == "table")


def objects_of(text: bytes, state: str = "DISABLE ON SLAVE") -> bytes:
    """Everything else of dump ``text``: triggers, views, routines, events, all in the schema they are loaded into.

    An event that was enabled gets the ``state``: beside the live schema one that does not run, so that it can be told
    from one that was not enabled. Raises RollbackError for an event or trigger that begins in another way than servers
    write them.
    """
    return b"".join(
        _confined(piece, state.encode()) if kind == "statement" else piece
        for kind, piece in _parts(text)
        if kind != "table"
    )


def confined(lines: Iterable[bytes], state: str) -> Iterator[bytes]:
    """The same for the lines of a whole dump, rows included, which stay as they are."""
    delimiter, statement = b";", b""
    for line in lines:
        if statement or (delimiter != b";" and not line.startswith(b"DELIMITER ")):
            statement += line
            if line.rstrip().endswith(delimiter):
                yield _confined(statement, state.encode())
                statement = b""
        else:
            if line.startswith(b"DELIMITER "):
                delimiter = line.split()[1]
            yield line
    yield statement


def _confined(statement: bytes, state: bytes) -> bytes:
    found = _OBJECT.match(statement)
    if not found:
        return statement
    start = found.start(1)
    match = (_EVENT if found.group(1).upper() == b"EVENT" else _TRIGGER).match(statement, start)
    if not match:
        raise RollbackError(
            "A trigger or event of the backup begins in a way that is not understood, so that it could act elsewhere",
            found=statement[start : start + 60].decode("utf-8", "replace"),
            where="its structure",
        )
    confined = [part or b"" for part in match.groups()]
    if match.re is _EVENT and not confined[1]:
        confined[1] = state
    return statement[:start] + b"".join(confined) + statement[match.end() :]


def without_counters(text: bytes) -> bytes:
    """``text`` without the next numbers of tables and sequences, which change with every row."""
    return _COUNTER.sub(rb"\1\2", text)


def release_of(text: bytes) -> tuple[int, int] | None:
    """Release of the server that the text is from, such as ``(10, 11)``; None if it does not say."""
    found = _VERSION.search(text)
    return (int(found.group(1)), int(found.group(2))) if found else None
