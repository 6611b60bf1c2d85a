"""What each level of rollback would do now: whether it can, how long it takes, until when it can be taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def seconds_of(rows: Sequence[Row], overhead_s: float) -> int:
    """Estimate of a run: hosts work side by side, components one after the other, around them what every run does."""
    longest: dict[str, float] = {}
    for row in rows:
        component = str(row["component"])
        longest[component] = max(longest.get(component, 0), float(row.get("seconds") or 0))
    return round(overhead_s + sum(longest.values()))


def refusals(rows: Sequence[Row], silent: Mapping[str, Sequence[str]], components: Sequence[str]) -> list[str]:
    """Why a level cannot be done; ``silent`` has the components of each host that did not answer."""
    found = [
        f"{host} does not answer; if it stays down, -e rollback_without={host}"
        for host, own in sorted(silent.items())
        if set(own) & set(components)
    ]
    found += [f"{row['component']} on {row['host']}: {row.get('reason', '')}" for row in rows if not row.get("can")]
    return [line.rstrip(". ") for line in found]


def way_back(rows: Sequence[Row]) -> list[str]:
    """Until when each component's change can be taken back, in the words of the components."""
    told = {str(row["component"]): str(row.get("reversible") or "") for row in rows}
    return [f"{component}: {until}" for component, until in told.items() if until]


def describe(
    name: str,
    known: Mapping[str, Any],
    declared: Mapping[str, Any],
    rows: Sequence[Row],
    silent: Mapping[str, Sequence[str]],
    runs: Sequence[Mapping[str, Any]],
    missing: str,
) -> dict[str, Any]:
    """One level: ``{name, components, covers, can, refused, seconds, budget_s, last_s, users, way_back, rows}``.

    ``known`` is what the role run says of it, ``declared`` what the role impact says; ``missing`` why there is nothing
    to go back to, empty if there is. ``last_s`` is how long it took when it last succeeded, None if it never did.
    """
    components = list(known["components"])
    refused = [missing] if missing else refusals(rows, silent, components)
    seconds = seconds_of(rows, float(declared.get("overhead_s", 0)))
    budget_s = int(known["budget_s"])
    if not refused and not rows:
        refused = ["no component answered"]
    if not refused and seconds > budget_s:
        refused = [f"it would take about {seconds} s, its budget is {budget_s} s"]
    took = [
        run["seconds"] for run in runs if (run["level"], run["kind"], run["state"]) == (name, "rollback", "success")
    ]
    return {
        "name": name,
        "components": components,
        "covers": list(declared.get("covers", [])),
        "can": not refused,
        "refused": refused,
        "seconds": seconds,
        "budget_s": budget_s,
        "last_s": took[0] if took else None,
        "users": str(declared.get("users", "")),
        "way_back": way_back(rows),
        "rows": [dict(row) for row in rows],
    }
