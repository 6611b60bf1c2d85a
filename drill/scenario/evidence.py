"""From what was observed to the evidence file: pure functions over samples and events."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import Any

from traffic import Sample

SCHEMA = 1
PHASE = re.compile(r"^\(\d+/\d+\) ([A-Z]+)")


def window(samples: Iterable[Sample], began: float, ended: float) -> list[Sample]:
    """Samples sent between two moments."""
    return [sample for sample in samples if began <= sample.at <= ended]


#: No answer, or one of a server that has nobody behind it or holds users back. A faulty release answers otherwise.
OUT = (0, 502, 503, 504)


def nobody_served(samples: Iterable[Sample]) -> float:
    """Seconds in which every host was out at once, each from a request that it did not serve until the next one it did.

    What was under way when the observation ended counts as served no more.
    """
    spans: dict[str, list[tuple[float, float]]] = {}
    since: dict[str, float] = {}
    last = 0.0
    for sample in sorted(samples, key=lambda one: one.at):
        last = max(last, sample.at + sample.seconds)
        own = spans.setdefault(sample.host, [])
        if sample.status in OUT:
            since.setdefault(sample.host, sample.at)
        elif sample.host in since:
            own.append((since.pop(sample.host), sample.at))
    for host, began in since.items():
        spans[host].append((began, last))
    common = next(iter(spans.values()), [])
    for own in list(spans.values())[1:]:
        both = [(max(a, c), min(b, d)) for a, b in common for c, d in own]
        common = [(start, end) for start, end in both if start < end]
    return round(sum(end - start for start, end in common), 2)


def outage(samples: Iterable[Sample]) -> float:
    """Longest span, in seconds, in which some host served nobody.

    From the moment a request failed until the next one that was served, per host; the worst host counts. A host that
    fails a share of its requests but serves the others in between is slow or faulty, not out.
    """
    worst = 0.0
    by_host: dict[str, list[Sample]] = {}
    for sample in samples:
        by_host.setdefault(sample.host, []).append(sample)
    for visits in by_host.values():
        down_since: float | None = None
        for visit in sorted(visits, key=lambda sample: sample.at):
            if visit.ok and down_since is not None:
                worst = max(worst, visit.at + visit.seconds - down_since)
                down_since = None
            elif not visit.ok and down_since is None:
                down_since = visit.at
        if down_since is not None:
            worst = max(worst, visit.at - down_since)
    return round(worst, 2)


def seconds_of(event: dict[str, Any]) -> float:
    """Unix time at which an ansible-runner event was made."""
    return datetime.datetime.fromisoformat(event["created"].replace("Z", "+00:00")).timestamp()


def phases(events: list[dict[str, Any]], ended: float) -> dict[str, float]:
    """Seconds from the first play of each numbered phase to the first of the next, from the event stream's clock."""
    starts: list[tuple[str, float]] = []
    for event in events:
        found = (
            PHASE.match(event.get("event_data", {}).get("play", ""))
            if event["event"] == "playbook_on_play_start"
            else None
        )
        if found and (not starts or starts[-1][0] != found[1].lower()):
            starts.append((found[1].lower(), seconds_of(event)))
    ends = [at for _name, at in starts[1:]] + [ended]
    return {name: round(end - at, 2) for (name, at), end in zip(starts, ends)}


def results(events: list[dict[str, Any]], *keys: str) -> list[dict[str, Any]]:
    """What modules returned that have these keys, in the background or not."""
    found = [event["event_data"].get("res") for event in events if event["event"] == "runner_on_ok"]
    return [result for result in found if isinstance(result, dict) and set(keys) <= set(result)]


def failed_by_function(samples: Iterable[Sample], functions: dict[str, list[str]]) -> dict[str, int]:
    """Failed requests of each function, by the routes that belong to it (``GET /path``)."""
    failed = [sample.route for sample in samples if not sample.ok]
    return {name: sum(route in routes for route in failed) for name, routes in functions.items()}


def build(level: str, observed: dict[str, Any]) -> dict[str, Any]:
    """The evidence of one rollback from what was observed about it."""
    samples = window(observed["samples"], observed["began"], observed["ended"])
    loads = results(observed["events"], "load_s")
    swaps = results(observed["events"], "swap_s", "incoming")
    recovered = results(observed["events"], "tables", "longest_s")
    reversed_migrations = [
        found for found in results(observed["events"], "copied", "rows", "seconds") if found["reverse"]
    ]
    return {
        "schema": SCHEMA,
        "level": level,
        "verdict": observed["verdict"],
        "finished": datetime.datetime.fromtimestamp(observed["ended"], datetime.timezone.utc).isoformat("T", "seconds"),
        "rto_s": round(observed["ended"] - observed["began"], 1),
        "outage_s": outage(samples),
        "requests": len(samples),
        "failed_requests": sum(not sample.ok for sample in samples),
        "failed_requests_by_function": failed_by_function(samples, observed.get("functions", {})),
        "rows_lost": observed["rows_lost"],
        "later_rows": sum(table["brought"] for found in recovered for table in found["tables"].values()),
        "duplicate_sends": observed["duplicate_sends"],
        "phases": observed.get("phases") or phases(observed["events"], observed["ended"]),
        "checks": {
            "passed": sum(check["passed"] for check in observed["checks"]),
            "failed": sum(not check["passed"] for check in observed["checks"]),
        },
        "database": {
            "strategy": next(("migrations" for _step in reversed_migrations), "")
            or next(("standby" if swap["incoming"].endswith("__standby") else "load" for swap in swaps), ""),
            "bytes": max((load.get("bytes", 0) for load in loads), default=0),
            "load_s": max((load.get("load_s", 0) for load in loads), default=0),
            "swap_s": max((swap.get("swap_s", 0) for swap in swaps), default=0),
        },
        "budget_s": observed["budget_s"],
        **({"nobody_served_s": nobody_served(samples)} if level == "partial" else {}),
        **({"detection": observed["detection"]} if "detection" in observed else {}),
    }
