"""One rule against what was observed: ``ok``, ``pending`` since when, ``fired``, ``no_data`` or ``inconclusive``."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.trigger_rules import Rule
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_series import MEASURES, Observation, value_of

OK, PENDING, FIRED, NO_DATA, INCONCLUSIVE = "ok", "pending", "fired", "no_data", "inconclusive"
#: The one that is told where several things are judged.
WORST = (OK, NO_DATA, INCONCLUSIVE, PENDING, FIRED)
#: Times are told to the second.
EXACT_S = 1.0
_GOOD, _WRONG, _UNSURE = "good", "wrong", "unsure"


@dataclasses.dataclass(frozen=True)
class Value:
    """A value over a span of Unix time; ``low`` and ``high`` differ where some of it may be either."""

    start: float
    end: float
    low: float
    high: float
    samples: float
    #: What it is from, newest first.
    seen: Sequence[Observation] = dataclasses.field(default=(), repr=False)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """``since`` is when what is wrong began, 0 if nothing is; ``values`` are newest first."""

    verdict: str
    since: float = 0
    why: str = ""
    values: Sequence[Value] = ()


def judge(rule: Rule, seen: Sequence[Observation], before: Mapping[str, Any], now: float) -> Verdict:
    """The verdict on ``seen``, newest first. ``before`` is the last one, ``{verdict, since, at}``, empty without one.

    Nothing counts that came before a break longer than the rule's ``gap_s``.
    """
    fired = before.get("verdict") == FIRED
    limit = rule.clear if fired and rule.clear is not None else rule.limit
    values, few = _values(rule, seen, now)
    if not values:
        return _nothing(rule, few, before, now)
    words = [_word(rule, value, limit) for value in values]
    if words[0] != _WRONG:
        good = words[0] == _GOOD
        return Verdict(OK if good else INCONCLUSIVE, why="" if good else "what was seen may be either", values=values)
    wrong = len(list(itertools.takewhile(lambda word: word == _WRONG, words)))
    since = _since(rule, values, wrong, limit, before)
    if fired or now - since >= rule.for_s - EXACT_S:
        return Verdict(FIRED, since, values=values)
    return Verdict(PENDING, since, why=f"{round(now - since)} of {round(rule.for_s)} s", values=values)


def _since(rule: Rule, values: Sequence[Value], wrong: int, limit: float, before: Mapping[str, Any]) -> float:
    """When the newest ``wrong`` values began to be; what was known before counts if there was no break since.

    The oldest of them may begin before what is wrong does.
    """
    oldest = values[wrong - 1]
    since = next((one.start for one in reversed(oldest.seen) if _is_wrong(rule, one, limit)), oldest.end)
    known = float(before.get("since") or 0)
    unbroken = oldest.start <= float(before.get("at") or 0)
    return min(since, known) if known and unbroken else since


def _nothing(rule: Rule, few: float, before: Mapping[str, Any], now: float) -> Verdict:
    if few:
        return Verdict(INCONCLUSIVE, why=f"{few:g} samples, {rule.min_samples:g} needed")
    if rule.missing == "ok":
        return Verdict(OK, why="nothing was seen, which this rule takes as well")
    if rule.missing == "wrong":
        since = float(before.get("since") or now)
        done = now - since >= rule.for_s - EXACT_S
        return Verdict(FIRED if done else PENDING, since, why="nothing was seen, which this rule takes as wrong")
    return Verdict(NO_DATA, why="nothing was seen")


def _word(rule: Rule, value: Value, limit: float) -> str:
    """Whether a value is wrong, surely or perhaps."""
    if rule.above is not None:
        return _WRONG if value.low > limit else _GOOD if value.high <= limit else _UNSURE
    return _WRONG if value.high < limit else _GOOD if value.low >= limit else _UNSURE


def _values(rule: Rule, seen: Sequence[Observation], now: float) -> tuple[list[Value], float]:
    """Values from the newest back until something is missing, and how many samples there were too few for one."""
    groups: list[list[Observation]] = [[]]
    last = now
    for one in seen:
        if one.total + one.unsure <= 0:
            continue
        group = groups[-1]
        enough = bool(group) and _samples(group) >= rule.min_samples
        if last - one.end > rule.gap_s or (group and not enough and group[0].end - one.end > rule.gap_s):
            break
        if enough and group[0].end - one.start > rule.over_s + EXACT_S:
            groups.append([])
        groups[-1].append(one)
        last = one.start
    if _samples(groups[-1]) < rule.min_samples:
        # The rest of the window is too little for a value of its own.
        rest = groups.pop()
        if not groups:
            return [], _samples(rest)
        groups[-1] += rest
    kind = MEASURES[rule.source, rule.measure].kind
    return [Value(group[-1].start, group[0].end, *value_of(kind, group), _samples(group), group) for group in groups], 0


def _samples(group: Sequence[Observation]) -> float:
    return sum(one.total + one.unsure for one in group)


def _is_wrong(rule: Rule, one: Observation, limit: float) -> bool:
    low, high = value_of(MEASURES[rule.source, rule.measure].kind, [one])
    return low > limit if rule.above is not None else high < limit


def described(value: Value) -> dict[str, Any]:
    """For a result: Unix times, the value (its least and most where it is unsure), the samples."""
    told = round(value.low, 4) if value.low == value.high else [round(value.low, 4), round(value.high, 4)]
    return {"from": round(value.start), "to": round(value.end), "value": told, "samples": round(value.samples)}
