"""The window of Laravel's log as series: errors a minute, all of them and those that match a pattern.

A record may span a hundred lines; its first one counts. Of its text nothing is told but the class of an exception.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence

from ansible_collections.campaign.rollback.plugins.module_utils import log_windows, trigger_windows
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_series import Series

STEP_S = 10
PLACES = 5
ODD = 100

# It begins with what is searched for fastest; a line end is put before each block.
_RECORD = re.compile(
    rb"\n\[(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)?\] [\w.-]+\."
    rb"(DEBUG|INFO|NOTICE|WARNING|ERROR|CRITICAL|ALERT|EMERGENCY): ([^\n]*)"
)
_CLASS = re.compile(rb'"exception":"\[object\] \(([\w\\]+)\(code')
_CRITICAL = (b"CRITICAL", b"ALERT", b"EMERGENCY")
_ERRORS = (b"ERROR", *_CRITICAL)


class Window:
    """Adds up blocks of a log, whose times are of ``zone`` where they do not say. ``patterns`` have names."""

    def __init__(self, now: float, window_s: float, zone: datetime.tzinfo, patterns: Mapping[str, str]) -> None:
        """Patterns are regular expressions that the first line of an error may match, whatever the case."""
        self._now = now
        self._size = int(window_s // STEP_S)
        self._zone = zone
        self._patterns = {name: re.compile(text.encode(), re.IGNORECASE) for name, text in patterns.items()}
        self._steps = {name: [[0, 0] for _step in range(self._size)] for name in ("", *patterns)}
        self._moments: dict[bytes, tuple[float, ...]] = {}
        self._file, self._later = "", now
        self.records = self.ahead = 0
        self.places: dict[str, list[str]] = {name: [] for name in self._steps}

    def take(self, block: trigger_windows.Block) -> float | None:
        """Count one block, see ``trigger_windows.Take``."""
        if block.file != self._file or not block.backwards:
            # Nothing in it is later than what was written last.
            self._file, self._later = block.file, min(self._now, block.written)
        newest: float | None = None
        for record in reversed(list(_RECORD.finditer(b"\n" + block.lines))):
            at = self._at(record[1] + (record[2] or b""))
            if at is None:
                continue
            self._later = at
            newest = at if newest is None else max(newest, at)
            if at > self._now + log_windows.DISORDER_S:
                self.ahead += 1
                continue
            step = max(0, int((self._now - at) // STEP_S))
            self.records += 1
            if step < self._size and record[3] in _ERRORS:
                self._count(step, record, block)
        return newest

    def _at(self, when: bytes) -> float | None:
        """Unix time; in the hour that is there twice, of the two that it may be the one that fits what follows."""
        if when not in self._moments:
            if len(self._moments) >= 20000:
                self._moments.clear()
            self._moments[when] = _moments(when.decode(), self._zone)
        moments = self._moments[when]
        fitting = [at for at in moments if at <= self._later + log_windows.DISORDER_S]
        return max(fitting, default=min(moments, default=None))

    def _count(self, step: int, record: re.Match[bytes], block: trigger_windows.Block) -> None:
        names = ["", *(name for name, pattern in self._patterns.items() if pattern.search(record[4]))]
        for name in names:
            self._steps[name][step][0] += 1
            self._steps[name][step][1] += record[3] in _CRITICAL
            if len(self.places[name]) < PLACES:
                thrown = _CLASS.search(record[4])
                what = f" {thrown[1].decode().rpartition(chr(92))[2]}" if thrown else ""
                self.places[name].append(
                    f"{record[3].decode()}{what}, {block.file} byte {block.offset + record.start()}"
                )

    def series(self) -> list[Series]:
        """Errors, and critical ones, of all records and of those that match each pattern; a quiet log has none."""
        return [
            Series(
                "laravel_log",
                measure,
                name,
                rows=[[step * STEP_S, STEP_S, STEP_S, numbers[which], 0, 0] for step, numbers in enumerate(steps)],
                evidence=self.places[name],
            )
            for name, steps in self._steps.items()
            for which, measure in enumerate(("errors", "critical"))
        ]

    def problem(self) -> str:
        """Why the numbers are not to be relied on; empty if they are."""
        if self.ahead * ODD > self.records:
            return (
                f"{self.ahead} records are from later than now: the zone is not that of the log, or the clock is wrong"
            )
        return ""


def _moments(when: str, zone: datetime.tzinfo) -> tuple[float, ...]:
    try:
        moment = datetime.datetime.fromisoformat(when.replace("Z", "+00:00"))
        if moment.tzinfo:
            return (moment.timestamp(),)
        return tuple({moment.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1)})
    except (ValueError, OverflowError):
        return ()


def read(paths: Sequence[str], window: Window, since: float) -> tuple[list[Series], str]:
    """The series of these logs together, and why they are not to be relied on, empty if they are."""
    for path in paths:
        trigger_windows.read(path, since, window.take)
    return window.series(), window.problem()
