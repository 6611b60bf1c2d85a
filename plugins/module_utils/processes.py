"""Processes by name from ``/proc``: how many, how much memory, how much processor time, in which directory."""

from __future__ import annotations

import os
from typing import Any

#: States of what is left of a process that has ended but was not waited for.
ENDED = ("Z", "X", "x")


def read(names: list[str], root: str = "/proc") -> dict[str, dict[str, Any]]:
    """``{name: {count, rss_bytes, cpu_s, pids}}`` for processes whose command name starts with one of ``names``.

    ``cpu_s`` is user plus system time since each process started.
    """
    ticks = os.sysconf("SC_CLK_TCK")
    page = os.sysconf("SC_PAGE_SIZE")
    found: dict[str, dict[str, Any]] = {name: {"count": 0, "rss_bytes": 0, "cpu_s": 0.0, "pids": []} for name in names}
    for entry in os.listdir(root):
        if not entry.isdigit():
            continue
        try:
            with open(os.path.join(root, entry, "stat"), encoding="utf-8", errors="replace") as stream:
                text = stream.read()
        except OSError:
            continue  # the process ended meanwhile
        if "(" not in text or ")" not in text:
            continue
        command = text[text.index("(") + 1 : text.rindex(")")]
        fields = text[text.rindex(")") + 2 :].split()
        if fields[0] in ENDED:
            continue
        for name in names:
            if command.startswith(name):
                total = found[name]
                total["count"] += 1
                total["cpu_s"] = round(total["cpu_s"] + (int(fields[11]) + int(fields[12])) / ticks, 2)
                total["rss_bytes"] += int(fields[21]) * page
                total["pids"].append(int(entry))
    return found


def directory_of(pid: int) -> str:
    """Working directory of a process as the kernel has it, links resolved; empty if it has none or does not run."""
    try:
        return os.readlink(f"/proc/{pid}/cwd") if pid else ""
    except OSError:
        return ""
