"""Processes from ``/proc``: how many of a name, which one it is, in which directory, with which environment."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

#: States of what is left of a process that has ended but was not waited for.
ENDED = ("Z", "X", "x")


def _stat(pid: int | str, root: str) -> tuple[str, list[str]]:
    """Command name of a process and the fields after it; empty if it does not run, or ended meanwhile."""
    try:
        with open(os.path.join(root, str(pid), "stat"), encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    except OSError:
        return "", []
    if "(" not in text or ")" not in text:
        return "", []
    fields = text[text.rindex(")") + 2 :].split()
    return ("", []) if fields[0] in ENDED else (text[text.index("(") + 1 : text.rindex(")")], fields)


def numbers(root: str = "/proc") -> list[int]:
    """Ids of everything that runs."""
    return [int(entry) for entry in os.listdir(root) if entry.isdigit()]


def read(names: list[str], root: str = "/proc") -> dict[str, dict[str, Any]]:
    """``{name: {count, rss_bytes, cpu_s, pids}}`` for processes whose command name starts with one of ``names``.

    ``cpu_s`` is user plus system time since each process started.
    """
    ticks = os.sysconf("SC_CLK_TCK")
    page = os.sysconf("SC_PAGE_SIZE")
    found: dict[str, dict[str, Any]] = {name: {"count": 0, "rss_bytes": 0, "cpu_s": 0.0, "pids": []} for name in names}
    for pid in numbers(root):
        command, fields = _stat(pid, root)
        for name in names if fields else []:
            if command.startswith(name):
                total = found[name]
                total["count"] += 1
                total["cpu_s"] = round(total["cpu_s"] + (int(fields[11]) + int(fields[12])) / ticks, 2)
                total["rss_bytes"] += int(fields[21]) * page
                total["pids"].append(pid)
    return found


@dataclasses.dataclass(frozen=True)
class Identity:
    """Which process it is: a number is given out again, a number with its start time is not.

    ``started`` is in clock ticks since the host started. ``image`` changes when a process replaces its program by
    itself, as a reload of PHP-FPM does, and keeps number and start time.
    """

    pid: int
    started: int
    image: int = 0
    command: str = ""

    def same_as(self, other: Identity | None) -> bool:
        """Whether both are one process, whichever program it runs by now."""
        return other is not None and (self.pid, self.started) == (other.pid, other.started)


def identify(pid: int, root: str = "/proc") -> Identity | None:
    """Which process has this number now, None if there is none."""
    command, fields = _stat(pid, root) if pid else ("", [])
    # Where the stack begins is drawn anew with each program.
    return Identity(pid, int(fields[19]), int(fields[25]), command) if fields else None


def children(parent: int, root: str = "/proc") -> set[Identity]:
    """Processes that ``parent`` started itself and that still run."""
    own = [pid for pid in numbers(root) if (_stat(pid, root)[1] or ["", ""])[1] == str(parent)]
    return {known for known in (identify(pid, root) for pid in own) if known}


def arguments_of(pid: int, root: str = "/proc") -> str:
    """Command line of a process, with spaces between its arguments; empty if it does not run."""
    return " ".join(_strings(pid, "cmdline", root))


def environment_of(pid: int, root: str = "/proc") -> dict[str, str]:
    """Environment that a process was started with. It holds secrets: compare it, never tell it."""
    pairs = (entry.partition("=") for entry in _strings(pid, "environ", root))
    return {name: value for name, _equals, value in pairs}


def _strings(pid: int, name: str, root: str) -> list[str]:
    try:
        with open(os.path.join(root, str(pid), name), encoding="utf-8", errors="surrogateescape") as stream:
            return [text for text in stream.read().split("\0") if text]
    except OSError:
        return []


def directory_of(pid: int, root: str = "/proc") -> str:
    """Working directory of a process as the kernel has it, links resolved; empty if it has none or does not run."""
    try:
        return os.readlink(os.path.join(root, str(pid), "cwd")) if pid else ""
    except OSError:
        return ""
