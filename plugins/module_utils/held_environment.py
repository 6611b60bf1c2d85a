"""Processes that still hold an environment that was replaced: in ``/proc/<pid>/environ``, or because they are too old.

Values are compared by digest and never leave this module; keys may be told.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.environment import CLOSED, parse, plain
from ansible_collections.campaign.rollback.plugins.module_utils.processes import environment_of, identify

#: The boot time in /proc is a whole second, so a start is known no better.
CLOCK_S = 1.0
ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Running:
    """A process by its name in systemd or pm2. ``reads_once``: it reads the file when it starts and never again."""

    name: str
    pid: int
    reads_once: bool


def digest(value: str) -> str:
    """Hex SHA-256 of a value."""
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()


def readings(raw: str | None) -> set[str]:
    """Digests of all that a raw value may be read as: programs differ in quotes, escapes and comments."""
    if raw is None:
        return set()
    quoted = CLOSED[raw[0]].match(raw) if raw[:1] in CLOSED else None
    bare = raw[1 : quoted.end() - 1] if quoted else plain(raw)
    return {digest(value) for value in (raw, bare, ESCAPED.sub(r"\1", bare))}


def started(pid: int, root: str = "/proc") -> float | None:
    """Unix time at which a process started, to a hundredth of a second; None if it does not run."""
    known = identify(pid, root)
    try:
        with open(os.path.join(root, "stat"), encoding="utf-8") as stream:
            boot = next(int(line.split()[1]) for line in stream if line.startswith("btime "))
    except (OSError, StopIteration):
        return None
    return boot + known.started / os.sysconf("SC_CLK_TCK") if known else None


def stale_keys(values: Mapping[str, str], old: str, new: str) -> list[str]:
    """Keys that a process has with a value of ``old`` which is not that of ``new``."""
    before, after = parse(old), parse(new)
    return sorted(
        key
        for key, value in values.items()
        if key in before and digest(value) in readings(before[key]) - readings(after.get(key))
    )


def held(
    processes: Iterable[Running], olds: Sequence[str], new: str, changed_at: float | None, root: str = "/proc"
) -> list[dict[str, Any]]:
    """Processes that hold one of the texts ``olds`` where ``new`` is live: ``{process, pid, keys, why}`` each.

    ``changed_at`` is the Unix time at which the file became ``new``, None if it did not: then only what a process was
    started with counts.
    """
    found = []
    for process in processes:
        values = environment_of(process.pid, root) if process.pid else {}
        keys = sorted({key for old in olds for key in stale_keys(values, old, new)})
        since = started(process.pid, root) if process.pid and process.reads_once and changed_at is not None else None
        if keys:
            why = "was started with " + " ".join(keys)
        elif since is not None and changed_at is not None and since < changed_at - CLOCK_S:
            why = "was started before the file changed"
        else:
            continue
        found.append({"process": process.name, "pid": process.pid, "keys": keys, "why": why})
    return found
