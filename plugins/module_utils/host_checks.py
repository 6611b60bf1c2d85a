"""Checks of one host as data: processes, room, logs since a moment. What they read is handed in or read once each."""

from __future__ import annotations

import dataclasses
import datetime
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import impact_host, log_windows
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.verdicts import FAILED, NOT_CHECKED, PASSED, statement

_ERRORS = ("ERROR", "CRITICAL", "ALERT", "EMERGENCY")
_CLASS = re.compile(r'"exception":"\[object\] \(([\w\\]+)\(code')
#: Findings of one kind that are told as evidence.
MOST_TOLD = 5


@dataclasses.dataclass(frozen=True)
class Limits:
    """From where on a number of a host is too large; shares are of 1, ``load`` is per processor over five minutes."""

    memory_share: float = 0.9
    disk_share: float = 0.95
    load: float = 8.0
    new_5xx: int = 0
    new_errors: int = 0

    @classmethod
    def parse(cls, declared: Mapping[str, Any]) -> Limits:
        """From inventory data, with the defaults for what is not named."""
        kinds = {field.name: type(field.default) for field in dataclasses.fields(cls)}
        unknown = sorted(set(declared) - set(kinds))
        try:
            values = {name: kinds[name](declared[name]) for name in declared if name in kinds}
        except (TypeError, ValueError):
            unknown, values = [*unknown, "a value that is no number"], {}
        if unknown:
            raise RollbackError(
                "Limits of a host are numbers for " + ", ".join(kinds),
                found=", ".join(unknown),
                where="validation_limits",
            )
        return cls(**values)


@dataclasses.dataclass(frozen=True)
class Logs:
    """The logs of a host and what does not count in them, as regular expressions; times are Unix time.

    ``access`` is nginx's log, empty where there is none, ``laravel`` are paths of the application's. Requests of the
    paths ``ignored`` do not count, nor a 503 of the paths ``held`` back, nor errors whose text ``expected`` matches.
    """

    since: float
    access: str = ""
    laravel: Sequence[str] = ()
    zone: str = "UTC"
    ignored: Sequence[str] = ()
    held: str = ""
    expected: Sequence[str] = ()
    most_bytes: int = 64 * 1024 * 1024


def clock(moment: float) -> str:
    """Unix time as an operator reads it."""
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def processes(found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """That each of the processes runs, with its memory and processor time; ``found`` as ``processes.read`` tells it."""
    checks = []
    for name, one in found.items():
        size = round(one["rss_bytes"] / 1048576)
        detail = f"{one['count']} processes, {size} MB, {one['cpu_s']:.1f} s of processor time"
        look = f"ps -C {name} -o pid,rss,time,args; systemctl --failed"
        checks.append(statement(name, PASSED if one["count"] else FAILED, detail, look=look))
    return checks


def room(limits: Limits, paths: Iterable[str], root: str = "/") -> list[dict[str, Any]]:
    """Memory, load, and the disks on which ``paths`` are."""
    memory = impact_host.memory(root)
    load = os.getloadavg()[1] / (os.cpu_count() or 1)
    checks = [
        _below(
            f"memory of the {memory['limit']}", memory["used_share"], limits.memory_share, "ps aux --sort=-rss | head"
        ),
        _below("load per processor", load, limits.load, "ps aux --sort=-pcpu | head", share=False),
    ]
    for path in paths:
        usage = shutil.disk_usage(path)
        checks.append(_below(f"disk of {path}", 1 - usage.free / usage.total, limits.disk_share, f"df -h {path}"))
    return checks


def _below(name: str, found: float, limit: float, look: str, share: bool = True) -> dict[str, Any]:
    told = f"{found:.0%} used, limit {limit:.0%}" if share else f"{found:.2f}, limit {limit:g}"
    return statement(name, FAILED if found > limit else PASSED, told, look=look)


def requests_since(logs: Logs, since: float) -> tuple[list[log_windows.Request], bool]:
    """Requests of users since a moment, and whether none was left unread."""
    if not os.path.exists(logs.access):
        raise RollbackError("There is no access log", found="nothing", where=logs.access)
    found, whole = log_windows.recent([logs.access, logs.access + ".1"], since, logs.most_bytes, log_windows.access)
    patterns = [re.compile(pattern) for pattern in logs.ignored]
    return [one for one in found if not any(pattern.search(one.path) for pattern in patterns)], whole


def answers(logs: Logs, requests: Sequence[log_windows.Request], whole: bool, limits: Limits) -> dict[str, Any]:
    """That no request since the moment was answered with a status 5xx."""
    held = re.compile(logs.held) if logs.held else None
    wrong = [
        one
        for one in requests
        # A gate answers 503 by itself, without the application.
        if one.status >= 500 and not (one.status == 503 and (one.upstream is False or (held and held.search(one.path))))
    ]
    told = f"{len(wrong)} of {len(requests)} requests since {clock(logs.since)} were answered with 5xx"
    evidence = ", ".join(f"{one.status} {one.path} at {clock(one.at)}" for one in sorted(wrong, key=_at)[:MOST_TOLD])
    look = f"""awk '$9 ~ /^5/' {logs.access} | tail -n 20"""
    return _counted("no new 5xx", len(wrong), limits.new_5xx, bool(requests), whole, told, evidence, look)


def errors(logs: Logs, now: float, limits: Limits) -> dict[str, Any]:
    """That the application has logged no error since the moment; texts of a log are not told, classes are."""
    zone = log_windows.zone_of(logs.zone)
    read, found, whole, present = log_windows.record(zone), [], True, False
    for path in logs.laravel:
        for files in log_windows.laravel_files(path, logs.since, now, zone):
            present = present or any(os.path.exists(name) for name in files)
            entries, all_read = log_windows.recent(files, logs.since, logs.most_bytes, read)
            found, whole = found + entries, whole and all_read
    expected = [re.compile(pattern) for pattern in logs.expected]
    wrong = [one for one in found if one.level in _ERRORS and not any(pattern.search(one.text) for pattern in expected)]
    told = f"{len(wrong)} errors logged since {clock(logs.since)}"
    evidence = ", ".join(f"{_thrown(one)} at {clock(one.at)}" for one in sorted(wrong, key=_at)[:MOST_TOLD])
    look = f"grep -hE '[.](ERROR|CRITICAL|ALERT|EMERGENCY):' {' '.join(logs.laravel)} | tail -n 20"
    return _counted("no new errors in the log", len(wrong), limits.new_errors, present, whole, told, evidence, look)


def _at(entry: Any) -> float:
    return float(entry.at)


def _thrown(entry: log_windows.Record) -> str:
    found = _CLASS.search(entry.text)
    return found[1].rpartition("\\")[2] if found else entry.level


def _counted(
    name: str, count: int, limit: int, present: bool, whole: bool, told: str, evidence: str, look: str
) -> dict[str, Any]:
    """A statement about what was counted in a log: of nothing, or of a part that has none, nobody can tell."""
    if count > limit:
        return statement(name, FAILED, f"{told}, limit {limit}", evidence, look)
    if not present:
        return statement(name, NOT_CHECKED, "nothing is logged since then", look=look)
    if not whole:
        return statement(name, NOT_CHECKED, f"{told}, but older lines were not read", look=look)
    return statement(name, PASSED, told, evidence, look)


def make_all(
    parts: Mapping[str, Callable[[], list[dict[str, Any]]]], at_once: Callable[..., Any]
) -> list[dict[str, Any]]:
    """Checks of all parts in their order, made at the same time; one that cannot be made has failed.

    ``at_once`` maps a function over the parts, as an executor's ``map`` does.
    """

    def make(item: tuple[str, Callable[[], list[dict[str, Any]]]]) -> list[dict[str, Any]]:
        name, part = item
        try:
            return part()
        except (RollbackError, OSError, re.error) as error:
            said = error if isinstance(error, RollbackError) else RollbackError("It cannot be read", found=str(error))
            return [statement(name, FAILED, str(said))]

    return [check for checks in at_once(make, parts.items()) for check in checks]
