"""Every rule against everything that was measured, with what is remembered of earlier looks. Knows no Ansible.

rules = trigger_rules.parse([])
with trigger_state.Memory(state_dir) as memory:
    found = trigger_check.check(rules, series, memory.data, time.time(), trigger_state.hold(state_dir, now, 600))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import trigger_probes
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_rules import LEVELS, Rule
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_series import (
    MEASURES,
    SEPARATOR,
    Observation,
    Series,
)
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_verdicts import (
    FIRED,
    INCONCLUSIVE,
    NO_DATA,
    OK,
    PENDING,
    WORST,
    Verdict,
    described,
    judge,
)

#: Places of what is wrong, and values, that a verdict tells.
MOST_PLACES, MOST_VALUES = 5, 12


@dataclasses.dataclass(frozen=True)
class Hold:
    """Nothing counts that was seen before ``not_before`` (Unix time), and nothing fires while there is a ``reason``."""

    not_before: float = 0
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Declared:
    """Which probes are a group, which are the tests of a function, and from how many vantages each is asked."""

    groups: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    functions: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    vantages: int = 1


def check(
    rules: Sequence[Rule],
    series: Sequence[Series],
    memory: MutableMapping[str, Any],
    now: float,
    hold: Hold = Hold(),
    declared: Declared = Declared(),
) -> dict[str, Any]:
    """``{rules, fired, level, held}``: a verdict for each rule, the names that fired, the largest level they ask for.

    ``memory`` is what the last check left, empty at first, and is changed. ``series`` were measured just now.
    """
    series = [*series, *trigger_probes.together(series, declared.vantages, declared.functions)]
    _remember(rules, series, memory, now, hold.not_before)
    told = [_judged(rule, series, memory, now, hold, declared.groups) for rule in rules]
    memory["verdicts"] = {one["name"]: one.pop("known") for one in told}
    fired = [one for one in told if one["verdict"] == FIRED]
    return {
        "rules": told,
        "fired": [one["name"] for one in fired],
        "level": max((one["level"] for one in fired), key=LEVELS.index, default=""),
        "held": hold.reason,
    }


def _remember(
    rules: Sequence[Rule], series: Sequence[Series], memory: MutableMapping[str, Any], now: float, not_before: float
) -> None:
    """Add what was seen at a glance to what is known; what no rule looks back to, or came before, is forgotten."""
    samples: dict[str, list[list[float]]] = memory.setdefault("samples", {})
    counters: dict[str, float] = memory.setdefault("counters", {})
    for one in series:
        measure = MEASURES.get((one.source, one.measure))
        for row in one.rows if measure and not _brings_history(one) else ():
            seen = list(row[2:])
            if measure and measure.counter:
                last = counters.get(one.key, row[5])
                # One that starts anew counts from nothing.
                seen[1] = row[5] - last if row[5] >= last else row[5]
                counters[one.key] = row[5]
            samples.setdefault(one.key, []).append([now, *seen])
    oldest = max(not_before, now - max((rule.window_s + rule.gap_s for rule in rules), default=0))
    kept = {key: [row for row in rows if oldest <= row[0] <= now] for key, rows in samples.items()}
    memory["samples"] = {key: rows for key, rows in kept.items() if rows}


def _brings_history(one: Series) -> bool:
    return any(row[1] for row in one.rows)


def _judged(
    rule: Rule,
    series: Sequence[Series],
    memory: Mapping[str, Any],
    now: float,
    hold: Hold,
    groups: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """One rule; of several things that are each judged by themselves the worst is told."""
    names = _names(rule, groups)
    own = [one for one in series if one.source == rule.source and one.measure == rule.measure and _is(one.name, names)]
    seen: dict[str, list[Observation]] = {}
    for key, rows in memory["samples"].items():
        source, measure, name, _host = key.split(SEPARATOR, 3)
        if (source, measure) == (rule.source, rule.measure) and _is(name, names):
            seen[key] = [Observation(row[0], row[0], *row[1:]) for row in reversed(rows)]
    for one in own:
        if _brings_history(one):
            observed = [entry for entry in one.observations(now) if entry.start >= hold.not_before]
            seen[one.key] = observed
    if MEASURES[rule.source, rule.measure].together:
        seen = {"": sorted((one for each in seen.values() for one in each), key=lambda one: -one.end)}
    before = memory.get("verdicts", {}).get(rule.name, {})
    verdicts = {
        key: judge(rule, observed, _still(before.get(key, {}), hold.not_before), now)
        for key, observed in (seen or {"": []}).items()
    }
    return _told(rule, verdicts, own, series, now, hold)


def _names(rule: Rule, groups: Mapping[str, Sequence[str]]) -> set[str] | None:
    """Names of the series that the rule is about, None for all."""
    if rule.source == "prometheus":
        return {rule.query}
    if rule.source == "access_log":
        return {"|".join(rule.only)}
    if rule.source == "laravel_log":
        return set(rule.only or ("",))
    if not rule.only:
        return None
    return {name for one in rule.only for name in groups.get(one, [one])}


def _is(name: str, names: set[str] | None) -> bool:
    return names is None or name in names


def _still(before: Mapping[str, Any], not_before: float) -> Mapping[str, Any]:
    """What was known of a thing, nothing if that was before everything changed."""
    return before if float(before.get("at") or 0) >= not_before else {}


def _value(rule: Rule, verdicts: Iterable[Verdict]) -> float | None:
    """The newest value, of several things the most extreme one; None where nothing can be told."""
    newest = [one.values[0] for one in verdicts if one.values]
    if not newest:
        return None
    extreme = max(one.low for one in newest) if rule.above is not None else min(one.high for one in newest)
    return round(extreme, 4)


def _told(
    rule: Rule,
    verdicts: Mapping[str, Verdict],
    own: Sequence[Series],
    series: Sequence[Series],
    now: float,
    hold: Hold,
) -> dict[str, Any]:
    key, worst = max(verdicts.items(), key=lambda item: WORST.index(item[1].verdict))
    verdict, why = worst.verdict, worst.why
    problems = [
        f"{one.host or 'controller'}: {one.problem}"
        for one in series
        if one.problem and one.source == rule.source and one.measure in ("", rule.measure)
    ]
    if problems and verdict in (OK, NO_DATA):
        # Of what could not be read nobody knows whether it is well.
        verdict, why = INCONCLUSIVE if verdict == OK else NO_DATA, "; ".join(problems)
    if verdict == FIRED and hold.reason:
        verdict, why = PENDING, hold.reason
    notes = list(dict.fromkeys(one.note for one in own if one.note))
    if verdict == NO_DATA and not problems:
        why = "; ".join(notes) or (why if own or not rule.only else f"nothing is declared for {', '.join(rule.only)}")
    wrong = verdict in (PENDING, FIRED, INCONCLUSIVE)
    return {
        "name": rule.name,
        "demand": rule.demand,
        "text": rule.text,
        "verdict": verdict,
        "since": round(worst.since),
        "why": why,
        "where": " ".join(part for part in key.split(SEPARATOR)[2:] if part),
        "level": rule.level,
        "severity": rule.severity,
        "limit": rule.limit,
        "above": rule.above is not None,
        "value": _value(rule, verdicts.values()),
        "values": [described(value) for value in worst.values[:MOST_VALUES]],
        "evidence": list(dict.fromkeys(place for one in own for place in one.evidence))[:MOST_PLACES] if wrong else [],
        "notes": [*notes, *problems],
        "known": {key: {"verdict": one.verdict, "since": one.since, "at": now} for key, one in verdicts.items()},
    }
