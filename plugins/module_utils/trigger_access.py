"""The window of an nginx access log as series: requests, errors, times. Formats combined, with times, and JSON.

Not traffic are ignored paths and clients, 499 (the client went away) and 503 that nginx gave itself, as a closed gate
does. A 503 of a log that does not say who gave it may be either.
"""

from __future__ import annotations

import calendar
import datetime
import functools
import os
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from ansible_collections.campaign.rollback.plugins.module_utils import log_windows, trigger_windows
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_series import Series

#: Seconds that one observation spans, and how many places of bad requests are told.
STEP_S = 10
PLACES = 5
#: One line in this many may be stamped later than now, such as a torn one, without raising doubts.
ODD = 100

_LINE = re.compile(
    rb'^[^\[\n]*\[([^\]\n]+)\] "(?:[^ "\n]* )?([^ ?"\n]*)[^"\n]*" (\d{3}) [^ \n]*(?: "[^"\n]*" "([^"\n]*)")?'
    rb'(?: (?:rt=|request_time=)?"?(\d+\.\d+)"?(?= |$))?([^\n]*)$',
    re.MULTILINE,
)
# The same for lines that are whole, in a third of the time: a torn one would take the next one along.
_WHOLE = re.compile(
    rb'\[([^\]]+)\] "(?:[^ "]* )?([^ ?"]*)[^"]*" (\d{3}) [^ ]*(?: "[^"]*" "([^"]*)")?'
    rb'(?: (?:rt=|request_time=)?"?(\d+\.\d+)"?(?= |$))?([^\n]*)\n',
    re.MULTILINE,
)
_SECONDS = re.compile(rb' (?:rt=|request_time=)?"?(\d+\.\d+)"?(?: |$)')
_UPSTREAM = re.compile(rb'(?:urt|upstream_response_time)=(?:"([^"]*)|(\S+))|^ (?:"([-\d.,: ]+)"|([-\d.][-\d.,: ]*))$')
_TIME = re.compile(rb"(\d\d/\w{3}/\d{4}):([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60) ([+-])(\d\d)(\d\d)")
_AGENT = re.compile(rb'"(?:http_)?user_agent": ?"([^"]*)"')
#: Parts of a path that may name a person or open a door.
_PERSONAL = re.compile(rb"/[^/]*[\d%@][^/]*|/[^/]{25,}")
_MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
#: Time, path, status, client, seconds, and the rest of a line.
Rows = list[tuple[bytes, bytes, bytes, bytes, bytes, bytes]]
Value = TypeVar("Value")
_DISORDER = log_windows.DISORDER_S // STEP_S
# What is counted in one bucket.
_TOTAL, _BAD, _UNSURE, _TIMED, _SUM = range(5)


class Window:
    """Adds up blocks of a log. ``groups`` are regular expressions of paths, each counted by itself; empty means all."""

    def __init__(
        self,
        now: float,
        window_s: float,
        groups: Sequence[str] = ("",),
        ignored: Sequence[str] = (),
        agents: Sequence[str] = (),
        held: Sequence[str] = (),
    ) -> None:
        """Neither paths that match ``ignored`` nor clients that match ``agents`` count, nor a 503 of ``held``."""
        self._now = now
        self._size = int(window_s // STEP_S)
        self._groups = {group: re.compile(group.encode()) for group in groups}
        self._ignored, self._agents, self._held = (_joined(one) for one in (ignored, agents, held))
        self._buckets: dict[tuple[str, ...], list[list[float]]] = {}
        self._steps: dict[bytes, int | None] = {}
        self._paths: dict[bytes, list[list[float]]] = {}
        self._clients: dict[bytes, bool] = {}
        self.held_back = self.given_up = self.ahead = 0
        self.unread = True
        self.places: list[str] = []

    def take(self, block: trigger_windows.Block) -> float | None:
        """Count one block, see ``trigger_windows.Take``."""
        newest: int | None = None
        bad: list[int] = []
        # Some hundred thousand times a second: local names, and one dictionary instead of each parser.
        steps, paths, clients, size = self._steps, self._paths, self._clients, self._size
        rows, places = _rows(block.lines)
        for number, (when, path, status, agent, seconds, rest) in enumerate(rows):
            step = steps[when] if when in steps else _kept(steps, when, self._step(when))
            if step is None:
                continue
            if newest is None or step < newest:
                newest = step
            if step >= size:
                continue
            if step < 0:
                if step < -_DISORDER:
                    self.ahead += 1
                    continue
                step = 0
            buckets = paths[path] if path in paths else _kept(paths, path, self._buckets_of(path))
            if not buckets or (clients[agent] if agent in clients else _kept(clients, agent, self._strange(agent))):
                continue
            kind = _TOTAL if status < b"499" else self._kind(path, status, rest)
            if kind is None:
                continue
            bucket = buckets[step]
            if kind != _TOTAL:
                bucket[kind] += 1
                bad.append(number)
            if kind != _UNSURE:
                bucket[_TOTAL] += 1
                if not seconds and rest:
                    found = _SECONDS.search(rest)
                    seconds = found[1] if found else b""
                if seconds:
                    bucket[_TIMED] += 1
                    bucket[_SUM] += float(seconds)
        if bad and len(self.places) < PLACES:
            self._tell(block, bad, rows, places())
        self.unread = self.unread and newest is None
        return None if newest is None else self._now - newest * STEP_S

    def _step(self, when: bytes) -> int | None:
        """How many steps ago that was."""
        at = _moment(when)
        return None if at is None else int((self._now - at) // STEP_S)

    def _buckets_of(self, path: bytes) -> list[list[float]]:
        """Where a request for the path counts, the same for all paths of the same groups; empty if it does not."""
        if self._ignored and self._ignored.search(path):
            return []
        groups = tuple(name for name, group in self._groups.items() if group.search(path))
        if groups and groups not in self._buckets:
            self._buckets[groups] = [[0.0] * 5 for _step in range(self._size)]
        return self._buckets.get(groups, [])

    def _strange(self, agent: bytes) -> bool:
        return bool(self._agents and self._agents.search(agent))

    def _kind(self, path: bytes, status: bytes, rest: bytes) -> int | None:
        """What a status from 499 on counts as."""
        if status == b"499":
            self.given_up += 1
            return None
        if status != b"503":
            return _BAD
        found = _UPSTREAM.search(rest)
        upstream = next((text for text in found.groups() if text is not None), b"") if found else None
        if upstream == b"-" or (self._held and self._held.search(path)):
            self.held_back += 1
            return None
        return _BAD if upstream else _UNSURE

    def _tell(self, block: trigger_windows.Block, bad: list[int], rows: Rows, places: list[int]) -> None:
        """Where the newest bad lines are; of their text only what cannot be personal."""
        for number in reversed(bad):
            path = _PERSONAL.sub(b"/*", rows[number][1]).decode("ascii", "replace")
            place = f"{block.file} byte {block.offset + places[number]}"
            self.places = [*self.places, f"{rows[number][2].decode()} {path}, {place}"][:PLACES]

    def series(self) -> list[Series]:
        """Share of errors and average time, for each group of paths."""
        found: list[Series] = []
        for name in self._groups:
            own = [buckets for groups, buckets in self._buckets.items() if name in groups]
            added = [[sum(numbers) for numbers in zip(*step)] for step in zip(*own)]
            seen = [(step * STEP_S, bucket) for step, bucket in enumerate(added) if bucket[_TOTAL] + bucket[_UNSURE]]
            shares = [[age, STEP_S, bucket[_TOTAL], bucket[_BAD], bucket[_UNSURE], 0] for age, bucket in seen]
            times = [[age, STEP_S, bucket[_TIMED], 0, 0, bucket[_SUM]] for age, bucket in seen if bucket[_TIMED]]
            untimed = "" if times or not seen else "the log has no times: add $request_time to its log_format"
            found += [
                Series("access_log", "error_share", name, rows=shares, evidence=self.places, note=self._left_out()),
                Series("access_log", "average_s", name, rows=times, note=untimed),
            ]
        return found

    def _left_out(self) -> str:
        parts = [
            f"{number} {text}"
            for number, text in ((self.held_back, "held back by a gate"), (self.given_up, "given up by their client"))
            if number
        ]
        return f"not counted: {', '.join(parts)}" if parts else ""

    def problem(self, files: Sequence[str]) -> str:
        """Why the numbers are not to be relied on; empty if they are."""
        if self.unread and any(os.path.getsize(name) for name in files if os.path.exists(name)):
            return "no line is in a known format: combined, combined with times behind it, or JSON"
        counted = sum(bucket[_TOTAL] for buckets in self._buckets.values() for bucket in buckets)
        if self.ahead * ODD > counted:
            return f"{self.ahead} lines are from later than now: the clock was set back, or is wrong"
        return ""


def read(path: str, window: Window, since: float) -> tuple[list[Series], str]:
    """The series of one log, and why they are not to be relied on, empty if they are."""
    files = trigger_windows.read(path, since, window.take)
    return window.series(), window.problem(files)


def _joined(patterns: Sequence[str]) -> re.Pattern[bytes] | None:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns).encode()) if patterns else None


def _kept(known: dict[bytes, Value], key: bytes, value: Value) -> Value:
    """Remember what was found out about ``key``, in bounded memory."""
    if len(known) >= 20000:
        known.clear()
    known[key] = value
    return value


def _moment(text: bytes) -> float | None:
    found = _TIME.fullmatch(text)
    try:
        if not found:
            return float(text)
        day, hour, minute, second, sign, zone_h, zone_m = found.groups()
        offset = (int(zone_h) * 3600 + int(zone_m) * 60) * (-1 if sign == b"-" else 1)
        return _day(day) + int(hour) * 3600 + int(minute) * 60 + int(second) - offset
    except (KeyError, ValueError):
        return None


@functools.lru_cache(maxsize=64)
def _day(text: bytes) -> float:
    day, month, year = text.split(b"/")
    return calendar.timegm(datetime.date(int(year), _MONTHS[month], int(day)).timetuple())


def _rows(lines: bytes) -> tuple[Rows, Callable[[], list[int]]]:
    """What the lines say, and where each of those that say something begins."""
    if lines.startswith(b"{"):
        return _json_rows(lines)
    rows = _WHOLE.findall(lines)
    if len(rows) != lines.count(b"\n"):
        rows = _LINE.findall(lines)
    return rows, lambda: [match.start() for match in _LINE.finditer(lines)]


def _json_rows(lines: bytes) -> tuple[Rows, Callable[[], list[int]]]:
    """What ``_LINE`` finds, of lines that are JSON, and where each begins."""
    rows, places, place = [], [], 0
    for line in lines.split(b"\n"):
        entry = log_windows.access(line.decode("utf-8", "replace"))
        if entry:
            agent = _AGENT.search(line)
            upstream = b"" if entry.upstream is None else b' urt="1"' if entry.upstream else b' urt="-"'
            seconds = b"" if entry.seconds is None else repr(entry.seconds).encode()
            path, status = entry.path.encode(), str(entry.status).encode()
            rows.append((repr(entry.at).encode(), path, status, agent[1] if agent else b"", seconds, upstream))
            places.append(place)
        place += len(line) + 1
    return rows, lambda: places
