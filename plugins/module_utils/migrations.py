"""Which migrations a rollback has to reverse, where their files are, and what stands against reversing them.

Pure but for reading the files of a release: whatever asks the database or runs the application is elsewhere.
"""

from __future__ import annotations

import dataclasses
import glob
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import sha256_file
from ansible_collections.campaign.rollback.plugins.module_utils.migration_source import (
    CHANGE,
    CONNECTION,
    DROP_COLUMN,
    DROP_TABLE,
    OUTSIDE,
    RENAME,
    ROWS,
    UNKNOWN,
    Method,
    Operation,
    Source,
    read_source,
)

#: Names become parts of paths and arguments of a command.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
#: What takes away; in ``up()`` the last two do as well, and ``down()`` cannot bring it back.
_DROPS = (DROP_TABLE, DROP_COLUMN)
_LOSSY = (*_DROPS, RENAME, CHANGE)


@dataclasses.dataclass(frozen=True)
class Applied:
    """A row of the table ``migrations``."""

    name: str
    batch: int


def to_reverse(live: Iterable[Applied], recorded: Iterable[str]) -> list[str]:
    """Migrations that are live but were not recorded, newest first, as the framework reverses them."""
    known = set(recorded)
    newer = [row for row in live if row.name not in known]
    return [row.name for row in sorted(newer, key=lambda row: (row.batch, row.name), reverse=True)]


def vanished(live: Iterable[Applied], recorded: Iterable[str]) -> list[str]:
    """Recorded migrations that are not live: they were reversed since, and this strategy runs no ``up()``."""
    present = {row.name for row in live}
    return [name for name in recorded if name not in present]


def find(release: str, patterns: Sequence[str]) -> dict[str, list[str]]:
    """Migration name -> its files, from directories given by patterns relative to ``release`` or absolute."""
    found: dict[str, list[str]] = {}
    for pattern in patterns:
        for directory in sorted(glob.glob(os.path.join(release, pattern))):
            # As the framework looks for them.
            for path in sorted(glob.glob(os.path.join(glob.escape(directory), "*_*.php"))):
                known = found.setdefault(os.path.basename(path)[: -len(".php")], [])
                if path not in known:
                    known.append(path)
    return found


@dataclasses.dataclass(frozen=True)
class Examined:
    """What is known of one migration before anything runs.

    ``refusals`` say why it cannot be reversed; ``lossy`` what was lost for good when it ran, a refusal too unless the
    operator accepted it. ``notes`` are for the operator. ``drops`` are tables (``column`` is None) and columns that
    ``down()`` takes away. ``tables`` are those that ``down()`` names; ``whole`` says that it may change others too.
    """

    name: str
    path: str = ""
    refusals: tuple[str, ...] = ()
    lossy: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    drops: tuple[Mapping[str, Any], ...] = ()
    tables: tuple[str, ...] = ()
    whole: bool = False


def _said(method: str, operation: Operation) -> str:
    return f"{method}() {operation.said}, line {operation.line}"


def _against(down: Method | None) -> list[str]:
    """Why a method cannot reverse anything."""
    if down is None:
        return ["down() is missing"]
    if down.throws is not None:
        return [f"down() always ends in an exception, line {down.throws}"]
    return ["down() does nothing"] if down.empty else []


def judge(name: str, path: str, source: Source, accepted: bool) -> Examined:
    """What the source of a migration means for reversing it; ``accepted`` by the operator although data was lost."""
    up = source.up.operations if source.up else ()
    down = source.down.operations if source.down else ()
    refusals = _against(source.down)
    if source.connection or any(known.kind == CONNECTION for known in (*up, *down)):
        refusals.append("it uses a connection of its own, which is neither rehearsed nor protected")
    refusals += [f"{_said('down', known)}, acts outside of the database" for known in down if known.kind == OUTSIDE]
    lossy = [_said("up", known) for known in up if known.kind in _LOSSY or known.lossy_sql]
    if not accepted:
        refusals += [f"{line}: what was lost then cannot be brought back" for line in lossy]
    notes = [f"{_said('up', known)}: unknown" for known in up if known.kind == ROWS and not known.lossy_sql]
    notes += [f"{_said('down', known)}: unknown" for known in down if known.kind in (ROWS, UNKNOWN)]
    notes += [
        f"{_said('down', known)}: what is written after it does not follow an undo"
        for known in down
        if known.kind in (RENAME, CHANGE)
    ]
    return Examined(
        name,
        path,
        tuple(refusals),
        tuple(lossy),
        tuple(notes),
        tuple(
            {"table": known.table, "column": known.column} for known in down if known.kind in (DROP_TABLE, DROP_COLUMN)
        ),
        tuple(sorted({known.table for known in down if known.table is not None})),
        any(known.kind in (ROWS, UNKNOWN) or known.table is None for known in down),
    )


def examine(name: str, files: Sequence[str], accepted: bool, connection: str | None) -> Examined:
    """What is known of the migration ``name`` from those of ``files`` that carry its name."""
    if not NAME.fullmatch(name):
        return Examined(name, refusals=("its name is not one of a file",), whole=True)
    if not files:
        return Examined(name, refusals=("its file is not in the release",), whole=True)
    if len({sha256_file(path) for path in files}) > 1:
        return Examined(name, refusals=("several files have its name: " + ", ".join(files),), whole=True)
    try:
        with open(files[0], encoding="utf-8", errors="surrogateescape", newline="") as stream:
            source = read_source(stream.read(), connection)
    except RollbackError as error:
        return Examined(name, files[0], (f"{error.what} ({error.found}, {error.where})",), whole=True)
    if source is None:
        return Examined(name, files[0], ("its file holds no migration",), whole=True)
    return judge(name, files[0], source, accepted)


def examine_all(
    release: str, names: Iterable[str], patterns: Sequence[str], accepted: Iterable[str], connection: str | None
) -> list[Examined]:
    """What is known of each of ``names``, from the files of ``release``."""
    files = find(release, patterns)
    allowed = set(accepted)
    return [examine(name, files.get(name, []), name in allowed, connection) for name in names]


def summary(found: Sequence[Examined]) -> dict[str, Any]:
    """What is known of several migrations together, each sentence with the name of its migration."""
    said = {
        kind: [f"{known.name}: {line}" for known in found for line in getattr(known, kind)]
        for kind in ("refusals", "lossy", "notes")
    }
    return {
        **said,
        "drops": [dict(drop) for known in found for drop in known.drops],
        "tables": sorted({table for known in found for table in known.tables}),
        "whole": any(known.whole for known in found),
    }
