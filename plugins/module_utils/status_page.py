"""What the status page shows: each rule as it is, and its values of the last hours; kept where the page lies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

#: What of a verdict the page tells: neither evidence nor notes, which are for those who may log in.
TOLD = ("name", "demand", "text", "verdict", "since", "why", "where", "level", "limit", "above", "value")


def data(found: Mapping[str, Any], before: bytes, environment: str, now: float, span_s: float) -> dict[str, Any]:
    """``{environment, checked, span_s, held, rules}``, with the points of ``before``, which is this of the last check.

    ``points`` of a rule are ``[at, value, verdict]`` of each check, the newest last, value None where nothing was told.
    What cannot be read begins anew: the page is for looking, and nothing is decided by it.
    """
    known = _points(before)
    rules = []
    for rule in found["rules"]:
        kept = [row for row in known.get(rule["name"], []) if now - span_s <= row[0] < round(now)]
        points = [*kept, [round(now), rule["value"], rule["verdict"]]]
        rules.append({**{name: rule[name] for name in TOLD}, "points": points})
    return {
        "environment": environment,
        "checked": round(now),
        "span_s": span_s,
        "held": found["held"],
        "rules": rules,
    }


def _points(before: bytes) -> dict[str, list[list[Any]]]:
    try:
        return {rule["name"]: rule["points"] for rule in json.loads(before)["rules"]}
    except (ValueError, KeyError, TypeError):
        return {}
