"""What the logs of one host say since a moment: answers of status 5xx, times of routes, logged errors.

Texts of a log are not told: of a request its route, of an error the class of its exception.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from array import array
from collections.abc import Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import http_checks, log_windows, trigger_windows
from ansible_collections.campaign.rollback.plugins.module_utils.baselines import MOST_ROUTES, route
from ansible_collections.campaign.rollback.plugins.module_utils.verdicts import FAILED, NOT_CHECKED, PASSED, statement

_ERRORS = ("ERROR", "CRITICAL", "ALERT", "EMERGENCY")
_CLASS = re.compile(r'"exception":"\[object\] \(([\w\\]+)\(code')
#: Findings of one kind that are told as evidence.
MOST_TOLD = 5


@dataclasses.dataclass(frozen=True)
class Logs:
    """The logs of a host and what does not count in them, as regular expressions.

    From ``since`` on (Unix time) answers and errors count, from ``measure_since`` on times. ``access`` is nginx's log,
    ``laravel`` are paths of the application's, empty where there are none. Requests of the paths ``ignored`` do not
    count, nor a 503 of the paths ``held`` back, nor errors whose text ``expected`` matches.
    """

    since: float
    measure_since: float
    access: str = ""
    laravel: Sequence[str] = ()
    zone: str = "UTC"
    ignored: Sequence[str] = ()
    held: str = ""
    expected: Sequence[str] = ()


def clock(moment: float) -> str:
    """Unix time as an operator reads it."""
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _lines(block: trigger_windows.Block) -> list[str]:
    return block.lines.decode("utf-8", "replace").split("\n")


class Requests:
    """Adds up the access log, in memory that grows by a number for each request."""

    def __init__(self, logs: Logs) -> None:
        """Nothing is read yet."""
        self._logs = logs
        self._ignored = [re.compile(pattern) for pattern in logs.ignored]
        self._held = re.compile(logs.held) if logs.held else None
        self._times: dict[str, array[float]] = {}
        self._wrong: list[tuple[float, str]] = []
        self.counted = self.unsure = 0

    def take(self, block: trigger_windows.Block) -> float | None:
        """Count one block, see ``trigger_windows.Take``."""
        newest: float | None = None
        for line in _lines(block):
            request = log_windows.access(line)
            if request is None:
                continue
            newest = request.at if newest is None else max(newest, request.at)
            if not any(pattern.search(request.path) for pattern in self._ignored):
                self._count(request)
        return newest

    def _count(self, request: log_windows.Request) -> None:
        served = request.upstream is not False and request.status < 500
        if request.at >= self._logs.measure_since and request.seconds is not None and served:
            self._times.setdefault(route(request.path), array("d")).append(request.seconds)
        if request.at < self._logs.since:
            return
        self.counted += 1
        # A gate answers 503 by itself, without the application.
        wanted = request.status == 503 and (request.upstream is False or self._is_held(request.path))
        if request.status == 503 and request.upstream is None and not wanted:
            self.unsure += 1  # this format does not say whether the gate or the application answered
        elif request.status >= 500 and not wanted:
            self._wrong.append((request.at, f"{request.status} {route(request.path)}"))

    def _is_held(self, path: str) -> bool:
        return self._held is not None and self._held.search(path) is not None

    def routes(self) -> dict[str, dict[str, float]]:
        """``{route: {p50, p95, samples}}`` of the routes with the most requests."""
        busiest = sorted(self._times, key=lambda name: (-len(self._times[name]), name))[:MOST_ROUTES]
        return {name: http_checks.summary(self._times[name].tolist()) for name in sorted(busiest)}

    def check(self, limit: int) -> dict[str, Any]:
        """A statement: no more than ``limit`` requests were answered with 5xx. Without a request nobody can tell."""
        name, look = "no new 5xx", f"awk '$9 ~ /^5/' {self._logs.access} | tail -n 20"
        since = clock(self._logs.since)
        if not self.counted:
            return statement(name, NOT_CHECKED, f"no request since {since}", look=look)
        told = f"{len(self._wrong)} of {self.counted} requests since {since} were answered with 5xx, {limit} allowed"
        if len(self._wrong) <= limit < len(self._wrong) + self.unsure:
            told += f"; of {self.unsure} with 503 the log does not say whether the gate answered"
            return statement(name, NOT_CHECKED, told, look=look)
        return statement(name, FAILED if len(self._wrong) > limit else PASSED, told, _first(self._wrong), look)


def requests(logs: Logs) -> Requests:
    """Everything that the access log says of the window."""
    found = Requests(logs)
    trigger_windows.read(logs.access, min(logs.since, logs.measure_since), found.take)
    return found


class Errors:
    """Adds up Laravel's logs."""

    def __init__(self, logs: Logs) -> None:
        """Nothing is read yet; RollbackError if the time zone is not known."""
        self._logs = logs
        self._parse = log_windows.record(log_windows.zone_of(logs.zone))
        self._expected = [re.compile(pattern) for pattern in logs.expected]
        self._wrong: list[tuple[float, str]] = []

    def take(self, block: trigger_windows.Block) -> float | None:
        """Count one block, see ``trigger_windows.Take``. The first line of a record counts."""
        newest: float | None = None
        for line in _lines(block):
            record = self._parse(line)
            if record is None:
                continue
            newest = record.at if newest is None else max(newest, record.at)
            expected = any(pattern.search(record.text) for pattern in self._expected)
            if record.at >= self._logs.since and record.level in _ERRORS and not expected:
                thrown = _CLASS.search(record.text)
                self._wrong.append((record.at, thrown[1].rpartition("\\")[2] if thrown else record.level))
        return newest

    def check(self, limit: int) -> dict[str, Any]:
        """A statement: no more than ``limit`` errors were logged."""
        look = f"grep -hE '[.](ERROR|CRITICAL|ALERT|EMERGENCY):' {' '.join(self._logs.laravel)} | tail -n 20"
        told = f"{len(self._wrong)} errors logged since {clock(self._logs.since)}, {limit} allowed"
        verdict = FAILED if len(self._wrong) > limit else PASSED
        return statement("no new errors in the log", verdict, told, _first(self._wrong), look)


def errors(logs: Logs, limit: int) -> dict[str, Any]:
    """The statement about all logs of the application; a log that is not there says nothing."""
    found = Errors(logs)
    present = [path for path in logs.laravel if trigger_windows.series_of(path)]
    for path in present:
        trigger_windows.read(path, logs.since, found.take)
    checked = found.check(limit)
    missing = [path for path in logs.laravel if path not in present]
    if missing and checked["verdict"] == PASSED:
        return statement(checked["name"], NOT_CHECKED, f"there is no log {', '.join(missing)}", look=checked["look"])
    return checked


def _first(wrong: list[tuple[float, str]]) -> str:
    told = [f"{what} at {clock(at)}" for at, what in sorted(wrong)[:MOST_TOLD]]
    return ", ".join(told) + (f" and {len(wrong) - MOST_TOLD} more" if len(wrong) > MOST_TOLD else "")
