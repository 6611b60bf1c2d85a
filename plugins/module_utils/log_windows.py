"""What the end of a log says about the last minutes: numbers only, none of its text but names of exception classes.

Only the last bytes of a file are read, because a log may be larger than the memory of its host.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

#: A line is written when its request ends, so neighbours may be out of order by this much.
DISORDER_S = 60
UTC = datetime.timezone.utc

_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_ACCESS = re.compile(r'\[(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\] "([^"]*)" (\d{3}) ')
_SECONDS = re.compile(r'(?:\brt=|request_time=|" )"?(\d+\.\d+)(?![\d.])')
_UPSTREAM = re.compile(r'(?:\burt=|upstream_response_time=)"?(-|[\d.])|" \d+\.\d+ "?(-|[\d.])')
_RECORD = re.compile(
    r"\[(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.\d+)?([+-]\d\d:\d\d)?\] [\w.-]+\."
    r"(DEBUG|INFO|NOTICE|WARNING|ERROR|CRITICAL|ALERT|EMERGENCY): (.*)"
)
_CLASS = re.compile(r'"exception":"\[object\] \(([\w\\]+)\(code')
_ERRORS = ("ERROR", "CRITICAL", "ALERT", "EMERGENCY")


@dataclasses.dataclass(frozen=True)
class Request:
    """One line of an access log; ``seconds`` and ``upstream`` (whether the application answered) None if not told."""

    at: float
    path: str
    status: int
    seconds: float | None
    upstream: bool | None


@dataclasses.dataclass(frozen=True)
class Record:
    """One record of Laravel's log: its first line, without the stack trace."""

    at: float
    level: str
    text: str


def tail(path: str, most_bytes: int) -> tuple[list[str], bool]:
    """Whole lines from the end of a file, at most ``most_bytes`` of them, and whether that is all of it."""
    with open(path, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        start = max(0, size - most_bytes)
        # One byte more tells whether a line begins just there.
        stream.seek(max(0, start - 1))
        data = stream.read(size - max(0, start - 1))
    if start:
        data = data[data.find(b"\n") + 1 :] if b"\n" in data else b""
    return data.decode("utf-8", "replace").splitlines(), start == 0


def recent(
    paths: Iterable[str], since: float, most_bytes: int, parse: Callable[[str], Request | Record | None]
) -> tuple[list[Any], bool]:
    """What was logged after ``since`` (Unix time), newest first, and whether nothing before the first was left unread.

    ``paths`` are one log, its newest file first; those that do not exist are passed over.
    """
    found: list[Any] = []
    for path in paths:
        if not os.path.exists(path):
            continue
        try:
            lines, whole = tail(path, most_bytes)
        except OSError as error:
            raise RollbackError("A log cannot be read", found=error.strerror, where=path) from error
        most_bytes -= sum(map(len, lines))
        for line in reversed(lines):
            entry = parse(line)
            if entry is not None and entry.at < since - DISORDER_S:
                return found, True
            if entry is not None and entry.at >= since:
                found.append(entry)
        if not whole or most_bytes <= 0:
            return found, False
    return found, True


def access(line: str) -> Request | None:
    """A line in nginx's format ``combined``, with or without times behind it, or as JSON; None for anything else."""
    if line.startswith("{"):
        return _access_json(line)
    found = _ACCESS.search(line)
    if not found:
        return None
    day, month, year, hour, minute, second, sign, zone_h, zone_m, request, status = found.groups()
    offset = (int(zone_h) * 3600 + int(zone_m) * 60) * (-1 if sign == "-" else 1)
    try:
        moment = datetime.datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except (KeyError, ValueError):
        return None
    rest = line[found.end() :]
    seconds, upstream = _SECONDS.search(rest), _UPSTREAM.search(rest)
    return Request(
        moment.timestamp() - offset,
        _path_of(request),
        int(status),
        float(seconds[1]) if seconds else None,
        (upstream[1] or upstream[2]) != "-" if upstream else None,
    )


def _access_json(line: str) -> Request | None:
    try:
        entry = json.loads(line)
        at = _moment(entry)
        status = int(entry["status"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    path = entry.get("request_uri") or entry.get("uri") or entry.get("request") or ""
    seconds, upstream = entry.get("request_time"), entry.get("upstream_response_time")
    try:
        taken = float(seconds) if seconds not in (None, "") else None
    except (ValueError, TypeError):
        taken = None
    return Request(at, _path_of(str(path)), status, taken, None if upstream is None else upstream not in ("-", ""))


def _moment(entry: Mapping[str, Any]) -> float:
    """Unix time of a JSON line, from the variables that nginx has for it."""
    if "msec" in entry:
        return float(entry["msec"])
    text = entry.get("time_iso8601") or entry.get("@timestamp") or entry["time"]
    return datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()


def _path_of(request: str) -> str:
    """Path of ``GET /path?query HTTP/1.1`` or of ``/path?query``."""
    parts = request.split(" ")
    return (parts[1] if len(parts) > 1 else parts[0]).partition("?")[0]


def traffic(requests: Iterable[Request], ignored: Iterable[str]) -> dict[str, Any]:
    """Numbers of requests: ``{requests, errors, error_share, held_back, given_up, average_s, p95_s}``.

    Paths that match a regular expression of ``ignored`` do not count. ``held_back`` are 503 that nginx gave itself, as
    a closed gate does, and ``given_up`` those whose client went away; neither says how the application is. Shares and
    times are None where there is nothing to tell them from.
    """
    patterns = [re.compile(pattern) for pattern in ignored]
    counted: list[Request] = []
    held_back = given_up = 0
    for request in requests:
        if any(pattern.search(request.path) for pattern in patterns):
            continue
        if request.status == 503 and request.upstream is False:
            held_back += 1
        elif request.status == 499:
            given_up += 1
        else:
            counted.append(request)
    errors = sum(request.status >= 500 for request in counted)
    seconds = sorted(request.seconds for request in counted if request.seconds is not None)
    return {
        "requests": len(counted),
        "errors": errors,
        "error_share": round(errors / len(counted), 4) if counted else None,
        "held_back": held_back,
        "given_up": given_up,
        "average_s": round(sum(seconds) / len(seconds), 3) if seconds else None,
        # The smallest time that at least 95 of 100 requests did not exceed.
        "p95_s": round(seconds[-(len(seconds) // 20) - 1], 3) if seconds else None,
    }


def zone_of(name: str) -> datetime.tzinfo:
    """A time zone by name, such as the application's ``app.timezone``."""
    if name == "UTC":
        return UTC
    try:
        import zoneinfo

        return zoneinfo.ZoneInfo(name)
    except (ImportError, KeyError, ValueError, OSError):
        raise RollbackError("The time zone is not known on this host", found=name, where="impact_log_zone") from None


def record(zone: datetime.tzinfo) -> Callable[[str], Record | None]:
    """Reader of the first lines of Laravel's records, whose times are of ``zone`` where they do not say."""

    def parse(line: str) -> Record | None:
        found = _RECORD.match(line)
        if not found:
            return None
        day, clock, offset, level, text = found.groups()
        try:
            moment = datetime.datetime.fromisoformat(f"{day}T{clock}{offset or ''}")
        except ValueError:
            return None
        return Record((moment if offset else moment.replace(tzinfo=zone)).timestamp(), level, text)

    return parse


def laravel_files(path: str, since: float, now: float, zone: datetime.tzinfo) -> Iterator[list[str]]:
    """Files of the channels ``single`` and ``daily`` behind one configured path, newest first each."""
    yield [path, path + ".1"]
    base, ending = os.path.splitext(path)
    days = []
    day, first = datetime.datetime.fromtimestamp(now, zone).date(), datetime.datetime.fromtimestamp(since, zone).date()
    while day >= first:
        days.append(f"{base}-{day.isoformat()}{ending}")
        day -= datetime.timedelta(days=1)
    yield days


def errors(records: Iterable[Record], patterns: Mapping[str, str]) -> dict[str, Any]:
    """``{errors, matching, classes}``: all errors, those that match each of ``patterns``, the commonest exceptions."""
    compiled = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in patterns.items()}
    matching = dict.fromkeys(compiled, 0)
    classes: dict[str, int] = {}
    total = 0
    for entry in records:
        if entry.level not in _ERRORS:
            continue
        total += 1
        for name, pattern in compiled.items():
            matching[name] += bool(pattern.search(entry.text))
        thrown = _CLASS.search(entry.text)
        if thrown:
            name = thrown[1].rpartition("\\")[2]
            classes[name] = classes.get(name, 0) + 1
    commonest = sorted(classes.items(), key=lambda item: (-item[1], item[0]))[:5]
    return {"errors": total, "matching": matching, "classes": dict(commonest)}
