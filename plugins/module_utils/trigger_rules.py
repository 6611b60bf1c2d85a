"""Rules as data: what is measured, from where on it is wrong, for how long it has to be, and what follows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_series import MEASURES

WHERE = "triggers_rules"
#: Levels from the smallest on.
LEVELS = ("", "selective", "frontend", "partial", "full")
SEVERITIES = ("warning", "critical")
#: What it means that nothing can be told: that, that all is well, or that it is not.
MISSING = ("no_data", "ok", "wrong")
#: Seconds from one check to the next after which checks count as ended.
SILENT_S = 300.0


@dataclasses.dataclass(frozen=True)
class Rule:
    """One trigger; times in seconds.

    A value is taken over ``over_s`` and from ``min_samples`` observed things, for which longer is waited. It is wrong
    ``above`` or ``below`` a limit, and once fired until it is beyond ``clear``. It has to be wrong without a break for
    ``for_s``. ``only`` names what is measured: groups of probes, paths, a pattern, units; ``query`` asks Prometheus.
    """

    name: str
    source: str
    measure: str
    above: float | None = None
    below: float | None = None
    clear: float | None = None
    over_s: float = 60
    for_s: float = 0
    min_samples: float = 1
    missing: str = "no_data"
    only: tuple[str, ...] = ()
    query: str = ""
    severity: str = "critical"
    level: str = ""
    demand: str = ""
    text: str = ""

    @property
    def limit(self) -> float:
        """The one of ``above`` and ``below`` that is given."""
        return float(self.above if self.above is not None else self.below or 0)

    @property
    def gap_s(self) -> float:
        """How long nothing may be seen before what was seen says nothing about now."""
        return max(2 * self.over_s, self.for_s / 2)

    @property
    def window_s(self) -> float:
        """How far back it looks."""
        return self.for_s + 2 * self.over_s


#: The runbooks' automatic triggers, A1.1 to A1.5, and B1. Where they name no time, these do: one bad look is no outage.
SHIPPED: tuple[dict[str, Any], ...] = (
    {
        "name": "error_rate",
        "demand": "A1.1",
        "text": "more than 5 % of all requests fail for 10 minutes",
        "source": "access_log",
        "measure": "error_share",
        "above": 0.05,
        "clear": 0.04,
        "for_s": 600,
        "min_samples": 20,
        "level": "partial",
    },
    {
        "name": "response_time",
        "demand": "A1.2",
        "text": "the API takes more than 10 s on average",
        "source": "access_log",
        "measure": "average_s",
        "only": ["^/api/"],
        "above": 10,
        "clear": 8,
        "over_s": 300,
        "min_samples": 20,
        "level": "partial",
    },
    {
        "name": "availability",
        "demand": "A1.3",
        "text": "less than 95 % of the probes are answered well for 5 minutes",
        "source": "probes",
        "measure": "availability",
        "below": 0.95,
        "for_s": 300,
        "level": "partial",
    },
    {
        "name": "database_integrity",
        "demand": "A1.4",
        "text": "the database is damaged or not consistent",
        "source": "database",
        "measure": "integrity",
        "above": 0,
        "over_s": 600,
        "level": "full",
    },
    {
        "name": "memory",
        "demand": "A1.5",
        "text": "more than 90 % of the memory is used for 5 minutes",
        "source": "memory",
        "measure": "used_share",
        "above": 0.9,
        "clear": 0.85,
        "for_s": 300,
        "level": "partial",
    },
    *(
        {
            "name": name,
            "demand": "B1",
            "text": text,
            "source": "probes",
            "measure": "availability",
            "only": [group],
            "below": 0.5,
            "over_s": 60,
            "for_s": 120,
            "level": level,
        }
        for name, group, level, text in (
            ("whatsapp_dead", "whatsapp", "selective", "the WhatsApp API does not work for 2 minutes"),
            ("health_failing", "health", "partial", "the health endpoints fail for 2 minutes"),
            ("frontend_unreachable", "frontend", "frontend", "the front end does not load for 2 minutes"),
            ("authentication_failing", "authentication", "partial", "nobody can log in for 2 minutes"),
        )
    ),
    {
        "name": "database_unreachable",
        "demand": "B1",
        "text": "the database cannot be reached for 2 minutes",
        "source": "database",
        "measure": "reachable",
        "below": 1,
        "for_s": 120,
    },
    {
        "name": "functions_broken",
        "demand": "B1",
        "text": "more than half of the declared functions are broken for 2 minutes",
        "source": "probes",
        "measure": "broken_functions",
        "above": 0.5,
        "for_s": 120,
        "level": "full",
    },
)


def parse(declared: Sequence[Mapping[str, Any]], shipped: Sequence[Mapping[str, Any]] = SHIPPED) -> list[Rule]:
    """The shipped rules with the inventory's laid over them by name; ``enabled: false`` takes one out."""
    merged: dict[str, dict[str, Any]] = {one["name"]: dict(one) for one in shipped}
    for entry in declared:
        name = entry.get("name", "")
        merged[name] = {**merged.get(name, {}), **entry}
    on = [{key: value for key, value in one.items() if key != "enabled"} for one in merged.values() if _on(one)]
    return [_rule(one) for one in on]


def _on(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("enabled", True)).lower() not in ("false", "no", "0")


def _rule(entry: Mapping[str, Any]) -> Rule:
    name = str(entry.get("name", ""))
    fields = {field.name for field in dataclasses.fields(Rule)}
    unknown = sorted(set(entry) - fields)
    numbers = ("above", "below", "clear", "over_s", "for_s", "min_samples")
    try:
        typed: dict[str, Any] = {
            key: float(value) if key in numbers and value is not None else value for key, value in entry.items()
        }
        typed["name"] = name
        only = typed.pop("only", None) or ()
        rule = Rule(**typed, only=(only,) if isinstance(only, str) else tuple(only))
    except (TypeError, ValueError):
        wrong = ", ".join(unknown) or "a value is missing or of the wrong type"
        raise RollbackError("A rule cannot be read", found=f"{name}: {wrong}", where=WHERE) from None
    problem = _problem(rule)
    if problem:
        raise RollbackError("A rule cannot be used", found=f"{name}: {problem}", where=WHERE)
    return rule


def _problem(rule: Rule) -> str:
    """What is wrong with a rule, empty if nothing is."""
    if not rule.name.replace("_", "").isalnum() or not rule.name.isascii():
        return "a name is made of letters, digits and _"
    if (rule.source, rule.measure) not in MEASURES:
        return "known are " + ", ".join(" ".join(pair) for pair in MEASURES)
    if (rule.above is None) == (rule.below is None):
        return "it needs above or below"
    above = rule.above is not None
    if rule.clear is not None and (rule.clear > rule.limit if above else rule.clear < rule.limit):
        return "clear is on the other side of the limit"
    if min(rule.over_s, rule.for_s) < 0:
        return "times are not negative"
    for word, known in ((rule.missing, MISSING), (rule.level, LEVELS), (rule.severity, SEVERITIES)):
        if word not in known:
            return f"{word} is none of {', '.join(one for one in known if one)}"
    if (rule.source == "prometheus") != bool(rule.query):
        return "a query belongs to the source prometheus, and it needs one"
    return ""
