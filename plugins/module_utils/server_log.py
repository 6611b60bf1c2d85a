"""What the error log of the database server says about damage. Counts and places, never the text of a line."""

from __future__ import annotations

import calendar
import dataclasses
import os
import re
import subprocess
import time
from collections.abc import Iterable, Sequence

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

#: Bytes that are read from the end of a file, and lines from the end of a journal.
WINDOW_BYTES = 16 * 1024 * 1024
WINDOW_LINES = 50000

#: What a line is about; the first that matches counts.
KINDS = {
    "page checksum": re.compile(
        r"checksum|page corruption on disk|failed (?:file )?read of|failed to read page|unable to read page",
        re.IGNORECASE,
    ),
    "corruption": re.compile(
        r"corrupt|marked as crashed|log sequence number \d+ is in the future|missing tablespace", re.IGNORECASE
    ),
    "server crash": re.compile(r"got signal \d+|assertion failure|failing assertion", re.IGNORECASE),
    "crash recovery": re.compile(r"crash recovery|not shut ?down normally|recover from redo log", re.IGNORECASE),
}
#: MariaDB writes local time, with blanks before an hour of one digit; MySQL ISO 8601.
_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)[ T]+(\d{1,2}):(\d\d):(\d\d)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Finding:
    """Numbers of the lines of one kind, counted from 1."""

    kind: str
    lines: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Log:
    """Lines of a log, oldest first. ``start`` is the byte that they begin behind; ``place`` is for the operator.

    ``whole`` is False if there are older lines that were not read.
    """

    place: str
    start: int
    lines: Sequence[str]
    whole: bool


def moment(text: str) -> float | None:
    """Unix time of the time at the beginning of ``text``, local unless it says otherwise; None if there is none."""
    match = _STAMP.match(text)
    if not match:
        return None
    year, month, day, hour, minute, second = (int(match[number]) for number in range(1, 7))
    zone = match[7]
    try:
        if zone is None:
            return time.mktime((year, month, day, hour, minute, second, 0, 0, -1))
        seconds = float(calendar.timegm((year, month, day, hour, minute, second)))
    except (ValueError, OverflowError):
        return None
    if zone != "Z":
        sign = -1 if zone[0] == "-" else 1
        seconds -= sign * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60)
    return seconds


def read_file(path: str, window: int = WINDOW_BYTES) -> Log:
    """The end of a log file. Raises RollbackError if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            start = max(0, size - window)
            stream.seek(start)
            if start:
                # The first line is cut.
                start += len(stream.readline())
            text = stream.read(window).decode("utf-8", "replace")
    except OSError as error:
        raise RollbackError("The error log cannot be read", found=error.strerror, where=path) from None
    return Log(f"{path}, lines counted behind byte {start}" if start else path, start, text.split("\n"), not start)


def read_journal(unit: str, since: float, wait_s: float, window: int = WINDOW_LINES) -> Log:
    """What a systemd unit wrote since then. Raises RollbackError if the journal cannot be read."""
    command = ["journalctl", "--quiet", "--no-pager", "--output=cat", f"--unit={unit}", f"--since=@{since:.0f}"]
    try:
        done = subprocess.run(
            [*command, f"--lines={window}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=wait_s,
            check=True,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise RollbackError("The journal cannot be read", found=type(error).__name__, where=unit) from None
    lines = done.stdout.splitlines()
    return Log(" ".join(command), 0, lines, len(lines) < window)


def scan(lines: Iterable[str], since: float) -> tuple[list[Finding], float | None]:
    """Findings of each kind since then, and the time of the first line that says its own.

    A line without a time is as old as the one before it.
    """
    places: dict[str, list[int]] = {kind: [] for kind in KINDS}
    first: float | None = None
    now: float | None = None
    for number, line in enumerate(lines, start=1):
        said = moment(line)
        now = said if said is not None else now
        first = said if first is None else first
        if now is not None and now < since:
            continue
        kind = next((kind for kind, pattern in KINDS.items() if pattern.search(line)), None)
        if kind:
            places[kind].append(number)
    return [Finding(kind, tuple(numbers)) for kind, numbers in places.items()], first


def numbers(lines: Sequence[int], most: int = 10) -> str:
    """Line numbers for an operator."""
    shown = ", ".join(str(line) for line in lines[:most])
    return f"lines {shown}" + (f" and {len(lines) - most} more" if len(lines) > most else "")
